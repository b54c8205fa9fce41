"""Envelopes sealed beforehand, and runs of `sources.py` over them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from bench import sources
from bench.figures import percentile
from bench.text import TEXT_OF_A_TIP
from support.world import Server, environment
from tipbox.files.key_folder import load_folder
from tipbox.formats.access_code import Secrets
from tipbox.formats.base import days
from tipbox.formats.base.limits import ID_SIZE, KEY_SIZE
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.envelopes.envelope import seal
from tipbox.formats.envelopes.letter import FileEntry, Letter
from tipbox.formats.envelopes.seals import EnvelopeHash
from tipbox.source.recipients import Addressees

OPEN_BUDGET: Final = {
    "TIPBOX_QUOTA_LETTERS_BURST": "10000000",
    "TIPBOX_QUOTA_LETTERS_PER_SECOND": "10000",
    "TIPBOX_LIMITS_ALL_PER_SECOND": "100000",
    "TIPBOX_LIMITS_OPENINGS": "1000000",
}
"""The bucket of letters, the rate of all and the openings of a circuit are for real life, not for a bench; the rest is
as shipped."""


def seal_tips(keys: Path, out: Path, count: int, body: int = 0) -> Path:
    """Seal tips of 2 kB of text to all organisations in `keys`, each with a file of `body` random bytes if not 0."""
    source, today = Secrets(random_bytes(KEY_SIZE)), days.today()
    recipients = Addressees.of(load_folder(keys), (), "the load").recipients(source, today)

    def envelopes() -> Iterator[list[bytes]]:
        files = (FileEntry("photo.jpg", body, "image/jpeg"),) if body else ()
        for _ in range(count):
            letter = Letter(
                TEXT_OF_A_TIP,
                files,
                random_bytes(KEY_SIZE),
                random_bytes(ID_SIZE),
            )
            sealed = seal(recipients, letter)
            parts = list(sealed.parts([(io.BytesIO(random_bytes(body)), body)])) if body else []
            runs = [b"".join(parts[at : at + sources.RUN_PARTS]) for at in range(0, len(parts), sources.RUN_PARTS)]
            envelope_hash = EnvelopeHash(sealed.header.encoded, sealed.letter)
            for part in parts:
                envelope_hash.add(part)
            digest = envelope_hash.digest()
            trailer = sealed.trailer(digest)
            yield [sealed.opening, *runs, digest + trailer] if runs else [sealed.opening + trailer]

    sources.write_envelopes(out, envelopes())
    return out


@dataclass(frozen=True)
class Run:
    """What a closed loop of sources saw."""

    rate: float
    """Stored tips per second."""
    p50: float
    """Milliseconds."""
    p95: float
    p99: float
    tips: int
    cpu: float
    """Seconds of processor that the server used for one tip."""
    sources_cpu: float
    """The same of all sources together."""


def run_sources(server: Server, envelopes: Path, *, count: int, seconds: float, fresh: bool, skip: int) -> Run:
    """Let `count` sources send for some seconds; every tip must be stored."""
    options = ("--sources", str(count), "--seconds", str(seconds), "--skip", str(skip), *(["--fresh"] if fresh else []))
    before = processor_seconds(server)
    report = run_program(_address(server), envelopes, options)
    used = processor_seconds(server) - before
    assert not report["exhausted"], "seal more Envelopes beforehand"
    times = [1000 * one for one in report["times"]]
    p50, p95, p99 = (percentile(times, per_cent) for per_cent in (50, 95, 99))
    tips = len(times)
    return Run(tips / report["seconds"], p50, p95, p99, tips, cpu=used / tips, sources_cpu=report["cpu"] / tips)


def send_all(server: Server, envelopes: Path, *, count: int, tips: int, skip: int) -> float:
    """Let `count` sources send so many tips; the seconds that it took."""
    options = ("--sources", str(count), "--seconds", "3600", "--skip", str(skip), "--tips", str(tips))
    report = run_program(_address(server), envelopes, options)
    assert len(report["times"]) == tips
    return float(report["seconds"])


def _address(server: Server) -> str:
    return server.bind.removeprefix("unix:")


def run_program(address: str, envelopes: Path, options: Sequence[str]) -> dict[str, Any]:
    """Run `sources.py`; every request must be answered well."""
    done = subprocess.run(
        (sys.executable, sources.__file__, address, envelopes, *options),
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report: dict[str, Any] = json.loads(done.stdout)
    assert not report["refused"], f"{len(report['refused'])} refused, the first with {report['refused'][0]}"
    return report


def processor_seconds(server: Server) -> float:
    """Seconds of processor that master and workers have used."""
    times = [psutil.Process(pid).cpu_times() for pid in server.pids()]
    return sum(one.user + one.system for one in times)


def held_kb(server: Server) -> float:
    """What master and workers hold together (PSS), in kB (10^3 bytes)."""
    return sum(psutil.Process(pid).memory_full_info().pss for pid in server.pids()) / 1e3
