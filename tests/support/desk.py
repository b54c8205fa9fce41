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
from tipbox.desk.importing.importer import Importer, ImportOutcome
from tipbox.desk.inbox import listing
from tipbox.desk.keys import ceremony, identity_file, key_stick
from tipbox.desk.keys.keyring import keyring
from tipbox.desk.keys.stick_lock import stick_passphrase
from tipbox.desk.vault.records import EnvelopeRecord
from tipbox.desk.vault.vault import Vault
from tipbox.formats.access_code import Secrets
from tipbox.formats.base.limits import HASH_SIZE, ID_SIZE, KEY_SIZE
from tipbox.formats.base.primitives import SigningKey, new_seed, random_bytes, xwing_public
from tipbox.formats.bundles.acknowledgement import read_acknowledgement
from tipbox.formats.bundles.bundle import OUTWARD, Head, Index, ItemEntry, Receipt
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import ItemSource, item_of, write_bundle
from tipbox.formats.bundles.report import Report, TakenBundle
from tipbox.formats.bundles.stamps import stamp
from tipbox.formats.envelopes.consent import Consent
from tipbox.formats.envelopes.envelope import Recipient, Sealed, read_envelope, seal
from tipbox.formats.envelopes.header import Kind
from tipbox.formats.envelopes.letter import FileEntry, Letter
from tipbox.formats.envelopes.seals import EnvelopeHash
from tipbox.formats.envelopes.seals import envelope_id as id_of
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

    def take(
        self, *paths: Path, copies: bool = True, today: date = TODAY, far_ahead: bool = False, photos: bool = False
    ) -> ImportOutcome:
        """Import files."""
        with self.open(write=True) as vault:
            organisation = ceremony.organisation_of(vault)
            folder = ceremony.find_stick(vault, organisation)
            stick = key_stick.load(folder, stick_passphrase(vault, folder, PASSWORD))
            find_key = keyring(vault, organisation.id, stick)
            importer = Importer(
                vault, organisation, find_key, today=today, enough_copies=copies, far_ahead=far_ahead, photos=photos
            )
            return importer.run(paths)


@dataclass
class Envelope:
    """A sealed Envelope in memory: its bytes, its id, its hash, and the check digits that its source compares."""

    data: bytes = field(repr=False)
    id: bytes
    hash: bytes
    digits: dict[bytes, str] = field(default_factory=dict, repr=False)
    """By organisation (id), for those who were chosen."""

    @classmethod
    def of(cls, data: bytes) -> Envelope:
        """What somebody made, or changed."""
        end = read_envelope(io.BytesIO(data)).end()
        return cls(data, end.id, end.hash)


def envelope_id(data: bytes, kind: Kind = Kind.TIP) -> bytes:
    """The id of an Envelope's bytes."""
    return read_envelope(io.BytesIO(data), kind).end().id


def seal_letter_to(
    letter: Letter,
    contents: Sequence[bytes],
    manifests: Iterable[Manifest],
    to: Iterable[Manifest],
    *,
    secrets: Secrets,
    mailbox: bytes | None = None,
    today: date = TODAY,
) -> Envelope:
    """Seal ``letter``: slots for all ``manifests``, fillers for those not in ``to``.

    ``mailbox`` is the address that all slots name; None for those that follow from ``secrets``.
    """
    chosen = {manifest.id for manifest in to}
    recipients = []
    for manifest in manifests:
        key = manifest.current_key(today)
        keys: tuple[bytes | None, bytes] = (None, b"")
        if manifest.id in chosen:
            keys = (secrets.pair_key(manifest.id), mailbox or secrets.mailbox_address(manifest.id))
        recipients.append(Recipient(manifest.id, key.id, key.public, *keys))
    sealed = seal(recipients, letter)
    return finished(sealed, [*sealed.parts((io.BytesIO(content), len(content)) for content in contents)])


def finished(sealed: Sealed, parts: Sequence[bytes]) -> Envelope:
    """Header, letter and parts with their trailer."""
    envelope_hash = EnvelopeHash(sealed.header.encoded, sealed.letter)
    for part in parts:
        envelope_hash.add(part)
    digest = envelope_hash.digest()
    trailer = sealed.trailer(digest)
    digits = {
        slot.organisation: sealed.check_digits(slot.organisation, digest)
        for slot, opened in zip(sealed.header.slots, sealed.slots, strict=True)
        if opened is not None
    }
    return Envelope(sealed.opening + b"".join(parts) + trailer, id_of(digest, trailer), digest, digits)


