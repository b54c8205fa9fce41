"""``release.json`` (docs/releases.md, section 1): what a release consists of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import Final

from tipbox.errors import LimitExceeded, Malformed
from tipbox.formats.base import canonical, days, fields
from tipbox.formats.base.limits import HASH_SIZE, MAX_SAFE_INTEGER, MIB, VERSION
from tipbox.release.release_errors import ReleaseExpired, ReleaseOlder

MAX_RELEASE: Final = MIB
MAX_RELEASE_FILES: Final = 4096
MAX_PATH: Final = 200
MAX_TOOLS: Final = 64
_COMMIT_SIZE: Final = 20
_PATH: Final = re.compile(r"[A-Za-z0-9_.+-]+(/[A-Za-z0-9_.+-]+)*", re.ASCII)
_VERSION: Final = re.compile(
    r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})(?:(\.dev|a|b|rc)(0|[1-9][0-9]{0,3}))?", re.ASCII
)
_TOOL: Final = re.compile(r"[A-Za-z0-9@/._-]{1,80}", re.ASCII)
_STAGES: Final = (".dev", "a", "b", "rc", None)
_MEMBERS: Final = (
    "commit", "expires", "files", "floor", "kind", "previous", "release", "sbom", "source_date_epoch", "tools",
    "version",
)  # fmt: skip


def order(version: str) -> tuple[int, ...]:
    """What sorts versions: 1.0.0.dev1 < 1.0.0a1 < 1.0.0b1 < 1.0.0rc1 < 1.0.0 < 1.0.1.

    Raises:
        Malformed: it is none.
    """
    match = _VERSION.fullmatch(version)
    if not match:
        raise Malformed("a version is not three numbers, with .dev, a, b or rc and a number behind them or nothing")
    return (*map(int, match.groups()[:3]), _STAGES.index(match[4]), int(match[5] or 0))


@dataclass(frozen=True)
class ReleaseList:
    """A release.

    Attributes:
        release: its version.
        commit: 20 bytes, of the source that it was built from.
        files: SHA-256 by path below the folder, of all but this list and what signs it.
        expires: the last day on which it is taken.
        floor: the lowest version that may still run; no higher than this one.
        previous: SHA-256 of the list of the release before; empty in the first one.
        epoch: SOURCE_DATE_EPOCH of the build, in seconds.
        tools: versions by name of what it was built with.
        sbom: which of the files lists its parts.
    """

    release: str
    commit: bytes
    files: Mapping[str, bytes] = field(repr=False, hash=False)
    expires: date
    floor: str
    previous: bytes
    epoch: int
    tools: Mapping[str, str] = field(repr=False, hash=False)
    sbom: str

    def encode(self) -> bytes:
        """The bytes of ``release.json``."""
        return canonical.encode(
            {
                "commit": self.commit.hex(),
                "expires": self.expires.isoformat(),
                "files": {path: digest.hex() for path, digest in self.files.items()},
                "floor": self.floor,
                "kind": "release",
                "previous": self.previous.hex(),
                "release": self.release,
                "sbom": self.sbom,
                "source_date_epoch": self.epoch,
                "tools": dict(self.tools),
                "version": VERSION,
            },
            file_form=True,
        )

    @property
    def digest(self) -> str:
        """SHA-256 of ``release.json``, hex: two releases of one version are told apart by it."""
        return sha256(self.encode()).hexdigest()

    @classmethod
    def parse(cls, data: bytes) -> ReleaseList:
        """Read ``release.json``.

        Raises:
            LimitExceeded, Malformed, UnsupportedVersion: it is none.
        """
        if len(data) > MAX_RELEASE:
            raise LimitExceeded("a release's list is larger than one can be")
        value = fields.members(canonical.decode(data, file_form=True), _MEMBERS)
        if fields.text(value, "kind") != "release":
            raise Malformed("this is not a release's list")
        fields.check_version(fields.number(value, "version"))
        files, tools = value["files"], value["tools"]
        if not isinstance(files, dict) or not isinstance(tools, dict):
            raise Malformed("files or tools are no object")
        if len(files) > MAX_RELEASE_FILES or len(tools) > MAX_TOOLS:
            raise LimitExceeded(f"a release has at most {MAX_RELEASE_FILES} files and {MAX_TOOLS} tools")
        if not all(_TOOL.fullmatch(name) and _TOOL.fullmatch(fields.text(tools, name)) for name in tools):
            raise Malformed("a tool's name or version has characters that do not belong there")
        made = cls(
            release=fields.text(value, "release"),
            commit=fields.hexadecimal(value, "commit", _COMMIT_SIZE),
            files={_path(path): fields.hexadecimal(files, path, HASH_SIZE) for path in files},
            expires=days.parse(value["expires"]),
            floor=fields.text(value, "floor"),
            previous=b"" if value["previous"] == "" else fields.hexadecimal(value, "previous", HASH_SIZE),
            epoch=fields.integer(value, "source_date_epoch", 0, MAX_SAFE_INTEGER),
            tools={name: fields.text(tools, name) for name in tools},
            sbom=fields.text(value, "sbom"),
        )
        if order(made.floor) > order(made.release):
            raise Malformed("a release is below its own floor")
        if made.sbom not in made.files:
            raise Malformed("the list of parts is not among the files")
        return made

    def check_day(self, today: date) -> None:
        """ReleaseExpired from the day after ``expires`` on."""
        if today > self.expires:
            raise ReleaseExpired(
                f"checking the release: {self.release} expired after {self.expires.isoformat()}; get a newer one"
            )

    def check_not_older(self, known: str) -> None:
        """ReleaseOlder when the version ``known`` is newer than this one."""
        if order(known) > order(self.release):
            raise ReleaseOlder(f"checking the release: {self.release} is older than {known}, which is known already")


def _path(path: str) -> str:
    if len(path) > MAX_PATH or not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise Malformed("a release has a file whose path could lead elsewhere")
    return path
