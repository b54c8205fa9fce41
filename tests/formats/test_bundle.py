"""Bundles, acknowledgements, reports, locked files and durable writes: round trips and damage."""

from __future__ import annotations

import io
import os
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.organisations import FEW, QUICK, b64, case, changed, refused
from tipbox.errors import DamagedItem, LimitExceeded, Malformed, TipboxError
from tipbox.files import durable
from tipbox.formats import locked_file as locked
from tipbox.formats import manifest as keys
from tipbox.formats.base import canonical, fields, labels
from tipbox.formats.base.limits import (
    MAX_ACKS,
    MAX_INDEX_PARTS,
    MAX_ITEMS,
    MAX_LOCKED,
    MAX_REPORT_BUNDLES,
    MAX_REPORT_VOLUMES,
    MAX_SAFE_INTEGER,
    MAX_SLOTS,
    MIB,
    PART_SIZE,
)
from tipbox.formats.base.primitives import SigningKey, sha256, sign, xwing_public
from tipbox.formats.bundles import acknowledgement, bundle, bundle_read, bundle_write
from tipbox.formats.bundles.acknowledgement import acknowledge, read_acknowledgement
from tipbox.formats.bundles.bundle import INWARD, OUTWARD, BundleHeader, Head, Index, ItemEntry, Receipt
from tipbox.formats.bundles.bundle_write import ItemSource, item_of
from tipbox.formats.bundles.report import Report, TakenBundle
from tipbox.formats.envelopes.header import KeyState
from tipbox.formats.locked_file import Kind

READER, SEED = bytes(16), bytes(32)
PUBLIC = xwing_public(SEED)
SIGNER = SigningKey(bytes(32))
INDEX = Index(date(2026, 11, 23), OUTWARD, READER, b"", 1, (), PUBLIC)
RECEIPT = Receipt(date(2026, 11, 20), bytes(64))


def write(items: list[ItemSource], index: Index = INDEX) -> bytes:
    out = io.BytesIO()
    size = bundle_write.write_bundle(out, index, items, reader=READER, reader_public=PUBLIC, signer=SIGNER)
    assert size == len(out.getvalue()) == bundle.volume_class(size)
    return out.getvalue()


def read(data: bytes) -> bundle_read.Bundle:
    return bundle_read.Bundle(io.BytesIO(data), READER, lambda _: SEED)


def intact(found: bundle_read.Bundle) -> list[bytes | None]:
    """Each item's bytes, or None where they are hurt."""
    contents: list[bytes | None] = []
    for item in found.items:
        try:
            data = found.open(item).read()
        except DamagedItem:
            contents.append(None)
        else:
            contents.append(data if sha256(data) == item.entry.hash else None)
    return contents


@pytest.mark.parametrize("sizes", [(), (1,), (PART_SIZE, 5), (3 * PART_SIZE + 7, PART_SIZE - 1, 400_000)])
def test_every_byte_of_a_volume_can_be_made_again(sizes: tuple[int, ...]) -> None:
    contents = [os.urandom(size) for size in sizes]
    entries = [ItemEntry("envelope", len(data), sha256(data), RECEIPT) for data in contents]
    volume = bundle_write.Volume.begin(INDEX, entries, reader=READER, reader_public=PUBLIC, signer=SIGNER)

    def open_item(number: int, start: int) -> list[bytes]:
        assert start % PART_SIZE == 0
        return [contents[number - 1][start:]]

    whole = b"".join(volume.pieces(open_item))
    assert len(whole) == volume.size
    assert intact(read(whole)) == contents
    again = bundle_write.Volume.load(volume.save())
    assert again == volume
    assert volume.save().endswith(b"}"), "the padding is not kept"
    edges = [0, 1, 1279, 1280, 1281, 66_831, 66_832, 66_833, 132_384, 300_000, 600_001, len(whole) - 1, len(whole)]
    edges += [len(whole) - 65_552 + step for step in (-1, 0, 1)]
    for begin in edges:
        assert b"".join(again.pieces(open_item, begin)) == whole[begin:]


# --- Bundles ----------------------------------------------------------------------------------------------------------


