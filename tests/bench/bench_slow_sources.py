"""A fast source while 500 others send at 5 kB/s and 2,000 connections idle, against the same source alone.

The fast source sends 2 kB tips one after the other, each on a new circuit. Load generator, server and source share the
same processors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bench.figures import Ledger
from bench.loads import OPEN_BUDGET, Run, run_sources, seal_tips
from faults.test_slow_sources import IDLE, RATE, SLOW, loaded
from support.world import Ring, running_world

ROUNDS: Final = 5
SECONDS: Final = 8.0
TIPS: Final = 6_000
BOUND: Final = 2.0


def test_a_fast_source_beside_slow_ones(ledger: Ledger, ring: Ring, disk_folder: Path) -> None:
    envelopes = seal_tips(ring.keys, disk_folder / "tips", TIPS)
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
