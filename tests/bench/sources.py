"""Sources in a closed loop: each sends a tip, waits until it is stored, and sends the next.

A program of its own (asyncio, raw HTTP/1.1), so that it costs the two processors as little as can be. Envelopes are
sealed beforehand and read from a file:

    sources.py SOCKET|HOST:PORT ENVELOPES --sources 8 --seconds 5 [--fresh] [--tips 24]

With `--fresh` each tip comes over a new connection on a circuit of its own, as on the onion service; without, each
source keeps its connection. With `--tips` it ends after so many. With `--form` ENVELOPES is the body of a form instead
(boundary `tipbox`), posted to /upload again and again: what a peer takes. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import secrets
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from pathlib import Path

RUN_PARTS = 64
"""Sealed parts in one request, but for the last."""
_LENGTH = struct.Struct(">I")
_TOGETHER = 1 << 16
_GOOD = tuple(b"HTTP/1.1 %d" % status for status in (200, 201, 302))
Requests = list[tuple[bytes, bytes]]
"""Heads and bodies that store one tip."""


def write_envelopes(path: Path, envelopes: Iterable[Sequence[bytes]]) -> None:
    """Write Envelopes for this program, each as the bodies of the requests that store it, in order."""
    with path.open("wb") as file:
        for pieces in envelopes:
            file.write(_LENGTH.pack(len(pieces)))
            for piece in pieces:
                file.write(_LENGTH.pack(len(piece)) + piece)


def read_envelopes(path: Path) -> Iterator[list[bytes]]:
    """What `write_envelopes` wrote."""
    with path.open("rb") as file:
        while prefix := file.read(_LENGTH.size):
            count = _LENGTH.unpack(prefix)[0]
            yield [file.read(_LENGTH.unpack(file.read(_LENGTH.size))[0]) for _ in range(count)]


def requests(pieces: Sequence[bytes]) -> Requests:
    """Head and body of the requests that store an Envelope, in order."""
    token = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=")
    head = (
        b"%b HTTP/1.1\r\nHost: tipbox\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
    )
    lines = [b"PUT /api/envelope"]
    if len(pieces) > 1:  # runs of parts, then what finishes it
        lines += [b"PUT /api/envelope/parts/%d" % (number * RUN_PARTS) for number in range(len(pieces) - 2)]
        lines.append(b"POST /api/envelope/finish")
    return [(head % (line, token, len(piece)), piece) for line, piece in zip(lines, pieces, strict=True)]


def form_requests(body: bytes) -> Requests:
    """Head and body of the request that posts a form to a peer."""
    head = (
        b"POST /upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=tipbox\r\n"
        b"Content-Length: %d\r\n\r\n"
    )
    return [(head % len(body), body)]


class Sources:
    """All sources of one run."""

    def __init__(self, address: str, tips: Iterable[Requests], *, fresh: bool) -> None:
        """Tips are made into requests when they are due."""
        self._address = address
        self._left = iter(tips)
        self._fresh = fresh
        self._circuits = 0
        self.times: list[float] = []
        """Seconds from the first byte sent (or the connection begun) to the last byte of the answer."""
        self.refused: list[str] = []
        """Status lines other than 201."""
        self.exhausted = False

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if "/" in self._address:
            self._circuits += 1
            number = self._circuits
            reader, writer = await asyncio.open_unix_connection(self._address)
            writer.write(b"PROXY TCP6 fc00:dead:beef:4dad:1::%x:%x ::1 1 80\r\n" % (number >> 16, number & 0xFFFF))
            return reader, writer
        host, _, port = self._address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return reader, writer

    async def source(self, until: float) -> None:
        """Send until the time is over."""
        line = None
        while time.perf_counter() < until:
            tip = next(self._left, None)
            if tip is None:
                self.exhausted = True
                return
            begun = time.perf_counter()
            line = line or await self._connect()
            for head, body in tip:
                await self._ask(line, head, body)
            self.times.append(time.perf_counter() - begun)
            if self._fresh:
                line[1].close()
                line = None
        if line:
            line[1].close()

    async def _ask(self, line: tuple[asyncio.StreamReader, asyncio.StreamWriter], head: bytes, body: bytes) -> None:
        reader, writer = line
        if len(body) <= _TOGETHER:
            writer.write(head + body)
        else:
            writer.write(head)
            writer.write(body)
            await writer.drain()
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(row for row in answer.lower().split(b"\r\n") if row.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        if not answer.startswith(_GOOD):
            self.refused.append(answer.split(b"\r\n")[0].decode())

    async def run(self, sources: int, seconds: float) -> float:
        """Run them all; the seconds that it took."""
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(sources):
                group.create_task(self.source(begun + seconds))
        return time.perf_counter() - begun


def main() -> None:
    """Run with the arguments of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("envelopes", type=Path)
    parser.add_argument("--sources", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--form", action="store_true")
    parser.add_argument("--tips", type=int)
    parser.add_argument("--skip", type=int, default=0, help="Envelopes that other runs have sent.")
    given = parser.parse_args()
    stop = None if given.tips is None else given.skip + given.tips
    if given.form:
        tips: Iterable[Requests] = repeat(form_requests(given.envelopes.read_bytes()))
    else:
        tips = map(requests, list(islice(read_envelopes(given.envelopes), given.skip, stop)))
    sources = Sources(given.address, tips, fresh=given.fresh)
    before = time.process_time()  # what was read and made beforehand is not the sources' work
    seconds = asyncio.run(sources.run(given.sources, given.seconds))
    report = {
        "seconds": seconds,
        "cpu": time.process_time() - before,
        "times": sources.times,
        "refused": sources.refused,
        "exhausted": sources.exhausted,
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
