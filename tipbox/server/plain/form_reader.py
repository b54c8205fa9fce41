"""Reading a form as it comes: ``multipart/form-data`` (RFC 7578), no field of which is held, written or named.

The package ``multipart`` finds where fields begin and end. What they are called by whoever sends them is dropped before
anything reads it, and their bytes are handed on as they come.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import Any, Final

from multipart import MultipartError, MultipartSegment, ParserError, PushMultipartParser, parse_options_header

from tipbox.errors import LimitExceeded, Malformed
from tipbox.formats.base.limits import KIB
from tipbox.server.uploads.intake import LARGE_PIECE, Body, Cut

MOST_FIELDS: Final = 128
"""Fields of a form: files and text."""
LONGEST_BOUNDARY: Final = 70
"""Characters (RFC 2046, 5.1.1)."""
LONGEST_TYPE: Final = 256
"""Characters of ``Content-Type``."""
LONGEST_LINE: Final = 2 * KIB
"""Bytes of a line before a field; names of files take less than 800 in any script."""
MOST_LINES: Final = 4
"""Lines before a field; browsers write two."""
UNSEEN: Final = KIB
"""Bytes that are taken at a time before the first bytes of a field were looked at: so much of a wrong file is read."""
_DISPOSITION: Final = "Content-Disposition"
_NAME: Final = re.compile(r'form-data; *name="([a-z]{1,16})" *(?:;|$)')


class BrokenForm(Cut):
    """It goes on as no form does, or ends before its end; what came whole is kept, and its sender waits for a word."""


class _Parser(PushMultipartParser):  # type: ignore[misc]
    """One that keeps of a field what it is for, and never what a file is called."""

    def _create_segment(self, headerlist: list[tuple[str, str]]) -> Any:
        found = [_NAME.match(value) for name, value in headerlist if name == _DISPOSITION]
        headerlist.clear()
        if len(found) != 1 or found[0] is None:
            raise ParserError("a field without a name")
        return MultipartSegment([(_DISPOSITION, f'form-data; name="{found[0][1]}"')])


class Field:
    """A field of a form, to be read once, before the next one. ``name``: what it is for."""

    def __init__(self, name: str, form: Form) -> None:
        self.name = name
        self._form = form
        self.ended = False
        """Whether its end has come: a read that found fewer bytes met no broken connection."""

    def read1(self, size: int) -> bytes:
        """What is there, or comes next: 1 to ``size`` bytes, none at the end.

        Raises:
            Cut: the connection broke.
            BrokenForm: it goes on as no form does.
        """
        if self.ended or not size:
            return b""
        data = self._form.next_bytes(size)
        self.ended = not data
        return data

    def read(self, size: int) -> bytes:
        """``size`` bytes, or fewer at the end; raises as ``read1``."""
        data = bytearray()
        while len(data) < size and (piece := self.read1(size - len(data))):
            data += piece
        return bytes(data)

    def skip(self) -> None:
        """Let go of the rest."""
        while self.read1(LARGE_PIECE):
            pass


class Form:
    """A form that comes.

    Args:
        body: of the request.
        content_type: what the request says that it is.
        length: bytes of the body.

    Raises:
        Malformed, LimitExceeded: it is no form.
    """

    def __init__(self, body: Body, content_type: str, length: int) -> None:
        self._body = body
        self._left = length
        if len(content_type) > LONGEST_TYPE:
            raise LimitExceeded("the type of the form is longer than any")
        kind, options = parse_options_header(content_type)
        boundary = options.get("boundary", "")
        if kind != "multipart/form-data" or not boundary.isascii() or not 1 <= len(boundary) <= LONGEST_BOUNDARY:
            raise Malformed("this is no multipart/form-data")
        # Latin-1: whatever is written there is taken as bytes, and none of it is refused for how it is spelt.
        self._parser = _Parser(
            boundary,
            content_length=length,
            max_header_size=LONGEST_LINE,
            max_header_count=MOST_LINES,
            max_segment_count=MOST_FIELDS,
            header_charset="latin-1",
        )
        self._start = f"--{boundary}".encode("latin-1")
        self._events = self._parse()
        self._rest = memoryview(b"")
        self._step = UNSEEN

    def fields(self) -> Iterator[Field]:
        """One after the other; what was not read of one is skipped.

        Raises:
            Cut: the connection broke.
            BrokenForm: it goes on as no form does.
        """
        for event in self._events:
            if isinstance(event, MultipartSegment):
                self._step = UNSEEN
                field = Field(event.name, self)
                yield field
                field.skip()

    def trust(self) -> None:
        """The field that comes is what belongs here: take more of it at a time."""
        self._step = LARGE_PIECE

    def close(self) -> None:
        """Keep nothing of what was read ahead."""
        self._events.close()
        self._parser.close(check_complete=False)
        self._rest = memoryview(b"")

    def next_bytes(self, size: int) -> bytes:
        """Of the field that was begun; see Field.read1."""
        if not self._rest:
            # None ends the field.
            self._rest = memoryview(next(self._events, None) or b"")
        data = bytes(self._rest[:size])
        self._rest = self._rest[size:]
        return data

    def _parse(self) -> Generator[Any]:
        try:
            # Here nothing may stand before the first boundary, as the RFC allows: it would be read for nothing.
            start = self._receive(len(self._start))
            while len(start) < len(self._start):
                start += self._receive(len(self._start) - len(start))
            if start != self._start:
                raise BrokenForm
            yield from self._parser.parse(start)
            while self._left:
                yield from self._parser.parse(self._receive(self._step))
            # Raises where the last boundary has not come.
            self._parser.close()
        except MultipartError as error:
            raise BrokenForm from error

    def _receive(self, size: int) -> bytes:
        """The next bytes of the body; Cut where it ends before its length."""
        if not self._left:
            raise BrokenForm
        try:
            data = self._body.read1(min(size, self._left))
        except OSError as error:
            raise Cut from error
        if not data:
            raise Cut
        self._left -= len(data)
        return data