@FEW
@given(st.lists(st.integers(1, 3 * PART_SIZE), max_size=6), st.sampled_from((OUTWARD, INWARD)))
def test_bundle_round_trip(sizes: list[int], direction: int) -> None:
    contents = [os.urandom(size) for size in sizes]
    kind = "report" if direction == OUTWARD else "ack"
    index = replace(INDEX, direction=direction, server_key=PUBLIC if direction == OUTWARD else b"", volume=2, volumes=3)
    data = write([item_of(kind, content) for content in contents], index)
    found = read(data)

    assert intact(found) == contents
    assert found.check_padding()
    assert found.index_damage == []
    assert found.index.sender == SIGNER.verify_key.encode()
    assert found.index_hash == sha256(found.index.encode())
    assert found.header_hash == sha256(found.header.encode()) == sha256(data[:1280])
    assert replace(found.index, items=(), sender=b"") == index
    assert found.header.key == keys.key_id(PUBLIC)


@pytest.mark.parametrize("size", [1, PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 2 * PART_SIZE, 950_000, MIB])
def test_items_at_the_borders_of_parts_and_volumes(size: int) -> None:
    data = write([item_of("report", bytes(size)), item_of("report", b"after")])

    assert intact(read(data)) == [bytes(size), b"after"]
    assert read(data).check_padding()


def test_index_of_many_items_takes_several_parts() -> None:
    data = write([item_of("report", b"%d" % n) for n in range(MAX_ITEMS)])
    found = read(data)

    assert found.header.index_parts > 1
    assert intact(found) == [b"%d" % n for n in range(MAX_ITEMS)]
    with pytest.raises(LimitExceeded):
        write([item_of("report", b"x")] * (MAX_ITEMS + 1))
    too_many = replace(INDEX, items=(ItemEntry("report", 1, bytes(32)),) * (MAX_ITEMS + 1), sender=bytes(32)).encode()
    assert refused(lambda: Index.parse(too_many, OUTWARD)) == "limit"


def test_of_two_damaged_indexes_the_first_says_what_is_wrong() -> None:
    """Cut within its index of several parts, where the copy would stand another one does."""
    data = write([item_of("report", b"%d" % n) for n in range(1000)])
    assert read(data).header.index_parts > 1
    assert refused(lambda: read(data[: 1280 + PART_SIZE + 17])) == "truncated"


def test_an_index_may_fill_its_parts_to_the_last_byte() -> None:
    encoded = b"x" * (PART_SIZE - 68)
    plaintext = bundle.index_plaintext(bytes(64), encoded, 1)
    assert len(plaintext) == PART_SIZE
    assert bundle.split_index(plaintext) == (bytes(64), encoded)
    header = read(write([])).header
    for parts, accepted in ((MAX_INDEX_PARTS, True), (MAX_INDEX_PARTS + 1, False), (0, False)):
        changed_header = replace(header, index_parts=parts)
        if accepted:
            assert BundleHeader.parse(changed_header.encode()) == changed_header
        else:
            assert refused(partial(BundleHeader.parse, changed_header.encode())) == "limit"


def test_a_volume_holds_up_to_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [item_of("report", b"%d" % n) for n in range(4)]
    with monkeypatch.context() as patched:
        patched.setattr(bundle_write, "MAX_ITEMS", 3)
        assert len(read(write(items[:3])).items) == 3
        assert refused(lambda: write(items)) == "limit"
    data = write(items)
    with monkeypatch.context() as patched:
        patched.setattr(bundle, "MAX_ITEMS", 4)
        assert len(read(data).items) == 4
        patched.setattr(bundle, "MAX_ITEMS", 3)
        assert refused(lambda: read(data)) == "limit"
    many = [item_of("report", b"%d" % n) for n in range(700)]
    with monkeypatch.context() as patched:
        patched.setattr(bundle_write, "MAX_INDEX_PARTS", 2)
        assert read(write(many)).header.index_parts == 2
        patched.setattr(bundle_write, "MAX_INDEX_PARTS", 1)
        assert refused(lambda: write(many)) == "limit"


@pytest.mark.parametrize("actual", [b"", b"12", b"1234", bytes(PART_SIZE + 4)])
def test_item_of_another_size_than_announced_is_not_written(actual: bytes) -> None:
    with pytest.raises(Malformed):
        write([ItemSource(ItemEntry("report", 3, bytes(32)), lambda: [actual])])


@cache
def sample() -> bytes:
    return write([item_of("report", os.urandom(size)) for size in (10, PART_SIZE + 5, 300)])


