"""The vault: a folder that is encrypted at rest.

``vault.db`` is a store of sealed records, and of what each person's passphrase opens (tipbox/desk/vault/unlocking.py);
``vault.key`` says that a folder is a vault. ``tips/`` holds Envelopes, ``replies/`` those made here until the server
has them, ``incoming/`` what is still being written, and ``index.sealed`` an index that can be made again. All these
files are sealed once more with the vault's key: no byte of what travelled lies there. Records show their kind, their
number and their padded size, files their number and their size; neither their ids nor their contents. The store shows
how many people can open it, and how many were removed. Every write is on the disk before a call returns.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from tipbox.desk.desk_errors import OtherCopy, OtherVaultVersion, Resealed, VaultDamaged
from tipbox.desk.vault import changes, unlocking
from tipbox.desk.vault.sealed_file import OpenedFile, SealingFile, open_sealed
from tipbox.desk.vault.unlocking import Keys, Me
from tipbox.errors import NotFound, TipboxError, WrongPassphrase
from tipbox.files.direct import DirectFile
from tipbox.files.durable import fsync_folder, write_file
from tipbox.files.lock import exclusive
from tipbox.formats import locked_file
from tipbox.formats.base import canonical
from tipbox.formats.base.limits import KEY_SIZE
from tipbox.formats.base.padding import padme
from tipbox.formats.base.primitives import random_bytes

KEY_FILE: Final = "vault.key"
STORE_FILE: Final = "vault.db"
LOCK_FILE: Final = "lock"
TIPS: Final = "tips"
INCOMING: Final = "incoming"
REPLIES: Final = "replies"
INDEX_FILE: Final = "index.sealed"
VAULT_FILES: Final = frozenset({KEY_FILE, STORE_FILE, LOCK_FILE, INDEX_FILE})
VAULT_FOLDERS: Final = frozenset({TIPS, INCOMING, REPLIES})

VERSION: Final = 3
"""Of what the files and records of a vault hold. Vaults from before the first release have none, and are not read.

