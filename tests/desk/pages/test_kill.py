"""Killed at any click: nothing is lost or doubled, and the words that were written are there."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from desk.pages.batch import Batch
from desk.pages.serving import Pages, serving
from support.desk import Desk, listed
from tipbox.desk.pages.guard import SESSION_HEADER
from tipbox.desk.unsent import drafts_of
from tipbox.desk.vault.records import Reply, ReplyText

pytestmark = pytest.mark.reads_date

MOMENTS = (0.0, 0.05, 0.2, 0.6)
"""Seconds after a click at which the process is killed."""
ANSWER = "These words must not be lost."


def click(pages: Pages, path: str, secret: str, *fields: tuple[str, str]) -> threading.Thread:
    """Ask, and do not wait for the answer."""

    def ask() -> None:
        try:
            pages.post(path, fields, {SESSION_HEADER: secret})
        except OSError:  # it was killed meanwhile
            return

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def kill_after(pages: Pages, seconds: float, thread: threading.Thread) -> None:
    time.sleep(seconds)
    pages.process.kill()
    pages.ended()
    thread.join()


def test_an_import_that_is_killed_goes_on(desk: Desk, stick: Path, batch: Batch, tmp_path: Path) -> None:
    for number, moment in enumerate(MOMENTS):
        with serving(desk, tmp_path / f"scratch-{number}") as pages:
            secret = pages.unlock().headers[SESSION_HEADER]
            kill_after(pages, moment, click(pages, "/stick/import", secret, ("path", str(stick))))
    with serving(desk, tmp_path / "scratch") as pages:
        secret = pages.unlock().headers[SESSION_HEADER]
        pages.shown("/stick/import", secret, ("path", str(stick)))
        while "data-running" in (job := pages.shown("/stick/job", secret)):
            time.sleep(0.05)
        assert "problem" not in job
    assert sorted(row["id"] for row in listed(desk)) == sorted(tip.id.hex() for tip in batch.tips)


def test_an_answer_that_is_killed_is_sealed_once_or_a_draft(filled: Desk, tmp_path: Path) -> None:
    rows = listed(filled)[: len(MOMENTS)]
    for number, (row, moment) in enumerate(zip(rows, MOMENTS, strict=True)):
        with serving(filled, tmp_path / f"scratch-{number}") as pages:
            secret = pages.unlock().headers[SESSION_HEADER]
            kept = pages.post("/thread/draft", (("thread", row["thread"]), ("text", ANSWER)), {SESSION_HEADER: secret})
            assert kept.status == 200
            fields = (("tip", row["id"]), ("text", ANSWER))
            kill_after(pages, moment, click(pages, "/thread/reply", secret, *fields))
    with filled.open(write=True) as vault:
        for row in rows:
            thread = bytes.fromhex(row["thread"])
            sealed = [reply for reply in Reply.all(vault) if reply.thread == thread]
            texts = [text.message for text in (ReplyText.find(vault, reply.id) for reply in sealed) if text]
            drafts = [draft.message for draft in drafts_of(vault, thread)]
            assert texts + drafts == [ANSWER.encode()], "once, and not lost"


def test_marks_that_were_answered_stay(filled: Desk, tmp_path: Path) -> None:
    (first, *_) = listed(filled)
    with serving(filled, tmp_path / "scratch") as pages:
        secret = pages.unlock().headers[SESSION_HEADER]
        named = ("thread", first["thread"])
        pages.shown("/inbox/act", secret, ("act", "tag"), ("text", "square, night"), named)
        pages.shown("/inbox/act", secret, ("act", "assign"), ("text", "Aigul"), named)
        pages.shown("/thread/translation", secret, ("tip", first["id"]), ("text", "in other words"))
        pages.process.kill()
        pages.ended()
    with serving(filled, tmp_path / "again") as pages:
        screen = pages.shown("/thread", pages.unlock().headers[SESSION_HEADER], named)
    assert all(word in screen for word in ("square", "night", "Aigul", "in other words"))