@QUICK
@given(st.data())
def test_damage_to_a_bundle_is_told(data: Any) -> None:
    """Each change is an error, or named: an index, an item, the padding. What is not named came out unhurt."""
    written = data.draw(changed(sample()))
    whole = intact(read(sample()))
    try:
        found = read(written)
    except TipboxError:
        return
    contents = intact(found)

    assert found.index == read(sample()).index
    assert None in contents or found.index_damage or not found.check_padding()
    assert all(content in (None, original) for content, original in zip(contents, whole, strict=True))


@QUICK
@given(st.integers(0, MIB - 1))
def test_cut_bundle_keeps_what_lies_before_the_cut(size: int) -> None:
    try:
        found = read(sample()[:size])
    except TipboxError as error:
        assert error.code == "truncated"  # noqa: PT017
        assert size < 1280 + PART_SIZE + 16
        return
    ends = [*(item.offset for item in found.items[1:]), found.items[-1].offset + 300 + 16]

    assert [content is not None for content in intact(found)] == [size >= end for end in ends]
    assert found.index_damage == ["index copy"]
    assert not found.check_padding()


def test_damaged_item_is_named_by_number_and_kind_only() -> None:
    data = bytearray(sample())
    second = read(sample()).items[1]
    data[second.offset + PART_SIZE + 20] ^= 1

    with pytest.raises(DamagedItem, match=r"^item 2 \(report\) is damaged; carry this Bundle again$"):
        read(bytes(data)).open(second).read()
    with pytest.raises(DamagedItem, match=r"^item 2 \(report\) is cut off; "):
        read(sample()[: second.offset + 10]).open(second).read()


@QUICK
@given(st.data())
def test_bundle_header_is_read_exactly_or_refused(data: Any) -> None:
    written = data.draw(changed(sample()[:1280]) | st.binary(max_size=60))
    try:
        found = BundleHeader.parse(written)
    except TipboxError:
        return

    assert found.encode() == written


@pytest.mark.parametrize(
    ("reader", "state", "code"),
    [
        (b"\x01" * 16, KeyState.UNKNOWN, "wrong-reader"),
        (READER, KeyState.UNKNOWN, "unknown-key"),
        (READER, KeyState.DESTROYED, "too-late"),
        (READER, b"\x01" * 32, "tampered"),
    ],
)
def test_bundle_for_others(reader: bytes, state: KeyState | bytes, code: str) -> None:
    assert refused(lambda: bundle_read.Bundle(io.BytesIO(sample()), reader, lambda _: state)) == code


