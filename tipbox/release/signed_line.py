"""Lines that a watcher or a rebuilder signs (docs/releases.md, sections 5 and 6), one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tipbox.errors import BadSignature, LimitExceeded, Malformed
from tipbox.formats.base import canonical, fields
from tipbox.formats.base.canonical import Json
from tipbox.formats.base.labels import REBUILT, WATCH
from tipbox.formats.base.limits import KEY_SIZE, KIB, SIGNATURE_SIZE, VERSION
from tipbox.formats.base.primitives import SigningKey, check_ed25519, sign, verify
from tipbox.release.release_errors import ChainBroken

MAX_LINE: Final = 64 * KIB
_LABELS: Final = {"watch": WATCH, "rebuilt": REBUILT}


@dataclass(frozen=True)
class SignedLine:
    """One line.

    Attributes:
        kind: ``watch`` or ``rebuilt``.
        said: its members but ``key``, ``kind``, ``signature`` and ``version``.
        key: who signed it, 32 bytes.
        data: its bytes, the line feed at the end among them.
    """

    kind: str
    said: Mapping[str, Json]
    key: bytes
    data: bytes

    @property
    def digest(self) -> str:
        """What the next line of a chain names."""
        return sha256(self.data).hexdigest()

    @classmethod
    def make(cls, kind: str, said: Mapping[str, Json], key: SigningKey) -> SignedLine:
        """Sign what is said; read as everybody else will."""
        value: dict[str, Json] = {
            **said, "key": fields.to_base64(key.verify_key.encode()), "kind": kind, "version": VERSION,
        }  # fmt: skip
        value["signature"] = fields.to_base64(sign(_LABELS[kind], canonical.encode(value), key))
        return cls.parse(canonical.encode(value) + b"\n")

    @classmethod
    def parse(cls, data: bytes) -> SignedLine:
        """Read a line with its line feed.

        Raises:
            LimitExceeded, Malformed, UnsupportedVersion, BadSignature: it is none, or was changed.
        """
        if len(data) > MAX_LINE:
            raise LimitExceeded("a signed line is longer than one can be")
        if not data.endswith(b"\n"):
            raise Malformed("a signed line has no end")
        value = fields.members(canonical.decode(data[:-1]), ("key", "kind", "signature", "version"), None)
        kind = fields.text(value, "kind")
        if kind not in _LABELS:
            raise Malformed("a signed line is of no kind that is known")
        fields.check_version(fields.number(value, "version"))
        key = fields.binary(value, "key", KEY_SIZE)
        check_ed25519(key)
        signature = fields.binary(value, "signature", SIGNATURE_SIZE)
        signed = {name: member for name, member in value.items() if name != "signature"}
        verify(_LABELS[kind], canonical.encode(signed), signature, key)
        said = {name: member for name, member in signed.items() if name not in {"key", "kind", "version"}}
        return cls(kind, said, key, data)


def read_chain(lines: Iterable[bytes]) -> Sequence[SignedLine]:
    """The looks of one watcher: each names the one before it.

    Raises:
        ChainBroken: one was changed, left out or put in; its number is named.
    """
    chain: list[SignedLine] = []
    for number, data in enumerate(lines, start=1):
        try:
            line = SignedLine.parse(data)
        except (BadSignature, Malformed, LimitExceeded) as error:
            raise ChainBroken(f"reading a watcher's lines: line {number}: {error}") from error
        before = chain[-1] if chain else None
        if (
            line.kind != "watch"
            or line.said.get("previous") != (before.digest if before else "")
            or (before is not None and line.key != before.key)
        ):
            raise ChainBroken(f"reading a watcher's lines: line {number} does not follow from the one before it")
        chain.append(line)
    return chain
