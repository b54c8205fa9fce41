"""Holds the translated pages of the staff guide against the English ones: python tests/project/guide/translated.py.

A page of docs/staff/LANGUAGE/ has what its English page has, one for one: headings, items, rows, code, links, pictures.
What the desk says, and what stands on its buttons, is quoted as its catalogue says it in that language. The page names
the English text that it was made from by git's id of it, so that `git diff ID HEAD:PAGE` shows what changed since.

With ``--current PAGE...`` the pages named are said to be made from the English text as it is now; with ``--outdated``
all pages whose English text has changed since say so to their readers, and nobody holds them to it.
"""

from __future__ import annotations

import argparse
import hashlib
import posixpath
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from babel.messages.pofile import read_po

ROOT: Final = Path(__file__).resolve().parents[3]
STAFF: Final = "docs/staff"
FIRST_HOUR: Final = "docs/desk-first-hour.md"
ELSEWHERE: Final = {"README.md": "docs/staff-guide.md", "first-hour.md": FIRST_HOUR}
"""Pages whose English is not in the folder of the others; forges show a README with its folder."""
ENGLISH_ONLY: Final = frozenset({"commands.md"})
"""Pages that nobody has translated: whoever works in a terminal gets English from it, too."""

HEADS: Final[dict[str, dict[str, str]]] = tomllib.loads(
    Path(__file__).with_name("heads.toml").read_text(encoding="utf-8")
)
RIGHT_TO_LEFT: Final = frozenset({"ar"})
NO_LABELS: Final = frozenset({"buttons and fields", "Screens", "what the desk says", "it says"})
"""What is set in the marks of labels, and is none: the index shows its marks, and tables have heads."""

_HEAD: Final = re.compile(r"<!-- (?P<english>[\w/.-]+) of (?P<id>[0-9a-f]{40}) -->\n\n")
_OPENING, _CLOSING = '<div dir="rtl">\n\n', "\n</div>\n"
_QUOTED: Final = re.compile(r"(?:^> .*\n)+\n", re.MULTILINE)
_BLOCK: Final = re.compile(r"^(?P<indent> *)(?P<mark>#{1,6} |- (?:\[ \] )?|\d+\. |\||```|!\[)?")
_CODE: Final = re.compile(r"`([^`]+)`")
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_MARKS: Final = {
    "bold": re.compile(r"\*\*([^*]+)\*\*"),
    "italic": re.compile(r"(?<!\*)\*([^*]+)\*(?!\*)"),
    "said": re.compile(r'"([^"]+)"|«\s*([^»]+?)\s*»'),
}
_ISOLATED: Final = re.compile("\u2068`[^`]+`\u2069")
_DIVISION: Final = re.compile(r"^ *</?div.*>$", re.MULTILINE)
_LEFT_TO_RIGHT: Final = re.compile(r'^( *)<div dir="ltr">\n\n\1```\n(?:.*\n)*?\1```\n\n\1</div>$', re.MULTILINE)
# What stands for anything: placeholders of messages, and the numbers and names that the guide has in their place.
_ANY: Final = re.compile(r"%\(\w+\)[ds]|…|\d+|\bTimur\b")
_WORDS: Final = re.compile(r"[^/ ]+(?: [^/ ]+)+")
"""Code of more than one word and no path is an example of what to type; commands are none."""


@dataclass
class Block:
    """A heading, item, row, paragraph or fenced code: its shape, and its lines."""

    shape: tuple[object, ...]
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True)
class Page:
    """A translated page, and the English one that it is of; paths from the root."""

    language: str
    path: str
    english: str

    def read(self) -> str:
        return (ROOT / self.path).read_text(encoding="utf-8")

    def read_english(self) -> str:
        return (ROOT / self.english).read_text(encoding="utf-8")

    @property
    def unreviewed(self) -> str:
        link = posixpath.relpath(self.english, posixpath.dirname(self.path))
        return quotation(HEADS[self.language]["unreviewed"]).format(english=link)

    @property
    def outdated(self) -> str:
        return quotation(HEADS[self.language]["outdated"])


