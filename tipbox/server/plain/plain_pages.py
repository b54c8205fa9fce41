"""The page of the form that needs no script: made for each request, in the looks of the sources' pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from flask import Response

from tipbox.server.uploads.carried import Fate, Taken
from tipbox.server.web.bodies import TYPES
from tipbox.server.web.pages import Pages

FOLDER: Final = "/plain"
"""Everything that the form needs lies below it."""
STYLE: Final = "style.css"
MOST_NAMED: Final = 100
"""Ranges of missing pieces that are named; of more it is said that there are more."""


class PlainPages:
    """Renders it."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self.languages = pages.languages
        self.language = pages.language

    def page(
        self,
        language: str,
        taken: Sequence[Taken] = (),
        refused: str = "",
        status: int = 200,
        *,
        handed_in: bool = False,
    ) -> Response:
        """The form, and what became of what came.

        Args:
            language: of the page.
            taken: the files that were read, in order.
            refused: a code, where it did not go on.
            status: of the answer.
            handed_in: whether sealed files were to be handed in: what came whole of them stays.
        """
        tips = {one.tip: one for one in taken if one.tip and one.fate in {Fate.HERE, Fate.DAMAGED}}
        text = self._pages.renderer.dynamic(
            "plain",
            language,
            switch=self._pages.renderer.switch(language, FOLDER),
            face=self._pages.face,
            home_path=f"{FOLDER}/{language}/",
            leave_path=f"{FOLDER}/leave",
            static=lambda name: f"{FOLDER}/{name}",
            send_path=f"{FOLDER}/{language}/",
            answers_path=f"{FOLDER}/{language}/answers",
            tips=[_tip(one, taken) for one in tips.values() if one.count or one.stored],
            files=[_file(number, one) for number, one in enumerate(taken, 1)],
            refused=refused,
            handed_in=handed_in,
        )
        return Response(text, status, content_type=TYPES[".html"])

    def style(self) -> Response:
        """The style of the sources' pages, with the colours of the site's face."""
        return self._pages.file(f"/static/{STYLE}")

    def leave(self) -> Response:
        """The page that says nothing."""
        return self._pages.file("/leave")


def _tip(one: Taken, taken: Sequence[Taken]) -> Mapping[str, Any]:
    files = ", ".join(str(number) for number, other in enumerate(taken, 1) if other.tip == one.tip)
    return {"count": one.count, "files": files, "stored": one.stored, "missing": _numbers(one)}


def _file(file: int, one: Taken) -> Mapping[str, Any]:
    number = None if one.number is None else one.number + 1
    return {"file": file, "fate": one.fate.value, "number": number, "count": one.count}


def _numbers(one: Taken) -> str:
    """Pieces as people count them: 2, 4-7."""
    named = [str(first + 1) if size == 1 else f"{first + 1}-{first + size}" for first, size in one.missing[:MOST_NAMED]]
    return ", ".join(named) + (", …" if len(one.missing) > MOST_NAMED else "")
