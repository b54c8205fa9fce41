"""The offline page: one HTML file that seals and opens without a network, made from a site list and key manifests.

The same release, list, manifests and languages give the same bytes everywhere: no day and no state goes in.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256
from typing import Any, Final

from babel import Locale
from babel.dates import format_date
from markupsafe import Markup

from tipbox.errors import IdentityChanged, InputRefused
from tipbox.formats import wordlists
from tipbox.formats.manifest import Manifest
from tipbox.formats.site_list import SiteEntry, SiteList
from tipbox.resources import SOURCE_LANGUAGE, static_dir
from tipbox.server.site_colours import style_of
from tipbox.server.web.headers import FIRST_STYLE
from tipbox.server.web.rendered_site import N_, Renderer

LARGEST: Final = 4 << 20
"""Bytes of a page with 32 organisations and six languages, and room to spare."""
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class OfflinePage:
    """A page.

    Attributes:
        data: its bytes.
        last_day: the last day on which it can seal to anybody.
        languages: those that it has, the one it opens in first.
        left_out: short names of organisations of the list that have no manifest among these.
    """

    data: bytes = field(repr=False)
    last_day: date
    languages: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """In hex, as everybody compares it."""
        return sha256(self.data).hexdigest()


def render_offline_page(
    listed: SiteList, manifests: Sequence[Manifest], languages: Sequence[str] | None = None
) -> OfflinePage:
    """The page of these organisations.

    Args:
        listed: the site list, whose identity keys the page carries.
        manifests: theirs.
        languages: the languages that it has; all by default, that of the list first.

    Raises:
        InputRefused: there are no pages in one of the languages, or the face's colours could not be read.
        IdentityChanged: a manifest is of nobody on the list.
    """
    return _OfflineRenderer().page(listed, manifests, languages)


def render_offline_template() -> bytes:
    """The page of nobody, which seals to nobody: what all pages of this release have in common, but for their data."""
    return _OfflineRenderer().template()


def last_day(manifest: Manifest) -> date:
    """The last day on which a manifest can be sealed to."""
    return min(manifest.end, max(key.end for key in manifest.keys)) - _DAY


class _OfflineRenderer(Renderer):
    def page(self, listed: SiteList, manifests: Sequence[Manifest], languages: Sequence[str] | None) -> OfflinePage:
        chosen = self._languages(listed, languages)
        by_identity = {manifest.identity: manifest for manifest in manifests}
        known = {entry.identity for entry in listed.entries}
        for manifest in manifests:
            if manifest.identity not in known:
                raise IdentityChanged(
                    f"making the offline page: the site list has no entry with the key that {manifest.organisation} "
                    "has in its manifest; compare the digits with the organisation, read aloud"
                )
        if not manifests:
            raise InputRefused("making the offline page: there is no manifest; name a folder of them with --keys")
        entries = [(entry, by_identity[entry.identity]) for entry in listed.entries if entry.identity in by_identity]
        left_out = tuple(entry.organisation for entry in listed.entries if entry.identity not in by_identity)
        end = max(last_day(manifest) for _, manifest in entries)
        return OfflinePage(self._data(listed, entries, chosen), end, tuple(chosen), left_out)

    def template(self) -> bytes:
        nobody = SiteList.of(SOURCE_LANGUAGE, [])
        return self._data(nobody, [], self._languages(nobody, None))

    def _data(self, listed: SiteList, entries: Sequence[tuple[SiteEntry, Manifest]], chosen: Sequence[str]) -> bytes:
        script = (static_dir() / "offline" / "offline.js").read_text(encoding="utf-8")
        style = FIRST_STYLE + "".join(
            (static_dir() / name).read_text(encoding="utf-8") for name in ("style.css", "offline/offline.css")
        )
        if listed.face is not None:
            style += style_of(listed.face, style)
        _must_stand_inline(script, style)
        screens = [self._screens(listed, entries, language, chosen) for language in chosen]
        page = self._environments[chosen[0]].get_template("offline/page.html")
        data = page.render(
            lang=chosen[0],
            dir=screens[0]["dir"],
            title=screens[0]["title"],
            policy=(
                f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
                "base-uri 'none'; form-action 'none'"
            ),
            style=Markup(style),  # noqa: S704 (a file of the build)
            script=Markup(script),  # noqa: S704 (the same)
            manifests=[manifest.encode().decode() for _, manifest in entries],
            lists=[{"name": one.name, "text": one.encode().decode()} for one in wordlists.load_all()],
            screens=screens,
        )
        return f"{data}\n".encode()

    def _languages(self, listed: SiteList, languages: Sequence[str] | None) -> list[str]:
        if not languages:
            first = self.offered(listed.language)
            return [first, *(one["lang"] for one in self.switch("") if one["lang"] != first)]
        for language in languages:
            if language not in self.languages:
                raise InputRefused(
                    f"making the offline page: there are no pages in {language}; choose of {', '.join(self.languages)}"
                )
        return list(dict.fromkeys(languages))

    def _screens(
        self, listed: SiteList, entries: Sequence[tuple[SiteEntry, Manifest]], language: str, languages: Sequence[str]
    ) -> dict[str, Any]:
        """One language: its screens, and what the frame says of it."""
        manifests = [manifest for _, manifest in entries]
        title = self._say(language, N_("Messages"))
        organisations = self._organisations(
            (entry for entry, _ in entries),
            language,
            {entry.id.hex(): {"last_day": _written(last_day(manifest), language)} for entry, manifest in entries},
        )
        frame = self._frame(language, title)
        content = (
            self._environments[language]
            .get_template("offline/screens.html")
            .render(
                **frame | {"face": listed.face},
                organisations=organisations,
                last_day=_written(max(map(last_day, manifests), default=None), language),
                keys_day=_written(max((manifest.start for manifest in manifests), default=None), language),
                switch=[one for one in self.switch(language) if one["lang"] in languages] if len(languages) > 1 else [],
            )
        )
        # Rendered with escaping already.
        return {"lang": language, "dir": frame["dir"], "title": title, "content": Markup(content)}  # noqa: S704


def _written(day: date | None, language: str) -> str:
    """A day; a page of nobody has none."""
    if day is None:
        return "–"  # noqa: RUF001 (a dash)
    return format_date(day, "long", locale=Locale.parse(language, sep="-"))


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _must_stand_inline(script: str, style: str) -> None:
    """What stands in a page must not end its own element; the build is at fault, not the operator."""
    for text in (script, style):
        if any(end in text.lower() for end in ("</script", "</style", "<!--")):
            raise InputRefused("making the offline page: the built client cannot stand in a page; build it again")
