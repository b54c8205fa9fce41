"""Finding the private half of a receiving key: it is on the key stick, or destroyed, or was never this vault's."""

from __future__ import annotations

from tipbox.desk.keys.key_stick import Stick
from tipbox.desk.vault.records import PublicKey
from tipbox.desk.vault.vault import Vault
from tipbox.errors import IdentityChanged
from tipbox.formats.envelopes.header import FindKey, KeyState


def keyring(vault: Vault, organisation: bytes, stick: Stick) -> FindKey:
    """What finds the seed of a key id.

    A key that the vault knows and the stick has not is destroyed: so a crash between destroying a key and recording it
    changes nothing.

    Raises:
        IdentityChanged: the key stick belongs to another organisation.
    """
    if stick.organisation != organisation:
        raise IdentityChanged("reading the key stick: it belongs to another organisation; plug in this vault's own")

    def find(key: bytes) -> bytes | KeyState:
        seed = stick.seed(key)
        if seed is not None:
            return seed
        return KeyState.DESTROYED if PublicKey.find(vault, key) else KeyState.UNKNOWN

    return find
