"""The offline page in real browsers, from a disk: it seals, opens, refuses, and asks for nothing."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import re
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from browser.drivers import EVERY_JOURNEY, PHONE, Browser, Firefox, Level, running
from browser.offline.offline_source import FAILED, MB, SEAL, OfflineSource
from browser.states.test_axe import LOOK
from browser.test_requests import MAKERS
from support.sealed import Organisation, keys_folder
from support.world import NAMES, Desk, Ring, World, tipbox
from tipbox.formats.base import days
from tipbox.formats.manifest import Manifest
from tipbox.formats.request_file import AnswerPiece, RequestFile
from tipbox.formats.site_list import SiteEntry, SiteList
from tipbox.resources import available_languages
from tipbox.server.offline_page import render_offline_page, render_offline_template

TEXT = "Мы видели, кого увезли"
REPLY = "Спасибо. Что было потом?"
HEAVY = 150_000
"""Bytes of the page of three organisations in six languages, as gzip."""
FROM_DISK = pytest.mark.parametrize("level", [Level.CHROMIUM, Level.SAFER], ids=lambda level: level.value)
"""Standard does what Safer does, only faster; make journeys has all of them."""
VIDEO = (60 * MB, 8 * MB, 8) if EVERY_JOURNEY else (2_500_000, MB, 3)
"""Bytes of the file that is carried, of its pieces at most, and how many these are."""
ONCE = pytest.mark.parametrize("level", [Level.CHROMIUM], ids=lambda level: level.value)


def make_page(folder: Path, keys: Path, *more: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "seal.html"
    tipbox("server", "offline-page", "--keys", keys, "--out", page, *more)
    return page


@pytest.fixture(scope="module")
def page(ring: Ring, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_page(tmp_path_factory.mktemp("offline"), ring.keys)


@pytest.fixture
def offline(browser: Browser, page: Path) -> OfflineSource:
    made = OfflineSource(browser, page)
    made.go()
    return made


def assert_as_sent(desk: Desk, out: Path, text: str, *files: Path) -> None:
    """The desk has one tip, and opens it as it was sealed."""
    [tip] = desk.tips()
    found = desk.open(tip["id"], out)
    assert found.message.decode() == text
    assert {name: path.read_bytes() for name, path in found.files.items()} == {
        file.name: file.read_bytes() for file in files
    }


def on_a_stick(folder: Path, pieces: Sequence[Path]) -> Path:
    """Pieces as they come back from other systems: renamed, doubled, out of order, with what these leave beside."""
    stick = folder / "stick"
    (stick / "System Volume Information").mkdir(parents=True)
    for number, piece in enumerate(reversed(pieces)):
        shutil.copy(piece, stick / f"IMG_{number:04}.dat")
    shutil.copy(pieces[0], stick / f"{pieces[0].name} (1)")
    for litter in (
        "._sealed-kqmtbr-1-of-3.tip",
        ".DS_Store",
        "Thumbs.db",
        "System Volume Information/IndexerVolumeGuid",
    ):
        (stick / litter).write_bytes(b"\0\5\26\7" + secrets.token_bytes(300))
    return stick


def answered(world: World, request: bytes) -> bytes:
    """What the server answers to a request file, as a file."""
    asked = RequestFile.parse(request)
    path = "/api/mailbox" if asked.reply is None else "/api/mailbox/piece"
    status, _, body = world.server.request("POST", path, request, {"Content-Type": "application/octet-stream"})
    assert status == 200
    return body if asked.reply is None else AnswerPiece(asked.reply, asked.number, body).encode()


@FROM_DISK
def test_a_conversation_without_a_network(
    offline: OfflineSource, world: World, tmp_path: Path, screenshots: Path
) -> None:
    """Sealed in pieces from a disk, carried on a stick, answered, and opened from saved files: nothing is asked for."""
    browser, desk = offline.browser, world.desks["kibhr"]
    outside = len(browser.sink.hosts)
    size, each, count = VIDEO
    file = tmp_path / "Площадь 5 января.bin"
    file.write_bytes(secrets.token_bytes(size))
    offline.write(TEXT, file, size=each)
    pieces = offline.seal(count)
    [name] = {re.sub(r"-\d+-of-\d+", "", piece.name) for piece in pieces}
    assert re.fullmatch(r"sealed-[bcdfghjkmnpqrstv]{6}\.tip", name)
    digits = offline.digits()
    browser.screenshot(screenshots / f"offline-sealed-{browser.level.value}.png", PHONE)
    for part in ("copied", "again-result"):
        assert browser.count(f"#app [data-part={part}]")
    desk.take(on_a_stick(tmp_path, pieces))
    assert_as_sent(desk, tmp_path / "opened", TEXT, file)

    world.carry("kibhr")  # the desk knows the server then
    question = tmp_path / "Вопросы.bin"
    question.write_bytes(secrets.token_bytes(300_000))
    desk.reply(desk.tips()[0]["id"], REPLY, question)
    world.answer("kibhr")
    offline.go()
    offline.type_code(digits)
    [request] = browser.save_all("#app [data-part=request]", 1)
    answer = tmp_path / "answer"
    answer.write_bytes(answered(world, request.read_bytes()))
    offline.open_answer(answer)
    assert browser.text("#app [data-part=from]") == NAMES["kibhr"][0]
    assert browser.text("#app [data-part=text]") == REPLY
    requests = browser.save_all("#app [data-part=requests]", 2)
    taken = [tmp_path / f"piece-{number}" for number in range(2)]
    for path, asked in zip(taken, reversed(requests), strict=True):
        path.write_bytes(answered(world, asked.read_bytes()))
    offline.add_pieces(taken)
    browser.wait("#app [data-part=join]:not([disabled])")
    [saved] = browser.save_all("#app [data-part=join]", 1)
    assert (saved.name, saved.read_bytes()) == (question.name, question.read_bytes())

    assert browser.complaints() == []
    assert all(MAKERS.search(host) for host in browser.sink.hosts[outside:])
    assert browser.cookies() == 0


@ONCE
def test_what_the_page_would_ask_for_is_refused_and_would_be_seen(
    offline: OfflineSource, tmp_path: Path, browser: Browser
) -> None:
    """The policy forbids what a script tries; the same without a policy reaches the sink."""
    host = "offline-page.example"
    ask = f"""
        const image = new Image();
        image.src = "http://{host}/image";
        document.body.append(image);
        await fetch("http://{host}/fetch").catch(() => undefined);
    """
    browser.run(ask)
    assert host not in browser.sink.hosts
    assert len(browser.complaints()) >= 2
    open_ = tmp_path / "open.html"
    open_.write_text(re.sub(r"<meta http-equiv[^>]*>", "", offline.page.read_text(encoding="utf-8")), encoding="utf-8")
    browser.open(open_.as_uri())
    browser.run(ask)
    browser.until(lambda: host in browser.sink.hosts, "the request")


def kept_by(browser: Firefox) -> dict[str, int]:
    """Files that the browser keeps for pages from a disk in its profile: their sizes by their paths."""
    folders = browser.folder.glob("*.mozrunner/storage/*/file+++*")
    found = {}
    for path in (path for folder in folders for path in folder.rglob("*")):
        with contextlib.suppress(OSError):  # it may go while it is looked at
            found[str(path)] = path.stat().st_size if path.is_file() else 0
    return found


def test_pieces_of_a_large_file_pass_through_the_browsers_folder_and_leave_it(page: Path, tmp_path: Path) -> None:
    """In an ordinary window, with ``make journeys``; else a small one, of which nothing is kept there."""
    size, count = (140 * MB, 6) if EVERY_JOURNEY else (2 * MB, 1)
    video = tmp_path / "video.mp4"
    video.write_bytes(random.Random(5).randbytes(size))
    with running(Level.SAFER, ordinary=True) as browser:
        assert isinstance(browser, Firefox)
        offline = OfflineSource(browser, page)
        offline.go()
        offline.write(TEXT, video, size=24 * MB)
        most = 0
        looking = threading.Event()

        def look() -> None:
            nonlocal most
            while not looking.wait(0.05):
                with contextlib.suppress(OSError):
                    most = max(most, *kept_by(browser).values(), 0)

        watching = threading.Thread(target=look)
        watching.start()
        try:
            saved = offline.seal(count, 600)
        finally:
            looking.set()
            watching.join()
        assert sum(path.stat().st_size for path in saved) > size
        assert (most > 20 * MB) == EVERY_JOURNEY
        browser.click("#leave")
        browser.until(lambda: sum(kept_by(browser).values()) < MB, "the folder to be empty")
        assert EVERY_JOURNEY or not kept_by(browser)
        browser.until(lambda: browser.address() == "about:blank", "the neutral page")


@ONCE
@pytest.mark.parametrize("language", available_languages() if EVERY_JOURNEY else ("ar", "kk"))
def test_the_page_reads_well_in_each_language(offline: OfflineSource, language: str, screenshots: Path) -> None:
    """Axe finds nothing, and nothing is wider than 320 pixels.

    In six languages with ``make journeys``; else in Arabic, which is mirrored, and Kazakh, whose words are long.
    """
    browser = offline.browser

    def looked_at(name: str) -> None:
        browser.screenshot(screenshots / f"offline-{language}-{name}.png", (320, 640))
        assert browser.run("return document.documentElement.scrollWidth;") <= 320, name
        assert json.loads(browser.run(LOOK)) == [], name

    def speak() -> None:
        if language != "en":
            browser.click(f"[data-language={language}]")
        browser.until(lambda: browser.run("return document.documentElement.lang;") == language, "the language")

    speak()
    looked_at("start")
    browser.click("#app [data-door=read]")
    browser.wait("#app [data-part=request]")
    looked_at("read")
    browser.click("#app [data-door=start]")
    offline.write(TEXT)
    looked_at("form")
    offline.seal(1)
    looked_at("sealed")
    browser.click("#app [data-part=show-words]")
    browser.wait("#app [data-part=words] li")
    browser.click("#app [data-part=copied]")
    browser.click("#app [data-part=declined-too]")
    looked_at("done")
    offline.go()
    speak()
    offline.write(TEXT, size="qr")
    browser.click(SEAL)
    browser.wait("#app [data-part=digits]")
    browser.click("#app [data-part=copied]")
    browser.click("#app [data-part=declined-too]")
    browser.wait("#qr:not([hidden]) svg")
    looked_at("qr")


def with_keys(folder: Path, organisations: Sequence[Organisation], manifests: Sequence[Manifest]) -> Path:
    """A page as nobody would hand it out: of any manifests, whatever the day."""
    listed = SiteList.of("en", [SiteEntry.of(one.manifest()) for one in organisations])
    page = folder / "page.html"
    page.write_bytes(render_offline_page(listed, manifests).data)
    return page


@ONCE
def test_the_page_refuses_keys_that_are_past_or_not_of_its_list(
    browser: Browser, organisations: list[Organisation], tmp_path: Path, screenshots: Path
) -> None:
    start = days.today() - timedelta(days=60)
    past = with_keys(tmp_path, organisations, [one.manifest(start=start) for one in organisations])
    offline = OfflineSource(browser, past)
    offline.go()
    browser.click("#app [data-door=write]")
    browser.wait(FAILED.replace("back", "today"))
    browser.screenshot(screenshots / "offline-past.png", PHONE)
    assert "get a new page" in browser.text("#app")
    assert not browser.count("#app textarea")

    # Somebody put in a manifest of their own: the page lists another key for that organisation.
    good = with_keys(tmp_path, organisations, [one.manifest() for one in organisations])
    one = organisations[0]
    theirs = replace(one, identity=Organisation(one.name).identity)
    text = good.read_text(encoding="utf-8")
    changed = json.dumps(one.manifest().encode().decode())
    assert changed[1:-1] in text
    good.write_text(
        text.replace(changed[1:-1], json.dumps(theirs.manifest().encode().decode())[1:-1]), encoding="utf-8"
    )
    offline = OfflineSource(browser, good)
    offline.go()
    browser.click("#app [data-door=write]")
    browser.wait(FAILED.replace("back", "code") + ", #app [data-code]")
    assert "This page was changed" in browser.text("#app")
    assert not browser.count("#app textarea")


def test_two_builds_are_one(ring: Ring, page: Path, tmp_path: Path) -> None:
    """Byte for byte, from another folder and with another order of everything that has none; and small."""
    keys = tmp_path / "elsewhere" / "keys"
    shutil.copytree(ring.keys, keys)
    out = tmp_path / "again.html"
    subprocess.run(
        (sys.executable, "-m", "tipbox", "server", "offline-page", "--keys", keys, "--out", out),
        env={"PYTHONHASHSEED": "7", "PATH": "/usr/bin:/bin", "TZ": "Asia/Almaty", "LANG": "ru_RU.UTF-8"},
        check=True,
        capture_output=True,
    )
    assert out.read_bytes() == page.read_bytes()
    digest = page.with_name(f"{page.name}.sha256").read_text()
    subprocess.run(("sha256sum", "--check"), input=digest.encode(), cwd=page.parent, check=True)
    assert len(gzip.compress(page.read_bytes(), 9, mtime=0)) <= HEAVY


def test_a_release_has_the_page_of_nobody(page: Path) -> None:
    """What its signers sign of it: the same policy, so the same script and style, and the same script in fact."""
    template, made = render_offline_template().decode(), page.read_text(encoding="utf-8")
    for part in (r"<meta http-equiv=[^>]*>", r"(?s)<script>.*</script>", r"(?s)<style>.*</style>"):
        [found] = re.findall(part, template)
        assert re.findall(part, made) == [found]
    assert not any(name in template for [name, *_] in NAMES.values())


def test_a_page_of_past_manifests_is_not_written(organisations: list[Organisation], tmp_path: Path) -> None:
    keys = keys_folder(tmp_path / "keys", organisations, start=days.today() - timedelta(days=60))
    out = tmp_path / "page.html"
    assert tipbox("server", "offline-page", "--keys", keys, "--out", out, expect=None).code
    assert not out.exists()
    assert tipbox("server", "offline-page", "--keys", keys, "--language", "xx", "--out", out, expect=None).code
