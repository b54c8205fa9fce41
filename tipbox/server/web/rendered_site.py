"""The site: every byte that is answered as a page, script, style or list, rendered once from a site list.

Nothing of a visitor, a day or a server's state goes in, so the same release and the same list give the same bytes
everywhere; their hashes are served with them (docs/protocol.md, section 2.2; docs/releases.md, section 3).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.lists import format_list
from babel.support import NullTranslations, Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tipbox import __version__
from tipbox.errors import Usage
from tipbox.files.durable import fsync_folder, write_file
from tipbox.formats import wordlists
from tipbox.formats.base import canonical, fields
from tipbox.formats.base.limits import VERSION
from tipbox.formats.site_list import SiteEntry, SiteList
from tipbox.release.served_list import FALLBACK, ServedList
from tipbox.resources import SOURCE_LANGUAGE, available_languages, locale_dir, static_dir, templates_dir
from tipbox.server.site_colours import style_of
from tipbox.server.web.bodies import TYPES, Body
from tipbox.server.web.headers import FIRST_STYLE, HEADERS, PAGE_HEADERS


def N_(sentence: str) -> str:  # noqa: N802 (the name that extractors look for)
    """Mark a sentence for translators where no language is known yet."""
    return sentence


_DOMAIN: Final = "tipbox"
_WELL_KNOWN: Final = "/.well-known/tipbox"
SITE_PATH: Final = f"{_WELL_KNOWN}/site.json"
FILES_PATH: Final = f"{_WELL_KNOWN}/files.json"
SERVED_PATH: Final = f"{_WELL_KNOWN}/served.json"
_STYLE: Final = "/static/style.css"
_PLACES: Final = ("", "send", "inbox")
"""Below a language's folder: one document at each, which opens at the screen that the address names."""
_UNKNOWN_TO_CHROMIUM: Final = frozenset({"kk"})
_EMPTY_LINES: Final = re.compile(r"\n\s*\n")
"""Of templates: nobody reads them in the source, and each costs a byte on a bad line."""
_MANY: Final = 1_000_000
_UNLIKE: Final = 110
"""Among the numbers up to it, and that one, are all categories of all languages."""
_OWN_NAMES: Final[Mapping[str, str]] = {
    "kk": "Қазақша", "ru": "Русский", "en": "English", "fr": "Français", "es": "Español", "ar": "العربية",
}  # fmt: skip


@dataclass(frozen=True)
class Site:
    """What is served.

    Attributes:
        files: bodies by path, the list of their hashes among them.
        error: what answers whatever is not JSON and not among the files.
        language: whose pages the paths without a language lead to.
    """

    files: Mapping[str, Body] = field(repr=False)
    error: Body = field(repr=False)
    language: str

    def write(self, out: Path) -> None:
        """Write every file below ``out``, which is made or must be empty; ``…/`` becomes ``…/index.html``.

        Raises:
            Usage: there is something in it.
        """
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise Usage(f"writing {out}: there is something in it; name an empty folder with --out")
        folders = {out}
        for path, body in {**self.files, FALLBACK: self.error}.items():
            place = out / f"{path}index.html".lstrip("/") if path.endswith("/") else out / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            write_file(place, body.plain, 0o644)
            folders |= {parent for parent in place.parents if out in {parent, *parent.parents}}
        for folder in folders:
            fsync_folder(folder)


def render_site(listed: SiteList) -> Site:
    """Everything that a server with this list serves.

    Raises:
        InputRefused: the colours of its face could not be read on the pages.
    """
    return Renderer().site(listed)


