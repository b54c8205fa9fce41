"""The pages: bytes that are made once and are the same for everybody, whatever is asked for and by whom."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, redirect

from tipbox.formats.manifest import Manifest
from tipbox.formats.site_list import SiteEntry, SiteList
from tipbox.server.config import Limits
from tipbox.server.refusal import Refusal
from tipbox.server.served_files import ServedFiles
from tipbox.server.storage.organisations import ManifestFile, Roster
from tipbox.server.web.bodies import TYPES, Body
from tipbox.server.web.rates import Rates
from tipbox.server.web.rendered_site import SERVED_PATH, Renderer, Site


class Pages:
    """The site that is served: of the list that organisations signed, or of the manifests in force.

    Args:
        roster: the manifests in force.
        served: the list, if there is one, and files for WEBCAT.
        language: of the start page, where there is no list to say it.
    """

    def __init__(self, roster: Roster, served: ServedFiles, language: str) -> None:
        self._roster = roster
        self.renderer = Renderer()
        self.language = self.renderer.offered(language if served.site is None else served.site.language)
        self.face = None if served.site is None else served.site.face
        self._fixed = None if served.site is None else self.renderer.site(served.site)
        self._identities = None if served.site is None else {entry.identity for entry in served.site.entries}
        self._kept: tuple[list[ManifestFile], tuple[SiteEntry, ...], Site] | None = None
        self.languages = self.renderer.languages
        self.webcat = {name: Body.of(data, TYPES[".json"]) for name, data in served.webcat.items()}

    def site(self) -> Site:
        """What is served now. Without a list it is another one when an organisation comes, goes or changes its name."""
        if self._fixed is not None:
            return self._fixed
        listed = self._roster.listed()
        if self._kept is not None and self._kept[0] is listed:
            return self._kept[2]
        entries = tuple(SiteEntry.of(member.manifest) for member in listed)
        if self._kept is not None and self._kept[1] == entries:
            site = self._kept[2]
        else:
            site = self.renderer.site(SiteList.of(self.language, entries))
        self._kept = listed, entries, site
        return site

    def names(self, manifest: Manifest) -> bool:
        """Whether the pages list the organisation of a manifest that is in force: a page refuses every other."""
        return self._identities is None or manifest.identity in self._identities

    def file(self, path: str) -> Response:
        """A file of the site, by its path."""
        body = self.site().files.get(path)
        if body is None:
            raise Refusal("not-found")
        return body.response()

    def error(self, _refusal: Refusal, status: int) -> Response:
        """What answers every refusal."""
        return self.renderer.error.response(status)


def pages_blueprint(pages: Pages, roster: Roster, rates: Rates, limits: Limits) -> Blueprint:
    """The routes of section 2 of docs/protocol.md."""
    blueprint = Blueprint("pages", __name__)
    limited = rates.limit(limits.pages)
    # A page without its script says that scripts do not run: files must not run out before pages do.
    limited_file = rates.limit(limits.static)
    language = f"<any({', '.join(repr(language) for language in pages.languages)}):language>"

    @blueprint.get("/", defaults={"page": ""})
    @blueprint.get("/send", defaults={"page": "send"})
    @blueprint.get("/inbox", defaults={"page": "inbox"})
    @limited
    def lead(page: str) -> Response:
        return redirect(f"/{pages.language}/{page}", HTTPStatus.SEE_OTHER, Response)  # type: ignore[return-value]

    @blueprint.get(f"/{language}/", defaults={"page": ""})
    @blueprint.get(f"/{language}/send", defaults={"page": "send"})
    @blueprint.get(f"/{language}/inbox", defaults={"page": "inbox"})
    @limited
    def page(language: str, page: str) -> Response:
        return pages.file(f"/{language}/{page}")

    @blueprint.get("/leave")
    @limited
    def leave() -> Response:
        response = pages.file("/leave")
        response.headers["Clear-Site-Data"] = '"*"'
        return response

    @blueprint.get("/blank")
    @limited
    def blank() -> Response:
        return pages.file("/blank")

    @blueprint.get("/static/<name>")
    @limited_file
    def static_file(name: str) -> Response:
        return pages.file(f"/static/{name}")

    @blueprint.get("/.well-known/tipbox/<name>")
    @limited
    def well_known(name: str) -> Response:
        return pages.file(f"/.well-known/tipbox/{name}")

    @blueprint.get("/.well-known/webcat/<name>.json")
    @limited
    def webcat(name: str) -> Response:
        if name in pages.webcat:
            return pages.webcat[name].response()
        if name != "manifest":
            raise Refusal("not-found")
        return pages.file(SERVED_PATH)

    @blueprint.get("/keys/<name>.json")
    @limited
    def manifest(name: str) -> Response:
        found = next((member for member in roster.listed() if member.manifest.organisation == name), None)
        if found is None:
            raise Refusal("not-found")
        return Response(found.data, content_type=TYPES[".json"])

    return blueprint
