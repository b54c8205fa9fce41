"""Canonical JSON, fields, days, access codes and padding: round trips, and strangers' bytes."""

from __future__ import annotations

import runpy
import unicodedata
from datetime import date
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.organisations import QUICK, b64, case, changed, json_values, refused
from tipbox.errors import TipboxError
from tipbox.formats.access_code import AccessCode
from tipbox.formats.base import canonical, characters, days, fields, padding
from tipbox.formats.base.limits import GIB, LETTER_BUCKETS, MAX_BODY, PART_SIZE
from tipbox.formats.bundles.bundle import volume_class

NEARLY_JSON = '{}[]":,-+.eE0123456789\\u truefalsn'

# --- lists of characters ----------------------------------------------------------------------------------------------


def test_lists_of_characters_become_classes_when_the_module_is_loaded() -> None:
    """Loaded again under its name: what runs at that moment is seen by a test that runs later."""
    again = runpy.run_path(characters.__file__, run_name=characters.__name__)
    for listed, compiled in (("UNSEEN", "_UNSEEN"), ("DIVIDERS", "_DIVIDERS")):
        ranges = [one.split("-") for one in again[listed].split()]
        members = {
            chr(code) for first, *last in ranges for code in range(int(first, 16), int((last or [first])[0], 16) + 1)
        }
        found = {character for character in map(chr, range(0x110000)) if again[compiled].fullmatch(character)}
        assert found == members


# --- canonical JSON ---------------------------------------------------------------------------------------------------


@QUICK
@given(json_values, st.booleans())
def test_canonical_round_trip(value: canonical.Json, file_form: bool) -> None:  # noqa: FBT001
    encoded = canonical.encode(value, file_form=file_form)
    decoded = canonical.decode(encoded, file_form=file_form)

    assert decoded == value
    assert canonical.encode(decoded, file_form=file_form) == encoded


def read_or_refuse(data: bytes, *, file_form: bool = False) -> None:
    """Bytes are either refused or the one spelling of their value."""
    try:
        value = canonical.decode(data, file_form=file_form)
    except TipboxError as error:
        assert error.code == "malformed"  # noqa: PT017
    else:
        assert canonical.encode(value, file_form=file_form) == data


@QUICK
@given(
    st.binary(max_size=60) | st.text('{}[]":,-+.eE0123456789\\u truefalsn', max_size=40).map(str.encode), st.booleans()
)
@example(b"[" * 100_000, False)
@example(b'{"a":' * 100_000, False)
@example(b"1" * 10_000, False)
def test_canonical_reads_or_refuses_anything(data: bytes, file_form: bool) -> None:  # noqa: FBT001
    read_or_refuse(data, file_form=file_form)


@QUICK
@given(st.data(), json_values, st.booleans())
def test_canonical_changes_never_read_as_another_spelling(data: Any, value: canonical.Json, file_form: bool) -> None:  # noqa: FBT001
    encoded = canonical.encode(value, file_form=file_form)

    read_or_refuse(data.draw(changed(encoded)), file_form=file_form)


