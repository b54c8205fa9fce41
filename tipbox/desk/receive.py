"""One Envelope from a stream into the vault: verified to its last part before anything of it counts.

What opens is written to ``incoming/`` as it is read, synced, and moved to ``tips/`` when the last part has been seen.
What is not for this desk, or does not open, is still read to its end: its id comes from the bytes as read.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import BinaryIO, Final

from tipbox.desk.canaries import canary_of
from tipbox.desk.vault.records import Canary, Contents, Message, Tip, TipFile, VaultRecord
from tipbox.desk.vault.vault import Vault
from tipbox.errors import (
    BadCommitment,
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
from tipbox.formats.base.limits import KEY_SIZE
from tipbox.formats.envelopes.envelope import EnvelopeId, Reading, open_files, read_envelope
from tipbox.formats.envelopes.header import FindKey, OpenedSlot, open_slot
from tipbox.formats.envelopes.letter import Letter, open_letter

MINE: Final = "mine"
DUPLICATE: Final = "duplicate"
FOR_OTHERS: Final = frozenset({NotForYou.code, NotAddressed.code})
# Errors of an Envelope that is complete and stays closed; all others mean that it is no complete Envelope.
_CLOSED: Final = (NotAddressed, NotForYou, TooLate, UnknownKey, Tampered, BadCommitment, Malformed, LimitExceeded)


@dataclass(frozen=True)
class ReceivedEnvelope:
    """A complete Envelope: its id, what became of it, why, and the tip when it is kept.

    ``canary``: the canary whose token this is; its ``tip`` is another one when the token came before.
    """

    id: bytes
    outcome: str
    error: TipboxError | None = None
    tip: Tip | None = field(default=None, repr=False)
    file: Path | None = None
    notes: tuple[VaultRecord, ...] = field(default=(), repr=False)
    canary: Canary | None = None

    def keep(self, vault: Vault) -> None:
        """Move the file into place and write the records. The caller syncs ``tips/`` and then commits."""
        if self.tip is None or self.file is None:
            return
        self.file.rename(vault.tip_path(self.id))
        for record in (self.tip, *self.notes):
            record.save(vault)

    def drop(self) -> None:
        """Remove what was written."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)


def receive(vault: Vault, organisation: bytes, find_key: FindKey, stream: BinaryIO, today: date) -> ReceivedEnvelope:
    """Read the Envelope that takes up ``stream`` exactly.

    Raises:
        TipboxError: it is not a complete Envelope (a header error, Truncated, Incomplete, TrailingData, or what was
            found before its end was missed); nothing is left of it.
    """
    reading = read_envelope(stream)
    ident = EnvelopeId(reading.header.encoded, reading.letter)
    try:
        slot = open_slot(reading.header, organisation, find_key)
        letter = open_letter(reading.header, slot.content_key, reading.letter)
        if letter.kind != "tip":
            raise Malformed("this Envelope is a reply; it belongs to a source")
    except _CLOSED as error:
        return _closed(reading, ident, error)
    path = vault.incoming_path()
    try:
        try:
            _store(reading, ident, letter, path)
        except (Tampered, Malformed) as error:
            path.unlink()
            return _closed(reading, ident, error)
        return _opened(vault, ident.digest(), slot, letter, path=path, today=today)
    except BaseException:  # also when the command is stopped: what is half read is of no use
        path.unlink(missing_ok=True)
        raise


def _closed(reading: Reading, ident: EnvelopeId, error: TipboxError) -> ReceivedEnvelope:
    """Read the rest, for the id alone.

    Raises:
        TipboxError: ``error`` itself, because the rest is not there or not the end. What failed first names the
            outcome; what is not whole has no id, and so is neither kept nor acknowledged.
    """
    try:
        for part in reading.parts:
            ident.add(part)
    except (Incomplete, TrailingData):
        raise error from None
    return ReceivedEnvelope(ident.digest(), error.code, error)


def _store(reading: Reading, ident: EnvelopeId, letter: Letter, path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb", buffering=1 << 20) as out:  # parts are small, and each write is a call
        out.write(reading.header.encoded)
        out.write(reading.letter)

        def keep(part: bytes) -> None:
            ident.add(part)
            out.write(part)

        for _ in open_files(reading, letter, keep):
            pass
        # Before the file gets its name and its record: nobody acknowledges what a power cut could still take.
        out.flush()
        os.fsync(out.fileno())


def _opened(
    vault: Vault, ident: bytes, slot: OpenedSlot, letter: Letter, *, path: Path, today: date
) -> ReceivedEnvelope:
    tip = Tip(
        id=ident,
        thread=thread_id(slot.pair_key),
        message_id=letter.id,
        received=today,
        state="new",
        content_key=slot.content_key,
        pair_key=slot.pair_key,
        files=tuple(TipFile(file.name, file.size, file.type) for file in letter.files),
    )
    # Only what has been verified to its end is compared: an Envelope that breaks off may begin like any other.
    notes = _notes(vault, tip, path)
    if notes is None:
        path.unlink()
        return ReceivedEnvelope(ident, DUPLICATE)
    canary = canary_of(vault, letter)
    if canary is not None and not canary.tip:  # the first with its token is ticked off: nobody needs to answer it
        canary = replace(canary, tip=ident)
        tip, notes = replace(tip, state="closed"), (*notes, canary)
    return ReceivedEnvelope(ident, MINE, tip=tip, file=path, notes=notes, canary=canary)


def _notes(vault: Vault, tip: Tip, path: Path) -> tuple[VaultRecord, ...] | None:
    """What to note beside a new tip; None when the vault has one with the same message id that says the same.

    Anybody may send as many tips as they like under one message id: each is read for its contents once or twice,
    however many there are.
    """
    message = Message.find(vault, tip.message_id)
    if message is None:
        # Nearly all come once: their contents, gigabytes perhaps, are not read again for a hash that nobody asks for.
        return (Message(tip.message_id, (tip.id,)),)
    contents = _contents(path, tip)
    notes: list[VaultRecord] = [Contents(contents, tip.id), Message(tip.message_id, ())]
    for first in message.tips:
        known = _stored_contents(vault, first)
        if known == contents:
            return None
        if known is not None:
            notes.append(Contents(known, first))
    twin = Contents.find(vault, contents)
    if twin is not None and _stored_contents(vault, twin.tip) == contents:
        return None
    return tuple(notes)


def _stored_contents(vault: Vault, ident: bytes) -> bytes | None:
    """The contents of a tip in the vault; None when its file is gone or damaged."""
    tip = Tip.find(vault, ident)
    try:
        return None if tip is None else _contents(vault.tip_path(ident), tip)
    except (TipboxError, FileNotFoundError):
        return None


def _contents(path: Path, tip: Tip) -> bytes:
    """A hash of all that a tip says and of who says it, whatever keys it was sealed under."""
    with path.open("rb") as file:
        reading = read_envelope(file)
        letter = open_letter(reading.header, tip.content_key, reading.letter)
        # The body's key is random: without it, the same words sealed twice give the same hash.
        digest = hashlib.sha256(tip.pair_key + replace(letter, body_key=bytes(KEY_SIZE)).encode())
        for _, piece in open_files(reading, letter):
            digest.update(piece)
    return digest.digest()
