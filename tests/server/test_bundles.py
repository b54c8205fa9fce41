"""Export, import, pruning, check and status, beside a running server."""

from __future__ import annotations

import base64
import io
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from support.client import Client, bearer
from support.loopback import until
from support.sealed import Organisation, Sent, envelope, inward, keys_folder
from support.server import Here, Server, start
from tipbox.errors import Expired, InputRefused, NotFound, TipboxError
from tipbox.formats.base import days
from tipbox.formats.base.limits import MAX_ITEM, MAX_ITEMS
from tipbox.formats.base.primitives import SigningKey, random_bytes
from tipbox.formats.bundles.acknowledgement import acknowledge
from tipbox.formats.bundles.bundle import ENVELOPE, OUTWARD, Index, ItemEntry, Receipt
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import ItemSource, Volume, item_of, write_bundle
from tipbox.formats.bundles.report import Report
from tipbox.server.bundles.export import MOST_ENVELOPES, PendingEnvelope, PreparedVolume, plan, write_volumes
from tipbox.server.bundles.export import prepare_volumes as prepare_export
from tipbox.server.bundles.importing import ImportResult, import_bundles
from tipbox.server.config import SMALL_FREE
from tipbox.server.home import Home
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.models import Draft, Envelope, FinishedToken
from tipbox.server.storage.open_server import open_server
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.check_headers import headers
from tipbox.server.upkeep.prune import prune_server
from tipbox.server.upkeep.status import coarse, server_status

pytestmark = pytest.mark.reads_date


@pytest.fixture(name="live")
def _live(organisations: list[Organisation], tmp_path: Path) -> Iterator[Server]:
    server = start(tmp_path / "home", keys_folder(tmp_path / "keys", organisations), courier=True)
    yield server
    server.kill()
    assert "fault" not in server.log.read_text()


def fetch(server: Here | Server, organisation: Organisation, out: Path) -> tuple[Bundle, list[bytes], Report]:
    """Everything that an export gives to an organisation: its first Bundle, Envelopes in order, the report."""
    found: list[bytes] = []
    bundles = [organisation.read(path) for path in write_volumes(server.home, organisation.name, out)]
    report = b""
    for bundle in bundles:
        for item in bundle.items:
            data = b"".join(bundle.read(item))
            if item.entry.kind == "report":
                report = data
            else:
                found.append(data)
    return bundles[0], found, Report.parse(report)


def deliver(
    server: Here | Server, organisation: Organisation, outward: Bundle, items: Sequence[ItemSource], sequence: int = 1
) -> ImportResult:
    path = inward(server.home.parent / "inward.bundle", organisation, outward, items, sequence)
    return deliver_again(server, path)


def deliver_again(server: Here | Server, path: Path | None = None) -> ImportResult:
    """A Bundle that was written; the one that was delivered last."""
    (taken,) = import_bundles(server.home, [path or server.home.parent / "inward.bundle"])
    return taken


def ack(organisation: Organisation, *envelopes: Sent) -> ItemSource:
    return item_of("ack", acknowledge([one.id for one in envelopes], organisation.desk))


def ids(server: Here | Server) -> set[bytes]:
    return server.read(lambda connection: set(connection.execute(select(Envelope.id)).scalars()))


def blobs(server: Here | Server) -> list[str]:
    return [path.name for path in (server.home / "blobs").iterdir()]


# --- outwards ---------------------------------------------------------------------------------------------------------


