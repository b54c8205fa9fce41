"""A second implementation of docs/format.md's primitives, for making vectors: every random number follows from a label.

It shares no code with tipbox, and takes ML-KEM from kyber-py because encapsulation must be repeatable here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import unicodedata
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from kyber_py.ml_kem import ML_KEM_768
from nacl.signing import SigningKey

PART = 65536
DIGEST = 32


def random(label: str, size: int = 32) -> bytes:
    """The fixed "random" bytes with this name."""
    return hashlib.shake_256(b"tipbox test vectors/" + label.encode()).digest(size)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def sha256(*pieces: bytes) -> bytes:
    return hashlib.sha256(b"".join(pieces)).digest()


def compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def file_form(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2).encode() + b"\n"


def extract(salt: bytes, key: bytes) -> bytes:
    return hmac.digest(salt or bytes(DIGEST), key, "sha256")


def expand(secret: bytes, info: bytes, size: int) -> bytes:
    assert size <= DIGEST, "one block is enough for every use"
    return hmac.digest(secret, info + b"\x01", "sha256")[:size]


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    return expand(extract(salt, key), info, 32)


def gcm(key: bytes, nonce: bytes, plaintext: bytes) -> bytes:
    return AESGCM(key).encrypt(nonce, plaintext, None)


def ctr(key: bytes, size: int) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(size))


def part_nonce(counter: int, last: bool) -> bytes:  # noqa: FBT001
    return counter.to_bytes(11) + bytes([last])


def cut(data: bytes) -> list[bytes]:
    return [data[at : at + PART] for at in range(0, len(data), PART)]


def seal_parts(key: bytes, plaintext: bytes) -> list[bytes]:
    pieces = cut(plaintext)
    return [gcm(key, part_nonce(at, at == len(pieces) - 1), piece) for at, piece in enumerate(pieces)]


def padme(size: int) -> int:
    if size < 2:
        return size
    exponent = size.bit_length() - 1
    step: int = 2 ** max(0, exponent - exponent.bit_length())
    return -(-size // step) * step


def letter_size(size: int) -> int:
    return min((bucket for bucket in (8192, 20480, 69632) if size <= bucket), default=padme(size))


def volume(size: int) -> int:
    gib = 2**30
    return next((2**j for j in range(20, 31) if size <= 2**j), -(-size // gib) * gib)


class XWing:
    """A receiving key pair (draft-connolly-cfrg-xwing-kem)."""

    def __init__(self, label: str = "", *, seed: bytes = b"") -> None:
        self.seed = seed or random(f"{label}/x-wing seed")
        expanded = hashlib.shake_256(self.seed).digest(96)
        self.mlkem, _ = ML_KEM_768.key_derive(expanded[:64])
        self.x25519 = X25519PrivateKey.from_private_bytes(expanded[64:]).public_key().public_bytes_raw()
        self.public = self.mlkem + self.x25519
        self.id = sha256(b"tipbox/v1/key", self.public)[:16]

    def encapsulate(self, randomness: bytes) -> tuple[bytes, bytes]:
        """Shared secret and enc out of 64 bytes of randomness."""
        ephemeral = X25519PrivateKey.from_private_bytes(randomness[32:])
        x25519_secret = ephemeral.exchange(X25519PublicKey.from_public_bytes(self.x25519))
        return self.combine(randomness, x25519_secret, ephemeral.public_key().public_bytes_raw())

    def combine(self, randomness: bytes, x25519_secret: bytes, x25519_enc: bytes) -> tuple[bytes, bytes]:
        """The same with what X25519 gives, and ML-KEM's randomness."""
        mlkem_secret, mlkem_enc = ML_KEM_768._encaps_internal(self.mlkem, randomness[:32])
        label = rb"\.//^" + b"\\"
        secret = hashlib.sha3_256(mlkem_secret + x25519_secret + x25519_enc + self.x25519 + label).digest()
        return secret, mlkem_enc + x25519_enc


def hpke_seal(key: XWing, info: bytes, plaintext: bytes, label: str) -> bytes:
    """enc ‖ ciphertext of RFC 9180 in base mode (section 5.1), with the encapsulation's randomness out of ``label``."""
    suite = b"HPKE" + bytes.fromhex("647a00010002")

    def labeled_extract(salt: bytes, name: bytes, secret: bytes) -> bytes:
        return extract(salt, b"HPKE-v1" + suite + name + secret)

    def labeled_expand(secret: bytes, name: bytes, context: bytes, size: int) -> bytes:
        return expand(secret, size.to_bytes(2) + b"HPKE-v1" + suite + name + context, size)

    shared, enc = key.encapsulate(random(f"{label}/encapsulation", 64))
    context = b"\x00" + labeled_extract(b"", b"psk_id_hash", b"") + labeled_extract(b"", b"info_hash", info)
    secret = labeled_extract(shared, b"secret", b"")
    return enc + gcm(
        labeled_expand(secret, b"key", context, 32), labeled_expand(secret, b"base_nonce", context, 12), plaintext
    )


class Signer:
    """An Ed25519 key pair."""

    def __init__(self, label: str) -> None:
        self.key = SigningKey(random(f"{label}/ed25519 seed"))
        self.public = self.key.verify_key.encode()

    def sign(self, label: bytes, message: bytes) -> bytes:
        return self.key.sign(label + b"\x00" + message).signature


