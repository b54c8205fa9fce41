"""The state of a server in coarse steps: enough to look after it, too little to tell one tip from another."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from tipbox.formats.manifest import id_digits
from tipbox.server.storage.disk import Disk
from tipbox.server.storage.models import Draft, Envelope, Ledger, Reply, Slot
from tipbox.server.storage.open_server import open_server
from tipbox.server.storage.organisations import in_force
from tipbox.server.upkeep.estimate import about


@dataclass(frozen=True)
class OrganisationStatus:
    """An organisation: until when its manifest lasts, and about how many Envelopes wait for it."""

    organisation: str
    until: str
    valid: bool
    waiting: str


@dataclass(frozen=True)
class Status:
    """The server's state, and its id as digits for desks to compare. Counts are steps such as ``"10+"``.

    Shares are in tenths of the total.
    """

    server: str
    day: str
    clock_held: bool
    envelopes: str
    drafts: str
    replies: str
    disk_used_tenths: int
    text_room_used_tenths: int
    """Of the part of the disk that bodies leave to texts."""
    carry_used_tenths: int
    replies_used_tenths: int
    organisations: list[OrganisationStatus]

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return asdict(self)


def coarse(count: int) -> str:
    """A count as a step: 0, 1+, 10+, 100+ and so on."""
    return str(count) if count == 0 else f"{10 ** (len(str(count)) - 1)}+"


def server_status(home: Path, *, today: date | None = None) -> Status:
    """The state of the server in ``home``; it may be running.

    Raises:
        TipboxError: the server's folder is not right.
    """
    with open_server(home) as server:
        day = today or server.today()
        known = server.store.read(in_force)
        held, stored, reply_bytes, drafts, announced, envelopes, replies, *waiting = server.store.read(
            lambda connection: (
                *connection.execute(select(Ledger.held, Ledger.body_bytes, Ledger.reply_bytes)).one(),
                # No more than quota.drafts.
                *connection.execute(select(func.count(), func.coalesce(func.sum(Draft.body_size), 0))).one(),
                about(connection, Envelope.id),
                about(connection, Reply.mailbox),
                *(
                    about(
                        connection,
                        Slot.envelope,
                        Slot.organisation == listed.manifest.id,
                        Slot.acknowledged.is_(False),
                    )
                    for listed in known
                ),
            )
        )
        disk = Disk.of(server.home.path, holds_bodies=server.blobs.local)
        # Above the floor, at which texts are refused as well.
        text_room = max(0, disk.reserve(server.config.quota) - disk.floor)
        return Status(
            server=id_digits(server.keys.id),
            day=day.isoformat(),
            clock_held=bool(held),
            envelopes=coarse(envelopes),
            drafts=coarse(drafts),
            replies=coarse(replies),
            disk_used_tenths=_tenths(disk.total - disk.free, disk.total),
            text_room_used_tenths=_tenths(max(0, text_room - max(0, disk.free - disk.floor)), max(1, text_room)),
            carry_used_tenths=_tenths(stored + int(announced), server.config.quota.carry_capacity),
            replies_used_tenths=_tenths(reply_bytes, server.config.quota.reply_bytes),
            organisations=[
                OrganisationStatus(
                    listed.manifest.organisation,
                    listed.manifest.end.isoformat(),
                    listed.serves(day),
                    coarse(count),
                )
                for listed, count in zip(known, waiting, strict=True)
            ],
        )


def _tenths(part: int, total: int) -> int:
    return min(10, 10 * part // total) if total else 10
