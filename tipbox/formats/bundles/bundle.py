"""The Bundle's header, index and sizes (docs/format.md, section 5); bundle_write and bundle_read do the streams."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tipbox.errors import (
    BadCommitment,
    LimitExceeded,
    Malformed,
    NotTipbox,
    TrailingData,
    Truncated,
    UnsupportedVersion,
)
from tipbox.formats.base import canonical, days, fields, labels, padding
from tipbox.formats.base.canonical import Json
from tipbox.formats.base.limits import (
    BUNDLE_HEADER,
    BUNDLE_WRAPPED,
    GIB,
    HASH_SIZE,
    ID_SIZE,
    KEY_SIZE,
    MAX_INDEX_PARTS,
    MAX_ITEM,
    MAX_ITEMS,
    MAX_SAFE_INTEGER,
    PART_SIZE,
    SIGNATURE_SIZE,
    SMALLEST_VOLUME,
    VERSION,
    XWING_PUBLIC_SIZE,
)
from tipbox.formats.base.primitives import equal, hkdf, hpke_open, sha256

MAGIC: Final = b"\x89tipbdl\n"
OUTWARD: Final = 1
INWARD: Final = 2
DIRECTIONS: Final = {OUTWARD: "out", INWARD: "in"}
KINDS: Final = {OUTWARD: frozenset({"envelope", "report"}), INWARD: frozenset({"ack", "manifest", "reply"})}
INDEX_STREAM: Final = 0
PADDING_STREAM: Final = 0xFFFFFFFE
COPY_STREAM: Final = 0xFFFFFFFF
_FIXED: Final = struct.Struct(">8sBBHI16s16s32s32s")
_INDEX_LENGTH: Final = 4
_MEMBERS: Final = ("day", "direction", "items", "organisation", "sender", "sequence", "server_key", "volume", "volumes")


@dataclass(frozen=True)
class ItemEntry:
    """One line of the index: kind, size in bytes, hash (32 bytes: the Envelope id, or SHA-256 of the bytes)."""

    kind: str
    size: int
    hash: bytes


@dataclass(frozen=True)
class Index:
    """What a Bundle says of itself. ``sender`` is an Ed25519 key, ``server_key`` an X-Wing key or empty (inward)."""

    day: date
    direction: int
    organisation: bytes
    sender: bytes = field(repr=False)
    sequence: int
    items: tuple[ItemEntry, ...] = field(repr=False)
    server_key: bytes = field(default=b"", repr=False)
    volume: int = 1
    volumes: int = 1

    def encode(self) -> bytes:
        """The canonical JSON of the index."""
        return canonical.encode(
            {
                "day": self.day.isoformat(),
                "direction": DIRECTIONS[self.direction],
                "items": [{"hash": item.hash.hex(), "kind": item.kind, "size": item.size} for item in self.items],
                "organisation": self.organisation.hex(),
                "sender": fields.to_base64(self.sender),
                "sequence": self.sequence,
                "server_key": fields.to_base64(self.server_key),
                "volume": self.volume,
                "volumes": self.volumes,
            }
        )

    @classmethod
    def parse(cls, data: bytes, direction: int) -> Index:
        """Read the index of a Bundle whose header says ``direction``."""
        value = fields.members(canonical.decode(data), _MEMBERS)
        if value["direction"] != DIRECTIONS[direction]:
            raise Malformed("the Bundle's index and header name different directions")
        items = fields.array(value, "items")
        if len(items) > MAX_ITEMS:
            raise LimitExceeded(f"the Bundle has more than {MAX_ITEMS:,} items")
        volumes = fields.integer(value, "volumes", 1, MAX_SAFE_INTEGER)
        return cls(
            day=days.parse(value["day"]),
            direction=direction,
            organisation=fields.hexadecimal(value, "organisation", ID_SIZE),
            sender=fields.binary(value, "sender", KEY_SIZE),
            sequence=fields.integer(value, "sequence", 1, MAX_SAFE_INTEGER),
            items=tuple(_item(item, direction) for item in items),
            server_key=fields.binary(value, "server_key", XWING_PUBLIC_SIZE if direction == OUTWARD else 0),
            volume=fields.integer(value, "volume", 1, volumes),
            volumes=volumes,
        )


def _item(value: Json, direction: int) -> ItemEntry:
    entry = fields.members(value, ("hash", "kind", "size"))
    kind = fields.text(entry, "kind")
    if kind not in KINDS[direction]:
        raise Malformed("the Bundle has an item of a kind that does not belong there")
    return ItemEntry(kind, fields.integer(entry, "size", 1, MAX_ITEM), fields.hexadecimal(entry, "hash", HASH_SIZE))


@dataclass(frozen=True)
class BundleHeader:
    """The first 1,280 bytes."""

    direction: int
    index_parts: int
    reader: bytes
    key: bytes
    salt: bytes
    commitment: bytes
    wrapped: bytes = field(repr=False)

    def prefix(self) -> bytes:
        """The bytes before the wrapped key; they are part of its HPKE info."""
        return _FIXED.pack(
            MAGIC, VERSION, self.direction, 0, self.index_parts, self.reader, self.key, self.salt, self.commitment
        )

    def encode(self) -> bytes:
        """All 1,280 bytes."""
        return self.prefix() + self.wrapped

    @classmethod
    def parse(cls, data: bytes) -> BundleHeader:
        """Read a header that takes up ``data`` exactly; its errors are those of the Envelope's header."""
        if data[: len(MAGIC)] != MAGIC[: len(data)]:
            raise NotTipbox
        if len(data) < BUNDLE_HEADER:
            raise Truncated("the Bundle ends within its header; copy it again")
        if len(data) > BUNDLE_HEADER:
            raise TrailingData("there are bytes after the Bundle's header")
        _, version, direction, reserved, index_parts, reader, key, salt, commitment = _FIXED.unpack_from(data)
        if version != VERSION:
            raise UnsupportedVersion
        if not 1 <= index_parts <= MAX_INDEX_PARTS:
            raise LimitExceeded("the Bundle's index is larger than tipbox accepts")
        if direction not in DIRECTIONS or reserved:
            raise Malformed("the Bundle's header breaks a rule")
        return cls(direction, index_parts, reader, key, salt, commitment, data[-BUNDLE_WRAPPED:])

    def info(self) -> bytes:
        """The HPKE info of the wrapped key."""
        return labels.BUNDLE_KEY + self.prefix()

    def unwrap(self, seed: bytes) -> BundleKeys:
        """Open the bundle key with a private X-Wing seed: Tampered or BadCommitment when it is another."""
        key = hpke_open(seed, self.info(), self.wrapped)
        if not equal(bundle_commitment(key, self.salt), self.commitment):
            raise BadCommitment
        return BundleKeys(key, sha256(self.encode()))


