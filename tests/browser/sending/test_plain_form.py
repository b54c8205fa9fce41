"""The form that needs no script, in a real Firefox that runs none: a message in pieces, a wrong file, an answer."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from browser.drivers import ONION, Browser, Firefox, Level
from support.loopback import free_port
from support.world import Ring, World, running_world, tipbox
from tipbox.formats.base.limits import MAILBOX_LIST
from tipbox.formats.mailbox_list import MailboxList
from tipbox.formats.request_file import RequestFile

WORDS = "Желі жоқ. Видео в частях."
FORM = "main.plain form"
SEND = f"{FORM}:nth-of-type(1)"
ANSWERS = f"{FORM}:nth-of-type(2)"


# The level at which no script runs.
pytestmark = pytest.mark.parametrize("level", [Level.SAFEST], ids=lambda level: level.value)


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def plain(ring: Ring, port: int) -> Iterator[World]:
    with running_world(ring, settings={"TIPBOX_PLAIN_BIND": f"127.0.0.1:{port}"}) as world:
        yield world


@pytest.fixture
def form(browser: Browser, plain: World, port: int) -> Callable[[str], Browser]:
    """Opens the form in a language."""
    del plain

    def opened(language: str = "en") -> Browser:
        browser.open(f"http://{ONION}:{port}/plain/{language}/")
        return browser

    return opened


def hand_in(browser: Browser, *files: Path) -> None:
    browser.attach(f"{SEND} input", files)
    browser.click(f"{SEND} button")
    browser.until(lambda: browser.count("main .state"), "an answer")


def test_a_message_in_pieces_arrives_and_a_wrong_file_does_not(
    form: Callable[..., Browser], plain: World, tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(secrets.token_bytes(2_500_000))
    (tmp_path / "words").write_text(WORDS, encoding="utf-8")
    sealing = ("seal", "--keys", plain.keys, "--message-file", tmp_path / "words", "--pieces", "1")
    tipbox(*sealing, "--out", tmp_path / "sealed.tip", film)
    pieces = sorted(tmp_path.glob("sealed-*.tip"))
    assert len(pieces) >= 3

    browser = form()
    assert isinstance(browser, Firefox)
    assert browser.preference("javascript.enabled") is False
    hand_in(browser, pieces[-1], pieces[0])
    assert "Missing: 2" in browser.text("main .state")
    assert browser.text("main ul").count("It is here.") == 2
    browser.screenshot(tmp_path / "missing.png", (360, 900))

    hand_in(form(), film)
    assert browser.text("h1") == "This file is not sealed"
    assert browser.count("form") == 0
    browser.screenshot(tmp_path / "unsealed.png", (360, 900))

    hand_in(form(), *pieces[1:-1])
    assert browser.text("main .state").startswith("This message is here, whole.")
    browser.screenshot(tmp_path / "whole.png", (360, 900))
    assert browser.cookies() == 0

    (arrived,) = plain.arrived("kibhr")
    assert arrived.message.decode() == WORDS
    assert arrived.files["film.mp4"].read_bytes() == film.read_bytes()


def test_an_answer_file_is_saved(form: Callable[..., Browser], tmp_path: Path) -> None:
    request = tmp_path / "request"
    request.write_bytes(RequestFile(tuple(sorted(secrets.token_bytes(32) for _ in range(32)))).encode())
    browser = form("ar")
    browser.screenshot(tmp_path / "arabic.png", (360, 900))
    browser.attach(f"{ANSWERS} input", [request])
    saved = browser.save(f"{ANSWERS} button").read_bytes()
    assert len(saved) == MAILBOX_LIST
    assert MailboxList.parse(saved).entries == ()
