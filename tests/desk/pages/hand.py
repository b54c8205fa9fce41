"""A hand on the keyboard and the mouse of the desk's pages, in Debian's Chromium; it counts what it does.

A press counts, with whatever keys are held; a click counts; characters that are typed into a field are counted apart.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import ConsoleMessage, Page, sync_playwright

CHROMIUM: Final = "/usr/bin/chromium"
SIZE: Final = (1366, 768)
PATIENCE: Final = 120_000
ARGUMENTS: Final = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
)


class Hand:
    """What a person does in one window."""

    patience = PATIENCE / 1000
    """Seconds until what is waited for does not come any more."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.presses = 0
        self.clicks = 0
        self.typed = 0
        self._heard: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self._heard.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning", "assert"}:
            self._heard.append(message.text)

    @property
    def complaints(self) -> list[str]:
        """What pages brought to the console."""
        return self._heard

    @property
    def acts(self) -> int:
        """Presses and clicks."""
        return self.presses + self.clicks

    # What differs between browsers; none of it counts.

    def goto(self, url: str) -> None:
        """Go to an address."""
        self.page.goto(url)

    def address(self) -> str:
        """The address that is shown."""
        return self.page.url

    def fill(self, css: str, text: str) -> None:
        """Put a text into a field."""
        self.page.fill(css, text)

    def key(self, name: str) -> None:
        """Press a key, with those that are held: ``Control+Enter``."""
        self.page.keyboard.press(name)

    def insert(self, text: str) -> None:
        """Type where the focus is."""
        self.page.keyboard.insert_text(text)

    def press_mouse(self, css: str) -> None:
        """Click the first such element."""
        self.page.locator(css).first.click()

    @contextmanager
    def another_tab(self) -> Iterator[None]:
        """Within the block the hand is in a second tab of the same window."""
        first, self.page = self.page, self.page.context.new_page()
        try:
            yield
        finally:
            self.page.close()
            self.page = first

    def framed(self) -> str:
        """What the first frame within the page shows."""
        frame = self.page.frames[1]
        frame.wait_for_load_state()
        return frame.locator("h1").first.inner_text() if frame.locator("h1").count() else ""

    # What a person does.

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            self.key(key)
            self.presses += 1

    def type(self, text: str) -> None:
        """Type into the field that has the focus."""
        self.insert(text)
        self.typed += len(text)

    def job(self, key: str) -> None:
        """Press what begins something long, of another name than what was done before, and wait until it has ended.

        The page asks again what was done before, and shows it anew, until the next thing has begun.
        """
        before = self.run("return document.querySelector('.job h2')?.textContent ?? '';")
        self.press(key)
        ended = "[...document.querySelectorAll('.job:not([data-running]) h2')]"
        self.until(f"{ended}.some((one) => one.textContent !== {json.dumps(before)})")
        assert not self.count(".job .problem"), self.text(".job")

    def click(self, css: str) -> None:
        """Click the first such element."""
        self.press_mouse(css)
        self.clicks += 1

    def wait(self, css: str) -> None:
        """Wait until there is such an element, and it is seen."""
        self.page.locator(css).first.wait_for(state="visible")

    def text(self, css: str) -> str:
        """What the first such element shows."""
        return self.page.locator(css).first.inner_text()

    def count(self, css: str) -> int:
        """How many there are."""
        return self.page.locator(css).count()

    def run(self, script: str) -> Any:
        """Run a function body in the page."""
        return self.page.evaluate(f"async () => {{ {script} }}")

    def until(self, script: str) -> None:
        """Wait until an expression holds in the page."""
        deadline = time.monotonic() + self.patience
        while not self.page.evaluate(
            f"() => Boolean({script})"
        ):  # the page's own policy lets nothing be compiled in it
            assert time.monotonic() < deadline, f"waited in vain for {script}; it shows: {self.text('body')}"
            self.page.wait_for_timeout(30)

    def open(self, url: str, passphrase: str) -> None:
        """Go to the address and unlock the desk."""
        self.goto(url)
        self.fill("#passphrase", passphrase)
        self.key("Enter")
        self.wait("[data-screen=inbox]")

    def go(self, keys: str, screen: str) -> None:
        """Press keys and wait for the screen that they lead to."""
        self.press(*keys.split())
        self.wait(f"[data-screen={screen}]")

    def act(self, *keys: str) -> None:
        """Press keys of an act and wait until the screen has come anew."""
        self.run("document.querySelector('[data-screen]').dataset.old = 'yes'")
        self.press(*keys)
        self.until("!document.querySelector('[data-old]') && document.querySelector('[data-screen]')")

    def screenshot(self, path: Path, *, dark: bool = False) -> None:
        """Save what is seen."""
        self.page.emulate_media(color_scheme="dark" if dark else "light")
        self.page.screenshot(path=path)
        self.page.emulate_media(color_scheme="light")


@contextmanager
def hand_in(profile: Path | None = None) -> Iterator[Hand]:
    """A hand in a new Chromium; with ``profile``, one that writes its profile there."""
    width, height = SIZE
    with sync_playwright() as playwright:
        if profile is None:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False, args=[*ARGUMENTS])
            context = browser.new_context(viewport={"width": width, "height": height}, locale="en-US")
        else:
            context = playwright.chromium.launch_persistent_context(
                profile,
                executable_path=CHROMIUM,
                chromium_sandbox=False,
                args=[*ARGUMENTS],
                viewport={"width": width, "height": height},
                locale="en-US",
            )
        context.set_default_timeout(PATIENCE)
        yield Hand(context.new_page())
        context.close()
