"""How an upload ends, where its last piece came before the others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "ending"
down_revision = "outbox"


def upgrade() -> None:
    """Nobody has said it of the uploads that are open: who began them says it at the end."""
    op.add_column("draft", sa.Column("ending", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """As before."""
    op.drop_column("draft", "ending")
