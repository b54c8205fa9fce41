"""The header of an Envelope and its slots (docs/format.md, 4.1 and 4.2)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
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
    SLOT_SIZE,
    TAG_SIZE,
    VERSION,
)
from tipbox.formats.base.primitives import equal, hkdf, hpke_open, hpke_seal, sha256

MAGIC: Final = b"\x89tipbox\n"
_FIXED: Final = struct.Struct(">8sBBHIQ32s32s32s")


class KeyState(Enum):
    """What a reader knows of a key id that it cannot open with."""

    UNKNOWN = "unknown"
    DESTROYED = "destroyed"


FindKey = Callable[[bytes], bytes | KeyState]
"""Given a key id (16 bytes): the private seed (32 bytes), or why there is none."""


@dataclass(frozen=True)
class Slot:
    """One reader's slot: organisation id (16 bytes), key id (16), enc ‖ ciphertext (1200)."""

    organisation: bytes
    key: bytes
    sealed: bytes

    def encode(self) -> bytes:
        """The 1232 bytes of the slot."""
        return self.organisation + self.key + self.sealed


@dataclass(frozen=True)
class OpenedSlot:
    """The contents of a slot: content key and pair key, 32 bytes each."""

    content_key: bytes = field(repr=False)
    pair_key: bytes = field(repr=False)


@dataclass(frozen=True)
class Header:
    """A header; sizes are plaintext bytes of the padded letter and body."""

    letter_size: int
    body_size: int
    salt: bytes
    content_commitment: bytes
    body_commitment: bytes
    slots: tuple[Slot, ...]

    @cached_property
    def encoded(self) -> bytes:
        """The header's bytes."""
        fixed = _FIXED.pack(
            MAGIC,
            VERSION,
            len(self.slots),
            0,
            self.letter_size,
            self.body_size,
            self.salt,
            self.content_commitment,
            self.body_commitment,
        )
        return fixed + b"".join(slot.encode() for slot in self.slots)

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 of the whole header: the salt of the letter key and of the part key."""
        return sha256(self.encoded)

    @property
    def sealed_letter_size(self) -> int:
        """Bytes of the sealed letter."""
        return self.letter_size + TAG_SIZE

    @property
    def parts(self) -> int:
        """How many parts the body has."""
        return padding.parts(self.body_size)

    @property
    def envelope_size(self) -> int:
        """Bytes of the whole Envelope."""
        return len(self.encoded) + self.sealed_letter_size + padding.sealed_size(self.body_size)

    def part_size(self, index: int) -> int:
        """Bytes of sealed part ``index``."""
        return padding.sealed_part_size(self.body_size, index)

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """Read a header that takes up ``data`` exactly."""
        size = header_size(data)
        if len(data) < size:
            raise Truncated("the header ends too early")
        if len(data) > size:
            raise TrailingData("there are bytes after the header")
        _, _, _, reserved, letter_size, body_size, salt, content, body = _FIXED.unpack_from(data)
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
        return cls(letter_size, body_size, salt, content, body, slots)


def header_size(prefix: bytes) -> int:
    """The size of the header that starts with ``prefix``; its first ten bytes are enough."""
    start = prefix[: len(MAGIC)]
    if start != MAGIC[: len(start)]:
        raise NotTipbox
    if len(prefix) < len(MAGIC) + 2:
        raise Truncated("the header ends too early")
    version, slots = prefix[len(MAGIC)], prefix[len(MAGIC) + 1]
    if version != VERSION:
        raise UnsupportedVersion
    if not 1 <= slots <= MAX_SLOTS:
        raise LimitExceeded(f"the header has {slots} slots; 1 to {MAX_SLOTS} are accepted")
    return HEADER_FIXED + slots * SLOT_SIZE


def content_commitment(content_key: bytes, salt: bytes) -> bytes:
    """The 32 bytes that bind a header to its content key."""
    return hkdf(content_key, salt, labels.CONTENT_COMMITMENT)


def body_commitment(body_key: bytes, salt: bytes) -> bytes:
    """The 32 bytes that bind a header to its body key."""
    return hkdf(body_key, salt, labels.BODY_COMMITMENT)


def _info(organisation: bytes, key: bytes, content: bytes, body: bytes) -> bytes:
    return labels.SLOT + organisation + key + content + body


def seal_slot(
    organisation: bytes, key: bytes, public: bytes, commitments: tuple[bytes, bytes], plaintext: bytes
) -> Slot:
    """Seal 64 bytes (content key ‖ pair key, or random ones for a filler) to a receiving key."""
    return Slot(organisation, key, hpke_seal(public, _info(organisation, key, *commitments), plaintext))


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
    info = _info(slot.organisation, slot.key, header.content_commitment, header.body_commitment)
    plaintext = hpke_open(seed, info, slot.sealed)
    content_key, pair_key = plaintext[:KEY_SIZE], plaintext[KEY_SIZE:]
    if len(pair_key) != KEY_SIZE:
        raise Malformed("a slot has the wrong size")
    if not equal(content_commitment(content_key, header.salt), header.content_commitment):
        raise NotForYou
    return OpenedSlot(content_key, pair_key)
