"""``seal`` and ``source send``: what they make, what they refuse, and how they go on over a bad connection."""

from __future__ import annotations

import errno
import fcntl
import gzip
import json
import os
import re
import socket
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.commands import Done, Run
from support.desk import PASSWORD, Desk, Desks, envelope_id, listed, opened
from support.sealed import Organisation
from support.socks_proxy import running_socks
from tipbox import cli
from tipbox.commands.terminal import Terminal
from tipbox.desk.keys import identity_file
from tipbox.errors import InputRefused, NetworkFailed, TipboxError
from tipbox.files import attachments
from tipbox.files.attachments import measure, read_once
from tipbox.files.direct import DirectFile, write_at
from tipbox.formats.access_code import AccessCode
from tipbox.formats.base import canonical, days, fields, labels
from tipbox.formats.base.limits import ENVELOPE_PART_SIZE, SESSION_NONCE_SIZE
from tipbox.formats.base.primitives import random_bytes, sha256, sign
from tipbox.formats.envelopes.header import Header, header_size
from tipbox.formats.envelopes.seals import EnvelopeHash
from tipbox.net import http
from tipbox.source import upload
from tipbox.source.recipients import Addressees
from tipbox.source.sealing import SealedTip, seal_tip
from tipbox.source.send import send_tip
from tipbox.source.served import fetch_manifests, fetch_named


@pytest.fixture
def run(run: Run) -> Run:
    """With ``--json``."""
    return lambda *arguments: run(*arguments, "--json")


def now_of(manifests: Sequence[str], ids: Sequence[object] = (), former: Sequence[str] = ()) -> dict[str, object]:
    """What a server answers to ``GET /api/now``, as far as commands read it."""
    return {"collected": {}, "former": former, "manifests": manifests, "named": ids, "toll": {}}


@pytest.fixture(scope="session")
def made(made_today: Desks) -> Desks:
    return made_today


@pytest.fixture
def desks(made: Desks, tmp_path: Path) -> Desks:
    return made.copy(tmp_path / "desks")


@pytest.fixture
def keys(desks: Desks) -> Path:
    return desks.folder / "keys"


@pytest.fixture
def message(tmp_path: Path) -> Path:
    path = tmp_path / "message"
    path.write_text("Стреляли.\n", encoding="utf-8")
    return path


# --- seal ------------------------------------------------------------------------------------------------------------


def test_a_sealed_file_opens_on_the_desk_bit_exact(
    run: Run, desks: Desks, keys: Path, message: Path, tmp_path: Path
) -> None:
    names = ["photo.jpg", "и\u0306 NFD.txt", "\u202ertl", "esc\x1b[31m", "я" * 127, "-rf", "empty"]
    paths = [tmp_path / name for name in names]
    for path in paths:
        path.write_bytes(b"" if path.name == "empty" else os.urandom(100_000))
    done = run("seal", "--keys", keys, "--to", "kibhr", "--message-file", message, "--out", tmp_path / "x.tip", *paths)
    assert done.code == 0
    assert set(done.json) == {"tip", "passphrase"}
    assert envelope_id((tmp_path / "x.tip").read_bytes()).hex() == done.json["tip"]
    fidh, kibhr = desks.desks
    assert fidh.take(tmp_path / "x.tip").counts == {"not-for-you": 1}
    assert kibhr.take(tmp_path / "x.tip").counts == {"mine": 1}
    assert [file["name"] for file in listed(kibhr)[0]["files"]] == names
    out = opened(kibhr, bytes.fromhex(done.json["tip"]), tmp_path / "out")
    assert (out / "message.txt").read_bytes() == message.read_bytes()
    facts = json.loads((out / "tip.json").read_bytes())
    for path, shown in zip(paths, facts["files"], strict=True):
        assert (out / shown["path"]).read_bytes() == path.read_bytes()
        assert unicodedata.is_normalized("NFC", shown["path"])
        assert shown["path"].isprintable()


def test_the_passphrase_is_shown_once_and_written_nowhere(run: Run, keys: Path, message: Path, tmp_path: Path) -> None:
    done = run("seal", "--keys", keys, "--message-file", message, "--out", tmp_path / "x.tip")
    digits = done.json["passphrase"]
    assert len(digits.replace(" ", "")) == 36
    assert done.out.count(digits) == 1
    assert done.err == ""
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert digits.encode() not in path.read_bytes()
            assert digits.replace(" ", "").encode() not in path.read_bytes()


def test_what_must_not_be_sealed_leaves_no_file(run: Run, keys: Path, message: Path, tmp_path: Path) -> None:
    def refused(code: int, error: str, *rest: object, text: Path = message) -> None:
        done = run("seal", "--keys", keys, "--message-file", text, "--out", tmp_path / "out" / "x.tip", *rest)
        assert (done.code, done.error, done.out) == (code, error, "")
        assert list((tmp_path / "out").iterdir()) == []

    (tmp_path / "out").mkdir()
    empty, huge = tmp_path / "empty", tmp_path / "huge"
    empty.write_bytes(b"")
    huge.write_bytes(b"x" * 1_000_001)
    refused(3, "refused", text=empty)
    refused(3, "limit", text=huge)
    refused(5, "not-found", text=tmp_path / "missing")
    refused(5, "not-found", "--to", "nobody")
    refused(5, "not-found", tmp_path / "missing")
    refused(3, "refused", tmp_path)
    refused(3, "limit", *[message] * 1001)
    os.mkfifo(tmp_path / "fifo")
    refused(3, "refused", tmp_path / "fifo")


def test_the_limits_themselves_are_sealed(run: Run, desks: Desks, keys: Path, tmp_path: Path) -> None:
    long, small = tmp_path / "long", tmp_path / "small"
    long.write_bytes(b"x" * 1_000_000)
    small.write_bytes(b"1")
    done = run("seal", "--keys", keys, "--message-file", long, "--out", tmp_path / "x.tip", *[small] * 1000)
    assert done.code == 0
    kibhr = desks.desks[1]
    assert kibhr.take(tmp_path / "x.tip").counts == {"mine": 1}
    out = opened(kibhr, bytes.fromhex(done.json["tip"]), tmp_path / "out")
    assert (out / "message.txt").read_bytes() == long.read_bytes()
    assert len(list((out / "files").iterdir())) == 1000


