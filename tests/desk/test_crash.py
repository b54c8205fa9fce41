"""kill -9, a full disk and a disk that fails at durable writes of the desk's commands: nothing is lost or doubled.

A sample of the writes; all of them with ``make faults``, which sets ``TIPBOX_EVERY_POINT``.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.desk import PASSWORD, Desk, Desks, Envelope, Exporter, acknowledged, listed, opened, seal_tip
from tipbox.desk import conversations, outbox, replies, tips, unsent
from tipbox.desk.custody.chain import check_chain
from tipbox.desk.forget import forget as forget_tip
from tipbox.desk.inbox import listing, marks
from tipbox.desk.inbox.marks import Marks
from tipbox.desk.keys import ceremony
from tipbox.desk.vault.records import Draft, Reply, ReplyText, Tip
from tipbox.desk.vault.vault import INCOMING, REPLIES, TIPS, Vault
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


KILLED = "signal=SIGKILL"
ENDINGS = pytest.mark.parametrize("ending", [KILLED, "error=ENOSPC", "error=EIO"], ids=["killed", "full", "pulled"])
"""kill -9, a disk that is full, and one that was pulled out or fails."""
EVERY_POINT = "TIPBOX_EVERY_POINT" in os.environ


def killed_at_each(
    made: Desks,
    folder: Path,
    arguments: Callable[[Desk], Arguments],
    *,
    prepare: Callable[[Desk], object] = bool,
    ending: str = KILLED,
    step: int = 1,
    least: int = 7,
) -> Iterator[Desk]:
    """A copy of the second desk for each durable write of a command, which was killed there, or met an error.

    Of these every ``step``-th, unless all are to be tried; there are at ``least`` so many.
    """

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
    assert len(points) >= least, points
    for call, number in points if EVERY_POINT else points[::step]:
        if call == "exit_group" and ending != KILLED:
            continue
        desk = fresh("killed")
        inject = ["-e", f"trace={call}", "-e", f"inject={call}:{ending}:when={number}"]
        killed = subprocess.run(
            [*STRACE, "/dev/null", *inject, *arguments(desk)],
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert ending != KILLED or killed.returncode == -9, f"{call} {number} killed nothing"
        assert b"Traceback" not in killed.stderr
        assert b"this is a bug" not in killed.stderr
        yield desk


def counted(log: Path) -> dict[str, int]:
    """How often an undisturbed run makes each call."""
    names = [line.split(maxsplit=1)[1].partition("(")[0] for line in log.read_text().splitlines() if "(" in line]
    return {call: names.count(call) for call in CALLS}


@ENDINGS
def test_an_import_cut_short_at_each_durable_write_and_started_again(
    made: Desks, secret: Path, tmp_path: Path, ending: str
) -> None:
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
    cut = killed_at_each(
        made,
        tmp_path,
        lambda desk: command(desk, secret, "import", "--copies", "1", bundle),
        ending=ending,
        step=1 if ending == KILLED else 5,
    )
    for desk in cut:
        check_after(desk, bundle, tips, content, tmp_path / "out")
        assert acknowledged(server, desk, tmp_path / "box", today=today) == sorted(tip.id for tip in tips)
        points += 1
    assert points > (12 if ending == KILLED else 2)


def test_an_import_of_loose_files_killed_at_durable_writes_and_started_again(
    made: Desks, secret: Path, tmp_path: Path
) -> None:
    """They share a commit: what it had not reached is read again, and nothing comes twice."""
    today, loose = days.today(), tmp_path / "loose"
    loose.mkdir()
    sent = [seal_tip(made.manifests, files=[("a", random_bytes(9_000))], today=today) for _ in range(3)]
    for number, tip in enumerate(sent):
        (loose / f"{number}.tip").write_bytes(tip.data)
    whole = sorted(tip.id.hex() for tip in sent)
    found = set()
    for desk in killed_at_each(made, tmp_path, lambda desk: command(desk, secret, "import", loose), step=2):
        recorded = sorted(tip["id"] for tip in listed(desk))
        assert recorded in ([], whole)
        found.add(len(recorded))
        again = desk.take(loose, today=today)
        assert (again.problems, again.counts.total()) == ([], 3)
        assert sorted(tip["id"] for tip in listed(desk)) == whole
        assert sum(1 for folder in (TIPS, INCOMING) for _ in (desk.vault / folder).iterdir()) == 3
        for tip in sent:
            opened(desk, tip.id, tmp_path / "out")
            shutil.rmtree(tmp_path / "out")
    assert found == {0, 3}


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


@ENDINGS
def test_a_reply_cut_short_at_each_durable_write_is_queued_whole_or_its_words_are_kept(
    talk: Talk, secret: Path, tmp_path: Path, ending: str
) -> None:
    text, file = tmp_path / "text", tmp_path / "file"
    text.write_bytes(b"When was this?")
    file.write_bytes(random_bytes(100_000))
    arguments = (talk.tip.id.hex(), "--message-file", text, file)
    found = set()
    cut = killed_at_each(
        talk.made,
        tmp_path,
        lambda desk: command(desk, secret, "reply", *arguments),
        ending=ending,
        step=1 if ending == KILLED else 4,
    )
    for desk in cut:
        queued = kept(desk)
        with desk.open() as vault:
            drafts = [one.message for one in Draft.all(vault)]
        assert drafts in ([], [b"When was this?"])
        found.add((len(queued), len(drafts)))
        assert [tip["state"] for tip in listed(desk)] == ["answered" if queued else "new"]
        later = queue(desk, talk.tip, b"later")
        items = carried(talk, desk, tmp_path / "box")
        assert [sha256(item) for item in items] == [reply.item for reply in [*queued, later]]
        assert sum(1 for folder in (REPLIES, INCOMING) for _ in (desk.vault / folder).iterdir()) == len(items)
        pair_key = talk.source.pair_key(desk.manifest.id)
        letters = [open_reply(read_envelope(io.BytesIO(item[32:]), Kind.REPLY), pair_key) for item in items]
        assert [one.message for one in letters] == [b"When was this?", b"later"][-len(items) :]
    assert found <= {(0, 0), (0, 1), (1, 0)}, "never twice"
    if ending == KILLED:
        assert found >= {(0, 1), (1, 0)}, "some were killed before it was queued, some after"


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


# --- acts on threads -------------------------------------------------------------------------------------------------

WORDS = ("zelkova", "palimpsest", "noctambule")
"""Of the tip, of the note and of the reply: none of them may lie on the disk in the clear."""


@dataclass
class Act:
    """A command, and the same act once more by hand, for those that were cut short before it counted."""

    arguments: tuple[str | Path, ...]
    again: Callable[[Vault], object]


def acts(desk: Desk, tip: Envelope, folder: Path) -> dict[str, Act]:
    """Each act on the thread of a tip that has a reply waiting."""
    (reply,) = kept(desk)
    note = folder / "note"
    note.write_text("palimpsest", encoding="utf-8")

    def thread(vault: Vault) -> bytes:
        return tips.find_tip(vault, tip.id.hex()).thread

    def unsend(vault: Vault) -> None:
        if Reply.find(vault, reply.id).state == "waiting":  # type: ignore[union-attr]
            unsent.take_back(vault, reply.id.hex())

    def forget(vault: Vault) -> None:
        if (found := Tip.find(vault, tip.id)) is not None:
            forget_tip(vault, found, "spam")

    def add_note(vault: Vault) -> None:
        if not Marks.of(vault, thread(vault)).notes:
            marks.add_note(vault, [thread(vault)], "palimpsest", today=days.today())

    ident = tip.id.hex()
    return {
        "tag": Act(("tag", "--add", "square", ident), lambda vault: marks.tag(vault, [thread(vault)], ["square"])),
        "note": Act(("note", "--message-file", note, ident), add_note),
        "unsend": Act(("unsend", reply.id.hex()), unsend),
        "forget": Act(("forget", ident, "--reason", "spam"), forget),
    }


def seen(desk: Desk) -> object:
    """All that staff see of a desk; its chain of custody is whole."""
    with desk.open() as vault:
        organisation = ceremony.organisation_of(vault)
        rows = listing.list_tips(vault, organisation)
        threads = {row["thread"]: tips.find_tip(vault, row["id"]) for row in rows}
        assert check_chain(vault).problem == ""
        talks = [conversations.thread_of(vault, organisation, tip) for tip in threads.values()]
        found = [listing.search_tips(vault, organisation, word, limit=9) for word in WORDS[:2]]
    return rows, talks, found


@ENDINGS
@pytest.mark.parametrize("name", ["tag", "note", "unsend", "forget"])
def test_an_act_cut_short_at_durable_writes_counts_whole_or_not_at_all(
    talk: Talk, secret: Path, tmp_path: Path, name: str, ending: str
) -> None:
    planted = seal_tip(talk.made.manifests, message=b"zelkova", today=days.today())
    talk.desk.take(
        talk.server.export(tmp_path / "2", talk.desk.manifest, [planted], day=days.today()), today=days.today()
    )
    queue(talk.desk, planted, b"noctambule")
    act = acts(talk.desk, planted, tmp_path)[name]
    whole = talk.made.copy(tmp_path / "whole").desks[1]
    before = seen(whole)
    with whole.open(write=True) as vault:
        act.again(vault)
    after, count = seen(whole), 0
    cut = killed_at_each(
        talk.made,
        tmp_path,
        lambda desk: command(desk, secret, *act.arguments),  # type: ignore[arg-type]
        ending=ending,
        step=2 if ending == KILLED else 4,
        least=5,
    )
    for desk in cut:
        assert seen(desk) in (before, after)
        with desk.open(write=True) as vault:
            act.again(vault)
        assert seen(desk) == after
        stored = b"".join(path.read_bytes() for path in desk.vault.rglob("*") if path.is_file())
        assert not any(word.encode() in stored for word in WORDS)
        count += 1
    assert count
