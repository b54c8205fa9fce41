"""The organisations of this server: the manifests in force, and the identity keys that are pinned.

Both are in the database, which hosts share: a manifest that replaced another is served by each of them within a second.
``HOME/keys`` has copies.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from time import monotonic
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from tipbox.errors import IdentityChanged, InputRefused, NoCurrentKey, NotYetValid, OlderSerial, TipboxError
from tipbox.files.durable import write_file
from tipbox.formats.base.limits import MAX_MANIFEST, MAX_SLOTS
from tipbox.formats.manifest import Manifest
from tipbox.formats.site_list import SiteList
from tipbox.server.home import Home
from tipbox.server.storage.models import Organisation, StoredManifest
from tipbox.server.storage.transactions import Store

LOOK_AGAIN: Final = 1.0
"""Seconds for which a worker believes that no manifest has come or gone."""
_FILE: Final = re.compile(r"[a-z0-9-]{1,32}\.json", re.ASCII)
"""Not a file that is being written: those begin with a dot."""


@dataclass(frozen=True)
class ManifestFile:
    """A manifest and the bytes of its file, as they came."""

    manifest: Manifest
    data: bytes = field(repr=False)

    def has_begun(self, today: date) -> bool:
        """Whether its life has begun on that day."""
        try:
            self.manifest.check(today)
        except NotYetValid:
            return False
        except TipboxError:
            return True
        return True

    def serves(self, today: date) -> bool:
        """Whether it is valid and names a receiving key on that day."""
        try:
            self.manifest.check(today)
            self.manifest.current_key(today)
        except TipboxError:
            return False
        return True


def read_folder(folder: Path) -> list[ManifestFile]:
    """The manifests of a folder, by organisation id. An error names the file."""
    listed = []
    for path in sorted(folder.iterdir()):
        if not _FILE.fullmatch(path.name):
            continue
        data = path.read_bytes()[: MAX_MANIFEST + 1]
        try:
            manifest = Manifest.parse(data)
        except TipboxError as error:
            raise type(error)(f"reading {path}: {error}; put the organisation's own file there again") from error
        listed.append(ManifestFile(manifest, data))
    return sorted(listed, key=lambda member: member.manifest.id)


def in_force(connection: Connection) -> list[ManifestFile]:
    """The manifests in force, by organisation id. An error names the organisation."""
    rows = connection.execute(
        select(Organisation.name, StoredManifest.data)
        .join(StoredManifest, StoredManifest.organisation == Organisation.id)
        .where(StoredManifest.data.is_not(None))
        .order_by(Organisation.id)
    ).all()
    return [_parsed(name, data) for name, data in rows if data is not None]


def _parsed(name: str, data: bytes) -> ManifestFile:
    try:
        return ManifestFile(Manifest.parse(data), data)
    except TipboxError as error:
        raise type(error)(
            f"reading the key manifest of {name} in the database: {error}; restore the backup, or ask for a newer one"
        ) from error


class Roster:
    """The manifests in force, read again when the database has others: another host may have taken them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looked = -LOOK_AGAIN
        self._serials: object = None
        self._listed: list[ManifestFile] = []

    def listed(self) -> list[ManifestFile]:
        """All manifests, by organisation id."""
        if monotonic() - self._looked >= LOOK_AGAIN:
            serials = self._store.read(_serials)
            if serials != self._serials:
                self._listed = self._store.read(in_force)
                self._serials = serials
            self._looked = monotonic()
        return self._listed

    def serving(self, today: date) -> list[ManifestFile]:
        """Those that sources can seal to on that day."""
        return [member for member in self.listed() if member.serves(today)]


def _serials(connection: Connection) -> list[tuple[bytes, int, int]]:
    """Of the manifests in force: no two of an organisation have the same."""
    rows = connection.execute(
        select(StoredManifest.organisation, StoredManifest.generation, StoredManifest.number)
        .where(StoredManifest.data.is_not(None))
        .order_by(StoredManifest.organisation)
    ).all()
    return [(row[0], row[1], row[2]) for row in rows]


def _folded(manifest: Manifest) -> str:
    """The name that sources see, as it looks: without what width, case and spaces make of it."""
    return " ".join(unicodedata.normalize("NFKC", manifest.name).casefold().split())


def find_by_name(store: Store, name: str) -> ManifestFile | None:
    """The manifest in force of an organisation, by its short name."""
    return next((member for member in store.read(in_force) if member.manifest.organisation == name), None)


def adopt(home: Home, store: Store, listed: ManifestFile, today: date) -> bool:
    """Take a manifest when its serial is higher than that of the one in force; whether it was taken.

    One whose life has not begun does not take the place of another. Nor is one taken of an organisation that was
    removed, unless it is newer than all that were in force.

    Raises:
        IdentityChanged: the organisation's identity key is pinned, and is another one.
        InputRefused: there are too many organisations, or another one has the same name.
    """
    is_taken = store.write(lambda connection: _adopt(connection, listed, today))
    if is_taken:
        _copy(home, listed)
    return is_taken