def test_an_organisation_gets_whole_what_has_a_slot_for_it(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    one, other, _ = organisations
    shared, own, foreign = envelope([one, other], 200_000), envelope([one]), envelope([other])
    server.upload(shared, own, foreign)

    assert sorted(fetch(server, one, tmp_path / "out")[1]) == sorted([shared.whole, own.whole])
    assert sorted(fetch(server, other, tmp_path / "out")[1]) == sorted([shared.whole, foreign.whole])


def test_volumes_are_named_after_organisation_sequence_and_volume(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    name = organisations[0].name
    server.upload(envelope(organisations), envelope(organisations, 1000))

    first = write_volumes(server.home, name, tmp_path / "out")
    again = write_volumes(server.home, name, tmp_path / "out")

    assert [path.name for path in first] == [f"{name}-1-1.bundle", f"{name}-1-2.bundle"]
    assert [path.name for path in again] == [f"{name}-2-1.bundle", f"{name}-2-2.bundle"]
    assert {path.stat().st_size for path in first} == {2**20}
    indexes = [organisations[0].read(path).index for path in first]
    assert [(index.sequence, index.volume, index.volumes) for index in indexes] == [(1, 1, 2), (1, 2, 2)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(p.name for p in first + again)


def test_an_export_of_nothing_still_reports(server: Here, organisations: list[Organisation], tmp_path: Path) -> None:
    _, envelopes, report = fetch(server, organisations[0], tmp_path / "out")

    assert (envelopes, report) == ([], Report(()))


def test_texts_come_first_and_in_random_order() -> None:
    waiting = [PendingEnvelope(bytes([number]) * 32, 9000, None, number % 2) for number in range(60)]

    orders = [plan(waiting) for _ in range(4)]

    for volumes in orders:
        assert [len(volume) for volume in volumes] == [30, 30]
        assert [one.body_size for one in itertools.chain(*volumes)] == [0] * 30 + [1] * 30
        assert sorted(one.id for one in itertools.chain(*volumes)) == sorted(one.id for one in waiting)
    assert len({tuple(one.id for one in volumes[0]) for volumes in orders}) == 4


def test_what_a_power_cut_leaves_of_a_volume_that_was_kept_is_no_volume(
    server: Here, organisations: list[Organisation]
) -> None:
    """It is not synced: a file that is shorter, or whose end never reached the disk, must mean a new export."""
    server.upload(envelope(organisations), envelope(organisations, 1000))
    with open_server(server.home) as there:
        volume, *_ = prepare_export(there, organisations[0].name, days.today())
    data = volume.save()
    assert PreparedVolume.load(volume.name, data).sealed == volume.sealed
    for at in range(len(data)):
        for left in (data[:at], data[:at].ljust(len(data), b"\x00")):
            if left == data:
                continue
            with pytest.raises(TipboxError):
                PreparedVolume.load(volume.name, left)


def test_volumes_end_at_their_bounds_and_a_large_envelope_stays_whole() -> None:
    large = [PendingEnvelope(bytes([number]) * 32, 2**29, "blob", 1) for number in range(3)]
    larger = PendingEnvelope(b"x" * 32, 2**32, "blob", 1)
    many = [PendingEnvelope(number.to_bytes(32), 9000, None, 0) for number in range(5000)]

    assert Counter(len(volume) for volume in plan(large)) == {2: 1, 1: 1}
    assert plan([larger]) == [[larger]]
    assert [len(volume) for volume in plan(many)] == [4095, 905]
    assert plan([]) == [[]]


def test_what_is_kept_of_two_exports_fits_below_the_floor_of_the_disk(organisations: list[Organisation]) -> None:
    """Present and one before in the database, and SQLite's log with a new one: a full disk never prevents carrying."""
    one = organisations[0]
    index = Index(days.today(), OUTWARD, one.id, b"", 1, (), server_key=one.public)

    def kept(count: int) -> int:
        entries = [
            ItemEntry(ENVELOPE, MAX_ITEM, random_bytes(32), Receipt(days.today(), random_bytes(64), 7))
            for _ in range(count)
        ]
        volume = Volume.begin(index, entries, reader=one.id, reader_public=one.public, signer=one.desk)
        return len(PreparedVolume(f"{one.name}-1-1.bundle", volume).save())

    each = (kept(MAX_ITEMS) - kept(1)) / (MAX_ITEMS - 1)
    assert 96 < each < 160
    assert 3 * MOST_ENVELOPES * each <= SMALL_FREE


def test_no_such_organisation(server: Here, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nobody"):
        write_volumes(server.home, "nobody", tmp_path / "out")


def test_no_valid_key(server: Here, organisations: list[Organisation], tmp_path: Path) -> None:
    with pytest.raises(Expired):
        write_volumes(server.home, organisations[0].name, tmp_path / "out", today=days.today() + timedelta(days=40))
    assert not (tmp_path / "out").exists()


def test_no_server_here(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no server has run there"):
        write_volumes(tmp_path, "fidh", tmp_path / "out")


def test_a_body_that_the_disk_lost_keeps_nothing_else_here(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    lost, text = envelope(organisations, 200_000), envelope(organisations)
    server.upload(lost, text)
    (blob,) = blobs(server)
    (server.home / "blobs" / blob).unlink()
    whole = envelope(organisations, 100_000)
    server.upload(whole)

    assert sorted(fetch(server, organisations[0], tmp_path / "out")[1]) == sorted([text.whole, whole.whole])
    assert not next(finding for finding in check_server(server.home) if finding.check == "blobs").ok


# --- inwards ----------------------------------------------------------------------------------------------------------


def test_an_envelope_goes_after_the_last_acknowledgement(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    sent, files = envelope(organisations), envelope(organisations, 300_000)
    server.upload(sent, files)

    for number, one in enumerate(organisations):
        outward = fetch(server, one, tmp_path / "out")[0]
        assert ids(server) == {sent.id, files.id}
        taken = deliver(server, one, outward, [ack(one, sent, files)])
        assert taken.is_complete
        assert (taken.acknowledged, taken.deleted) == (2, 2 if number == 2 else 0)
        assert fetch(server, one, tmp_path / "out")[1] == []

    assert ids(server) == set()
    assert blobs(server) == []
    assert all(finding.ok for finding in check_server(server.home))


def test_one_desk_deletes_nothing_of_the_others(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    one, other, _ = organisations
    shared, foreign = envelope([one, other]), envelope([other])
    server.upload(shared, foreign)
    outward = fetch(server, one, tmp_path / "out")[0]

    taken = [
        deliver(server, one, outward, [ack(one, shared, foreign)]),
        deliver_again(server),
        deliver(server, one, outward, [ack(one, shared, foreign)], 2),
    ]

    assert [one.acknowledged for one in taken] == [1, 0, 0]
    assert ids(server) == {shared.id, foreign.id}
    assert sorted(fetch(server, other, tmp_path / "out")[1]) == sorted([shared.whole, foreign.whole])


def test_bundles_taken_are_reported_in_any_order_and_repeated(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    one = organisations[0]
    outward = fetch(server, one, tmp_path / "out")[0]

    paths = [inward(tmp_path / f"{sequence}.in", one, outward, [], sequence) for sequence in (5, 2, 9)]
    for path in (paths[0], paths[1], paths[0], paths[2]):
        assert deliver_again(server, path).is_complete

    assert [taken.sequence for taken in fetch(server, one, tmp_path / "out")[2].bundles] == [2, 5, 9]
    assert fetch(server, organisations[1], tmp_path / "out")[2].bundles == ()


def test_unknown_envelopes_in_an_acknowledgement_are_no_error(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    one = organisations[0]
    outward = fetch(server, one, tmp_path / "out")[0]

    assert deliver(server, one, outward, [ack(one, envelope([one]))]).is_complete


def test_a_newer_manifest_is_taken_and_an_older_one_is_not(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    one = organisations[0]
    held = server.home / "keys" / f"{one.name}.json"
    outward = fetch(server, one, tmp_path / "out")[0]
    newer, older = one.manifest(serial=(1, 5)), one.manifest(serial=(1, 3))

    assert deliver(server, one, outward, [item_of("manifest", newer.encode())]).manifests == [one.name]
    taken = deliver(server, one, outward, [item_of("manifest", older.encode())], 2)
    assert (taken.manifests, taken.is_complete) == ([], True)
    assert held.read_bytes() == newer.encode()


def test_a_new_desk_key_is_good_with_the_manifest_that_brings_it(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    one = organisations[0]
    sent = envelope([one])
    server.upload(sent)
    outward = fetch(server, one, tmp_path / "out")[0]
    old_desk, one.desk = one.desk, SigningKey.generate()
    manifest = item_of("manifest", one.manifest(serial=(1, 2)).encode())

    assert not deliver(server, one, outward, [ack(one, sent)]).is_complete
    assert ids(server) == {sent.id}
    assert deliver(server, one, outward, [ack(one, sent), manifest], 2).deleted == 1
    one.desk = old_desk
    (error,) = deliver(server, one, outward, [], 3).refused
    assert error.code == "wrong-sender"


def test_a_manifest_whose_life_has_not_begun_waits(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    one = organisations[0]
    held = (server.home / "keys" / f"{one.name}.json").read_bytes()
    outward = fetch(server, one, tmp_path / "out")[0]
    future = one.manifest(serial=(1, 2), start=days.today() + timedelta(days=10))

    taken = deliver(server, one, outward, [item_of("manifest", future.encode())])

    assert (taken.manifests, taken.is_complete) == ([], True)
    assert (server.home / "keys" / f"{one.name}.json").read_bytes() == held

    one.desk = SigningKey.generate()
    future = one.manifest(serial=(1, 3), start=days.today() + timedelta(days=10))
    (error,) = deliver(server, one, outward, [item_of("manifest", future.encode())], 2).refused
    assert error.code == "wrong-sender", "a manifest that waits brings no desk key"


def test_another_identity_is_refused(server: Here, organisations: list[Organisation], tmp_path: Path) -> None:
    one = organisations[0]
    outward = fetch(server, one, tmp_path / "out")[0]
    thief = Organisation(one.name, desk=one.desk)
    stolen = item_of("manifest", thief.manifest(serial=(9, 9)).encode())

    taken = deliver(server, one, outward, [stolen])

    assert [error.code for error in taken.refused] == ["identity-changed"]
    assert taken.manifests == []


@pytest.mark.parametrize("change", [{"name": "Another name"}, {"country": "FR"}], ids=["name", "country"])
def test_a_bundle_changes_no_name_that_sources_see(
    server: Here, organisations: list[Organisation], tmp_path: Path, change: dict[str, Any]
) -> None:
    """A captured organisation must not take on another's name; its operator can give it a new one, knowingly."""
    captive = organisations[0]
    outward = captive.read(write_volumes(server.home, captive.name, tmp_path / "out")[0])
    manifest = replace(captive.manifest(serial=(1, 2)), **change).signed_by(captive.identity)
    path = inward(tmp_path / "in", captive, outward, [item_of("manifest", manifest.encode())])
    (taken,) = import_bundles(server.home, [path])
    assert [error.code for error in taken.refused] == ["wrong-sender"]
    assert "--keys" in str(taken.refused[0])
    assert taken.manifests == []


def test_two_organisations_do_not_bear_one_name(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    one, other = organisations[:2]
    looks_alike = f"  ＴＨＥ {other.name}  organisation"  # noqa: RUF001 (wide letters are the point)
    manifest = replace(one.manifest(serial=(1, 2)), name=looks_alike).signed_by(one.identity)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / f"{one.name}.json").write_bytes(manifest.encode())
    with pytest.raises(InputRefused, match="the same name"):
        prepare_server(server.home, tmp_path / "more")


def test_strangers_and_other_readers_are_refused(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    one, other, _ = organisations
    outward = fetch(server, one, tmp_path / "out")[0]
    stranger = Organisation("stranger")
    impostor = Organisation(one.name, identity=one.identity)
    not_ours = tmp_path / "other.bundle"
    with not_ours.open("wb") as file:
        index = Index(days.today(), OUTWARD, other.id, b"", 1, (), server_key=other.public)
        write_bundle(file, index, [], reader=other.id, reader_public=other.public, signer=other.desk)

    refused = [
        deliver(server, stranger, outward, []),
        deliver(server, impostor, outward, []),
        *import_bundles(server.home, [not_ours]),
    ]

    assert [[error.code for error in taken.refused] for taken in refused] == [
        ["wrong-sender"],
        ["wrong-sender"],
        ["wrong-reader"],
    ]


def test_an_acknowledgement_by_another_desk_is_refused_and_the_rest_is_taken(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    one, other, _ = organisations
    first, second = envelope([one]), envelope([one])
    server.upload(first, second)
    outward = fetch(server, one, tmp_path / "out")[0]

    taken = deliver(server, one, outward, [ack(other, first), ack(one, second)])

    assert [error.code for error in taken.refused] == ["bad-signature"]
    assert ids(server) == {first.id}
    assert fetch(server, one, tmp_path / "out")[2].bundles == ()


def test_a_damaged_item_is_named_and_the_rest_is_taken(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    one = organisations[0]
    first, second = envelope([one]), envelope([one])
    server.upload(first, second)
    outward = fetch(server, one, tmp_path / "out")[0]
    path = inward(tmp_path / "in.bundle", one, outward, [ack(one, first), ack(one, second)])
    data = bytearray(path.read_bytes())
    data[1280 + 65552 + 10] ^= 1  # behind header and index: the first item
    path.write_bytes(data)

    (taken,) = import_bundles(server.home, [path])

    assert [str(error) for error in taken.refused] == ["item 1 (ack) is damaged; carry this Bundle again"]
    assert ids(server) == {first.id}


def test_one_bad_file_does_not_stop_the_others(server: Here, organisations: list[Organisation], tmp_path: Path) -> None:
    one = organisations[0]
    outward = fetch(server, one, tmp_path / "out")[0]
    bad = tmp_path / "bad"
    bad.write_bytes(b"not a bundle")
    good = inward(tmp_path / "good", one, outward, [])

    taken = import_bundles(server.home, [bad, good])

    assert [entry.is_complete for entry in taken] == [False, True]
    assert [entry.file for entry in taken] == ["bad", "good"]


# --- pruning ----------------------------------------------------------------------------------------------------------


def tick_days(server: Here | Server, first: int, last: int) -> None:
    for day in range(first, last + 1):
        assert not prune_server(server.home, today=days.today() + timedelta(days=day)).held


def test_what_nobody_carried_goes_after_ninety_days_that_were_seen(
    server: Here, organisations: list[Organisation]
) -> None:
    server.upload(envelope(organisations), envelope(organisations, 1000))

    tick_days(server, 1, 89)
    assert len(ids(server)) == 2
    assert prune_server(server.home, today=days.today() + timedelta(days=90)).envelopes == 2
    assert (ids(server), blobs(server)) == (set(), [])


def test_drafts_go_after_fourteen_days_and_records_after_seven(server: Here, organisations: list[Organisation]) -> None:
    draft, finished = envelope(organisations, 200_000), envelope(organisations)
    server.upload(finished)
    server.open(draft)
    server.put(draft, 0)

    def rows() -> list[int]:
        return server.read(
            lambda connection: [
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (Draft, FinishedToken)
            ]
        )

    tick_days(server, 1, 6)
    assert rows() == [1, 1]
    tick_days(server, 7, 13)
    assert rows() == [1, 0]
    assert prune_server(server.home, today=days.today() + timedelta(days=14)).drafts == 1
    assert (rows(), blobs(server)) == ([0, 0], [])
    assert ids(server) == {finished.id}


def test_a_jump_of_the_clock_stops_pruning_until_it_is_confirmed(
    server: Here, organisations: list[Organisation]
) -> None:
    server.upload(envelope(organisations))
    far = days.today() + timedelta(days=400)

    assert prune_server(server.home, today=far).held
    assert prune_server(server.home, today=far + timedelta(days=1)).held
    assert not next(finding for finding in check_server(server.home) if finding.check == "clock").ok
    assert server_status(server.home).clock_held
    assert not prune_server(server.home, today=far + timedelta(days=1), confirm_clock=True).held
    assert len(ids(server)) == 1  # the days in between were never seen


def test_orphans_go_and_what_is_on_its_way_in_stays(live: Server, organisations: list[Organisation]) -> None:
    sent = envelope(organisations, 200_000)
    folder = live.home / "blobs"
    (folder / ("0" * 32)).write_bytes(b"left by a crash")
    (folder / "README").write_bytes(b"not ours")
    with live.client() as client:
        client.open(sent)
        client.put(sent, 2, 1)
        run = b"".join(sent.parts[:2])
        client.send("PUT", "/api/envelope/parts/0", run[:70_000], bearer(sent.token), len(run))
        until(lambda: len(blobs(live)) == 4)

        assert prune_server(live.home).orphans == 1
        client.line.sendall(run[70_000:])
        assert client.receive().json["missing"] == [[3, 1]]
        client.put(sent, 3, 1)
        assert client.finish(sent).json == {"state": "stored"}
    assert (folder / "README").exists()


# --- check and status -------------------------------------------------------------------------------------------------


def test_a_healthy_server(server: Here, organisations: list[Organisation]) -> None:
    server.upload(envelope(organisations, 1000))

    findings = check_server(server.home, more=[headers])

    assert [finding.check for finding in findings] == [
        *("modes", "database", "blobs", "ledger", "clock", "settled", "manifests", "site", "notices", "hosts", "rates"),
        *("twice", "room", "headers"),
    ]
    assert [finding for finding in findings if not (finding.ok and finding.message and not finding.remedy)] == []


def test_each_trouble_has_a_finding_that_says_its_remedy(server: Here, organisations: list[Organisation]) -> None:
    server.upload(envelope(organisations, 1000))
    (blob,) = blobs(server)
    (server.home / "blobs" / blob).unlink()
    server.home.chmod(0o755)

    findings = {
        finding.check: finding for finding in check_server(server.home, today=days.today() + timedelta(days=30))
    }

    assert [name for name, finding in findings.items() if not finding.ok] == ["modes", "blobs", "settled", "manifests"]
    assert all(finding.remedy for finding in findings.values() if not finding.ok)
    assert [findings[name].to_json()["wrong"] for name in ("modes", "blobs", "database")] == [1, 1, 0]


def test_check_where_no_server_has_run_says_so_as_the_others_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no server has run there"):
        check_server(tmp_path)


def test_check_of_a_server_that_does_not_open_is_a_finding(server: Here) -> None:
    Home(server.home).server_key.write_bytes(b"damaged")

    (finding,) = check_server(server.home)

    assert not finding.ok
    assert "it is damaged" in finding.message


def test_status_is_coarse(server: Here, organisations: list[Organisation]) -> None:
    server.upload(*(envelope(organisations[:1]) for _ in range(12)))

    found = server_status(server.home)

    assert (found.envelopes, found.drafts, found.carry_used_tenths) == ("10+", "0", 0)
    assert {one.organisation: one.waiting for one in found.organisations} == {
        one.name: "10+" if one is organisations[0] else "0" for one in organisations
    }
    assert found.to_json()["organisations"][0]["valid"] is True
    assert [coarse(count) for count in (0, 1, 9, 10, 99, 100, 12345)] == [
        *("0", "1+", "1+", "10+", "10+", "100+", "10000+")
    ]


# --- couriers ---------------------------------------------------------------------------------------------------------


def test_a_courier_fetches_and_delivers(live: Server, organisations: list[Organisation]) -> None:
    one = organisations[0]
    sent = envelope([one], 3_000_000)
    with live.client() as client:
        assert client.upload(sent).json == {"state": "stored"}
    with Client(live, None, str(live.courier)) as courier:
        listed = courier.request("GET", f"/courier/bundles/{one.name}").json["volumes"]
        assert courier.request("GET", f"/courier/bundles/{one.name}").json["volumes"] == listed
        path = f"/courier/bundles/{one.name}/{listed[0]['name']}"
        whole = courier.request("GET", path).body
        assert len(whole) == listed[0]["size"]
        part = courier.request("GET", path, None, {"Range": "bytes=1000-"})
        assert (part.status, part.body) == (206, whole[1000:])

        outward = Bundle(io.BytesIO(whole), one.id, one.find_key)
        back = inward(live.home.parent / "in", one, outward, [ack(one, sent)]).read_bytes()
        answer = courier.request("POST", "/courier/deliver", back)
        assert (answer.status, answer.json) == (200, {"sequence": 1, "whole": True})
        assert ids(live) == set()
        again = courier.request("GET", f"/courier/bundles/{one.name}").json["volumes"]
        assert [volume["name"] for volume in again] == [f"{one.name}-2-1.bundle"]
        # Repeated, or of somebody who is not the desk: no news, so no new export and no next number.
        stranger = replace(one, desk=SigningKey.generate())
        forged = inward(live.home.parent / "forged", stranger, outward, [ack(stranger, sent)], 2).read_bytes()
        for data, status in ((back, 200), (forged, 400)):
            assert courier.request("POST", "/courier/deliver", data).status == status
            assert courier.request("GET", f"/courier/bundles/{one.name}").json["volumes"] == again


def test_a_couriers_socket_serves_couriers_only(live: Server, organisations: list[Organisation]) -> None:
    token = base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")
    with Client(live, None, str(live.courier)) as courier:
        for path in ("/", "/send", "/api/envelope", "/static/page.js", "/courier/bundles/nobody"):
            assert courier.request("GET", path, None, {"Authorization": f"Bearer {token}"}).error == (404, "not-found")
        for name in ("..%2f..%2flive.key", ".day", f"{organisations[0].name}-9-9.bundle"):
            assert courier.request("GET", f"/courier/bundles/{organisations[0].name}/{name}").status == 404
        assert courier.request("POST", "/courier/deliver", b"not a bundle").error == (400, "not-tipbox")
    with live.client() as client:
        assert client.request("GET", f"/courier/bundles/{organisations[0].name}").status == 404


def test_callers_at_once_get_the_same_volumes(live: Server, organisations: list[Organisation]) -> None:
    one = organisations[0]
    with live.client() as client:
        client.upload(envelope([one], 100_000))

    def volumes(_: int) -> list[dict[str, object]]:
        with Client(live, None, str(live.courier)) as courier:
            listed: list[dict[str, object]] = courier.request("GET", f"/courier/bundles/{one.name}").json["volumes"]
            return listed

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(volumes, range(6)))
    assert all(answer == answers[0] for answer in answers)
    assert [volume["name"] for volume in answers[0]] == [f"{one.name}-1-1.bundle"]


def test_a_download_goes_on_beside_a_new_export_until_an_envelope_has_gone(
    live: Server, organisations: list[Organisation]
) -> None:
    one, other, _ = organisations
    sent = envelope([one, other], 500_000)
    with live.client() as client:
        client.upload(sent)
    with Client(live, None, str(live.courier)) as courier:
        (volume,) = courier.request("GET", f"/courier/bundles/{one.name}").json["volumes"]
        path = f"/courier/bundles/{one.name}/{volume['name']}"
        whole = courier.request("GET", path).body
        outward = Bundle(io.BytesIO(whole), one.id, one.find_key)
        assert volume["size"] == len(whole)
        back = inward(live.home.parent / "in", one, outward, [ack(one, sent)]).read_bytes()
        assert courier.request("POST", "/courier/deliver", back).status == 200
        (new,) = courier.request("GET", f"/courier/bundles/{one.name}").json["volumes"]
        assert new["name"] == f"{one.name}-2-1.bundle"
        rest = courier.request("GET", path, None, {"Range": "bytes=300001-"})
        assert (rest.status, rest.body) == (206, whole[300_001:])
        back = inward(live.home.parent / "in", other, outward, [ack(other, sent)]).read_bytes()
        assert courier.request("POST", "/courier/deliver", back).status == 200
        assert courier.request("GET", path, None, {"Range": "bytes=300001-"}).error == (404, "not-found")
        assert courier.request("POST", "/courier/deliver", b"", {}).status == 400


def test_a_delivery_has_a_bound(live: Server) -> None:
    with Client(live, None, str(live.courier)) as courier:
        courier.send("POST", "/courier/deliver", None, length=2**32 + 1)
        assert courier.receive().error == (413, "too-large")
