"""Key manifests and signatures: round trips, changes, days, and that each signature holds for one purpose only."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.organisations import FEW, QUICK, case, changed, json_values, languages, refused, text
from tipbox.errors import TipboxError
from tipbox.files.key_folder import load_folder
from tipbox.formats import manifest as keys
from tipbox.formats.base import canonical, fields, labels
from tipbox.formats.base.limits import MAX_MANIFEST, MAX_SLOTS
from tipbox.formats.base.primitives import SigningKey, sha256, sign, verify, xwing_public
from tipbox.formats.bundles import stamps
from tipbox.formats.bundles.acknowledgement import acknowledge, read_acknowledgement
from tipbox.formats.bundles.bundle import INWARD, OUTWARD, Index, ItemEntry, Receipt
from tipbox.formats.manifest import Manifest, ReceivingKey

IDENTITY, DESK = SigningKey(bytes(32)), SigningKey(b"\x01" * 32)
PUBLIC = [xwing_public(bytes([n]) * 32) for n in range(16)]
DAY = date(2026, 11, 23)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    start = draw(st.dates(max_value=date(9000, 1, 1)))
    starts = sorted(draw(st.sets(st.integers(0, 90), min_size=1, max_size=4)))
    receiving = tuple(
        ReceivingKey(start + timedelta(at), start + timedelta(at + draw(st.integers(1, 40))), PUBLIC[n])
        for n, at in enumerate(starts)
    )
    extra = draw(st.dictionaries(st.from_regex(r"x-[a-z]{1,9}", fullmatch=True), json_values, max_size=2))
    return Manifest(
        organisation=draw(st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)),
        name=draw(text(200).filter(lambda name: not re.search("[\x00-\x1f\x7f-\x9f]", name))),
        country=draw(st.from_regex(r"([A-Z]{2})?", fullmatch=True)),
        languages=tuple(draw(st.lists(languages, max_size=3))),
        identity=b"",
        desk=DESK.verify_key.encode(),
        start=start,
        end=start + timedelta(draw(st.integers(1, 91))),
        serial=(draw(st.integers(1, 2**31 - 1)), draw(st.integers(1, 2**31 - 1))),
        keys=receiving,
        extra=tuple(extra.items()),
    )


@QUICK
@given(manifests())
def test_manifest_round_trip(unsigned: Manifest) -> None:
    try:
        made = unsigned.signed_by(IDENTITY)
    except TipboxError as error:  # a member nested too deeply
        assert error.code == "malformed"  # noqa: PT017
        return

    assert Manifest.parse(made.encode()) == made
    assert made.id == keys.organisation_id(IDENTITY.verify_key.encode())


def sample(**change: Any) -> Manifest:
    values = {
        "organisation": "alpha",
        "name": "Alpha",
        "country": "KZ",
        "languages": ("ru",),
        "identity": b"",
        "desk": DESK.verify_key.encode(),
        "start": DAY,
        "end": DAY + timedelta(56),
        "serial": (1, 1),
        "keys": (ReceivingKey(DAY, DAY + timedelta(14), PUBLIC[0]),),
    }
    return Manifest(**{**values, **change}).signed_by(IDENTITY)


FORTNIGHTS = tuple(
    ReceivingKey(DAY + timedelta(14 * n), DAY + timedelta(14 * n + 14), PUBLIC[n]) for n in range(len(PUBLIC))
)


def keeps(manifest: Manifest, day: date) -> ReceivingKey | None:
    """The key that a client seals to on a day; None when it seals to none."""
    try:
        manifest.check(day)
        return manifest.current_key(day)
    except TipboxError:
        return None


@QUICK
@given(manifests(), st.integers(-3, 95))
def test_an_extract_seals_to_the_keys_of_the_whole_on_every_clock_near_the_servers(unsigned: Manifest, at: int) -> None:
    try:
        whole = unsigned.with_extracts(IDENTITY).signed_by(IDENTITY)
    except TipboxError:
        return  # an extract, or a member, that is none
    today = whole.start + timedelta(max(at, (date.min - whole.start).days + 2))
    extract = whole.extract(today)

    assert (extract.id, extract.desk, extract.serial) == (whole.id, whole.desk, whole.serial)
    assert Manifest.parse(extract.encode()) == extract
    for off in (-2, -1, 0, 1, 2):
        day = today + timedelta(off)
        assert keeps(extract, day) == keeps(whole, day)


def test_an_extract_has_the_key_of_the_day_and_near_a_change_the_next_one() -> None:
    whole = sample(keys=FORTNIGHTS, extra=()).with_extracts(IDENTITY).signed_by(IDENTITY)
    assert whole.extract(DAY + timedelta(6)).keys == FORTNIGHTS[:1]
    assert whole.extract(DAY + timedelta(12)).keys == FORTNIGHTS[:2]
    assert whole.extract(DAY + timedelta(15)).keys == FORTNIGHTS[:2]
    assert whole.extract(DAY + timedelta(16)).keys == FORTNIGHTS[1:2]
    # After the next key has begun nobody can be given the one before.
    assert refused(lambda: whole.extract(DAY + timedelta(6)).check(FORTNIGHTS[1].start)) == "expired"
    assert len(whole.extract(DAY + timedelta(6)).encode()) < 2_600 < len(whole.encode())


@pytest.mark.parametrize("name", ["extract-first", "extract-next"])
def test_an_extract_is_the_one_of_the_vectors(name: str) -> None:
    whole = Manifest.parse(base64.b64decode(case("manifest", "extracts")["input"]["file"]))
    given = case("manifest", name)["input"]

    assert whole.extract(date.fromisoformat(given["day"])).encode() == base64.b64decode(given["file"])


def test_each_key_and_each_two_neighbours_have_an_extract() -> None:
    unsigned = replace(sample(keys=FORTNIGHTS[:3]), identity=b"")
    whole = unsigned.with_extracts(IDENTITY).signed_by(IDENTITY)
    assert len(dict[str, Any](whole.extra)["extracts"]) == 5
    found = {whole.extract(DAY + timedelta(at)).keys for at in range(40)}
    assert found == {FORTNIGHTS[:1], FORTNIGHTS[:2], FORTNIGHTS[1:2], FORTNIGHTS[1:3], FORTNIGHTS[2:3]}


def test_of_keys_that_overlap_an_extract_ends_where_the_next_key_begins() -> None:
    long, short = ReceivingKey(DAY, DAY + timedelta(40), PUBLIC[0]), replace(FORTNIGHTS[1], start=DAY + timedelta(10))
    whole = sample(keys=(long, short)).with_extracts(IDENTITY).signed_by(IDENTITY)
    assert whole.extract(DAY + timedelta(5)).end == short.start
    # Of no use once the short key is over and the long one goes on: the extract of that has ended.
    brief = replace(short, end=DAY + timedelta(12))
    odd = sample(keys=(long, brief)).with_extracts(IDENTITY).signed_by(IDENTITY)
    assert odd.extract(DAY + timedelta(20)) is odd


def test_without_a_good_extract_the_whole_is_given_out() -> None:
    plain = sample(keys=FORTNIGHTS)
    assert plain.extract(DAY) is plain
    for extracts in ("", [], ["AA=="] * 7, [1], None, {"0": ""}):
        bad = sample(keys=FORTNIGHTS, extra=(("extracts", extracts),))
        assert bad.extract(DAY) is bad
    other = sample(keys=FORTNIGHTS).with_extracts(DESK)  # signed by somebody else
    of_another = sample(keys=FORTNIGHTS, extra=other.extra)
    assert of_another.extract(DAY) is of_another
    assert plain.with_extracts(IDENTITY).signed_by(IDENTITY).extract(DAY - timedelta(30)).keys == FORTNIGHTS


FILE = sample().encode()


@QUICK
@given(changed(FILE))
def test_manifest_refuses_every_change(file: bytes) -> None:
    assert refused(lambda: Manifest.parse(file)) in {
        "malformed",
        "bad-signature",
        "version",
        "unknown-critical",
        "limit",
    }


@pytest.mark.parametrize("at", range(0, len(FILE), 7))
def test_manifest_refuses_every_flipped_bit(at: int) -> None:
    file = bytearray(FILE)
    file[at] ^= 1

    refused(lambda: Manifest.parse(bytes(file)))


@QUICK
@given(st.data(), st.sampled_from(sorted(sample().unsigned())), json_values)
def test_manifest_signed_with_anything_in_a_member(data: Any, name: str, value: canonical.Json) -> None:
    """Whoever holds an identity key is a stranger too: any value is read or refused, also when days are asked for."""
    unsigned = {**sample().unsigned(), name: value}
    signature = sign(labels.MANIFEST, canonical.encode(unsigned), IDENTITY)
    file = canonical.encode({**unsigned, "signature": fields.to_base64(signature)}, file_form=True)
    try:
        found = Manifest.parse(file)
    except TipboxError:
        return

    assert found.encode() == file
    day = data.draw(st.dates())
    for ask in (lambda: found.check(day), lambda: found.current_key(day), lambda: found.check_replaces(sample())):
        try:
            ask()
        except TipboxError:
            continue


@QUICK
@given(manifests(), st.dates())
@example(sample(start=date.min, end=date(1, 2, 1), keys=(ReceivingKey(date.min, date(1, 2, 1), PUBLIC[0]),)), date.min)
@example(
    sample(start=date(9999, 12, 1), end=date.max, keys=(ReceivingKey(date(9999, 12, 1), date.max, PUBLIC[0]),)),
    date.max,
)
def test_days_of_manifests(made: Manifest, today: date) -> None:
    """A manifest and its keys hold from one day before their first to the day before their last."""
    try:
        made.check(today)
    except TipboxError as error:
        assert error.code == ("expired" if today >= made.end else "not-yet-valid")  # noqa: PT017
    else:
        assert made.start - today <= timedelta(1)
        assert today < made.end
    try:
        key = made.current_key(today)
    except TipboxError as error:
        assert error.code == "no-current-key"  # noqa: PT017
        assert all(key.start - today > timedelta(1) or today >= key.end for key in made.keys)
    else:
        begun = [key.start for key in made.keys if key.start <= today < key.end]
        assert today < key.end
        assert key.start == (max(begun) if begun else today + timedelta(1))


@pytest.mark.parametrize("days", [1, 91])
def test_a_manifest_and_a_key_may_live_as_short_and_as_long(days: int) -> None:
    made = sample(end=DAY + timedelta(days), keys=(ReceivingKey(DAY, DAY + timedelta(days), PUBLIC[0]),))
    made.check(DAY)
    made.check(DAY + timedelta(days - 1))

    assert made.current_key(DAY) == made.current_key(DAY + timedelta(days - 1)) == made.keys[0]
    assert refused(lambda: made.check(DAY + timedelta(days))) == "expired"
    assert refused(lambda: made.current_key(DAY + timedelta(days))) == "no-current-key"
    for wrong in (0, 92):
        end = DAY + timedelta(wrong)
        assert refused(lambda end=end: sample(end=end)) == "malformed"  # type: ignore[misc]
        key = ReceivingKey(DAY, end, PUBLIC[0])
        assert refused(lambda key=key: sample(keys=(key,))) == "malformed"  # type: ignore[misc]


@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_serials_order_by_generation_then_index(one: tuple[int, int], other: tuple[int, int]) -> None:
    held, offered = sample(serial=one), sample(serial=other)

    if other > one:
        offered.check_replaces(held)
    else:
        assert refused(lambda: offered.check_replaces(held)) == "older-serial"


def test_folder_names_the_file_that_is_wrong(tmp_path: Path) -> None:
    assert refused(lambda: load_folder(tmp_path)) == "not-found"

    (tmp_path / "alpha.json").write_bytes(FILE)
    assert load_folder(tmp_path) == [sample()]

    (tmp_path / "beta.json").write_bytes(FILE)
    assert refused(lambda: load_folder(tmp_path)) == "malformed"

    (tmp_path / "beta.json").write_bytes(FILE[:-2])
    with pytest.raises(TipboxError, match=r"^reading the key manifest beta\.json: "):
        load_folder(tmp_path)


@pytest.mark.parametrize(
    ("ident", "digits"),
    [
        (bytes(16), "00000 00000 00000 00000 00000 00000"),
        ((10**30 - 1).to_bytes(16), "99999 99999 99999 99999 99999 99999"),
        ((10**30).to_bytes(16), "00000 00000 00000 00000 00000 00000"),
        ((10**30 + 123456789012345).to_bytes(16), "00000 00000 00000 12345 67890 12345"),
        (b"\xff" * 16, "92093 84634 63374 60743 17682 11455"),
    ],
)
def test_an_id_is_read_aloud_as_thirty_digits(ident: bytes, digits: str) -> None:
    assert keys.id_digits(ident) == digits


def test_a_manifest_of_the_largest_size_is_read() -> None:
    assert refused(lambda: Manifest.parse(b" " * MAX_MANIFEST)) == "malformed"
    assert refused(lambda: Manifest.parse(b" " * (MAX_MANIFEST + 1))) == "limit"


def manifest_of(number: int, organisation: str | None = None) -> Manifest:
    identity = SigningKey(number.to_bytes(32))
    return replace(sample(), organisation=organisation or f"org-{number}").signed_by(identity)


def test_a_set_has_each_organisation_once_in_the_order_of_ids() -> None:
    many = [manifest_of(number) for number in range(1, MAX_SLOTS + 2)]
    ordered = sorted(many[:-1], key=lambda manifest: manifest.id)
    assert keys.unique_manifests(many[:-1], "here") == keys.unique_manifests(ordered[::-1], "here") == ordered
    assert ordered != many[:-1]
    assert keys.unique_manifests([], "here") == []

    assert refused(lambda: keys.unique_manifests(many, "here")) == "limit"
    for twice in ([many[0], manifest_of(1, "other")], [many[0], manifest_of(2, "org-1")], [many[0], many[0]]):
        assert refused(lambda found=twice: keys.unique_manifests(found, "here")) == "malformed"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["a", "0-9", "-", "a" * 32])
def test_a_short_name_is_given_back(name: str) -> None:
    assert keys.check_organisation_name(name) == name


# --- one signature, one purpose ---------------------------------------------------------------------------------------

KINDS = {
    "manifest": labels.MANIFEST,
    "bundle-out": labels.BUNDLE_OUT,
    "bundle-in": labels.BUNDLE_IN,
    "ack": labels.ACK,
    "stamp": labels.STAMP,
    "head": labels.HEAD,
}
OTHERS = sorted(KINDS)
# Names that the page keeps for what is to come.
RESERVED = {b"custody", b"toll"}


def test_labels_are_different_and_none_starts_another() -> None:
    """Label ‖ data: two labels can never give one string, whatever follows them, nor can one that is reserved."""
    known = [value for name, value in vars(labels).items() if name.isupper()]
    text_of_labels = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")

    assert len(known) == len(set(known)) > 20
    assert all(label.startswith(b"tipbox/v1/") and b"\x00" not in label for label in known)
    told = re.search(r"Reserved: (.*)\.", text_of_labels)
    assert told is not None
    assert {name.encode() for name in re.findall("`([a-z]+)`", told[1])} == RESERVED
    every = [*known, *(b"tipbox/v1/" + name for name in RESERVED)]
    assert [(one, other) for one in every for other in every if one != other and other.startswith(one)] == []
    listed = {label.encode() for label in re.findall(r"`(tipbox/v1/[a-z-]+)`", text_of_labels)}
    listed |= {label.encode() for label in re.findall(r"`?\"?(tipbox/v1/[a-z-]+)", text_of_labels)}
    assert listed <= set(known)


@pytest.mark.parametrize("made", OTHERS)
@pytest.mark.parametrize("checked", OTHERS)
def test_signature_of_one_kind_holds_for_no_other(made: str, checked: str) -> None:
    """The same message under the same key, signed for one purpose, verifies for that one alone."""
    public = IDENTITY.verify_key.encode()
    signature = sign(KINDS[made], b"message", IDENTITY)

    if made == checked:
        verify(KINDS[checked], b"message", signature, public)
    else:
        assert refused(lambda: verify(KINDS[checked], b"message", signature, public)) == "bad-signature"


def manifest_with(signature: bytes) -> bytes:
    unsigned = sample().unsigned()
    return canonical.encode({**unsigned, "signature": fields.to_base64(signature)}, file_form=True)


@pytest.mark.parametrize("kind", [kind for kind in OTHERS if kind != "manifest"])
def test_manifest_refuses_signatures_of_other_kinds(kind: str) -> None:
    """One key for all purposes, which nobody should have: still no signature moves."""
    unsigned = canonical.encode(sample().unsigned())

    assert Manifest.parse(manifest_with(sign(labels.MANIFEST, unsigned, IDENTITY))) == sample()
    assert refused(lambda: Manifest.parse(manifest_with(sign(KINDS[kind], unsigned, IDENTITY)))) == "bad-signature"


@pytest.mark.parametrize("kind", [kind for kind in OTHERS if kind != "ack"])
def test_acknowledgement_refuses_signatures_of_other_kinds(kind: str) -> None:
    good = acknowledge([sha256(b"x")], DESK)
    unsigned: dict[str, canonical.Json] = {"envelopes": [sha256(b"x").hex()]}

    def with_label(label: bytes) -> bytes:
        signature = sign(label, canonical.encode(unsigned), DESK)
        return canonical.encode({**unsigned, "signature": fields.to_base64(signature)})

    assert with_label(labels.ACK) == good
    assert refused(lambda: read_acknowledgement(with_label(KINDS[kind]), DESK.verify_key.encode())) == "bad-signature"


def index_of(direction: int, **change: Any) -> Index:
    item = ItemEntry("envelope", 1, bytes(32), Receipt(DAY, bytes(64))) if direction == OUTWARD else None
    items = (item or ItemEntry("ack", 1, bytes(32)),)
    made = Index(DAY, direction, bytes(16), DESK.verify_key.encode(), 1, items)
    return replace(made, **change)


@FEW
@given(st.binary(min_size=32, max_size=32), st.sampled_from((OUTWARD, INWARD)))
def test_index_signature_holds_for_one_header_and_one_direction(header_hash: bytes, direction: int) -> None:
    public, made = DESK.verify_key.encode(), index_of(direction)
    signature = sign(*made.signed(header_hash), DESK)
    label, message = made.signed(header_hash)
    verify(label, message, signature, public)

    for other, said in (
        made.signed(sha256(header_hash)),
        index_of(OUTWARD + INWARD - direction).signed(header_hash),
    ):
        assert refused(partial(verify, other, said, signature, public)) == "bad-signature"
    for change in ({"sequence": 2}, {"volumes": 2}, {"day": DAY + timedelta(1)}, {"organisation": bytes(15) + b"\x01"}):
        assert replace(made, **change).signed(header_hash) != (label, message)


def test_an_inward_index_is_signed_without_its_items_and_an_outward_one_with_them() -> None:
    """Server and desk share the key that authenticates an inward list: to a third party it proves nothing."""
    for direction, covered in ((OUTWARD, True), (INWARD, False)):
        made = index_of(direction)
        label, message = replace(made, items=()).signed(bytes(32))
        assert ((label, message) != made.signed(bytes(32))) == covered
    assert index_of(INWARD, head=bytes(32)).signed(bytes(32)) != index_of(INWARD).signed(bytes(32))


def test_a_stamp_holds_for_one_hash_one_day_and_one_server() -> None:
    server, made = DESK.verify_key.encode(), stamps.stamp(bytes(32), DAY, DESK)
    stamps.check_stamp(bytes(32), DAY, made, server)
    head = stamps.stamp_head(bytes(16), bytes(32), DAY, DESK)
    stamps.check_head_stamp(bytes(16), bytes(32), DAY, head, server)

    other, later = b"\x01" + bytes(31), DAY + timedelta(1)
    for read in (
        lambda: stamps.check_stamp(other, DAY, made, server),
        lambda: stamps.check_stamp(bytes(32), later, made, server),
        lambda: stamps.check_stamp(bytes(32), DAY, made, IDENTITY.verify_key.encode()),
        lambda: stamps.check_stamp(bytes(32), DAY, head, server),
        lambda: stamps.check_head_stamp(other[:16], bytes(32), DAY, head, server),
        lambda: stamps.check_head_stamp(bytes(16), other, DAY, head, server),
        lambda: stamps.check_head_stamp(bytes(16), bytes(32), later, head, server),
        lambda: stamps.check_head_stamp(bytes(16), bytes(32), DAY, made, server),
    ):
        assert refused(read) == "bad-signature"
