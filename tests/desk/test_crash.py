"""kill -9, a full disk and one that is pulled out, at durable writes of the desk: nothing is lost or doubled.

A sample of the writes; all of them with ``make faults``, which sets ``EVERY_POINT``.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from desk.conftest import CutShort
from support.desk import PASSWORD, Desk, Desks, Envelope, Exporter, acknowledged, listed, opened, seal_tip
from support.killed import Ended, Ending
from tipbox.desk import conversations, outbox, replies, tips, unsent
from tipbox.desk.custody.chain import check_chain
from tipbox.desk.forget import forget as forget_tip
from tipbox.desk.inbox import listing, marks
from tipbox.desk.inbox.marks import Marks
from tipbox.desk.keys import ceremony
from tipbox.desk.vault.records import Draft, Reply, ReplyText, Tip, Traffic
from tipbox.desk.vault.vault import INCOMING, REPLIES, TIPS, Vault
from tipbox.formats.access_code import AccessCode, Secrets
from tipbox.formats.base import days
from tipbox.formats.base.primitives import random_bytes, sha256
from tipbox.formats.envelopes.envelope import read_envelope
from tipbox.formats.envelopes.header import Kind
from tipbox.formats.envelopes.reply import open_reply

ENDINGS = pytest.mark.parametrize("ending", Ending, ids=lambda ending: ending.value)


@pytest.fixture(scope="session")
def made(made_today: Desks) -> Desks:
    return made_today


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(PASSWORD)
    path.chmod(0o600)
    return path


Cut = Callable[..., Iterator[tuple[Desk, Ended]]]


@pytest.fixture
def cut(cut_short: CutShort, secret: Path, tmp_path: Path) -> Cut:
    """Cuts a command of the second of some desks short: that desk as it was left, and how the command ended."""

    def each(made: Desks, ending: Ending, name: str, *arguments: str | Path) -> Iterator[tuple[Desk, Ended]]:
        def fresh() -> Desk:
            shutil.rmtree(tmp_path / "cut", ignore_errors=True)
            return made.copy(tmp_path / "cut").desks[1]

        options = ("--vault", fresh().vault, "--passphrase-file", secret)
        return cut_short(fresh, ending, "desk", name, *options, *arguments)

    return each


@ENDINGS
def test_an_import_cut_short_at_durable_writes_and_started_again(
    made: Desks, cut: Cut, tmp_path: Path, ending: Ending
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
    found = set()
    for desk, ended in cut(made, ending, "import", "--copies", "1", bundle):
        recorded = check_after(desk, bundle, tips, content, tmp_path / "out")
        assert ended.code != 0 or recorded == 2, "what it called done is there"
        assert acknowledged(server, desk, tmp_path / "box", today=today) == sorted(tip.id for tip in tips)
        found.add(recorded)
    assert found == {0, 2}


@ENDINGS
def test_an_import_of_loose_files_cut_short_at_durable_writes_and_started_again(
    made: Desks, cut: Cut, tmp_path: Path, ending: Ending
) -> None:
    """They share a commit: what it had not reached is read again, and nothing comes twice."""
    today, loose = days.today(), tmp_path / "loose"
    loose.mkdir()
    sent = [seal_tip(made.manifests, files=[("a", random_bytes(9_000))], today=today) for _ in range(3)]
    for number, tip in enumerate(sent):
        (loose / f"{number}.tip").write_bytes(tip.data)
    whole = sorted(tip.id.hex() for tip in sent)
    found = set()
    for desk, ended in cut(made, ending, "import", loose):
        recorded = sorted(tip["id"] for tip in listed(desk))
        assert recorded in ([], whole)
        assert ended.code != 0 or recorded == whole
        found.add(len(recorded))
        again = desk.take(loose, today=today)
        assert (again.problems, again.counts.total()) == ([], 3)
        assert sorted(tip["id"] for tip in listed(desk)) == whole
        assert sum(1 for folder in (TIPS, INCOMING) for _ in (desk.vault / folder).iterdir()) == 3
        for tip in sent:
            opened(desk, tip.id, tmp_path / "out")
            shutil.rmtree(tmp_path / "out")
    assert found == {0, 3}


def check_after(desk: Desk, bundle: Path, tips: list[Envelope], content: bytes, out: Path) -> int:
    """What was recorded is whole, and so much; the next run completes it."""
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
    return len(recorded)


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
def test_a_reply_cut_short_at_durable_writes_is_queued_whole_or_its_words_are_kept(
    talk: Talk, cut: Cut, tmp_path: Path, ending: Ending
) -> None:
    text, file = tmp_path / "text", tmp_path / "file"
    text.write_bytes(b"When was this?")
    file.write_bytes(random_bytes(100_000))
    found = set()
    for desk, ended in cut(talk.made, ending, "reply", talk.tip.id.hex(), "--message-file", text, file):
        found.add(state_after(talk, desk, ended, tmp_path / "box"))
    assert found <= {(0, 0), (0, 1), (1, 0)}, "never twice"
    assert found >= {(0, 1), (1, 0)} or ending is not Ending.KILLED, "some before it was queued, some after"


@ENDINGS
def test_a_draft_that_is_sent_and_cut_short_again_is_kept_or_queued(
    talk: Talk, cut: Cut, tmp_path: Path, ending: Ending
) -> None:
    with talk.desk.open(write=True) as vault:
        found_tip = tips.find_tip(vault, talk.tip.id.hex())
        Draft(found_tip.thread, b"When was this?", (), days.today()).save(vault)
    found = {
        state_after(talk, desk, ended, tmp_path / "box")
        for desk, ended in cut(talk.made, ending, "reply", talk.tip.id.hex(), "--draft")
    }
    assert found <= {(0, 1), (1, 0)}, "its words are always there, and once"
    assert found == {(0, 1), (1, 0)} or ending is not Ending.KILLED


def state_after(talk: Talk, desk: Desk, ended: Ended, box: Path) -> tuple[int, int]:
    """How many replies are queued and how many drafts kept; all that is queued goes, whole and once."""
    queued = kept(desk)
    with desk.open() as vault:
        drafts = [one.message for one in Draft.all(vault)]
        assert check_chain(vault).problem == ""
    assert drafts in ([], [b"When was this?"])
    assert ended.code != 0 or queued, "what it called done is there"
    assert [tip["state"] for tip in listed(desk)] == ["answered" if queued else "new"]
    later = queue(desk, talk.tip, b"later")
    items = carried(talk, desk, box)
    assert [sha256(item) for item in items] == [reply.item for reply in [*queued, later]]
    assert sum(1 for folder in (REPLIES, INCOMING) for _ in (desk.vault / folder).iterdir()) == len(items)
    pair_key = talk.source.pair_key(desk.manifest.id)
    letters = [open_reply(read_envelope(io.BytesIO(item[32:]), Kind.REPLY), pair_key) for item in items]
    assert [one.message for one in letters] == [b"When was this?", b"later"][-len(items) :]
    return len(queued), len(drafts)


@ENDINGS
def test_an_outbox_with_replies_cut_short_at_durable_writes_and_written_again(
    talk: Talk, cut: Cut, tmp_path: Path, ending: Ending
) -> None:
    made = [queue(talk.desk, talk.tip, text) for text in (b"one", b"two")]
    box = tmp_path / "cut" / "stick" / "cut.bundle"
    numbers = set()
    for desk, ended in cut(talk.made, ending, "outbox", "--out", box):
        if box.exists():  # whatever lies under this name is whole; the server may get it
            items = [data for kind, data in talk.server.open(box) if kind == "reply"]
            assert [sha256(item) for item in items] == [reply.item for reply in made]
            with desk.open() as vault:
                numbers.add(Traffic.of(vault).sent)
        else:
            assert ended.code != 0
        if ending is Ending.FULL:
            assert len(list(box.parent.glob("*"))) == box.exists(), "no half file on a full stick"
        items = carried(talk, desk, tmp_path / "box")
        assert [sha256(item) for item in items] == [reply.item for reply in made]
        assert {reply.state for reply in kept(desk)} == {"sent"}
    assert numbers == {1}, "an outbox that is there has its number"


@ENDINGS
def test_a_report_cut_short_at_durable_writes_and_imported_again(
    talk: Talk, cut: Cut, tmp_path: Path, ending: Ending
) -> None:
    taken, full = (queue(talk.desk, talk.tip, text) for text in (b"one", b"two"))
    carried(talk, talk.desk, tmp_path / "box")
    report = talk.server.report(talk.desk.manifest, [1], {full.item: "full"})
    bundle = talk.server.export(tmp_path / "2", talk.desk.manifest, [], extra=[report], day=days.today())
    # What later reports say of later outboxes is read from what each desk wrote, not from the last one's.
    for desk, ended in cut(talk.made, ending, "import", bundle):
        states = {reply.state for reply in kept(desk)}
        assert states in ({"sent"}, {"delivered", "refused"})
        assert ended.code != 0 or states != {"sent"}
        assert desk.take(bundle, today=days.today()).problems == []
        assert [(reply.id, reply.state) for reply in kept(desk)] == [(taken.id, "delivered"), (full.id, "refused")]
        assert [sha256(item) for item in carried(talk, desk, tmp_path / "box")] == [full.item]
        assert sum(1 for folder in (REPLIES, INCOMING) for _ in (desk.vault / folder).iterdir()) == 1
        again = talk.server.export(tmp_path / "3", talk.desk.manifest, [], taken=[1, 2], day=days.today())
        desk.take(again, today=days.today())
        assert [reply.state for reply in kept(desk)] == ["delivered", "delivered"]
        with desk.open() as vault:
            assert {text.message for text in ReplyText.all(vault)} == {b"one", b"two"}


@ENDINGS
def test_an_opening_cut_short_shows_the_whole_tip_or_nothing_of_it(
    talk: Talk, cut: Cut, tmp_path: Path, ending: Ending
) -> None:
    """What a kill, or a disk that is away, leaves beside it goes with the next opening there."""
    planted = seal_tip(talk.made.manifests, message=b"zelkova", files=[("a", b"palimpsest")], today=days.today())
    talk.desk.take(
        talk.server.export(tmp_path / "2", talk.desk.manifest, [planted], day=days.today()), today=days.today()
    )
    place = tmp_path / "cut" / "out"
    for desk, ended in cut(talk.made, ending, "show", planted.id.hex(), "--out", place / "opened"):
        if ended.code in (None, 3):
            opened(desk, planted.id, place / "again")
        there = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
        names = [name for name in ("opened", "again") if (place / name).exists()]
        assert there == {f"{name}/{file}" for name in names for file in ("message.txt", "tip.json", "files/001-a")}
        assert ended.code != 0 or names == ["opened"]


# --- acts on threads -------------------------------------------------------------------------------------------------

WORDS = ("zelkova", "palimpsest", "noctambule")
"""Of the tip, of the note and of the reply: none of them may lie on the disk in the clear."""


@dataclass
class Act:
    """A command, and the same act once more by hand, for those that were cut short before it counted."""

    arguments: tuple[str | Path, ...]
    again: Callable[[Vault], object]


def thread_of(vault: Vault, tip: Envelope) -> bytes:
    return tips.find_tip(vault, tip.id.hex()).thread


def tag(_: Desk, tip: Envelope, __: Path) -> Act:
    return Act(
        ("tag", "--add", "square", tip.id.hex()), lambda vault: marks.tag(vault, [thread_of(vault, tip)], ["square"])
    )


def assign(_: Desk, tip: Envelope, __: Path) -> Act:
    return Act(
        ("assign", "--to", "Timur", tip.id.hex()), lambda vault: marks.assign(vault, [thread_of(vault, tip)], "Timur")
    )


def spam(_: Desk, tip: Envelope, __: Path) -> Act:
    return Act(("spam", tip.id.hex()), lambda vault: marks.spam(vault, [thread_of(vault, tip)], is_spam=True))


def note(_: Desk, tip: Envelope, folder: Path) -> Act:
    file = folder / "note"
    file.write_text("palimpsest", encoding="utf-8")

    def again(vault: Vault) -> None:
        if not Marks.of(vault, thread_of(vault, tip)).notes:
            marks.add_note(vault, [thread_of(vault, tip)], "palimpsest", today=days.today())

    return Act(("note", "--message-file", file, tip.id.hex()), again)


def close(_: Desk, tip: Envelope, __: Path) -> Act:
    return Act(("close", tip.id.hex()), lambda vault: conversations.close(vault, thread_of(vault, tip)))


def unread(_: Desk, tip: Envelope, __: Path) -> Act:
    return Act(("unread", tip.id.hex()), lambda vault: marks.unread(vault, [thread_of(vault, tip)]))


def unsend(desk: Desk, _: Envelope, __: Path) -> Act:
    (reply,) = kept(desk)

    def again(vault: Vault) -> None:
        if Reply.find(vault, reply.id).state == "waiting":  # type: ignore[union-attr]
            unsent.take_back(vault, reply.id.hex())

    return Act(("unsend", reply.id.hex()), again)


def drop(desk: Desk, tip: Envelope, _: Path) -> Act:
    with desk.open(write=True) as vault:
        draft = Draft(thread_of(vault, tip), b"noctambule", (), days.today())
        draft.save(vault)

    def again(vault: Vault) -> None:
        if Draft.find(vault, draft.key):
            unsent.take_back(vault, draft.key.hex())

    return Act(("unsend", draft.key.hex()), again)


def forget(_: Desk, tip: Envelope, __: Path) -> Act:
    def again(vault: Vault) -> None:
        if (found := Tip.find(vault, tip.id)) is not None:
            forget_tip(vault, found, "spam")

    return Act(("forget", tip.id.hex(), "--reason", "spam"), again)


def seen(desk: Desk) -> object:
    """All that staff see of a desk; its chain of custody is whole."""
    with desk.open() as vault:
        organisation = ceremony.organisation_of(vault)
        rows = listing.list_tips(vault, organisation)
        threads = {row["thread"]: tips.find_tip(vault, row["id"]) for row in rows}
        assert check_chain(vault).problem == ""
        talks = [conversations.thread_of(vault, organisation, tip) for tip in threads.values()]
        found = [listing.search_tips(vault, organisation, word, limit=9) for word in WORDS[:2]]
        drafts = list(Draft.all(vault))
    return rows, talks, found, drafts


@ENDINGS
@pytest.mark.parametrize("made_act", [tag, assign, spam, note, close, unread, unsend, drop, forget])
def test_an_act_cut_short_at_durable_writes_counts_whole_or_not_at_all(
    talk: Talk, cut: Cut, tmp_path: Path, made_act: Callable[[Desk, Envelope, Path], Act], ending: Ending
) -> None:
    planted = seal_tip(talk.made.manifests, message=b"zelkova", today=days.today())
    talk.desk.take(
        talk.server.export(tmp_path / "2", talk.desk.manifest, [planted], day=days.today()), today=days.today()
    )
    queue(talk.desk, planted, b"noctambule")
    act = made_act(talk.desk, planted, tmp_path)
    whole = talk.made.copy(tmp_path / "whole").desks[1]
    before = seen(whole)
    with whole.open(write=True) as vault:
        act.again(vault)
    after, found = seen(whole), set()
    for desk, ended in cut(talk.made, ending, *act.arguments):
        now = seen(desk)
        assert now in (before, after)
        assert ended.code != 0 or now == after, "what it called done is there"
        found.add(now == after)
        with desk.open(write=True) as vault:
            act.again(vault)
        assert seen(desk) == after
        stored = b"".join(path.read_bytes() for path in desk.vault.rglob("*") if path.is_file())
        assert not any(word.encode() in stored for word in WORDS)
    assert found == {False, True}
