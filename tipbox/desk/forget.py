"""Forgetting a tip: its file, its keys and its words go; that it was here, and why it went, stays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from tipbox.desk.custody.chain import note
from tipbox.desk.inbox.likeness import Likeness
from tipbox.desk.inbox.marks import Marks, Translation
from tipbox.desk.inbox.summary import Summary
from tipbox.desk.inbox.tip_index import TipIndex
from tipbox.desk.joined import JoinedTip, joined_tip
from tipbox.desk.replies import sweep, without_source
from tipbox.desk.vault.records import Contents, Copy, Draft, Message, Reply, ReplyText, Thread, Tip
from tipbox.desk.vault.vault import INDEX_FILE, TIPS, Vault
from tipbox.errors import LimitExceeded, Usage
from tipbox.files.durable import fsync_folder

MAX_REASON: Final = 1000
"""Bytes of UTF-8 of a reason."""


def forget(vault: Vault, tip: Tip, reason: str) -> JoinedTip:
    """Forget the whole tip that an Envelope belongs to. The vault is open for writing.

    With the last tip of a thread goes what was said in it. That the Envelopes were carried stays: they are acknowledged
    like all others, and when a Bundle brings them again they are not kept.

    Raises:
        Usage: no reason is given.
        LimitExceeded: the reason is too long.
    """
    if not reason.strip():
        raise Usage("forgetting a tip: say why with --reason; it stays in the chain of custody")
    if len(reason.encode()) > MAX_REASON:
        raise LimitExceeded(f"forgetting a tip: a reason has at most {MAX_REASON:,} bytes")
    joined = joined_tip(vault, tip)
    gone = {envelope.id for envelope in joined.envelopes}
    replies = TipIndex.of(vault).replies(joined.thread)
    # First: if this command is cut short, the old one must not keep the words. It is made anew from what is left.
    (vault.path / INDEX_FILE).unlink(missing_ok=True)
    fsync_folder(vault.path)
    with vault.transaction():
        for envelope in joined.envelopes:
            vault.delete(Tip.kind, envelope.key)
            vault.delete(Summary.kind, envelope.key)
            vault.delete(Translation.kind, envelope.key)
            vault.delete(Likeness.kind, envelope.key)
            note(vault, "forget", envelope.id, before=joined.state, reason=reason)
        for copy in list(Copy.all(vault)):
            if copy.tip in gone:
                vault.delete(Copy.kind, copy.key)
        for contents in list(Contents.all(vault)):
            if contents.tip in gone:
                vault.delete(Contents.kind, contents.key)
        left = list(Tip.all(vault))
        for message in {envelope.message_id for envelope in joined.envelopes} - {other.message_id for other in left}:
            vault.delete(Message.kind, message)
        if all(other.thread != joined.thread for other in left):
            _forget_thread(vault, joined.thread, replies)
    # After the records: a file without one is removed by the next import, if this command does not get so far.
    for ident in gone:
        vault.tip_path(ident).unlink(missing_ok=True)
    fsync_folder(vault.path / TIPS)
    sweep(vault)  # Envelopes of replies that go no more, and what commands that were killed left
    TipIndex.of(vault).save(always=True)
    return joined


def _forget_thread(vault: Vault, thread: bytes, replies: Iterable[Reply]) -> None:
    vault.delete(Thread.kind, thread)
    vault.delete(Marks.kind, thread)
    for draft in list(Draft.all(vault)):
        if draft.thread == thread:
            vault.delete(Draft.kind, draft.key)
    for reply in replies:  # the record stays: the server may still report it
        vault.delete(ReplyText.kind, reply.id)
        if reply.pending and reply.outbox:
            replace(reply, files=()).save(vault)
        elif reply.pending:  # also one that had no room, and would go again
            without_source(replace(reply, state="unsent", code="")).save(vault)
        else:
            without_source(reply).save(vault)
