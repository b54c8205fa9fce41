"""A backup as a file: sealed to the operator's key, one authenticated stream of records (docs/format.md, section 9).

Nothing here knows a database. Both sides stream: memory does not grow with what is backed up.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import BinaryIO, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tipbox.errors import (
    BadCommitment,
    LimitExceeded,
    Malformed,
    NotTipbox,
    TrailingData,
    Truncated,
    UnknownKey,
    UnsupportedVersion,
)
from tipbox.formats.base import labels, padding
from tipbox.formats.base.limits import (
    BACKUP_FIXED,
    BACKUP_HEADER,
    KEY_SIZE,
    MAX_BACKUP_FACTS,
    MAX_BACKUP_SECRETS,
    MAX_ITEM,
    MAX_MANIFEST,
    MAX_SETTINGS,
    PART_SIZE,
    SALT_SIZE,
    SEALED_PART_SIZE,
    VERSION,
)
from tipbox.formats.base.primitives import (
    equal,
    hkdf,
    hpke_open,
    hpke_seal,
    open_part,
    random_bytes,
    seal_part,
    sha256,
    xwing_public,
)
from tipbox.formats.manifest import key_id

MAGIC: Final = b"\x89tipbak\n"
_FIXED: Final = struct.Struct(">8sB7x16s32s32s")
_RECORD: Final = struct.Struct(">BQ")


class Kind(IntEnum):
    """What a record holds. Records come in this order."""

    ABOUT = 1
    SECRETS = 2
    SETTINGS = 3
    ORGANISATION = 4
    MANIFEST = 5
    ENVELOPE = 6
    END = 7


_MOST: Final = {
    Kind.ABOUT: MAX_BACKUP_FACTS,
    Kind.SECRETS: MAX_BACKUP_SECRETS,
    Kind.SETTINGS: MAX_SETTINGS,
    Kind.ORGANISATION: MAX_BACKUP_FACTS,
    Kind.MANIFEST: MAX_MANIFEST,
    Kind.ENVELOPE: MAX_ITEM,
    Kind.END: MAX_BACKUP_FACTS,
}


def _commitment(key: bytes, salt: bytes) -> bytes:
    return hkdf(key, salt, labels.BACKUP_COMMITMENT)


def _stream(key: bytes, header: bytes) -> AESGCM:
    return AESGCM(hkdf(key, sha256(header), labels.BACKUP_STREAM))


class Writer:
    """Writes a backup to ``out``, sealed to a public X-Wing key. ``end`` must come last."""

    def __init__(self, out: BinaryIO, public: bytes) -> None:
        key, salt = random_bytes(KEY_SIZE), random_bytes(SALT_SIZE)
        fixed = _FIXED.pack(MAGIC, VERSION, key_id(public), salt, _commitment(key, salt))
        self.header = fixed + hpke_seal(public, labels.BACKUP_KEY + fixed, key)
        self._out = out
        self._public = public
        self._cipher = _stream(key, self.header)
        self._buffer = bytearray()
        self._parts = 0
        self._size = 0
        out.write(self.header)

    def record(self, kind: Kind, size: int, pieces: Iterable[bytes]) -> None:
        """A record of ``size`` bytes that come in pieces."""
        if size > _MOST[kind]:
            raise LimitExceeded("a record of the backup is larger than tipbox accepts")
        self._write(_RECORD.pack(kind, size))
        for piece in pieces:
            size -= len(piece)
            self._write(piece)
        if size:
            raise Malformed("a record of the backup does not have the size that it announced")

    def secrets(self, plaintext: bytes) -> None:
        """The record that is sealed apart."""
        # Bound to this header: they cannot be moved into another backup.
        sealed = hpke_seal(self._public, labels.BACKUP_SECRETS + sha256(self.header), plaintext)
        self.record(Kind.SECRETS, len(sealed), [sealed])

    def end(self, facts: bytes) -> None:
        """The last record, and padding."""
        self.record(Kind.END, len(facts), [facts])
        to_come = padding.padme(self._size) - self._size
        while to_come:
            count = min(to_come, PART_SIZE)
            self._write(bytes(count))
            to_come -= count
        self._out.write(seal_part(self._cipher, self._parts, bytes(self._buffer), last=True))

    def _write(self, data: bytes) -> None:
        self._size += len(data)
        self._buffer += data
        # More than a part, not just one: the last part, sealed as the last, is never empty.
        while len(self._buffer) > PART_SIZE:
            self._out.write(seal_part(self._cipher, self._parts, bytes(self._buffer[:PART_SIZE]), last=False))
            self._parts += 1
            del self._buffer[:PART_SIZE]


@dataclass(frozen=True)
class Record:
    """A record as it is read: take its bytes before asking for the next one."""

    kind: Kind
    size: int
    _reader: Reader = field(repr=False)

    def read(self) -> bytes:
        """All of a small record."""
        return self._reader.exactly(self.size)


class Reader:
    """Reads a backup from its first byte to its last: what was changed or cut off raises, at the latest at the end."""

    def __init__(self, file: BinaryIO, seed: bytes) -> None:
        """Open the header with a private X-Wing seed.

        Raises:
            NotTipbox, Truncated, UnsupportedVersion, Malformed, UnknownKey, Tampered, BadCommitment.
        """
        self._file = file
        self._seed = seed
        self.header = file.read(BACKUP_HEADER)
        if self.header[: len(MAGIC)] != MAGIC[: len(self.header)]:
            raise NotTipbox("this is not a backup of a tipbox server")
        if len(self.header) < BACKUP_HEADER:
            raise Truncated("the backup ends within its header; copy it again")
        fixed = self.header[:BACKUP_FIXED]
        _, version, key, salt, commitment = _FIXED.unpack(fixed)
        if version != VERSION:
            raise UnsupportedVersion
        if _FIXED.pack(MAGIC, version, key, salt, commitment) != fixed:
            raise Malformed("reserved bytes of the backup's header are not zero")
        if key != key_id(xwing_public(seed)):
            raise UnknownKey("this backup is sealed to another operator's key")
        backup_key = hpke_open(seed, labels.BACKUP_KEY + fixed, self.header[BACKUP_FIXED:])
        if not equal(_commitment(backup_key, salt), commitment):
            raise BadCommitment("the key of this backup is not the one that its header commits to")
        self._parts = self._open(_stream(backup_key, self.header))
        self._buffer = bytearray()
        self._size = 0

    def _open(self, cipher: AESGCM) -> Iterator[bytes]:
        sealed = self._file.read(SEALED_PART_SIZE)
        if not sealed:
            raise Truncated("the backup ends after its header; copy it again")
        counter = 0
        while sealed:
            # One part ahead: only the end of the file tells which part is the last, and that is authenticated.
            following = self._file.read(SEALED_PART_SIZE)
            yield open_part(cipher, counter, sealed, last=not following)
            sealed = following
            counter += 1

    def exactly(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        while len(self._buffer) < size:
            part = next(self._parts, None)
            if part is None:
                raise Malformed("a record of the backup runs past its end")
            self._buffer += part
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._size += size
        return data

    def open_secrets(self, sealed: bytes) -> bytes:
        """What ``Writer.secrets`` sealed."""
        return hpke_open(self._seed, labels.BACKUP_SECRETS + sha256(self.header), sealed)

    def records(self) -> Iterator[Record]:
        """All records in order. After the last one the rest of the file has been read and found to be padding.

        Raises:
            TipboxError: the backup was changed or cut off, or breaks a rule.
        """
        last = Kind.ABOUT
        first = True
        while True:
            number, size = _RECORD.unpack(self.exactly(_RECORD.size))
            if number not in list(Kind) or number < last or (first and number != Kind.ABOUT):
                raise Malformed("the backup has a record out of order")
            kind = Kind(number)
            if size > _MOST[kind]:
                raise LimitExceeded("the backup has a record that is larger than tipbox accepts")
            first, last = False, kind
            before = self._size
            yield Record(kind, size, self)
            if self._size != before + size:
                raise Malformed("a record of the backup has another size than its contents")
            if kind is Kind.END:
                break
        self._check_padding()

    def _check_padding(self) -> None:
        used, total = self._size, self._size + len(self._buffer)
        zero = not any(self._buffer)
        for part in self._parts:
            zero = zero and not any(part)
            total += len(part)
        if not zero:
            raise Malformed("the padding of the backup is not zero")
        if total != padding.padme(used):
            raise TrailingData("the backup has another size than its contents")
