"""Reads the steps of the staff guide, and takes them in the pages: what the guide says to press is pressed.

A numbered item of a page that docs/staff-guide.md numbers is a step. In it ``*Inbox*`` is a screen that is waited for,
``**Open**`` is pressed, ``"words"`` are waited for, "`text` into **Field**" is typed, "press `Enter`" is a key, and a
picture is what can be seen at that point.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from desk.pages.batch import make_batch
from desk.pages.every_state import STORY
from desk.pages.hand import Hand
from desk.pages.serving import WORDS
from desk.render.good_files import docx, jpeg_with_place, packed
from support.desk import Desks, Exporter, seal_tip
from tipbox.formats.base import days

ROOT: Final = Path(__file__).resolve().parents[3]
GUIDE: Final = ROOT / "docs" / "staff-guide.md"
TEMPLATES: Final = ROOT / "templates" / "desk"
_ITEM: Final = re.compile(r"^\d+\. (.*(?:\n {3}.*)*)", re.MULTILINE)
_WORD: Final = re.compile(
    r"!\[[^\]]*\]\(\.\./pictures/(?P<picture>[\w.-]+)\)"
    r"|`(?P<text>[^`]+)` into \*\*(?P<field>[^*]+)\*\*"
    r"|[Pp]ress `(?P<key>[^`]+)`"
    r"|\*\*(?P<button>[^*]+)\*\*"
    r"|(?<!\*)\*(?P<screen>[^*]+)\*(?!\*)"
    r'|"(?P<said>[^"]+)"'
)
_NAMED: Final = re.compile(r"<(?:button|summary|label)\b[^>]*>(?:<kbd>.*?</kbd>|[^<])*|data-label=\"[^\"]*\"?[^\"]*\"")
_LISTED: Final = re.compile(r"{% set (?:names|named) = {.*?} %}")
_MESSAGE: Final = re.compile(r'_\("([^"]+)"')

# A button's name is what stands on it without its key and its count. What is not shown is none.
FIND: Final = """
    const dialog = document.querySelector("dialog[open]");
    const nameOf = (one) => {
        const copy = one.cloneNode(true);
        for (const aside of copy.querySelectorAll("kbd, b, small")) aside.remove();
        return copy.textContent.trim().replace(/\\s+/g, " ");
    };
    const all = [...(dialog ?? document).querySelectorAll(kinds)];
    const found = all.filter((one) => nameOf(one) === name && one.checkVisibility() && !one.disabled);
