"""Documents, letters and pages as their words. Nothing is drawn, loaded or run. Inside a sandbox only."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from email import message_from_binary_file, policy
from email.message import EmailMessage, Message
from html.parser import HTMLParser
from typing import BinaryIO
from xml.parsers import expat

from worker_seen import Seen, Stop

MOST_READ = 8 << 20
"""Bytes of a text or of one part of a document."""
MOST_MAIL = 64 << 20
MOST_PARTS = 200
MOST_SHEETS = 20
_PIECE = 1 << 16
_FORMULA = ("=", "+", "-", "@", "\t=")


def look(file: BinaryIO, seen: Seen) -> None:
    """The words of a document, and who says to have written it."""
    if seen.kind in {"docx", "xlsx", "odt"}:
        with zipfile.ZipFile(file) as archive:
            _packed(archive, seen)
    elif seen.kind == "mail":
        _mail(file, seen)
    elif seen.kind == "text":
        _text(file, seen)
    else:
        data = file.read(MOST_READ)
        words, active = _markup(_decoded(data))
        if active:
            seen.signs.add("script")
        if seen.sight:
            seen.say(words)
    if seen.sight and not seen.text.strip() and not seen.line:
        seen.line = "nothing"


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start > len(data) - 4:
            return data.decode("utf-8-sig", errors="ignore")
    return data.decode("cp1251", errors="replace")


def _text(file: BinaryIO, seen: Seen) -> None:
    data = file.read(MOST_READ)
    text = _decoded(data)
    lines = text.splitlines()
    seen.fact("lines", len(lines))
    if text.startswith(("[Desktop Entry]", "#!")) or "[InternetShortcut]" in text[:200]:
        seen.signs.add("program")
    cells = (
        cell.strip(' "')
        for line in lines[:5000]
        if "," in line or ";" in line
        for cell in line.replace(";", ",").split(",")
    )
    if any(cell.startswith("=") or (cell.startswith(("+", "-", "@")) and "(" in cell) for cell in cells):
        seen.signs.add("formula")
    if seen.sight:
        seen.say(text)


class _Words(HTMLParser):
    """The words between tags; what scripts and styles say is left out."""

    hidden = frozenset({"script", "style", "template", "noscript"})
    breaks = frozenset({"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "title", "text", "tspan", "table"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.active = False
        self._hidden = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.hidden:
            self._hidden = tag
        if tag in self.breaks:
            self.words.append("\n")
        self.active = (
            self.active
            or tag in {"script", "iframe", "object", "embed", "foreignobject", "form"}
            or any(name.startswith("on") or "script:" in (value or "").lower() for name, value in attrs)
        )

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = ""

    def handle_decl(self, decl: str) -> None:
        self.active = self.active or "entity" in decl.lower()

    def unknown_decl(self, data: str) -> None:
        """A section of a document type: nothing to show."""

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


def _markup(text: str) -> tuple[str, bool]:
    parser = _Words()
    parser.feed(text)
    parser.close()
    active = parser.active or "<!ENTITY" in text[:10_000]
    lines = (" ".join(line.split()) for line in "".join(parser.words).split("\n"))
    return "\n".join(line for line in lines if line), active


def _packed(archive: zipfile.ZipFile, seen: Seen) -> None:
    names = {info.filename: info for info in archive.infolist()}
    size = sum(info.file_size for info in names.values())
    if size > 10 << 20 and size > 100 * max(1, sum(info.compress_size for info in names.values())):
        seen.signs.add("bomb")
    if any("vbaproject" in name.lower() or "/activex" in name.lower() or name.startswith("Basic/") for name in names):
        seen.signs.add("script")
    if any("/embeddings/" in name.lower() or name.startswith("Object ") for name in names):
        seen.signs.add("carries")
    for part in ("docProps/core.xml", "docProps/app.xml", "meta.xml"):
        if part in names:
            for tag, words in _elements(archive, part):
                if tag in {
                    "creator",
                    "lastModifiedBy",
                    "created",
                    "modified",
                    "title",
                    "Company",
                    "Application",
                    "initial-creator",
                    "generator",
                    "date",
                    "creation-date",
                    "description",
                }:
                    seen.fact(tag, words)
    if not seen.sight:
        return
    if seen.kind == "docx":
        for part in ("word/document.xml", "word/footnotes.xml", "word/comments.xml"):
            if part in names:
                _paragraphs(archive, part, seen, breaks={"p", "br", "cr"}, tabs={"tab", "tc"}, only={"t", "delText"})
    elif seen.kind == "odt":
        _paragraphs(
            archive, "content.xml", seen, breaks={"p", "h", "line-break"}, tabs={"tab", "table-cell"}, only=None
        )
    else:
        _sheets(archive, names, seen)


def _events(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[str, str]]:
    """Start and end tags (without their namespaces) and words of a part; Stop when it declares entities."""
    found: list[tuple[str, str]] = []
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        raise Stop("too-large")

    parser.EntityDeclHandler = refuse
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda name, attributes: found.append(
        ("<", name.rpartition(" ")[2] + "\0" + str(attributes.get("t", "")))
    )
    parser.EndElementHandler = lambda name: found.append((">", name.rpartition(" ")[2]))
    parser.CharacterDataHandler = lambda words: found.append(("", words))
    read = 0
    with archive.open(part) as stream:
        while piece := stream.read(_PIECE):
            read += len(piece)
            if read > MOST_READ * 4:
                raise Stop("too-large")
            parser.Parse(piece, False)
            yield from found
            found.clear()
    parser.Parse(b"", True)
    yield from found


def _elements(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[str, str]]:
    words: list[str] = []
    for what, name in _events(archive, part):
        if what == "<":
            words.clear()
        elif what == ">":
            yield name, "".join(words)
            words.clear()
        else:
            words.append(name)


def _paragraphs(
    archive: zipfile.ZipFile, part: str, seen: Seen, *, breaks: set[str], tabs: set[str], only: set[str] | None
) -> None:
    inside: list[str] = []
    for what, name in _events(archive, part):
        tag = name.partition("\0")[0]
        if what == "<":
            inside.append(tag)
            if tag in {"script", "event-listener"}:
                seen.signs.add("script")
        elif what == ">":
            inside.pop()
            if tag in breaks:
                seen.say("\n")
            elif tag in tabs:
                seen.say("\t")
        elif only is None or (inside and inside[-1] in only):
            seen.say(name)
        if seen.full:
            seen.cut = True
            return


def _sheets(archive: zipfile.ZipFile, names: dict[str, zipfile.ZipInfo], seen: Seen) -> None:
    shared: list[str] = []
    if "xl/sharedStrings.xml" in names:
        words: list[str] = []
        for what, name in _events(archive, "xl/sharedStrings.xml"):
            if what == "":
                words.append(name)
            elif what == ">" and name == "si":
                shared.append("".join(words).strip())
                words.clear()
            if len(shared) >= 100_000:
                seen.cut = True
                break
    sheets = sorted(name for name in names if name.startswith("xl/worksheets/") and name.endswith(".xml"))
    for part in sheets[:MOST_SHEETS]:
        tag, kind, value = "", "", ""
        for what, name in _events(archive, part):
            if what == "<":
                tag, _, found = name.partition("\0")
                if tag == "c":
                    kind, value = found, ""
                elif tag == "f":
                    seen.signs.add("formula")
            elif what == "" and tag in {"v", "t"}:
                value += name
            elif what == ">":
                if name == "c":
                    if kind == "s" and value.isdigit() and len(value) < 7 and int(value) < len(shared):
                        value = shared[int(value)]
                    seen.say(value.strip() + "\t")
                elif name == "row":
                    seen.say("\n")
                tag = ""
            if seen.full:
                seen.cut = True
                return
        seen.say("\n")


def _mail(file: BinaryIO, seen: Seen) -> None:
    data = file.read(MOST_MAIL + 1)
    if len(data) > MOST_MAIL:
        raise Stop("too-large", seen)
    message = message_from_binary_file(io.BytesIO(data), policy=policy.default)
    for name in ("From", "To", "Cc", "Date", "Subject"):
        seen.fact(name.lower(), _header(message, name))
    parts = 0
    for part in message.walk():
        parts += 1
        if parts > MOST_PARTS:
            seen.cut = True
            break
        if part.is_multipart():
            continue
        called, kind = part.get_filename(), part.get_content_type()
        body = part.get_payload(decode=True)
        content = body if isinstance(body, bytes) else b""
        if called or not kind.startswith("text/"):
            seen.entry(str(called or kind), len(content), len(content))
            continue
        text = content.decode(_charset(part), errors="replace")
        if kind == "text/html":
            text, active = _markup(text)
            if active:
                seen.signs.add("script")
        if seen.sight:
            seen.say(text + "\n")


def _header(message: Message | EmailMessage, name: str) -> str:
    try:
        return str(message.get(name, ""))
    except Exception:  # the library trips over some headers; the letter is shown without it
        return ""


def _charset(part: Message | EmailMessage) -> str:
    name = part.get_content_charset() or "utf-8"
    try:
        "".encode(name)
    except (LookupError, ValueError, UnicodeError):
        return "utf-8"
    return name
