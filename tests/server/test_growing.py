"""What grows with the number of Envelopes holds up neither a start nor a request, and is not counted one by one."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select

from support.sealed import Organisation, envelope, inward, keys_folder, three
from support.server import Here
from tipbox.errors import DamagedItem
from tipbox.formats.base import days
from tipbox.formats.base.primitives import random_bytes, sha256
from tipbox.formats.bundles.acknowledgement import acknowledge
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import item_of
from tipbox.server.bundles import export
from tipbox.server.bundles.export import PreparedVolume, prepare_volumes, write_volumes
from tipbox.server.bundles.importing import import_bundles
from tipbox.server.process.run import prepare_server
from tipbox.server.storage import sweep
from tipbox.server.storage.blobs import LocalBlobs
from tipbox.server.storage.models import Envelope, FinishedToken
from tipbox.server.storage.open_server import OpenServer, open_server
from tipbox.server.upkeep import estimate
from tipbox.server.upkeep.estimate import about
from tipbox.server.upkeep.prune import prune_server

pytestmark = pytest.mark.reads_date
ORPHAN = "f" * 32


@pytest.fixture(name="organisations", scope="module")
def _organisations() -> list[Organisation]:
    return three()


@pytest.fixture(name="keys")
def _keys(organisations: list[Organisation], tmp_path: Path) -> Path:
    return keys_folder(tmp_path / "keys", organisations)


@pytest.fixture(name="server")
def _server(keys: Path, tmp_path: Path) -> Iterator[Here]:
    server = Here(tmp_path / "home", keys)
    yield server
    server.close()


def tokens(connection: Connection, count: int) -> None:
    rows = [{"token": random_bytes(32), "day": days.today(), "seen_day": number % 2} for number in range(count)]
    connection.execute(insert(FinishedToken), rows)


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
