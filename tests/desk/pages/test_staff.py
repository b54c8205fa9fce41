"""The people of a desk on its pages: who unlocked is who acts, and a removal is one click and a reason."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

from desk.pages.serving import Pages, serving
from support.desk import PASSWORD, Desk
from tipbox.desk.custody.chain import check_chain
from tipbox.desk.inbox import threads
from tipbox.desk.keys import ceremony
from tipbox.desk.pages.guard import SESSION_HEADER
from tipbox.desk.pages.jobs import Job
from tipbox.desk.pages.page_app import create_app
from tipbox.desk.pages.session import Session
from tipbox.desk.vault.vault import Vault
from tipbox.formats.base import days

TIMUR, NEW = "six other words by other dice", "words that are new"


def events(desk: Desk) -> list[tuple[str, str]]:
    with desk.open() as vault:
        found = check_chain(vault)
    assert found.problem == ""
    return [(event.who, event.act) for event in found.events]


def secret_of(pages: Pages, passphrase: str) -> str:
    answer = pages.unlock(passphrase)
    assert answer.status == 204, answer
    return answer.headers[SESSION_HEADER]


def add(pages: Pages, secret: str, name: str, passphrase: str, again: str = "") -> tuple[int, str]:
    fields = [("name", name), ("role", "reader"), ("passphrase", passphrase), ("again", again or passphrase)]
    answer = pages.post("/staff/add", fields, {SESSION_HEADER: secret})
    return answer.status, answer.text


def test_each_act_of_the_pages_is_under_the_person_who_did_it(filled: Desk, tmp_path: Path) -> None:
    with serving(filled, tmp_path / "anna") as pages:
        anna = secret_of(pages, PASSWORD.decode())
        pages.shown("/staff/rename", anna, ("name", "Anna"))
        assert add(pages, anna, "Timur", TIMUR, "another") == (409, "The two passphrases differ; type them again.\n")
        assert add(pages, anna, "Timur", "short")[0] == 409
        assert add(pages, anna, "Timur", TIMUR)[0] == 200
        assert add(pages, anna, "timur", NEW)[0] == 409
    before = events(filled)
    assert before[-2:] == [("root", "relock"), ("Anna", "person")] or before[-1] == ("Anna", "person")

    with filled.open() as vault:
        rows = threads.list_threads(vault, ceremony.organisation_of(vault), "new", "", limit=3)
    one, two, three = (row["thread"] for row in rows)
    with serving(filled, tmp_path / "timur") as pages:
        timur = secret_of(pages, TIMUR)
        for number, (act, more) in enumerate(
            [
                ("assign", [("text", "Timur")]),
                ("tag", [("text", "square")]),
                ("note", [("text", "a word")]),
                ("spam", []),
                ("close", []),
                ("unread", []),
            ]
        ):
            thread = (one, two, three, one, two, two)[number]
            pages.shown("/inbox/act", timur, ("act", act), ("thread", thread), *more)
        pages.shown("/thread", timur, ("thread", one))
        after = events(filled)
        acts = [act for _, act in after[len(before) :]]
        assert acts[:6] == ["assign", "tag", "note", "spam", "close", "unread"]
        assert {who for who, _ in after[len(before) :]} == {"Timur"}
        # What another name is typed for stays undone: nobody gives a thread to somebody who is not here.
        refused = pages.post(
            "/inbox/act", [("act", "assign"), ("thread", one), ("text", "Olga")], {SESSION_HEADER: timur}
        )
        assert refused.status == 409
        changed = pages.shown("/staff/passphrase", timur, ("passphrase", NEW), ("again", NEW))
        assert "Your passphrase is changed." in changed
        assert events(filled)[-1] == ("Timur", "person")

    with serving(filled, tmp_path / "again") as pages:
        assert pages.unlock(TIMUR).status == 403
        anna = secret_of(pages, PASSWORD.decode())
        assert pages.post("/staff/remove", [("name", "Timur")], {SESSION_HEADER: anna}).status == 409
        shown = pages.shown("/staff/remove", anna, ("name", "Timur"), ("reason", "left us"))
        assert f"removed on {days.today()}" in shown
        assert "data-running" in shown, "with gigabytes it takes minutes: how far it is, is asked for"
        while "data-running" in (job := pages.shown("/stick/job", anna)):
            pass
        assert "sealed anew" in job
        assert pages.post("/staff/remove", [("name", "Anna"), ("reason", "x")], {SESSION_HEADER: anna}).status == 409
        pages.shown("/inbox", anna)
    assert events(filled)[-2:] == [("Anna", "person"), ("Anna", "reseal")]


def test_nothing_is_shown_while_a_vault_gets_another_key(filled: Desk) -> None:
    release = threading.Event()

    def work(_: object) -> list[str]:
        release.wait()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    session = Session(filled.vault, "token", seconds=600)
    session.address = "localhost"
    client = create_app(session, "en").test_client()
    origin = {"Origin": "http://localhost"}
    answer = client.post("/unlock", data={"token": "token", "passphrase": PASSWORD.decode()}, headers=origin)
    mine = {**origin, SESSION_HEADER: answer.headers[SESSION_HEADER]}
    session.begin(Job("Sealing the vault anew", 9, alone=True), work)
    for path in ("/inbox", "/staff", "/health", "/stick/import", "/staff/remove"):
        answer = client.post(path, headers=mine)
        assert (answer.status_code, "wait until it has ended" in answer.text) == (409, True), path
    assert "data-running" in client.post("/stick/job", headers=mine).text
    release.set()
    session.wait_for_work()
    assert "No space left" in client.post("/stick/job", headers=mine).text
    assert "make room on its disk" in client.post("/inbox", headers=mine).text
    session.close()


def test_pages_of_somebody_who_is_removed_show_nothing_more(filled: Desk, tmp_path: Path) -> None:
    with serving(filled, tmp_path / "pages") as pages:
        anna = secret_of(pages, PASSWORD.decode())
        assert add(pages, anna, "Timur", TIMUR)[0] == 200
    with serving(filled, tmp_path / "scratch") as pages:
        timur = secret_of(pages, TIMUR)
        pages.shown("/inbox", timur)
        from tipbox.desk import people

        with Vault.open(filled.vault, PASSWORD, write=True) as vault:
            people.remove(vault, "Timur", "left us", today=days.today())
        for path, fields in (("/staff", []), ("/health", []), ("/inbox", [("view", "all"), ("query", "площади")])):
            answer = pages.post(path, fields, {SESSION_HEADER: timur})
            assert answer.status in (200, 409)
            if answer.status == 409:
                assert "unlock it again" in answer.text
        answer = pages.post("/staff/rename", [("name", "Anna")], {SESSION_HEADER: timur})
        assert (answer.status, "unlock it again" in answer.text) == (409, True)
