"""The classifiers that hold watchers to look like browsers: they find what is different, nothing else."""

from __future__ import annotations

import random

import pytest

from release.separating import Case, separate

CASES = 36
TRIALS = 399


def cases(chance: random.Random, shift: float = 0.0, *, twin: bool = False, word: str = "a b c") -> list[Case]:
    made: list[Case] = []
    for _ in range(CASES):
        one, two = chance.gauss(0, 1), chance.gauss(0, 1)
        made.append({"order": word, "gap": one + shift, "other": one if twin else two, "size": 7})
    return made


def test_two_samples_of_one_source_are_not_told_apart() -> None:
    chances = [
        verdict.chance
        for seed in range(3)
        for verdict in separate(cases(random.Random(seed)), cases(random.Random(100 + seed)), TRIALS).values()
    ]
    assert min(chances) > 0.01, chances


@pytest.mark.parametrize(
    ("other", "classifier", "by"),
    [
        (cases(random.Random(2), 2.0), "stump", "gap"),
        (cases(random.Random(2), word="a c b"), "stump", "order a b c"),
        (cases(random.Random(2), twin=True), "neighbour", "all numbers"),
    ],
    ids=["a gap", "an order", "two that go together"],
)
def test_what_differs_is_found(other: list[Case], classifier: str, by: str) -> None:
    found = separate(cases(random.Random(1)), other, TRIALS)[classifier]
    assert found.chance <= 0.005, found
    assert found.by.startswith(by[:5])
