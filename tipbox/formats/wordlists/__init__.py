"""The lists of words that access codes are written in (docs/format.md, section 3).

The lists stand beside this file as ``en.txt`` and so on. They are made at build time (hatch_build.py) and never
committed; one whose SHA-256 is not the one pinned here is not used.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from itertools import pairwise
from typing import Final

from tipbox.errors import NotFound
from tipbox.formats.base.characters import divide


@dataclass(frozen=True)
class Pin:
    """The words of an access code in a list, and the SHA-256 of the list: words in NFC, a line feed after each."""

    length: int
    sha256: str


PINS: Final[Mapping[str, Pin]] = {
    "en": Pin(9, "6d557f0693958fb5e650b68b5bee585eb82cf4da32965505c789e924743bc522"),
    "ru": Pin(11, "07f11af3f07fd13d8d74859f4448d8bca8f1d9d336dc4842531ecea083103a26"),
    "fr": Pin(11, "431c1d074225d2b7e82db857d7c3ea58051df546e7c8b74c1f6dcab36351fd56"),
    "es": Pin(11, "0c639b0d58b6e56c18dcf418017ff341418a129e45fbf303361e8569edb02efe"),
}
_SHORTEST_PREFIX: Final = 2
_KAZAKH: Final = str.maketrans("әғқңөұүһі", "агкноуухи")
_MARKS: Final = re.compile("[\u0300-\u036f]")
_NUMBER: Final = re.compile("[0-9]{1,2}")


def fold(text: str) -> str:
    """Lower case, without accents and dots, Kazakh letters as a Russian keyboard has them."""
    return _MARKS.sub("", unicodedata.normalize("NFD", text.lower())).translate(_KAZAKH)


@dataclass(frozen=True)
class WordList:
    """A list of words; ``length`` of them spell an access code."""

    name: str
    length: int
    words: tuple[str, ...]

    @classmethod
    def read(cls, name: str, data: bytes) -> WordList:
        """The list ``name`` out of its file.

        Raises:
            NotFound: these are not the words that are pinned.
        """
        pin = PINS[name]
        if hashlib.sha256(data).hexdigest() != pin.sha256:
            raise NotFound(
                f"reading the words of {name}: this is another list than the pinned one; install tipbox again"
            )
        return cls(name, pin.length, tuple(data.decode().splitlines()))

    def encode(self) -> bytes:
        """The file that the list was read from."""
        return "".join(f"{word}\n" for word in self.words).encode()

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {fold(word): number for number, word in enumerate(self.words)}

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self._numbers)

    @cached_property
    def _halves(self) -> dict[tuple[str, str], str]:
        """The words with a hyphen, which also divides words."""
        hyphened = [word for word in self._numbers if "-" in word]
        return {(one, other): word for word in hyphened for one, other in [word.split("-")]}

    def divide(self, text: str) -> list[str]:
        """The typed words, folded, without the numbers of a list; the halves of a word with a hyphen are one."""
        words: list[str] = []
        for word in divide(fold(text)):
            if _NUMBER.fullmatch(word):
                continue
            whole = self._halves.get((words[-1], word)) if words else None
            if whole is None:
                words.append(word)
            else:
                words[-1] = whole
        return words

    def find(self, folded: str) -> int | None:
        """The number of the word that this is, or the only one that begins with it; None when there is none."""
        if folded in self._numbers:
            return self._numbers[folded]
        if len(folded) < _SHORTEST_PREFIX:
            return None
        at = bisect_left(self._sorted, folded)
        found = [word for word in self._sorted[at : at + 2] if word.startswith(folded)]
        return self._numbers[found[0]] if len(found) == 1 else None

    def spell(self, value: int) -> tuple[str, ...]:
        """An integer in this list's words, most significant first."""
        numbers = []
        for _ in range(self.length):
            value, number = divmod(value, len(self.words))
            numbers.append(number)
        return tuple(self.words[number] for number in reversed(numbers))

    def value(self, numbers: Sequence[int]) -> int:
        """The integer that words with these numbers spell."""
        value = 0
        for number in numbers:
            value = value * len(self.words) + number
        return value

    def check_unambiguous(self) -> None:
        """That no typed text can mean two words: two are never equal once folded, nor two halves words themselves.

        Raises:
            ValueError: the list is of no use here.
        """
        same = [one for one, other in pairwise(sorted(map(fold, self.words))) if one == other]
        halves = [word for pair, word in self._halves.items() if None not in map(self.find, pair)]
        if same or halves:
            raise ValueError(f"the words of {self.name} are ambiguous: {same + halves}")


def language_of(tag: str) -> str | None:
    """The list for readers of a language (a BCP 47 tag); None when there is no list for it."""
    language = tag.partition("-")[0].lower()
    return language if language in PINS else None


@cache
def load(name: str) -> WordList:
    """A list, out of the installed package.

    Raises:
        NotFound: the installation is not whole.
    """
    try:
        data = files(__name__).joinpath(f"{name}.txt").read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"reading the words of {name}: the list is missing; run make setup, or install again") from error
    return WordList.read(name, data)


def load_all() -> tuple[WordList, ...]:
    """Every list, in the order in which they are tried."""
    return tuple(map(load, PINS))
