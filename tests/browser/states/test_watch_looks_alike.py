"""A watcher's visits beside those of Firefox at Safer, through one proxy: what can be seen of them does not tell which.

A sample of visits, all of whose heads are compared; with ``EVERY_JOURNEY=1`` 500 requests, and classifiers go by
orders, sizes, connections and moments. ``RECORD_HEADS=1`` writes heads and loads of pages anew.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from browser.drivers import Browser, Firefox, Level
from release.recorder import Recorder, Seen, Visit
from release.separating import Case, separate
from support.world import ROOT, World
from tipbox.verify import recorded_loads
from tipbox.verify.recorded_loads import PAGE, WAITS_FOR
from tipbox.verify.visiting import HELD_BACK

EVERY = bool(os.environ.get("EVERY_JOURNEY"))
RECORD = bool(os.environ.get("RECORD_HEADS"))
VISITS = 36 if EVERY else 2
"""Of each; seven requests a visit."""
LOADS = 48 if RECORD else 0
"""How many of Firefox's visits the file is made of."""
BEFORE = 6 if EVERY else 0
"""Turns that are only recorded: what a watcher goes by must have gone as all the rest does, turn by turn."""
RECENT = 24
"""A watcher's visit goes by so many of those that were recorded last: the machine may be busy now, and quiet soon."""
LUCK = 0.001
"""As seldom may two samples of one source look as different as these."""
HEADS = Path(recorded_loads.__file__).with_name("firefox_heads.json")
LOADED = {"/", "/en/", "/static/start.js", "/static/page.js", "/static/style.css", "/static/worker.js", "/api/now"}


@contextmanager
def foremost() -> Iterator[None]:
    """This thread, and the threads and processes that it starts, wait for no others, where that may be asked for.

    What Firefox waited for on a busy machine is in the pauses that were recorded: who goes by them must not wait again.
    """
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    with suppress(PermissionError):
        if EVERY:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


@pytest.fixture(name="recorder")
def _recorder(pages_world: World) -> Iterator[Recorder]:
    circuits = itertools.count(1)
    with foremost():
        recorder = Recorder(lambda: pages_world.server.connect(f"fc00:dead:beef:4dad::{next(circuits):x}:c1"))
    yield recorder
    recorder.close()


def whole(recorder: Recorder) -> bool:
    return {one.target for one in recorder.seen if one.ended} >= LOADED


def firefox(browser: Browser, recorder: Recorder) -> Visit:
    """One visit to the bare address, with no connection from before: on a new circuit there is none."""
    assert isinstance(browser, Firefox)
    browser.fresh()
    browser.chrome("Services.obs.notifyObservers(null, 'net:cancel-all-connections')")
    recorder.visit()
    browser.open(browser.url(recorder.port, "/"))
    browser.until(lambda: whole(recorder), "the page and its parts")
    return recorder.visit()


@contextmanager
def watcher(browser: Browser, recorder: Recorder) -> Iterator[Callable[[str, list[Any] | None], Visit]]:
    """Visits by a process of its own, as Firefox is one."""
    spoken = browser.url(recorder.port, "").removesuffix("/")
    command = (sys.executable, ROOT / "tests" / "release" / "visits.py", f"http://127.0.0.1:{recorder.port}", spoken)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None and child.stdout is not None  # noqa: PT018

        def visit(path: str, loads: list[Any] | None) -> Visit:
            assert child.stdin is not None and child.stdout is not None  # noqa: PT018
            recorder.visit()
            child.stdin.write(f"{json.dumps([path, loads])}\n")
            child.stdin.flush()
            assert child.stdout.readline() == "loaded\n"
            browser.until(lambda: all(one.ended for one in recorder.seen), "what was answered")
            return recorder.visit()

        yield visit
        child.stdin.close()


def heads(visit: Visit) -> dict[str, bytes]:
    return {one.target: one.head for one in visit}


def name(one: Seen) -> str:
    return PAGE if one.target == "/en/" else one.target.rpartition("/")[2]


def by_name(visit: Visit) -> dict[str, Seen]:
    return {name(one): one for one in visit}


def after(visit: Visit, part: str) -> float:
    """Seconds between the last answer that a part waits for and its request."""
    there = by_name(visit)
    return there[part].at - max(there[one].ended for one in WAITS_FOR[part])


def opened(one: Seen, visit: Visit) -> float:
    """Seconds for which a connection had been open when something was first asked for on it; 0 for all later."""
    is_first = all(other.at >= one.at for other in visit if other.connection == one.connection)
    return one.at - one.opened if is_first else 0.0