"""
STAYS: Final = (
    "summary, [data-ask], [data-words], [data-compare], dialog [value=''], [data-do=choose], [data-do=choose-all], "
    "[data-do=choose-later], [data-do=blur], [data-do=help], [data-do=guide], [data-do=lock], [data-do=answer], "
    "section:not([data-thread]) [data-do=next], section:not([data-thread]) [data-do=previous]"
)
"""What is pressed without another screen coming."""


@dataclass(frozen=True)
class Act:
    """A word of a step: what it is, ``name``, and the ``text`` that is typed into a field."""

    kind: str
    name: str
    text: str = ""


@dataclass(frozen=True)
class Step:
    """A step of a page, and what is to be done in it."""

    page: Path
    number: int
    acts: tuple[Act, ...]


def pages() -> list[Path]:
    """The pages of the guide that are gone through, in their order."""
    found = re.findall(r"^\d+\. \[[^\]]+\]\(([\w/-]+\.md)\)", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    return [GUIDE.parent / name for name in found]


def steps() -> Iterator[Step]:
    """All steps of them."""
    for page in pages():
        for number, item in enumerate(_ITEM.findall(page.read_text(encoding="utf-8")), 1):
            yield Step(page, number, tuple(acts(item)))


def acts(item: str) -> Iterator[Act]:
    """What an item says is to be done."""
    for found in _WORD.finditer(item):
        kind = str(found.lastgroup)
        yield Act("type", found["field"], found["text"]) if kind == "field" else Act(kind, found[kind])


def names_in_templates() -> set[str]:
    """The English names of all buttons and fields of the pages."""
    found: set[str] = set()
    for path in TEMPLATES.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        for part in (*_NAMED.findall(text), *_LISTED.findall(text)):
            found |= set(_MESSAGE.findall(part))
    return found


def prepare(desks: Desks, server: Exporter, folder: Path) -> dict[str, str]:
    """A stick for a desk that has nothing yet; what is to be typed in place of what the guide writes."""
    desk, stick, today = desks.desks[1], folder / "stick", days.today()
    stick.mkdir()
    files = [("IMG_2041.jpg", jpeg_with_place()), ("list.docx", docx()), ("all.zip", packed({"a.txt": "x"}))]
    told = ((STORY, files), ("I have the same photo.", files[:1]))
    tips = [
        seal_tip(desks.manifests, [desk.manifest], message=text.encode(), files=sent, today=today)
        for text, sent in told
    ]
    tips += make_batch(desks.manifests, desk.manifest, 20, today).tips
    server.export(stick / "kibhr-1.bundle", desk.manifest, tips, day=today)
    (folder / "form.pdf").write_bytes(b"%PDF-1.4 a form")
    (folder / "second").mkdir()
    return {
        "your passphrase": WORDS,
        "six words of his own": "six other words by other dice",
        "/media/stick": str(stick),
        "/media/stick/form.pdf": str(folder / "form.pdf"),
        "/media/second/kibhr": str(folder / "second" / "kibhr"),
        "/media/expert": str(folder / "expert"),
    }


class Walker:
    """Takes steps by hand.

    Attributes:
        given: what is typed in place of what the guide writes: paths and passphrases of this test.
        picture: gets the name of each picture when it can be taken.
    """

    def __init__(self, hand: Hand, given: Mapping[str, str], picture: Callable[[str], None] = lambda _: None) -> None:
        self.hand = hand
        self.given = given
        self.picture = picture

    def take(self, step: Step) -> None:
        """Take a step: whatever it says has to be there."""
        for act in step.acts:
            try:
                getattr(self, f"_{act.kind}")(act)
            except Exception as error:
                error.add_note(f"{step.page.name}, step {step.number}: {act}")
                raise

    def _picture(self, act: Act) -> None:
        self.picture(act.name)

    def _screen(self, act: Act) -> None:
        title = (
            "document.querySelector('[data-screen]')?.dataset.title"
            " ?? [...document.querySelectorAll('h1')].find((one) => one.checkVisibility())?.textContent"
        )
        self.hand.until(f"({title}) === {json.dumps(act.name)}")

    def _said(self, act: Act) -> None:
        self.hand.until(f"document.body.innerText.includes({json.dumps(act.name)})")

    def _key(self, act: Act) -> None:
        self._renewing(lambda: self.hand.key(act.name), is_renewed=act.name == "Enter")

    def _button(self, act: Act) -> None:
        look = self._find(act, "button, summary")
        stays = self.hand.run(
            f"{look} found[0].dataset.pressed = 'next'; found[0].scrollIntoView({{ block: 'center' }});"
            f" return found[0].matches({STAYS!r})"
        )
        try:
            self._renewing(lambda: self.hand.click("[data-pressed=next]"), is_renewed=not stays)
        finally:
            self.hand.run("for (const one of document.querySelectorAll('[data-pressed]')) delete one.dataset.pressed")

    def _type(self, act: Act) -> None:
        look = self._find(act, "label")
        self.hand.run(f"{look} const field = found[0].control; field.focus(); field.select()")
        self.hand.type(self.given.get(act.text, act.text))

    def _find(self, act: Act, kinds: str) -> str:
        """Wait until there is one with this name; the script that finds it."""
        look = f"const name = {json.dumps(act.name)}, kinds = {kinds!r}; {FIND}"
        self.hand.until(f"(() => {{ {look} return found.length }})()")
        return look

    def _renewing(self, press: Callable[[], None], *, is_renewed: bool) -> None:
        self.hand.run("for (const one of document.querySelectorAll('[data-screen]')) one.dataset.old = 'yes'")
        press()
        if is_renewed:
            self.hand.until("!document.querySelector('[data-old]') && document.querySelector('[data-screen]')")
