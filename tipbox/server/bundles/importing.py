"""Inward Bundles: acknowledgements, replies and new Key manifests. Lost, repeated or out of order, they do no harm.

An acknowledgement means *carried* and marks only its signer's slots. An Envelope goes when every organisation with a
slot in it has acknowledged: first its rows, in the same transaction as the marks, then its blob.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from sqlalchemy import Connection, delete, insert, select, update

from tipbox.errors import (
    FORMAT_ERRORS,
    DamagedItem,
    Full,
    LimitExceeded,
    OlderSerial,
    TipboxError,
    WrongReader,
    WrongSender,
)
from tipbox.formats.base.limits import MAX_ACKS, MAX_MANIFEST
from tipbox.formats.base.primitives import equal, sha256
from tipbox.formats.bundles.acknowledgement import read_acknowledgement
from tipbox.formats.bundles.bundle import INWARD
from tipbox.formats.bundles.bundle_read import Bundle, Item, damaged
from tipbox.formats.bundles.stamps import stamp_head
from tipbox.formats.envelopes.header import KeyState
from tipbox.formats.manifest import Manifest, key_id
from tipbox.server.bundles.collected import note_collected
from tipbox.server.mailboxes.deposit import deposit
from tipbox.server.storage import envelope_rows
from tipbox.server.storage.clock import Clock, tick
from tipbox.server.storage.models import CustodyHead, InwardBundle, RefusedItem
from tipbox.server.storage.open_server import OpenServer, open_server
from tipbox.server.storage.organisations import ManifestFile, adopt, in_force
from tipbox.server.storage.sweep import release

_BATCH: Final = 200
"""Envelopes acknowledged in one transaction: a running server is not kept waiting."""
_MAX_ACK: Final = 70 * MAX_ACKS
"""Bytes of the longest acknowledgement."""
_REFUSALS: Final[tuple[type[TipboxError], ...]] = (Full, *FORMAT_ERRORS)
"""Why a reply is not deposited, except for damage in transit."""


@dataclass(frozen=True)
class AckEffect:
    """What an acknowledgement changed: slots marked, and Envelopes deleted."""

    marked: int
    deleted: int


@dataclass
class ImportResult:
    """What was taken from one inward Bundle."""

    file: str
    organisation: str = ""
    sequence: int = 0
    acknowledged: int = 0
    """Slots marked now; repeated marks do not count."""
    deleted: int = 0
    """Envelopes that every organisation has carried, and that are gone now."""
    deposited: int = 0
    """Replies that came into their mailboxes now; repeated ones do not count."""
    manifests: list[str] = field(default_factory=list)
    returned: list[TipboxError] = field(default_factory=list)
    """Why replies were not deposited. The next Bundle to the desk names them; this Bundle counts as taken."""
    refused: list[TipboxError] = field(default_factory=list)
    """Why the Bundle, or items of it, were not taken."""

    is_first_time: bool = False
    """Whether the Bundle is now, for the first time, done with."""

    @property
    def has_changes(self) -> bool:
        """Whether anything was taken that was not here before: then the next export differs from the last."""
        return bool(self.is_first_time or self.acknowledged or self.deposited or self.manifests)

    @property
    def is_complete(self) -> bool:
        """Whether the Bundle is done with, and need not come again."""
        return not self.refused


def import_bundles(home: Path, files: Sequence[Path], *, today: date | None = None) -> list[ImportResult]:
    """Take inward Bundles. What cannot be taken is named in the result, and the others are taken anyway.

    Args:
        home: the server's folder; the server may be running.
        files: Bundles.
        today: the day, UTC.

    Returns:
        One entry for each file, in order.

    Raises:
        TipboxError: the server's folder is not right.
        OSError: a file cannot be read.
    """
    with open_server(home) as server:
        return [_import(server, path, today or server.today()) for path in files]


def _import(server: OpenServer, path: Path, today: date) -> ImportResult:
    with path.open("rb") as file:
        return import_opened(server, file, path.name, today)


def import_opened(server: OpenServer, file: BinaryIO, name: str, today: date) -> ImportResult:
    """Take one inward Bundle from a seekable file."""
    taken = ImportResult(name)
    try:
        bundle = _open(server, file)
        newer = _accept_sender(server, bundle, taken, today)
        # Before any item has an effect, a manifest included.
        _refuse_second(server.store.write(lambda connection: _note_second(connection, bundle, today)), bundle)
        for newer_manifest in newer:
            if adopt(server.home, server.store, newer_manifest, today):
                taken.manifests.append(taken.organisation)
        clock = server.store.write(lambda connection: tick(connection, today))
        for item in bundle.items:
            try:
                _take(server, bundle, item, taken, clock)
            except TipboxError as error:
                taken.refused.append(error)
        # Only then: a Bundle of which items were refused has to come again.
        if taken.is_complete:
            taken.is_first_time = server.store.write(lambda connection: _finish(connection, bundle, server, clock))
    except TipboxError as error:
        taken.refused.append(error)
    return taken


def _open(server: OpenServer, file: BinaryIO) -> Bundle:
    own = key_id(server.keys.public)
    bundle = Bundle(file, server.keys.id, lambda key: server.keys.seed if key == own else KeyState.UNKNOWN)
    if bundle.header.direction != INWARD:
        raise WrongReader("this Bundle is for a desk; import Bundles that a desk wrote for this server")
    return bundle


def _accept_sender(server: OpenServer, bundle: Bundle, taken: ImportResult, today: date) -> list[ManifestFile]:
    """The sender is the desk key of the manifest in force, or of a newer one in the Bundle: the newer ones to take."""
    held = _in_force(server, bundle.index.organisation)
    if held is None:
        raise WrongSender("this Bundle is from an organisation that this server does not know")
    taken.organisation, taken.sequence = held.organisation, bundle.index.sequence
    newer = []
    for item in bundle.items:
        if item.entry.kind == "manifest":
            try:
                newer += [
                    candidate
                    for candidate in _newer(held, _read(bundle, item, MAX_MANIFEST))
                    if candidate.has_begun(today)
                ]
            except TipboxError as error:
                taken.refused.append(error)
    if bundle.index.sender not in {held.desk, *(newer_manifest.manifest.desk for newer_manifest in newer)}:
        raise WrongSender(
            f"this Bundle is not signed by the desk key of {held.organisation}'s manifest in force; "
            "ask the desk for a new outbox"
        )
    # The lowest serial first: each replaces the one before it.
    return sorted(newer, key=lambda file: file.manifest.serial)


def _in_force(server: OpenServer, organisation: bytes) -> Manifest | None:
    return next((member.manifest for member in server.store.read(in_force) if member.manifest.id == organisation), None)


def _newer(held: Manifest, data: bytes) -> list[ManifestFile]:
    """The manifest in ``data``, when it may follow the one held."""
    manifest = Manifest.parse(data)
    if manifest.organisation != held.organisation:
        raise WrongSender("a Key manifest in this Bundle is of another organisation than the Bundle")
    try:
        manifest.check_replaces(held)
    except OlderSerial:
        return []
    if (manifest.name, manifest.country) != (held.name, held.country):
        raise WrongSender(
            "a Key manifest in this Bundle changes the name or country that sources see; "
            "ask the organisation through another channel, then put its file into --keys"
        )
    return [ManifestFile(manifest, data)]


def _take(server: OpenServer, bundle: Bundle, item: Item, taken: ImportResult, clock: Clock) -> None:
    organisation = bundle.index.organisation
    if item.entry.kind == "ack":
        envelopes = read_acknowledgement(_read(bundle, item, _MAX_ACK), bundle.index.sender)
        effect = acknowledge(server, organisation, envelopes)
        note_collected(server.store, organisation, clock)
        taken.acknowledged += effect.marked
        taken.deleted += effect.deleted
    elif item.entry.kind == "reply":
        try:
            taken.deposited += deposit(server, bundle, item, clock)
        except DamagedItem:
            raise
        except _REFUSALS as error:
            code = error.code
            server.store.write(lambda connection: _note_refused(connection, organisation, item.entry.hash, code))
            taken.returned.append(type(error)(f"item {item.number} (reply): {error}"))


def _read(bundle: Bundle, item: Item, most: int) -> bytes:
    """A small item, whole and with the hash that the index gives."""
    if item.entry.size > most:
        raise LimitExceeded(f"item {item.number} ({item.entry.kind}) is larger than tipbox accepts")
    data = b"".join(bundle.read(item))
    if not equal(sha256(data), item.entry.hash):
        raise damaged(item, "not what the index says")
    return data


def acknowledge(server: OpenServer, organisation: bytes, envelopes: Sequence[bytes]) -> AckEffect:
    """Mark an organisation's slots, and delete the Envelopes that all of their organisations have acknowledged."""
    marked = deleted = 0
    for at in range(0, len(envelopes), _BATCH):
        batch = envelopes[at : at + _BATCH]
        marking = server.store.write(
            partial(envelope_rows.acknowledge, organisation=organisation, envelopes=batch), erases=True
        )
        # Once the rows are gone for good; what a crash leaves here is swept.
        release(server.blobs, marking.deletion.blobs)
        marked += marking.slots
        deleted += marking.deletion.count
    return AckEffect(marked, deleted)