def bundle_commitment(key: bytes, salt: bytes) -> bytes:
    """The 32 bytes that bind a Bundle's header to its key."""
    return hkdf(key, salt, labels.BUNDLE_COMMITMENT)


@dataclass(frozen=True)
class BundleKeys:
    """The bundle key and the hash of the header: every stream's key comes from the two."""

    key: bytes = field(repr=False)
    header_hash: bytes

    def stream(self, number: int) -> bytes:
        """The key (32 bytes) of a stream."""
        return hkdf(self.key, self.header_hash, labels.BUNDLE_STREAM + number.to_bytes(4))

    def cipher(self, number: int) -> AESGCM:
        """The AEAD of a stream."""
        return AESGCM(self.stream(number))


def index_plaintext(signature: bytes, index: bytes, parts: int) -> bytes:
    """Signature ‖ length ‖ index, padded to whole parts."""
    return (signature + len(index).to_bytes(_INDEX_LENGTH) + index).ljust(parts * PART_SIZE, b"\x00")


def index_parts(index: bytes) -> int:
    """How many parts an index takes."""
    return padding.parts(SIGNATURE_SIZE + _INDEX_LENGTH + len(index))


def split_index(plaintext: bytes) -> tuple[bytes, bytes]:
    """Signature and index out of ``index_plaintext``."""
    start = SIGNATURE_SIZE + _INDEX_LENGTH
    end = start + int.from_bytes(plaintext[SIGNATURE_SIZE:start])
    if end > len(plaintext) or padding.parts(end) * PART_SIZE != len(plaintext):
        raise Malformed("the Bundle's index has a wrong length")
    if plaintext.count(0, end) != len(plaintext) - end:
        raise Malformed("the padding of the Bundle's index is not zero")
    return plaintext[:SIGNATURE_SIZE], plaintext[start:end]


def signed_message(header_hash: bytes, index: bytes) -> bytes:
    """What the sender signs, after the label."""
    return header_hash + index


def volume_class(size: int) -> int:
    """The file size of a Bundle whose contents take ``size`` bytes."""
    if size > GIB:
        return -(-size // GIB) * GIB
    volume = SMALLEST_VOLUME
    while volume < size:
        volume *= 2
    return volume


def unpadded_size(parts: int, items: tuple[ItemEntry, ...]) -> int:
    """Bytes of header, index, items and index copy."""
    return (
        BUNDLE_HEADER
        + 2 * padding.sealed_size(parts * PART_SIZE)
        + sum(padding.sealed_size(item.size) for item in items)
    )
