"""Checks the pages for people: python tests/project/docs_check.py [PAGE ...]. `make lint` runs it over every page.

A page is easy to edit when a change shows as one short line. So each sentence has a line of its own, and no cell of a
table is longer than 80 characters. What a page points to must be there: links, their headings, paths of this tree, and
targets of make.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

CELL = 80
"""Characters of the longest cell of a table."""

# A sentence ends with one of these (؟ is Arabic's), maybe inside brackets, quotes or emphasis, and the next one does
# not begin small, in any alphabet; Arabic's has no small letters. French has a blank before its closing quotes.
_CLOSING = r"""(?:[)"'”*_`\u2069]|\s?»)*"""
_END = re.compile(rf"(?<=[.!?؟]){_CLOSING}\s+(?=[^\s|»])")
_ABBREVIATIONS = ("e.g.", "i.e.", "et al.", "cf.", "vs.", "No.", "approx.", "Sect.")
_FENCE = re.compile(r"^\s*(```|~~~)")
_BULLET = re.compile(r"^\s*(?:[-*+]|\d+\.)\s+(?:\[[ x]\]\s+)?|^\s*>\s?")
_CODE = re.compile(r"`[^`]+`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_DOUBLED = re.compile(r"\b([^\W\d_]{2,})\s+\1\b", re.IGNORECASE)
# Unbroken lines of a paragraph end where a clause ends: at a sentence, or at a colon or semicolon.
_CLAUSE_END = re.compile(rf"[.!?:;…؟؛]{_CLOSING}$")
_HEADING = re.compile(r"^#{1,6}\s+(.*)$")

# The first folder of a path of this tree. Labels of docs/format.md begin with tipbox/ too.
_TOPS = ("client", "deploy", "docs", "keys", "templates", "tests", "tipbox")
_LABEL = re.compile(r"^tipbox/v\d")
_BUILT = ("client/dist", "client/node_modules")
_MAKE = re.compile(r"(?:^|&&|;)\s*make\s+([a-z][\w-]*)")
_TARGET = re.compile(r"^([a-z][\w-]*):(?!=)", re.MULTILINE)
# Words in capitals, dots and the like stand for any name: keys/NAME.json.
_PLACEHOLDER = re.compile(r"[A-Z]{2,}|[*…<>{}$]|^\W")


@dataclass(frozen=True)
class Fault:
    """One thing to put right: where, and what."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Line:
    """A line of prose: its number, from 1, its text, and its text with the inline code taken out."""

    number: int
    text: str

    @property
    def prose(self) -> str:
        return _CODE.sub("`x`", self.text)

    @property
    def begins(self) -> bool:
        """Whether it begins a paragraph or item, not goes on with one."""
        return bool(_BULLET.match(self.text)) or not self.text.strip() or self.is_row or self.is_heading

    @property
    def is_row(self) -> bool:
        return self.text.lstrip().startswith("|")

    @property
    def is_heading(self) -> bool:
        return self.text.startswith("#")


def sentences(text: str) -> list[str]:
    """The sentences of a line of prose, in order."""
    masked = _CODE.sub(lambda found: "`" + "x" * (len(found[0]) - 2) + "`", text)
    for abbreviation in _ABBREVIATIONS:
        masked = masked.replace(abbreviation, abbreviation[:-1] + "x")
    found, start = [], 0
    for end in _END.finditer(masked):
        if masked[end.end()].islower():
            continue
        found.append(text[start : end.end()].strip())
        start = end.end()
    return [*found, text[start:].strip()]


def prose(text: str) -> Iterator[Line]:
    """The lines outside fenced code and front matter; those inside as empty lines, since they end a paragraph."""
    lines = text.split("\n")
    front = lines.index("---", 1) if lines[0] == "---" else -1
    fenced = False
    for number, line in enumerate(lines, 1):
        fence = bool(_FENCE.match(line))
        if fence:
            fenced = not fenced
        yield Line(number, "" if fence or fenced or number <= front + 1 else line)


def check_lines(page: str, text: str) -> Iterator[Fault]:
    """One sentence to a line, no long cell, no word twice."""
    before = Line(0, "")
    for line in prose(text):
        if line.is_row:
            cells = re.split(r"(?<!\\)\|", line.text.strip().strip("|"))
            for cell in cells:
                if len(cell.strip()) > CELL:
                    yield Fault(page, line.number, f"a cell of {len(cell.strip())} characters, over {CELL}")
        elif not line.is_heading:
            body = _BULLET.sub("", line.text)
            if len(sentences(body)) > 1:
                yield Fault(page, line.number, f"more than one sentence: {sentences(body)[1][:40]}")
            goes_on = before.text.strip() and not before.is_row and not before.is_heading and not line.begins
            if goes_on and not _CLAUSE_END.search(before.prose.rstrip()):
                yield Fault(page, before.number, "broken within a clause")
        joined = line.prose if line.begins else f"{before.prose} {line.prose}"
        doubled = _DOUBLED.search(joined)
        if doubled and doubled.start() + len(doubled[0]) > len(joined) - len(line.prose):
            yield Fault(page, line.number, f"a word twice: {doubled[0]}")
        before = line


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    found: set[str] = set()
    for line in prose(text):
        heading = _HEADING.match(line.text)
        if heading:
            words = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading[1]).lower())
            found.add(words.replace(" ", "-"))
    return found


def check_links(page: str, text: str, root: Path = ROOT) -> Iterator[Fault]:
    """Relative links lead to a file, and to a heading where they name one."""
    for line in prose(text):
        for target in _LINK.findall(_CODE.sub("`x`", line.text)):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (root / page).parent / path if path else root / page
            if path and not file.exists():
                yield Fault(page, line.number, f"a dead link: {target}")
            elif anchor and file.suffix == ".md":
                there = file.read_text(encoding="utf-8") if path else text
                if anchor not in anchors(there):
                    yield Fault(page, line.number, f"no such heading: {target}")


def check_paths(page: str, text: str, root: Path = ROOT) -> Iterator[Fault]:
    """A path of this tree that is named in inline code is there."""
    for line in prose(text):
        for found in _CODE.findall(line.text):
            for word in found.strip("`").split():
                path = word.split("::")[0].strip("().,:;").rstrip("/")
                if "/" not in path or path.split("/")[0] not in _TOPS or _LABEL.match(path):
                    continue
                if _PLACEHOLDER.search(path) or path.startswith(_BUILT) or (root / path).exists():
                    continue
                yield Fault(page, line.number, f"not in the tree: {path}")


def code(text: str) -> Iterator[tuple[int, str]]:
    """Inline code, and the lines of fenced code, with the numbers of their lines, from 1."""
    fenced = False
    for number, line in enumerate(text.split("\n"), 1):
        if _FENCE.match(line):
            fenced = not fenced
        elif fenced:
            yield number, line
        else:
            yield from ((number, found.strip("`")) for found in _CODE.findall(line))


def check_targets(page: str, text: str, root: Path = ROOT) -> Iterator[Fault]:
    """What `make` is told to make is a target of the Makefile."""
    targets = set(_TARGET.findall((root / "Makefile").read_text(encoding="utf-8")))
    for number, found in code(text):
        yield from (
            Fault(page, number, f"no such target of make: {name}")
            for name in _MAKE.findall(found)
            if name not in targets
        )


def check_page(page: str, text: str, root: Path = ROOT) -> list[Fault]:
    """All faults of one page."""
    return [
        *check_lines(page, text),
        *check_links(page, text, root),
        *check_paths(page, text, root),
        *check_targets(page, text, root),
    ]


def all_pages() -> list[str]:
    """Every tracked or new Markdown page, relative to the root."""
    command = ("git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard", "--", "*.md")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted({page for page in done.stdout.split("\0") if page and (ROOT / page).exists()})


def main(arguments: list[str]) -> int:
    pages = arguments or all_pages()
    faults = [fault for page in pages for fault in check_page(page, (ROOT / page).read_text(encoding="utf-8"))]
    sys.stdout.write("".join(f"{fault}\n" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
