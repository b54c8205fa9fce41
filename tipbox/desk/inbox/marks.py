"""What people at the desk say of a thread: notes, tags, whose it is, and that it is spam. None of it ever leaves.

Each of these acts writes its event into the chain of custody, in the transaction that writes the mark.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from typing import ClassVar, Final, Self

from tipbox.desk.custody.chain import note, who
from tipbox.desk.joined import joined_tips, set_state
from tipbox.desk.marked import N_
from tipbox.desk.vault.records import Person, Tip, VaultRecord
from tipbox.desk.vault.vault import Vault
from tipbox.errors import LimitExceeded, NotFound, Usage
from tipbox.files.printable import is_printable

MAX_TAGS: Final = 32
"""Tags of a thread."""
MAX_TAG: Final = 60
"""Bytes of UTF-8 of a tag, and of the name of whom a thread is given to."""
MAX_NOTES: Final = 500
"""Notes on a thread."""
MAX_NOTE: Final = 4000
"""Bytes of UTF-8 of a note."""
MAX_TRANSLATION: Final = 1 << 20
"""Bytes of UTF-8 of a translation: as many as a message has."""


@dataclass(frozen=True)
class ThreadNote:
    """A note: by whom it was written, and when."""

    day: date
    who: str
    text: str = field(repr=False)


@dataclass(frozen=True)
class Marks(VaultRecord):
    """What was said of a thread; ``person`` is whose it is, empty when nobody's."""

    kind: ClassVar[str] = "marks"
    thread: bytes
    tags: tuple[str, ...] = ()
    person: str = ""
    spam: bool = False
    notes: tuple[ThreadNote, ...] = field(default=(), repr=False)

    @property
    def key(self) -> bytes:
        """The thread's id."""
        return self.thread

    @classmethod
    def of(cls, vault: Vault, thread: bytes) -> Self:
        """Those of a thread, or none."""
        return cls.find(vault, thread) or cls(thread)


@dataclass(frozen=True)
class Translation(VaultRecord):
    """What somebody here translated of a tip; it stands beside what the source wrote, and is never sent."""

    kind: ClassVar[str] = "translation"
    tip: bytes
    day: date
    who: str
    text: str = field(repr=False)

    @property
    def key(self) -> bytes:
        """The tip's id."""
        return self.tip


def translate(vault: Vault, tip: bytes, text: str, *, today: date) -> None:
    """Keep a translation of the tip with this id, in place of the one before; an empty one removes it.

    Raises:
        NotFound: there is no such tip.
        LimitExceeded: it is too long.
    """
    made = Translation(tip, today, who(vault), text.encode(errors="replace").decode())
    if len(made.text.encode()) > MAX_TRANSLATION:
        raise LimitExceeded(f"translating: it has at most {MAX_TRANSLATION:,} bytes")
    if Tip.find(vault, tip) is None:
        raise NotFound("translating: this vault has no such tip")
    with vault.transaction():
        if text.strip():
            made.save(vault)
        else:
            vault.delete(Translation.kind, tip)
        note(vault, "translate", tip)


def add_note(vault: Vault, threads: Iterable[bytes], text: str, *, today: date) -> int:
    """Write a note on each of some threads; on how many.

    Raises:
        Usage: there are no words in it.
        LimitExceeded: it is too long, or a thread has too many.
    """
    if not text.strip():
        raise Usage("writing a note: it is empty")
    made = ThreadNote(today, who(vault), text.encode(errors="replace").decode())
    if len(made.text.encode()) > MAX_NOTE:
        raise LimitExceeded(f"writing a note: it has at most {MAX_NOTE:,} bytes; write a second one")

    def noted(marks: Marks) -> Marks:
        if len(marks.notes) >= MAX_NOTES:
            raise LimitExceeded(f"writing a note: this thread has {MAX_NOTES:,}, and takes no more")
        return replace(marks, notes=(*marks.notes, made))

    count = 0
    with vault.transaction():
        for _, after in _changed(vault, threads, noted):
            note(vault, "note", after.thread, after=f"{len(after.notes)} notes")
            count += 1
    return count


