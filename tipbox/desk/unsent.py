"""What has not left the desk: drafts of replies that were cut short, and replies that no outbox has taken."""

from __future__ import annotations

from dataclasses import replace

from tipbox.desk import replies
from tipbox.desk.custody.chain import note
from tipbox.desk.desk_errors import AlreadySent, ShortId
from tipbox.desk.inbox.tip_index import TipIndex
from tipbox.desk.joined import joined_tips, set_state
from tipbox.desk.tips import SHORTEST_ID
from tipbox.desk.vault.records import Draft, Reply, ReplyText
from tipbox.desk.vault.vault import Vault
from tipbox.errors import NotFound


def drafts_of(vault: Vault, thread: bytes) -> list[Draft]:
    """The drafts of a thread, the oldest first."""
    return sorted(
        (draft for draft in Draft.all(vault) if draft.thread == thread), key=lambda draft: (draft.day, draft.key)
    )


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
