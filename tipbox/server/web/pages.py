"""The pages: the same bytes for every visitor of one path and language, made once and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from http import HTTPStatus
from pathlib import Path
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_babel import force_locale, gettext
from werkzeug.datastructures import LanguageAccept

from tipbox.formats import wordlists
from tipbox.resources import static_dir
from tipbox.server.bundles.collected import CollectedDays
from tipbox.server.config import Config, Limits
from tipbox.server.refusal import N_, Refusal
from tipbox.server.storage.organisations import ManifestFile, Roster
from tipbox.server.web.bodies import TYPES, Body, is_short
from tipbox.server.web.rates import Rates

MOST_READY: Final = 1024
"""Pages of errors that are kept: more than there are sentences and languages."""


class Pages:
    """Renders and keeps pages."""

    def __init__(
        self,
        roster: Roster,
        collected: CollectedDays,
        config: Config,
        languages: list[str],
        today: Callable[[], date],
    ) -> None:
        self.languages = languages
        self._roster = roster
        self._collected = collected
        self._config = config
        self._today = today
        self._kept: dict[tuple[str, str], tuple[object, Body]] = {}
        """Each page with what it was made from."""
        self._ready: dict[tuple[str, str], bytes] = {}
        """The pages that are made from nothing, and those of errors, by language and sentence."""

    def language(self, prefix: str | None) -> str:
        """The language of this request: the path's, or what the visitor accepts, or the configured one."""
        if prefix is not None:
            return prefix
        if not is_short("HTTP_ACCEPT_LANGUAGE"):
            return self.fallback
        accepted: LanguageAccept = request.accept_languages
        return accepted.best_match(self.languages) or self.fallback

    @property
    def fallback(self) -> str:
        """The language of those who ask for none that is here."""
        return self._config.server.language if self._config.server.language in self.languages else self.languages[0]

    def start(self, language: str, prefix: str | None) -> Response:
        """The start page, or 503 when no organisation has a valid key."""
        return self._page("start", language, prefix)

    def send(self, language: str, prefix: str | None) -> Response:
        """The page with the form."""
        return self._page("send", language, prefix)

    def inbox(self, language: str, prefix: str | None) -> Response:
        """The page that opens a mailbox."""
        return self._page("inbox", language, prefix)

    def _page(self, name: str, language: str, prefix: str | None) -> Response:
        serving = self._roster.serving(self._today())
        # Whoever comes for an answer asks for those of former organisations as well, while there are any.
        writers = self._collected.writers() if name == "inbox" else frozenset()
        named = [member for member in self._roster.listed() if member in serving or member.manifest.id in writers]
        # An answer outlives the manifest of who wrote it, on this server too.
        ids = sorted({member.manifest.id for member in named} | writers)
        if not ids:
            raise Refusal("unavailable", N_("No organisation has a valid key here just now; come back in some days."))
        collected = self._collected.days()
        stamp = [
            ids,
            [member.data for member in named],
            [(member.data, collected.get(member.manifest.id)) for member in serving],
        ]
        key = (name, f"{language}{prefix is not None}")
        kept_for, page = self._kept.get(key, (None, None))
        if page is None or kept_for != stamp:
            context = {
                "organisations": sorted(
                    (_organisation(member, language, collected.get(member.manifest.id)) for member in serving),
                    key=lambda entry: str(entry["name"]).casefold(),
                ),
                "manifests": [member.data.decode() for member in named],
                "named": [organisation_id.hex() for organisation_id in ids],
            }
            page = self._render(name, language, prefix, context)
            self._kept[key] = stamp, page
        response = page.response()
        if prefix is None:
            response.vary.add("Accept-Language")
        return response

    def _render(self, name: str, language: str, prefix: str | None, context: Mapping[str, object]) -> Body:
        with force_locale(language):
            titles = {"start": gettext("Start"), "send": gettext("Send a message"), "inbox": gettext("Messages")}
            body = render_template(f"source/{name}.html", **frame(language, prefix, titles[name]), **context)
        return Body.of(body.encode(), TYPES[".html"])

    def error(self, refusal: Refusal, status: int) -> Response:
        """A refusal as a page, in the visitor's language."""
        return self._made_once(refusal.message, status, self._error)

    def blank(self) -> Response:
        """Where leaving ends."""
        return self._made_once("", HTTPStatus.OK, self._blank)

    def _made_once(self, sentence: str, status: int, make: Callable[[str, str], str]) -> Response:
        """A page of few that there can be: sentences are the server's own."""
        language = self.language(None)
        body = self._ready.get((language, sentence))
        if body is None:
            with force_locale(language):
                body = make(language, sentence).encode()
            if len(self._ready) < MOST_READY:
                self._ready[language, sentence] = body
        response = Response(body, status, content_type=TYPES[".html"])
        response.vary.add("Accept-Language")
        return response

    @staticmethod
    def _error(language: str, sentence: str) -> str:
        heading = gettext("This did not work")
        return render_template(
            "source/error.html",
            **frame(language, None, heading),
            heading=heading,
            message=gettext(sentence),
            step=gettext("Close this tab if somebody can see it. Nothing was kept on this device."),
        )

    @staticmethod
    def _blank(language: str, _sentence: str) -> str:
        return render_template("source/leave.html", **frame(language, None, ""))


