"""``source inbox``: what it shows, what it leaves out, what it saves and deletes, and what a lying server can do."""

from __future__ import annotations

import io
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from support import commands
from support.desk import Desks
from tipbox import cli
from tipbox.formats.access_code import AccessCode, Secrets
from tipbox.formats.base import days
from tipbox.formats.base.limits import KEY_SIZE, MAILBOX_PIECE
from tipbox.formats.base.primitives import new_seed, random_bytes, sha256, xwing_public
from tipbox.formats.envelopes.envelope import Recipient, read_envelope, seal
from tipbox.formats.envelopes.header import Header, Kind
from tipbox.formats.envelopes.letter import FileEntry, Letter
from tipbox.formats.envelopes.reply import seal_reply
from tipbox.formats.envelopes.seals import EnvelopeHash
from tipbox.formats.mailbox_list import (
    DELETE_ANSWER,
    Entry,
    MailboxList,
    how_many_fit,
    in_order,
    parse_delete,
    parse_piece,
    parse_tokens,
)
from tipbox.formats.manifest import key_id
from tipbox.formats.wordlists import PINS
from tipbox.net import http

pytestmark = pytest.mark.reads_date


@dataclass(frozen=True)
class Done(commands.Done):
    """How a command of the inbox ended; its error is the last line of what it complained about."""

    @property
    def replies(self) -> list[dict[str, Any]]:
        return list(json.loads(self.out)["replies"])

    @property
    def error(self) -> str:
        return str(json.loads(self.err.splitlines()[-1])["error"])


Run = Callable[..., Done]
Make = Callable[..., bytes]
Lie = Callable[[str, bytes], bytes]