def test_expired_keys_are_not_sealed_to(
    run: Run, keys: Path, message: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = days.today()
    for distance, error in ((56, "expired"), (-2, "not-yet-valid")):
        day = type(today).fromordinal(today.toordinal() + distance)
        monkeypatch.setattr(days, "today", lambda day=day: day)
        done = run("seal", "--keys", keys, "--message-file", message, "--out", tmp_path / "x.tip")
        assert (done.code, done.error) == (3, error)
    assert not (tmp_path / "x.tip").exists()


def test_a_file_that_changes_while_it_is_sealed_is_refused(tmp_path: Path) -> None:
    def grow(path: Path) -> None:
        with path.open("ab") as file:
            file.write(b"x")

    def rewrite(path: Path) -> None:
        path.write_bytes(b"other" * 1000)

    def replace(path: Path) -> None:
        (tmp_path / "new").write_bytes(path.read_bytes())
        (tmp_path / "new").rename(path)

    for change in (grow, rewrite, replace):
        path = tmp_path / change.__name__
        path.write_bytes(b"bytes" * 1000)
        measured = measure([path])
        if change is not replace:
            with pytest.raises(InputRefused, match="changed"):
                [(file.read(size), change(path)) for file, size in read_once(measured)]
        measured = measure([path])
        change(path)
        with pytest.raises(InputRefused, match="changed"):
            next(read_once(measured))


def test_sealing_a_growing_file_leaves_nothing(
    run: Run, keys: Path, message: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = tmp_path / "video"
    video.write_bytes(bytes(300_000))
    measured = attachments.measure

    def measure_then_grow(paths: list[Path]) -> object:
        found = measured(paths)
        with video.open("ab") as file:
            file.write(b"one more frame")
        return found

    monkeypatch.setattr("tipbox.commands.source.seal.measure", measure_then_grow)
    (tmp_path / "out").mkdir()
    video.write_bytes(bytes(3_000_000))
    for pieces in ((), ("--pieces", 1)):
        out = tmp_path / "out" / "x.tip"
        done = run("seal", "--keys", keys, "--message-file", message, "--out", out, *pieces, video)
        assert (done.code, done.error) == (3, "refused")
        assert list((tmp_path / "out").iterdir()) == []


def test_a_tip_in_pieces_opens_on_the_desk_when_all_have_come(
    run: Run, desks: Desks, keys: Path, message: Path, tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(os.urandom(3_200_000))
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "x.tip"
    done = run("seal", "--keys", keys, "--message-file", message, "--out", out, "--pieces", 1, film)
    assert done.code == 0
    made = sorted((tmp_path / "out").iterdir())
    mark = made[0].name[2:8]
    assert re.fullmatch("[bcdfghjkmnpqrstv]{6}", mark)
    assert [path.name for path in made] == [f"x-{mark}-{number}-of-4.tip" for number in range(1, 5)]
    assert all(path.stat().st_size < 1_100_000 for path in made)
    kibhr = desks.desks[1]
    assert not kibhr.take(*made[:3]).counts
    assert kibhr.take(*made).counts == {"mine": 1}
    opened(kibhr, bytes.fromhex(done.json["tip"]), tmp_path / "opened")
    assert (tmp_path / "opened" / "files" / "001-film.mp4").read_bytes() == film.read_bytes()


def test_a_text_in_pieces_is_one(run: Run, desks: Desks, keys: Path, message: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.tip"
    assert run("seal", "--keys", keys, "--message-file", message, "--out", out, "--pieces", 8).code == 0
    [piece] = tmp_path.glob("x-*-1-of-1.tip")
    assert desks.desks[1].take(piece).counts == {"mine": 1}


def test_pieces_of_two_tips_do_not_share_names(run: Run, keys: Path, message: Path, tmp_path: Path) -> None:
    """Else the second pieces replace the first ones, or a copy of both onto one stick does."""
    out = tmp_path / "x.tip"
    for _ in range(2):
        assert run("seal", "--keys", keys, "--message-file", message, "--out", out, "--pieces", 8).code == 0
    pieces = list(tmp_path.glob("x-*-1-of-1.tip"))
    assert len(pieces) == 2
    for path in pieces:  # nothing of the name is of the bytes
        assert path.name[2:8].encode() not in path.read_bytes()


# --- send ------------------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """The intake of docs/protocol.md in memory, with a list of misfortunes for the requests to come."""

    keys: Path
    trouble: list[Callable[[BaseHTTPRequestHandler], bool]] = field(default_factory=list)
    token: str = ""
    head: bytes = b""
    parts: dict[int, bytes] = field(default_factory=dict)
    end: bytes = b""
    """The body of the last request to finish."""
    stored: bool = False
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def envelope(self) -> bytes:
        opening = (
            self.head[: Header.parse(self.head[: header_size(self.head)]).opening_size] if self.count else self.head
        )
        return opening + b"".join(self.parts[number] for number in sorted(self.parts)) + self.end[32:]

    @property
    def count(self) -> int:
        body = int.from_bytes(self.head[16:24])
        return -(-body // 65536)

    def forget(self) -> None:
        """Be as before any upload."""
        self.head, self.parts, self.end, self.stored = b"", {}, b"", False

    def state(self) -> dict[str, object]:
        if self.stored:
            return {"state": "stored"}
        return {"state": "open", "missing": [[number, 1] for number in range(self.count) if number not in self.parts]}

    def take(self, method: str, path: str, body: bytes, token: str = "") -> tuple[int, object]:
        if path == "/api/now":
            return 200, now_of([file.read_text(encoding="utf-8") for file in sorted(self.keys.iterdir())])
        if path.startswith("/keys/"):
            file = self.keys / path.rsplit("/", 1)[1]
            return (200, file.read_bytes()) if file.exists() else (404, {"error": "not-found"})
        if token != self.token:
            self.forget()
            self.token = token
        if method == "PUT" and path == "/api/envelope":
            assert self.head in (b"", body), "sealed twice"
            self.head = body
            self.stored = self.stored or self.count == 0
        elif method == "PUT":
            first = int(path.rsplit("/", 1)[1])
            for number, at in enumerate(range(0, len(body), ENVELOPE_PART_SIZE), first):
                part = body[at : at + ENVELOPE_PART_SIZE]
                assert self.parts.setdefault(number, part) == part, "a part was sealed twice"
        elif method == "GET" and "/parts/" in path:
            return 200, b"".join(
                self.parts[number][:SESSION_NONCE_SIZE] + sha256(self.parts[number])
                for number in range(int(path.rsplit("/", 1)[1]), self.count)
            )
        elif method == "POST":
            if set(self.parts) != set(range(self.count)):
                return 409, {"error": "incomplete", **self.state()}
            if body[:32] != self.hash:
                return 409, {"error": "part-differs"}
            self.end = body
            self.stored = True
        return 200, self.state()

    @property
    def hash(self) -> bytes:
        size = Header.parse(self.head[: header_size(self.head)]).opening_size
        found = EnvelopeHash(self.head[: header_size(self.head)], self.head[header_size(self.head) : size])
        for number in sorted(self.parts):
            found.add(self.parts[number])
        return found.digest()


def cut_before(handler: BaseHTTPRequestHandler) -> bool:
    handler.connection.shutdown(socket.SHUT_RDWR)
    return True


def answer(status: int, code: str, **headers: str) -> Callable[[BaseHTTPRequestHandler], bool]:
    def respond(handler: BaseHTTPRequestHandler) -> bool:
        body = json.dumps({"error": code, "message": "\x1b[31mwords of a server"}).encode()
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)
        return True

    return respond


def fine(_: BaseHTTPRequestHandler) -> bool:
    return False


@pytest.fixture
def server(desks: Desks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server(tmp_path / "served")
    state.keys.mkdir()
    for path in (desks.folder / "keys").iterdir():
        (state.keys / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(http, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(http, "FIRST_CONTACT_SECONDS", 0.5)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_all(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.requests.append((self.command, self.path, dict(self.headers.items())))
            trouble = state.trouble.pop(0) if state.trouble else fine
            token = self.headers.get("Authorization", "")
            if trouble is cut_after or trouble in NO_SENSE.values():
                state.take(self.command, self.path, body, token)
                trouble = cut_before if trouble is cut_after else trouble
            if trouble(self):
                self.close_connection = True
                return
            status, value = state.take(self.command, self.path, body, token)
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = handle_all  # noqa: N815 (the library's names)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the library's)
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = web.server_port
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    try:
        yield state
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


def cut_after(_: BaseHTTPRequestHandler) -> bool:
    raise AssertionError


def test_what_is_sent_opens_on_the_desk(run: Run, server: Server, desks: Desks, message: Path, tmp_path: Path) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(os.urandom(1_000_000))
    done = run("source", "send", f"{server.url}/ru/", "--keys", desks.folder / "keys", "--message-file", message, video)
    assert done.code == 0
    assert server.stored
    (tmp_path / "x.tip").write_bytes(server.envelope)
    kibhr = desks.desks[1]
    assert kibhr.take(tmp_path / "x.tip").counts == {"mine": 1}
    out = opened(kibhr, bytes.fromhex(done.json["tip"]), tmp_path / "out")
    assert (out / "files" / "001-video.mp4").read_bytes() == video.read_bytes()


def test_a_follow_up_is_in_the_same_thread(
    run: Run, server: Server, desks: Desks, message: Path, tmp_path: Path
) -> None:
    first = run("source", "send", server.url, "--keys", desks.folder / "keys", "--message-file", message)
    (tmp_path / "1.tip").write_bytes(server.envelope)
    server.forget()
    secret = tmp_path / "code"
    secret.write_text(first.json["passphrase"].replace(" ", "-") + "\n")
    secret.chmod(0o600)
    more = ("--passphrase-file", secret)
    second = run("source", "send", server.url, "--keys", desks.folder / "keys", "--message-file", message, *more)
    assert second.json["passphrase"] == first.json["passphrase"]
    assert second.json["tip"] != first.json["tip"]
    (tmp_path / "2.tip").write_bytes(server.envelope)
    kibhr = desks.desks[1]
    kibhr.take(tmp_path / "1.tip", tmp_path / "2.tip")
    assert len({tip["thread"] for tip in listed(kibhr)}) == 1
    assert len(listed(kibhr)) == 2
    secret.write_text("123456")
    wrong = run("source", "send", server.url, "--keys", desks.folder / "keys", "--message-file", message, *more)
    assert (wrong.code, wrong.error) == (4, "bad-passphrase")


def test_it_says_nothing_about_the_program_and_keeps_secrets_out_of_addresses(
    run: Run, server: Server, keys: Path, message: Path
) -> None:
    done = run("source", "send", server.url, "--keys", keys, "--to", "kibhr", "--message-file", message)
    assert done.code == 0
    asked = {path for method, path, _ in server.requests if method == "GET"}
    assert asked == {"/keys/fidh.json", "/keys/kibhr.json", "/api/now"}, (
        "what is asked for does not depend on the choice"
    )
    for _, path, headers in server.requests:
        assert "user-agent" not in {name.lower() for name in headers}
        assert "python" not in json.dumps(headers).lower()
        assert done.json["passphrase"].split()[0] not in path


def test_cuts_and_busy_answers_are_overcome_and_nothing_is_sealed_twice(
    run: Run, server: Server, keys: Path, message: Path, tmp_path: Path
) -> None:
    video = tmp_path / "video"
    video.write_bytes(os.urandom(3_000_000))
    busy = answer(429, "slow-down", Retry_After="0")
    server.trouble = [fine, fine, fine, cut_before, cut_after, busy, fine, cut_after, fine, cut_before, fine]
    server.trouble += [answer(503, "unavailable"), cut_after, answer(502, "x"), fine, fine, cut_after, cut_before]
    done = run("source", "send", server.url, "--keys", keys, "--message-file", message, video)
    assert (done.code, done.err) == (0, "")
    assert server.stored
    assert envelope_id(server.envelope).hex() == done.json["tip"]
    assert server.trouble == []


def plain(capsys: pytest.CaptureFixture[str], *arguments: object) -> Done:
    capsys.readouterr()
    code = cli.run([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return Done(code, said.out, said.err)


CODE = re.compile(r"^  (\d{6} ){5}\d{6}$", re.MULTILINE)


@pytest.mark.parametrize("files", [0, 1])
def test_when_the_last_answer_never_comes_the_code_is_shown_and_that_it_may_have_arrived(
    server: Server, message: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], files: int
) -> None:
    assert http.Connection.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(http.Connection.__init__.__kwdefaults__, "retry_seconds", 0.3)
    paths = [message.with_name("photo")][:files]
    for path in paths:
        path.write_bytes(b"x")
    before = 3 + 2 * files  # two manifests, the page; header and letter, and the parts, when a request follows
    command = ("source", "send", server.url, "--keys", server.keys, "--message-file", message, *paths)
    server.trouble = [fine] * before + [cut_after] + [cut_before] * 1000
    done = plain(capsys, *command)
    assert server.stored
    assert done.code == 6
    assert CODE.search(done.out)
    assert done.err.count("\n") == 1
    assert "the message may have arrived: keep the code" in done.err
    assert "Stored" not in done.out

    server.forget()
    server.trouble = [fine] * before + [cut_after] + [cut_before] * 1000
    done = plain(capsys, *command, "--json")
    assert (done.code, set(done.json), done.error) == (6, {"tip", "passphrase"}, "network")


def test_when_a_send_fails_before_its_last_request_nothing_may_have_arrived(
    server: Server, message: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert http.Connection.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(http.Connection.__init__.__kwdefaults__, "retry_seconds", 0.3)
    (tmp_path / "photo").write_bytes(b"x")
    server.trouble = [fine] * 4 + [cut_before] * 1000
    command = ("source", "send", server.url, "--keys", server.keys, "--message-file", message, tmp_path / "photo")
    done = plain(capsys, *command)
    assert done.code == 6
    assert done.out == ""
    assert "may have arrived" not in done.err


def test_stopped_while_the_last_answer_is_awaited_it_shows_the_code(
    server: Server, message: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = upload.Upload._ask

    def stopped(self: upload.Upload, method: str, path: str, body: bytes = b"") -> upload.State:
        ask(self, method, path, body)
        raise KeyboardInterrupt

    monkeypatch.setattr(upload.Upload, "_ask", stopped)
    done = plain(capsys, "source", "send", server.url, "--keys", server.keys, "--message-file", message)
    assert server.stored
    assert done.code == 130
    assert CODE.search(done.out)
    assert "the message may have arrived: keep the code" in done.err
    assert done.err.endswith("tipbox: stopped\n")


def garbage(status: int, body: bytes = b"<html>", **headers: str) -> Callable[[BaseHTTPRequestHandler], bool]:
    """Store what came, as an honest server does, and answer something else."""

    def respond(handler: BaseHTTPRequestHandler) -> bool:
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)
        return True

    return respond


NO_SENSE = {
    "a page": garbage(200),
    "nothing": garbage(200, b""),
    "still open": garbage(200, b'{"state":"open","missing":[]}'),
    "a redirect": garbage(302, Location="/send"),
    "no such page": garbage(404),
    "teapot": garbage(418),
    "a code that there is not": garbage(409, b'{"error":"x"}'),
    "more than makes sense": garbage(200, bytes(1 << 21)),
}


@pytest.mark.parametrize("files", [0, 1])
@pytest.mark.parametrize("lie", NO_SENSE)
def test_when_the_last_answer_makes_no_sense_the_code_is_shown(
    server: Server, message: Path, capsys: pytest.CaptureFixture[str], lie: str, files: int
) -> None:
    """The server has all of it by then, whatever it says: without its code nobody would ever read the reply."""
    paths = [message.with_name("photo")][:files]
    for path in paths:
        path.write_bytes(b"x")
    server.trouble = [fine] * (3 + 2 * files) + [NO_SENSE[lie]]
    done = plain(capsys, "source", "send", server.url, "--keys", server.keys, "--message-file", message, *paths)
    assert done.code == 6 if lie != "no such page" else done.code in (4, 5, 6)
    assert CODE.search(done.out)
    assert "the message may have arrived: keep the code" in done.err


@pytest.mark.parametrize("refusal", [(409, "part-differs"), (507, "full"), (400, "malformed"), (404, "no-draft")])
def test_a_refusal_does_not_take_back_that_it_may_have_arrived(
    server: Server, message: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], refusal: tuple[int, str]
) -> None:
    """One answer was lost: what the server says afterwards is only its word."""
    (tmp_path / "photo").write_bytes(b"x")
    server.trouble = [fine] * 5 + [cut_after] + [answer(*refusal)] * 4
    done = plain(
        capsys, "source", "send", server.url, "--keys", server.keys, "--message-file", message, tmp_path / "photo"
    )
    assert done.code != 0
    assert CODE.search(done.out)
    assert "the message may have arrived: keep the code" in done.err


@pytest.mark.parametrize(
    "refusal", [(507, "full"), (400, "malformed"), (404, "no-draft"), (422, "unknown-organisation")]
)
def test_when_the_last_request_is_refused_nothing_has_arrived(
    server: Server, message: Path, capsys: pytest.CaptureFixture[str], refusal: tuple[int, str]
) -> None:
    server.trouble = [fine] * 3 + [answer(*refusal)]
    done = plain(capsys, "source", "send", server.url, "--keys", server.keys, "--message-file", message)
    assert done.code != 0
    assert done.out == ""
    assert "may have arrived" not in done.err


@pytest.mark.parametrize("where", ["the bar ends", "the connection closes", "it is said"])
def test_stopped_after_it_was_stored_it_shows_the_code(
    server: Server, message: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    def stop(*_: object) -> None:
        if server.stored and not stopped:
            stopped.append(True)
            raise KeyboardInterrupt

    def send_then_stop(self: upload.Upload, text: bytes) -> None:
        send_text(self, text)
        stop()

    def close_then_stop(self: http.Connection, *rest: object) -> None:
        leave(self, *rest)
        stop()

    def stop_then_say(self: Terminal, text: str) -> None:
        stop()
        say(self, text)

    stopped: list[bool] = []
    leave, say = http.Connection.__exit__, Terminal.say
    if where == "the bar ends":
        monkeypatch.setattr("tipbox.source.send.Upload.send_text", send_then_stop)
    elif where == "the connection closes":
        monkeypatch.setattr(http.Connection, "__exit__", close_then_stop)
    else:
        monkeypatch.setattr(Terminal, "say", stop_then_say)
    done = plain(capsys, "source", "send", server.url, "--keys", server.keys, "--message-file", message)
    assert (server.stored, stopped) == (True, [True])
    assert done.code == 130
    assert CODE.search(done.out)
    assert done.err.endswith("tipbox: stopped\n")


send_text = upload.Upload.send_text


@pytest.mark.parametrize("command", ["seal", "send"])
@pytest.mark.parametrize("json_", [True, False])
def test_when_stdout_takes_nothing_the_code_is_shown_on_stderr(
    server: Server, message: Path, tmp_path: Path, command: str, *, json_: bool
) -> None:
    """The work is done by then: a tip whose code nobody saw is one whose answer nobody reads."""
    out = ("--out", tmp_path / "x.tip")
    what = ("seal", *out) if command == "seal" else ("source", "send", server.url)
    options = ("--keys", server.keys, "--message-file", message, *(("--json",) if json_ else ()))
    words = [sys.executable, "-m", "tipbox", *map(str, (*what, *options))]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 8
    assert re.search(r"Code \(shown only now\): (\d{6} ){5}\d{6}$", done.stderr, re.MULTILINE)
    assert ("the tip is stored" if command == "send" else "the sealed file is written") in done.stderr
    assert "stdout takes nothing" in done.stderr


@pytest.mark.parametrize("command", ["seal", "send"])
def test_when_stdout_is_closed_nothing_is_sealed_or_sent(
    server: Server, message: Path, tmp_path: Path, command: str
) -> None:
    what = ("seal", "--out", tmp_path / "x.tip") if command == "seal" else ("source", "send", server.url)
    words = [sys.executable, "-m", "tipbox", *map(str, (*what, "--keys", server.keys, "--message-file", message))]
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *words], stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        "tipbox: showing the code: stdout is closed, so nobody would see it; nothing was sealed or sent\n"
    )
    assert not server.requests
    assert not (tmp_path / "x.tip").exists()


@pytest.mark.parametrize(
    "expected",
    [
        (answer(507, "full"), 7, "full"),
        (answer(422, "unknown-organisation"), 3, "refused"),
        (answer(400, "malformed"), 3, "malformed"),
        (answer(409, "draft-differs"), 3, "refused"),
        (answer(404, "no-draft"), 6, "network"),
    ],
)
def test_refusals_end_with_their_code_and_our_own_words(
    run: Run, server: Server, message: Path, expected: tuple[Any, int, str]
) -> None:
    refusal, code, error = expected
    server.trouble = [fine, fine, fine, refusal]
    done = run("source", "send", server.url, "--keys", server.keys, "--message-file", message)
    assert (done.code, done.error, done.out) == (code, error, "")
    assert "words of a server" not in done.err


@pytest.mark.parametrize(
    "expected",
    [
        (answer(404, "?"), 5, "not-found"),
        (answer(302, "?", Location="http://127.0.0.1:1/"), 6, "network"),
        (answer(200, "?"), 6, "network"),
    ],
)
def test_an_answer_that_is_none_of_the_protocol_s_says_nothing_of_what_arrived(
    run: Run, server: Server, message: Path, expected: tuple[Any, int, str]
) -> None:
    refusal, code, error = expected
    server.trouble = [fine, fine, fine, refusal]
    done = run("source", "send", server.url, "--keys", server.keys, "--message-file", message)
    assert (done.code, done.error) == (code, error)
    assert "may have arrived" in done.err
    assert "passphrase" in json.loads(done.out)
    assert "words of a server" not in done.err


def test_another_identity_key_on_the_server_is_refused(
    run: Run, server: Server, keys: Path, message: Path, tmp_path: Path
) -> None:
    impostor = Desk.make(tmp_path / "impostor", "fidh", days.today())
    (server.keys / "fidh.json").write_bytes(impostor.manifest.encode())
    done = run("source", "send", server.url, "--keys", keys, "--to", "kibhr", "--message-file", message)
    assert (done.code, done.error) == (4, "identity-changed")
    assert all(method == "GET" for method, _, _ in server.requests)
    (server.keys / "fidh.json").write_bytes(b"{}")
    broken = run("source", "send", server.url, "--keys", keys, "--message-file", message)
    assert (broken.code, broken.error) == (3, "malformed")


def test_an_organisation_that_the_server_does_not_know_gets_no_slot(
    run: Run, server: Server, desks: Desks, message: Path
) -> None:
    """It is named; when it was chosen, nothing is sent."""
    fidh, kibhr = (desk.manifest.id for desk in desks.desks)
    (server.keys / "fidh.json").unlink()
    command = ("source", "send", server.url, "--keys", desks.folder / "keys", "--message-file", message)
    for chosen in ((), ("--to", "fidh"), ("--to", "fidh", "--to", "kibhr")):
        done = run(*command, *chosen)
        assert (done.code, done.error) == (5, "not-found")
        assert "fidh" in done.err
        assert all(method == "GET" for method, _, _ in server.requests)
    done = run(*command, "--to", "kibhr")
    assert done.code == 0
    assert "the server does not know fidh: it gets no slot" in done.err
    assert kibhr in server.head
    assert fidh not in server.head


def test_slots_that_nobody_verified_are_counted(
    server: Server, keys: Path, message: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = plain(capsys, "source", "send", server.url, "--keys", keys, "--to", "kibhr", "--message-file", message)
    assert "2 slots, 0 not verified" in done.out
    assert re.search(r"^Check digits of your words, to compare with kibhr: (\d{5} ){3}\d{5}$", done.out, re.MULTILINE)
    assert "with fidh" not in done.out


def test_a_server_alone_fills_eight_slots_and_those_that_were_chosen(made: Desks) -> None:
    named = [
        replace(made.desks[0].manifest, identity=random_bytes(32), organisation=f"name-{number}")
        for number in range(40)
    ]
    secrets = AccessCode.generate().secrets()

    def slots(addressees: Addressees) -> int:
        return len(addressees.recipients(secrets, days.today()))

    some = named[:20]
    assert slots(Addressees.served(some, ["name-19"])) == 8
    assert slots(Addressees.served(some, [f"name-{number}" for number in range(12)])) == 12
    assert slots(Addressees.of(some, ["name-1"], "--keys")) == 20
    assert slots(Addressees.of(named[:2], ["name-1"], "--keys").with_fillers(named)) == 10
    assert slots(Addressees.of(named, ["name-39"], "--keys")) == 32


# --- parts of another session ----------------------------------------------------------------------------------------


def other_session(server: Server, *, spoil: bool) -> Callable[[BaseHTTPRequestHandler], bool]:
    """Before the last request, replace a part by one that another session sealed; or, spoilt, by one of a stranger."""

    def replace_part(_: BaseHTTPRequestHandler) -> bool:
        [tip] = tips
        nonce = b"another session."
        part = list(tip.sealed.parts(read_once(tip.attachments), nonce))[1]
        server.parts[1] = part[:-1] + bytes([part[-1] ^ spoil])
        return False

    return replace_part


tips: list[SealedTip] = []


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tip that a command seals where the double of a server finds it."""
    tips.clear()

    def remember(*arguments: Any, **named: Any) -> SealedTip:
        tips.append(seal_tip(*arguments, **named))
        return tips[-1]

    monkeypatch.setattr("tipbox.commands.source.source_group.seal_tip", remember)


@pytest.mark.usefixtures("remembered")
def test_a_late_part_of_another_session_is_sealed_again_compared_and_taken(
    run: Run, server: Server, desks: Desks, message: Path, tmp_path: Path
) -> None:
    video = tmp_path / "video"
    video.write_bytes(os.urandom(200_000))
    server.trouble = [fine, fine, fine, fine, fine, other_session(server, spoil=False)]
    done = run("source", "send", server.url, "--keys", desks.folder / "keys", "--message-file", message, video)
    assert (done.code, done.err) == (0, "")
    assert len({part[:SESSION_NONCE_SIZE] for part in server.parts.values()}) == 2
    assert envelope_id(server.envelope).hex() == done.json["tip"]
    (tmp_path / "x.tip").write_bytes(server.envelope)
    assert desks.desks[1].take(tmp_path / "x.tip").counts == {"mine": 1}


def test_an_upload_that_was_given_up_seals_nothing_beside_the_next(desks: Desks, tmp_path: Path) -> None:
    (tmp_path / "video").write_bytes(bytes(4_000_000))
    files = measure([tmp_path / "video"])
    tip = seal_tip(Addressees.load(desks.folder / "keys", (), print), b"", files, None, days.today())
    threads = []

    class GivenUp(upload.Upload):
        def send_parts(self, _opening: bytes, parts: Iterator[bytes], _progress: Callable[[int], None]) -> None:
            threads.append(threading.active_count())
            next(parts)
            if len(threads) == 1:
                raise http.PartDiffers("other bytes")
            list(parts)

        def finish(self, _envelope_hash: bytes, _trailer: bytes) -> None:
            pass

    with http.Connection("http://127.0.0.1:9", None) as connection:
        send_tip(GivenUp(connection), tip)

    assert len(threads) == 2
    assert threads[0] == threads[1]
    assert len(tip.part_hashes) == tip.sealed.header.parts


@pytest.mark.usefixtures("remembered")
def test_a_part_that_a_server_swapped_never_gets_the_seal_of_the_source(
    run: Run, server: Server, desks: Desks, message: Path, tmp_path: Path
) -> None:
    """What the server holds is another Envelope: the tip is sent anew, and is whole."""
    video = tmp_path / "video"
    video.write_bytes(os.urandom(200_000))
    server.trouble = [fine, fine, fine, fine, fine, other_session(server, spoil=True)]
    done = run("source", "send", server.url, "--keys", desks.folder / "keys", "--message-file", message, video)
    assert (done.code, done.err) == (0, "")
    assert len({part[:SESSION_NONCE_SIZE] for part in server.parts.values()}) == 1
    assert len({headers["Authorization"] for _, _, headers in server.requests if "Authorization" in headers}) == 2
    (tmp_path / "x.tip").write_bytes(server.envelope)
    assert desks.desks[1].take(tmp_path / "x.tip").counts == {"mine": 1}


# --- consent ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        b"{}",
        b"[",
        b"[]",
        b"\xff",
        b" " * 20_000,
        b'{"ask_me":true,"level":6,"never":[],"until":""}',
        b'{"ask_me":true,"level":2,"never":[],"until":"2026-02-30"}',
        b'{"ask_me":1,"level":2,"never":[],"until":""}',
        b'{"ask_me":true,"level":2,"never":["a\\nb"],"until":""}',
    ],
)
def test_a_consent_that_is_none_is_refused_and_not_repeated(
    run: Run, server: Server, message: Path, tmp_path: Path, said: bytes
) -> None:
    (tmp_path / "consent").write_bytes(said)
    consent = ("--consent", tmp_path / "consent")
    done = run("source", "send", server.url, "--keys", server.keys, "--message-file", message, *consent)
    assert (done.code, done.error, server.requests) == (3, "refused", [])
    assert "reading the consent" in done.err


def test_a_newer_manifest_of_the_server_is_used(
    run: Run, server: Server, desks: Desks, message: Path, tmp_path: Path
) -> None:
    vault, secret = desks.desks[1].vault, tmp_path / "secret"
    secret.write_bytes(b"correct horse battery staple")
    secret.chmod(0o600)
    out = server.keys / "kibhr.json"
    assert run("keys", "rotate", "--vault", vault, "--out", out, "--passphrase-file", secret).code == 0
    done = run("source", "send", server.url, "--keys", desks.folder / "keys", "--message-file", message)
    assert done.code == 0
    new = json.loads(out.read_bytes())["keys"][0]["id"]
    assert bytes.fromhex(new) in server.head


def test_a_message_that_is_not_utf_8_is_sent_as_it_is_and_told(
    run: Run, server: Server, keys: Path, tmp_path: Path
) -> None:
    message, sealed = tmp_path / "message", tmp_path / "sealed.tip"
    message.write_bytes("нас снимают".encode("cp1251"))
    done = run("seal", "--keys", keys, "--message-file", message, "--out", sealed)
    assert done.code == 0
    assert "not UTF-8" in done.err
    message.write_bytes("нас снимают".encode())
    done = run("source", "send", server.url, "--keys", keys, "--message-file", message, sealed)
    assert done.code == 0
    assert "UTF-8" not in done.err
    assert "sealed already" in done.err


@pytest.mark.parametrize(
    "expected",
    [
        ("http://127.0.0.1:1", (), 6),
        ("http://" + "a" * 56 + ".onion", (), 2),
        ("http://" + "a" * 56 + ".onion.", (), 2),
        ("http://example.org", (), 2),
        ("http://8.8.8.8", (), 2),
        ("ftp://example.org", (), 2),
        ("nonsense", (), 2),
        ("http://[", (), 2),
        ("http://127.0.0.1:99999", (), 2),
        ("http://127.0.0.1:1", ("--socks", "nonsense"), 2),
        ("http://127.0.0.1:1", ("--socks", "127.0.0.1:1"), 6),
    ],
)
def test_addresses_that_cannot_be(
    run: Run, keys: Path, message: Path, monkeypatch: pytest.MonkeyPatch, expected: tuple[str, tuple[str, ...], int]
) -> None:
    url, more, code = expected
    monkeypatch.setattr(http, "FIRST_CONTACT_SECONDS", 0.1)
    monkeypatch.setattr(http, "PROXY_SECONDS", 0.1)
    done = run("source", "send", url, "--keys", keys, "--message-file", message, *more)
    assert done.code == code
    assert done.err.count("\n") == 1


def test_a_proxy_of_the_environment_is_not_used(
    run: Run, server: Server, keys: Path, message: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert run("source", "send", server.url, "--keys", keys, "--message-file", message).code == 0


# --- SOCKS -----------------------------------------------------------------------------------------------------------


def test_each_act_has_a_socks_user_of_its_own_and_names_are_resolved_by_tor(
    run: Run, server: Server, keys: Path, message: Path
) -> None:
    onion = "a" * 56 + ".onion"
    with running_socks(server.port) as proxy:
        send = ("source", "send", f"http://{onion}", "--socks", proxy.address)
        for operation in (1, 2):
            server.forget()
            sent = run(*send, "--keys", keys, "--message-file", message)
            assert sent.code == 0, sent.err
            assert len(set(proxy.users)) == operation
    assert set(proxy.names) == {onion.encode()}


def test_seal_works_without_what_sending_needs(keys: Path, message: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nsys.modules.update({'httpx': None, 'tenacity': None, 'socket': None})\n"
        "from tipbox.cli import run\nsys.exit(run(sys.argv[1:]))"
    )
    arguments: list[str | Path] = ["seal", "--keys", keys, "--message-file", message, "--out", tmp_path / "x.tip"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("blocks", [0, 1, 20])
def test_an_error_of_the_disk_comes_up(blocks: int) -> None:
    """From the thread that waits for it, at a later write or at the end."""

    def write() -> None:
        with Path("/dev/full").open("wb", 0) as full, DirectFile(full.fileno()) as direct:
            for _ in range(blocks):
                direct.put(bytes(4 << 20))
            direct.put(b"the rest")

    with pytest.raises(OSError, match="No space"):
        write()


def raising(error: int, call: Callable[..., int], when: Callable[..., bool]) -> Callable[..., int]:
    """``call``, but for those that fail with ``error``."""

    def called(*arguments: Any) -> int:
        if when(*arguments):
            raise OSError(error, os.strerror(error))
        return call(*arguments)

    return called


BATCH = [bytes([number]) * ((1 << 20) - number) for number in range(8)]
"""Pieces that end nowhere near a block's end."""


def passes_the_cache(descriptor: int, *_: object) -> bool:
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)


def give(direct: DirectFile, at: int, data: bytes) -> int:
    room = direct.room(at, len(data))
    room[:] = data
    direct.give(room)
    return at + len(data)


def put(direct: DirectFile, at: int, data: bytes) -> int:
    direct.put(data)
    return at + len(data)


Way = Callable[[DirectFile, int, bytes], int]
"""One piece of a file on its way, made in a room or elsewhere; where the next begins."""
WAYS: dict[str, Sequence[Way]] = {"in rooms": [give], "elsewhere": [put], "in turn": [put, give, give, put, put]}


@pytest.fixture(params=WAYS)
def ways(request: pytest.FixtureRequest) -> Iterator[Way]:
    return cycle(WAYS[request.param])


@pytest.mark.parametrize("refused_at", [None, "the flag", "a write"])
def test_a_large_file_is_whole_whatever_the_disk_takes(
    refused_at: str | None, ways: Iterator[Way], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces of every kind of size: none, less than a page, to its end, beyond it; and each begins where one ended."""
    passed: list[bool] = []
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    if refused_at == "the flag":
        call = raising(
            errno.EINVAL, fcntl.fcntl, lambda *arguments: arguments[-1] & os.O_DIRECT and len(arguments) == 3
        )
        monkeypatch.setattr("tipbox.files.direct.fcntl.fcntl", call)
    write, write_all = os.pwrite, os.pwritev
    if refused_at == "a write":
        write_all = raising(errno.EINVAL, os.pwritev, passes_the_cache)

    # The kernel may take less than it is given.
    def seen(descriptor: int, data: memoryview, at: int) -> int:
        passed.append(passes_the_cache(descriptor))
        return write(descriptor, data[: 1 << 18], at)

    def seen_all(descriptor: int, rooms: list[memoryview], at: int) -> int:
        passed.append(passes_the_cache(descriptor))
        return write_all(descriptor, [*rooms[:1], *(room[: 1 << 18] for room in rooms[1:2])], at)

    monkeypatch.setattr(os, "pwrite", seen)
    monkeypatch.setattr(os, "pwritev", seen_all)
    small = [b"", b"a" * 1, b"b" * 4095, b"c" * 4096, b"", b"d" * 4097, b"e" * 9000]
    given = [*small, *BATCH * 5, *small, b"the end"]
    with (tmp_path / "large").open("wb") as file:
        with DirectFile(file.fileno()) as direct:
            at = 0
            for data, way in zip(given, ways, strict=False):
                at = way(direct, at, data)
        assert not passes_the_cache(file.fileno())

    assert (tmp_path / "large").read_bytes() == b"".join(given)
    if refused_at:
        assert synced, "nothing waits for the end"
    else:
        assert any(passed), "no room passed the cache"


def test_what_is_small_goes_through_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tipbox.files.direct.pass_the_cache", lambda _, *, wanted: pytest.fail("it asks") if wanted else 0
    )
    with (tmp_path / "small").open("wb") as file, DirectFile(file.fileno()) as direct:
        direct.put(b"small")
    assert (tmp_path / "small").read_bytes() == b"small"


@pytest.mark.parametrize("at", [0, 20 << 20])
def test_a_disk_that_is_full_ends_the_work_and_its_thread(
    at: int, ways: Iterator[Way], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = threading.active_count()
    monkeypatch.setattr(os, "pwrite", raising(errno.ENOSPC, os.pwrite, lambda *arguments: arguments[2] >= at))

    def write(count: int) -> None:
        with (tmp_path / "large").open("wb") as file, DirectFile(file.fileno()) as direct:
            to = 0
            for data, way in zip(BATCH * count, ways, strict=False):
                to = way(direct, to, data)

    with pytest.raises(OSError, match="No space"):
        write(100)
    with pytest.raises(OSError, match="No space"):
        write(1 if at == 0 else 3)  # the error comes up at the end
    assert threading.active_count() == running


def test_what_need_not_be_durable_waits_for_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[bool] = []
    write = os.pwrite

    def seen(descriptor: int, data: memoryview, at: int) -> int:
        waited.append(passes_the_cache(descriptor) or len(data) > 1 << 19)
        return write(descriptor, data[:300_000], at)  # the kernel may take less than it is given

    monkeypatch.setattr(os, "pwrite", seen)
    monkeypatch.setattr(os, "fdatasync", lambda _: waited.append(True))
    with (tmp_path / "large").open("wb") as file:
        at = 0
        for data in BATCH:
            write_at(file.fileno(), memoryview(data), at)
            at += len(data)

    assert (tmp_path / "large").read_bytes() == b"".join(BATCH)
    assert waited
    assert not any(waited)


def test_sealing_onto_a_full_disk_is_7_and_leaves_nothing(run: Run, keys: Path, message: Path, tmp_path: Path) -> None:
    small, video = tmp_path / "small", tmp_path / "video"
    small.mkdir()
    video.write_bytes(bytes(3 << 20))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)
    try:
        done = run("seal", "--keys", keys, "--message-file", message, "--out", small / "x.tip", video)
        assert (done.code, done.error, done.out) == (7, "full", "")
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


# --- a server that lies ----------------------------------------------------------------------------------------------


def answering(answer: httpx.Response) -> http.Connection:
    made = http.Connection("http://127.0.0.1:9")
    made._http = httpx.Client(base_url="http://127.0.0.1:9", transport=httpx.MockTransport(lambda _: answer))
    return made


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    sent = []

    def endless() -> Iterator[bytes]:
        for number in range(1000):
            sent.append(number)
            yield bytes(1 << 16)

    with answering(httpx.Response(200, content=endless())) as one, pytest.raises(NetworkFailed, match="no sense"):
        one.request("GET", "/keys/kibhr.json")
    assert len(sent) < 40


def test_an_answer_is_not_unpacked() -> None:
    packed = gzip.compress(bytes(64 << 20))
    answer = httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=iter([packed]))
    with answering(answer) as one:
        assert one.request("GET", "/") == packed


def test_no_cookie_is_kept_or_sent() -> None:
    """It would tie the requests of one operation together across circuits."""
    sent: list[httpx.Headers] = []

    def take(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers)
        return httpx.Response(200, headers={"Set-Cookie": "who=me; Path=/"}, content=iter([b"{}"]))

    with http.Connection("http://127.0.0.1:9") as one:
        one._http._transport = httpx.MockTransport(take)
        for path in ("/send", "/inbox"):
            one.request("GET", path)
    assert [headers.get("Cookie") for headers in sent] == [None, None]


@pytest.mark.parametrize(
    "body", [b'{"state":"open","missing":[[Infinity,1]]}', b"[" * 100_000, b'{"state":"open","missing":5}']
)
def test_a_state_that_cannot_be_is_a_network_error(body: bytes) -> None:
    with pytest.raises(NetworkFailed):
        upload._state(body)
    with answering(httpx.Response(400, content=iter([body]))) as one, pytest.raises(NetworkFailed):
        one.request("GET", "/")


def broken(desk: Desk) -> bytes:
    """The manifest of an organisation that names receiving keys which are none, rightly signed."""
    identity = identity_file.load(identity_file.identity_path(desk.vault), PASSWORD)
    keys = tuple(replace(key, public=b"\xff" * 1215 + bytes([number])) for number, key in enumerate(desk.manifest.keys))
    unsigned = replace(desk.manifest, keys=keys).unsigned()
    signature = sign(labels.MANIFEST, canonical.encode(unsigned), identity)
    return canonical.encode({**unsigned, "signature": fields.to_base64(signature)}, file_form=True)


def test_an_organisation_with_a_broken_key_does_not_stop_tips_to_others(
    run: Run, desks: Desks, keys: Path, message: Path, tmp_path: Path
) -> None:
    """It is named: when it was not chosen the tip goes without it, and when it was, alone or with all, nothing is."""
    common = ("seal", "--keys", keys, "--message-file", message, "--out", tmp_path / "x.tip")
    for file in (broken(desks.desks[0]), desks.desks[0].manifest.encode()[:-1]):
        (keys / "fidh.json").write_bytes(file)
        for to in (("--to", "fidh"), ("--to", "kibhr", "--to", "fidh"), ()):
            done = run(*common, *to)
            assert (done.code, done.error) == (3, "malformed")
            assert "fidh.json" in done.err
        done = run(*common, "--to", "kibhr")
        assert done.code == 0
        assert "fidh.json" in done.err
        assert desks.desks[1].take(tmp_path / "x.tip").counts == {"mine": 1}
        (tmp_path / "x.tip").unlink()


def test_a_broken_key_that_a_server_gives_is_left_out_and_told(desks: Desks) -> None:
    good = desks.desks[1].manifest
    told: list[str] = []
    with answering(naming([broken(desks.desks[0]).decode(), good.encode().decode()])) as one:
        assert fetch_manifests(one, told.append) == [good]

    assert len(told) == 1
    assert "manifest 1 of 2" in told[0]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", 6),
        (b"<main>", 6),
        (b"[]", 6),
        (b"{}", 6),
        (b'{"manifests":[]}', 6),
        (b'{"manifests":{}}', 6),
        (b'{"manifests":', 6),
        (b'{"manifests":[1]}', 6),
        (b'{"manifests":' + b"[" * 100_000, 6),
        (b'{"manifests":["{}"]}', 3),
        (b'{"manifests":["\\ud800"]}', 3),
    ],
)
def test_an_answer_without_manifests_gives_no_keys(answer: bytes, code: int) -> None:
    with answering(httpx.Response(200, content=iter([answer]))) as one, pytest.raises(TipboxError) as caught:
        fetch_manifests(one, print)
    assert caught.value.exit_code == code


def naming(manifests: Sequence[str], ids: Sequence[object] = (), former: Sequence[str] = ()) -> httpx.Response:
    return httpx.Response(200, content=iter([json.dumps(now_of(manifests, ids, former)).encode()]))


def test_a_server_that_names_more_than_32_by_manifests_is_read() -> None:
    """It names former organisations too, of which replies lie there: there may be more than a tip has slots."""
    made = [Organisation(f"name-{number}").manifest() for number in range(40)]
    files = [one.encode().decode() for one in [*made, made[0]]]
    with answering(naming(files[:20], former=files[20:])) as one:
        named = fetch_named(one, print)
    assert sorted(manifest.id for manifest in named.manifests) == sorted(manifest.id for manifest in made)
    assert named.organisations == {manifest.id for manifest in made}


def test_a_former_organisation_is_not_sealed_to(desks: Desks) -> None:
    one, other = (desk.manifest for desk in desks.desks[:2])
    with answering(naming([one.encode().decode()], former=[other.encode().decode()])) as connection:
        assert fetch_manifests(connection, print) == [one]


def test_the_largest_answer_of_good_manifests_is_read() -> None:
    """Each has 64 KiB, of characters that JSON writes as two: two organisations must not close it for the others."""
    one = Organisation("fidh")
    unsigned = {**one.manifest().unsigned(), "note": '"' * 30_000}
    signature = sign(labels.MANIFEST, canonical.encode(unsigned), one.identity)
    file = canonical.encode({**unsigned, "signature": fields.to_base64(signature)}, file_form=True).decode()
    with answering(naming([file] * 32)) as connection:
        assert [manifest.id for manifest in fetch_named(connection, print).manifests] == [one.id]


def test_an_answer_of_nonsense_does_not_flood_the_terminal() -> None:
    told: list[str] = []
    good = Organisation("fidh").manifest()
    answer = naming([good.encode().decode(), *["{}"] * 5000], ["", 1, None, {}, *["00"] * 5000, good.id.hex()])
    with answering(answer) as one:
        named = fetch_named(one, told.append)
    assert named.manifests == [good]
    assert named.organisations == {good.id}
    assert 2 <= len(told) <= 40
