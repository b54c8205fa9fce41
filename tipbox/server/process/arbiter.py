"""The master process: gunicorn, with every setting made here and none read from its own files or environment.

Runs as ``python -m tipbox.server.process`` in a fresh interpreter, where gevent has made the standard library wait
without blocking before anything was loaded. The application is loaded here, before the fork: a worker that has to be
replaced is there at once, and what was loaded lies in memory once for all.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
from pathlib import Path
from typing import Any, Final

from gunicorn.app.base import BaseApplication

from tipbox.server.config import NO_BIND, Config, load
from tipbox.server.home import Home
from tipbox.server.served_files import ServedFiles
from tipbox.server.storage.database import make_engine
from tipbox.server.storage.executors import WorkerThreads
from tipbox.server.uploads.cells import Cells
from tipbox.server.web.app import create_app
from tipbox.server.web.courier_api import create_courier_app

GRACE_SECONDS: Final = 15
SILENT_SECONDS: Final = 120
"""A worker whose loop stands still for this long is replaced."""
BACKLOG: Final = 4096
MINUTE: Final = 60
SOCKET_UMASK: Final = 0o117
"""Unix sockets are for the owner and its group: Tor's user is in it."""
FILES_PER_CONNECTION: Final = 2
"""Its socket, and the file that its request is written to."""
SPARE_FILES: Final = 128
"""For listeners, the database and its log, manifests, and whatever a request opens for a moment."""


def is_unix(bind: str) -> bool:
    """Whether a bind is a unix socket."""
    return bind.startswith("unix:")


class Master(BaseApplication):  # type: ignore[misc]
    """gunicorn with tipbox's settings."""

    def __init__(self, home: Path, binds: list[str]) -> None:
        self._home = Home(home)
        self._sources, self._couriers = binds[0], binds[1:]
        self._config: Config = load(home)
        # Before the fork: one memory for all workers, those that come after others have died too.
        self.cells = Cells(self._home.spool)
        # The same: a file that is changed later must not make one worker serve other bytes than the next.
        self._served = ServedFiles.load(self._home)
        if self._plain_binds():
            # Only where it is asked for, and before the fork, as everything that is loaded.
            from tipbox.server.plain.plain_app import create_plain_app

            self._create_plain = create_plain_app
        super().__init__()

    def load_config(self) -> None:
        """Every setting that matters; gunicorn reads no file and no environment variable of its own."""
        settings: dict[str, Any] = {
            "bind": [*self._source_binds(), *self._plain_binds(), *self._couriers],
            "worker_class": "tipbox.server.process.worker.Worker",
            "workers": self._config.server.workers,
            "worker_connections": _raise_file_limit(self._config.server.connections),
            "timeout": SILENT_SECONDS,
            "graceful_timeout": GRACE_SECONDS,
            "backlog": BACKLOG,
            "umask": SOCKET_UMASK,
            # The worker reads Tor's line itself, before anything is parsed.
            "proxy_protocol": "off",
            # Nothing but Tor stands before it: what a request says of a proxy is its visitor's claim.
            "forwarded_allow_ips": "",
            "secure_scheme_headers": {},
            # On a unix socket gunicorn takes everybody for a proxy: a visitor would set the path of the application.
            "forwarder_headers": "",
            # Small: each connection may hold this much before anything of it is checked.
            "limit_request_line": 1024,
            "limit_request_fields": 40,
            "limit_request_field_size": 2048,
            "accesslog": None,
            "errorlog": "-",
            "loglevel": "info",
            "logger_class": "tipbox.server.process.gunicorn_log.Logger",
            "control_socket_disable": True,
            # Workers show there that they live; on a slow disk that would block their loops.
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else str(self._home.spool),  # noqa: S108
            "proc_name": "tipbox",
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> None:
        """Applications are loaded by listeners(), one for each bind."""

    def listeners(self) -> list[tuple[Any, bool]]:
        """In a worker: each bind's application, and whether it demands Tor's circuit line."""
        # Looking for what requests left passes over what was imported. Not over what is made from here on: a pool of
        # connections, and what lies in them, would never be given up.
        gc.collect()
        gc.freeze()
        # One for all applications of a worker, and made after the fork, which no thread survives.
        threads = WorkerThreads()
        # The same: connections to the database are few, and each host has some.
        engine = make_engine(self._home, self._config)
        listeners: list[tuple[Any, bool]] = []
        for bind in self._source_binds():
            demands = is_unix(bind) or self._config.server.proxy_protocol == "on"
            app = create_app(
                self._home, self._config, threads=threads, cells=self.cells, engine=engine, served=self._served
            )
            listeners.append((app, demands))
        for bind in self._plain_binds():
            demands = is_unix(bind) or self._config.server.proxy_protocol == "on"
            plain = self._create_plain(
                self._home, self._config, threads=threads, cells=self.cells, engine=engine, served=self._served
            )
            listeners.append((plain, demands))
        if self._couriers:
            couriers = create_courier_app(self._home, self._config, threads=threads, engine=engine)
            listeners.append((couriers, False))
        return listeners

    def turns_per_second(self) -> float:
        """Requests of all kinds, and of none, that a worker takes of one circuit: as many as its budgets allow.

        Each worker counts by itself, so each takes its share.
        """
        return self._config.limits.per_minute / MINUTE / self._config.server.workers

    def _source_binds(self) -> list[str]:
        return [] if self._sources == NO_BIND else [self._sources]

    def _plain_binds(self) -> list[str]:
        """Of the form that needs no script: strangers reach it, so it is beside the sources' bind or nowhere."""
        bind = self._config.plain.bind
        return [bind] if bind and self._source_binds() else []


def _raise_file_limit(connections: int) -> int:
    """Ask for enough open files; the number of connections that they allow."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_PER_CONNECTION * connections + SPARE_FILES
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    return min(connections, (granted - SPARE_FILES) // FILES_PER_CONNECTION)


def main() -> None:
    """``HOME BIND|- [COURIER_BIND]``."""
    home, *binds = sys.argv[1:]
    os.umask(Home(Path(home)).umask)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # memory of a worker never becomes a file
    # What was loaded is for good: no worker looks through it for garbage, which would also copy it.
    gc.collect()
    gc.freeze()
    Master(Path(home), binds).run()