class Organisation:
    """An organisation with its identity key, desk key and one receiving key."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.identity = Signer(f"organisation {name}/identity")
        self.desk = Signer(f"organisation {name}/desk")
        self.receiving = XWing(f"organisation {name}/receiving")
        self.id = sha256(b"tipbox/v1/organisation", self.identity.public)[:16]


def numbered(secret: int, version: int = 1) -> int:
    """The access code of 100 random bits."""
    check = sha256(b"tipbox/v1/passphrase-check", bytes([version]), secret.to_bytes(13))
    return ((version << 100) + secret) * 4096 + (int.from_bytes(check[:2]) >> 4)


class Source:
    """A source: an access code and what follows from it."""

    def __init__(self, label: str, *, secret: int | None = None) -> None:
        self.number = numbered(
            int.from_bytes(random(f"source {label}/passphrase", 13)) >> 4 if secret is None else secret
        )
        self.passphrase = self.number.to_bytes(16)

    @cached_property
    def root(self) -> bytes:
        return hashlib.pbkdf2_hmac("sha256", self.passphrase, b"tipbox/v1/root", 600_000)

    def token(self, organisation: bytes) -> bytes:
        return hkdf(self.root, b"", b"tipbox/v1/mailbox-token" + organisation)

    def address(self, organisation: bytes) -> bytes:
        return sha256(self.token(organisation))

    def decoy(self, organisation: bytes, number: int) -> bytes:
        return hkdf(self.root, b"", b"tipbox/v1/mailbox-decoy" + organisation + bytes([number]))

    @cached_property
    def resume(self) -> bytes:
        return hkdf(self.root, b"", b"tipbox/v1/resume")

    def digits(self) -> str:
        return groups(f"{self.number:036d}", 6)

    def words(self, language: str) -> str:
        return " ".join(spell(language, self.number))

    def pair_key(self, organisation: bytes) -> bytes:
        return hkdf(self.root, b"", b"tipbox/v1/pair-key" + organisation)


LISTS = {
    "en": (9, "diceware", "wordlists/wordlist_en_eff.txt"),
    "ru": (11, "mnemonic", "wordlist/russian.txt"),
    "fr": (11, "mnemonic", "wordlist/french.txt"),
    "es": (11, "mnemonic", "wordlist/spanish.txt"),
}


@cache
def words_of(language: str) -> list[str]:
    """The words of a list, out of the package that ships it."""
    _, package, path = LISTS[language]
    lines = files(package).joinpath(path).read_text(encoding="utf-8").split("\n")
    return [unicodedata.normalize("NFC", line.split()[-1]) for line in lines if line]


def spell(language: str, number: int) -> list[str]:
    """The words of a number in base N, most significant first."""
    words, count = words_of(language), LISTS[language][0]
    return [words[number // len(words) ** place % len(words)] for place in reversed(range(count))]


def holding(label: str, language: str, *words: str) -> Source:
    """A source whose access code has these words behind its first one."""
    listed, count = words_of(language), LISTS[language][0]
    size, fixed = len(listed), [listed.index(word) for word in words]
    for attempt in range(100_000):
        drawn = random(f"{label}/{attempt}", 4 * count)
        numbers = [int.from_bytes(drawn[at : at + 4]) % size for at in range(0, len(drawn), 4)]
        numbers[0] = (1 << 112) // size ** (count - 1) + 1
        numbers[1 : 1 + len(words)] = fixed
        value = sum(number * size**place for place, number in enumerate(reversed(numbers)))
        if numbered(value >> 12 & (1 << 100) - 1) == value:
            return Source(label, secret=value >> 12 & (1 << 100) - 1)
    raise AssertionError(f"no access code holds {words}")


def groups(digits: str, size: int) -> str:
    return " ".join(digits[at : at + size] for at in range(0, len(digits), size))


def thread_id(pair_key: bytes) -> bytes:
    return sha256(b"tipbox/v1/thread", pair_key)[:16]


def check_digits(pair_key: bytes, seal_secret: bytes, envelope_hash: bytes) -> str:
    number = int.from_bytes(hkdf(pair_key + seal_secret, envelope_hash, b"tipbox/v1/check-digits"))
    return groups(f"{number % 10**20:020d}", 5)


def tag(pair_key: bytes, seal_secret: bytes, salt: bytes, envelope_hash: bytes) -> bytes:
    return hmac.digest(hkdf(pair_key + seal_secret, salt, b"tipbox/v1/seal"), envelope_hash, "sha256")


def flip(data: bytes, *offsets: int) -> bytes:
    """``data`` with the lowest bit of some bytes changed."""
    changed = bytearray(data)
    for offset in offsets:
        changed[offset] ^= 1
    return bytes(changed)


Case = dict[str, Any]


def case(name: str, expect: str, comment: str, given: Case, output: Case | None = None) -> Case:
    """One case; ``name`` is KIND/NAME."""
    kind, short = name.split("/")
    made: Case = {"name": short, "kind": kind, "expect": expect, "comment": comment, "input": given}
    if output is not None:
        made["output"] = output
    return made


# The cast. Fixed, so that a case can be read beside another.
ALPHA, BETA, GAMMA = (Organisation(name) for name in ("alpha", "beta", "gamma"))
SERVER = Signer("server/signing")
SERVER_KEY = XWing("server/receiving")
SERVER_ID = sha256(b"tipbox/v1/server", SERVER.public)[:16]
