"""The bytes that pieces of a vector's case stand for (tests/vectors/README.md), without any code of tipbox."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def expand(pieces: Sequence[dict[str, Any]]) -> bytes:
    """The pieces, joined."""
    return b"".join(map(_one, pieces))


def _one(piece: dict[str, Any]) -> bytes:
    if "zeros" in piece:
        return bytes(piece["zeros"])
    if "ctr" in piece:
        cipher = Cipher(algorithms.AES(bytes.fromhex(piece["ctr"])), modes.CTR(bytes(16)))
        return cipher.encryptor().update(bytes(piece["size"]))
    if "gcm" in piece:
        key = AESGCM(bytes.fromhex(piece["gcm"]))
        return key.encrypt(bytes.fromhex(piece["nonce"]), expand(piece["plain"]), None)
    return base64.b64decode(piece["base64"], validate=True)


def envelope_bytes(given: dict[str, Any]) -> bytes:
    """The Envelope of a case, from its ``input``."""
    return expand(given["pieces"]) if "pieces" in given else base64.b64decode(given["envelope"], validate=True)
