"""What a source does in these tests: sends, by the real command, and by hand where a request must be exact."""

from __future__ import annotations

import base64
import io
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from support import world
from support.world import Server
from tipbox.files.key_folder import load_folder
from tipbox.formats.access_code import Secrets
from tipbox.formats.base import days
from tipbox.formats.base.limits import ENVELOPE_PART_SIZE, ID_SIZE, KEY_SIZE
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.envelopes.envelope import Recipient, seal
from tipbox.formats.envelopes.letter import FileEntry, Letter
from tipbox.formats.envelopes.seals import EnvelopeHash, envelope_id
from tipbox.formats.manifest import Manifest

ROOMY = {
    "TIPBOX_LIMITS_OPEN": "1000000",
    "TIPBOX_LIMITS_OPENINGS": "1000000",
    "TIPBOX_LIMITS_PARTS": "1000000",
    "TIPBOX_LIMITS_STATE": "1000000",
    "TIPBOX_LIMITS_FINISH": "1000000",
}
"""Budgets of a circuit for tests in which one address stands for many sources, or for weeks of trying."""


@dataclass(frozen=True)
class SentTip:
    """What a source knows after sending: the Envelope's id in hex, and the access code."""

    tip: str
    passphrase: str = field(repr=False)


def send(url: str, keys: Path, message: Path, files: Sequence[Path] = (), to: Iterable[str] = ()) -> SentTip:
    """`tipbox source send`."""
    chosen = [argument for name in to for argument in ("--to", name)]
    done = world.tipbox("source", "send", url, "--keys", keys, *chosen, "--message-file", message, "--json", *files)
    return SentTip(done.json["tip"], done.json["passphrase"])


@dataclass(frozen=True)
class Upload:
    """A sealed Envelope in memory, with a draft token of its own."""

    head: bytes = field(repr=False)
    """Header and letter; and the trailer, when there are no parts."""
    parts: tuple[bytes, ...] = field(repr=False)
    end: bytes = field(repr=False)
    """Envelope hash and trailer: what finishes it."""
    id: str
    token: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """What goes with each request."""
        return {"Authorization": f"Bearer {self.token}", "Content-Type": "application/octet-stream"}

    def again(self) -> Upload:
        """The same Envelope under another token."""
        return replace(self, token=new_token())

    def open(self, server: Server) -> int:
        """Send header and letter; the status."""
        return server.request("PUT", "/api/envelope", self.head, self.headers)[0]

    def put(self, server: Server, first: int, count: int) -> int:
        """Send a run of parts; the status."""
        run = b"".join(self.parts[first : first + count])
        return server.request("PUT", f"/api/envelope/parts/{first}", run, self.headers)[0]

    def finish(self, server: Server) -> int:
        """Finish; the status."""
        return server.request("POST", "/api/envelope/finish", self.end, self.headers)[0]


def new_token() -> str:
    """A draft token."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


def sealed(keys: Path, message: bytes, files: Sequence[tuple[str, bytes]] = (), to: Iterable[str] = ()) -> Upload:
    """Seal a tip to the organisations in ``to``, or to all in the folder ``keys``."""
    manifests = load_folder(keys)
    chosen = set(to) or {one.organisation for one in manifests}
    source = Secrets(random_bytes(KEY_SIZE))
    letter = Letter(
        message,
        tuple(FileEntry(name, len(data), "application/octet-stream") for name, data in files),
        random_bytes(KEY_SIZE),
        random_bytes(ID_SIZE),
    )
    made = seal([_recipient(one, source, filler=one.organisation not in chosen) for one in manifests], letter)
    parts = tuple(made.parts([(io.BytesIO(data), len(data)) for _, data in files]))
    envelope_hash = EnvelopeHash(made.header.encoded, made.letter)
    for part in parts:
        envelope_hash.add(part)
    if any(len(part) != ENVELOPE_PART_SIZE for part in parts[:-1]):
        raise ValueError("a part has another size than the format demands")
    digest = envelope_hash.digest()
    trailer = made.trailer(digest)
    head = made.opening if parts else made.opening + trailer
    return Upload(head, parts, digest + trailer, envelope_id(digest, trailer).hex(), new_token())


def _recipient(manifest: Manifest, source: Secrets, *, filler: bool) -> Recipient:
    key = manifest.current_key(days.today())
    if filler:
        return Recipient(manifest.id, key.id, key.public, None)
    return Recipient(manifest.id, key.id, key.public, source.pair_key(manifest.id), source.mailbox_address(manifest.id))
