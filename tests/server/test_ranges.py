"""Ranges of missing parts."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tipbox.server.uploads import ranges

runs = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=12)


def parts(of: list[ranges.Range]) -> set[int]:
    return {index for first, count in of for index in range(first, first + count)}


@given(runs)
def test_splitting_takes_each_missing_part_once(sent: list[ranges.Range]) -> None:
    missing = [(0, 64)]
    here: set[int] = set()
    for first, count in sent:
        new, missing = ranges.split(missing, first, count)
        wanted = parts([(first, count)]) & set(range(64))

        assert parts(new) == wanted - here
        here |= wanted
        assert parts(missing) == set(range(64)) - here
        assert missing == sorted(missing)
        assert all(one[0] + one[1] < other[0] for one, other in itertools.pairwise(missing))


@given(runs)
def test_packing_keeps_them(some: list[ranges.Range]) -> None:
    assert ranges.unpack(ranges.pack(some)) == some