def features(visit: Visit) -> Case:
    """What somebody could sort visits by."""
    visit.sort(key=lambda one: one.at)
    made: dict[str, Any] = {
        "order": " ".join(map(name, visit)),
        "connections": " ".join(f"{name(one)}:{one.connection}" for one in sorted(visit, key=name)),
        "number of connections": len({one.connection for one in visit}),
        "number of connections, unused ones too": len(visit.openings),
        "number of requests": len(visit),
        "redirect": visit[1].at - visit[0].ended,
        "seconds in all": visit[-1].at - visit[0].at,
    }
    first = by_name(visit)[PAGE].ended
    made["unused connection"] = visit.unused[0] - first if visit.unused else 0.0
    made |= {f"size of {name(one)}": len(one.head) for one in visit}
    made |= {f"pieces of {name(one)}": one.pieces for one in visit}
    made |= {f"{name(one)} after its connection": opened(one, visit) for one in visit}
    made |= {f"gap {n}": later.at - one.at for n, (one, later) in enumerate(itertools.pairwise(visit))}
    return made | {f"{part} after what it waits for": after(visit, part) for part in WAITS_FOR}


def load_of(visit: Visit) -> dict[str, Any]:
    """A visit as ``firefox_heads.json`` holds it."""
    there, begun = by_name(visit), visit[0].at
    pauses = {part: after(visit, part) for part in WAITS_FOR}
    pauses["worker.js"] -= (there["start.js"].ended - begun) * HELD_BACK
    together = there["worker.js"].at - there["now"].at
    return {
        "opened": round(opened(visit[0], visit), 4),
        "unused": [round(max(0.0, moment - there[PAGE].ended), 4) for moment in visit.unused],
        "redirect": round(max(0.0, visit[1].at - visit[0].ended), 4),
        "together": round(together, 4) if together >= 0 else None,
        "parts": [
            [part, there[part].connection, round(max(0.0, pauses[part]), 4), round(opened(there[part], visit), 4)]
            for part in WAITS_FOR
        ],
    }


def seconds(visit: Visit) -> float:
    """How long a visit took."""
    return max(one.ended for one in visit) - visit[0].at


def record(visits: list[Visit], link: Visit) -> None:
    """Write the heads and loads of these visits."""

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
    value = {
        "browser": "Firefox ESR with the preferences of Tor Browser at Safer",
        "heads": made,
        # The faster half: what held up the others was this machine.
        "loads": [load_of(visit) for visit in sorted(visits, key=seconds)[: len(visits) // 2]],
    }
    HEADS.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def test_a_watcher_s_visits_are_those_of_firefox(browsers: Callable[[Level], Browser], recorder: Recorder) -> None:
    browser = browsers(Level.SAFER)
    recorded = [firefox(browser, recorder) for _ in range(LOADS)]
    first = firefox(browser, recorder)
    theirs = [] if EVERY else [first]
    browser.click("#languages a[lang=ru]")
    browser.until(lambda: any(one.target == "/api/now" for one in recorder.seen), "the page in Russian")
    by_link = recorder.visit()
    if RECORD:
        record(recorded, by_link)
    ours = []
    with foremost(), watcher(browser, recorder) as visit:
        # By turns: whatever else this machine does, it does to both.
        for number in range(-BEFORE, VISITS):
            pair = [firefox(browser, recorder) for _ in range(2 if EVERY else bool(number))]
            # The first of two comes when the browser has rested: each is taken for either as often.
            if number % 2:
                pair.reverse()
            (recorded if number < 0 else theirs).extend(pair[:1])
            recorded.extend(pair[1:])
            browser.fresh()
            # The file's pauses are those of another machine: these are of this one, and of the present minute.
            seen = visit("/", [load_of(one) for one in recorded[-RECENT:]] or None)
            if number >= 0:
                ours.append(seen)
        assert heads(visit("/ru/", None))["/ru/"] == heads(by_link)["/ru/"]

    # Every head, byte for byte: names, values, order, spelling.
    for seen in (*theirs, *ours):
        assert heads(seen) == heads(theirs[0])
        assert len(seen) == len(LOADED)
    if not EVERY:
        return
    found = separate(list(map(features, theirs)), list(map(features, ours)))
    print(found)  # noqa: T201 (the figures of make journeys)
    for verdict in found.values():
        assert verdict.chance > LUCK, found
