"""Mailboxes as a server that lies would answer them: whatever it likes, sealed to the source's reply key."""

from __future__ import annotations

import io
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from tipbox.formats.access_code import Secrets
from tipbox.formats.base import days
from tipbox.formats.base.limits import KEY_SIZE, MAILBOX_LIST, MAILBOX_PIECE
from tipbox.formats.base.primitives import sha256
from tipbox.formats.envelopes.letter import FileEntry, Letter
from tipbox.formats.envelopes.reply import seal_reply
from tipbox.formats.mailbox_list import Entry, MailboxList, how_many_fit, in_order

_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\nCache-Control: no-store\r\n"
    b"Cross-Origin-Resource-Policy: same-origin\r\nCross-Origin-Embedder-Policy: require-corp\r\n\r\n%s"
)


@dataclass(frozen=True)
class Lie:
    """A reply as it is to lie in a mailbox: header and letter, the rest of the Envelope, its id and day."""

    opening: bytes
    rest: bytes
    id: bytes
    day: date

    def under_another_id(self) -> Lie:
        return replace(self, id=secrets.token_bytes(32))

    def older(self) -> Lie:
        """From the day before: it stands behind those of today."""
        return replace(self, day=self.day - timedelta(days=1))

    def with_opening(self, opening: bytes) -> Lie:
        return replace(self, opening=opening, id=sha256(opening))


def reply(source: Secrets, pair_key: bytes, text: str, files: dict[str, bytes] | None = None) -> Lie:
    """Seal a reply as an organisation with this pair key would."""
    contents = files or {}
    letter = Letter(
        message=text.encode(),
        files=tuple(FileEntry(name, len(content)) for name, content in contents.items()),
        body_key=secrets.token_bytes(KEY_SIZE),
        id=secrets.token_bytes(16),
        kind="reply",
    )
    sealed = seal_reply(source.mailbox_address, source.reply_public, pair_key, letter)
    opening = sealed.header.encoded + sealed.letter
    parts = list(sealed.parts([(io.BytesIO(content), len(content)) for content in contents.values()]))
    identifier = sha256(opening, *(sha256(part) for part in parts))
    return Lie(opening, b"".join(parts), identifier, days.today())


def answer(body: bytes) -> bytes:
    """A whole answer with this body."""
    return _ANSWER % (len(body), body)


def piece(lie: Lie, number: int) -> bytes:
    """The whole answer to the request for a piece."""
    at = number * MAILBOX_PIECE
    return answer((lie.opening + lie.rest)[at : at + MAILBOX_PIECE].ljust(MAILBOX_PIECE, b"\0"))


def mailbox(lies: Sequence[Lie]) -> bytes:
    """The whole answer to a mailbox token."""
    entries = {Entry(lie.id, lie.day, len(lie.opening) + len(lie.rest), len(lie.opening)): lie for lie in lies}
    ordered = in_order(entries)
    openings = tuple(entries[entry].opening for entry in ordered[: how_many_fit(ordered)])
    body = MailboxList(tuple(ordered), openings).encode()
    assert len(body) == MAILBOX_LIST
    return answer(body)
