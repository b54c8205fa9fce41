"""Who is refused, in Chromium and in Firefox: a second tab, another name of this address, other sites, a used token."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from desk.pages.fox import fox_in
from desk.pages.hand import Hand, hand_in
from desk.pages.serving import WORDS, Pages

pytestmark = pytest.mark.reads_date

ATTACK = """
    const here = "http://{host}";
    const tried = {{}};
    const form = new URLSearchParams([["view", "all"]]);
    const post = (path, more) => fetch(here + path, {{ method: "POST", body: form, ...more }});
    const outcome = async (name, work) => {{
        try {{ tried[name] = await work(); }} catch (error) {{ tried[name] = "failed"; }}
    }};
    await outcome("reading", async () => (await post("/inbox", {{}})).status);
    await outcome("reading the shell", async () => (await fetch(here + "/")).status);
    await outcome("blind", async () => (await post("/lock", {{ mode: "no-cors" }})).type);
    await outcome("with a secret", async () =>
        (await post("/inbox", {{ headers: {{ "X-Tipbox-Session": "guess" }} }})).status);
    const loads = (kind, name, value) => new Promise(resolve => {{
        const one = document.createElement(kind);
        one.onload = () => resolve("loaded");
        one.onerror = () => resolve("failed");
        one[name] = value;
        document.body.append(one);
    }});
    tried["as a script"] = await loads("script", "src", here + "/desk.js");
    tried["as a picture"] = await loads("img", "src", here + "/file/picture");
    return tried;
"""


class Elsewhere(BaseHTTPRequestHandler):
    """Another site: an empty page, one that frames the desk, and one that sends a form to it by itself."""

    target = ""

    def do_GET(self) -> None:
        body = "<!doctype html><title>x</title><body>"
        if self.path == "/frame":
            body += f'<iframe src="http://{self.target}/"></iframe>'
        if self.path == "/form":
            body += f'<form method="post" action="http://{self.target}/lock"></form><script>document.forms[0].submit()</script>'
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def elsewhere(target: str) -> Iterator[str]:
    """Another site on this machine; its address."""
    handler = type("Aimed", (Elsewhere,), {"target": target})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.fixture(params=["chromium", "firefox"])
def browser(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hand]:
    if request.param == "chromium":
        with hand_in() as hand:
            yield hand
        return
    folder = tmp_path / "firefox"
    folder.mkdir()
    with fox_in(folder) as fox:
        yield fox


KEPT_HERE = "(() => { try { return localStorage.length } catch (error) { return error.result ^ 0x80004004 } })()"


def test_only_the_tab_that_unlocked_gets_anything(pages: Pages, browser: Hand) -> None:
    browser.goto(f"http://localhost:{pages.port}/#{pages.token}")
    assert browser.text("body").strip() == "refused", "another name of the same address"
    browser.goto(pages.url)
    browser.fill("#passphrase", "wrong horse")
    browser.key("Enter")
    browser.until("document.querySelector('#wrong').textContent")
    assert browser.text("#wrong") == "unlocking: the passphrase is wrong"
    browser.fill("#passphrase", WORDS)
    browser.key("Enter")
    browser.wait("[data-screen=inbox]")
    assert browser.address() == f"http://{pages.host}/", "the address line holds nothing to steal"

    # Chromium tells of each refusal, too; and from here on the other site's complaints are among them.
    assert [one for one in browser.complaints if not any(code in one for code in ("403", "421"))] == []

    with browser.another_tab():
        for address in (pages.url, f"http://{pages.host}/"):
            browser.goto(address)
            browser.fill("#passphrase", WORDS)
            browser.key("Enter")
            browser.wait("#gone")
            assert browser.count("[data-screen]") == 0, address
        with elsewhere(pages.host) as site:
            browser.goto(f"{site}/")
            tried = browser.run(ATTACK.format(host=pages.host))
            assert set(tried.values()) <= {"failed", "opaque"}, tried
            browser.goto(f"{site}/frame")
            assert browser.framed() != "Unlock the desk", "nobody puts the pages into a frame"
            browser.goto(f"{site}/form")
            browser.until("location.pathname === '/lock'")
            assert browser.text("body").strip() == "refused"
    browser.go("g h", "health")
    browser.go("g i", "inbox")
    assert browser.run("return (await cookieStore?.getAll?.() ?? []).length + document.cookie.length") == 0
    assert browser.run("return sessionStorage.length") == 0
    # Some Firefox refuse this storage to every page as long as they run: NS_ERROR_ABORT, and it holds nothing.
    browser.until(f"{KEPT_HERE} === 0")
    assert pages.process.poll() is None
