"""Texts that wait at the same time share their statements: each is a way to PostgreSQL and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, func, insert, select

from support.sealed import Organisation, Sent, envelope
from tipbox.formats.base import days
from tipbox.formats.envelopes.header import Header
from tipbox.server.config import Quota, load
from tipbox.server.home import Home
from tipbox.server.refusal import Refusal
from tipbox.server.storage.database import make_engine, migrate
from tipbox.server.storage.disk import Disk
from tipbox.server.storage.executors import Outcome
from tipbox.server.storage.models import DayCount, Envelope, FinishedToken, Slot
from tipbox.server.storage.models import Organisation as OrganisationRow
from tipbox.server.storage.transactions import Store, _Item
from tipbox.server.uploads import drafts
from tipbox.server.uploads.drafts import AdmissionTerms, Asked, Opening

pytestmark = [
    pytest.mark.real_clock("PostgreSQL says which day it is, and is not ours to be told another"),
    pytest.mark.usefixtures("database"),
]
ROOMY = Disk(total=10**12, free=10**12, holds_bodies=True)
KNOWN: set[bytes] = set()
"""As a worker has it: organisations are asked for once."""
FULL = Disk(total=10**12, free=0, holds_bodies=True)


@pytest.fixture(name="engine")
def _engine(tmp_path: Path, organisations: list[Organisation]) -> Iterator[Engine]:
    engine = make_engine(Home(tmp_path), load(tmp_path))
    migrate(engine)
    rows = [{"id": one.id, "name": one.name, "identity": one.identity.verify_key.encode()} for one in organisations]
    Store(engine).write(lambda connection: connection.execute(insert(OrganisationRow), rows))
    yield engine
    engine.dispose()


def asked(sent: Sent, disk: Disk = ROOMY) -> Asked:
    opening = Opening(sent.token_hash, Header.parse(sent.header), sent.letter, sent.trailer)
    return Asked(opening, days.today(), AdmissionTerms(Quota(), disk, KNOWN))


def together(store: Store, *several: Asked) -> list[Outcome]:
    """As a worker's thread runs those that wait."""
    return store._run([_Item(unused, writes=True, together=drafts.open_texts, argument=one) for one in several])


def unused(connection: Connection) -> None:
    raise AssertionError(connection)


def told(outcomes: list[Outcome]) -> list[drafts.State | str]:
    return [error.code if isinstance(error, Refusal) else value.state for value, error in outcomes]


def counted(store: Store) -> tuple[int, ...]:
    """Envelopes, slots, tokens, and what the day counts."""
    return store.read(
        lambda connection: tuple(
            connection.execute(select(number)).scalar_one()
            for number in (
                *(
                    select(func.count()).select_from(table).scalar_subquery()
                    for table in (Envelope, Slot, FinishedToken)
                ),
                select(func.sum(DayCount.letters)).scalar_subquery(),
            )
        )
    )


def test_many_cost_as_many_statements_as_two(engine: Engine, organisations: list[Organisation]) -> None:
    store, statements = Store(engine), []
    event.listen(engine, "before_cursor_execute", lambda *found: statements.append(found[2]))

    used = []
    together(store, asked(envelope(organisations)), asked(envelope(organisations)))
    for number in (2, 20):
        statements.clear()
        assert (
            told(together(store, *(asked(envelope(organisations)) for _ in range(number)))) == [drafts.STORED] * number
        )
        used.append(len(statements))
    assert used[0] == used[1] <= 8, statements
    assert counted(store) == (24, 72, 24, 24)


def test_one_that_is_refused_takes_no_other_with_it(engine: Engine, organisations: list[Organisation]) -> None:
    store = Store(engine)
    known, stranger = envelope(organisations), envelope([Organisation("stranger")])
    outcomes = together(store, asked(envelope(organisations), FULL), asked(known), asked(stranger))

    assert told(outcomes) == ["full", drafts.STORED, "unknown-organisation"]
    assert counted(store) == (1, 3, 1, 1)


def test_the_same_twice_is_stored_once(engine: Engine, organisations: list[Organisation]) -> None:
    """Under one token, as when an answer was lost; under two; and one that is stored already."""
    store, one, other = Store(engine), envelope(organisations), envelope(organisations)
    outcomes = together(store, asked(one), asked(one), asked(one.again()), asked(other))
    again = together(store, asked(one), asked(one.again()), asked(other))

    assert told(outcomes) == [drafts.STORED] * 4
    assert told(again) == [drafts.STORED] * 3
    assert [value.used for value, _ in (*outcomes, *again)] == [True, False, True, True, False, True, False]
    assert counted(store) == (2, 6, 4, 4)


def test_a_token_of_an_upload_that_is_open_is_not_used_again(engine: Engine, organisations: list[Organisation]) -> None:
    store, files, text = Store(engine), envelope(organisations, 70_000), envelope(organisations)
    begun = asked(files)
    store.write(lambda connection: drafts.open_draft(connection, begun.opening, begun.today, begun.terms))
    under_its_token = asked(Sent(text.header, text.letter, text.parts, text.trailer, files.token))

    assert told(together(store, asked(envelope(organisations)), under_its_token)) == [drafts.STORED, "draft-differs"]
