"""One Envelope from a stream into the vault: verified to its last part before anything of it counts.

What opens is sealed into ``incoming/`` as it is read, and moved to ``tips/`` when the last part has been seen.
What is not for this desk, or does not open, is still read to its end: its id comes from the bytes as read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import BinaryIO, Final

from tipbox.desk import sentences
from tipbox.desk.canaries import canary_of
from tipbox.desk.inbox.summary import FileWatcher, Summary
from tipbox.desk.vault.records import Canary, Contents, Copy, Message, Thread, Tip, TipFile, VaultRecord
from tipbox.desk.vault.vault import Vault
from tipbox.errors import (
    BadCommitment,
    Forged,
    Incomplete,
    LimitExceeded,
    Malformed,
    NotAddressed,
    NotForYou,
    Tampered,
    TipboxError,
    TooLate,
    TrailingData,
    UnknownKey,
)
from tipbox.formats.access_code import thread_id
from tipbox.formats.base.limits import KEY_SIZE, MIB
from tipbox.formats.envelopes.envelope import Reading, open_files, read_envelope
from tipbox.formats.envelopes.header import FindKey, Kind, OpenedSlot, open_slot
from tipbox.formats.envelopes.letter import Letter, open_letter
from tipbox.formats.envelopes.seals import End, check_seal

MINE: Final = "mine"
DUPLICATE: Final = "duplicate"
FOR_OTHERS: Final = frozenset({NotForYou.code, NotAddressed.code})
# Errors of an Envelope that is complete and stays closed; all others mean that it is no complete Envelope.
_SLOT: Final = (NotAddressed, NotForYou, TooLate, UnknownKey, Tampered)
_LETTER: Final = (Tampered, LimitExceeded, Malformed, BadCommitment)
_PARTS: Final = (Tampered, Malformed)
_SYNCED_AT_ONCE: Final = MIB
"""Bytes of an Envelope from which its file is synced as it is written; smaller ones are, many together, before the
commit: each sync of its own waits for the disk."""


@dataclass(frozen=True)
class ReceivedEnvelope:
    """A complete Envelope: its id, what became of it, why, and what is kept.

    Attributes:
        tip: the tip, when it is kept.
        summary: of the tip.
        copy: what is noted of one that says the same as a tip in the vault.
        synced: the tip's file is; else the caller syncs it before it commits.
        thread: the thread in whose name a forged one came.
        canary: the canary whose token this is; its ``tip`` is another one when the token came before.
        notices: one-line remarks for staff.
    """

    id: bytes
    outcome: str
    error: TipboxError | None = None
    tip: Tip | None = field(default=None, repr=False)
    summary: Summary | None = field(default=None, repr=False)
    synced: bool = True
    copy: Copy | None = None
    file: Path | None = None
    notes: tuple[VaultRecord, ...] = field(default=(), repr=False)
    thread: bytes = b""
    canary: Canary | None = None
    notices: tuple[str, ...] = ()

    def keep(self, vault: Vault) -> None:
        """Move the file into place and write the records. The caller syncs file and ``tips/``, and then commits."""
        if self.tip is not None and self.file is not None:
            self.file.rename(vault.tip_path(self.id))
            self.tip.save(vault)
        if self.summary is not None:
            self.summary.save(vault)
        if self.copy is not None:
            self.copy.save(vault)
        for record in self.notes:
            record.save(vault)

    def drop(self) -> None:
        """Remove what was written."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)


def receive(vault: Vault, organisation: bytes, find_key: FindKey, stream: BinaryIO, today: date) -> ReceivedEnvelope:
    """Read the Envelope that takes up ``stream`` exactly, in the order of docs/format.md, 4.5.

    The first failure names the outcome. Nothing that the letter says counts before the seal of this organisation's own
    thread was checked: whoever opens another slot of the same Envelope can seal another letter.

    Raises:
        TipboxError: it is not a complete Envelope (a header error, Truncated, Incomplete, TrailingData, or what was
            found before its end was missed); nothing is left of it.
    """
    reading = read_envelope(stream)
    try:
        slot = open_slot(reading.header, organisation, find_key)
    except _SLOT as error:
        return _closed(reading, error)
    try:
        letter = open_letter(reading.header, slot.content_key, reading.letter)
    except _LETTER as error:
        return _closed(reading, error)
    path = vault.incoming_path()
    try:
        return _read_body(vault, reading, slot, letter, path=path, organisation=organisation, today=today)
    except BaseException:  # also when the command is stopped: what is half read is of no use
        path.unlink(missing_ok=True)
        raise


def _closed(reading: Reading, error: TipboxError) -> ReceivedEnvelope:
    """Read the rest, for the id alone.

    Raises:
        TipboxError: ``error`` itself, because the rest is not there or not the end. What failed first names the
            outcome; what is not whole has no id, and so is neither kept nor acknowledged.
    """
    try:
        return ReceivedEnvelope(reading.end().id, error.code, error)
    except (Incomplete, TrailingData):
        raise error from None


