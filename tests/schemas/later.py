"""A revision after the last one, for tests of upgrades only: it changes a table, makes another, and fills it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "later"
down_revision = "capsule"


def upgrade() -> None:
    """A column for each Envelope, and a table with a row for each of them."""
    op.add_column("envelope", sa.Column("later", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "later",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_later")),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO later (id) SELECT id FROM envelope")
    op.execute("UPDATE envelope SET later = 1")


def downgrade() -> None:
    """As before."""
    op.drop_table("later")
    op.drop_column("envelope", "later")
