"""Files of the vault: sealed once more as they are written, so that a locked vault holds nothing that ever travelled.

Magic (8 bytes) ‖ salt (32) ‖ parts of 64 KiB under AES-256-GCM, as in Bundles: the nonce counts and marks the last
part, so a file that is cut or put together from two does not open. The key is the vault's and the salt's. It says
nothing of what is in the file: whoever opens one compares the id of the Envelope.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import BinaryIO, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tipbox.errors import Tampered
from tipbox.formats.base import labels
from tipbox.formats.base.limits import PART_SIZE, SALT_SIZE, SEALED_PART_SIZE, TAG_SIZE
from tipbox.formats.base.primitives import hkdf, open_part, open_part_into, random_bytes, seal_part

MAGIC: Final = b"\x89tipvlt\n"
_START: Final = len(MAGIC) + SALT_SIZE


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(hkdf(key, salt, labels.VAULT_FILE))


def sealed_file_size(size: int) -> int:
    """Bytes on the disk of a file of ``size`` bytes."""
    return _START + size + TAG_SIZE * max(1, -(-size // PART_SIZE))


class SealingFile:
    """A file that seals what is written to it. ``finish`` ends it; without that, it does not open."""

    def __init__(self, write: Callable[[bytes], object], key: bytes) -> None:
        """``write``: takes what the file is made of; ``key``: the vault's key for files, 32 bytes."""
        salt = random_bytes(SALT_SIZE)
        self._write = write
        self._cipher = _cipher(key, salt)
        self._parts = 0
        self._rest = bytearray()
        write(MAGIC + salt)

    def write(self, data: bytes) -> int:
        """The next bytes."""
        self._rest += data
        # One byte more than a part: else the last part could be one that was sealed as another's forerunner.
        while len(self._rest) > PART_SIZE:
            with memoryview(self._rest) as rest, rest[:PART_SIZE] as part:  # both gone before the rest moves up
                self._seal(part, last=False)
            del self._rest[:PART_SIZE]
        return len(data)

    def finish(self) -> None:
        """Seal the last part. The caller syncs the file."""
        self._seal(bytes(self._rest), last=True)
        self._rest.clear()

    def _seal(self, plain: bytes | memoryview, *, last: bool) -> None:
        self._write(seal_part(self._cipher, self._parts, plain, last=last))
        self._parts += 1


class _Opened(io.RawIOBase):
    """The plaintext of a sealed file, part by part; Tampered at the part that does not open."""

    def __init__(self, file: BinaryIO, key: bytes) -> None:
        start = file.read(_START)
        size = os.fstat(file.fileno()).st_size - _START
        if len(start) < _START or not start.startswith(MAGIC) or size < TAG_SIZE:
            raise Tampered
        self._file = file
        self._descriptor = file.fileno()
        self._cipher = _cipher(key, start[len(MAGIC) :])
        self._last = -(-size // SEALED_PART_SIZE) - 1
        self._size = size - TAG_SIZE * (self._last + 1)
        self._at = 0
        self._opened = -1, memoryview(b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader hands over
        number, at = divmod(self._at, PART_SIZE)
        if number > self._last:
            return 0
        if self._opened[0] != number:
            self._opened = number, memoryview(self._part(number, self._sealed(number, 1)))
        plain = self._opened[1][at : at + len(buffer)]
        buffer[: len(plain)] = plain
        self._at += len(plain)
        return len(plain)

    def read_at(self, at: int, room: memoryview) -> int:
        """Fill ``room`` with the bytes from ``at`` on; how many there were. Threads may do this at the same time."""
        first, skipped = divmod(at, PART_SIZE)
        count = -(-(skipped + len(room)) // PART_SIZE)
        sealed = memoryview(self._sealed(first, count))
        filled = 0
        for number in range(first, min(first + count, self._last + 1)):
            part, sealed = sealed[:SEALED_PART_SIZE], sealed[SEALED_PART_SIZE:]
            left = room[filled:]
            size = len(part) - TAG_SIZE
            if not skipped and 0 <= size <= len(left):
                open_part_into(self._cipher, number, part, left[:size], last=number == self._last)
                filled += size
            else:  # the room begins or ends within it
                plain = memoryview(self._part(number, part))[skipped : skipped + len(left)]
                left[: len(plain)] = plain
                filled += len(plain)
            skipped = 0
        return filled

    def _sealed(self, first: int, count: int) -> bytes:
        return os.pread(self._descriptor, count * SEALED_PART_SIZE, _START + first * SEALED_PART_SIZE)

    def _part(self, number: int, sealed: bytes | memoryview) -> bytes:
        return open_part(self._cipher, number, sealed, last=number == self._last)

    def close(self) -> None:
        self._file.close()
        super().close()


class OpenedFile(io.BufferedReader):
    """The plaintext of a sealed file as a stream; ``read_at`` reads it anywhere and beside that."""

    def __init__(self, opened: _Opened) -> None:
        # As large as a part: what is read in small pieces costs no call for each.
        super().__init__(opened, PART_SIZE)
        self.read_at = opened.read_at


def open_sealed(file: BinaryIO, key: bytes) -> OpenedFile:
    """The plaintext of a file (open, at its start) as a stream that closes it.

    Raises:
        Tampered: here or at a read: it is not what was written.
    """
    return OpenedFile(_Opened(file, key))
