"""Watchers: how soon they find a swap, what they write, and where two of them disagree. By simulated time."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from release.made import TODAY, WATCHER, Maker
from support.commands import Run
from tipbox.errors import NetworkFailed
from tipbox.formats.base.fields import to_base64
from tipbox.formats.base.primitives import SigningKey
from tipbox.formats.site_list import SiteEntry, SiteList
from tipbox.release.signed_line import SignedLine
from tipbox.verify import rendering, visiting
from tipbox.verify import watching as watching_module
from tipbox.verify.judging import Answer
from tipbox.verify.looking import Look, redirects
from tipbox.verify.recorded_loads import WAITS_FOR, loads
from tipbox.verify.rendering import Expected
from tipbox.verify.visiting import Step, Unreached
from tipbox.verify.watching import Watch, append_line, compare, line_of, read_lines, visits

LANGUAGES = ("ar", "en", "es", "fr", "kk", "ru")
PARTS = ("start.js", "page.js", "style.css", "worker.js")
HEADERS = {"Content-Security-Policy": "default-src 'none'"}
HTML = "text/html; charset=utf-8"
PAGES = {f"/{language}/{place}": language.encode() for language in LANGUAGES for place in ("", "send", "inbox")}
BODIES = PAGES | {f"/static/{name}": name.encode() for name in PARTS} | {"/error.html": b"error"}
EXPECTED = Expected(BODIES, dict.fromkeys(BODIES, HTML), HEADERS, {}, "ru", "1.2.0")
LISTED = SiteList.of("ru", [])
NOW = json.dumps({"manifests": [], "former": []}).encode()


@dataclass
class Tor:
    """A server behind many circuits: it swaps a file for one circuit in three."""

    choose: random.Random
    swapped: str = ""
    circuits: int = 0
    spoken: str = "http://127.0.0.1"

    def load(self, steps: Sequence[Step], language: str) -> list[Answer]:
        self.circuits += 1
        lies = self.choose.random() < 1 / 3
        answers = []
        for step in steps:
            path = step.path
            if path in redirects(EXPECTED):
                location = [("Location", f"/{language}{path}")]
                answers.append(Answer(path, 303, [*HEADERS.items(), *location], b""))
                path = f"/{language}{path}"
            for one in (path, *(f"/static/{name}" for name in PARTS)):
                body = BODIES[one] + (b"!" if lies and one == self.swapped else b"")
                answers.append(Answer(one, 200, [*HEADERS.items(), ("Content-Type", HTML)], body))
            answers.append(Answer("/api/now", 200, [*HEADERS.items(), ("Content-Type", "application/json")], NOW))
        return answers


def watching(seed: int, waited: list[float] | None = None) -> Watch:
    waits: Callable[[float], None] = (lambda _: None) if waited is None else waited.append
    return Watch(EXPECTED, LISTED, waits, random.Random(seed))


ROUNDS = {"/static/page.js": 2, "/kk/": 18}
"""Within how many looks a swap for one circuit in three is found: one look misses (2/3)^18 and 2/3 of them."""


@pytest.mark.parametrize("swapped", ROUNDS)
def test_a_swap_for_one_circuit_in_three_is_found_within_the_stated_rounds(swapped: str) -> None:
    needed = []
    for trial in range(200):
        watch, tor = watching(trial), Tor(random.Random(1000 + trial), swapped)
        looks = 1
        while not watch.look(tor, 6 * 3600, lambda: TODAY).differences:  # type: ignore[arg-type]
            looks += 1
        needed.append(looks)
    assert max(needed) <= ROUNDS[swapped], sorted(needed)[-5:]


def test_a_look_loads_every_page_and_says_nothing_of_an_honest_server() -> None:
    waited: list[float] = []
    watch, tor = watching(1, waited), Tor(random.Random(1))
    look = watch.look(tor, 3600, lambda: TODAY)  # type: ignore[arg-type]
    assert look.differences == []
    assert set(PAGES) | {"/", *(f"/static/{name}" for name in PARTS)} == set(look.seen)
    assert tor.circuits == 18
    assert sum(waited) == pytest.approx(3600)
    assert min(waited) >= 0
    assert len({round(one, 3) for one in waited}) > 15, "at random moments"


def test_an_onion_service_that_nobody_vouches_for_is_named() -> None:
    """Whoever stands before a line passes on what it answers."""
    own, other = (f"{letter * 56}.onion" for letter in "ab")
    key = SigningKey(bytes(range(32)))
    signed = SiteEntry("kibhr", "KIBHR", "", ("ru",), b"", (own,)).signed_by(key)
    for entry, url, found in (
        (signed, f"http://{own}", 0),
        (signed, f"http://www.{own.upper()}.:80/en/", 0),
        (signed, f"http://{other}", 1),
        (signed, "http://127.0.0.1:8000", 0),
        (replace(signed, onions=()).signed_by(key), f"http://{other}", 0),
    ):
        watch = replace(watching(1), listed=SiteList.of("ru", [entry]))
        look = watch.look(Tor(random.Random(1), spoken=url), 1, lambda: TODAY)  # type: ignore[arg-type]
        assert [one.kind for one in look.differences] == ["address"] * found, url
        assert not found or "none of the onion services that kibhr vouches for" in look.differences[0].text


def test_the_order_of_visits_is_another_each_time() -> None:
    made = [tuple(step.path for one in visits(EXPECTED, random.Random(seed)) for step in one) for seed in range(20)]
    assert len(set(made)) == 20
    assert len({tuple(sorted(one)) for one in made}) == 1


def test_every_recorded_load_asks_for_all_that_a_page_loads() -> None:
    for load in loads():
        assert load.parts.keys() == WAITS_FOR.keys()
        assert len({part.connection for part in load.parts.values()}) <= 5
        assert all(0 <= part.pause < 60 for part in load.parts.values())
        assert 0 <= load.redirect < 60
    assert len({tuple(load.parts.values()) for load in loads()}) > 1


# --- lines -----------------------------------------------------------------------------------------------------------

URL = "http://line.onion"


def lines(looks: Sequence[tuple[int, str | None]], key: SigningKey = WATCHER) -> list[SignedLine]:
    """Of looks at hours, each of which saw a face of this name; None: nothing was reached."""
    made: list[SignedLine] = []
    for hour, face in looks:
        look: Any = Look([], {"/ru/": face}) if face else NetworkFailed()
        line = line_of(URL, "1.2.0", look, made[-1] if made else None, key)
        said = {**line.said, "at": f"2027-03-01T{hour:02}"}
        made.append(SignedLine.make("watch", said, key))
    return made


OTHER = SigningKey(bytes(32))


Looks = Sequence[tuple[int, str | None]]
COMPARED: dict[str, tuple[Looks, Looks, int, int]] = {
    "same": ([(1, "a"), (7, "a"), (13, "a")], [(4, "a"), (10, "a")], 0, 0),
    "one look": ([(1, "a"), (7, "a"), (13, "a")], [(4, "a"), (10, "b")], 3, 0),
    "an upgrade": ([(1, "a"), (7, "b"), (13, "b")], [(4, "a"), (10, "b")], 0, 1),
    "after an upgrade": ([(1, "a"), (7, "b"), (13, "b")], [(4, "a"), (10, "a")], 3, 0),
    "the hour of it": ([(1, "a"), (7, "a")], [(7, "b"), (13, "b")], 0, 1),
    "two upgrades": ([(1, "a"), (7, "b"), (13, "c")], [(4, "a"), (10, "b")], 0, 2),
    "a clock that is wrong": ([(1, "a"), (2, "a")], [(20, "b"), (21, "b")], 0, 1),
    "not reached": ([(1, "a"), (13, "a")], [(7, None)], 2, 0),
    "by turns": ([(1, "a"), (2, "b"), (3, "a")], [(1, "a")], 3, 0),
    "for a while": ([(1, "a"), (20, "a")], [(10, "b"), (11, "b"), (12, "b")], 3, 0),
}
"""The looks of each, how the command ends, and how often one face followed another."""


@pytest.mark.parametrize("what", COMPARED)
def test_two_watchers_are_compared(run: Run, tmp_path: Path, what: str) -> None:
    one, other, code, turns = COMPARED[what]
    paths = [tmp_path / "a", tmp_path / "b"]
    for path, looks, key in zip(paths, (one, other), (WATCHER, OTHER), strict=True):
        for line in lines(looks, key):
            append_line(path, line)
    found, followed = compare(*(read_lines(path) for path in paths))
    assert (bool(found), len(followed)) == (code == 3, turns)
    done = run("watch", "compare", *paths, "--json")
    assert done.code == code
    if code != 2:
        assert (done.json["addresses"], len(done.json["followed"])) == ([URL], turns)
        assert done.json["keys"] == [to_base64(key.verify_key.encode()) for key in (WATCHER, OTHER)]
    if code == 3:
        assert "two faces between" in found[0]
        assert "/ru/" in found[0]
        assert done.error == "differs"


def test_what_one_watcher_wrote_is_compared_with_nothing(run: Run, tmp_path: Path) -> None:
    """An operator could hand out a copy of your own lines as somebody else's."""
    for line in lines([(1, "a")]):
        append_line(tmp_path / "a", line)
    done = run("watch", "compare", tmp_path / "a", tmp_path / "a")
    assert (done.code, "both files are of one watcher" in done.err) == (2, True)


