"""Browsers, a server for all pages, and a line of each test's own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Final

import pytest

from browser.drivers import EVERY_JOURNEY, Browser, Level, running
from browser.pages import Source
from browser.wire import Wire
from support.commands import commands_in_process
from support.world import ROOT, Ring, World, running_world

SCRIPTED: Final = (Level.CHROMIUM, Level.STANDARD, Level.SAFER)
VIDEO_SIZE: Final = 300_000_000


@pytest.fixture(scope="package", autouse=True)
def _commands() -> Iterator[None]:
    """What desks and servers do between the pages runs in this process."""
    with commands_in_process():
        yield


@pytest.fixture(scope="package")
def browsers() -> Iterator[Callable[[Level], Browser]]:
    """Gives each browser, started when it is first asked for."""
    with ExitStack() as stack:
        started: dict[Level, Browser] = {}

        def get(level: Level) -> Browser:
            if level not in started:
                started[level] = stack.enter_context(running(level))
            return started[level]

        yield get


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that names no level runs at those of `levels_of`."""
    named = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    names = [name.strip() for one in named for name in (one.split(",") if isinstance(one, str) else one)]
    if "level" in metafunc.fixturenames and "level" not in names:
        levels = levels_of(metafunc.module, metafunc.function.__name__)
        metafunc.parametrize("level", levels, ids=[level.value for level in levels])


def levels_of(module: ModuleType, name: str) -> tuple[Level, ...]:
    """Where a test runs: in Chromium, and in Firefox at Safer and at Standard by turns, down its file.

    What differs between the two is how fast scripts run and whether there is WebAssembly, which test_levels.py looks
    at. With ``make journeys`` each test runs in all three.
    """
    tests = [one for one, test in vars(module).items() if one.startswith("test_") and isinstance(test, FunctionType)]
    turn = tests.index(name) % 2
    return SCRIPTED if EVERY_JOURNEY else (Level.CHROMIUM, (Level.SAFER, Level.STANDARD)[turn])


@pytest.fixture
def browser(browsers: Callable[[Level], Browser], level: Level) -> Iterator[Browser]:
    """A new private window at the level.

    It is closed at the end of the test, not at the beginning of the next one: a page whose server is gone tries again
    and again, and takes the processor from all other tests.
    """
    browser = browsers(level)
    yield browser
    browser.fresh()


@pytest.fixture(scope="package")
def pages_world(ring: Ring) -> Iterator[World]:
    """One server for tests that look at pages and carry nothing."""
    with running_world(ring) as made:
        yield made


@pytest.fixture
def line() -> Iterator[Callable[[World], Wire]]:
    """Puts a wire of this test's own before a server."""
    with ExitStack() as stack:

        def attach(world: World) -> Wire:
            wire = Wire(world.server)
            stack.callback(wire.close)
            return wire

        yield attach


@pytest.fixture
def source(browser: Browser, pages_world: World, line: Callable[[World], Wire]) -> Source:
    """A source before the shared server; the level is checked."""
    made = Source(browser, line(pages_world))
    made.check_level()
    made.wire.forget()
    return made


@pytest.fixture
def teller(browser: Browser, world: World, line: Callable[[World], Wire]) -> Source:
    """A source before a server of this test's own, whose desks are untouched; the level is checked."""
    made = Source(browser, line(world))
    made.check_level()
    made.wire.forget()
    return made


@pytest.fixture(scope="package")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JPEG with much detail."""
    path = tmp_path_factory.mktemp("photo") / "Площадь Республики 5 января.jpg"
    _ffmpeg("-f", "lavfi", "-i", "mandelbrot=size=2000x1500", "-frames:v", "1", "-q:v", "4", path)
    return path


@pytest.fixture(scope="package")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real video of 300 MB and a little: uncompressed frames, so that making it costs nothing."""
    path = tmp_path_factory.mktemp("video") / "ВИДЕО 2022-01-05 (Алматы).avi"
    _ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=1280x720",
        "-pix_fmt",
        "yuv420p",
        "-fs",
        str(VIDEO_SIZE + 2_000_000),
        "-c:v",
        "rawvideo",
        path,
    )
    assert path.stat().st_size >= VIDEO_SIZE
    return path


@pytest.fixture(scope="package")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file without a byte."""
    path = tmp_path_factory.mktemp("empty") / "пустой.txt"
    path.touch()
    return path


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where screenshots go; git does not see it."""
    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(("ffmpeg", "-hide_banner", "-loglevel", "error", "-y", *arguments), check=True, timeout=600)
