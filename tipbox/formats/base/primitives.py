"""The primitives of docs/format.md, section 1, each as one call into a library. Nothing here is home-made."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from typing import Final

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
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
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
    "SigningKey", "check_ed25519", "check_xwing", "equal", "hkdf", "hmac_sha256", "hpke_open", "hpke_seal", "keystream",
    "new_seed", "open_part", "open_part_into", "part_nonce", "pbkdf2", "random_bytes", "seal_part",
    "seal_part_into", "sha256", "sign", "verify", "xwing_public",
]  # fmt: skip

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_P: Final = 2**255 - 19
_WITHOUT_SIGN: Final = 2**255 - 1
_ED25519_SMALL_ORDER: Final = frozenset({
    0, 1, _P - 1,
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
})  # fmt: skip
"""Of the points whose order divides 8, the number y; the two last are those of order 8."""
_X25519_SMALL_ORDER: Final = frozenset({
    0, 1, _P - 1, _P, _P + 1,
    0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
    0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
})  # fmt: skip
"""The same of X25519's u, with its two spellings that are not canonical: with each, the shared secret is zero."""


def random_bytes(size: int) -> bytes:
    """``size`` bytes from the system's generator."""
    return secrets.token_bytes(size)


def equal(one: bytes, other: bytes) -> bool:
    """Whether two byte strings are equal, in constant time."""
    return hmac.compare_digest(one, other)


def sha256(*pieces: bytes | memoryview) -> bytes:
    """SHA-256 of the pieces joined."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """32 bytes of HKDF-SHA256 (RFC 5869)."""
    return HKDF(algorithm=hashes.SHA256(), length=KEY_SIZE, salt=salt, info=info).derive(key)


def pbkdf2(password: bytes, salt: bytes, rounds: int, size: int) -> bytes:
    """``size`` bytes of PBKDF2-HMAC-SHA-256 (RFC 8018). By this library: through hashlib it takes twice as long."""
    return PBKDF2HMAC(hashes.SHA256(), size, salt, rounds).derive(password)


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """32 bytes of HMAC-SHA-256 (RFC 2104)."""
    return hmac.digest(key, message, "sha256")


def sign(label: bytes, message: bytes, key: SigningKey) -> bytes:
    """Ed25519 (RFC 8032) over label ‖ 0x00 ‖ message; 64 bytes."""
    return key.sign(label + b"\x00" + message).signature


def _without_sign(encoded: bytes) -> int:
    """The coordinate that 32 bytes of Ed25519 or X25519 spell, whatever their highest bit is."""
    return int.from_bytes(encoded, "little") & _WITHOUT_SIGN


def _is_ed25519(encoded: bytes) -> bool:
    """Whether 32 bytes are neither of small order nor a second spelling of a point (format.md, section 1)."""
    y = _without_sign(encoded)
    return y < _P and y not in _ED25519_SMALL_ORDER


def check_ed25519(public: bytes) -> None:
    """Malformed when an Ed25519 key (32 bytes) is of small order or not canonical: anybody could sign with it."""
    if not _is_ed25519(public):
        raise Malformed("an Ed25519 key is of small order, or not in its one spelling")


def verify(label: bytes, message: bytes, signature: bytes, public: bytes) -> None:
    """BadSignature unless ``signature`` is by ``public`` (32 bytes) over label ‖ 0x00 ‖ message.

    Libraries differ over keys and R of small order and over second spellings of points: both are looked at first.
    """
    try:
        if len(signature) != SIGNATURE_SIZE or not (_is_ed25519(public) and _is_ed25519(signature[:KEY_SIZE])):
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


def _xwing(public: bytes) -> MLKEM768X25519PublicKey:
    if len(public) != XWING_PUBLIC_SIZE:
        raise Malformed("a receiving key has the wrong size")
    mlkem, x25519 = public[:MLKEM768_PUBLIC_SIZE], public[MLKEM768_PUBLIC_SIZE:]
    if _without_sign(x25519) in _X25519_SMALL_ORDER:
        raise Malformed("the X25519 half of a receiving key is of small order")
    try:
        key = MLKEM768PublicKey.from_public_bytes(mlkem)
    except ValueError as error:  # FIPS 203, 7.2: the modulus check
        raise Malformed("the ML-KEM half of a receiving key has a coefficient out of range") from error
    return MLKEM768X25519PublicKey(key, X25519PublicKey.from_public_bytes(x25519))


def check_xwing(public: bytes) -> None:
    """Malformed unless one can seal to ``public``: an X-Wing key that FIPS 203, 7.2, and X25519 take."""
    _xwing(public)


def hpke_seal(public: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Seal: enc ‖ ciphertext of HPKE (RFC 9180, base mode, X-Wing, HKDF-SHA256, AES-256-GCM)."""
    return _SUITE.encrypt(plaintext, _xwing(public), info)


def hpke_open(seed: bytes, info: bytes, sealed: bytes) -> bytes:
    """What ``hpke_seal`` sealed; Tampered when it does not open."""
    try:
        return _SUITE.decrypt(sealed, MLKEM768X25519PrivateKey(*_halves(seed)), info)
    except (InvalidTag, ValueError) as error:
        raise Tampered from error


def part_nonce(counter: int, *, last: bool) -> bytes:
    """The nonce of STREAM: an 11-byte counter, then 1 for the last part."""
    return counter.to_bytes(11) + (b"\x01" if last else b"\x00")


def seal_part(cipher: AESGCM, counter: int, plaintext: bytes | memoryview, *, last: bool) -> bytes:
    """One sealed part: ciphertext and 16-byte tag."""
    return cipher.encrypt(part_nonce(counter, last=last), plaintext, None)


def seal_part_into(
    cipher: AESGCM, counter: int, plaintext: bytes | memoryview, room: memoryview, *, last: bool
) -> None:
    """The same into ``room``, which has its size: nothing is copied on its way."""
    cipher.encrypt_into(part_nonce(counter, last=last), plaintext, None, room)


def open_part(cipher: AESGCM, counter: int, sealed: bytes | memoryview, *, last: bool) -> bytes:
    """One opened part; Tampered when it does not open."""
    try:
        return cipher.decrypt(part_nonce(counter, last=last), sealed, None)
    except (InvalidTag, ValueError) as error:
        raise Tampered from error


def open_part_into(cipher: AESGCM, counter: int, sealed: memoryview, room: memoryview, *, last: bool) -> None:
    """The same into ``room``, which has its size. When it does not open, what lies there is not to be used."""
    try:
        cipher.decrypt_into(part_nonce(counter, last=last), sealed, None, room)
    except (InvalidTag, ValueError) as error:
        raise Tampered from error


def keystream(key: bytes, size: int, chunk: int) -> Iterator[bytes]:
    """``size`` bytes of the AES-256-CTR keystream from a zero counter block, in chunks."""
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    while size > 0:
        count = min(size, chunk)
        yield encryptor.update(bytes(count))
        size -= count
