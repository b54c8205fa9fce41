"""A line as slow as the worst that sources have: so many bytes a second each way, for all of it together, and late."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Final

RATE: Final = 2_500
"""Bytes a second: 20 kbit/s."""
ROUND_TRIP: Final = 3.0
"""Seconds."""
_CHUNK: Final = 500


class _Way:
    """One direction of the line: what all connections send passes one after the other."""

    def __init__(self, rate: float, delay: float) -> None:
        self._rate, self.delay, self._free = rate, delay, 0.0

    def due(self, size: int) -> float:
        """When so many bytes that are sent now have arrived, by the loop's clock."""
        now = asyncio.get_running_loop().time()
        self._free = max(now, self._free) + size / self._rate
        return self._free + self.delay


class SlowLine:
    """Listens on loopback before a port of this machine.

    Args:
        to: the port.
        rate: bytes a second, each way.
        round_trip: seconds from a byte that is sent to its answer, beside the time that bytes take.
    """

    def __init__(self, to: int, rate: float = RATE, round_trip: float = ROUND_TRIP) -> None:
        self._to = to
        self._up, self._down = _Way(rate, round_trip / 2), _Way(rate, round_trip / 2)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_CHUNK))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Close the port and everything that is open."""

        async def end() -> None:
            self._server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await asyncio.sleep(0)  # what was closed is let go of

        self._run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[object, object, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._to, limit=_CHUNK)
        except OSError:
            writer.close()
            return
        ways = ((reader, server_writer, self._up), (server_reader, writer, self._down))
        try:
            await asyncio.gather(*(_carry(source, target, way) for source, target, way in ways))
        except asyncio.CancelledError:
            pass  # the line is closed
        finally:
            for one in (writer, server_writer):
                one.transport.abort()


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, way: _Way) -> None:
    """Carry one direction of one connection: chunks leave as the line has room, and arrive in their order."""
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def arrive() -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                target.close()
                return
            target.write(data)
            await target.drain()

    arriving = asyncio.ensure_future(arrive())
    try:
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                due = way.due(len(data))
                under_way.put_nowait((due, data))
                # Nobody sends ahead of the line by more than it holds.
                await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time() - way.delay))
        under_way.put_nowait((way.due(0), b""))
        with contextlib.suppress(OSError):
            await arriving
    finally:
        arriving.cancel()
