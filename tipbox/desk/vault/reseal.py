"""Sealing a vault anew, with another key: what somebody who was removed has opens nothing that comes later.

It begins in the transaction that removes a person (``Vault.seal_anew_for``). From then on nobody but those who stay can
open the vault, and whoever does so first ends it: files one by one, then all records in one transaction. It may be
killed at any moment, and goes on at the next command. Meanwhile there is never less than a whole vault: a file is
removed when the one that takes its place is on the disk.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from tipbox.desk.custody.chain import note
from tipbox.desk.vault.sealed_file import MAGIC, SealingFile, open_sealed
from tipbox.desk.vault.unlocking import Keys
from tipbox.desk.vault.vault import INCOMING, INDEX_FILE, REPLIES, TIPS, Vault
from tipbox.errors import Tampered
from tipbox.files.durable import fsync_folder
from tipbox.formats.envelopes import header

_CHUNK: Final = 1 << 20
_NAME: Final = re.compile(r"([0-9a-f]{64})\.tip")

Progress = Callable[[int], None]


def finish(vault: Vault, *, silent: bool = False, progress: Progress = lambda _: None) -> None:
    """Do what is left. The vault is open for writing.

    Args:
        vault: the vault, or a copy of it.
        silent: write no event; for a copy, whose store is replaced by the vault's.
        progress: told of the bytes that are read.

    Raises:
        OSError: it cannot be written.
        VaultDamaged: a record does not open.
    """
    keys = vault.next_keys()
    for folder in (TIPS, REPLIES, INCOMING):
        (vault.path / folder).mkdir(mode=0o700, exist_ok=True)
    for path in (vault.path / INCOMING).iterdir():  # of a command that was killed
        path.unlink()
    for folder in (TIPS, REPLIES):
        for path in sorted((vault.path / folder).iterdir()):
            if (found := _NAME.fullmatch(path.name)) is not None:
                stem = keys.renamed(bytes.fromhex(found[1]), len(vault.keys.chain)).hex()
                _again(vault, keys, path, path.with_name(f"{stem}.tip"), progress)
    index = vault.path / INDEX_FILE
    if index.exists() and not _again(vault, keys, index, index, progress):
        index.unlink()  # it can be made again
        fsync_folder(vault.path)
    before = vault.keys
    try:
        with vault.transaction():
            vault.take_keys(keys)
            if not silent:
                note(vault, "reseal", before=f"key {len(before.chain)}", after=f"key {len(keys.chain)}")
    except BaseException:
        vault.keys = before
        raise


def _again(vault: Vault, keys: Keys, path: Path, new: Path, progress: Progress) -> bool:
    """Seal a file with other keys, unless that was done before; whether it opens now."""
    if _opens(path, keys):
        return True
    part = vault.incoming_path()
    try:
        _seal(vault, keys, path, part, progress)
    except Tampered:
        # It is damaged, and stays so: what a Bundle or the second copy brings puts it back.
        part.unlink(missing_ok=True)
        if new != path:
            path.rename(new)
            fsync_folder(path.parent)
        return False
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    part.replace(new)
    fsync_folder(path.parent)  # before the old one goes
    if new != path:
        path.unlink()
    return True


def _seal(vault: Vault, keys: Keys, path: Path, part: Path, progress: Progress) -> None:
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb", buffering=_CHUNK) as out:
        sealing = SealingFile(out.write, keys.files)
        with _opened(vault, path) as file:
            while chunk := _read(file.read):
                sealing.write(chunk)
                progress(len(chunk))
        sealing.finish()
        out.flush()
        os.fsync(out.fileno())


def _opened(vault: Vault, path: Path) -> BinaryIO:
    try:
        file: BinaryIO = path.open("rb")
    except OSError as error:
        raise Tampered from error
    if file.read(len(header.MAGIC)) == header.MAGIC:  # in a copy of a vault of version 1: as it came
        file.seek(0)
        return file
    file.close()
    return vault.open_file(path)


def _read(read: Callable[[int], bytes]) -> bytes:
    """Tampered when the disk does not give them. An error of the disk at a write is another thing."""
    try:
        return read(_CHUNK)
    except OSError as error:
        raise Tampered from error


def _opens(path: Path, keys: Keys) -> bool:
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return False
            file.seek(0)
            open_sealed(file, keys.files).read(1)
    except (Tampered, OSError):
        return False
    return True
