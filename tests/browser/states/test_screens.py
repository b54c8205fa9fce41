"""Screenshots of each page and state, for people to look at, and what a machine can check of them."""
# ruff: noqa: RUF001 (people write in Russian and Kazakh)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from browser import lying
from browser.drivers import DESKTOP, PHONE, Browser, Level
from browser.pages import (
    CHECKS,
    CODE,
    DELETE,
    DIGITS,
    JUDGED,
    LEAVE,
    SEND,
    SENDING,
    STOP,
    UNREAD,
    WRITE,
    Source,
)
from browser.test_lying_server import identifiers
from browser.wire import Wire
from support.world import Ring, World, running_world
from tipbox.formats.access_code import AccessCode

SIZES = {"desktop": DESKTOP, "phone": PHONE}
LOOKED_AT = pytest.mark.parametrize("level", [Level.CHROMIUM, Level.STANDARD], ids=lambda level: level.value)
NO_SCRIPT = pytest.mark.parametrize("level", [Level.CHROMIUM, Level.SAFEST], ids=lambda level: level.value)
TEXT = """5 января 2022 года, около восьми вечера, площадь Республики в Алматы.
Я стоял у гостиницы и видел, как военные стреляли по людям без оружия.

Алаңда қарусыз адамдарға оқ атылды."""


class Camera:
    """Takes each state at each size and checks what must hold for all of them."""

    def __init__(self, source: Source, folder: Path) -> None:
        self._source = source
        self._folder = folder

    def take(self, name: str) -> None:
        browser = self._source.browser
        for size_name, size in SIZES.items():
            path = self._folder / f"{name}-{browser.level.value}-{size_name}.png"
            path.unlink(missing_ok=True)
            browser.screenshot(path, size)
            assert path.stat().st_size > 2_000
            assert browser.count(LEAVE) == (0 if name == "blank" else 1)
            if browser.level is Level.SAFEST:
                continue
            # Nothing is wider than the window, and what can be pressed is large enough for a thumb.
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth;"), (
                f"{path.name} scrolls sideways"
            )
            small = browser.run("""
                const large = box => box.height >= 44 && box.width >= 44;
                return [...document.querySelectorAll("a, button, summary, label")]
                    .filter(one => one.getClientRects().length > 0 && !large(one.getBoundingClientRect()))
                    .map(one => one.textContent).join(", ");
            """)
            assert small == "", f"{path.name}: too small to press: {small}"


@pytest.fixture
def camera(source: Source, screenshots: Path) -> Camera:
    return Camera(source, screenshots)


@LOOKED_AT
def test_pages_and_states(source: Source, camera: Camera, tmp_path: Path) -> None:
    browser, wire = source.browser, source.wire
    long = "Очень длинное имя файла, каким его сделал телефон или мессенджер " * 2
    names = ("VID_20220105_201455.mp4", "Площадь Республики.jpg", f"{long.strip()}.pdf")
    files = [tmp_path / name for name in names]
    for file, size in zip(files, (3_400_000, 2_100_000, 48_000), strict=True):
        file.write_bytes(bytes(size))

    source.go("/en/")
    camera.take("start")
    source.open_form()
    camera.take("form-empty")
    source.send()
    browser.until(source.problem, "a complaint")
    camera.take("form-complaint")
    source.write(TEXT)
    source.attach(*files)
    camera.take("form-filled")
    wire.hold()
    source.send()
    wire.wait_until_held()
    browser.wait(DIGITS)
    camera.take("sending")
    wire.down = True
    wire.cut_all()
    browser.until(lambda: browser.text("#app [data-part=trouble]"), "words about the line")
    camera.take("sending-line-broken")
    wire.down = False
    browser.click(STOP)
    source.wait_stored()
    camera.take("sent-words-only")
    wire.release()
    browser.click("#app [data-part=resend]")
    browser.until(lambda: browser.count("#app [data-state=arrived]") == len(files) + 1, "the files to arrive")
    camera.take("sent")
    digits = " ".join(browser.text(DIGITS).split())
    browser.click("#app [data-part=copied]")
    browser.fill("#app .boxes input", f"{digits[:13]} 999999")
    camera.take("sent-typing")
    browser.fill("#app .boxes input", digits)
    browser.click("#app summary")
    camera.take("sent-checks")
    assert browser.count(SENDING) == 0
    browser.click(LEAVE)
    browser.until(lambda: browser.address() == "about:blank", "nothing of this site")
    source.go("/leave")  # where a link leads without a script
    camera.take("blank")
    source.go("/no-such-page")
    camera.take("error")


