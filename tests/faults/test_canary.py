"""The canary hunt: nothing of a tip is found on the server, and the same search finds what was put there on purpose."""

from __future__ import annotations

import http.client
import json
import random
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from faults.memory_search import Found, Search, forms
from faults.sending import ROOMY, SentTip, new_token, sealed, send
from support.world import Ring, Server, World, running_world, tipbox
from tipbox.files.key_folder import load_folder
from tipbox.formats.access_code import AccessCode
from tipbox.formats.base import days

REPEATED = 40
SYSTEM_TEMP = Path("/tmp")  # noqa: S108 (searched, not used)
READ_BUFFER = 16 * 1024
"""Bytes of a refused upload that a worker may have read: the piece that intake reads, or gunicorn's own."""


def _word(alphabet: str, size: int = 24) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(size))


@dataclass(frozen=True)
class Hunting:
    """A running server, its own temp folder, and when it was started."""

    world: World
    temp: Path
    own_home: Path
    away: Path
    """Where the source works: not part of the server."""
    since: float

    def everywhere(self, search: Search) -> list[Found]:
        """Everything that the server has or may have written, and its processes."""
        return [*self.on_disk(search), *self.in_memory(search)]

    def on_disk(self, search: Search) -> list[Found]:
        """The server's folder, log, temp folder and home, and what is new in the system's temp folder."""
        world = self.world
        found = search.file(world.server.log)
        for folder in (world.server.home, self.temp, self.own_home):
            found += search.tree(folder)
        for path in SYSTEM_TEMP.iterdir():
            if self._is_new(path) and path not in (world.folder, *self.away.parents):
                found += search.tree(path, self.since) if path.is_dir() else search.file(path)
        return found

    def _is_new(self, path: Path) -> bool:
        try:
            return not path.is_symlink() and (path.is_dir() or path.is_file()) and path.stat().st_ctime >= self.since
        except FileNotFoundError:
            return False

    def in_memory(self, search: Search) -> list[Found]:
        """Master and all workers."""
        pids = self.world.server.pids()
        assert len(pids) >= 2
        return [found for pid in pids for found in search.process(pid)]


@contextmanager
def hunting(ring: Ring, away: Path) -> Iterator[Hunting]:
    """A server with a temp folder and a home of its own."""
    with ExitStack() as stack:
        temp, own_home = (Path(stack.enter_context(_folder(away.parent / name))) for name in ("temp", "home"))
        since = time.time() - 1
        settings = ROOMY | {"TMPDIR": str(temp), "HOME": str(own_home)}
        yield Hunting(
            stack.enter_context(running_world(ring, tcp=True, courier=True, settings=settings)),
            temp,
            own_home,
            away,
            since,
        )


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    path.mkdir()
    yield path
    shutil.rmtree(path)


@dataclass(frozen=True)
class Canaries:
    """A tip that was sent and the words by which it would be known."""

    hunting: Hunting
    sent: SentTip
    words: dict[str, str | bytes] = field(repr=False)
    message: bytes = field(repr=False)
    files: dict[str, bytes] = field(repr=False)


def _secret_words(keys: Path, sent: SentTip) -> dict[str, str | bytes]:
    """What comes of the access code, in each form in which it could leave the client."""
    source = AccessCode.parse(sent.passphrase)
    derived = source.secrets()
    groups = source.digits().split(" ")
    words: dict[str, str | bytes] = {
        "passphrase": source.digits(),
        "passphrase without spaces": "".join(groups),
        "passphrase, integer": source.value.to_bytes(16),
        "root": derived.root,
    }
    for number in range(len(groups) - 1):
        words[f"passphrase, groups {number} and {number + 1}"] = " ".join(groups[number : number + 2])
    for manifest in load_folder(keys):
        name = manifest.organisation
        words[f"pair key of {name}"] = derived.pair_key(manifest.id)
        words[f"mailbox token of {name}"] = derived.mailbox_token(manifest.id)
        words[f"mailbox address of {name}"] = derived.mailbox_address(manifest.id)
    return words


@pytest.fixture(scope="module")
def canaries(ring: Ring, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canaries]:
    away = tmp_path_factory.mktemp("hunt") / "source"
    away.mkdir()
    latin, cyrillic = _word("abcdefghijkmnpqrstuvwxyz"), _word("абвгдежзиклмнопрстуфхцчшщэюя")
    name, data = f"канарейка {_word('abcdefghijk')}.jpg", secrets.token_bytes(32)
    noise = random.Random(11)
    message = f"{latin} видела {cyrillic}\n".encode() * REPEATED
    files = {
        name: b"".join(data + noise.randbytes(300) for _ in range(8000)),
        f"{_word('ABCDEFGHIJK')}.txt": data * REPEATED,
    }
    (away / "message").write_bytes(message)
    for file, content in files.items():
        (away / file).write_bytes(content)
    with hunting(ring, away) as hunt:
        world = hunt.world
        sent = send(f"http://{world.server.bind}", world.keys, away / "message", [away / file for file in files])
        words: dict[str, str | bytes] = {"latin word": latin, "cyrillic word": cyrillic, "file bytes": data}
        words |= {f"file name {number}": file.rsplit(".", 1)[0] for number, file in enumerate(files)}
        yield Canaries(hunt, sent, words | _secret_words(world.keys, sent), message, files)


