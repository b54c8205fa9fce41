"""The identity file: the organisation's Ed25519 key, locked, kept apart from the vault. It signs manifests only."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tipbox.desk.desk_errors import VaultDamaged
from tipbox.errors import NotFound, WrongPassphrase
from tipbox.files.durable import write_file
from tipbox.formats import locked_file
from tipbox.formats.base.limits import KEY_SIZE
from tipbox.formats.base.primitives import SigningKey

_SUFFIX: Final = ".identity"


def identity_path(vault: Path) -> Path:
    """Where the identity file of the vault at ``vault`` lies when no other place is named: beside it."""
    vault = vault.absolute()
    return vault.with_name(f"{vault.name}{_SUFFIX}")


def vault_path(identity: Path) -> Path | None:
    """The vault whose identity file would lie at ``identity``; None when no vault's would."""
    identity = identity.absolute()
    name = identity.name.removesuffix(_SUFFIX)
    return identity.with_name(name) if name not in {"", identity.name} else None


def create(path: Path, passphrase: bytes, key: SigningKey) -> None:
    """Write the identity file."""
    write_file(path, locked_file.lock(locked_file.Kind.IDENTITY, passphrase, bytes(key)))


def load(path: Path, passphrase: bytes) -> SigningKey:
    """Read the identity file.

    Raises:
        NotFound: it is not there.
        WrongPassphrase: the passphrase does not open it.
    """
    try:
        sealed = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"reading the identity file: {path} is not there; name it with --identity") from error
    try:
        seed = locked_file.unlock(locked_file.Kind.IDENTITY, passphrase, sealed)
    except WrongPassphrase as error:
        raise WrongPassphrase(
            "reading the identity file: the passphrase does not open it; is it this vault's?"
        ) from error
    if len(seed) != KEY_SIZE:
        raise VaultDamaged("reading the identity file: it is damaged; use its copy")
    return SigningKey(seed)
