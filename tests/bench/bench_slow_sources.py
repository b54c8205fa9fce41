"""A fast source while 500 others send at 5 kB/s and 2,000 connections idle, against the same source alone.

The fast source sends 2 kB tips one after the other, each on a new circuit. Load generator, server and source share the
same processors. The second bench is ten minutes beside 10,000 sources that send their files about as slowly as the
server allows: 600 bytes a second, in pieces of 3 kB every five seconds. Each request brings one part, as those of the
page do on such a line after its first two. What it is compared with is measured right after it, once a minute, at a
second server that nobody else uses, while the load stands still: a machine may be twice as fast from one minute to the
next.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from bench.figures import Ledger
from bench.loads import OPEN_BUDGET, Run, held_kb, run_sources, seal_tips
from faults.test_slow_sources import IDLE, RATE, SLOW, loaded
from support.world import Ring, Server, running_world
from tipbox.formats.base.limits import ENVELOPE_PART_SIZE

ROUNDS: Final = 5
SECONDS: Final = 8.0
MOST_PER_SECOND: Final = 700
"""More than one source can have stored in a second: how many Envelopes are sealed for each second of a run."""
BOUND: Final = 2.0


def test_a_fast_source_beside_slow_ones(ledger: Ledger, ring: Ring, disk_folder: Path) -> None:
    envelopes = seal_tips(ring.keys, disk_folder / "tips", int(2 * MOST_PER_SECOND * SECONDS))
    quiet: list[Run] = []
    busy: list[Run] = []
    with ledger.bench("slow sources") as bench:
        for _ in range(ROUNDS):
            with running_world(ring, settings=OPEN_BUDGET) as world:
                quiet.append(run_sources(world.server, envelopes, count=1, seconds=SECONDS, fresh=True, skip=0))
                with loaded(world, "--slow", str(SLOW), "--idle", str(IDLE), "--rate", str(RATE)) as process:
                    before = process.counts()
                    assert (before.slow_begun, before.slow_refused) == (SLOW, 0)
                    skip = quiet[-1].tips
                    busy.append(run_sources(world.server, envelopes, count=1, seconds=SECONDS, fresh=True, skip=skip))
                    after = process.counts()
                assert after.slow_open + after.slow_stored == SLOW, "a slow source lost its connection"
                assert after.idle_open >= IDLE * 9 // 10, "idle connections were not held"
                bench_bytes = (after.slow_bytes - before.slow_bytes) / SECONDS
                assert bench_bytes > SLOW * RATE / 2, "the slow sources did not send at their rate"
        for name, runs in (("alone", quiet), ("beside 500 slow, 2,000 idle", busy)):
            bench.note(f"fast source {name}: p50", "ms", [run.p50 for run in runs])
            bench.note(f"fast source {name}: p95", "ms", [run.p95 for run in runs])
            bench.note(f"fast source {name}: stored", "tips/s", [run.rate for run in runs])
        bench.note_ratios("p50, beside / alone", [run.p50 for run in busy], [run.p50 for run in quiet])
        bench.note_ratios("p95, beside / alone", [run.p95 for run in busy], [run.p95 for run in quiet], at_most=BOUND)


MANY: Final = 10_000
MANY_RATE: Final = 600
"""Bytes a second, of each. Who sends fewer than 512 is not waited for."""
MANY_TICK: Final = 5
"""Seconds between two pieces."""
MANY_SPREAD: Final = ENVELOPE_PART_SIZE / MANY_RATE
"""Seconds over which they begin: as long as a request takes, so that at any moment as many of them end."""
MINUTES: Final = 10
MANY_SECONDS: Final = 4.0
"""Of the fast source, at each minute."""
SETTLED: Final = 30
"""Seconds after which, in each minute, what was due while the load stood still has long been sent."""
MOST_KB_EACH: Final = 25
"""Of memory (10^3 bytes) in all processes of the server, for each source that sends."""
MANY_SETTINGS: Final = OPEN_BUDGET | {
    "TIPBOX_SERVER_CONNECTIONS": "8000",
    "TIPBOX_QUOTA_DRAFTS": "100000",
    "TIPBOX_QUOTA_CARRY_CAPACITY": str(400 * 1_000_000_000),
}
"""Each worker holds half of them and some; as shipped, files of 10,000 new sources would wait for their places."""


def test_a_fast_source_beside_ten_thousand_slow_ones(ledger: Ledger, ring: Ring, disk_folder: Path) -> None:
    envelopes = seal_tips(ring.keys, disk_folder / "tips", int(2 * (MINUTES + 1) * MOST_PER_SECOND * MANY_SECONDS))
    pace = ("--rate", str(MANY_RATE), "--tick", str(MANY_TICK), "--spread", str(MANY_SPREAD), "--runs", "1")
    quiet: list[Run] = []
    busy: list[Run] = []
    memory: list[float] = []
    with (
        ledger.bench("10,000 slow sources") as bench,
        running_world(ring, settings=MANY_SETTINGS) as world,
        running_world(ring, settings=MANY_SETTINGS) as other,
    ):
        sent = 0

        def fast_source(server: Server) -> Run:
            nonlocal sent
            run = run_sources(server, envelopes, count=1, seconds=MANY_SECONDS, fresh=True, skip=sent)
            sent += run.tips
            return run

        for one in (world, other):
            fast_source(one.server)  # what is done for the first time takes longer
        alone = held_kb(world.server)
        with loaded(world, "--slow", str(MANY), *pace) as process:
            before, begun = process.counts(), time.monotonic()
            assert (before.slow_begun, before.slow_refused) == (MANY, 0)
            for minute in range(MINUTES):
                time.sleep(max(0.0, begun + 60 * minute + SETTLED - time.monotonic()))
                busy.append(fast_source(world.server))
                with process.still():
                    quiet.append(fast_source(other.server))
                memory.append((held_kb(world.server) - alone) / MANY)
                time.sleep(max(0.0, begun + 60 * (minute + 1) - time.monotonic()))
            after, seconds = process.counts(), time.monotonic() - begun
        assert (after.slow_open, after.slow_refused) == (MANY, 0), "a slow source lost its connection, or was refused"
        assert after.slow_runs >= 4 * MANY, "what came was not stored"
        rate = (after.slow_bytes - before.slow_bytes) / seconds / MANY
        bench.note("10,000 sources: bytes a second, of each", "B/s", rate)
        bench.note("10,000 sources: memory of the server, each", "kB", memory, at_most=MOST_KB_EACH)
        for name, runs in (("alone", quiet), ("beside 10,000 slow", busy)):
            bench.note(f"fast source {name}: p50", "ms", [run.p50 for run in runs])
            bench.note(f"fast source {name}: p95", "ms", [run.p95 for run in runs])
            bench.note(f"fast source {name}: stored", "tips/s", [run.rate for run in runs])
        bench.note_ratios("p95, beside / alone", [run.p95 for run in busy], [run.p95 for run in quiet], at_most=BOUND)
