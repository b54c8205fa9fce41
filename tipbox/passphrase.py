"""The Passphrase of a source and all that comes from it (docs/format.md, section 3).

It is made by the client and never sent. Keys derive from the integer, never from how it is written.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from tipbox import labels
from tipbox.errors import BadPassphrase
from tipbox.limits import ID_SIZE, KEY_SIZE
from tipbox.primitives import hkdf, sha256, xwing_public

_VERSION: Final = 1
_RANDOM_BITS: Final = 100
_CHECK_BITS: Final = 12
_DIGITS: Final = 36
_GROUP: Final = 6
_ROUNDS: Final = 600_000
_SEPARATORS: Final = frozenset("-._")
_MAX_INPUT: Final = 1024


def _check(version: int, random: int) -> int:
    digest = sha256(labels.PASSPHRASE_CHECK, bytes([version]), random.to_bytes(13))
    return int.from_bytes(digest[:2]) >> 4


def _groups(digits: str, size: int) -> str:
    return " ".join(digits[start : start + size] for start in range(0, len(digits), size))


@dataclass(frozen=True)
class Secrets:
    """What a Passphrase derives to; every value is 32 bytes unless it says otherwise."""

    root: bytes = field(repr=False)

    @cached_property
    def mailbox_token(self) -> bytes:
        """Opens the mailbox."""
        return hkdf(self.root, b"", labels.MAILBOX_TOKEN)

    @cached_property
    def mailbox_address(self) -> bytes:
        """Names the mailbox: SHA-256 of its token."""
        return sha256(self.mailbox_token)

    @cached_property
    def reply_seed(self) -> bytes:
        """The private X-Wing key that opens replies."""
        return hkdf(self.root, b"", labels.REPLY_KEY)

    @cached_property
    def reply_public(self) -> bytes:
        """The public half of the reply key, 1216 bytes."""
        return xwing_public(self.reply_seed)

    @cached_property
    def resume(self) -> bytes:
        """Reserved."""
        return hkdf(self.root, b"", labels.RESUME)

    def pair_key(self, organisation: bytes) -> bytes:
        """What this source and the organisation with this id (16 bytes) share, and nobody else."""
        return hkdf(self.root, b"", labels.PAIR_KEY + organisation)


@dataclass(frozen=True)
class Passphrase:
    """One integer: version (4 bits), 100 random bits, check (12 bits)."""

    value: int = field(repr=False)

    @classmethod
    def generate(cls) -> Passphrase:
        """A new Passphrase."""
        return cls._of(secrets.randbits(_RANDOM_BITS))

    @classmethod
    def _of(cls, random: int) -> Passphrase:
        return cls((_VERSION << _RANDOM_BITS | random) << _CHECK_BITS | _check(_VERSION, random))

    @classmethod
    def parse(cls, text: str) -> Passphrase:
        """Read what a person typed; BadPassphrase, without repeating any of it, when it is none."""
        if len(text) > _MAX_INPUT:
            raise BadPassphrase
        kept = [letter for letter in text if not (letter.isspace() or letter in _SEPARATORS)]
        figures = [unicodedata.decimal(letter, -1) for letter in kept]
        if len(figures) != _DIGITS or -1 in figures:
            raise BadPassphrase
        passphrase = cls(int("".join(map(str, figures))))
        random = passphrase.value >> _CHECK_BITS & (1 << _RANDOM_BITS) - 1
        if passphrase != cls._of(random):
            raise BadPassphrase
        return passphrase

    def digits(self) -> str:
        """36 digits in six groups of six."""
        return _groups(f"{self.value:0{_DIGITS}d}", _GROUP)

    def secrets(self) -> Secrets:
        """Stretch and derive (600,000 rounds of PBKDF2)."""
        return Secrets(hashlib.pbkdf2_hmac("sha256", self.value.to_bytes(16), labels.ROOT, _ROUNDS, KEY_SIZE))


def thread_id(pair_key: bytes) -> bytes:
    """The id (16 bytes) of the conversation that a pair key stands for."""
    return sha256(labels.THREAD, pair_key)[:ID_SIZE]


def check_digits(pair_key: bytes, header_hash: bytes) -> str:
    """What source and organisation compare by voice: 20 digits in groups of five."""
    number = int.from_bytes(hkdf(pair_key, header_hash, labels.CHECK_WORDS)) % 10**20
    return _groups(f"{number:020d}", 5)
