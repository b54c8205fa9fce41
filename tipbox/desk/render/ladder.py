"""The ladder of looks at a file of a source: each rung shows more, and each above the list runs in a sandbox.

List: name and size, which the vault holds. Facts: kinds, metadata, the names in an archive. Sight: pixels, words, the
first seconds of sound. Words in pictures: on request. The file itself is the last rung, taken out with a reason.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Final

from tipbox.desk.inbox import file_kinds
from tipbox.desk.render import sandbox
from tipbox.desk.render.look_lines import Line, Sign
from tipbox.desk.render.sandbox import End, Ended
from tipbox.desk.render.sealed_off import HeldFile
from tipbox.desk.render.worker_answer import (
    MAX_JSON,
    MAX_PICTURES,
    MAX_SIDE,
    MAX_TEXT,
    SIDE,
    Answer,
    BadAnswer,
    Entry,
    Picture,
    max_answer,
    parse_answer,
    parse_listing,
    parse_metadata,
    parse_type,
)

LANGUAGES: Final = ("kaz", "rus", "eng", "fra")
"""Whose letters are looked for in pictures."""
_FILE: Final = "/usr/bin/file"
_BSDTAR: Final = "/usr/bin/bsdtar"
_EXIFTOOL: Final = "/usr/bin/exiftool"
_TESSERACT: Final = "/usr/bin/tesseract"
_TESSDATA: Final = Path("/usr/share/tesseract-ocr")
_MAX_TYPE: Final = 300
_PAGES_READ: Final = 4
"""Pictures of a file in which words are looked for."""
_SMALL: Final = 64
"""Pixels of the longer side of a picture that nobody sees."""
_METADATA_CPU: Final = 5
_METADATA_SECONDS: Final = 20.0
_READING_CPU: Final = 60
_READING_SECONDS: Final = 120.0
_LISTED: Final = frozenset({"7z", "rar"})
_ENDS: Final = {
    End.FAILED: Line.ENDED,
    End.KILLED: Line.ENDED,
    End.TIME: Line.TOO_LONG,
    End.FULL: Line.BAD_ANSWER,
    End.STOPPED: Line.STOPPED,
}
_PROGRAMS: Final = frozenset({"windows-program", "linux-program", "windows-link", "linux-link", "script"})
_SAME: Final = {
    "heic": {"avif"},
    "mov": {"mp4"},
    "mp4": {"mov", "m4a"},
    "text": {"html", "xml", "script"},
    "gzip": {"tar"},
}
"""What first bytes cannot tell apart, or what one ending may stand for."""


@dataclass(frozen=True)
class Look:
    """All that is known of a file after some rungs.

    Attributes:
        name_says: the kind that its name claims (``file_kinds.by_name``).
        bytes_say: the kind that its first bytes say (``file_kinds.by_bytes``).
        type: the type that libmagic names in the sandbox; empty when it was not asked or does not know.
        kind: what the look took it for; empty without one.
        lines: why there is no more to see, in the order in which it came up.
        signs: what somebody should know before the file is taken out.
        metadata: what exiftool found.
    """

    name: str
    size: int
    name_says: str
    bytes_say: str
    type: str = ""
    lines: tuple[Line, ...] = ()
    signs: frozenset[Sign] = frozenset()
    metadata: tuple[tuple[str, str], ...] = ()
    answer: Answer = field(default_factory=Answer)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """What can be seen of it."""
        return self.answer.pictures

    @property
    def text(self) -> str:
        """The words in it."""
        return self.answer.text

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What lies in it."""
        return self.answer.entries

    def to_json(self) -> dict[str, Any]:
        """All but pixels and sound."""
        found = self.answer
        return {
            "bytes_say": self.bytes_say,
            "cut": found.cut,
            "entries": [
                {"depth": entry.depth, "name": entry.name, "packed": entry.packed, "size": entry.size}
                for entry in found.entries
            ],
            "facts": [{"name": name, "value": value} for name, value in found.facts],
            "kind": found.kind,
            "likeness": found.likeness,
            "lines": [line.code for line in self.lines],
            "metadata": [{"name": name, "value": value} for name, value in self.metadata],
            "more_entries": found.more_entries,
            "name": self.name,
            "name_says": self.name_says,
            "signs": sorted(sign.code for sign in self.signs),
            "size": self.size,
            "text": found.text,
            "type": self.type,
        }


def listed(name: str, size: int, head: bytes = b"") -> Look:
    """The first rung: nothing is opened.

    Args:
        name: as its source wrote it.
        size: in bytes.
        head: its first bytes, when they are at hand: they are compared with a table, and no more.
    """
    name_says, bytes_say = file_kinds.by_name(name), file_kinds.by_bytes(head) if head else ""
    signs = set()
    if name_says and bytes_say and bytes_say != name_says and name_says not in _SAME.get(bytes_say, ()):
        signs.add(Sign.DIFFERS)
    if any(unicodedata.category(character) in {"Cf", "Cc"} for character in name):
        signs.add(Sign.TURNED)
    if {name_says, bytes_say} & _PROGRAMS:
        signs.add(Sign.PROGRAM)
    return Look(name, size, name_says, bytes_say, signs=frozenset(signs))


def facts(file: HeldFile) -> Look:
    """The second rung: which kind of file it is, its metadata, the names in an archive."""
    return _look(file, "facts", SIDE, metadata=True)


