"""What travels between a mailbox and its source (docs/protocol.md, 3.1): the list, and the two bodies of requests."""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

from tipbox.errors import LimitExceeded, Malformed, NotTipbox, UnsupportedVersion
from tipbox.formats.base.limits import (
    HASH_SIZE,
    HEADER_FIXED,
    KEY_SIZE,
    LETTER_BUCKETS,
    MAILBOX_LIST,
    MAILBOX_TOKENS,
    MAX_LETTER,
    MAX_REPLIES,
    MAX_REPLY,
    TAG_SIZE,
    VERSION,
)

MAGIC: Final = b"\x89tipmbx\n"
_FIXED: Final = struct.Struct(">8sBBHHH")
_ENTRY: Final = struct.Struct(">32sIQIB3s")
_PIECE: Final = struct.Struct(">32sI")
ENTRY_SIZE: Final = _ENTRY.size
"""Bytes of one entry."""
_EPOCH: Final = date(1970, 1, 1)
_LAST_DAY: Final = (date.max - _EPOCH).days
LIST_REQUEST: Final = MAILBOX_TOKENS * KEY_SIZE
"""Bytes of a request for the list: tokens."""
PIECE_REQUEST: Final = LIST_REQUEST + _PIECE.size
"""Bytes of a request for a piece: tokens, reply id and number."""
DELETE_REQUEST: Final = LIST_REQUEST + MAX_REPLIES * HASH_SIZE
"""Bytes of a request to delete: tokens, reply ids, then zeros."""
DELETE_ANSWER: Final = bytes(HASH_SIZE)
"""What a request to delete is answered with."""
SMALLEST_OPENING: Final = HEADER_FIXED + LETTER_BUCKETS[0] + TAG_SIZE
"""Bytes of the smallest header ‖ letter of a reply."""
LARGEST_LISTED: Final = MAILBOX_LIST - _FIXED.size - _ENTRY.size
"""Bytes of the largest header ‖ letter that a list can hold."""
MOST_LISTED: Final = LARGEST_LISTED // SMALLEST_OPENING
"""Headers and letters that a list can hold."""
_LARGEST_OPENING: Final = HEADER_FIXED + MAX_LETTER + TAG_SIZE
_RESERVED: Final = bytes(3)


@dataclass(frozen=True)
class Entry:
    """One reply.

    Attributes:
        id: the Envelope's.
        day: of the deposit.
        size: bytes of the Envelope.
        opening_size: bytes of header ‖ letter.
        place: of the token whose mailbox it lies in, among those of the request, from 0.
    """

    id: bytes
    day: date
    size: int
    opening_size: int
    place: int = 0

    def encode(self) -> bytes:
        """The 52 bytes of the entry."""
        return _ENTRY.pack(self.id, (self.day - _EPOCH).days, self.size, self.opening_size, self.place, _RESERVED)

    @classmethod
    def parse(cls, data: bytes) -> Entry:
        """The inverse of ``encode``."""
        if len(data) != ENTRY_SIZE:
            raise Malformed("an entry of a mailbox's list has a wrong size")
        return _entry(_ENTRY.unpack(data))


@dataclass(frozen=True)
class MailboxList:
    """The replies of the mailboxes asked for. ``openings``: header ‖ letter of the first of them."""

    entries: tuple[Entry, ...]
    openings: tuple[bytes, ...] = field(repr=False)

    def encode(self) -> bytes:
        """The 65,536 bytes of the list."""
        return encode_list([entry.encode() for entry in self.entries], self.openings)

    @classmethod
    def parse(cls, data: bytes) -> MailboxList:
        """Read a list. The caller parses each opening as a header and letter, and checks ids once it has all."""
        if data[: len(MAGIC)] != MAGIC[: len(data)]:
            raise NotTipbox
        if len(data) != MAILBOX_LIST:
            raise Malformed("the list of a mailbox has a wrong size")
        _, version, zero, count, listed, reserved = _FIXED.unpack_from(data)
        if version != VERSION:
            raise UnsupportedVersion
        if count > MAX_REPLIES or listed > count:
            raise LimitExceeded("the list of a mailbox names more replies than there can be")
        if zero or reserved:
            raise Malformed("reserved bytes of a mailbox's list are not zero")
        at = _FIXED.size + count * _ENTRY.size
        entries = tuple(map(_entry, _ENTRY.iter_unpack(data[_FIXED.size : at])))
        if any(_order(one) >= _order(other) for one, other in pairwise(entries)):
            raise Malformed("the list of a mailbox is out of order")
        if len({entry.id for entry in entries}) != count:
            raise Malformed("the list of a mailbox names a reply twice")
        openings = []
        for entry in entries[:listed]:
            openings.append(data[at : at + entry.opening_size])
            at += entry.opening_size
        if at > len(data):
            raise Malformed("the letters of a mailbox's list run past its end")
        if data.count(0, at) != len(data) - at:
            raise Malformed("the padding of a mailbox's list is not zero")
        return cls(entries, tuple(openings))


