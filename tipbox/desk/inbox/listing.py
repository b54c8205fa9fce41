"""Tips as lists show them: what commands print as JSON, and pages will show as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

from tipbox.desk.inbox.marks import Marks
from tipbox.desk.inbox.summary import FileSummary, Summary
from tipbox.desk.inbox.tip_index import Filter, TipIndex
from tipbox.desk.joined import JoinedTip, joined_tips
from tipbox.desk.tips import consent_of
from tipbox.desk.vault.records import Canary, Organisation, Thread
from tipbox.desk.vault.vault import Vault

_MANY: Final = 2000
"""Tips from which on all records of the vault are read in one go, which costs less than to look so many up."""

Row = dict[str, Any]


def list_tips(
    vault: Vault, organisation: Organisation, which: Filter | None = None, *, limit: int = -1, offset: int = 0
) -> list[Row]:
    """Tips as ``desk list --json`` prints them, by day and id. Canaries are among them, marked as what they are.

    Args:
        vault: the vault.
        organisation: whose it is.
        which: only these; None for all.
        limit: at most so many; -1 for all.
        offset: leave out so many from the start.
    """
    return rows(vault, organisation, TipIndex.of(vault).page(which or Filter(), limit, offset))


def count_tips(vault: Vault, which: Filter) -> int:
    """How many tips there are of these."""
    return TipIndex.of(vault).count(which)


def search_tips(vault: Vault, organisation: Organisation, query: str, *, limit: int) -> list[Row]:
    """The tips with these words, as ``list_tips`` has them; what came last is first.

    Raises:
        InputRefused: there is nothing to look for, or too much.
    """
    return rows(vault, organisation, TipIndex.of(vault).search(query, limit))


def rows(vault: Vault, organisation: Organisation, tips: Sequence[bytes]) -> list[Row]:
    """The rows of tips, by their ids, in the same order."""
    known = _Known(vault, many=len(tips) >= _MANY)
    return [_row(known, organisation, tip) for tip in map(known.tip, tips) if tip is not None]


class _Known:
    """The records that rows are made of: looked up one by one, or all read at once."""

    def __init__(self, vault: Vault, *, many: bool) -> None:
        self.index = TipIndex.of(vault)
        self.canaries = {canary.tip: canary.number for canary in Canary.all(vault) if canary.tip}
        self._vault = vault
        self._many = many
        self._tips: dict[bytes, JoinedTip] = {}
        self._summaries: dict[bytes, Summary] = {}
        self._threads: dict[bytes, Thread] = {}
        self._marks: dict[bytes, Marks] = {}
        if many:
            self._tips = {tip.id: tip for tip in joined_tips(vault)}
            self._summaries = {summary.id: summary for summary in Summary.all(vault)}
            self._threads = {thread.id: thread for thread in Thread.all(vault)}
            self._marks = {marks.thread: marks for marks in Marks.all(vault)}

    def tip(self, ident: bytes) -> JoinedTip | None:
        """The tip whose first Envelope has this id."""
        if ident not in self._tips and not self._many:
            thread = self.index.thread_of(ident)
            self._tips |= {tip.id: tip for tip in joined_tips(self._vault, thread)} if thread else {}
        return self._tips.get(ident)

    def summary(self, ident: bytes) -> Summary | None:
        """Of an Envelope."""
        return self._summaries.get(ident) if self._many else Summary.find(self._vault, ident)

    def thread(self, ident: bytes) -> Thread | None:
        """By its id."""
        return self._threads.get(ident) if self._many else Thread.find(self._vault, ident)

    def marks(self, ident: bytes) -> Marks:
        """Of a thread."""
        return self._marks.get(ident, Marks(ident)) if self._many else Marks.of(self._vault, ident)


def _row(known: _Known, organisation: Organisation, tip: JoinedTip) -> Row:
    summaries = [known.summary(envelope.id) for envelope in tip.envelopes]
    first, marks = summaries[0], known.marks(tip.thread)
    return (
        {
            "begins": first.begins if first else "",
            "consent": consent_of(known.thread(tip.thread)),
            "effort": first.effort if first else 0,
            "files": [{"name": file.name, "size": file.size} for file in tip.files],
            "id": tip.id.hex(),
            "kinds": [_facts(file) for file in _files(tip, summaries)],  # one for each of the files
            "language": first.language if first else "",
            "language_named": first.said if first else "",
            "length": sum(summary.length for summary in summaries if summary),
            "notes": len(marks.notes),
            "organisation": organisation.name,
            "person": marks.person,
            "same": known.index.same_as(tip.id),
            "spam": marks.spam,
            "state": tip.state,
            "tags": list(marks.tags),
            "thread": tip.thread.hex(),
        }
        | tip.facts()
        | ({"canary": known.canaries[tip.id]} if tip.id in known.canaries else {})
    )


def _files(tip: JoinedTip, summaries: Sequence[Summary | None]) -> Iterator[FileSummary | None]:
    """What is known of each file of a tip; None for those of an Envelope that was damaged when it was looked at."""
    return chain.from_iterable(
        summary.files if summary and len(summary.files) == len(envelope.files) else [None] * len(envelope.files)
        for envelope, summary in zip(tip.envelopes, summaries, strict=True)
    )


def _facts(file: FileSummary | None) -> Row:
    if file is None:
        return {"bytes": "", "name": "", "sha256": ""}
    return {"bytes": file.kind, "name": file.named, "sha256": file.hash.hex()}
