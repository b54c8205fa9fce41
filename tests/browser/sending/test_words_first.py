"""Words go first and by themselves: whatever becomes of the files, the desk has what was written, as one tip."""

from __future__ import annotations

import filecmp
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from browser.drivers import Browser, Level
from browser.pages import Source
from browser.wire import Wire
from support.world import Ring, World, running_world
from tipbox.formats.base.padding import padme
from tipbox.formats.envelopes.header import Header, header_size

WORDS = "Сначала слова, видео потом"
WORDS_STORED = "#app [data-part=words-stored]"
TRY_NOW = "#app [data-part=retry]"
FILE_SIZE = 30_000_000
ONE_OF_EACH = pytest.mark.parametrize("level", [Level.CHROMIUM, Level.SAFER], ids=lambda level: level.value)
"""A browser of each kind: what is looked at here is what arrives."""


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "VID_20220105_201455.mp4"
    path.write_bytes(random.Random(11).randbytes(FILE_SIZE))
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "Площадь.jpg"
    path.write_bytes(random.Random(12).randbytes(40_000))
    return path


def begin(source: Source, *files: Path) -> None:
    """Write, choose files, and send; the words are there when this returns."""
    source.open_form()
    source.write(WORDS)
    source.attach(*files)
    source.send()
    words_are_there(source)


def words_are_there(source: Source) -> None:
    browser = source.browser
    shown = f"return document.querySelector('{WORDS_STORED}').getClientRects().length > 0;"
    browser.until(lambda: browser.run(shown), "the words to be there")


def openings(wire: Wire) -> int:
    """Openings that were answered."""
    return sum(one.target == "/api/envelope" and bool(one.raw_answer) for one in wire.seen("PUT"))


@ONE_OF_EACH
def test_a_video_that_changes_midway_costs_nothing_but_itself(
    teller: Source, world: World, video: Path, photo: Path
) -> None:
    wire = teller.wire
    wire.hold()
    begin(teller, photo, video)
    wire.wait_until_held()
    video.write_bytes(bytes(FILE_SIZE // 3))
    wire.release()
    said = teller.wait_ended()

    assert video.name in said
    [tip] = world.arrived("kibhr")
    assert tip.message == WORDS.encode()
    assert [*tip.files] == [photo.name]
    assert filecmp.cmp(photo, tip.files[photo.name], shallow=False)
    assert tip.facts["missing"] == 1


@ONE_OF_EACH
def test_words_arrive_where_there_is_no_room_for_files(
    browser: Browser, ring: Ring, line: Callable[[World], Wire], photo: Path, video: Path
) -> None:
    with running_world(ring, settings={"TIPBOX_QUOTA_CARRY_CAPACITY": "1000000"}) as world:
        source = Source(browser, line(world))
        source.check_level()
        source.open_form()
        source.write(WORDS)
        source.attach(photo, video)
        source.send()
        said = source.wait_ended()

        assert "room" in said
        [tip] = world.arrived("kibhr")
        assert tip.message == WORDS.encode()
        assert [*tip.files] == []
        assert tip.facts["missing"] == 2


@ONE_OF_EACH
def test_a_server_that_sees_both_learns_their_order_and_sizes(teller: Source, photo: Path) -> None:
    """And no more: what ties the second to the first is sealed, and each has a token of its own."""
    begin(teller, photo)
    teller.wait_stored()

    words, files = (one for one in teller.wire.seen("PUT") if one.target == "/api/envelope")
    assert words.headers["authorization"] != files.headers["authorization"]
    bodies = [bytes(one.body) for one in (words, files)]
    headers = [Header.parse(body[: header_size(body)]) for body in bodies]
    assert [header.body_size for header in headers] == [0, padme(photo.stat().st_size)]


@ONE_OF_EACH
def test_words_outlive_a_tab_that_is_closed_halfway(teller: Source, world: World, video: Path) -> None:
    browser, wire = teller.browser, teller.wire
    half = FILE_SIZE // 65_536 // 2
    wire.blocked = lambda path: "/parts/" in path and int(path.rpartition("/")[2]) >= half
    begin(teller, video)
    bar = "return document.querySelector('#app progress').value;"
    browser.until(lambda: browser.run(bar) > 0.4, "nearly half of it to be sent")
    browser.fresh()

    [tip] = world.arrived("kibhr")
    assert tip.message == WORDS.encode()
    assert tip.facts["missing"] == 1


@ONE_OF_EACH
def test_a_server_that_is_killed_between_words_and_files_gets_the_files_later(
    teller: Source, world: World, video: Path
) -> None:
    wire = teller.wire
    wire.blocked = lambda path: path == "/api/envelope" and openings(wire) > 0
    begin(teller, video)
    world.server.kill()
    [early] = world.arrived("ili")
    world.server.start()
    wire.blocked = lambda _path: False
    # Or it waits for as long as the server was away, unless it tries just now.
    teller.browser.run(f"document.querySelector('{TRY_NOW}')?.click();")
    teller.wait_stored()

    assert early.message == WORDS.encode()
    assert early.facts["missing"] == 1
    [tip] = world.arrived("kibhr")
    assert tip.message == WORDS.encode()
    assert filecmp.cmp(video, tip.files[video.name], shallow=False)
    assert tip.facts["missing"] == 0
