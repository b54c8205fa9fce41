"""The organisations of this server: the manifests in ``HOME/keys``, and the identity keys pinned in the database."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final

from sqlalchemy import Connection, insert, select

from tipbox.errors import IdentityChanged, InputRefused, NoCurrentKey, NotYetValid, OlderSerial, TipboxError
from tipbox.files.durable import write_file
from tipbox.formats.base.limits import MAX_MANIFEST, MAX_SLOTS
from tipbox.formats.manifest import Manifest
from tipbox.server.home import Home
from tipbox.server.storage.models import Organisation
from tipbox.server.storage.transactions import Store

LOOK_AGAIN: Final = 1.0
"""Seconds for which a worker believes that HOME/keys is as it was."""
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
    return sorted(listed, key=lambda one: one.manifest.id)


class Roster:
    """The manifests in force, read again when the folder changes."""

    def __init__(self, home: Home) -> None:
        self._folder = home.keys
        self._looked = -LOOK_AGAIN
        self._stamp: object = None
        self._listed: list[ManifestFile] = []

    def listed(self) -> list[ManifestFile]:
        """All manifests, by organisation id."""
        if monotonic() - self._looked >= LOOK_AGAIN:
            # Inodes too: a file that replaced another may have its name and its time.
            stamp = sorted(
                (path.name, path.stat().st_ino, path.stat().st_mtime_ns) for path in self._folder.glob("*.json")
            )
            if stamp != self._stamp:
                self._listed = read_folder(self._folder)
                self._stamp = stamp
            self._looked = monotonic()
        return self._listed

    def serving(self, today: date) -> list[ManifestFile]:
        """Those that sources can seal to on that day."""
        return [one for one in self.listed() if one.serves(today)]


def _folded(manifest: Manifest) -> str:
    """The name that sources see, as it looks: without what width, case and spaces make of it."""
    return " ".join(unicodedata.normalize("NFKC", manifest.name).casefold().split())


def find_by_name(home: Home, name: str) -> ManifestFile | None:
    """The manifest in force of an organisation, by its short name."""
    return next((one for one in read_folder(home.keys) if one.manifest.organisation == name), None)


def adopt(home: Home, store: Store, listed: ManifestFile, today: date) -> bool:
    """Take a manifest into HOME/keys when its serial is higher than that of the one there; whether it was taken.

    One whose life has not begun does not take the place of another.

    Raises:
        IdentityChanged: the organisation's identity key is pinned, and is another one.
        InputRefused: there are too many organisations, or another one has the same name.
    """
    manifest = listed.manifest
    held = find_by_name(home, manifest.organisation)
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
    if any(
        _folded(one.manifest) == _folded(manifest) for one in read_folder(home.keys) if one.manifest.id != manifest.id
    ):
        raise InputRefused(
            f"taking the key manifest of {manifest.organisation}: another organisation shows the same name; "
            "ask both, sources could not tell them apart"
        )
    # Before it is served. After a crash in between, the next start takes the same file again.
    store.write(lambda connection: _pin(connection, manifest))
    write_file(home.keys / f"{manifest.organisation}.json", listed.data, home.file_mode)
    return True


def pin_folder(home: Home, store: Store) -> None:
    """Pin the identity keys of the manifests in HOME/keys: after a restore, which may have found newer ones there."""
    for listed in read_folder(home.keys):
        store.write(partial(_pin, manifest=listed.manifest))


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


def adopt_folder(home: Home, store: Store, folder: Path, today: date) -> list[str]:
    """Take each manifest of ``folder`` whose serial is higher; the names of those taken. An error names the file."""
    if not folder.is_dir():
        raise InputRefused(f"reading key manifests: {folder} is not a folder; name one with --keys")
    listed = read_folder(folder)
    if not listed and not any(home.keys.glob("*.json")):
        raise NoCurrentKey(
            f"reading key manifests: there is none in {folder}; put the organisations' .json files there"
        )
    return [one.manifest.organisation for one in listed if adopt(home, store, one, today)]
