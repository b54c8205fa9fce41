"""What a server says in Bundles beyond the items: days, stamps, heads, and which Bundles it took, by their hashes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from support.sealed import Box, Organisation, Sent, envelope, inward, three
from support.server import Here
from tipbox.errors import BadSignature
from tipbox.formats.base import days
from tipbox.formats.base.limits import BUNDLE_HEADER
from tipbox.formats.base.primitives import SigningKey, random_bytes, sha256
from tipbox.formats.bundles.acknowledgement import acknowledge
from tipbox.formats.bundles.bundle import BundleHeader, Head, Index, Receipt, index_plaintext, split_index
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import ItemSource, Volume, item_of
from tipbox.formats.bundles.report import Report, TakenBundle
from tipbox.formats.bundles.stamps import check_head_stamp, check_stamp
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import ImportResult, import_bundles
from tipbox.server.home import Home, load_server_keys
from tipbox.server.storage.models import Envelope, Reply
from tipbox.server.upkeep.check import check_server

pytestmark = pytest.mark.reads_date


@pytest.fixture(name="organisations")
def _organisations() -> list[Organisation]:
    return sorted(three(), key=lambda one: one.id)


@dataclass
class Courier:
    """Carries between a server and its organisations."""

    server: Here
    folder: Path

    def out(self, organisation: Organisation, today: date | None = None) -> list[Bundle]:
        """The volumes of an export."""
        paths = write_volumes(self.server.home, organisation.name, self.folder / "out", today=today)
        return [organisation.read(path) for path in paths]

    def receipts(self, organisation: Organisation) -> dict[bytes, Receipt]:
        """What an export says of each Envelope, by its id."""
        entries = [item.entry for bundle in self.out(organisation) for item in bundle.items]
        return {entry.hash: entry.receipt for entry in entries if entry.receipt is not None}

    def report(self, organisation: Organisation) -> Report:
        bundle = self.out(organisation)[0]
        return Report.parse(next(b"".join(bundle.read(item)) for item in bundle.items if item.entry.kind == "report"))

    def write(
        self, organisation: Organisation, *items: ItemSource, sequence: int = 1, head: bytes = b"", volume: int = 1
    ) -> Path:
        """An outbox of ``organisation``, of two volumes when it is the second."""
        path = self.folder / f"{organisation.name}-{sequence}-{volume}.in"
        outward = self.out(organisation)[0]
        return inward(path, organisation, outward, items, sequence, head=head, volume=volume, volumes=max(1, volume))

    def deliver(self, path: Path, today: date | None = None) -> ImportResult:
        (taken,) = import_bundles(self.server.home, [path], today=today)
        return taken


@pytest.fixture(name="courier")
def _courier(server: Here, tmp_path: Path) -> Courier:
    return Courier(server, tmp_path)


@pytest.fixture(name="signed_by")
def _signed_by(server: Here) -> bytes:
    """The key that checks the server's signatures."""
    return load_server_keys(Home(server.home)).signing.verify_key.encode()


# --- days and stamps --------------------------------------------------------------------------------------------------


def stamps(server: Here) -> dict[bytes, bytes | None]:
    rows = server.read(lambda connection: connection.execute(select(Envelope.id, Envelope.stamp)).all())
    return {row[0]: row[1] for row in rows}


def came(server: Here, sent: Sent, ago: int) -> date:
    day = days.today() - timedelta(days=ago)
    server._store.write(lambda c: c.execute(update(Envelope).where(Envelope.id == sent.id).values(day=day)))
    return day


def test_each_envelope_has_the_day_on_which_it_came_and_a_stamp_of_the_server(
    courier: Courier, organisations: list[Organisation], signed_by: bytes
) -> None:
    sent = [envelope(organisations), envelope(organisations, 1000)]
    courier.server.upload(*sent)
    expected = {one.id: came(courier.server, one, ago) for one, ago in zip(sent, (4, 0), strict=True)}

    found = courier.receipts(organisations[0])

    assert {ident: (receipt.day, receipt.effort) for ident, receipt in found.items()} == {
        ident: (day, 0) for ident, day in expected.items()
    }
    for one in sent:
        receipt = found[one.id]
        check_stamp(one.hash, receipt.day, receipt.stamp, signed_by)
        for envelope_hash, day in ((one.id, receipt.day), (one.hash, receipt.day - timedelta(days=1))):
            with pytest.raises(BadSignature):
                check_stamp(envelope_hash, day, receipt.stamp, signed_by)


def test_only_items_that_are_envelopes_have_a_stamp(courier: Courier, organisations: list[Organisation]) -> None:
    courier.server.upload(envelope(organisations))
    entries = [item.entry for item in courier.out(organisations[0])[0].items]

    assert {entry.kind: entry.receipt is not None for entry in entries} == {"report": False, "envelope": True}


