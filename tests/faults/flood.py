"""One circuit that asks without end, from one process of its own.

Run as a program: ``flood.py SOCKET KIND STREAMS``. It speaks to a server's unix socket as Tor does, all streams on one
circuit, each sending the request of its kind as fast as the server takes it, and beginning anew whenever the server
closes. It writes one line to stdout once every stream has sent, and one JSON object at the end of stdin.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

CIRCUIT: Final = "fc00:dead:beef:4dad::bad"
AT_ONCE: Final = 64
"""Requests that one write carries."""
OPENING: Final = "opening"
"""The kind that opens connection after connection, and closes each once it has asked for one thing."""
AGAIN: Final = 0.01
"""Seconds until a stream that was closed is there again."""


def _get(line: str, *headers: str) -> bytes:
    return "\r\n".join((f"{line} HTTP/1.1", "Host: tipbox", *headers, "", "")).encode()


KINDS: Final[Mapping[str, bytes]] = {
    "404": _get("GET /nothing"),
    "404-api": _get("GET /api/nothing"),
    "403": _get("GET /", "Sec-Fetch-Site: cross-site"),
    "HEAD": _get("HEAD /nothing"),
    "429": _get("GET /"),
    "405": _get("DELETE /"),
    "OPTIONS": _get("OPTIONS /"),
    "308": _get("GET /en"),
    "401": _get("GET /api/envelope"),
    "state": _get("GET /api/envelope", f"Authorization: Bearer {'A' * 43}"),
    "malformed": b"GET / HTTP/1.1\nHost: tipbox\r\n\r\n",
    "no-circuit": _get("GET /"),
    OPENING: _get("GET /"),
    # What is answered and never read on: its connection is kept for some seconds, so that the answer can be read.
    "plaintext": _get("PUT /api/envelope", f"Authorization: Bearer {'A' * 43}", "Content-Length: 20000")
    + b"Dear " * 4000,
}
"""What each stream repeats."""


@dataclass
class Counts:
    """What was sent and came back so far."""

    connections: int = 0
    bytes_sent: int = 0
    bytes_read: int = 0


class Flood:
    """All streams of the circuit."""

    def __init__(self, path: str, kind: str) -> None:
        self._path = path
        self._line = b"" if kind == "no-circuit" else f"PROXY TCP6 {CIRCUIT} ::1 225 80\r\n".encode()
        self._opens = kind == OPENING
        self._request = KINDS[kind] * (1 if self._opens else AT_ONCE)
        self.counts = Counts()

    async def stream(self, sent: asyncio.Event) -> None:
        """Ask and ask again, on one connection after the other."""
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_unix_connection(self._path)
                self.counts.connections += 1
                if self._opens:
                    writer.write(self._line + self._request)
                    self.counts.bytes_sent += len(self._request)
                    writer.close()
                    sent.set()
                    await asyncio.sleep(0)
                    continue
                asking = asyncio.create_task(self._ask(writer, sent))
                try:
                    while piece := await reader.read(1 << 16):
                        self.counts.bytes_read += len(piece)
                finally:
                    asking.cancel()
                    writer.close()
                    await asyncio.gather(asking, return_exceptions=True)
            await asyncio.sleep(AGAIN)

    async def _ask(self, writer: asyncio.StreamWriter, sent: asyncio.Event) -> None:
        writer.write(self._line)
        while True:
            writer.write(self._request)
            self.counts.bytes_sent += len(self._request)
            sent.set()
            await writer.drain()

    async def run(self, streams: int) -> None:
        """Until stdin ends."""
        begun = [asyncio.Event() for _ in range(streams)]
        tasks = [asyncio.create_task(self.stream(one)) for one in begun]
        await asyncio.gather(*(one.wait() for one in begun))
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        sys.stdout.write(json.dumps(asdict(self.counts)) + "\n")


def main() -> None:
    """Run with the arguments of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("streams", type=int)
    given = parser.parse_args()
    asyncio.run(Flood(given.socket, given.kind).run(given.streams))


if __name__ == "__main__":
    main()
