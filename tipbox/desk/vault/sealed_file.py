"""Files of the vault: sealed once more as they are written, so that a locked vault holds nothing that ever travelled.

Magic (8 bytes) ‖ salt (32) ‖ parts of 64 KiB under AES-256-GCM, as in Bundles: the nonce counts and marks the last
part, so a file that is cut or put together from two does not open. The key is the vault's and the salt's. It says
nothing of what is in the file: whoever opens one compares the id of the Envelope.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import BinaryIO, Final, cast

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tipbox.errors import Tampered
from tipbox.formats.base import labels
from tipbox.formats.base.limits import PART_SIZE, SALT_SIZE, SEALED_PART_SIZE, TAG_SIZE
from tipbox.formats.base.primitives import hkdf, open_part, random_bytes, seal_part

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
        self._cipher = _cipher(key, start[len(MAGIC) :])
        self._last = -(-size // SEALED_PART_SIZE) - 1
        self._next = 0
        self._plain = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader hands over
        if not self._plain and self._next <= self._last:
            sealed = self._file.read(SEALED_PART_SIZE)
            self._plain = memoryview(
                open_part(self._cipher, self._next, sealed, last=self._next == self._last),
            )
            self._next += 1
        count = min(len(buffer), len(self._plain))
        buffer[:count] = self._plain[:count]
        self._plain = self._plain[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def open_sealed(file: BinaryIO, key: bytes) -> BinaryIO:
    """The plaintext of a file (open, at its start) as a stream that closes it.

    Raises:
        Tampered: here or at a read: it is not what was written.
    """
    # As large as a part: what is read in small pieces costs no call for each.
    return cast("BinaryIO", io.BufferedReader(_Opened(file, key), PART_SIZE))
