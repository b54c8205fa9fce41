"""The access code of a source and all that comes from it (docs/format.md, section 3).

It is made by the client and never sent. Keys derive from the integer, never from how it is written.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

from tipbox.errors import BadPassphrase
from tipbox.formats import wordlists
from tipbox.formats.base import labels
from tipbox.formats.base.limits import ID_SIZE, KEY_SIZE
from tipbox.formats.base.primitives import hkdf, sha256, xwing_public
from tipbox.formats.wordlists import WordList

_VERSION: Final = 1
_RANDOM_BITS: Final = 100
_CHECK_BITS: Final = 12
_DIGITS: Final = 36
_GROUP: Final = 6
_ROUNDS: Final = 600_000
_SEPARATORS: Final = frozenset("-._")
_MAX_INPUT: Final = 1024
_LOWEST: Final = _VERSION << _RANDOM_BITS + _CHECK_BITS
_HIGHEST: Final = (_VERSION + 1 << _RANDOM_BITS + _CHECK_BITS) - 1


def _check(version: int, random: int) -> int:
    digest = sha256(labels.PASSPHRASE_CHECK, bytes([version]), random.to_bytes(13))
    return int.from_bytes(digest[:2]) >> 4


def _groups(digits: str, size: int) -> str:
    return " ".join(digits[start : start + size] for start in range(0, len(digits), size))


def _figures(text: str) -> list[int]:
    """The digits of a text; -1 for each letter that is none."""
    kept = [letter for letter in text if not (letter.isspace() or letter in _SEPARATORS)]
    return [unicodedata.decimal(letter, -1) for letter in kept]


@dataclass(frozen=True)
class Doubt:
    """What can be said of a typed text without knowing the access code: never the text itself.

    ``wrong`` are the numbers, from 0, of groups or words that no access code can have there.
    """

    unit: Literal["digits", "words"]
    language: str
    """The list whose words these most likely are; empty for digits."""
    count: int
    """Groups or words typed,"""
    expected: int
    """of this many."""
    wrong: tuple[int, ...]


def doubt(text: str, lists: Sequence[WordList] | None = None) -> Doubt:
    """Where a typed text cannot be right. Words are held against the list that fits them best, the first of equals."""
    text = text[:_MAX_INPUT]
    if sum(map(str.isalpha, text)) <= sum(map(str.isdecimal, text)):
        return _doubt_digits(text)
    return min(
        (_doubt_words(text, words) for words in lists or wordlists.load_all()), key=lambda found: len(found.wrong)
    )


def _doubt_digits(text: str) -> Doubt:
    dashes = str.maketrans(dict.fromkeys(_SEPARATORS, " "))
    groups = [_figures(group) for group in text.translate(dashes).split()]
    if len(groups) == 1 or any(abs(len(group) - _GROUP) > 1 for group in groups[:-1]):  # not in groups of six
        figures = [figure for group in groups for figure in group]
        groups = [figures[at : at + _GROUP] for at in range(0, len(figures), _GROUP)]
    rest = 10 ** (_DIGITS - _GROUP)
    wrong = [
        number
        for number, group in enumerate(groups)
        if len(group) != _GROUP
        or -1 in group
        or (number == 0 and not _LOWEST // rest <= int("".join(map(str, group))) <= _HIGHEST // rest)
    ]
    return Doubt("digits", "", len(groups), _DIGITS // _GROUP, tuple(wrong))


def _doubt_words(text: str, words: WordList) -> Doubt:
    rest = len(words.words) ** (words.length - 1)
    numbers = [words.find(word) for word in words.divide(text)]
    wrong = [
        at
        for at, number in enumerate(numbers)
        if number is None or (at == 0 and not _LOWEST // rest <= number <= _HIGHEST // rest)
    ]
    return Doubt("words", words.name, len(numbers), words.length, tuple(wrong))


@dataclass(frozen=True)
class Secrets:
    """What an access code derives to; every value is 32 bytes unless it says otherwise."""

    root: bytes = field(repr=False)

    @cached_property
    def mailbox_token(self) -> bytes:
        """Opens the mailbox."""
        return hkdf(self.root, b"", labels.MAILBOX_TOKEN)

    @cached_property
    def mailbox_address(self) -> bytes:
        """Names the mailbox: SHA-256 of its token."""
        return sha256(self.mailbox_token)

    @cached_property
    def reply_seed(self) -> bytes:
        """The private X-Wing key that opens replies."""
        return hkdf(self.root, b"", labels.REPLY_KEY)

    @cached_property
    def reply_public(self) -> bytes:
        """The public half of the reply key, 1216 bytes."""
        return xwing_public(self.reply_seed)

    @cached_property
    def resume(self) -> bytes:
        """Reserved."""
        return hkdf(self.root, b"", labels.RESUME)

    def pair_key(self, organisation: bytes) -> bytes:
        """What this source and the organisation with this id (16 bytes) share, and nobody else."""
        return hkdf(self.root, b"", labels.PAIR_KEY + organisation)


@dataclass(frozen=True)
class AccessCode:
    """One integer: version (4 bits), 100 random bits, check (12 bits)."""

    value: int = field(repr=False)

    @classmethod
    def generate(cls) -> AccessCode:
        """A new access code."""
        return cls._of(secrets.randbits(_RANDOM_BITS))

    @classmethod
    def _of(cls, random: int) -> AccessCode:
        return cls((_VERSION << _RANDOM_BITS | random) << _CHECK_BITS | _check(_VERSION, random))

    @classmethod
    def parse(cls, text: str) -> AccessCode:
        """Read what a person typed, digits or words; BadPassphrase, without repeating any of it, when it is none."""
        if len(text) > _MAX_INPUT:
            raise BadPassphrase
        figures = _figures(text)
        if -1 not in figures:
            if len(figures) != _DIGITS:
                raise BadPassphrase
            return cls._checked(int("".join(map(str, figures))))
        for words in wordlists.load_all():
            numbers = [words.find(word) for word in words.divide(text)]
            known = [number for number in numbers if number is not None]
            if len(known) == len(numbers) == words.length:
                try:
                    return cls._checked(words.value(known))
                except BadPassphrase:
                    continue
        raise BadPassphrase

    @classmethod
    def _checked(cls, value: int) -> AccessCode:
        passphrase = cls(value)
        if passphrase != cls._of(value >> _CHECK_BITS & (1 << _RANDOM_BITS) - 1):
            raise BadPassphrase
        return passphrase

    def words(self, language: str) -> tuple[str, ...]:
        """The words of it for readers of a language (a BCP 47 tag); none when that has no list."""
        name = wordlists.language_of(language)
        return wordlists.load(name).spell(self.value) if name is not None else ()

    def digits(self) -> str:
        """36 digits in six groups of six."""
        return _groups(f"{self.value:0{_DIGITS}d}", _GROUP)

    def secrets(self) -> Secrets:
        """Stretch and derive (600,000 rounds of PBKDF2)."""
        return Secrets(hashlib.pbkdf2_hmac("sha256", self.value.to_bytes(16), labels.ROOT, _ROUNDS, KEY_SIZE))


def thread_id(pair_key: bytes) -> bytes:
    """The id (16 bytes) of the conversation that a pair key stands for."""
    return sha256(labels.THREAD, pair_key)[:ID_SIZE]


def check_digits(pair_key: bytes, header_hash: bytes) -> str:
    """What source and organisation compare, read aloud: 20 digits in groups of five."""
    number = int.from_bytes(hkdf(pair_key, header_hash, labels.CHECK_WORDS)) % 10**20
    return _groups(f"{number:020d}", 5)
