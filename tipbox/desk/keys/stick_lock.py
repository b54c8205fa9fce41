"""What locks the key stick: the passphrase of the only person, and a secret in the vault once there are several.

So nobody's passphrase opens it for the others, and who has the stick alone can try no passphrase on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tipbox.desk.custody.chain import note
from tipbox.desk.keys import key_stick
from tipbox.desk.vault.records import StickLock
from tipbox.desk.vault.vault import Vault
from tipbox.errors import WrongPassphrase
from tipbox.formats.base.limits import KEY_SIZE
from tipbox.formats.base.primitives import random_bytes

_OWN: Final = b""
"""In ``former``: the passphrase of the first person, which no vault holds."""


def stick_passphrase(vault: Vault, folder: Path, passphrase: bytes) -> bytes:
    """What opens the key stick in ``folder``, for whoever unlocked the vault with ``passphrase``.

    A stick that is still locked with what locked it before is locked anew. The vault is open for writing.

    Raises:
        KeyStickMissing: it is not there.
        VaultDamaged: its file is not what it was.
    """
    lock = StickLock.find(vault)
    if lock is None:
        return passphrase
    if lock.former and key_stick.is_there(folder):
        _lock_anew(folder, lock, passphrase)
        with vault.transaction():
            StickLock(lock.secret).save(vault)
            note(vault, "relock")
    return lock.secret


def share(vault: Vault, folder: Path, passphrase: bytes) -> None:
    """Have the stick opened by whoever opens the vault: before somebody is added to the first person.

    Raises:
        KeyStickMissing: it is not plugged in.
        WrongPassphrase: the person's passphrase does not open it.
    """
    if StickLock.find(vault) is not None:
        stick_passphrase(vault, folder, passphrase)
        return
    stick = key_stick.load(folder, passphrase)
    # The secret first: a crash leaves a stick that is locked as before, which the next use locks anew.
    lock = StickLock(random_bytes(KEY_SIZE), (_OWN,))
    with vault.transaction():
        lock.save(vault)
        note(vault, "relock", stick.organisation)
    stick_passphrase(vault, folder, passphrase)


def renew(vault: Vault) -> None:
    """Within a transaction that removes somebody: the next use of the stick locks it with another secret."""
    lock = StickLock.find(vault)
    if lock is not None:
        StickLock(random_bytes(KEY_SIZE), (lock.secret, *lock.former)).save(vault)


def _lock_anew(folder: Path, lock: StickLock, passphrase: bytes) -> None:
    for secret in (lock.secret, *(former or passphrase for former in lock.former)):
        try:
            stick = key_stick.load(folder, secret)
        except WrongPassphrase:
            continue
        if secret != lock.secret:
            key_stick.replace(folder, lock.secret, stick, wipe=True)
        return
