"""After the lock nothing is left: in memory, in temporary files, in the browser's profile; and there is no network."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from desk.pages.inside import served, tree, wait_for
from desk.pages.serving import WORDS
from faults.memory_search import Found, Search
from support.desk import Desk
from support.loopback import until
from tipbox.desk.vault.records import Draft

pytestmark = pytest.mark.reads_date

WHOLE = "WHOLE_DAY" in os.environ
"""As ``make day`` sets it: searching the memory of Firefox takes minutes."""
TIP = "солдаты задержали моего брата"
DRAFT = "quince marmalade on the third shelf"


SECRETS = {"passphrase": WORDS, "tip": TIP, "draft": DRAFT}
FORMS = frozenset({"utf-8", "utf-16-le", "percent"})
"""How these programs hold text in memory, and how a request spells it: all forms of all words would take an hour."""


def hunt(processes: list[psutil.Process], keeper: int) -> Iterator[Found]:
    """The words in the memory of processes, and in what lies in memory for them as files."""
    search = Search(SECRETS)
    search._needles = [needle for needle in search._needles if needle[1] in FORMS]
    for process in processes:
        try:
            yield from search.process(process.pid)
        except (FileNotFoundError, ProcessLookupError):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                raise
            # It has ended, and its memory with it: a browser has helpers that come and go.
    for folder in Path(f"/proc/{keeper}/root/tmp").glob("tipbox-*"):
        if folder.joinpath("profile").is_dir():
            yield from search.tree(folder)


@pytest.mark.parametrize("browser", ["chromium", "firefox"] if WHOLE else ["chromium"])
def test_after_the_lock_no_process_and_no_file_holds_a_word(filled: Desk, tmp_path: Path, browser: str) -> None:
    (tmp_path / "passphrase").write_text(WORDS, encoding="utf-8")
    (tmp_path / "words").write_text(f"{TIP}\n{DRAFT}\n", encoding="utf-8")
    with served(filled, tmp_path, "lock", firefox=browser == "firefox") as process:
        wait_for(tmp_path / "ready", process)
        before = tree(process)
        missing = set(SECRETS)
        for found in hunt(before, process.pid):
            missing.discard(found.word)
            if not missing:
                break
        assert missing == set(), "the control: while it is unlocked all of them are there"
        (tmp_path / "lock").touch()
        wait_for(tmp_path / "second", process)
        after = tree(process)
        assert {one.pid for one in before} & {one.pid for one in after} == {process.pid}, "all but the keeper ended"
        assert list(hunt(after, process.pid)) == []
        (tmp_path / "end").touch()
        assert process.wait(60) == 0
    with filled.open() as vault:
        assert [draft.message.decode() for draft in Draft.all(vault)] == [DRAFT], "what was written is in the vault"


def test_pages_and_browser_have_their_own_loopback_and_end_with_the_command(filled: Desk, tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text(WORDS, encoding="utf-8")
    (tmp_path / "words").write_text(f"{TIP}\n{DRAFT}\n", encoding="utf-8")
    with served(filled, tmp_path, "lock") as process:
        wait_for(tmp_path / "ready", process)
        interfaces = (tmp_path / "interfaces").read_text(encoding="ascii").splitlines()[2:]
        assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
        everything = tree(process)
        networks = {Path(f"/proc/{one.pid}/ns/net").readlink() for one in everything}
        assert len(networks) == 1
        assert networks != {Path("/proc/self/ns/net").readlink()}
        process.send_signal(signal.SIGKILL)
        until(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in everything[:3]))
