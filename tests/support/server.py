"""What the tests of the server share: organisations, Envelopes, the real gunicorn process, a client of bare sockets."""

from __future__ import annotations

import base64
import io
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil
import pytest
from sqlalchemy import Connection

from support.loopback import free_port, until
from tipbox.formats.base import days
from tipbox.formats.base.limits import MAILBOX_PIECE
from tipbox.formats.base.primitives import SigningKey, new_seed, random_bytes, sha256, xwing_public
from tipbox.formats.bundles.bundle import INWARD, Index
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import ItemSource, item_of, write_bundle
from tipbox.formats.envelopes.envelope import EnvelopeId, Recipient, seal
from tipbox.formats.envelopes.header import KeyState
from tipbox.formats.envelopes.letter import FileEntry, Letter
from tipbox.formats.mailbox_list import MailboxList, encode_delete, encode_piece
from tipbox.formats.manifest import Manifest, ReceivingKey, key_id, organisation_id
from tipbox.server.config import Config, load
from tipbox.server.home import Home
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.database import make_engine
from tipbox.server.storage.transactions import Store
from tipbox.server.web.app import STORE, create_app

T = TypeVar("T")
PART = 65_552
BOOT_SECONDS = 180


# --- organisations ----------------------------------------------------------------------------------------------------


@dataclass
class Organisation:
    """An organisation with all of its private keys."""

    name: str
    identity: SigningKey = field(default_factory=SigningKey.generate)
    desk: SigningKey = field(default_factory=SigningKey.generate)
    seed: bytes = field(default_factory=new_seed)

    @property
    def id(self) -> bytes:
        return organisation_id(self.identity.verify_key.encode())

    @property
    def public(self) -> bytes:
        return xwing_public(self.seed)

    def manifest(self, *, serial: tuple[int, int] = (1, 1), start: date | None = None, length: int = 28) -> Manifest:
        start = start or days.today() - timedelta(days=3)
        end = start + timedelta(days=length)
        return Manifest(
            organisation=self.name,
            name=f"The {self.name} organisation",
            country="KZ",
            languages=("ru", "kk"),
            identity=b"",
            desk=self.desk.verify_key.encode(),
            start=start,
            end=end,
            serial=serial,
            keys=(ReceivingKey(start, end, self.public),),
        ).signed_by(self.identity)

    def find_key(self, key: bytes) -> bytes | KeyState:
        return self.seed if key == key_id(self.public) else KeyState.UNKNOWN

    def read(self, path: Path) -> Bundle:
        """An outward Bundle's index, opened; the file stays in memory."""
        return Bundle(io.BytesIO(path.read_bytes()), self.id, self.find_key)


def three() -> list[Organisation]:
    return sorted((Organisation(name) for name in ("fidh", "ili", "kibhr")), key=lambda one: one.id)


