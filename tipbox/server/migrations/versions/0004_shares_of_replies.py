"""Bytes of each organisation's replies, which have a share each; which inward Bundle had a sequence."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the count, filled from what is stored, and the hash."""
    op.add_column("organisation", sa.Column("reply_bytes", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE organisation SET reply_bytes = "
        "(SELECT COALESCE(SUM(size), 0) FROM reply WHERE reply.organisation = organisation.id)"
    )
    op.add_column("inward", sa.Column("header", sa.LargeBinary(length=32), nullable=True))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("inward", "header")
    op.drop_column("organisation", "reply_bytes")