def seal_tip(
    manifests: Sequence[Manifest],
    to: Sequence[Manifest] | None = None,
    *,
    message: bytes = "Выстрелы на площади".encode(),
    files: Sequence[tuple[str, bytes]] = (),
    secrets: Secrets | None = None,
    message_id: bytes | None = None,
    consent: Consent | None = None,
    continues: bytes = b"",
    files_follow: int = 0,
    mailbox: bytes | None = None,
    today: date = TODAY,
) -> Envelope:
    """Seal a tip as a source's client does."""
    secrets = secrets or Secrets(random_bytes(KEY_SIZE))  # of a code that nobody types: stretching it takes long
    letter = Letter(
        message=message,
        files=tuple(FileEntry(name, len(content), "application/octet-stream") for name, content in files),
        body_key=random_bytes(KEY_SIZE),
        id=message_id or random_bytes(ID_SIZE),
        language="ru",
        consent=consent,
        continues=continues,
        files_follow=files_follow,
    )
    contents = [content for _, content in files]
    chosen = manifests if to is None else to
    return seal_letter_to(letter, contents, manifests, chosen, secrets=secrets, mailbox=mailbox, today=today)


@dataclass
class Exporter:
    """What a server does for the desk, without the server: outward Bundles."""

    signing_key: SigningKey = field(default_factory=SigningKey.generate, repr=False)
    seed: bytes = field(default_factory=new_seed, repr=False)
    sequence: int = 0
    read: dict[tuple[bytes, int], bytes] = field(default_factory=dict, repr=False)
    """What it has read of the outboxes of organisations (id): SHA-256 of their indexes by number."""

    @property
    def sender(self) -> bytes:
        """The server's public signing key."""
        return self.signing_key.verify_key.encode()

    def item(
        self, envelope: Envelope, day: date, *, stamped: date | None = None, by: SigningKey | None = None
    ) -> ItemSource:
        """An Envelope as an item of a Bundle, stored on ``day``; ``stamped`` with another day, or ``by`` another."""
        receipt = Receipt(day, stamp(envelope.hash, stamped or day, by or self.signing_key))
        return ItemSource(ItemEntry("envelope", len(envelope.data), envelope.id, receipt), lambda: [envelope.data])

    def report(self, manifest: Manifest, taken: Sequence[int], refused: dict[bytes, str] | None = None) -> ItemSource:
        """The report of these outboxes, with the hashes of those that it has read."""
        bundles = tuple(
            TakenBundle(number, (self.read.get((manifest.id, number), random_bytes(HASH_SIZE)),)) for number in taken
        )
        return item_of("report", Report(bundles, tuple((refused or {}).items())).encode())

    def export(
        self,
        path: Path,
        manifest: Manifest,
        envelopes: Sequence[Envelope],
        *,
        taken: Sequence[int] = (),
        day: date = TODAY,
        key_day: date | None = None,
        stored: date | None = None,
        volume: tuple[int, int] = (1, 1),
        heads: Sequence[Head] = (),
        extra: Sequence[ItemSource] = (),
    ) -> Path:
        """Write a Bundle for an organisation: on ``day``, of Envelopes that were ``stored`` then, or the same day."""
        self.sequence += 1
        items = [self.item(envelope, stored or day) for envelope in envelopes]
        items += [self.report(manifest, taken), *extra]
        server_key = xwing_public(self.seed)
        index = Index(
            day, OUTWARD, manifest.id, self.sender, self.sequence, (), server_key, *volume, heads=tuple(heads)
        )
        key = manifest.current_key(key_day or day)
        with path.open("wb") as out:
            write_bundle(out, index, items, reader=manifest.id, reader_public=key.public, signer=self.signing_key)
        return path

    def open(self, path: Path) -> list[tuple[str, bytes]]:
        """Kind and bytes of each item of an outbox; the next reports know it."""
        with path.open("rb") as file:
            bundle = Bundle(file, server_id(self.sender), lambda _: self.seed)
            self.read[bundle.index.organisation, bundle.index.sequence] = bundle.index_hash
            return [(item.entry.kind, b"".join(bundle.read(item))) for item in bundle.items]


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
        return listing.list_tips(vault, ceremony.organisation_of(vault))


def opened(desk: Desk, ident: bytes, out: Path) -> Path:
    """Open a tip into ``out``."""
    with desk.open() as vault:
        tips.open_tip(vault, ceremony.organisation_of(vault), tips.find_tip(vault, ident.hex()), out)
    return out


def stored(desk: Desk, path: Path) -> bytes:
    """What a file of the vault holds: the Envelope as it came."""
    with desk.open() as vault, vault.open_file(path) as file:
        return file.read()


def acknowledged(exporter: Exporter, desk: Desk, out: Path, today: date = TODAY) -> list[bytes]:
    """Write an outbox and read the Envelope ids that it acknowledges."""
    with desk.open(write=True) as vault:
        outbox.write_outbox(vault, ceremony.organisation_of(vault), out, today=today)
    items = exporter.open(out)
    manifest = next(Manifest.parse(data) for kind, data in items if kind == "manifest")
    return [ident for kind, data in items if kind == "ack" for ident in read_acknowledgement(data, manifest.desk)]
