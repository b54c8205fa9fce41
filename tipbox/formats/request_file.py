"""Asking for answers with files (docs/format.md, section 13): what the offline page saves, and what it opens."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from dataclasses import dataclass, field
from typing import Final

from tipbox.errors import LimitExceeded, Malformed, NotTipbox, UnsupportedVersion
from tipbox.formats.base.limits import MAILBOX_PIECE, VERSION
from tipbox.formats.mailbox_list import (
    LIST_REQUEST,
    PIECE_REQUEST,
    encode_piece,
    encode_tokens,
    parse_piece,
    parse_tokens,
)

MAGIC: Final = b"\x89tipans\n"
MAX_PASTED: Final = 2048
"""Bytes of a pasted request file, with its white space."""
_HEAD: Final = struct.Struct(">8sB3sI32s")
_ZEROS: Final = bytes(3)
ANSWER_PIECE: Final = _HEAD.size + MAILBOX_PIECE
"""Bytes of an answer piece."""
_WHITE_SPACE: Final = re.compile(rb"[\t\n\r ]+")


@dataclass(frozen=True)
class RequestFile:
    """A request for the list of 32 mailboxes, or for a piece of one reply in them.

    Attributes:
        tokens: 32, in order.
        reply: the id of the reply (32 bytes) whose piece is asked for; None: the list.
        number: of that piece, from 0.
    """

    tokens: tuple[bytes, ...] = field(repr=False)
    reply: bytes | None = None
    number: int = 0

    def encode(self) -> bytes:
        """The 1,024 or 1,060 bytes of the file."""
        return encode_tokens(self.tokens) if self.reply is None else encode_piece(self.tokens, self.reply, self.number)

    @classmethod
    def parse(cls, data: bytes) -> RequestFile:
        """The inverse of ``encode``.

        Raises:
            Malformed: another size, or tokens out of order.
        """
        if len(data) not in {LIST_REQUEST, PIECE_REQUEST}:
            raise Malformed("this is no request file: those have 1,024 or 1,060 bytes")
        tokens = tuple(parse_tokens(data))
        return cls(tokens) if len(data) == LIST_REQUEST else cls(tokens, *parse_piece(data))

    @classmethod
    def from_pasted(cls, pasted: bytes) -> RequestFile:
        """A request file as base64, with white space anywhere.

        Raises:
            LimitExceeded: it is longer than any.
            Malformed: it is not base64 in its one spelling, or not of a request file.
        """
        if len(pasted) > MAX_PASTED:
            raise LimitExceeded("what was pasted is longer than any request file")
        written = _WHITE_SPACE.sub(b"", pasted)
        try:
            data = base64.b64decode(written, validate=True)
        except binascii.Error:
            raise Malformed("what was pasted is not base64") from None
        if base64.b64encode(data) != written:
            raise Malformed("what was pasted is not base64 in its one spelling")
        return cls.parse(data)


@dataclass(frozen=True)
class AnswerPiece:
    """A piece of a reply, as a file that says where it belongs.

    ``data``: 262,144 bytes, with zeros after the reply's end.
    """

    reply: bytes
    number: int
    data: bytes = field(repr=False)

    @staticmethod
    def head(reply: bytes, number: int) -> bytes:
        """The 48 bytes before the data."""
        return _HEAD.pack(MAGIC, VERSION, _ZEROS, number, reply)

    def encode(self) -> bytes:
        """The 262,192 bytes of the file."""
        return self.head(self.reply, self.number) + self.data

    @classmethod
    def parse(cls, data: bytes) -> AnswerPiece:
        """The inverse of ``encode``.

        Raises:
            NotTipbox, Malformed, UnsupportedVersion: it is none.
        """
        if data[: len(MAGIC)] != MAGIC[: len(data)]:
            raise NotTipbox
        if len(data) != ANSWER_PIECE:
            raise Malformed("an answer piece has a wrong size")
        _, version, zeros, number, reply = _HEAD.unpack_from(data)
        if version != VERSION:
            raise UnsupportedVersion
        if zeros != _ZEROS:
            raise Malformed("reserved bytes of an answer piece are not zero")
        return cls(reply, number, data[_HEAD.size :])
