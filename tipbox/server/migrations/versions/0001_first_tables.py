"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tipbox.formats.base import days

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables, and the ledger's one row."""
    op.create_table(
        "day_count",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("letters", sa.Integer(), nullable=False),
        sa.Column("body_bytes", sa.BigInteger(), nullable=False),
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
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("seen_day", sa.Integer(), nullable=False),
        sa.Column("body_size", sa.BigInteger(), nullable=False),
        sa.Column("blob", sa.String(length=64), nullable=True),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.Column("letter", sa.LargeBinary(), nullable=False),
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
        sa.CheckConstraint("id = 1", name=op.f("ck_ledger_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "organisation",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("identity", sa.LargeBinary(length=32), nullable=False),
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
        sa.ForeignKeyConstraint(["organisation"], ["organisation.id"], name=op.f("fk_inward_organisation")),
        sa.PrimaryKeyConstraint("organisation", "sequence", name=op.f("pk_inward")),
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
    ledger = sa.table(
        "ledger",
        sa.column("id", sa.Integer()),
        sa.column("last_day", sa.Date()),
        sa.column("days_seen", sa.Integer()),
        sa.column("held", sa.Boolean()),
        sa.column("body_bytes", sa.BigInteger()),
    )
    op.bulk_insert(ledger, [{"id": 1, "last_day": days.today(), "days_seen": 0, "held": False, "body_bytes": 0}])


def downgrade() -> None:
    """Drop the tables."""
    for table in (
        "slot",
        "series",
        "run",
        "refused_item",
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