class Renderer:
    """Renders sites, with what does not depend on their lists made once."""

    def __init__(self) -> None:
        self.languages = available_languages()
        self._said = {
            language: Translations.load(locale_dir(), [language.replace("-", "_")], _DOMAIN)
            for language in self.languages
        }
        self._environments = {language: _environment(said, language) for language, said in self._said.items()}
        self._assets = {f"/static/{name}": body for name, body in (_static() | _wordlists()).items()}
        self.error = _page(self._error())

    def site(self, listed: SiteList) -> Site:
        """The site of a list.

        Raises:
            InputRefused: the colours of its face could not be read on the pages.
        """
        default = self.offered(listed.language)
        files = {**self._assets, SITE_PATH: Body.of(listed.encode(), TYPES[".json"])}
        if listed.face is not None:
            style = self._assets[_STYLE].plain.decode()
            files[_STYLE] = Body.of((style + style_of(listed.face, FIRST_STYLE + style)).encode(), TYPES[".css"])
        pages = {language: self._page(listed, language).encode() for language in self.languages}
        for language, page in Body.of_one_size(pages, TYPES[".html"]).items():
            files |= {f"/{language}/{place}": page for place in _PLACES}
        files["/leave"] = files["/blank"] = _page(self._render("leave", default, ""))
        bodies = {path: (body.plain, body.content_type) for path, body in {**files, FALLBACK: self.error}.items()}
        files[SERVED_PATH] = Body.of(ServedList.of(__version__, HEADERS, bodies).encode(), TYPES[".json"])
        files[FILES_PATH] = Body.of(self._list(files, default), TYPES[".json"])
        return Site(files, self.error, default)

    def dynamic(self, template: str, language: str, **context: Any) -> str:
        """A page that is made for a request: it is on no list, and has no place on a host whose files are verified."""
        return self._render(template, language, self._say(language, N_("Messages")), **context)

    def offered(self, language: str) -> str:
        """``language`` when there are pages in it, else English."""
        return language if language in self.languages else SOURCE_LANGUAGE

    def _list(self, files: Mapping[str, Body], language: str) -> bytes:
        """What a verifier compares: SHA-256 of each body by path, of what answers errors, and the headers."""
        value: dict[str, canonical.Json] = {
            "error": _hash(self.error),
            "files": {path: _hash(body) for path, body in files.items()},
            "headers": dict(HEADERS),
            "kind": "files",
            "language": language,
            "page_headers": dict(PAGE_HEADERS),
            "release": __version__,
            "version": VERSION,
        }
        return canonical.encode(value, file_form=True)

    def _page(self, listed: SiteList, language: str) -> str:
        return self._render(
            "start",
            language,
            self._say(language, N_("Messages")),
            switch=self.switch(language) if len(self.languages) > 1 else [],
            organisations=self._organisations(listed.entries, language),
            face=listed.face,
        )

    @staticmethod
    def _organisations(
        entries: Iterable[SiteEntry], language: str, more: Mapping[str, Mapping[str, str]] | None = None
    ) -> list[dict[str, str]]:
        """Organisations as a page lists them, by name; ``more``: what else is said of each, by its id in hex."""
        named = [_named(entry, language) for entry in entries]
        return sorted((one | dict((more or {}).get(one["id"], {})) for one in named), key=_by_name)

    @staticmethod
    def _frame(language: str, title: str) -> dict[str, object]:
        return _frame(language, title)

    def _error(self) -> str:
        """One page for every path and status: in all languages one under another, for it knows nobody's."""
        said = [
            {
                "lang": language,
                "dir": _direction(language),
                "heading": self._say(language, N_("This did not work")),
                "message": self._say(
                    language,
                    N_(
                        "There may be no such page, or too much is going on just now. Wait a minute and try again. "
                        "If you read this once more, come back another day."
                    ),
                ),
                "step": self._say(
                    language, N_("Close this tab if somebody can see it. This page keeps nothing on this device.")
                ),
                "start": self._say(language, N_("Go to the start page")),
            }
            for language in self.languages
        ]
        return self._render("error", SOURCE_LANGUAGE, self._say(SOURCE_LANGUAGE, N_("This did not work")), said=said)

    def switch(self, language: str, below: str = "") -> list[dict[str, str]]:
        """The page in each language, under the name that its readers call it by; ``below``: this folder."""
        return [
            {"lang": one, "name": _own_name(one), "path": "" if one == language else f"{below}/{one}/"}
            for one in sorted(self.languages, key=_rank)
        ]

    def _say(self, language: str, sentence: str) -> str:
        return self._said[language].gettext(sentence)

    def _render(self, template: str, language: str, title: str, **context: Any) -> str:
        environment = self._environments[language]
        values = {**_frame(language, title), **context}
        return _EMPTY_LINES.sub("\n", environment.get_template(f"source/{template}.html").render(**values))


def _environment(said: NullTranslations, language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(templates_dir()),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(said, newstyle=True)  # type: ignore[attr-defined]
    environment.globals["counted"] = _counted(said, language)
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "sort_keys": True}
    return environment


