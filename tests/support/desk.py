"""Organisations, sources and a server's exports for the tests of the desk, by the real formats."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from tipbox.desk import outbox, tips
from tipbox.desk.importer import Importer, ImportOutcome
from tipbox.desk.keys import ceremony, identity_file, key_stick
from tipbox.desk.keys.keyring import keyring
from tipbox.desk.vault.records import EnvelopeRecord
from tipbox.desk.vault.vault import Vault
from tipbox.formats.access_code import AccessCode, Secrets
from tipbox.formats.base.limits import ID_SIZE, KEY_SIZE
from tipbox.formats.base.primitives import SigningKey, new_seed, random_bytes, xwing_public
from tipbox.formats.bundles.acknowledgement import Report, read_acknowledgement
from tipbox.formats.bundles.bundle import OUTWARD, Index, ItemEntry
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import ItemSource, item_of, write_bundle
from tipbox.formats.envelopes.envelope import EnvelopeId, Recipient, Sealed, read_envelope, seal
from tipbox.formats.envelopes.letter import FileEntry, Letter
from tipbox.formats.manifest import Manifest, server_id

TODAY = date(2026, 1, 20)
NAMES = ("fidh", "ili", "kibhr")
PASSWORD = b"correct horse battery staple"


@dataclass
class Desk:
    """An organisation with its vault, made by the real ceremony."""

    vault: Path
    manifest: Manifest

    @classmethod
    def make(cls, folder: Path, name: str, today: date = TODAY) -> Desk:
        """A new organisation with published keys in ``folder``."""
        vault = folder / name
        ceremony.init(
            vault, PASSWORD, name=name, full_name=name.upper(), country="KZ", languages=("kk", "ru"), today=today
        )
        with Vault.open(vault, PASSWORD, write=True) as opened:
            key = identity_file.load(identity_file.identity_path(vault), PASSWORD)
            published = ceremony.publish(opened, key, folder / "keys" / f"{name}.json", today=today)
        return cls(vault, published.manifest)

    def open(self, *, write: bool = False) -> Vault:
        """The open vault."""
        return Vault.open(self.vault, PASSWORD, write=write)

    def take(self, *paths: Path, copies: bool = True, today: date = TODAY, far_ahead: bool = False) -> ImportOutcome:
        """Import files."""
        with self.open(write=True) as vault:
            organisation = ceremony.organisation_of(vault)
            stick = key_stick.load(ceremony.find_stick(vault, organisation), PASSWORD)
            find_key = keyring(vault, organisation.id, stick)
            importer = Importer(vault, organisation, find_key, today=today, enough_copies=copies, far_ahead=far_ahead)
            return importer.run(paths)


@dataclass
class Envelope:
    """A sealed Envelope in memory."""

    data: bytes = field(repr=False)
    id: bytes

    def item(self) -> ItemSource:
        """As an item of a Bundle."""
        return ItemSource(ItemEntry("envelope", len(self.data), self.id), lambda: [self.data])


def envelope_id(data: bytes) -> bytes:
    """The id of an Envelope's bytes."""
    reading = read_envelope(io.BytesIO(data))
    ident = EnvelopeId(reading.header.encoded, reading.letter)
    for part in reading.parts:
        ident.add(part)
    return ident.digest()


def seal_letter_to(
    letter: Letter,
    contents: Sequence[bytes],
    manifests: Iterable[Manifest],
    to: Iterable[Manifest],
    *,
    secrets: Secrets,
    today: date = TODAY,
) -> Envelope:
    """Seal ``letter``: slots for all ``manifests``, fillers for those not in ``to``."""
    chosen = {manifest.id for manifest in to}
    recipients = []
    for manifest in manifests:
        key = manifest.current_key(today)
        pair_key = secrets.pair_key(manifest.id) if manifest.id in chosen else None
        recipients.append(Recipient(manifest.id, key.id, key.public, pair_key))
    sealed: Sealed = seal(recipients, letter)
    parts = b"".join(sealed.parts((io.BytesIO(content), len(content)) for content in contents))
    data = sealed.header.encoded + sealed.letter + parts
    return Envelope(data, envelope_id(data))


