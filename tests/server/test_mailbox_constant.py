"""Whether there is anything in a mailbox does not show: the same statements, values and bytes, the same work."""

from __future__ import annotations

import io
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event

from support.sealed import Box, Organisation, Sent, inward, keys_folder
from support.server import Here
from tipbox.formats.base import days
from tipbox.formats.base.limits import MAILBOX_LIST, MAILBOX_PIECE, MAX_REPLIES
from tipbox.formats.base.primitives import random_bytes, sha256
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.mailbox_list import (
    MOST_LISTED,
    SMALLEST_OPENING,
    Entry,
    MailboxList,
    encode_delete,
    encode_piece,
    encode_tokens,
)
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import import_bundles
from tipbox.server.home import Home
from tipbox.server.storage.reply_rows import MOST_OF_ONE

KINDS = ("unknown", "read", "one", "full", "all full")
SIZES = {"": MAILBOX_LIST, "/piece": MAILBOX_PIECE, "/delete": 32}


POSTGRESQL = pytest.mark.real_clock("PostgreSQL says which day it is, and is not ours to be told another")


@pytest.fixture(name="server", scope="module", params=["sqlite", pytest.param("postgresql", marks=POSTGRESQL)])
def _server(
    request: pytest.FixtureRequest, organisations: list[Organisation], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Here]:
    folder = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as environment:
        if request.param == "postgresql":
            sockets = request.getfixturevalue("postgresql")
            with psycopg.connect(host=sockets, user="tipbox", dbname="postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE constant")
            environment.setenv("TIPBOX_DATABASE_URL", f"postgresql://tipbox@/constant?host={sockets}")
        server = Here(folder / "home", keys_folder(folder / "keys", organisations))
        yield server
        server.close()


@dataclass(frozen=True)
class Visit:
    """What the server did for a request and how it answered.

    Attributes:
        statements: each with its number of values.
        rows: how many rows its reading statements give, as long as nothing is changed.
        size: bytes of the answer's body.
    """

    statements: list[tuple[str, int]]
    rows: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def cost(self) -> tuple[list[tuple[str, int]], list[tuple[str, str]], int]:
        """What must not differ."""
        return self.statements, self.headers, len(self.body)


class Visitor:
    """Sends the three requests, and records what the server does for each."""

    def __init__(self, server: Here) -> None:
        self._client = server._client
        self._engine: Engine = server._store.engine

    @contextmanager
    def _recorded(self) -> Iterator[list[tuple[str, Any]]]:
        done: list[tuple[str, Any]] = []

        def note(_c: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool) -> None:  # noqa: FBT001
            done.append((statement, values))

        event.listen(self._engine, "before_cursor_execute", note)
        try:
            yield done
        finally:
            event.remove(self._engine, "before_cursor_execute", note)

    def visit(self, path: str, body: bytes) -> Visit:
        """Send a request."""
        with self._recorded() as done:
            answer = self._client.post(f"/api/mailbox{path}", data=body)
        assert answer.status_code == 200, answer.data
        statements = [(statement, len(values)) for statement, values in done]
        return Visit(statements, self._rows(done), list(answer.headers), answer.data)

    def _rows(self, done: Sequence[tuple[str, Any]]) -> int:
        with self._engine.connect() as connection:
            reading = [one for one in done if one[0].startswith("SELECT")]
            return sum(len(connection.exec_driver_sql(statement, values).all()) for statement, values in reading)


@pytest.fixture(name="visitor", scope="module")
def _visitor(server: Here) -> Visitor:
    return Visitor(server)


def deliver(server: Here, organisation: Organisation, box: Box, replies: Sequence[Sent]) -> None:
    (path,) = write_volumes(server.home, organisation.name, server.home.parent / "out")
    outward = Bundle(io.BytesIO(path.read_bytes()), organisation.id, organisation.find_key)
    items = [box.item(reply) for reply in replies]
    carried = inward(server.home.parent / "in", organisation, outward, items, outward.index.sequence)
    (taken,) = import_bundles(server.home, [carried])
    assert taken.deposited == len(replies)


