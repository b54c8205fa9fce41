"""The index: all tips in a database in memory, to list and search a hundred thousand of them at once.

It lies in the vault as one sealed file, and holds nothing that the vault does not. Each transaction that changes what
is listed leaves a *change* in the vault (tipbox/desk/vault/changes.py); an index that is behind reads those, and one
that is gone, damaged or of another past of this vault is made anew from the records and the tips.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from tipbox.desk.inbox.folding import fold
from tipbox.desk.inbox.marks import Marks
from tipbox.desk.inbox.summary import Summary
from tipbox.desk.joined import join
from tipbox.desk.vault import changes
from tipbox.desk.vault.changes import NEVER, Mark
from tipbox.desk.vault.letters import letter_of
from tipbox.desk.vault.records import Copy, Reply, Tip
from tipbox.desk.vault.vault import INDEX_FILE, Vault
from tipbox.errors import InputRefused, TipboxError
from tipbox.files.durable import fsync_folder
from tipbox.formats.base.limits import HASH_SIZE

_FORMAT: Final = 1
"""Of the tables below: an index of another format is made anew."""

_SAVED_AFTER: Final = 200
"""Changes after which a command that may write seals the index anew: until then each command reads them again."""

MAX_QUERY: Final = 1000
"""Characters of what is searched for."""
_MAX_TERMS: Final = 32
_SAME: Final = 16
"""Bytes of a hash that are enough to tell what says the same."""

_TABLES: Final = """
CREATE TABLE meta (format INTEGER, seq INTEGER, token BLOB);
CREATE TABLE envelope (number INTEGER PRIMARY KEY, id BLOB UNIQUE, thread BLOB, tip BLOB, same BLOB);
CREATE INDEX envelope_thread ON envelope (thread);
CREATE INDEX envelope_same ON envelope (same);
CREATE TABLE file (hash BLOB, envelope BLOB, PRIMARY KEY (hash, envelope)) WITHOUT ROWID;
CREATE INDEX file_envelope ON file (envelope);
CREATE TABLE copy (id BLOB PRIMARY KEY, tip BLOB) WITHOUT ROWID;
CREATE INDEX copy_tip ON copy (tip);
CREATE TABLE reply (id BLOB PRIMARY KEY, thread BLOB) WITHOUT ROWID;
CREATE INDEX reply_thread ON reply (thread);
CREATE TABLE tip (id BLOB PRIMARY KEY, thread BLOB, received TEXT, state TEXT, language TEXT)
  WITHOUT ROWID;
CREATE INDEX tip_thread ON tip (thread);
CREATE INDEX tip_received ON tip (received, id);
CREATE INDEX tip_state ON tip (state, received, id);
CREATE TABLE thread (number INTEGER PRIMARY KEY, id BLOB UNIQUE, spam INTEGER, person TEXT);
CREATE TABLE tag (tag TEXT, thread BLOB, PRIMARY KEY (tag, thread)) WITHOUT ROWID;
CREATE INDEX tag_thread ON tag (thread);
CREATE TABLE said (number INTEGER PRIMARY KEY, text BLOB);
CREATE VIRTUAL TABLE words USING fts5
  (text, content = '', columnsize = 0, tokenize = "unicode61 remove_diacritics 0");
