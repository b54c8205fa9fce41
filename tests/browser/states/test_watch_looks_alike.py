"""A watcher's visits beside those of Firefox at Safer, through one proxy: what can be seen of them does not tell which.

``TIPBOX_EVERY_JOURNEY=1`` compares 500 requests; otherwise a sample. ``TIPBOX_RECORD_HEADS=1`` writes the heads anew.
"""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from browser.drivers import Browser, Level
from release.recorder import Recorder, Seen
from support.world import World
from tipbox.verify import visiting
from tipbox.verify.visiting import Step, Visitor

EVERY = bool(os.environ.get("TIPBOX_EVERY_JOURNEY"))
RECORD = bool(os.environ.get("TIPBOX_RECORD_HEADS"))
VISITS = 36 if EVERY else 16 if RECORD else 2
"""Of each; seven requests a visit."""
HEADS = Path(visiting.__file__).with_name("firefox_heads.json")
PARTS = {"start.js", "page.js", "style.css", "worker.js", "now"}
LOADED = {"/", "/en/", "/static/start.js", "/static/page.js", "/static/style.css", "/static/worker.js", "/api/now"}


@pytest.fixture(name="recorder")
def _recorder(pages_world: World) -> Iterator[Recorder]:
    circuits = itertools.count(1)
    recorder = Recorder(lambda: pages_world.server.connect(f"fc00:dead:beef:4dad::{next(circuits):x}:c1"))
    yield recorder
    recorder.close()


def firefox(browser: Browser, recorder: Recorder) -> list[Seen]:
    """One visit to the bare address."""
    browser.fresh()
    recorder.visit()
    browser.open(browser.url(recorder.port, "/"))
    browser.until(lambda: {one.target for one in recorder.seen} >= LOADED, "the page and its parts")
    return recorder.visit()


def watcher(visitor: Visitor, recorder: Recorder) -> list[Seen]:
    recorder.visit()
    visitor.load([Step("/")], "en")
    return recorder.visit()


def heads(visit: list[Seen]) -> dict[str, bytes]:
    return {one.target: one.head for one in visit}


def name(one: Seen) -> str:
    return one.target.rpartition("/")[2]


def features(visit: list[Seen]) -> dict[str, object]:
    """What somebody could sort visits by, beside the heads."""
    order = [name(one) for one in visit if name(one) in PARTS]
    where = {name(one): one.connection for one in visit}
    return {
        "number of requests": len(visit),
        "connections": len({one.connection for one in visit}),
        "what is asked for without credentials is asked apart": sum(one.connection == where["now"] for one in visit),
        "style and script at once": where["style.css"] != where["page.js"],
        "worker after start": order.index("worker.js") > order.index("start.js"),
        "keys after page": order.index("now") > order.index("page.js"),
    }


def record(visits: list[list[Seen]], link: list[Seen]) -> None:
    """Write the heads and orders of these visits."""

    def pairs(head: bytes) -> list[list[str]]:
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line]
        marks = {"Host": "{host}", "Referer": "{page}"}
        return [[key, marks.get(key, value)] for key, value in lines]

    first = heads(visits[0])
    made = {
        "typed": pairs(first["/"]),
        "link": pairs(heads(link)["/ru/"]),
        "script": pairs(first["/static/page.js"]),
        "style": pairs(first["/static/style.css"]),
        "worker": pairs(first["/static/worker.js"]),
        "fetch": pairs(first["/api/now"]),
    }
    orders = [[[name(one), one.connection] for one in visit if name(one) in PARTS] for visit in visits]
    value = {"browser": "Firefox ESR with the preferences of Tor Browser at Safer", "heads": made, "orders": orders}
    HEADS.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def test_a_watcher_s_visits_are_those_of_firefox(browsers: Callable[[Level], Browser], recorder: Recorder) -> None:
    browser = browsers(Level.SAFER)
    theirs = [firefox(browser, recorder) for _ in range(VISITS)]
    browser.click("#languages a[lang=ru]")
    browser.until(lambda: any(one.target == "/api/now" for one in recorder.seen), "the page in Russian")
    by_link = recorder.visit()
    address = browser.url(recorder.port, "")
    browser.fresh()
    if RECORD:
        record(theirs, by_link)
        visiting._recorded.cache_clear()
        visiting.heads.cache_clear()
    visitor = Visitor(f"http://127.0.0.1:{recorder.port}", None)
    visitor.spoken = address.removesuffix("/")
    ours = [watcher(visitor, recorder) for _ in range(VISITS)]
    recorder.visit()
    visitor.load([Step("/ru/", "link", "/en/")], "en")
    assert heads(recorder.visit())["/ru/"] == heads(by_link)["/ru/"]

    # Every head, byte for byte: names, values, order, spelling.
    for visit in (*theirs, *ours):
        assert heads(visit) == heads(theirs[0])
    # Nothing else that can be counted separates them better than chance would.
    for feature in features(theirs[0]):
        seen: list[Counter[Any]] = [Counter(features(visit)[feature] for visit in visits) for visits in (theirs, ours)]
        right = sum(max(one[value], other[value]) for value in {*seen[0], *seen[1]} for one, other in [seen])
        # Of two equal sources the best guesser is right in half, and a little more by luck: four deviations.
        assert right <= VISITS + 4 * (2 * VISITS * 0.25) ** 0.5, (feature, seen)