@pytest.fixture(name="boxes")
def _boxes(server: Here, organisations: list[Organisation], visitor: Visitor) -> dict[str, tuple[Box, Sent]]:
    """Mailboxes of each kind, and a reply that is or was in one of them."""
    boxes = {kind: Box() for kind in KINDS}
    found = {kind: (box, box.reply(90_000)) for kind, box in boxes.items()}
    for kind in ("read", "one"):
        deliver(server, organisations[0], boxes[kind], [found[kind][1]])
    visitor.visit("/delete", encode_delete(boxes["read"].tokens, [found["read"][1].id]))
    for kind in ("full", "all full"):
        full = [found[kind][1], *(boxes[kind].reply() for _ in range(MOST_OF_ONE - 1))]
        deliver(server, organisations[0], boxes[kind], full)
    others = [Box(), Box()]
    for one, box in zip(organisations[1:], others, strict=True):
        deliver(server, one, box, [box.reply() for _ in range(MOST_OF_ONE)])
    reply = found["all full"][1]
    return {**found, "all full": (boxes["all full"].beside(*others), reply)}


def body(path: str, box: Box, reply: Sent) -> bytes:
    return {
        "": encode_tokens(box.tokens),
        "/piece": encode_piece(box.tokens, reply.id, 0),
        "/delete": encode_delete(box.tokens, [reply.id]),
    }[path]


@pytest.mark.parametrize("path", ["", "/piece", "/delete"])
def test_all_mailboxes_cost_the_same_statements_and_bytes(
    visitor: Visitor, boxes: dict[str, tuple[Box, Sent]], path: str
) -> None:
    visits = {kind: visitor.visit(path, body(path, box, reply)) for kind, (box, reply) in boxes.items()}
    unknown = visits["unknown"]

    assert unknown.statements
    assert len(unknown.body) == SIZES[path]
    for kind, visit in visits.items():
        assert visit.cost == unknown.cost, kind
    assert visits["read"].body == unknown.body
    if path == "":
        assert {kind: visit.rows for kind, visit in visits.items()} == dict.fromkeys(KINDS, unknown.rows)
        assert unknown.rows > 3 * MOST_OF_ONE
        counts = {kind: len(MailboxList.parse(visit.body).entries) for kind, visit in visits.items()}
        assert counts == {"unknown": 0, "read": 0, "one": 1, "full": MOST_OF_ONE, "all full": 3 * MOST_OF_ONE}
    if path == "/piece":
        assert visits["one"].body == boxes["one"][1].whole[:MAILBOX_PIECE].ljust(MAILBOX_PIECE, b"\x00")


def test_the_place_of_a_token_changes_no_statement(
    server: Here, visitor: Visitor, organisations: list[Organisation]
) -> None:
    """A mailbox first, in the middle and last among the tokens; and two of them side by side."""
    token = b"\x80" + random_bytes(31)
    first, last = bytes([0]), bytes([255])
    asked = {
        place: Box(token, decoys=tuple(begin + random_bytes(31) for begin in begins))
        for place, begins in (
            (0, [last] * 31),
            (16, [first] * 16 + [last] * 15),
            (31, [first] * 31),
        )
    }
    reply = asked[0].reply()
    deliver(server, organisations[0], asked[0], [reply])

    visits = {place: visitor.visit("", encode_tokens(box.tokens)) for place, box in asked.items()}

    assert all(visit.cost == visits[0].cost and visit.rows == visits[0].rows for visit in visits.values())
    found = {place: MailboxList.parse(visit.body).entries for place, visit in visits.items()}
    assert {place: [(entry.place, entry.id) for entry in entries] for place, entries in found.items()} == {
        place: [(place, reply.id)] for place in asked
    }


def test_the_number_of_ids_in_a_request_changes_no_statement(
    visitor: Visitor, boxes: dict[str, tuple[Box, Sent]]
) -> None:
    box, reply = boxes["all full"]
    ids = [entry.id for entry in MailboxList.parse(visitor.visit("", encode_tokens(box.tokens)).body).entries]
    assert reply.id in ids

    visits = [
        visitor.visit("/delete", encode_delete(box.tokens, named)) for named in ([], [bytes(31) + b"1"], ids[:30])
    ]

    assert visits[0].cost == visits[1].cost == visits[2].cost


