"""Whether two samples can be told apart: two classifiers, and how often chance alone does as well.

Each visit is one case with named features, numbers or words. The first classifier is the best decision stump over all
features: one feature, one threshold (or one word). The second is the nearest neighbour, each case left out in turn,
over the ranks of all numbers together. How good they are is compared with how good they are after the labels were dealt
out anew, many times (a permutation test): no feature needs a distribution, and looking at many of them is paid for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import eq, itemgetter
from typing import Any

TRIALS = 1999
Case = Mapping[str, Any]
Labels = Sequence[int]
"""1 or -1 for each case."""


@dataclass(frozen=True)
class Verdict:
    """How well a classifier separates.

    Attributes:
        right: share of the cases that it labels as they are.
        chance: share of the trials in which it does as well with labels that mean nothing: the p-value.
        by: what it goes by.
    """

    right: float
    chance: float
    by: str


def separate(ones: Sequence[Case], others: Sequence[Case], trials: int = TRIALS) -> dict[str, Verdict]:
    """How well each of the two classifiers tells ``ones`` from ``others``."""
    cases = [*ones, *others]
    labels = [1] * len(ones) + [-1] * len(others)
    stumps, nearest = _stumps(cases), _nearest(cases)

    def stump(labels: Labels) -> tuple[float, str]:
        return max((one(labels), name) for name, one in stumps.items())

    def neighbour(labels: Labels) -> tuple[float, str]:
        return sum(map(eq, labels, nearest(labels))) / len(labels), "all numbers"

    return {"stump": _against_chance(stump, labels, trials), "neighbour": _against_chance(neighbour, labels, trials)}


def _against_chance(classify: Callable[[Labels], tuple[float, str]], labels: Labels, trials: int) -> Verdict:
    right, by = classify(labels)
    dealt, chance = list(labels), random.Random(1)
    as_good = 1
    for _ in range(trials):
        chance.shuffle(dealt)
        as_good += classify(dealt)[0] >= right
    return Verdict(right, as_good / (trials + 1), by)


def _stumps(cases: Sequence[Case]) -> dict[str, Callable[[Labels], float]]:
    """For each feature the share of right labels at its best threshold; for words, at each word against the rest."""
    found: dict[str, Callable[[Labels], float]] = {}
    for name in cases[0]:
        groups: dict[Any, list[int]] = {}
        for number, case in enumerate(cases):
            groups.setdefault(case[name], []).append(number)
        if isinstance(cases[0][name], str):
            for word, numbers in groups.items():
                found[f"{name} {word}"] = _threshold([numbers], len(cases))
        else:
            found[name] = _threshold([groups[value] for value in sorted(groups)], len(cases))
    return found


def _threshold(groups: Sequence[Sequence[int]], size: int) -> Callable[[Labels], float]:
    """Cases in groups of one value, the groups in order: a threshold lies between two of them."""
    order = [number for group in groups for number in group]
    ends = list(accumulate(map(len, groups)))

    def best(labels: Labels) -> float:
        below = list(accumulate(labels[number] for number in order))
        whole = sum(labels)
        return (size + max(abs(2 * below[end - 1] - whole) for end in ends)) / 2 / size

    return best


def _nearest(cases: Sequence[Case]) -> Callable[[Labels], Labels]:
    """The label of the case that is nearest to each."""
    places = []
    for name in (name for name, value in cases[0].items() if not isinstance(value, str)):
        ordered = sorted({case[name] for case in cases})
        rank = {value: number / max(1, len(ordered) - 1) for number, value in enumerate(ordered)}
        places.append([rank[case[name]] for case in cases])
    everybody = range(len(cases))

    def distance(one: int, other: int) -> float:
        return sum((place[one] - place[other]) ** 2 for place in places)

    return itemgetter(*(min((distance(one, n), n) for n in everybody if n != one)[1] for one in everybody))
