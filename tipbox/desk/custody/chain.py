"""Events, each of which names the hash of the one before it.

An event is written in the transaction of the act that it tells of: neither is there without the other. It is signed
with a key of the person who did it, which only their passphrase opens: nobody writes one in a colleague's name. Whoever
holds the vault can still leave out the end of a chain that lies in it, so its head leaves the desk: the hash of each
outbox's event is the ``head`` of that Bundle (docs/format.md, section 5), and the server brings it back to every
organisation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from tipbox.desk.vault.machine_account import account
from tipbox.desk.vault.records import CustodyChain, CustodyEvent, KeptHeads, Organisation, Person, Traffic
from tipbox.desk.vault.vault import Vault
from tipbox.errors import BadSignature
from tipbox.formats.base import canonical, labels
from tipbox.formats.base.primitives import random_bytes, sha256, sign, verify

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
        "person",  # was added, removed or renamed, or has another passphrase
        "publish",
        "read",  # a thread
        "relock",  # the key stick
        "reseal",  # the vault, with another key
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

REMOVED: Final = "removed"
"""What became of a person."""
_INTRODUCING: Final = frozenset({"init", "person", "upgrade"})
"""Acts whose events name somebody new, with their keys."""
_KEY: Final = re.compile(r"key ([0-9a-f]{32})$")
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
    me = vault.me
    event = CustodyEvent(
        seq=chain.count + 1,
        prev=chain.head,
        day=now.date(),
        time=f"{now:%H:%M}",
        who=who(vault),
        act=act,
        item=item,
        before=before,
        after=after,
        reason=reason,
        salt=random_bytes(_SALT),
        person=me.id if me else b"",
    )
    if me is not None:
        event = replace(event, signature=sign(labels.EVENT, canonical.encode(event.unsigned()), me.signing_key))
    event.save(vault)
    head = event_hash(event)
    CustodyChain(event.seq, head).save(vault)
    return head


def who(vault: Vault) -> str:
    """The name of the person who has unlocked the vault."""
    if vault.who is None:
        person = Person.find(vault, vault.me.id) if vault.me else None
        vault.who = person.name if person else account()
    return vault.who


@dataclass(frozen=True)
class ChainCheck:
    """A chain and what is wrong with it: nothing, when ``problem`` is empty."""

    events: tuple[CustodyEvent, ...]
    head: bytes
    problem: str


def check_chain(vault: Vault) -> ChainCheck:
    """Read the whole chain: whether each event is signed by whom it names, and follows the one before it.

    It is compared with the people whom the vault knows, and with the heads that have left the desk.
    """
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
    if problem := _people_problem(vault, events):
        yield problem
        return
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


def _people_problem(vault: Vault, events: tuple[CustodyEvent, ...]) -> str:
    people = {person.id: person for person in Person.all(vault)}
    names = {ident: {person.name} for ident, person in people.items()}
    for event in events:
        if event.act == "person" and event.item in names and event.before:
            names[event.item].add(event.before)
    removed: set[bytes] = set()
    signed = False
    for event in events:
        if event.person in removed:
            return f"event {event.seq} is by somebody who had been removed"
        signed = signed or bool(event.person)
        if signed and not _signed(event, people.get(event.person), names.get(event.person, ())):
            return f"event {event.seq} is not signed by whom it names"
        if event.act == "person" and event.after == REMOVED:
            removed.add(event.item)
    known = {found[1] for event in events if event.act in _INTRODUCING for found in _KEY.finditer(event.after)}
    for person in people.values():
        if person.fingerprint not in known or (person.removed is None) is (person.id in removed):
            return f"the record of {person.name} is not what the chain says"
    me = vault.me
    if me is not None and (people.get(me.id) is None or people[me.id].signs != me.signs):
        return "the record of whoever unlocked this vault was changed"
    shown = [person.name for person in people.values()]
    return "two people have one name" if len(shown) != len(set(shown)) else ""


def _signed(event: CustodyEvent, person: Person | None, names: Iterable[str]) -> bool:
    if person is None or event.who not in names:
        return False
    try:
        verify(labels.EVENT, canonical.encode(event.unsigned()), event.signature, person.signs)
    except BadSignature:
        return False
    return True