def test_a_visit_that_is_not_reached_hides_nothing_that_others_saw() -> None:
    """Whoever swapped a page would be down for a while; and what was seen in part is no face."""

    class Down(Tor):
        def load(self, steps: Sequence[Step], language: str) -> list[Answer]:
            answers = super().load(steps, language)
            if self.circuits == 18:
                raise Unreached("down")
            return answers

    honest, swapping = Down(random.Random(1)), Down(random.Random(1), "/static/page.js")
    with pytest.raises(NetworkFailed):
        watching(1).look(honest, 3600, lambda: TODAY)  # type: ignore[arg-type]
    look = watching(1).look(swapping, 3600, lambda: TODAY)  # type: ignore[arg-type]
    line = line_of(URL, "1.2.0", look, None, WATCHER)
    assert (line.said["result"], line.said["seen"], look.unreached) == ("differs", {}, ["down"])


def test_a_changed_line_of_a_watcher_is_refused(run: Run, tmp_path: Path) -> None:
    path, good = tmp_path / "a", tmp_path / "b"
    made = lines([(1, "a"), (7, "a"), (13, "a")])
    for line in made:
        append_line(good, line)
    for line in (made[0], made[2]):
        append_line(path, line)
    done = run("watch", "compare", path, good, "--json")
    assert (done.code, done.error) == (3, "chain-broken")


