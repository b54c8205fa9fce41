"""What is computed over a whole Envelope: its hash and id, the tags of its trailer, check digits (docs/format.md, 4.5).

Keys of tags and digits come from the pair key and the seal secret of one slot. Whoever finds an access code has the
pair key alone, a co-addressed organisation neither: they cannot test whose an Envelope is, or write in another's name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from tipbox.errors import Forged
from tipbox.formats.base import labels
from tipbox.formats.base.digits import in_groups
from tipbox.formats.base.limits import SEAL_SIZE
from tipbox.formats.base.primitives import equal, hkdf, hmac_sha256, sha256
from tipbox.formats.envelopes.header import Header, OpenedSlot

_DIGITS: Final = 20


class EnvelopeHash:
    """Computes an Envelope's hash from its sealed bytes, in one pass and without keys."""

    def __init__(self, header: bytes, letter: bytes) -> None:
        self._digest = hashlib.sha256(labels.ENVELOPE_HASH + sha256(header) + sha256(letter))

    def add(self, part: bytes) -> None:
        """The next sealed part, its session nonce included."""
        self.add_hash(sha256(part))

    def add_hash(self, part_hash: bytes) -> None:
        """The next sealed part, by its SHA-256."""
        self._digest.update(part_hash)

    def add_hashes(self, part_hashes: bytes) -> None:
        """The next sealed parts, by their SHA-256, one behind the other."""
        self._digest.update(part_hashes)

    def digest(self) -> bytes:
        """The hash, 32 bytes."""
        return self._digest.digest()


def envelope_id(envelope_hash: bytes, trailer: bytes = b"") -> bytes:
    """The id (32 bytes) of the Envelope with this hash and trailer; a reply has no trailer.

    Transport, removal of duplicates and acknowledgements use the id. What two people compare or continue is the hash:
    nobody spoils it by changing another organisation's tag.
    """
    return sha256(labels.ENVELOPE_ID, envelope_hash, trailer)


def _seal_key(header: Header, slot: OpenedSlot) -> bytes:
    return hkdf(slot.pair_key + slot.seal_secret, header.salt, labels.SEAL)


def tag(header: Header, slot: OpenedSlot, envelope_hash: bytes) -> bytes:
    """The 32 bytes of the trailer for a slot: the source's seal over the whole Envelope, for that reader alone."""
    return hmac_sha256(_seal_key(header, slot), envelope_hash)


@dataclass(frozen=True)
class End:
    """What is known of an Envelope that was read to its end: its hash (32 bytes), its trailer and its id (32 bytes)."""

    hash: bytes
    trailer: bytes
    id: bytes


def check_seal(header: Header, organisation: bytes, slot: OpenedSlot, end: End) -> None:
    """Forged unless the tag of ``organisation`` (id, 16 bytes) is the one that the source made.

    Until then, nothing that the letter says is the source's word: whoever opens one slot can seal another letter.
    """
    place = SEAL_SIZE * [one.organisation for one in header.slots].index(organisation)
    if not equal(tag(header, slot, end.hash), end.trailer[place : place + SEAL_SIZE]):
        raise Forged


def check_digits(slot: OpenedSlot, envelope_hash: bytes) -> str:
    """What source and organisation compare, read aloud: 20 digits in groups of five."""
    key = slot.pair_key + slot.seal_secret
    number = int.from_bytes(hkdf(key, envelope_hash, labels.CHECK_DIGITS)) % 10**_DIGITS
    return in_groups(f"{number:0{_DIGITS}d}", 5)
