"""Tips as people see them: Envelopes that one source stored one after the other are one tip (docs/format.md, 4.3).

An Envelope joins the one that its letter names by hash, when that one was accepted in the same thread. What comes after
a person opened the tip stands beside it, as new: nobody believes that they have read it. Nothing is joined across
threads, and nothing here is stored but which Envelopes were opened together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from itertools import accumulate
from typing import Any, Final

from tipbox.desk.vault.records import Copy, Tip, TipFile
from tipbox.desk.vault.vault import Vault

MAX_ROW: Final = 32
"""Envelopes that make up one tip at most."""


@dataclass(frozen=True)
class Covered:
    """What the check digits of an Envelope vouch for: so many messages and files, up to and with its own.

    ``gap``: something before it has not come, for which they do not vouch.
    """

    messages: int
    files: int
    gap: bool


@dataclass(frozen=True)
class JoinedTip:
    """One tip.

    Attributes:
        envelopes: its Envelopes, in the order in which they were stored.
        covered: for each of them, what its check digits vouch for.
        gap: something before its first Envelope has not come.
        missing: how many files its source announced that have not come.
    """

    envelopes: tuple[Tip, ...]
    covered: tuple[Covered, ...]
    gap: bool
    missing: int

    @property
    def first(self) -> Tip:
        """The Envelope that stands for the tip."""
        return self.envelopes[0]

    @property
    def id(self) -> bytes:
        """The id of its first Envelope."""
        return self.first.id

    @property
    def thread(self) -> bytes:
        """The thread's id."""
        return self.first.thread

    @property
    def received(self) -> date:
        """The day of its first Envelope."""
        return self.first.received

    @property
    def state(self) -> str:
        """All its Envelopes have the same."""
        return self.first.state

    @property
    def files(self) -> tuple[TipFile, ...]:
        """The files of all."""
        return tuple(file for envelope in self.envelopes for file in envelope.files)

    def facts(self) -> dict[str, Any]:
        """What commands print of the Envelopes of a tip, as JSON."""
        return {
            "before_missing": self.gap,
            "envelopes": [
                {
                    "check_digits": envelope.check_digits,
                    "covers": {
                        "before_missing": covered.gap,
                        "files": covered.files,
                        "messages": covered.messages,
                    },
                    "id": envelope.id.hex(),
                    "imported": envelope.imported.isoformat(),
                    "received": envelope.received.isoformat(),
                }
                for envelope, covered in zip(self.envelopes, self.covered, strict=True)
            ],
            "imported": self.first.imported.isoformat(),
            "missing": self.missing,
            "received": self.received.isoformat(),
        }


def joined_tips(vault: Vault, thread: bytes | None = None) -> list[JoinedTip]:
    """All tips of the vault, or of one thread, by day and id."""
    if thread is None:
        joined = join(Tip.all(vault), Copy.all(vault))
    else:
        # Here, because the index joins tips itself; without it, every record would be decrypted for one thread.
        from tipbox.desk.inbox.tip_index import TipIndex

        index = TipIndex.of(vault)
        joined = join(index.envelopes(thread), index.copies(thread))
    return sorted(joined, key=lambda tip: (tip.received, tip.id))


def joined_tip(vault: Vault, tip: Tip) -> JoinedTip:
    """The tip that an Envelope belongs to."""
    return next(joined for joined in joined_tips(vault, tip.thread) if tip.id in {part.id for part in joined.envelopes})


def join(tips: Iterable[Tip], copies: Iterable[Copy] = ()) -> Iterator[JoinedTip]:
    """Join the Envelopes of any threads."""
    copies = tuple(copies)
    for row in _rows(sorted(dated_alike(tips, copies), key=lambda tip: (tip.imported, tip.id)), copies):
        totals = list(accumulate(len(envelope.files) for envelope in row.envelopes))
        messages = list(accumulate(int(envelope.words) for envelope in row.envelopes))
        missing = [
            envelope.files_follow - (totals[-1] - total) for envelope, total in zip(row.envelopes, totals, strict=True)
        ]
        for part in _parts(row.envelopes):
            yield JoinedTip(
                row.envelopes[part],
                tuple(Covered(*found, row.gap) for found in zip(messages[part], totals[part], strict=True)),
                row.gap and part.start == 0,
                max(0, *missing[part]),
            )


def dated_alike(tips: Iterable[Tip], copies: Iterable[Copy]) -> Iterator[Tip]:
    """Envelopes under the earliest day that the server gave them or a copy of them.

    Which of two copies comes first, and which of them carries the seal of another organisation's thread, differs from
    desk to desk; the day must not.
    """
    named: dict[bytes, date] = {}
    for copy in copies:
        if copy.dated:
            named[copy.tip] = min(copy.received, named.get(copy.tip, copy.received))
    for tip in tips:
        day = named.get(tip.id, tip.received)
        yield replace(tip, received=min(day, tip.received) if tip.dated else day)


def _parts(row: tuple[Tip, ...]) -> Iterator[slice]:
    """What of a row was opened together, or not at all yet."""
    start = 0
    for end in range(1, len(row) + 1):
        if end == len(row) or not _together(row[start], row[end]) or end - start == MAX_ROW:
            yield slice(start, end)
            start = end


def _together(one: Tip, other: Tip) -> bool:
    """Whether people opened both at once, or neither."""
    return one.first == other.first


@dataclass(frozen=True)
class _Row:
    """Envelopes that continue one another, whoever opened them when."""

    envelopes: tuple[Tip, ...]
    gap: bool


def _rows(tips: list[Tip], copies: Iterable[Copy]) -> Iterator[_Row]:
    threads = {tip.id: tip for tip in tips}
    named: dict[tuple[bytes, bytes], Tip] = {}
    for tip in tips:
        named.setdefault((tip.thread, tip.hash), tip)
    for copy in copies:
        if (kept := threads.get(copy.tip)) is not None:
            named.setdefault((kept.thread, copy.hash), kept)
    before = {tip.id: named.get((tip.thread, tip.continues)) for tip in tips}
    after: dict[bytes, Tip] = {}
    for tip in tips:
        if (one := before[tip.id]) is not None and one.id != tip.id:
            known = after.get(one.id)
            # One goes on from each, so that a row is a row. What was opened with it stays with it; else the first.
            if known is None or (_together(one, tip) and not _together(one, known)):
                after[one.id] = tip
    seen: set[bytes] = set()
    # Those that begin a row; then what is left, if a source named Envelopes in a circle by means of copies.
    begins = [tip for tip in tips if (one := before[tip.id]) is None or after.get(one.id) is not tip]
    for begin in (*begins, *tips):
        row: list[Tip] = []
        at: Tip | None = begin
        while at is not None and at.id not in seen:
            seen.add(at.id)
            row.append(at)
            at = after.get(at.id)
        if row:
            yield _Row(tuple(row), bool(begin.continues) and before[begin.id] is None)


def set_state(vault: Vault, tips: Iterable[JoinedTip], state: str, only: Collection[str]) -> int:
    """Within a transaction: give tips another state, where they have one of ``only``; how many have it now.

    What came since ``tips`` were read is left as it is.
    """
    count = 0
    for tip in tips:
        now = [
            found
            for found in (Tip.find(vault, envelope.id) for envelope in tip.envelopes)
            if found and found.state in only
        ]
        for envelope in now:
            replace(envelope, state=state, first=tip.id).save(vault)
        count += bool(now)
    return count
