"""kill -9 at each durable write of an import, in turn: nothing is lost, nothing comes twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from desk_support import PASSWORD, Desk, Desks, Envelope, Exporter, acknowledged, listed, opened, seal_tip
from tipbox import days
from tipbox.desk.vault import INCOMING, TIPS
from tipbox.primitives import random_bytes

CALLS = ("fsync", "fdatasync", "rename", "unlink")
STRACE = ("strace", "-f", "-qq", "-o")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desks:
    folder = tmp_path_factory.mktemp("made") / "desks"
    return Desks(folder, tuple(Desk.make(folder, name, days.today()) for name in ("fidh", "kibhr")))


def command(desk: Desk, secret: Path, bundle: Path) -> list[str | Path]:
    tipbox = Path(sys.executable).with_name("tipbox")
    return [tipbox, "desk", "import", "--vault", desk.vault, "--passphrase-file", secret, "--copies", "1", bundle]


def counted(log: Path) -> dict[str, int]:
    """How often an undisturbed run makes each call."""
    names = [line.split(maxsplit=1)[1].partition("(")[0] for line in log.read_text().splitlines() if "(" in line]
    return {call: names.count(call) for call in CALLS}


def test_killed_at_each_durable_write_and_started_again(made: Desks, tmp_path: Path) -> None:
    today = days.today()
    fidh, kibhr = made.desks
    content = random_bytes(150_000)
    tips = [
        seal_tip(made.manifests, [kibhr.manifest], files=[("a", content)], today=today),
        seal_tip(made.manifests, [fidh.manifest], today=today),
        seal_tip(made.manifests, today=today),
    ]
    server = Exporter()
    bundle = server.export(tmp_path / "x.bundle", kibhr.manifest, tips, day=today)
    secret = tmp_path / "secret"
    secret.write_bytes(PASSWORD)
    secret.chmod(0o600)

    log = tmp_path / "log"
    undisturbed = made.copy(tmp_path / "undisturbed").desks[1]
    subprocess.run(
        [*STRACE, log, "-e", f"trace={','.join(CALLS)}", *command(undisturbed, secret, bundle)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    points = [(call, number) for call, count in counted(log).items() for number in range(1, count + 1)]
    assert len(points) > 12, points
    for call, number in points:
        desk = made.copy(tmp_path / "killed").desks[1]
        inject = f"inject={call}:signal=SIGKILL:when={number}"
        killed = subprocess.run(
            [*STRACE, "/dev/null", "-e", f"trace={call}", "-e", inject, *command(desk, secret, bundle)],
            check=False,
            stdout=subprocess.DEVNULL,
        )
        assert killed.returncode == -9, f"{call} {number} killed nothing"
        check_after(desk, bundle, tips, content, tmp_path / "out")
        assert acknowledged(server, desk, tmp_path / "box", today=today) == sorted(tip.id for tip in tips)
        shutil.rmtree(tmp_path / "killed")


def check_after(desk: Desk, bundle: Path, tips: list[Envelope], content: bytes, out: Path) -> None:
    """What was recorded is whole; the next run completes it."""
    mine = {tips[0].id.hex(), tips[2].id.hex()}
    recorded = {tip["id"] for tip in listed(desk)}
    assert recorded <= mine
    for ident in recorded:
        opened(desk, bytes.fromhex(ident), out)
        shutil.rmtree(out)
    assert desk.take(bundle, today=days.today()).problems == []
    assert [tip["id"] for tip in sorted(listed(desk), key=lambda tip: str(tip["id"]))] == sorted(mine)
    assert sum(1 for folder in (TIPS, INCOMING) for _ in (desk.vault / folder).iterdir()) == len(mine)
    assert (opened(desk, tips[0].id, out) / "files" / "001-a").read_bytes() == content
    shutil.rmtree(out)