@pytest.mark.parametrize("direction", [OUTWARD, INWARD])
@pytest.mark.parametrize("label", [labels.MANIFEST, labels.ACK, labels.STAMP, labels.HEAD, "the other direction's"])
def test_bundle_refuses_signatures_of_other_kinds(
    direction: int, label: bytes | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = replace(INDEX, direction=direction, server_key=PUBLIC if direction == OUTWARD else b"")
    assert read(write([], index)).index.direction == direction
    other = bundle._LABELS[OUTWARD + INWARD - direction] if isinstance(label, str) else label
    with monkeypatch.context() as patched:
        patched.setitem(bundle._LABELS, direction, other)
        data = write([], index)

    assert refused(lambda: read(data)) == "bad-signature"


def rewritten(data: bytes, change: bytes, into: bytes) -> bytes:
    """A Bundle whose index was sealed again by somebody who has the key of the stick, with the signature it had."""
    header = BundleHeader.parse(data[:1280])
    cipher = header.unwrap(SEED).cipher(bundle.INDEX_STREAM)
    plaintext = cipher.decrypt(bytes(11) + b"\x01", data[1280 : 1280 + PART_SIZE + 16], None)
    signature, index = bundle.split_index(plaintext)
    assert index.count(change) == 1
    again = bundle.index_plaintext(signature, index.replace(change, into), 1)
    return data[:1280] + cipher.encrypt(bytes(11) + b"\x01", again, None) + data[1280 + PART_SIZE + 16 :]


def test_who_has_the_server_key_changes_an_inward_list_of_items_and_nothing_else() -> None:
    """So the list proves nothing, and the desk is told what was read: SHA-256 of the whole index."""
    inward = replace(INDEX, direction=INWARD, server_key=b"", head=bytes(32))
    data = write([item_of("ack", b"true")], inward)
    forged = rewritten(data, sha256(b"true").hex().encode(), sha256(b"lies").hex().encode())

    assert read(forged).index_damage == []
    assert read(forged).index.items[0].hash == sha256(b"lies")
    assert read(forged).index_hash == sha256(read(forged).index.encode()) != read(data).index_hash
    for change, into in (
        (b'"sequence":1', b'"sequence":2'),
        (b'"volumes":1', b'"volumes":2'),
        (b"00" * 32, b"01" * 32),
    ):
        assert read(rewritten(data, change, into)).index_damage == ["index"], "the copy still says what was signed"
        assert read(rewritten(data, change, into)).index == read(data).index
    outward = write([item_of("report", b"true")])
    forged = rewritten(outward, sha256(b"true").hex().encode(), sha256(b"lies").hex().encode())
    assert read(forged).index_damage == ["index"]


hashes, days = st.binary(min_size=32, max_size=32), st.dates()
stamps = st.integers(0, 255).map(lambda byte: bytes([byte]) * 64)
heads = st.lists(
    st.builds(Head, st.binary(min_size=16, max_size=16), hashes, days, stamps),
    max_size=MAX_SLOTS,
    unique_by=lambda head: head.organisation,
).map(lambda made: tuple(sorted(made, key=lambda head: head.organisation)))
receipts = st.builds(Receipt, days, stamps, st.integers(0, 7))
outward_entries = st.one_of(
    st.builds(ItemEntry, st.just("envelope"), st.integers(1, 2**40), hashes, receipts),
    st.builds(ItemEntry, st.just("report"), st.integers(1, 2**40), hashes),
)
inward_entries = st.builds(
    ItemEntry, st.sampled_from(("ack", "manifest", "reply")), st.integers(1, 2**40), hashes, st.none()
)


@st.composite
def indexes(draw: st.DrawFn) -> Index:
    direction = draw(st.sampled_from((OUTWARD, INWARD)))
    made = Index(
        draw(days),
        direction,
        draw(st.binary(min_size=16, max_size=16)),
        draw(hashes),
        draw(st.integers(1, MAX_SAFE_INTEGER)),
        tuple(draw(st.lists(outward_entries if direction == OUTWARD else inward_entries, max_size=5))),
        volume=draw(st.integers(1, 9)),
        volumes=draw(st.integers(9, 99)),
    )
    if direction == OUTWARD:
        return replace(made, server_key=PUBLIC, heads=draw(heads))
    return replace(made, head=draw(st.just(b"") | hashes))


@QUICK
@given(indexes(), st.data())
def test_index_is_read_exactly_or_refused(made: Index, data: Any) -> None:
    encoded = made.encode()
    assert Index.parse(encoded, made.direction) == made
    assert refused(lambda: Index.parse(encoded, OUTWARD + INWARD - made.direction)) == "malformed"

    written = data.draw(changed(encoded))
    try:
        found = Index.parse(written, made.direction)
    except TipboxError:
        return
    assert found.encode() == written


def test_an_index_has_the_heads_of_at_most_32_organisations() -> None:
    def made(count: int) -> bytes:
        heads = tuple(Head(n.to_bytes(16), bytes(32), date(2026, 11, 21), bytes(64)) for n in range(count))
        return replace(INDEX, sender=bytes(32), heads=heads).encode()

    assert len(Index.parse(made(MAX_SLOTS), OUTWARD).heads) == MAX_SLOTS
    assert refused(lambda: Index.parse(made(MAX_SLOTS + 1), OUTWARD)) == "limit"


@QUICK
@given(st.binary(max_size=300), st.data())
def test_index_plaintext_is_read_exactly_or_refused(index: bytes, data: Any) -> None:
    parts = bundle.index_parts(index)
    plaintext = bundle.index_plaintext(bytes(64), index, parts)
    assert bundle.split_index(plaintext) == (bytes(64), index)

    written = data.draw(changed(plaintext))
    try:
        signature, found = bundle.split_index(written)
    except TipboxError as error:
        assert error.code == "malformed"  # noqa: PT017
        return
    assert bundle.index_plaintext(signature, found, bundle.index_parts(found)) == written


def test_an_index_takes_as_many_parts_as_it_must() -> None:
    """Before it stand a signature of 64 bytes and a length of four."""
    assert [bundle.index_parts(bytes(size)) for size in (0, PART_SIZE - 68, PART_SIZE - 67)] == [1, 1, 2]


def test_memory_does_not_grow_with_items(tmp_path: Path) -> None:
    """48 MiB through writer and reader in a few MiB of memory."""
    size = 48 * MIB

    def chunks() -> Iterator[bytes]:
        yield from (bytes(MIB) for _ in range(48))

    path = tmp_path / "bundle"
    tracemalloc.start()
    try:
        with path.open("wb") as out:
            items = [ItemSource(ItemEntry("envelope", size, bytes(32), RECEIPT), chunks)]
            bundle_write.write_bundle(out, INDEX, items, reader=READER, reader_public=PUBLIC, signer=SIGNER)
        with path.open("rb") as file:
            found = bundle_read.Bundle(file, READER, lambda _: SEED)
            total = sum(map(len, found.read(found.items[0])))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert total == size
    assert peak < 6 * MIB


# --- acknowledgements and reports -------------------------------------------------------------------------------------

IDS = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=6)
DESK = SIGNER.verify_key.encode()