def tag(vault: Vault, threads: Iterable[bytes], add: Iterable[str], remove: Iterable[str] = ()) -> int:
    """Give tags to threads and take others from them; how many threads are changed by it.

    Raises:
        Usage: a tag is empty, or has what cannot be seen.
        LimitExceeded: one is too long, or a thread would have too many.
    """
    new, old = [_seen(_checked(tag)) for tag in add], {_checked(tag) for tag in remove}

    def tagged(marks: Marks) -> Marks:
        tags = tuple(sorted({*marks.tags, *new} - old))
        if len(tags) > MAX_TAGS:
            raise LimitExceeded(f"tagging: a thread has at most {MAX_TAGS} tags")
        return replace(marks, tags=tags)

    count = 0
    with vault.transaction():
        for before, after in _changed(vault, threads, tagged):
            note(vault, "tag", after.thread, before=", ".join(before.tags), after=", ".join(after.tags))
            count += 1
    return count


def assign(vault: Vault, threads: Iterable[bytes], person: str) -> int:
    """Say whose threads are; an empty name gives them to nobody. How many threads are changed by it.

    While only one person opens the vault, any name will do.

    Raises:
        LimitExceeded: the name is too long.
        NotFound: several people open the vault, and none of them has this name.
    """
    name = _checked(person) if person.strip() else ""
    people = [one.name for one in Person.all(vault) if one.removed is None]
    if name and len(people) > 1:
        found = [one for one in people if folded_name(one) == folded_name(name)]
        if not found:
            raise NotFound("giving a thread: nobody here has this name; see tipbox desk person list")
        (name,) = found
    count = 0
    with vault.transaction():
        for before, after in _changed(vault, threads, lambda marks: replace(marks, person=name)):
            note(vault, "assign", after.thread, before=before.person, after=after.person)
            count += 1
    return count


def spam(vault: Vault, threads: Iterable[bytes], *, is_spam: bool) -> int:
    """Say that threads are spam, or that they are not; how many are changed by it."""
    count = 0
    with vault.transaction():
        for _, after in _changed(vault, threads, lambda marks: replace(marks, spam=is_spam)):
            note(vault, "spam", after.thread, after="spam" if is_spam else "no spam")
            count += 1
    return count


def unread(vault: Vault, threads: Iterable[bytes]) -> int:
    """Have the tips of threads listed as new again; of how many threads."""
    count = 0
    with vault.transaction():
        for thread in dict.fromkeys(threads):
            again = set_state(vault, joined_tips(vault, thread), "new", only=("opened", "answered", "closed"))
            if again:
                note(vault, "unread", thread, after=f"{again} new")
                count += 1
    return count


def folded_name(name: str) -> str:
    """A person's name as it is compared."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _checked(word: str) -> str:
    """A tag or a name as it is kept."""
    word = " ".join(word.encode(errors="replace").decode().split())
    if not word:
        raise Usage("naming a tag or a person: the name is empty")
    if len(word.encode()) > MAX_TAG:
        raise LimitExceeded(f"naming a tag or a person: a name has at most {MAX_TAG} bytes")
    return word


def _seen(tag: str) -> str:
    """Two tags that look the same are the same."""
    if not all(map(is_printable, tag)):
        raise Usage(N_("naming a tag: it has something that cannot be seen; type it anew"))
    return tag


def _changed(vault: Vault, threads: Iterable[bytes], change: Callable[[Marks], Marks]) -> Iterator[tuple[Marks, Marks]]:
    """Within a transaction: change the marks of threads; those that are others now, before and after."""
    for thread in dict.fromkeys(threads):
        before = Marks.of(vault, thread)
        after = change(before)
        if after != before:
            after.save(vault)
            yield before, after
