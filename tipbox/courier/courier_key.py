"""A courier's key: the x25519 pair by which Tor lets it reach the couriers' onion service, and nothing else.

Both halves are written as tor reads them. The private half goes into a ``ClientOnionAuthDir`` behind the service's
address, the public half is a line of the service's ``authorized_clients``.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tipbox.errors import InputRefused, WrongPassphrase
from tipbox.files.durable import write_file
from tipbox.formats.base.limits import KEY_SIZE

PUBLIC_SUFFIX: Final = ".pub"
_FORM: Final = "descriptor:x25519:"
_MOST: Final = 512


class KeyRefused(WrongPassphrase):
    """The onion service did not let this key in."""

    code = "key-refused"


@dataclass(frozen=True)
class CourierKey:
    """The private half."""

    private: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """A new pair."""
        return cls(X25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote; an onion address before it, as in a ``.auth_private`` file, is passed over.

        Raises:
            InputRefused: it is something else.
        """
        with path.open("rb") as file:
            text = file.read(_MOST).decode("ascii", "replace").strip()
        _, form, written = text.rpartition(_FORM)
        try:
            # tor writes base32 without padding; Python wants it.
            private = base64.b32decode(written + "=" * (-len(written) % 8)) if form else b""
        except (binascii.Error, ValueError):
            private = b""
        if len(private) != KEY_SIZE:
            raise InputRefused(f"reading {path}: this is no courier's key; name the file that keygen wrote with --out")
        return cls(private)

    def save(self, path: Path) -> Path:
        """Write the private half to ``path``, readable by its owner only, and the public one beside it."""
        public = path.with_name(path.name + PUBLIC_SUFFIX)
        write_file(path, f"{_FORM}{_base32(self.private)}\n".encode(), 0o600)
        write_file(public, f"{self.authorized_client}\n".encode(), 0o644)
        return public

    @property
    def authorized_client(self) -> str:
        """The line for the service's ``authorized_clients``."""
        return _FORM + _base32(X25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes_raw())

    def auth_private(self, host: str) -> str:
        """The line for a ``ClientOnionAuthDir``; ``host`` is the onion address."""
        return f"{host.removesuffix('.onion')}:{_FORM}{_base32(self.private)}"


def _base32(key: bytes) -> str:
    return base64.b32encode(key).decode().rstrip("=")