def seal_tip(
    manifests: Sequence[Manifest],
    to: Sequence[Manifest] | None = None,
    *,
    message: bytes = "Выстрелы на площади".encode(),
    files: Sequence[tuple[str, bytes]] = (),
    secrets: Secrets | None = None,
    message_id: bytes | None = None,
    today: date = TODAY,
) -> Envelope:
    """Seal a tip as a source's client does."""
    secrets = secrets or AccessCode.generate().secrets()
    letter = Letter(
        message=message,
        files=tuple(FileEntry(name, len(content), "application/octet-stream") for name, content in files),
        body_key=random_bytes(KEY_SIZE),
        id=message_id or random_bytes(ID_SIZE),
        language="ru",
        mailbox=secrets.mailbox_address,
        reply_key=secrets.reply_public,
    )
    contents = [content for _, content in files]
    return seal_letter_to(letter, contents, manifests, manifests if to is None else to, secrets=secrets, today=today)


@dataclass
class Exporter:
    """What a server does for the desk, without the server: outward Bundles."""

    signing_key: SigningKey = field(default_factory=SigningKey.generate, repr=False)
    seed: bytes = field(default_factory=new_seed, repr=False)
    sequence: int = 0

    @property
    def sender(self) -> bytes:
        """The server's public signing key."""
        return self.signing_key.verify_key.encode()

    def export(
        self,
        path: Path,
        manifest: Manifest,
        envelopes: Sequence[Envelope],
        *,
        taken: Sequence[int] = (),
        day: date = TODAY,
        key_day: date | None = None,
        volume: tuple[int, int] = (1, 1),
        extra: Sequence[ItemSource] = (),
    ) -> Path:
        """Write a Bundle for an organisation."""
        self.sequence += 1
        items = [envelope.item() for envelope in envelopes]
        items += [item_of("report", Report(tuple(taken)).encode()), *extra]
        index = Index(day, OUTWARD, manifest.id, self.sender, self.sequence, (), xwing_public(self.seed), *volume)
        key = manifest.current_key(key_day or day)
        with path.open("wb") as out:
            write_bundle(out, index, items, reader=manifest.id, reader_public=key.public, signer=self.signing_key)
        return path


def days_after(count: int, start: date = TODAY) -> date:
    """A later day."""
    return start + timedelta(days=count)


@dataclass(frozen=True)
class Desks:
    """Three organisations that know each other's manifests."""

    folder: Path
    desks: tuple[Desk, ...]

    @classmethod
    def make(cls, folder: Path, today: date = TODAY, names: Sequence[str] = NAMES) -> Desks:
        """New ones."""
        return cls(folder, tuple(Desk.make(folder, name, today) for name in names))

    @classmethod
    def load(cls, folder: Path) -> Desks:
        """Those that somebody has made in ``folder``."""
        manifests = {path.stem: Manifest.parse(path.read_bytes()) for path in sorted((folder / "keys").glob("*.json"))}
        return cls(folder, tuple(Desk(folder / name, manifest) for name, manifest in manifests.items()))

    def copy(self, folder: Path) -> Desks:
        """The same organisations in another folder, as they were when they were made."""
        shutil.copytree(self.folder, folder)
        return Desks(folder, tuple(Desk(folder / desk.vault.name, desk.manifest) for desk in self.desks))

    @property
    def manifests(self) -> list[Manifest]:
        """All three."""
        return [desk.manifest for desk in self.desks]


def carried(desk: Desk) -> list[EnvelopeRecord]:
    """What a desk has had."""
    with desk.open() as vault:
        return list(EnvelopeRecord.all(vault))


def listed(desk: Desk) -> list[dict[str, Any]]:
    """What ``desk list`` shows."""
    with desk.open() as vault:
        return tips.list_tips(vault, ceremony.organisation_of(vault))


def opened(desk: Desk, ident: bytes, out: Path) -> Path:
    """Open a tip into ``out``."""
    with desk.open() as vault:
        tips.open_tip(vault, ceremony.organisation_of(vault), tips.find_tip(vault, ident.hex()), out)
    return out


def outbox_items(exporter: Exporter, path: Path) -> list[tuple[str, bytes]]:
    """Kind and bytes of each item of an outbox, as its server reads them."""
    with path.open("rb") as file:
        bundle = Bundle(file, server_id(exporter.sender), lambda _: exporter.seed)
        return [(item.entry.kind, b"".join(bundle.read(item))) for item in bundle.items]


def acknowledged(exporter: Exporter, desk: Desk, out: Path, today: date = TODAY) -> list[bytes]:
    """Write an outbox and read the Envelope ids that it acknowledges."""
    with desk.open(write=True) as vault:
        outbox.write_outbox(vault, ceremony.organisation_of(vault), out, today=today)
    items = outbox_items(exporter, out)
    manifest = next(Manifest.parse(data) for kind, data in items if kind == "manifest")
    return [ident for kind, data in items if kind == "ack" for ident in read_acknowledgement(data, manifest.desk)]
