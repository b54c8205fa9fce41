"""Which server a database belongs to: hosts that share it have one identity, and none of them makes a second."""

from __future__ import annotations

import os

from sqlalchemy import Connection, insert, select

from tipbox.errors import InputRefused
from tipbox.formats.manifest import id_digits
from tipbox.server.home import Home, ServerKeys, load_server_keys, write_server_keys
from tipbox.server.storage.models import Server
from tipbox.server.storage.transactions import Store


def claim(home: Home, store: Store) -> None:
    """At a start: make the server's keys when the database belongs to nobody yet, and note whose it is.

    Where the keys are another user's, as for the sources' process, they are left to the process that can read them.

    Raises:
        InputRefused: it belongs to a server whose keys are not here; or the keys here are damaged.
    """
    # In one transaction: of two hosts that start at once, the second finds the first one's id, and makes no keys.
    store.write(lambda connection: _claim(connection, home))


def _claim(connection: Connection, home: Home) -> None:
    owner = _owner(connection)
    if not home.server_key.exists():
        if owner is not None:
            raise _missing(home, owner)
        # Before the commit: a database that belongs to keys which nobody has could not be used any more.
        keys = write_server_keys(home)
    elif os.access(home.server_key, os.R_OK):
        keys = load_server_keys(home)
    else:
        return
    if owner is None:
        note(connection, keys)
    elif owner != keys.id:
        raise _other(home, owner, keys)


def note(connection: Connection, keys: ServerKeys) -> None:
    """The database belongs to this server from now on."""
    connection.execute(insert(Server).values(one=1, id=keys.id))


def must_be_of(store: Store, keys: ServerKeys, home: Home) -> None:
    """InputRefused when the database belongs to another server."""
    owner = store.read(_owner)
    if owner is not None and owner != keys.id:
        raise _other(home, owner, keys)


def _owner(connection: Connection) -> bytes | None:
    return connection.execute(select(Server.id)).scalar_one_or_none()


def _missing(home: Home, owner: bytes) -> InputRefused:
    return InputRefused(
        f"opening {home.path}: the database belongs to the server {id_digits(owner)}, whose keys are not here; "
        f"copy {home.server_key.name} from a host that has it (mode 600), or restore the backup"
    )


def _other(home: Home, owner: bytes, keys: ServerKeys) -> InputRefused:
    return InputRefused(
        f"opening {home.path}: the database belongs to the server {id_digits(owner)}, and {home.server_key.name} is of "
        f"the server {id_digits(keys.id)}; copy it from a host of the first one, or correct database.url"
    )
