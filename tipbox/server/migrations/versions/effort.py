"""The class of what was paid for an upload with files, from its opening to its end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "effort"
down_revision = "hosts"


def upgrade() -> None:
    """Uploads that are open were begun without a price, as far as anybody knows."""
    op.add_column("draft", sa.Column("effort", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    """As before."""
    op.drop_column("draft", "effort")