def _read_body(
    vault: Vault, reading: Reading, slot: OpenedSlot, letter: Letter, *, path: Path, organisation: bytes, today: date
) -> ReceivedEnvelope:
    """Read parts, trailer and seal; the file at ``path`` is there afterwards only when it belongs to a tip."""
    watcher = FileWatcher(letter)
    sync = reading.header.envelope_size >= _SYNCED_AT_ONCE
    try:
        end = _store(vault, reading, letter, watcher, path, sync=sync)
    except _PARTS as error:
        path.unlink()
        return _closed(reading, error)
    thread = thread_id(slot.pair_key)
    try:
        check_seal(reading.header, organisation, slot, end)
    except Forged:
        path.unlink()
        return ReceivedEnvelope(end.id, Forged.code, Forged(sentences.FORGED), thread=thread)
    tip = Tip(
        id=end.id,
        hash=end.hash,
        thread=thread,
        message_id=letter.id,
        received=today,
        imported=today,
        state="new",
        content_key=slot.content_key,
        pair_key=slot.pair_key,
        mailbox=slot.mailbox,
        seal_secret=slot.seal_secret,
        files=tuple(TipFile(file.name, file.size, file.type) for file in letter.files),
        words=bool(letter.message),
        consent=letter.consent,
        continues=letter.continues,
        files_follow=letter.files_follow,
    )
    return replace(_accepted(vault, tip, letter, path, watcher), synced=sync)


def _store(vault: Vault, reading: Reading, letter: Letter, watcher: FileWatcher, path: Path, *, sync: bool) -> End:
    """Write the Envelope as it came, to its last byte."""
    with vault.sealing(path, sync=sync) as out:
        out.write(reading.header.encoded)
        out.write(reading.letter)
        watcher.see(open_files(reading, letter, out.write))
        end = reading.end()
        out.write(end.trailer)
    return end


def _accepted(vault: Vault, tip: Tip, letter: Letter, path: Path, watcher: FileWatcher) -> ReceivedEnvelope:
    """What carries its thread's seal: a tip, or a copy of one."""
    # Only what has been verified to its end is compared: an Envelope that breaks off may begin like any other.
    notes, same = _compared(vault, tip, path)
    if same is not None:
        path.unlink()
        copy = Copy(tip.id, tip.hash, same, tip.received, tip.imported)
        return ReceivedEnvelope(tip.id, DUPLICATE, copy=copy)
    thread = Thread.find(vault, tip.thread) or Thread(tip.thread, tip.mailbox)
    notices = () if thread.mailbox == tip.mailbox else (sentences.OTHER_MAILBOX,)
    canary = canary_of(vault, letter)
    if canary is not None and not canary.tip:  # the first with its token is ticked off: nobody needs to answer it
        canary = replace(canary, tip=tip.id)
        tip, notes = replace(tip, state="closed", first=tip.id), (*notes, canary)
    notes = (*notes, thread.joined_by(tip))
    return ReceivedEnvelope(
        tip.id,
        MINE,
        tip=tip,
        summary=watcher.summary(tip.id),
        file=path,
        notes=notes,
        canary=canary,
        notices=notices,
    )


def _compared(vault: Vault, tip: Tip, path: Path) -> tuple[tuple[VaultRecord, ...], bytes | None]:
    """What to note beside a new tip; the id of the one in the vault that says the same, if there is one.

    Anybody may send as many tips as they like under one message id: each is read for its contents once or twice,
    however many there are.
    """
    message = Message.find(vault, tip.message_id)
    if message is None:
        # Nearly all come once: their contents, gigabytes perhaps, are not read again for a hash that nobody asks for.
        return (Message(tip.message_id, (tip.id,)),), None
    contents = _contents(vault, path, tip)
    notes: list[VaultRecord] = [Contents(contents, tip.id), Message(tip.message_id, ())]
    for first in message.tips:
        known = _stored_contents(vault, first)
        if known == contents:
            return (), first
        if known is not None:
            notes.append(Contents(known, first))
    twin = Contents.find(vault, contents)
    if twin is not None and _stored_contents(vault, twin.tip) == contents:
        return (), twin.tip
    return tuple(notes), None


def _stored_contents(vault: Vault, ident: bytes) -> bytes | None:
    """The contents of a tip in the vault; None when its file is gone or damaged."""
    tip = Tip.find(vault, ident)
    try:
        return None if tip is None else _contents(vault, vault.tip_path(ident), tip)
    except (TipboxError, OSError):
        return None


def _contents(vault: Vault, path: Path, tip: Tip) -> bytes:
    """A hash of all that a tip says and of who says it, whatever keys it was sealed under."""
    with vault.open_file(path) as file:
        reading = read_envelope(file)
        letter = open_letter(reading.header, tip.content_key, reading.letter)
        # Without what is new each time that the same words are sealed: the body's key, and the hash of what was sealed
        # before them.
        said = replace(letter, body_key=bytes(KEY_SIZE), continues=b"")
        digest = hashlib.sha256(tip.pair_key + said.encode(Kind.TIP))
        for _, piece in open_files(reading, letter):
            digest.update(piece)
        if reading.end().id != tip.id:
            raise Tampered  # in the vault: a copy of it is worth keeping
    return digest.digest()
