"""Examining a backup: it is read to its last byte, so that nothing is written before what was cut or changed shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from tipbox.errors import InputRefused, Malformed
from tipbox.formats.base.limits import ENVELOPE_PART_SIZE, MAX_SLOTS
from tipbox.formats.envelopes.header import PREFIX, Header, header_size
from tipbox.formats.envelopes.header import Kind as EnvelopeKind
from tipbox.formats.envelopes.seals import End as EnvelopeEnd
from tipbox.formats.envelopes.seals import EnvelopeHash, envelope_id
from tipbox.formats.manifest import Manifest
from tipbox.server.backup.backup_records import ENVELOPE_FIXED, About, End, EnvelopeFacts, KnownOrganisation, Secrets
from tipbox.server.backup.container import Kind, Reader, Record
from tipbox.server.storage.organisations import ManifestFile

_PIECES: Final = 16
"""Parts of a body in memory at a time."""


@dataclass(frozen=True)
class BackupContents:
    """A backup that was read to its last byte. ``damaged``: Envelopes that were so before they were backed up."""

    about: About
    secrets: Secrets = field(repr=False)
    settings: bytes | None = field(repr=False)
    organisations: tuple[KnownOrganisation, ...]
    manifests: tuple[ManifestFile, ...] = field(repr=False)
    envelopes: int
    damaged: int


def examine_backup(reader: Reader, today: date) -> BackupContents:
    """Read a backup to its last byte and keep what is small."""
    found: dict[Kind, list[bytes]] = {kind: [] for kind in Kind}
    envelopes = damaged = 0
    for record in reader.records():
        if record.kind is Kind.ENVELOPE:
            taken = read_envelope(reader, record, lambda _: None)
            envelopes += 1
            damaged += taken.damaged
        else:
            found[record.kind].append(record.read())
            _check_count(record.kind, len(found[record.kind]))
    if not found[Kind.SECRETS]:
        raise Malformed("the backup lacks the server's keys")
    about = About.parse(found[Kind.ABOUT][0])
    # With a clock that is behind, Envelopes would be kept longer than was announced.
    if about.day > today + timedelta(days=1):
        raise InputRefused(
            f"restoring: this machine says {today}, and the backup was made on {about.day}; set the clock right"
        )
    if End.parse(found[Kind.END][0]).envelopes != envelopes:
        raise Malformed("the backup counts other Envelopes than it holds")
    secrets = Secrets.parse(reader.open_secrets(found[Kind.SECRETS][0]))
    if secrets.keys.id != about.server:
        raise Malformed("the backup holds the keys of another server than it names")
    return BackupContents(
        about,
        secrets,
        found[Kind.SETTINGS][0] if found[Kind.SETTINGS] else None,
        tuple(KnownOrganisation.parse(data) for data in found[Kind.ORGANISATION]),
        tuple(ManifestFile(Manifest.parse(data), data) for data in found[Kind.MANIFEST]),
        envelopes,
        damaged,
    )


def _check_count(kind: Kind, count: int) -> None:
    if count > (MAX_SLOTS if kind in {Kind.ORGANISATION, Kind.MANIFEST} else 1):
        raise Malformed("the backup has more records of a kind than there may be")


@dataclass(frozen=True)
class BackupEnvelope:
    """An Envelope as it was read from its record. ``damaged``: its bytes are not those that its id names."""

    facts: EnvelopeFacts
    header: Header
    letter: bytes = field(repr=False)
    end: EnvelopeEnd = field(repr=False)
    damaged: bool


def read_envelope(reader: Reader, record: Record, take: Callable[[bytes], object]) -> BackupEnvelope:
    """Read one Envelope; ``take`` gets its body in pieces, before it is known whether the Envelope is whole."""
    fixed = reader.exactly(ENVELOPE_FIXED)
    prefix = reader.exactly(PREFIX)
    try:
        header = Header.parse(prefix + reader.exactly(header_size(prefix) - PREFIX))
        header.expect(EnvelopeKind.TIP)
    except Malformed as error:
        before = "a backup that tipbox made before its first release cannot be read any more"
        raise Malformed(f"{error}; {before}") from None
    if record.size != ENVELOPE_FIXED + header.envelope_size:
        raise Malformed("an Envelope's record has another size than the Envelope")
    facts = EnvelopeFacts.parse(fixed, header)
    letter = reader.exactly(header.sealed_letter_size)
    found = EnvelopeHash(header.encoded, letter)
    for piece in _body(reader, header):
        for at in range(0, len(piece), ENVELOPE_PART_SIZE):
            found.add(piece[at : at + ENVELOPE_PART_SIZE])
        take(piece)
    trailer = reader.exactly(header.trailer_size)
    end = EnvelopeEnd(found.digest(), trailer, envelope_id(found.digest(), trailer))
    return BackupEnvelope(facts, header, letter, end, end.id != facts.id)


def _body(reader: Reader, header: Header) -> Iterator[bytes]:
    remaining = header.sealed_body_size
    while remaining:
        piece = reader.exactly(min(remaining, _PIECES * ENVELOPE_PART_SIZE))
        remaining -= len(piece)
        yield piece
