"""Bringing a vault of an older version up to date: files are sealed, tips get summaries, people a lock each.

It may be killed at any moment and begins again at the next command: a file that is sealed is passed over, and the
version is written last, in the transaction of the summaries.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from tipbox.desk.custody.chain import note
from tipbox.desk.inbox.summary import FileWatcher, Summary
from tipbox.desk.vault.letters import letter_of
from tipbox.desk.vault.records import Person, Tip
from tipbox.desk.vault.unlocking import Me
from tipbox.desk.vault.vault import INCOMING, REPLIES, TIPS, Vault
from tipbox.errors import Tampered, TipboxError
from tipbox.files.durable import fsync_folder
from tipbox.formats.base import days
from tipbox.formats.envelopes import header
from tipbox.formats.envelopes.envelope import open_files, read_envelope

_CHUNK: Final = 1 << 20
_SEALED: Final = 2
"""The version since which files are sealed."""


def upgrade(vault: Vault, version: int, passphrase: bytes) -> None:
    """Do it. The vault is open for writing.

    Args:
        vault: the vault.
        version: which it is of.
        passphrase: what opens it; from now on that of its first person.

    Raises:
        OSError: it cannot be written.
    """
    if version < _SEALED:
        _seal_files(vault)
    me = Me.new()
    with vault.transaction():
        if version < _SEALED:
            for tip in Tip.all(vault):
                _summary(vault, tip).save(vault)
        vault.make_people_table()
        vault.me = me
        vault.add_lock(me, passphrase)
        first = Person.first(me, days.today())
        first.save(vault)
        done = "sealed files, summaries, " if version < _SEALED else ""
        note(vault, "upgrade", after=f"{done}{first.introduced}")
        vault.set_version()


def _seal_files(vault: Vault) -> None:
    for folder in (TIPS, INCOMING, REPLIES):
        (vault.path / folder).mkdir(mode=0o700, exist_ok=True)
    for path in (vault.path / INCOMING).iterdir():  # of a command, or an upgrade, that was killed
        path.unlink()
    for folder in (TIPS, REPLIES):
        for path in sorted((vault.path / folder).iterdir()):
            _seal(vault, path)
        fsync_folder(vault.path / folder)


def _seal(vault: Vault, path: Path) -> None:
    """Seal a file in its place, unless it is. One that the disk cannot read stays: it must not keep the others shut."""
    part = vault.incoming_path()
    try:
        with path.open("rb") as file:
            if _read(file, len(header.MAGIC)) != header.MAGIC:
                return  # sealed before; or damaged, and found so by whoever reads it
            file.seek(0)
            with vault.sealing(part) as out:
                while chunk := _read(file, _CHUNK):
                    out.write(chunk)
        part.replace(path)
    except Tampered:
        pass
    finally:
        part.unlink(missing_ok=True)


def _read(file: BinaryIO, size: int) -> bytes:
    """Bytes of a file; Tampered when the disk does not give them. An error of the disk at a write is another thing."""
    try:
        return file.read(size)
    except OSError as error:
        raise Tampered from error


def _summary(vault: Vault, tip: Tip) -> Summary:
    try:
        letter = letter_of(vault, tip)
        watcher = FileWatcher(letter)
        with vault.open_file(vault.tip_path(tip.id)) as file:
            watcher.see(open_files(read_envelope(file), letter))
        return watcher.summary(tip.id)
    except (TipboxError, OSError):  # damaged, as its other readers will say; a Bundle may still put it back
        return Summary(tip.id, "", 0, "", "", (), b"")
