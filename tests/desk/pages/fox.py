"""The same hand in Debian's Firefox, with the preferences that the product gives it, driven by Marionette."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

from desk.pages.hand import PATIENCE, Hand
from tipbox.desk.pages.browser_window import FIREFOX

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # Marionette's libraries are old
    from marionette_driver.by import By  # type: ignore[import-untyped]
    from marionette_driver.errors import JavascriptException, MarionetteException  # type: ignore[import-untyped]
    from marionette_driver.keys import Keys  # type: ignore[import-untyped]
    from marionette_driver.marionette import Marionette  # type: ignore[import-untyped]

BINARY: Final = "/usr/lib/firefox-esr/firefox-esr"
PORT: Final = 2828
"""Of Marionette, where nothing says otherwise."""
_KEYS: Final = {
    "Alt": Keys.ALT,
    "Control": Keys.CONTROL,
    "Enter": Keys.ENTER,
    "Escape": Keys.ESCAPE,
    "Tab": Keys.TAB,
}
_COMPLAINTS: Final = """
    return Services.console.getMessageArray().filter(message => message instanceof Ci.nsIScriptError)
        .filter(message => (message.sourceName + message.errorMessage).includes("127.0.0.1"))
        .map(message => `${message.category}: ${message.errorMessage} ${message.sourceName}:${message.lineNumber}`);
"""


def _quiet() -> AbstractContextManager[object]:
    """Marionette leaves sockets and pipes to the garbage collector when it starts and ends a browser."""
    return warnings.catch_warnings(action="ignore", category=ResourceWarning)


class Fox(Hand):
    """What a person does in one window of Firefox."""

    def __init__(self, firefox: Any) -> None:
        self.firefox = firefox
        self.presses = self.clicks = self.typed = 0
        firefox.timeout.script = PATIENCE / 1000
        firefox.timeout.implicit = 0

    @property
    def complaints(self) -> list[str]:
        """What pages brought to the console."""
        return list(self.chrome(_COMPLAINTS))

    def chrome(self, script: str) -> Any:
        """Run a function body in the browser's own context."""
        with self.firefox.using_context("chrome"):
            return self.firefox.execute_script(script)

    def goto(self, url: str) -> None:
        # As if it was typed: what the page before leads to would be another site's.
        self.firefox.execute_script("document.documentElement.dataset.before = 'yes'")
        self.chrome(f"""
            const triggeringPrincipal = Services.scriptSecurityManager.getSystemPrincipal();
            gBrowser.selectedBrowser.fixupAndLoadURIString({json.dumps(url)}, {{ triggeringPrincipal }});
        """)
        self.until("document.readyState === 'complete' && !document.documentElement.dataset.before")

    def address(self) -> str:
        return str(self.firefox.get_url())

    def fill(self, css: str, text: str) -> None:
        field = self.firefox.find_element(By.CSS_SELECTOR, css)
        field.clear()
        field.send_keys(text)

    def key(self, name: str) -> None:
        *held, last = name.split("+") if len(name) > 1 else [name]
        typing = self.firefox.actions.sequence("key", "typing")
        for one in held:
            typing = typing.key_down(_KEYS[one])
        last = _KEYS.get(last, last)
        typing = typing.key_down(last).key_up(last)
        for one in reversed(held):
            typing = typing.key_up(_KEYS[one])
        typing.perform()

    def insert(self, text: str) -> None:
        self.firefox.get_active_element().send_keys(text)

    def press_mouse(self, css: str) -> None:
        self.firefox.find_element(By.CSS_SELECTOR, css).click()

    @contextmanager
    def another_tab(self) -> Iterator[None]:
        first = self.firefox.current_window_handle
        self.firefox.switch_to_window(self.firefox.open(type="tab", focus=True)["handle"])
        try:
            yield
        finally:
            self.firefox.close()
            self.firefox.switch_to_window(first)

    def framed(self) -> str:
        self.firefox.switch_to_frame(self.firefox.find_element(By.CSS_SELECTOR, "iframe"))
        try:
            return self.text("h1") if self.count("h1") else ""
        finally:
            self.firefox.switch_to_frame()

    def wait(self, css: str) -> None:
        deadline = time.monotonic() + self.patience
        while not any(one.is_displayed() for one in self.firefox.find_elements(By.CSS_SELECTOR, css)):
            assert time.monotonic() < deadline, f"waited in vain for {css}; it shows: {self.text('body')}"
            time.sleep(0.05)

    def text(self, css: str) -> str:
        return str(self.firefox.find_element(By.CSS_SELECTOR, css).text)

    def count(self, css: str) -> int:
        return len(self.firefox.find_elements(By.CSS_SELECTOR, css))

    def run(self, script: str) -> Any:
        return self.firefox.execute_async_script(
            f"""
            const finish = arguments[arguments.length - 1];
            (async () => {{ {script} }})().then(value => finish([value === undefined ? null : value]),
                                               error => finish([String(error)]));
            """,
        )[0]

    def until(self, script: str) -> None:
        deadline = time.monotonic() + self.patience
        while not self._holds(script):
            assert time.monotonic() < deadline, f"waited in vain for {script}; it shows: {self.text('body')}"
            time.sleep(0.03)

    def _holds(self, script: str) -> bool:
        try:
            return bool(self.firefox.execute_script(f"return Boolean({script})"))
        except JavascriptException:  # the page gives way to another
            return False

    def screenshot(self, path: Path, *, dark: bool = False) -> None:
        raise NotImplementedError


class _Shown(Fox):
    """A window that the product has opened at the address, with its token."""

    def goto(self, url: str) -> None:
        address = url.partition("#")[0]
        self.until(f"location.href.startsWith({json.dumps(address)}) && document.readyState === 'complete'")


@contextmanager
def fox_in(folder: Path, more: Mapping[str, Any] | None = None) -> Iterator[Fox]:
    """A hand in a new Firefox as the product sets it up; what it writes is in ``folder``."""
    with _quiet():
        firefox = Marionette(
            port=0,
            bin=BINARY,
            headless=True,
            prefs={**FIREFOX, **(more or {})},
            workspace=str(folder),
            gecko_log=str(folder / "gecko.log"),
            startup_timeout=300,
        )
    try:
        _keep_profile(firefox)
        with _quiet():
            firefox.start_session()
        yield Fox(firefox)
    finally:
        with _quiet():
            firefox.cleanup()
        _keep_profile(firefox)


def _keep_profile(firefox: Any) -> None:
    """Leave the profile to the folder's owner: Marionette's own clean-up may run when Python shuts down."""
    if firefox.instance.profile is not None:
        firefox.instance.profile.restore = False


@contextmanager
def fox_beside() -> Iterator[Fox]:
    """A hand in the Firefox that the product has started, in the same namespace; it is closed with the block."""
    deadline = time.monotonic() + 300
    firefox = Marionette(host="127.0.0.1", port=PORT)
    while True:
        try:
            with _quiet():
                firefox.start_session(timeout=5)
            break
        except (OSError, MarionetteException):  # it is only starting
            assert time.monotonic() < deadline
            time.sleep(0.2)
    hand = _Shown(firefox)
    yield hand
    hand.chrome("Services.startup.quit(Ci.nsIAppStartup.eForceQuit);")
