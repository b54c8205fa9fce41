"""The primitives of docs/format.md, section 1, each as one call into a library. Nothing here is home-made."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from tipbox.errors import BadSignature, Malformed, Tampered
from tipbox.formats.base.limits import (
    KEY_SIZE,
    MLKEM768_PUBLIC_SIZE,
    SIGNATURE_SIZE,
    XWING_PUBLIC_SIZE,
    XWING_SEED_SIZE,
)

__all__ = [
    "SigningKey", "equal", "hkdf", "hpke_open", "hpke_seal", "keystream", "new_seed", "open_part", "part_nonce",
    "random_bytes", "seal_part", "sha256", "sign", "verify", "xwing_public",
]  # fmt: skip

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def random_bytes(size: int) -> bytes:
    """``size`` bytes from the system's generator."""
    return secrets.token_bytes(size)


def equal(one: bytes, other: bytes) -> bool:
    """Whether two byte strings are equal, in constant time."""
    return hmac.compare_digest(one, other)


def sha256(*pieces: bytes) -> bytes:
    """SHA-256 of the pieces joined."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """32 bytes of HKDF-SHA256 (RFC 5869)."""
    return HKDF(algorithm=hashes.SHA256(), length=KEY_SIZE, salt=salt, info=info).derive(key)


def sign(label: bytes, message: bytes, key: SigningKey) -> bytes:
    """Ed25519 (RFC 8032) over label ‖ 0x00 ‖ message; 64 bytes."""
    return key.sign(label + b"\x00" + message).signature


def verify(label: bytes, message: bytes, signature: bytes, public: bytes) -> None:
    """BadSignature unless ``signature`` is by ``public`` (32 bytes) over label ‖ 0x00 ‖ message."""
    try:
        if len(signature) != SIGNATURE_SIZE:
            raise BadSignature
        VerifyKey(public).verify(label + b"\x00" + message, signature)
    except (BadSignatureError, ValueError) as error:
        raise BadSignature from error


def new_seed() -> bytes:
    """A new private X-Wing key: a 32-byte seed."""
    return random_bytes(XWING_SEED_SIZE)


def _halves(seed: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    """Both private keys of an X-Wing seed (draft-connolly-cfrg-xwing-kem, expandDecapsulationKey)."""
    expanded = hashlib.shake_256(seed).digest(96)
    return MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])


def xwing_public(seed: bytes) -> bytes:
    """The 1216-byte public key of a 32-byte seed: ML-KEM-768 (1184 bytes), then X25519 (32 bytes)."""
    mlkem, x25519 = _halves(seed)
    return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()


def hpke_seal(public: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Seal: enc ‖ ciphertext of HPKE (RFC 9180, base mode, X-Wing, HKDF-SHA256, AES-256-GCM)."""
    if len(public) != XWING_PUBLIC_SIZE:
        raise Malformed("a receiving key has the wrong size")
    try:
        key = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public[:MLKEM768_PUBLIC_SIZE]),
            X25519PublicKey.from_public_bytes(public[MLKEM768_PUBLIC_SIZE:]),
        )
        return _SUITE.encrypt(plaintext, key, info)
    except ValueError as error:  # numbers of ML-KEM out of range, or a point of small order
        raise Malformed("a receiving key is not a valid X-Wing key") from error


def hpke_open(seed: bytes, info: bytes, sealed: bytes) -> bytes:
    """What ``hpke_seal`` sealed; Tampered when it does not open."""
    try:
        return _SUITE.decrypt(sealed, MLKEM768X25519PrivateKey(*_halves(seed)), info)
    except (InvalidTag, ValueError) as error:
        raise Tampered from error


def part_nonce(counter: int, *, last: bool) -> bytes:
    """The nonce of STREAM: an 11-byte counter, then 1 for the last part."""
    return counter.to_bytes(11) + (b"\x01" if last else b"\x00")


def seal_part(cipher: AESGCM, counter: int, plaintext: bytes, *, last: bool) -> bytes:
    """One sealed part: ciphertext and 16-byte tag."""
    return cipher.encrypt(part_nonce(counter, last=last), plaintext, None)


def open_part(cipher: AESGCM, counter: int, sealed: bytes, *, last: bool) -> bytes:
    """One opened part; Tampered when it does not open."""
    try:
        return cipher.decrypt(part_nonce(counter, last=last), sealed, None)
    except (InvalidTag, ValueError) as error:
        raise Tampered from error


def keystream(key: bytes, size: int, chunk: int) -> Iterator[bytes]:
    """``size`` bytes of the AES-256-CTR keystream from a zero counter block, in chunks."""
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    while size > 0:
        count = min(size, chunk)
        yield encryptor.update(bytes(count))
        size -= count
