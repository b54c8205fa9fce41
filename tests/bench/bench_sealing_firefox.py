"""Sealing a file in Firefox, as the page's worker does it, against bare WebCrypto on the same page.

The page is no page of tipbox: its worker is built from the client's sources and leaves out the request only. Like is
held against like: sealing against bare WebCrypto over the same memory, and everything from reading the chosen file to
the run that would be sent against bare WebCrypto over the same file, read in the same way. That one against bare
WebCrypto in memory is reported without a bound: reading counts on one side only.
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
  worker.onmessage = ({ data }) => data.error ? reject(data.error) : resolve(`${data.bytes} ${data.milliseconds}`);
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

        ways = ("bare", "sealOnly", "sealed", "bareFile", "bareAtOnce", "read")
        for way in ways:
            speed(way)  # warm
        values = dict(zip(ways, in_turn(ROUNDS, *(partial(speed, way) for way in ways)), strict=True))
        bench.note("bare WebCrypto in memory, 64 KiB one after the other", "MB/s", values["bare"])
        bench.note("bare WebCrypto in memory, 64 KiB, 64 at once", "MB/s", values["bareAtOnce"])
        bench.note("sealed in memory, nothing read", "MB/s", values["sealOnly"])
        bench.note("reading the file alone", "MB/s", values["read"])
        bench.note("bare WebCrypto over the file, read and encrypted in turn", "MB/s", values["bareFile"])
        bench.note("sealed from file to run", "MB/s", values["sealed"])
        bench.note_ratios("seal only / bare, both in memory", values["sealOnly"], values["bare"], at_least=BOUND)
        bench.note_ratios("file to run / bare over the same file", values["sealed"], values["bareFile"], at_least=BOUND)
        bench.note_ratios("file to run / bare in memory (reading on one side only)", values["sealed"], values["bare"])
        bench.note_ratios("seal only / bare, 64 at once", values["sealOnly"], values["bareAtOnce"])