@QUICK
@given(IDS)
def test_acknowledgement_round_trip(envelopes: list[bytes]) -> None:
    """Desks that hold the same Envelopes, in whatever order, say the same but for the signature."""
    other = SigningKey(b"\x01" * 32)
    one, two = acknowledge(envelopes, SIGNER), acknowledge(envelopes[::-1], other)

    assert read_acknowledgement(one, DESK) == sorted(set(envelopes))
    assert one.split(b'"signature"')[0] == two.split(b'"signature"')[0]
    assert len(one) == len(two)


@QUICK
@given(st.data(), IDS)
def test_acknowledgement_refuses_every_change(data: Any, envelopes: list[bytes]) -> None:
    written = data.draw(changed(acknowledge(envelopes, SIGNER)))

    assert refused(lambda: read_acknowledgement(written, DESK)) in {"malformed", "limit", "bad-signature"}


def test_acknowledgement_has_a_bound() -> None:
    envelopes = [n.to_bytes(32) for n in range(MAX_ACKS + 1)]
    assert len(read_acknowledgement(acknowledge(envelopes[:-1], SIGNER), DESK)) == MAX_ACKS

    unsigned: dict[str, canonical.Json] = {"envelopes": [envelope.hex() for envelope in envelopes]}
    signature = fields.to_base64(sign(labels.ACK, canonical.encode(unsigned), SIGNER))
    too_long = canonical.encode({**unsigned, "signature": signature})
    assert refused(lambda: read_acknowledgement(too_long, DESK)) == "limit"
    for wrong in ([], envelopes):
        with pytest.raises(LimitExceeded):
            acknowledge(wrong, SIGNER)


def test_acknowledgement_holds_from_one_to_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [acknowledge([n.to_bytes(32) for n in range(count)], SIGNER) for count in range(1, 5)]
    with monkeypatch.context() as patched:
        patched.setattr(acknowledgement, "MAX_ACKS", 3)
        for count in (1, 3):
            assert acknowledge([n.to_bytes(32) for n in range(count)], SIGNER) == made[count - 1]
            assert len(read_acknowledgement(made[count - 1], DESK)) == count
        assert refused(lambda: acknowledge([n.to_bytes(32) for n in range(4)], SIGNER)) == "limit"
        assert refused(lambda: read_acknowledgement(made[3], DESK)) == "limit"
    assert refused(lambda: acknowledge([], SIGNER)) == "limit"


taken = st.builds(TakenBundle, st.integers(1, MAX_SAFE_INTEGER), st.lists(hashes, min_size=1, max_size=3).map(tuple))
reports = st.builds(
    Report,
    st.lists(taken, max_size=6, unique_by=lambda one: one.sequence).map(
        lambda made: tuple(sorted(made, key=lambda one: one.sequence))
    ),
    st.lists(st.tuples(hashes, st.sampled_from(("full", "not-found"))), max_size=4).map(
        lambda made: tuple(sorted(made))
    ),
)


@QUICK
@given(reports, st.data())
def test_report_is_read_exactly_or_refused(made: Report, data: Any) -> None:
    assert Report.parse(made.encode()) == made

    written = data.draw(changed(made.encode()))
    try:
        Report.parse(written)
    except TipboxError as error:
        assert error.code in {"malformed", "limit"}  # noqa: PT017