def _decoys(database: Path) -> tuple[list[Any], list[Any]]:
    """All rows of decoys, and the ids and sizes of their openings, which are random."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT id, day, entry FROM decoy ORDER BY id").fetchall()
        return rows, connection.execute("SELECT id, length(opening) FROM decoy_opening ORDER BY id").fetchall()


@pytest.mark.parametrize("kept", [0, 3])
def test_a_server_that_lost_its_decoys_has_them_again_when_it_starts(
    organisations: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """As a restore by an earlier version left it: there, listing cost less without replies."""
    monkeypatch.delenv("TIPBOX_DATABASE_URL", raising=False)
    home, keys = tmp_path / "home", keys_folder(tmp_path / "keys", organisations)
    database = Home(home).database
    Here(home, keys).close()
    made = _decoys(database)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM decoy WHERE id > ?", (kept.to_bytes(32),))
        connection.execute("DELETE FROM decoy_opening WHERE id > ?", (kept.to_bytes(32),))
    assert _decoys(database) != made

    Here(home, keys).close()

    assert _decoys(database) == made
    assert [len(one) for one in made] == [MAX_REPLIES, MOST_LISTED]


# --- opening one is by primary key, whatever else there is ------------------------------------------------------------


def _plant(server: Here, organisation: Organisation, mailboxes: int) -> bytes:
    """Mailboxes with ten small replies each, put straight into the database; the token of the last."""
    day = days.today()
    replies, openings = [], []
    for _ in range(mailboxes):
        token = random_bytes(32)
        mailbox = sha256(token)
        for number in range(10):
            ident = mailbox[:31] + bytes([number])
            entry = Entry(ident, day, SMALLEST_OPENING, SMALLEST_OPENING).encode()
            replies.append((mailbox, ident, organisation.id, day.isoformat(), 0, SMALLEST_OPENING, entry))
            openings.append((mailbox, ident, bytes(100)))
    openings[-10:] = [(mailbox, ident, bytes(SMALLEST_OPENING)) for mailbox, ident, _ in openings[-10:]]
    with closing(sqlite3.connect(Home(server.home).database)) as connection, connection:
        connection.executemany(
            "INSERT INTO reply (mailbox, id, organisation, day, seen_day, size, entry) VALUES (?, ?, ?, ?, ?, ?, ?)",
            replies,
        )
        connection.executemany("INSERT INTO reply_opening (mailbox, id, opening) VALUES (?, ?, ?)", openings)
    return token


def _statements(server: Here, token: bytes) -> list[tuple[str, Any]]:
    seen: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool) -> None:  # noqa: FBT001
        seen.append((statement, values))

    event.listen(server._store.engine, "before_cursor_execute", note)
    server._client.post("/api/mailbox", data=encode_tokens(Box(token).tokens))
    event.remove(server._store.engine, "before_cursor_execute", note)
    return [(statement, values) for statement, values in seen if statement.startswith("SELECT")]


def _work(home: Path, statements: Sequence[tuple[str, Any]]) -> int:
    """Instructions of SQLite for these statements, in tens."""
    with closing(sqlite3.connect(Home(home).database)) as connection:
        return sum(_steps(connection, statement, values) for statement, values in statements)


def _steps(connection: sqlite3.Connection, statement: str, values: Any) -> int:
    """Instructions of SQLite's machine that a statement takes, in tens."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    connection.set_progress_handler(tick, 10)
    connection.execute(statement, values).fetchall()
    connection.set_progress_handler(None, 0)
    return count


def test_opening_one_of_ten_thousand_mailboxes_is_the_work_of_opening_one_of_a_hundred(
    organisations: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIPBOX_DATABASE_URL", raising=False)
    server = Here(tmp_path / "home", keys_folder(tmp_path / "keys", organisations))
    token = _plant(server, organisations[0], 100)
    statements = _statements(server, token)
    few = _work(server.home, statements)
    _plant(server, organisations[0], 9_900)
    many = _work(server.home, _statements(server, token))

    with closing(sqlite3.connect(Home(server.home).database)) as connection:
        plans = [
            detail
            for statement, values in statements
            for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    replies = [plan for plan in plans if "reply" in plan]
    server.close()

    assert len(replies) >= 2
    assert all(re.fullmatch(r"SEARCH \w+ USING PRIMARY KEY \(mailbox=\?( AND id=\?)?\)", plan) for plan in replies), (
        plans
    )
    assert few == many
    assert few > 0
