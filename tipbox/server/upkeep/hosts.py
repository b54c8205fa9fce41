"""What the hosts of one server serve as their site: each notes it in the database, so that a check can compare.

Sources of one host must not see other pages, or other organisations, than those of the next. Only on PostgreSQL: a
server on SQLite has one host.
"""

from __future__ import annotations

import hashlib
import socket
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from tipbox import __version__
from tipbox.formats.base.limits import ID_SIZE
from tipbox.formats.base.primitives import sha256
from tipbox.resources import locale_dir, static_dir, templates_dir
from tipbox.server.served_files import ServedFiles
from tipbox.server.storage.models import Host, Ledger
from tipbox.server.storage.transactions import Store
from tipbox.server.upkeep.finding import Finding

FORGOTTEN_DAYS: Final = 7
"""Days seen after which a host that says nothing more is taken for replaced."""
_SHOWN: Final = 16
"""Hexadecimal digits of the hash of what pages are made of."""


def note_site(store: Store, served: ServedFiles, language: str) -> None:
    """At a start: note what this host serves from now on. ``language``: of the start page, where no list says it."""
    if store.engine.dialect.name != "sqlite":
        site, release = _site(served, language), f"{__version__} {_material()}"
        store.write(lambda connection: _note(connection, site, release))


def still_here(connection: Connection, today: int) -> None:
    """Each night: this host is in use, and those that said nothing for long are not. ``today``: as days seen."""
    connection.execute(update(Host).where(Host.id == _name()).values(seen_day=today))
    connection.execute(delete(Host).where(Host.seen_day < today - FORGOTTEN_DAYS))


def compare_hosts(connection: Connection) -> Finding:
    """Whether all hosts serve the same; hosts of two releases, while they are upgraded, have other pages."""
    rows = connection.execute(select(Host.site, Host.release)).all()
    sites = {row[0] for row in rows}
    material: dict[str, set[str]] = defaultdict(set)
    for _, release in rows:
        material[release.partition(" ")[0]].add(release)
    if len(sites) > 1:
        return Finding(
            "hosts",
            ok=False,
            message=f"the hosts of this server serve {len(sites)} different site lists",
            remedy="copy site.json and webcat of one to all, with the same server.language, and restart",
            wrong=len(sites),
        )
    if any(len(found) > 1 for found in material.values()):
        return Finding(
            "hosts",
            ok=False,
            message="hosts of one release make their pages of different files: one of them was changed",
            remedy="find out who changed it; install the release again on each of them",
            wrong=max(len(found) for found in material.values()),
        )
    return Finding("hosts", ok=True, message="every host of this server serves the same site")


def _note(connection: Connection, site: bytes, release: str) -> None:
    today = connection.execute(select(Ledger.days_seen)).scalar_one()
    connection.execute(delete(Host).where(Host.id == _name()))
    connection.execute(insert(Host).values(id=_name(), site=site, release=release, seen_day=today))


def _name() -> bytes:
    """What tells hosts apart, and not their names."""
    return sha256(b"tipbox host\0" + socket.gethostname().encode())[:ID_SIZE]


def _site(served: ServedFiles, language: str) -> bytes:
    parts = [b"" if served.site is None else served.site.encode(), b"" if served.site else language.encode()]
    for name, data in sorted(served.webcat.items()):
        parts += [name.encode(), data]
    return sha256(*(len(part).to_bytes(8) + part for part in parts))


def _material() -> str:
    """A hash of the files of which this program makes its pages."""
    digest = hashlib.sha256()
    for folder, pattern in ((static_dir(), "**/*"), (templates_dir(), "**/*"), (locale_dir(), "**/*.mo")):
        for path in _files(folder, pattern):
            data = path.read_bytes()
            digest.update(f"{path.relative_to(folder)}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:_SHOWN]


def _files(folder: Path, pattern: str) -> Iterable[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_file())
