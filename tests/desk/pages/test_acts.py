"""Every act of pages and commands is in the chain of custody: all of them, under the person who did it.

Each route of the pages and each command of the desk is called. One that changes a record of the vault writes an event,
and just those that are listed here. A new route or command fails until it is listed, and called.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import click
import pytest

from desk.pages.serving import Pages, serving
from desk.render.good_files import jpeg_with_place
from support.commands import Run
from support.desk import PASSWORD, Desk, Desks, Exporter, seal_tip
from tipbox import cli
from tipbox.desk.custody.chain import check_chain
from tipbox.desk.pages.guard import SESSION_HEADER
from tipbox.desk.pages.inbox_screens import act_on
from tipbox.desk.pages.page_app import create_app
from tipbox.desk.pages.session import Session
from tipbox.desk.tips import find_tip
from tipbox.desk.vault.vault import STORE_FILE, Vault
from tipbox.formats.base import days

pytestmark = pytest.mark.reads_date

ME: Final = "Anna"
AGAIN: Final = "Anna B."
"""The same person, with another name."""
ELSEWHERE: Final = {
    "desk serve": "the pages: their routes are called here",
    "keys destroy": "no key of today can go yet: test_every_act_writes_its_event",
    "keys init": "makes a vault: test_every_act_writes_its_event finds its event",
    "keys verify": "opens no vault",
}
"""Commands that are not called here, and why."""
Call = tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]]
"""A route, what is sent there, and the acts that are noted."""


class Watched:
    """A vault that is looked at from outside: its events, and whether its other records changed.

    A draft is noted when it begins and when it goes, and not for each word of it.
    """

    def __init__(self, vault: Path, passphrase: bytes = PASSWORD) -> None:
        self._vault = Vault.open(vault, passphrase)
        self._store = vault / STORE_FILE
        self._seen = len(check_chain(self._vault).events)
        self._records = self._digest()

    def _digest(self) -> bytes:
        found = hashlib.sha256()
        with closing(sqlite3.connect(self._store)) as store:
            query = (
                "SELECT kind, name, value FROM record WHERE kind NOT IN ('event', 'custody', 'draft') "
                "ORDER BY kind, name"
            )
            for row in store.execute(query):
                found.update(repr(row).encode())
        return found.digest()

    def acts(self, name: str) -> tuple[str, ...]:
        """The acts since the last call; whoever did them is who should have."""
        chain = check_chain(self._vault)
        assert chain.problem == ""
        events, self._seen = chain.events[self._seen :], len(chain.events)
        before, self._records = self._records, self._digest()
        assert before == self._records or events, f"{name} changes the vault, and writes no event"
        assert {event.who for event in events} <= {ME, AGAIN}, name
        return tuple(dict.fromkeys(event.act for event in events))

    def anew(self, vault: Path) -> Watched:
        """Opened once more, where it has another key since; nothing that was done meanwhile is missed."""
        self.close()
        after = Watched(vault)
        after._seen, after._records = self._seen, self._records
        return after

    def close(self) -> None:
        self._vault.close()


def routes() -> set[str]:
    """Whatever the pages take by POST."""
    app = create_app(Session(Path("nowhere"), "token", seconds=1), "en")
    return {rule.rule for rule in app.url_map.iter_rules() if rule.methods and "POST" in rule.methods}


def commands() -> set[str]:
    """All commands of the desk's machine."""

    def below(group: click.Group, name: str) -> Iterator[str]:
        for member in group.list_commands(context):
            command = group.get_command(context, member)
            assert command is not None
            if isinstance(command, click.Group):
                yield from below(command, f"{name} {member}")
            else:
                yield f"{name} {member}"

    context = click.Context(cli.tipbox)
    found: set[str] = set()
    for name in ("desk", "keys"):
        group = cli.tipbox.get_command(context, name)
        assert isinstance(group, click.Group)
        found |= set(below(group, name))
    return found


def acts_on_threads() -> set[str]:
    """What ``act_on`` does to threads."""
    tree = ast.parse(inspect.getsource(act_on))
    (table,) = (one.value for one in ast.walk(tree) if isinstance(one, ast.AnnAssign))
    assert isinstance(table, ast.Dict)
    return {str(key.value) for key in table.keys if isinstance(key, ast.Constant)}


@pytest.fixture
def named(desk: Desk, run: Run, tmp_path: Path) -> Path:
    """The file of the passphrase of the desk's person, who is called Anna."""
    path = tmp_path / "pass"
    path.write_bytes(PASSWORD + b"\n")
    path.chmod(0o600)
    opening = ("--vault", desk.vault, "--passphrase-file", path)
    (me,) = run("desk", "person", "list", *opening, "--json").json
    assert run("desk", "person", "rename", *opening, me["name"], ME).code == 0
    return path


