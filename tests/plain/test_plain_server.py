"""The form in a running server: what is not sealed leaves nothing, and nobody holds the line for others."""

from __future__ import annotations

import base64
import ipaddress
import os
import secrets
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from faults.memory_search import Found, Search
from plain.forms import BOUNDARY, PATH, TYPE, Said, cut, form
from support.sealed import Organisation, envelope, keys_folder, three
from support.server import Server, start
from tipbox.formats.base.primitives import sha256
from tipbox.formats.envelopes.pieces import MAGIC
from tipbox.server.storage.models import Draft, Envelope
from tipbox.server.uploads.cells import Cells

pytestmark = pytest.mark.timeout(900)  # a busy machine


SHARED = "/dev/zero"
"""What the kernel calls memory that processes share without a file."""


@dataclass
class Running:
    """A server with the form on a unix socket."""

    server: Server
    path: Path
    organisations: list[Organisation]

    @contextmanager
    def line(self, circuit: str = "") -> Iterator[socket.socket]:
        with closing(socket.socket(socket.AF_UNIX)) as line:
            line.settimeout(240)
            line.connect(str(self.path))
            circuit = circuit or f"fc00::{secrets.randbits(16):x}:{secrets.randbits(16):x}"
            line.sendall(f"PROXY TCP6 {circuit} ::1 225 80\r\n".encode())
            yield line

    def send(self, body: bytes, path: str = PATH, circuit: str = "") -> Said:
        with self.line(circuit) as line:
            return sent(line, body, path)

    def hunt(self, *words: str) -> list[Found]:
        """In memory of the master and its workers, on disk, and in the log."""
        return self.search(dict(zip(words, words, strict=True)))

    def search(self, words: Mapping[str, str | bytes]) -> list[Found]:
        search = Search(words)
        pids = [self.server.process.pid, *(worker.pid for worker in self.server.workers())]
        found = [one for pid in pids for one in search.process(pid)]
        return [*found, *search.tree(self.server.home), *search.file(self.server.log)]


def head(length: int, path: str = PATH) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: plain\r\nContent-Type: {TYPE}\r\nContent-Length: {length}\r\n\r\n".encode()


def sent(line: socket.socket, body: bytes, path: str = PATH) -> Said:
    """Send a form as far as the server takes it; the page that it answers with."""
    with suppress(BrokenPipeError, ConnectionResetError):
        line.sendall(head(len(body), path) + body)
    return received(line)


def received(line: socket.socket) -> Said:
    with line.makefile("rb") as reader:
        status = int(reader.readline().split()[1])
        length = 0
        while (header := reader.readline()) not in {b"\r\n", b""}:
            name, _, value = header.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return Said(status, reader.read(length).decode())


@pytest.fixture(scope="module", name="running")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder, organisations = tmp_path_factory.mktemp("plain"), three()
    path = folder / "plain.sock"
    settings = {"plain_bind": f"unix:{path}", "plain_openings_burst": "1000"}
    server = start(folder / "home", keys_folder(folder / "keys", organisations), unix=True, settings=settings)
    yield Running(server, path, organisations)
    server.kill()


def _stored(connection: Connection) -> set[bytes]:
    return set(connection.execute(select(Envelope.id)).scalars())


def _endings(connection: Connection) -> list[bytes]:
    return [one for one in connection.execute(select(Draft.ending)).scalars() if one]


def words(count: int) -> list[str]:
    return ["".join(secrets.choice("abcdefghijkmnpqrstuvwxyz") for _ in range(24)) for _ in range(count)]


def test_what_is_not_sealed_leaves_nothing(running: Running) -> None:
    """First, behind a piece, in the form for answers, and too large: no byte of it, and nothing of its name."""
    pieces = cut(envelope(running.organisations, 3 * 65_536))
    named, first, second, asked, large = words(5)
    photos = {word: f"{word}\n".encode() * 20_000 for word in (first, second, asked, large)}

    said = [
        running.send(form(photos[first], name=f"{named}.jpg")),
        running.send(form(pieces[0], photos[second], pieces[1], name=f"{named}.jpg")),
        running.send(form(photos[asked][:5000], field="file", name=f"{named}.jpg"), f"{PATH}answers"),
        running.send(form(photos[large], field="file", name=f"{named}.jpg"), f"{PATH}answers"),
    ]

    assert [(one.status, one.heading) for one in said] == [(400, "This file is not sealed")] * 4
    assert said[1].files == [f"File 1, piece 1 of {len(pieces)} It is here."]
    assert not any(word in one.text for one in said for word in (named, *photos))
    assert running.hunt(named, *photos) == []


def test_the_hunt_finds_what_is_under_way(running: Running) -> None:
    """The control: a form that has not come to an end lies in the worker's memory."""
    (word,) = words(1)
    body = form(MAGIC + f"{word}\n".encode() * 20_000, name=f"{word}.jpg")
    with running.line() as line:
        line.sendall(head(len(body)) + body[:600])
        deadline = time.monotonic() + 120
        while not (found := running.hunt(word)) and time.monotonic() < deadline:
            pass
    assert found


