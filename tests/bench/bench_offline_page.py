"""The offline page seals a gigabyte in pieces from a disk, with little memory: nothing of a tip is held as a whole."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil
import pytest

from bench.figures import Ledger
from bench.inputs import random_file
from browser.drivers import FIREFOX_BINARY, Level, running
from browser.offline.offline_source import MB, OfflineSource
from support.sealed import Organisation, keys_folder
from support.world import tipbox

SIZE: Final = 1 << 30
PIECE: Final = 8 * MB
PIECES: Final = 135
MOST: Final = 300.0
"""MB of memory that sealing adds to the open form."""
EACH: Final = 10.0
"""Seconds that a piece may take at most: it waits until the browser has taken those before."""
_FOLDERS: Final = ("/usr/lib/chromium/", f"{Path(FIREFOX_BINARY).parent}/")


def _own(process: int) -> float:
    """MB of memory that a process has filled itself; what several share is divided among them.

    Without mapped files: of libraries that another browser on the machine has loaded as well, this one's share grows
    when that one ends, by 75 MB at once.
    """
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    found = re.findall(r"^Pss_(?:Anon|Shmem): +([0-9]+) kB$", text, re.MULTILINE)
    return sum(map(int, found)) * 1024 / MB


def memory() -> dict[int, float]:
    """Of each process of browsers that this one has started, whatever they call themselves."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        try:
            if process.exe().startswith(_FOLDERS):
                found[process.pid] = _own(process.pid)
        except (psutil.Error, OSError):
            continue  # it has ended meanwhile
    return found


def added(before: dict[int, float], now: dict[int, float]) -> dict[int, float]:
    """What has come to each process."""
    return {process: used - before.get(process, 0.0) for process, used in now.items()}


@contextmanager
def peak() -> Iterator[list[float]]:
    """What the block adds at most: to all processes together, and to all but the browser's first one."""
    before, found, done = memory(), [0.0, 0.0], threading.Event()
    main = min(before)

    def look() -> None:
        while not done.wait(0.5):
            more = added(before, memory())
            found[0] = max(found[0], sum(more.values()))
            found[1] = max(found[1], sum(more.values()) - more.get(main, 0.0))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize(
    ("level", "ordinary"),
    [(Level.CHROMIUM, False), (Level.STANDARD, True), (Level.STANDARD, False)],
    ids=["chromium", "firefox", "firefox, a private window"],
)
def test_memory_of_a_gigabyte(level: Level, ledger: Ledger, disk_folder: Path, *, ordinary: bool) -> None:
    keys = keys_folder(disk_folder / "keys", [Organisation("kibhr")])
    page = disk_folder / "seal.html"
    tipbox("server", "offline-page", "--keys", keys, "--out", page)
    file = random_file(disk_folder / "video.bin", SIZE)
    name = f"offline page {level.value}{' ordinary' if ordinary else ''}"
    with ledger.bench(name) as bench, running(level, ordinary=ordinary) as browser:
        offline = OfflineSource(browser, page)
        offline.go()
        browser.click("#app [data-door=write]")
        browser.wait("#app textarea")
        browser.attach("#app input[type=file]", [file])
        browser.click("#app [data-part=organisations] input")
        browser.run(f"document.querySelector('#app select').value = '{PIECE}';")
        begun = time.monotonic()
        with peak() as highest:
            saved = offline.seal(PIECES, EACH * PIECES)
        assert sum(path.stat().st_size for path in saved) > SIZE
        bench.note("1 GiB into pieces of 8 MB", "MB/s", SIZE / MB / (time.monotonic() - begun))
        # In private windows Firefox's first process keeps all that it saved until it collects its garbage, and no page
        # can have it do so.
        bench.note("memory that it adds to the page's processes", "MB", [highest[1]], at_most=MOST)
        known = "" if ordinary or level is Level.CHROMIUM else "docs/performance.md"
        bench.note("memory that it adds to the browser", "MB", [highest[0]], at_most=MOST, known=known)
