"""kill -9 at durable writes of each click: it is done whole or not at all, nothing is lost, and it can be done again.

A sample of the writes; all of them with ``make faults``, which sets ``EVERY_POINT``, and also where the disk is full or
away from there on, or SIGTERM comes. Whatever is killed, keeper or
browser or the process behind the pages, it is the last that ends with it: nothing else writes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from desk.conftest import EVERY_POINT
from desk.pages.every_state import STORY, add_files
from desk.render.good_files import jpeg_with_place
from support.desk import PASSWORD, Desk, Desks, Exporter, seal_tip
from support.killed import Ending, Points
from tipbox.desk.custody.chain import check_chain
from tipbox.desk.inbox import listing, marks
from tipbox.desk.keys import ceremony
from tipbox.desk.pages.guard import SESSION_HEADER
from tipbox.desk.pages.page_app import create_app
from tipbox.desk.pages.session import OpenDesk, Session
from tipbox.desk.replies import queue_reply
from tipbox.desk.unsent import keep_draft
from tipbox.desk.vault.records import Draft, Reply, ReplyText, Tip
from tipbox.desk.vault.vault import Vault
from tipbox.formats.base import days

pytestmark = pytest.mark.reads_date

WORDS = "These words must not be lost."
SEALED = "These are sealed, and wait."
MOST = 3
"""Writes of an act at which ``make test`` kills."""
Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Scene:
    """A desk before the click: one answer waits, one is being written, a Bundle lies on a stick."""

    folder: Path
    base: Vault
    facts: Mapping[str, str]
    tips: frozenset[str]

    def fresh(self) -> Path:
        """The folder of the vault, as it was before."""
        again = self.folder / "again"
        shutil.rmtree(again, ignore_errors=True)
        shutil.copytree(self.folder / "desks", again)
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        return again / self.base.path.name

    def vault(self, folder: Path) -> Vault:
        """Opened without the passphrase, whose work would take most of the time."""
        return self.base.beside(folder)


@pytest.fixture
def scene(desks: Desks, desk: Desk, server: Exporter, tmp_path: Path) -> Iterator[Scene]:
    today = days.today()
    add_files(desks, desk, tmp_path)
    stick = tmp_path / "stick"
    stick.mkdir()
    others = [seal_tip(desks.manifests, [desk.manifest], message=b"new", today=today) for _ in range(2)]
    server.export(stick / "1.bundle", desk.manifest, [], day=today)
    desk.take(stick, today=today)
    server.export(stick / "2.bundle", desk.manifest, others, day=today)
    plan = tmp_path / "plan.pdf"
    plan.write_bytes(bytes(5000))
    with desk.open(write=True) as vault, ExitStack() as stack:
        rows = listing.list_tips(vault, ceremony.organisation_of(vault))
        (first,) = (row for row in rows if row["begins"] == STORY[:280])
        (other,) = (row for row in rows if row is not first)
        thread = bytes.fromhex(first["thread"])
        tip = Tip.find(vault, bytes.fromhex(first["id"]))
        assert tip is not None
        waiting = queue_reply(vault, tip, SEALED.encode(), [], today=today)
        draft = keep_draft(vault, thread, WORDS.encode(), before=b"", today=today)
        marks.assign(vault, [thread], "Aigul")
        vault.unlock()
        facts = {"thread": first["thread"], "tip": first["id"], "other": other["id"], "draft": draft.hex()}
        facts |= {"nobody's yet": other["thread"], "reply": waiting.id.hex(), "stick": str(stick), "plan": str(plan)}
        yield Scene(
            tmp_path, stack.enter_context(vault.beside(vault.path)), facts, frozenset(row["id"] for row in rows)
        )


def fields_of(scene: Scene, **named: str) -> Fields:
    """What a request says: names of facts, or words."""
    return tuple((name, scene.facts.get(value, value)) for name, value in named.items())


ACTS: dict[str, tuple[str, dict[str, str]]] = {
    "tag": ("/inbox/act", {"act": "tag", "text": "square, night", "thread": "thread"}),
    "assign": ("/inbox/act", {"act": "assign", "text": "Timur", "thread": "thread"}),
    "note": ("/thread/act", {"act": "note", "text": "Ask Aigul.", "thread": "thread"}),
    "spam": ("/inbox/act", {"act": "spam", "thread": "thread"}),
    "close": ("/same/act", {"act": "close", "thread": "thread"}),
    "unread": ("/thread/act", {"act": "unread", "thread": "thread"}),
    "read": ("/thread", {"thread": "nobody's yet"}),
    "write": ("/thread/draft", {"thread": "thread", "draft": "draft", "text": f"{WORDS} And more."}),
    "attach": ("/thread/attach", {"thread": "thread", "draft": "draft", "text": WORDS, "path": "plan"}),
    "answer": ("/thread/reply", {"tip": "tip", "draft": "draft", "text": WORDS}),
    "unsend": ("/thread/unsend", {"reply": "reply"}),
    "translate": ("/thread/translation", {"tip": "tip", "text": "in other words"}),
    "forget": ("/thread/forget", {"tip": "other", "text": "spam of the worst kind"}),
    "look": ("/file/look", {"tip": "tip", "number": "1"}),
    "take out": ("/file/take", {"tip": "tip", "number": "1", "path": "out", "reason": "for the court"}),
    "compare": ("/same/compare", {}),
    "import": ("/stick/import", {"path": "stick", "copies": "1"}),
    "copy": ("/stick/copy", {"path": "copy"}),
    "outbox": ("/stick/outbox", {"path": "stick"}),
}
SAMPLE = ("tag", "read", "write", "answer", "forget", "import", "outbox")
"""What ``make test`` clicks: the rest writes in the same ways."""


def clicked(scene: Scene, folder: Path, path: str, fields: Fields) -> tuple[int, str]:
    """Click, in a process of the pages, and wait for what it begins; 0 when it was answered as it should be."""
    session = Session(folder, "token", seconds=600)
    with scene.vault(folder) as vault:
        session._desk = OpenDesk(vault, ceremony.organisation_of(vault), PASSWORD)
        session._secret, session.address = "secret", "localhost"
        client = create_app(session, "en").test_client()
        headers = {"Origin": "http://localhost", SESSION_HEADER: "secret"}
        answer = client.post(path, data=as_form(fields), headers=headers)
        session.wait_for_work()
    job = session.job
    said = answer.text if job is None else job.problem
    return int(answer.status_code != 200 or bool(job and job.problem)), said


def as_form(fields: Fields) -> dict[str, Any]:
    return dict(fields)


@pytest.mark.parametrize("ending", Ending if EVERY_POINT else (Ending.KILLED,), ids=lambda ending: ending.value)
@pytest.mark.parametrize("act", ACTS if EVERY_POINT else SAMPLE)
def test_a_click_that_is_cut_short_is_done_whole_or_not_at_all(
    scene: Scene, act: str, ending: Ending, tmp_path: Path
) -> None:
    path, named = ACTS[act]
    here = {"copy": str(tmp_path / "out"), "out": str(tmp_path / "out")}
    fields = tuple((name, here.get(value, scene.facts.get(value, value))) for name, value in named.items())

    def work() -> tuple[int, str]:
        return clicked(scene, folder, path, fields)

    folder = scene.fresh()
    before = facts_of(scene, folder)
    points = Points.of_work(tmp_path / "calls", work)
    after = facts_of(scene, folder)
    assert before != after or act in {"copy", "take out"}, "the control: it does something"
    found = set()
    for place in points.places(ending, 0 if EVERY_POINT else MOST):
        folder = scene.fresh()
        ended = points.cut_work(place, ending, work)
        # Where the disk fails the pages go on, and say so.
        assert ended.code in ((None, 0) if ending in (Ending.KILLED, Ending.STOPPED) else (1, 0)), ended
        assert "this is a bug" not in ended.said, ended
        left = facts_of(scene, folder)
        check(act, left, before, after)
        found.add(left == before)
        out = [file.stat().st_size for file in (tmp_path / "out").glob("[!.]*") if act == "take out"]
        assert out in ([], [len(jpeg_with_place())]), "it has its name only when it is whole"
        code, said = clicked(scene, folder, path, again(fields, left))
        assert code == 0 or out or (act in {"unsend", "forget"} and left != before), said
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert found == {True, False} or act in {"copy", "take out", "import", "look", "compare"} or EVERY_POINT


def again(fields: Fields, left: Mapping[str, Any]) -> Fields:
    """What the page would say when it is asked for once more: it knows the draft that is kept now."""
    drafts = left["drafts"]
    kept = next((draft for draft, text, _ in drafts if text.startswith(WORDS)), "")
    return tuple((name, kept if name == "draft" else value) for name, value in fields)


def check(act: str, left: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Nothing is lost: not a tip but the one to forget, not a word of an answer, and the chain is whole."""
    assert left["chain"] == ""
    assert before["tips"] & after["tips"] <= left["tips"] <= before["tips"] | after["tips"]
    words = [text for _, text, _ in left["drafts"]] + left["texts"]
    assert sum(text.startswith(WORDS) for text in words) == 1, "once, and not lost"
    if act != "unsend":
        assert SEALED in words
    for name in ("marks", "states"):
        assert left[name] in (before[name], after[name])


def facts_of(scene: Scene, folder: Path) -> dict[str, Any]:
    """What a vault holds."""
    with scene.vault(folder) as vault:
        rows = listing.list_tips(vault, ceremony.organisation_of(vault))
        texts = [
            text.message.decode() for text in (ReplyText.find(vault, reply.id) for reply in Reply.all(vault)) if text
        ]
        found = check_chain(vault)
        return {
            "acts": [event.act for event in found.events],
            "chain": found.problem,
            "drafts": [(draft.key.hex(), draft.message.decode(), draft.paths) for draft in Draft.all(vault)],
            "marks": sorted((row["thread"], row["person"], row["spam"], row["notes"], *row["tags"]) for row in rows),
            "states": sorted((row["id"], row["state"]) for row in rows if row["id"] in scene.tips),
            "texts": texts,
            "tips": {row["id"] for row in rows},
        }
