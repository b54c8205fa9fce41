"""The offline page seals a gigabyte in pieces from a disk, with little memory: nothing of a tip is held as a whole."""

from __future__ import annotations

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
"""MB of memory above that of the page before it seals."""
EACH: Final = 10.0
"""Seconds that a piece may take at most: it waits until the browser has taken those before."""
_FOLDERS: Final = ("/usr/lib/chromium/", f"{Path(FIREFOX_BINARY).parent}/")


def memory() -> float:
    """MB of memory (PSS) of all processes of browsers that this one has started, whatever they call themselves."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        try:
            if process.exe().startswith(_FOLDERS):
                total += process.memory_full_info().pss
        except psutil.Error:
            continue  # it has ended meanwhile
    return total / MB


@contextmanager
def peak() -> Iterator[list[float]]:
    """The highest memory while the block runs."""
    found, done = [memory()], threading.Event()

    def look() -> None:
        while not done.wait(0.5):
            found[0] = max(found[0], memory())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("level", [Level.CHROMIUM, Level.STANDARD], ids=lambda level: level.value)
def test_memory_of_a_gigabyte(level: Level, ledger: Ledger, disk_folder: Path) -> None:
    keys = keys_folder(disk_folder / "keys", [Organisation("kibhr")])
    page = disk_folder / "seal.html"
    tipbox("server", "offline-page", "--keys", keys, "--out", page)
    file = random_file(disk_folder / "video.bin", SIZE)
    with ledger.bench(f"offline page {level.value}") as bench, running(level) as browser:
        offline = OfflineSource(browser, page)
        offline.go()
        browser.click("#app [data-door=write]")
        browser.wait("#app textarea")
        browser.attach("#app input[type=file]", [file])
        browser.click("#app [data-part=organisations] input")
        browser.run(f"document.querySelector('#app select').value = '{PIECE}';")
        before, begun = memory(), time.monotonic()
        with peak() as highest:
            saved = offline.seal(PIECES, EACH * PIECES)
        assert sum(path.stat().st_size for path in saved) > SIZE
        bench.note("1 GiB into pieces of 8 MB", "MB/s", SIZE / MB / (time.monotonic() - begun))
        bench.note(
            "memory above that of the open form, 1 GiB in pieces of 8 MB", "MB", [highest[0] - before], at_most=MOST
        )
