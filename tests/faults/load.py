"""Hundreds of slow sources and thousands of idle connections, from one process of its own.

Run as a program: ``load.py SOCKET --manifests DIR --slow 500 --idle 2000 --rate 5000 [--one-circuit]``. It speaks to a
server's unix socket as Tor does, each connection on a circuit of its own (or all on one). It writes one JSON object to
stdout for each line that it reads from stdin, after all connections stand; at the end of stdin it ends.

The parts of all sources are the same bytes: they cost this process nothing, and nobody compares them before a finish.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import io
import json
import random
import resource
import secrets
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain, repeat
from pathlib import Path

from tipbox.files.key_folder import load_folder
from tipbox.formats.access_code import Secrets
from tipbox.formats.base import days
from tipbox.formats.base.limits import MAX_RUN_PARTS
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.envelopes.envelope import Sealed, seal
from tipbox.formats.envelopes.letter import FileEntry, Letter
from tipbox.formats.manifest import Manifest
from tipbox.source.recipients import Addressees

BODY = 1 << 20
TICK = 0.25
"""Seconds between two pieces of a slow source, if not said."""
TOGETHER = 200
"""How many sources open their uploads at once: a queue of the kernel holds no more."""
RETURN = 5
"""Seconds until an idle connection that the server has closed comes back."""


@dataclass
class Counts:
    """What the server let happen so far; numbers of connections, and bytes of parts sent by slow sources."""

    idle_made: int = 0
    idle_open: int = 0
    slow_begun: int = 0
    slow_open: int = 0
    slow_refused: int = 0
    slow_runs: int = 0
    slow_stored: int = 0
    slow_bytes: int = 0


@dataclass(frozen=True)
class Pace:
    """How slow sources send."""

    rate: int
    """Bytes a second, of each."""
    tick: float
    """Seconds between two pieces."""
    runs: Sequence[int]
    """Parts in the first request, and on; the last of these again and again."""
    spread: float
    """Seconds over which they begin, after they have opened their uploads."""


class Load:
    """All connections of the process."""

    def __init__(self, path: str, manifests: list[Manifest], pace: Pace, *, one_circuit: bool) -> None:
        self._path = path
        self._manifests = manifests
        self._pace = pace
        self._parts = list(self._seal().parts([(io.BytesIO(bytes(BODY)), BODY)]))
        self._one_circuit = one_circuit
        self._circuits = 0
        self._opening = asyncio.Semaphore(TOGETHER)
        self._standing = asyncio.Event()
        self._wanted = 0, 0
        self.counts = Counts()

    def _circuit(self) -> bytes:
        self._circuits += 1
        number = 1 if self._one_circuit else self._circuits
        address = f"fc00:dead:beef:4dad::{number >> 16:x}:{number & 0xFFFF:x}"
        return f"PROXY TCP6 {address} ::1 {1024 + number} 80\r\n".encode()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(self._path)
        writer.write(self._circuit())
        return reader, writer

    def _look(self) -> None:
        slow, idle = self._wanted
        if self.counts.idle_made >= idle and self.counts.slow_begun + self.counts.slow_refused >= slow:
            self._standing.set()

    async def idle(self) -> None:
        """Connect, send half a request, wait; begin again whenever the server has closed."""
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await self._connect()
                writer.write(b"GET / HTTP/1.1\r\nHost: tipbox\r\n")
                self.counts.idle_made += 1
                self.counts.idle_open += 1
                self._look()
                try:
                    await reader.read()
                finally:
                    self.counts.idle_open -= 1
                    writer.close()
            await asyncio.sleep(RETURN)

    async def slow(self) -> None:
        """Open an upload, then send its parts at the rate, run by run."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = self._seal().opening  # before the server's patience with a silent connection begins
            token = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
            async with self._opening:
                reader, writer = await self._connect()
                self._request(writer, token, "PUT /api/envelope", len(head))
                writer.write(head)
                if not (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 201"):
                    self.counts.slow_refused += 1
                    self._look()
                    return
                await self._body(reader)
            self.counts.slow_begun += 1
            self.counts.slow_open += 1
            self._look()
            try:
                await asyncio.sleep(random.uniform(0, self._pace.spread))
                first, sizes = 0, chain(self._pace.runs, repeat(self._pace.runs[-1]))
                while first < len(self._parts):
                    parts = self._parts[first : first + next(sizes)]
                    run = b"".join(parts)
                    self._request(writer, token, f"PUT /api/envelope/parts/{first}", len(run))
                    await self._trickle(reader, writer, run)
                    first += len(parts)
                self.counts.slow_stored += 1
            finally:
                self.counts.slow_open -= 1
                writer.close()

    async def _trickle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, run: bytes) -> None:
        piece = int(self._pace.rate * self._pace.tick)
        for at in range(0, len(run), piece):
            writer.write(run[at : at + piece])
            await writer.drain()
            self.counts.slow_bytes += len(run[at : at + piece])
            await asyncio.sleep(self._pace.tick)
        if not (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200"):
            self.counts.slow_refused += 1
            raise ConnectionError
        await self._body(reader)
        self.counts.slow_runs += 1

    @staticmethod
    async def _body(reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))

    @staticmethod
    def _request(writer: asyncio.StreamWriter, token: str, line: str, length: int) -> None:
        head = f"{line} HTTP/1.1\r\nHost: tipbox\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n"
        writer.write(f"{head}Content-Type: application/octet-stream\r\n\r\n".encode())

    def _seal(self) -> Sealed:
        source = Secrets(random_bytes(32))
        letter = Letter(b"slow", (FileEntry("slow.bin", BODY),), random_bytes(32), random_bytes(16))
        today = days.today()
        recipients = Addressees.of(self._manifests, (), "the load").recipients(source, today)
        return seal(recipients, letter)

    async def run(self, slow: int, idle: int) -> None:
        """Stand all connections up, then answer each line of stdin with the counts."""
        self._wanted = slow, idle
        tasks = [asyncio.create_task(self.idle()) for _ in range(idle)]
        tasks += [asyncio.create_task(self.slow()) for _ in range(slow)]
        await self._standing.wait()
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while await lines.readline():
            sys.stdout.write(json.dumps(asdict(self.counts)) + "\n")
            sys.stdout.flush()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    """Run with the arguments of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("--manifests", type=Path, required=True)
    parser.add_argument("--slow", type=int, default=0)
    parser.add_argument("--idle", type=int, default=0)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--tick", type=float, default=TICK)
    parser.add_argument("--runs", type=int, nargs="+", default=[MAX_RUN_PARTS])
    parser.add_argument("--spread", type=float, default=TICK)
    parser.add_argument("--one-circuit", action="store_true")
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    pace = Pace(given.rate, given.tick, given.runs, given.spread)
    load = Load(given.socket, load_folder(given.manifests), pace, one_circuit=given.one_circuit)
    asyncio.run(load.run(given.slow, given.idle))


if __name__ == "__main__":
    main()
