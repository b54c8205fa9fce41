"""Starting the server: make HOME, migrate, take newer manifests, sweep, become the master."""

from __future__ import annotations

import errno
import os
import socket
import sys
from datetime import date
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NoReturn

from tipbox.errors import InputRefused, Usage
from tipbox.server.config import NO_BIND, Config, load
from tipbox.server.home import Home
from tipbox.server.served_files import ServedFiles
from tipbox.server.storage.blobs import open_blobs
from tipbox.server.storage.clock import Calendar, must_agree, tick
from tipbox.server.storage.database import make_engine, make_file, migrate
from tipbox.server.storage.database_errors import explained
from tipbox.server.storage.decoys import refill
from tipbox.server.storage.identity import claim, claim_blobs, must_be_empty
from tipbox.server.storage.organisations import adopt_folder, left_out, must_list_the_pinned, take_over_folder
from tipbox.server.storage.sweep import sweep_if_few
from tipbox.server.storage.transactions import Store
from tipbox.server.upkeep.hosts import note_site

_ANSWERS_SECONDS: Final = 1.0
OVERWRITE_FREED: Final = {
    "MALLOC_PERTURB_": "165",
    "MALLOC_ARENA_MAX": "2",
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
    "PYTHONMALLOC": "malloc",
}
"""Memory that the workers free is overwritten by the allocator, also that of small objects, which Python would keep in
pools of its own: what was read, a token among it, is not found there later. glibc's threads each keep the last blocks
that they freed without overwriting them, so they keep none."""


def prepare_server(home: Path, keys: Path, *, today: date | None = None) -> Config:
    """Make and migrate HOME and take each manifest of ``keys`` whose serial is higher.

    Args:
        home: the server's folder.
        keys: a folder of Key manifests.
        today: the day, UTC.

    Raises:
        TipboxError: the configuration, the database or a manifest is not right; the sentence says which.
    """
    folder = Home(home)
    # First: to make what is missing would hide that a restore was cut off.
    folder.must_be_whole()
    os.umask(folder.umask)
    config = load(home)
    served = ServedFiles.load(folder)
    folder.make()
    blobs = open_blobs(folder, config.blobs)
    if not config.database.url.get_secret_value():
        # Asked first: another process may be making both, and the keys come last.
        has_run = folder.server_key.exists()
        if not folder.database.exists():
            if has_run:
                raise InputRefused(
                    f"opening {folder.database}: the database is gone, and the server's keys are here; restore the "
                    "backup, or name in database.url the database that it uses. A new server begins in an empty folder"
                )
            must_be_empty(blobs)
        make_file(folder)
    engine = make_engine(folder, config)
    try:
        store = Store(engine)
        with explained("opening the database"):
            must_agree(store)
        with explained("using the database"):
            migrate(engine)
            claim(folder, store, blobs)
            claim_blobs(store, blobs)
            day = today or Calendar(store)()
            store.write(refill)
            take_over_folder(folder, store, day)
            # Before anything is served: sources must not seal to a manifest that the operator has replaced.
            adopt_folder(folder, store, keys, day)
            if served.site is not None:
                must_list_the_pinned(store, served.site)
            for name in left_out(store, keys):
                sys.stderr.write(
                    f"tipbox: {name} was removed from this server, so its key manifest in {keys} is not taken; "
                    "take the file away, or ask the organisation for a newer one\n"
                )
            # A start counts as a day seen, also when no request follows.
            store.write(lambda connection: tick(connection, day))
            note_site(store, served, config.server.language)
            # What a crash left between a durable file and its row; running uploads hold locks.
            sweep_if_few(store, blobs)
    finally:
        engine.dispose()
    return config


def run_server(home: Path, keys: Path, bind: str, courier_bind: str | None = None) -> NoReturn:
    """Prepare, then become the server's master process. Returns only by an error.

    Args:
        home: the server's folder; made when missing.
        keys: a folder of Key manifests.
        bind: ``HOST:PORT`` or ``unix:PATH``; on a unix socket Tor's circuit line is demanded.
        courier_bind: ``unix:PATH`` of the couriers' socket.

    Raises:
        TipboxError: see ``prepare_server``; Usage for a bind that cannot be.
    """
    binds = [_check_bind(bind)]
    if courier_bind is not None:
        binds.append(_check_courier_bind(courier_bind))
    if plain := load(home).plain.bind:
        _check_free(_check_bind(plain, "plain.bind"))
    for bound in binds:
        _check_free(bound)
    prepare_server(home, keys)
    _become_master(home, binds)


def run_courier(home: Path, keys: Path, bind: str) -> NoReturn:
    """As ``run_server``, for a process that serves the couriers and nobody else: it can have a user of its own.

    Args:
        home: the server's folder; setgid and of a group that both processes are in, unless they share a user.
        keys: a folder of Key manifests.
        bind: ``unix:PATH``.

    Raises:
        TipboxError: see ``run_server``.
    """
    checked = _check_courier_bind(bind)
    _check_free(checked)
    prepare_server(home, keys)
    _become_master(home, [NO_BIND, checked])


def master(home: Path, binds: list[str]) -> tuple[list[str], dict[str, str]]:
    """The command of the server's master process and its environment, for a prepared HOME and binds that can be."""
    command = [sys.executable, "-m", "tipbox.server.process", str(home.resolve()), *binds]
    return command, {**os.environ, **OVERWRITE_FREED}


def _become_master(home: Path, binds: list[str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    # A new interpreter: gevent patches before anything is loaded, and the allocator reads its settings.
    command, environment = master(home, binds)
    os.execve(sys.executable, command, environment)  # noqa: S606


def _check_courier_bind(bind: str) -> str:
    if not bind.startswith("unix:"):
        raise Usage("starting the server: couriers' binds take unix:PATH only")
    return _check_bind(bind)


def _check_bind(bind: str, named: str = "--bind") -> str:
    if bind.startswith("unix:"):
        path = Path(bind.removeprefix("unix:"))
        if not path.parent.is_dir():
            raise Usage(f"starting the server: the folder of {path} does not exist; make it first")
        return f"unix:{path.resolve()}"
    host, _, port = bind.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004
        raise Usage(f"starting the server: {named} takes 127.0.0.1:PORT or unix:PATH")
    if not _is_loopback(host.strip("[]")):
        raise Usage("starting the server: it listens on this machine only; bind to 127.0.0.1 or unix:, for Tor")
    return bind


def _is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches an address: plain HTTP must never meet a network."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _check_free(bind: str) -> None:
    """Say in one line, before anything is made, what gunicorn would say in many."""
    if bind.startswith("unix:"):
        _check_free_socket(Path(bind.removeprefix("unix:")))
        return
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as trial:
            # As gunicorn binds: a port that an earlier server has just left is free.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, int(port)))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Usage(f"starting the server: something listens on {bind} already; stop it or choose a port") from None
        raise Usage(f"starting the server: cannot listen on {bind}: {error.strerror}; choose another --bind") from None


def _check_free_socket(path: Path) -> None:
    """Else gunicorn puts its own in the place of another server's, which nobody reaches from then on."""
    try:
        with socket.socket(socket.AF_UNIX) as trial:
            trial.settimeout(_ANSWERS_SECONDS)
            trial.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        return  # what a server that has ended has left
    except TimeoutError:
        pass  # it is so busy that its queue is full
    except OSError as error:
        raise Usage(f"starting the server: cannot listen on {path}: {error}; choose another --bind") from None
    raise Usage(f"starting the server: something listens on {path} already; stop it, or choose another --bind")
