"""Reads what strace wrote of a server: was everything durable before it was answered?

The rule, per answer of 200 or 201: between a write to a file in HOME and the answer lies an fsync or fdatasync of that
file, and between a new, renamed or linked name in HOME and the answer lies an fsync of its folder. All of it is read
off the order of calls in one trace of all processes and threads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

CALLS = (
    "open", "openat", "creat", "write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "fallocate",
    "copy_file_range", "sendfile", "splice", "rename", "renameat", "renameat2", "link", "linkat", "symlink",
    "symlinkat", "mkdir", "mkdirat", "unlink", "unlinkat", "fsync", "fdatasync", "msync", "sync_file_range",
    "io_uring_enter", "sendto", "sendmsg", "recvfrom", "recvmsg", "read",
)  # fmt: skip
"""What has to be traced for this. io_uring is traced to be refused: its writes would not be seen."""

OPTIONS = ("-f", "-y", "-s", "160", "-e", f"trace={','.join(CALLS)}", "-e", "signal=none")

_WRITES = {"write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "fallocate"}
_ANSWERS = {"write", "writev", "sendto", "sendmsg"}
_REQUESTS = {"read", "recvfrom", "recvmsg"}
_NAMINGS = {"rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"}
_LINE = re.compile(r"^(\d+) +(.*)$")
_UNFINISHED = re.compile(r"^(\w+)\((.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$")
_CALL = re.compile(r"^(\w+)\((.*)\) += +(-?\d+|\?)(.*)$")
_DESCRIPTOR = re.compile(r"^(?:-?\d+|AT_FDCWD)<(.*?)>(?:\(deleted\))?(?:,|$)")
_FOLDER_AND_NAME = re.compile(r'(?:(?:AT_FDCWD|\d+)<(.*?)>, )?"((?:[^"\\]|\\.)*)"')
_RESULT_PATH = re.compile(r"^<(.*)>")
_NAMELESS = re.compile(r"/#\d+$")
_STATUS = re.compile(r'"HTTP/1\.[01] (\d{3})')
_REQUEST = re.compile(r'"([A-Z]+) (\S+) HTTP/1\.[01]\\r\\n')


@dataclass(frozen=True)
class Call:
    """One finished system call. ``begun`` and ``ended`` are line numbers: calls of several threads overlap."""

    thread: int
    name: str
    arguments: str
    result: int
    rest: str
    begun: int
    ended: int

    @property
    def path(self) -> str:
        """What its first descriptor stands for."""
        found = _DESCRIPTOR.match(self.arguments)
        return found[1] if found else ""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer in the trace, the request that it belongs to, and what was not durable when it was sent."""

    request: str
    status: int
    line: int
    synced: tuple[str, ...]
    written: tuple[str, ...]
    not_durable: tuple[str, ...]


def calls(lines: Iterable[str]) -> Iterator[Call]:
    """The finished calls of a trace, in the order in which they ended."""
    begun: dict[int, tuple[str, str, int]] = {}
    for number, line in enumerate(lines, 1):
        found = _LINE.match(line.rstrip("\n"))
        if found is None:
            continue
        thread, text = int(found[1]), found[2]
        start = number
        if unfinished := _UNFINISHED.match(text):
            begun[thread] = unfinished[1], unfinished[2], number
            continue
        if resumed := _RESUMED.match(text):
            if thread not in begun:
                continue
            name, arguments, start = begun.pop(thread)
            text = f"{name}({arguments}{resumed[2]}"
        if whole := _CALL.match(text):
            result = -1 if whole[3] == "?" else int(whole[3])
            yield Call(thread, whole[1], whole[2], result, whole[4], start, number)


