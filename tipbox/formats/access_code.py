"""The access code of a source and all that comes from it (docs/format.md, section 3).

It is made by the client and never sent. Keys derive from the integer, never from how it is written.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

from tipbox.errors import BadPassphrase, LimitExceeded
from tipbox.formats import wordlists
from tipbox.formats.base import labels
from tipbox.formats.base.characters import ascii_digits, divide
from tipbox.formats.base.digits import in_groups
from tipbox.formats.base.limits import ID_SIZE, KEY_SIZE, MAILBOX_TOKENS
from tipbox.formats.base.primitives import hkdf, pbkdf2, sha256
from tipbox.formats.wordlists import WordList

_VERSION: Final = 1
_RANDOM_BITS: Final = 100
_CHECK_BITS: Final = 12
_DIGITS: Final = 36
_GROUP: Final = 6
_ROUNDS: Final = 600_000
_FIGURES: Final = re.compile("[0-9]*")
_MAX_INPUT: Final = 1024
_LOWEST: Final = _VERSION << _RANDOM_BITS + _CHECK_BITS
_HIGHEST: Final = (_VERSION + 1 << _RANDOM_BITS + _CHECK_BITS) - 1


def _check(version: int, random: int) -> int:
    digest = sha256(labels.PASSPHRASE_CHECK, bytes([version]), random.to_bytes(13))
    return int.from_bytes(digest[:2]) >> 4


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
    text = ascii_digits(text)
    if sum(map(str.isalpha, text)) <= sum(letter in string.digits for letter in text):
        return _doubt_digits(text)
    return min(
        (_doubt_words(text, words) for words in lists or wordlists.load_all()), key=lambda found: len(found.wrong)
    )


def _doubt_digits(text: str) -> Doubt:
    groups = divide(text)
    if len(groups) == 1 or any(abs(len(group) - _GROUP) > 1 for group in groups[:-1]):  # not in groups of six
        figures = "".join(groups)
        groups = [figures[at : at + _GROUP] for at in range(0, len(figures), _GROUP)]
    rest = 10 ** (_DIGITS - _GROUP)
    wrong = [
        number
        for number, group in enumerate(groups)
        if len(group) != _GROUP
        or not _FIGURES.fullmatch(group)
        or (number == 0 and not _LOWEST // rest <= int(group) <= _HIGHEST // rest)
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

    def mailbox_token(self, organisation: bytes) -> bytes:
        """Opens the mailbox in which the organisation with this id (16 bytes) answers."""
        return hkdf(self.root, b"", labels.MAILBOX_TOKEN + organisation)

    def mailbox_address(self, organisation: bytes) -> bytes:
        """Names that mailbox: SHA-256 of its token. Only the organisation's slot holds it."""
        return sha256(self.mailbox_token(organisation))

    def mailbox_decoy(self, organisation: bytes, number: int) -> bytes:
        """The token number ``number`` (from 0) that fills up a request for that organisation; it opens nothing."""
        return hkdf(self.root, b"", labels.MAILBOX_DECOY + organisation + bytes([number]))

    def mailbox_request(self, organisations: Collection[bytes]) -> dict[bytes, bytes | None]:
        """The 32 tokens of one request for the mailboxes of ``organisations`` (ids, 1 to 32), and whose each is.

        Ascending, filled up with decoys (None) of the lowest id: equal requests are equal, and those for different
        single organisations share nothing.
        """
        if not 1 <= len(organisations) <= MAILBOX_TOKENS:
            raise LimitExceeded(f"a request is for the mailboxes of 1 to {MAILBOX_TOKENS} organisations")
        tokens: dict[bytes, bytes | None] = {self.mailbox_token(one): one for one in organisations}
        lowest = min(organisations)
        for number in range(MAILBOX_TOKENS - len(tokens)):
            tokens[self.mailbox_decoy(lowest, number)] = None
        return dict(sorted(tokens.items()))

    @cached_property
    def resume(self) -> bytes:
        """The resume secret: opens the capsules of this access code, and names their places."""
        return hkdf(self.root, b"", labels.RESUME)

    def place_token(self, number: int) -> bytes:
        """Asks for what lies at place ``number`` (0 to 3): under SHA-256 of it, the place address."""
        return hkdf(self.resume, b"", labels.PLACE + bytes([number]))

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
        text = ascii_digits(text)
        figures = "".join(divide(text))
        if _FIGURES.fullmatch(figures):
            if len(figures) != _DIGITS:
                raise BadPassphrase
            return cls._checked(int(figures))
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
        return in_groups(f"{self.value:0{_DIGITS}d}", _GROUP)

    def secrets(self) -> Secrets:
        """Stretch and derive (600,000 rounds of PBKDF2)."""
        return Secrets(pbkdf2(self.value.to_bytes(16), labels.ROOT, _ROUNDS, KEY_SIZE))


def thread_id(pair_key: bytes) -> bytes:
    """The id (16 bytes) of the conversation that a pair key stands for."""
    return sha256(labels.THREAD, pair_key)[:ID_SIZE]
