"""Replies: sealing one to a source, and opening one (docs/format.md, 4.6).

Whom a reply is from is proved by the pair key in its slot and by nothing else. No signature, no name in the letter: the
source could have made every reply itself, so none of them proves anything to a third party.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tipbox.errors import Malformed
from tipbox.formats.access_code import Secrets
from tipbox.formats.base.limits import ID_SIZE
from tipbox.formats.base.primitives import equal
from tipbox.formats.envelopes.envelope import Reading, Recipient, Sealed, seal
from tipbox.formats.envelopes.header import KeyState, open_slot
from tipbox.formats.envelopes.letter import Letter, open_letter
from tipbox.formats.manifest import key_id

KIND = "reply"


@dataclass(frozen=True)
class OpenedReply:
    """A reply whose letter is open; the body opens with ``letter.body_key``.

    Attributes:
        organisation: the id of the organisation that wrote it; None when no known one did. Then nobody may be named.
        letter: what it says.
    """

    organisation: bytes | None
    letter: Letter = field(repr=False)


def mailbox_id(address: bytes) -> bytes:
    """What stands in the place of the organisation id in a reply's slot (16 bytes)."""
    return address[:ID_SIZE]


def seal_reply(address: bytes, reply_key: bytes, pair_key: bytes, letter: Letter) -> Sealed:
    """Seal a letter to a source.

    Args:
        address: the source's mailbox address (32 bytes).
        reply_key: its public reply key (1216 bytes).
        pair_key: what it shares with the organisation that writes.
        letter: of kind ``reply``.
    """
    _check(letter)
    return seal([Recipient(mailbox_id(address), key_id(reply_key), reply_key, pair_key)], letter)


def open_reply(reading: Reading, secrets: Secrets, organisations: Iterable[bytes]) -> OpenedReply:
    """Open a reply's letter and tell whom it is from. No part is read.

    Args:
        reading: the Envelope.
        secrets: the source's.
        organisations: ids of all that the source knows by their manifests.

    Raises:
        TipboxError: it is no reply to this source: Malformed, LimitExceeded, NotAddressed, UnknownKey, Tampered,
            NotForYou or BadCommitment.
    """
    header = reading.header
    if len(header.slots) != 1:
        raise Malformed("a reply has one slot")
    own = key_id(secrets.reply_public)
    slot = open_slot(
        header,
        mailbox_id(secrets.mailbox_address),
        lambda key: secrets.reply_seed if key == own else KeyState.UNKNOWN,
    )
    letter = open_letter(header, slot.content_key, reading.letter)
    _check(letter)
    known = [one for one in organisations if equal(secrets.pair_key(one), slot.pair_key)]
    return OpenedReply(known[0] if known else None, letter)


def _check(letter: Letter) -> None:
    if letter.kind != KIND:
        raise Malformed("this Envelope is no reply")
    if letter.mailbox or letter.reply_key:
        raise Malformed("a reply names a mailbox to answer to")