def _counted(said: NullTranslations, language: str) -> Callable[[str, str], dict[str, str]]:
    """What says a message in its forms, by the category that a browser finds for a number; ``other``: of all others."""
    category = Locale.parse(language, sep="-").plural_form
    # Of each the smallest number: by it gettext finds its form.
    numbers = {category(number): number for number in (_MANY, *range(_UNLIKE, -1, -1))}

    def counted(one: str, more: str) -> dict[str, str]:
        forms = {name: said.ngettext(one, more, number) for name, number in numbers.items()}
        other = forms.setdefault("other", said.ngettext(one, more, _UNLIKE))
        return {name: form for name, form in forms.items() if name == "other" or form != other}

    return counted


def _months(language: str) -> str:
    """The months as a day names them, in a language that Chromium does not know."""
    if language not in _UNKNOWN_TO_CHROMIUM:
        return ""
    named = [format_date(date(2000, month, 1), "d MMMM", language.replace("-", "_")) for month in range(1, 13)]
    return "|".join(one.partition(" ")[2] for one in named)


def _frame(language: str, title: str) -> dict[str, object]:
    """What every template needs."""
    return {
        "lang": language,
        "dir": _direction(language),
        "title": title,
        "home_path": f"/{language}/",
        "leave_path": "/leave",
        "months": _months(language),
        "static": lambda name: f"/static/{name}",
        "first_style": Markup(FIRST_STYLE),  # noqa: S704 (a file of the build)
        "face": None,
    }


def _direction(language: str) -> str:
    return Locale.parse(language, sep="-").text_direction


def _own_name(language: str) -> str:
    return _OWN_NAMES.get(language) or Locale.parse(language, sep="-").get_display_name(language) or language


def _rank(language: str) -> tuple[int, str]:
    """Those of the people this was begun for come first, here and for every reader."""
    names = list(_OWN_NAMES)
    return names.index(language) if language in names else len(names), language


def _named(entry: SiteEntry, language: str) -> dict[str, str]:
    own = next((tag for tag in (language, *entry.languages, *entry.about) if tag in entry.about), "")
    return {
        "name": entry.name,
        "id": entry.id.hex(),
        "identity": fields.to_base64(entry.identity),
        "country": _country(entry.country, language),
        "languages": _list([_language(tag, language) for tag in entry.languages], language),
        "about": entry.about.get(own, ""),
        "about_in": "" if own == language else own,
    }


def _by_name(organisation: Mapping[str, str]) -> tuple[str, str]:
    return organisation["name"].casefold(), organisation["id"]


def _country(code: str, language: str) -> str:
    try:
        return str(Locale.parse(language, sep="-").territories.get(code, code))
    except (UnknownLocaleError, ValueError):
        return code


def _language(tag: str, language: str) -> str:
    """The name of a language in another one, or its tag where nobody has named it."""
    try:
        return Locale.parse(tag, sep="-").get_display_name(language.replace("-", "_")) or tag
    except (UnknownLocaleError, ValueError):
        return tag


def _list(names: Sequence[str], language: str) -> str:
    """Names one after the other, as the language does it where that is known."""
    try:
        return format_list(names, locale=language.replace("-", "_"))
    except KeyError:  # Babel has not heard it from everybody: Kazakh
        return ", ".join(names)


def _hash(body: Body) -> str:
    return sha256(body.plain).hexdigest()


def _page(text: str) -> Body:
    return Body.of(text.encode(), TYPES[".html"])


def _static() -> dict[str, Body]:
    """The client's files, by name."""
    return {
        path.name: Body.of(path.read_bytes(), TYPES[path.suffix], _packed(path))
        for path in sorted(static_dir().iterdir())
        if path.suffix in TYPES and path.name != "first.css"  # it stands in the pages
    }


def _packed(path: Path) -> bytes:
    """What the build has packed of a file, better than there is time for here; empty without it."""
    packed = path.with_name(f"{path.name}.gz")
    return packed.read_bytes() if packed.is_file() else b""


def _wordlists() -> dict[str, Body]:
    """The lists of words of access codes, by name; a page asks for one when it is needed."""
    return {f"words-{words.name}.txt": Body.of(words.encode(), TYPES[".txt"]) for words in wordlists.load_all()}
