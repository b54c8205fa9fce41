"""The toll: its numbers, the spelling of a proof, and the search for one. Cases of both languages are vectors."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter

import pytest

from tipbox.errors import Malformed
from tipbox.formats import toll
from tipbox.formats.toll import ASKED, LADDER, PUZZLES, Proof, Solver, bound_of, class_of, most_of_class, rung, seed_of

SEED = bytes(range(32))
TOKEN = bytes(range(32, 64))


def test_each_hour_has_a_seed_of_its_own() -> None:
    key = b"k" * 32
    assert seed_of(key, 7) == hmac.digest(key, b"tipbox toll 1" + bytes(7) + b"\x07", hashlib.sha256)
    assert len({seed_of(key, 7), seed_of(key, 8), seed_of(b"l" * 32, 7)}) == 3


def test_a_puzzle_takes_eighty_tries_at_effort_one_and_more_for_more() -> None:
    assert [bound_of(effort) for effort in (1, 3, 600)] == [53_687_091, 17_895_697, 89_478]


@pytest.mark.parametrize(
    ("effort", "expected"),
    [(0, 0), (0.1, 1), (1, 1), (3, 3), (3.5, 5), (59.9, 60), (60.1, 90), (600, 600), (601, 600), (1e9, 600)],
)
def test_an_effort_is_rounded_up_to_the_ladder(effort: float, expected: int) -> None:
    assert rung(effort) == expected


def test_a_desk_gets_one_of_eight_classes() -> None:
    assert [class_of(effort) for effort in LADDER] == [0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7]
    assert [most_of_class(effort) for effort in LADDER] == [
        0, 5, 5, 5, 5, 12, 12, 30, 30, 60, 60, 150, 150, 300, 600,
    ]  # fmt: skip
    assert [most_of_class(effort) for effort in (0.1, 5.1, 59.9, 300.5, 1e9)] == [5, 12, 60, 600, 600]
    assert ASKED in LADDER


def test_only_the_spelling_of_encode_is_read() -> None:
    proof = Proof(500_000, 60, tuple(range(PUZZLES)))
    text = proof.encode()
    assert Proof.parse(text) == proof
    for other in (text + "=", text + "\n", text[:-1], text.replace(".60.", ".61."), text.replace(".60.", ".060."), ""):
        with pytest.raises(Malformed):
            Proof.parse(other)
    with pytest.raises(Malformed):
        Proof.parse(text[:-1] + "B")  # bits that say nothing


@pytest.fixture(name="trials")
def _trials(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[int, int]]:
    """Makes numbers that a test can foresee in place of PBKDF2's: the larger the number tried, the smaller."""
    tried: Counter[tuple[int, int]] = Counter()

    def value(_: bytes, puzzle: int, nonce: int) -> int:
        tried[puzzle, nonce] += 1
        return max(0, bound_of(1) + puzzle - nonce * (bound_of(1) // 8))

    monkeypatch.setattr(toll, "trial", value)
    return tried


def test_the_least_number_is_found_and_a_value_at_the_bound_is_good(trials: Counter[tuple[int, int]]) -> None:
    solver, told = Solver(SEED, TOKEN), list[int]()
    proof = solver.solve(9, 1, told.append)
    assert proof == Proof(9, 1, (0, *[1] * (PUZZLES - 1)))
    assert told == list(range(1, PUZZLES + 1))
    assert solver.tries == trials.total() == 2 * PUZZLES - 1
    assert proof.holds(b"")
    assert not Proof(9, 1, (0,) * PUZZLES).holds(b"")


def test_more_effort_goes_on_where_less_ended(trials: Counter[tuple[int, int]]) -> None:
    solver = Solver(SEED, TOKEN)
    assert solver.solve(9, 1) == solver.solve(9, 1)
    assert trials.total() == 2 * PUZZLES - 1
    twice = solver.solve(9, 2)
    assert twice == solver.solve(9, 2) == Proof(9, 2, (5,) * PUZZLES)
    assert set(trials.values()) == {1}
    assert solver.tries == trials.total() == 6 * PUZZLES


def test_the_first_puzzle_that_is_not_solved_ends_the_look(trials: Counter[tuple[int, int]]) -> None:
    proof = Proof(9, 1, (*[9] * 5, 0, *[9] * (PUZZLES - 6)))
    assert not proof.holds(b"", reversed(range(PUZZLES)))
    assert trials.total() == PUZZLES - 5


def test_a_seed_has_32_bytes() -> None:
    for size in (0, 31, 33):
        with pytest.raises(Malformed):
            Solver(bytes(size), TOKEN)
