"""The tables. Times are days; random ids are the keys, and tables have no rowid, so no order of arrival is kept."""

from __future__ import annotations

import datetime as dt
from typing import Any, ClassVar, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    String,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tipbox.formats.base.limits import CAPSULE

HASH: Final = LargeBinary(32)
ID: Final = LargeBinary(16)
NO_ROWID: Final[dict[str, Any]] = {"sqlite_with_rowid": False}


def _named_blobs(table: str) -> Index:
    """By which a sweep asks whether a row names a blob; most rows name none."""
    named = text("blob IS NOT NULL")
    return Index(f"ix_{table}_blob", "blob", sqlite_where=named, postgresql_where=named)


class Base(DeclarativeBase):
    """The root of the tables."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    __table_args__: Any = NO_ROWID


class Organisation(Base):
    """An organisation that this server knows, with its identity key pinned for good."""

    __tablename__ = "organisation"

    id: Mapped[bytes] = mapped_column(ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)
    identity: Mapped[bytes] = mapped_column(HASH)
    collected: Mapped[dt.date | None] = mapped_column(Date)
    """The last day up to which it has acknowledged everything that came in; never taken back."""
    reply_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Bytes of its replies, in all mailboxes."""


class Server(Base):
    """One row: the id of the server that this database belongs to, once it has keys.

    ``blobs``: the label of the store in which its bodies lie, None until one was labelled (identity.py). ``swept``: the
    day seen on which a bucket was last looked through whole; ``sweep_after``: where one that is under way goes on.
    """

    __tablename__ = "server"
    __table_args__ = (CheckConstraint("one = 1", name="one"), NO_ROWID)

    one: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[bytes] = mapped_column(ID)
    blobs: Mapped[bytes | None] = mapped_column(ID)
    swept: Mapped[int | None]
    sweep_after: Mapped[str | None] = mapped_column(String(64))


class Host(Base):
    """A host of this server, by a hash of its name: what it serves as its site, and on which day seen it said so last.

    ``site``: SHA-256 of its list of served files. ``release``: of its program, whose pages they are.
    """

    __tablename__ = "host"

    id: Mapped[bytes] = mapped_column(ID, primary_key=True)
    site: Mapped[bytes] = mapped_column(HASH)
    release: Mapped[str] = mapped_column(String(64))
    seen_day: Mapped[int]


class Gone(Base):
    """A blob of a bucket that no row names any more, noted with the row that let go of it, until it is removed."""

    __tablename__ = "gone"

    blob: Mapped[str] = mapped_column(String(64), primary_key=True)


class StoredManifest(Base):
    """The key manifest in force of an organisation, as it came, and the highest serial that was ever in force.

    ``data`` is None for an organisation that was removed: its serial stays, so that no revoked manifest comes back.
    """

    __tablename__ = "manifest"

    organisation: Mapped[bytes] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    generation: Mapped[int] = mapped_column(BigInteger)
    number: Mapped[int] = mapped_column(BigInteger)
    data: Mapped[bytes | None]


class StoredVolume(Base):
    """A volume of one of the last two exports to an organisation, without its Envelopes.

    ``day``: on which the export was made. ``listed``: whether couriers are told of it, or only may read on. ``head``:
    all that is needed to make its bytes again.
    """

    __tablename__ = "volume"

    organisation: Mapped[bytes] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[dt.date] = mapped_column(Date)
    listed: Mapped[bool]
    size: Mapped[int] = mapped_column(BigInteger)
    head: Mapped[bytes] = mapped_column(LargeBinary)


class Envelope(Base):
    """A stored Envelope.

    ``hash``: of all but its trailer. ``blob``: where the sealed parts lie, None without a body. ``stamp``: the server's
    signature over hash and day, made by the first export or settle. ``effort``: the class of what was paid for it.
    """

    __tablename__ = "envelope"
    __table_args__ = (_named_blobs("envelope"), NO_ROWID)

    id: Mapped[bytes] = mapped_column(HASH, primary_key=True)
    hash: Mapped[bytes] = mapped_column(HASH)
    day: Mapped[dt.date] = mapped_column(Date)
    seen_day: Mapped[int]
    body_size: Mapped[int] = mapped_column(BigInteger)
    blob: Mapped[str | None] = mapped_column(String(64))
    header: Mapped[bytes] = mapped_column(LargeBinary)
    letter: Mapped[bytes] = mapped_column(LargeBinary)
    trailer: Mapped[bytes] = mapped_column(LargeBinary)
    stamp: Mapped[bytes | None] = mapped_column(LargeBinary(64))
    effort: Mapped[int]


