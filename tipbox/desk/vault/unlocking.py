"""Who opens a vault: each person's passphrase locks a seed of theirs, and to that the vault's keys are sealed.

A vault has one key at a time. When a person is removed it gets another one, and the keys before stay in the chain: the
names of records and files follow from all of them. Whoever unlocks the vault can seal the keys to another person
without that person's passphrase, and nobody's seed lies in the vault but under their own passphrase.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Self

from tipbox.errors import Tampered, TipboxError, WrongPassphrase
from tipbox.formats import locked_file
from tipbox.formats.base import labels
from tipbox.formats.base.limits import ID_SIZE, KEY_SIZE
from tipbox.formats.base.primitives import (
    SigningKey,
    hkdf,
    hpke_open,
    hpke_seal,
    new_seed,
    random_bytes,
    sha256,
    xwing_public,
)

MAX_PEOPLE: Final = 16
"""Who can open a vault at a time: a passphrase is tried against the lock of each."""
SCHEMA: Final = (
    "CREATE TABLE person (id BLOB PRIMARY KEY, locked BLOB NOT NULL, keys BLOB NOT NULL, next BLOB) "
    "STRICT, WITHOUT ROWID"
)
"""``locked``: the person's seed under their passphrase. ``keys``, ``next``: the vault's keys, and those that they are
being replaced by, sealed to that seed."""


@dataclass(frozen=True)
class Me:
    """Who has unlocked a vault: a person's id (16 bytes), and the seed (32) that only their passphrase opens."""

    id: bytes
    seed: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """Somebody new."""
        return cls(random_bytes(ID_SIZE), new_seed())

    def locked(self, passphrase: bytes) -> bytes:
        """The seed under a passphrase."""
        return locked_file.lock(locked_file.Kind.VAULT, passphrase, self.seed)

    @property
    def public(self) -> bytes:
        """What the vault's keys are sealed to."""
        return xwing_public(self.seed)

    @cached_property
    def signing_key(self) -> SigningKey:
        """What this person's events are signed with."""
        return SigningKey(hkdf(self.seed, b"", labels.PERSON_SIGNING))

    @property
    def signs(self) -> bytes:
        """The public half of ``signing_key``."""
        return self.signing_key.verify_key.encode()

    def open_keys(self, sealed: bytes) -> tuple[bytes, ...]:
        """What ``seal_keys`` sealed to this person.

        Raises:
            Tampered: it does not open, or holds no keys.
        """
        plain = hpke_open(self.seed, labels.VAULT_PERSON + self.id, sealed)
        if not plain or len(plain) % KEY_SIZE:
            raise Tampered
        return tuple(plain[at : at + KEY_SIZE] for at in range(0, len(plain), KEY_SIZE))


def seal_keys(public: bytes, ident: bytes, keys: tuple[bytes, ...]) -> bytes:
    """Seal the keys of a vault to the person with this id."""
    return hpke_seal(public, labels.VAULT_PERSON + ident, b"".join(keys))


def fingerprint(public: bytes, signs: bytes) -> str:
    """Of a person's public keys: what the chain of custody says of them (32 hex digits)."""
    return sha256(public, signs)[:ID_SIZE].hex()


def unlock(rows: list[tuple[bytes, bytes]], passphrase: bytes) -> Me:
    """Whose passphrase it is, of persons (id and locked seed).

    Raises:
        WrongPassphrase: nobody's.
    """
    for ident, locked in rows:
        try:
            seed = locked_file.unlock(locked_file.Kind.VAULT, passphrase, locked)
        except TipboxError:  # another's, or damaged: the others must still come in
            continue
        return Me(ident, seed)
    raise WrongPassphrase


class Keys:
    """The keys of a vault, the first and oldest to the one in use."""

    def __init__(self, chain: tuple[bytes, ...]) -> None:
        """``chain``: at least one, each 32 bytes."""
        self.chain = chain
        self._names = tuple(hkdf(key, b"", labels.VAULT_NAMES) for key in chain)
        self.values = hkdf(chain[-1], b"", labels.VAULT_VALUES)
        self.files = hkdf(chain[-1], b"", labels.VAULT_FILE)

    def name(self, kind: str, ident: bytes) -> bytes:
        """The name (32 bytes) under which the record of this kind and id lies."""
        # Keyed: whoever has an Envelope's id cannot look for its record. The zero byte ends the kind, which has none.
        return self.renamed(kind.encode() + b"\x00" + ident)

    def renamed(self, name: bytes, after: int = 0) -> bytes:
        """What a name of a vault with the first ``after`` of these keys is called now.

        Some records keep no id, so a name follows from the one before, and not from the id. Who has only the keys of
        before, as somebody who was removed, cannot tell which name it is.
        """
        for key in self._names[after:]:
            name = hmac.digest(key, name, hashlib.sha256)
        return name
