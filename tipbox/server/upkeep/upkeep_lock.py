"""What settles, backs up or restores does so alone: one such command at a time on all hosts, beside running servers."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Final

from tipbox.files.lock import exclusive
from tipbox.server.home import Home
from tipbox.server.storage.open_server import OpenServer
from tipbox.server.storage.transactions import Store

_NUMBER: Final = 0x7469_7062_6F78_0002
"""Of PostgreSQL's advisory lock; nothing else of tipbox has it."""

_TIDYING: Final = 0x7469_7062_6F78_0003
"""The same."""


def alone(server: OpenServer) -> AbstractContextManager[None]:
    """Wait for the other command, also one of another host on the same database, then keep others out."""
    return alone_on(server.store, alone_here(server.home))


def tidying(server: OpenServer) -> AbstractContextManager[None]:
    """The same for what removes blobs; a backup does not wait for it, nor it for a backup."""
    return server.store.one_at_a_time(_TIDYING, nullcontext())


def alone_on(store: Store, here: AbstractContextManager[None]) -> AbstractContextManager[None]:
    """The same where the database has no server's rows yet; ``here``: what keeps out others of this host."""
    return store.one_at_a_time(_NUMBER, here)


def alone_here(home: Home) -> AbstractContextManager[None]:
    """The same on this host only."""
    return exclusive(home.upkeep, mode=home.file_mode)
