"""The operator's key: backups are sealed to its public half; the private half is kept off the server (format.md, 9.1).

``K.pub`` is what the server needs. ``K`` is a locked file, or a plain one when no passphrase was given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tipbox.errors import InputRefused, LimitExceeded, Malformed, TipboxError, WrongPassphrase
from tipbox.files.durable import write_file
from tipbox.formats import locked_file as locked
from tipbox.formats.base import canonical, fields
from tipbox.formats.base.limits import ID_SIZE, MAX_OPERATOR_KEY, XWING_PUBLIC_SIZE, XWING_SEED_SIZE
from tipbox.formats.base.primitives import new_seed, xwing_public
from tipbox.formats.manifest import key_id

PUBLIC_SUFFIX: Final = ".pub"
_PUBLIC: Final = "backup-public"
_PRIVATE: Final = "backup-private"


@dataclass(frozen=True)
class PublicKey:
    """The public half: a 1216-byte X-Wing key."""

    public: bytes = field(repr=False)

    @property
    def id(self) -> bytes:
        """The key's id, 16 bytes."""
        return key_id(self.public)

    def encode(self) -> bytes:
        """The bytes of ``K.pub``."""
        return canonical.encode(
            {"id": self.id.hex(), "kind": _PUBLIC, "public": fields.to_base64(self.public), "version": 1},
            file_form=True,
        )

    @classmethod
    def parse(cls, data: bytes) -> PublicKey:
        """The inverse of ``encode``."""
        value = fields.members(canonical.decode(data, file_form=True), ("id", "kind", "public", "version"))
        fields.check_version(fields.number(value, "version"))
        key = cls(fields.binary(value, "public", XWING_PUBLIC_SIZE))
        if value["kind"] != _PUBLIC or fields.hexadecimal(value, "id", ID_SIZE) != key.id:
            raise Malformed("this is not the public half of an operator's key")
        return key


def make(path: Path, passphrase: bytes | None) -> PublicKey:
    """Make a key: ``path``, locked by the passphrase when there is one, and ``path.pub`` beside it.

    Raises:
        InputRefused: one of the two is there already.
    """
    public_path = path.with_name(path.name + PUBLIC_SUFFIX)
    for key_path in (path, public_path):
        if key_path.exists():
            raise InputRefused(f"making an operator's key: {key_path} is there already; choose another name")
    seed = new_seed()
    key = PublicKey(xwing_public(seed))
    # The private half first: to a public one alone, backups would be sealed that nobody can open.
    write_file(path, _locked(seed, passphrase) if passphrase is not None else _plain(seed), 0o600)
    write_file(public_path, key.encode(), 0o644)
    return key


def _locked(seed: bytes, passphrase: bytes) -> bytes:
    return locked.lock(locked.Kind.BACKUP, passphrase, seed)


def _plain(seed: bytes) -> bytes:
    return canonical.encode({"kind": _PRIVATE, "seed": fields.to_base64(seed), "version": 1}, file_form=True)


def load_public(path: Path) -> PublicKey:
    """Read ``K.pub``.

    Raises:
        InputRefused: it is something else.
    """
    try:
        return PublicKey.parse(_read(path))
    except TipboxError as error:
        raise InputRefused(f"reading {path}: it is not the .pub file of an operator's key; make one with "
                           "tipbox server backup-key") from error  # fmt: skip


def load_private(path: Path, passphrase: bytes | None) -> bytes:
    """The private half of ``K``: a seed of 32 bytes.

    Raises:
        WrongPassphrase: it is locked by another passphrase, or by one and none was given.
        InputRefused: it is something else.
    """
    data = _read(path)
    if data.startswith(locked.MAGIC) and passphrase is None:
        raise WrongPassphrase(f"reading {path}: it is locked; give its passphrase with --passphrase-file")
    try:
        return _unlock(data, passphrase or b"") if data.startswith(locked.MAGIC) else _parse(data)
    except WrongPassphrase:
        raise
    except TipboxError as error:
        raise InputRefused(
            f"reading {path}: it is not the private half of an operator's key; name the file without .pub"
        ) from error


def _unlock(data: bytes, passphrase: bytes) -> bytes:
    seed = locked.unlock(locked.Kind.BACKUP, passphrase, data)
    if len(seed) != XWING_SEED_SIZE:
        raise Malformed("a locked operator's key has the wrong size")
    return seed


def _parse(data: bytes) -> bytes:
    value = fields.members(canonical.decode(data, file_form=True), ("kind", "seed", "version"))
    fields.check_version(fields.number(value, "version"))
    if value["kind"] != _PRIVATE:
        raise Malformed("this is not the private half of an operator's key")
    return fields.binary(value, "seed", XWING_SEED_SIZE)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_OPERATOR_KEY + 1)
    if len(data) > MAX_OPERATOR_KEY:
        raise LimitExceeded(f"reading {path}: it is larger than an operator's key")
    return data