def test_nothing_of_a_tip_is_found_on_the_server(canaries: Canaries) -> None:
    assert canaries.hunting.everywhere(Search(canaries.words)) == []


def test_the_tip_was_there_all_the_time(canaries: Canaries) -> None:
    """The hunt is not won by losing the tip: it opens at each desk, and the words are in it."""
    for name in canaries.hunting.world.desks:
        (opened,) = canaries.hunting.world.arrived(name)
        assert opened.message == canaries.message
        assert {file: path.read_bytes() for file, path in opened.files.items()} == canaries.files
        assert Search(canaries.words).tree(opened.folder)


def carried(server: Server, path: str) -> bytes:
    """What the couriers' listener answers."""
    connection = http.client.HTTPConnection("localhost", timeout=240)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(server.courier))
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read()


def test_export_prune_and_restart_write_nothing_of_a_tip(canaries: Canaries) -> None:
    server = canaries.hunting.world.server
    for name in canaries.hunting.world.desks:
        server.export(name, server.home.parent / "carried")
        volumes = json.loads(carried(server, f"/courier/bundles/{name}"))["volumes"]
        assert all(len(carried(server, f"/courier/bundles/{name}/{one['name']}")) == one["size"] for one in volumes)
    assert canaries.hunting.everywhere(Search(canaries.words)) == []
    server.run("prune")
    server.stop()
    server.start()
    assert canaries.hunting.everywhere(Search(canaries.words)) == []


def test_what_is_served_to_all_holds_nothing_of_a_tip(canaries: Canaries, tmp_path: Path) -> None:
    """With a notice among it: what that says is found by the same search, as the control."""
    world, word = canaries.hunting.world, _word("abcdefghijkmnpqrstuvwxyz")
    server, desk = world.server, next(iter(world.desks.values()))
    out, text = server.home / "notices" / "ours.json", tmp_path / "text"
    out.parent.mkdir(exist_ok=True)
    text.write_text(f"{word}\n", encoding="utf-8")
    until = (days.today() + timedelta(days=7)).isoformat()
    options = ("--vault", desk.vault, "--passphrase-file", desk.secret, "--until", until)
    tipbox("keys", "notice", *options, "--text", "en", text, "--out", out)
    text.unlink()
    server.stop()
    server.start()
    served = [server.request("GET", path)[-1] for path in ("/api/now", "/en/", "/ru/")]
    assert Search(canaries.words).data(served, "served") == []
    assert canaries.hunting.everywhere(Search(canaries.words)) == []
    control = Search({"notice": word})
    assert control.data(served, "served")
    where = [one.where for one in canaries.hunting.everywhere(control)]
    assert str(out) in where
    assert any("memory of" in one for one in where)


def test_the_draft_token_is_never_on_the_disk(canaries: Canaries) -> None:
    world = canaries.hunting.world
    upload = sealed(world.keys, b"token", [("file", bytes(200_000))])
    assert upload.open(world.server) == 201
    assert upload.put(world.server, 0, 2) == 200
    search = Search({"token": upload.token})
    assert canaries.hunting.on_disk(search) == []
    assert upload.put(world.server, 2, len(upload.parts) - 2) == 200
    assert upload.finish(world.server) == 200
    assert canaries.hunting.on_disk(search) == []


# --- positive controls: the same search finds -------------------------------------------------------------------------


def test_the_search_finds_a_word_in_the_path_of_a_request(canaries: Canaries) -> None:
    """A request that is not finished lies in its worker's memory for as long as the connection stands."""
    word = _word("abcdefghijkmnpqrstuvwxyz")
    with canaries.hunting.world.server.connect() as line:
        line.sendall(f"GET /{word} HTTP/1.1\r\nHost: tipbox\r\nX-Filler: ".encode())
        found = _wait_for(lambda: canaries.hunting.in_memory(Search({"planted": word})))
    assert {one.word for one in found} == {"planted"}
    assert all("memory of" in one.where for one in found)


def test_the_search_finds_a_word_in_the_path_of_a_request_that_was_answered(canaries: Canaries) -> None:
    word = _word("abcdefghijkmnpqrstuvwxyz")
    request = f"GET /{word} HTTP/1.1\r\nHost: tipbox\r\n\r\n".encode()

    def asked_and_found() -> list[Found]:
        """On a busy machine what was answered may be gone before all memory has been read; a line is asked once."""
        with canaries.hunting.world.server.connect() as line:
            for _ in range(REPEATED):
                line.sendall(request)
                _read_answer(line, 404)
            return canaries.hunting.in_memory(Search({"planted": word}))

    assert _wait_for(asked_and_found)


def _read_answer(line: socket.socket, status: int) -> None:
    with line.makefile("rb") as file:
        assert file.readline().split()[1] == str(status).encode()
        length = 0
        while (header := file.readline()) not in (b"\r\n", b""):
            name, _, value = header.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        file.read(length)


