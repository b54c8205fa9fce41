"""The server's folder, HOME: its layout, its mode, and the server's own keys."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tipbox.errors import InputRefused, NotFound, TipboxError, Usage
from tipbox.files.durable import write_file
from tipbox.formats.base import canonical, fields
from tipbox.formats.base.limits import KEY_SIZE, XWING_SEED_SIZE
from tipbox.formats.base.primitives import SigningKey, new_seed, random_bytes, xwing_public
from tipbox.formats.manifest import server_id

MODE: Final = 0o700
SHARED: Final = stat.S_ISGID | stat.S_IWGRP
"""Made so, HOME belongs to a group: the sources' and the couriers' process have a user each."""


@dataclass(frozen=True)
class Home:
    """Where everything lies in HOME."""

    path: Path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.path / "tipbox.db"

    @property
    def blobs(self) -> Path:
        """Bodies and runs of parts, when blobs are local."""
        return self.path / "blobs"

    @property
    def spool(self) -> Path:
        """What is on its way in, nameless files; ciphertext only."""
        return self.path / "spool"

    @property
    def keys(self) -> Path:
        """Copies of the manifests in force, which are in the database."""
        return self.path / "keys"

    @property
    def site(self) -> Path:
        """The site list that organisations signed; an operator puts it here."""
        return self.path / "site.json"

    @property
    def webcat(self) -> Path:
        """Files of ``/.well-known/webcat/``; an operator puts them here."""
        return self.path / "webcat"

    @property
    def notices(self) -> Path:
        """Notices that organisations signed; an operator puts them here."""
        return self.path / "notices"

    @property
    def outgoing(self) -> Path:
        """Folders that are locked while an organisation's export is made; what is made is in the database."""
        return self.path / "outgoing"

    @property
    def settled_day(self) -> Path:
        """Says on which day everything was settled last."""
        return self.path / "settled"

    @property
    def upkeep(self) -> Path:
        """Locked by the command that settles, backs up or restores: one at a time."""
        return self.path / "upkeep.lock"

    @property
    def restoring(self) -> Path:
        """There while a restore fills HOME, and after one that was cut off."""
        return self.path / "restoring"

    @property
    def server_key(self) -> Path:
        """The server's private keys."""
        return self.path / "server.key"

    @property
    def umask(self) -> int:
        """What nobody else may do in HOME: others nothing, and the group only in a SHARED one."""
        try:
            shared = self.path.stat().st_mode & SHARED == SHARED
        except FileNotFoundError:
            return 0o077
        return 0o007 if shared else 0o077

    @property
    def file_mode(self) -> int:
        """Of the files in HOME except its secret keys."""
        return 0o660 & ~self.umask

    def make(self) -> None:
        """Make what is missing, and take others' rights away.

        Raises:
            InputRefused: what comes in could not be written.
        """
        umask = self.umask
        for folder in (self.path, self.blobs, self.spool, self.keys, self.outgoing):
            folder.mkdir(mode=0o770 & ~umask, parents=True, exist_ok=True)
            mode = stat.S_IMODE(folder.stat().st_mode)
            # Only a folder's owner may change its mode; the other process leaves it as it is.
            if mode & umask and folder.stat().st_uid == os.geteuid():
                folder.chmod(mode & ~umask)
        for folder in (self.blobs, self.spool):
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
                raise InputRefused(
                    f"opening {folder}: this user may not write there; give it back to the server's user with chown, "
                    "or, when the disk is mounted so that it can only be read, find out why"
                )

    def must_be_whole(self) -> None:
        """InputRefused after a restore that was cut off: what is here is not all of it."""
        if self.restoring.exists():
            raise InputRefused(f"opening {self.path}: a restore into it is not done; run tipbox server restore again")

    def must_exist(self) -> None:
        """NotFound unless a server has run here; InputRefused when its keys are gone, or a restore is not done."""
        self.must_be_whole()
        if self.database.exists() and not self.server_key.exists():
            raise InputRefused(
                f"opening {self.path}: the server's keys (server.key) are gone, and the database is there; "
                "bring them back from a backup, and begin no new server in this folder"
            )
        if not self.server_key.exists() or not self.keys.is_dir():
            raise NotFound(f"opening {self.path}: no server has run there; start tipbox server run --home first")

    def must_not_hold(self, out: Path) -> None:
        """Usage when what is written for others would lie among what the server keeps in its own folder.

        A folder of another name below HOME is as good as any: commands of before may name one.
        """
        place = out.resolve()
        kept = (self.blobs, self.spool, self.keys, self.outgoing, self.webcat, self.notices)
        if place == self.path.resolve() or any(place.is_relative_to(folder.resolve()) for folder in kept):
            raise Usage(f"writing to {out}: it is in the server's own folder; name a place outside it with --out")


@dataclass(frozen=True)
class ServerKeys:
    """The server's private keys: Ed25519 for what it signs, X-Wing for inward Bundles."""

    signing: SigningKey = field(repr=False)
    seed: bytes = field(repr=False)

    @property
    def id(self) -> bytes:
        """The server's id, 16 bytes."""
        return server_id(self.signing.verify_key.encode())

    @property
    def public(self) -> bytes:
        """The X-Wing key that desks seal to, 1216 bytes."""
        return xwing_public(self.seed)

    def encode(self) -> bytes:
        """The bytes of their file."""
        value: dict[str, canonical.Json] = {
            "signing": fields.to_base64(self.signing.encode()),
            "version": 1,
            "xwing": fields.to_base64(self.seed),
        }
        return canonical.encode(value, file_form=True)

    @classmethod
    def parse(cls, data: bytes) -> ServerKeys:
        """The inverse of ``encode``."""
        value = fields.members(canonical.decode(data, file_form=True), ("signing", "version", "xwing"))
        fields.check_version(fields.number(value, "version"))
        return cls(
            SigningKey(fields.binary(value, "signing", KEY_SIZE)), fields.binary(value, "xwing", XWING_SEED_SIZE)
        )


def write_server_keys(home: Home) -> ServerKeys:
    """Make the server's keys. They are their maker's alone: the sources' process never reads them."""
    keys = ServerKeys(SigningKey(random_bytes(KEY_SIZE)), new_seed())
    write_file(home.server_key, keys.encode(), 0o600)
    return keys


def load_server_keys(home: Home, path: Path | None = None) -> ServerKeys:
    """The server's keys, from their file or from another ``path``.

    Raises:
        InputRefused: the file is damaged.
    """
    try:
        return ServerKeys.parse((path or home.server_key).read_bytes())
    except TipboxError as error:
        raise InputRefused(f"reading {home.server_key}: it is damaged; restore it from the backup") from error
