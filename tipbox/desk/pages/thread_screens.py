"""Thread and File: all that one source and this desk have said, answers, translations, and what is known of a file."""

from __future__ import annotations

from typing import Any, Final

from flask import jsonify, render_template, request
from flask.typing import ResponseReturnValue

from tipbox.desk import conversations, sentences, unsent
from tipbox.desk.desk_errors import Busy
from tipbox.desk.inbox import listing, marks
from tipbox.desk.inbox.marks import Translation
from tipbox.desk.inbox.tip_index import TipIndex
from tipbox.desk.joined import joined_tips
from tipbox.desk.pages.guard import ForDesk
from tipbox.desk.pages.inbox_screens import act_on, threads_named
from tipbox.desk.pages.page_texts import gettext
from tipbox.desk.pages.reply_words import NAMES, words_for
from tipbox.desk.pages.session import OpenDesk
from tipbox.desk.replies import queue_reply
from tipbox.desk.tips import find_tip_for_good
from tipbox.desk.vault.records import Thread
from tipbox.errors import InputRefused, NotFound
from tipbox.formats.base import days
from tipbox.formats.base.limits import HASH_SIZE, ID_SIZE

_NO_THREAD: Final = "opening a thread: this vault has none with this id"


def add_threads(for_desk: ForDesk) -> None:
    """Add these screens to the pages."""

    @for_desk("/thread")
    def thread(desk: OpenDesk) -> ResponseReturnValue:
        return thread_of(desk, _id("thread"))

    @for_desk("/thread/act")
    def thread_act(desk: OpenDesk) -> ResponseReturnValue:
        (chosen,) = threads_named()[:1]
        said = act_on(desk, [chosen])
        return thread_of(desk, chosen, said, read=request.form.get("act") != "unread")

    @for_desk("/thread/draft")
    def draft(desk: OpenDesk) -> ResponseReturnValue:
        before = request.form.get("draft", "")
        kept = unsent.keep_draft(
            desk.vault,
            _id("thread"),
            _words().encode(),
            before=_id("draft") if before else b"",
            today=days.today(),
        )
        return jsonify(draft=kept.hex())

    @for_desk("/thread/reply")
    def reply(desk: OpenDesk) -> ResponseReturnValue:
        found = find_tip_for_good(desk.vault, request.form.get("tip", ""))
        words = _words().encode()
        before = _id("draft") if request.form.get("draft") else b""
        with desk.writing() as vault:
            # The words that go are kept under their own key until they are sealed, and those before them are not.
            unsent.keep_draft(vault, found.thread, words, before=before, today=days.today())
            queue_reply(vault, found, words, [], today=days.today())
        return thread_of(
            desk, found.thread, gettext("Sealed. The next outbox carries it; until then it can be unsent.")
        )

    @for_desk("/thread/unsend")
    def unsend(desk: OpenDesk) -> ResponseReturnValue:
        with desk.writing() as vault:
            taken = unsent.take_back(vault, request.form.get("reply", ""))
        return thread_of(desk, taken.thread, gettext("Taken back. Its words are gone, and no outbox will carry it."))

    @for_desk("/thread/translation")
    def translation(desk: OpenDesk) -> ResponseReturnValue:
        with desk.writing() as vault:
            marks.translate(vault, _id("tip"), _words(), today=days.today())
        return jsonify(kept=True)


def _id(name: str) -> bytes:
    """An id that a request names: of a thread 16 bytes, of all else 32."""
    value = request.form.get(name, "")
    try:
        ident = bytes.fromhex(value)
    except ValueError:
        ident = b""
    if len(ident) not in {ID_SIZE, HASH_SIZE}:
        raise InputRefused("reading the request: this is no id")
    return ident


def _words() -> str:
    """What was typed, as it is kept: browsers send CRLF."""
    return request.form.get("text", "").replace("\r\n", "\n")


def thread_of(desk: OpenDesk, ident: bytes, said: str = "", *, read: bool = True) -> str:
    """The screen of a thread; its tips count as read from now on, unless an import keeps the vault.

    Raises:
        NotFound: there is none.
    """
    vault = desk.vault
    tips = joined_tips(vault, ident)
    if not tips:
        raise NotFound(_NO_THREAD)
    if read and any(tip.state == "new" for tip in tips):
        _mark_read(desk, ident)
    talk = conversations.thread_of(vault, desk.organisation, tips[-1].first)
    facts = {row["id"]: row for row in listing.rows(vault, desk.organisation, TipIndex.of(vault).tips(ident))}
    last = facts[tips[-1].id.hex()]
    drafts = unsent.drafts_of(vault, ident)
    language, words = words_for(last["language_named"], last["language"], *desk.organisation.languages)
    return render_template(
        "desk/thread.html",
        consent=sentences.consent(Thread.find(vault, ident), days.today()),
        draft=drafts[0] if drafts else None,
        more_drafts=drafts[1:],
        facts=facts,
        names=NAMES,
        person=desk.person,
        said=said,
        talk=talk,
        tip=tips[-1].id.hex(),
        translations=_translations(desk, talk),
        words=list(zip(NAMES, words, strict=True)),
        words_language=language,
    )


def _mark_read(desk: OpenDesk, ident: bytes) -> None:
    try:
        with desk.writing() as vault:
            conversations.mark_read(vault, joined_tips(vault, ident))
    except Busy:  # reading keeps no import waiting; it is marked the next time
        return


def _translations(desk: OpenDesk, talk: dict[str, Any]) -> dict[str, str]:
    """What is translated of the tips of a thread, by their ids."""
    found = (
        Translation.find(desk.vault, bytes.fromhex(said["id"])) for said in talk["messages"] if said["kind"] == "tip"
    )
    return {one.tip.hex(): one.text for one in found if one is not None}
