"""What the pages say, in the language of the desk, and how they show what a source wrote."""

from __future__ import annotations

import gettext as standard_gettext
import re
from datetime import date
from typing import Final

from flask import Flask

from tipbox.files.printable import is_printable
from tipbox.formats.base import days
from tipbox.resources import SOURCE_LANGUAGE, locale_dir

DOMAIN: Final = "desk"
_BLANKS: Final = frozenset("\t\n")
_JOINERS: Final = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
_APART, _TOGETHER = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
MARKS: Final = {
    "jpeg": "▣", "png": "▣", "gif": "▣", "tiff": "▣", "webp": "▣", "heic": "▣", "avif": "▣",
    "mp4": "▶", "mov": "▶", "matroska": "▶", "avi": "▶",
    "mp3": "♪", "ogg": "♪", "wav": "♪", "flac": "♪", "m4a": "♪", "amr": "♪",
    "pdf": "▤", "text": "▤", "html": "▤", "xml": "▤", "rtf": "▤", "ole": "▤",
    "zip": "▦", "rar": "▦", "7z": "▦", "gzip": "▦", "tar": "▦", "bzip2": "▦", "xz": "▦", "zstd": "▦",
    "windows-program": "⚠", "linux-program": "⚠", "windows-link": "⚠", "linux-link": "⚠", "script": "⚠",
}  # fmt: skip
"""A mark for each kind of file; the kind stands beside it, so nothing is said by the mark alone."""


class _Texts:
    """The catalogue in use: a process shows its pages in one language."""

    found: standard_gettext.NullTranslations = standard_gettext.NullTranslations()


def gettext(text: str) -> str:
    """A sentence in the language of the pages."""
    return _Texts.found.gettext(text)


def in_english() -> bool:
    """Whether what the desk says elsewhere is in the language of the pages already."""
    return type(_Texts.found) is standard_gettext.NullTranslations


def apart(value: object) -> str:
    """A day, a path or digits within a sentence: in Arabic they would else run the other way."""
    return f"{_APART}{value}{_TOGETHER}"


def ngettext(one: str, many: str, count: int) -> str:
    """A sentence about so many."""
    return _Texts.found.ngettext(one, many, count)


def shown(text: str) -> str:
    """What a source wrote, whole: lines stay, and what does more than show itself becomes U+FFFD, as in a terminal.

    Unlike there, a joiner within a word stays: Persian is not spelt without them, and pictures of people fall apart.
    """
    said = []
    joins = False
    for character in text.replace("\r\n", "\n"):
        is_shown = character in _BLANKS or is_printable(character)
        said.append(character if is_shown or (joins and character in _JOINERS) else "\N{REPLACEMENT CHARACTER}")
        joins = is_shown and not character.isspace()
    return "".join(said)


def shown_line(text: str) -> str:
    """A line that the desk made itself: as ``shown``, but that what it has put apart stays so."""
    pieces = re.split(f"([{_APART}{_TOGETHER}])", text)
    return "".join(piece if piece in {_APART, _TOGETHER} else shown(piece) for piece in pieces)


def size(count: int) -> str:
    """Bytes, as people say them."""
    for unit, name in ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"


def languages_of(wanted: str) -> list[str]:
    """The catalogues to look for: ``ru`` for ``ru_RU.UTF-8``."""
    name = wanted.partition(".")[0].partition("@")[0]
    return [name, name.partition("_")[0]] if name else []


def install_texts(app: Flask, language: str) -> None:
    """Give the templates their sentences and filters."""
    found = _Texts.found = standard_gettext.translation(DOMAIN, locale_dir(), languages_of(language), fallback=True)
    env = app.jinja_env
    env.add_extension("jinja2.ext.i18n")
    env.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]
    env.filters |= {
        "apart": apart,
        "shown": shown,
        "shown_line": shown_line,
        "size": lambda count: apart(size(count)),
        "mark": lambda kind: MARKS.get(kind, "□"),
    }
    env.globals |= {
        "lang": str(found.info().get("language", SOURCE_LANGUAGE)) or SOURCE_LANGUAGE,
        "today": lambda: days.today().isoformat(),
        "how_old": how_old,
    }
    env.trim_blocks = env.lstrip_blocks = True


def how_old(day: date | None) -> str:
    """How long ago a day was."""
    if day is None:
        return gettext("never")
    ago = (days.today() - day).days
    return gettext("today") if ago <= 0 else ngettext("%(num)d day ago", "%(num)d days ago", ago) % {"num": ago}
