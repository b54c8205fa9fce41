"""The rows of replies, and the sums of their bytes: in the ledger, and of each organisation. Nothing else writes them.

Each function here changes rows and sums in the same transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Integer,
    bindparam,
    delete,
    exists,
    func,
    insert,
    null,
    select,
    update,
)

from tipbox.formats.base.limits import HASH_SIZE, MAILBOX_TOKENS, MAX_REPLIES, MIB
from tipbox.formats.base.primitives import random_bytes
from tipbox.server.storage.models import HASH, Decoy, Ledger, Organisation, Reply, ReplyOpening
from tipbox.server.storage.transactions import Deletion, let_go

MOST_OF_ONE: Final = 16
"""Replies of one organisation in one mailbox."""
MOST_BYTES_OF_ONE: Final = 256 * MIB
"""Bytes of one organisation's replies in one mailbox."""
_STIR_BITS: Final = 63
"""The column takes signed numbers of 64 bits."""


def numbered_ids(count: int) -> list[BindParameter[bytes]]:
    """The parameters of a statement that always has ``count`` ids, whatever is asked for."""
    return [bindparam(f"id_{number}", type_=HASH) for number in range(count)]


def padded_ids(ids: Sequence[bytes], count: int) -> dict[str, bytes]:
    """Values for ``numbered_ids``: the ids given, then random ones, which nothing has."""
    rest = random_bytes(HASH_SIZE * (count - len(ids)))
    filled = [*ids, *(rest[at : at + HASH_SIZE] for at in range(0, len(rest), HASH_SIZE))]
    return {f"id_{number}": entry_id for number, entry_id in enumerate(filled)}


def mailboxes() -> list[BindParameter[bytes]]:
    """The parameters of a statement about the mailboxes of one request."""
    return [bindparam(f"mailbox_{number}", type_=HASH) for number in range(MAILBOX_TOKENS)]


def mailbox_values(addresses: Sequence[bytes]) -> dict[str, bytes]:
    """Values for ``mailboxes``: as many as a request has tokens."""
    return {f"mailbox_{number}": address for number, address in enumerate(addresses)}


def _named(table: type[Reply | ReplyOpening]) -> ColumnElement[bool]:
    """The replies with these ids in these mailboxes.

    The id is hidden from the planner: it would look for each id in each mailbox, which is 16,384 times, where looking
    through 32 mailboxes of at most 16 replies is enough.
    """
    return table.mailbox.in_(mailboxes()) & func.coalesce(table.id, table.id).in_(numbered_ids(MAX_REPLIES))


# Fixed statements: a request to delete costs the same whether the mailboxes are unknown, empty, read or full. Which of
# their replies are named is found in memory: a database that looked would do so only where there is something to see.
_IN_MAILBOXES: Final = (
    select(Reply.id, Reply.mailbox, Reply.organisation, Reply.size, Reply.blob)
    .where(Reply.mailbox.in_(mailboxes()))
    .limit(MAX_REPLIES)
)
_DECOYS: Final = select(
    Decoy.id, Decoy.id.label("mailbox"), Decoy.id.label("organisation"), func.length(Decoy.entry), null()
).limit(bindparam("rest", type_=Integer()))
_DELETE_OPENINGS: Final = delete(ReplyOpening).where(_named(ReplyOpening))
_DELETE: Final = delete(Reply).where(_named(Reply))
_WRITER: Final = bindparam("of_writer", type_=HASH)
_WRITERS: Final = select(Organisation.id)
_COUNT_WRITER: Final = (
    update(Organisation)
    .where(Organisation.id == _WRITER)
    .values(reply_bytes=Organisation.reply_bytes - bindparam("freed", type_=BigInteger()))
)
_COUNT_NAMED: Final = update(Ledger).values(
    reply_bytes=Ledger.reply_bytes - bindparam("freed", type_=BigInteger()),
    stir=bindparam("random", type_=BigInteger()),
)


@dataclass(frozen=True)
class ReplyRow:
    """A reply to store.

    Attributes:
        mailbox: the mailbox's address, 32 bytes.
        id: the Envelope's id.
        organisation: the id of the organisation that wrote it.
        day: the day on which it was deposited, UTC.
        seen_day: the same as a number of days that the server has seen.
        size: bytes of the Envelope.
        entry: its line of the list, as it travels.
        blob: where those bytes of the Envelope are that ``opening`` does not have.
        opening: header ‖ letter, when a list can hold them; empty otherwise.
    """

    mailbox: bytes
    id: bytes
    organisation: bytes
    day: date
    seen_day: int
    size: int
    entry: bytes = field(repr=False)
    blob: str | None
    opening: bytes = field(repr=False)