def sight(file: HeldFile, *, metadata: bool = True, side: int = SIDE) -> Look:
    """The third rung: pictures, words and sound beside the facts.

    Args:
        file: what to look at.
        metadata: whether to ask exiftool, too.
        side: pixels of the longer side of pictures, ``worker_answer.MAX_SIDE`` at most.
    """
    return _look(file, "sight", side, metadata=metadata)


def likeness(file: HeldFile) -> str:
    """What tells a picture from others (16 hex digits); nothing when it shows none, or there is no sandbox."""
    if sandbox.problem():
        return ""
    return _answer(file, "sight", _SMALL, 1)[0].likeness


def words_in_pictures(file: HeldFile) -> tuple[str, tuple[Line, ...]]:
    """Words that can be read in the first pictures or pages, Kazakh, Russian, English and French; and why no more.

    The pixels are made in one sandbox and read in another.
    """
    if sandbox.problem():
        return "", (Line.NO_SANDBOX,)
    answer, line = _answer(file, "sight", MAX_SIDE, _PAGES_READ)
    if not answer.pictures:
        return "", (line or Line.NOTHING,)
    if not (languages := _languages()):
        return "", (Line.NO_PROGRAM,)
    said: list[str] = []
    lines: list[Line] = []
    for picture in answer.pictures:
        with _in_memory(b"P6 %d %d 255\n" % (picture.width, picture.height) + picture.pixels) as pixels:
            done = sandbox.run(
                [_TESSERACT, "stdin", "stdout", "-l", languages],
                pixels,
                most=4 * MAX_TEXT,
                seconds=_READING_SECONDS,
                cpu=_READING_CPU,
            )
        said.append(done.answer.decode(errors="replace").strip())
        lines += [problem] if (problem := _ENDS.get(done.end)) else []
    text = "\n\n".join(part for part in said if part)[:MAX_TEXT]
    return text, tuple(dict.fromkeys(lines or ([] if text else [Line.NOTHING])))


def _look(file: HeldFile, rung: str, side: int, *, metadata: bool) -> Look:
    look = listed(file.name, file.size, file.head)
    if sandbox.problem():
        return replace(look, lines=(Line.NO_SANDBOX,))
    answer, line = _names(file) if look.bytes_say in _LISTED else _answer(file, rung, side, MAX_PICTURES)
    lines = [Line.START_ONLY] if file.cut else []
    lines += [line] if line else []
    found: tuple[tuple[str, str], ...] = ()
    if metadata and file.size:
        found, line = _metadata(file)
        lines += [line] if line else []
    return replace(
        look,
        type=_type(file),
        lines=tuple(dict.fromkeys(lines)),
        signs=look.signs | answer.signs,
        metadata=found,
        answer=answer,
    )


def _answer(file: HeldFile, rung: str, side: int, count: int) -> tuple[Answer, Line | None]:
    """What our own worker has seen of a file, and why it is no more."""
    done = _run(sandbox.python("look_worker.py", rung, str(side), str(count)), file, max_answer(side, count))
    if problem := _ENDS.get(done.end):
        return Answer(), problem
    try:
        answer = parse_answer(done.answer)
    except BadAnswer:
        return Answer(), Line.BAD_ANSWER
    return answer, answer.line


def _names(file: HeldFile) -> tuple[Answer, Line | None]:
    """The names in an archive that Python's own library does not read."""
    if not sandbox.has_program(_BSDTAR):
        return Answer(), Line.NO_PROGRAM
    done = _run([_BSDTAR, "--list", "--verbose", "--file", "-"], file, MAX_JSON)
    entries, more = parse_listing(done.answer)
    problem = Line.BROKEN if done.end is End.FAILED or not entries else _ENDS.get(done.end)
    return Answer(kind=file_kinds.by_bytes(file.head), entries=entries, more_entries=more), problem


def _metadata(file: HeldFile) -> tuple[tuple[tuple[str, str], ...], Line | None]:
    if not sandbox.has_program(_EXIFTOOL):
        return (), Line.NO_PROGRAM
    # No configuration is read; it fails for what it does not know, and says so in the JSON.
    with file.reading() as content:
        done = sandbox.run(
            [_EXIFTOOL, "-config", "", "-j", "-G", "-a", "-struct", "-"],
            content,
            most=MAX_JSON,
            seconds=_METADATA_SECONDS,
            cpu=_METADATA_CPU,
        )
    if done.end is End.STOPPED:
        return (), Line.STOPPED
    if done.end not in {End.DONE, End.FAILED}:
        return (), Line.NO_METADATA
    try:
        return parse_metadata(done.answer), None
    except BadAnswer:
        return (), Line.NO_METADATA if done.answer else None


def _type(file: HeldFile) -> str:
    if not sandbox.has_program(_FILE):
        return ""
    return parse_type(_run([_FILE, "--brief", "--mime-type", "-"], file, _MAX_TYPE).answer)


def _run(command: list[str], file: HeldFile, most: int) -> Ended:
    with file.reading() as content:
        return sandbox.run(command, content, most=most)


@contextmanager
def _in_memory(data: bytes) -> Iterator[BinaryIO]:
    with os.fdopen(os.memfd_create("pixels"), "w+b", buffering=0) as file:
        file.write(data)
        file.seek(0)
        yield file


@cache
def _languages() -> str:
    """The languages that tesseract has here, of those that are wanted; empty when it is not there."""
    if not sandbox.has_program(_TESSERACT):
        return ""
    return "+".join(name for name in LANGUAGES if any(_TESSDATA.glob(f"*/tessdata/{name}.traineddata")))
