"""Intake over loopback, client and server on the same processors, Envelopes sealed beforehand.

Every tip counted was answered 201, and so was durable: SQLite with synchronous=FULL, an fsync before each answer (one
for several tips where they come together). Sources are a closed loop: each sends, waits, sends again.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from bench import onionshare
from bench.figures import Bench, Ledger
from bench.inputs import random_file, sparse_file
from bench.loads import OPEN_BUDGET, Run, held_kb, run_sources, seal_tips, send_all
from bench.measure import measure
from faults.sending import ROOMY
from faults.tracing import traced
from support.world import TIPBOX, Ring, Server, environment, running_world

ROUNDS: Final = 3
SECONDS: Final = 4.0
MOST_PER_SECOND: Final = 1_500
"""More than can be stored in a second: how many Envelopes are sealed for each second of a run."""
LOADS: Final = ((1, False), (8, False), (32, False), (8, True), (32, True))
"""Sources, and whether each tip comes on a new circuit."""
AIM: Final = 500
MOST_CPU: Final = 3.0
"""Milliseconds of processor for one tip from 32 sources, theirs included."""
LEAST_MB_PER_SECOND: Final = 100
"""From one source."""
MB: Final = 1_000_000
FILE: Final = 10 * MB
FILES: Final = 16
WORKER_MB: Final = 150
GIB: Final = 1 << 30


def _name(sources: int, *, fresh: bool) -> str:
    return f"{sources} source{'s' * (sources > 1)}, {'a circuit for each tip' if fresh else 'connections kept'}"


def test_text_tips(ledger: Ledger, ring: Ring, disk_folder: Path) -> None:
    envelopes = seal_tips(ring.keys, disk_folder / "tips", int(MOST_PER_SECOND * SECONDS * len(LOADS)))
    runs: dict[tuple[int, bool], list[Run]] = {load: [] for load in LOADS}
    with ledger.bench("intake of 2 kB tips") as bench:
        peer = onionshare.install()
        peers: list[onionshare.PeerRun] = []
        for _ in range(ROUNDS):
            with running_world(ring, settings=ROOMY | OPEN_BUDGET) as world:
                skip = 0
                for sources, fresh in LOADS:
                    run = run_sources(world.server, envelopes, count=sources, seconds=SECONDS, fresh=fresh, skip=skip)
                    runs[sources, fresh].append(run)
                    skip += run.tips
            if peer:
                peers.append(onionshare.run(peer, sources=8, seconds=SECONDS))
        for (sources, fresh), done in runs.items():
            _note(bench, _name(sources, fresh=fresh), done, aim=AIM if sources > 1 else None)
            if (sources, fresh) == (32, False):
                together = [1000 * (run.cpu + run.sources_cpu) for run in done]
                bench.note("  and the sources' with it", "ms/tip", together, at_most=MOST_CPU)
        if peers:
            bench.note("OnionShare 2 kB texts, 8 sources", "tips/s", [one.rate for one in peers])
            ours = [run.rate for run in runs[8, False]]
            bench.note_ratios("tipbox / OnionShare, 8 sources, rate", ours, [one.rate for one in peers])
        else:
            print("  OnionShare could not be installed from PyPI: no peer in this run", flush=True)


def _note(bench: Bench, name: str, runs: list[Run], aim: float | None) -> None:
    bench.note(f"{name}: stored", "tips/s", [run.rate for run in runs], at_least=aim)
    bench.note(f"{name}: p50", "ms", [run.p50 for run in runs])
    bench.note(f"{name}: p95", "ms", [run.p95 for run in runs])
    bench.note(f"{name}: p99", "ms", [run.p99 for run in runs])
    bench.note(f"{name}: server's processor time", "ms/tip", [1000 * run.cpu for run in runs])


def test_fsyncs_of_text_tips(ledger: Ledger, ring: Ring, disk_folder: Path) -> None:
    """Counted by strace, which slows everything: its rates mean nothing."""
    envelopes = seal_tips(ring.keys, disk_folder / "tips", int(MOST_PER_SECOND * 2 * 3))
    with (
        ledger.bench("fsyncs of 2 kB tips") as bench,
        running_world(ring, settings=ROOMY | OPEN_BUDGET) as world,
    ):
        skip = 0
        for sources in (1, 8, 32):
            counted = disk_folder / f"strace-{sources}"
            with traced(world.server.pids(), ("-f", "-c", "-U", "calls,name", "-e", "trace=fsync,fdatasync"), counted):
                run = run_sources(world.server, envelopes, count=sources, seconds=2.0, fresh=False, skip=skip)
            skip += run.tips
            bench.note(f"{sources} sources: fsync and fdatasync", "per tip", _syncs(counted) / run.tips)


def _syncs(summary: Path) -> int:
    rows = [row.split() for row in summary.read_text(encoding="utf-8").splitlines()]
    return sum(int(row[0]) for row in rows if row[1:] in (["fsync"], ["fdatasync"]))


def test_ten_megabyte_tips(ledger: Ledger, ring: Ring, disk_folder: Path) -> None:
    """Against curl, which posts the same bytes to a server that reads and drops them."""
    envelopes = seal_tips(ring.keys, disk_folder / "tips", 2 * FILES, FILE)
    photo = random_file(disk_folder / "photo.jpg", FILE)
    speeds: dict[str, list[float]] = {"1": [], "8": [], "curl": []}
    with ledger.bench("intake of 10 MB tips") as bench:
        for _ in range(ROUNDS):
            with running_world(ring, tcp=True, settings=ROOMY | OPEN_BUDGET) as world:
                for sources, skip in ((1, 0), (8, FILES)):
                    seconds = send_all(world.server, envelopes, count=sources, tips=FILES, skip=skip)
                    speeds[str(sources)].append(FILES * FILE / MB / seconds)
            with discarding() as url:
                posts = [argument for _ in range(FILES) for argument in ("-o", "/dev/null", url)]
                cost = measure("/usr/bin/curl", "-sS", "--fail", "-H", "Expect:", "--data-binary", f"@{photo}", *posts)
                speeds["curl"].append(FILES * FILE / MB / cost.seconds)
        bench.note("10 MB tips stored, 1 source", "MB/s", speeds["1"], at_least=LEAST_MB_PER_SECOND)
        bench.note("10 MB tips stored, 8 sources", "MB/s", speeds["8"])
        bench.note("curl to a discarding server", "MB/s", speeds["curl"])
        bench.note_ratios("10 MB tips, 1 source / curl", speeds["1"], speeds["curl"])
        bench.note_ratios("10 MB tips, 8 sources / curl", speeds["8"], speeds["curl"])


@contextmanager
def discarding() -> Iterator[str]:
    """A server on loopback that reads each body and drops it; its URL."""
    ready, ports = threading.Event(), list[int]()
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            left = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])  # type: ignore[index]
            while left:
                left -= len(await reader.read(min(left, 1 << 18)))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def _head(reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return b""

    async def start() -> asyncio.Server:
        return await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)

    def run() -> None:
        server = loop.run_until_complete(start())
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://127.0.0.1:{ports[0]}/"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def test_memory_under_ten_gibibytes(ledger: Ledger, ring: Ring, disk_folder: Path) -> None:
    """`tipbox source send` of a file of 10 GiB. It is sparse; what is sent and stored is sealed, in full size.

    Of what couriers can carry by default it would be so large a part that the server asks for work (protocol.md, 3.2).
    """
    video = sparse_file(disk_folder / "video.bin", 10 * GIB)
    message = disk_folder / "message"
    message.write_text("ten gibibytes")
    with (
        ledger.bench("memory under 10 GiB") as bench,
        running_world(ring, tcp=True, settings=ROOMY | {"TIPBOX_QUOTA_CARRY_CAPACITY": str(400 * GIB)}) as world,
        resident(world.server) as peaks,
    ):
        bench.note("idle, master and workers together", "MB", held_kb(world.server) / 1e3)
        before = dict(peaks)
        cost = measure(
            *(TIPBOX, "source", "send", f"http://{world.server.bind}", "--keys", world.keys),
            *("--message-file", message, video),
            env=environment(),
        )
        after = dict(peaks)
        assert world.server.run("status", "--json").json["envelopes"] == "1+"
        bench.note("worker, peak resident", "MB", max(after.values()), at_most=WORKER_MB)
        bench.note("worker, growth over before", "MB", max(after[pid] - before[pid] for pid in before))
        bench.note("tipbox source send, peak memory", "MB", cost.peak_mb)
        bench.note("10 GiB sealed, sent and stored", "MB/s", 10 * GIB / MB / cost.seconds)


@contextmanager
def resident(server: Server) -> Iterator[dict[int, float]]:
    """Peak resident memory of each worker in MB (10^6 bytes), looked at ten times a second."""
    _master, *workers = server.pids()
    processes = [psutil.Process(pid) for pid in workers]
    peaks = {process.pid: process.memory_info().rss / MB for process in processes}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            for process in processes:
                peaks[process.pid] = max(peaks[process.pid], process.memory_info().rss / MB)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        done.set()
        thread.join()