def test_a_stamp_is_made_by_the_first_export_and_kept(courier: Courier, organisations: list[Organisation]) -> None:
    """Not by the process that strangers talk to: an upload leaves none."""
    one, other, _ = organisations
    first, second, foreign = envelope([one, other]), envelope([one, other], 1000), envelope([other])
    courier.server.upload(first, foreign)
    assert stamps(courier.server) == {first.id: None, foreign.id: None}

    made = courier.receipts(one)[first.id]
    assert stamps(courier.server) == {first.id: made.stamp, foreign.id: None}
    courier.server.upload(second)
    assert stamps(courier.server)[second.id] is None

    assert courier.receipts(other)[first.id] == made, "three organisations date a tip alike"
    assert courier.receipts(one)[first.id] == made
    assert all(stamps(courier.server).values())


def test_a_copy_with_another_trailer_has_the_same_stamp(courier: Courier, organisations: list[Organisation]) -> None:
    """A stamp is on the hash: who touches another's 32 bytes spoils it for nobody."""
    true = envelope(organisations)
    garbage = replace(true.again(), trailer=random_bytes(96))
    courier.server.upload(garbage, true)

    found = courier.receipts(organisations[0])

    assert set(found) == {true.id, garbage.id}
    assert found[true.id] == found[garbage.id]


