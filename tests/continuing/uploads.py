"""Uploads of files that their source may continue: what its client seals, and what it asks another day."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from support.sealed import Organisation, Sent
from tipbox.formats.access_code import AccessCode, Secrets
from tipbox.formats.base.limits import CAPSULE, CAPSULE_PLACES, HASH_SIZE, KEY_SIZE
from tipbox.formats.base.primitives import random_bytes, sha256
from tipbox.formats.envelopes.capsule import Capsule
from tipbox.formats.envelopes.envelope import Recipient, Sealed, seal
from tipbox.formats.envelopes.letter import FileEntry, Letter
from tipbox.formats.manifest import key_id
from tipbox.server.uploads.capsules import PLACED

WINDOW = 16
"""Bytes of a secret or ciphertext that are looked for: chance makes them in no disk."""


@dataclass
class Source:
    """A source with an access code and one file."""

    code: AccessCode = field(default_factory=AccessCode.generate)
    contents: bytes = field(default_factory=lambda: random_bytes(300_000), repr=False)

    @cached_property
    def secrets(self) -> Secrets:
        return self.code.secrets()

    @cached_property
    def places(self) -> list[bytes]:
        """The four place tokens."""
        return [self.secrets.place_token(number) for number in range(CAPSULE_PLACES)]

    def seal(self, organisations: Sequence[Organisation], chosen: Sequence[Organisation] = ()) -> Upload:
        """Seal the file to some of the organisations, or all."""
        chosen = chosen or organisations
        recipients = [
            Recipient(
                one.id,
                key_id(one.public),
                one.public,
                self.secrets.pair_key(one.id) if one in chosen else None,
                self.secrets.mailbox_address(one.id) if one in chosen else b"",
            )
            for one in organisations
        ]
        letter = Letter(b"", (FileEntry("a.bin", len(self.contents)),), random_bytes(KEY_SIZE), random_bytes(16))
        return Upload(self, seal(recipients, letter))


@dataclass
class Upload:
    """One upload of a source, under its draft token and at a place."""

    source: Source
    sealed: Sealed
    token: bytes = field(default_factory=lambda: random_bytes(KEY_SIZE), repr=False)
    place: int = 0

    @cached_property
    def capsule(self) -> bytes:
        return Capsule.of(self.sealed, self.token).seal(self.source.secrets.resume)

    @property
    def address(self) -> bytes:
        return sha256(self.source.places[self.place])

    @property
    def start(self) -> bytes:
        """What opens it, with its capsule."""
        return self.sealed.opening + self.address + self.capsule

    @property
    def start_unasked(self) -> bytes:
        """The same of a source that did not ask."""
        return self.sealed.opening + random_bytes(PLACED)

    def session(self, nonce: bytes | None = None) -> list[bytes]:
        """All parts, sealed under one session nonce."""
        contents = self.source.contents
        return list(self.sealed.parts([(io.BytesIO(contents), len(contents))], nonce))

    def sent(self, parts: list[bytes]) -> Sent:
        """The Envelope with these parts, under its token."""
        token = base64.urlsafe_b64encode(self.token).decode().rstrip("=")
        bare = Sent(self.sealed.header.encoded, self.sealed.letter, parts, token=token)
        return Sent(bare.header, bare.letter, parts, self.sealed.trailer(bare.hash), token)


def in_windows(secret: bytes) -> list[bytes]:
    """A secret in pieces that are looked for one by one: a page of a database may hold any of them alone."""
    return [secret[at : at + WINDOW] for at in range(0, len(secret) - WINDOW + 1, WINDOW)]


def files_with_any(folder: Path, secrets: Sequence[bytes]) -> list[str]:
    """Files below a folder that hold a piece of one of these secrets anywhere: in rows, free pages, or a log."""
    windows = [window for secret in secrets for window in in_windows(secret)]
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if any(window in data for window in windows):
                found.append(path.name)
    return found


def capsules_in(answer: bytes) -> list[bytes]:
    """What an answer holds for each of four places; empty where there is nothing."""
    each = [answer[at : at + CAPSULE] for at in range(0, len(answer), CAPSULE)]
    return [capsule if any(capsule) else b"" for capsule in each]


def range_hash(parts: Sequence[bytes]) -> str:
    """What the server says of consecutive parts."""
    return sha256(b"".join(sha256(part) for part in parts)).hex()


assert PLACED == HASH_SIZE + CAPSULE