def quotation(text: str) -> str:
    """Lines as Markdown quotes them."""
    return "".join(f"> {line}\n" for line in text.splitlines())


def pages() -> list[Page]:
    """All pages that there have to be."""
    names = sorted(path.name for path in (ROOT / STAFF).glob("*.md") if path.name not in ENGLISH_ONLY)
    return [
        Page(language, f"{STAFF}/{language}/{there}", english)
        for there, english in (*ELSEWHERE.items(), *((name, f"{STAFF}/{name}") for name in names))
        for language in HEADS
    ]


def is_translated(path: str) -> bool:
    """Whether an English page is there in the other languages."""
    path = path.partition("#")[0]
    folder, name = posixpath.split(path)
    return path in ELSEWHERE.values() or (folder == STAFF and name not in ENGLISH_ONLY)


def text_id(path: str) -> str:
    """Git's id of the text of a page, as it is now: gitformat-pack calls such an object a blob."""
    text = (ROOT / path).read_bytes()
    return hashlib.sha1(b"blob %d\0%b" % (len(text), text), usedforsecurity=False).hexdigest()


def resolved(page: str, target: str) -> str:
    """Where a link leads from a page; paths from the root."""
    if re.match(r"[a-z]+:", target):
        return target
    path, mark, anchor = target.partition("#")
    there = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
    return f"{there}{mark}{anchor}"


def counterpart(page: str, target: str) -> str:
    """Where a link leads; the English page when it leads to a translated one."""
    there = resolved(page, target)
    found = re.fullmatch(rf"{STAFF}/(?:{'|'.join(HEADS)})/([^/#]+)", there)
    return ELSEWHERE.get(found[1], f"{STAFF}/{found[1]}") if found else there


def blocks(text: str) -> list[Block]:
    """The blocks of a page in their order; a line that goes on belongs to the block before it."""
    found: list[Block] = []
    fenced = is_new = False
    for line in text.split("\n"):
        if fenced:
            found[-1].lines.append(line)
            fenced = not line.strip().startswith("```")
            continue
        if not line.strip():
            is_new = True
            continue
        parts = _BLOCK.match(line)
        assert parts is not None
        mark, indent = (parts["mark"] or "").strip(), len(parts["indent"])
        if mark == "|":
            found.append(Block(("row", indent, line.count("|")), [line]))
        elif mark or is_new or not found:
            found.append(Block((mark, indent), [line]))
        else:
            found[-1].lines.append(line)
        fenced, is_new = mark == "```", False
    return found


@dataclass(frozen=True)
class Message:
    """What the desk says in English, and its forms in another language; each also with all that varies made alike."""

    english: str
    forms: tuple[str, ...]
    plain: str
    plain_forms: tuple[str, ...]


@cache
def messages(language: str) -> tuple[Message, ...]:
    """All that the desk says; of what it counts, singular and plural each with all forms."""
    path = ROOT / "tipbox" / "locale" / language / "LC_MESSAGES" / "desk.po"
    found: list[Message] = []
    with path.open("rb") as file:
        for message in read_po(file, language):
            ids = (message.id,) if isinstance(message.id, str) else tuple(message.id)
            said = message.string or ""
            forms = (said,) if isinstance(said, str) else tuple(said)
            found += [Message(one, forms, plain(one), tuple(map(plain, forms))) for one in ids if one]
    return tuple(found)


def plain(text: str) -> str:
    """A text with one kind of blank, and one word for all that stands for anything."""
    return " ".join(_ANY.sub("N", text.removesuffix(" …")).split())


def whole(label: str, language: str) -> list[Message]:
    """The messages that an English label quotes from end to end."""
    return [one for one in messages(language) if one.plain == plain(label)]


