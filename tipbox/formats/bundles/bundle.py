"""The Bundle's header, index and sizes (docs/format.md, section 5); bundle_write and bundle_read do the streams."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise
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
    MAX_EFFORT,
    MAX_INDEX_PARTS,
    MAX_ITEM,
    MAX_ITEMS,
    MAX_SAFE_INTEGER,
    MAX_SLOTS,
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
ENVELOPE: Final = "envelope"
KINDS: Final = {OUTWARD: frozenset({ENVELOPE, "report"}), INWARD: frozenset({"ack", "manifest", "reply"})}
INDEX_STREAM: Final = 0
PADDING_STREAM: Final = 0xFFFFFFFE
COPY_STREAM: Final = 0xFFFFFFFF
_FIXED: Final = struct.Struct(">8sBBHI16s16s32s32s")
_INDEX_LENGTH: Final = 4
_MEMBERS: Final = ("day", "direction", "items", "organisation", "sender", "sequence", "server_key", "volume", "volumes")
_OWN_MEMBERS: Final = {OUTWARD: ("heads",), INWARD: ("head",)}
_LABELS: Final = {OUTWARD: labels.BUNDLE_OUT, INWARD: labels.BUNDLE_IN}
_ITEM: Final = ("hash", "kind", "size")
_ENVELOPE_ITEM: Final = ("day", "effort", *_ITEM, "stamp")


@dataclass(frozen=True)
class Receipt:
    """What the server says of an Envelope in an outward Bundle.

    Attributes:
        day: on which it was stored.
        effort: the class of what was paid for it, 0 to 7.
        stamp: the server's signature over the Envelope's hash and the day, 64 bytes (stamps.py).
    """

    day: date
    stamp: bytes = field(repr=False)
    effort: int = 0


@dataclass(frozen=True)
class ItemEntry:
    """One line of the index: kind, size in bytes, hash (32 bytes: the Envelope id, or SHA-256 of the bytes).

    ``receipt``: of items of kind ``envelope``, and of no others.
    """

    kind: str
    size: int
    hash: bytes
    receipt: Receipt | None = None

    def to_json(self) -> dict[str, Json]:
        """As the index lists it."""
        line: dict[str, Json] = {"hash": self.hash.hex(), "kind": self.kind, "size": self.size}
        if self.receipt is not None:
            line["day"] = self.receipt.day.isoformat()
            line["effort"] = self.receipt.effort
            line["stamp"] = fields.to_base64(self.receipt.stamp)
        return line


@dataclass(frozen=True)
class Head:
    """The head of an organisation's chain of custody as the server got it, and the server's stamp over it.

    Attributes:
        organisation: its id, 16 bytes.
        head: 32 bytes.
        day: on which the server got it.
        stamp: 64 bytes (stamps.py).
    """

    organisation: bytes
    head: bytes
    day: date
    stamp: bytes = field(repr=False)

    def to_json(self) -> dict[str, Json]:
        """As the index lists it."""
        return {
            "day": self.day.isoformat(),
            "head": self.head.hex(),
            "organisation": self.organisation.hex(),
            "stamp": fields.to_base64(self.stamp),
        }


@dataclass(frozen=True)
class Index:
    """What a Bundle says of itself.

    Attributes:
        sender: an Ed25519 key.
        server_key: an X-Wing key; empty in inward ones.
        heads: of outward ones, those of all organisations, at most 32, ascending by their ids.
        head: of inward ones, the desk's own (32 bytes), or empty.
    """

    day: date
    direction: int
    organisation: bytes
    sender: bytes = field(repr=False)
    sequence: int
    items: tuple[ItemEntry, ...] = field(repr=False)
    server_key: bytes = field(default=b"", repr=False)
    volume: int = 1
    volumes: int = 1
    heads: tuple[Head, ...] = ()
    head: bytes = b""

    def encode(self) -> bytes:
        """The canonical JSON of the index."""
        value: dict[str, Json] = {
            "day": self.day.isoformat(),
            "direction": DIRECTIONS[self.direction],
            "items": [item.to_json() for item in self.items],
            "organisation": self.organisation.hex(),
            "sender": fields.to_base64(self.sender),
            "sequence": self.sequence,
            "server_key": fields.to_base64(self.server_key),
            "volume": self.volume,
            "volumes": self.volumes,
        }
        if self.direction == OUTWARD:
            value["heads"] = [head.to_json() for head in self.heads]
        else:
            value["head"] = self.head.hex()
        return canonical.encode(value)

    def signed(self, header_hash: bytes) -> tuple[bytes, bytes]:
        """Label and message of the sender's signature.

        Inward, the list of items is left out: server and desk share the key that authenticates it, and so either could
        have written it. What a desk carried to a server proves nothing about it to a third party.
        """
        said = self if self.direction == OUTWARD else replace(self, items=())
        return _LABELS[self.direction], header_hash + said.encode()

    @classmethod
    def parse(cls, data: bytes, direction: int) -> Index:
        """Read the index of a Bundle whose header says ``direction``."""
        value = fields.members(canonical.decode(data), (*_MEMBERS, *_OWN_MEMBERS[direction]))
        if value["direction"] != DIRECTIONS[direction]:
            raise Malformed("the Bundle's index and header name different directions")
        items = fields.array(value, "items")
        if len(items) > MAX_ITEMS:
            raise LimitExceeded(f"the Bundle has more than {MAX_ITEMS:,} items")
        heads = fields.array(value, "heads") if direction == OUTWARD else []
        if len(heads) > MAX_SLOTS:
            raise LimitExceeded(f"the Bundle has the heads of more than {MAX_SLOTS} organisations")
        parsed = tuple(map(_head, heads))
        if any(one.organisation >= other.organisation for one, other in pairwise(parsed)):
            raise Malformed("the Bundle's heads are out of order, or name an organisation twice")
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
            heads=parsed,
            head=fields.hexadecimal(value, "head", HASH_SIZE) if value.get("head", "") != "" else b"",
        )


def _item(value: Json, direction: int) -> ItemEntry:
    entry = fields.members(value, _ITEM, _ENVELOPE_ITEM)
    kind = fields.text(entry, "kind")
    if kind not in KINDS[direction]:
        raise Malformed("the Bundle has an item of a kind that does not belong there")
    entry = fields.members(entry, _ENVELOPE_ITEM if kind == ENVELOPE else _ITEM)
    size = fields.integer(entry, "size", 1, MAX_ITEM)
    return ItemEntry(
        kind, size, fields.hexadecimal(entry, "hash", HASH_SIZE), _receipt(entry) if kind == ENVELOPE else None
    )


def _receipt(entry: dict[str, Json]) -> Receipt:
    return Receipt(
        days.parse(entry["day"]),
        fields.binary(entry, "stamp", SIGNATURE_SIZE),
        fields.integer(entry, "effort", 0, MAX_EFFORT),
    )


def _head(value: Json) -> Head:
    entry = fields.members(value, ("day", "head", "organisation", "stamp"))
    return Head(
        fields.hexadecimal(entry, "organisation", ID_SIZE),
        fields.hexadecimal(entry, "head", HASH_SIZE),
        days.parse(entry["day"]),
        fields.binary(entry, "stamp", SIGNATURE_SIZE),
    )


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
