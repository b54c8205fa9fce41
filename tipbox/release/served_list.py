"""``served.json`` (docs/releases.md, section 3): what a line may answer, in the spellings of three readers."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from tipbox.errors import LimitExceeded, Malformed
from tipbox.formats.base import canonical, fields
from tipbox.formats.base.canonical import Json
from tipbox.formats.base.limits import MIB, VERSION

MAX_SERVED: Final = MIB
INDEX: Final = "index.html"
FALLBACK: Final = "/error.html"
WEBCAT: Final = ("bundle", "bundle-prev", "enrollment", "enrollment-prev", "manifest")
"""Files that WEBCAT asks for beside it, without ``.json``: an operator puts them there."""
_POLICY: Final = "Content-Security-Policy"
_MEMBERS: Final = ("hashes", "kind", "manifest", "signatures", "types", "version")


@dataclass(frozen=True)
class ServedList:
    """What a line answers.

    Attributes:
        release: the version that it is made by.
        policy: the one Content-Security-Policy.
        hashes: SHA-256 of each body by its path, that of errors under ``/error.html``.
        types: Content-Type of each.
    """

    release: str
    policy: str
    hashes: Mapping[str, bytes] = field(repr=False, hash=False)
    types: Mapping[str, str] = field(repr=False, hash=False)

    @classmethod
    def of(cls, release: str, headers: Mapping[str, str], bodies: Mapping[str, tuple[bytes, str]]) -> ServedList:
        """Of bodies and their types by path."""
        return cls(
            release,
            headers[_POLICY],
            {path: sha256(body).digest() for path, (body, _) in bodies.items()},
            {path: kind for path, (_, kind) in bodies.items()},
        )

    def encode(self) -> bytes:
        """The bytes of ``served.json``."""
        manifest: dict[str, Json] = {
            "default_csp": self.policy,
            "default_fallback": FALLBACK,
            "default_index": INDEX,
            "extra_csp": {},
            "files": {
                path + INDEX if path.endswith("/") else path: _base64url(digest)
                for path, digest in self.hashes.items()
            },
            "name": "tipbox",
            "version": self.release,
            "wasm": [],
        }  # fmt: skip
        value: dict[str, Json] = {
            "hashes": {path: f"sha256-{fields.to_base64(digest)}" for path, digest in self.hashes.items()},
            "kind": "served",
            "manifest": manifest,
            "signatures": {},
            "types": dict(self.types),
            "version": VERSION,
        }
        return canonical.encode(value, file_form=True)

    @classmethod
    def parse(cls, data: bytes) -> ServedList:
        """Read ``served.json``.

        Raises:
            LimitExceeded, Malformed, UnsupportedVersion: it is none, or its spellings disagree.
        """
        if len(data) > MAX_SERVED:
            raise LimitExceeded("a list of what is served is larger than one can be")
        value = fields.members(canonical.decode(data, file_form=True), _MEMBERS)
        if fields.text(value, "kind") != "served":
            raise Malformed("this is no list of what is served")
        fields.check_version(fields.number(value, "version"))
        manifest, hashes, types = value["manifest"], value["hashes"], value["types"]
        if not (isinstance(manifest, dict) and isinstance(hashes, dict) and isinstance(types, dict)):
            raise Malformed("manifest, hashes or types are no object")
        if not {"version", "default_csp"} <= manifest.keys():
            raise Malformed("a manifest lacks a member")
        read = cls(
            fields.text(manifest, "version"),
            fields.text(manifest, "default_csp"),
            {path: _sri(fields.text(hashes, path)) for path in hashes},
            {path: fields.text(types, path) for path in types},
        )
        if read.hashes.keys() != read.types.keys() or read.encode() != data:
            raise Malformed("the spellings of a list of what is served disagree")
        return read


def _base64url(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _sri(written: str) -> bytes:
    kind, _, digest = written.partition("-")
    if kind != "sha256":
        raise Malformed("a hash is not one of SHA-256")
    return fields.from_base64(digest, 32)
