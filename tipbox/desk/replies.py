"""Replies: sealed once, carried by each outbox until the server reports them taken.

The Envelope is on the disk before the record that names it, and the record is written in one transaction: a reply is
queued whole or not at all. Once it is delivered only what it says is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from tipbox.desk.custody.chain import note
from tipbox.desk.desk_errors import VaultDamaged
from tipbox.desk.joined import JoinedTip, joined_tip, joined_tips, set_state
from tipbox.desk.vault.records import TRIED_AGAIN, Draft, Reply, ReplyText, Thread, Tip, TipFile, Traffic
from tipbox.desk.vault.vault import INCOMING, REPLIES, Vault
from tipbox.errors import LimitExceeded, TipboxError
from tipbox.files.attachments import Attachment, read_once
from tipbox.files.durable import fsync_folder
from tipbox.formats.base.limits import GIB, HASH_SIZE, ID_SIZE, KEY_SIZE, MAX_REPLY, MIB
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.bundles.bundle import ItemEntry
from tipbox.formats.bundles.bundle_write import ItemSource
from tipbox.formats.envelopes.envelope import Sealed
from tipbox.formats.envelopes.letter import Letter
from tipbox.formats.envelopes.reply import seal_reply
from tipbox.formats.envelopes.seals import EnvelopeHash, envelope_id

MAX_CARRIED: Final = 2000
"""Replies in one outbox, far below what a Bundle holds."""

MAX_CARRIED_BYTES: Final = GIB
"""Bytes of the replies in one outbox: a stick of any size takes it. One reply goes always."""

_CHUNK: Final = 1 << 20


# --- writing one ----------------------------------------------------------------------------------------------------


def queue_reply(
    vault: Vault,
    tip: Tip,
    message: bytes,
    attachments: Sequence[Attachment],
    *,
    today: date,
    progress: Callable[[int], None] = lambda _: None,
) -> Reply:
    """Seal a reply to the source of ``tip`` and queue it for the next outbox. The vault is open for writing.

    It answers the whole tip that the Envelope belongs to, and goes to the mailbox that the thread's first tip named.

    Raises:
        LimitExceeded: the message or the files are too large.
        InputRefused: there is nothing to send, or a file changed.
    """
    sweep(vault)  # before writing: what a killed command left may be what fills the disk
    answered, thread = joined_tip(vault, tip), Thread.find(vault, tip.thread)
    if thread is None:
        raise VaultDamaged
    letter = Letter(
        message=message,
        files=tuple(attachment.entry for attachment in attachments),
        body_key=random_bytes(KEY_SIZE),
        id=random_bytes(ID_SIZE),
        answers=answered.first.message_id,
        day=today,
    )
    letter.check_sendable()
    sealed = seal_reply(tip.pair_key, letter)
    if sealed.header.envelope_size > MAX_REPLY:
        raise LimitExceeded(f"replying: a reply has at most {MAX_REPLY // MIB} MiB; send some files in another one")
    files = tuple(TipFile(file.name, file.size, file.type) for file in letter.files)
    draft = Draft(tip.thread, message, files, today)
    kept = Draft.find(vault, draft.key)  # by a page, which knows where the files lie
    draft = draft if kept is None else replace(draft, paths=kept.paths)
    with vault.transaction():  # before the first byte is sealed: a command that is killed loses no words
        draft.save(vault)
        note(vault, "draft", draft.thread)  # its key is a hash of the words, which must be able to go
    path = vault.incoming_path()
    try:
        ident, item = _write(vault, sealed, attachments, address=thread.mailbox, path=path, progress=progress)
        reply = Reply(
            id=ident,
            item=item,
            thread=tip.thread,
            tip=answered.id,
            address=thread.mailbox,
            day=today,
            number=max((reply.number for reply in Reply.all(vault)), default=0) + 1,
            size=sealed.header.envelope_size,
            files=files,
        )
        # File, folder, then the records: a crash in between leaves a file without a record, which the next sweep finds.
        with vault.transaction():
            path.rename(vault.reply_path(ident))
            fsync_folder(vault.path / REPLIES)
            reply.save(vault)
            ReplyText(ident, message).save(vault)
            vault.delete(Draft.kind, draft.key)
            note(vault, "answer", ident, before=answered.state, after=answered.id.hex())
            _mark_answered(vault, answered)
    except BaseException:
        with suppress(OSError, TipboxError):  # the error that brought us here is the one to show
            sweep(vault)
        raise
    return reply


def _write(
    vault: Vault,
    sealed: Sealed,
    attachments: Sequence[Attachment],
    *,
    address: bytes,
    path: Path,
    progress: Callable[[int], None],
) -> tuple[bytes, bytes]:
    """Write the Envelope durably to ``path``; its id, and the hash of the item that will carry it."""
    envelope_hash = EnvelopeHash(sealed.header.encoded, sealed.letter)
    item = hashlib.sha256(address)  # both hashes now: reading gigabytes a second time would cost as much as sealing
    with vault.sealing(path) as out:

        def put(data: bytes) -> None:
            item.update(data)
            out.write(data)
            progress(len(data))

        put(sealed.header.encoded)
        put(sealed.letter)
        for part in sealed.parts(read_once(attachments)):
            envelope_hash.add(part)
            put(part)
    return envelope_id(envelope_hash.digest()), item.digest()


def _mark_answered(vault: Vault, answered: JoinedTip) -> None:
    """The tip is answered, and what was opened of its thread. What nobody has read yet stays new."""
    others = [tip for tip in joined_tips(vault, answered.thread) if tip.id != answered.id]
    set_state(vault, others, "answered", only=("opened", "answered", "closed"))
    set_state(vault, [answered], "answered", only=("new", "opened", "answered", "closed"))


def sweep(vault: Vault) -> None:
    """Remove what a command that was killed left behind, and Envelopes of replies that have arrived."""
    (vault.path / REPLIES).mkdir(mode=0o700, exist_ok=True)  # vaults of early versions have none
    known = {vault.reply_path(reply.id).name for reply in Reply.all(vault) if reply.pending}
    for folder, keep in ((INCOMING, frozenset[str]()), (REPLIES, known)):
        for path in (vault.path / folder).iterdir():
            if path.name not in keep:
                path.unlink()


# --- carrying -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OutboxLoad:
    """The replies of an outbox: those that go, how many wait for the next, and those whose file is damaged."""

    replies: tuple[Reply, ...]
    waiting: int
    damaged: tuple[Reply, ...]


def outbox_load(vault: Vault) -> OutboxLoad:
    """What the next outbox carries.

    Those that an outbox has carried already come first, in the same order: they are in every outbox until one is
    reported taken, so the report of any later outbox speaks for them too.
    """
    pending = sorted(
        (reply for reply in Reply.all(vault) if reply.pending),
        key=lambda reply: (not reply.outbox, reply.outbox, reply.number),
    )
    damaged = tuple(reply for reply in pending if not whole_reply(vault, reply))
    good = [reply for reply in pending if reply not in damaged]
    count, size = 0, 0
    for reply in good[:MAX_CARRIED]:
        size += reply.size
        # In order, and no later one in place of one that does not fit: a large reply would else wait for ever.
        if count and size > MAX_CARRIED_BYTES:
            break
        count += 1
    return OutboxLoad(tuple(good[:count]), len(good) - count, damaged)


def whole_reply(vault: Vault, reply: Reply) -> bool:
    """Whether the Envelope of a reply that is pending lies in the vault as it was sealed."""
    digest = hashlib.sha256()
    try:
        for chunk in _item(vault, reply):
            digest.update(chunk)
    except (TipboxError, OSError):  # not there, changed, or on a part of the disk that cannot be read
        return False
    return digest.digest() == reply.item


def _item(vault: Vault, reply: Reply) -> Iterator[bytes]:
    """The bytes of the item: mailbox address, then the Envelope."""
    yield reply.address
    with vault.open_file(vault.reply_path(reply.id)) as file:
        yield from _chunks(file)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def items_of(vault: Vault, replies: Iterable[Reply]) -> list[ItemSource]:
    """The items that carry these replies; they are read when the Bundle is written."""
    return [
        ItemSource(ItemEntry("reply", HASH_SIZE + reply.size, reply.item), partial(_item, vault, reply))
        for reply in replies
    ]


def note_sent(vault: Vault, load: OutboxLoad, outbox: int) -> None:
    """Within the transaction that takes the outbox's number: these replies are in it."""
    for reply in load.replies:
        replace(reply, state="sent", outbox=reply.outbox or outbox, code="").save(vault)
    # Reported once, and out of the queue: the vault keeps no files of a reply, so it cannot be sealed again.
    for reply in load.damaged:
        replace(reply, state="refused", outbox=0, code=VaultDamaged.code).save(vault)


