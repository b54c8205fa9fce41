"""One process, shut off from everything, that is given the bytes of one file and returns at most so many.

``bwrap`` gives it namespaces of its own: no network, no other process, no files but programs to read and a small disk
in memory. The kernel refuses it all system calls that it does not need, and limits its memory, its time and its files.
It never gets the vault's place or key, and ends with the process that started it. Where any of this cannot be had,
nothing is started: a file is then listed, and never opened without a sandbox.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from pathlib import Path
from shutil import which
from typing import BinaryIO, Final

from tipbox.desk.render.allowed_calls import NoFilter, filter_program

WORKER: Final = Path(__file__).parent / "worker"
"""Scripts that run inside only; nothing else imports them."""

MAX_MEMORY: Final = 1 << 30
"""Bytes of address space."""
MAX_DISK: Final = 16 << 20
"""Bytes of its disk in memory, and of each file on it."""
MAX_CPU: Final = 20
"""Seconds of processor time."""
MAX_SECONDS: Final = 40.0
"""Seconds by the clock."""
MAX_OPEN: Final = 64
"""Open files."""
MAX_THREADS: Final = 8
"""Threads, with those of bwrap. There is one process: the filter lets it make no other."""
MAX_AT_ONCE: Final = 2
"""Sandboxes that run at the same time in one process; others wait."""

_NOBODY: Final = "65534"
_WORKS: Final = b"works"
_PIECE: Final = 1 << 16
_BY_SIGNAL: Final = 128
"""bwrap ends with this and the number of the signal that ended what it ran."""
_INSIDE: Final = "/tmp"  # noqa: S108 -- the disk of the sandbox, which nobody shares


class End(Enum):
    """How a sandbox ended."""

    DONE = auto()
    FAILED = auto()
    """The program said that it could not, or what it had was not enough."""
    KILLED = auto()
    """The kernel ended it: it asked for more than it may have, or crashed."""
    TIME = auto()
    """It was ended because it took too long."""
    FULL = auto()
    """It was ended because it answered too much."""
    STOPPED = auto()
    """It was ended because the desk was locked."""


@dataclass(frozen=True)
class Ended:
    """How a sandbox ended, and the bytes that it wrote until then: at most as many as were asked for."""

    end: End
    answer: bytes


class NoSandbox(Exception):
    """This machine cannot make a sandbox. Its text is one sentence: why, and what to do."""


ended_for_good: Final = threading.Event()
_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()
_turns = threading.BoundedSemaphore(MAX_AT_ONCE)


def problem() -> str:
    """Why this machine cannot make a sandbox, in one sentence; empty when it can."""
    try:
        _require()
    except NoSandbox as error:
        return str(error)
    return ""


def end_all(*, for_good: bool = False) -> int:
    """End every sandbox of this process at once, as at a lock; how many there were.

    ``for_good``: from then on each ends as soon as it begins.
    """
    with _lock:
        if for_good:
            ended_for_good.set()
        ending = list(_running)
        _running.clear()
    for process in ending:
        _kill(process)
    return len(ending)


def run(
    command: Sequence[str], content: BinaryIO | None, *, most: int, seconds: float = MAX_SECONDS, cpu: int = MAX_CPU
) -> Ended:
    """Run one program in a sandbox of its own.

    Args:
        command: the program, by its place inside, and its arguments: never anything of a source.
        content: its standard input, which it can only read; None for nothing.
        most: bytes of its standard output that are taken; with more it is ended.
        seconds: by the clock, until it is ended.
        cpu: seconds of processor time.

    Raises:
        NoSandbox: this machine cannot make one.
    """
    _require()
    return _run(command, content, most=most, seconds=seconds, cpu=cpu)


def python(script: str, *arguments: str) -> list[str]:
    """The command that runs a script of the worker's folder, with its libraries and nothing of the project."""
    return [os.path.realpath(sys.executable), "-I", "-S", "-B", f"/worker/{script}", *arguments]


def has_program(path: str) -> bool:
    """Whether a program is there for a sandbox, by its place."""
    return os.access(path, os.X_OK)


def _run(command: Sequence[str], content: BinaryIO | None, *, most: int, seconds: float, cpu: int) -> Ended:
    with _turns, _started(command, content, cpu) as process:
        late = threading.Event()

        def end_late() -> None:
            late.set()
            _kill(process)

        clock = threading.Timer(seconds, end_late)
        clock.start()
        try:
            answer = _read(process, most)
            if len(answer) > most:
                _kill(process)
            code = process.wait()
        finally:
            clock.cancel()
            with _lock:
                stopped = process not in _running
        return Ended(_how(code, late=late.is_set(), full=len(answer) > most, stopped=stopped), answer[:most])