def test_the_search_finds_a_planted_file_in_each_form(canaries: Canaries) -> None:
    word = f"канарейка-{_word('abcdefghijkmnpqrstuvwxyz')}"
    search = Search({"planted": word})
    planted = canaries.hunting.world.server.home / "spool" / "planted"
    for spelling, form in forms(word).items():
        planted.write_bytes(secrets.token_bytes(100_001) + spelling + secrets.token_bytes(77))
        try:
            assert form in {one.form for one in canaries.hunting.on_disk(search)}
        finally:
            planted.unlink()


def test_the_search_finds_a_word_across_two_pieces() -> None:
    word = _word("abcdefghijkmnpqrstuvwxyz")
    search = Search({"planted": word})
    for cut in range(1, len(word)):
        (found,) = search.data([b"x" * 900 + word[:cut].encode(), word[cut:].encode() + b"y" * 900], "here")
        assert (found.form, found.count) == ("utf-8", 1)
    (found,) = search.data([word.encode(), b"z" * 2000, word.encode()], "here")
    assert found.count == 2


def _wait_for(look: Callable[[], list[Found]]) -> list[Found]:
    deadline = time.monotonic() + 120
    while True:
        found = look()
        if found or time.monotonic() > deadline:
            return found


# --- what is not sealed is refused ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plaintext:
    """Plaintext in which each occurrence of the canary has a number, so that what was read of it shows."""

    LINE: ClassVar[int] = 32
    word: str
    data: bytes = field(repr=False)

    @classmethod
    def of(cls, size: int) -> Plaintext:
        word = _word("abcdefghijkmnpqrstuvwxyz", 23)
        return cls(word, b"".join(f"{word}-{at:07}\n".encode() for at in range(0, size, cls.LINE)))


Encode = Callable[[Plaintext], tuple[bytes, str]]


def _form(text: Plaintext) -> tuple[bytes, str]:
    return b"message=" + text.data.replace(b"\n", b"%0A"), "application/x-www-form-urlencoded"


def _multipart(text: Plaintext) -> tuple[bytes, str]:
    mark = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
    head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{text.word}.jpg"\r\n\r\n'
    return head.encode() + text.data + f"\r\n--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"


def _bare(text: Plaintext) -> tuple[bytes, str]:
    return text.data, "application/octet-stream"


PLACES = [
    ("PUT", "/api/envelope"),
    ("POST", "/api/envelope"),
    ("POST", "/"),
    ("POST", "/send"),
    ("PUT", "/api/envelope/parts/0"),
    ("POST", "/api/envelope/finish"),
]


@pytest.mark.parametrize("encode", [_bare, _form, _multipart], ids=["bare", "form", "multipart"])
def test_plaintext_is_refused_and_not_kept(canaries: Canaries, encode: Encode) -> None:
    server = canaries.hunting.world.server
    before = _bytes_below(server.home)
    sent: dict[str, Plaintext] = {}
    for method, path in PLACES:
        text = sent[f"{method} {path}"] = Plaintext.of(1_500_000)
        body, kind = encode(text)
        head = f"{method} {path} HTTP/1.1\r\nHost: tipbox\r\nAuthorization: Bearer {new_token()}\r\n"
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        with server.connect() as line:
            status = _send_until_refused(line, head.encode() + body)
        assert 400 <= status < 500
    search = Search({place: text.word for place, text in sent.items()})
    assert canaries.hunting.on_disk(search) == []
    assert _bytes_below(server.home) <= before
    lines = dict.fromkeys(sent, 0)
    for found in canaries.hunting.in_memory(search):
        lines[found.word] += found.count
    assert all(count * Plaintext.LINE <= READ_BUFFER for count in lines.values()), lines


@pytest.mark.parametrize("encode", [_bare, _form, _multipart], ids=["bare", "form", "multipart"])
def test_what_was_read_of_a_refused_envelope_is_overwritten(canaries: Canaries, encode: Encode) -> None:
    """Looked for at once, while the refused connection still stands and nothing else can have overwritten it."""
    server = canaries.hunting.world.server
    text = Plaintext.of(200_000)
    body, kind = encode(text)
    head = f"PUT /api/envelope HTTP/1.1\r\nHost: tipbox\r\nAuthorization: Bearer {new_token()}\r\n"
    head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    with server.connect() as line:
        line.sendall(head.encode() + body[:6000])
        line.settimeout(120)
        assert line.recv(4096).startswith(b"HTTP/1.1 400 ")
        found = canaries.hunting.in_memory(Search({"plaintext": text.word}))
    assert found == []


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _send_until_refused(line: socket.socket, data: bytes) -> int:
    """Send as far as the server takes it; the status of its answer."""
    line.settimeout(120)
    answer = b""
    view = memoryview(data)
    try:
        while view:
            view = view[line.send(view[:4096]) :]
    except (BrokenPipeError, ConnectionResetError):
        pass
    try:
        while not answer.endswith(b"\r\n") and (piece := line.recv(4096)):
            answer += piece
    except ConnectionResetError:
        pass
    assert answer.startswith(b"HTTP/1.1 "), "the server closed without an answer"
    return int(answer.split(b" ", 2)[1])
