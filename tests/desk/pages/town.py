"""A real server beside a desk: sources send to it by HTTP, and its courier carries Bundles both ways."""

from __future__ import annotations

import io
import secrets
import shutil
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from desk.pages.batch import Told
from support.client import bearer
from support.desk import Desk, Desks
from support.server import Server, running
from support.world import MANY_SOURCES, tipbox
from tipbox.formats.access_code import AccessCode
from tipbox.formats.base.limits import ID_SIZE, KEY_SIZE
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.envelopes.envelope import Recipient, seal
from tipbox.formats.envelopes.letter import FileEntry, Letter
from tipbox.formats.envelopes.seals import EnvelopeHash

_AT_ONCE: Final = 64
"""Parts of a request."""


@dataclass(frozen=True)
class Sender:
    """Who sent a tip: access code, and the address of the mailbox that the organisation answers to."""

    code: AccessCode = field(repr=False)
    mailbox: bytes


@dataclass(frozen=True)
class Town:
    """A server that runs, and the organisation that this is about."""

    server: Server
    desks: Desks
    desk: Desk
    today: date

    def send(self, told: Told, *paths: Path) -> Sender:
        """Send a tip to the organisation, with what lies at ``paths`` besides."""
        code = AccessCode.generate()
        whose = code.secrets()
        sender = Sender(code, whose.mailbox_address(self.desk.manifest.id))
        recipients = []
        for manifest in self.desks.manifests:
            key = manifest.current_key(self.today)
            mine = manifest.id == self.desk.manifest.id
            keys = (whose.pair_key(manifest.id), whose.mailbox_address(manifest.id)) if mine else (None, b"")
            recipients.append(Recipient(manifest.id, key.id, key.public, *keys))
        files = [*(FileEntry(name, len(data)) for name, data in told.files)]
        files += [FileEntry(path.name, path.stat().st_size) for path in paths]
        sealed = seal(
            recipients, Letter(told.text.encode(), tuple(files), random_bytes(KEY_SIZE), random_bytes(ID_SIZE))
        )
        envelope_hash = EnvelopeHash(sealed.header.encoded, sealed.letter)
        token = urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        with ExitStack() as stack:
            client = stack.enter_context(self.server.client())

            def put(method: str, path: str, body: bytes) -> None:
                answer = client.request(method, f"/api/envelope{path}", body, bearer(token))
                assert answer.status in {200, 201}, answer

            if not files:
                put("PUT", "", sealed.opening + sealed.trailer(envelope_hash.digest()))
                return sender
            put("PUT", "", sealed.opening)
            contents: list[tuple[BinaryIO, int]] = [(io.BytesIO(data), len(data)) for _, data in told.files]
            contents += [(stack.enter_context(path.open("rb")), path.stat().st_size) for path in paths]
            parts, first = sealed.parts(contents), 0
            while some := list(islice(parts, _AT_ONCE)):
                for part in some:
                    envelope_hash.add(part)
                put("PUT", f"/parts/{first}", b"".join(some))
                first += len(some)
            put("POST", "/finish", envelope_hash.digest() + sealed.trailer(envelope_hash.digest()))
        return sender

    def export(self, stick: Path) -> None:
        """What the server has for the organisation, as a courier brings it: in place of all Bundles that lay there."""
        for old in stick.glob("*.bundle"):
            old.unlink()
        out = stick.with_name("fetched")
        tipbox("server", "export", "--home", self.server.home, "--to", self._name, "--out", out)
        for path in out.iterdir():
            shutil.move(path, stick)

    def take(self, outbox: Path) -> str:
        """Bring an outbox; what the server says."""
        return tipbox("server", "import", "--home", self.server.home, outbox).out

    def answers(self, sender: Sender, folder: Path) -> list[str]:
        """The texts that a source finds in its mailbox."""
        secret = folder / f"code-{secrets.token_hex(4)}"
        secret.write_text(" ".join(sender.code.words("ru")) + "\n", encoding="utf-8")
        secret.chmod(0o600)
        host, port = self.server.address
        keys = ("--keys", self.server.keys, "--passphrase-file", secret)
        found = tipbox("source", "inbox", f"http://{host}:{port}", *keys, "--json").json
        return [one["text"] for one in found["replies"]]

    @property
    def _name(self) -> str:
        return self.desk.manifest.organisation


@contextmanager
def town(desks: Desks, desk: Desk, folder: Path, today: date) -> Iterator[Town]:
    """A server that runs, for these organisations."""
    settings = {name.removeprefix("TIPBOX_").lower(): value for name, value in MANY_SOURCES.items()}
    with running(folder / "home", desks.folder / "keys", settings=settings) as server:
        yield Town(server, desks, desk, today)


def sparse(path: Path, size: int) -> Path:
    """A film of ``size`` bytes by its first ones; the rest are zeros that take no disk."""
    with path.open("wb") as file:
        file.write(b"\0\0\0\x18ftypmp42" + bytes(12))
        file.truncate(size)
    return path