ANSWER = """Здравствуйте.

Мы получили ваше сообщение и видео. Когда это было: до или после восьми вечера?
Пожалуйста, не снимайте больше ничего сами."""


@LOOKED_AT
def test_mailbox(source: Source, camera: Camera, pages_world: World) -> None:
    browser, wire = source.browser, source.wire
    access_code = AccessCode.generate()
    of_source = access_code.secrets()
    digits = access_code.digits()
    ids = identifiers(pages_world)
    kibhr, fidh = ids["kibhr"], ids["fidh"]
    mailboxes = lying.Mailboxes(of_source, list(ids.values()))
    names = ("Вопросы к свидетелю.pdf", f"{'Очень длинное имя файла, каким его сделал телефон ' * 2}.pdf")
    answer = mailboxes.reply(kibhr, ANSWER, {name: bytes(40_000) for name in names})
    others = [
        mailboxes.reply(fidh, "Thank you. We have it, too."),
        mailboxes.reply(fidh, "?", pair_key=bytes(32)),
    ]
    long = mailboxes.reply(fidh, "Долго. " * 9_000).older()

    source.go("/en/inbox")
    browser.wait(CODE)
    camera.take("mailbox-closed")
    browser.fill(CODE, f"{digits[:13]} 12345 {digits[21:]}")
    browser.until(lambda: "group 3" in browser.text(JUDGED), "the wrong group to be named")
    camera.take("mailbox-wrong-group")
    wire.answers["/api/mailbox"] = lying.mailbox([])
    source.open_mailbox(digits)
    camera.take("mailbox-empty")
    wire.answers["/api/mailbox"] = lying.mailbox([answer, *others, long])
    wire.answers["/api/mailbox/piece"] = lying.piece(answer, 0)
    wire.answers["/api/mailbox/delete"] = lying.answer(bytes(32))
    source.open_mailbox(digits)
    camera.take("mailbox")
    browser.click("#app [data-part=files] button")
    browser.wait("#app [data-part=files] a")
    browser.click(DELETE)
    camera.take("mailbox-delete")
    browser.click("#app [data-part=keep]")
    browser.click(WRITE)
    browser.wait(SEND)
    camera.take("write-back")
    source.write(TEXT)
    source.send()
    browser.wait(CHECKS)
    camera.take("sent-back")
    source.open_mailbox(digits)
    source.delete_answers()
    camera.take("mailbox-deleted")
    wire.answers["/api/mailbox"] = lying.answer(bytes(65_536))
    source.type_code(digits)
    browser.click("#app [data-part=open]")
    browser.wait(UNREAD)
    camera.take("mailbox-unread")


@LOOKED_AT
def test_no_crypto(source: Source, camera: Camera) -> None:
    with source.browser.allow_onion(secure=False):
        source.go("/en/send", secure=False)
        assert "cannot seal" in source.browser.text("#app")
        camera.take("no-crypto")
        source.browser.fresh()


@NO_SCRIPT
def test_no_script(source: Source, camera: Camera) -> None:
    source.wire.blocked = lambda target: target.endswith(".js")
    for path, name in (("/en/", "start"), ("/en/send", "form"), ("/en/inbox", "mailbox")):
        source.go(path)
        camera.take(f"no-script-{name}")


@LOOKED_AT
def test_a_full_server_says_so_and_takes_the_text_all_the_same(
    browser: Browser, ring: Ring, line: Callable[[World], Wire], screenshots: Path, tmp_path: Path
) -> None:
    file = tmp_path / "ВИДЕО.mp4"
    file.write_bytes(bytes(3_000_000))
    with running_world(ring, settings={"TIPBOX_QUOTA_CARRY_CAPACITY": "1000000"}) as world:
        source = Source(browser, line(world))
        source.check_level()
        source.open_form()
        source.write("С видео")
        source.attach(file)
        source.send()
        source.wait_stored()
        assert "no room for files" in source.browser.text("#app")
        Camera(source, screenshots).take("full")
        source.open_form()
        source.attach(file)
        source.send()
        said = source.wait_failed()
        assert "No room" in said
        assert "Keep the code" not in said
        [tip] = world.arrived("kibhr")
        assert tip.message == "С видео".encode()