def test_the_end_that_came_first_tells_nothing_of_the_tip(running: Running) -> None:
    """Hash and trailer wait beside the upload for the other pieces. The controls: they are found there, and a word."""
    named, said, planted = words(3)
    whole = envelope(running.organisations, 3 * 65_536, message=f"{said}\n".encode() * 40)
    *before, last = cut(whole)

    running.send(form(last, name=f"{named}.jpg"))

    (ending,) = running.server.read(_endings)
    assert ending == whole.hash + whole.trailer
    token = base64.urlsafe_b64decode(whole.token + "=")
    hunted: dict[str, str | bytes] = {"file name": named, "text": said}
    assert running.search(hunted) == []
    assert [
        one for one in running.search({"token": token, "token, text": whole.token}) if "memory" not in one.where
    ] == []
    assert any("tipbox.db" in one.where for one in running.search({"hash": whole.hash}))
    with closing(sqlite3.connect(running.server.home / "tipbox.db", timeout=60)) as database:
        for value in (ending + planted.encode(), ending):
            database.execute("UPDATE draft SET ending = ? WHERE ending IS NOT NULL", (value,))
            database.commit()
            if value != ending:
                assert any("tipbox.db" in one.where for one in running.hunt(planted))

    assert running.send(form(*before)).tips[0].startswith("This message is here, whole.")
    assert running.server.read(_endings) == []
    assert running.search(hunted) == []


def test_what_workers_share_tells_of_no_form(running: Running) -> None:
    """Levels and counts lie in memory that a worker's end does not take away."""
    named, said = words(2)
    circuit = f"fc00:dead:beef:4dad::{secrets.randbits(16):x}:{secrets.randbits(16):x}"
    whole = envelope(running.organisations, 70_000, message=f"{said}\n".encode() * 40)
    running.send(form(*cut(whole), name=f"{named}.jpg"), circuit=circuit)
    token = base64.urlsafe_b64decode(whole.token + "=")
    hunted: dict[str, str | bytes] = {"file name": named, "text": said, "circuit": circuit, "token": token}
    hunted |= {"circuit, packed": ipaddress.ip_address(circuit).packed, "token's hash": sha256(token)}
    assert [one for one in running.search(hunted) if SHARED in one.where] == []


def test_the_hunt_looks_into_what_workers_share() -> None:
    """The control: a word in each of the places that workers share."""
    cells, planted = Cells(), words(2)
    cells.table[500:524] = planted[0].encode()
    cells.secret[:24] = planted[1].encode()
    found = Search(dict(zip(planted, planted, strict=True))).memory(os.getpid())
    assert {one.word for one in found if SHARED in one.where} == set(planted)


def test_the_connection_is_closed_and_nothing_more_is_read(running: Running) -> None:
    body = form(b"\xff" * 5_000_000)
    with running.line() as line:
        line.sendall(head(len(body)) + body[:6000])
        said = received(line)
        assert said.heading == "This file is not sealed"
        line.settimeout(60)
        with pytest.raises((BrokenPipeError, ConnectionResetError, TimeoutError)):
            line.sendall(bytes(50_000_000))


def test_slow_forms_hold_nobody_up(running: Running) -> None:
    """Of one circuit and of many: half a form each, and whoever comes then is served."""
    begun = form(cut(envelope(running.organisations, 70_000))[0])
    with ExitStack() as stack:
        for number in range(60):
            line = stack.enter_context(running.line("fc00::7" if number < 20 else ""))
            line.sendall(head(len(begun)) + begun[: len(begun) // 2])
        whole = envelope(running.organisations, 3 * 65_536)
        said = running.send(form(*cut(whole)))
        assert said.tips[0].startswith("This message is here, whole.")
    assert whole.id in running.server.read(_stored)


@pytest.mark.parametrize(
    "body",
    [
        b"--" + b"A" * 300_000,
        form(*[b""] * 1000),
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=".encode() + b"t" * 300_000,
        b"\r\n" * 150_000,
    ],
    ids=["boundary", "fields", "name", "preamble"],
)
def test_what_is_no_form_is_answered_with_one_page(running: Running, body: bytes) -> None:
    said = running.send(body)
    assert (said.status, said.heading) == (400, "This did not work")


def test_without_a_length_or_a_circuit_nothing_is_taken(running: Running) -> None:
    with running.line() as line:
        line.sendall(f"POST {PATH} HTTP/1.1\r\nHost: p\r\nContent-Type: {TYPE}\r\n\r\n".encode())
        assert received(line).status == 411
    with closing(socket.socket(socket.AF_UNIX)) as bare:
        bare.settimeout(60)
        bare.connect(str(running.path))
        bare.sendall(f"GET {PATH} HTTP/1.1\r\nHost: p\r\n\r\n".encode())
        assert received(bare).status == 403


def test_pieces_through_cuts_and_other_circuits_are_one_tip(running: Running) -> None:
    """Each cut keeps what came whole; the next circuit sends the same piece again."""
    whole = envelope(running.organisations, 12 * 65_536)
    pieces = cut(whole, 4)
    cuts = 0
    for number, piece in enumerate(pieces):
        body = form(piece)
        for part in (3, 2):
            with running.line(f"fc00::{number % 3 + 1}") as line:
                line.sendall(head(len(body)) + body[: len(body) // part])
                cuts += 1
        said = running.send(body, circuit=f"fc00::{(number + 1) % 3 + 1}")
    assert cuts == 2 * len(pieces)
    assert said.tips[0].startswith("This message is here, whole.")
    assert whole.id in running.server.read(_stored)