def _how(code: int, *, late: bool, full: bool, stopped: bool) -> End:
    if stopped:
        return End.STOPPED
    if full:
        return End.FULL
    if late:
        return End.TIME
    if code == 0:
        return End.DONE
    return End.KILLED if code < 0 or code > _BY_SIGNAL else End.FAILED


def _read(process: subprocess.Popen[bytes], most: int) -> bytes:
    """All that it writes, up to one byte more than it may."""
    answer = bytearray()
    output = process.stdout
    while output is not None and len(answer) <= most:
        piece = os.read(output.fileno(), min(_PIECE, most + 1 - len(answer)))
        if not piece:
            break
        answer += piece
    return bytes(answer)


@contextlib.contextmanager
def _started(command: Sequence[str], content: BinaryIO | None, cpu: int) -> Iterator[subprocess.Popen[bytes]]:
    read_end, write_end = os.pipe()
    try:
        # The filter is a few kilobytes: a pipe holds it, and nobody has to write while bwrap reads.
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(filter_program())
        process = subprocess.Popen(
            _command(command, read_end, cpu),
            stdin=subprocess.DEVNULL if content is None else content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what it says there is the attacker's
            bufsize=0,
            cwd="/",
            env={},
            pass_fds=(read_end,),
            start_new_session=True,
        )
    finally:
        os.close(read_end)
    with _lock:
        if not ended_for_good.is_set():
            _running.add(process)
    if ended_for_good.is_set():
        _kill(process)
    try:
        yield process
    finally:
        _kill(process)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
        with _lock:
            _running.discard(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a sandbox whole: with bwrap goes the first process inside, and with that all others."""
    with contextlib.suppress(ProcessLookupError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def _command(command: Sequence[str], filter_fd: int, cpu: int) -> list[str]:
    """The whole command line: limits, then namespaces, then the program."""
    prlimit, bwrap = _programs()
    limits = {
        "as": MAX_MEMORY,
        "core": 0,
        "cpu": cpu,
        "fsize": MAX_DISK,
        "memlock": 0,
        "msgqueue": 0,
        "nofile": MAX_OPEN,
    }
    return [
        prlimit,
        *(f"--{name}={value}" for name, value in limits.items()),
        "--",
        bwrap,
        *("--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
        *("--uid", _NOBODY, "--gid", _NOBODY, "--hostname", "sandbox"),
        *_folders(),
        *("--ro-bind", str(WORKER), "/worker"),
        *("--dev-bind", "/dev/null", "/dev/null", "--dev-bind", "/dev/urandom", "/dev/urandom"),
        *("--size", str(MAX_DISK), "--tmpfs", _INSIDE, "--chdir", _INSIDE),
        *("--remount-ro", "/"),
        *("--setenv", "PATH", "/usr/bin", "--setenv", "LANG", "C.UTF-8", "--setenv", "HOME", _INSIDE),
        *("--setenv", "OMP_THREAD_LIMIT", "1"),
        *("--seccomp", str(filter_fd)),
        "--",
        # Inside, where it counts the processes of the sandbox only.
        *(prlimit, f"--nproc={MAX_THREADS}", "--"),
        *command,
    ]


@cache
def _folders() -> tuple[str, ...]:
    """Programs and libraries, all to be read only."""
    bound: list[str] = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "lib", "lib32", "lib64", "sbin"):
        path = Path("/", name)
        if path.is_symlink():
            bound += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            bound += ["--ro-bind", str(path), str(path)]
    base = Path(sys.base_prefix).resolve()
    if not base.is_relative_to("/usr"):
        bound += ["--ro-bind", str(base), str(base)]
    return (*bound, "--ro-bind-try", sysconfig.get_path("platlib"), "/site")


@cache
def _programs() -> tuple[str, str]:
    """Where prlimit and bwrap are."""
    found = which("prlimit", path="/usr/bin:/bin"), which("bwrap", path="/usr/bin:/bin")
    if found[1] is None:
        raise NoSandbox(
            "files are listed only: the program that shuts off what opens them is missing; install bubblewrap"
        )
    if found[0] is None:
        raise NoSandbox("files are listed only: the program that limits what opens them is missing; install util-linux")
    return found[0], found[1]


@cache
def _tried() -> str:
    """Make one sandbox for nothing: a machine may have all programs, and yet allow no user namespaces."""
    done = _run(["/usr/bin/printf", _WORKS.decode()], None, most=len(_WORKS), seconds=10.0, cpu=5)
    if (done.end, done.answer) == (End.DONE, _WORKS):
        return ""
    return (
        "files are listed only: this machine lets nobody shut off what opens them; allow user namespaces "
        "(kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
    )


def _require() -> None:
    _programs()
    try:
        filter_program()
    except NoFilter as error:
        raise NoSandbox(
            "files are listed only: the filter of system calls cannot be made; install libseccomp2 and pyseccomp"
        ) from error
    if why := _tried():
        raise NoSandbox(why)
