"""The server's stamps: its signature over a day and what lay there on it (docs/format.md, 5.3).

A stamp says: these bytes, but for the trailer, lay here on that day. It says nothing of what is in them.
"""

from __future__ import annotations

from datetime import date

from tipbox.formats.base import labels
from tipbox.formats.base.primitives import SigningKey, sign, verify


def _stamped(envelope_hash: bytes, day: date) -> bytes:
    return envelope_hash + day.isoformat().encode()


def stamp(envelope_hash: bytes, day: date, server: SigningKey) -> bytes:
    """The stamp (64 bytes) on the Envelope with this hash (32 bytes), stored on ``day``."""
    return sign(labels.STAMP, _stamped(envelope_hash, day), server)


def check_stamp(envelope_hash: bytes, day: date, signature: bytes, server: bytes) -> None:
    """BadSignature unless the server with this Ed25519 key (32 bytes) stamped that Envelope with that day."""
    verify(labels.STAMP, _stamped(envelope_hash, day), signature, server)


def _stamped_head(organisation: bytes, head: bytes, day: date) -> bytes:
    return organisation + head + day.isoformat().encode()


def stamp_head(organisation: bytes, head: bytes, day: date, server: SigningKey) -> bytes:
    """The stamp (64 bytes) on the head (32 bytes) of an organisation (id, 16 bytes)."""
    return sign(labels.HEAD, _stamped_head(organisation, head, day), server)


def check_head_stamp(organisation: bytes, head: bytes, day: date, signature: bytes, server: bytes) -> None:
    """BadSignature unless the server with this Ed25519 key (32 bytes) stamped that head with that day."""
    verify(labels.HEAD, _stamped_head(organisation, head, day), signature, server)
