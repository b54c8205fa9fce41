"""``signers.json`` (docs/releases.md, section 2): whose signatures make a release, and how many of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tipbox.errors import BadSignature, LimitExceeded, Malformed
from tipbox.formats.base import canonical, fields
from tipbox.formats.base.canonical import Json
from tipbox.formats.base.limits import KEY_SIZE, KIB, MAX_SERIAL, VERSION
from tipbox.formats.base.primitives import check_ed25519
from tipbox.release.release_errors import NotSigned, SignersChanged
from tipbox.release.ssh_signature import check_ssh_signature

MAX_SIGNERS_FILE: Final = 64 * KIB
MAX_SIGNERS: Final = 16
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}", re.ASCII)
_MEMBERS: Final = ("kind", "number", "signers", "threshold", "version")


@dataclass(frozen=True)
class LogPolicy:
    """Which transparency logs count, and how many of which witnesses must have seen what they hold.

    Attributes:
        logs, witnesses: Ed25519 keys, 32 bytes each.
        quorum: how many of the witnesses.
    """

    logs: tuple[bytes, ...]
    witnesses: tuple[bytes, ...]
    quorum: int

    def to_json(self) -> dict[str, Json]:
        """As ``signers.json`` has it."""
        return {
            "logs": [fields.to_base64(key) for key in self.logs],
            "quorum": self.quorum,
            "witnesses": [fields.to_base64(key) for key in self.witnesses],
        }

    @classmethod
    def from_json(cls, value: Json) -> LogPolicy:
        """Malformed unless it is one."""
        said = fields.members(value, ("logs", "quorum", "witnesses"))
        logs, witnesses = _keys(fields.array(said, "logs")), _keys(fields.array(said, "witnesses"))
        if not logs:
            raise Malformed("a log policy names no log")
        return cls(logs, witnesses, fields.integer(said, "quorum", 0, len(witnesses)))


@dataclass(frozen=True)
class Signers:
    """The keys of those who sign releases.

    Attributes:
        keys: Ed25519 keys, 32 bytes each, by name.
        threshold: how many of them must have signed.
        number: raised by one with each replacement.
        log: which logs a release must be in; None: in none.
    """

    keys: Mapping[str, bytes] = field(repr=False, hash=False)
    threshold: int
    number: int = 1
    log: LogPolicy | None = None

    def encode(self) -> bytes:
        """The bytes of ``signers.json``."""
        value: dict[str, Json] = {
            "kind": "signers",
            "number": self.number,
            "signers": [{"key": fields.to_base64(self.keys[name]), "name": name} for name in sorted(self.keys)],
            "threshold": self.threshold,
            "version": VERSION,
        }
        if self.log is not None:
            value["log"] = self.log.to_json()
        return canonical.encode(value, file_form=True)

    @classmethod
    def parse(cls, data: bytes) -> Signers:
        """Read ``signers.json``.

        Raises:
            LimitExceeded, Malformed, UnsupportedVersion: it is none.
        """
        if len(data) > MAX_SIGNERS_FILE:
            raise LimitExceeded("a file of signers is larger than one can be")
        value = fields.members(canonical.decode(data, file_form=True), _MEMBERS, ("log",))
        if fields.text(value, "kind") != "signers":
            raise Malformed("this is no file of signers")
        fields.check_version(fields.number(value, "version"))
        listed = [fields.members(one, ("key", "name")) for one in fields.array(value, "signers")]
        if not 1 <= len(listed) <= MAX_SIGNERS:
            raise LimitExceeded(f"there are not 1 to {MAX_SIGNERS} signers")
        names = [fields.text(one, "name") for one in listed]
        if names != sorted(set(names)) or not all(_NAME.fullmatch(name) for name in names):
            raise Malformed("the signers' names are not ascending, or not of a-z, 0-9 and ._@-")
        keys = _keys([one["key"] for one in listed])
        return cls(
            dict(zip(names, keys, strict=True)),
            fields.integer(value, "threshold", 1, len(keys)),
            fields.integer(value, "number", 1, MAX_SERIAL),
            LogPolicy.from_json(value["log"]) if "log" in value else None,
        )

    def who_signed(self, message: bytes, signatures: Mapping[str, bytes]) -> list[str]:
        """Names of those of ``signatures`` (armoured, by name) that are good."""
        return sorted(
            name for name, key in self.keys.items() if name in signatures and _is_good(message, signatures[name], key)
        )

    def check(self, message: bytes, signatures: Mapping[str, bytes], what: str) -> list[str]:
        """Who signed ``message``.

        Raises:
            NotSigned: fewer than must; ``what`` names it.
        """
        good = self.who_signed(message, signatures)
        if len(good) < self.threshold:
            raise NotSigned(
                f"checking {what}: {len(good)} of the {self.threshold} signatures that it needs are good "
                f"(of {len(self.keys)} signers); get it again, through another channel"
            )
        return good

    def replaced_by(self, data: bytes, signatures: Mapping[str, bytes]) -> Signers:
        """The signers of a file that these ones signed.

        Raises:
            SignersChanged: they did not, or it is not the next one.
            LimitExceeded, Malformed, UnsupportedVersion: it is none.
        """
        following = Signers.parse(data)
        if following.number != self.number + 1:
            raise SignersChanged(f"checking new signers: they have number {following.number}, after {self.number}")
        try:
            self.check(data, signatures, "new signers")
        except NotSigned as error:
            raise SignersChanged(f"{error}: those before them must have put them in place") from error
        return following


def _is_good(message: bytes, signature: bytes, key: bytes) -> bool:
    try:
        check_ssh_signature(message, signature, key)
    except BadSignature:
        return False
    return True


def _keys(listed: list[Json]) -> tuple[bytes, ...]:
    keys = tuple(fields.from_base64(key, KEY_SIZE) for key in listed)
    for key in keys:
        check_ed25519(key)
    if len(keys) > MAX_SIGNERS or len(set(keys)) != len(keys):
        raise Malformed(f"a list of keys has one twice, or more than {MAX_SIGNERS}")
    return keys
