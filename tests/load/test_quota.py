"""Quotas and the clock, in a database of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Row, Select, insert, select, update

from support.sealed import Organisation, Sent, envelope
from tipbox.formats.base.padding import sealed_body_size
from tipbox.formats.base.primitives import sha256
from tipbox.formats.envelopes.header import Header
from tipbox.formats.envelopes.seals import End
from tipbox.server.config import Config, Quota
from tipbox.server.home import Home
from tipbox.server.refusal import Refusal
from tipbox.server.storage import clock, envelope_rows
from tipbox.server.storage.database import make_engine, make_file, migrate
from tipbox.server.storage.disk import Disk
from tipbox.server.storage.models import Draft, Ledger, Run
from tipbox.server.storage.models import Organisation as OrganisationRow
from tipbox.server.storage.transactions import Deletion, Store
from tipbox.server.uploads import drafts
from tipbox.server.uploads.drafts import AdmissionTerms, Opening, PartsReceived
from tipbox.server.uploads.quota import holdings, must_fit

pytestmark = pytest.mark.reads_date

GB = 10**9
DAY = date(2026, 11, 23)
ROOMY = Disk(total=1000 * GB, free=900 * GB, holds_bodies=True)


@pytest.fixture(name="store")
def _store(tmp_path: Path, organisations: list[Organisation]) -> Iterator[Store]:
    home = Home(tmp_path / "home")
    home.make()
    make_file(home)
    engine = make_engine(home, Config())
    migrate(engine)
    store = Store(engine)
    store.write(lambda connection: pin(connection, organisations))
    yield store
    engine.dispose()


def pin(connection: Connection, organisations: list[Organisation]) -> None:
    connection.execute(update(Ledger).values(last_day=DAY))
    for one in organisations:
        row = OrganisationRow(id=one.id, name=one.name, identity=one.identity.verify_key.encode())
        values = {"id": row.id, "name": row.name, "identity": row.identity}
        connection.execute(insert(OrganisationRow), values)


def sized(sent: Sent, body_size: int) -> Opening:
    """The opening of ``sent`` with another body size: the server cannot tell."""
    return Opening(sent.token_hash, replace(Header.parse(sent.header), body_size=body_size), sent.letter, sent.trailer)


def opens(
    store: Store, opening: Opening, *, quota: Quota | None = None, disk: Disk = ROOMY, day: date = DAY
) -> drafts.State | str:
    """The state, or the code of the refusal."""
    try:
        return change(store, opening, quota=quota, disk=disk, day=day).state
    except Refusal as refusal:
        return refusal.code


def change(
    store: Store, opening: Opening, *, quota: Quota | None = None, disk: Disk = ROOMY, day: date = DAY
) -> drafts.Change:
    """What an opening does."""
    terms = AdmissionTerms(quota or Quota(), disk, set())
    return store.write(lambda connection: drafts.open_draft(connection, opening, day, terms))


def test_drafts_are_counted(store: Store, organisations: list[Organisation]) -> None:
    quota = Quota(drafts=1)
    first = sized(envelope(organisations), 65536)

    assert isinstance(opens(store, first, quota=quota), drafts.State)
    assert opens(store, sized(envelope(organisations), 65536), quota=quota) == "full"
    assert isinstance(opens(store, first, quota=quota), drafts.State)
    assert opens(store, sized(envelope(organisations), 0), quota=quota) == drafts.STORED


def test_announced_bytes_are_reserved_when_a_draft_is_opened(store: Store, organisations: list[Organisation]) -> None:
    quota = Quota(draft_bytes=3 * 2**20)

    assert isinstance(opens(store, sized(envelope(organisations), 2**21), quota=quota), drafts.State)
    assert opens(store, sized(envelope(organisations), 2**21), quota=quota) == "full"


def test_one_body_takes_a_quarter_of_what_couriers_have_left(store: Store, organisations: list[Organisation]) -> None:
    quota = Quota(carry_capacity=64 * 2**30, draft_bytes=64 * 2**30)
    sizes = (17, 15, 13, 11, 1)  # GiB; sealing adds a little to each, and 49 are left for the third of them

    answers = [opens(store, sized(envelope(organisations), size * 2**30), quota=quota) for size in sizes]

    assert [answer == "full" for answer in answers] == [True, False, True, False, False]
    assert opens(store, sized(envelope(organisations), 0), quota=quota) == drafts.STORED


def test_bodies_leave_a_fifth_of_the_disk_to_letters(store: Store, organisations: list[Organisation]) -> None:
    disk = Disk(total=10 * GB, free=5 * GB, holds_bodies=True)

    assert opens(store, sized(envelope(organisations), 2**31), disk=disk) == "full"  # twice that until it is merged
    assert isinstance(opens(store, sized(envelope(organisations), 2**30), disk=disk), drafts.State)
    assert opens(store, sized(envelope(organisations), 0), disk=disk) == drafts.STORED


def test_the_fifth_of_a_large_disk_is_a_bounded_one(store: Store, organisations: list[Organisation]) -> None:
    disk = Disk(total=1000 * GB, free=100 * GB, holds_bodies=True)

    assert isinstance(opens(store, sized(envelope(organisations), 2**33), disk=disk), drafts.State)


def test_bodies_in_s3_do_not_need_the_disk(store: Store, organisations: list[Organisation]) -> None:
    disk = Disk(total=100 * GB, free=1 * GB, holds_bodies=False)

    assert isinstance(opens(store, sized(envelope(organisations), 2**32), disk=disk), drafts.State)


def test_a_full_disk_takes_nothing(store: Store, organisations: list[Organisation]) -> None:
    disk = Disk(total=100 * GB, free=10**6, holds_bodies=True)

    assert opens(store, sized(envelope(organisations), 0), disk=disk) == "full"


def test_stored_bodies_count_until_they_are_gone(store: Store, organisations: list[Organisation]) -> None:

    sent = envelope(organisations, 300_000)
    opening = sized(sent, Header.parse(sent.header).body_size)
    received = PartsReceived([sha256(part) for part in sent.parts], [part[:16] for part in sent.parts])
    whole = End(sent.hash, sent.trailer, sent.id)
    stored = sealed_body_size(opening.header.body_size)
    assert stored == sum(len(part) for part in sent.parts)

    assert isinstance(opens(store, opening), drafts.State)
    store.write(lambda connection: drafts.add_run(connection, opening.token, 0, received, "a" * 32))
    end = store.write(lambda connection: drafts.commit(connection, opening.token, whole, "b" * 32, DAY))
    assert end == drafts.Commit(used=True, old_blobs=["a" * 32])
    assert store.read(lambda connection: connection.execute(select(Ledger.body_bytes)).scalar_one()) == stored

    gone = store.write(lambda connection: envelope_rows.delete_old(connection, 0, 2))
    assert gone == Deletion(1, ["b" * 32])
    assert store.read(lambda connection: connection.execute(select(Ledger.body_bytes)).scalar_one()) == 0


def _rows(connection: Connection, statement: Select[Any]) -> list[Row[Any]]:
    return [*connection.execute(statement)]


def ticks(store: Store, *steps: int) -> list[tuple[int, bool]]:
    return [
        (now.days_seen, now.held)
        for step in steps
        for now in [store.write(partial(clock.tick, today=DAY + timedelta(step)))]
    ]


def test_each_day_counts_once(store: Store) -> None:
    assert ticks(store, 0, 0, 1, 1, 2, 4) == [(0, False), (0, False), (1, False), (1, False), (2, False), (3, False)]


def test_a_jump_holds_the_clock_until_it_is_confirmed(store: Store) -> None:
    assert ticks(store, 3, 3, 4) == [(1, True), (1, True), (2, True)]
    assert not store.write(lambda connection: clock.confirm(connection, DAY + timedelta(4))).held
    assert ticks(store, 4, 5) == [(2, False), (3, False)]


def test_a_clock_that_goes_back_far_is_held_and_counts_no_day_twice(store: Store) -> None:
    assert ticks(store, 2, 1, 2) == [(1, False), (1, False), (1, False)]
    assert ticks(store, -5, 2) == [(1, True), (2, True)]


def test_drafts_that_stand_still_since_yesterday_give_way_and_those_that_move_do_not(
    store: Store, organisations: list[Organisation]
) -> None:
    quota = Quota(drafts=2)
    moving, still = sized(envelope(organisations), 2**20), sized(envelope(organisations), 2**20)
    for one in (moving, still):
        assert isinstance(opens(store, one, quota=quota), drafts.State)
    parts = PartsReceived([bytes(32)] * 9, [bytes(16)] * 9)  # of 16
    store.write(lambda connection: drafts.add_run(connection, moving.token, 0, parts, "a" * 32))

    assert opens(store, sized(envelope(organisations), 2**20), quota=quota) == "full", "both are of today"
    new = sized(envelope(organisations), 2**20)
    assert isinstance(opens(store, new, quota=quota, day=DAY + timedelta(1)), drafts.State)
    found = {
        one.token: True
        for one in (moving, still, new)
        if store.read(partial(_rows, statement=_DRAFT.where(Draft.token == one.token)))
    }
    assert set(found) == {moving.token, new.token}
    assert opens(store, sized(envelope(organisations), 2**20), quota=quota, day=DAY + timedelta(1)) == "full"


def test_it_is_known_before_anybody_works_whether_there_will_be_room(
    store: Store, organisations: list[Organisation]
) -> None:
    """By the same bounds, with all that would give way, and nothing does yet."""
    quota, size = Quota(drafts=2, draft_bytes=3 * 2**20), 2**20
    still, moving = sized(envelope(organisations), size), sized(envelope(organisations), size)

    def fits(body_size: int, day: date, disk: Disk = ROOMY) -> bool:
        held = store.read(lambda connection: holdings(connection, clock.look(connection, day)))
        try:
            must_fit(quota, disk, held, body_size)
        except Refusal as refusal:
            return refusal.code != "full"
        return True

    assert fits(size, DAY)
    assert not fits(3 * size, DAY)
    for one in (still, moving):
        assert isinstance(opens(store, one, quota=quota), drafts.State)
    parts = PartsReceived([bytes(32)] * 9, [bytes(16)] * 9)  # of 16
    store.write(lambda connection: drafts.add_run(connection, moving.token, 0, parts, "a" * 32))
    tomorrow = DAY + timedelta(1)

    assert not fits(size, DAY), "both are of today"
    assert fits(size, tomorrow), "one stands still"
    assert not fits(2 * size, tomorrow), "the other one stays"
    assert not fits(size, DAY + timedelta(9)), "while the clock is in doubt nothing is of an earlier day"
    assert fits(0, DAY)
    assert not fits(0, DAY, replace(ROOMY, free=0))
    assert not fits(size, tomorrow, replace(ROOMY, free=4 * GB))
    found = store.read(partial(_rows, statement=_DRAFT))
    assert len(found) == 2


def test_uploads_of_yesterday_give_way_in_the_order_of_what_they_cost(
    store: Store, organisations: list[Organisation]
) -> None:
    """Whoever wants to hold room for longer than a day has to send more than half of what he holds."""
    quota = Quota(drafts=5)
    still, whole, quarter, third, most = (sized(envelope(organisations), 2**20) for _ in range(5))
    for one, count in ((still, 0), (whole, 16), (quarter, 2), (third, 5), (most, 9)):
        assert isinstance(opens(store, one, quota=quota), drafts.State)
        parts, name = PartsReceived([bytes(32)] * count, [bytes(16)] * count), f"{count:032x}"
        if count:
            store.write(partial(drafts.add_run, token=one.token, first=0, parts=parts, blob=name))
    left = [{whole, quarter, third, most}, {quarter, third, most}, {third, most}, {most}]
    for expected in left:
        new = sized(envelope(organisations), 2**20)
        before = blobs(store)
        gone = change(store, new, quota=quota, day=DAY + timedelta(1)).old_blobs
        # They go at once: a sweep may be a night away, and the room is needed now.
        assert sorted(gone) == sorted(before - blobs(store))
        found = set(store.read(lambda connection: connection.execute(_DRAFT).scalars().all()))
        assert {one.token for one in expected} == found & {one.token for one in (still, whole, quarter, third, most)}
    assert opens(store, sized(envelope(organisations), 2**20), quota=quota, day=DAY + timedelta(1)) == "full"


def test_one_announcement_does_not_keep_files_out_for_a_fortnight(
    store: Store, organisations: list[Organisation]
) -> None:
    quota = Quota(draft_bytes=2**31, carry_capacity=2**40)

    assert isinstance(opens(store, sized(envelope(organisations), 2**30), quota=quota), drafts.State)
    assert opens(store, sized(envelope(organisations), 2**30), quota=quota) == "full"
    assert isinstance(
        opens(store, sized(envelope(organisations), 2**30), quota=quota, day=DAY + timedelta(1)), drafts.State
    )


_DRAFT = select(Draft.token)


def blobs(store: Store) -> set[str]:
    """Those that rows of runs name."""
    return set(store.read(lambda connection: connection.execute(select(Run.blob)).scalars().all()))


def test_a_run_is_compared_with_what_came_since_its_draft_was_seen(
    store: Store, organisations: list[Organisation]
) -> None:
    """Of a draft that is still as it was seen nothing is read again: whoever saw it earlier must not be believed."""
    opening = sized(envelope(organisations), 2**20)
    assert isinstance(opens(store, opening), drafts.State)
    seen = store.read(partial(drafts.find, token=opening.token))

    def run(first: int, *marks: int) -> drafts.Change:
        parts = PartsReceived([bytes([mark]) * 32 for mark in marks], [bytes(16)] * len(marks))
        return store.write(
            lambda connection: drafts.add_run(connection, opening.token, first, parts, "a" * 32, seen=seen)
        )

    assert run(0, 1, 2, 3).used
    assert run(0, 1, 2, 3) == drafts.Change(drafts.State(stored=False, missing=[(3, 13)]), used=False, still_new=[])
    assert run(2, 3, 4).still_new == [(3, 1)]
    with pytest.raises(Refusal) as refused:
        run(1, 9)
    assert refused.value.code == "part-differs"
    assert run(3, 4).used, "it is new, though more has come since"
    rows = store.read(lambda connection: connection.execute(select(Run.first, Run.count).order_by(Run.first)).all())
    assert [tuple(row) for row in rows] == [(0, 3), (3, 1)]
    assert store.read(partial(drafts.find, token=opening.token)).missing == [(4, 12)]  # type: ignore[union-attr]