def keys_folder(folder: Path, organisations: Sequence[Organisation], **manifest: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for one in organisations:
        (folder / f"{one.name}.json").write_bytes(one.manifest(**manifest).encode())
    return folder


# --- Envelopes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """A sealed Envelope and the token to upload it under."""

    header: bytes = field(repr=False)
    letter: bytes = field(repr=False)
    parts: list[bytes] = field(repr=False)
    token: str = field(default_factory=lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("="))

    @property
    def opening(self) -> bytes:
        return self.header + self.letter

    @property
    def whole(self) -> bytes:
        return self.opening + b"".join(self.parts)

    @property
    def id(self) -> bytes:
        envelope = EnvelopeId(self.header, self.letter)
        for part in self.parts:
            envelope.add(part)
        return envelope.digest()

    @property
    def token_hash(self) -> bytes:
        return sha256(base64.urlsafe_b64decode(self.token + "="))

    def again(self) -> Sent:
        """The same Envelope under another token."""
        return Sent(self.header, self.letter, self.parts)


def envelope(organisations: Sequence[Organisation], size: int = 0, message: bytes = b"What I saw") -> Sent:
    """An Envelope to ``organisations`` with a file of ``size`` bytes, or none."""
    contents = random_bytes(size)
    files = (FileEntry("a.bin", size),) if size else ()
    recipients = [Recipient(one.id, key_id(one.public), one.public, random_bytes(32)) for one in organisations]
    sealed = seal(recipients, Letter(message, files, random_bytes(32), random_bytes(16)))
    parts = list(sealed.parts([(io.BytesIO(contents), size)] if size else []))
    return Sent(sealed.header.encoded, sealed.letter, parts)


# --- replies ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Box:
    """A source's mailbox."""

    token_bytes: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    seed: bytes = field(default_factory=new_seed, repr=False)

    @property
    def token(self) -> str:
        return base64.urlsafe_b64encode(self.token_bytes).decode().rstrip("=")

    @property
    def address(self) -> bytes:
        return sha256(self.token_bytes)

    def reply(self, size: int = 0, message: bytes = b"We have read it") -> Sent:
        """A reply to this mailbox with a file of ``size`` bytes, or none."""
        contents, public = random_bytes(size), xwing_public(self.seed)
        files = (FileEntry("a.bin", size),) if size else ()
        recipient = Recipient(self.address[:16], key_id(public), public, random_bytes(32))
        sealed = seal([recipient], Letter(message, files, random_bytes(32), random_bytes(16), kind="reply"))
        parts = list(sealed.parts([(io.BytesIO(contents), size)] if size else []))
        return Sent(sealed.header.encoded, sealed.letter, parts)

    def item(self, reply: Sent) -> ItemSource:
        """What a desk's Bundle carries."""
        return item_of("reply", self.address + reply.whole)


# --- the process ------------------------------------------------------------------------------------------------------


def alive(process: psutil.Process) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@dataclass
class Server:
    """A running server. ``address``: what a socket connects to."""

    home: Path
    keys: Path
    address: Any
    process: subprocess.Popen[bytes]
    log: Path
    courier: Path | None = None

    @property
    def unix(self) -> bool:
        return isinstance(self.address, str)

    @property
    def config(self) -> Config:
        return load(self.home)

    def read(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` reads from the database."""
        engine = make_engine(Home(self.home), self.config)
        try:
            return Store(engine).read(work)
        finally:
            engine.dispose()

    def workers(self) -> list[psutil.Process]:
        return [child for child in psutil.Process(self.process.pid).children() if child.is_running()]

    def connect(self, address: Any = None) -> socket.socket:
        address = address or self.address
        line = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        line.settimeout(120)
        try:
            line.connect(address)
        except OSError:
            line.close()
            raise
        return line

    def client(self, circuit: str | None = None) -> Client:
        """A connection over a circuit of its own, or over the one named."""
        return Client(self, circuit or f"fc00:dead:beef:4dad::{secrets.randbits(16):x}:{secrets.randbits(16):x}")

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    def kill(self) -> None:
        """kill -9 for the master and its workers."""
        if self.process.poll() is not None:
            return
        workers = self.workers()
        self.process.kill()
        self.process.wait(10)
        for worker in workers:
            with suppress(psutil.NoSuchProcess):
                worker.kill()
        until(lambda: not any(alive(worker) for worker in workers))

    def wait(self) -> None:
        """Until it answers."""
        limit = time.monotonic() + BOOT_SECONDS
        while True:
            assert self.process.poll() is None, self.log.read_text()
            try:
                with self.client() as client:
                    client.request("GET", "/leave")
            except OSError:
                assert time.monotonic() < limit, self.log.read_text()
                time.sleep(0.05)
            else:
                return


def start(
    home: Path, keys: Path, *, unix: bool = False, courier: bool = False, settings: dict[str, str] | None = None
) -> Server:
    """Start the server as the command does, and wait until it answers. ``settings``: ``{"quota_drafts": "1"}``."""
    address: Any = str(home.parent / f"{home.name}.sock") if unix else ("127.0.0.1", free_port())
    bind = f"unix:{address}" if unix else f"127.0.0.1:{address[1]}"
    courier_path = home.parent / f"{home.name}.courier" if courier else None
    courier_bind = f"unix:{courier_path}" if courier_path else None
    code = (
        "from pathlib import Path; from tipbox.server.process.run import run_server; "
        f"run_server(Path({str(home)!r}), Path({str(keys)!r}), {bind!r}, {courier_bind!r})"
    )
    environment = {f"TIPBOX_{name.upper()}": value for name, value in (settings or {}).items()}
    log = home.parent / f"{home.name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            (sys.executable, "-c", code),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "TIPBOX_SERVER_WORKERS": "1", **environment},
        )
    server = Server(home, keys, address, process, log, courier_path)
    try:
        server.wait()
    except BaseException:
        server.kill()
        raise
    return server


class Here:
    """A server's folder without a process: the application is called in place."""

    def __init__(self, home: Path, keys: Path) -> None:
        config = prepare_server(home, keys)
        self.home = home
        self.keys = keys
        app = create_app(Home(home), config)
        self._store: Store = app.extensions[STORE]
        self._client = app.test_client()

    def read(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` reads from the database."""
        return self._store.read(work)

    def upload(self, *envelopes: Sent) -> None:
        """Store Envelopes."""
        for sent in envelopes:
            self.open(sent)
            for first in range(0, len(sent.parts), 64):
                self.put(sent, first, 64)
            if sent.parts:
                self.call("POST", "/finish", b"", sent)

    def open(self, sent: Sent) -> None:
        self.call("PUT", "", sent.opening, sent)

    def put(self, sent: Sent, first: int, count: int = 1) -> None:
        self.call("PUT", f"/parts/{first}", b"".join(sent.parts[first : first + count]), sent)

    def call(self, method: str, path: str, body: bytes, sent: Sent) -> None:
        answer = self._client.open(f"/api/envelope{path}", method=method, data=body, headers=bearer(sent.token))
        assert answer.status_code in {200, 201}, answer.data

    def close(self) -> None:
        self._store.engine.dispose()


@pytest.fixture(name="server")
def here_server(organisations: list[Organisation], tmp_path: Path) -> Iterator[Here]:
    """A server of one test's own, without a process."""
    server = Here(tmp_path / "home", keys_folder(tmp_path / "keys", organisations))
    yield server
    server.close()


@contextmanager
def running(*arguments: Any, **settings: Any) -> Iterator[Server]:
    server = start(*arguments, **settings)
    try:
        yield server
    finally:
        server.kill()


# --- a client ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """An answer as it came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        return self.status, self.json["error"]

    @property
    def closes(self) -> bool:
        return self.header("Connection") == "close"


class Client:
    """One connection, as Tor makes it: on a unix socket its first line names the circuit."""

    def __init__(self, server: Server, circuit: str | None = None, address: Any = None) -> None:
        self.line = server.connect(address)
        self.reader = self.line.makefile("rb")
        if isinstance(address or server.address, str) and circuit is not None:
            self.line.sendall(f"PROXY TCP6 {circuit} ::1 225 80\r\n".encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.reader.close()
        self.line.close()

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None, length: int = -1
    ) -> None:
        """A request; ``length``: announced, when it is not the body's."""
        lines = {"Host": "tipbox.test", **(headers or {})}
        if body is not None or length >= 0:
            lines["Content-Length"] = str(length if length >= 0 else len(body or b""))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.line.sendall(head.encode() + b"\r\n" + (body or b""))

    def receive(self, *, body: bool = True) -> Answer:
        status_line = self.reader.readline()
        if not status_line:
            raise ConnectionResetError("closed without an answer")
        status = int(status_line.split()[1])
        headers: list[tuple[str, str]] = []
        while (line := self.reader.readline()) not in {b"\r\n", b""}:
            name, _, value = line.decode().rstrip("\r\n").partition(": ")
            headers.append((name, value))
        size = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        data = self.reader.read(size) if body else b""
        if status == 100:
            return self.receive(body=body)
        return Answer(status, headers, data)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        self.send(method, path, body, headers)
        return self.receive(body=method != "HEAD")

    def ended(self) -> bool:
        """Whether the server has closed the line."""
        try:
            return self.reader.read(1) == b""
        except ConnectionResetError:
            return True

    # The four requests of an upload.

    def open(self, sent: Sent) -> Answer:
        return self.request("PUT", "/api/envelope", sent.opening, bearer(sent.token))

    def put(self, sent: Sent, first: int, count: int = 1) -> Answer:
        run = b"".join(sent.parts[first : first + count])
        return self.request("PUT", f"/api/envelope/parts/{first}", run, bearer(sent.token))

    def state(self, sent: Sent) -> Answer:
        return self.request("GET", "/api/envelope", None, bearer(sent.token))

    def finish(self, sent: Sent) -> Answer:
        return self.request("POST", "/api/envelope/finish", b"", bearer(sent.token))

    def upload(self, sent: Sent) -> Answer:
        """The whole way; the last answer."""
        answer = self.open(sent)
        assert answer.status in {200, 201}, answer
        for first in range(0, len(sent.parts), 64):
            answer = self.put(sent, first, 64)
            assert answer.status == 200, answer
        return self.finish(sent) if sent.parts else answer

    # The three of a mailbox.

    def mailbox(self, box: Box) -> MailboxList:
        """What lies in a mailbox."""
        answer = self.request("POST", "/api/mailbox", b"", bearer(box.token))
        assert answer.status == 200, answer
        return MailboxList.parse(answer.body)

    def piece(self, box: Box, reply: bytes, number: int) -> bytes:
        answer = self.request("POST", "/api/mailbox/piece", encode_piece(reply, number), bearer(box.token))
        assert answer.status == 200, answer
        assert len(answer.body) == MAILBOX_PIECE
        return answer.body

    def whole(self, box: Box, reply: Sent) -> bytes:
        """A reply, fetched by pieces."""
        count = -(-len(reply.whole) // MAILBOX_PIECE)
        return b"".join(self.piece(box, reply.id, number) for number in range(count))

    def delete(self, box: Box, *replies: Sent) -> None:
        body = encode_delete([one.id for one in replies])
        answer = self.request("POST", "/api/mailbox/delete", body, bearer(box.token))
        assert (answer.status, answer.body) == (200, bytes(32)), answer


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def killed_at(call: str, number: int, work: Callable[[], object]) -> bool:
    """Do ``work`` in a child that is killed at its ``number``-th call to the system call ``call``; whether it was.

    The child is of this process, so that nothing is imported or started under the tracer.
    """
    begin, started = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.close(started)
            os.read(begin, 1)
            work()
            status = 0
        finally:
            os._exit(status)
    os.close(begin)
    inject = f"inject={call}:signal=KILL:when={number}"
    options = ("-f", "-e", f"trace={call}", "-e", inject, "-o", "/dev/null", "-p", str(child))
    with subprocess.Popen(("strace", *options), stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        assert "attached" in tracer.stderr.readline()
        os.close(started)
        _, ended = os.waitpid(child, 0)
        tracer.kill()
    assert os.WIFSIGNALED(ended) or os.WEXITSTATUS(ended) == 0
    return os.WIFSIGNALED(ended)


# --- inward Bundles ---------------------------------------------------------------------------------------------------


def inward(
    path: Path, organisation: Organisation, outward: Bundle, items: Sequence[ItemSource], sequence: int = 1
) -> Path:
    """A Bundle from ``organisation`` to the server that wrote ``outward``."""
    from tipbox.formats.manifest import server_id

    index = Index(days.today(), INWARD, organisation.id, b"", sequence, ())
    with path.open("wb") as file:
        write_bundle(
            file,
            index,
            items,
            reader=server_id(outward.index.sender),
            reader_public=outward.index.server_key,
            signer=organisation.desk,
        )
    return path
