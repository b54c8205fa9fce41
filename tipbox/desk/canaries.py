"""Canaries: lists of tokens made here, ticked off as they come in as tips.

A list is spent in its order, so a canary that is missing while a later one of its list came was lost on the way, or is
still under way. One is ticked off once, and only a letter that is nothing but a canary: no word of a source is ever
taken for one.
"""

from __future__ import annotations

from typing import Any, Final

from tipbox.desk.custody.chain import note
from tipbox.desk.joined import dated_alike
from tipbox.desk.vault.records import Canary, Copy, Organisation, Tip
from tipbox.desk.vault.vault import Vault
from tipbox.errors import LimitExceeded
from tipbox.formats.base.limits import ID_SIZE, MAX_CANARIES
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.canary_list import CanaryList, token_of
from tipbox.formats.envelopes.letter import Letter

A_YEAR: Final = 366
"""Canaries of a list that is spent daily for a year."""


def new_list(vault: Vault, organisation: Organisation, count: int) -> CanaryList:
    """Make and remember a list of ``count`` canaries. The caller writes it out; the vault is open for writing.

    Raises:
        LimitExceeded: no list can have ``count`` canaries.
    """
    if not 1 <= count <= MAX_CANARIES:
        raise LimitExceeded(f"a list has 1 to {MAX_CANARIES:,} canaries")
    tokens = [random_bytes(ID_SIZE) for _ in range(count)]
    with vault.transaction():
        first = max((canary.number for canary in Canary.all(vault)), default=0) + 1
        for number, token in enumerate(tokens, first):
            Canary(token, number, first).save(vault)
        note(vault, "canaries", after=f"{first} to {first + count - 1}")
    return CanaryList(organisation.id, tuple(tokens))


def canary_of(vault: Vault, letter: Letter) -> Canary | None:
    """The canary that a letter is, ticked off before or not; None for everything else that people write."""
    # Exactly a canary and nothing more: a source who writes one into a message must still be read by people.
    token = None if letter.files else token_of(letter.message)
    return None if token is None else Canary.find(vault, token)


def state(vault: Vault) -> dict[str, Any]:
    """As ``desk canary list --json`` prints it: which came and when, which are missing, and how many are to come.

    A list that another took the place of before it was spent is over: what was left of it is neither missing nor to
    come.
    """
    canaries = sorted(Canary.all(vault), key=lambda canary: canary.number)
    came = [canary for canary in canaries if canary.tip]
    last = {canary.first: canary.number for canary in came}
    newest = max(last, default=0)
    days = {tip.id: tip.received.isoformat() for tip in dated_alike(Tip.all(vault), Copy.all(vault))}
    received = {canary.number: days.get(canary.tip) for canary in came}
    return {
        "came": [{"day": received[canary.number], "number": canary.number, "tip": canary.tip.hex()} for canary in came],
        "last": max((day for day in received.values() if day), default=None),
        "missing": [
            canary.number for canary in canaries if not canary.tip and canary.number < last.get(canary.first, 0)
        ],
        "to_come": sum(canary.first >= newest and canary.number > last.get(canary.first, 0) for canary in canaries),
    }
