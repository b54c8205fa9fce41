"""A server's folder, opened by a command beside the running server, or by a worker of it for as long as that lives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sqlalchemy import Engine

from tipbox.server.config import Config, load
from tipbox.server.credentials import SERVER_KEY
from tipbox.server.home import Home, ServerKeys, load_server_keys
from tipbox.server.storage import identity
from tipbox.server.storage.blobs import BlobStore, open_blobs
from tipbox.server.storage.clock import Calendar, must_agree
from tipbox.server.storage.database import make_engine, must_be_current
from tipbox.server.storage.database_errors import explained
from tipbox.server.storage.transactions import Store


@dataclass(frozen=True)
class OpenServer:
    """What a command needs of HOME."""

    home: Home
    config: Config
    store: Store
    blobs: BlobStore
    keys: ServerKeys

    def today(self) -> date:
        """The day, UTC, by the clock that all hosts share."""
        return Calendar(self.store)()


class WorkerServer:
    """The server as a worker has it: on the one engine of that worker, so that requests open no connections.

    Its schema may be newer than this program. It was not when the worker started; since then another host may have been
    upgraded, and what one release adds, the release before it leaves alone.
    """

    def __init__(self, home: Home, config: Config, engine: Engine) -> None:
        self._home = home
        self._config = config
        self._store = Store(engine)
        self._blobs = open_blobs(home, config.blobs)

    @contextmanager
    def opened(self) -> Iterator[OpenServer]:
        """For one request.

        Raises:
            NotFound: no server has run there.
            TipboxError: the keys or the database are not right.
        """
        self._home.must_exist()
        with explained("using the database"):
            yield OpenServer(self._home, self._config, self._store, self._blobs, load_server_keys(self._home))


@contextmanager
def open_server(path: Path, credentials: Path | None = None) -> Iterator[OpenServer]:
    """The server in ``path``.

    Args:
        path: the server's folder.
        credentials: where the server's keys are, for a user who cannot read them there.

    Raises:
        NotFound: no server has run there.
        TipboxError: the configuration, the keys or the database are not right.
    """
    home = Home(path)
    os.umask(home.umask)
    home.must_exist()
    config = load(path)
    keys = credentials / SERVER_KEY if credentials is not None else home.server_key
    engine = make_engine(home, config)
    try:
        # A command never migrates: a server of the version that is there may be running.
        must_be_current(engine)
        server = OpenServer(home, config, Store(engine), open_blobs(home, config.blobs), load_server_keys(home, keys))
        with explained("using the database"):
            must_agree(server.store)
            identity.must_be_of(server.store, server.keys, home)
            yield server
    finally:
        engine.dispose()
