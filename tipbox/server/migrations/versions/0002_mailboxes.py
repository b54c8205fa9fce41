"""Mailboxes: replies, what was deposited, and up to which day each organisation has collected everything."""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa
from alembic import op

from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.mailbox_list import Entry

_DAY = date(2026, 1, 1)
_DECOYS = 512
_DECOY_OPENINGS = 6
_OPENING = 9_560

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables and columns."""
    op.create_table(
        "reply",
        sa.Column("mailbox", sa.LargeBinary(length=32), nullable=False),
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("organisation", sa.LargeBinary(length=16), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("seen_day", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("entry", sa.LargeBinary(length=48), nullable=False),
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
        sa.Column("entry", sa.LargeBinary(length=48), nullable=False),
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
    op.bulk_insert(decoy, [{"id": one.id, "day": one.day, "entry": one.encode()} for one in entries])
    op.bulk_insert(
        decoy_opening, [{"id": one.id, "opening": random_bytes(_OPENING)} for one in entries[:_DECOY_OPENINGS]]
    )
    op.add_column("organisation", sa.Column("collected", sa.Date(), nullable=True))
    op.add_column("ledger", sa.Column("reply_bytes", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("ledger", sa.Column("stir", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Take them back."""
    op.drop_column("ledger", "stir")
    op.drop_column("ledger", "reply_bytes")
    op.drop_column("organisation", "collected")
    for table in ("decoy_opening", "decoy", "deposit", "reply_opening", "reply"):
        op.drop_table(table)