class Slot(Base):
    """One organisation's slot in a stored Envelope, and whether it has acknowledged having carried it."""

    __tablename__ = "slot"
    __table_args__ = (Index(None, "organisation", "acknowledged"), NO_ROWID)

    envelope: Mapped[bytes] = mapped_column(ForeignKey("envelope.id", ondelete="CASCADE"), primary_key=True)
    organisation: Mapped[bytes] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    acknowledged: Mapped[bool] = mapped_column(default=False)


class Draft(Base):
    """An upload in progress.

    ``token``: SHA-256 of the draft token. ``missing``: packed ranges of parts to come. ``effort``: the class of what
    was paid for it. ``ending``: Envelope hash and trailer, where the last piece of a tip came before the others.
    """

    __tablename__ = "draft"

    token: Mapped[bytes] = mapped_column(HASH, primary_key=True)
    day: Mapped[dt.date] = mapped_column(Date)
    seen_day: Mapped[int]
    body_size: Mapped[int] = mapped_column(BigInteger)
    received: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[bytes] = mapped_column(HASH)
    missing: Mapped[bytes] = mapped_column(LargeBinary)
    effort: Mapped[int] = mapped_column(server_default="0")
    ending: Mapped[bytes | None] = mapped_column(LargeBinary)


class DraftLetter(Base):
    """Header and letter of a draft; apart, because the draft's row is written again with every run."""

    __tablename__ = "draft_letter"

    draft: Mapped[bytes] = mapped_column(ForeignKey("draft.token", ondelete="CASCADE"), primary_key=True)
    header: Mapped[bytes] = mapped_column(LargeBinary)
    letter: Mapped[bytes] = mapped_column(LargeBinary)


class Capsule(Base):
    """What lies beside a draft, so that an access code can continue it; random bytes where its source did not ask.

    ``place``: SHA-256 of a place token. It comes and goes with its draft, and is never written again.
    """

    __tablename__ = "capsule"

    draft: Mapped[bytes] = mapped_column(ForeignKey("draft.token", ondelete="CASCADE"), primary_key=True)
    place: Mapped[bytes] = mapped_column(HASH, unique=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary(CAPSULE))


class Run(Base):
    """Consecutive parts that came in one request. ``skip``: bytes of the blob before the first of them."""

    __tablename__ = "run"
    __table_args__ = (Index(None, "blob"), NO_ROWID)

    draft: Mapped[bytes] = mapped_column(ForeignKey("draft.token", ondelete="CASCADE"), primary_key=True)
    first: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int]
    skip: Mapped[int]
    blob: Mapped[str] = mapped_column(String(64))
    hashes: Mapped[bytes] = mapped_column(LargeBinary)
    nonces: Mapped[bytes] = mapped_column(LargeBinary)
    """The session nonce of each part."""


class FinishedToken(Base):
    """A draft token whose Envelope is stored, for seven days; not which Envelope."""

    __tablename__ = "finished"

    token: Mapped[bytes] = mapped_column(HASH, primary_key=True)
    day: Mapped[dt.date] = mapped_column(Date)
    seen_day: Mapped[int]


class Reply(Base):
    """A reply in a mailbox, by the mailbox's address and the Envelope's id; a mailbox is nothing else than its replies.

    ``entry``: its line of the list, as it travels. ``blob``: where those bytes of the Envelope lie that are not in the
    row of its opening.
    """

    __tablename__ = "reply"
    __table_args__ = (Index(None, "seen_day"), _named_blobs("reply"), NO_ROWID)

    mailbox: Mapped[bytes] = mapped_column(HASH, primary_key=True)
    id: Mapped[bytes] = mapped_column(HASH, primary_key=True)
    organisation: Mapped[bytes] = mapped_column(ForeignKey("organisation.id"))
    day: Mapped[dt.date] = mapped_column(Date)
    seen_day: Mapped[int]
    size: Mapped[int] = mapped_column(BigInteger)
    entry: Mapped[bytes] = mapped_column(LargeBinary(52))
    blob: Mapped[str | None] = mapped_column(String(64))


