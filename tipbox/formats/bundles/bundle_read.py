"""Reading a Bundle as a stream (docs/format.md, section 5): what is damaged is named, the rest stays usable."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tipbox.errors import DamagedItem, TipboxError, TooLate, Truncated, UnknownKey, WrongReader
from tipbox.formats.base import padding
from tipbox.formats.base.limits import BUNDLE_HEADER, PART_SIZE, TAG_SIZE
from tipbox.formats.base.primitives import equal, keystream, open_part, sha256, verify
from tipbox.formats.bundles.bundle import (
    COPY_STREAM,
    INDEX_STREAM,
    PADDING_STREAM,
    BundleHeader,
    BundleKeys,
    Index,
    ItemEntry,
    split_index,
    unpadded_size,
    volume_class,
)
from tipbox.formats.envelopes.header import FindKey, KeyState


@dataclass(frozen=True)
class Item:
    """One item: its number (from 1), its line of the index, and where its stream starts."""

    number: int
    entry: ItemEntry
    offset: int


class Bundle:
    """A Bundle with a verified index. ``file`` must be seekable; nothing is read ahead.

    Attributes:
        index: as its sender wrote it.
        index_hash: SHA-256 of its JSON, items included.
    """

    def __init__(self, file: BinaryIO, reader: bytes, find_key: FindKey) -> None:
        """Open header and index for ``reader`` (id, 16 bytes) and verify the sender's signature.

        Who the sender *is* stays for the caller to compare: ``index.sender``.
        """
        self._file = file
        self.header = BundleHeader.parse(file.read(BUNDLE_HEADER))
        if self.header.reader != reader:
            raise WrongReader
        seed = find_key(self.header.key)
        if seed is KeyState.DESTROYED:
            raise TooLate
        if isinstance(seed, KeyState):
            raise UnknownKey
        self._keys: BundleKeys = self.header.unwrap(seed)
        self._index_size = padding.sealed_size(self.header.index_parts * PART_SIZE)
        self.index_damage: list[str] = []
        self.index, self.index_hash = self._read_index()
        self.items = tuple(self._layout())

    @property
    def header_hash(self) -> bytes:
        """SHA-256 of the header: which Bundle this is, whatever number it has."""
        return self._keys.header_hash

    def _read_index(self) -> tuple[Index, bytes]:
        end = self._file.seek(0, io.SEEK_END)
        found: tuple[Index, bytes] | None = None
        first_error: TipboxError = Truncated("the Bundle ends within its index; copy it again")
        for name, number, offset in (
            ("index", INDEX_STREAM, BUNDLE_HEADER),
            ("index copy", COPY_STREAM, max(BUNDLE_HEADER, end - self._index_size)),
        ):
            try:
                index = self._open_index(number, offset)
            except TipboxError as error:
                self.index_damage.append(name)
                first_error = error if number == INDEX_STREAM else first_error
            else:
                found = found or index
        if found is None:
            raise first_error
        return found

    def _open_index(self, number: int, offset: int) -> tuple[Index, bytes]:
        plaintext = b"".join(self._stream(number, offset, self.header.index_parts * PART_SIZE))
        signature, encoded = split_index(plaintext)
        index = Index.parse(encoded, self.header.direction)
        label, message = index.signed(self._keys.header_hash)
        verify(label, message, signature, index.sender)
        return index, sha256(encoded)

    def _layout(self) -> Iterator[Item]:
        offset = BUNDLE_HEADER + self._index_size
        for number, entry in enumerate(self.index.items, 1):
            yield Item(number, entry, offset)
            offset += padding.sealed_size(entry.size)

    def _stream(self, number: int, offset: int, size: int) -> Iterator[bytes]:
        """The opened parts of a stream of ``size`` plaintext bytes: Truncated or Tampered where it is damaged."""
        cipher: AESGCM = self._keys.cipher(number)
        last = padding.parts(size) - 1
        for counter in range(last + 1):
            self._file.seek(offset + counter * (PART_SIZE + TAG_SIZE))
            expected = padding.sealed_part_size(size, counter)
            sealed = self._file.read(expected)
            if len(sealed) < expected:
                raise Truncated
            yield open_part(cipher, counter, sealed, last=counter == last)

    def read(self, item: Item) -> Iterator[bytes]:
        """The item's bytes in pieces; DamagedItem where they are damaged. The caller checks the hash at the end."""
        try:
            yield from self._stream(item.number, item.offset, item.entry.size)
        except TipboxError as error:
            raise damaged(item, "cut off" if isinstance(error, Truncated) else "damaged") from error

    def open(self, item: Item) -> io.BufferedReader:
        """The item's bytes as a file to read once."""
        return io.BufferedReader(_Pieces(self.read(item)), PART_SIZE)

    def check_padding(self) -> bool:
        """Whether the padding and the file's size are as they were written; damage there hurts no item."""
        used = unpadded_size(self.header.index_parts, self.index.items)
        self._file.seek(used - self._index_size)
        padded = keystream(self._keys.stream(PADDING_STREAM), volume_class(used) - used, PART_SIZE)
        if not all(equal(chunk, self._file.read(len(chunk))) for chunk in padded):
            return False
        return self._file.seek(0, io.SEEK_END) == volume_class(used)


def damaged(item: Item, how: str) -> DamagedItem:
    """The error that names an item."""
    return DamagedItem(f"item {item.number} ({item.entry.kind}) is {how}; carry this Bundle again")


class _Pieces(io.RawIOBase):
    """Pieces of bytes as a raw file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = next(self._pieces, b"")
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)
