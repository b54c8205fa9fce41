"""The list of a mailbox: read exactly, or refused with the error that docs/protocol.md names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.organisations import QUICK, refused
from tipbox.formats.access_code import Secrets
from tipbox.formats.base.limits import KEY_SIZE, MAILBOX_LIST, MAILBOX_TOKENS, MAX_REPLIES, MAX_REPLY
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.mailbox_list import (
    DELETE_REQUEST,
    ENTRY_SIZE,
    LARGEST_LISTED,
    LIST_REQUEST,
    MOST_LISTED,
    PIECE_REQUEST,
    SMALLEST_OPENING,
    Entry,
    MailboxList,
    encode_delete,
    encode_piece,
    encode_tokens,
    how_many_fit,
    in_order,
    parse_delete,
    parse_piece,
    parse_tokens,
)

DAY = date(2026, 11, 25)
ID = st.binary(min_size=32, max_size=32)
ENTRY = st.builds(
    Entry,
    ID,
    st.dates(date(1970, 1, 1)),
    st.integers(30_000, MAX_REPLY),
    st.integers(SMALLEST_OPENING, 30_000),
    st.integers(0, MAILBOX_TOKENS - 1),
)


def entries(count: int, opening: int = SMALLEST_OPENING) -> list[Entry]:
    return [Entry(number.to_bytes(32), DAY, opening, opening) for number in range(1, count + 1)]


def listed(rows: list[Entry]) -> MailboxList:
    fit = how_many_fit(rows)
    return MailboxList(tuple(rows), tuple(bytes([number + 1]) * rows[number].opening_size for number in range(fit)))


@QUICK
@given(st.lists(ENTRY, max_size=MAX_REPLIES, unique_by=lambda entry: entry.id))
def test_a_list_comes_back_as_it_was_and_has_one_size(rows: list[Entry]) -> None:
    made = listed(in_order(rows))

    assert len(made.encode()) == MAILBOX_LIST
    assert MailboxList.parse(made.encode()) == made


@QUICK
@given(ENTRY)
def test_an_entry_is_read_exactly_or_refused(entry: Entry) -> None:
    assert len(entry.encode()) == ENTRY_SIZE
    assert Entry.parse(entry.encode()) == entry
    assert refused(lambda: Entry.parse(entry.encode()[:-1])) == "malformed"
    assert refused(lambda: Entry.parse(entry.encode() + b"\x00")) == "malformed"


def test_a_list_holds_as_many_letters_as_fit_and_names_all() -> None:
    assert [how_many_fit(entries(count)) for count in (0, 1, 6, 7, 48, 400, MAX_REPLIES)] == [0, 1, 6, 7, 7, 5, 4]
    assert how_many_fit(entries(1, MAILBOX_LIST)) == 0
    assert MOST_LISTED == 7


def test_a_letter_fits_to_the_last_byte() -> None:
    assert how_many_fit(entries(1, LARGEST_LISTED)) == 1
    assert how_many_fit(entries(1, LARGEST_LISTED + 1)) == 0
    assert how_many_fit(entries(1, LARGEST_LISTED), 1) == 1
    assert how_many_fit(entries(1, LARGEST_LISTED), 2) == 0
    assert how_many_fit(entries(1, LARGEST_LISTED - ENTRY_SIZE), 2) == 1
    full = listed(entries(1, LARGEST_LISTED))
    assert MailboxList.parse(full.encode()) == full


def _put(at: int, value: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + value + data[at + len(value) :]


def _swap_entries(data: bytes) -> bytes:
    return data[:16] + data[68:120] + data[16:68] + data[120:]


def _twice(data: bytes) -> bytes:
    return data[:68] + data[16:48] + bytes(4) + data[104:]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_put(0, b"\x88"), "not-tipbox"),
        (_put(8, b"\x02"), "version"),
        (_put(9, b"\x01"), "malformed"),
        (_put(10, (MAX_REPLIES + 1).to_bytes(2)), "limit"),
        (_put(12, b"\x00\x04"), "limit"),
        (_put(14, b"\x01"), "malformed"),
        (_put(48, b"\xff"), "malformed"),  # a day that no calendar has
        (_put(56, (SMALLEST_OPENING - 1).to_bytes(4)), "malformed"),  # an Envelope that is smaller than its letter
        (_put(52, (MAX_REPLY + 1).to_bytes(8)), "malformed"),
        (_put(60, (1).to_bytes(4)), "malformed"),
        (_put(60, (MAILBOX_LIST).to_bytes(4)), "malformed"),
        (_put(64, bytes([MAILBOX_TOKENS])), "malformed"),
        (_put(65, b"\x01"), "malformed"),
        (_put(67, b"\x01"), "malformed"),
        (_swap_entries, "malformed"),
        (_twice, "malformed"),
        (_put(MAILBOX_LIST - 1, b"\x01"), "malformed"),
        (lambda data: data[:-1], "malformed"),
        (lambda data: data + b"\x00", "malformed"),
        (lambda _: b"", "malformed"),
    ],
)
def test_another_list_is_refused(change: Callable[[bytes], bytes], code: str) -> None:
    data = listed(entries(3)).encode()
    MailboxList.parse(data)

    assert refused(lambda: MailboxList.parse(change(data))) == code


TOKENS = [number.to_bytes(32) for number in range(1, MAILBOX_TOKENS + 1)]


def test_requests_come_back_as_they_were_and_have_one_size() -> None:
    ids = [number.to_bytes(32) for number in range(1, MAX_REPLIES + 1)]
    for named in ([], ids[:1], ids):
        assert len(encode_delete(TOKENS, named)) == DELETE_REQUEST == 17_408
        assert parse_delete(encode_delete(TOKENS, named)) == named
    assert parse_piece(encode_piece(TOKENS, ids[0], 7)) == (ids[0], 7)
    for body in (encode_tokens(TOKENS), encode_piece(TOKENS, ids[0], 7), encode_delete(TOKENS, ids)):
        assert parse_tokens(body) == parse_tokens(bytearray(body)) == TOKENS
    assert refused(lambda: encode_delete(TOKENS, [*ids, bytes(31) + b"\x00"])) == "limit"
    whole = encode_delete(TOKENS, [])
    for data in (b"", whole[:-1], whole + b"\x00", whole[:-16_384] + bytes(32) + ids[0].ljust(16_352, b"\x00")):
        assert refused(partial(parse_delete, data)) == "malformed"
    for data in (b"", bytes(PIECE_REQUEST - 1), bytes(PIECE_REQUEST + 1)):
        assert refused(partial(parse_piece, data)) == "malformed"


def test_a_request_has_32_tokens_in_order() -> None:
    """Whoever asks for fewer mailboxes, or in another order, would be known by it."""
    assert encode_tokens(TOKENS[::-1]) == b"".join(TOKENS)
    assert len(encode_tokens(TOKENS)) == LIST_REQUEST == 1_024
    for wrong in (TOKENS[1:], [*TOKENS, bytes(32)]):
        assert refused(partial(encode_tokens, wrong)) == "limit"
    swapped = [TOKENS[1], TOKENS[0], *TOKENS[2:]]
    for data in (b"", b"".join(TOKENS)[:-1], b"".join(swapped), b"".join([TOKENS[0], *TOKENS[:-1]])):
        assert refused(partial(parse_tokens, data)) == "malformed"


SECRETS = Secrets(random_bytes(KEY_SIZE))


@QUICK
@given(st.sets(st.binary(min_size=16, max_size=16), min_size=1, max_size=MAILBOX_TOKENS))
def test_equal_requests_are_equal_and_say_nothing_of_who_is_asked_for(organisations: set[bytes]) -> None:
    """32 tokens, those that are meant among decoys of the lowest id."""
    asked = SECRETS.mailbox_request(organisations)
    decoys = {SECRETS.mailbox_decoy(min(organisations), number) for number in range(32 - len(organisations))}

    assert list(asked) == sorted(asked)
    assert {token: one for token, one in asked.items() if one} == {
        SECRETS.mailbox_token(one): one for one in organisations
    }
    assert {token for token, one in asked.items() if one is None} == decoys
    assert list(SECRETS.mailbox_request(sorted(organisations)[::-1])) == list(asked)
    assert parse_tokens(encode_tokens(asked)) == list(asked)


def test_a_request_for_as_many_as_fit_has_no_decoy() -> None:
    organisations = [random_bytes(16) for _ in range(MAILBOX_TOKENS)]

    assert set(SECRETS.mailbox_request(organisations).values()) == set(organisations)


def test_requests_for_one_organisation_each_share_no_token() -> None:
    """A server that sees two of them cannot tell that they are of one source."""
    asked = [set(SECRETS.mailbox_request([random_bytes(16)])) for _ in range(20)]

    assert len(set[bytes]().union(*asked)) == 20 * MAILBOX_TOKENS
    for wrong in ([], [random_bytes(16) for _ in range(33)]):
        assert refused(partial(SECRETS.mailbox_request, wrong)) == "limit"
