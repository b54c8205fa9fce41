"""Site lists: read exactly or refused, and no entry without its organisation's own word unless it says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.organisations import QUICK, changed, refused
from support.sealed import three
from tipbox.errors import TipboxError
from tipbox.formats.base import canonical, fields, labels
from tipbox.formats.base.limits import (
    MAX_ABOUT,
    MAX_FACE_NAME,
    MAX_LANGUAGES,
    MAX_MARK,
    MAX_ONIONS,
    MAX_SITE_LIST,
    MAX_SLOTS,
)
from tipbox.formats.base.primitives import SigningKey, sign
from tipbox.formats.site_face import SiteFace
from tipbox.formats.site_list import SiteEntry, SiteList

KEY = SigningKey(bytes(range(32)))
ONION = f"{'a2' * 28}.onion"
UNSIGNED = SiteEntry("kibhr", "Бюро", "KZ", ("kk", "ru"), KEY.verify_key.encode(), (ONION,))
ENTRY = UNSIGNED.signed_by(KEY)
SPEAKING = replace(UNSIGNED, about={"kk": "Біз кімбіз", "ru": "Кто мы"}).signed_by(KEY)
FACE = SiteFace("Приёмная", "#0c5450", "#7fcdbf", "M4 4h16v16H4z")


def numbered(count: int) -> list[SiteEntry]:
    keys = [SigningKey(number.to_bytes(32)) for number in range(count)]
    return [SiteEntry(f"o{number}", "O", "", (), key.verify_key.encode()) for number, key in enumerate(keys)]


def entry_with(**change: Any) -> bytes:
    """An entry with other members, and a good signature over them."""
    value: dict[str, Any] = {**ENTRY.to_json(), **change}
    if "signature" not in change:
        unsigned = {name: member for name, member in value.items() if name != "signature"}
        value["signature"] = fields.to_base64(sign(labels.SITE, canonical.encode(unsigned), KEY))
    return canonical.encode(value, file_form=True)


def list_with(**change: Any) -> bytes:
    value: dict[str, Any] = {"kind": "site", "language": "ru", "organisations": [ENTRY.to_json()], "version": 1}
    return canonical.encode({**value, **change}, file_form=True)


def test_an_entry_is_signed_by_its_identity_key_over_all_that_it_says() -> None:
    assert replace(UNSIGNED, signature=ENTRY.signature) == ENTRY
    assert (ENTRY.is_signed, UNSIGNED.is_signed) == (True, False)
    assert entry_with() == ENTRY.encode()
    changes: list[dict[str, Any]] = [
        {"name": "Other"},
        {"onions": []},
        {"organisation": "ili"},
        {"languages": []},
        {"country": ""},
    ]
    for change in changes:
        said = entry_with(**change, signature=ENTRY.to_json()["signature"])
        assert refused(partial(SiteEntry.parse, said)) == "bad-signature"
        assert SiteEntry.parse(entry_with(**change)).is_signed
    other = fields.to_base64(SigningKey(bytes(32)).verify_key.encode())
    assert refused(lambda: SiteEntry.parse(entry_with(identity=other))) == "bad-signature"


def test_an_entry_is_signed_as_everybody_reads_it() -> None:
    """Made here, and not where this file is loaded: what is signed is what was said, whatever was there before."""
    of_another = replace(UNSIGNED, identity=bytes(32), signature=bytes(64))
    for unsigned in (UNSIGNED, ENTRY, of_another):
        signed = unsigned.signed_by(KEY)
        assert signed == ENTRY
        assert replace(signed, signature=b"") == UNSIGNED
        assert len(signed.signature) == 64
        assert SiteEntry.parse(signed.encode()) == signed


def test_an_entry_of_a_manifest_says_what_that_says_and_is_signed_by_nobody() -> None:
    made = three()[0].manifest(start=date(2026, 1, 1))
    entry = SiteEntry.of(made)

    assert entry == SiteEntry(made.organisation, made.name, made.country, made.languages, made.identity, (), b"")
    assert entry.id == made.id
    assert not entry.is_signed


def test_an_entry_has_as_many_languages_and_onion_services_as_it_may() -> None:
    most = {"languages": ["en"] * MAX_LANGUAGES, "onions": [ONION] * MAX_ONIONS}
    entry = SiteEntry.parse(entry_with(**most))

    assert (len(entry.languages), len(entry.onions)) == (MAX_LANGUAGES, MAX_ONIONS)


@QUICK
@given(
    st.sampled_from(
        [
            ENTRY.encode(),
            UNSIGNED.encode(),
            list_with(),
            SiteList.of("en", numbered(3)).encode(),
            SPEAKING.encode(),
            SiteList.of("en", numbered(1), FACE).encode(),
        ]
    ),
    st.data(),
)
def test_it_is_read_exactly_or_refused(made: bytes, data: Any) -> None:
    kind = SiteList if b'"kind"' in made else SiteEntry
    assert kind.parse(made).encode() == made

    written = data.draw(changed(made))
    try:
        found = kind.parse(written)
    except TipboxError as error:
        assert error.code in {"malformed", "version", "bad-signature"}  # noqa: PT017
        return
    assert found.encode() == written


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"version": 0}, "version"),
        ({"version": True}, "malformed"),
        ({"country": "kz"}, "malformed"),
        ({"country": None}, "malformed"),
        ({"name": ""}, "malformed"),
        ({"name": "a\u202eb"}, "malformed"),
        ({"name": "я" * 101}, "malformed"),
        ({"organisation": "KIBHR"}, "malformed"),
        ({"languages": ["en"] * 17}, "malformed"),
        ({"languages": ["a" * 36]}, "malformed"),
        ({"languages": ["english language"]}, "malformed"),
        ({"onions": [ONION] * (MAX_ONIONS + 1)}, "malformed"),
        ({"onions": [ONION.upper()]}, "malformed"),
        ({"onions": [f"www.{ONION}"]}, "malformed"),
        ({"onions": [ONION.replace(".onion", ".example")]}, "malformed"),
        ({"onions": [f"{'1' * 56}.onion"]}, "malformed"),
        ({"onions": [f"{ONION}\n"]}, "malformed"),
        ({"onions": [None]}, "malformed"),
        ({"identity": fields.to_base64(bytes(32))}, "malformed"),
        ({"identity": fields.to_base64(bytes(31))}, "malformed"),
        ({"signature": fields.to_base64(bytes(64))}, "bad-signature"),
        ({"signature": fields.to_base64(bytes(63))}, "malformed"),
        ({"signature": None}, "malformed"),
        ({"other": 1}, "malformed"),
    ],
)
def test_another_entry_is_refused(change: dict[str, Any], code: str) -> None:
    assert refused(lambda: SiteEntry.parse(entry_with(**change))) == code
    listed = canonical.decode(entry_with(**change), file_form=True)
    assert refused(lambda: SiteList.parse(list_with(organisations=[listed]))) == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kind": "sites"}, "malformed"),
        ({"kind": None}, "malformed"),
        ({"version": 2}, "version"),
        ({"language": ""}, "malformed"),
        ({"organisations": {}}, "malformed"),
        ({"organisations": [ENTRY.to_json()] * 2}, "malformed"),
        ({"organisations": [entry.to_json() for entry in numbered(MAX_SLOTS + 1)]}, "limit"),
        ({"other": 1}, "malformed"),
    ],
)
def test_another_list_is_refused(change: dict[str, Any], code: str) -> None:
    assert refused(lambda: SiteList.parse(list_with(**change))) == code


@pytest.mark.parametrize("member", [*ENTRY.to_json()])
def test_an_entry_without_a_member_is_refused(member: str) -> None:
    value = {name: value for name, value in ENTRY.to_json().items() if name != member}
    assert refused(lambda: SiteEntry.parse(canonical.encode(value, file_form=True))) == "malformed"


def test_organisations_stand_in_the_order_of_their_ids_and_under_names_of_their_own() -> None:
    entries = numbered(MAX_SLOTS)
    made = SiteList.of("en", entries)
    assert [entry.id for entry in made.entries] == sorted(entry.id for entry in entries)
    backwards = [entry.to_json() for entry in reversed(made.entries)]
    assert refused(lambda: SiteList.parse(list_with(organisations=backwards))) == "malformed"
    assert refused(lambda: SiteList.of("en", [entries[0], replace(entries[1], organisation="o0")])) == "malformed"


def test_it_names_those_that_signed_nothing() -> None:
    assert SiteList.of("en", [ENTRY, *numbered(2)]).unsigned == sorted(
        ("o0", "o1"), key=lambda name: numbered(2)[int(name[1])].id
    )
    assert SiteList.of("en", [ENTRY]).unsigned == []


def test_it_has_a_bound() -> None:
    for parse in (SiteEntry.parse, SiteList.parse):
        assert refused(partial(parse, b" " * MAX_SITE_LIST)) == "malformed"
        assert refused(partial(parse, b" " * (MAX_SITE_LIST + 1))) == "limit"


def test_keys_and_signatures_do_not_show_in_repr() -> None:
    assert "identity" not in repr(ENTRY)
    assert "signature" not in repr(ENTRY)


def test_what_an_organisation_says_of_itself_is_signed_and_a_line() -> None:
    assert SiteEntry.parse(SPEAKING.encode()) == SPEAKING
    assert "about" not in ENTRY.to_json()  # lists of before stay what they were
    said = entry_with(about={"ru": "Кто"}, signature=SPEAKING.to_json()["signature"])
    assert refused(partial(SiteEntry.parse, said)) == "bad-signature"
    assert SiteEntry.parse(entry_with(about={"ru": "a" * MAX_ABOUT})).is_signed
    wrong: list[Any] = [
        {},
        "Кто мы",
        {"ru": ""},
        {"ru": 1},
        {"ru": "a" * (MAX_ABOUT + 1)},
        {"ru": "one\nmore"},
        {"ru": "pdf.\u202eexe"},
        {"no language": "a"},
        {f"l{letter}": "a" for letter in "abcdefghijklmnopq"},
    ]
    for about in wrong:
        assert refused(partial(SiteEntry.parse, entry_with(about=about))) == "malformed", about


def test_a_face_has_bounds_and_draws_nothing_but_a_path() -> None:
    face = FACE.to_json()
    assert SiteList.parse(list_with(face=face)).face == FACE
    assert SiteList.parse(list_with()).face is None
    wrong: list[dict[str, Any]] = [
        {"name": ""},
        {"name": "a" * (MAX_FACE_NAME + 1)},
        {"name": "a\u202eb"},
        {"light": "red"},
        {"dark": "#FFFFFF"},
        {"light": "#0c5450;"},
        {"mark": "M0 0" * MAX_MARK},
        {"mark": '"/><script>'},
        {"mark": 1},
        {"more": ""},
    ]
    for change in wrong:
        assert refused(partial(SiteList.parse, list_with(face={**face, **change}))) == "malformed", change


def test_what_is_as_short_or_as_long_as_it_may_be_is_read() -> None:
    tags = [f"{one}{other}" for one in "abcd" for other in "abcd"]
    assert len(tags) == MAX_LANGUAGES
    for about in (dict.fromkeys(tags, "a"), {"ru": "a"}):
        assert SiteEntry.parse(entry_with(about=about)).about == about
    for name, mark in (("x", ""), ("x" * MAX_FACE_NAME, "M" * MAX_MARK)):
        face = replace(FACE, name=name, mark=mark)
        assert SiteList.of("ru", [ENTRY], face).face == face
