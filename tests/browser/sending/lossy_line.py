"""A line that loses packets: real TCP over two TUN devices, each in a network namespace of its own.

This machine's kernel has no netem, so what a device sends is handed to the other one here: late, so many bytes a
second, or never. Needs root, as the tests of the server's network do.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import random
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

CLONE_NEWNET: Final = 0x40000000
TUNSETIFF: Final = 0x400454CA
IFF_TUN: Final = 0x0001
IFF_NO_PI: Final = 0x1000
PACKET: Final = 1_500
NEAR: Final = "192.0.2.1"
FAR: Final = "192.0.2.2"
PORT: Final = 8_000
QUEUE: Final = 2.0
"""Seconds of packets that the line holds before it drops the newest."""


class LossyLine:
    """Listens on loopback before a port of this machine.

    Args:
        to: the port.
        loss: the share of packets that are lost, each way.
        rate: bytes a second, each way.
        round_trip: seconds from a byte that is sent to its answer, beside the time that bytes take.
    """

    def __init__(self, to: int, *, loss: float, rate: float, round_trip: float) -> None:
        self._to, self._loss, self._rate, self._delay = to, loss, rate, round_trip / 2
        self._chance = random.Random(10)
        self.carried = self.lost = 0
        self._folder = tempfile.TemporaryDirectory()
        self._in, self._out = (Path(self._folder.name) / name for name in ("in", "out"))
        self._here = _Loop()
        self._near, self._far = _Loop(NEAR, FAR), _Loop(FAR, NEAR)
        for one, other in ((self._near, self._far), (self._far, self._near)):
            self._here.run(self._join(one.device, other.device))
        self._here.serve(asyncio.start_unix_server(_through(self._server), self._out))
        self._far.serve(asyncio.start_server(_through(lambda: asyncio.open_unix_connection(self._out)), FAR, PORT))
        self._near.serve(asyncio.start_unix_server(_through(lambda: asyncio.open_connection(FAR, PORT)), self._in))
        came = _through(lambda: asyncio.open_unix_connection(self._in))
        self.port: int = self._here.serve(asyncio.start_server(came, "127.0.0.1", 0)).sockets[0].getsockname()[1]

    def close(self) -> None:
        """Close the port, everything that is open, and the devices."""
        for loop in (self._here, self._near, self._far):
            loop.close()
        self._folder.cleanup()

    async def _server(self) -> _Ends:
        return await asyncio.open_connection("127.0.0.1", self._to)

    async def _join(self, source: int, target: int) -> None:
        """From now on carry what one device sends to the other."""
        loop = asyncio.get_running_loop()
        free = loop.time()

        def arrive(packet: bytes) -> None:
            with contextlib.suppress(OSError):  # the line is being closed
                os.write(target, packet)

        def carry() -> None:
            nonlocal free
            packet = os.read(source, PACKET)
            now = loop.time()
            if self._chance.random() < self._loss or free - now > QUEUE:
                self.lost += 1
                return
            self.carried += 1
            free = max(now, free) + len(packet) / self._rate
            loop.call_at(free + self._delay, arrive, packet)

        loop.add_reader(source, carry)


_Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _through(onward: Callable[[], Coroutine[Any, Any, _Ends]]) -> Callable[..., Coroutine[Any, Any, None]]:
    """What serves a connection by another one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            on_reader, on_writer = await onward()
            writers.append(on_writer)
            await asyncio.gather(_pour(reader, on_writer), _pour(on_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass  # one end is gone, or the line is closed
        finally:
            for one in writers:
                one.transport.abort()

    return serve


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(16_384):
        target.write(data)
        await target.drain()
    target.write_eof()


class _Loop:
    """An event loop in a thread, which for an address is in a network namespace of its own, with one device."""

    def __init__(self, address: str = "", peer: str = "") -> None:
        self.device = -1
        self._servers: list[asyncio.Server] = []
        self._loop = asyncio.new_event_loop()
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, args=(address, peer, ready), daemon=True)
        self._thread.start()
        ready.result()

    def run(self, work: Coroutine[object, object, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def serve(self, work: Coroutine[object, object, asyncio.Server]) -> asyncio.Server:
        server: asyncio.Server = self.run(work)
        self._servers.append(server)
        return server

    def close(self) -> None:
        async def end() -> None:
            for server in self._servers:
                server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await asyncio.sleep(0)  # what was closed is let go of

        self.run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self.device >= 0:
            os.close(self.device)

    def _work(self, address: str, peer: str, ready: Future[None]) -> None:
        try:
            if address:
                self.device = _device(address, peer)
        except Exception as error:  # noqa: BLE001 (whoever began this hears of it)
            ready.set_exception(error)
            return
        ready.set_result(None)
        self._loop.run_forever()


def _device(address: str, peer: str) -> int:
    """Move this thread into a namespace of its own, and make its only device."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace: only root makes one")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"line", IFF_TUN | IFF_NO_PI))
    for command in (f"addr add {address} peer {peer} dev line", "link set line up"):
        subprocess.run(("ip", *command.split()), check=True, timeout=60)
    return device
