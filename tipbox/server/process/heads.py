"""Reading the heads of requests: bounded as a whole, before anything of one is kept or parsed.

gunicorn bounds each line and the number of fields, which together let 84 KB through; it looks at all that it has of a
head again with each piece of it that comes.
"""

from __future__ import annotations

from typing import Any, Final

from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.http.unreader import SocketUnreader

from tipbox.formats.base.limits import KIB

HEAD_BYTES: Final = 8 * KIB
"""Bytes of a head, from what comes before its request line (Tor's circuit line too) to its empty line. Browsers send
about 600, and the command line 300."""
RECEIVE: Final = 64 * KIB
"""Bytes of a body that are taken at a time."""


class Unreader(SocketUnreader):  # type: ignore[misc]
    """What gunicorn reads a connection by.

    It is told where a head begins and ends. Bytes of later requests that came with a head are not counted with it:
    while a head is read, no more is asked for than it may have, so once that much is here it must have ended.
    """

    # gunicorn would read up to a megabyte at a time: too much, with thousands of slow connections.
    max_body_chunk = RECEIVE

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self._left: int | None = None

    def begin_head(self) -> None:
        """What comes next is a head; nothing when it has begun."""
        if self._left is None:
            self._left = HEAD_BYTES - self.buf.getbuffer().nbytes

    def end_head(self) -> None:
        """The head has ended."""
        self._left = None

    def chunk(self, size_hint: int | None = None) -> bytes:
        """The next bytes that come.

        Raises:
            LimitRequestHeaders: this head has HEAD_BYTES, and did not end.
        """
        if self._left is None:
            data: bytes = super().chunk(size_hint)
            return data
        if self._left <= 0:
            raise LimitRequestHeaders("the whole head")
        data = self.sock.recv(min(self.mxchunk, self._left))
        self._left -= len(data)
        return data
