"""Writing a Bundle as a stream (docs/format.md, section 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tipbox.errors import LimitExceeded, Malformed
from tipbox.formats.base import padding
from tipbox.formats.base.limits import (
    BUNDLE_HEADER,
    KEY_SIZE,
    MAX_INDEX_PARTS,
    MAX_ITEMS,
    PART_SIZE,
    SALT_SIZE,
    SEALED_PART_SIZE,
)
from tipbox.formats.base.primitives import SigningKey, hpke_seal, keystream, random_bytes, seal_part, sha256, sign
from tipbox.formats.bundles.bundle import (
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
    split_index,
    unpadded_size,
    volume_class,
)
from tipbox.formats.manifest import key_id

_FIXED: Final = KEY_SIZE + BUNDLE_HEADER
"""Bytes before the index in what ``Volume.save`` writes."""


@dataclass(frozen=True)
class ItemSource:
    """An item to write: its line of the index, and what opens its bytes (in pieces of any size, read once)."""

    entry: ItemEntry
    open: Callable[[], Iterable[bytes]]


def item_of(kind: str, data: bytes) -> ItemSource:
    """A small item that is in memory: a report, an acknowledgement, a manifest."""
    return ItemSource(ItemEntry(kind, len(data), sha256(data)), lambda: [data])


OpenItem = Callable[[int, int], Iterable[bytes]]
"""Opens an item by its number (from 1) at a byte of it: in pieces of any size, to its end."""


@dataclass(frozen=True)
class Volume:
    """A Bundle but for the bytes of its items: with those, each byte of it can be made again, always the same.

    Whoever keeps one must open the same bytes each time: what is sealed under one nonce must never differ.
    """

    header: bytes
    key: bytes = field(repr=False)
    plaintext: bytes = field(repr=False)
    """Signature and index, padded to whole parts."""
    entries: tuple[ItemEntry, ...] = field(repr=False)

    @classmethod
    def begin(
        cls, index: Index, entries: Sequence[ItemEntry], *, reader: bytes, reader_public: bytes, signer: SigningKey
    ) -> Volume:
        """A new one for ``reader`` (id, 16 bytes; X-Wing key, 1216).

        ``index`` gives all but sender and items, which are filled in.
        """
        if len(entries) > MAX_ITEMS:
            raise LimitExceeded(f"a volume has at most {MAX_ITEMS:,} items")
        index = replace(index, sender=signer.verify_key.encode(), items=tuple(entries))
        encoded = index.encode()
        parts = index_parts(encoded)
        if parts > MAX_INDEX_PARTS:
            raise LimitExceeded("the Bundle's index is larger than tipbox accepts")
        header, keys = _wrap(index.direction, parts, reader, reader_public)
        label, message = index.signed(keys.header_hash)
        signature = sign(label, message, signer)
        return cls(header, keys.key, index_plaintext(signature, encoded, parts), tuple(entries))

    @classmethod
    def load(cls, data: bytes) -> Volume:
        """The inverse of ``save``."""
        key, header = data[:KEY_SIZE], data[KEY_SIZE:_FIXED]
        parsed = BundleHeader.parse(header)
        plaintext = data[_FIXED:].ljust(parsed.index_parts * PART_SIZE, b"\x00")
        return cls(header, key, plaintext, Index.parse(split_index(plaintext)[1], parsed.direction).items)

    def save(self) -> bytes:
        """All of it, its key included: a secret as long as the Bundle is."""
        return self.key + self.header + self.plaintext.rstrip(b"\x00")

    @property
    def size(self) -> int:
        """Bytes of the Bundle."""
        return volume_class(self._unpadded)

    @property
    def _unpadded(self) -> int:
        return unpadded_size(len(self.plaintext) // PART_SIZE, self.entries)

    def pieces(self, open_item: OpenItem, begin: int = 0) -> Iterator[bytes]:
        """The Bundle from its byte ``begin`` on. Streams: memory does not grow with the items."""
        keys = BundleKeys(self.key, sha256(self.header))
        if begin < len(self.header):
            yield self.header[begin:]
        begin -= len(self.header)
        sizes = [len(self.plaintext), *(entry.size for entry in self.entries)]
        for number, size in enumerate(sizes):
            if begin < padding.sealed_size(size):
                yield from _stream(keys.cipher(number), self._opener(number, open_item), size, max(0, begin))
            begin -= padding.sealed_size(size)
        padded = self.size - self._unpadded
        for piece in keystream(keys.stream(PADDING_STREAM), padded, PART_SIZE):
            if begin < len(piece):
                yield piece[max(0, begin) :]
            begin -= len(piece)
        copy = self._opener(INDEX_STREAM, open_item)
        yield from _stream(keys.cipher(COPY_STREAM), copy, len(self.plaintext), max(0, begin))

    def _opener(self, number: int, open_item: OpenItem) -> Callable[[int], Iterable[bytes]]:
        if number == INDEX_STREAM:
            return lambda start: [self.plaintext[start:]]
        return lambda start: open_item(number, start)


def write_bundle(
    out: BinaryIO,
    index: Index,
    items: Sequence[ItemSource],
    *,
    reader: bytes,
    reader_public: bytes,
    signer: SigningKey,
) -> int:
    """Seal ``items`` for ``reader`` into ``out``, as ``Volume.begin`` says; the size written."""
    entries = [item.entry for item in items]
    volume = Volume.begin(index, entries, reader=reader, reader_public=reader_public, signer=signer)
    out.writelines(volume.pieces(lambda number, _start: items[number - 1].open()))
    return volume.size


def _wrap(direction: int, parts: int, reader: bytes, public: bytes) -> tuple[bytes, BundleKeys]:
    key, salt = random_bytes(KEY_SIZE), random_bytes(SALT_SIZE)
    bare = BundleHeader(direction, parts, reader, key_id(public), salt, bundle_commitment(key, salt), b"")
    header = replace(bare, wrapped=hpke_seal(public, bare.info(), key)).encode()
    return header, BundleKeys(key, sha256(header))


def _stream(cipher: AESGCM, opened: Callable[[int], Iterable[bytes]], size: int, begin: int) -> Iterator[bytes]:
    """A sealed stream of ``size`` plaintext bytes from its sealed byte ``begin`` on."""
    last = padding.parts(size) - 1
    first, skip = divmod(begin, SEALED_PART_SIZE)
    if first > last:
        return
    left = size - first * PART_SIZE
    number = first - 1
    for number, part in enumerate(_cut(opened(first * PART_SIZE)), first):
        yield seal_part(cipher, number, part, last=number == last)[skip:]
        left -= len(part)
        skip = 0
    if left or number != last:
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
