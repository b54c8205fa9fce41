"""The header of an Envelope and its slots (docs/format.md, 4.1 and 4.2)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from functools import cached_property
from itertools import pairwise
from typing import Final

from tipbox.errors import (
    LimitExceeded,
    Malformed,
    NotAddressed,
    NotForYou,
    NotTipbox,
    TooLate,
    TrailingData,
    Truncated,
    UnknownKey,
    UnsupportedVersion,
)
from tipbox.formats.base import labels, padding
from tipbox.formats.base.limits import (
    HEADER_FIXED,
    ID_SIZE,
    KEY_SIZE,
    MAX_BODY,
    MAX_LETTER,
    MAX_SLOTS,
    SEAL_SIZE,
    SLOT_SECRETS,
    SLOT_SIZE,
    TAG_SIZE,
    VERSION,
)
from tipbox.formats.base.primitives import equal, hkdf, hpke_open, hpke_seal, random_bytes, sha256

MAGIC: Final = b"\x89tipbox\n"
PREFIX: Final = 12
"""Bytes from which the size of a header follows."""
_FIXED: Final = struct.Struct(">8sBBBBIQ32s32s32s")


class Kind(IntEnum):
    """Who writes to whom: a tip is from a source, a reply from an organisation."""

    TIP = 0
    REPLY = 1


class KeyState(Enum):
    """What a reader knows of a key id that it cannot open with."""

    UNKNOWN = "unknown"
    DESTROYED = "destroyed"


FindKey = Callable[[bytes], bytes | KeyState]
"""Given a key id (16 bytes): the private seed (32 bytes), or why there is none."""


@dataclass(frozen=True)
class Slot:
    """One reader's slot: organisation id (16 bytes), key id (16), enc ‖ ciphertext (1264)."""

    organisation: bytes
    key: bytes
    sealed: bytes

    def encode(self) -> bytes:
        """The 1296 bytes of the slot."""
        return self.organisation + self.key + self.sealed


@dataclass(frozen=True)
class OpenedSlot:
    """The contents of a slot, 32 bytes each. None of them ever leaves the two who share the slot.

    Attributes:
        content_key: opens the letter; all organisations that were chosen have the same.
        pair_key: the organisation's and this source's.
        mailbox: the address of the mailbox in which the organisation answers.
        seal_secret: new for each slot; without it nobody can test whose an Envelope is.
    """

    content_key: bytes = field(repr=False)
    pair_key: bytes = field(repr=False)
    mailbox: bytes = field(repr=False)
    seal_secret: bytes = field(repr=False)

    @classmethod
    def new(cls, content_key: bytes, pair_key: bytes, mailbox: bytes) -> OpenedSlot:
        """One to seal, with a seal secret of its own."""
        return cls(content_key, pair_key, mailbox, random_bytes(KEY_SIZE))

    @classmethod
    def parse(cls, plaintext: bytes) -> OpenedSlot:
        """Cut the 128 bytes of a slot."""
        if len(plaintext) != SLOT_SECRETS:
            raise Malformed("a slot has the wrong size")
        return cls(*(plaintext[at : at + KEY_SIZE] for at in range(0, SLOT_SECRETS, KEY_SIZE)))

    def encode(self) -> bytes:
        """The 128 bytes that are sealed."""
        return self.content_key + self.pair_key + self.mailbox + self.seal_secret