CREATE VIRTUAL TABLE noted USING fts5 (text, columnsize = 0, tokenize = "unicode61 remove_diacritics 0");
"""


@dataclass(frozen=True)
class Filter:
    """Which tips to list; None and empty leave it open.

    Attributes:
        state: ``new``, ``opened``, ``answered`` or ``closed``.
        tag: of the thread.
        person: whose the thread is; an empty text means nobody's.
        language: as it was detected.
        spam: only spam, or only what is not.
    """

    state: str | None = None
    tag: str | None = None
    person: str | None = None
    language: str | None = None
    spam: bool | None = None

    def sql(self) -> tuple[str, list[str]]:
        """A condition, and its values."""
        parts, values = ["1"], list[str]()
        for column, value in (("tip.state", self.state), ("tip.language", self.language)):
            if value is not None:
                parts.append(f"{column} = ?")
                values.append(value)
        if self.person is not None:
            parts.append("coalesce(thread.person, '') = ?")
            values.append(self.person)
        if self.tag is not None:
            parts.append("tip.thread IN (SELECT thread FROM tag WHERE tag = ?)")
            values.append(self.tag)
        if self.spam is not None:
            parts.append(f"coalesce(thread.spam, 0) = {int(self.spam)}")
        return " AND ".join(parts), values


class TipIndex:
    """The index of an open vault, as new as the vault."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._at = NEVER
        self._behind = 0
        self._gone = False
        self._db = self._load() or self._new()
        self.refresh()

    @classmethod
    def of(cls, vault: Vault) -> TipIndex:
        """The vault's, made once and kept with it."""
        index = vault.index
        if not isinstance(index, TipIndex):
            index = vault.index = cls(vault)
        index.refresh()
        return index

    # --- as new as the vault ----------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Take what has changed in the vault since."""
        head = changes.head(self._vault)
        if head == self._at:
            return
        found = changes.since(self._vault, self._at)
        if found is None:
            self._db.close()
            self._db = self._new()
            self._gone = True
            self._rebuild()
        else:
            self._behind += len(found)
            self._apply(found)
        self._at = head

    def save(self, *, always: bool = False) -> None:
        """Seal the index, if enough has changed since it was; the vault is open for writing.

        What was forgotten goes from the file at once.
        """
        self.refresh()
        if not (always or self._gone or self._behind >= _SAVED_AFTER) or not (self._behind or self._gone):
            return
        with self._db:
            if self._gone:
                self._db.execute("INSERT INTO words (words) VALUES ('optimize')")
                self._db.execute("INSERT INTO noted (noted) VALUES ('optimize')")
            self._db.execute("DELETE FROM meta")
            self._db.execute("INSERT INTO meta VALUES (?, ?, ?)", (_FORMAT, *self._at))
        kept, part = self._vault.path / INDEX_FILE, self._vault.incoming_path()
        try:
            with self._vault.sealing(part) as out:
                out.write(self._db.serialize())
            part.replace(kept)
        except OSError:  # a disk that is full, say: nothing is lost, and the next command makes it anew
            kept.unlink(missing_ok=True)
            return
        finally:
            part.unlink(missing_ok=True)
        fsync_folder(self._vault.path)
        self._forget_changes()
        self._behind, self._gone = 0, False

    def _forget_changes(self) -> None:
        with self._vault.transaction():
            changes.prune(self._vault, self._at)

    def _load(self) -> sqlite3.Connection | None:
        """The database of the sealed file; None when there is none that fits."""
        try:
            with self._vault.open_file(self._vault.path / INDEX_FILE) as file:
                data = file.read()
        except (OSError, TipboxError):
            return None
        db = _connect()
        with suppress(sqlite3.DatabaseError):
            db.deserialize(data)
            _quiet(db)
            kind, seq, token = db.execute("SELECT format, seq, token FROM meta").fetchone()
            at = Mark(seq, token)
            if kind == _FORMAT and changes.since(self._vault, at) is not None:
                self._at = at
                return db
        db.close()
        return None

    def _new(self) -> sqlite3.Connection:
        self._at = NEVER
        db = _connect()
        db.executescript(_TABLES)
        return db

    def _rebuild(self) -> None:
        with self._db:
            threads: dict[bytes, list[Tip]] = {}
            for tip in Tip.all(self._vault):
                threads.setdefault(tip.thread, []).append(tip)
                self._add(tip)
            copies: dict[bytes, list[Copy]] = {}
            for copy in Copy.all(self._vault):
                copies.setdefault(copy.tip, []).append(copy)
                self._db.execute("INSERT OR REPLACE INTO copy VALUES (?, ?)", (copy.id, copy.tip))
            for reply in Reply.all(self._vault):
                self._db.execute("INSERT OR REPLACE INTO reply VALUES (?, ?)", (reply.id, reply.thread))
            for marks in Marks.all(self._vault):
                self._mark(marks.thread)
            for tips in threads.values():
                self._join(tips, [copy for tip in tips for copy in copies.get(tip.id, ())])

    def _apply(self, touched: Sequence[tuple[str, bytes]]) -> None:
        threads: set[bytes] = set()
        with self._db:
            for kind, ident in dict.fromkeys(touched):
                threads |= {thread for thread in self._touch(kind, ident) if thread}
            for thread in threads:
                self._db.execute("DELETE FROM tip WHERE thread = ?", (thread,))
                tips = self.envelopes(thread)
                self._join(tips, self.copies(thread))

    def _touch(self, kind: str, ident: bytes) -> Iterator[bytes]:
        """Take one record that was written or deleted; the threads that it may change."""
        if kind == Tip.kind:
            yield self.thread_of(ident)
            tip = Tip.find(self._vault, ident)
            if tip is None:
                self._remove(ident)
            else:
                yield tip.thread
                if not self._db.execute("SELECT 1 FROM envelope WHERE id = ?", (ident,)).fetchone():
                    self._add(tip)
        elif kind == Copy.kind:
            copy = Copy.find(self._vault, ident)
            self._db.execute("DELETE FROM copy WHERE id = ?", (ident,))
            if copy is not None:
                self._db.execute("INSERT INTO copy VALUES (?, ?)", (ident, copy.tip))
                yield self.thread_of(copy.tip)
        elif kind == Reply.kind:
            reply = Reply.find(self._vault, ident)
            if reply is not None:
                self._db.execute("INSERT OR REPLACE INTO reply VALUES (?, ?)", (ident, reply.thread))
        elif kind == Marks.kind:
            self._mark(ident)

    def thread_of(self, ident: bytes) -> bytes:
        """The thread of an Envelope; empty when there is none with this id."""
        found = self._db.execute("SELECT thread FROM envelope WHERE id = ?", (ident,)).fetchone()
        return found[0] if found else b""

    def _add(self, tip: Tip) -> None:
        summary = Summary.find(self._vault, tip.id)
        done = self._db.execute(
            "INSERT INTO envelope (id, thread, tip, same) VALUES (?, ?, ?, ?)",
            (tip.id, tip.thread, tip.id, summary.same[:_SAME] if summary and summary.same else None),
        )
        for file in summary.files if summary else ():
            self._db.execute("INSERT OR IGNORE INTO file VALUES (?, ?)", (file.hash, tip.id))
        try:
            said = letter_of(self._vault, tip).message.decode(errors="replace")
        except TipboxError:  # a file that is damaged: what the summary has is found
            said = summary.begins if summary else ""
        text = fold("\n".join([said, *(file.name for file in tip.files)]))
        self._db.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (done.lastrowid, text))
        # FTS5 wants the text again to remove it, and would keep it as it is: packed, it takes a third of the memory.
        self._db.execute("INSERT INTO said VALUES (?, ?)", (done.lastrowid, zlib.compress(text.encode())))

    def _remove(self, ident: bytes) -> None:
        self._gone = True
        found = "SELECT number, text FROM said WHERE number = (SELECT number FROM envelope WHERE id = ?)"
        for number, packed in self._db.execute(found, (ident,)).fetchall():
            text = zlib.decompress(packed).decode()
            self._db.execute("INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", (number, text))
            self._db.execute("DELETE FROM said WHERE number = ?", (number,))
        for statement in (
            "DELETE FROM envelope WHERE id = ?",
            "DELETE FROM file WHERE envelope = ?",
            "DELETE FROM tip WHERE id = ?",
        ):
            self._db.execute(statement, (ident,))

    def _mark(self, thread: bytes) -> None:
        self._db.execute("DELETE FROM tag WHERE thread = ?", (thread,))
        self._db.execute("DELETE FROM noted WHERE rowid IN (SELECT number FROM thread WHERE id = ?)", (thread,))
        self._db.execute("DELETE FROM thread WHERE id = ?", (thread,))
        marks = Marks.find(self._vault, thread)
        if marks is None:
            self._gone = True
            return
        done = self._db.execute(
            "INSERT INTO thread (id, spam, person) VALUES (?, ?, ?)", (thread, marks.spam, marks.person)
        )
        self._db.executemany("INSERT INTO tag VALUES (?, ?)", [(tag, thread) for tag in marks.tags])
        text = fold("\n".join([*(note.text for note in marks.notes), *marks.tags]))
        self._db.execute("INSERT INTO noted (rowid, text) VALUES (?, ?)", (done.lastrowid, text))

    def _join(self, tips: Iterable[Tip], copies: Iterable[Copy]) -> None:
        for joined in join(tips, copies):
            for envelope in joined.envelopes:  # the first as well: it may have been part of another
                self._db.execute("UPDATE envelope SET tip = ? WHERE id = ?", (joined.id, envelope.id))
            summary = Summary.find(self._vault, joined.id)
            self._db.execute(
                "INSERT OR REPLACE INTO tip VALUES (?, ?, ?, ?, ?)",
                (
                    joined.id,
                    joined.thread,
                    joined.received.isoformat(),
                    joined.state,
                    summary.language if summary else "",
                ),
            )

    # --- looking things up ------------------------------------------------------------------------------------------

    def envelopes(self, thread: bytes) -> list[Tip]:
        """All Envelopes of a thread."""
        found = self._ids("SELECT id FROM envelope WHERE thread = ? ORDER BY number", thread)
        return [tip for tip in (Tip.find(self._vault, ident) for ident in found) if tip is not None]

    def copies(self, thread: bytes) -> list[Copy]:
        """What was noted of Envelopes that say the same as those of a thread."""
        statement = "SELECT copy.id FROM copy JOIN envelope ON envelope.id = copy.tip WHERE envelope.thread = ?"
        found = (Copy.find(self._vault, ident) for ident in self._ids(statement, thread))
        return [copy for copy in found if copy is not None]

    def replies(self, thread: bytes) -> list[Reply]:
        """The replies to a thread."""
        found = (Reply.find(self._vault, ident) for ident in self._ids("SELECT id FROM reply WHERE thread = ?", thread))
        return [reply for reply in found if reply is not None]

    def starting_with(self, prefix: str) -> set[bytes]:
        """The ids of Envelopes whose hex begins like this; for a copy, of the one that says the same."""
        low = bytes.fromhex(prefix.ljust(2 * HASH_SIZE, "0"))
        high = bytes.fromhex(prefix.ljust(2 * HASH_SIZE, "f"))
        return {
            *self._ids("SELECT id FROM envelope WHERE id BETWEEN ? AND ? LIMIT 2", low, high),
            *self._ids("SELECT tip FROM copy WHERE id BETWEEN ? AND ? LIMIT 2", low, high),
        }

    def same_as(self, ident: bytes) -> int:
        """How many other Envelopes say exactly the same."""
        statement = (
            "SELECT count(*) FROM envelope AS one "
            "JOIN envelope AS other ON one.same = other.same AND one.id <> other.id WHERE one.id = ?"
        )
        return int(self._db.execute(statement, (ident,)).fetchone()[0])

    def page(self, which: Filter, limit: int = -1, offset: int = 0) -> list[bytes]:
        """The ids of tips, by day and id."""
        condition, values = which.sql()
        statement = (
            f"SELECT tip.id FROM tip LEFT JOIN thread ON thread.id = tip.thread WHERE {condition} "  # noqa: S608
            "ORDER BY tip.received, tip.id LIMIT ? OFFSET ?"
        )
        return [ident for (ident,) in self._db.execute(statement, (*values, limit, offset))]

    def count(self, which: Filter) -> int:
        """How many tips there are of these."""
        condition, values = which.sql()
        statement = f"SELECT count(*) FROM tip LEFT JOIN thread ON thread.id = tip.thread WHERE {condition}"  # noqa: S608
        return int(self._db.execute(statement, values).fetchone()[0])

    def tips(self, thread: bytes) -> list[bytes]:
        """The ids of the tips of a thread, by day and id."""
        return self._ids("SELECT id FROM tip WHERE thread = ? ORDER BY received, id", thread)

    def threads(self, view: str, person: str, canaries: Sequence[bytes], limit: int, offset: int) -> list[bytes]:
        """The ids of threads that stand somewhere (VIEWS of threads.py), the one that came last first."""
        statement, values = _threads(view, person, canaries)
        order = "ORDER BY max(tip.received) DESC, tip.thread LIMIT ? OFFSET ?"
        return self._ids(f"{statement} {order}", *values, limit, offset)

    def count_threads(self, view: str, person: str, canaries: Sequence[bytes]) -> int:
        """How many threads stand there."""
        statement, values = _threads(view, person, canaries)
        return int(self._db.execute(f"SELECT count(*) FROM ({statement})", values).fetchone()[0])  # noqa: S608

    def groups(self, limit: int) -> list[list[bytes]]:
        """The threads of Envelopes that say exactly the same: the largest group first, in each what came first."""
        same = self._ids(
            "SELECT same FROM envelope WHERE same IS NOT NULL GROUP BY same HAVING count(DISTINCT thread) > 1 "
            "ORDER BY count(DISTINCT thread) DESC, same LIMIT ?",
            limit,
        )
        return [
            self._ids("SELECT thread FROM envelope WHERE same = ? GROUP BY thread ORDER BY min(number)", one)
            for one in same
        ]

    def persons(self) -> list[str]:
        """All to whom a thread was given."""
        return self._ids("SELECT DISTINCT person FROM thread WHERE person <> '' ORDER BY person")

    def search(self, query: str, limit: int) -> list[bytes]:
        """The ids of tips with all these words (or what they begin) in text, names of files, notes or tags.

        What came last is first. A SHA-256 in hex finds the tips with that file.

        Raises:
            InputRefused: there is nothing to look for, or too much.
        """
        if len(query) > MAX_QUERY:
            raise InputRefused(f"searching: at most {MAX_QUERY:,} characters")
        if len(query) == 2 * HASH_SIZE and not query.lower().strip("0123456789abcdef"):
            statement = (
                "SELECT DISTINCT envelope.tip FROM file JOIN envelope ON envelope.id = file.envelope "
                "WHERE file.hash = ? ORDER BY envelope.number DESC LIMIT ?"
            )
            return self._ids(statement, bytes.fromhex(query), limit)
        terms = _terms(query)
        words = self._ids(
            "SELECT envelope.tip FROM (SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?) AS hit "
            "JOIN envelope ON envelope.number = hit.rowid ORDER BY hit.rowid DESC",
            terms,
            limit * 2,  # two Envelopes may be one tip
        )
        noted = self._ids(
            "SELECT tip.id FROM noted JOIN thread ON thread.number = noted.rowid JOIN tip ON tip.thread = thread.id "
            "WHERE noted MATCH ? LIMIT ?",
            terms,
            limit,
        )
        return list(dict.fromkeys([*words, *noted]))[:limit]

    def _ids(self, statement: str, *values: Any) -> list[Any]:
        return [ident for (ident,) in self._db.execute(statement, values)]


