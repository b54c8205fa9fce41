"""`tipbox seal` and `tipbox desk show` of large files, against age and gpg on the same disk, and their memory.

Each program reads a file of random bytes from disk and writes a file to disk, as a user would call it; nothing is kept
warm but the page cache, which all share. age seals to one X25519 key; gpg seals to one Curve25519 key, without
compression (random bytes do not compress; its default would make it slower and the bound easier). tipbox does more
than either in the same time: slots for three organisations, a key derived from the passphrase, a vault that is
unlocked, and an fsync of the sealed file.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

import pytest

from bench.figures import Bench, Ledger, in_turn
from bench.inputs import must_have_room, random_file, sparse_file
from bench.measure import Cost, measure, quiet_disk
from support.world import TIPBOX, Ring, environment

GIB: Final = 1 << 30
ROUNDS: Final = 5
PEAK_MB: Final = 200
FILM: Final = 2_000_000_000
FILMS: Final = 10
"""On the stick of 20 GB."""


@dataclass
class Gpg:
    """gpg with one key in a home of its own."""

    home: Path

    def command(self, *arguments: str | Path) -> tuple[str | Path, ...]:
        """A whole command line."""
        return (
            *("/usr/bin/gpg", "--homedir", self.home, "--batch", "--quiet", "--yes", "--no-options"),
            *("--trust-model", "always", "--compress-algo", "none", *arguments),
        )


@contextmanager
def gpg_key() -> Iterator[Gpg]:
    """A gpg home in a short path (its agent listens on a socket there)."""
    home = Path(mkdtemp(prefix="gpg-"))
    gpg = Gpg(home)
    try:
        subprocess.run(
            gpg.command(
                "--passphrase", "", "--quick-generate-key", "bench@example.org", "future-default", "default", "0"
            ),
            check=True,
            capture_output=True,
            timeout=120,
        )
        yield gpg
    finally:
        subprocess.run(("gpgconf", "--homedir", home, "--kill", "all"), check=False, timeout=60)
        shutil.rmtree(home, ignore_errors=True)


@dataclass
class Bed:
    """Where everything lies that is sealed and opened."""

    folder: Path
    ring: Ring
    gpg: Gpg
    recipient: str
    """age's public key."""

    @property
    def message(self) -> Path:
        return self.folder / "message"

    @property
    def identity(self) -> Path:
        return self.folder / "age.key"

    def seal(self, file: Path, out: Path) -> Cost:
        return self._run(
            out, TIPBOX, "seal", "--keys", self.ring.keys, "--message-file", self.message, "--out", out, file
        )

    def age_seal(self, file: Path, out: Path) -> Cost:
        return self._run(out, "/usr/bin/age", "-r", self.recipient, "-o", out, file)

    def age_seal_and_sync(self, file: Path, out: Path) -> Cost:
        """As durable as `tipbox seal` leaves its file."""
        script = 'age -r "$1" -o "$2" "$3" && sync "$2"'
        return self._run(out, "/bin/sh", "-c", script, "sh", self.recipient, out, file)

    def gpg_seal(self, file: Path, out: Path) -> Cost:
        return self._run(out, *self.gpg.command("-r", "bench@example.org", "-o", out, "-e", file))

    def take(self, tip: Path) -> Cost:
        desk = self.ring.desks["fidh"]
        return measure(
            *(TIPBOX, "desk", "import", "--vault", desk.vault, "--passphrase-file", desk.secret, "--copies", "1", tip),
            env=environment(),
        )

    def list(self) -> Cost:
        desk = self.ring.desks["fidh"]
        return measure(
            *(TIPBOX, "desk", "list", "--vault", desk.vault, "--passphrase-file", desk.secret, "--json"),
            env=environment(),
        )

    def show(self, tip: str, out: Path) -> Cost:
        desk = self.ring.desks["fidh"]
        return self._run(
            out, TIPBOX, "desk", "show", "--vault", desk.vault, "--passphrase-file", desk.secret, tip, "--out", out
        )

    def age_open(self, sealed: Path, out: Path) -> Cost:
        return self._run(out, "/usr/bin/age", "-d", "-i", self.identity, "-o", out, sealed)

    def gpg_open(self, sealed: Path, out: Path) -> Cost:
        return self._run(out, *self.gpg.command("-o", out, "-d", sealed))

    def _run(self, out: Path, *command: str | Path) -> Cost:
        shutil.rmtree(out, ignore_errors=True)
        out.unlink(missing_ok=True)
        quiet_disk()
        return measure(*command, env=environment())


@pytest.fixture
def bed(ring: Ring, disk_folder: Path) -> Iterator[Bed]:
    """Keys of all three programs."""
    made = subprocess.run(("age-keygen", "-o", disk_folder / "age.key"), capture_output=True, text=True, check=True)
    with gpg_key() as gpg:
        copied = ring.copy(disk_folder / "ring")
        bed = Bed(disk_folder, copied, gpg, made.stderr.split()[-1])
        bed.message.write_text("Video from the square.\n", encoding="utf-8")
        yield bed


def _note_cpu(bench: Bench, costs: Sequence[Sequence[Cost]]) -> None:
    for name, cost in zip(("tipbox", "age", "gpg"), costs, strict=True):
        bench.note(f"  processor time of {name}", "s", [one.cpu for one in cost])


def _same(one: Path, other: Path) -> bool:
    return subprocess.run(("cmp", "-s", one, other), check=False).returncode == 0


