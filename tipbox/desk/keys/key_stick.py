"""The key stick: one locked file with the private halves of all receiving keys, outside the vault and its copies.

It is named after the vault (``V.keys``) and lies beside it unless it is plugged in elsewhere. Destroying a key rewrites
the file and overwrites the old bytes where they lay: on flash memory that is best effort, and copies defeat it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from tipbox.desk.desk_errors import KeyStickMissing, VaultDamaged
from tipbox.errors import TipboxError, WrongPassphrase
from tipbox.files.durable import TEMPORARY_SUFFIX, fsync_folder, write_file
from tipbox.formats import locked_file
from tipbox.formats.base import canonical, days, fields
from tipbox.formats.base.limits import ID_SIZE, XWING_SEED_SIZE

FILE: Final = "receiving.keys"


def stick_path(vault: Path) -> Path:
    """Where the key stick of the vault at ``vault`` lies: beside it."""
    vault = vault.absolute()
    return vault.with_name(f"{vault.name}.keys")


@dataclass(frozen=True)
class PrivateKey:
    """One receiving key with its private half."""

    id: bytes
    start: date
    end: date
    seed: bytes = field(repr=False)


@dataclass(frozen=True)
class Stick:
    """What lies on the key stick of one organisation."""

    organisation: bytes
    keys: tuple[PrivateKey, ...]

    def seed(self, key: bytes) -> bytes | None:
        """The private half of the key with this id, or None."""
        return next((private.seed for private in self.keys if private.id == key), None)

    def encode(self) -> bytes:
        """The payload of the locked file."""
        return canonical.encode(
            {
                "keys": [
                    {
                        "from": key.start.isoformat(),
                        "id": key.id.hex(),
                        "seed": fields.to_base64(key.seed),
                        "until": key.end.isoformat(),
                    }
                    for key in self.keys
                ],
                "organisation": self.organisation.hex(),
            }
        )

    @classmethod
    def decode(cls, payload: bytes) -> Stick:
        """The inverse of ``encode``."""
        try:
            value = fields.members(canonical.decode(payload), ("keys", "organisation"))
            keys = tuple(_key(key) for key in fields.array(value, "keys"))
            return cls(fields.hexadecimal(value, "organisation", ID_SIZE), keys)
        except TipboxError as error:
            raise VaultDamaged("reading the key stick: its file is damaged; use its copy") from error


def _key(value: canonical.Json) -> PrivateKey:
    key = fields.members(value, ("from", "id", "seed", "until"))
    return PrivateKey(
        fields.hexadecimal(key, "id", ID_SIZE),
        days.parse(key["from"]),
        days.parse(key["until"]),
        fields.binary(key, "seed", XWING_SEED_SIZE),
    )


def create(folder: Path, passphrase: bytes, stick: Stick) -> None:
    """Make the key stick's folder."""
    folder.mkdir(mode=0o700)
    write_file(folder / FILE, locked_file.lock(locked_file.Kind.KEY_STICK, passphrase, stick.encode()))
    fsync_folder(folder.parent)


def is_there(folder: Path) -> bool:
    """Whether a key stick is plugged in at ``folder``."""
    return (folder / FILE).is_file()


def load(folder: Path, passphrase: bytes) -> Stick:
    """Read the key stick in ``folder``.

    Raises:
        KeyStickMissing: it is not there.
        WrongPassphrase: the passphrase does not open it.
        VaultDamaged: its file is not what it was.
    """
    try:
        sealed = (folder / FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise KeyStickMissing(f"reading the key stick: it is not at {folder}; plug it in and put it there") from error
    try:
        return Stick.decode(locked_file.unlock(locked_file.Kind.KEY_STICK, passphrase, sealed))
    except WrongPassphrase as error:
        raise WrongPassphrase(
            "reading the key stick: the vault's passphrase does not open it; is it this vault's, and not an old copy?"
        ) from error


def replace(folder: Path, passphrase: bytes, stick: Stick, *, wipe: bool = False) -> None:
    """Replace the key stick's file; with ``wipe``, then overwrite the old file, and what killed commands left.

    The new file is whole and on the disk before the old one is touched: a crash leaves one of the two.
    """
    path = folder / FILE
    # Opened before the new file takes its name: only so can the old bytes still be reached.
    old = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(old).st_size
        write_file(path, locked_file.lock(locked_file.Kind.KEY_STICK, passphrase, stick.encode()))
        if wipe:
            os.pwrite(old, bytes(size), 0)
            os.fsync(old)
            _wipe_left_behind(folder)
    finally:
        os.close(old)


def _wipe_left_behind(folder: Path) -> None:
    # A half-written stick is sealed, but it may hold the very key that is to be destroyed.
    for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
    fsync_folder(folder)
