"""Somebody at the window that "tipbox desk" opened in a booted tree: kit_hand.py PASSPHRASE-FILE SCREENSHOT.

It runs where that window has its network, which is a loopback of its own. It unlocks, opens the newest tip, looks at
its first file, prints how large the picture is that the page shows, and closes the window.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

from desk.pages.fox import fox_beside

_SHOWN = "document.querySelector('img[data-picture]')"


def main(passphrase: Path, screenshot: Path) -> None:
    """Do it."""
    with fox_beside() as fox:
        fox.until("document.querySelector('#passphrase')")
        fox.fill("#passphrase", passphrase.read_text(encoding="utf-8").strip())
        fox.key("Enter")
        fox.wait("[data-screen=inbox]")
        fox.act("8")  # all: the tip was opened by a command before
        fox.go("o", "thread")
        words = fox.text("[data-screen=thread]")
        fox.go("f", "file")
        fox.act("v")
        fox.until(f"{_SHOWN} && {_SHOWN}.naturalWidth")
        fox.press("b")
        size = fox.run(f"return [{_SHOWN}.naturalWidth, {_SHOWN}.naturalHeight]")
        screenshot.write_bytes(base64.b64decode(fox.firefox.screenshot(full=False)))
        said = {"complaints": fox.complaints, "file": fox.text("[data-screen=file]"), "size": size, "thread": words}
        print(json.dumps(said))  # noqa: T201 (the test reads it)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
