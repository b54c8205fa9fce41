"""What has not left the desk: drafts of replies that were cut short, and replies that no outbox has taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from tipbox.desk import replies
from tipbox.desk.custody.chain import note
from tipbox.desk.desk_errors import AlreadySent, ShortId
from tipbox.desk.inbox.tip_index import TipIndex
from tipbox.desk.joined import joined_tips, set_state
from tipbox.desk.tips import SHORTEST_ID
from tipbox.desk.vault.records import Draft, Reply, ReplyText, Thread, TipFile
from tipbox.desk.vault.vault import Vault
from tipbox.errors import LimitExceeded, NotFound
from tipbox.formats.base.limits import MIB

MAX_DRAFT: Final = MIB
"""Bytes of a draft: no message is longer."""


def drafts_of(vault: Vault, thread: bytes) -> list[Draft]:
    """The drafts of a thread, the oldest first."""
    return sorted(
        (draft for draft in Draft.all(vault) if draft.thread == thread), key=lambda draft: (draft.day, draft.key)
    )


def keep_draft(
    vault: Vault,
    thread: bytes,
    message: bytes,
    *,
    before: bytes,
    today: date,
    attached: Sequence[tuple[TipFile, str]] | None = None,
) -> bytes:
    """Keep the words of a reply while somebody writes it, in place of those that were kept before.

    Args:
        vault: the vault; its lock is not needed: only records are written, in one transaction.
        thread: the conversation.
        message: the words; blanks alone drop a draft without files.
        before: the key of the draft that these take the place of; empty when there is none.
        today: this day.
        attached: the files that are to go with them, and where each lies; None for those of the draft before.

    Returns:
        The key of the draft; empty when nothing is left of it.

    Raises:
        NotFound: there is no such thread.
        LimitExceeded: it is too long to be sent.
    """
    if Thread.find(vault, thread) is None:
        raise NotFound("keeping a draft: this vault has no such thread")
    if len(message) > MAX_DRAFT:
        raise LimitExceeded(f"keeping a draft: it has at most {MAX_DRAFT:,} bytes")
    with vault.transaction():
        old = Draft.find(vault, before) if before else None
        old = old if old is not None and old.thread == thread else None
        files = () if old is None else old.files
        paths = () if old is None else old.paths
        if attached is not None:
            files, paths = tuple(file for file, _ in attached), tuple(path for _, path in attached)
        if old is not None:
            vault.delete(Draft.kind, old.key)
        if not message.strip() and not files:
            if old is not None:
                note(vault, "drop", thread)
            return b""
        made = Draft(thread, message, files, today, paths)
        made.save(vault)
        if old is None:  # once, and not for each word of it
            note(vault, "draft", thread)
    return made.key


def take_back(vault: Vault, prefix: str) -> Reply | Draft:
    """Take back the reply, or drop the draft, whose id in hex starts with ``prefix``. The vault is open for writing.

    The words and the sealed Envelope go; that there was a reply stays.

    Raises:
        ShortId: too little of an id was given.
        NotFound: there is none, or more than one.
        AlreadySent: an outbox has taken it, and no server has refused it for now.
    """
    wanted = prefix.strip().lower()
    if len(wanted) < SHORTEST_ID:
        raise ShortId(f"taking back a reply: give at least {SHORTEST_ID} digits of its id, see tipbox desk thread")
    candidates: list[Reply | Draft] = [*Reply.all(vault), *Draft.all(vault)]
    found = [draft for draft in candidates if draft.key.hex().startswith(wanted)]
    if len(found) != 1:
        raise NotFound(
            "taking back a reply: more than one id starts like this; give more of it"
            if found
            else "taking back a reply: this vault has none with this id; see tipbox desk thread"
        )
    (one,) = found
    if isinstance(one, Draft):
        with vault.transaction():
            vault.delete(Draft.kind, one.key)
            note(vault, "drop", one.thread)
        return one
    # One that the server had no room for is at no server, and would go once more.
    if not one.pending or one.outbox:
        raise AlreadySent(f"taking back a reply: it is {one.state}, and what an outbox took cannot be taken back")
    taken = replace(one, state="unsent", files=(), code="")
    with vault.transaction():
        taken.save(vault)
        vault.delete(ReplyText.kind, one.id)
        note(vault, "unsend", one.id, before=one.state, after=taken.state)
        others = [other for other in TipIndex.of(vault).replies(one.thread) if other.state != "unsent"]
        if not others:
            set_state(vault, joined_tips(vault, one.thread), "opened", only=("answered",))
    replies.sweep(vault)  # the Envelope, now that nothing names it
    return taken
