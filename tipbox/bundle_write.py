"""Writing a Bundle as a stream (docs/format.md, section 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tipbox import labels, padding
from tipbox.bundle import (
    COPY_STREAM,
    INDEX_STREAM,
    PADDING_STREAM,
    BundleHeader,
    BundleKeys,
    Index,
    ItemEntry,
    bundle_commitment,
    index_parts,
    index_plaintext,
    signed_message,
    unpadded_size,
    volume_class,
)
from tipbox.errors import LimitExceeded, Malformed
from tipbox.keys import key_id
from tipbox.limits import KEY_SIZE, MAX_INDEX_PARTS, MAX_ITEMS, PART_SIZE, SALT_SIZE
from tipbox.primitives import SigningKey, hpke_seal, keystream, random_bytes, seal_part, sha256, sign


@dataclass(frozen=True)
class ItemSource:
    """An item to write: its line of the index, and what opens its bytes (in pieces of any size, read once)."""

    entry: ItemEntry
    open: Callable[[], Iterable[bytes]]


def item_of(kind: str, data: bytes) -> ItemSource:
    """A small item that is in memory: a report, an acknowledgement, a manifest."""
    return ItemSource(ItemEntry(kind, len(data), sha256(data)), lambda: [data])


def write_bundle(
    out: BinaryIO,
    index: Index,
    items: Sequence[ItemSource],
    *,
    reader: bytes,
    reader_public: bytes,
    signer: SigningKey,
) -> int:
    """Seal ``items`` for ``reader`` (id, 16 bytes; X-Wing key, 1216) into ``out``; the size written.

    ``index`` gives day, direction, organisation, sequence, server key and volume; sender and items are filled in here.
    Streams: memory does not grow with the items.
    """
    if len(items) > MAX_ITEMS:
        raise LimitExceeded(f"a volume has at most {MAX_ITEMS:,} items")
    entries = tuple(item.entry for item in items)
    encoded = replace(index, sender=signer.verify_key.encode(), items=entries).encode()
    parts = index_parts(encoded)
    if parts > MAX_INDEX_PARTS:
        raise LimitExceeded("the Bundle's index is larger than tipbox accepts")
    header, keys = _wrap(index.direction, parts, reader, reader_public)
    signature = sign(labels.BUNDLE, signed_message(keys.header_hash, encoded), signer)
    plaintext = index_plaintext(signature, encoded, parts)
    out.write(header)
    _write_stream(out, keys.cipher(INDEX_STREAM), [plaintext], len(plaintext))
    for number, item in enumerate(items, 1):
        _write_stream(out, keys.cipher(number), item.open(), item.entry.size)
    size = unpadded_size(parts, entries)
    out.writelines(keystream(keys.stream(PADDING_STREAM), volume_class(size) - size, PART_SIZE))
    _write_stream(out, keys.cipher(COPY_STREAM), [plaintext], len(plaintext))
    return volume_class(size)


def _wrap(direction: int, parts: int, reader: bytes, public: bytes) -> tuple[bytes, BundleKeys]:
    key, salt = random_bytes(KEY_SIZE), random_bytes(SALT_SIZE)
    bare = BundleHeader(direction, parts, reader, key_id(public), salt, bundle_commitment(key, salt), b"")
    header = replace(bare, wrapped=hpke_seal(public, bare.info(), key)).encode()
    return header, BundleKeys(key, sha256(header))


def _write_stream(out: BinaryIO, cipher: AESGCM, pieces: Iterable[bytes], size: int) -> None:
    last = padding.parts(size) - 1
    count = 0
    for count, part in enumerate(_cut(pieces), 1):
        out.write(seal_part(cipher, count - 1, part, last=count - 1 == last))
        size -= len(part)
    if size or count != last + 1:
        raise Malformed("an item of the Bundle does not have the size that the index says")


def _cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of PART_SIZE; the last may be shorter."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        while len(buffer) > PART_SIZE:
            yield bytes(buffer[:PART_SIZE])
            del buffer[:PART_SIZE]
    if buffer:
        yield bytes(buffer)
