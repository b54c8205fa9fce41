"""What grows with the number of Envelopes holds up neither a start nor a request, and is not counted one by one."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, event, insert, select, update

from support.sealed import Organisation, Sent, envelope, inward
from support.server import Here
from tipbox.errors import DamagedItem
from tipbox.formats.base import days
from tipbox.formats.base.primitives import random_bytes, sha256
from tipbox.formats.bundles.acknowledgement import acknowledge
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import item_of
from tipbox.server.bundles import export, kept_exports
from tipbox.server.bundles.export import PreparedVolume, prepare_volumes, write_volumes
from tipbox.server.bundles.importing import ImportResult, import_bundles
from tipbox.server.config import load
from tipbox.server.home import Home
from tipbox.server.process.run import prepare_server
from tipbox.server.storage import sweep
from tipbox.server.storage.blobs import LocalBlobs
from tipbox.server.storage.executors import InPlaceThreads
from tipbox.server.storage.models import Envelope, FinishedToken, Ledger, Slot
from tipbox.server.storage.open_server import OpenServer, open_server
from tipbox.server.upkeep import check, estimate
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.estimate import about
from tipbox.server.upkeep.prune import prune_open_server, prune_server
from tipbox.server.web.courier_api import create_courier_app

pytestmark = pytest.mark.reads_date
ORPHAN = "f" * 32


def tokens(connection: Connection, count: int) -> None:
    rows = [{"token": random_bytes(32), "day": days.today(), "seen_day": number % 2} for number in range(count)]
    connection.execute(insert(FinishedToken), rows)


@contextmanager
def counted(server: OpenServer) -> Iterator[list[str]]:
    """The statements that are made meanwhile."""
    statements: list[str] = []

    def note(*given: Any) -> None:
        statements.append(given[2])

    event.listen(server.store.engine, "before_cursor_execute", note)
    yield statements
    event.remove(server.store.engine, "before_cursor_execute", note)


@pytest.mark.parametrize("rows", [0, 999, 4_000, 40_000])
def test_many_rows_are_estimated_by_a_sample(server: Here, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a fifth, more than six standard deviations of the smallest sample; few rows are counted."""
    monkeypatch.setattr(estimate, "COUNTED", 1_000)
    with open_server(server.home) as there:
        if rows:
            there.store.write(lambda connection: tokens(connection, rows))
        all_of_them, half = there.store.read(
            lambda connection: (
                about(connection, FinishedToken.token),
                about(connection, FinishedToken.token, FinishedToken.seen_day == 0),
            )
        )
    if rows < estimate.COUNTED:
        assert (all_of_them, half) == (rows, -(-rows // 2))
    assert abs(all_of_them - rows) <= rows / 5
    assert abs(half - rows / 2) <= rows / 10 + 1


def test_a_start_looks_for_what_a_crash_left_only_where_little_lies(
    server: Here, keys: Path, organisations: list[Organisation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many files or many rows the start does not wait for that; the next prune does it."""
    orphan = server.home / "blobs" / ORPHAN
    server.upload(envelope(organisations))
    monkeypatch.setattr(sweep, "FEW", 0)
    orphan.write_bytes(b"no row names this")
    with monkeypatch.context() as counted:
        counted.setattr(LocalBlobs, "has_more_than", lambda *_: False)
        prepare_server(server.home, keys)
    assert orphan.exists(), "by the rows"
    with monkeypatch.context() as counted:
        counted.setattr(sweep, "_has_many_rows", lambda _: False)
        prepare_server(server.home, keys)
    assert orphan.exists(), "by the files"

    assert prune_server(server.home).orphans == 1
    monkeypatch.setattr(sweep, "FEW", 1)
    orphan.write_bytes(b"nor this")
    prepare_server(server.home, keys)
    assert not orphan.exists()


def test_what_one_export_does_not_hold_comes_with_the_next(
    server: Here, organisations: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts first; and no more rows are read than one holds."""
    one, most = organisations[0], 3
    monkeypatch.setattr(export, "MOST_ENVELOPES", most)
    texts, files = [envelope(organisations) for _ in range(4)], envelope(organisations, 1_000)
    server.upload(files, *texts)
    exports: list[set[bytes]] = []
    for number in (1, 2):
        bundles = [one.read(path) for path in write_volumes(server.home, one.name, tmp_path / "out")]
        exports.append(
            {item.entry.hash for bundle in bundles for item in bundle.items if item.entry.kind == "envelope"}
        )
        items = [item_of("ack", acknowledge(sorted(exports[-1]), one.desk))]
        import_bundles(server.home, [inward(tmp_path / "in", one, bundles[0], items, number, head=bytes(32))])

    assert [len(found) for found in exports] == [most, 2]
    assert exports[0] | exports[1] == {sent.id for sent in (*texts, files)}
    assert exports[0] <= {sent.id for sent in texts}


def test_to_list_an_export_again_costs_the_same_however_much_it_holds(
    server: Here, organisations: list[Organisation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its Envelopes nor all that is kept of its volumes is read; who takes one out of it says so."""
    one, today = organisations[0].name, days.today()
    monkeypatch.setattr(export, "_FIRST_ITEMS", 1)
    costs: list[tuple[int, int]] = []
    loaded: list[str] = []
    load = PreparedVolume.load

    def loads(name: str, data: bytes) -> PreparedVolume:
        loaded.append(name)
        return load(name, data)

    monkeypatch.setattr(PreparedVolume, "load", loads)
    with open_server(server.home) as there:
        for more in (1, 4):
            server.upload(*(envelope(organisations) for _ in range(more)))
            kept_exports.forget(there, one)
            listed = kept_exports.present_export(there, one, today)
            loaded.clear()
            with counted(there) as statements:
                assert kept_exports.present_export(there, one, today) == listed
            costs.append((len(statements), len(loaded)))
    assert len(listed) == 5
    assert costs[0] == costs[1]
    assert costs[0][1] == 1


def test_an_export_of_which_something_has_gone_is_listed_no_more(
    server: Here, organisations: list[Organisation]
) -> None:
    """What expired is not in the next one; what was lost in another way is noticed when it is fetched."""
    one, today = organisations[0].name, days.today()
    sent = [envelope(organisations) for _ in range(3)]
    server.upload(*sent)
    couriers = create_courier_app(Home(server.home), load(server.home), threads=InPlaceThreads()).test_client()

    def listed() -> list[str]:
        answer = couriers.get(f"/courier/bundles/{one}").json
        assert answer is not None
        return [volume["name"] for volume in answer["volumes"]]

    first = listed()
    assert listed() == first
    with open_server(server.home) as there:
        there.store.write(lambda connection: connection.execute(delete(Slot).where(Slot.envelope == sent[0].id)))
        there.store.write(lambda connection: connection.execute(delete(Envelope).where(Envelope.id == sent[0].id)))
    assert listed() == first
    assert couriers.get(f"/courier/bundles/{one}/{first[0]}").status_code == 404
    second = listed()
    assert second != first
    assert couriers.get(f"/courier/bundles/{one}/{first[0]}").status_code == 404
    assert listed() == second, "to ask for an old one withdraws no other"
    with open_server(server.home) as there:
        there.store.write(
            lambda connection: connection.execute(
                update(Envelope).where(Envelope.id == sent[1].id).values(seen_day=-1_000)
            )
        )
        assert prune_open_server(there, confirm_clock=False, today=today).envelopes == 1
    third = listed()
    assert third != second
    assert couriers.get(f"/courier/bundles/{one}/{third[0]}").status_code == 200
    back = inward_of(server, organisations[0], sent[2])
    assert back.is_complete
    assert listed() != third


def inward_of(server: Here, organisation: Organisation, sent: Sent) -> ImportResult:
    """Its desk acknowledges one, and the operator imports that by hand."""
    out = server.home.parent / "out"
    bundle = organisation.read(write_volumes(server.home, organisation.name, out)[0])
    items = [item_of("ack", acknowledge([sent.id], organisation.desk))]
    (taken,) = import_bundles(server.home, [inward(out / "in", organisation, bundle, items, head=bytes(32))])
    return taken


def test_volumes_that_an_earlier_version_kept_are_read(server: Here, organisations: list[Organisation]) -> None:
    """It kept them as they are."""
    server.upload(envelope(organisations))
    with open_server(server.home) as there:
        volume, *_ = prepare_volumes(there, organisations[0].name, days.today())
    before = len(volume.report).to_bytes(4) + volume.report + volume.sealed.save()

    assert PreparedVolume.load(volume.name, before).sealed == volume.sealed
    assert PreparedVolume.load(volume.name, volume.save()) == volume
    assert len(volume.save()) < len(before)


def test_a_body_that_is_lost_keeps_no_other_here(server: Here, organisations: list[Organisation]) -> None:
    """From wherever a download goes on; its desk finds it damaged, and acknowledges only the others."""
    one, sizes = organisations[0], (200_000, 70_000, 140_000)
    server.upload(*(envelope([one], size) for size in sizes))
    with open_server(server.home) as there:
        (volume,) = prepare_volumes(there, one.name, days.today())
        whole = b"".join(volume.pieces(there))
        lost = volume.envelopes[1]
        blob = there.store.read(
            lambda connection: connection.execute(select(Envelope.blob).where(Envelope.id == lost)).scalar_one()
        )
        assert blob is not None
        there.blobs.delete([blob])
        after = b"".join(volume.pieces(there))
        for begin in range(0, len(whole), 50_000):
            assert sum(map(len, volume.pieces(there, begin))) == len(whole) - begin
        assert blob_is_in_place_of(there, blob, b"short")
        assert len(b"".join(volume.pieces(there))) == len(whole)

    assert len(after) == len(whole)
    bundle, read = Bundle(io.BytesIO(after), one.id, one.find_key), []
    for item in bundle.items:
        with suppress(DamagedItem):
            assert sha256(b"".join(bundle.read(item)))
            read.append(item.entry.hash)
    assert set(volume.envelopes) - set(read) == {lost}


def blob_is_in_place_of(server: OpenServer, blob: str, data: bytes) -> bool:
    (server.home.blobs / blob).write_bytes(data)
    return server.blobs.size(blob) == len(data)


def test_a_check_looks_at_no_more_of_a_large_server_than_of_a_small_one(
    server: Here, organisations: list[Organisation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many bodies it looks at some, others each time; few are all looked at, and added up to the byte."""

    def wrong() -> list[str]:
        return [finding.check for finding in check_server(server.home) if not finding.ok]

    def count_bytes(change: int) -> None:
        with open_server(server.home) as there:
            there.store.write(lambda connection: connection.execute(update(Ledger).values(body_bytes=change)))

    looked: list[int] = []
    sizes = LocalBlobs.sizes

    def noted(store: LocalBlobs, names: Collection[str]) -> dict[str, int | None]:
        looked.append(len(names))
        return sizes(store, names)

    monkeypatch.setattr(LocalBlobs, "sizes", noted)
    server.upload(*(envelope(organisations, 1_000) for _ in range(9)))
    assert wrong() == []
    assert looked == [9, 0, 0]
    right = server.read(lambda connection: connection.execute(select(Ledger.body_bytes)).scalar_one())
    count_bytes(right + 1)
    assert wrong() == ["ledger"]

    monkeypatch.setattr(check, "_SAMPLE", 4)
    looked.clear()
    assert wrong() == [], "more than was added up"
    assert looked == [4, 0, 0]
    count_bytes(right // 3)
    assert wrong() == ["ledger"], "less than was added up"
    count_bytes(right)
    next((server.home / "blobs").iterdir()).unlink()
    assert any(wrong() == ["blobs"] for _ in range(100))


def test_one_that_is_carried_while_a_check_looks_is_not_called_lost(
    server: Here, organisations: list[Organisation], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.upload(envelope(organisations, 1_000))
    sizes = LocalBlobs.sizes

    def carried(store: LocalBlobs, names: Collection[str]) -> dict[str, int | None]:
        with open_server(server.home) as there:
            there.store.write(lambda connection: connection.execute(delete(Slot)))
            there.store.write(lambda connection: connection.execute(delete(Envelope)))
            there.store.write(lambda connection: connection.execute(update(Ledger).values(body_bytes=0)))
        store.delete(names)
        return sizes(store, names)

    monkeypatch.setattr(LocalBlobs, "sizes", carried)
    assert [finding.check for finding in check_server(server.home) if not finding.ok] == []