@pytest.mark.parametrize("file_form", [False, True])
@pytest.mark.parametrize("inner", [lambda value: [value], lambda value: {"a": value}, lambda value: [0, {"a": value}]])
def test_canonical_writes_what_it_reads_and_no_deeper(inner: Any, file_form: bool) -> None:  # noqa: FBT001
    """What lies within is held to the same rules, and depth counts through lists and objects alike."""
    steps = 2 if len(inner(0)) == 2 else 1
    value: Any = 1
    for _ in range(7 // steps):
        value = inner(value)
        read_or_refuse(canonical.encode(value, file_form=file_form), file_form=file_form)
        for wrong in (1.5, 2**53, float("nan")):
            assert refused(partial(canonical.encode, inner(wrong), file_form=file_form)) == "malformed"
    for _ in range(2):
        value = inner(value)
    assert refused(lambda: canonical.encode(value, file_form=file_form)) == "malformed"


@pytest.mark.parametrize(("depth", "code"), [(8, ""), (9, "malformed")])
@pytest.mark.parametrize("inner", [lambda value: [value], lambda value: {"a": value}])
def test_canonical_nests_eight_deep(inner: Any, depth: int, code: str) -> None:
    """The innermost value is a level of its own."""
    value: Any = 1
    for _ in range(depth - 1):
        value = inner(value)

    if code:
        assert refused(lambda: canonical.encode(value)) == code
    else:
        assert canonical.decode(canonical.encode(value)) == value


@pytest.mark.parametrize(
    "value", [1.0, float("nan"), 2**53, -(2**53), "\ud800", {"\ud800": 1}, {"é": 1}, b"", [[[[[[[[[]]]]]]]]]]
)
def test_canonical_refuses_to_write(value: Any) -> None:
    assert refused(lambda: canonical.encode(value)) == "malformed"


# --- fields and days --------------------------------------------------------------------------------------------------


@given(st.binary(max_size=70))
def test_binary_round_trip(data: bytes) -> None:
    assert fields.from_base64(fields.to_base64(data), len(data)) == data
    assert fields.from_hex(data.hex(), len(data)) == data


@given(st.text(max_size=12) | st.none() | st.integers(), st.integers(0, 9))
def test_binary_has_one_spelling(written: Any, size: int) -> None:
    for read, write in ((fields.from_base64, fields.to_base64), (fields.from_hex, bytes.hex)):
        try:
            data = read(written, size)
        except TipboxError as error:
            assert error.code == "malformed"  # noqa: PT017
        else:
            assert (write(data), len(data)) == (written, size)


@pytest.mark.parametrize(("value", "code"), [(1, "malformed"), (2, ""), (5, ""), (6, "malformed"), (True, "malformed")])
def test_an_integer_lies_between_its_bounds(value: canonical.Json, code: str) -> None:
    read = partial(fields.integer, {"n": value}, "n", 2, 5)

    assert (refused(read) == code) if code else (read() == value)


def test_an_object_has_the_members_that_it_must_and_may_have() -> None:
    value: dict[str, canonical.Json] = {"a": 1, "b": 2}
    for required, optional in ((("a", "b"), ()), (("a",), ("b",)), ((), ("a", "b", "c")), (("a",), None)):
        assert fields.members(value, required, optional) == value
    assert fields.members(value, ("a", "b")) == value
    for required, optional in ((("a",), ()), (("a", "c"), ("b",)), (("a", "c"), None), ((), ("a",))):
        assert refused(partial(fields.members, value, required, optional)) == "malformed"
    assert refused(lambda: fields.members(value, ("a",))) == "malformed"
    assert refused(lambda: fields.members(["a"], ("a",))) == "malformed"


@pytest.mark.parametrize(("tag", "code"), [("abcdefgh", ""), ("abcdefghi", "malformed"), ("en-a1234567", "malformed")])
def test_a_language_has_a_bound(tag: str, code: str) -> None:
    read = partial(fields.language, tag, 8)

    assert (refused(read) == code) if code else (read() == tag)


@given(st.dates())
def test_days_round_trip(day: date) -> None:
    assert days.parse(day.isoformat()) == day


@given(st.text("0123456789-T:٣", max_size=12) | st.none() | st.integers())
@example("2026-11-31")
@example("2026-1-1")
@example("20261123")
@example("2026-11-23\n")
def test_days_have_one_spelling(written: Any) -> None:
    try:
        day = days.parse(written)
    except TipboxError as error:
        assert error.code == "malformed"  # noqa: PT017
    else:
        assert day.isoformat() == written


# --- access codes ----------------------------------------------------------------------------------------------------

ZEROS = [chr(point) for point in range(0x110000) if unicodedata.decimal(chr(point), -1) == 0]
GOOD = case("passphrase", "plain")["output"]["digits"]


def test_generated_passphrases_read_again() -> None:
    made = {AccessCode.generate() for _ in range(50)}

    assert len(made) == 50
    assert all(AccessCode.parse(one.digits()) == one for one in made)


@QUICK
@given(st.data(), st.integers(0, 2**100 - 1))
def test_passphrase_reads_as_any_keyboard_writes_it(data: Any, secret: int) -> None:
    """Digits of any script, and white space, hyphens, dots and underscores anywhere."""
    passphrase = AccessCode._of(secret)
    digits = passphrase.digits().replace(" ", "")
    zeros = data.draw(st.lists(st.sampled_from(ZEROS), min_size=36, max_size=36))
    gaps = data.draw(st.lists(st.text("-._ \t\r\n\u00a0\u2009\u3000", max_size=2), min_size=37, max_size=37))
    written = "".join(gap + chr(ord(zero) + int(digit)) for gap, zero, digit in zip(gaps, zeros, digits, strict=False))

    assert AccessCode.parse(written + gaps[-1]) == passphrase
    assert passphrase.value.bit_length() <= 116


@QUICK
@given(st.text(max_size=50) | st.text("0123456789", min_size=34, max_size=38))
def test_passphrase_is_read_or_refused_without_a_word_of_it(typed: str) -> None:
    try:
        found = AccessCode.parse(typed)
    except TipboxError as error:
        assert error.code == "bad-passphrase"  # noqa: PT017
        assert str(error) == type(error).__doc__  # noqa: PT017
        assert repr(error.__context__) == "None"  # noqa: PT017
    else:
        assert AccessCode.parse(found.digits()) == found


def test_passphrase_catches_typing_errors() -> None:
    """Of all one-digit errors and swaps of neighbours in one access code, no more than a few pass 12 bits of check."""
    bare = GOOD.replace(" ", "")
    typed = {bare[:at] + digit + bare[at + 1 :] for at in range(36) for digit in "0123456789"}
    typed |= {bare[:at] + bare[at + 1] + bare[at] + bare[at + 2 :] for at in range(35)}
    typed.discard(bare)
    passed = []
    for one in typed:
        try:
            passed.append(AccessCode.parse(one))
        except TipboxError:
            continue

    assert len(typed) > 300
    assert len(passed) <= 2


def test_secrets_do_not_show_in_repr() -> None:
    secrets = AccessCode.parse(GOOD)
    shown = repr(secrets) + repr(secrets.secrets())

    assert not any(character.isdigit() for character in shown)


# --- padding ----------------------------------------------------------------------------------------------------------


@QUICK
@given(st.integers(0, 2 * MAX_BODY))
def test_padme_adds_little_and_stays(size: int) -> None:
    padded = padding.padme(size)

    assert size <= padded <= size * 1.12
    assert padding.padme(padded) == padded


@given(st.integers(0, MAX_BODY), st.integers(0, MAX_BODY))
def test_padme_keeps_order(one: int, other: int) -> None:
    assert (padding.padme(one) <= padding.padme(other)) or one > other


@given(st.integers(0, 4 * 2**20))
def test_letters_have_few_sizes(size: int) -> None:
    padded = padding.letter_size(size)

    assert padded >= size
    assert padded in LETTER_BUCKETS or padded == padding.padme(size)
    assert padding.letter_size(padded) == padded


@given(st.integers(0, 300 * PART_SIZE))
def test_parts_add_up(size: int) -> None:
    sizes = [padding.sealed_part_size(size, index) for index in range(padding.parts(size))]

    assert sum(sizes) == padding.sealed_size(size)
    assert all(part == PART_SIZE + 16 for part in sizes[:-1])
    assert all(16 < part <= PART_SIZE + 16 for part in sizes)
    # Those of an Envelope's body begin with a session nonce.
    in_envelopes = [padding.sealed_body_part_size(size, index) for index in range(padding.parts(size))]
    assert in_envelopes == [part + 16 for part in sizes]
    assert sum(in_envelopes) == padding.sealed_body_size(size)


@given(st.integers(1, 2**50))
def test_volumes_are_classes(size: int) -> None:
    volume = volume_class(size)

    assert volume >= size
    assert volume % GIB == 0 or (volume < GIB and volume.bit_count() == 1 and volume >= 2**20)
    assert volume_class(volume) == volume


def test_file_form_of_the_vectors_is_what_a_person_reads() -> None:
    assert b64(case("canonical", "file")["input"]["data"]).startswith(b'{\n  "a": [\n    1,\n')
