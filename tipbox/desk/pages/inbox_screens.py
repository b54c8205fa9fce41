"""Inbox, and Same and alike: threads in rows, found and sorted, and acts on many of them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import render_template, request
from flask.typing import ResponseReturnValue

from tipbox.desk import conversations
from tipbox.desk.inbox import marks, threads
from tipbox.desk.pages.guard import ForDesk
from tipbox.desk.pages.jobs import Job
from tipbox.desk.pages.page_texts import gettext, ngettext
from tipbox.desk.pages.said_lines import PageRefused
from tipbox.desk.pages.session import OpenDesk, Session
from tipbox.desk.pages.stick_screens import sticks
from tipbox.desk.people import everybody
from tipbox.errors import InputRefused
from tipbox.formats.base import days
from tipbox.formats.base.limits import ID_SIZE

PAGE: Final = 50
"""Rows of a page."""
FOUND: Final = 500
"""Rows of a search: so many that all that were found can be marked at once."""
GROUPS: Final = 200
MAX_SELECTED: Final = 10_000
_DIGITS: Final = 9
"""Of the number of a page."""


def threads_named() -> list[bytes]:
    """The threads that a request names.

    Raises:
        InputRefused: there are none, too many, or it names something else.
    """
    named = request.form.getlist("thread")
    if not named:
        raise PageRefused(gettext("changing threads: none is chosen"))
    if len(named) > MAX_SELECTED or any(len(one) != 2 * ID_SIZE for one in named):
        raise InputRefused("changing threads: these are none")
    try:
        return [bytes.fromhex(one) for one in named]
    except ValueError:
        raise InputRefused("changing threads: these are none") from None


def inbox_of(desk: OpenDesk, said: str = "") -> str:
    """The inbox as the request asks for it: a view and a page of it, or what a search finds."""
    form = request.form
    view, query = form.get("view", "new"), form.get("query", "").strip()
    named = form.get("page", "0")
    page = int(named) if named.isascii() and named.isdigit() and len(named) <= _DIGITS else 0
    if view not in threads.VIEWS:
        raise InputRefused("listing: there is no such view")
    counts = threads.count_threads(desk.vault, desk.person)
    if query:
        rows = threads.search_threads(desk.vault, desk.organisation, query, limit=FOUND)
        total = len(rows)
    else:
        total = counts[view]
        page = min(page, max(0, (total - 1) // PAGE))
        rows = threads.list_threads(desk.vault, desk.organisation, view, desk.person, limit=PAGE, offset=page * PAGE)
    return render_template(
        "desk/inbox.html",
        counts=counts,
        page=page,
        pages=1 if query else max(1, -(-total // PAGE)),
        persons=dict.fromkeys([one.name for one in everybody(desk.vault)] + threads.persons(desk.vault)),
        person=desk.person,
        query=query,
        rows=rows,
        said=said,
        total=total,
        view=view,
        views=threads.VIEWS,
    )


def act_on(desk: OpenDesk, chosen: list[bytes]) -> str:
    """Do to threads what the request asks for; what to say of it.

    Raises:
        InputRefused: there is no such act.
    """
    act, text = request.form.get("act", ""), request.form.get("text", "")
    tags = [word for word in text.split(",") if word.strip()]
    with desk.writing() as vault:
        acts: dict[str, Callable[[], int]] = {
            "spam": lambda: marks.spam(vault, chosen, is_spam=True),
            "no-spam": lambda: marks.spam(vault, chosen, is_spam=False),
            "close": lambda: conversations.close(vault, *chosen),
            "unread": lambda: marks.unread(vault, chosen),
            "tag": lambda: marks.tag(vault, chosen, tags),
            "untag": lambda: marks.tag(vault, chosen, (), tags),
            "assign": lambda: marks.assign(vault, chosen, text),
            "note": lambda: marks.add_note(vault, chosen, text, today=days.today()),
        }
        if act not in acts:
            raise InputRefused("changing threads: there is no such act")
        changed = acts[act]()
    if not changed:
        return gettext("Nothing had to be changed.")
    return ngettext("%(num)d changed.", "%(num)d changed.", changed) % {"num": changed}


def add_inbox(for_desk: ForDesk, session: Session) -> None:
    """Add these screens to the pages."""

    @for_desk("/inbox")
    def inbox(desk: OpenDesk) -> ResponseReturnValue:
        return inbox_of(desk)

    @for_desk("/inbox/act")
    def inbox_act(desk: OpenDesk) -> ResponseReturnValue:
        return inbox_of(desk, act_on(desk, threads_named()))

    @for_desk("/same")
    def same(desk: OpenDesk) -> ResponseReturnValue:
        return same_of(desk, session.job)

    @for_desk("/same/act")
    def same_act(desk: OpenDesk) -> ResponseReturnValue:
        return same_of(desk, session.job, act_on(desk, threads_named()))


def same_of(desk: OpenDesk, job: Job | None, said: str = "") -> str:
    """The groups of what says the same, and of what has pictures that are alike."""
    return render_template(
        "desk/same.html",
        alike=threads.alike_groups(desk.vault, desk.organisation, limit=GROUPS),
        groups=threads.same_groups(desk.vault, desk.organisation, limit=GROUPS),
        job=job,
        said=said,
        sticks=sticks(),
    )