def _adopt(connection: Connection, listed: ManifestFile, today: date) -> bool:
    manifest, known = listed.manifest, in_force(connection)
    held = next((member for member in known if member.manifest.organisation == manifest.organisation), None)
    if held is not None:
        try:
            manifest.check_replaces(held.manifest)
        except OlderSerial:
            return False
        except IdentityChanged:
            raise _changed(manifest) from None
        # Until then sources would have no key of this organisation to seal to.
        if not listed.has_begun(today):
            return False
    if any(_folded(member.manifest) == _folded(manifest) for member in known if member.manifest.id != manifest.id):
        raise InputRefused(
            f"taking the key manifest of {manifest.organisation}: another organisation shows the same name; "
            "ask both, sources could not tell them apart"
        )
    _pin(connection, manifest)
    if _was_removed(connection, manifest):
        return False
    connection.execute(delete(StoredManifest).where(StoredManifest.organisation == manifest.id))
    remember(connection, manifest.id, manifest.serial, listed.data)
    return True


def remember(connection: Connection, organisation: bytes, serial: tuple[int, int], data: bytes | None = None) -> None:
    """Note a manifest as the newest of an organisation that has none noted; None: it is not in force."""
    generation, number = serial
    connection.execute(
        insert(StoredManifest).values(organisation=organisation, generation=generation, number=number, data=data)
    )


def _was_removed(connection: Connection, manifest: Manifest) -> bool:
    """Whether its organisation was removed with it or a newer one.

    Its keys may be in others' hands, so it is not taken; but other hosts may have it in --keys, and must start.
    """
    last = connection.execute(
        select(StoredManifest.generation, StoredManifest.number).where(
            StoredManifest.organisation == manifest.id, StoredManifest.data.is_(None)
        )
    ).one_or_none()
    return last is not None and manifest.serial <= (last[0], last[1])


def remove(home: Home, store: Store, name: str) -> bool:
    """Take an organisation's manifest out of force; whether there was one. Its serial and its identity key stay known.

    Tips that have a slot for it stay until they are acknowledged or expire; replies of it can still be read.
    """

    def take_out(connection: Connection) -> bool:
        ids = select(Organisation.id).where(Organisation.name == name)
        held = StoredManifest.organisation.in_(ids), StoredManifest.data.is_not(None)
        return bool(connection.execute(update(StoredManifest).where(*held).values(data=None)).rowcount)

    is_removed = store.write(take_out)
    (home.keys / f"{name}.json").unlink(missing_ok=True)
    return is_removed


def left_out(store: Store, folder: Path) -> list[str]:
    """The organisations that have a manifest in ``folder``, and none in force."""
    known = {member.manifest.id for member in store.read(in_force)}
    return [file.manifest.organisation for file in read_folder(folder) if file.manifest.id not in known]


def _copy(home: Home, listed: ManifestFile) -> None:
    """Keep a copy in HOME/keys: for people, and for what reads files."""
    write_file(home.keys / f"{listed.manifest.organisation}.json", listed.data, home.file_mode)


def take_over_folder(home: Home, store: Store, today: date) -> None:
    """Take what HOME/keys holds when the database has no manifest yet: until the first one had, the folder was used."""
    if store.read(_has_any):
        return
    listed = read_folder(home.keys)

    def take(connection: Connection) -> None:
        if not _has_any(connection):
            for member in listed:
                _adopt(connection, member, today)

    store.write(take)  # all or none: a start that is cut off begins again


def _has_any(connection: Connection) -> bool:
    return connection.execute(select(StoredManifest.organisation).limit(1)).first() is not None


def _pin(connection: Connection, manifest: Manifest) -> None:
    pinned = connection.execute(select(Organisation.name, Organisation.identity)).all()
    for name, identity in pinned:
        # Neither a known name with another key, nor a known key under another name.
        if (name == manifest.organisation) != (identity == manifest.identity):
            raise _changed(manifest)
        if name == manifest.organisation:
            return
    if len(pinned) >= MAX_SLOTS:
        raise InputRefused(f"taking the key manifest of {manifest.organisation}: there are {MAX_SLOTS} organisations")
    connection.execute(
        insert(Organisation).values(id=manifest.id, name=manifest.organisation, identity=manifest.identity)
    )


def _changed(manifest: Manifest) -> IdentityChanged:
    return IdentityChanged(
        f"taking the key manifest of {manifest.organisation}: its identity key is not the one that this server knows; "
        "ask the organisation through another channel, and keep the old manifest until it has answered"
    )


def must_list_the_pinned(store: Store, listed: SiteList) -> None:
    """IdentityChanged when a site list has another identity key for an organisation than the one known here."""
    pinned = store.read(lambda connection: connection.execute(select(Organisation.name, Organisation.identity)).all())
    for entry in listed.entries:
        # Neither a known name with another key, nor a known key under another name.
        if any((entry.organisation == name) != (entry.identity == identity) for name, identity in pinned):
            raise IdentityChanged(
                f"reading the site list: {entry.organisation} is not the organisation that this server knows; "
                "ask it through another channel, and leave the list away until it has answered"
            )


def adopt_folder(home: Home, store: Store, folder: Path, today: date) -> list[str]:
    """Take each manifest of ``folder`` whose serial is higher; the names of those taken. An error names the file."""
    if not folder.is_dir():
        raise InputRefused(f"reading key manifests: {folder} is not a folder; name one with --keys")
    listed = read_folder(folder)
    if not listed and not store.read(_serials):
        raise NoCurrentKey(
            f"reading key manifests: there is none in {folder}; put the organisations' .json files there"
        )
    return [member.manifest.organisation for member in listed if adopt(home, store, member, today)]
