"""What `tipbox desk serve` starts as its browser in tests: a hand in Chromium, inside the same namespace.

Test and hand speak by files in a folder: the test makes one when it is the hand's turn, and the other way round.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from desk.pages.fox import BINARY, fox_beside
from desk.pages.hand import Hand, hand_in
from support.loopback import until
from support.world import environment

if TYPE_CHECKING:
    from support.desk import Desk  # it has the passphrase, and the hand's own memory is searched, too

ENCLOSED: Final = "enclosed"
"""A word that only tips with a hostile file have. It stands here: what makes tips has the passphrase."""
TESTS: Final = Path(__file__).resolve().parents[2]
TIPBOX: Final = Path(sys.executable).with_name("tipbox")
PATIENCE: Final = 300.0


def program(folder: Path, scenario: str, *, firefox: bool = False) -> Path:
    """A program that plays a scenario of this module's: what `--browser` names.

    With ``firefox`` it is Firefox, as the product starts it, with somebody beside it who drives it.
    """
    name = "firefox" if firefox else "chromium"
    path = folder / ("firefox" if firefox else "hand")
    player = (
        f"{shlex.quote(sys.executable)} -c "
        f"'import sys; sys.path.insert(0, sys.argv[1]); from desk.pages.inside import play; play(*sys.argv[2:])' "
        f"{shlex.quote(str(TESTS))} {shlex.quote(str(folder))} {scenario} {name}"
    )
    if firefox:
        driven = "--headless --marionette --remote-allow-system-access"
        text = f'for last; do :; done\n{player} "$last" &\nexec {BINARY} {driven} "$@"\n'
    else:
        text = f'exec {player} "$1"\n'
    path.write_text(f"#!/bin/sh\n{text}", encoding="utf-8")
    path.chmod(0o755)
    return path


@contextmanager
def served(
    desk: Desk, folder: Path, scenario: str, *more: str, firefox: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """`tipbox desk serve` with a hand that plays a scenario; it is ended with all that it has started."""
    browser = program(folder, scenario, firefox=firefox)
    command: list[str | Path] = [
        TIPBOX,
        "desk",
        "serve",
        "--vault",
        desk.vault,
        "--language",
        "en",
        "--browser",
        browser,
        *more,
    ]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def tree(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """A process and all that it has started."""
    top = psutil.Process(process.pid)
    return [top, *top.children(recursive=True)]


def wait_for(path: Path, process: subprocess.Popen[bytes] | None = None, seconds: float = PATIENCE) -> None:
    """Wait until the other side has made a file."""

    def there() -> bool:
        assert process is None or process.poll() is None, f"it ended with {process.poll()} before {path.name}"
        return path.exists()

    until(there, seconds)


# --- the hand's side ------------------------------------------------------------------------------------------------


def play(folder: str, scenario: str, browser: str, url: str) -> None:
    """Play a scenario in a browser whose profile is where the pages put it."""
    if browser == "firefox":
        with fox_beside() as fox:
            SCENARIOS[scenario](fox, Path(folder), url)
        return
    with hand_in(Path(os.environ["HOME"]) / "chromium") as hand:
        SCENARIOS[scenario](hand, Path(folder), url)


def _unlocked(hand: Hand, folder: Path, url: str) -> bool:
    """Unlock with the passphrase that lies there, the first time; whether there was one."""
    given = folder / "passphrase"
    if not given.exists():
        hand.goto(url)
        hand.wait("#unlock")
        return False
    hand.open(url, given.read_text(encoding="utf-8"))
    given.unlink()  # no later process reads it
    return True


def _stay(folder: Path) -> None:
    while not (folder / "end").exists():
        time.sleep(0.1)


def _lock(hand: Hand, folder: Path, url: str) -> None:
    """Read, search and write; lock when the test says so. The next window shows the unlocking, and stays."""
    if not _unlocked(hand, folder, url):
        (folder / "second").touch()
        _stay(folder)
        return
    words = (folder / "words").read_text(encoding="utf-8").splitlines()
    (folder / "words").unlink()
    (folder / "interfaces").write_text(Path("/proc/net/dev").read_text(encoding="ascii"), encoding="ascii")
    hand.press("/")
    hand.type(words[0])
    hand.act("Enter")
    hand.key("Escape")
    hand.go("o", "thread")
    hand.press("r")
    hand.type(words[1])
    hand.until("document.querySelector('#kept').textContent")
    (folder / "ready").touch()
    wait_for(folder / "lock")
    hand.press("Control+l")
    _stay(folder)


def _killed(hand: Hand, folder: Path, url: str) -> None:
    """Unlock, say what is kept of an answer, and write on; the test kills what it likes, and another window opens."""
    number = next(number for number in range(9) if not (folder / f"window-{number}").exists())
    (folder / f"window-{number}").touch()
    wait_for(folder / f"unlock-{number}")
    _unlocked(hand, folder, url)
    hand.act("8")  # all
    hand.go("o", "thread")
    kept = hand.run("return document.querySelector('#answer').value")
    (folder / f"kept-{number}").write_text(kept, encoding="utf-8")
    hand.press("r")
    words = (folder / "words").read_text(encoding="utf-8").split()
    # Word after word without a pause: what is kept does not wait for one.
    begun = time.monotonic()
    is_kept = "return document.querySelector('#kept').textContent === document.querySelector('#kept-text').textContent"
    while not hand.run(is_kept):
        assert time.monotonic() - begun < PATIENCE
        hand.type(f"{words[number]} ")
        hand.run("await new Promise(resolve => setTimeout(resolve, 100))")
    (folder / f"written-{number}").touch()
    _stay(folder)


def _day(hand: Hand, folder: Path, url: str) -> None:
    """A staff day by keyboard: import, spam, copies, hostile files, whose each is, answers, outbox, the next Bundle."""
    plan = json.loads((folder / "day.json").read_text(encoding="utf-8"))
    hand.patience = plan["patience"]
    _unlocked(hand, folder, url)
    hand.presses += 1  # Enter, at the unlocking
    begun = time.monotonic()
    hand.go("g k", "stick")
    hand.click("#path")
    hand.press("Control+a")  # another stick may be in this machine
    hand.type(plan["stick"])
    hand.act("Enter")
    hand.job("i")
    imported = hand.text(".job")
    hand.click("#copy-path")
    hand.type(plan["copy"])
    hand.job("Enter")
    hand.go("g i", "inbox")
    _find(hand, "casino")
    hand.press("*")
    hand.act("s")
    hand.go("g m", "same")
    hand.press("X")
    hand.act("e")
    hand.go("g i", "inbox")
    _find(hand, ENCLOSED)
    hand.press("Escape")
    seen = [_look(hand, is_first=number == 0) for number in range(plan["hostile"])]
    hand.go("g i", "inbox")
    hand.act("3")  # unassigned
    while hand.count("tr[data-thread]"):
        hand.press("*", "a")
        hand.act("Enter")
    hand.act("2")  # mine
    hand.go("o", "thread")
    for number in range(plan["answers"]):
        hand.press(f"Alt+{number % 4 + 1}")
        hand.type(f"We think of you. ({number})")
        hand.act("Control+Enter")
        if number + 1 < plan["answers"]:
            hand.act("j")
    hand.go("g k", "stick")
    hand.press("w")
    hand.wait("#ask[open]")
    hand.job("Enter")
    (folder / "outbox").touch()
    wait_for(folder / "next", seconds=plan["patience"])
    hand.job("i")
    said = {"acts": hand.acts, "complaints": hand.complaints, "job": hand.text(".job"), "typed": hand.typed}
    said |= {"imported": imported, "seconds": time.monotonic() - begun, "seen": seen}
    (folder / "done.json").write_text(json.dumps(said), encoding="utf-8")


def _find(hand: Hand, words: str) -> None:
    """Search."""
    hand.press("/")
    hand.type(words)
    hand.act("Enter")


def _look(hand: Hand, *, is_first: bool) -> str:
    """Look at the first file of the thread that is looked at, or of the next one; what there is to see of it."""
    if is_first:
        hand.go("o", "thread")
    else:
        hand.act("j")
    hand.go("f", "file")
    hand.act("v")
    shown = ("img[data-picture]", ".words", ".plain-list li", "details", ".line", ".warning")
    found = " ".join(css for css in shown if hand.count(f"[data-screen=file] {css}"))
    hand.go("Escape", "thread")
    return found


SCENARIOS: Final[dict[str, Callable[[Hand, Path, str], Any]]] = {"day": _day, "killed": _killed, "lock": _lock}
