"""Acknowledgements: what a desk has carried home (docs/format.md, 5.5)."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

from tipbox.errors import LimitExceeded, Malformed
from tipbox.formats.base import canonical, fields, labels
from tipbox.formats.base.canonical import Json
from tipbox.formats.base.limits import HASH_SIZE, MAX_ACKS, SIGNATURE_SIZE
from tipbox.formats.base.primitives import SigningKey, sign, verify


def _encode_ids(envelopes: Collection[bytes]) -> list[Json]:
    return [envelope.hex() for envelope in sorted(set(envelopes))]


def acknowledge(envelopes: Collection[bytes], desk_key: SigningKey) -> bytes:
    """An acknowledgement of Envelope ids (32 bytes each): the same bytes for every desk but for the signature."""
    if not 1 <= len(envelopes) <= MAX_ACKS:
        raise LimitExceeded(f"an acknowledgement lists 1 to {MAX_ACKS:,} Envelopes")
    unsigned: dict[str, Json] = {"envelopes": _encode_ids(envelopes)}
    signature = sign(labels.ACK, canonical.encode(unsigned), desk_key)
    return canonical.encode({**unsigned, "signature": fields.to_base64(signature)})


def read_acknowledgement(data: bytes, desk: bytes) -> list[bytes]:
    """The Envelope ids that the desk with this Ed25519 key acknowledges."""
    value = fields.members(canonical.decode(data), ("envelopes", "signature"))
    listed = fields.array(value, "envelopes")
    if not 1 <= len(listed) <= MAX_ACKS:
        raise LimitExceeded(f"an acknowledgement lists 1 to {MAX_ACKS:,} Envelopes")
    envelopes = [fields.from_hex(envelope, HASH_SIZE) for envelope in listed]
    if any(one >= other for one, other in pairwise(envelopes)):
        raise Malformed("an acknowledgement is not sorted, or names an Envelope twice")
    signature = fields.binary(value, "signature", SIGNATURE_SIZE)
    verify(labels.ACK, canonical.encode({"envelopes": listed}), signature, desk)
    return envelopes