def _finish(connection: Connection, bundle: Bundle, server: OpenServer, clock: Clock) -> bool:
    """Note that a Bundle is done with, and its head; whether it was not noted yet."""
    is_first_time = _note_taken(connection, bundle)
    if is_first_time:
        _note_head(connection, bundle, server, clock)
    return is_first_time


def _numbered(bundle: Bundle) -> dict[str, Any]:
    index = bundle.index
    return {"organisation": index.organisation, "sequence": index.sequence, "volume": index.volume}


def _note_second(connection: Connection, bundle: Bundle, today: date) -> bool:
    """Whether another Bundle was taken under the same number; then the day is kept, for the operator's check."""
    others = update(InwardBundle).filter_by(**_numbered(bundle)).where(InwardBundle.header != bundle.header_hash)
    return bool(connection.execute(others.values(second=today)).rowcount)


def _refuse_second(is_second: bool, bundle: Bundle) -> None:  # noqa: FBT001
    """WrongSender for a second Bundle under a number: only one of the two can be the desk's."""
    if is_second:
        raise WrongSender(
            f"another Bundle was taken as number {bundle.index.sequence} of this organisation; this one was not read: "
            "either the desk was put back from a copy, or somebody has this server's key; ask the desk"
        )


def _note_taken(connection: Connection, bundle: Bundle) -> bool:
    """Note that a Bundle is done with; whether it was not noted yet."""
    key = _numbered(bundle)
    known = connection.execute(select(InwardBundle.header).filter_by(**key)).scalar_one_or_none()
    _refuse_second(known not in {None, bundle.header_hash}, bundle)
    if known is not None:
        return False
    connection.execute(insert(InwardBundle).values(**key, header=bundle.header_hash, index=bundle.index_hash))
    return True


def _note_head(connection: Connection, bundle: Bundle, server: OpenServer, clock: Clock) -> None:
    """Keep the head of the newest Bundle, stamped with today; it goes out to all with every export."""
    index = bundle.index
    if not index.head or index.volume != 1:
        return
    newest = connection.execute(
        select(CustodyHead.sequence).where(CustodyHead.organisation == index.organisation)
    ).scalar_one_or_none()
    if newest is not None and newest >= index.sequence:
        return
    connection.execute(delete(CustodyHead).where(CustodyHead.organisation == index.organisation))
    connection.execute(
        insert(CustodyHead).values(
            organisation=index.organisation,
            sequence=index.sequence,
            head=index.head,
            day=clock.today,
            stamp=stamp_head(index.organisation, index.head, clock.today, server.keys.signing),
        )
    )


def _note_refused(connection: Connection, organisation: bytes, item: bytes, code: str) -> None:
    # Both databases know this pair of statements; each spells an upsert in its own way.
    connection.execute(delete(RefusedItem).where(RefusedItem.organisation == organisation, RefusedItem.item == item))
    connection.execute(insert(RefusedItem).values(organisation=organisation, item=item, code=code))