def test_report_lists_the_newest_thousand() -> None:
    found = Report.parse(Report(tuple(TakenBundle(number, (bytes(32),)) for number in range(1, 2001))).encode())

    assert [one.sequence for one in found.bundles] == list(range(2001 - MAX_REPORT_BUNDLES, 2001))
    too_many: list[canonical.Json] = [
        {"indexes": ["00" * 32], "sequence": number} for number in range(1, MAX_REPORT_BUNDLES + 2)
    ]
    written = canonical.encode({"bundles": too_many, "refused": []})
    assert refused(lambda: Report.parse(written)) == "limit"


@pytest.mark.parametrize(("volumes", "code"), [(0, "malformed"), (MAX_REPORT_VOLUMES + 1, "malformed")])
def test_a_bundle_of_a_report_has_one_volume_to_its_bound(volumes: int, code: str) -> None:
    def made(count: int) -> Report:
        return Report((TakenBundle(1, tuple(bytes([number]) * 32 for number in range(count))),))

    assert Report.parse(made(1).encode()) == made(1)
    assert Report.parse(made(MAX_REPORT_VOLUMES).encode()) == made(MAX_REPORT_VOLUMES)
    assert refused(lambda: Report.parse(made(volumes).encode())) == code


# --- locked files -----------------------------------------------------------------------------------------------------

VAULT = case("locked", "vault")["input"]
LOCKED, TYPED = b64(VAULT["file"]), b64(VAULT["passphrase"])


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("payload", [b"", b"x", bytes(100_000)], ids=len)
def test_locked_round_trip(kind: Kind, payload: bytes) -> None:
    data = locked.lock(kind, TYPED, payload)

    assert locked.unlock(kind, TYPED, data) == payload
    assert locked.lock(kind, TYPED, payload)[10:50] != data[10:50]


@FEW
@given(changed(LOCKED))
def test_locked_refuses_every_change(data: bytes) -> None:
    code = refused(lambda: locked.unlock(Kind.VAULT, TYPED, data))

    assert code in {"wrong-passphrase", "not-tipbox", "version", "malformed", "truncated"}


@QUICK
@given(st.binary(max_size=65).map(lambda rest: b"\x89tiploc\n" + rest) | st.binary(max_size=80))
def test_locked_refuses_anything_short(data: bytes) -> None:
    refused(lambda: locked.unlock(Kind.VAULT, TYPED, data[:65]))


def test_locked_has_a_bound() -> None:
    with pytest.raises(LimitExceeded):
        locked.lock(Kind.VAULT, TYPED, bytes(MAX_LOCKED))
    assert refused(lambda: locked.unlock(Kind.VAULT, TYPED, LOCKED + bytes(MAX_LOCKED))) == "limit"


def test_locked_holds_up_to_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    data = locked.lock(Kind.VAULT, TYPED, b"x" * 34)
    assert len(data) == 100
    with monkeypatch.context() as patched:
        patched.setattr(locked, "MAX_LOCKED", 100)
        assert locked.unlock(Kind.VAULT, TYPED, locked.lock(Kind.VAULT, TYPED, b"x" * 34)) == b"x" * 34
        assert refused(lambda: locked.lock(Kind.VAULT, TYPED, b"x" * 35)) == "limit"
        patched.setattr(locked, "MAX_LOCKED", 99)
        assert refused(lambda: locked.unlock(Kind.VAULT, TYPED, data)) == "limit"


# --- durable files ----------------------------------------------------------------------------------------------------


def test_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write_file(path, b"old")

    def breaks() -> Iterator[bytes]:
        yield b"new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        durable.write_file(path, breaks())
    assert path.read_bytes() == b"old"
    durable.write_file(path, [b"n", b"ew"])
    assert path.read_bytes() == b"new"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_file_is_synced_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes, then the name, then the folder: each on the disk before the next."""
    path = tmp_path / "file"
    seen: list[tuple[bool, bool]] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        seen.append((os.path.isdir(f"/proc/self/fd/{descriptor}"), path.exists()))  # noqa: PTH112

    monkeypatch.setattr(os, "fsync", watched)
    durable.write_file(path, b"x")

    assert seen == [(False, False), (True, True)]