def _entry(row: tuple[bytes, int, int, int, int, bytes]) -> Entry:
    identifier, day, size, opening_size, place, reserved = row
    if (
        day > _LAST_DAY
        or not SMALLEST_OPENING <= opening_size <= min(size, _LARGEST_OPENING)
        or size > MAX_REPLY
        or place >= MAILBOX_TOKENS
        or reserved != _RESERVED
    ):
        raise Malformed("an entry of a mailbox's list has values that cannot be")
    return Entry(identifier, _EPOCH + timedelta(days=day), size, opening_size, place)


def _order(entry: Entry) -> tuple[int, bytes]:
    """Newest day first, those of one day by id."""
    return -entry.day.toordinal(), entry.id


def encode_list(entries: Sequence[bytes], openings: Sequence[bytes]) -> bytes:
    """The 65,536 bytes of a list of encoded entries, and of header ‖ letter of the first of them."""
    fixed = _FIXED.pack(MAGIC, VERSION, 0, len(entries), len(openings), 0)
    return b"".join((fixed, *entries, *openings)).ljust(MAILBOX_LIST, b"\x00")


def in_order(entries: Collection[Entry]) -> list[Entry]:
    """Entries in the order of a list."""
    return sorted(entries, key=_order)


def how_many_fit(entries: Sequence[Entry], count: int | None = None) -> int:
    """How many headers and letters, from the first on, a list of ``count`` entries that begins with these can hold."""
    left = MAILBOX_LIST - _FIXED.size - (len(entries) if count is None else count) * ENTRY_SIZE
    for number, entry in enumerate(entries):
        left -= entry.opening_size
        if left < 0:
            return number
    return len(entries)


def encode_tokens(tokens: Collection[bytes]) -> bytes:
    """The body of a request for the list, and the beginning of the two others: 32 tokens, which it puts in order."""
    if len(tokens) != MAILBOX_TOKENS:
        raise LimitExceeded(f"a request has {MAILBOX_TOKENS} tokens")
    return b"".join(sorted(tokens))


def parse_tokens(data: bytes | bytearray) -> list[bytes]:
    """The 32 tokens at the beginning of a request."""
    view = memoryview(data)
    if len(view) < LIST_REQUEST:
        raise Malformed("a request has too few tokens")
    tokens = [bytes(view[at : at + KEY_SIZE]) for at in range(0, LIST_REQUEST, KEY_SIZE)]
    if any(one >= other for one, other in pairwise(tokens)):
        raise Malformed("the tokens of a request are out of order or repeated")
    return tokens


def encode_piece(tokens: Collection[bytes], reply: bytes, number: int) -> bytes:
    """The body of a request for a piece of a reply."""
    return encode_tokens(tokens) + _PIECE.pack(reply, number)


def parse_piece(data: bytes | bytearray) -> tuple[bytes, int]:
    """Reply id and number of a request for a piece, whose tokens ``parse_tokens`` reads."""
    if len(data) != PIECE_REQUEST:
        raise Malformed("a request for a piece of a reply has a wrong size")
    reply, number = _PIECE.unpack_from(data, LIST_REQUEST)
    return reply, number


def encode_delete(tokens: Collection[bytes], replies: Collection[bytes]) -> bytes:
    """The body of a request to delete replies."""
    if len(replies) > MAX_REPLIES:
        raise LimitExceeded(f"a mailbox has at most {MAX_REPLIES} replies")
    return (encode_tokens(tokens) + b"".join(replies)).ljust(DELETE_REQUEST, b"\x00")


def parse_delete(data: bytes | bytearray) -> list[bytes]:
    """The reply ids of a request to delete, whose tokens ``parse_tokens`` reads."""
    view = memoryview(data)
    if len(view) != DELETE_REQUEST:
        raise Malformed("a request to delete replies has a wrong size")
    ids = [bytes(view[at : at + HASH_SIZE]) for at in range(LIST_REQUEST, DELETE_REQUEST, HASH_SIZE)]
    named = [one for one in ids if any(one)]
    if ids[: len(named)] != named:
        raise Malformed("a request to delete replies has an id behind its padding")
    return list(dict.fromkeys(named))
