"""File: what it is and shows. It is opened in a sandbox only, and the browser decodes pictures that we made alone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from flask import Response, render_template, request
from flask.typing import ResponseReturnValue

from tipbox.desk import tips
from tipbox.desk.inbox import listing
from tipbox.desk.joined import JoinedTip, joined_tip
from tipbox.desk.pages.guard import ForDesk
from tipbox.desk.pages.page_texts import gettext
from tipbox.desk.pages.said_lines import PageRefused
from tipbox.desk.pages.session import OpenDesk, busy
from tipbox.desk.render import ladder
from tipbox.desk.render.ladder import Look
from tipbox.desk.render.look_lines import Line
from tipbox.desk.render.picture_png import png
from tipbox.desk.render.sealed_off import held
from tipbox.desk.render.take_out import note_look, take_out
from tipbox.errors import InputRefused

_DIGITS: Final = 5
"""Of the number of a file or a picture: no letter lists so many."""


def add_files(for_desk: ForDesk) -> None:
    """Add these screens to the pages."""
    seen: dict[str, Look] = {}
    """The last look; its pictures are asked for one by one."""

    @for_desk("/file")
    def file(desk: OpenDesk) -> ResponseReturnValue:
        return file_of(desk, *_named(desk))

    @for_desk("/file/look")
    def look(desk: OpenDesk) -> ResponseReturnValue:
        tip, number = _named(desk)
        with held(desk.vault, tip, number) as bytes_of_it:
            found = ladder.sight(bytes_of_it)
            words = ladder.words_in_pictures(bytes_of_it)[0] if request.form.get("words") else ""
        if Line.NO_SANDBOX not in found.lines:
            with desk.writing() as vault:
                note_look(vault, tip, number, "words" if words else "sight", found.answer.likeness)
        seen["last"] = found
        return file_of(desk, tip, number, found, words)

    @for_desk("/file/picture")
    def picture(_: OpenDesk) -> ResponseReturnValue:
        pictures = seen["last"].pictures if "last" in seen else ()
        index = request.form.get("index", "")
        if not (index.isascii() and index.isdigit() and len(index) <= _DIGITS and int(index) < len(pictures)):
            raise InputRefused("showing a picture: there is none")
        shown = pictures[int(index)]
        return Response(png(shown.width, shown.height, shown.pixels), mimetype="image/png")

    @for_desk("/file/take")
    def take(desk: OpenDesk) -> ResponseReturnValue:
        tip, number = _named(desk)
        folder = request.form.get("path", "").strip()
        if not folder.startswith("/"):
            raise PageRefused(gettext("taking a file out: name a folder, from / on"))
        with desk.vault.beside(desk.vault.path) as vault:
            path = take_out(vault, tip, number, Path(folder), request.form.get("reason", ""), waiting=busy)
        said = gettext("Wrote %(path)s. Open it on a machine that you can lose.") % {"path": path}
        return file_of(desk, tip, number, said=said)


def _named(desk: OpenDesk) -> tuple[JoinedTip, int]:
    """The tip and the number of its file, from 1, that a request names."""
    number = request.form.get("number", "")
    if not (number.isascii() and number.isdigit() and len(number) <= _DIGITS):
        raise InputRefused("opening a file: this is no number")
    return joined_tip(desk.vault, tips.find_tip(desk.vault, request.form.get("tip", ""))), int(number)


def file_of(
    desk: OpenDesk, tip: JoinedTip, number: int, look: Look | None = None, words: str = "", *, said: str = ""
) -> str:
    """The screen of a file.

    Raises:
        NotFound: there is no such file.
    """
    (row,) = listing.rows(desk.vault, desk.organisation, [tip.id])
    if not 1 <= number <= len(row["files"]):
        raise PageRefused(gettext("opening a file: this tip has none with this number"))
    return render_template(
        "desk/file.html",
        facts=row["kinds"][number - 1],
        file=row["files"][number - 1],
        look=look,
        number=number,
        row=row,
        said=said,
        words=words,
    )
