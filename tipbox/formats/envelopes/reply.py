"""Replies: sealing one to a source, and opening one (docs/format.md, 4.6).

Source and organisation share the pair key, so a reply is symmetric. No signature, no name in the letter: the source
could have made every reply itself, so none of them proves anything to a third party.
"""

from __future__ import annotations

from tipbox.errors import NotForYou
from tipbox.formats.base import labels
from tipbox.formats.base.limits import KEY_SIZE
from tipbox.formats.base.primitives import equal, hkdf, random_bytes, sha256
from tipbox.formats.envelopes.envelope import Reading, Sealed, seal_under
from tipbox.formats.envelopes.header import Kind, content_commitment
from tipbox.formats.envelopes.letter import Letter, open_letter


def _content_key(pair_key: bytes, salt: bytes) -> bytes:
    return hkdf(pair_key, salt, labels.REPLY_CONTENT)


def seal_reply(pair_key: bytes, letter: Letter) -> Sealed:
    """Seal a letter, which has a day, to the source with which the writer shares ``pair_key`` (32 bytes).

    The salt hangs on what is sealed as well as on chance: a machine that was put back to an earlier moment may draw
    the same random bytes again, and would seal two letters under one key.
    """
    salt = hkdf(random_bytes(KEY_SIZE), sha256(letter.encode(Kind.REPLY)), labels.REPLY_SALT)
    return seal_under(_content_key(pair_key, salt), salt, letter)


def open_reply(reading: Reading, pair_key: bytes) -> Letter:
    """Open a reply's letter with the pair key of the organisation in whose mailbox it lay. No part is read.

    Raises:
        TipboxError: NotForYou when it is from somebody else, who cannot be named; Malformed, LimitExceeded, Tampered or
            BadCommitment.
    """
    header = reading.header
    header.expect(Kind.REPLY)
    content_key = _content_key(pair_key, header.salt)
    if not equal(content_commitment(content_key, header.salt), header.content_commitment):
        raise NotForYou
    return open_letter(header, content_key, reading.letter)
