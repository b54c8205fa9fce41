"""Makes the pictures of the pages that README and the source guide show: python tests/browser/states/pictures.py.

The pages come from a site list that nobody signed but keys made here; no server and no desk is asked.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import FilePayload, Page, sync_playwright

from tipbox.formats.base.primitives import SigningKey
from tipbox.formats.site_list import SiteEntry, SiteList
from tipbox.server.web.rendered_site import Site, render_site

ROOT: Final = Path(__file__).resolve().parents[3]
FOLDER: Final = ROOT / "docs" / "pictures"
LARGEST: Final = 200_000
"""Bytes of a picture."""
PHONE: Final = (360, 740)
TEXT: Final = "5 января 2022 года, около восьми вечера. Я был на площади Республики."


def entry(number: int, name: str, country: str, languages: tuple[str, ...], about: dict[str, str]) -> SiteEntry:
    """An organisation of the pictures."""
    key = SigningKey(bytes([number]) * 32)
    short = f"organisation-{number}"
    return SiteEntry(short, name, country, languages, key.verify_key.encode(), about=about).signed_by(key)


def site() -> Site:
    """What the pictures are of."""
    return render_site(
        SiteList.of(
            "ru",
            [
                entry(
                    1,
                    "Қазақстандық адам құқықтары бюросы",
                    "KZ",
                    ("kk", "ru"),
                    {"en": "An example of a line by the organisation.", "ru": "Пример строки от самой организации."},
                ),
                entry(2, "International Legal Initiative", "KZ", ("ru", "en"), {}),
            ],
        )
    )


@contextmanager
def served(files: Site) -> Iterator[str]:
    """The address of a server of these files alone; what the day's answer would be is never said."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files.files.get(self.path)
            self.send_response(404 if body is None else 200)
            if body is not None:
                self.send_header("Content-Type", body.content_type)
            self.end_headers()
            self.wfile.write(b"" if body is None else body.plain)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def write(page: Page) -> None:
    """Fill in the form, as far as the first file."""
    page.wait_for_selector("#app textarea")
    page.fill("#app textarea", TEXT)
    video: FilePayload = {"name": "VID_20220105_2013.mp4", "mimeType": "video/mp4", "buffer": bytes(9_000)}
    page.set_input_files("#app input[type=file]", [video])
    page.evaluate("scrollTo(0, 0)")


def main() -> None:
    """Make them all."""
    FOLDER.mkdir(exist_ok=True)
    with served(site()) as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", chromium_sandbox=False)
        for name, path in (("start", "/en/"), ("start-arabic-dark", "/ar/"), ("form-russian", "/ru/send")):
            page = chromium.new_page(
                viewport={"width": PHONE[0], "height": PHONE[1]}, color_scheme="dark" if "dark" in name else "light"
            )
            page.goto(address + path)
            if path.endswith("send"):
                write(page)
            picture = page.screenshot(path=FOLDER / f"{name}.png")
            assert len(picture) < LARGEST, name
            page.close()
        chromium.close()


if __name__ == "__main__":
    main()
