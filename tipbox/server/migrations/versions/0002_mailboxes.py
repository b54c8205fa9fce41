"""Mailboxes: replies, what was deposited, and up to which day each organisation has collected everything."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

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
        sa.Column("opening_size", sa.Integer(), nullable=False),
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
    op.add_column("organisation", sa.Column("collected", sa.Date(), nullable=True))
    op.add_column("ledger", sa.Column("reply_bytes", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("ledger", sa.Column("stir", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Take them back."""
    op.drop_column("ledger", "stir")
    op.drop_column("ledger", "reply_bytes")
    op.drop_column("organisation", "collected")
    for table in ("deposit", "reply_opening", "reply"):
        op.drop_table(table)
