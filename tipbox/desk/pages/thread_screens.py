"""Thread and File: all that one source and this desk have said, answers, translations, and what is known of a file."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from flask import jsonify, render_template, request
from flask.typing import ResponseReturnValue

from tipbox.desk import conversations, unsent
from tipbox.desk.desk_errors import Busy
from tipbox.desk.forget import forget as forget_tip
from tipbox.desk.inbox import listing, marks
from tipbox.desk.inbox.marks import Translation
from tipbox.desk.inbox.reply_words import NAMES, words_for
from tipbox.desk.inbox.tip_index import TipIndex
from tipbox.desk.joined import joined_tips
from tipbox.desk.keys.ceremony import find_stick
from tipbox.desk.keys.identity_file import identity_path
from tipbox.desk.marked import N_
from tipbox.desk.pages import said_lines
from tipbox.desk.pages.guard import ForDesk
from tipbox.desk.pages.inbox_screens import act_on, inbox_of, threads_named
from tipbox.desk.pages.page_texts import gettext
from tipbox.desk.pages.said_lines import PageRefused
from tipbox.desk.pages.session import OpenDesk
from tipbox.desk.replies import queue_reply
from tipbox.desk.tips import find_tip_for_good
from tipbox.desk.vault.records import Draft, Thread, TipFile
from tipbox.errors import InputRefused
from tipbox.files.attachments import measure
from tipbox.formats.base import days
from tipbox.formats.base.limits import HASH_SIZE, ID_SIZE

_NO_THREAD: Final = N_("opening a thread: this vault has none with this id")


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

    @for_desk("/thread/attach")
    def attach(desk: OpenDesk) -> ResponseReturnValue:
        named = request.form.get("path", "").strip()
        if not named.startswith("/"):
            raise PageRefused(gettext("attaching a file: name it by its whole path, from / on"))
        (made,) = measure([Path(named)])
        if _is_secret(desk, Path(named)):
            raise PageRefused(gettext("attaching a file: this one is part of the vault or of its keys"))
        file = TipFile(made.entry.name, made.entry.size, made.entry.type)
        return _with_files(desk, [*_files(_draft(desk)), (file, named)], gettext("Attached."))

    @for_desk("/thread/detach")
    def detach(desk: OpenDesk) -> ResponseReturnValue:
        number = request.form.get("number", "")
        rest = [one for index, one in enumerate(_files(_draft(desk))) if str(index) != number]
        return _with_files(desk, rest, gettext("Taken from the answer."))

    @for_desk("/thread/reply")
    def reply(desk: OpenDesk) -> ResponseReturnValue:
        found = find_tip_for_good(desk.vault, request.form.get("tip", ""))
        words = _words().encode()
        kept = _draft(desk)
        if kept is None and request.form.get("draft"):
            raise PageRefused(gettext("answering: these words were sealed already, or taken away; look at the thread"))
        attached = measure([Path(path) for _, path in _files(kept)])
        measured = [(one.entry.name, one.entry.size) for one in attached]
        if measured != [(file.name, file.size) for file, _ in _files(kept)]:
            raise PageRefused(gettext("answering: an attached file was changed; take it away and attach it again"))
        with desk.writing() as vault:
            # The words that go are kept under their own key until they are sealed, and those before them are not.
            before = b"" if kept is None else kept.key
            unsent.keep_draft(vault, found.thread, words, before=before, today=days.today())
            queue_reply(vault, found, words, attached, today=days.today())
        return thread_of(
            desk, found.thread, gettext("Sealed. The next outbox carries it; until then it can be unsent.")
        )

    @for_desk("/thread/unsend")
    def unsend(desk: OpenDesk) -> ResponseReturnValue:
        with desk.writing() as vault:
            taken = unsent.take_back(vault, request.form.get("reply", ""))
        return thread_of(desk, taken.thread, gettext("Taken back. Its words are gone, and no outbox will carry it."))

    @for_desk("/thread/forget")
    def forget(desk: OpenDesk) -> ResponseReturnValue:
        found = find_tip_for_good(desk.vault, request.form.get("tip", ""))
        with desk.writing() as vault:
            forget_tip(vault, found, request.form.get("text", ""))
        said = gettext("Forgotten. The next round of the second copy removes it there; what was taken out stays.")
        if not joined_tips(desk.vault, found.thread):
            return inbox_of(desk, said)
        return thread_of(desk, found.thread, said)

    @for_desk("/thread/translation")
    def translation(desk: OpenDesk) -> ResponseReturnValue:
        # Without the vault's lock, as drafts: only records are written, in one transaction.
        marks.translate(desk.vault, _id("tip"), _words(), today=days.today())
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


def _draft(desk: OpenDesk) -> Draft | None:
    """The draft that a request is about, if there is one."""
    return Draft.find(desk.vault, _id("draft")) if request.form.get("draft") else None


def _files(draft: Draft | None) -> list[tuple[TipFile, str]]:
    """The files that are to go with a draft, and where each lies; a draft of a command says only their names."""
    return [] if draft is None else list(zip_longest(draft.files, draft.paths, fillvalue=""))  # type: ignore[arg-type]


def _is_secret(desk: OpenDesk, path: Path) -> bool:
    """Whether a file is one that must never be sent to anybody: of the vault, the key stick or the identity."""
    real = path.resolve()
    identity = identity_path(desk.vault.path).resolve()
    stick = find_stick(desk.vault, desk.organisation).resolve()
    kept = (desk.vault.path.resolve(), stick, Path(desk.organisation.stick).resolve(), identity)
    return any(real.is_relative_to(place) for place in kept)


def _with_files(desk: OpenDesk, attached: list[tuple[TipFile, str]], said: str) -> str:
    """Keep what is being written, with these files; the thread anew."""
    thread, kept = _id("thread"), _draft(desk)
    before = b"" if kept is None else kept.key
    unsent.keep_draft(desk.vault, thread, _words().encode(), before=before, today=days.today(), attached=attached)
    return thread_of(desk, thread, said)


def thread_of(desk: OpenDesk, ident: bytes, said: str = "", *, read: bool = True) -> str:
    """The screen of a thread; its tips count as read from now on, unless an import keeps the vault.

    Raises:
        NotFound: there is none.
    """
    vault = desk.vault
    tips = joined_tips(vault, ident)
    if not tips:
        raise PageRefused(gettext(_NO_THREAD))
    if read and any(tip.state == "new" for tip in tips):
        _mark_read(desk, ident)
    talk = conversations.thread_of(vault, desk.organisation, tips[-1].first)
    facts = {row["id"]: row for row in listing.rows(vault, desk.organisation, TipIndex.of(vault).tips(ident))}
    last = facts[tips[-1].id.hex()]
    drafts = unsent.drafts_of(vault, ident)
    language, words = words_for(last["language_named"], last["language"], *desk.organisation.languages)
    return render_template(
        "desk/thread.html",
        consent=said_lines.consent(Thread.find(vault, ident), days.today()),
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
