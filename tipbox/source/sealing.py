"""Sealing a tip: the same for a file and for sending."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Final

from tipbox.files.attachments import Attachment, read_once
from tipbox.files.writer_thread import Stage
from tipbox.formats.access_code import AccessCode, check_digits
from tipbox.formats.base.limits import ID_SIZE, KEY_SIZE
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.envelopes.envelope import EnvelopeId, Sealed, seal
from tipbox.formats.envelopes.letter import Letter
from tipbox.source.recipients import Roster

_BATCH_PARTS: Final = 8


@dataclass
class SealedTip:
    """A tip whose header and letter are sealed; ``parts`` seals the files, once."""

    sealed: Sealed = field(repr=False)
    access_code: AccessCode = field(repr=False)
    check_digits: dict[str, str]
    attachments: Sequence[Attachment] = field(repr=False)
    _id: EnvelopeId = field(repr=False)

    @property
    def head(self) -> bytes:
        """Header and letter."""
        return self.sealed.header.encoded + self.sealed.letter

    @property
    def size(self) -> int:
        """Bytes of the whole Envelope."""
        return self.sealed.header.envelope_size

    def parts(self) -> Iterator[bytes]:
        """The sealed parts. InputRefused when a file changed."""
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[bytes]]:
        """The sealed parts, some at a time; they are hashed for the id while the next are sealed."""
        parts = self.sealed.parts(read_once(self.attachments))
        # The thread beside hashes one batch while the next is sealed: both are C code that lets other threads run.
        with Stage(self._hash) as hashing:
            while batch := list(islice(parts, _BATCH_PARTS)):
                hashing.put(batch)
                yield batch

    def _hash(self, parts: list[bytes]) -> None:
        for part in parts:
            self._id.add(part)

    @property
    def id(self) -> bytes:
        """The Envelope's id; known when ``parts`` has ended."""
        return self._id.digest()


def seal_tip(
    roster: Roster, message: bytes, attachments: Sequence[Attachment], access_code: AccessCode | None, today: date
) -> SealedTip:
    """Seal header and letter; with an access code that was used before, as a follow-up in the same conversations."""
    access_code = access_code or AccessCode.generate()
    secrets = access_code.secrets()
    letter = Letter(
        message=message,
        files=tuple(attachment.entry for attachment in attachments),
        body_key=random_bytes(KEY_SIZE),
        id=random_bytes(ID_SIZE),
        mailbox=secrets.mailbox_address,
        reply_key=secrets.reply_public,
    )
    letter.check_sendable()  # here, not after gigabytes: every reader would refuse it
    sealed = seal(roster.recipients(secrets, today), letter)
    digits = {
        manifest.organisation: check_digits(secrets.pair_key(manifest.id), sealed.header.hash)
        for manifest in roster.chosen_manifests
    }
    return SealedTip(sealed, access_code, digits, attachments, EnvelopeId(sealed.header.encoded, sealed.letter))