@pytest.fixture
def carried(desks: Desks, desk: Desk, server: Exporter, tmp_path: Path) -> tuple[Path, str, str, str]:
    """A stick with two tips, and then: the id of the first, its thread, and the id of the second."""
    today, folder = days.today(), tmp_path / "stick"
    folder.mkdir()
    files = [("IMG_1.jpg", jpeg_with_place())]
    one = seal_tip(desks.manifests, [desk.manifest], message=b"one", files=files, today=today)
    two = seal_tip(desks.manifests, [desk.manifest], message=b"two", files=files, today=today)
    server.export(folder / "kibhr-1.bundle", desk.manifest, [one], day=today)
    desk.take(folder, today=today)
    (folder / "kibhr-1.bundle").unlink()
    server.export(folder / "kibhr-2.bundle", desk.manifest, [two], day=today)
    with desk.open() as vault:
        thread = find_tip(vault, one.id.hex()).thread
    return folder, one.id.hex(), thread.hex(), two.id.hex()


def finished(pages: Pages, secret: str) -> None:
    """Wait until nothing is at work."""
    while "data-running" in pages.shown("/stick/job", secret):
        pass


@pytest.mark.usefixtures("named")
def test_each_route_that_changes_the_vault_writes_its_event(
    desk: Desk, carried: tuple[Path, str, str, str], tmp_path: Path
) -> None:
    stick, tip, thread, second = carried
    form = tmp_path / "form.pdf"
    form.write_bytes(bytes(99))
    (tmp_path / "second").mkdir()
    about, of_thread, number = ("tip", tip), ("thread", thread), ("number", "1")
    words = ("text", "We think of you.")
    place = ("path", str(stick))
    person = (
        ("name", "Timur"),
        ("passphrase", "six other words by other dice"),
        ("again", "six other words by other dice"),
    )
    mine = (("passphrase", "words that are new to all"), ("again", "words that are new to all"))
    calls: list[Call] = [
        ("/stay", (), ()),
        ("/inbox", (("view", "all"),), ()),
        ("/inbox/act", (("act", "spam"), of_thread), ("spam",)),
        ("/inbox/act", (("act", "no-spam"), of_thread), ("spam",)),
        ("/inbox/act", (("act", "tag"), of_thread, ("text", "t")), ("tag",)),
        ("/inbox/act", (("act", "untag"), of_thread, ("text", "t")), ("tag",)),
        ("/inbox/act", (("act", "assign"), of_thread, ("text", ME)), ("assign",)),
        ("/inbox/act", (("act", "note"), of_thread, ("text", "n")), ("note",)),
        ("/inbox/act", (("act", "close"), of_thread), ("close",)),
        ("/thread/act", (("act", "unread"), of_thread), ("unread",)),
        ("/thread", (of_thread,), ("read",)),
        ("/thread/translation", (about, ("text", "in other words")), ("translate",)),
        ("/thread/draft", (of_thread, words), ("draft",)),
        ("/thread/draft", (of_thread, ("text", ""), ("draft", "DRAFT")), ("drop",)),
        ("/thread/attach", (of_thread, words, ("path", str(form))), ("draft",)),
        ("/thread/detach", (of_thread, words, ("draft", "DRAFT"), ("number", "0")), ()),
        ("/thread/reply", (about, words, ("draft", "DRAFT")), ("draft", "answer")),
        ("/thread/unsend", (("reply", "REPLY"),), ("unsend",)),
        ("/file", (about, number), ()),
        ("/file/look", (about, number), ("look",)),
        ("/file/picture", (("index", "0"),), ()),
        ("/file/take", (about, number, ("path", str(tmp_path / "out")), ("reason", "asked for")), ("take-out",)),
        ("/same", (), ()),
        ("/same/act", (("act", "close"), of_thread), ("close",)),
        ("/health", (), ()),
        ("/stick", (place,), ()),
        ("/stick/import", (place,), ("import",)),
        ("/same/compare", (), ("look",)),
        ("/stick/copy", (("path", str(tmp_path / "second" / "copy")),), ("copy",)),
        ("/stick/outbox", (place,), ("outbox",)),
        ("/stick/job", (), ()),
        ("/thread/forget", (("tip", second), ("text", "spam")), ("forget",)),
        ("/staff", (), ()),
        ("/staff/add", person, ("relock", "person")),
        ("/staff/rename", (("name", AGAIN),), ("person",)),
        ("/staff/remove", (("name", "Timur"), ("reason", "left us")), ("person", "reseal")),
        ("/staff/passphrase", mine, ("relock", "person")),
    ]
    found: list[Call] = []
    watched = Watched(desk.vault)
    with serving(desk, tmp_path / "scratch") as pages:
        secret = pages.unlock().headers[SESSION_HEADER]
        assert watched.acts("/unlock") == ()
        latest = {"DRAFT": "", "REPLY": ""}
        for path, fields, _ in calls:
            sent = [(name, latest.get(value, value)) for name, value in fields]
            answer = pages.post(path, sent, {SESSION_HEADER: secret})
            assert answer.status in {200, 204}, (path, answer)
            finished(pages, secret)
            if path == "/staff/remove":  # the vault has another key since
                watched = watched.anew(desk.vault)
            found.append((path, fields, watched.acts(path)))
            latest |= {"DRAFT": draft} if (draft := draft_in(answer.text)) else {}
            latest |= {"REPLY": reply[0]} if (reply := re.findall(r'data-unsend="([0-9a-f]+)"', answer.text)) else {}
        with suppress(ConnectionError):  # it may end before it answers
            pages.post("/lock", (), {SESSION_HEADER: secret})
        pages.ended()
        assert watched.acts("/lock") == ()
    watched.close()
    assert [one for one in zip(found, calls, strict=True) if one[0] != one[1]] == []
    assert {path for path, _, _ in calls} | {"/unlock", "/lock"} == routes(), "list a new route above, and call it"
    assert {dict(fields)["act"] for path, fields, _ in calls if path.endswith("/act")} == acts_on_threads()


