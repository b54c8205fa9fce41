"""Killed at any click: nothing is lost or doubled, and the words that were written are there."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

from desk.pages.batch import Batch
from desk.pages.inside import served, tree, wait_for
from desk.pages.serving import WORDS, Pages, serving
from support.desk import Desk, listed
from support.loopback import until
from support.server import alive
from tipbox.desk.custody.chain import check_chain
from tipbox.desk.pages.guard import SESSION_HEADER
from tipbox.desk.unsent import drafts_of
from tipbox.desk.vault.records import Draft, Reply, ReplyText

pytestmark = pytest.mark.reads_date

WHOLE = "WHOLE_DAY" in os.environ
"""As ``make day`` sets it."""
MOMENTS = tuple(number / 20 for number in range(24)) if WHOLE else (0.0, 0.05, 0.2, 0.6)
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


def test_whatever_is_killed_what_was_written_is_there(filled: Desk, tmp_path: Path) -> None:
    """First the browser, then the process behind the pages, then the keeper, each while somebody types."""
    (tmp_path / "words").write_text("first second third", encoding="utf-8")
    with served(filled, tmp_path, "killed") as process:
        for number, victim in enumerate((browser_of, worker_of, keeper_of)):
            wait_for(tmp_path / f"window-{number}", process)
            (tmp_path / "passphrase").write_text(WORDS, encoding="utf-8")
            (tmp_path / f"unlock-{number}").touch()
            wait_for(tmp_path / f"written-{number}", process)
            before = tree(process)
            victim(process).kill()
            wait_until_gone(before if victim is keeper_of else before[1:])
    kept = [(tmp_path / f"kept-{number}").read_text(encoding="utf-8").split() for number in range(3)]
    assert kept[0] == []
    assert set(kept[1]) == {"first"}
    assert set(kept[2]) == {"first", "second"}
    with filled.open(write=True) as vault:
        (draft,) = Draft.all(vault)
        assert set(draft.message.decode().split()) == {"first", "second", "third"}
        assert check_chain(vault).problem == ""


def wait_until_gone(processes: list[psutil.Process]) -> None:
    until(lambda: not any(alive(one) for one in processes), 60)


def keeper_of(process: subprocess.Popen[bytes]) -> psutil.Process:
    return psutil.Process(process.pid)


def worker_of(process: subprocess.Popen[bytes]) -> psutil.Process:
    (found,) = (one for one in keeper_of(process).children() if "page_worker" in " ".join(one.cmdline()))
    return found


def browser_of(process: subprocess.Popen[bytes]) -> psutil.Process:
    """The hand, which is what the keeper has started as its browser."""
    (found,) = (one for one in keeper_of(process).children() if "desk.pages.inside" in " ".join(one.cmdline()))
    return found
