"""What organisations and sources make: keys and manifests, sealed Envelopes, mailboxes, Bundles to a server."""

from __future__ import annotations

import base64
import io
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from tipbox.formats.base import days
from tipbox.formats.base.limits import MAILBOX_TOKENS
from tipbox.formats.base.primitives import SigningKey, new_seed, random_bytes, sha256, xwing_public
from tipbox.formats.bundles.bundle import INWARD, Index
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import ItemSource, item_of, write_bundle
from tipbox.formats.envelopes.envelope import Recipient, seal
from tipbox.formats.envelopes.header import KeyState
from tipbox.formats.envelopes.letter import FileEntry, Letter
from tipbox.formats.envelopes.reply import seal_reply
from tipbox.formats.envelopes.seals import EnvelopeHash, envelope_id
from tipbox.formats.manifest import Manifest, ReceivingKey, key_id, organisation_id, server_id

PART = 65_568
"""Bytes of a sealed part, except the last of a body."""


# --- organisations ----------------------------------------------------------------------------------------------------


@dataclass
class Organisation:
    """An organisation with all of its private keys."""

    name: str
    identity: SigningKey = field(default_factory=SigningKey.generate)
    desk: SigningKey = field(default_factory=SigningKey.generate)
    seed: bytes = field(default_factory=new_seed)

    @property
    def id(self) -> bytes:
        return organisation_id(self.identity.verify_key.encode())

    @property
    def public(self) -> bytes:
        return _public(self.seed)

    def manifest(self, *, serial: tuple[int, int] = (1, 1), start: date | None = None, length: int = 28) -> Manifest:
        start = start or days.today() - timedelta(days=3)
        end = start + timedelta(days=length)
        return Manifest(
            organisation=self.name,
            name=f"The {self.name} organisation",
            country="KZ",
            languages=("ru", "kk"),
            identity=b"",
            desk=self.desk.verify_key.encode(),
            start=start,
            end=end,
            serial=serial,
            keys=(ReceivingKey(start, end, self.public),),
        ).signed_by(self.identity)

    def find_key(self, key: bytes) -> bytes | KeyState:
        return self.seed if key == key_id(self.public) else KeyState.UNKNOWN

    def read(self, path: Path) -> Bundle:
        """An outward Bundle's index, opened; the file stays in memory."""
        return Bundle(io.BytesIO(path.read_bytes()), self.id, self.find_key)


@cache
def _public(seed: bytes) -> bytes:
    """An Envelope asks for it twice for each recipient, and making it takes as long as sealing to it."""
    return xwing_public(seed)


def three() -> list[Organisation]:
    return sorted((Organisation(name) for name in ("fidh", "ili", "kibhr")), key=lambda one: one.id)


def keys_folder(folder: Path, organisations: Sequence[Organisation], **manifest: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for one in organisations:
        (folder / f"{one.name}.json").write_bytes(one.manifest(**manifest).encode())
    return folder


# --- Envelopes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """A sealed Envelope and the token to upload it under."""

    header: bytes = field(repr=False)
    letter: bytes = field(repr=False)
    parts: list[bytes] = field(repr=False)
    trailer: bytes = field(default=b"", repr=False)
    token: str = field(default_factory=lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("="))

    @property
    def opening(self) -> bytes:
        return self.header + self.letter

    @property
    def whole(self) -> bytes:
        return self.opening + b"".join(self.parts) + self.trailer

    @property
    def start(self) -> bytes:
        """What opens an upload: all of an Envelope without a body."""
        return self.opening if self.parts else self.whole

    @property
    def hash(self) -> bytes:
        envelope = EnvelopeHash(self.header, self.letter)
        for part in self.parts:
            envelope.add(part)
        return envelope.digest()

    @property
    def end(self) -> bytes:
        """What finishes an upload."""
        return self.hash + self.trailer

    @property
    def id(self) -> bytes:
        return envelope_id(self.hash, self.trailer)

    @property
    def token_hash(self) -> bytes:
        return sha256(base64.urlsafe_b64decode(self.token + "="))

    def again(self) -> Sent:
        """The same Envelope under another token."""
        return Sent(self.header, self.letter, self.parts, self.trailer)


def envelope(organisations: Sequence[Organisation], size: int = 0, message: bytes = b"What I saw") -> Sent:
    """An Envelope to ``organisations`` with a file of ``size`` bytes, or none."""
    contents = random_bytes(size)
    files = (FileEntry("a.bin", size),) if size else ()
    recipients = [
        Recipient(one.id, key_id(one.public), one.public, random_bytes(32), random_bytes(32)) for one in organisations
    ]
    sealed = seal(recipients, Letter(message, files, random_bytes(32), random_bytes(16)))
    parts = list(sealed.parts([(io.BytesIO(contents), size)] if size else []))
    bare = Sent(sealed.header.encoded, sealed.letter, parts)
    return replace(bare, trailer=sealed.trailer(bare.hash))


# --- replies ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Box:
    """A source's mailbox of one organisation, and the decoys that fill up a request for it."""

    token: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    pair_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    decoys: tuple[bytes, ...] = field(
        default_factory=lambda: tuple(secrets.token_bytes(32) for _ in range(MAILBOX_TOKENS - 1)), repr=False
    )

    @property
    def tokens(self) -> list[bytes]:
        """Those of a request."""
        return sorted([self.token, *self.decoys])

    @property
    def place(self) -> int:
        return self.tokens.index(self.token)

    @property
    def address(self) -> bytes:
        return sha256(self.token)

    def beside(self, *others: Box) -> Box:
        """The same in one request with those of other organisations."""
        return replace(self, decoys=(*(one.token for one in others), *self.decoys[len(others) :]))

    def reply(self, size: int = 0, message: bytes = b"We have read it") -> Sent:
        """A reply to this mailbox with a file of ``size`` bytes, or none."""
        contents = random_bytes(size)
        files = (FileEntry("a.bin", size),) if size else ()
        letter = Letter(message, files, random_bytes(32), random_bytes(16), day=days.today())
        sealed = seal_reply(self.pair_key, letter)
        return Sent(
            sealed.header.encoded, sealed.letter, list(sealed.parts([(io.BytesIO(contents), size)] if size else []))
        )

    def item(self, reply: Sent) -> ItemSource:
        """What a desk's Bundle carries."""
        return item_of("reply", self.address + reply.whole)


# --- inward Bundles ---------------------------------------------------------------------------------------------------


def inward(
    path: Path,
    organisation: Organisation,
    outward: Bundle,
    items: Sequence[ItemSource],
    sequence: int = 1,
    **more: Any,
) -> Path:
    """A Bundle from ``organisation`` to the server that wrote ``outward``. ``more``: of its index."""
    index = Index(days.today(), INWARD, organisation.id, b"", sequence, (), **more)
    with path.open("wb") as file:
        write_bundle(
            file,
            index,
            items,
            reader=server_id(outward.index.sender),
            reader_public=outward.index.server_key,
            signer=organisation.desk,
        )
    return path
