"""Work in a child process that dies, or whose disk fails, at a system call: as at a power cut, or a pulled stick.

The child is of this process, so that nothing is imported or started under the tracer.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Final

from support.commands import in_process
from tipbox import cli

DURABLE: Final = ("fsync", "fdatasync", "rename", "unlink", "mkdir", "write", "pwrite64")
"""The calls that make something, or make it durable: at each of them work can be cut short."""
END: Final = "exit_group"
"""After the last of them nothing more may be needed."""
_READ: Final = "pread64"
_CALL: Final = re.compile(r"(?:\d+ +)?(\w+)\(")


class Ending(Enum):
    """How work is cut short. What fails, fails from there on, as it does on a disk that is full or away."""

    KILLED = "killed"
    FULL = "full"
    PULLED = "pulled"
    STOPPED = "stopped"
    """By SIGTERM, as by Ctrl-C or a terminal that closes."""

    @property
    def error(self) -> str:
        """What the calls that fail answer."""
        return "ENOSPC" if self is Ending.FULL else "EIO"

    @property
    def failing(self) -> tuple[str, ...]:
        """The calls that fail: a full disk still removes files, and SQLite reads what is there."""
        return tuple(call for call in DURABLE if call != "unlink") if self is Ending.FULL else (*DURABLE, _READ)


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit code, None when it was killed; all that it said."""

    code: int | None
    said: str = ""


@dataclass(frozen=True)
class Points:
    """Where a command can be cut short: all its calls, in their order."""

    calls: tuple[str, ...]

    @classmethod
    def of(cls, log: Path, *command: str | Path) -> Points:
        """Those of a command, which is run undisturbed."""
        return cls.of_work(log, partial(say, *command))

    @classmethod
    def of_work(cls, log: Path, work: Callable[[], tuple[int, str]]) -> Points:
        """Those of any work, which is done undisturbed in a child."""
        trace = f"trace={','.join((*DURABLE, _READ, END))}"
        ended = traced(work, "-o", str(log), "-e", trace)
        assert ended.code == 0, ended
        found = (_CALL.match(line) for line in log.read_text(errors="replace").splitlines())
        return cls(tuple(call[1] for call in found if call))

    def places(self, ending: Ending, most: int = 0) -> list[int]:
        """All places, or so many of them, evenly from the first to the last."""
        ends = (*DURABLE, END) if ending is Ending.KILLED else ending.failing
        all_of_them = [place for place, call in enumerate(self.calls) if call in ends and call != _READ]
        if not 0 < most < len(all_of_them):
            return all_of_them
        return [all_of_them[number * (len(all_of_them) - 1) // (most - 1)] for number in range(most)]

    def cut(self, place: int, ending: Ending, *command: str | Path) -> Ended:
        """Run the command once more, cut short there."""
        return self.cut_work(place, ending, partial(_say_until_stopped if ending is Ending.STOPPED else say, *command))

    def cut_work(self, place: int, ending: Ending, work: Callable[[], tuple[int, str]]) -> Ended:
        """Do work once more, cut short there."""
        return traced(work, "-o", "/dev/null", *self._injected(place, ending))

    def _injected(self, place: int, ending: Ending) -> Iterator[str]:
        before = self.calls[:place]
        if ending in (Ending.KILLED, Ending.STOPPED):
            call, signal = self.calls[place], "KILL" if ending is Ending.KILLED else "TERM"
            yield from ("-e", f"trace={call}", "-e", f"inject={call}:signal={signal}:when={before.count(call) + 1}")
            return
        yield from ("-e", f"trace={','.join(ending.failing)}")
        for call in ending.failing:
            yield from ("-e", f"inject={call}:error={ending.error}:when={before.count(call) + 1}+")


def traced(work: Callable[[], tuple[int, str]], *options: str) -> Ended:
    """Do ``work``, which gives an exit code and what it said, in a child under strace with these options."""
    begin, started = os.pipe()
    ours, theirs = socket.socketpair()  # not a pipe: what is sent is no call that a test cuts short
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(started)
            ours.close()
            os.read(begin, 1)
            code, said = work()
            theirs.sendall(json.dumps(said).encode())
        finally:
            os._exit(code)
    os.close(begin)
    theirs.close()
    with ours, subprocess.Popen(("strace", "-f", *options, "-p", str(child)), stderr=subprocess.PIPE, text=True) as own:
        assert own.stderr is not None
        assert "attached" in own.stderr.readline()
        os.close(started)
        heard = b"".join(iter(lambda: ours.recv(65536), b""))
        _, ended = os.waitpid(child, 0)
        own.stderr.read()  # it ends with its child, when all is in its log
    if os.WIFSIGNALED(ended):
        return Ended(None)
    return Ended(os.WEXITSTATUS(ended), json.loads(heard) if heard else "")


def say(*command: str | Path) -> tuple[int, str]:
    """Run a command: its exit code and all that it said."""
    done = in_process(*command, expect=None)
    return done.code, done.out + done.err


def _say_until_stopped(*command: str | Path) -> tuple[int, str]:
    cli._on_stopping(cli._stop)  # as the program does
    try:
        return say(*command)
    except KeyboardInterrupt:  # after its end
        return 130, ""


def killed_at(call: str, number: int, work: Callable[[], object]) -> bool:
    """Do ``work`` in a child that is killed at its ``number``-th call to the system call ``call``; whether it was."""

    def worked() -> tuple[int, str]:
        work()
        return 0, ""

    ended = traced(worked, "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}", "-o", "/dev/null")
    assert ended.code in (None, 0)
    return ended.code is None


_TOUCHED: Final = frozenset(
    {"open", "os.rename", "os.remove", "os.mkdir", "os.listdir", "os.scandir", "sqlite3.connect"}
)


def pulled_out(folder: Path, number: int, *command: str | Path) -> tuple[Ended, int]:
    """Run a command; before its ``number``-th touch of a file the disk at ``folder`` is gone, and its place empty.

    How it ended, and how many touches there were.
    """

    def work() -> tuple[int, str]:
        count = 0

        def touch(event: str, _: object) -> None:
            nonlocal count
            if event in _TOUCHED:
                count += 1
                if count == number:
                    folder.rename(away(folder))
                    folder.mkdir()

        sys.addaudithook(touch)
        code, said = say(*command)
        return code, f"{count} {said}"

    ended = traced(work, "-o", "/dev/null", "-e", "trace=none")
    count, _, said = ended.said.partition(" ")
    return Ended(ended.code, said), int(count)


def away(folder: Path) -> Path:
    """Where a disk is that was pulled out."""
    return folder.with_name(f"{folder.name}-away")
