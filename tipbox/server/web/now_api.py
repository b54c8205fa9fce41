"""What changes from day to day, as one answer for everybody (docs/protocol.md, section 2.1).

Keys, whose mailboxes there may be, what was collected, prices. Pages ask for it by script, and so need not change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from flask import Blueprint, Response

from tipbox.formats.notice import Notice
from tipbox.server.bundles.collected import CollectedDays
from tipbox.server.storage.organisations import ManifestFile, Roster
from tipbox.server.web.bodies import TYPES, Body
from tipbox.server.web.pages import Pages
from tipbox.server.web.rates import Rates


class Now:
    """Makes the answer, again only when something of it has changed.

    Args:
        pages: name the organisations: of no other a manifest is given out.
        roster: the manifests in force.
        collected: up to when each organisation has collected, and who has replies here.
        toll: what ``GET /api/toll`` answers.
        today: the day, UTC.
        notices: gives what organisations say in their words just now; those of the day are given out.
    """

    def __init__(
        self,
        pages: Pages,
        roster: Roster,
        collected: CollectedDays,
        toll: Callable[[], Mapping[str, Any]],
        today: Callable[[], date],
        *,
        notices: Callable[[], Sequence[Notice]] = tuple,
    ) -> None:
        self._pages = pages
        self._roster = roster
        self._collected = collected
        self._notices = notices
        self._toll = toll
        self._today = today
        self._made_of: object = None
        self._body = Body.of(b"", TYPES[".json"])

    def body(self) -> Body:
        """The answer as it is now."""
        today = self._today()
        serving = [member for member in self._roster.serving(today) if self._pages.names(member.manifest)]
        ids = {member.manifest.id for member in serving}
        days, writers, toll = self._collected.days(), self._collected.writers(), self._toll()
        # Whoever comes for an answer asks for those of former organisations as well, while there are any.
        former = [
            member
            for member in self._roster.listed()
            if member.manifest.id in writers and member.manifest.id not in ids and self._pages.names(member.manifest)
        ]
        said = self._said(serving, today)
        made_of = (
            *(today, [member.data for member in serving], [member.data for member in former], days, writers, toll),
            said,
        )
        if made_of != self._made_of:
            value = {
                "collected": {
                    member.hex(): days[member].isoformat() if member in days else None for member in sorted(ids)
                },
                "former": [member.data.decode() for member in former],
                # With the keys of the day: each other one is half a second of a bad line.
                "manifests": [member.manifest.extract(today).encode().decode() for member in serving],
                "notices": [one.encode().decode() for one in said],
                # An answer outlives the manifest of who wrote it, on this server too.
                "named": [member.hex() for member in sorted(ids | writers)],
                "toll": toll,
            }
            data = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() + b"\n"
            self._made_of, self._body = made_of, Body.of(data, TYPES[".json"])
        return self._body

    def _said(self, serving: Sequence[ManifestFile], today: date) -> list[Notice]:
        """Notices of the day, of organisations whose manifests are given out, by a desk key that these name."""
        desks = {(member.manifest.id, member.manifest.desk) for member in serving}
        return [one for one in self._notices() if one.shows(today) and (one.organisation, one.desk) in desks]


def now_blueprint(now: Now, rates: Rates, per_minute: int) -> Blueprint:
    """The route."""
    blueprint = Blueprint("now", __name__, url_prefix="/api")

    @blueprint.get("/now")
    @rates.limit(per_minute)
    def get_now() -> Response:
        return now.body().response()

    return blueprint