def test_one_gibibyte_against_age_and_gpg(ledger: Ledger, bed: Bed) -> None:
    video = random_file(bed.folder / "video.bin", GIB)
    tip, age, gpg = (bed.folder / name for name in ("video.tip", "video.age", "video.gpg"))
    with ledger.bench("files of 1 GiB") as bench:
        ways = (partial(bed.seal, video, tip), partial(bed.age_seal, video, age), partial(bed.gpg_seal, video, gpg))
        costs = in_turn(ROUNDS, *ways, partial(bed.age_seal_and_sync, video, age))
        *costs, synced = costs
        ours, ages, gpgs = ([one.seconds for one in cost] for cost in costs)
        bench.note("tipbox seal", "s", ours)
        bench.note("age -r", "s", ages)
        bench.note("gpg -e", "s", gpgs)
        bench.note_ratios("tipbox seal / age -r, time", ours, ages, at_most=1.2)
        durable = [one.seconds for one in synced]
        bench.note_ratios("tipbox seal / age -r and sync of its file, time", ours, durable, at_most=0.9)
        bench.note_ratios("gpg -e / tipbox seal, time", gpgs, ours)
        _note_cpu(bench, costs)
        bench.note("tipbox seal, peak memory", "MB", [one.peak_mb for one in costs[0]], at_most=PEAK_MB)

        bed.take(tip)
        [listed] = bed.ring.desks["fidh"].tips()
        out, age_out, gpg_out = (bed.folder / name for name in ("opened", "opened.age", "opened.gpg"))
        opens = (
            partial(bed.show, listed["id"], out),
            partial(bed.age_open, age, age_out),
            partial(bed.gpg_open, gpg, gpg_out),
        )
        costs = in_turn(ROUNDS, *opens)
        [opened] = (out / "files").iterdir()
        assert all(_same(video, one) for one in (opened, age_out, gpg_out)), "a file came back changed"
        ours, ages, gpgs = ([one.seconds for one in cost] for cost in costs)
        bench.note("tipbox desk show", "s", ours)
        bench.note("age -d", "s", ages)
        bench.note("gpg -d", "s", gpgs)
        bench.note_ratios("tipbox desk show / age -d, time", ours, ages, at_most=1.0)
        bench.note_ratios("gpg -d / tipbox desk show, time", gpgs, ours)
        _note_cpu(bench, costs)
        bench.note("tipbox desk show, peak memory", "MB", [one.peak_mb for one in costs[0]], at_most=PEAK_MB)


def test_ten_gibibytes_in_the_same_memory(ledger: Ledger, bed: Bed) -> None:
    """Once. The input is sparse (zeros that take no disk); everything made of it is sealed bytes of full size."""
    video = sparse_file(bed.folder / "video.bin", 10 * GIB)
    tip, out = bed.folder / "video.tip", bed.folder / "opened"
    with ledger.bench("files of 10 GiB (sparse input)") as bench:
        sealed = bed.seal(video, tip)
        bench.note("tipbox seal, peak memory", "MB", sealed.peak_mb, at_most=PEAK_MB)
        bench.note("tipbox seal", "s", sealed.seconds)
        taken = bed.take(tip)
        tip.unlink()
        bench.note("tipbox desk import, peak memory", "MB", taken.peak_mb, at_most=PEAK_MB)
        bench.note("tipbox desk import", "s", taken.seconds)
        [listed] = bed.ring.desks["fidh"].tips()
        shown = bed.show(listed["id"], out)
        bench.note("tipbox desk show, peak memory", "MB", shown.peak_mb, at_most=PEAK_MB)
        bench.note("tipbox desk show", "s", shown.seconds)
        [opened] = (out / "files").iterdir()
        assert opened.stat().st_size == 10 * GIB
        assert _same(video, opened), "the file came back changed"


def test_a_stick_of_twenty_gigabytes_in_the_same_memory(ledger: Ledger, bed: Bed) -> None:
    """Once. Ten films of 2 GB, each sparse, are sealed onto a stick, imported in one go, and one of them is shown."""
    size = FILM * FILMS
    must_have_room(bed.folder, 2 * size + 2 * GIB)  # the stick and the vault; what else there is comes and goes
    stick, out = bed.folder / "stick", bed.folder / "opened"
    film = sparse_file(bed.folder / "film.mp4", FILM)
    with ledger.bench("a stick of 20 GB (sparse films)") as bench:
        stick.mkdir()
        sealed = [bed.seal(film, stick / f"{number}.tip") for number in range(FILMS)]
        bench.note("tipbox seal of 2 GB, peak memory", "MB", [one.peak_mb for one in sealed], at_most=PEAK_MB)
        taken = bed.take(stick)
        shutil.rmtree(stick)
        bench.note("tipbox desk import of 20 GB, peak memory", "MB", taken.peak_mb, at_most=PEAK_MB)
        bench.note("tipbox desk import of 20 GB", "s", taken.seconds)
        bench.note("its rate", "MB/s", size / 1e6 / taken.seconds)
        tips = bed.ring.desks["fidh"].tips()
        assert [one["files"][0]["size"] for one in tips] == [FILM] * FILMS
        bench.note("tipbox desk list, peak memory", "MB", bed.list().peak_mb, at_most=PEAK_MB)
        shown = bed.show(tips[-1]["id"], out)
        bench.note("tipbox desk show of one, peak memory", "MB", shown.peak_mb, at_most=PEAK_MB)
        [opened] = (out / "files").iterdir()
        assert _same(film, opened), "the film came back changed"
