"""Locked files: small secrets under a passphrase (docs/format.md, section 6). There is no field for the cost."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from nacl import pwhash
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
)
from nacl.exceptions import CryptoError

from tipbox.errors import LimitExceeded, Malformed, NotTipbox, Truncated, UnsupportedVersion, WrongPassphrase
from tipbox.formats.base.limits import ARGON2_MEMORY, ARGON2_PASSES, KEY_SIZE, MAX_LOCKED, TAG_SIZE, VERSION
from tipbox.formats.base.primitives import random_bytes

MAGIC: Final = b"\x89tiploc\n"
_SALT: Final = pwhash.argon2id.SALTBYTES
_NONCE: Final = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
_AAD: Final = len(MAGIC) + 2 + _SALT


class Kind(IntEnum):
    """What a locked file holds."""

    VAULT = 1
    KEY_STICK = 2
    IDENTITY = 3
    BACKUP = 4


def _key(passphrase: bytes, salt: bytes) -> bytes:
    """Argon2id (RFC 9106): 64 MiB, 3 passes."""
    return pwhash.argon2id.kdf(KEY_SIZE, passphrase, salt, opslimit=ARGON2_PASSES, memlimit=ARGON2_MEMORY)


def lock(kind: Kind, passphrase: bytes, payload: bytes) -> bytes:
    """The bytes of a locked file."""
    aad = MAGIC + bytes([VERSION, kind]) + random_bytes(_SALT)
    nonce = random_bytes(_NONCE)
    key = _key(passphrase, aad[-_SALT:])
    locked = aad + nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(payload, aad, nonce, key)
    if len(locked) > MAX_LOCKED:
        raise LimitExceeded
    return locked


def unlock(kind: Kind, passphrase: bytes, data: bytes) -> bytes:
    """What is in a locked file of this kind; WrongPassphrase when it does not open."""
    if len(data) > MAX_LOCKED:
        raise LimitExceeded
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise NotTipbox
    if len(data) < _AAD + _NONCE + TAG_SIZE:
        raise Truncated
    if data[len(MAGIC)] != VERSION:
        raise UnsupportedVersion
    if data[len(MAGIC) + 1] != kind:
        raise Malformed("this locked file holds something else than what it is used for")
    aad, nonce, sealed = data[:_AAD], data[_AAD : _AAD + _NONCE], data[_AAD + _NONCE :]
    try:
        return crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, aad, nonce, _key(passphrase, aad[-_SALT:]))
    except CryptoError as error:
        raise WrongPassphrase from error
