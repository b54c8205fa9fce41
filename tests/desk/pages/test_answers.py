"""What the pages do for good: files in answers, and a tip that is forgotten; and what tells pictures from others."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from desk.pages.every_state import STORY, add_files
from desk.pages.hand import Hand
from desk.pages.serving import WORDS as SECRET_WORDS
from desk.pages.serving import Pages, serving
from desk.render.good_files import jpeg_with_place, picture, saved
from support.desk import Desk, Desks, listed, seal_tip
from tipbox.desk.custody.chain import check_chain
from tipbox.desk.inbox.likeness import NEAR, Likeness, Seen, alike
from tipbox.desk.pages.guard import SESSION_HEADER
from tipbox.desk.unsent import drafts_of
from tipbox.desk.vault.records import Reply
from tipbox.formats.base import days

pytestmark = pytest.mark.reads_date

WORDS = "Please sign this, if you like."


@pytest.fixture
def thread(desk: Desk, desks: Desks, tmp_path: Path) -> dict[str, str]:
    """A thread with files; another tip is there, too."""
    add_files(desks, desk, tmp_path)
    (row,) = (row for row in listed(desk) if row["begins"] == STORY)
    return {"thread": row["thread"], "tip": row["id"]}


def draft_in(screen: str) -> str:
    found: list[str] = re.findall(r'data-draft="([0-9a-f]*)"', screen)
    return found[0]


def test_files_go_with_an_answer_and_stay_with_its_draft(desk: Desk, thread: dict[str, str], tmp_path: Path) -> None:
    form, plan = tmp_path / "form.pdf", tmp_path / "plan.png"
    form.write_bytes(bytes(9000))
    plan.write_bytes(bytes(100))
    with serving(desk, tmp_path / "scratch") as pages:
        secret = pages.unlock().headers[SESSION_HEADER]
        about = tuple(thread.items())
        screen = pages.shown("/thread/attach", secret, *about, ("text", WORDS), ("draft", ""), ("path", str(form)))
        assert "form.pdf" in screen
        again = (*about, ("text", WORDS), ("draft", draft_in(screen)))
        screen = pages.shown("/thread/attach", secret, *again, ("path", str(plan)))
        pages.process.kill()  # whatever ends it, files stay with the words
        pages.ended()
    with serving(desk, tmp_path / "again") as pages:
        secret = pages.unlock().headers[SESSION_HEADER]
        screen = pages.shown("/thread", secret, *about)
        assert ("form.pdf" in screen, "plan.png" in screen, WORDS in screen) == (True, True, True)
        again = (*about, ("text", WORDS), ("draft", draft_in(screen)))
        screen = pages.shown("/thread/detach", secret, *again, ("number", "1"))
        assert ("form.pdf" in screen, "plan.png" in screen) == (True, False)
        again = (*about, ("text", WORDS), ("draft", draft_in(screen)))
        form.write_bytes(bytes(9001))
        assert "was changed" in pages.post("/thread/reply", again, {SESSION_HEADER: secret}).text
        form.write_bytes(bytes(9000))
        assert "waits for the outbox" in pages.shown("/thread/reply", secret, *again)
    with desk.open() as vault:
        (reply,) = Reply.all(vault)
        assert [(file.name, file.size) for file in reply.files] == [("form.pdf", 9000)]
        assert drafts_of(vault, bytes.fromhex(thread["thread"])) == []


@pytest.mark.usefixtures("thread")
def test_an_answer_that_is_asked_for_twice_is_sealed_once(desk: Desk, hand: Hand, tmp_path: Path) -> None:
    """A key that is held down, or pressed again because nothing seems to happen: a source would get it twice."""
    with serving(desk, tmp_path / "scratch") as pages:
        hand.open(pages.url, SECRET_WORDS)
        hand.act("8")
        hand.run("document.querySelector('tr[data-thread]').dataset.seen = 'yes'")
        held = "new KeyboardEvent('keydown', { key: 'e', bubbles: true, cancelable: true, repeat: true })"
        hand.run(f"document.body.dispatchEvent({held})")
        for key in "spu":  # the browser would write words of tips to a disk
            chord = f"new KeyboardEvent('keydown', {{ key: '{key}', ctrlKey: true, bubbles: true, cancelable: true }})"
            assert hand.run(f"return document.body.dispatchEvent({chord})") is False, key
        hand.go("o", "thread")
        hand.press("r")
        hand.type(WORDS)
        hand.until("document.querySelector('#kept').textContent")
        enter = "new KeyboardEvent('keydown', { key: 'Enter', ctrlKey: true, bubbles: true, cancelable: true })"
        press = f"document.activeElement.dispatchEvent({enter});"
        hand.run(f"{press} {press} await new Promise(resolve => setTimeout(resolve, 20)); {press}")
        hand.until("document.querySelector('[data-unsend]')")
        hand.go("g h", "health")  # whatever was asked for before is done: one thread answers all
        assert not hand.complaints
    with desk.open() as vault:
        assert len([*Reply.all(vault)]) == 1
    assert [row["state"] for row in listed(desk)].count("closed") == 0


def test_words_that_were_sealed_are_not_sealed_again(desk: Desk, thread: dict[str, str], tmp_path: Path) -> None:
    with serving(desk, tmp_path / "scratch") as pages:
        secret = pages.unlock().headers[SESSION_HEADER]
        about = (*thread.items(), ("text", WORDS))
        kept = pages.shown("/thread/draft", secret, *about)
        again = (*about, ("draft", json.loads(kept)["draft"]))
        assert "waits for the outbox" in pages.shown("/thread/reply", secret, *again)
        refused = pages.post("/thread/reply", again, {SESSION_HEADER: secret})
        assert (refused.status, "sealed already" in refused.text) == (409, True)
    with desk.open() as vault:
        assert len([*Reply.all(vault)]) == 1


def test_what_must_never_be_sent_is_not_attached(desk: Desk, thread: dict[str, str], tmp_path: Path) -> None:
    link = tmp_path / "holiday.jpg"
    link.symlink_to(desk.vault / "vault.key")
    stick = next(desk.vault.with_name(f"{desk.vault.name}.keys").iterdir())
    identity = desk.vault.with_name(f"{desk.vault.name}.identity")
    with serving(desk, tmp_path / "scratch") as pages:
        secret = pages.unlock().headers[SESSION_HEADER]
        about = (*thread.items(), ("text", WORDS), ("draft", ""))
        for path in (desk.vault / "vault.db", link, stick, identity, tmp_path, tmp_path / "none", Path("form.pdf")):
            answer = pages.post("/thread/attach", (*about, ("path", str(path))), {SESSION_HEADER: secret})
            assert answer.status == 409, path
            assert "bug" not in answer.text


def test_a_tip_is_forgotten_with_a_reason_only(desk: Desk, thread: dict[str, str], tmp_path: Path) -> None:
    before = {row["id"] for row in listed(desk)}
    with serving(desk, tmp_path / "scratch") as pages:
        secret = pages.unlock().headers[SESSION_HEADER]
        pages.shown("/file/look", secret, ("tip", thread["tip"]), ("number", "1"))
        refused = pages.post("/thread/forget", (*thread.items(), ("text", " ")), {SESSION_HEADER: secret})
        assert refused.status == 409
        assert before == {row["id"] for row in listed(desk)}
        screen = pages.shown("/thread/forget", secret, *thread.items(), ("text", "nobody may keep this"))
        assert 'data-screen="inbox"' in screen
    assert {row["id"] for row in listed(desk)} == before - {thread["tip"]}
    with desk.open() as vault:
        last = check_chain(vault).events[-1]
        assert (last.act, last.reason) == ("forget", "nobody may keep this")
        assert [one for one in Likeness.all(vault) if one.envelope.hex() == thread["tip"]] == []


@pytest.mark.usefixtures("thread")
def test_pictures_that_are_alike_are_found_and_only_those(desk: Desk, desks: Desks, tmp_path: Path) -> None:
    with Image.open(io.BytesIO(jpeg_with_place())) as first:
        small = first.convert("RGB").resize((48, 32))
        other = first.convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    sent = {"small.jpg": saved(small, "JPEG", quality=40), "other.png": saved(other, "PNG"), "flat.png": b""}
    sent["flat.png"] = saved(Image.new("RGB", (60, 60), "white"), "PNG")
    for name, data in sent.items():
        tip = seal_tip(
            desks.manifests, [desk.manifest], message=name.encode(), files=[(name, data)], today=days.today()
        )
        path = tmp_path / f"{name}.tip"
        path.write_bytes(tip.data)
        desk.take(path, today=days.today())
    names = {row["thread"]: row["begins"] for row in listed(desk)}
    with serving(desk, tmp_path / "scratch") as pages:
        secret = pages.unlock().headers[SESSION_HEADER]
        pages.shown("/same/compare", secret)
        wait_for_job(pages, secret)
        screen = pages.shown("/same", secret)
        found = {
            names[one] for one in re.findall(r'<tr data-thread="([0-9a-f]+)"', screen.partition("<h2>Pictures")[2])
        }
        assert found == {STORY, "I have the same photo.", "small.jpg"}
        pages.shown("/same/compare", secret)
        assert "0 pictures" in wait_for_job(pages, secret), "each is looked at once"


def wait_for_job(pages: Pages, secret: str) -> str:
    while "data-running" in (job := pages.shown("/stick/job", secret)):
        pass
    return job


def test_likeness_goes_by_bits_that_differ(desk: Desk) -> None:
    base = 0x0F1E2D3C4B5A6978
    near, far = base ^ ((1 << NEAR) - 1), base ^ ((1 << NEAR + 1) - 1 << 40)
    plain = 1
    with desk.open(write=True) as vault, vault.transaction():
        for number, likeness in enumerate((base, near, far, plain, plain)):
            Likeness(bytes([number]) * 32, (Seen(0, likeness.to_bytes(8)),)).save(vault)
        Likeness(bytes([9]) * 32, (Seen(0, b""),)).save(vault)
        assert alike(vault) == [{bytes([0]) * 32, bytes([1]) * 32}]
    assert picture().size
