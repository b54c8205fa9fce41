"""The first tables."""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa
from alembic import op

from tipbox.formats.base import days
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.mailbox_list import Entry

revision = "first"  # what came before the formats of now had numbers, and is refused (storage/database.py)
down_revision = None

_DAY = date(2026, 1, 1)
_DECOYS = 512
_DECOY_OPENINGS = 7
_OPENING = 8_328


def upgrade() -> None:
    """Make the tables, and the ledger's one row."""
    op.create_table(
        "day_count",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("letters", sa.Integer(), nullable=False),
        sa.Column("body_bytes", sa.BigInteger(), nullable=False),
        sa.Column("long_letter_bytes", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_day_count")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "draft",
        sa.Column("token", sa.LargeBinary(length=32), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("seen_day", sa.Integer(), nullable=False),
        sa.Column("body_size", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("missing", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_draft")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "envelope",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("seen_day", sa.Integer(), nullable=False),
        sa.Column("body_size", sa.BigInteger(), nullable=False),
        sa.Column("blob", sa.String(length=64), nullable=True),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.Column("letter", sa.LargeBinary(), nullable=False),
        sa.Column("trailer", sa.LargeBinary(), nullable=False),
        sa.Column("stamp", sa.LargeBinary(length=64), nullable=True),
        sa.Column("effort", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_envelope")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "finished",
        sa.Column("token", sa.LargeBinary(length=32), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("seen_day", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_finished")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("days_seen", sa.Integer(), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("body_bytes", sa.BigInteger(), nullable=False),
        sa.Column("reply_bytes", sa.BigInteger(), nullable=False),
        sa.Column("stir", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_ledger_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "organisation",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("identity", sa.LargeBinary(length=32), nullable=False),
        sa.Column("collected", sa.Date(), nullable=True),
        sa.Column("reply_bytes", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organisation")),
        sa.UniqueConstraint("name", name=op.f("uq_organisation_name")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "draft_letter",
        sa.Column("draft", sa.LargeBinary(length=32), nullable=False),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.Column("letter", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["draft"], ["draft.token"], name=op.f("fk_draft_letter_draft"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("draft", name=op.f("pk_draft_letter")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "inward",
        sa.Column("organisation", sa.LargeBinary(length=16), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("volume", sa.BigInteger(), nullable=False),
        sa.Column("header", sa.LargeBinary(length=32), nullable=False),
        sa.Column("index", sa.LargeBinary(length=32), nullable=False),
        sa.Column("second", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(["organisation"], ["organisation.id"], name=op.f("fk_inward_organisation")),
        sa.PrimaryKeyConstraint("organisation", "sequence", "volume", name=op.f("pk_inward")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "head",
        sa.Column("organisation", sa.LargeBinary(length=16), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(length=32), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("stamp", sa.LargeBinary(length=64), nullable=False),
        sa.ForeignKeyConstraint(["organisation"], ["organisation.id"], name=op.f("fk_head_organisation")),
        sa.PrimaryKeyConstraint("organisation", name=op.f("pk_head")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "refused_item",
        sa.Column("organisation", sa.LargeBinary(length=16), nullable=False),
        sa.Column("item", sa.LargeBinary(length=32), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["organisation"], ["organisation.id"], name=op.f("fk_refused_item_organisation")),
        sa.PrimaryKeyConstraint("organisation", "item", name=op.f("pk_refused_item")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run",
        sa.Column("draft", sa.LargeBinary(length=32), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("skip", sa.Integer(), nullable=False),
        sa.Column("blob", sa.String(length=64), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.Column("nonces", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["draft"], ["draft.token"], name=op.f("fk_run_draft"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("draft", "first", name=op.f("pk_run")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_run_blob"), "run", ["blob"], unique=False)
    op.create_table(
        "series",
        sa.Column("organisation", sa.LargeBinary(length=16), nullable=False),
        sa.Column("direction", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["organisation"], ["organisation.id"], name=op.f("fk_series_organisation")),
        sa.PrimaryKeyConstraint("organisation", "direction", name=op.f("pk_series")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "slot",
        sa.Column("envelope", sa.LargeBinary(length=32), nullable=False),
        sa.Column("organisation", sa.LargeBinary(length=16), nullable=False),
        sa.Column("acknowledged", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["envelope"], ["envelope.id"], name=op.f("fk_slot_envelope"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["organisation"], ["organisation.id"], name=op.f("fk_slot_organisation")),
        sa.PrimaryKeyConstraint("envelope", "organisation", name=op.f("pk_slot")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_slot_organisation_acknowledged"), "slot", ["organisation", "acknowledged"], unique=False)
    _create_mailboxes()
    ledger = sa.table(
        "ledger",
        *(sa.column(name) for name in ("id", "days_seen", "held", "body_bytes", "reply_bytes", "stir")),
        sa.column("last_day", sa.Date()),
    )
    row = {"id": 1, "days_seen": 0, "held": False, "body_bytes": 0, "reply_bytes": 0, "stir": 0}
    op.bulk_insert(ledger, [{**row, "last_day": days.today()}])


def _create_mailboxes() -> None:
    op.create_table(
        "reply",
        sa.Column("mailbox", sa.LargeBinary(length=32), nullable=False),
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("organisation", sa.LargeBinary(length=16), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("seen_day", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("entry", sa.LargeBinary(length=52), nullable=False),
        sa.Column("blob", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["organisation"], ["organisation.id"], name=op.f("fk_reply_organisation")),
        sa.PrimaryKeyConstraint("mailbox", "id", name=op.f("pk_reply")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_reply_seen_day"), "reply", ["seen_day"], unique=False)
    op.create_table(
        "reply_opening",
        sa.Column("mailbox", sa.LargeBinary(length=32), nullable=False),
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("opening", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox", "id"],
            ["reply.mailbox", "reply.id"],
            name=op.f("fk_reply_opening_mailbox"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("mailbox", "id", name=op.f("pk_reply_opening")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "deposit",
        sa.Column("item", sa.LargeBinary(length=32), nullable=False),
        sa.Column("seen_day", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("item", name=op.f("pk_deposit")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_deposit_seen_day"), "deposit", ["seen_day"], unique=False)
    decoy = op.create_table(
        "decoy",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("entry", sa.LargeBinary(length=52), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decoy")),
        sqlite_with_rowid=False,
    )
    decoy_opening = op.create_table(
        "decoy_opening",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("opening", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decoy_opening")),
        sqlite_with_rowid=False,
    )
    entries = [Entry(number.to_bytes(32), _DAY, _OPENING, _OPENING) for number in range(1, _DECOYS + 1)]
    op.bulk_insert(decoy, [{"id": entry.id, "day": entry.day, "entry": entry.encode()} for entry in entries])
    op.bulk_insert(
        decoy_opening, [{"id": entry.id, "opening": random_bytes(_OPENING)} for entry in entries[:_DECOY_OPENINGS]]
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in (
        "decoy_opening",
        "decoy",
        "deposit",
        "reply_opening",
        "reply",
        "slot",
        "series",
        "run",
        "refused_item",
        "head",
        "inward",
        "draft_letter",
        "organisation",
        "ledger",
        "finished",
        "envelope",
        "draft",
        "day_count",
    ):
        op.drop_table(table)
