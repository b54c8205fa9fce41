"""Bundles to an organisation: all that has a slot for it and that it has not acknowledged, whole, in random order."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from tipbox import days, padding
from tipbox.acknowledgement import Report
from tipbox.bundle import OUTWARD, Index, ItemEntry
from tipbox.bundle_write import ItemSource, item_of, write_bundle
from tipbox.durable import replacing
from tipbox.errors import InputRefused, NotFound
from tipbox.limits import MAX_ITEMS, MAX_REPORT_BUNDLES
from tipbox.server.blobs import BlobStore
from tipbox.server.clock import tick
from tipbox.server.config import LARGEST_VOLUME
from tipbox.server.models import Envelope, Inward, RefusedItem, Series, Slot
from tipbox.server.opened import Opened, opened
from tipbox.server.roster import find_by_name
from tipbox.server.store import Store

_FIRST_ITEMS: Final = MAX_ITEMS - 1
"""Envelopes in a volume; one item is left for the report."""


@dataclass(frozen=True)
class Waiting:
    """An Envelope that an organisation has not acknowledged."""

    id: bytes
    size: int
    blob: str | None
    body_size: int


def export(home: Path, organisation: str, out: Path, *, today: date | None = None) -> list[Path]:
    """Write one or more volumes ``ORG-<sequence>-<volume>.bundle`` into ``out``.

    Args:
        home: the server's folder; the server may be running.
        organisation: short name.
        out: made when missing.
        today: the day, UTC.

    Returns:
        The volumes, letters first. There is always one: it tells the desk which of its Bundles were taken.

    Raises:
        NotFound: no such organisation here.
        NoCurrentKey: its manifest names no receiving key for this day.
    """
    with opened(home) as server:
        return export_opened(server, organisation, out, today or days.today())


def export_opened(server: Opened, organisation: str, out: Path, today: date) -> list[Path]:
    """``export`` on an opened server."""
    listed = find_by_name(server.home, organisation)
    if listed is None:
        raise NotFound(f"exporting to {organisation}: there is no such organisation in {server.home.keys}")
    manifest = listed.manifest
    manifest.check(today)
    key = manifest.current_key(today)
    sequence, waiting, report = server.store.write(lambda connection: _begin(connection, manifest.id, today))
    volumes = plan([envelope for envelope in waiting if _is_there(server.blobs, envelope)])
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, volume in enumerate(volumes, 1):
        items = [_item(server.store, server.blobs, envelope) for envelope in volume]
        if number == 1:
            items.insert(0, item_of("report", report.encode()))
        index = Index(
            day=today,
            direction=OUTWARD,
            organisation=manifest.id,
            sender=b"",
            sequence=sequence,
            items=(),
            server_key=server.keys.public,
            volume=number,
            volumes=len(volumes),
        )
        path = out / f"{organisation}-{sequence}-{number}.bundle"
        with replacing(path) as file:
            write_bundle(file, index, items, reader=manifest.id, reader_public=key.public, signer=server.keys.signing)
        paths.append(path)
    return paths


def _begin(connection: Connection, organisation: bytes, today: date) -> tuple[int, list[Waiting], Report]:
    """The next sequence, and what waits."""
    tick(connection, today)
    series = (Series.organisation == organisation, Series.direction == OUTWARD)
    last = connection.execute(select(Series.sequence).where(*series)).scalar_one_or_none()
    sequence = (last or 0) + 1
    if last is None:
        connection.execute(insert(Series).values(organisation=organisation, direction=OUTWARD, sequence=sequence))
    else:
        connection.execute(update(Series).where(*series).values(sequence=sequence))
    rows = connection.execute(
        select(
            Envelope.id, Envelope.body_size, Envelope.blob, func.length(Envelope.header), func.length(Envelope.letter)
        )
        .join(Slot, Slot.envelope == Envelope.id)
        .where(Slot.organisation == organisation, Slot.acknowledged.is_(False))
    ).all()
    waiting = [Waiting(row[0], row[3] + row[4] + padding.sealed_size(row[1]), row[2], row[1]) for row in rows]
    return sequence, waiting, _report(connection, organisation)


def _report(connection: Connection, organisation: bytes) -> Report:
    taken = connection.execute(
        select(Inward.sequence)
        .where(Inward.organisation == organisation)
        .order_by(Inward.sequence.desc())
        .limit(MAX_REPORT_BUNDLES)
    ).scalars()
    refused = connection.execute(
        select(RefusedItem.item, RefusedItem.code)
        .where(RefusedItem.organisation == organisation)
        .order_by(RefusedItem.item)
        .limit(MAX_ITEMS)
    ).all()
    return Report(tuple(taken), tuple((item, code) for item, code in refused))


def plan(waiting: Sequence[Waiting]) -> list[list[Waiting]]:
    """Volumes: Envelopes without a body first, each group in random order, each Envelope whole."""
    order = secrets.SystemRandom()
    volumes: list[list[Waiting]] = []
    for group in ([one for one in waiting if not one.body_size], [one for one in waiting if one.body_size]):
        order.shuffle(group)
        volume: list[Waiting] = []
        size = 0
        for envelope in group:
            if volume and (len(volume) == _FIRST_ITEMS or size + envelope.size > LARGEST_VOLUME):
                volumes.append(volume)
                volume, size = [], 0
            volume.append(envelope)
            size += envelope.size
        if volume:
            volumes.append(volume)
    return volumes or [[]]


def _is_there(blobs: BlobStore, envelope: Waiting) -> bool:
    """Whether a body is whole. One that the disk lost must not keep the others here; ``check`` names it."""
    return envelope.blob is None or blobs.size(envelope.blob) == padding.sealed_size(envelope.body_size)


def _item(store: Store, blobs: BlobStore, envelope: Waiting) -> ItemSource:
    return ItemSource(ItemEntry("envelope", envelope.size, envelope.id), lambda: _pieces(store, blobs, envelope))


def _pieces(store: Store, blobs: BlobStore, envelope: Waiting) -> Iterator[bytes]:
    found = store.read(
        lambda connection: connection.execute(
            select(Envelope.header, Envelope.letter).where(Envelope.id == envelope.id)
        ).one_or_none()
    )
    if found is None:
        raise InputRefused("exporting: Envelopes were acknowledged meanwhile; export again")
    yield found[0]
    yield found[1]
    if envelope.blob is not None:
        try:
            yield from blobs.read(envelope.blob, 0, padding.sealed_size(envelope.body_size))
        except (FileNotFoundError, EOFError):
            raise InputRefused("exporting: a stored body is gone; run tipbox server check") from None