def parts(label: str, language: str) -> list[Message]:
    """The messages that an English label quotes in part."""
    quoted = plain(label).casefold()
    return [one for one in messages(language) if quoted in one.plain.casefold()]


@cache
def wanted(label: str, language: str) -> Callable[[str], bool] | None:
    """Whether a text is what the desk says for an English label, whole or in part; None when it has no message."""
    exact = {form for one in whole(label, language) for form in one.plain_forms}
    if exact:
        return lambda text: plain(text) in exact
    forms = [form.casefold() for one in parts(label, language) for form in one.plain_forms]
    if forms:
        return lambda text: any(plain(text).casefold() in form for form in forms)
    # What stands beside a message: "+3 the same", the code after "refused by the server", a full stop.
    found = re.fullmatch(r"(?P<before>\+\d+ )(?P<said>.*)|(?P<said_first>[^:]*)(?P<after>: \w+|\.)", label)
    known = wanted(found["said"] or found["said_first"], language) if found else None
    if found is None or known is None:
        return None
    before, after = found["before"] or "", found["after"] or ""
    return lambda text: (
        text.startswith(before) and text.endswith(after) and known(text.removeprefix(before).removesuffix(after))
    )


def hint(label: str, language: str) -> str:
    """What to write for an English label."""
    found = whole(label, language)
    if found:
        return " or ".join(sorted({form for one in found for form in one.forms}))
    found = parts(label, language)
    return f"part of {' or of '.join(one.forms[0] for one in found)}" if found else label


def without_code(text: str) -> str:
    return _CODE.sub("", text)


def labels(block: Block, kind: str) -> list[str]:
    """What a block sets in one kind of mark, or has in its first cell."""
    if kind == "cell":
        cell = block.text.strip().strip("|").split("|")[0].strip()
        return [cell] if block.shape[0] == "row" and set(cell) - set("-: ") else []
    if kind != "said" and block.shape[0] == "```":
        return []
    return ["".join(found) for found in map(_groups, _MARKS[kind].finditer(without_code(block.text)))]


def _groups(found: re.Match[str]) -> list[str]:
    return [part.strip("\u2068\u2069") for part in found.groups() if part]


def expected(page: Page, kind: str, label: str) -> Callable[[str], bool]:
    """Whether a text may stand for an English label in a page."""
    if label in NO_LABELS:
        return bool
    if kind == "cell" and page.english == FIRST_HOUR:  # of commands, which say all in English
        return label.__eq__
    # A cell without a message is no word of the desk; anything else the desk says in English in all languages.
    return wanted(label, page.language) or (bool if kind == "cell" else label.__eq__)


def check_labels(page: Page, there: Block, english: Block) -> Iterator[str]:
    """What the desk says is quoted as it says it."""
    for kind in ("bold", "italic", "said", "cell"):
        left = labels(there, kind)
        for label in labels(english, kind):
            is_it = expected(page, kind, label)
            found = next((one for one in left if is_it(one)), None)
            if found is None:
                yield f"{kind} {label!r} is not there as the desk says it: {hint(label, page.language)}"
            else:
                left.remove(found)
        yield from (f"{kind} {one!r} is not in the English" for one in left)


def check_block(page: Page, there: Block, english: Block) -> Iterator[str]:
    """A block says what the English one does, as far as a program can see."""
    if there.shape[0] == "```":
        if there.lines != english.lines:
            yield "other code"
        return
    code, code_wanted = (sorted(_CODE.findall(block.text)) for block in (there, english))
    typed = [one for one in code_wanted if _WORDS.fullmatch(one) and not re.match(r"tipbox|Ctrl|Shift|--", one)]
    fixed = [one for one in code_wanted if one not in typed]
    for one in fixed:
        if one in code:
            code.remove(one)
        else:
            yield f"`{one}` is missing"
    if len(code) != len(typed):
        yield f"code that is not in the English: {code}"
    links, links_wanted = (
        sorted(counterpart(path, target) for target in _LINK.findall(block.text))
        for path, block in ((page.path, there), (page.english, english))
    )
    if links != links_wanted:
        yield f"links to {links} instead of {links_wanted}"
    for target in _LINK.findall(there.text):
        if is_translated(resolved(page.path, target)):
            yield f"links to {target}, which is there in this language, too"
    yield from check_labels(page, there, english)
    if page.language in RIGHT_TO_LEFT and len(_ISOLATED.findall(there.text)) != len(_CODE.findall(there.text)):
        yield "code outside of U+2068 and U+2069: a path would lose its first slash"