@dataclass
class Trace:
    """The state of the files of a folder along a trace."""

    home: str
    dirty: dict[str, int] = field(default_factory=dict)
    """Path, or folder with new names, to the line that changed it last."""
    written: list[str] = field(default_factory=list)
    synced: list[str] = field(default_factory=list)
    requests: dict[str, str] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)

    def _within(self, path: str) -> bool:
        # The shared memory of SQLite's WAL is rebuilt from the WAL after a crash: it is never synced, by design.
        # A nameless file (O_TMPFILE) is gone after a crash, synced or not; giving it a name is refused below.
        # The names in outgoing/ are of empty folders on which locks are held, one for each organisation: nothing that
        # was answered is in them, and whoever needs one makes it again. A file in one of them would be seen.
        inside = path == self.home or path.startswith(f"{self.home}/")
        is_of_locks = path == f"{self.home}/outgoing"
        return inside and not is_of_locks and not path.endswith("-shm") and not _NAMELESS.search(path)

    def _changed(self, path: str, line: int) -> None:
        if self._within(path):
            self.dirty[path] = line
            self.written.append(path)

    def _new_name(self, path: str, line: int) -> None:
        if self._within(path):
            self._changed(str(PurePosixPath(path).parent), line)

    def feed(self, call: Call) -> None:
        """The next call."""
        if call.name == "io_uring_enter":
            raise ValueError("the server uses io_uring: this reader does not see its writes")
        if call.result < 0:
            return
        if call.name in _REQUESTS:
            if request := _REQUEST.search(call.arguments):
                self.requests[call.path] = f"{request[1]} {request[2]}"
                self.written, self.synced = [], []
        elif call.name in _ANSWERS and (status := _STATUS.search(call.arguments)):
            self._answer(call, int(status[1]))
        elif call.name in _WRITES:
            self._changed(call.path, call.ended)
        elif call.name in ("copy_file_range", "sendfile", "splice"):
            for path in re.findall(r"\d+<(/.*?)>", call.arguments):
                self._changed(path, call.ended)
        elif call.name in ("fsync", "fdatasync"):
            # It covers what was written before it began, not what another thread wrote meanwhile.
            if self.dirty.get(call.path, 0) < call.begun:
                self.dirty.pop(call.path, None)
            self.synced.append(call.path)
        elif call.name in ("open", "openat", "creat"):
            self._opened(call)
        elif call.name in _NAMINGS:
            self._renamed(call)
        elif call.name in ("unlink", "unlinkat"):
            for path in self._paths(call)[:1]:
                self.dirty.pop(path, None)  # what is gone need not be durable
        elif call.name in ("mkdir", "mkdirat"):
            for path in self._paths(call)[:1]:
                self._new_name(path, call.ended)

    def _opened(self, call: Call) -> None:
        opened = _RESULT_PATH.match(call.rest)
        if opened is None or opened[1].endswith("(deleted)") or "O_TMPFILE" in call.arguments:
            return
        if "O_CREAT" in call.arguments or call.name == "creat":
            if "O_EXCL" in call.arguments or "O_TRUNC" in call.arguments or opened[1] not in self.seen:
                self._new_name(opened[1], call.ended)
            self.seen.add(opened[1])

    seen: set[str] = field(default_factory=set)
    """Files that were there, or whose making was noted already."""

    def _renamed(self, call: Call) -> None:
        paths = self._paths(call)
        if not paths:
            return
        if paths[0].startswith("/proc/") or not call.name.startswith("rename"):
            raise ValueError("the server links files: this reader knows only renames")
        target = paths[-1]
        self._new_name(target, call.ended)
        if paths[0] in self.dirty:
            self.dirty[target] = self.dirty.pop(paths[0])

    @staticmethod
    def _paths(call: Call) -> list[str]:
        return [
            name if name.startswith("/") else str(PurePosixPath(folder or "/", name))
            for folder, name in _FOLDER_AND_NAME.findall(call.arguments)
        ]

    def _answer(self, call: Call, status: int) -> None:
        request = self.requests.pop(call.path, "?")
        late = [path for path, line in self.dirty.items() if line <= call.begun]
        self.answers.append(
            Answer(request, status, call.begun, tuple(self.synced), tuple(self.written), tuple(sorted(late)))
        )


def read(path: Path, home: Path) -> list[Answer]:
    """The answers in a trace of a server whose folder is ``home``."""
    trace = Trace(str(home), seen={str(one) for one in home.rglob("*")})
    with path.open(encoding="utf-8", errors="replace") as lines:
        for call in calls(lines):
            trace.feed(call)
    return trace.answers
