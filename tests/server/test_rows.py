"""Rows of Envelopes and replies, and the sums of their bytes: one owner each, and the sums are those of the rows."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection, func, insert, select

import tipbox.server
from support.sealed import envelope, three
from tipbox.formats.base.limits import MAILBOX_TOKENS
from tipbox.formats.base.padding import sealed_body_size
from tipbox.formats.base.primitives import sha256
from tipbox.formats.envelopes.header import Header
from tipbox.formats.envelopes.seals import End
from tipbox.server.backup.fill import clear
from tipbox.server.config import Config
from tipbox.server.home import Home
from tipbox.server.storage import envelope_rows, reply_rows
from tipbox.server.storage.database import make_engine, make_file, migrate
from tipbox.server.storage.envelope_rows import EnvelopeRow
from tipbox.server.storage.models import Decoy, DecoyOpening, Envelope, Ledger, Reply, ReplyOpening, Slot
from tipbox.server.storage.models import Organisation as OrganisationRow
from tipbox.server.storage.reply_rows import ReplyRow
from tipbox.server.storage.transactions import Store

PACKAGE = Path(tipbox.server.__file__).parent
ORGANISATIONS = three()
BOXES = [bytes([number]) * 32 for number in range(2)]
DECOYS = [bytes([number]) * 32 for number in range(100, 100 + MAILBOX_TOKENS)]
HEADERS = [Header.parse(envelope(chosen).header) for chosen in (ORGANISATIONS, ORGANISATIONS[:1], ORGANISATIONS[1:])]
DAY = date(2026, 11, 23)
LETTER = b"sealed letter"
days_seen = st.integers(0, 5)
sizes = st.sampled_from([0, 1000, 65_536, 1_000_000])
organisations = st.sampled_from([one.id for one in ORGANISATIONS])


@pytest.fixture(name="empty", scope="module")
def _empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database with its organisations, to copy: migrating takes longer than everything else here."""
    home = Home(tmp_path_factory.mktemp("empty"))
    home.make()
    make_file(home)
    engine = make_engine(home, Config())
    migrate(engine)
    Store(engine).write(pin)
    engine.dispose()
    return home.path


def pin(connection: Connection) -> None:
    for one in ORGANISATIONS:
        values = {"id": one.id, "name": one.name, "identity": one.identity.verify_key.encode()}
        connection.execute(insert(OrganisationRow).values(values))


