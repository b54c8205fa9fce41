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
import heapq
import io
import json
import random
import resource
import secrets
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain, count, repeat
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
STEP = 0.002
"""Seconds between two looks at whose next piece is due."""
ANSWER = 64 * 1024
"""Bytes of the largest answer."""


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


@dataclass
class _Rest:
    """What a source has still to send of a request."""

    line: socket.socket
    data: memoryview
    done: asyncio.Future[None]


async def _answered(line: socket.socket, status: int) -> bool:
    """Read an answer to its end; whether it has this status."""
    loop = asyncio.get_running_loop()
    answer = b""
    while True:
        head, blank, body = answer.partition(b"\r\n\r\n")
        lengths = [one for one in head.lower().split(b"\r\n") if one.startswith(b"content-length:")]
        if blank and len(body) >= int(lengths[0].split(b":")[1]):
            return head.startswith(b"HTTP/1.1 %d" % status)
        if not (more := await loop.sock_recv(line, ANSWER)):
            raise ConnectionError
        answer += more


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
        self._due: list[tuple[float, int, _Rest]] = []
        """When the next piece of whom is due, as a heap."""
        self._numbers = count()
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
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
            line.setblocking(False)
            head = self._seal().opening  # before the server's patience with a silent connection begins
            token = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
            loop = asyncio.get_running_loop()
            async with self._opening:
                await loop.sock_connect(line, self._path)
                request = self._request(token, "PUT /api/envelope", len(head))
                await loop.sock_sendall(line, self._circuit() + request + head)
                if not await _answered(line, 201):
                    self.counts.slow_refused += 1
                    self._look()
                    return
            self.counts.slow_begun += 1
            self.counts.slow_open += 1
            self._look()
            try:
                await asyncio.sleep(random.uniform(0, self._pace.spread))
                first, sizes = 0, chain(self._pace.runs, repeat(self._pace.runs[-1]))
                while first < len(self._parts):
                    parts = self._parts[first : first + next(sizes)]
                    run = b"".join(parts)
                    request = self._request(token, f"PUT /api/envelope/parts/{first}", len(run))
                    await self._trickled(line, request + run)
                    if not await _answered(line, 200):
                        self.counts.slow_refused += 1
                        return
                    self.counts.slow_runs += 1
                    first += len(parts)
                self.counts.slow_stored += 1
            finally:
                self.counts.slow_open -= 1

    def _trickled(self, line: socket.socket, data: bytes) -> asyncio.Future[None]:
        """Done once all of it is sent, piece by piece."""
        done = asyncio.get_running_loop().create_future()
        heapq.heappush(self._due, (time.monotonic(), next(self._numbers), _Rest(line, memoryview(data), done)))
        return done

    async def _trickle(self) -> None:
        """Send what is due, of all sources in one loop: a task and a timer for each piece cost much more."""
        piece = int(self._pace.rate * self._pace.tick)
        while True:
            while self._due and self._due[0][0] <= time.monotonic():
                due, number, rest = heapq.heappop(self._due)
                if rest.done.done():
                    continue
                try:
                    sent = rest.line.send(rest.data[:piece])
                except BlockingIOError:
                    sent = 0
                except OSError as error:
                    rest.done.set_exception(error)
                    continue
                self.counts.slow_bytes += sent
                rest.data = rest.data[sent:]
                if rest.data:
                    heapq.heappush(self._due, (due + self._pace.tick, number, rest))
                else:
                    rest.done.set_result(None)
            await asyncio.sleep(STEP)

    @staticmethod
    def _request(token: str, line: str, length: int) -> bytes:
        head = f"{line} HTTP/1.1\r\nHost: tipbox\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n"
        return f"{head}Content-Type: application/octet-stream\r\n\r\n".encode()

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
        tasks.append(asyncio.create_task(self._trickle()))
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
