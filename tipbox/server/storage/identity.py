"""Which server a database and a store of blobs belong to.

Hosts that share a database have one identity, and none of them makes a second. They share the store of blobs too: its
label is in the database, so that no host keeps bodies in a folder of its own, or sweeps another server's. A new
database takes no store in which bodies lie: they are those of a database that was not named.
"""

from __future__ import annotations

import os
import re
from typing import Final

from sqlalchemy import Connection, insert, select, update

from tipbox.errors import InputRefused
from tipbox.formats.base.limits import ID_SIZE
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.manifest import id_digits
from tipbox.server.home import Home, ServerKeys, load_server_keys, write_server_keys
from tipbox.server.storage.blobs import BlobStore
from tipbox.server.storage.models import Envelope, Reply, Run, Server
from tipbox.server.storage.transactions import Store

_LABEL: Final = re.compile(rb"tipbox blobs 1 ([0-9a-f]{32}) ([0-9a-f]{32})\n")
"""What lies in a store: the server's id, and a random name of the store."""
_LOOKED_FOR: Final = 8
"""Bodies of each kind by which a store without a label is known: one of them may be damaged."""


def claim(home: Home, store: Store, blobs: BlobStore) -> None:
    """At a start: make the server's keys when the database belongs to nobody yet, and note whose it is.

    Where the keys are another user's, as for the sources' process, they are left to the process that can read them.

    Raises:
        InputRefused: it belongs to a server whose keys are not here; or the keys here are damaged; or it is new, and
            bodies lie in the store of blobs, or this server's label of a time with another database.
        NetworkFailed: that store does not answer.
    """
    # In one transaction: of two hosts that start at once, the second finds the first one's id, and makes no keys.
    store.write(lambda connection: _claim(connection, home, blobs))


def _claim(connection: Connection, home: Home, blobs: BlobStore) -> None:
    owner = _owner(connection)
    if owner is None:
        _must_be_known(connection, blobs)
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
        found = _label(blobs)
        # A start labels the store after this note, so the label is of another database: it may hold texts only.
        if found is not None and found[0] == keys.id:
            raise _in_use(found[0])
        note(connection, keys)
    elif owner != keys.id:
        raise _other(home, owner, keys)


def note(connection: Connection, keys: ServerKeys) -> None:
    """The database belongs to this server from now on."""
    connection.execute(insert(Server).values(one=1, id=keys.id))


def must_be_of(store: Store, keys: ServerKeys, home: Home) -> None:
    """InputRefused when the database belongs to another server, or to none."""
    owner = store.read(_owner)
    if owner is None:
        raise InputRefused(
            f"opening {home.path}: no server has run with this database; correct database.url. "
            "If it is the right one, start tipbox server run first"
        )
    if owner != keys.id:
        raise _other(home, owner, keys)


def claim_blobs(store: Store, blobs: BlobStore) -> None:
    """After ``claim``: label the store of blobs when nobody has, and note the label.

    A folder beside SQLite needs none: nobody else can have that database. With one it is that of another database.

    Raises:
        InputRefused: the store is another server's, or not the one in which this server's bodies are.
        NetworkFailed: it does not answer.
    """
    row = store.read(_claimed)
    if row is None:
        return  # the process that can read the server's keys comes later
    owner, noted = row
    if noted is None and blobs.local and store.engine.dialect.name == "sqlite":
        must_be_unlabelled(blobs)
        return
    if noted is None:
        # Once in the life of a server. Of two hosts that start at once, the second finds the first one's label.
        noted = store.write(lambda connection: _claim_blobs(connection, blobs))
    # Outside of transactions: while the blob store does not answer, no other host waits for this one.
    found = _label(blobs)
    if found is not None and found[0] != owner:
        raise _of_another(found[0])
    if found is None and store.read(lambda connection: _has_one_of(connection, blobs)):
        _set_label(blobs, owner, noted)  # somebody removed it: it is the right store, for our bodies are in it
    elif found is None or found[1] != noted:
        raise _elsewhere(blobs)


def _claim_blobs(connection: Connection, blobs: BlobStore) -> bytes:
    """Note the label of the store, and label it when nobody has; the label."""
    owner, noted = connection.execute(select(Server.id, Server.blobs)).one()
    if noted is not None:
        return bytes(noted)
    found = _label(blobs)
    if found is not None and found[0] != owner:
        raise _of_another(found[0])
    # This server's, of a start that was cut off. With blobs it is that of another database, which may be in use: all
    # that lies there would be swept away, for no row of this one names it.
    if found is not None and not blobs.is_empty():
        raise _in_use(found[0])
    if _names(connection) and not _has_one_of(connection, blobs):
        raise _elsewhere(blobs)
    _must_be_known(connection, blobs)
    label = found[1] if found is not None else random_bytes(ID_SIZE)
    if found is None:
        _set_label(blobs, owner, label)
    connection.execute(update(Server).values(blobs=label))
    return label


