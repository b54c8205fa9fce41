"""The thread's view: all that one source and this organisation have said, in the order of days."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from tipbox.desk.custody.chain import note
from tipbox.desk.desk_errors import VaultDamaged
from tipbox.desk.inbox.marks import Marks
from tipbox.desk.inbox.summary import Summary
from tipbox.desk.inbox.tip_index import TipIndex
from tipbox.desk.joined import JoinedTip, joined_tip, joined_tips, set_state
from tipbox.desk.tips import consent_of
from tipbox.desk.unsent import drafts_of
from tipbox.desk.vault.letters import letter_of
from tipbox.desk.vault.records import Draft, ForgedEnvelope, Organisation, Reply, ReplyText, Thread, Tip, TipFile
from tipbox.desk.vault.vault import Vault

_BETWEEN = "\n\n"


def thread_of(vault: Vault, organisation: Organisation, tip: Tip) -> dict[str, Any]:
    """The thread of a tip as ``desk thread --json`` prints it. Within a day: first the tips, then the replies."""
    thread = Thread.find(vault, tip.thread)
    mailbox = tip.mailbox if thread is None else thread.mailbox
    tips = joined_tips(vault, tip.thread)
    marks = Marks.of(vault, tip.thread)
    said = [
        *((found.received, 0, 0, found.id, _tip(vault, found, mailbox)) for found in tips),
        *(
            (reply.day, 1, reply.number, reply.id, _reply(vault, reply))
            for reply in TipIndex.of(vault).replies(tip.thread)
        ),
    ]
    said.sort(key=lambda entry: entry[:4])
    return {
        "consent": consent_of(thread),
        "forged": sum(forged.thread == tip.thread for forged in ForgedEnvelope.all(vault)),
        "messages": [entry[4] for entry in said],
        "notes": [{"day": note.day.isoformat(), "text": note.text, "who": note.who} for note in marks.notes],
        "organisation": organisation.name,
        "person": marks.person,
        "spam": marks.spam,
        "tags": list(marks.tags),
        "thread": tip.thread.hex(),
    }


def _files(files: tuple[TipFile, ...]) -> list[dict[str, Any]]:
    return [{"name": file.name, "size": file.size} for file in files]


def _tip(vault: Vault, tip: JoinedTip, mailbox: bytes) -> dict[str, Any]:
    said = [_said(vault, envelope) for envelope in tip.envelopes]
    return {
        "damaged": any(entry.damaged for entry in said),
        "day": tip.received.isoformat(),
        "files": _files(tip.files),
        "id": tip.id.hex(),
        "kind": "tip",
        "other_mailbox": any(envelope.mailbox != mailbox for envelope in tip.envelopes),
        "state": tip.state,
        "text": _BETWEEN.join(entry.text for entry in said if entry.text),
    } | tip.facts()


@dataclass(frozen=True)
class _Said:
    """What an Envelope says, and in which language by its source's client; of a damaged one its beginning."""

    text: str
    language: str
    damaged: bool = False


def _said(vault: Vault, tip: Tip) -> _Said:
    """From the letter; when its file is damaged, from the summary: it must still be answered, or forgotten."""
    try:
        letter = letter_of(vault, tip)
    except VaultDamaged:
        summary = Summary.find(vault, tip.id)
        return _Said(summary.begins, summary.said, damaged=True) if summary else _Said("", "", damaged=True)
    return _Said(letter.message.decode(errors="replace"), letter.language)


def _reply(vault: Vault, reply: Reply) -> dict[str, Any]:
    text = ReplyText.find(vault, reply.id)
    return {
        "code": reply.code,
        "day": reply.day.isoformat(),
        "files": _files(reply.files),
        "id": reply.id.hex(),
        "kind": "reply",
        "state": reply.state,
        "text": text.message.decode(errors="replace") if text else "",
    }


@dataclass(frozen=True)
class Addressee:
    """What people know the tip by that they answer.

    Attributes:
        begins: the first line of its message with anything in it; empty when it has no words.
        language: of its message, as its source's client named it; empty when it did not.
        received: its day.
        drafts: replies to its thread that were cut short.
    """

    begins: str
    language: str
    received: date
    drafts: tuple[Draft, ...]


def addressee(vault: Vault, tip: Tip) -> Addressee:
    """Who is answered when this tip is."""
    joined = joined_tip(vault, tip)
    said = _said(vault, joined.first)
    begins = next((line for line in map(str.strip, said.text.splitlines()) if line), "")
    return Addressee(begins, said.language, joined.received, tuple(drafts_of(vault, tip.thread)))


def mark_read(vault: Vault, tips: Iterable[JoinedTip]) -> None:
    """Record that staff has read these tips. It changes nothing that leaves the desk."""
    with vault.transaction():
        read = tuple(tips)
        set_state(vault, read, "opened", only=("new",))
        if read:
            note(vault, "read", read[0].thread)


def close(vault: Vault, *threads: bytes) -> int:
    """Set aside threads: how many tips they have. A follow-up that comes later is still new."""
    count = 0
    with vault.transaction():
        for thread in dict.fromkeys(threads):
            tips = joined_tips(vault, thread)
            closed = set_state(vault, tips, "closed", only=("new", "opened", "answered", "closed"))
            note(vault, "close", thread, after=f"{closed} closed")
            count += closed
    return count
