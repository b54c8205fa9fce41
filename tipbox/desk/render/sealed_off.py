"""The bytes of one file of a tip, out of the vault and in memory, for a sandbox to read and for nobody to parse."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from tipbox.desk.desk_errors import VaultDamaged
from tipbox.desk.inbox import file_kinds
from tipbox.desk.joined import JoinedTip
from tipbox.desk.vault.records import Tip
from tipbox.desk.vault.vault import Vault
from tipbox.errors import NotFound, TipboxError
from tipbox.formats.envelopes.envelope import open_files, read_envelope
from tipbox.formats.envelopes.letter import open_letter

MAX_HELD: Final = 256 << 20
"""Bytes of a file that are held in memory; of a larger one, only its start is looked at."""
_SEALED: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@dataclass(frozen=True)
class HeldFile:
    """The bytes of a file, or of its start.

    Attributes:
        name: as its source wrote it.
        size: of the whole file, in bytes.
        head: its first bytes, ``file_kinds.HEAD`` at most.
        cut: only its start is held.
    """

    name: str
    size: int
    head: bytes
    cut: bool
    descriptor: int

    @contextmanager
    def reading(self) -> Iterator[BinaryIO]:
        """The bytes as a file that can be read only, from the start: each look has a place of its own in it."""
        with Path("/proc/self/fd", str(self.descriptor)).open("rb", buffering=0) as file:
            yield file


def file_of(tip: JoinedTip, number: int) -> tuple[Tip, int]:
    """The Envelope that has a file of a tip, and which of its files that is.

    Args:
        tip: the tip.
        number: of the file, from 1, as ``desk show`` numbers them.

    Raises:
        NotFound: there is no such file.
    """
    left = number - 1
    for envelope in tip.envelopes:
        if 0 <= left < len(envelope.files):
            return envelope, left
        left -= len(envelope.files)
    raise NotFound(f"looking for the file: this tip has {len(tip.files)} files; name one by its number, from 1")


@contextmanager
def held(vault: Vault, tip: JoinedTip, number: int) -> Iterator[HeldFile]:
    """Hold a file of a tip in memory that has no name and is gone with this process.

    Each part is verified before its bytes are held.

    Raises:
        NotFound: there is no such file.
        VaultDamaged: what the vault holds is not what was imported.
    """
    envelope, index = file_of(tip, number)
    entry = envelope.files[index]
    descriptor = os.memfd_create("held", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        head = bytearray()
        count = 0
        for piece in pieces(vault, envelope, index):
            kept = piece[: MAX_HELD - count]
            head += kept[: file_kinds.HEAD - len(head)]
            _write(descriptor, kept)
            count += len(kept)
            if count == MAX_HELD:
                break
        # Nothing that reads it can change or grow it: it may not fill memory by this way either.
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALED)
        yield HeldFile(entry.name, entry.size, bytes(head), entry.size > count, descriptor)
    finally:
        os.close(descriptor)


def pieces(vault: Vault, envelope: Tip, index: int) -> Iterator[bytes]:
    """The bytes of one file of an Envelope, piece by piece.

    Raises:
        VaultDamaged: what the vault holds is not what was imported.
    """
    try:
        with vault.open_file(vault.tip_path(envelope.id)) as file:
            reading = read_envelope(file)
            letter = open_letter(reading.header, envelope.content_key, reading.letter)
            for at, piece in open_files(reading, letter):
                if at > index:
                    return
                if at == index:
                    yield piece
    except (TipboxError, FileNotFoundError) as error:
        raise VaultDamaged(
            "opening a file: its tip in the vault is damaged; restore the vault's second copy"
        ) from error


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
