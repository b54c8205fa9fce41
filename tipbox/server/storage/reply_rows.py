"""The rows of replies, and what the ledger and each organisation count of their bytes."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, delete, exists, insert, select, update

from tipbox.formats.base.limits import MIB
from tipbox.server.storage.models import Deposit, Ledger, Organisation, RefusedItem, Reply, ReplyOpening

MOST_OF_ONE: Final = 16
"""Replies of one organisation in one mailbox."""
MOST_BYTES_OF_ONE: Final = 256 * MIB
"""Bytes of one organisation's replies in one mailbox."""


def note(connection: Connection, row: dict[str, object], opening: bytes, item: bytes) -> bool:
    """The rows of a reply; False when its mailbox has it already, from another item or organisation."""
    connection.execute(insert(Deposit).values(item=item, seen_day=row["seen_day"]))
    connection.execute(
        delete(RefusedItem).where(RefusedItem.organisation == row["organisation"], RefusedItem.item == item)
    )
    there = exists().where(Reply.mailbox == row["mailbox"], Reply.id == row["id"])
    if connection.execute(select(there)).scalar_one():
        return False
    connection.execute(insert(Reply).values(row))
    if opening:
        connection.execute(insert(ReplyOpening).values(mailbox=row["mailbox"], id=row["id"], opening=opening))
    connection.execute(update(Ledger).values(reply_bytes=Ledger.reply_bytes + row["size"]))
    connection.execute(
        update(Organisation)
        .where(Organisation.id == row["organisation"])
        .values(reply_bytes=Organisation.reply_bytes + row["size"])
    )
    return True


def delete_old_replies(connection: Connection, last: int, most: int) -> tuple[int, list[str]]:
    """Remove up to ``most`` replies that came on the ``last`` day seen or before; how many, and the blobs to delete."""
    old = connection.execute(
        select(Reply.mailbox, Reply.id, Reply.size, Reply.blob, Reply.organisation)
        .where(Reply.seen_day <= last)
        .limit(most)
    ).all()
    for mailbox, reply, size, _, writer in old:
        connection.execute(
            update(Organisation).where(Organisation.id == writer).values(reply_bytes=Organisation.reply_bytes - size)
        )
        connection.execute(delete(ReplyOpening).where(ReplyOpening.mailbox == mailbox, ReplyOpening.id == reply))
        connection.execute(delete(Reply).where(Reply.mailbox == mailbox, Reply.id == reply))
    connection.execute(update(Ledger).values(reply_bytes=Ledger.reply_bytes - sum(row[2] for row in old)))
    return len(old), [row[3] for row in old if row[3] is not None]