class Rows(RuleBasedStateMachine):
    """Everything that changes rows, in any order."""

    empty: Path
    envelopes = Bundle("envelopes")
    replies = Bundle("replies")

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        shutil.copytree(self.empty, self._folder.name, dirs_exist_ok=True)
        self._engine = make_engine(Home(Path(self._folder.name)), Config())
        self._store = Store(self._engine)
        self._made = 0

    def teardown(self) -> None:
        self._engine.dispose()
        self._folder.cleanup()

    @rule(target=envelopes, size=sizes, seen=days_seen, header=st.sampled_from(HEADERS), done=st.sets(organisations))
    def store(self, size: int, seen: int, header: Header, done: set[bytes]) -> bytes:
        """As an upload, or as a restore: there some have acknowledged already."""
        ident = self._new_id()
        blob = ident.hex() if size else None
        end = End(sha256(ident), bytes(header.trailer_size), ident)
        row = EnvelopeRow(end, DAY, seen, replace(header, body_size=size), LETTER, blob, frozenset(done))
        self._store.write(lambda connection: envelope_rows.store(connection, row))
        assert not self._store.read(lambda connection: envelope_rows.is_new(connection, ident))
        return ident

    @rule(chosen=st.lists(envelopes, min_size=1, max_size=3))
    def stamp(self, chosen: list[bytes]) -> None:
        """As an export does, also for what has gone in between."""
        there = self._count(Envelope)
        stamps = {ident: bytes([number]) * 64 for number, ident in enumerate(chosen)}
        self._store.write(lambda connection: envelope_rows.keep_stamps(connection, stamps))
        assert self._count(Envelope) == there

    @rule(organisation=organisations, chosen=st.lists(envelopes, max_size=6))
    def acknowledge(self, organisation: bytes, chosen: list[bytes]) -> None:
        """Also what is gone, and what was acknowledged before."""
        before = self._count(Envelope)
        marking = self._store.write(lambda connection: envelope_rows.acknowledge(connection, organisation, chosen))
        assert self._count(Envelope) == before - marking.deletion.count

    @rule(last=days_seen, most=st.integers(1, 3))
    def prune_envelopes(self, last: int, most: int) -> None:
        before = self._count(Envelope)
        deletion = self._store.write(lambda connection: envelope_rows.delete_old(connection, last, most))
        assert self._count(Envelope) == before - deletion.count
        assert len(deletion.blobs) <= deletion.count <= most

    @rule(
        target=replies,
        box=st.sampled_from(BOXES),
        organisation=organisations,
        size=st.integers(1, 10**6),
        seen=days_seen,
        kept=st.booleans(),
    )
    def deposit(self, box: bytes, organisation: bytes, size: int, seen: int, *, kept: bool) -> ReplyRow:
        row = ReplyRow(box, self._new_id(), organisation, DAY, seen, size, bytes(52), None, b"opening" if kept else b"")
        assert self._store.write(lambda connection: reply_rows.store(connection, row))
        return row

    @rule(row=replies)
    def deposit_again(self, row: ReplyRow) -> None:
        before = self._count(Reply)
        new = self._store.write(lambda connection: reply_rows.store(connection, row))
        assert self._count(Reply) == before + new

    @rule(boxes=st.sets(st.sampled_from(BOXES)), chosen=st.lists(replies, max_size=4))
    def delete_replies(self, boxes: set[bytes], chosen: list[ReplyRow]) -> None:
        """By their source, who may also name replies of another mailbox, or some that are gone."""
        names = [row.id for row in chosen]
        asked = sorted([*boxes, *DECOYS[len(boxes) :]])
        named = select(func.count()).where(Reply.mailbox.in_(boxes), Reply.id.in_(names))
        before = self._count(Reply)
        there = self._store.read(lambda connection: connection.execute(named).scalar_one())

        self._store.write(lambda connection: reply_rows.delete_named(connection, asked, names))

        assert self._store.read(lambda connection: connection.execute(named).scalar_one()) == 0
        assert self._count(Reply) == before - there

    @rule(last=days_seen, most=st.integers(1, 3))
    def prune_replies(self, last: int, most: int) -> None:
        before = self._count(Reply)
        deletion = self._store.write(lambda connection: reply_rows.delete_old(connection, last, most))
        assert self._count(Reply) == before - deletion.count

    @rule()
    def begin_a_restore(self) -> None:
        """A restore into a database in which another one was cut off."""
        decoys = self._count(Decoy)
        self._store.write(clear)
        self._store.write(pin)
        assert (self._count(Envelope), self._count(Slot), self._count(Reply), self._count(ReplyOpening)) == (0,) * 4
        assert self._count(Decoy) == decoys > 0
        assert self._count(DecoyOpening) > 0

    @rule()
    def refuse(self) -> None:
        """A transaction that fails after it has written leaves no trace in rows or sums."""

        def work(connection: Connection) -> None:
            envelope_rows.delete_old(connection, 9, 9)
            reply_rows.delete_old(connection, 9, 9)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            self._store.write(work)

    @invariant()
    def the_sums_are_those_of_the_rows(self) -> None:
        self._store.read(check_sums)

    def _new_id(self) -> bytes:
        self._made += 1
        return self._made.to_bytes(32)

    def _count(self, table: type[Envelope | Slot | Reply | ReplyOpening | Decoy | DecoyOpening]) -> int:
        counted = select(func.count()).select_from(table)
        return self._store.read(lambda connection: connection.execute(counted).scalar_one())


def check_sums(connection: Connection) -> None:
    bodies, replies = connection.execute(select(Ledger.body_bytes, Ledger.reply_bytes)).one()
    sizes_now = connection.execute(select(Envelope.body_size)).scalars().all()
    held = connection.execute(select(Reply.organisation, Reply.size)).all()

    assert bodies == sum(sealed_body_size(size) for size in sizes_now)
    assert replies == sum(row[1] for row in held)
    for organisation, own in connection.execute(select(OrganisationRow.id, OrganisationRow.reply_bytes)):
        assert own == sum(row[1] for row in held if row[0] == organisation)


@pytest.mark.reads_date
def test_the_sums_are_those_of_the_rows_whatever_happens(empty: Path) -> None:
    Rows.empty = empty

    run_state_machine_as_test(Rows, settings=settings(max_examples=20, stateful_step_count=25, deadline=None))


# --- owners -----------------------------------------------------------------------------------------------------------