def draft_in(text: str) -> str:
    """The key of the draft that an answer names."""
    found = re.search(r'data-draft="([0-9a-f]+)"|"draft":\s*"([0-9a-f]+)"', text)
    return (found[1] or found[2]) if found else ""


def test_each_command_that_changes_the_vault_writes_its_event(
    desk: Desk, named: Path, carried: tuple[Path, str, str, str], run: Run, tmp_path: Path
) -> None:
    stick, tip, _, second = carried
    words, keys = tmp_path / "words.txt", tmp_path / "keys"
    words.write_text("We think of you.", encoding="utf-8")
    new = tmp_path / "new.pass"
    new.write_text("six other words by other dice\n", encoding="utf-8")
    new.chmod(0o600)
    (tmp_path / "second").mkdir()
    keys.mkdir()
    calls: list[tuple[str, tuple[object, ...], tuple[str, ...]]] = [
        ("desk list", (), ()),
        ("desk search", ("one",), ()),
        ("desk spam", (tip,), ("spam",)),
        ("desk spam", ("--not", tip), ("spam",)),
        ("desk tag", ("--add", "t", tip), ("tag",)),
        ("desk assign", ("--to", ME, tip), ("assign",)),
        ("desk note", ("--message-file", words, tip), ("note",)),
        ("desk show", (tip, "--out", tmp_path / "opened"), ("open",)),
        ("desk look", (tip, 1), ("look",)),
        ("desk look", (tip, 1, "--original", tmp_path / "out", "--reason", "asked for"), ("take-out",)),
        ("desk close", (tip,), ("close",)),
        ("desk unread", (tip,), ("unread",)),
        ("desk thread", (tip,), ("read",)),
        ("desk reply", (tip, "--message-file", words), ("draft", "answer")),
        ("desk unsend", ("REPLY",), ("unsend",)),
        ("desk import", (stick,), ("import",)),
        ("desk copy", ("--to", tmp_path / "second" / "copy"), ("copy",)),
        ("desk outbox", ("--out", stick / "back.bundle"), ("outbox",)),
        ("desk check", (), ()),
        ("desk server", (), ()),
        ("desk server", ("--forget",), ("unpin",)),
        ("desk canary", ("new", "--out", tmp_path / "x.canaries", "--count", 2), ("canaries",)),
        ("desk canary", ("list",), ()),
        ("desk forget", (second, "--reason", "spam"), ("forget",)),
        ("desk custody", (), ()),
        ("keys publish", ("--out", keys / "ili.json"), ("publish",)),
        ("keys rotate", ("--out", keys / "ili.json"), ("rotate",)),
        ("keys site", ("--out", tmp_path / "site.json", "--onion", f"{'a' * 56}.onion"), ("publish",)),
        (
            "keys notice",
            ("--text", "ru", words, "--until", days.today(), "--out", tmp_path / "notice.json"),
            ("publish",),
        ),
        ("desk person list", (), ()),
        ("desk person add", ("--new-passphrase-file", new, "Timur"), ("relock", "person")),
        ("desk person rename", ("Timur", "Olga"), ("person",)),
        ("desk person remove", ("--reason", "left us", "Olga"), ("person", "reseal", "copy")),
        ("desk person passphrase", ("--new-passphrase-file", new), ("relock", "person")),
    ]
    found = []
    reply = ""
    watched = Watched(desk.vault)
    for name, arguments, _ in calls:
        given = (reply if argument == "REPLY" else argument for argument in arguments)
        done = run(*name.split(), "--vault", desk.vault, "--passphrase-file", named, *given, "--json")
        assert done.code == 0, (name, done)
        if name == "desk reply":
            reply = done.json["id"]
        if name == "desk person remove":  # the vault has another key since
            watched = watched.anew(desk.vault)
        found.append((name, arguments, watched.acts(name)))
    watched.close()
    assert [one for one in zip(found, calls, strict=True) if one[0] != one[1]] == []
    there = {name for name, _, _ in calls}
    assert there | set(ELSEWHERE) == commands(), "list a new command above, and call it"
    assert there.isdisjoint(ELSEWHERE)


def test_a_change_without_its_event_would_be_found(desk: Desk) -> None:
    watched = Watched(desk.vault)
    with desk.open(write=True) as vault, vault.transaction():
        vault.put("thread", bytes(16), {})
    with pytest.raises(AssertionError, match="writes no event"):
        watched.acts("a new act")
    watched.close()