def test_what_a_line_says() -> None:
    from tipbox.verify.judging import Difference

    look = Look([Difference("bytes", "/ru/", "x" * 1000)] * 50, {"/ru/": "0" * 64})
    line = line_of(URL, "1.2.0", look, None, WATCHER)
    assert line.said["result"] == "differs"
    assert [len(one) for one in line.said["found"]] == [300] * 16  # type: ignore[union-attr, arg-type]
    unreached = line_of(URL, "1.2.0", NetworkFailed(), line, WATCHER)
    assert (unreached.said["result"], unreached.said["previous"]) == ("unreached", line.digest)
    assert line_of(URL, "1.2.0", replace(look, differences=[]), None, WATCHER).said["result"] == "same"
    assert len(str(line.said["at"])) == len("2027-03-01T14")


# --- the command -----------------------------------------------------------------------------------------------------


@dataclass
class Watcher:
    """What a watcher has, and the server that it looks at."""

    folder: Path
    run: Run
    server: Tor

    def look(self, *options: object) -> Any:
        given = ("--release", self.folder / "release", "--signers", self.folder / "signers.json")
        own = ("--site", self.folder / "site.json", "--key", self.folder / "key", "--log", self.folder / "log")
        return self.run("watch", URL, *given, *own, "--socks", "127.0.0.1:9", "--json", *options)


@pytest.fixture(name="watcher")
def _watcher(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watcher:
    maker = Maker(tmp_path / "maintainers")
    maker.release(tmp_path / "release", {}, expires=date(2100, 1, 1))
    maker.write_signers(tmp_path / "signers.json")
    (tmp_path / "site.json").write_bytes(LISTED.encode())
    server = Tor(random.Random(1))
    monkeypatch.setattr(rendering, "expect", lambda *_: EXPECTED)
    monkeypatch.setattr(visiting, "Visitor", lambda *_: server)
    monkeypatch.setattr(watching_module, "Watch", partial(Watch, wait=lambda _: None))
    return Watcher(tmp_path, run, server)


def test_a_watcher_writes_a_line_after_each_look_and_goes_on_with_them(watcher: Watcher) -> None:
    done = watcher.look("--looks", "2")
    assert (done.code, [one["result"] for one in done.json["looks"]]) == (0, ["same", "same"]), done
    watcher.server.swapped = "/static/page.js"
    done = watcher.look("--looks", "1")
    assert (done.code, done.error, "1 of 1 looks differ" in done.err) == (3, "differs", True)
    log = watcher.folder / "log"
    assert [line.said["result"] for line in read_lines(log)] == ["same", "same", "differs"]

    # The power went while a line was written.
    whole = log.read_bytes()
    for torn in (whole.splitlines(keepends=True)[0][:-1], b"{"):
        log.write_bytes(whole + torn)
        watcher.server.swapped = ""
        assert watcher.look("--looks", "1").code == 0
        assert [line.said["result"] for line in read_lines(log)] == ["same", "same", "differs", "same"]
        assert log.read_bytes().startswith(whole)

    before = log.read_bytes()
    (watcher.folder / "key").unlink()
    done = watcher.look("--looks", "1")
    assert (done.code, "its lines are by another key" in done.err) == (3, True)
    assert log.read_bytes() == before
    log.write_bytes(before.replace(b"same", b"SAME", 1))
    assert watcher.look("--looks", "1").error == "chain-broken"