OWNERS = {
    "Envelope": "storage/envelope_rows.py",
    "Slot": "storage/envelope_rows.py",
    "Reply": "storage/reply_rows.py",
    "ReplyOpening": "storage/reply_rows.py",
    "Decoy": "storage/decoys.py",
    "DecoyOpening": "storage/decoys.py",
    "Server": "storage/identity.py",
    "StoredManifest": "storage/organisations.py",
    "StoredVolume": "bundles/kept_exports.py",
    "Gone": "storage/sweep.py",
    "Capsule": "uploads/capsules.py",
    "Host": "upkeep/hosts.py",
}
OF_OTHERS = {
    ("StoredVolume", "listed"): "storage/envelope_rows.py",
    ("Server", "swept"): "storage/sweep.py",
    ("Server", "sweep_after"): "storage/sweep.py",
}
"""Columns that another than the owner of their rows changes."""
SUMS = {
    ("Ledger", "body_bytes"): "storage/envelope_rows.py",
    ("Ledger", "reply_bytes"): "storage/reply_rows.py",
    ("Organisation", "reply_bytes"): "storage/reply_rows.py",
}
CLEARS_ALL = "backup/fill.py"
"""It deletes the rows of all tables by one loop, after the owners have emptied theirs."""
RAW = re.compile(r"\b(insert into|delete from|update) (envelope|slot|reply|reply_opening|ledger)\b", re.IGNORECASE)


def changes(source: str) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Every statement of a source that changes rows: verb, table, and the columns that it names."""
    names: dict[str, str] = {}
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
    inner = set()
    for node in ast.walk(tree):
        columns: set[str] = set()
        call: ast.expr = node if isinstance(node, ast.Call) else ast.Constant(None)
        while isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            if call.func.attr == "values":
                columns |= {keyword.arg or "**" for keyword in call.keywords}
                columns |= {"**" for _ in call.args}
            call = call.func.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            verb = names.get(call.func.id, call.func.id)
            if verb in {"insert", "update", "delete"} and call.args and id(call) not in inner:
                inner.add(id(call))  # a chain is walked from its outermost call to its innermost
                target = call.args[0]
                table = target.id if isinstance(target, ast.Name) else getattr(target, "attr", "?")
                yield verb, names.get(table, table), frozenset(columns)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (found := RAW.search(node.value)):
            yield "raw", found[2], frozenset()


def strangers(source: str, path: str) -> list[tuple[str, str]]:
    """The statements of a file that change what another one owns."""
    tables = {*OWNERS, *(table for table, _ in SUMS), "Draft", "DraftLetter", "Run", "FinishedToken", "DayCount"}
    tables |= {"Deposit", "RefusedItem", "InwardBundle", "Series", "CustodyHead"}
    found = []
    for verb, table, columns in changes(source):
        if verb == "update" and columns and all(OF_OTHERS.get((table, column)) == path for column in columns):
            continue
        owners = {OWNERS[table]} if table in OWNERS else set()
        for (of, column), owner in SUMS.items():
            if of == table and verb == "update" and columns & {column, "**"}:
                owners.add(owner)
        if table not in tables and path != CLEARS_ALL:
            owners.add("nobody")
        if owners - {path}:
            found.append((verb, table))
    return found


def test_nothing_but_their_owner_changes_rows_and_sums() -> None:
    sources = [path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts]
    assert len(sources) > 40
    for path in sources:
        name = path.relative_to(PACKAGE).as_posix()
        assert strangers(path.read_text(encoding="utf-8"), name) == [], name
    owners = sorted({*OWNERS.values()})
    owned = [one for owner in owners for one in changes((PACKAGE / owner).read_text(encoding="utf-8"))]
    assert {table for _, table, _ in owned} == {*OWNERS, "Ledger", "Organisation"}, "the control: they are seen"


@pytest.mark.parametrize(
    "source",
    [
        "connection.execute(insert(Envelope).values(id=one))",
        "from models import Envelope as Row\ndelete(Row).where(Row.id == one)",
        "update(Slot).where(Slot.envelope == one).values(acknowledged=True)",
        "delete(models.Reply)",
        "from sqlalchemy import delete as remove\nremove(ReplyOpening)",
        "update(Ledger).values(body_bytes=0)",
        "update(Ledger).values(last_day=day, reply_bytes=0)",
        "update(Ledger).where(one).values({'body_bytes': 0})",
        "update(Organisation).values(**changed)",
        "connection.exec_driver_sql('DELETE FROM reply')",
        "for table in tables: delete(table)",
    ],
)
def test_every_way_to_change_them_is_seen(source: str) -> None:
    assert len(strangers(source, "upkeep/other.py")) == 1


@pytest.mark.parametrize("source", ["update(Ledger).values(held=False)", "update(DayCount).values(body_bytes=0)"])
def test_other_rows_and_columns_have_other_owners(source: str) -> None:
    assert strangers(source, "upkeep/other.py") == []
