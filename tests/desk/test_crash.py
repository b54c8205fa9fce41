"""kill -9 at each durable write of the desk's commands, in turn: nothing is lost, nothing comes twice."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.desk import PASSWORD, Desk, Desks, Envelope, Exporter, acknowledged, listed, opened, seal_tip
from tipbox.desk import outbox, replies
from tipbox.desk.keys import ceremony
from tipbox.desk.vault.records import Reply, ReplyText, Tip
from tipbox.desk.vault.vault import INCOMING, REPLIES, TIPS
from tipbox.formats.access_code import AccessCode, Secrets
from tipbox.formats.base import days
from tipbox.formats.base.primitives import random_bytes, sha256
from tipbox.formats.envelopes.envelope import read_envelope
from tipbox.formats.envelopes.header import Kind
from tipbox.formats.envelopes.reply import open_reply

CALLS = ("fsync", "fdatasync", "rename", "unlink", "exit_group")
"""What makes something durable, and the very end: after the last of them nothing more may be needed."""
STRACE = ("strace", "-f", "-qq", "-o")


@pytest.fixture(scope="session")
def made(made_today: Desks) -> Desks:
    return made_today


Arguments = list[str | Path]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(PASSWORD)
    path.chmod(0o600)
    return path


def command(desk: Desk, secret: Path, name: str, *arguments: str | Path) -> Arguments:
    tipbox = Path(sys.executable).with_name("tipbox")
    return [tipbox, "desk", name, "--vault", desk.vault, "--passphrase-file", secret, *arguments]


def killed_at_each(
    made: Desks, folder: Path, arguments: Callable[[Desk], Arguments], *, prepare: Callable[[Desk], object] = bool
) -> Iterator[Desk]:
    """A copy of the second desk for each durable write of a command, which was killed there."""

    def fresh(name: str) -> Desk:
        shutil.rmtree(folder / name, ignore_errors=True)
        desk = made.copy(folder / name).desks[1]
        prepare(desk)
        return desk

    log = folder / "log"
    undisturbed = arguments(fresh("undisturbed"))
    trace = [*STRACE, log, "-e", f"trace={','.join(CALLS)}", *undisturbed]
    subprocess.run(trace, check=True, stdout=subprocess.DEVNULL)
    points = [(call, number) for call, count in counted(log).items() for number in range(1, count + 1)]
    assert len(points) > 6, points
    for call, number in points:
        desk = fresh("killed")
        inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}"]
        killed = subprocess.run(
            [*STRACE, "/dev/null", *inject, *arguments(desk)], check=False, stdout=subprocess.DEVNULL
        )
        assert killed.returncode == -9, f"{call} {number} killed nothing"
        yield desk


def counted(log: Path) -> dict[str, int]:
    """How often an undisturbed run makes each call."""
    names = [line.split(maxsplit=1)[1].partition("(")[0] for line in log.read_text().splitlines() if "(" in line]
    return {call: names.count(call) for call in CALLS}


def test_an_import_killed_at_each_durable_write_and_started_again(made: Desks, secret: Path, tmp_path: Path) -> None:
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
    points = 0
    for desk in killed_at_each(made, tmp_path, lambda desk: command(desk, secret, "import", "--copies", "1", bundle)):
        check_after(desk, bundle, tips, content, tmp_path / "out")
        assert acknowledged(server, desk, tmp_path / "box", today=today) == sorted(tip.id for tip in tips)
        points += 1
    assert points > 12


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


# --- replies ---------------------------------------------------------------------------------------------------------


@dataclass
class Talk:
    """A desk that has a tip of ``source``, and the server that brought it."""

    made: Desks
    server: Exporter
    source: Secrets
    tip: Envelope

    @property
    def desk(self) -> Desk:
        """The second of the desks."""
        return self.made.desks[1]


@pytest.fixture
def talk(made: Desks, tmp_path: Path) -> Talk:
    desks, server, source = made.copy(tmp_path / "talk"), Exporter(), AccessCode.generate().secrets()
    tip = seal_tip(desks.manifests, secrets=source, today=days.today())
    desk = desks.desks[1]
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip], day=days.today()), today=days.today())
    return Talk(desks, server, source, tip)


def queue(desk: Desk, tip: Envelope, text: bytes) -> Reply:
    with desk.open(write=True) as vault:
        return replies.queue_reply(vault, Tip.find(vault, tip.id), text, [], today=days.today())  # type: ignore[arg-type]


def kept(desk: Desk) -> list[Reply]:
    with desk.open() as vault:
        return sorted(Reply.all(vault), key=lambda reply: reply.number)


def carried(talk: Talk, desk: Desk, out: Path) -> list[bytes]:
    """Write an outbox: the reply items in it."""
    with desk.open(write=True) as vault:
        outbox.write_outbox(vault, ceremony.organisation_of(vault), out, today=days.today())
    return [data for kind, data in talk.server.open(out) if kind == "reply"]


def test_a_reply_killed_at_each_durable_write_is_queued_whole_or_not_at_all(
    talk: Talk, secret: Path, tmp_path: Path
) -> None:
    text, file = tmp_path / "text", tmp_path / "file"
    text.write_bytes(b"When was this?")
    file.write_bytes(random_bytes(100_000))
    arguments = (talk.tip.id.hex(), "--message-file", text, file)
    found = set()
    for desk in killed_at_each(talk.made, tmp_path, lambda desk: command(desk, secret, "reply", *arguments)):
        queued = kept(desk)
        found.add(len(queued))
        assert [tip["state"] for tip in listed(desk)] == ["answered" if queued else "new"]
        later = queue(desk, talk.tip, b"later")
        items = carried(talk, desk, tmp_path / "box")
        assert [sha256(item) for item in items] == [reply.item for reply in [*queued, later]]
        assert sum(1 for folder in (REPLIES, INCOMING) for _ in (desk.vault / folder).iterdir()) == len(items)
        pair_key = talk.source.pair_key(desk.manifest.id)
        letters = [open_reply(read_envelope(io.BytesIO(item[32:]), Kind.REPLY), pair_key) for item in items]
        assert [one.message for one in letters] == [b"When was this?", b"later"][-len(items) :]
    assert found == {0, 1}, "some were killed before it was queued, some after"


def test_an_outbox_with_replies_killed_at_each_durable_write_and_written_again(
    talk: Talk, secret: Path, tmp_path: Path
) -> None:
    made = [queue(talk.desk, talk.tip, text) for text in (b"one", b"two")]
    box = tmp_path / "killed.bundle"
    for desk in killed_at_each(talk.made, tmp_path, lambda desk: command(desk, secret, "outbox", "--out", box)):
        items = carried(talk, desk, tmp_path / "box")
        assert [sha256(item) for item in items] == [reply.item for reply in made]
        assert {reply.state for reply in kept(desk)} == {"sent"}


def test_a_report_killed_at_each_durable_write_and_imported_again(talk: Talk, secret: Path, tmp_path: Path) -> None:
    taken, full = (queue(talk.desk, talk.tip, text) for text in (b"one", b"two"))
    carried(talk, talk.desk, tmp_path / "box")
    report = talk.server.report(talk.desk.manifest, [1], {full.item: "full"})
    bundle = talk.server.export(tmp_path / "2", talk.desk.manifest, [], extra=[report], day=days.today())
    for desk in killed_at_each(talk.made, tmp_path, lambda desk: command(desk, secret, "import", bundle)):
        assert {reply.state for reply in kept(desk)} in ({"sent"}, {"delivered", "refused"})
        assert desk.take(bundle, today=days.today()).problems == []
        assert [(reply.id, reply.state) for reply in kept(desk)] == [(taken.id, "delivered"), (full.id, "refused")]
        assert [sha256(item) for item in carried(talk, desk, tmp_path / "box")] == [full.item]
        assert sum(1 for folder in (REPLIES, INCOMING) for _ in (desk.vault / folder).iterdir()) == 1
        again = talk.server.export(tmp_path / "3", talk.desk.manifest, [], taken=[1, 2], day=days.today())
        desk.take(again, today=days.today())
        assert [reply.state for reply in kept(desk)] == ["delivered", "delivered"]
        with desk.open() as vault:
            assert {text.message for text in ReplyText.all(vault)} == {b"one", b"two"}
