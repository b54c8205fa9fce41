"""One way to drive Chromium and Firefox at the levels of Tor Browser. None of them reaches anything but this machine.

Levels:
    CHROMIUM  Chromium in a private window, at http://127.0.0.1 (a secure context).
    STANDARD  Firefox ESR with Tor Browser's preferences, at a .onion host.
    SAFER     The same without JIT, WebAssembly and the like.
    SAFEST    The same without JavaScript.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import tempfile
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Download, Error, Page, Playwright, sync_playwright

from browser.sink import Sink

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # Marionette's libraries are old
    from marionette_driver.by import By  # type: ignore[import-untyped]
    from marionette_driver.errors import ElementClickInterceptedException  # type: ignore[import-untyped]
    from marionette_driver.keys import Keys  # type: ignore[import-untyped]
    from marionette_driver.marionette import Marionette  # type: ignore[import-untyped]

CHROMIUM_BINARY: Final = "/usr/bin/chromium"
FIREFOX_BINARY: Final = "/usr/lib/firefox-esr/firefox-esr"
ONION: Final = "tipboxtestsoqwertyuiopasdfghjklzxcvbnm234567abcdefghijkd.onion"
"""56 characters, as the name of an onion service of today; preferences map it to loopback."""
INSECURE: Final = "insecure.example"
"""A plain name that Chromium maps to loopback: no secure context, so no crypto.subtle."""
PATIENCE: Final = 240.0
"""Seconds that a condition may take."""
DESKTOP: Final = (1280, 900)
PHONE: Final = (360, 740)
EVERY_JOURNEY: Final = "EVERY_JOURNEY" in os.environ
"""``make journeys``: whole products of browsers, languages and sizes, of which ``make test`` runs samples."""


class Level(Enum):
    """What a page may do."""

    CHROMIUM = "chromium"
    STANDARD = "firefox-standard"
    SAFER = "firefox-safer"
    SAFEST = "firefox-safest"


class Browser(ABC):
    """One browser with one window. Elements are named by CSS selectors; scripts run as function bodies in the page."""

    level: Level
    sink: Sink
    """Sees what was to leave this machine."""
    folder: Path
    """Everything that the browser writes is in here."""

    @abstractmethod
    def url(self, port: int, path: str = "/", *, secure: bool = True) -> str:
        """The address of a server on this machine, as this browser names it.

        Without `secure` in Chromium a name without crypto.subtle; in Firefox `allow_onion` makes that difference.
        """

    @abstractmethod
    def fresh(self) -> None:
        """A new private window; what the one before knew is gone."""

    @abstractmethod
    def open(self, url: str) -> None:
        """Go to an address and wait until it is loaded."""

    @abstractmethod
    def begin(self, url: str) -> None:
        """Go to an address, and wait for no more than its first byte."""

    @abstractmethod
    def run(self, script: str) -> Any:
        """Run a function body in the page (it may await) and give back what it returns; needs JavaScript."""

    @abstractmethod
    def count(self, css: str) -> int:
        """How many elements there are; works without JavaScript, as all of the following."""

    @abstractmethod
    def text(self, css: str) -> str:
        """The visible text of the first such element."""

    @abstractmethod
    def click(self, css: str) -> None:
        """Click the first such element."""

    @abstractmethod
    def type(self, css: str, text: str) -> None:
        """Type into a field."""

    @abstractmethod
    def attach(self, css: str, paths: Sequence[Path]) -> None:
        """Choose files with a file field."""

    @abstractmethod
    def save(self, css: str) -> Path:
        """Click a link that offers a file, and give back where the browser saved it."""

    @abstractmethod
    def save_all(self, css: str, count: int, patience: float = PATIENCE) -> list[Path]:
        """Click what saves so many files by itself, and give back where the browser saved them, in order of names."""

    @abstractmethod
    def press(self, text: str) -> None:
        """Type with no field chosen, wherever the focus is."""

    @abstractmethod
    def tab(self) -> None:
        """Press the Tab key."""

    @abstractmethod
    def escape(self) -> None:
        """Press the Escape key."""

    @abstractmethod
    def focused(self, css: str) -> bool:
        """Whether the first such element has the focus."""

    @abstractmethod
    def back(self) -> None:
        """Go back in history."""

    @abstractmethod
    def address(self) -> str:
        """The address that is shown."""

    @abstractmethod
    def source(self) -> str:
        """The document as it now stands, as HTML."""

    @abstractmethod
    def complaints(self) -> list[str]:
        """Errors, warnings and CSP violations that pages of this window brought to the console since `fresh`."""

    @abstractmethod
    def cookies(self) -> int:
        """How many cookies the browser holds."""

    @abstractmethod
    def close(self) -> None:
        """End it."""

    @abstractmethod
    def screenshot(self, path: Path, size: tuple[int, int]) -> None:
        """Save the whole page as PNG, in a window of this size."""

    @abstractmethod
    def allow_onion(self, *, secure: bool) -> AbstractContextManager[None]:
        """Whether `.onion` counts as a secure context within the block; does nothing in Chromium."""

    def until(self, condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """Wait until `condition` holds and give back its value."""
        deadline = time.monotonic() + patience
        while not (value := condition()):
            assert time.monotonic() < deadline, (
                f"{self.level.value}: waited in vain for {what}; it shows: {self.text('body')}"
            )
            time.sleep(0.03)
        return value

    def wait(self, css: str, patience: float = PATIENCE) -> None:
        """Wait until there is such an element."""
        self.until(lambda: self.count(css), css, patience)

    def fill(self, css: str, text: str) -> None:
        """Put a text into a field at once, as pasting does; needs JavaScript."""
        self.run(f"""
            const field = document.querySelector({json.dumps(css)});
            field.value = {json.dumps(text)};
            field.dispatchEvent(new Event("input", {{ bubbles: true }}));
        """)


_CHROMIUM_OFF: Final = (
    "AutofillServerCommunication",
    "DialMediaRouteProvider",
    "HttpsUpgrades",
    "MediaRouter",
    "OptimizationHints",
    "PaintHolding",
    "Translate",
)


class Chromium(Browser):
    """Debian's Chromium, driven by Playwright."""

    def __init__(self, playwright: Playwright, folder: Path, sink: Sink, *, ordinary: bool = False) -> None:
        self.level = Level.CHROMIUM
        self.sink = sink
        self.folder = folder
        self.playwright = playwright
        self._context: BrowserContext | None = None
        self._complaints: list[str] = []
        options: dict[str, Any] = {
            "executable_path": CHROMIUM_BINARY,
            "chromium_sandbox": False,  # the tests run as root
            "env": {"HOME": str(folder), "TMPDIR": str(folder), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            "args": [
                # Nothing is looked up and nothing outside is reached.
                f"--host-resolver-rules=MAP {INSECURE} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                f"--proxy-server=socks5://127.0.0.1:{sink.port}",
                f"--proxy-bypass-list=127.0.0.1;{INSECURE}",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-domain-reliability",
                "--disable-sync",
                "--no-first-run",
                "--no-pings",
                f"--disable-features={','.join(_CHROMIUM_OFF)}",
                "--disable-dev-shm-usage",
            ],
        }
        self._browser = None if ordinary else playwright.chromium.launch(**options)
        if self._browser is None:
            self._context = playwright.chromium.launch_persistent_context(folder / "profile", **options)
            self._watch(self._context.pages[0])

    @property
    def _page(self) -> Page:
        assert self._context is not None, "fresh() first"
        return self._context.pages[0]

    def url(self, port: int, path: str = "/", *, secure: bool = True) -> str:
        return f"http://{'127.0.0.1' if secure else INSECURE}:{port}{path}"

    def fresh(self) -> None:
        if self._browser is None:
            return  # an ordinary window stays
        if self._context is not None:
            self._context.close()
        width, height = DESKTOP
        self._context = self._browser.new_context(viewport={"width": width, "height": height}, locale="en-US")
        self._context.set_default_timeout(PATIENCE * 1000)
        self._watch(self._context.new_page())

    def _watch(self, page: Page) -> None:
        self._complaints = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self._complaints.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())  # "leave this page?"

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning", "assert"}:
            self._complaints.append(message.text)

    def open(self, url: str) -> None:
        def opened() -> bool:
            try:
                self._page.goto(url, wait_until="load")
            except Error as error:  # the page itself was on its way elsewhere
                if "net::ERR_ABORTED" not in error.message:
                    raise
                return False
            return True

        self.until(opened, f"{url} to be opened")

    def begin(self, url: str) -> None:
        self._page.goto(url, wait_until="commit")

    def run(self, script: str) -> Any:
        return self._page.evaluate(f"async () => {{ {script} }}")

    def count(self, css: str) -> int:
        return self._page.locator(css).count()

    def text(self, css: str) -> str:
        return self._page.locator(css).first.inner_text()

    def click(self, css: str) -> None:
        self._page.locator(css).first.click()

    def type(self, css: str, text: str) -> None:
        self._page.locator(css).first.press_sequentially(text)

    def attach(self, css: str, paths: Sequence[Path]) -> None:
        self._page.locator(css).first.set_input_files(paths)

    def save(self, css: str) -> Path:
        with self._page.expect_download() as offered:
            self.click(css)
        path = Path(tempfile.mkdtemp(dir=self.folder)) / offered.value.suggested_filename
        offered.value.save_as(path)
        return path

    def save_all(self, css: str, count: int, patience: float = PATIENCE) -> list[Path]:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        saved: list[Path] = []

        def keep(download: Download) -> None:
            path = folder / download.suggested_filename
            download.save_as(path)
            saved.append(path)

        self._page.on("download", keep)
        try:
            self.click(css)
            self.until(lambda: self.address() and len(saved) >= count, f"{count} files to be saved", patience)
        finally:
            self._page.remove_listener("download", keep)
        return sorted(saved)

    def print(self, path: Path) -> None:
        """Print the page into a PDF."""
        self._page.pdf(path=path)

    def press(self, text: str) -> None:
        self._page.keyboard.type(text)

    def tab(self) -> None:
        self._page.keyboard.press("Tab")

    def escape(self) -> None:
        self._page.keyboard.press("Escape")

    def focused(self, css: str) -> bool:
        return bool(self._page.locator(css).first.evaluate("element => element === document.activeElement"))

    def back(self) -> None:
        def went() -> bool:
            try:
                self._page.go_back(wait_until="load")
            except Error as error:  # while Chromium gives the neutral page a process of its own
                if "Not attached to an active page" not in error.message:
                    raise
                return False
            return True

        self.until(went, "a page that can be gone back from")

    def address(self) -> str:
        self._page.wait_for_timeout(1)  # Playwright hears of what happened only while it is asked for something
        return self._page.url

    def source(self) -> str:
        return self._page.content()

    def complaints(self) -> list[str]:
        return list(self._complaints)

    def cookies(self) -> int:
        assert self._context is not None
        return len(self._context.cookies())

    def screenshot(self, path: Path, size: tuple[int, int]) -> None:
        self._page.set_viewport_size({"width": size[0], "height": size[1]})
        self._page.evaluate("scrollTo(0, 0)")  # or the bar, which stays in view, stands in the middle of the picture
        self._page.screenshot(path=path, full_page=True)

    @contextmanager
    def allow_onion(self, *, secure: bool) -> Iterator[None]:  # noqa: ARG002
        yield

    def close(self) -> None:
        if self._browser is not None:
            self._browser.close()
        elif self._context is not None:
            self._context.close()


