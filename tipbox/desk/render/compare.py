"""Looks at all pictures that nobody has looked at, each in a sandbox, and keeps what tells them from others."""

from __future__ import annotations

from collections.abc import Callable

from tipbox.desk.custody.chain import note
from tipbox.desk.inbox.likeness import keep_likeness, not_compared
from tipbox.desk.joined import joined_tip
from tipbox.desk.render import ladder, sandbox
from tipbox.desk.render.sealed_off import held
from tipbox.desk.vault.records import Tip
from tipbox.desk.vault.vault import Vault
from tipbox.errors import TipboxError


def compare_pictures(vault: Vault, progress: Callable[[int], None] = lambda _: None) -> tuple[int, int]:
    """How many pictures were looked at, and how many could not be; none of them where there is no sandbox.

    It keeps no other command out: each look is one transaction of its own.
    """
    if sandbox.problem():
        return 0, 0
    compared = failed = 0
    for tip, index in list(not_compared(vault)):
        try:
            likeness = _look(vault, tip, index)
        except TipboxError:  # it was forgotten meanwhile, or is damaged; it is tried again
            failed += 1
            continue
        if sandbox.ended_for_good.is_set():  # what was cut short counts as not looked at
            break
        with vault.transaction():
            if Tip.find(vault, tip.id) is not None:
                keep_likeness(vault, tip.id, index, likeness)
            note(vault, "look", tip.id, after=f"{index + 1}: likeness")
        compared += bool(likeness)
        failed += not likeness
        progress(tip.files[index].size)
    return compared, failed


def _look(vault: Vault, tip: Tip, index: int) -> str:
    joined = joined_tip(vault, tip)
    before = 0
    for envelope in joined.envelopes:
        if envelope.id == tip.id:
            break
        before += len(envelope.files)
    with held(vault, joined, before + index + 1) as file:
        return ladder.likeness(file)
