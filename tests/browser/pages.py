"""The source's pages as a person uses them: open, write, attach, choose, send."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from browser.drivers import INSECURE, ONION, Browser, Level
from browser.wire import Exchange, Wire
from tipbox.formats import wordlists

FIELDS: Final = "input, textarea, select, form, [contenteditable], [contenteditable=true]"
"""Everything that could take a word."""
MESSAGE: Final = "#app textarea"
PICKER: Final = "#app input[type=file]"
CHOICE: Final = "#app input[type=checkbox]"
SEND: Final = "#app [data-part=send]"
READY: Final = f"{SEND}:not([disabled])"
"""The same, once what seals is there."""
LOADING: Final = "#loading"
DOOR: Final = "#app [data-door={}]"
SENDING: Final = "#app [data-part=stop]"
STOP: Final = SENDING
BAR: Final = "#app progress"
DIGITS: Final = "#app [data-part=digits]"
STORED: Final = "#app [data-part=again]"
CHECKS: Final = "#app [data-part=checks]"
FAILED: Final = "#app [data-part=back]"
LEAVE: Final = "#leave"
CODE: Final = "#app [data-part=typed] textarea"
JUDGED: Final = "#app [data-part=typed-result]"
MAILBOX: Final = "#app [data-part=replies]"
OTHERS: Final = "#app [data-part=others]"
WRITE: Final = "#app [data-part=write]"
DELETE: Final = "#app [data-part=delete]"
REALLY: Final = "#app [data-part=really]"
UNREAD: Final = "#app [data-part=code]"

_PROBE: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\nContent-Length: %d\r\nCache-Control: no-store\r\n"
    b"Cross-Origin-Resource-Policy: same-origin\r\nCross-Origin-Embedder-Policy: require-corp\r\n\r\n%s"
)
_PROBE_SCRIPT: Final = b"postMessage([typeof WebAssembly, isSecureContext, typeof crypto.subtle]);"


@dataclass(frozen=True)
class Answer:
    """A reply as the page shows it."""

    sender: str
    text: str
    files: tuple[str, ...]


@dataclass
class Source:
    """Somebody with a browser, a line, and something to tell."""

    browser: Browser
    wire: Wire
    language: str = "en"

    def go(self, path: str = "/", *, secure: bool = True) -> None:
        """Open a page."""
        self.browser.open(self.browser.url(self.wire.port, path, secure=secure))

    def check_level(self) -> None:
        """Assert that page and worker get what the level gives, no more and no less; leaves the start page open."""
        level = self.browser.level
        self.wire.answers["/probe.js"] = _PROBE % (len(_PROBE_SCRIPT), _PROBE_SCRIPT)
        self.go("/en/")
        host = "127.0.0.1" if level is Level.CHROMIUM else ONION
        assert self.browser.address() == f"http://{host}:{self.wire.port}/en/"
        if level is Level.SAFEST:
            assert not any(one.target.endswith(".js") for one in self.wire.seen()), "scripts run at Safest"
            return
        page = self.browser.run("""
            const page = window.wrappedJSObject ?? window;
            return [typeof page.WebAssembly, isSecureContext, typeof page.crypto.subtle];
        """)
        worker = self.browser.run("""
            return await new Promise((resolve, reject) => {
                const worker = new Worker("/probe.js");
                worker.onmessage = ({ data }) => resolve([...data]);
                worker.onerror = () => reject(new Error("the probe's worker did not start"));
            });
        """)
        assembly = "undefined" if level is Level.SAFER else "object"
        assert page == worker == [assembly, True, "object"]

    def now(self) -> dict[str, Any]:
        """What the server says that changes from day to day, as the start page is told."""
        self.go("/en/")
        self.browser.until(lambda: bool(self._told()), "what the start page is told")
        return dict(json.loads(self._told()[-1].answer_body))

    def open_form(self) -> None:
        """Open the page at the form and wait until what is written can be sent."""
        self.go(f"/{self.language}/send")
        self.browser.wait(READY)
        self.choose_all()

    def choose_all(self) -> None:
        """Press the button that chooses every organisation: nothing is chosen beforehand."""
        self.browser.click("#app [data-part=all]")

    def write(self, text: str) -> None:
        """Write the message: short ones key by key, long ones by pasting."""
        if len(text) <= 200 and text.isprintable():
            self.browser.type(MESSAGE, text)
        else:
            self.browser.fill(MESSAGE, text)

    def attach(self, *paths: Path) -> None:
        """Choose files with the picker, and wait until they are listed."""
        before = len(self.listed())
        self.browser.attach(PICKER, paths)
        self.browser.until(lambda: len(self.listed()) == before + len(paths), "the files to be listed")

    def drop(self, names: Sequence[str], content: str) -> None:
        """Drop files with these names onto the page; each holds the content."""
        self.browser.run(f"""
            const page = window.wrappedJSObject ?? window;
            const data = new page.DataTransfer();
            for (const name of {json.dumps(list(names))}) data.items.add(new page.File([{json.dumps(content)}], name));
            const drop = {{ bubbles: true, cancelable: true, dataTransfer: data }};
            document.body.dispatchEvent(new page.DragEvent("drop", drop));
        """)

    def listed(self) -> list[str]:
        """Names of the files that the form lists."""
        return self._texts("#app [data-part=files] bdi")

    def organisations(self) -> list[str]:
        """Names of the organisations that can be chosen, in the form's order."""
        return self._texts("#app .choice:not([hidden]) bdi")

    def choose_only(self, *names: str) -> None:
        """Leave these organisations checked, by full name."""
        for name in self.organisations():
            number = self.organisations().index(name)  # one that takes nothing goes with its tick
            box = f"#app [data-part=organisations] > :nth-child({number + 1} of :not([hidden])) input"
            checked = self.browser.run(f"return document.querySelector({json.dumps(box)}).checked;")
            if checked != (name in names):
                self.browser.click(box)

    def send(self) -> None:
        """Press the button, once it can be."""
        self.browser.wait(READY)
        self.browser.click(SEND)

    def wait_stored(self, patience: float = 300) -> str:
        """Wait for the page that says that it is stored; gives back the digits that it shows."""
        self.browser.until(
            lambda: self.browser.count(STORED) or self.browser.count(FAILED), "the message to be stored", patience
        )
        assert self.browser.count(STORED), f"sending failed: {self.browser.text('#app')}"
        return " ".join(self.browser.text(DIGITS).split())

    def wait_ended(self, patience: float = 300) -> str:
        """Wait until sending has ended, well or not; gives back what the page says."""
        self.browser.until(lambda: self.browser.count(STORED) or self.browser.count(FAILED), "sending to end", patience)
        return self.browser.text("#app")

    def wait_failed(self, patience: float = 240) -> str:
        """Wait for the page that says that it failed; gives back its text."""
        self.browser.wait(FAILED, patience)
        return self.browser.text("#app")

    def type_back(self, digits: str) -> None:
        """Say that the code is on paper, and type it back group by group, key by key."""
        self.browser.click("#app [data-part=copied]")
        for number, group in enumerate(digits.split(), 1):
            self.browser.type(f"#app .boxes > :nth-child({number}) input", group)

    def checks(self) -> dict[str, str]:
        """Check digits that the last page shows, by the organisation's name."""
        names, digits = self._texts("#app [data-part=checks] dt"), self._texts("#app [data-part=checks] dd")
        return dict(zip(names, digits, strict=True))

    def _told(self) -> list[Exchange]:
        """Whole answers to the script of the start page."""
        seen = self.wire.seen("GET /api/now")
        return [one for one in seen if b"\r\n\r\n" in one.raw_answer and one.answer_body.endswith(b"}\n")]

    def _texts(self, css: str) -> list[str]:
        """The text of each such element, shown or not."""
        texts = self.browser.run(f"""
            const found = [...document.querySelectorAll({json.dumps(css)})];
            return JSON.stringify(found.map(element => element.textContent));
        """)
        return [str(text) for text in json.loads(texts)]

    def tell(self, text: str, *paths: Path, patience: float = 300) -> str:
        """The whole way from the form to the stored message; gives back the digits."""
        self.open_form()
        self.write(text)
        if paths:
            self.attach(*paths)
        self.send()
        return self.wait_stored(patience)

    def words(self) -> list[str]:
        """Have the access code shown as words, after a message was stored."""
        self.browser.click("#app [data-part=show-words]")
        self.browser.wait("#app [data-part=words] li")
        list_of_words = "document.querySelector('#app [data-part=words]')"
        assert self.browser.run(f"return [{list_of_words}.lang, {list_of_words}.dir];") == [
            self.language if self.language in wordlists.PINS else "en",
            "ltr",
        ]
        return self._texts("#app [data-part=words] li")

    def type_code(self, typed: str) -> None:
        """Open the page at the field for a code, and type an access code key by key."""
        self.go(f"/{self.language}/inbox")
        self.browser.wait(CODE)
        reads = f"return getComputedStyle(document.querySelector('{CODE}')).direction;"
        assert self.browser.run(reads) == "ltr", "groups of digits would stand the other way round"
        self.browser.type(CODE, typed)

    def open_mailbox(self, typed: str) -> list[Answer]:
        """Type an access code, open its mailbox, and read what is shown."""
        self.type_code(typed)
        right = "right" if self.language == "en" else "«"  # the sentence quotes the button
        self.browser.until(lambda: right in self.browser.text(JUDGED), "the access code to be right")
        self.browser.click("#app [data-part=open]")
        self.browser.until(lambda: self.browser.count(MAILBOX) or self.browser.count(UNREAD), "the mailbox")
        assert self.browser.count(MAILBOX), f"reading failed: {self.browser.text('#app')}"
        return self.answers()

    def answers(self) -> list[Answer]:
        """What the mailbox page shows."""
        found = self.browser.run("""
            const texts = (one, css) => [...one.querySelectorAll(css)].map(part => part.textContent);
            const replies = [...document.querySelectorAll("#app [data-part=from]")].map(one => one.closest("section"));
            return JSON.stringify(replies.map(one => [
                ...texts(one, "[data-part=from]"),
                ...texts(one, "[data-part=text]"),
                texts(one, "[data-part=files] bdi"),
            ]));
        """)
        return [Answer(sender, text, tuple(files)) for sender, text, files in json.loads(found)]

    def save_file(self, number: int = 1) -> Path:
        """Fetch a file of the first answer, counted from 1, and save it."""
        row = f"#app [data-part=files] > :nth-child({number})"
        self.browser.click(f"{row} button")
        self.browser.wait(f"{row} a")
        assert self.browser.focused(f"{row} a"), "where the button was that was pressed"
        return self.browser.save(f"{row} a")

    def write_back(self, text: str) -> None:
        """Send another message from the mailbox page."""
        self.browser.click(WRITE)
        self.browser.wait(MESSAGE)
        self.write(text)
        self.send()
        self.browser.until(
            lambda: self.browser.count("#app [data-part=checks]") or self.browser.count(FAILED),
            "the message to be stored",
        )
        assert not self.browser.count(FAILED), f"sending failed: {self.browser.text('#app')}"

    def delete_answers(self) -> None:
        """Delete what is shown, after the question."""
        self.browser.click(DELETE)
        self.browser.click(REALLY)
        self.browser.until(lambda: not self.browser.count(MAILBOX), "the answers to be deleted")

    def problem(self) -> str:
        """What the form complains about, when something is sent."""
        return self.browser.text("#app [data-part=problem]")


def allowed_host(level: Level, *, secure: bool = True) -> str:
    """The only host that pages may talk to."""
    if level is Level.CHROMIUM:
        return "127.0.0.1" if secure else INSECURE
    return ONION


def kept_files(folder: Path) -> dict[Path, bytes]:
    """What a browser has in its folder; looked through anew when it renames a file meanwhile."""
    while True:
        try:
            return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}
        except FileNotFoundError:
            continue


def spellings(text: str) -> list[bytes]:
    """A text as it might leave a browser unsealed."""
    found = [text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be")]
    found += [
        urllib.parse.quote(text).encode(),
        urllib.parse.quote_plus(text).encode(),
        json.dumps(text)[1:-1].encode(),
    ]
    # Base64 at each of three offsets, without the letters that depend on neighbours.
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + text.encode())
        found.append(encoded[4:-4])
    return found
