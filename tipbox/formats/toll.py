"""The toll: work that a source proves when many want to send at once (docs/protocol.md, section 3.2).

Sixteen puzzles, each the search for a number whose PBKDF2 is small enough. Nothing is kept of who was asked: the seed
of an hour is the same for everybody, and the answer is bound to the token of one upload.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

from tipbox.errors import Malformed
from tipbox.formats.base.limits import HASH_SIZE
from tipbox.formats.base.primitives import hmac_sha256, pbkdf2, sha256

LABEL: Final = b"tipbox toll 1"
HOUR: Final = 3600
"""Seconds for which a seed is given out; it is taken for another as long."""
PUZZLES: Final = 16
"""So many that luck evens out: nine of ten sources need less than 1.33 times the mean."""
ITERATIONS: Final = 500
"""Of PBKDF2: so many that a browser hashes for most of the time."""
TRIES: Final = 80
"""Mean tries of one puzzle at effort 1: all of them together take a phone about a second."""
LADDER: Final = (0, 1, 2, 3, 5, 8, 12, 20, 30, 45, 60, 90, 150, 300, 600)
"""The efforts that there are; each is worth about as many seconds of a phone."""
ASKED: Final = 60
"""The highest effort that a client pays without asking its source, and the highest that a server asks."""
_CLASSES: Final = (0, 5, 12, 30, 60, 150, 300)
"""The highest effort of each class but the last."""
_NONCES: Final = struct.Struct(f">{PUZZLES}I")
_CHARACTERS: Final = -(-_NONCES.size * 8 // 6)
_PROOF: Final = re.compile(
    rf"1\.(0|[1-9][0-9]{{0,9}})\.([1-9][0-9]{{0,2}})\.([A-Za-z0-9_-]{{{_CHARACTERS}}})", re.ASCII
)
_U32: Final = 2**32 - 1


def seed_of(key: bytes, hour: int) -> bytes:
    """The seed of an hour, 32 bytes, by the server's key (32 bytes)."""
    return hmac_sha256(key, LABEL + hour.to_bytes(8))


def password_of(seed: bytes, token: bytes) -> bytes:
    """What PBKDF2 works on: bound to the hour, and to an upload by SHA-256 of its draft token."""
    return LABEL + seed + token


def bound_of(effort: int) -> int:
    """The largest u32 that solves a puzzle at this effort."""
    return _U32 // (TRIES * effort)


def trial(password: bytes, puzzle: int, nonce: int) -> int:
    """The u32 that PBKDF2 makes of a number."""
    salt = puzzle.to_bytes(4) + nonce.to_bytes(4)
    return int.from_bytes(pbkdf2(password, salt, ITERATIONS, 4))


def rung(effort: float) -> int:
    """The lowest effort of the ladder that is at least this one; the highest of all when none is."""
    return next((one for one in LADDER if one >= effort), LADDER[-1])


def most_of_class(effort: float) -> int:
    """The highest effort of the class of this one; the highest of all when none is."""
    return next((most for most in _CLASSES if effort <= most), LADDER[-1])


def class_of(effort: int) -> int:
    """The class of an effort, 0 to 7, as a desk gets it beside the day."""
    return next((number for number, most in enumerate(_CLASSES) if effort <= most), len(_CLASSES))


@dataclass(frozen=True)
class Proof:
    """An answer: the hour of its seed, the effort that it claims, and the number that solves each puzzle."""

    hour: int
    effort: int
    nonces: tuple[int, ...]

    def encode(self) -> str:
        """The value of the header ``Tipbox-Toll``."""
        nonces = base64.urlsafe_b64encode(_NONCES.pack(*self.nonces)).rstrip(b"=").decode()
        return f"1.{self.hour}.{self.effort}.{nonces}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of ``encode``; one spelling for each proof.

        Raises:
            Malformed: this is not one.
        """
        found = _PROOF.fullmatch(text)
        if found is None or int(found[2]) not in LADDER:
            raise Malformed("the proof of work is misspelt")
        try:
            data = base64.urlsafe_b64decode(found[3] + "==")
        except binascii.Error:
            raise Malformed("the proof of work is misspelt") from None
        proof = cls(int(found[1]), int(found[2]), _NONCES.unpack(data))
        if proof.encode() != text:
            raise Malformed("the proof of work is misspelt")
        return proof

    def holds(self, password: bytes, order: Iterable[int] = range(PUZZLES)) -> bool:
        """Whether the puzzles, looked at in this order, are solved; the first that is not ends it."""
        bound = bound_of(self.effort)
        return all(trial(password, puzzle, self.nonces[puzzle]) <= bound for puzzle in order)


class Solver:
    """The search for the least number that solves each puzzle: the answer tells nothing of the machine.

    To go on for a higher effort loses nothing: numbers that were too large before are so still.

    Args:
        seed: of the hour.
        token: the draft token, 32 bytes.
    """

    def __init__(self, seed: bytes, token: bytes) -> None:
        if len(seed) != HASH_SIZE:
            raise Malformed("a seed has 32 bytes")
        self._password = password_of(seed, sha256(token))
        self._next = [0] * PUZZLES
        self._found: list[tuple[int, int] | None] = [None] * PUZZLES
        self.tries = 0

    def solve(self, hour: int, effort: int, on_solved: Callable[[int], None] = lambda _: None) -> Proof:
        """The proof for an effort of the ladder; ``on_solved`` is told how many puzzles are solved."""
        nonces = []
        for puzzle in range(PUZZLES):
            nonces.append(self._least(puzzle, bound_of(effort)))
            on_solved(puzzle + 1)
        return Proof(hour, effort, tuple(nonces))

    def _least(self, puzzle: int, bound: int) -> int:
        found = self._found[puzzle]
        if found is not None and found[1] <= bound:
            return found[0]
        for nonce, value in self._values(puzzle):
            if value <= bound:
                self._found[puzzle] = nonce, value
                return nonce
        raise Malformed("no number solves this puzzle")

    def _values(self, puzzle: int) -> Iterator[tuple[int, int]]:
        while self._next[puzzle] <= _U32:
            nonce = self._next[puzzle]
            self._next[puzzle] += 1
            self.tries += 1
            yield nonce, trial(self._password, puzzle, nonce)
