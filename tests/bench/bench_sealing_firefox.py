"""Sealing a file in Firefox, as the page's worker does it, against bare WebCrypto on the same page.

The page is no page of tipbox: its worker is built from the client's sources and leaves out the request only. "sealed"
is everything from reading the chosen file to the run that would be sent.
"""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from bench.figures import Ledger, in_turn
from bench.inputs import random_file
from browser.drivers import Level, running

ROOT: Final = Path(__file__).parents[2]
SIZE: Final = 256 << 20
ROUNDS: Final = 7
BOUND: Final = 0.8
PAGE: Final = (
    b"""<!doctype html><meta charset="utf-8"><title>sealing</title><input type="file"><script src="page.js"></script>"""
)
SCRIPT: Final = b"""
const worker = new Worker("worker.js");
const field = document.querySelector("input");
window.measure = (way) => new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => resolve(`${data.bytes} ${data.milliseconds}`);
  worker.onerror = reject;
  worker.postMessage({ way, file: field.files[0] });
});
"""


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[int]:
    """The folder on a port of 127.0.0.1."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def build_page(folder: Path) -> None:
    """The page with the worker built as client/build.mjs builds the page's own."""
    subprocess.run(
        (
            *(ROOT / "client/node_modules/.bin/esbuild", Path(__file__).with_name("seal_page.ts")),
            *("--bundle", "--minify", "--format=iife", "--target=firefox128", "--log-level=warning"),
            f"--outfile={folder / 'worker.js'}",
        ),
        cwd=ROOT / "client",
        check=True,
        timeout=60,
    )
    (folder / "index.html").write_bytes(PAGE)
    (folder / "page.js").write_bytes(SCRIPT)


@pytest.mark.parametrize("level", [Level.STANDARD, Level.SAFER], ids=lambda level: level.value)
def test_sealing_speed(level: Level, ledger: Ledger, disk_folder: Path) -> None:
    page = disk_folder / "page"
    page.mkdir()
    build_page(page)
    file = random_file(disk_folder / "video.bin", SIZE)
    with ledger.bench(f"sealing {level.value}") as bench, served(page) as port, running(level) as browser:
        browser.open(browser.url(port, "/index.html"))
        browser.attach("input", [file])

        def speed(way: str) -> float:
            size, milliseconds = map(float, browser.run(f'return await page.measure("{way}");').split())
            assert size >= SIZE
            return SIZE / 1000 / milliseconds

        for way in ("sealed", "bare"):
            speed(way)  # warm
        ways = ("bare", "sealed", "bareAtOnce", "bareFile", "read")
        values = dict(zip(ways, in_turn(ROUNDS, *(partial(speed, way) for way in ways)), strict=True))
        bench.note("bare WebCrypto, 64 KiB in memory, one after the other", "MB/s", values["bare"])
        bench.note("bare WebCrypto, 64 KiB in memory, 64 at once", "MB/s", values["bareAtOnce"])
        bench.note("bare WebCrypto over the file, read 4 MiB at a time", "MB/s", values["bareFile"])
        bench.note("reading the file alone", "MB/s", values["read"])
        bench.note("sealed, file to run: 256 MiB", "MB/s", values["sealed"])
        bench.note_ratios("sealed / bare, one after the other", values["sealed"], values["bare"], at_least=BOUND)
        bench.note_ratios("sealed / bare, 64 at once", values["sealed"], values["bareAtOnce"])
        bench.note_ratios("sealed / bare over the file", values["sealed"], values["bareFile"])