@dataclass
class Server:
    """The mailboxes of docs/protocol.md in memory. ``lie`` may change an answer.

    Attributes:
        own: the id of the organisation in whose mailbox replies are deposited when no other is named.
        named: ids of organisations that its page names.
    """

    source: Secrets
    own: bytes
    named: list[bytes]
    boxes: dict[bytes, dict[bytes, tuple[date, bytes]]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    lie: Lie = field(default=lambda _, answer: answer)
    port: int = 0

    @property
    def box(self) -> set[bytes]:
        """Which replies the source's mailboxes hold."""
        return set().union(*self.boxes.values())

    @property
    def now(self) -> bytes:
        """What ``GET /api/now`` answers, for what it names alone."""
        return json.dumps({"former": [], "manifests": [], "named": [one.hex() for one in self.named]}).encode()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def deposit(
        self, envelope: bytes, day: date | None = None, ident: bytes = b"", organisation: bytes | None = None
    ) -> bytes:
        ident = ident or id_of(envelope)
        address = self.source.mailbox_address(organisation or self.own)
        self.boxes.setdefault(address, {})[ident] = (day or days.today(), envelope)
        return ident

    def take(self, path: str, body: bytes) -> bytes:
        found = {
            (place, ident): stored
            for place, token in enumerate(parse_tokens(body))
            for ident, stored in self.boxes.get(sha256(token), {}).items()
        }
        if path == "/api/mailbox":
            entries = in_order(
                [Entry(ident, day, len(data), head(data), place) for (place, ident), (day, data) in found.items()]
            )
            fit = how_many_fit(entries)
            openings = tuple(found[one.place, one.id][1][: one.opening_size] for one in entries[:fit])
            return MailboxList(tuple(entries), openings).encode()
        if path == "/api/mailbox/piece":
            wanted, number = parse_piece(body)
            data = next((data for (_, ident), (_, data) in found.items() if ident == wanted), b"")
            return data[number * MAILBOX_PIECE : (number + 1) * MAILBOX_PIECE].ljust(MAILBOX_PIECE, b"\x00")
        for address in map(sha256, parse_tokens(body)):
            for ident in parse_delete(body):
                self.boxes.get(address, {}).pop(ident, None)
        return DELETE_ANSWER


def head(envelope: bytes) -> int:
    """Bytes of header ‖ letter."""
    return 120 + 1296 * envelope[9] + int.from_bytes(envelope[12:16]) + 16


def id_of(envelope: bytes) -> bytes:
    """The id of an Envelope's bytes."""
    return read_envelope(io.BytesIO(envelope), Kind(envelope[10])).end().id


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def one(*arguments: object, as_json: bool = True) -> Done:
        capsys.readouterr()
        code = cli.run([*map(str, arguments), *(["--json"] if as_json else [])])
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return one


@pytest.fixture(scope="module")
def desks(made_today: Desks, tmp_path_factory: pytest.TempPathFactory) -> Desks:
    return made_today.copy(tmp_path_factory.mktemp("made") / "desks")


@pytest.fixture(scope="module")
def access_code() -> AccessCode:
    return AccessCode.generate()


@pytest.fixture(scope="module")
def source(access_code: AccessCode) -> Secrets:
    return access_code.secrets()


@pytest.fixture
def secret(access_code: AccessCode, tmp_path: Path) -> Path:
    path = tmp_path / "code"
    path.write_text(access_code.digits() + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture
def server(source: Secrets, desks: Desks, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server(source, desks.desks[1].manifest.id, sorted(desk.manifest.id for desk in desks.desks))
    monkeypatch.setattr(http, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(http, "FIRST_CONTACT_SECONDS", 0.5)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer(state.now)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.requests.append((self.path, dict(self.headers.items()), body))
            self.answer(state.lie(self.path, state.take(self.path, body)))

        def answer(self, data: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

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


@pytest.fixture
def inbox(run: Run, server: Server, desks: Desks, secret: Path) -> Run:
    def one(*more: object, as_json: bool = True) -> Done:
        common = ("source", "inbox", server.url, "--keys", desks.folder / "keys", "--passphrase-file", secret)
        return run(*common, *more, as_json=as_json)

    return one


def reply(
    pair_key: bytes,
    message: bytes = b"When was this?",
    files: tuple[tuple[str, bytes], ...] = (),
    day: date | None = None,
) -> bytes:
    """A whole reply."""
    entries = tuple(FileEntry(name, len(data)) for name, data in files)
    letter = Letter(message, entries, random_bytes(KEY_SIZE), random_bytes(16), day=day or days.today())
    sealed = seal_reply(pair_key, letter)
    return sealed.opening + b"".join(sealed.parts([(io.BytesIO(data), len(data)) for _, data in files]))


@pytest.fixture
def kibhr(source: Secrets, desks: Desks) -> Make:
    """Makes replies that KIBHR wrote."""
    return lambda *rest: reply(source.pair_key(desks.desks[1].manifest.id), *rest)


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_replies_are_shown_with_whom_they_are_from(
    inbox: Run, server: Server, source: Secrets, desks: Desks, kibhr: Make
) -> None:
    before = days.today() - timedelta(days=3)
    # The day of its writer, not that of the server's list.
    old = server.deposit(kibhr(b"When was this?", (), before), days.today())
    text = "Кто ещё видел? \x1b[31m\u202e".encode() + b"\xff"
    fidh = desks.desks[0].manifest.id
    new = server.deposit(reply(source.pair_key(fidh), text, (("a\x1bb.jpg", b"x" * 10),)), organisation=fidh)
    done = inbox()

    assert (done.code, done.err) == (0, "")
    today = days.today()
    assert done.replies == [
        {
            "id": new.hex(),
            "day": today.isoformat(),
            "organisation": "fidh",
            "text": text.decode(errors="replace"),
            "files": [{"name": "a\x1bb.jpg", "size": 10}],
        },
        {
            "id": old.hex(),
            "day": before.isoformat(),
            "organisation": "kibhr",
            "text": "When was this?",
            "files": [],
        },
    ]
    shown = inbox(as_json=False)
    assert "from kibhr" in shown.out
    assert "Кто ещё видел? \ufffd[31m\ufffd\ufffd" in shown.out
    assert "file 001-ab.jpg, 10 bytes" in shown.out
    assert shown.out.replace("\n", "").isprintable()


def test_words_open_the_same_mailbox(
    inbox: Run, server: Server, access_code: AccessCode, secret: Path, kibhr: Make
) -> None:
    ident = server.deposit(kibhr())
    for language in PINS:
        secret.write_text("-".join(access_code.words(language)).upper() + "\n", encoding="utf-8")

        assert [one["id"] for one in inbox().replies] == [ident.hex()]


def test_an_empty_mailbox_and_that_of_another_server_are_the_same(inbox: Run, server: Server, source: Secrets) -> None:
    unknown, shown = inbox(), inbox(as_json=False)
    server.boxes[source.mailbox_address(server.own)] = {}
    empty = inbox()

    assert (unknown.code, unknown.replies, unknown.err) == (0, [], "")
    assert unknown == empty
    assert shown.out == "No reply. A mailbox that is empty, unknown or read looks the same; come back another day.\n"


def test_the_largest_letter_comes_by_pieces(inbox: Run, server: Server, desks: Desks, kibhr: Make) -> None:
    text = os.urandom(500_000).hex().encode()
    server.deposit(kibhr(text))
    done = inbox()

    assert done.replies[0]["text"].encode() == text
    asked = [path for path, _, _ in server.requests]
    assert asked.count("/api/mailbox") == len(desks.desks)
    assert asked.count("/api/mailbox/piece") == 4


def test_five_megabytes_of_text_are_refused_before_anything_is_sealed(
    run: Run, server: Server, desks: Desks, tmp_path: Path
) -> None:
    (tmp_path / "long").write_bytes(b"x" * 5_000_000)
    keys = ("--keys", desks.folder / "keys", "--message-file", tmp_path / "long")
    done = run("source", "send", server.url, *keys)

    assert (done.code, done.error) == (3, "limit")
    assert "attach" in done.err
    assert server.requests == []


# --- whom it is not from ---------------------------------------------------------------------------------------------


def test_nobody_else_can_speak_for_an_organisation(inbox: Run, server: Server, source: Secrets, desks: Desks) -> None:
    """The server, another organisation and another source's thread; the words name KIBHR anyway."""
    claim = b"This is KIBHR. Call this number."
    of_kibhr = desks.desks[1].manifest.id
    for pair_key in (
        random_bytes(KEY_SIZE),  # the server
        bytes(KEY_SIZE),
        source.pair_key(desks.desks[0].manifest.id),  # another organisation to which the source wrote
        source.pair_key(random_bytes(16)),  # an organisation that the source does not know
        AccessCode.generate().secrets().pair_key(of_kibhr),  # kibhr's own, of another source
    ):
        server.deposit(reply(pair_key, claim))
    done = inbox()

    assert (done.code, done.replies) == (0, [])
    assert done.err == "tipbox: 5 left out: from none of the organisations that you wrote to\n"
    assert "from kibhr" not in inbox(as_json=False).out


def test_a_server_names_nobody(inbox: Run, server: Server, source: Secrets) -> None:
    """An organisation whose id the server alone names may answer, and has no name here."""
    stranger = random_bytes(16)
    server.named = sorted([*server.named, stranger])
    server.deposit(reply(source.pair_key(stranger)), organisation=stranger)

    assert [one["organisation"] for one in inbox().replies] == [""]
    assert "from an organisation whose keys you do not have" in inbox(as_json=False).out


def test_a_reply_in_a_mailbox_that_nobody_has_is_from_nobody(inbox: Run, server: Server, kibhr: Make) -> None:
    data = kibhr()
    decoy = server.source.mailbox_decoy(server.own, 0)
    server.boxes[sha256(decoy)] = {id_of(data): (days.today(), data)}
    done = inbox()

    assert (done.code, done.replies) == (0, [])
    assert "1 left out: from none of the organisations" in done.err


def test_what_does_not_open_is_counted_and_left_out(inbox: Run, server: Server, kibhr: Make) -> None:
    good = kibhr()
    server.deposit(good)
    flipped = bytearray(kibhr())
    flipped[-1] ^= 1
    server.deposit(bytes(flipped))
    server.deposit(kibhr(), ident=random_bytes(32))
    other_salt = bytearray(kibhr())
    other_salt[24] ^= 1  # then nobody's content key is the one that it commits to
    server.deposit(bytes(other_salt))
    server.deposit(b"\x89tipbox\n\x02" + kibhr()[9:], ident=random_bytes(32))
    done = inbox()

    assert done.code == 0
    assert [one["id"] for one in done.replies] == [id_of(good).hex()]
    assert done.err.splitlines() == [
        "tipbox: 1 left out: from none of the organisations that you wrote to",
        "tipbox: 1 left out: made by a newer version of tipbox: upgrade to read it",
        "tipbox: 2 left out: damaged, or not for this code",
    ]


def test_a_tip_in_a_mailbox_is_no_reply(inbox: Run, server: Server, source: Secrets) -> None:
    seed = new_seed()
    public = xwing_public(seed)
    pair = source.pair_key(server.own), source.mailbox_address(server.own)
    slot = Recipient(server.own, key_id(public), public, *pair)
    sealed = seal([slot], Letter(b"x", (), random_bytes(KEY_SIZE), random_bytes(16)))
    envelope_hash = EnvelopeHash(sealed.header.encoded, sealed.letter).digest()
    server.deposit(sealed.opening + sealed.trailer(envelope_hash))
    done = inbox()

    assert (done.code, done.replies) == (0, [])
    assert done.err == "tipbox: 1 left out: damaged, or not for this code\n"


def test_a_reply_that_comes_twice_is_one(inbox: Run, server: Server, kibhr: Make) -> None:
    data = kibhr(b"twice", (("a", b"b" * 1000),))
    server.deposit(data)
    server.deposit(data, ident=random_bytes(32))

    assert [one["text"] for one in inbox().replies] == ["twice"]


# --- files and deletion ----------------------------------------------------------------------------------------------

FILES = (("../../photo.jpg", b""), ("видео.mp4", bytes(range(256)) * 3000), ("con", b"1"))


def test_files_are_saved_bit_exact_under_safe_names(inbox: Run, server: Server, tmp_path: Path, kibhr: Make) -> None:
    text = b"with files \xff"
    ident = server.deposit(kibhr(text, FILES))
    out = tmp_path / "deep" / "out"
    done = inbox("--out", out)
    killed = out / ".0123456789abcdef.part"  # what a command leaves that is killed while it saves
    killed.mkdir()
    (killed / "message.txt").write_bytes(text)
    again = inbox("--out", out)

    assert (done.code, done.err) == (0, "")
    assert again.replies == done.replies
    folder = out / ident.hex()
    assert (folder / "message.txt").read_bytes() == text
    saved = {path.name: path.read_bytes() for path in (folder / "files").iterdir()}
    names = ("001-_.._photo.jpg", "002-видео.mp4", "003-_con")
    assert saved == {name: data for name, (_, data) in zip(names, FILES, strict=True)}
    assert [path.name for path in out.iterdir()] == [ident.hex()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.rglob("*"))
    pieces = [body for path, _, body in server.requests if path == "/api/mailbox/piece"]
    assert len(pieces) == 3


def swap(at: int) -> Lie:
    def lie(path: str, answer: bytes) -> bytes:
        if path != "/api/mailbox/piece":
            return answer
        return answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1 :]

    return lie


LIES: dict[str, Lie] = {
    "a part changed": swap(200_000),
    "a header changed": swap(60),
    "another letter": swap(5_000),
    "cut": lambda path, answer: answer[:100_000].ljust(len(answer), b"\x00") if path.endswith("piece") else answer,
    "bytes behind": swap(262_143),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_is_not_what_was_sealed_is_never_shown_nor_deleted(
    inbox: Run, server: Server, tmp_path: Path, lie: str, kibhr: Make
) -> None:
    good = server.deposit(kibhr(b"text only"))
    bad = server.deposit(kibhr(b"with a file", (("video", os.urandom(240_000)),)))
    server.lie = LIES[lie]
    done = inbox("--out", tmp_path / "out", "--delete")

    assert (done.code, done.error) == (8, "partly-done")
    assert {one["text"] for one in done.replies} == {"text only", "with a file"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == [good.hex()]
    assert server.box == {bad}


def test_what_was_read_is_deleted_and_files_only_once_they_are_saved(
    inbox: Run, server: Server, tmp_path: Path, kibhr: Make
) -> None:
    server.deposit(kibhr())
    filed = server.deposit(kibhr(b"", FILES))
    other = server.deposit(reply(random_bytes(KEY_SIZE)))
    first = inbox("--delete")

    assert first.code == 0
    assert len(first.replies) == 2
    assert server.box == {filed, other}
    assert "save them first with --out" in first.err
    assert inbox("--delete", "--out", tmp_path / "out").code == 0
    assert server.box == {other}
    assert inbox("--delete").replies == []


def test_a_deletion_that_is_not_confirmed_is_an_error(inbox: Run, server: Server, kibhr: Make) -> None:
    server.deposit(kibhr())
    server.lie = lambda path, answer: b"gone" if path.endswith("delete") else answer
    done = inbox("--delete")

    assert (done.code, done.error) == (6, "network")
    assert len(done.replies) == 1


# --- a lying server, and what it learns ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lie", "code", "error"),
    [
        (lambda _, __: b"", 3, "malformed"),
        (lambda _, answer: answer[:-1], 3, "malformed"),
        (lambda _, answer: b"<html>" + answer[6:], 3, "not-tipbox"),
        (lambda _, answer: answer[:8] + b"\x02" + answer[9:], 3, "version"),
        (lambda _, answer: answer[:10] + b"\xff\xff" + answer[12:], 3, "limit"),
        (lambda _, answer: answer[:-1] + b"\x01", 3, "malformed"),
    ],
)
def test_a_list_that_is_none(inbox: Run, server: Server, lie: Lie, code: int, error: str) -> None:
    server.lie = lie
    done = inbox()

    assert (done.code, done.error, done.out) == (code, error, "")
    assert "reading the mailbox" in done.err


def test_a_piece_of_another_size_is_a_network_error(inbox: Run, server: Server, tmp_path: Path, kibhr: Make) -> None:
    server.deposit(kibhr(b"", FILES))
    server.lie = lambda path, answer: answer[:-1] if path.endswith("piece") else answer
    done = inbox("--out", tmp_path / "out")

    assert (done.code, done.error, done.out) == (6, "network", "")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_letter_that_does_not_come_whole_hides_no_other(inbox: Run, server: Server, kibhr: Make) -> None:
    """It did not fit into the list, and the piece with it has bytes behind its end."""
    server.deposit(kibhr(b"long " * 30_000))
    server.deposit(kibhr(b"short"))

    def lie(path: str, answer: bytes) -> bytes:
        is_long = path.endswith("piece") and int.from_bytes(answer[12:16]) > 100_000
        return answer[:-1] + b"x" if is_long else answer

    server.lie = lie
    done = inbox()

    assert (done.code, [one["text"] for one in done.replies]) == (0, ["short"])
    assert done.err == "tipbox: 1 left out: damaged, or not for this code\n"


def test_the_server_is_told_tokens_and_ids_in_bodies_of_one_size(
    inbox: Run, server: Server, access_code: AccessCode, tmp_path: Path, kibhr: Make
) -> None:
    server.deposit(kibhr(b"", FILES))
    assert inbox("--out", tmp_path / "out", "--delete").code == 0
    sent = b"".join(f"{path}{headers}".encode() + body for path, headers, body in server.requests)

    assert {(path, len(body)) for path, _, body in server.requests} == {
        ("/api/mailbox", 1024),
        ("/api/mailbox/piece", 1060),
        ("/api/mailbox/delete", 17408),
    }
    for hidden in (
        server.source.root,
        *map(server.source.mailbox_address, server.named),
        *map(server.source.pair_key, server.named),
        access_code.value.to_bytes(16),
    ):
        assert hidden not in sent
        assert hidden.hex().encode() not in sent
    told = [{name.lower() for name in headers} for _, headers, _ in server.requests]
    assert not any({"user-agent", "authorization", "cookie"} & names for names in told)


def test_each_organisation_is_asked_for_alone_in_any_order(inbox: Run, server: Server, kibhr: Make) -> None:
    """Two circuits share no token, and the order tells nothing."""
    server.deposit(kibhr())
    orders = set[tuple[frozenset[bytes], ...]]()
    while len(orders) < 2:
        server.requests.clear()
        assert inbox().code == 0
        asked = [frozenset(parse_tokens(body)) for _, _, body in server.requests]
        assert len(frozenset().union(*asked)) == 32 * len(server.named)
        orders.add(tuple(asked))


def test_a_server_that_names_too_many_is_asked_for_128(inbox: Run, server: Server, kibhr: Make) -> None:
    server.named = sorted(random_bytes(16) for _ in range(200))
    server.deposit(kibhr())
    done = inbox()

    assert len(done.replies) == 1
    assert len(server.requests) == 128
    assert "organisations that the server names were not asked for" in done.err


# --- the code --------------------------------------------------------------------------------------------------


def typed(access_code: AccessCode, language: str, at: int, word: str) -> str:
    words = list(access_code.words(language))
    words[at] = word
    return " ".join(words)


@pytest.mark.parametrize(
    "case",
    [
        (lambda one: typed(one, "ru", 2, "щщщ"), "look at word 3"),
        (lambda one: " ".join([*one.words("fr")[:6], *one.words("ru")[6:]]), "look at word 7, 8, 9, 10, 11"),
        (lambda one: " ".join(one.words("en")[:8]), "it has 8 words and should have 9"),
        (lambda one: one.digits()[:-7], "it has 5 groups and should have 6"),
        (lambda one: one.digits()[:-1], "look at group 6"),
        (lambda one: typed(one, "en", 4, "zoom" if one.words("en")[4] != "zoom" else "zone"), "every word possible"),
        (lambda one: one.digits()[:-1] + str((int(one.digits()[-1]) + 1) % 10), "every group possible"),
    ],
)
def test_a_typing_error_is_pointed_out_here_and_nothing_of_it_is_said_or_sent(
    inbox: Run, server: Server, access_code: AccessCode, secret: Path, case: tuple[Callable[[AccessCode], str], str]
) -> None:
    wrong, said = case
    text = wrong(access_code)
    secret.write_text(text + "\n", encoding="utf-8")
    done = inbox()

    assert (done.code, done.error, done.out) == (4, "bad-passphrase", "")
    assert said in done.err
    assert server.requests == []
    # As words of their own, and none of the sentence's: "sage" is part of "message", and "compare" stands in both.
    usual = {
        *re.findall(r"\w+", said),
        "compare",
        "error",
        "leaves",
        "possible",
        "reading",
        "should",
        "typing",
        "wrote",
    }
    told = set(re.findall(r"\w{4,}", done.err)) - usual
    assert told & set(re.findall(r"\w{4,}", text)) == set()


def test_it_works_under_a_new_socks_user_only(run: Run, server: Server, desks: Desks, secret: Path) -> None:
    onion = "http://" + "a" * 56 + ".onion"
    common = ("--keys", desks.folder / "keys", "--passphrase-file", secret)

    assert run("source", "inbox", onion, *common).code == 2
    assert run("source", "inbox", server.url, "--socks", "127.0.0.1:1", *common).code == 6


def test_headers_are_read_as_they_are(kibhr: Make) -> None:
    """The double above counts sizes by hand; they are the header's."""
    data = kibhr(b"x", FILES)
    header = Header.parse(data[:120])

    assert header.envelope_size == len(data)
    assert head(data) == header.opening_size
