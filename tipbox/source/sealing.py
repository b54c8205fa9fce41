"""Sealing a tip: the same for a file and for sending."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from tipbox.files.attachments import Attachment, read_once
from tipbox.formats.access_code import AccessCode
from tipbox.formats.base.limits import ENVELOPE_PART_SIZE, ID_SIZE, KEY_SIZE, SESSION_NONCE_SIZE
from tipbox.formats.base.primitives import random_bytes, sha256
from tipbox.formats.envelopes.body import Room, new_room
from tipbox.formats.envelopes.consent import Consent
from tipbox.formats.envelopes.envelope import Sealed, seal
from tipbox.formats.envelopes.letter import Letter
from tipbox.formats.envelopes.seals import End, EnvelopeHash, envelope_id
from tipbox.source.recipients import Addressees


@dataclass
class SealedTip:
    """A tip whose header and letter are sealed; ``parts`` seals the files, in one session, from which the rest follows.

    Attributes:
        chosen: name and id of each organisation that was chosen.
        unverified: how many slots are for organisations that only the server names.
    """

    sealed: Sealed = field(repr=False)
    access_code: AccessCode = field(repr=False)
    attachments: Sequence[Attachment] = field(repr=False)
    chosen: Sequence[tuple[str, bytes]]
    unverified: int = 0
    session_nonce: bytes = field(default=b"", repr=False)
    part_hashes: list[bytes] = field(default_factory=list, repr=False)
    """SHA-256 of each part that this session sealed itself."""

    @property
    def size(self) -> int:
        """Bytes of the whole Envelope."""
        return self.sealed.header.envelope_size

    def parts(self) -> Generator[bytes]:
        """The sealed parts, under a new session nonce. InputRefused when a file changed."""
        with closing(self.batches()) as batches:
            for batch in batches:
                for at in range(0, len(batch), ENVELOPE_PART_SIZE):
                    yield bytes(batch[at : at + ENVELOPE_PART_SIZE])

    def batches(self, room: Room = new_room) -> Generator[memoryview]:
        """The sealed parts, some at a time and one behind the other, each time in ``room`` for them."""
        self.session_nonce = random_bytes(SESSION_NONCE_SIZE)
        self.settle(())
        for parts, part_hashes in self.sealed.batches(read_once(self.attachments), self.session_nonce, room):
            self.part_hashes += part_hashes
            yield parts

    def missing_parts(self, gaps: Sequence[range], known: Mapping[int, bytes]) -> Generator[bytes]:
        """The sealed parts of ``gaps`` alone, under a new session nonce; ``known`` has the hashes of all others.

        Nothing of another session is sealed here, so that it cannot be sent. InputRefused when a file changed.
        """
        self.session_nonce = random_bytes(SESSION_NONCE_SIZE)
        self.settle(())
        wanted = {number for gap in gaps for number in gap}
        for number, part in enumerate(self.sealed.parts(read_once(self.attachments), self.session_nonce)):
            if number in wanted:
                self.part_hashes.append(sha256(part))
                yield part
            else:
                self.part_hashes.append(known[number])

    def again(self, session_nonce: bytes) -> Iterator[bytes]:
        """SHA-256 of each part as it would be under another session's nonce: for comparing with what is stored."""
        for _, part_hashes in self.sealed.batches(read_once(self.attachments), session_nonce):
            yield from part_hashes

    def settle(self, part_hashes: Sequence[bytes]) -> None:
        """Go on with the parts that have these hashes, each of which was computed here: another session sealed some."""
        self.part_hashes = list(part_hashes)
        self.__dict__.pop("end", None)

    @cached_property
    def end(self) -> End:
        """Hash, trailer and id; known when ``parts`` has ended."""
        envelope_hash = EnvelopeHash(self.sealed.header.encoded, self.sealed.letter)
        for part_hash in self.part_hashes:
            envelope_hash.add_hash(part_hash)
        digest = envelope_hash.digest()
        trailer = self.sealed.trailer(digest)
        return End(digest, trailer, envelope_id(digest, trailer))

    @property
    def id(self) -> bytes:
        """The Envelope's id; known when ``parts`` has ended."""
        return self.end.id

    @property
    def check_digits(self) -> dict[str, str]:
        """What to compare with each organisation, by its name; known when ``parts`` has ended."""
        return {name: self.sealed.check_digits(ident, self.end.hash) for name, ident in self.chosen}


def seal_tip(
    addressees: Addressees,
    message: bytes,
    attachments: Sequence[Attachment],
    access_code: AccessCode | None,
    today: date,
    *,
    consent: Consent | None = None,
    continues: bytes = b"",
    files_follow: int = 0,
) -> SealedTip:
    """Seal header and letter; with an access code that was used before, as a follow-up in the same conversations.

    ``continues`` and ``files_follow`` are the letter's: of a tip that is sent as two Envelopes.
    """
    access_code = access_code or AccessCode.generate()
    secrets = access_code.secrets()
    letter = Letter(
        message=message,
        files=tuple(attachment.entry for attachment in attachments),
        body_key=random_bytes(KEY_SIZE),
        id=random_bytes(ID_SIZE),
        consent=consent,
        continues=continues,
        files_follow=files_follow,
    )
    letter.check_sendable()  # here, not after gigabytes: every reader would refuse it
    recipients = addressees.recipients(secrets, today)
    sealed = seal(recipients, letter)
    unverified = sum(recipient.organisation in addressees.unverified for recipient in recipients)
    chosen = [(manifest.organisation, manifest.id) for manifest in addressees.chosen_manifests]
    return SealedTip(sealed, access_code, attachments, chosen, unverified)