def check_text(page: Page, text: str, english: str, english_id: str) -> Iterator[str]:
    """The faults of a page, by its text and that of the English page."""
    head = _HEAD.match(text)
    if not head or head["english"] != page.english:
        yield f"its first line has to be <!-- {page.english} of {english_id} -->, and an empty one after it"
        return
    body = text[head.end() :]
    if page.language in RIGHT_TO_LEFT:
        if not body.startswith(_OPENING) or not body.endswith(_CLOSING):
            yield f"it has to stand in {_OPENING.strip()} and </div>"
            return
        body = body.removeprefix(_OPENING).removesuffix(_CLOSING)
        rest = _LEFT_TO_RIGHT.sub("", body)
        if "```" in rest or _DIVISION.search(rest):
            yield 'a command outside of <div dir="ltr"> and </div>: a narrow page would hide how it begins'
            return
        body = _DIVISION.sub("", body)
    quoted = _QUOTED.search(body)
    if not quoted or quoted[0] not in (f"{page.unreviewed}\n", f"{page.outdated}{page.unreviewed}\n"):
        yield f"below its title it has to say:\n{page.unreviewed}"
        return
    if quoted[0].startswith(page.outdated):
        return
    if head["id"] != english_id:
        yield f"{page.english} has changed: see git diff {head['id']} HEAD:{page.english}, and docs/translations.md"
        return
    found, needed = blocks(body.replace(quoted[0], "", 1)), blocks(english)
    for number, (there, block) in enumerate(zip(found, needed, strict=False), 1):
        if there.shape != block.shape:
            yield f"block {number} has another shape: {there.text[:50]!r} for {block.text[:50]!r}"
            return
        yield from (f"{fault}, in {there.lines[0][:50]!r}" for fault in check_block(page, there, block))
    if len(found) != len(needed):
        yield f"{len(found)} blocks instead of {len(needed)}"


def check(page: Page) -> list[str]:
    """The faults of a page."""
    if not (ROOT / page.path).is_file():
        return [f"{page.path}: not there: translate {page.english}, or write its English name into ENGLISH_ONLY"]
    faults = check_text(page, page.read(), page.read_english(), text_id(page.english))
    return [f"{page.path}: {fault}" for fault in faults]


def with_head(page: Page, text: str, *, is_current: bool) -> str:
    """The text of a page with its head as it has to be: made from the English text of now, or outdated."""
    quoted = f"{page.unreviewed}\n" if is_current else f"{page.outdated}{page.unreviewed}\n"
    if is_current:
        text = _HEAD.sub(f"<!-- {page.english} of {text_id(page.english)} -->\n\n", text, count=1)
    return _QUOTED.sub(lambda _: quoted, text, count=1)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--current", nargs="+", metavar="PAGE", default=[], help="these are made from the English")
    parser.add_argument("--outdated", action="store_true", help="pages whose English text changed say so")
    options = parser.parse_args(arguments)
    for page in pages():
        is_current = page.path in options.current
        if is_current or (options.outdated and text_id(page.english) not in page.read().partition("\n")[0]):
            (ROOT / page.path).write_text(with_head(page, page.read(), is_current=is_current), encoding="utf-8")
    faults = [fault for page in pages() for fault in check(page)]
    sys.stdout.write("".join(f"{fault}\n" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