_STANDS: Final = {
    "new": "coalesce(thread.spam, 0) = 0 AND tip.state = 'new'",
    "mine": "coalesce(thread.spam, 0) = 0 AND thread.person = ? AND tip.state <> 'closed'",
    "unassigned": "coalesce(thread.spam, 0) = 0 AND coalesce(thread.person, '') = '' AND tip.state <> 'closed'",
    "due": "coalesce(thread.spam, 0) = 0 AND tip.state = 'opened'",
    "closed": "coalesce(thread.spam, 0) = 0 AND tip.thread NOT IN (SELECT thread FROM tip WHERE state <> 'closed')",
    "spam": "thread.spam = 1",
    "canaries": "1",
    "all": "1",
}
"""What holds for a tip of each thread that stands there."""


def _threads(view: str, person: str, canaries: Sequence[bytes]) -> tuple[str, list[str | bytes]]:
    """A statement for the threads that stand somewhere, and its values."""
    values: list[str | bytes] = [person] if view == "mine" else []
    condition = _STANDS[view]
    if view != "all":
        places = ", ".join("?" * len(canaries))
        condition += f" AND tip.id {'' if view == 'canaries' else 'NOT '}IN ({places})"
        values += canaries
    statement = (
        f"SELECT tip.thread FROM tip LEFT JOIN thread ON thread.id = tip.thread WHERE {condition} "  # noqa: S608
        "GROUP BY tip.thread"
    )
    return statement, values


def _terms(query: str) -> str:
    """A query in the language of FTS5: every word, or what begins with it; a phrase in quotes as it stands."""
    terms = []
    for number, piece in enumerate(fold(query).split('"')):
        words = "".join(character if character.isalnum() else " " for character in piece).split()
        if number % 2 and words:
            terms.append(f'"{" ".join(words)}"')
        else:
            terms += [f'"{word}" *' for word in words]
    if not terms:
        raise InputRefused("searching: give a word to look for")
    if len(terms) > _MAX_TERMS:
        raise InputRefused(f"searching: at most {_MAX_TERMS} words at once")
    return " AND ".join(terms)


def _connect() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    _quiet(db)
    return db


def _quiet(db: sqlite3.Connection) -> None:
    # Nothing of it may reach the disk in the clear, and what is deleted must not stay in what is sealed.
    for pragma in ("temp_store = MEMORY", "secure_delete = ON", "trusted_schema = OFF"):
        db.execute(f"PRAGMA {pragma}")
