"""Whether there is anything in a mailbox does not show: the same statements, values and bytes, the same work."""

from __future__ import annotations

import io
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event

from support.client import bearer
from support.sealed import Box, Organisation, Sent, inward, keys_folder, three
from support.server import Here
from tipbox.formats.base import days
from tipbox.formats.base.limits import MAX_REPLIES
from tipbox.formats.base.primitives import random_bytes, sha256
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.mailbox_list import MOST_LISTED, SMALLEST_OPENING, Entry, MailboxList, encode_delete, encode_piece
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import import_bundles
from tipbox.server.home import Home
from tipbox.server.storage.reply_rows import MOST_OF_ONE

KINDS = ("unknown", "read", "one", "full")


@pytest.fixture(name="organisations", scope="module")
def _organisations() -> list[Organisation]:
    return three()


@pytest.fixture(name="server", scope="module", params=["sqlite", "postgresql"])
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


class Visitor:
    """Sends the three requests, and records what the server does for each."""

    def __init__(self, server: Here) -> None:
        self._client = server._client
        self._engine: Engine = server._store.engine

    @contextmanager
    def _recorded(self) -> Iterator[list[tuple[str, int]]]:
        done: list[tuple[str, int]] = []

        def note(_c: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool) -> None:  # noqa: FBT001
            done.append((statement, len(values)))

        event.listen(self._engine, "before_cursor_execute", note)
        try:
            yield done
        finally:
            event.remove(self._engine, "before_cursor_execute", note)

    def visit(self, path: str, body: bytes, box: Box) -> tuple[list[tuple[str, int]], bytes, list[tuple[str, str]]]:
        """The statements with their numbers of values, the answer, and its headers."""
        with self._recorded() as done:
            answer = self._client.post(f"/api/mailbox{path}", data=body, headers=bearer(box.token))
        assert answer.status_code == 200, answer.data
        return done, answer.data, list(answer.headers)


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
    """One mailbox of each kind, and a reply that is or was in it."""
    boxes = {kind: Box() for kind in KINDS}
    found = {kind: (box, box.reply(90_000)) for kind, box in boxes.items()}
    for kind in ("read", "one"):
        deliver(server, organisations[0], boxes[kind], [found[kind][1]])
    visitor.visit("/delete", encode_delete([found["read"][1].id]), boxes["read"])
    full = [found["full"][1], *(boxes["full"].reply() for _ in range(MOST_OF_ONE - 1))]
    deliver(server, organisations[0], boxes["full"], full)
    for one in organisations[1:]:
        deliver(server, one, boxes["full"], [boxes["full"].reply() for _ in range(MOST_OF_ONE)])
    return found


@pytest.mark.parametrize("path", ["", "/piece", "/delete"])
def test_all_mailboxes_cost_the_same_statements_and_bytes(
    visitor: Visitor, boxes: dict[str, tuple[Box, Sent]], path: str
) -> None:
    visits = {}
    for kind, (box, reply) in boxes.items():
        body = {"": b"", "/piece": encode_piece(reply.id, 0), "/delete": encode_delete([reply.id])}[path]
        visits[kind] = visitor.visit(path, body, box)
    statements, answer, headers = visits["unknown"]

    assert statements
    for kind, (done, data, lines) in visits.items():
        assert done == statements, kind
        assert len(data) == len(answer), kind
        assert lines == headers, kind
    assert visits["read"][1] == answer
    if path == "":
        counts = {kind: len(MailboxList.parse(data).entries) for kind, (_, data, _) in visits.items()}
        assert counts == {"unknown": 0, "read": 0, "one": 1, "full": 3 * MOST_OF_ONE}
    if path == "/piece":
        assert visits["one"][1] == boxes["one"][1].whole[: len(answer)].ljust(len(answer), b"\x00")


def test_the_number_of_ids_in_a_request_changes_no_statement(
    visitor: Visitor, boxes: dict[str, tuple[Box, Sent]]
) -> None:
    box, reply = boxes["full"]
    ids = [entry.id for entry in MailboxList.parse(visitor.visit("", b"", box)[1]).entries]
    assert reply.id in ids

    visits = [visitor.visit("/delete", encode_delete(named), box) for named in ([], [bytes(31) + b"1"], ids[:30])]

    assert visits[0] == visits[1] == visits[2]


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
    server._client.post("/api/mailbox", headers=bearer(Box(token).token))
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

    assert len(replies) == 2
    assert all(re.fullmatch(r"SEARCH \w+ USING PRIMARY KEY \(mailbox=\?( AND id=\?)?\)", plan) for plan in replies), (
        plans
    )
    assert few == many
    assert few > 0
