"""When the pages lock, and when they do not; what they need to start."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from werkzeug.test import Client

from desk.pages.inside import wait_for
from desk.pages.serving import Pages, serving
from support.commands import Run
from support.desk import Desk
from support.loopback import until
from tipbox.desk.pages import netless
from tipbox.desk.pages.guard import SESSION_HEADER
from tipbox.desk.pages.jobs import Job
from tipbox.desk.pages.page_app import create_app
from tipbox.desk.pages.page_worker import OneThread
from tipbox.desk.pages.session import Session
from tipbox.desk.render import sandbox
from tipbox.desk.unsent import drafts_of

pytestmark = pytest.mark.reads_date

DRAFT = "quince marmalade on the third shelf"


def test_it_locks_when_nobody_is_there(filled: Desk, tmp_path: Path) -> None:
    with serving(filled, tmp_path / "scratch", minutes=0.05) as pages:
        secret = pages.unlock().headers[SESSION_HEADER]
        begun = time.monotonic()
        while time.monotonic() - begun < 6:  # twice as long as it takes to lock
            pages.post("/stay", headers={SESSION_HEADER: secret})
        while pages.process.poll() is None:
            pages_asks_by_itself(pages, secret)
        assert pages.ended() == 0


def pages_asks_by_itself(pages: Pages, secret: str) -> None:
    """What the script asks for while nobody does anything: it is no sign of life."""
    try:
        pages.post("/stick/job", headers={SESSION_HEADER: secret})
    except OSError:
        return


def test_nothing_locks_while_an_import_runs(tmp_path: Path) -> None:
    now = [0.0]
    session = Session(tmp_path, "token", seconds=60, clock=lambda: now[0])
    session._desk = object()  # type: ignore[assignment]  # something is open
    release = tmp_path / "release"

    def work(_: object) -> list[str]:
        wait_for(release)
        return []

    session.job = Job("Import", 0)
    session.job.start(work)
    now[0] = 1000.0
    assert not session.idle()
    release.touch()
    session.wait_for_work()
    assert not session.idle(), "it counts from the end of the import on"
    now[0] += 61
    assert session.idle()


def test_a_lock_waits_for_no_look_at_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile file may take as long as its sandbox lets it, and another, and another."""
    assert sandbox.problem() == "", "the control: this machine has a sandbox"
    monkeypatch.setattr(sandbox, "ended_for_good", threading.Event())
    session = Session(tmp_path, "token", seconds=60)
    session.address, session._secret = "localhost", "secret"
    session._desk = object()  # type: ignore[assignment]  # something is open
    pages = OneThread(create_app(session, "en"))
    ends: list[sandbox.End] = []

    def look() -> None:
        ends.extend(sandbox.run(["/usr/bin/sleep", "600"], None, most=1, seconds=600.0).end for _ in range(3))

    looking = threading.Thread(target=pages.run, args=(look,))
    looking.start()
    until(lambda: bool(sandbox._running), 60)
    answer = Client(pages).post("/lock", headers={"Origin": "http://localhost", SESSION_HEADER: "secret"})
    assert (answer.status_code, session.ending.is_set()) == (204, True)
    looking.join()
    assert ends == [sandbox.End.STOPPED] * 3


def test_a_draft_is_kept_before_the_lock(pages: Pages, filled: Desk) -> None:
    secret = pages.unlock().headers[SESSION_HEADER]
    screen = pages.shown("/inbox", secret)
    thread = screen.split('data-thread="')[1].split('"')[0]
    pages.shown("/thread/draft", secret, ("thread", thread), ("text", DRAFT))
    pages.process.kill()
    pages.ended()
    with filled.open() as vault:
        assert [draft.message.decode() for draft in drafts_of(vault, bytes.fromhex(thread))] == [DRAFT]


def test_without_user_namespaces_it_does_not_start_and_says_what_does(
    filled: Desk, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        def unshare(self, _: int) -> int:
            return -1

    browser = tmp_path / "firefox"
    browser.write_text("#!/bin/sh\n", encoding="utf-8")
    browser.chmod(0o755)
    monkeypatch.setattr(netless, "_libc", Refusing())
    done = run("desk", "serve", "--vault", filled.vault, "--browser", browser)
    assert done.code == 2
    assert "tipbox desk list" in done.err
    assert "tipbox desk show" in done.err
    assert done.err.count("\n") == 1


def test_a_browser_that_is_not_there_is_named(filled: Desk, run: Run, tmp_path: Path) -> None:
    done = run("desk", "serve", "--vault", filled.vault, "--browser", tmp_path / "none")
    assert (done.code, "check --browser" in done.err) == (5, True)
    assert run("desk", "serve", "--vault", tmp_path / "none").code == 5