def frame(language: str, prefix: str | None, title: str) -> dict[str, object]:
    """What every template needs."""
    start = f"/{prefix}" if prefix is not None else ""
    return {
        "lang": language,
        "dir": Locale.parse(language, sep="-").text_direction,
        "title": title,
        "home_path": f"{start}/",
        "send_path": f"{start}/send",
        "inbox_path": f"{start}/inbox",
        "leave_path": "/leave",
        "static": lambda name: f"/static/{name}",
    }


def _organisation(listed: ManifestFile, language: str, collected: date | None) -> dict[str, object]:
    manifest = listed.manifest
    return {
        "name": manifest.name,
        "country": manifest.country,
        "country_name": _country(manifest.country, language),
        "id": manifest.id.hex(),
        "languages": list(manifest.languages),
        "collected": format_date(collected, "long", locale=Locale.parse(language, sep="-")) if collected else "",
    }


def _country(code: str, language: str) -> str:
    try:
        return str(Locale.parse(language, sep="-").territories.get(code, code))
    except (UnknownLocaleError, ValueError):
        return code


def load_static(folder: Path) -> dict[str, Body]:
    """The client's files, by name."""
    return {
        path.name: Body.of(path.read_bytes(), TYPES[path.suffix])
        for path in sorted(folder.iterdir())
        if path.suffix in TYPES
    }


def load_wordlists() -> dict[str, Body]:
    """The lists of words of access codes, by name; a page asks for one when it is needed."""
    return {f"words-{words.name}.txt": Body.of(words.encode(), TYPES[".txt"]) for words in wordlists.load_all()}


def pages_blueprint(pages: Pages, roster: Roster, rates: Rates, limits: Limits) -> Blueprint:
    """The routes of section 2 of docs/protocol.md."""
    blueprint = Blueprint("pages", __name__)
    limited = rates.limit(limits.pages)
    # A page without its script says that scripts do not run: files must not run out before pages do.
    limited_file = rates.limit(limits.static)
    static = load_static(static_dir()) | load_wordlists()
    in_language = f"<any({', '.join(repr(language) for language in pages.languages)}):prefix>"

    @blueprint.get("/", defaults={"prefix": None})
    @blueprint.get(f"/{in_language}/")
    @limited
    def start(prefix: str | None) -> Response:
        return pages.start(pages.language(prefix), prefix)

    @blueprint.get("/send", defaults={"prefix": None})
    @blueprint.get(f"/{in_language}/send")
    @limited
    def send(prefix: str | None) -> Response:
        return pages.send(pages.language(prefix), prefix)

    @blueprint.get("/inbox", defaults={"prefix": None})
    @blueprint.get(f"/{in_language}/inbox")
    @limited
    def inbox(prefix: str | None) -> Response:
        return pages.inbox(pages.language(prefix), prefix)

    @blueprint.get("/leave")
    @limited
    def leave() -> Response:
        response = redirect(url_for("pages.blank"), 303, Response)
        response.headers["Clear-Site-Data"] = '"*"'
        return response  # type: ignore[return-value]

    @blueprint.get("/blank")
    @limited
    def blank() -> Response:
        return pages.blank()

    @blueprint.get("/static/<name>")
    @limited_file
    def static_file(name: str) -> Response:
        if name not in static:
            raise Refusal("not-found")
        return static[name].response()

    @blueprint.get("/keys/<name>.json")
    @limited
    def manifest(name: str) -> Response:
        found = next((member for member in roster.listed() if member.manifest.organisation == name), None)
        if found is None:
            raise Refusal("not-found")
        return Response(found.data, content_type=TYPES[".json"])

    return blueprint
