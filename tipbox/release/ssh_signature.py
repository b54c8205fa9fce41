"""Signatures as ``ssh-keygen -Y sign`` writes them (OpenSSH, PROTOCOL.sshsig), by Ed25519 keys alone.

For one key and one namespace all bytes of such a signature are known beforehand but the last 64: so nothing is parsed,
and there is one spelling.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import sha512
from typing import Final

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from tipbox.errors import BadSignature
from tipbox.formats.base.limits import SIGNATURE_SIZE
from tipbox.formats.base.primitives import check_ed25519

NAMESPACE: Final = "tipbox-release"
MAX_SIGNATURE_FILE: Final = 1024
_KIND: Final = b"ssh-ed25519"
_BEGIN: Final = "-----BEGIN SSH SIGNATURE-----"
_END: Final = "-----END SSH SIGNATURE-----"


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _public(key: bytes) -> bytes:
    return _string(_KIND) + _string(key)


def ssh_line(name: str, key: bytes) -> str:
    """The line of a file of allowed signers for a key of 32 bytes."""
    return f'{name} namespaces="{NAMESPACE}" {_KIND.decode()} {base64.b64encode(_public(key)).decode()}\n'


def _common() -> bytes:
    return _string(NAMESPACE.encode()) + _string(b"") + _string(b"sha512")


def check_ssh_signature(message: bytes, armoured: bytes, key: bytes) -> None:
    """BadSignature unless ``armoured`` is by ``key`` (32 bytes) over ``message``."""
    check_ed25519(key)
    blob = _plain(armoured)
    head = b"SSHSIG" + (1).to_bytes(4, "big") + _string(_public(key)) + _common()
    head += (8 + len(_KIND) + SIGNATURE_SIZE).to_bytes(4, "big") + _string(_KIND) + SIGNATURE_SIZE.to_bytes(4, "big")
    if len(blob) != len(head) + SIGNATURE_SIZE or not blob.startswith(head):
        raise BadSignature
    signed = b"SSHSIG" + _common() + _string(sha512(message).digest())
    try:
        VerifyKey(key).verify(signed, blob[len(head) :])
    except (BadSignatureError, ValueError) as error:
        raise BadSignature from error


def _plain(armoured: bytes) -> bytes:
    if len(armoured) > MAX_SIGNATURE_FILE:
        raise BadSignature
    try:
        first, *middle, last = armoured.decode("ascii").strip().splitlines()
        if (first, last) != (_BEGIN, _END):
            raise BadSignature
        return base64.b64decode("".join(middle), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadSignature from error