_FIREFOX: Final[dict[str, Any]] = {
    # The test's host is this machine; everything else goes to the sink.
    "network.dns.localDomains": ONION,
    "network.dns.blockDotOnion": False,
    "network.dns.disableIPv6": True,
    "network.proxy.type": 1,
    "network.proxy.socks": "127.0.0.1",
    "network.proxy.socks_remote_dns": True,
    "network.proxy.no_proxies_on": ONION,
    "network.proxy.failover_direct": False,
    "network.trr.mode": 5,
    "network.prefetch-next": False,
    "network.dns.disablePrefetch": True,
    "network.predictor.enabled": False,
    "network.http.speculative-parallel-limit": 0,
    "app.update.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.aboutHomeSnippets.updateUrl": "",
    "browser.startup.homepage": "about:blank",
    "browser.startup.page": 0,
    "browser.newtabpage.enabled": False,
    "browser.newtabpage.activity-stream.feeds.system.topstories": False,
    "extensions.systemAddon.update.enabled": False,
    "services.settings.server": "data:,",
    "messaging-system.rsexperimentloader.enabled": False,
    # As Tor Browser sets them.
    "browser.privatebrowsing.autostart": True,
    "dom.securecontext.allowlist_onions": True,
    "dom.security.https_only_mode": True,
    "dom.security.https_only_mode.upgrade_onion": False,
    "network.http.referer.hideOnionSource": True,
    "network.http.referer.XOriginTrimmingPolicy": 2,
    "privacy.resistFingerprinting": True,
    "privacy.resistFingerprinting.letterboxing": False,
    "privacy.firstparty.isolate": True,
    "privacy.spoof_english": 2,
    "dom.indexedDB.privateBrowsing.enabled": False,
    "webgl.disable-extensions": True,
    "browser.sessionstore.privacy_level": 2,
    "browser.cache.disk.enable": False,
    "signon.rememberSignons": False,
    "browser.formfill.enable": False,
    # What tests need.
    "browser.download.folderList": 2,
    "browser.download.useDownloadDir": True,
    "browser.download.always_ask_before_handling_new_types": False,
    "browser.download.alwaysOpenPanel": False,
    "pdfjs.disabled": True,  # a document that was saved would be shown at once, in a tab of its own
    "ui.systemUsesDarkTheme": 0,
    "ui.useOverlayScrollbars": 1,  # screenshots of an exact width
    "layout.css.prefers-color-scheme.content-override": 1,
    "dom.disable_beforeunload": True,  # "leave this page?" would wait for an answer
}
_SAFER: Final[dict[str, Any]] = {
    "javascript.options.ion": False,
    "javascript.options.baselinejit": False,
    "javascript.options.native_regexp": False,
    "javascript.options.asmjs": False,
    "javascript.options.wasm": False,
    "mathml.disabled": True,
    "gfx.font_rendering.opentype_svg.enabled": False,
    "gfx.font_rendering.graphite.enabled": False,
    "media.webaudio.enabled": False,
}
_SAFEST: Final[dict[str, Any]] = {"javascript.enabled": False, "svg.disabled": True}
_ORDINARY: Final[dict[str, Any]] = {
    "browser.privatebrowsing.autostart": False,
    "browser.sessionstore.privacy_level": 0,
    "browser.sessionstore.interval": 100,
    "browser.cache.disk.enable": True,
    "browser.formfill.enable": True,
}
PREFERENCES: Final[dict[Level, dict[str, Any]]] = {
    Level.STANDARD: _FIREFOX,
    Level.SAFER: _FIREFOX | _SAFER,
    Level.SAFEST: _FIREFOX | _SAFER | _SAFEST,
}
"""Of Firefox at each level."""

