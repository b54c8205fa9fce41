"""Events, each of which names the hash of the one before it.

An event is written in the transaction of the act that it tells of: neither is there without the other. Whoever holds
the vault can rewrite a chain that lies in it, so its head leaves the desk: the hash of each outbox's event is the
``head`` of that Bundle (docs/format.md, section 5), and the server brings it back to every organisation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from tipbox.desk.vault.records import CustodyChain, CustodyEvent, KeptHeads, Organisation, Traffic
from tipbox.desk.vault.vault import Vault
from tipbox.formats.base import canonical, labels
from tipbox.formats.base.primitives import random_bytes, sha256

ACTS: Final = frozenset(
    {
        "answer",  # a reply was sealed and waits
        "assign",  # a thread, to a person
        "canaries",  # a list was made
        "close",
        "confirm",  # Envelopes may be acknowledged, for what was found whole
        "copy",  # the second copy was renewed
        "destroy",  # a receiving key
        "draft",  # the words of a reply, before it is sealed
        "drop",  # a draft
        "forget",  # a tip
        "import",  # an Envelope, a report, what a Bundle says of the server
        "init",  # the vault
        "look",  # at a file of a tip, in a sandbox
        "note",  # on a thread
        "open",  # a tip, into a folder
        "outbox",
        "publish",
        "read",  # a thread
        "rotate",
        "spam",  # a thread, or no longer
        "tag",  # a thread
        "take-out",  # a file of a tip as it came, into a folder
        "translate",  # a tip
        "unpin",  # the server
        "upgrade",  # the vault, to another version
        "unread",  # the tips of a thread are new again
        "unsend",  # a reply
    }
)
"""All that is done at a desk and changes what the vault holds."""

_ACCOUNTS: Final = Path("/etc/passwd")
_SALT: Final = 16
"""Random bytes in each event: whoever sees a head can try no guesses on it, nor tell whether anything happened."""


def event_hash(event: CustodyEvent) -> bytes:
    """What the next event names, and an outbox carries."""
    return sha256(labels.CUSTODY, canonical.encode(event.to_json()))


def note(vault: Vault, act: str, item: bytes = b"", *, before: str = "", after: str = "", reason: str = "") -> bytes:
    """Within the transaction of an act: write its event; its hash.

    Args:
        vault: the vault.
        act: one of ACTS.
        item: the id of what it was done to: a tip, a reply, a thread, a key, or the number of an outbox.
        before: the state of the item before it.
        after: its state now, or what came of it.
        reason: why, in the words of whom did it.
    """
    if act not in ACTS:
        raise ValueError(act)
    # A vault that wrote outboxes before it had a chain goes on from the last head that it named.
    chain = CustodyChain.find(vault) or CustodyChain(0, Traffic.of(vault).head)
    now = datetime.now(UTC)
    event = CustodyEvent(
        seq=chain.count + 1,
        prev=chain.head,
        day=now.date(),
        time=f"{now:%H:%M}",
        who=account(),
        act=act,
        item=item,
        before=before,
        after=after,
        reason=reason,
        salt=random_bytes(_SALT),
    )
    event.save(vault)
    head = event_hash(event)
    CustodyChain(event.seq, head).save(vault)
    return head


@cache
def account() -> str:
    """The account of this machine: a vault knows no people yet."""
    # Read here: the module pwd asks the system's name services, and opens a socket to them.
    user = str(os.getuid())
    with suppress(OSError):
        for line in _ACCOUNTS.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, number, *_ = [*line.split(":"), "", "", ""]
            if number == user:
                return name
    return user


@dataclass(frozen=True)
class ChainCheck:
    """A chain and what is wrong with it: nothing, when ``problem`` is empty."""

    events: tuple[CustodyEvent, ...]
    head: bytes
    problem: str


def check_chain(vault: Vault) -> ChainCheck:
    """Read the whole chain and compare it with the heads that have left the desk."""
    with vault.reading():  # else an act between two records would look like a change
        events = tuple(sorted(CustodyEvent.all(vault), key=lambda event: event.seq))
        chain = CustodyChain.find(vault) or CustodyChain(0, b"")
        return ChainCheck(events, chain.head, next(_problems(vault, events, chain), ""))


def _problems(vault: Vault, events: tuple[CustodyEvent, ...], chain: CustodyChain) -> Iterator[str]:
    head, sent = b"", set()
    for place, event in enumerate(events, 1):
        if event.seq != place:
            yield f"event {place} is missing"
            return
        if place > 1 and event.prev != head:
            yield f"event {place - 1} or {place} was changed"
            return
        head = event_hash(event)
        if event.act == "outbox":
            sent.add(head)
    if (len(events), head) != (chain.count, chain.head if events else b""):
        yield f"it ends after event {len(events)}, and has {chain.count}"
        return
    begins = events[0].prev if events else b""
    if (named := Traffic.of(vault).head) != begins and named not in sent:
        yield "its outboxes are not those that this vault wrote"
    organisation, kept = Organisation.find(vault), KeptHeads.find(vault)
    own = (
        [kept_head.head for kept_head in kept.heads if organisation and kept_head.organisation == organisation.id]
        if kept
        else []
    )
    # What was named before the chain began is not in it.
    if not begins and any(own_head not in sent for own_head in own):
        yield "the server brought back a head of this desk that is none of its outboxes'"