def _claimed(connection: Connection) -> tuple[bytes, bytes | None] | None:
    """The server's id, and the label of the store of blobs; None before a server has run."""
    row = connection.execute(select(Server.id, Server.blobs)).one_or_none()
    return None if row is None else (row[0], row[1])


def _names(connection: Connection) -> list[str]:
    """A few of the bodies that rows name."""
    return [
        name
        for column in (Envelope.blob, Reply.blob, Run.blob)
        for name in connection.execute(select(column).where(column.is_not(None)).limit(_LOOKED_FOR)).scalars()
        if name is not None
    ]


def _has_one_of(connection: Connection, blobs: BlobStore) -> bool:
    """Whether one of a few bodies that rows name is there."""
    return any(blobs.size(name) is not None for name in _names(connection))


def _must_be_known(connection: Connection, blobs: BlobStore) -> None:
    """InputRefused when bodies lie there, and none of them is this database's: they would all be swept away."""
    if not blobs.is_empty() and not _has_one_of(connection, blobs):
        raise _of_another_database(blobs)


def must_be_empty(blobs: BlobStore) -> None:
    """InputRefused when bodies lie there: before a database is made that would know none of them."""
    if not blobs.is_empty():
        raise _of_another_database(blobs)


def must_be_ours(connection: Connection, blobs: BlobStore) -> None:
    """InputRefused unless the store of blobs is the one that the database knows: before anything in it is removed."""
    noted = connection.execute(select(Server.blobs)).scalar_one_or_none()
    if noted is None:
        must_be_unlabelled(blobs)
        return
    found = _label(blobs)
    if found is None or found[1] != noted:
        raise _elsewhere(blobs)


def must_be_unlabelled(blobs: BlobStore) -> None:
    """InputRefused when the store of blobs is a server's, also that of the same id: it may be running."""
    found = _label(blobs)
    if found is not None:
        raise _in_use(found[0])


def must_be_unserved(connection: Connection) -> None:
    """InputRefused when a server's bodies are noted in this database: it was whole once, and may be running."""
    owner = connection.execute(select(Server.id).where(Server.blobs.is_not(None))).scalar_one_or_none()
    if owner is not None:
        raise InputRefused(
            f"restoring: the database that database.url names is in use by the server {id_digits(owner)}; "
            "name an empty one. If a restore made it just before it was cut off, begin again with an empty --home, "
            "database and blob store"
        )


def _set_label(blobs: BlobStore, owner: bytes, label: bytes) -> None:
    blobs.set_label(f"tipbox blobs 1 {owner.hex()} {label.hex()}\n".encode())


def _label(blobs: BlobStore) -> tuple[bytes, bytes] | None:
    """The server to which a store of blobs belongs, and the store's own random name."""
    data = blobs.label()
    if data is None:
        return None
    found = _LABEL.fullmatch(data)
    if found is None:
        raise InputRefused(
            "opening the blob store: what answers is something else than this server's bucket; check blobs.endpoint. "
            "If it is the right one, its label is damaged: remove what is named label, and start again"
        )
    server, label = (bytes.fromhex(word.decode()) for word in found.groups())
    return server, label


def _of_another(server: bytes) -> InputRefused:
    return InputRefused(
        f"opening the blob store: it belongs to the server {id_digits(server)}; "
        "give this one a bucket or a prefix of its own in blobs.url"
    )


def _in_use(server: bytes) -> InputRefused:
    return InputRefused(
        f"opening the blob store: the server {id_digits(server)} uses it with a database, and may be running; "
        "name an empty bucket, prefix or folder in blobs.url, or that database in database.url"
    )


def _of_another_database(blobs: BlobStore) -> InputRefused:
    found = _label(blobs)
    if found is not None:
        return _in_use(found[0])
    return InputRefused(
        "opening the blob store: bodies lie in it that are those of another database; name that one in database.url. "
        "If it was lost, restore the backup; a new server needs an empty bucket, prefix or folder"
    )


def _elsewhere(blobs: BlobStore) -> InputRefused:
    if blobs.local:
        return InputRefused(
            "opening the blob store: the bodies of this server are not in the folder of this host; hosts that share a "
            "database share a bucket: set blobs.url on all of them. If this is the only host and the folder was lost, "
            "restore the backup"
        )
    return InputRefused(
        "opening the blob store: the bodies of this server are in another bucket, prefix or folder; correct blobs.url. "
        "If it is this one and its bodies were lost, restore the backup"
    )


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
