"""Alembic's entry: runs on the connection that tipbox.server.storage.database.migrate opened."""

from __future__ import annotations

from alembic import context

from tipbox.server.storage.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
