"""Files on the pages: seen by what a sandbox gives back, taken out with a reason, and shown harmlessly."""

from __future__ import annotations

from pathlib import Path

import pytest

from desk.pages.batch import HOSTILE
from desk.pages.hand import Hand
from desk.pages.serving import WORDS, Pages, serving
from support.desk import Desk, Desks, seal_tip
from tipbox.desk.custody.chain import check_chain
from tipbox.desk.pages.guard import SESSION_HEADER
from tipbox.desk.render import sandbox
from tipbox.desk.render.picture_png import png
from tipbox.formats.base import days

pytestmark = pytest.mark.reads_date

HIDDEN = b"what the telephone wrote beside the pixels"
PILED = "Z" + "\u0336\u0353\u0300\u0489" * 300
"""Marks upon marks: they would cover what stands around, and make the page wider."""
PICTURE = png(40, 30, bytes((200, 40, 40)) * 1200) + HIDDEN


@pytest.fixture
def files(desks: Desks, desk: Desk, tmp_path: Path) -> dict[str, str]:
    """Tips with one file each; their ids in hex, by the name of the file."""
    ids: dict[str, str] = {}
    for name, data in (("red.png", PICTURE), *HOSTILE):
        tip = seal_tip(
            desks.manifests, [desk.manifest], message=PILED.encode(), files=[(name, data)], today=days.today()
        )
        path = tmp_path / f"{len(ids)}.tip"
        path.write_bytes(tip.data)
        desk.take(path, today=days.today())
        ids[name] = tip.id.hex()
    return ids


def test_a_picture_is_seen_and_only_one_that_was_made_here(desk: Desk, files: dict[str, str], tmp_path: Path) -> None:
    assert sandbox.problem() == "", "the control: this machine has a sandbox"
    with serving(desk, tmp_path / "scratch") as pages:
        secret = pages.unlock().headers[SESSION_HEADER]
        named = (("tip", files["red.png"]), ("number", "1"))
        assert "data-picture" not in pages.shown("/file", secret, *named), "nothing is opened unasked"
        assert 'data-picture="0"' in pages.shown("/file/look", secret, *named)
        answer = pages.raw("/file/picture", secret, ("index", "0"))
        assert answer.startswith(b"\x89PNG")
        assert HIDDEN not in answer, "it is not the source's file"
    with desk.open() as vault:
        assert check_chain(vault).events[-1].act == "look"


def test_a_file_goes_out_with_a_reason_only(desk: Desk, files: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with serving(desk, tmp_path / "scratch") as pages:
        secret = pages.unlock().headers[SESSION_HEADER]
        named = (("tip", files["red.png"]), ("number", "1"), ("path", str(out)))
        refused = pages.post("/file/take", (*named, ("reason", " ")), {SESSION_HEADER: secret})
        assert (refused.status, out.exists()) == (409, False)
        for place in (desk.vault, desk.vault / "tips", desk.vault.with_name(f"{desk.vault.name}.keys")):
            wrong = (*named[:2], ("path", str(place)), ("reason", "for the court"))
            assert "name another" in pages.post("/file/take", wrong, {SESSION_HEADER: secret}).text
            assert not [*place.rglob("*.png")]
        pages.shown("/file/take", secret, *named, ("reason", "for the court"))
    assert [path.read_bytes() for path in out.iterdir()] == [PICTURE]
    with desk.open() as vault:
        last = check_chain(vault).events[-1]
        assert (last.act, last.reason) == ("take-out", "for the court")


def test_hostile_names_do_nothing_on_a_page(desk: Desk, files: dict[str, str], tmp_path: Path, hand: Hand) -> None:
    with serving(desk, tmp_path / "scratch") as pages:
        hand.open(pages.url, WORDS)
        for _ in files:
            hand.go("o", "thread")
            assert hand.count("#screen img, #screen script, #screen iframe") == 0
            assert "\u202e" not in hand.text("#screen")
            assert hand.run("return document.documentElement.scrollWidth <= innerWidth")
            hand.click("[data-file]")
            hand.wait("[data-screen=file]")
            assert hand.count("#screen img, #screen script") == 0
            hand.go("Escape", "thread")
            hand.go("Escape", "inbox")
            hand.press("j")
        assert hand.complaints == []


def test_pictures_are_grey_and_blurred_until_asked(
    desk: Desk, files: dict[str, str], tmp_path: Path, hand: Hand
) -> None:
    with serving(desk, tmp_path / "scratch") as pages:
        hand.open(pages.url, WORDS)
        hand.press("/")
        hand.type("red")
        hand.act("Enter")
        hand.page.keyboard.press("Escape")
        hand.go("o", "thread")
        hand.click("[data-file]")
        hand.wait("[data-screen=file]")
        hand.press("v")
        hand.until("document.querySelector('img[data-picture]')?.naturalWidth")
        style = "return getComputedStyle(document.querySelector('img[data-picture]')).filter"
        assert hand.run(style) == "grayscale(1) blur(14px)"
        hand.press("b")
        assert hand.run(style) == "none"
        hand.press("b")
        assert hand.run(style) == "grayscale(1) blur(14px)"
        assert hand.complaints == []
    assert files


def test_a_number_that_is_none_is_refused(pages: Pages) -> None:
    secret = pages.unlock().headers[SESSION_HEADER]
    for number in ("0", "2", "-1", "x", "9" * 50):
        answer = pages.post("/file", (("tip", "00" * 32), ("number", number)), {SESSION_HEADER: secret})
        assert answer.status == 409
        assert "bug" not in answer.text
