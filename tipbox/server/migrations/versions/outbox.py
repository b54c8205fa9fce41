"""Blobs that are to be removed from a bucket, how far it was looked through, and what each host serves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "outbox"
down_revision = "effort"


def upgrade() -> None:
    """A host of the release before notes nothing here: what it leaves in the bucket, the weekly sweep finds."""
    op.create_table(
        "gone",
        sa.Column("blob", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("blob", name=op.f("pk_gone")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "host",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("site", sa.LargeBinary(length=32), nullable=False),
        sa.Column("release", sa.String(length=64), nullable=False),
        sa.Column("seen_day", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_host")),
        sqlite_with_rowid=False,
    )
    op.add_column("server", sa.Column("swept", sa.Integer(), nullable=True))
    op.add_column("server", sa.Column("sweep_after", sa.String(length=64), nullable=True))
    named = sa.text("blob IS NOT NULL")
    for table in ("envelope", "reply"):
        op.create_index(op.f(f"ix_{table}_blob"), table, ["blob"], sqlite_where=named, postgresql_where=named)


def downgrade() -> None:
    """As before."""
    for table in ("reply", "envelope"):
        op.drop_index(op.f(f"ix_{table}_blob"), table_name=table)
    op.drop_column("server", "sweep_after")
    op.drop_column("server", "swept")
    op.drop_table("host")
    op.drop_table("gone")
