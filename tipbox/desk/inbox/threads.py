"""Threads as the pages list them: one row for all that one source has said, found by where it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tipbox.desk.inbox.likeness import alike
from tipbox.desk.inbox.listing import Row, rows
from tipbox.desk.inbox.tip_index import TipIndex
from tipbox.desk.vault.records import Canary, Organisation
from tipbox.desk.vault.vault import Vault

VIEWS: Final = ("new", "mine", "unassigned", "due", "closed", "spam", "canaries", "all")
"""Where a thread can stand. A canary is in the last two alone, and spam in ``spam`` and ``all``."""


def list_threads(
    vault: Vault, organisation: Organisation, view: str, person: str, *, limit: int, offset: int = 0
) -> list[Row]:
    """Rows of threads, the one that came last first.

    Args:
        vault: the vault.
        organisation: whose it is.
        view: one of VIEWS.
        person: who is looking: whose threads are in ``mine``.
        limit: at most so many; -1 for all.
        offset: leave out so many from the start.
    """
    found = TipIndex.of(vault).threads(view, person, _canaries(vault), limit, offset)
    return _rows(vault, organisation, found)


def count_threads(vault: Vault, person: str) -> dict[str, int]:
    """How many threads each of VIEWS has."""
    index, canaries = TipIndex.of(vault), _canaries(vault)
    return {view: index.count_threads(view, person, canaries) for view in VIEWS}


def search_threads(vault: Vault, organisation: Organisation, query: str, *, limit: int) -> list[Row]:
    """Rows of the threads whose tips, notes or tags have these words; what came last is first.

    Raises:
        InputRefused: there is nothing to look for, or too much.
    """
    index = TipIndex.of(vault)
    found = dict.fromkeys(index.thread_of(tip) for tip in index.search(query, limit))
    return _rows(vault, organisation, [thread for thread in found if thread])


def same_groups(vault: Vault, organisation: Organisation, *, limit: int) -> list[list[Row]]:
    """Groups of threads in each of which a tip says exactly the same, files included: the largest group first."""
    groups = TipIndex.of(vault).groups(limit)
    return [_rows(vault, organisation, threads) for threads in groups]


def alike_groups(vault: Vault, organisation: Organisation, *, limit: int) -> list[list[Row]]:
    """Groups of threads with pictures that are like one another: the largest group first. At most so many groups."""
    index = TipIndex.of(vault)
    found = ({index.thread_of(envelope) for envelope in group} - {b""} for group in alike(vault))
    groups = sorted((sorted(group) for group in found if len(group) > 1), key=lambda group: (-len(group), group))
    return [
        sorted(_rows(vault, organisation, group), key=lambda row: (row["received"], row["thread"]))
        for group in groups[:limit]
    ]


def persons(vault: Vault) -> list[str]:
    """All to whom a thread was given."""
    return TipIndex.of(vault).persons()


def _canaries(vault: Vault) -> list[bytes]:
    """The ids of tips that are canaries."""
    return [canary.tip for canary in Canary.all(vault) if canary.tip]


def _rows(vault: Vault, organisation: Organisation, threads: Iterable[bytes]) -> list[Row]:
    index = TipIndex.of(vault)
    return [_row(found) for found in (rows(vault, organisation, index.tips(thread)) for thread in threads) if found]


def _row(tips: list[Row]) -> Row:
    """One row for the tips of a thread, which are in the order of days."""
    new = [tip for tip in tips if tip["state"] == "new"]
    shown = (new or tips)[0]  # what nobody has read yet tells more than what everybody has
    marks = tips[0]
    return {
        "before_missing": any(tip["before_missing"] for tip in tips),
        "begins": shown["begins"],
        "canary": next((tip["canary"] for tip in tips if "canary" in tip), None),
        "consent": marks["consent"],
        "files": _kinds(tips),
        "language": shown["language"],
        "missing": sum(tip["missing"] for tip in tips),
        "notes": marks["notes"],
        "person": marks["person"],
        "received": tips[-1]["received"],
        "same": max(tip["same"] for tip in tips),
        "size": sum(file["size"] for tip in tips for file in tip["files"]),
        "spam": marks["spam"],
        "state": "new" if new else tips[-1]["state"],
        "tags": marks["tags"],
        "thread": marks["thread"],
        "tip": shown["id"],
        "tips": len(tips),
    }


def _kinds(tips: Iterable[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """What kinds of files there are, by their bytes, and how many of each."""
    kinds = Counter(facts["bytes"] or "unknown" for tip in tips for facts in tip["kinds"])
    return sorted(kinds.items())
