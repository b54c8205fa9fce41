"""The offline page as a person uses it: opened from a disk, with nothing but files going out and coming in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from browser.drivers import PATIENCE, Browser

SEAL: Final = "#app [data-part=send]"
DIGITS: Final = "#app [data-part=digits]"
FAILED: Final = "#app [data-part=back]"
TYPED: Final = "#app [data-part=typed] textarea"
MB: Final = 1_000_000


@dataclass
class OfflineSource:
    """Somebody with a browser and the page on a disk."""

    browser: Browser
    page: Path

    def go(self) -> None:
        """Open the page."""
        self.browser.open("about:blank")  # or another anchor of the same file would load nothing
        self.browser.open(self.page.as_uri())
        self.browser.wait("#app [data-door=write]")

    def write(self, text: str, *files: Path, size: int | str = 8 * MB) -> None:
        """Fill in the form, for everybody; ``size``: of the sealed files, or ``one``."""
        self.browser.click("#app [data-door=write]")
        self.browser.wait("#app textarea")
        self.browser.type("#app textarea", text)
        if files:
            self.browser.attach("#app input[type=file]", files)
        self.browser.click("#app [data-part=all]")
        self.browser.run(f"document.querySelector('#app select').value = '{size}';")

    def seal(self, count: int, patience: float = PATIENCE) -> list[Path]:
        """Press the button, and give back the sealed files."""
        saved = self.browser.save_all(SEAL, count, patience)
        self.browser.until(
            lambda: self.browser.count(DIGITS) or self.browser.count(FAILED) or self.browser.count("#saved-count"),
            "what was sealed",
        )
        assert not self.browser.count(FAILED), self.browser.text("#app")
        return saved

    def digits(self) -> str:
        """The code that is shown."""
        return " ".join(self.browser.text(DIGITS).split())

    def type_code(self, code: str) -> None:
        """Open the field for a code, and type one."""
        self.browser.click("#app [data-door=read]")
        self.browser.wait(TYPED)
        self.browser.type(TYPED, code)
        self.browser.until(
            lambda: "right" in self.browser.text("#app [data-part=typed-result]"), "the code to be right"
        )

    def open_answer(self, path: Path) -> None:
        """Choose the answer file."""
        self.browser.attach("#app [data-part=answer] input", [path])
        self.browser.wait("#app [data-part=replies]")

    def add_pieces(self, paths: Sequence[Path]) -> None:
        """Choose answers to requests for pieces."""
        self.browser.attach("#app [data-part=pieces] input", paths)
