"""Capsules (docs/format.md, section 14): what lies beside an upload so that its access code alone continues it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tipbox.errors import Malformed, Tampered, Truncated
from tipbox.formats.base import labels
from tipbox.formats.base.limits import CAPSULE, HASH_SIZE, KEY_SIZE, MAX_SLOTS, SALT_SIZE
from tipbox.formats.base.primitives import equal, hkdf, random_bytes, sha256
from tipbox.formats.envelopes.envelope import Sealed
from tipbox.formats.envelopes.header import PREFIX, Header, Kind, header_size
from tipbox.formats.envelopes.letter import Letter, open_letter

_PLAIN: Final = struct.Struct(f">{KEY_SIZE}s{HASH_SIZE}s{HASH_SIZE}s{KEY_SIZE}sI{MAX_SLOTS * KEY_SIZE}s")
_NONCE: Final = bytes(12)
_NONE: Final = bytes(KEY_SIZE)


@dataclass(frozen=True)
class Opening:
    """Header and letter of an upload, which the capsule vouches for, and what the letter says."""

    header: Header
    sealed_letter: bytes = field(repr=False)
    letter: Letter = field(repr=False)


@dataclass(frozen=True)
class Capsule:
    """What a capsule holds, 32 bytes each.

    Attributes:
        token: the draft token.
        header_hash: SHA-256 of the Envelope's header.
        letter_hash: SHA-256 of its sealed letter.
        content_key: the Envelope's.
        seal_secrets: of each slot from the first on, None where it was not chosen; at most 32.
    """

    token: bytes = field(repr=False)
    header_hash: bytes = field(repr=False)
    letter_hash: bytes = field(repr=False)
    content_key: bytes = field(repr=False)
    seal_secrets: Sequence[bytes | None] = field(repr=False)

    @classmethod
    def of(cls, sealed: Sealed, token: bytes) -> Capsule:
        """That of an Envelope that is sent under this draft token."""
        (content_key, *_) = (slot.content_key for slot in sealed.slots if slot is not None)
        secrets = tuple(None if slot is None else slot.seal_secret for slot in sealed.slots)
        return cls(token, sealed.header.hash, sha256(sealed.letter), content_key, secrets)

    def seal(self, resume: bytes, salt: bytes | None = None) -> bytes:
        """The 1,204 bytes, under a resume secret (32 bytes). Once: ``salt`` (32 bytes) is for tests alone."""
        salt = salt or random_bytes(SALT_SIZE)
        chosen = sum(1 << slot for slot, secret in enumerate(self.seal_secrets) if secret is not None)
        secrets = b"".join(secret or _NONE for secret in self.seal_secrets)
        values = self.token, self.header_hash, self.letter_hash, self.content_key, chosen, secrets
        return salt + _cipher(resume, salt).encrypt(_NONCE, _PLAIN.pack(*values), None)

    @classmethod
    def open(cls, resume: bytes, sealed: bytes) -> Capsule:
        """The capsule in these bytes.

        Raises:
            Malformed: another size, nobody is chosen, or a secret stands where nobody is.
            Tampered: it is of another access code, or random, or was changed.
        """
        if len(sealed) != CAPSULE:
            raise Malformed("a capsule has another size")
        try:
            salt = sealed[:SALT_SIZE]
            plain = _cipher(resume, salt).decrypt(_NONCE, sealed[SALT_SIZE:], None)
        except InvalidTag as error:
            raise Tampered from error
        token, header_hash, letter_hash, content_key, chosen, together = _PLAIN.unpack(plain)
        secrets = [together[at : at + KEY_SIZE] for at in range(0, len(together), KEY_SIZE)]
        is_chosen = [bool(chosen >> slot & 1) for slot in range(MAX_SLOTS)]
        if not chosen or any(not is_one and secret != _NONE for is_one, secret in zip(is_chosen, secrets, strict=True)):
            raise Malformed("a capsule names nobody, or has secrets of those who were not chosen")
        slots = tuple(secret if is_one else None for is_one, secret in zip(is_chosen, secrets, strict=True))
        return cls(token, header_hash, letter_hash, content_key, slots)

    def check(self, opening: bytes) -> Opening:
        """Header ‖ letter as a server gives them back, if they are those that this capsule was made for.

        Raises:
            TipboxError: an error of the header's first bytes, or of the letter.
            Truncated: fewer bytes than the header has.
            Tampered: it is another header or letter.
            Malformed: no tip with files and without words, or a slot is chosen that it does not have.
        """
        size = header_size(opening[:PREFIX])
        if len(opening) < size:
            raise Truncated("the header ends too early")
        encoded, sealed_letter = opening[:size], opening[size:]
        if not (equal(sha256(encoded), self.header_hash) and equal(sha256(sealed_letter), self.letter_hash)):
            raise Tampered
        header = Header.parse(encoded)
        header.expect(Kind.TIP)
        if not header.body_size:
            raise Malformed("an upload that can be continued has files")
        if any(secret is not None for secret in self.seal_secrets[len(header.slots) :]):
            raise Malformed("a capsule names a slot that the header does not have")
        letter = open_letter(header, self.content_key, sealed_letter)
        if letter.message:
            raise Malformed("an upload that can be continued has no words")
        return Opening(header, sealed_letter, letter)


def _cipher(resume: bytes, salt: bytes) -> AESGCM:
    return AESGCM(hkdf(resume, salt, labels.CAPSULE))
