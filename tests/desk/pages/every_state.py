"""Every screen and state of the pages, one after the other: for axe, and for eyes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from desk.pages.hand import Hand
from desk.pages.inside import ENCLOSED
from desk.pages.serving import WORDS, Pages
from desk.render.good_files import docx, jpeg_with_place, packed
from support.desk import Desk, Desks, seal_tip
from support.qr.photographs import sheet
from support.qr.qr_codes import to_qr_codes
from tipbox.formats.base import days

PHOTOGRAPHED = "Photographed from a screen, in a car."
STORY = "Seen from the window: four men, two of them masked. Photo and papers are with this."


def add_files(desks: Desks, desk: Desk, folder: Path) -> None:
    """Two tips more: one with a photo, a document and an archive, and one with the photo alone, from somebody else."""
    sent = [("IMG_2041.jpg", jpeg_with_place()), ("list.docx", docx()), ("all.zip", packed({"a.txt": "x", "b/c": "y"}))]
    for number, (text, files) in enumerate(((STORY, sent), ("I have the same photo.", sent[:1]))):
        tip = seal_tip(desks.manifests, [desk.manifest], message=text.encode(), files=files, today=days.today())
        path = folder / f"more-{number}.tip"
        path.write_bytes(tip.data)
        desk.take(path, today=days.today())


def add_photo(desks: Desks, desk: Desk, stick: Path) -> None:
    """A photograph of all QR codes of one more tip, onto the stick."""
    tip = seal_tip(desks.manifests, [desk.manifest], message=PHOTOGRAPHED.encode(), today=days.today())
    sheet(to_qr_codes(tip.data), 3, columns=5).save(stick / "IMG_2042.PNG")


def states(hand: Hand, pages: Pages, stick: Path) -> Iterator[str]:
    """Walk through all of them; at each the name of the state, which is shown then."""
    yield from _before(hand, pages)
    yield from _inbox(hand)
    yield from _thread(hand, stick)
    yield from _file(hand)
    yield from _others(hand, stick)
    hand.press("?")
    hand.wait("#help[open]")
    hand.key("Control+L")  # with Caps Lock on, while something else is shown
    hand.wait("#gone")
    yield "locked"


def _before(hand: Hand, pages: Pages) -> Iterator[str]:
    hand.goto(pages.url)
    hand.wait("#unlock")
    yield "unlock"
    hand.click("[data-do=guide]")
    hand.wait("#guide[open]")
    yield "first hour"
    hand.press("Escape")
    hand.fill("#passphrase", "wrong horse")
    hand.key("Enter")
    hand.until("document.querySelector('#wrong').textContent")
    yield "wrong passphrase"
    hand.fill("#passphrase", WORDS)
    hand.key("Enter")
    hand.wait("[data-screen=inbox]")


def _inbox(hand: Hand) -> Iterator[str]:
    yield "inbox"
    hand.press("?")
    hand.wait("#help[open]")
    yield "help"
    hand.press("Escape")
    hand.press("x", "x", "t")
    hand.wait("#ask[open]")
    yield "question"
    hand.type("square, night")
    hand.act("Enter")
    hand.press("n")
    hand.wait("#ask[open]")
    hand.type("Ask Aigul whether she knows this.")
    hand.act("Enter")
    yield "marked"
    hand.press("n")
    hand.wait("#ask[open]")
    hand.type("x" * 4001)
    hand.press("Enter")
    hand.until("document.querySelector('#said.problem')")
    hand.press("n")
    hand.wait("#ask[open]")
    assert hand.run("return document.querySelector('#ask-text').value.length") == 4001, "it can be made shorter"
    hand.press("Escape")
    hand.act("7")
    yield "no canaries"
    for words, name in (("xylophone", "nothing found"), (ENCLOSED, "found")):
        hand.press("/")
        hand.type(words)
        hand.act("Enter")
        yield name
    hand.press("Escape")
    hand.go("g p", "staff")
    yield "nobody has any"
    hand.go("g i", "inbox")
    hand.press("*", "a")
    hand.wait("#ask[open]")
    hand.act("Enter")
    hand.go("g p", "staff")
    yield "staff"


def _thread(hand: Hand, stick: Path) -> Iterator[str]:
    hand.go("g i", "inbox")
    hand.press("/")
    hand.type("masked")
    hand.act("Enter")
    hand.press("Escape")
    hand.go("o", "thread")
    yield "thread"
    hand.press("Alt+1")
    hand.until("document.querySelector('#kept').textContent")
    hand.press("Alt+f")
    hand.wait("#ask[open]")
    hand.type(str(next(stick.iterdir())))
    hand.act("Enter")
    yield "draft with a file"
    hand.click(".digits summary")
    yield "check digits"
    hand.act("Control+Enter")
    yield "answer that waits"


def _file(hand: Hand) -> Iterator[str]:
    hand.go("f", "file")
    yield "file"
    hand.act("v")
    hand.until("document.querySelector('img[data-picture]')?.naturalWidth")
    yield "picture that is blurred"
    hand.press("b")
    if hand.count("details summary"):
        hand.click("details summary")
    yield "picture and metadata"
    for name in ("document", "archive"):
        hand.act("j")
        hand.act("v")
        yield name


def _others(hand: Hand, stick: Path) -> Iterator[str]:
    hand.go("g m", "same")
    yield "same"
    hand.run("document.querySelector('[data-screen]').dataset.old = 'yes'")
    hand.press("c")
    hand.until("!document.querySelector('[data-old]') && document.querySelector('.job')")
    yield "alike"
    hand.go("g h", "health")
    yield "health"
    hand.go("g k", "stick")
    yield "no stick"
    hand.click("#path")
    hand.press("Control+a")
    hand.type(str(stick / "nothing"))
    hand.press("Enter")
    hand.until("document.querySelector('#said.problem')")
    yield "no such folder"
    hand.press("Control+a")
    hand.type(str(stick))
    hand.act("Enter")
    yield "stick"
    # The page asks again how far it is after 400 ms, which do not pass while this is looked at.
    hand.run(
        "const later = window.later = setTimeout; window.setTimeout = (work, ms) => ms === 400 ? 0 : later(work, ms)"
    )
    hand.press("p")
    hand.wait("[data-running]")
    yield "import"
    hand.run("window.setTimeout = window.later")
    hand.go("g k", "stick")
    hand.until("document.querySelector('.job:not([data-running])')")
    yield "import that ended"
    hand.fill("#path", str(stick / "nothing"))  # what is typed counts, also where nobody has pressed Look
    hand.key("Escape")
    hand.press("i")
    hand.until("document.querySelector('#said.problem')")
    hand.fill("#path", str(stick))
    hand.key("Escape")
    hand.press("w")
    hand.wait("#ask[open]")
    yield "question before an outbox"
    hand.job("Enter")
    yield "outbox"
