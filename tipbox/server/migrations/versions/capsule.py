"""What lies beside each draft, so that an access code can continue it."""

from __future__ import annotations

import os

import sqlalchemy as sa
from alembic import op

revision = "capsule"
down_revision = "ending"
_CAPSULE = 1204
_HASH = 32


def upgrade() -> None:
    """Drafts that are open have random bytes, as all whose sources do not ask.

    A host of the release before opens drafts without a capsule while it goes on beside this one.
    """
    table = op.create_table(
        "capsule",
        sa.Column("draft", sa.LargeBinary(length=_HASH), nullable=False),
        sa.Column("place", sa.LargeBinary(length=_HASH), nullable=False),
        sa.Column("sealed", sa.LargeBinary(length=_CAPSULE), nullable=False),
        sa.ForeignKeyConstraint(["draft"], ["draft.token"], name=op.f("fk_capsule_draft"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("draft", name=op.f("pk_capsule")),
        sa.UniqueConstraint("place", name=op.f("uq_capsule_place")),
        sqlite_with_rowid=False,
    )
    drafts = op.get_bind().execute(sa.text("SELECT token FROM draft")).scalars().all()
    op.bulk_insert(
        table,
        [{"draft": bytes(token), "place": os.urandom(_HASH), "sealed": os.urandom(_CAPSULE)} for token in drafts],
    )


def downgrade() -> None:
    """As before."""
    op.drop_table("capsule")