@dataclass(frozen=True)
class Header:
    """A header; sizes are plaintext bytes of the padded letter and body. A reply has no slots."""

    kind: Kind
    letter_size: int
    body_size: int
    salt: bytes
    content_commitment: bytes
    body_commitment: bytes
    slots: tuple[Slot, ...] = ()

    def fixed(self, slots: int) -> bytes:
        """The first 120 bytes, for so many slots: each slot is sealed under them, and so are there first."""
        return _FIXED.pack(
            MAGIC,
            VERSION,
            slots,
            self.kind,
            0,
            self.letter_size,
            self.body_size,
            self.salt,
            self.content_commitment,
            self.body_commitment,
        )

    @cached_property
    def encoded(self) -> bytes:
        """The header's bytes."""
        return self.fixed(len(self.slots)) + b"".join(slot.encode() for slot in self.slots)

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 of the whole header: the salt of the letter key and of the part keys."""
        return sha256(self.encoded)

    @property
    def sealed_letter_size(self) -> int:
        """Bytes of the sealed letter."""
        return self.letter_size + TAG_SIZE

    @property
    def opening_size(self) -> int:
        """Bytes of header ‖ letter."""
        return len(self.encoded) + self.sealed_letter_size

    @property
    def parts(self) -> int:
        """How many parts the body has."""
        return padding.parts(self.body_size)

    def part_size(self, index: int) -> int:
        """Bytes of sealed part ``index``."""
        return padding.sealed_body_part_size(self.body_size, index)

    @property
    def sealed_body_size(self) -> int:
        """Bytes of all sealed parts."""
        return padding.sealed_body_size(self.body_size)

    @property
    def trailer_size(self) -> int:
        """Bytes of the trailer: one tag for each slot."""
        return SEAL_SIZE * len(self.slots)

    @property
    def envelope_size(self) -> int:
        """Bytes of the whole Envelope."""
        return self.opening_size + self.sealed_body_size + self.trailer_size

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """Read a header that takes up ``data`` exactly."""
        size = header_size(data)
        if len(data) < size:
            raise Truncated("the header ends too early")
        if len(data) > size:
            raise TrailingData("there are bytes after the header")
        _, _, _, kind, reserved, letter_size, body_size, salt, content, body = _FIXED.unpack_from(data)
        if body_size > MAX_BODY or letter_size > MAX_LETTER:
            raise LimitExceeded("the header announces a larger letter or body than tipbox accepts")
        if reserved:
            raise Malformed("reserved bytes of the header are not zero")
        if padding.letter_size(letter_size) != letter_size or padding.padme(body_size) != body_size:
            raise Malformed("the header has a size that padding cannot produce")
        slots = tuple(
            Slot(data[at : at + 16], data[at + 16 : at + 32], data[at + 32 : at + SLOT_SIZE])
            for at in range(HEADER_FIXED, size, SLOT_SIZE)
        )
        if any(one.organisation >= other.organisation for one, other in pairwise(slots)):
            raise Malformed("the header's slots are out of order or repeated")
        return cls(Kind(kind), letter_size, body_size, salt, content, body, slots)

    def expect(self, kind: Kind) -> None:
        """Malformed when this is of another kind: a reply is never read as a tip, nor a tip as a reply."""
        if self.kind is not kind:
            raise Malformed(
                "this Envelope is a reply; it belongs to a source" if kind is Kind.TIP else "this Envelope is no reply"
            )


def header_size(prefix: bytes) -> int:
    """The size of the header that starts with ``prefix``; its first twelve bytes are enough."""
    start = prefix[: len(MAGIC)]
    if start != MAGIC[: len(start)]:
        raise NotTipbox
    if len(prefix) < PREFIX:
        raise Truncated("the header ends too early")
    version, slots, kind = prefix[len(MAGIC) : len(MAGIC) + 3]
    if version != VERSION:
        raise UnsupportedVersion
    if kind > max(Kind):
        raise Malformed("the header is of an unknown kind")
    least, most = (1, MAX_SLOTS) if kind == Kind.TIP else (0, 0)
    if not least <= slots <= most:
        raise LimitExceeded(f"the header has {slots} slots; a tip has 1 to {MAX_SLOTS}, a reply none")
    return HEADER_FIXED + slots * SLOT_SIZE


def content_commitment(content_key: bytes, salt: bytes) -> bytes:
    """The 32 bytes that bind a header to its content key."""
    return hkdf(content_key, salt, labels.CONTENT_COMMITMENT)


def body_commitment(body_key: bytes, salt: bytes) -> bytes:
    """The 32 bytes that bind a header to its body key."""
    return hkdf(body_key, salt, labels.BODY_COMMITMENT)


def _info(fixed: bytes, organisation: bytes, key: bytes) -> bytes:
    return labels.SLOT + fixed + organisation + key


def seal_slot(fixed: bytes, organisation: bytes, key: bytes, public: bytes, plaintext: bytes) -> Slot:
    """Seal 128 bytes (an ``OpenedSlot``, or random ones for a filler) to a receiving key, under the fixed header."""
    return Slot(organisation, key, hpke_seal(public, _info(fixed, organisation, key), plaintext))


def open_slot(header: Header, organisation: bytes, find_key: FindKey) -> OpenedSlot:
    """Open the slot of ``organisation`` (id, 16 bytes).

    Returns only for MINE. Raises NotAddressed, UnknownKey, TooLate, Tampered or NotForYou: the outcomes of 4.2.
    """
    if len(organisation) != ID_SIZE:
        raise Malformed("an organisation id has the wrong size")
    slot = next((slot for slot in header.slots if slot.organisation == organisation), None)
    if slot is None:
        raise NotAddressed
    seed = find_key(slot.key)
    if seed is KeyState.DESTROYED:
        raise TooLate
    if isinstance(seed, KeyState):
        raise UnknownKey
    info = _info(header.encoded[:HEADER_FIXED], slot.organisation, slot.key)
    opened = OpenedSlot.parse(hpke_open(seed, info, slot.sealed))
    if not equal(content_commitment(opened.content_key, header.salt), header.content_commitment):
        raise NotForYou
    return opened
