"""Mailboxes over HTTP (docs/protocol.md, 3.1): the list, pieces of replies, and deletion."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection

from tipbox.errors import FORMAT_ERRORS, Malformed, NetworkFailed, Truncated
from tipbox.formats.access_code import Secrets
from tipbox.formats.base.limits import MAILBOX_PIECE
from tipbox.formats.mailbox_list import (
    DELETE_ANSWER,
    Entry,
    MailboxList,
    encode_delete,
    encode_piece,
    encode_tokens,
)
from tipbox.net.http import Connection

_API = "/api/mailbox"
_NO_SENSE = "reading the mailbox: an answer that makes no sense; is this the address of a tipbox?"


class Mailbox:
    """The mailboxes of some organisations, in one request. Unknown, empty and read ones are the same.

    Whoever has the server can tie together what one request asks for: so each organisation has one of its own, on a
    connection of its own.
    """

    def __init__(self, connection: Connection, secrets: Secrets, organisations: Collection[bytes]) -> None:
        self._connection = connection
        requested = secrets.mailbox_request(organisations)
        self._tokens = tuple(requested)
        self._places = tuple(requested.values())

    def list(self) -> MailboxList:
        """What lies in them."""
        answer = self._ask("", encode_tokens(self._tokens))
        try:
            return MailboxList.parse(answer)
        except FORMAT_ERRORS as error:
            raise type(error)(f"reading the mailbox: what the server sent is not a list of replies: {error}") from error

    def organisation(self, entry: Entry) -> bytes | None:
        """The id of the organisation in whose mailbox a reply lies; None when no organisation has that mailbox."""
        return self._places[entry.place]

    def piece(self, reply: bytes, number: int) -> bytes:
        """One piece of a reply, always of the same size."""
        piece = self._ask("/piece", encode_piece(self._tokens, reply, number))
        if len(piece) != MAILBOX_PIECE:
            raise NetworkFailed(_NO_SENSE)
        return piece

    def delete(self, replies: Collection[bytes]) -> None:
        """Delete replies; they are gone for good when this returns."""
        if self._ask("/delete", encode_delete(self._tokens, replies)) != DELETE_ANSWER:
            raise NetworkFailed(f"{_NO_SENSE} What was to be deleted may still be there.")

    def _ask(self, path: str, body: bytes) -> bytes:
        headers = {"Content-Type": "application/octet-stream"}
        return self._connection.retry(lambda _: self._connection.request("POST", _API + path, body, headers))


class Pieces(io.RawIOBase):
    """A reply as a stream, fetched piece by piece as it is read."""

    def __init__(self, mailbox: Mailbox, entry: Entry, progress: Callable[[int], None] = lambda _: None) -> None:
        self._mailbox = mailbox
        self._entry = entry
        self._progress = progress
        self._next = 0
        self._piece = b""

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; fewer only at the end of the reply."""
        left = self._entry.size - self._next * MAILBOX_PIECE
        while len(self._piece) < size and left > 0:
            piece = self._mailbox.piece(self._entry.id, self._next)
            # Pieces are padded with zeros to one size; anything else would be data that no list announced.
            if any(piece[left:]):
                raise Malformed("there are bytes after the end of a reply")
            self._piece += piece[:left]
            self._next += 1
            left -= MAILBOX_PIECE
            self._progress(len(piece))
        taken, self._piece = self._piece[:size], self._piece[size:]
        return taken


def opening(mailbox: Mailbox, entry: Entry) -> bytes:
    """Header and letter of a reply whose list did not hold them."""
    found = Pieces(mailbox, entry).read(entry.opening_size)
    if len(found) < entry.opening_size:
        raise Truncated
    return found