def store(connection: Connection, row: ReplyRow) -> bool:
    """Insert a reply; False when its mailbox has it already, from another item or organisation."""
    if connection.execute(select(exists().where(Reply.mailbox == row.mailbox, Reply.id == row.id))).scalar_one():
        return False
    connection.execute(
        insert(Reply).values(
            mailbox=row.mailbox,
            id=row.id,
            organisation=row.organisation,
            day=row.day,
            seen_day=row.seen_day,
            size=row.size,
            entry=row.entry,
            blob=row.blob,
        )
    )
    if row.opening:
        connection.execute(insert(ReplyOpening).values(mailbox=row.mailbox, id=row.id, opening=row.opening))
    _count(connection, row.organisation, row.size)
    return True


def delete_named(connection: Connection, addresses: Sequence[bytes], replies: Sequence[bytes]) -> list[str]:
    """Delete the replies with these ids, up to MAX_REPLIES, from 32 mailboxes; the blobs to delete once committed.

    The work does not depend on what is there: other statements, or fewer, would tell whether a mailbox exists.
    """
    writers = connection.execute(_WRITERS).scalars().all()
    there = connection.execute(_IN_MAILBOXES, mailbox_values(addresses)).all()
    rest = max(0, min(MAX_REPLIES, MOST_OF_ONE * len(writers)) - len(there))
    decoys = connection.execute(_DECOYS, {"rest": rest}).all()
    wanted = set(padded_ids(replies, MAX_REPLIES).values())
    gone = _among(there, wanted)
    _among(decoys, wanted)  # looked through like replies, or the time would tell how many there are
    freed = Counter[bytes]()
    for row in gone:
        freed[row.organisation] += row.size
    # Of what is to be deleted alone: the mailboxes of a request that names nothing in them are not looked into again.
    emptied = [*{row.mailbox for row in gone}]
    emptied += padded_ids((), MAILBOX_TOKENS - len(emptied)).values()
    named = {**mailbox_values(emptied), **padded_ids([row.id for row in gone], MAX_REPLIES)}
    connection.execute(_DELETE_OPENINGS, named)
    connection.execute(_DELETE, named)
    connection.execute(_COUNT_WRITER, [{"of_writer": writer, "freed": freed[writer]} for writer in writers])
    # Also when nothing was there: a transaction that changes no page would be faster, and would tell.
    stir = int.from_bytes(random_bytes(8)) >> (64 - _STIR_BITS)
    connection.execute(_COUNT_NAMED, {"freed": freed.total(), "random": stir})
    blobs = [row.blob for row in gone if row.blob is not None]
    let_go(connection, blobs)
    return blobs


def _among(rows: Sequence[Any], wanted: AbstractSet[bytes]) -> list[Any]:
    return [row for row in rows if row.id in wanted]


def delete_old(connection: Connection, last: int, most: int) -> Deletion:
    """Delete up to ``most`` replies that came on the ``last`` day seen or before."""
    old = connection.execute(
        select(Reply.mailbox, Reply.id, Reply.size, Reply.blob, Reply.organisation)
        .where(Reply.seen_day <= last)
        .limit(most)
    ).all()
    for mailbox, reply, size, _, writer in old:
        connection.execute(delete(ReplyOpening).where(ReplyOpening.mailbox == mailbox, ReplyOpening.id == reply))
        connection.execute(delete(Reply).where(Reply.mailbox == mailbox, Reply.id == reply))
        _count(connection, writer, -size)
    blobs = [row[3] for row in old if row[3] is not None]
    let_go(connection, blobs)
    return Deletion(len(old), blobs)


def delete_all(connection: Connection) -> None:
    """Delete every reply; the blobs are left to ``sweep``."""
    connection.execute(delete(ReplyOpening))
    connection.execute(delete(Reply))
    connection.execute(update(Organisation).values(reply_bytes=0))
    connection.execute(update(Ledger).values(reply_bytes=0))


def _count(connection: Connection, organisation: bytes, size: int) -> None:
    connection.execute(update(Ledger).values(reply_bytes=Ledger.reply_bytes + size))
    connection.execute(
        update(Organisation).where(Organisation.id == organisation).values(reply_bytes=Organisation.reply_bytes + size)
    )