class ReplyOpening(Base):
    """Header and letter of a reply, when a list can hold them; apart, so that looking through replies reads little."""

    __tablename__ = "reply_opening"
    __table_args__ = (
        ForeignKeyConstraint(["mailbox", "id"], ["reply.mailbox", "reply.id"], ondelete="CASCADE"),
        NO_ROWID,
    )

    mailbox: Mapped[bytes] = mapped_column(HASH, primary_key=True)
    id: Mapped[bytes] = mapped_column(HASH, primary_key=True)
    opening: Mapped[bytes] = mapped_column(LargeBinary)


class Decoy(Base):
    """Lines of no mailbox: read to make up for the replies that a mailbox has not, so that each costs the same."""

    __tablename__ = "decoy"

    id: Mapped[bytes] = mapped_column(HASH, primary_key=True)
    day: Mapped[dt.date] = mapped_column(Date)
    entry: Mapped[bytes] = mapped_column(LargeBinary(52))


class DecoyOpening(Base):
    """Random bytes, as many as the smallest header and letter: read like Decoy."""

    __tablename__ = "decoy_opening"

    id: Mapped[bytes] = mapped_column(HASH, primary_key=True)
    opening: Mapped[bytes] = mapped_column(LargeBinary)


class Deposit(Base):
    """A reply item that was taken, by its hash, so that it does not come back after it was deleted."""

    __tablename__ = "deposit"
    __table_args__ = (Index(None, "seen_day"), NO_ROWID)

    item: Mapped[bytes] = mapped_column(HASH, primary_key=True)
    seen_day: Mapped[int]


class Series(Base):
    """The last sequence of the Bundles to an organisation."""

    __tablename__ = "series"

    organisation: Mapped[bytes] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    direction: Mapped[int] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)


class InwardBundle(Base):
    """An inward Bundle that was taken in whole, by its sequence and volume.

    ``header``: SHA-256 of its header; another one under the same number is not read. ``index``: SHA-256 of its index as
    it was read, which the desk compares with its own. ``second``: the day on which another one came last.
    """

    __tablename__ = "inward"

    organisation: Mapped[bytes] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    volume: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    header: Mapped[bytes] = mapped_column(HASH)
    index: Mapped[bytes] = mapped_column(HASH)
    second: Mapped[dt.date | None] = mapped_column(Date)


class CustodyHead(Base):
    """The newest head that an organisation's desk sent, and the server's stamp over it."""

    __tablename__ = "head"

    organisation: Mapped[bytes] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    head: Mapped[bytes] = mapped_column(HASH)
    day: Mapped[dt.date] = mapped_column(Date)
    stamp: Mapped[bytes] = mapped_column(LargeBinary(64))


class RefusedItem(Base):
    """An item of an inward Bundle that could not be taken, until it is."""

    __tablename__ = "refused_item"

    organisation: Mapped[bytes] = mapped_column(ForeignKey("organisation.id"), primary_key=True)
    item: Mapped[bytes] = mapped_column(HASH, primary_key=True)
    code: Mapped[str] = mapped_column(String(32))


class DayCount(Base):
    """What a day has taken in: Envelopes, bytes of bodies, and bytes of long letters."""

    __tablename__ = "day_count"

    day: Mapped[dt.date] = mapped_column(Date, primary_key=True)
    letters: Mapped[int]
    body_bytes: Mapped[int] = mapped_column(BigInteger)
    long_letter_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")


class Ledger(Base):
    """One row: the clock (last day seen, days seen, whether it waits for the operator), bytes of bodies and of replies.

    ``stir``: a random number, written anew by each request to delete, so that one that finds nothing writes as well.
    """

    __tablename__ = "ledger"
    __table_args__ = (CheckConstraint("id = 1", name="one"), NO_ROWID)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last_day: Mapped[dt.date] = mapped_column(Date)
    days_seen: Mapped[int]
    held: Mapped[bool]
    body_bytes: Mapped[int] = mapped_column(BigInteger)
    reply_bytes: Mapped[int] = mapped_column(BigInteger)
    stir: Mapped[int] = mapped_column(BigInteger)
