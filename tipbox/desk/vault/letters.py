"""Reading Envelopes out of the vault, and writing them into it as they came."""

from __future__ import annotations

from typing import BinaryIO

from tipbox.desk.desk_errors import VaultDamaged
from tipbox.desk.vault.records import Tip
from tipbox.desk.vault.sealed_file import SealingFile
from tipbox.desk.vault.vault import Vault
from tipbox.errors import TipboxError
from tipbox.formats.envelopes.envelope import read_envelope
from tipbox.formats.envelopes.letter import Letter, open_letter


def letter_of(vault: Vault, tip: Tip) -> Letter:
    """The letter of a tip in the vault.

    Raises:
        VaultDamaged: its file is not what was imported.
    """
    try:
        with vault.open_file(vault.tip_path(tip.id)) as file:
            reading = read_envelope(file)
            return open_letter(reading.header, tip.content_key, reading.letter)
    except (TipboxError, OSError) as error:
        raise VaultDamaged(
            "opening a tip: its file in the vault is damaged; restore the vault's second copy"
        ) from error


def copy_envelope(stream: BinaryIO, out: SealingFile) -> bytes:
    """Write the Envelope that takes up ``stream`` exactly; its id.

    Raises:
        TipboxError: it is no complete Envelope.
    """
    reading = read_envelope(stream)
    out.write(reading.header.encoded)
    out.write(reading.letter)
    for part in reading.parts:
        out.write(part)
    end = reading.end()
    out.write(end.trailer)
    return end.id
