"""Bodies that are made once and answer many requests, as they are and compressed."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from flask import Response, request

TYPES: Final[Mapping[str, str]] = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}
LONGEST_ACCEPT: Final = 256
"""Characters of ``Accept-Language`` or ``Accept-Encoding`` that are looked at; browsers send less than 100. Parsing as
many as a head has room for would hold up the worker."""
SMALLEST_GZIP: Final = 512
"""Bytes below which compressing a body is not worth it."""
_GZIP_HEAD: Final = 10
_GZIP_EXTRA: Final = 4
"""The flag of a field that readers skip (RFC 1952, 2.3.1), of at most 65,535 bytes."""
_FIELD_HEAD: Final = 6
"""Its length, and the name and length of what is in it."""


@dataclass(frozen=True)
class Body:
    """A body as it is and compressed, both made once."""

    plain: bytes = field(repr=False)
    content_type: str
    packed: bytes = field(repr=False, default=b"")

    @classmethod
    def of(cls, body: bytes, content_type: str, packed: bytes = b"") -> Body:
        """One of ``body``; ``packed`` is the same compressed already, or else is made here."""
        if not packed or gzip.decompress(packed) != body:
            # Without a time, so that it has the same bytes from every worker and after every start.
            packed = gzip.compress(body, mtime=0) if len(body) >= SMALLEST_GZIP else b""
        return cls(body, content_type, packed)

    @classmethod
    def of_one_size(cls, texts: Mapping[str, bytes], content_type: str) -> dict[str, Body]:
        """Bodies of texts that take white space at their end, by the same keys: all of one size, compressed too.

        So nobody who sees sizes learns which of them was read.
        """
        size = max(map(len, texts.values()))
        bodies = {key: cls.of(text.ljust(size, b"\n"), content_type) for key, text in texts.items()}
        packed = max(len(body.packed) for body in bodies.values()) + _FIELD_HEAD
        return {
            key: replace(body, packed=_filled(body.packed, packed)) if body.packed else body
            for key, body in bodies.items()
        }

    def response(self, status: int = 200) -> Response:
        """The answer for this request."""
        pack = bool(self.packed) and is_short("HTTP_ACCEPT_ENCODING") and request.accept_encodings["gzip"] > 0
        response = Response(self.packed if pack else self.plain, status, content_type=self.content_type)
        if pack:
            response.headers["Content-Encoding"] = "gzip"
        if self.packed:
            response.vary.add("Accept-Encoding")
        return response


def _filled(packed: bytes, size: int) -> bytes:
    """A gzip file with a field of zeros in its head, so that it has this size."""
    zeros = size - len(packed) - _FIELD_HEAD
    field_ = (zeros + 4).to_bytes(2, "little") + b"tb" + zeros.to_bytes(2, "little") + bytes(zeros)
    return packed[:3] + bytes([packed[3] | _GZIP_EXTRA]) + packed[4:_GZIP_HEAD] + field_ + packed[_GZIP_HEAD:]


def is_short(key: str) -> bool:
    """Whether what this request says that it accepts is short enough to be parsed; ``key``: in its environment."""
    return len(request.environ.get(key, "")) <= LONGEST_ACCEPT
