"""Mailboxes as a server that lies would answer them: whatever it likes, in whatever mailbox it likes."""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

from tipbox.formats.access_code import Secrets
from tipbox.formats.base import days
from tipbox.formats.base.limits import HEADER_FIXED, KEY_SIZE, MAILBOX_LIST, MAILBOX_PIECE
from tipbox.formats.envelopes.letter import FileEntry, Letter
from tipbox.formats.envelopes.reply import seal_reply
from tipbox.formats.envelopes.seals import EnvelopeHash, envelope_id
from tipbox.formats.mailbox_list import Entry, MailboxList, how_many_fit, in_order

_ANSWER: Final = (
    b"HTTP/1.1 %d Said\r\nContent-Type: %s\r\nContent-Length: %d\r\nCache-Control: no-store\r\n"
    b"Cross-Origin-Resource-Policy: same-origin\r\nCross-Origin-Embedder-Policy: require-corp\r\n\r\n%s"
)


@dataclass(frozen=True)
class Lie:
    """A reply as it is to lie in a mailbox.

    Attributes:
        opening: header and letter.
        rest: of the Envelope.
        id: its id.
        day: of the list.
        place: of the mailbox's token in the request of the page.
    """

    opening: bytes
    rest: bytes
    id: bytes
    day: date
    place: int

    def under_another_id(self) -> Lie:
        return replace(self, id=secrets.token_bytes(32))

    def older(self) -> Lie:
        """From the day before: it stands behind those of today."""
        return replace(self, day=self.day - timedelta(days=1))

    def with_opening(self, opening: bytes) -> Lie:
        return replace(self, opening=opening, id=_id(opening))


def _id(opening: bytes, parts: Sequence[bytes] = ()) -> bytes:
    envelope_hash = EnvelopeHash(opening[:HEADER_FIXED], opening[HEADER_FIXED:])
    for part in parts:
        envelope_hash.add(part)
    return envelope_id(envelope_hash.digest())


@dataclass(frozen=True)
class Mailboxes:
    """The mailboxes of a source, which a page asks for in one request: those of all organisations that it is named."""

    source: Secrets
    organisations: Sequence[bytes]

    def reply(
        self, owner: bytes, text: str, files: dict[str, bytes] | None = None, *, pair_key: bytes | None = None
    ) -> Lie:
        """A reply in the mailbox of ``owner``, by whoever knows ``pair_key``: its own when not given."""
        contents = files or {}
        letter = Letter(
            message=text.encode(),
            files=tuple(FileEntry(name, len(content)) for name, content in contents.items()),
            body_key=secrets.token_bytes(KEY_SIZE),
            id=secrets.token_bytes(16),
            day=days.today(),
        )
        sealed = seal_reply(pair_key or self.source.pair_key(owner), letter)
        parts = list(sealed.parts([(io.BytesIO(content), len(content)) for content in contents.values()]))
        place = list(self.source.mailbox_request(self.organisations)).index(self.source.mailbox_token(owner))
        return Lie(sealed.opening, b"".join(parts), _id(sealed.opening, parts), days.today(), place)


def answer(body: bytes, status: int = 200, kind: bytes = b"application/octet-stream") -> bytes:
    """A whole answer with this body."""
    return _ANSWER % (status, kind, len(body), body)


def prices(**members: int) -> dict[str, object]:
    """What openings cost; nothing, where nothing else is said."""
    said: dict[str, object] = {"files": 0, "hour": 494_000, "letter": 0, "long": 0, "seed": "A" * 43}
    return said | members


def now(real: dict[str, Any], **members: object) -> bytes:
    """The whole answer to who asks for keys and prices: what a server really said, and some of it changed."""
    return answer(json.dumps(real | members).encode(), kind=b"application/json")


def toll(price: int) -> bytes:
    """The whole answer to an opening that is to pay."""
    said = {"error": "toll", "message": "", "hour": 494_000, "price": price, "seed": "A" * 43}
    return answer(json.dumps(said).encode(), 429)


def piece(lie: Lie, number: int) -> bytes:
    """The whole answer to the request for a piece."""
    at = number * MAILBOX_PIECE
    return answer((lie.opening + lie.rest)[at : at + MAILBOX_PIECE].ljust(MAILBOX_PIECE, b"\0"))


def mailbox(lies: Sequence[Lie]) -> bytes:
    """The whole answer to a request for the list."""
    entries = {
        Entry(lie.id, lie.day, len(lie.opening) + len(lie.rest), len(lie.opening), lie.place): lie for lie in lies
    }
    ordered = in_order(entries)
    openings = tuple(entries[entry].opening for entry in ordered[: how_many_fit(ordered)])
    body = MailboxList(tuple(ordered), openings).encode()
    assert len(body) == MAILBOX_LIST
    return answer(body)