def without_source(reply: Reply) -> Reply:
    """What stays of a reply whose thread is forgotten, once it goes no more."""
    return replace(reply, thread=b"", address=b"", files=())


def note_report(vault: Vault, newest: int, refused: Mapping[bytes, str]) -> list[Reply]:
    """Take a server's report, within a transaction; the replies that it decides, as they are now.

    A report decides a reply only when it names an outbox that carried it: so an old Bundle that comes again, and names
    a reply that has been sent once more since, says nothing. One without room that a later outbox carries, too, is
    told and stays sent: that one is on its way.

    Args:
        vault: the vault.
        newest: the last outbox that was taken as it was written here.
        refused: the code of each item (by its hash) that the server refused.
    """
    decided = []
    sent = Traffic.of(vault).sent
    for reply in list(Reply.all(vault)):
        if reply.state == "sent" and 0 < reply.outbox <= newest:
            code = refused.get(reply.item, "")
            state = "refused" if code else "delivered"
            done = replace(reply, state=state, outbox=0, code=code)
            kept = replace(reply, outbox=newest + 1) if code in TRIED_AGAIN and newest < sent else done
            if Thread.find(vault, reply.thread) is None:  # forgotten since: there is nobody to whom it could go again
                lasting = done if state == "delivered" else replace(done, state="unsent", code="")
                kept = kept if kept.outbox else without_source(lasting)
            kept.save(vault)
            decided.append(done)
    return sorted(decided, key=lambda reply: reply.number)
