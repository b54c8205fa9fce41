"""Canaries: a list is read exactly or refused, and a message is a canary's to the last byte or a tip's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.organisations import QUICK, changed, refused
from tipbox.errors import TipboxError
from tipbox.formats.base import canonical
from tipbox.formats.base.limits import MAX_CANARIES, MAX_CANARY_LIST
from tipbox.formats.canary_list import CanaryList, message_of, token_of

TOKEN = bytes(range(16))
LISTS = st.builds(
    CanaryList,
    st.binary(min_size=16, max_size=16),
    st.lists(st.binary(min_size=16, max_size=16), max_size=5, unique=True).map(tuple),
)


def numbered(count: int) -> CanaryList:
    return CanaryList(TOKEN, tuple(number.to_bytes(16) for number in range(count)))


def with_members(**change: Any) -> bytes:
    value: dict[str, Any] = {"kind": "canaries", "organisation": TOKEN.hex(), "tokens": [TOKEN.hex()], "version": 1}
    return canonical.encode({**value, **change}, file_form=True)


@QUICK
@given(st.binary(min_size=16, max_size=16))
def test_a_message_names_its_token(token: bytes) -> None:
    assert token_of(message_of(token)) == token


def test_the_message_is_what_the_format_says() -> None:
    assert message_of(TOKEN) == b"tipbox canary 000102030405060708090a0b0c0d0e0f"


@QUICK
@given(changed(message_of(TOKEN)))
def test_a_message_that_is_nearly_a_canarys_is_a_tips(message: bytes) -> None:
    found = token_of(message)

    assert found is None or message_of(found) == message


@QUICK
@given(LISTS, st.data())
def test_a_list_is_read_exactly_or_refused(made: CanaryList, data: Any) -> None:
    assert CanaryList.parse(made.encode()) == made

    written = data.draw(changed(made.encode()))
    try:
        found = CanaryList.parse(written)
    except TipboxError as error:
        assert error.code in {"malformed", "version"}  # noqa: PT017
        return
    assert found.encode() == written


def test_a_list_says_what_it_is() -> None:
    assert numbered(1).encode() == with_members(organisation=TOKEN.hex(), tokens=["00" * 16])
    assert CanaryList.parse(with_members()) == CanaryList(TOKEN, (TOKEN,))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kind": "canary"}, "malformed"),
        ({"kind": None}, "malformed"),
        ({"version": 0}, "version"),
        ({"version": 2}, "version"),
        ({"version": True}, "malformed"),
        ({"organisation": "00" * 15}, "malformed"),
        ({"organisation": "00" * 17}, "malformed"),
        ({"tokens": "00" * 16}, "malformed"),
        ({"tokens": ["00" * 15]}, "malformed"),
        ({"tokens": ["00" * 17]}, "malformed"),
        ({"tokens": ["00" * 16, "01" * 16, "00" * 16]}, "malformed"),
        ({"other": 1}, "malformed"),
    ],
)
def test_another_list_is_refused(change: dict[str, Any], code: str) -> None:
    assert refused(lambda: CanaryList.parse(with_members(**change))) == code


@pytest.mark.parametrize("member", ["kind", "organisation", "tokens", "version"])
def test_a_list_without_a_member_is_refused(member: str) -> None:
    value = canonical.decode(with_members(), file_form=True)
    assert isinstance(value, dict)
    del value[member]

    assert refused(lambda: CanaryList.parse(canonical.encode(value, file_form=True))) == "malformed"


def test_a_list_has_bounds() -> None:
    assert CanaryList.parse(numbered(MAX_CANARIES).encode()) == numbered(MAX_CANARIES)
    assert refused(lambda: CanaryList.parse(numbered(MAX_CANARIES + 1).encode())) == "limit"
    assert refused(lambda: CanaryList.parse(b" " * MAX_CANARY_LIST)) == "malformed"
    assert refused(lambda: CanaryList.parse(b" " * (MAX_CANARY_LIST + 1))) == "limit"


def test_tokens_do_not_show_in_repr() -> None:
    assert "tokens" not in repr(numbered(2))
