"""Looks for words in files and in the memory of processes, in every form in which software keeps or sends text."""

from __future__ import annotations

import base64
import gc
import json
import os
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote, quote_from_bytes

PIECE = 8 << 20
_SHORTEST = 6
_REGION = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r(\S+) \S+ \S+ \S+ *(.*)")
_UNREADABLE = ("[vvar", "[vsyscall]")


@dataclass(frozen=True)
class Found:
    """A word was found: ``word`` is its name, ``form`` how it was written, ``where`` a path or a memory region."""

    word: str
    form: str
    where: str
    count: int


def _base64(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The characters that stand for ``data`` wherever it begins in a base64 stream, but those shared with others."""
    for shift in range(3):
        lead = -(-shift * 4 // 3)
        encoded = base64.b64encode(bytes(shift) + data).rstrip(b"=")
        inner = encoded[lead : len(encoded) if (shift + len(data)) % 3 == 0 else -1]
        yield f"base64+{shift}", inner
        yield f"base64url+{shift}", inner.translate(bytes.maketrans(b"+/", b"-_"))


def forms(word: str | bytes) -> dict[bytes, str]:
    """All spellings of a word, each with its name. Text is searched in every encoding, bytes as they are."""
    named: list[tuple[str, bytes]] = []
    if isinstance(word, str):
        utf8 = word.encode()
        named.extend((form, word.encode(form)) for form in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le"))
        named.append(("json", json.dumps(word)[1:-1].encode()))
        named.append(("percent", quote(word, safe="").encode()))
        named.append(("percent, lower", re.sub(rb"%..", lambda code: code[0].lower(), quote(word, safe="").encode())))
        named.append(("utf-8 read as latin-1", utf8.decode("latin-1").encode()))
    else:
        utf8 = word
        named.append(("bytes", utf8))
        named.append(("percent", quote_from_bytes(utf8, safe="").encode()))
    named.append(("hex", utf8.hex().encode()))
    named.append(("repr", repr(utf8)[2:-1].encode()))
    named.extend(_base64(utf8))
    return {spelling: name for name, spelling in reversed(named) if len(spelling) >= _SHORTEST}


class Search:
    """A search for several words at once."""

    def __init__(self, words: Mapping[str, str | bytes]) -> None:
        """Prepare.

        Args:
            words: each word under a name that may be printed.
        """
        self._needles = [(name, form, needle) for name, word in words.items() for needle, form in forms(word).items()]
        if not self._needles:
            raise ValueError("there is nothing to search for")
        self._overlap = max(len(needle) for _, _, needle in self._needles) - 1

    def data(self, pieces: Iterable[bytes], where: str) -> list[Found]:
        """What consecutive pieces of bytes hold."""
        counts: Counter[tuple[str, str]] = Counter()
        tail = b""
        for piece in pieces:
            window = tail + piece
            if not window.strip(b"\x00"):
                tail = window[-self._overlap :]
                continue
            for name, form, needle in self._needles:
                count = window.count(needle)
                if count:
                    # What lies wholly within the tail was counted with the piece before.
                    counts[name, form] += count - tail.count(needle)
            tail = window[-self._overlap :]
        return [Found(name, form, where, count) for (name, form), count in counts.items() if count]

    def file(self, path: Path) -> list[Found]:
        """What a file holds, its name included; of one that is gone meanwhile, only its name."""
        named = self.data([os.fsencode(path)], f"the name of {path}")
        with suppress(FileNotFoundError), path.open("rb") as file:
            return named + self.data(iter(lambda: file.read(PIECE), b""), str(path))
        return named

    def tree(self, folder: Path, since: float = 0) -> list[Found]:
        """What the files below a folder hold, names of folders and targets of links included.

        Args:
            folder: where to look.
            since: passes over files that were changed last before this time, in seconds of Unix time.
        """
        found: list[Found] = []
        for base, folders, files in os.walk(folder):
            for name in folders + files:
                path = Path(base, name)
                if path.is_symlink():
                    with suppress(FileNotFoundError):
                        found += self.data([os.fsencode(path), os.fsencode(path.readlink())], f"the link {path}")
                elif path.is_file():
                    found += self.file(path) if _changed(path) >= since else []
                else:
                    found += self.data([os.fsencode(path)], f"the name of {path}")
        return found

    def open_files(self, pid: int) -> list[Found]:
        """What files hold that a process has open and that may have no name any more."""
        found: list[Found] = []
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if not link.is_file():
                    continue
                with link.open("rb") as file:
                    found += self.data(iter(partial(file.read, PIECE), b""), f"{link}: {link.readlink()}")
            except FileNotFoundError:
                continue
        return found

    def memory(self, pid: int) -> list[Found]:
        """What the readable memory of a process holds.

        Pages of a file that cannot be written are passed over: they hold what the file holds.
        """
        found: list[Found] = []
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines():
                region = _REGION.match(line)
                if region is None or region[4].startswith(_UNREADABLE):
                    continue
                if region[4].startswith("/") and "w" not in region[3]:
                    continue
                start, end = int(region[1], 16), int(region[2], 16)
                found += self.data(_read(memory.fileno(), start, end), f"memory of {pid}: {region[4] or 'anonymous'}")
        return found

    def process(self, pid: int) -> list[Found]:
        """Memory, command line, environment and open files."""
        about = b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
        return [*self.data([about], f"start of {pid}"), *self.memory(pid), *self.open_files(pid)]


def _changed(path: Path) -> float:
    try:
        return path.stat().st_ctime
    except FileNotFoundError:
        return 0


def _read(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    """A region in pieces; a page that cannot be read (a file was cut, a device) ends it."""
    at = start
    while at < end:
        try:
            piece = os.pread(descriptor, min(PIECE, end - at), at)
        except OSError:
            return
        if not piece:
            return
        yield piece
        at += len(piece)


def marked_words(names: Iterable[str]) -> dict[str, bytes]:
    """A word for each name, for ``holders``: all begin with the same random mark."""
    mark = secrets.token_hex(8).encode()
    return {name: mark + b"-%03d" % number for number, name in enumerate(names)}


def holders(words: Mapping[str, bytes]) -> dict[str, set[str]]:
    """For each name whose word is in bytes that objects of this process hold: the types of these objects.

    Also of those that nothing reaches any longer, and that only a collection of garbage would end.
    """
    names = {word: name for name, word in words.items()}
    one_of = re.compile(next(iter(names))[:-3] + rb"[0-9]{3}")  # no word stands in it
    found: dict[str, set[str]] = {}
    for one in gc.get_objects():
        for held in gc.get_referents(one):
            if isinstance(held, bytes | bytearray | memoryview) and bytes(held) not in names:
                for word in set(one_of.findall(held)):
                    found.setdefault(names[word], set()).add(type(one).__name__)
    return found