1: Envelopes lie as they came. 2: all files are sealed, and each tip has a summary; one passphrase locks ``vault.key``,
which holds the key. 3: each person has a passphrase. An older one is brought up to date when it is opened
(tipbox/desk/vault/upgrade.py).
"""

MARKER: Final = b"This folder is a vault of tipbox. Its keys lie in vault.db.\n"
"""What ``vault.key`` holds since version 3."""
PEOPLE_VERSION: Final = 3
_FIRST_VERSION: Final = 1
_NONCE: Final = 24
_SMALLEST_RECORD: Final = 256
_BUSY_SECONDS: Final = 60.0
_INDEXED: Final = frozenset({"tip", "copy", "reply", "marks"})
"""Kinds of records that the index reads: a transaction that writes them leaves a change."""
_SCHEMA: Final = (
    "CREATE TABLE record (kind TEXT NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, name)) "
    "STRICT, WITHOUT ROWID"
)

Record = dict[str, Any]


def _connect(path: Path) -> sqlite3.Connection:
    # Transactions are begun by hand, so that it is plain which writes belong together.
    store = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    # A rollback journal is gone after each commit, so a copy of the folder is one of a whole store; with a WAL it would
    # not be. EXTRA syncs the folder after that: else a power cut could bring the journal back, and undo the commit.
    # secure_delete overwrites what is deleted. A schema that somebody changed gets no functions to call.
    for pragma in ("journal_mode = DELETE", "synchronous = EXTRA", "secure_delete = ON", "trusted_schema = OFF"):
        store.execute(f"PRAGMA {pragma}")
    return store


def _version(path: Path) -> int:
    """The version of a store; OtherVaultVersion when this software does not read it."""
    if not path.is_file():
        raise VaultDamaged
    try:
        store = _connect(path)
        try:
            (version,) = store.execute("PRAGMA user_version").fetchone()
        finally:
            store.close()
    except sqlite3.DatabaseError as error:
        raise VaultDamaged from error
    if version < _FIRST_VERSION:
        raise OtherVaultVersion(
            "opening the vault: it is from before the first release of tipbox, and is not read any more; make a new "
            "one with tipbox keys init"
        )
    if version > VERSION:
        raise OtherVaultVersion("opening the vault: a newer version of tipbox made it; upgrade this one")
    return int(version)


def _checked(key: bytes) -> bytes:
    if len(key) != KEY_SIZE:
        raise VaultDamaged
    return key


def _as_error(error: sqlite3.OperationalError) -> Exception:
    # SQLite hides the system's error; what is above tells a full disk from a damaged store by it.
    if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return VaultDamaged(f"working on the vault: {error}; try again, or restore its second copy")


class Vault:
    """An open vault. Use it as a context manager."""

    def __init__(self, path: Path, keys: Keys, store: sqlite3.Connection, me: Me | None = None) -> None:
        """``me``: who unlocked it; None in a vault that knows no people yet."""
        self.path = path
        self.index: object = None
        """The index of this vault, once somebody has asked for it (tipbox/desk/inbox/tip_index.py)."""
        self.me = me
        self.who: str | None = None
        """The name of ``me``, once somebody has looked it up (tipbox/desk/custody/chain.py)."""
        self.keys = keys
        self._store = store
        self._lock: ExitStack | None = None
        self._touched: list[tuple[str, bytes]] = []

    @classmethod
    def create(cls, path: Path, passphrase: bytes) -> None:
        """Make a vault in the folder ``path``, which must be empty or not there, for one person who is still nobody."""
        path.mkdir(mode=0o700, exist_ok=True)
        # The folder may have been there before, with another mode.
        path.chmod(0o700)
        for folder in (TIPS, INCOMING, REPLIES):
            (path / folder).mkdir(mode=0o700)
        store = _connect(path / STORE_FILE)
        try:
            (path / STORE_FILE).chmod(0o600)
            store.execute(_SCHEMA)
            store.execute(unlocking.SCHEMA)
            store.execute(f"PRAGMA user_version = {VERSION}")
            vault = cls(path, Keys((random_bytes(KEY_SIZE),)), store)
            vault.add_lock(Me.new(), passphrase)
        finally:
            store.close()
        write_file(path / LOCK_FILE, b"")
        # Last: a folder without this file is no vault, so one that is half made never looks whole.
        write_file(path / KEY_FILE, MARKER)
        fsync_folder(path)
        fsync_folder(path.parent)

    @classmethod
    def open(
        cls,
        path: Path,
        passphrase: bytes,
        *,
        write: bool = False,
        waiting: Callable[[], None] = lambda: None,
        upgrading: Callable[[], None] = lambda: None,
    ) -> Self:
        """Open the vault in the folder ``path``.

        Args:
            path: the folder.
            passphrase: of one of its people.
            write: wait until no other command writes, and keep others out until it is closed.
            waiting: called once when there is something to wait for.
            upgrading: called once before a vault of an older version is brought up to date, or one is sealed anew to
                its end, which may take minutes.

        Raises:
            NotFound: there is no vault in this folder.
            OtherVaultVersion: another version of tipbox made it.
            WrongPassphrase: the passphrase does not open it.
            VaultDamaged: its files are not what they were.
        """
        try:
            locked = (path / KEY_FILE).read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(f"opening the vault: there is none in {path}; check --vault") from error
        version = _version(path / STORE_FILE)
        try:
            store = _connect(path / STORE_FILE)
            try:
                vault = cls._opened(path, store, passphrase, locked if version < PEOPLE_VERSION else b"")
            except BaseException:
                store.close()
                raise
        except sqlite3.OperationalError as error:
            raise _as_error(error) from error
        except sqlite3.DatabaseError as error:
            raise VaultDamaged from error
        try:
            if version < VERSION:
                vault.bring_up_to_date(passphrase, waiting, upgrading)
            elif locked != MARKER:  # an upgrade was cut short behind its last transaction
                with suppress(OSError):  # what can only be read opens all the same
                    write_file(path / KEY_FILE, MARKER)
            if vault.being_resealed():
                vault.end_resealing(waiting, upgrading)
            if write:
                vault.lock(waiting)
        except BaseException:
            vault.close()
            raise
        return vault

    @classmethod
    def _opened(cls, path: Path, store: sqlite3.Connection, passphrase: bytes, locked: bytes) -> Self:
        """``locked``: the locked file of a vault that knows no people yet."""
        wrong = WrongPassphrase("opening the vault: the passphrase is wrong; check the passphrase file")
        try:
            if locked:
                key = locked_file.unlock(locked_file.Kind.VAULT, passphrase, locked)
                return cls(path, Keys((_checked(key),)), store)
            rows = store.execute("SELECT id, locked FROM person ORDER BY id").fetchall()
            me = unlocking.unlock(rows, passphrase)
            (sealed,) = store.execute("SELECT keys FROM person WHERE id = ?", (me.id,)).fetchone()
            return cls(path, Keys(me.open_keys(sealed)), store, me)
        except WrongPassphrase as error:
            raise wrong from error
        except VaultDamaged:
            raise
        except (TipboxError, TypeError) as error:  # TypeError: the row has gone meanwhile
            raise VaultDamaged from error

    def bring_up_to_date(self, passphrase: bytes, waiting: Callable[[], None], upgrading: Callable[[], None]) -> None:
        """Bring a vault of an older version up to date; other commands wait meanwhile."""
        from tipbox.desk.vault.upgrade import upgrade  # which knows what is in records, as this module does not

        self.lock(waiting, settled=False)
        try:
            version = _version(self.path / STORE_FILE)
            if version < VERSION:  # nobody else did it while this one waited
                upgrading()
                upgrade(self, version, passphrase)
            else:
                with closing(_connect(self.path / STORE_FILE)) as store:
                    other = self._opened(self.path, store, passphrase, b"")
                    self.keys, self.me = other.keys, other.me
            write_file(self.path / KEY_FILE, MARKER)
        finally:
            self.unlock()

    def end_resealing(
        self,
        waiting: Callable[[], None],
        upgrading: Callable[[], None] = lambda: None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Seal a vault anew to the end that was begun, or take up its keys when that was done; others wait meanwhile.

        ``progress`` is told of the bytes that are read.
        """
        from tipbox.desk.vault.reseal import finish

        self.lock(waiting, settled=False)
        try:
            if self.being_resealed():
                upgrading()
                finish(self, progress=progress)
            else:  # another command has ended it meanwhile
                self.keys = self._keys_in("keys")
        finally:
            self.unlock()

    def lock(self, waiting: Callable[[], None] = lambda: None, *, settled: bool = True) -> None:
        """Wait until no other command writes, and keep others out until the vault is closed.

        Raises:
            Resealed: the vault has got other keys since it was opened; not when it need not be ``settled``.
        """
        if self._lock is None:
            # SQLite's own lock lasts for a transaction; this one lasts for a whole command, and covers the files too.
            with ExitStack() as stack:
                stack.enter_context(exclusive(self.path / LOCK_FILE, mode=0o600, waiting=waiting))
                # What is written with keys of before would open for nobody.
                if settled and (self._replaced() or self.being_resealed()):
                    raise Resealed
                self._lock = stack.pop_all()

    def unlock(self) -> None:
        """Let other writers in."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def beside(self, path: Path) -> Vault:
        """Another folder with the keys of this vault, or with the first of them: a copy of it, or of what it was.

        An empty folder is one without a store.

        Raises:
            OtherCopy: it has keys that this vault does not have.
            VaultDamaged: it is damaged.
        """
        there = (path / STORE_FILE).is_file()
        try:
            store = _connect(path / STORE_FILE) if there else sqlite3.connect(":memory:")
            count = store.execute("PRAGMA application_id").fetchone()[0] + 1 if there else len(self.keys.chain)
        except sqlite3.DatabaseError as error:
            raise VaultDamaged(
                f"opening the copy: {path} is damaged; move it away, and copy to an empty folder"
            ) from error
        if not 0 < count <= len(self.keys.chain):
            store.close()
            raise OtherCopy
        return Vault(path, Keys(self.keys.chain[:count]), store, self.me)

    def changes(self) -> int:
        """How many transactions have changed the store (u32, which begins again at 0). Not within a transaction."""
        # From the header of the file (https://www.sqlite.org/fileformat2.html#file_change_counter). Closing a file ends
        # the locks that this process has on it, which are held during transactions only.
        with (self.path / STORE_FILE).open("rb") as file:
            return int.from_bytes(file.read(28)[24:])

    def snapshot(self, path: Path) -> None:
        """Write the whole store, as it is now, to the empty file ``path``."""
        try:
            with closing(sqlite3.connect(path)) as target:
                target.execute("PRAGMA journal_mode = OFF")  # one that is cut short is written anew
                self._store.backup(target)
        except sqlite3.OperationalError as error:
            raise _as_error(error) from error
        except sqlite3.DatabaseError as error:
            raise VaultDamaged from error

    def check_snapshot(self, path: Path) -> None:
        """Read a store that was written for this folder; VaultDamaged when not all of it opens."""
        self._store.close()
        self._store = _connect(path)
        try:
            self.check_store()
        finally:
            self._store.close()

    def close(self) -> None:
        """Close the store and let other writers in."""
        self._store.close()
        self.index = None
        self.unlock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- records ----------------------------------------------------------------------------------------------------

    def name(self, kind: str, ident: bytes) -> bytes:
        """The name (32 bytes) under which the record of this kind and id lies."""
        return self.keys.name(kind, ident)

    def get(self, kind: str, ident: bytes) -> Record | None:
        """The record of this kind and id, or None."""
        name = self.name(kind, ident)
        row = self._query("SELECT value FROM record WHERE kind = ? AND name = ?", kind, name).fetchone()
        return None if row is None else self._open(kind, name, row[0])

    def put(self, kind: str, ident: bytes, record: Record) -> None:
        """Write a record, in place of the one of the same kind and id."""
        name = self.name(kind, ident)
        sealed = self._seal(kind, name, record)
        with self._noting(kind, ident):
            self._query("INSERT OR REPLACE INTO record (kind, name, value) VALUES (?, ?, ?)", kind, name, sealed)

    def delete(self, kind: str, ident: bytes) -> None:
        """Remove a record, if there is one."""
        with self._noting(kind, ident):
            self._query("DELETE FROM record WHERE kind = ? AND name = ?", kind, self.name(kind, ident))

    def all(self, kind: str) -> Iterator[Record]:
        """All records of a kind, in no meaningful order."""
        # Fetched whole: callers write records of the same kind while they go through them.
        for name, value in self._query("SELECT name, value FROM record WHERE kind = ?", kind).fetchall():
            yield self._open(kind, name, value)

    def names(self, kind: str) -> set[bytes]:
        """The names of all records of a kind."""
        return {name for (name,) in self._query("SELECT name FROM record WHERE kind = ?", kind)}

    def check_store(self) -> int:
        """Read the whole store and open every record; how many there are.

        Raises:
            VaultDamaged: something in it is not what was written.
        """
        if self._query("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            raise VaultDamaged
        count = 0
        for kind, name, value in self._query("SELECT kind, name, value FROM record"):
            self._open(kind, name, value)
            count += 1
        return count

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside happen together, or not at all."""
        # IMMEDIATE takes the write lock at once: one that is taken later, after reading, could fail half-way.
        self._query("BEGIN IMMEDIATE")
        try:
            yield
            self._note_changes()
        except BaseException:
            self._touched.clear()
            if self._store.in_transaction:  # SQLite ends it by itself when the disk is full
                self._store.rollback()
            raise
        self._query("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """All that is read inside is of one moment; a writer waits with its commit meanwhile."""
        self._query("BEGIN")
        try:
            yield
        finally:
            self._query("COMMIT")

    def checkpoint(self) -> None:
        """Within a transaction: make what was written so far durable, and go on."""
        self._note_changes()
        self._query("COMMIT")
        self._query("BEGIN IMMEDIATE")

    def set_version(self) -> None:
        """Within a transaction: this vault is one of this version now."""
        self._query(f"PRAGMA user_version = {VERSION}")

    # --- people -----------------------------------------------------------------------------------------------------

    def add_lock(self, me: Me, passphrase: bytes) -> None:
        """Let somebody in with a passphrase."""
        sealed = unlocking.seal_keys(me.public, me.id, self.keys.chain)
        self._query("INSERT INTO person (id, locked, keys) VALUES (?, ?, ?)", me.id, me.locked(passphrase), sealed)

    def change_lock(self, me: Me, passphrase: bytes) -> None:
        """Lock somebody's seed with another passphrase."""
        self._query("UPDATE person SET locked = ? WHERE id = ?", me.locked(passphrase), me.id)

    def locks(self) -> list[tuple[bytes, bytes]]:
        """Who can open this vault: ids and locked seeds."""
        return self._query("SELECT id, locked FROM person ORDER BY id").fetchall()

    def make_people_table(self) -> None:
        """In a vault that knew no people."""
        self._query(unlocking.SCHEMA.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS"))

    def seal_anew_for(self, people: Mapping[bytes, bytes], keys: Keys, *, take: Sequence[tuple[bytes, bytes]]) -> None:
        """Within a transaction: begin to seal this vault anew; only these people can end it.

        Args:
            people: public keys by id.
            keys: those to come.
            take: ids and locked seeds of the people, who take the place of all who are there.
        """
        self._query("DELETE FROM person")
        for ident, locked in take:
            public = people[ident]
            now, then = (unlocking.seal_keys(public, ident, one.chain) for one in (self.keys, keys))
            self._query("INSERT INTO person (id, locked, keys, next) VALUES (?, ?, ?, ?)", ident, locked, now, then)

    def being_resealed(self) -> bool:
        """Whether somebody began to seal this vault anew, and has not ended it."""
        return self._query("SELECT 1 FROM person WHERE next IS NOT NULL").fetchone() is not None

    def next_keys(self) -> Keys:
        """Those that it is being sealed with."""
        return self._keys_in("next")

    def _keys_in(self, column: str) -> Keys:
        ident = self.me.id if self.me else b""
        row = self._query(f"SELECT {column} FROM person WHERE id = ?", ident).fetchone()  # noqa: S608 (two words of ours)
        if self.me is None or row is None or row[0] is None:
            raise Resealed
        try:
            return Keys(self.me.open_keys(row[0]))
        except TipboxError as error:
            raise VaultDamaged from error

    def take_keys(self, keys: Keys, progress: Callable[[int], None] = lambda _: None) -> None:
        """Within a transaction: seal all records with other keys, which follow those of now."""
        after = len(self.keys.chain)
        fresh = Vault(self.path, keys, self._store, self.me)
        for kind, name in self._query("SELECT kind, name FROM record").fetchall():
            (value,) = self._query("SELECT value FROM record WHERE kind = ? AND name = ?", kind, name).fetchone()
            text, new = self._plain(kind, name, value), keys.renamed(name, after)
            self._query("DELETE FROM record WHERE kind = ? AND name = ?", kind, name)
            sealed = fresh._sealed(kind, new, text)
            self._query("INSERT INTO record (kind, name, value) VALUES (?, ?, ?)", kind, new, sealed)
            progress(len(sealed))
        self._query("UPDATE person SET keys = next, next = NULL")
        self._query(f"PRAGMA application_id = {len(keys.chain) - 1}")
        self.keys = keys

    def knows(self, twin: Vault) -> bool:
        """Whether another folder's store is of this vault: some record of it opens with this vault's keys."""
        for kind, name, value in twin._query("SELECT kind, name, value FROM record"):
            with suppress(VaultDamaged):
                twin._plain(kind, name, value)
                return True
        return False

    def _replaced(self) -> bool:
        """Whether the store is sealed with other keys than those with which it was opened."""
        return bool(self._query("PRAGMA application_id").fetchone()[0] + 1 != len(self.keys.chain))

    # --- files ------------------------------------------------------------------------------------------------------

    def tip_path(self, envelope_id: bytes) -> Path:
        """Where the Envelope with this id lies; the file's name tells nothing without the vault's key."""
        return self.path / TIPS / f"{self.name('tip-file', envelope_id).hex()}.tip"

    def reply_path(self, envelope_id: bytes) -> Path:
        """Where the reply with this id lies until it is delivered."""
        return self.path / REPLIES / f"{self.name('reply-file', envelope_id).hex()}.tip"

    def incoming_path(self) -> Path:
        """A new place for what is being written."""
        # On the same file system as tips/ and replies/, so that it can be renamed into place.
        return self.path / INCOMING / f"{random_bytes(16).hex()}.part"

    @contextmanager
    def sealing(self, path: Path, *, sync: bool = True) -> Iterator[SealingFile]:
        """A new file at ``path`` that is sealed as it is written; durable when the block ends, unless not to ``sync``.

        When the block fails, half a file is left there.
        """
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with DirectFile(descriptor) as direct:
                sealing = SealingFile(direct.put, self.keys.files)
                yield sealing
                sealing.finish()
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def open_file(self, path: Path) -> OpenedFile:
        """What ``sealing`` wrote there, as a stream.

        Raises:
            OSError: it cannot be read.
            Tampered: here or at a read: it is not what was written.
        """
        file = path.open("rb")
        try:
            return open_sealed(file, self.keys.files)
        except BaseException:
            file.close()
            raise

    # --- inside -----------------------------------------------------------------------------------------------------

    @contextmanager
    def _noting(self, kind: str, ident: bytes) -> Iterator[None]:
        """A write of a record; what the index reads is noted in the same transaction."""
        if kind not in _INDEXED:
            yield
        elif self._store.in_transaction:
            yield
            self._touched.append((kind, ident))
        else:
            with self.transaction():
                yield
                self._touched.append((kind, ident))

    def _note_changes(self) -> None:
        if self._touched:
            touched, self._touched = self._touched, []
            changes.note(self, touched)

    def _query(self, statement: str, *values: str | bytes) -> sqlite3.Cursor:
        try:
            return self._store.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise _as_error(error) from error
        except sqlite3.DatabaseError as error:  # also of a disk that is away: SQLite calls that malformed
            raise VaultDamaged from error

    def _seal(self, kind: str, name: bytes, record: Record) -> bytes:
        text = canonical.encode(record)
        return self._sealed(kind, name, text)

    def _sealed(self, kind: str, name: bytes, text: bytes) -> bytes:
        size = padme(max(_SMALLEST_RECORD, 4 + len(text)))
        plain = (len(text).to_bytes(4) + text).ljust(size, b"\x00")
        # 24 random bytes never repeat; a counter would, in a vault that is restored from a copy.
        nonce = random_bytes(_NONCE)
        # Kind and name are authenticated with it: a record that is moved to another row does not open.
        return nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(plain, kind.encode() + name, nonce, self.keys.values)

    def _open(self, kind: str, name: bytes, sealed: bytes) -> Record:
        try:
            # Written here and authenticated: nobody else chose its spelling.
            record = json.loads(self._plain(kind, name, sealed))
        except ValueError as error:
            raise VaultDamaged from error
        if not isinstance(record, dict):
            raise VaultDamaged
        return record

    def _plain(self, kind: str, name: bytes, sealed: bytes) -> bytes:
        try:
            plain = crypto_aead_xchacha20poly1305_ietf_decrypt(
                sealed[_NONCE:], kind.encode() + name, sealed[:_NONCE], self.keys.values
            )
        except (CryptoError, ValueError) as error:
            if self._replaced():
                raise Resealed from error
            raise VaultDamaged from error
        return plain[4 : 4 + int.from_bytes(plain[:4])]
