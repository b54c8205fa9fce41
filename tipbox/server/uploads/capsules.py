"""Continuing an upload another day (docs/protocol.md, section 3.3): its capsule, and what of it is here.

Each draft has a capsule, made by its source, or of random bytes: nobody without the access code tells which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from sqlalchemy import Connection, bindparam, delete, exists, insert, select

from tipbox.formats.base.limits import CAPSULE, HASH_SIZE
from tipbox.formats.base.primitives import random_bytes, sha256
from tipbox.server.refusal import Refusal
from tipbox.server.storage.models import HASH, Capsule
from tipbox.server.uploads.ranges import Range

PLACED: Final = HASH_SIZE + CAPSULE
"""Bytes of a place address and what lies there."""
LISTED_RANGES: Final = 100
"""Ranges of stored parts that one answer names."""
_NONE: Final = bytes(CAPSULE)
_INSERT: Final = insert(Capsule)
_PLACES: Final = bindparam("places", type_=HASH, expanding=True)
_ASKED: Final = select(Capsule.place, Capsule.sealed).where(Capsule.place.in_(_PLACES))


def keep(connection: Connection, token: bytes, placed: bytes) -> None:
    """Put the capsule of a new draft beside it.

    Args:
        connection: the transaction that opens the draft.
        token: SHA-256 of the draft token.
        placed: place address ‖ capsule; empty from a client that sends none.

    Raises:
        Refusal: ``draft-differs`` when something lies under this address.
    """
    placed = placed or random_bytes(PLACED)
    place = placed[:HASH_SIZE]
    if connection.execute(select(exists().where(Capsule.place == place))).scalar():
        raise Refusal("draft-differs")
    connection.execute(_INSERT, {"draft": token, "place": place, "sealed": placed[HASH_SIZE:]})


def look(connection: Connection, places: Sequence[bytes]) -> bytes:
    """The capsules under these addresses, in this order; zeros where there is none."""
    found = {row.place: row.sealed for row in connection.execute(_ASKED, {"places": list(places)})}
    return b"".join(found.get(place, _NONE) for place in places)


def remove(connection: Connection, token: bytes) -> None:
    """Remove that of a draft."""
    connection.execute(delete(Capsule).where(Capsule.draft == token))


def must_lie_at(connection: Connection, token: bytes, place_token: bytes) -> None:
    """Refusal ``no-draft`` unless the capsule of this draft lies under the hash of this place token."""
    at = select(exists().where(Capsule.draft == token, Capsule.place == sha256(place_token)))
    if not connection.execute(at).scalar():
        raise Refusal("no-draft")


def present(missing: Sequence[Range], parts: int) -> Iterator[Range]:
    """What is here of a body with so many parts, when ``missing`` is not."""
    for (start, count), (end, _) in pairwise([(0, 0), *missing, (parts, 0)]):
        if start + count < end:
            yield start + count, end - start - count


@dataclass
class StoredRange:
    """Consecutive parts of one session. ``hashes``: SHA-256 of each of them, one behind the other."""

    first: int
    nonce: bytes
    hashes: bytearray = field(default_factory=bytearray)

    @property
    def end(self) -> int:
        """The part behind the last one."""
        return self.first + len(self.hashes) // HASH_SIZE

    def to_json(self) -> list[int | str]:
        """As the protocol spells it."""
        return [self.first, self.end - self.first, self.nonce.hex(), sha256(bytes(self.hashes)).hex()]


def in_ranges(parts: Iterator[tuple[int, bytes, bytes]]) -> list[StoredRange]:
    """The first ranges that these parts make: number, session nonce and SHA-256 of each, lowest first."""
    found: list[StoredRange] = []
    for number, nonce, part_hash in parts:
        last = found[-1] if found else None
        if last is None or last.end != number or last.nonce != nonce:
            if len(found) == LISTED_RANGES:
                break
            last = StoredRange(number, nonce)
            found.append(last)
        last.hashes += part_hash
    return found
