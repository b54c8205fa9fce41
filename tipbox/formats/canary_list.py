"""Canaries (docs/format.md, section 10): tips that an operator sends through the whole line, and the lists behind them.

A desk makes a list of tokens and keeps it; the operator's copy is spent token by token. To everybody but that desk a
canary is a tip like any other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tipbox.errors import LimitExceeded, Malformed
from tipbox.formats.base import canonical, fields
from tipbox.formats.base.limits import ID_SIZE, MAX_CANARIES, MAX_CANARY_LIST, VERSION

SUFFIX: Final = ".canaries"
"""How the file of a list ends."""
_MESSAGE: Final = re.compile(rb"tipbox canary ([0-9a-f]{32})")


def message_of(token: bytes) -> bytes:
    """The whole message of the canary with this token (16 bytes)."""
    return b"tipbox canary " + token.hex().encode()


def token_of(message: bytes) -> bytes | None:
    """The token of a message that is a canary's and nothing else; None for any other."""
    found = _MESSAGE.fullmatch(message)
    return bytes.fromhex(found[1].decode()) if found else None


@dataclass(frozen=True)
class CanaryList:
    """The tokens (16 bytes each) that are left, in the order in which they are spent, for the desk that made them."""

    organisation: bytes
    tokens: tuple[bytes, ...] = field(repr=False)

    def encode(self) -> bytes:
        """The bytes of the file."""
        tokens: Sequence[canonical.Json] = [token.hex() for token in self.tokens]
        value: canonical.Json = {
            "kind": "canaries",
            "organisation": self.organisation.hex(),
            "tokens": list(tokens),
            "version": VERSION,
        }
        return canonical.encode(value, file_form=True)

    @classmethod
    def parse(cls, data: bytes) -> CanaryList:
        """Read the bytes of a file.

        Raises:
            LimitExceeded, Malformed, UnsupportedVersion: it is no list of canaries.
        """
        if len(data) > MAX_CANARY_LIST:
            raise LimitExceeded("a list of canaries is larger than one can be")
        value = fields.members(canonical.decode(data, file_form=True), ("kind", "organisation", "tokens", "version"))
        if fields.text(value, "kind") != "canaries":
            raise Malformed("this is not a list of canaries")
        fields.check_version(fields.number(value, "version"))
        tokens = [fields.from_hex(token, ID_SIZE) for token in fields.array(value, "tokens")]
        if len(tokens) > MAX_CANARIES:
            raise LimitExceeded(f"a list has at most {MAX_CANARIES:,} canaries")
        if len(set(tokens)) != len(tokens):
            raise Malformed("a list of canaries names one twice")
        return cls(fields.hexadecimal(value, "organisation", ID_SIZE), tuple(tokens))
