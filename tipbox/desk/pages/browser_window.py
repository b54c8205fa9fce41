"""The browser that shows the pages: found, given a profile that is thrown away, and ended with all it has started."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from tipbox.desk.desk_errors import NoBrowser
from tipbox.desk.pages import netless

KNOWN: Final = ("firefox-esr", "firefox", "chromium")
"""Browsers that are looked for, in this order."""

_KEPT: Final = frozenset(
    {"DISPLAY", "LANG", "LANGUAGE", "LC_ALL", "PATH", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "XDG_SESSION_TYPE"}
)
"""What a browser needs to know of its surroundings. No bus: nothing of a page goes to other programs."""

FIREFOX: Final[Mapping[str, bool | int | str]] = {
    # Nothing is kept, and nothing is offered to be kept.
    "browser.privatebrowsing.autostart": True,
    "browser.cache.disk.enable": False,
    "browser.formfill.enable": False,
    "browser.sessionstore.resume_from_crash": False,
    "browser.sessionstore.privacy_level": 2,
    "signon.rememberSignons": False,
    "places.history.enabled": False,
    # Nothing but this page; loopback is the only network, and is no reason to work "offline".
    "network.manage-offline-status": False,
    # Nothing gives up: to end at the unlocking what was cut short may take many minutes.
    "network.http.response.timeout": 0,
    "network.proxy.type": 0,
    "network.proxy.allow_hijacking_localhost": False,
    "network.prefetch-next": False,
    "network.dns.disablePrefetch": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "app.update.enabled": False,
    "app.normandy.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.tabs.crashReporting.sendReport": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "extensions.systemAddon.update.enabled": False,
    "services.settings.server": "data:,",
    # Nothing plays or opens by itself.
    "media.autoplay.default": 5,
    "pdfjs.disabled": True,
}
"""What Firefox is told in its profile."""
_CHROMIUM: Final = (
    "--incognito",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-pings",
    "--password-store=basic",
)


def find_browser(named: str | None) -> str:
    """The path of the browser to start.

    Raises:
        NoBrowser: the one that was named is not there, or none of those that are known.
    """
    for name in KNOWN if named is None else (named,):
        if path := shutil.which(name):
            return path
    raise NoBrowser(
        f"looking for a browser: {named} is not there; check --browser"
        if named is not None
        else f"looking for a browser: none of {', '.join(KNOWN)} is installed; install one, or name one with --browser"
    )


def start_browser(program: str, url: str, profile: Path) -> subprocess.Popen[bytes]:
    """Start a browser with an empty profile in ``profile``, which lies in memory, at the address ``url``."""
    name = Path(program).name
    if "firefox" in name:
        prefs = "".join(f"user_pref({json.dumps(key)}, {json.dumps(value)});\n" for key, value in FIREFOX.items())
        (profile / "user.js").write_text(prefs, encoding="ascii")
        arguments = ["--no-remote", "--new-instance", "--profile", str(profile), url]
    elif "chrom" in name:
        arguments = [f"--user-data-dir={profile}", *_CHROMIUM, url]
    else:
        arguments = [url]
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    home = os.environ.get("HOME", "/nonexistent")
    shown = {"XAUTHORITY": os.environ.get("XAUTHORITY", f"{home}/.Xauthority")}
    # HOME in memory too: what a browser keeps beside its profile (caches, shaders) goes with it.
    apart = {"HOME": str(profile), "TMPDIR": str(profile), "MOZ_CRASHREPORTER_DISABLE": "1"}
    return subprocess.Popen(
        [program, *arguments],
        env=kept | shown | apart,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=netless.end_with_parent,  # noqa: PLW1509 (this process has one thread)
    )


def end_all_children(patience: float = 20.0, wait: Callable[[float], None] = time.sleep) -> None:
    """Kill every process that this one has started, and what those left behind, until none is there.

    This process has adopted orphans, so whatever a browser starts ends up here.
    """
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
        if not children:
            return
        for child in children:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(int(child), signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        wait(0.02)