_CONSOLE: Final = """
    return Services.console.getMessageArray().filter(message => message instanceof Ci.nsIScriptError)
        .filter(message => (message.sourceName + message.errorMessage + (message.category || "")).includes(".onion")
            || /Content.Security|CSP|CORS/.test(message.category || ""))
        .map(message => `${message.category}: ${message.errorMessage} ${message.sourceName}:${message.lineNumber}`);
"""


def _leaks_allowed() -> AbstractContextManager[object]:
    """Marionette leaves sockets and pipes to the garbage collector when it starts and ends a browser."""
    return warnings.catch_warnings(action="ignore", category=ResourceWarning)


class Firefox(Browser):
    """Debian's Firefox ESR as Tor Browser sets it up, driven by Marionette."""

    def __init__(
        self, level: Level, folder: Path, sink: Sink, more: Mapping[str, Any] | None = None, *, ordinary: bool = False
    ) -> None:
        """Start it; ``more``: preferences besides those of the level."""
        self.level = level
        self._private = not ordinary
        self.sink = sink
        self.folder = folder
        with _leaks_allowed():
            self._firefox = Marionette(
                port=0,
                bin=FIREFOX_BINARY,
                headless=True,
                prefs=PREFERENCES[level] | {"network.proxy.socks_port": sink.port} | dict(more or {}),
                workspace=str(folder),
                gecko_log=str(folder / "gecko.log"),
                startup_timeout=300,
            )
        try:
            self._keep_profile()
            with _leaks_allowed():
                self._firefox.start_session()
            self._firefox.timeout.script = 180
            self._firefox.timeout.implicit = 0
        except BaseException:
            self.close()
            raise

    def url(self, port: int, path: str = "/", *, secure: bool = True) -> str:
        del secure  # the same host: allow_onion() makes the difference
        return f"http://{ONION}:{port}{path}"

    def fresh(self) -> None:
        old = self._firefox.current_window_handle
        new = self._firefox.open(type="window", private=self._private)["handle"]
        self._firefox.switch_to_window(old)
        self._firefox.close()
        self._firefox.switch_to_window(new)
        self.chrome("Services.console.reset(); Services.cookies.removeAll();")

    def open(self, url: str) -> None:
        self._firefox.navigate(url)

    def begin(self, url: str) -> None:
        # As if it was typed: what a blank page leads to would be another site's.
        self.chrome(f"""
            const triggeringPrincipal = Services.scriptSecurityManager.getSystemPrincipal();
            gBrowser.selectedBrowser.fixupAndLoadURIString({json.dumps(url)}, {{ triggeringPrincipal }});
        """)

    def run(self, script: str) -> Any:
        return self._firefox.execute_async_script(
            f"""
            const finish = arguments[arguments.length - 1];
            const page = window.wrappedJSObject;
            (async () => {{ {script} }})().then(value => finish([value === undefined ? null : value]),
                                               error => finish(String(error)));
            """,
        )[0]

    def chrome(self, script: str) -> Any:
        """Run a function body in the browser's own context."""
        with self._firefox.using_context("chrome"):
            return self._firefox.execute_script(script)

    def preference(self, name: str) -> Any:
        """What a preference now is."""
        return self._firefox.get_pref(name)

    def count(self, css: str) -> int:
        return len(self._firefox.find_elements(By.CSS_SELECTOR, css))

    def _find(self, css: str) -> Any:
        return self._firefox.find_element(By.CSS_SELECTOR, css)

    def text(self, css: str) -> str:
        return str(self._find(css).text)

    def click(self, css: str) -> None:
        def clicked() -> bool:
            found = self._find(css)
            try:
                found.click()
            except ElementClickInterceptedException:  # a jump has put it below the bar: a person scrolls
                self._firefox.execute_script("arguments[0].scrollIntoView({block: 'center'});", [found])
                return False
            return True

        self.until(clicked, f"{css} with nothing over it")

    def type(self, css: str, text: str) -> None:
        self._find(css).send_keys(text)

    def attach(self, css: str, paths: Sequence[Path]) -> None:
        self._find(css).send_keys("\n".join(map(str, paths)))

    def save(self, css: str) -> Path:
        return self.save_all(css, 1)[0]

    def save_all(self, css: str, count: int, patience: float = PATIENCE) -> list[Path]:
        folder = tempfile.mkdtemp(dir=self.folder)
        self._firefox.set_pref("browser.download.dir", folder)
        self.click(css)

        def saved() -> list[Path]:
            """Firefox keeps the place with an empty file, writes beside it, and renames."""
            found = sorted(Path(folder).iterdir())
            is_whole = all(path.suffix != ".part" and path.stat().st_size for path in found)
            return found if len(found) == count and is_whole else []

        return list(self.until(saved, f"{count} files to be saved", patience))

    def press(self, text: str) -> None:
        self._firefox.actions.sequence("key", "typing").send_keys(text).perform()

    def tab(self) -> None:
        self._firefox.actions.sequence("key", "keyboard").send_keys(Keys.TAB).perform()

    def escape(self) -> None:
        self._firefox.actions.sequence("key", "keyboard").send_keys(Keys.ESCAPE).perform()

    def focused(self, css: str) -> bool:
        return bool(self._firefox.get_active_element() == self._find(css))

    def back(self) -> None:
        self._firefox.go_back()

    def address(self) -> str:
        return str(self._firefox.get_url())

    def source(self) -> str:
        return str(self._firefox.page_source)

    def complaints(self) -> list[str]:
        return list(self.chrome(_CONSOLE))

    def cookies(self) -> int:
        return int(self.chrome("return Services.cookies.cookies.length;"))

    def screenshot(self, path: Path, size: tuple[int, int]) -> None:
        self._resize(size)

        def shot() -> bytes | None:
            png = base64.b64decode(self._firefox.screenshot(full=True, scroll=False))
            return png if int.from_bytes(png[16:20], "big") == size[0] else None

        path.write_bytes(self.until(shot, f"a page of {size[0]} pixels"))

    def _resize(self, size: tuple[int, int]) -> None:
        self.chrome(f"""
            const browser = window.gBrowser.selectedBrowser;
            browser.style.setProperty("width", "{size[0]}px", "important");
            browser.style.setProperty("min-width", "{size[0]}px", "important");
            browser.style.setProperty("max-width", "{size[0]}px", "important");
            window.resizeTo({max(size[0], 500)} , {size[1]} + window.outerHeight - browser.clientHeight);
        """)

    @contextmanager
    def allow_onion(self, *, secure: bool) -> Iterator[None]:
        name = "dom.securecontext.allowlist_onions"
        self._firefox.set_pref(name, secure)
        try:
            yield
        finally:
            self._firefox.set_pref(name, value=True)

    def close(self) -> None:
        with _leaks_allowed():
            self._firefox.cleanup()
        self._keep_profile()

    def _keep_profile(self) -> None:
        """Leave the profile to the folder's owner: Marionette's own clean-up may run when Python shuts down."""
        if self._firefox.instance.profile is not None:
            self._firefox.instance.profile.restore = False


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[None]:
    """Playwright puts profiles into the system's temporary folder; within the block that is `folder`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        yield


@contextmanager
def running(level: Level, beside: Browser | None = None, *, ordinary: bool = False) -> Iterator[Browser]:
    """A browser at a level, with a profile of its own; it ends with the block.

    Args:
        level: what pages may do in it.
        beside: a browser of this level that runs already: Playwright can be started only once.
        ordinary: a window that is not private, as of somebody who did not take Tor Browser.
    """
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="tipbox-browser-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        sink = Sink()
        stack.callback(sink.close)
        browser: Chromium | Firefox
        if level is Level.CHROMIUM:
            with _temporary_folder(folder):
                if isinstance(beside, Chromium):  # Playwright has put all profiles where it put its first
                    # A profile of its own cannot lie in a folder that another browser is in.
                    browser = Chromium(
                        beside.playwright, folder if ordinary else beside.folder, sink, ordinary=ordinary
                    )
                else:
                    browser = Chromium(stack.enter_context(sync_playwright()), folder, sink, ordinary=ordinary)
        else:
            more = _ORDINARY if ordinary else None
            browser = Firefox(level, folder, sink, more, ordinary=ordinary)
        stack.callback(browser.close)
        browser.fresh()
        yield browser
