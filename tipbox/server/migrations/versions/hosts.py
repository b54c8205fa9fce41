"""What several hosts share: which server it is, the key manifests, and the present exports."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "hosts"
down_revision = "first"


def upgrade() -> None:
    """Make the tables; the next start fills them from HOME."""
    op.create_table(
        "server",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("blobs", sa.LargeBinary(length=16), nullable=True),
        sa.CheckConstraint("one = 1", name=op.f("ck_server_one")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_server")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "manifest",
        sa.Column("organisation", sa.LargeBinary(length=16), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["organisation"], ["organisation.id"], name=op.f("fk_manifest_organisation")),
        sa.PrimaryKeyConstraint("organisation", name=op.f("pk_manifest")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "volume",
        sa.Column("organisation", sa.LargeBinary(length=16), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["organisation"], ["organisation.id"], name=op.f("fk_volume_organisation")),
        sa.PrimaryKeyConstraint("organisation", "sequence", "number", name=op.f("pk_volume")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("volume", "manifest", "server"):
        op.drop_table(table)
