"""A watcher's visit as a server sees it: what waits for what, on which connections, and how long they stay."""

from __future__ import annotations

import contextlib
import math
import random
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from release.recorder import Recorder, Seen
from support.socks_proxy import running_socks
from tipbox.verify import lines, visiting
from tipbox.verify.recorded_loads import PAGE, WAITS_FOR, Load, Part, another
from tipbox.verify.visiting import Step, Unreached, Visitor

PATIENCE = 60.0
SLOW = 0.05
"""Seconds that an answer takes: more than threads need to wake up."""


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not self.path.strip("/").isdigit():
            time.sleep(SLOW)
        leads = self.path == "/"
        self.send_response_only(303 if leads else 200)
        if leads:
            self.send_header("Location", "/en/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(name="recorder")
def _recorder() -> Iterator[Recorder]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    recorder = Recorder(lambda: socket.create_connection(("127.0.0.1", server.server_address[1])))
    yield recorder
    recorder.close()
    server.shutdown()
    server.server_close()
    thread.join()


def visit(recorder: Recorder, *steps: Step, load: Load, patch: pytest.MonkeyPatch) -> tuple[list[Seen], list[float]]:
    waited: list[float] = []
    patch.setattr(visiting, "loads", lambda: [load])
    visitor = Visitor(f"http://127.0.0.1:{recorder.port}", None, read=waited.append)
    try:
        answers = visitor.load(steps, "en")
        assert [answer.status for answer in answers].count(200) == 6 * len(steps)
        until(lambda: all(one.ended for one in recorder.seen))
        assert recorder.open == len(recorder.seen.openings), "they stay open, as a browser's do"
        assert len(recorder.seen.unused) == len(load.unused) * len(steps)
        seen = recorder.visit()
    finally:
        visitor.close()
    until(lambda: recorder.open == 0)
    return seen, waited


def until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def name(one: Seen) -> str:
    return PAGE if one.target == "/en/" else one.target.rpartition("/")[2]


def parts(**pauses: float) -> dict[str, Part]:
    on = {"start.js": 0, "page.js": 1, "style.css": 2, "worker.js": 0, "now": 3}
    return {part: Part(on[part], pauses.get(part.partition(".")[0], 0.0)) for part in WAITS_FOR}


NEVER = 3600.0


@pytest.mark.parametrize(
    "load",
    [Load(0.01, None, parts()), Load(0.01, 0.01, parts(worker=NEVER), unused=[0.01])],
    ids=["by its first script", "with keys"],
)
def test_what_a_page_waits_for_comes_first(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, load: Load) -> None:
    seen, _ = visit(recorder, Step("/"), load=load, patch=monkeypatch)
    there = {name(one): one for one in seen}
    assert [one.target for one in seen[:2]] == ["/", "/en/"]
    for part, before in WAITS_FOR.items():
        assert all(there[part].at >= there[one].ended for one in before), part
    assert [one for one in seen if one.connection == there["now"].connection] == [there["now"]]
    assert len({one.connection for one in seen}) <= 5


def test_a_link_is_followed_after_a_while_on_the_same_connections(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Step("/"), Step("/ru/", "link", "/en/")
    seen, waited = visit(recorder, *steps, load=Load(0.0, None, parts()), patch=monkeypatch)
    assert len(seen) == 13
    assert len({one.connection for one in seen}) <= 5
    assert len(waited) == 1
    assert waited[0] > 0.5, "nobody reads as fast"


def test_who_asks_for_the_next_at_once_is_recorded_right(recorder: Recorder) -> None:
    """Hundreds of times: between an answer and its moment there is little time."""
    with socket.create_connection(("127.0.0.1", recorder.port)) as line:
        for number in range(300):
            line.sendall(b"GET /%d HTTP/1.1\r\n\r\n" % number)
            assert line.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        until(lambda: recorder.seen[-1].ended)
    seen = recorder.visit()
    assert [one.target for one in seen] == [f"/{number}" for number in range(300)]
    assert all(one.ended > one.at for one in seen)


@pytest.mark.parametrize("by_path", [False, True], ids=["at a port", "at a path"])
def test_through_tor_a_visit_is_one_circuit(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, by_path: bool
) -> None:
    load = Load(0.01, None, parts(page=0.03, style=0.05), unused=[0.04])
    monkeypatch.setattr(visiting, "loads", lambda: [load])
    with running_socks(recorder.port, tmp_path / "s" if by_path else None) as socks:
        visitor = Visitor(f"http://{'a' * 56}.onion", socks.address)
        assert [answer.status for answer in visitor.load([Step("/")], "en")] == [303] + [200] * 6
        visitor.close()
    assert len(set(socks.users)) == 1
    assert set(socks.names) == {b"a" * 56 + b".onion"}
    seen = recorder.visit()
    assert len(socks.users) == len(seen.openings)
    assert len(seen.unused) == 1, "a connection on which nothing is asked for reaches the server too"
    with running_socks(None) as nobody, pytest.raises(Unreached, match="ProxyError"):
        Visitor(f"http://{'a' * 56}.onion", nobody.address, pause=lambda _: 0.0).load([Step("/")], "en")


def test_a_request_is_made_before_its_moment_and_leaves_at_it(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the connection for it: when one is opened, and how long before something is asked for, can be seen."""
    moments, waiting, go = [], threading.Event(), threading.Event()

    def sleep_until(moment: float) -> None:
        moments.append(moment)
        if moment == opens:
            waiting.set()
            assert go.wait(PATIENCE)

    monkeypatch.setattr(lines, "sleep_until", sleep_until)
    circuit, due = lines.Circuit(f"http://127.0.0.1:{recorder.port}", None, PATIENCE), time.monotonic() + NEVER
    opens = due - 1.0

    def ask() -> None:
        with circuit.line(0, due, 1.0) as line:
            line.client.get("/en/")

    thread = threading.Thread(target=ask)
    thread.start()
    assert waiting.wait(PATIENCE)
    assert not recorder.seen.openings
    go.set()
    thread.join()
    circuit.close()
    assert moments == [opens - lines.LEAD, opens, due], "the head was made by then: nothing but bytes waited"
    assert [(one.target, one.pieces) for one in recorder.visit()] == [("/en/", 1)]


def test_loads_are_as_scattered_as_those_that_were_recorded() -> None:
    recorded = [Load(0.01 * n, None, parts(start=0.05 * n, page=0.05 * n + 0.003), 0.002) for n in range(1, 13)]
    dice = random.Random(1)
    made = [another(recorded, dice) for _ in range(300)]
    pauses: list[Callable[[Load], float]] = [lambda one: one.redirect, lambda one: one.parts["start.js"].pause]
    for pause in pauses:
        theirs, ours = ([math.log(pause(one)) for one in some] for some in (recorded, made))
        assert statistics.fmean(ours) == pytest.approx(statistics.fmean(theirs), abs=0.1)
        assert statistics.pstdev(ours) == pytest.approx(statistics.pstdev(theirs), rel=0.1)
    assert len({one.redirect for one in made}) == len(made), "no two are the same"
    gaps = [one.parts["page.js"].pause - one.parts["start.js"].pause for one in made]
    assert gaps == pytest.approx([0.003] * len(gaps)), "what leaves together does so however long it waited"


def test_an_answer_that_drips_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, and the last one never."""
    monkeypatch.setattr(visiting, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(visiting, "_TRIALS", 1)
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as line:
            line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while True:
                line.sendall(b"a")
                time.sleep(0.05)

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    with listener, pytest.raises(Unreached, match="no whole answer for /en/") as raised:
        Visitor(f"http://127.0.0.1:{listener.getsockname()[1]}", None).ask(Step("/en/"))
    [part] = raised.value.answers
    assert (part.whole, part.status, set(part.body)) == (False, 200, {ord("a")})
    thread.join()