def test_an_export_that_came_to_nothing_leaves_stamps_that_the_next_one_gives(
    courier: Courier, organisations: list[Organisation], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = envelope(organisations)
    courier.server.upload(sent)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("tipbox.server.bundles.export.make_stick_folder", fail)
        with pytest.raises(ZeroDivisionError):
            courier.out(organisations[0])
    kept = stamps(courier.server)[sent.id]

    assert kept is not None
    assert courier.receipts(organisations[0])[sent.id].stamp == kept


# --- heads ------------------------------------------------------------------------------------------------------------


def test_heads_are_there_when_nobody_sent_one(courier: Courier, organisations: list[Organisation]) -> None:
    assert courier.out(organisations[0])[0].index.heads == ()


def test_the_newest_head_of_each_organisation_goes_to_all_with_a_stamp(
    courier: Courier, organisations: list[Organisation], signed_by: bytes
) -> None:
    heads = {one.id: random_bytes(32) for one in organisations[:2]}
    today = days.today()
    for one in reversed(organisations[:2]):
        assert courier.deliver(courier.write(one, head=heads[one.id])).is_complete

    for one in organisations:
        found = courier.out(one)[0].index.heads
        assert [(head.organisation, head.head, head.day) for head in found] == [
            (ident, head, today) for ident, head in sorted(heads.items())
        ]
        for head in found:
            check_head_stamp(head.organisation, head.head, head.day, head.stamp, signed_by)
            with pytest.raises(BadSignature):
                check_head_stamp(organisations[2].id, head.head, head.day, head.stamp, signed_by)


def head_of(courier: Courier, organisation: Organisation) -> Head | None:
    heads = courier.out(organisation)[0].index.heads
    return next((head for head in heads if head.organisation == organisation.id), None)


def test_a_head_is_followed_by_that_of_the_next_bundle_only(
    courier: Courier, organisations: list[Organisation]
) -> None:
    """Bundles come in any order and again; an older one puts no head back, and one without a head takes none away."""
    one = organisations[0]
    older, newer = random_bytes(32), random_bytes(32)
    paths = [courier.write(one, sequence=2, head=older), courier.write(one, sequence=5, head=newer)]
    yesterday, today = days.today() - timedelta(days=1), days.today()

    courier.deliver(paths[0], yesterday)
    first = head_of(courier, one)
    assert first is not None
    assert (first.head, first.day) == (older, yesterday)
    courier.deliver(paths[1], today)
    for path in (paths[0], paths[1], courier.write(one, sequence=3, head=older), courier.write(one, sequence=6)):
        courier.deliver(path, today)

    found = head_of(courier, one)
    assert found is not None
    assert (found.head, found.day) == (newer, today)


def test_a_bundle_that_has_to_come_again_leaves_no_head(courier: Courier, organisations: list[Organisation]) -> None:
    one, other, _ = organisations
    sent = envelope([one])
    courier.server.upload(sent)
    bad = item_of("ack", acknowledge([sent.id], other.desk))

    assert not courier.deliver(courier.write(one, bad, head=random_bytes(32))).is_complete

    assert head_of(courier, one) is None


# --- reports, and who changes the list of a Bundle --------------------------------------------------------------------


def read_index(server: Here, path: Path) -> tuple[Index, bytes]:
    """The index of an inward Bundle, and SHA-256 of its JSON."""
    keys = load_server_keys(Home(server.home))
    with path.open("rb") as file:
        bundle = Bundle(file, keys.id, lambda _: keys.seed)
        return bundle.index, bundle.index_hash


def test_a_report_names_each_volume_by_the_hash_of_its_index(
    courier: Courier, organisations: list[Organisation]
) -> None:
    one, box = organisations[0], Box()
    paths = [
        courier.write(one, box.item(box.reply()), sequence=3),
        courier.write(one, sequence=1),
        courier.write(one, box.item(box.reply()), sequence=3, volume=2),
    ]
    hashes = []
    for path in paths:
        index, found = read_index(courier.server, path)
        assert found == sha256(index.encode())
        hashes.append(found)
        assert courier.deliver(path).is_complete

    assert courier.report(one) == Report((TakenBundle(1, (hashes[1],)), TakenBundle(3, (hashes[0], hashes[2]))))
    assert courier.report(organisations[1]) == Report(())


def stolen(server: Here, path: Path, items: Sequence[ItemSource]) -> Path:
    """The same Bundle with another list of items, as whoever has the server's key can write it: the list is deniable.

    The desk's signature stays good, since it does not cover the list; nor does the header change.
    """
    header = path.read_bytes()[:BUNDLE_HEADER]
    parsed = BundleHeader.parse(header)
    keys = load_server_keys(Home(server.home))
    unwrapped = parsed.unwrap(keys.seed)
    with path.open("rb") as file:
        bundle = Bundle(file, keys.id, lambda _: keys.seed)
        opened = b"".join(bundle._stream(0, BUNDLE_HEADER, parsed.index_parts * 65_536))
    signature, _ = split_index(opened)
    index = replace(bundle.index, items=tuple(item.entry for item in items))
    plaintext = index_plaintext(signature, index.encode(), parsed.index_parts)
    volume = Volume(header, unwrapped.key, plaintext, index.items)
    out = path.with_suffix(".stolen")
    out.write_bytes(b"".join(volume.pieces(lambda number, _start: items[number - 1].open())))
    return out


def replies(server: Here) -> set[bytes]:
    return server.read(lambda connection: set(connection.execute(select(Reply.id)).scalars()))


def test_another_list_under_a_taken_header_changes_nothing(courier: Courier, organisations: list[Organisation]) -> None:
    one, box, other = organisations[0], Box(), Box()
    true, false = box.reply(), other.reply()
    sent = envelope([one])
    courier.server.upload(sent)
    path = courier.write(one, box.item(true))
    courier.deliver(path)
    report = courier.report(one)
    thief = SigningKey.generate()

    taken = courier.deliver(stolen(courier.server, path, [other.item(false)]))
    refused = courier.deliver(stolen(courier.server, path, [item_of("ack", acknowledge([sent.id], thief))]))

    assert (taken.deposited, taken.is_complete, taken.is_first_time) == (0, True, False)
    assert [error.code for error in refused.refused] == ["bad-signature"]
    assert replies(courier.server) == {true.id}
    assert set(stamps(courier.server)) == {sent.id}
    assert courier.report(one) == report


def test_another_list_under_an_untaken_header_shows_in_the_report(
    courier: Courier, organisations: list[Organisation]
) -> None:
    """Whoever has the server's key can write what the server takes; the desk sees another hash than its own."""
    one, box, other = organisations[0], Box(), Box()
    true, false = box.reply(), other.reply()
    path = courier.write(one, box.item(true), sequence=4)
    own = read_index(courier.server, path)[1]
    changed = stolen(courier.server, path, [other.item(false)])

    assert courier.deliver(changed).deposited == 1
    assert courier.deliver(path).deposited == 0, "that number is taken"

    (found,) = courier.report(one).bundles
    assert found == TakenBundle(4, (read_index(courier.server, changed)[1],))
    assert found.indexes != (own,)
    assert courier.deliver(courier.write(one, box.item(true), sequence=5)).deposited == 1, "the desk repeats it"
    assert replies(courier.server) == {true.id, false.id}


def test_a_second_header_for_a_taken_number_is_not_read_and_is_told(
    courier: Courier, organisations: list[Organisation]
) -> None:
    one, box = organisations[0], Box()
    first = courier.write(one, head=bytes(32))
    courier.deliver(first)
    newer = one.manifest(serial=(1, 2))
    held = (courier.server.home / "keys" / f"{one.name}.json").read_bytes()
    report = courier.report(one)

    items = (box.item(box.reply()), item_of("manifest", newer.encode()))
    taken = courier.deliver(courier.write(one, *items, head=random_bytes(32)))

    (error,) = taken.refused
    assert error.code == "wrong-sender"
    assert "another Bundle was taken as number 1" in str(error)
    assert (taken.manifests, taken.deposited, taken.acknowledged) == ([], 0, 0)
    assert (courier.server.home / "keys" / f"{one.name}.json").read_bytes() == held
    assert replies(courier.server) == set()
    assert courier.report(one) == report
    found = head_of(courier, one)
    assert found is not None
    assert found.head == bytes(32)
    (told,) = (finding for finding in check_server(courier.server.home) if finding.check == "twice")
    assert not told.ok
    assert f"number 1 of {one.name}" in told.message
    later = days.today() + timedelta(days=30)
    assert all(finding.ok for finding in check_server(courier.server.home, today=later) if finding.check == "twice")
    assert courier.deliver(courier.write(one, *items, volume=2)).deposited == 1, "another volume is another number"
    assert courier.deliver(courier.write(organisations[1])).is_complete, "and so is that of another organisation"
