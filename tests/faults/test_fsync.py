"""Nothing is answered before it is durable: read off the order of system calls of the server's processes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from faults import strace_log
from faults.sending import ROOMY, sealed, send
from faults.strace_log import Answer, Trace, calls
from faults.tracing import traced
from support.world import Ring, running_world


@dataclass(frozen=True)
class Traced:
    """The answers of one server, and its folder."""

    home: Path
    answers: list[Answer]

    def of(self, request: str) -> list[Answer]:
        """The answers to requests whose line begins so."""
        return [answer for answer in self.answers if answer.request.startswith(request)]


@pytest.fixture(scope="module")
def answers(ring: Ring, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("traced")
    out = folder / "trace"
    source = random.Random(7)
    with running_world(ring, tcp=True, settings=ROOMY) as world:
        server = world.server
        with traced(server.pids(), strace_log.OPTIONS, out):
            text = sealed(world.keys, b"text alone")
            assert text.open(server) == 201
            large = sealed(world.keys, source.randbytes(200_000))  # a letter that does not fit into memory
            assert large.open(server) == 201
            files = sealed(world.keys, b"with files", [("a", source.randbytes(700_000)), ("b", b"")])
            assert files.open(server) == 201
            assert len(files.parts) > 8
            for first, count in ((8, len(files.parts) - 8), (0, 3), (2, 6), (0, 3)):
                assert files.put(server, first, count) == 200
            assert files.finish(server) == 200
            assert files.finish(server) == 200
            again = files.again()
            assert again.open(server) == 201
            assert again.put(server, 0, len(again.parts)) == 200
            assert again.finish(server) == 200
            (folder / "message").write_bytes(b"by the command")
            (folder / "file").write_bytes(source.randbytes(5_000_000))
            send(f"http://{server.bind}", world.keys, folder / "message", [folder / "file"])
        yield Traced(server.home, strace_log.read(out, server.home))


def test_every_answer_is_given_after_everything_written_is_durable(answers: Traced) -> None:
    given = [answer for answer in answers.answers if answer.status in (200, 201)]
    assert len(given) >= 12
    late = {answer.request: answer.not_durable for answer in given if answer.not_durable}
    assert late == {}


def test_what_is_new_was_written_and_synced_for_its_answer(answers: Traced) -> None:
    wal = f"{answers.home}/tipbox.db-wal"
    blobs = f"{answers.home}/blobs"
    opened = [answer for answer in answers.of("PUT /api/envelope") if "parts" not in answer.request]
    assert len(opened) >= 5
    for answer in opened:
        assert answer.status == 201
        assert wal in answer.written
        assert wal in answer.synced
    runs = answers.of("PUT /api/envelope/parts/")
    assert len(runs) >= 6
    repeat = runs.pop(3)
    assert (repeat.status, repeat.written) == (200, ()), "nothing of it was new"
    for answer in runs:
        assert answer.status == 200
        assert blobs in answer.synced
        assert any(path.startswith(f"{blobs}/") for path in answer.synced)
    finished = answers.of("POST /api/envelope/finish")
    assert len(finished) >= 3
    for answer in (finished[0], finished[2]):  # the second asks again
        assert wal in answer.written
        assert wal in answer.synced
        assert blobs in answer.synced
        assert any(path.startswith(f"{blobs}/") for path in answer.synced)


# --- the reader itself: hand-made traces that keep the rule and that break it -----------------------------------------

PUT = r'7 recvfrom(9<socket:[1]>, "PUT /api/envelope HTTP/1.1\r\nHost: x"..., 8192, 0, NULL, NULL) = 900'
CREATE = r'7 openat(AT_FDCWD</>, "/H/blobs/a", O_RDWR|O_CREAT|O_EXCL, 0600) = 5</H/blobs/a>'
WRITE = r'7 write(5</H/blobs/a>, "\x89tip"..., 100) = 100'
FSYNC = r"7 fsync(5</H/blobs/a>) = 0"
FOLDER = r"7 fsync(6</H/blobs>) = 0"
WAL = r'8 pwrite64(3</H/tipbox.db-wal>, "\0\0"..., 4096, 0) = 4096'
COMMIT = r"8 fdatasync(3</H/tipbox.db-wal>) = 0"
OK = r'7 sendto(9<socket:[1]>, "HTTP/1.1 201 CREATED\r\nContent-Type: "..., 300, 0, NULL, 0) = 300'
KEPT = [PUT, CREATE, WRITE, FSYNC, FOLDER, WAL, COMMIT, OK]


def _read(lines: list[str], *, there: frozenset[str] = frozenset({"/H/tipbox.db-wal"})) -> list[Answer]:
    trace = Trace("/H", seen=set(there))
    for call in calls(lines):
        trace.feed(call)
    return trace.answers


def test_reader_accepts_a_trace_that_keeps_the_rule() -> None:
    (answer,) = _read(KEPT)
    assert (answer.request, answer.status, answer.not_durable) == ("PUT /api/envelope", 201, ())
    assert set(answer.synced) == {"/H/blobs/a", "/H/blobs", "/H/tipbox.db-wal"}


@pytest.mark.parametrize(
    ("lines", "not_durable"),
    [
        ([line for line in KEPT if line != FSYNC], ("/H/blobs/a",)),
        ([line for line in KEPT if line != FOLDER], ("/H/blobs",)),
        ([line for line in KEPT if line != COMMIT], ("/H/tipbox.db-wal",)),
        ([PUT, CREATE, FSYNC, WRITE, FOLDER, WAL, COMMIT, OK], ("/H/blobs/a",)),
        ([*KEPT[:-2], OK, COMMIT], ("/H/tipbox.db-wal",)),
        ([line.replace("fdatasync(3", "fdatasync(3").replace(") = 0", ") = -1 EIO (I/O)") for line in KEPT],
         ("/H/blobs", "/H/blobs/a", "/H/tipbox.db-wal")),
        ([PUT, r'7 rename("/H/x.part", "/H/keys/x.json") = 0', OK], ("/H/keys",)),
        ([PUT, r'7 mkdir("/H/new", 0700) = 0', OK], ("/H",)),
        ([PUT, "7 ftruncate(5</H/blobs/a>, 10) = 0", OK], ("/H/blobs/a",)),
    ],
)  # fmt: skip
def test_reader_reports_a_trace_that_breaks_the_rule(lines: list[str], not_durable: tuple[str, ...]) -> None:
    (answer,) = _read(lines)
    assert answer.not_durable == not_durable


def test_reader_sees_that_a_sync_which_began_before_a_write_does_not_cover_it() -> None:
    lines = [
        PUT,
        WRITE,
        "7 fsync(5</H/blobs/a> <unfinished ...>",
        WRITE.replace("7 ", "8 ", 1),
        "7 <... fsync resumed>) = 0",
        OK,
    ]
    (answer,) = _read(lines)
    assert answer.not_durable == ("/H/blobs/a",)


def test_reader_refuses_ways_of_writing_that_it_cannot_follow() -> None:
    with pytest.raises(ValueError, match="io_uring"):
        _read([PUT, "7 io_uring_enter(4, 1, 0, 0, NULL, 8) = 1"])
    with pytest.raises(ValueError, match="links"):
        _read([PUT, r'7 linkat(AT_FDCWD</>, "/proc/self/fd/5", AT_FDCWD</>, "/H/blobs/a", AT_SYMLINK_FOLLOW) = 0'])
