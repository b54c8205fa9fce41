"""Texts, and runs of parts, that wait at the same time share their statements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest.mock import ANY

import pytest
from sqlalchemy import Connection, Engine, event, func, insert, select

from support.sealed import Organisation, Sent, envelope
from tipbox.formats.base import days
from tipbox.formats.envelopes.header import Header
from tipbox.server.config import Quota, load
from tipbox.server.home import Home
from tipbox.server.refusal import Refusal
from tipbox.server.storage.database import make_engine, make_file, migrate
from tipbox.server.storage.disk import Disk
from tipbox.server.storage.executors import Outcome
from tipbox.server.storage.models import DayCount, Envelope, FinishedToken, Run, Slot
from tipbox.server.storage.models import Organisation as OrganisationRow
from tipbox.server.storage.transactions import Store, Together, _Item
from tipbox.server.uploads import drafts
from tipbox.server.uploads.drafts import (
    AdmissionTerms,
    Asked,
    Change,
    DraftView,
    Opening,
    PartsReceived,
    RunReceived,
    State,
)

POSTGRESQL = pytest.param(
    "postgresql",
    marks=pytest.mark.real_clock("PostgreSQL says which day it is, and is not ours to be told another"),
)
ROOMY = Disk(total=10**12, free=10**12, holds_bodies=True)
KNOWN: set[bytes] = set()
"""As a worker has it: organisations are asked for once."""
FULL = Disk(total=10**12, free=0, holds_bodies=True)
SIZE = 2**20 - 1000
"""Of a body of 16 parts."""


@pytest.fixture(name="engine", params=[pytest.param("sqlite", marks=pytest.mark.reads_date), POSTGRESQL])
def _engine(request: pytest.FixtureRequest, tmp_path: Path, organisations: list[Organisation]) -> Iterator[Engine]:
    if request.param == "postgresql":
        request.getfixturevalue("database")
    else:
        make_file(Home(tmp_path))
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


def opened(store: Store, organisations: list[Organisation]) -> DraftView:
    """A draft of 16 parts, none of which has come."""
    one = asked(envelope(organisations, SIZE))
    store.write(lambda connection: drafts.open_draft(connection, one.opening, one.today, one.terms))
    return seen(store, one.opening.token)


def seen(store: Store, token: bytes) -> DraftView:
    found = store.read(partial(drafts.find, token=token))
    assert found is not None
    return found


def run_of(draft: DraftView, first: int, *marks: int) -> RunReceived:
    """Parts that have come; each of its own bytes by its mark."""
    parts = PartsReceived([bytes([mark]) * 32 for mark in marks], [bytes(16)] * len(marks))
    return RunReceived(draft, first, parts, f"{first:032x}")


def noted_together(store: Store, *several: RunReceived) -> list[Outcome]:
    return store._run([in_group(drafts.add_runs, one) for one in several])


def in_group(work: Together[Any], argument: object) -> _Item:
    """As ``write_together`` makes it."""

    def alone(connection: Connection) -> object:
        ((value, error),) = work(connection, [argument])
        if error is not None:
            raise error
        return value

    return _Item(alone, writes=True, together=work, argument=argument)


def rows_of_runs(store: Store) -> set[tuple[bytes, int, int]]:
    statement = select(Run.draft, Run.first, Run.count)
    return {(row[0], row[1], row[2]) for row in store.read(lambda connection: connection.execute(statement).all())}


def test_runs_of_many_drafts_cost_as_many_statements_as_two(engine: Engine, organisations: list[Organisation]) -> None:
    store, statements = Store(engine), []
    event.listen(engine, "before_cursor_execute", lambda *found: statements.append(found[2]))
    used = []
    for number in (2, 20):
        several = [opened(store, organisations) for _ in range(number)]
        statements.clear()
        outcomes = noted_together(store, *(run_of(one, 0, 1, 2) for one in several))
        used.append(len(statements))
        assert [value for value, _ in outcomes] == [Change(State(stored=False, missing=[(2, 14)]), used=True)] * number
        assert all(seen(store, one.token).missing == [(2, 14)] for one in several)
    assert used[0] == used[1] <= 4, statements
    assert {(first, count) for _, first, count in rows_of_runs(store)} == {(0, 2)}


def test_two_runs_of_one_draft_at_once_both_count(engine: Engine, organisations: list[Organisation]) -> None:
    store = Store(engine)
    one, other = opened(store, organisations), opened(store, organisations)
    outcomes = noted_together(
        store, run_of(one, 0, 1, 2), run_of(other, 3, 1), run_of(one, 2, 3), run_of(one, 0, 1, 2), run_of(one, 1, 9)
    )

    assert [error.code if isinstance(error, Refusal) else value.used for value, error in outcomes] == [
        True, True, True, False, "part-differs",
    ]  # fmt: skip
    assert seen(store, one.token).missing == [(3, 13)]
    assert seen(store, other.token).missing == [(0, 3), (4, 12)]
    assert rows_of_runs(store) == {(one.token, 0, 2), (one.token, 2, 1), (other.token, 3, 1)}


def test_one_that_is_not_as_it_was_seen_undoes_nothing_of_the_others(
    engine: Engine, organisations: list[Organisation]
) -> None:
    """It has other parts by now, or is gone; whoever likes can make such ones. All is one transaction still."""
    store = Store(engine)
    begun: list[Connection] = []
    still, moved, gone, last = (opened(store, organisations) for _ in range(4))
    noted_together(store, run_of(moved, 4, 5))
    store.write(partial(drafts.delete_draft, token=gone.token))
    event.listen(engine, "begin", begun.append)
    outcomes = noted_together(
        store, run_of(still, 0, 1), run_of(moved, 3, 4, 5), run_of(gone, 0, 1), run_of(moved, 0, 1), run_of(last, 0, 1)
    )

    assert len(begun) == 1
    assert [error.code if isinstance(error, Refusal) else value.used for value, error in outcomes] == [
        True, False, "no-draft", True, True,
    ]  # fmt: skip
    assert outcomes[1][0].still_new == [(3, 1)]
    assert rows_of_runs(store) == {(moved.token, 4, 1), (moved.token, 0, 1), (still.token, 0, 1), (last.token, 0, 1)}
    assert seen(store, moved.token).missing == [(1, 3), (5, 11)]


def test_texts_and_runs_in_one_group(engine: Engine, organisations: list[Organisation]) -> None:
    """Where one of them fails as none of them may, each is done alone, and what was done together is not done twice."""
    store = Store(engine)
    one, other = opened(store, organisations), opened(store, organisations)
    text, full = asked(envelope(organisations)), asked(envelope(organisations), FULL)
    broken = replace(run_of(other, 0, 1), blob=cast("str", object()))

    several = [
        *(in_group(drafts.open_texts, one) for one in (text, full)),
        *(in_group(drafts.add_runs, run) for run in (run_of(one, 0, 1), broken)),
        _Item(lambda connection: connection.execute(select(1)).scalar_one(), writes=True),
    ]
    outcomes = store._run(several)
    assert [type(error).__name__ if error else "" for _, error in outcomes] == ["", "Refusal", "", ANY, ""]
    assert outcomes[3][1] is not None
    assert counted(store) == (1, 3, 1, 3), "two drafts were opened besides"
    assert rows_of_runs(store) == {(one.token, 0, 1)}
