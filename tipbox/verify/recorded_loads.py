"""What Firefox at the level Safer of Tor Browser sent: heads of requests, and loads of a page with all its parts.

``firefox_heads.json`` holds both: what waited for what, how long, and on which connection
(tests/browser/states/test_watch_looks_alike.py records and compares).
"""

from __future__ import annotations

import json
import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

_HEADS: Final = Path(__file__).with_name("firefox_heads.json")
_LIKENESS: Final = 0.6
"""Of how scattered a pause is, measured by its logarithm, so much is by chance, and what else there is was recorded.

With less, loads that were made from the same recorded one lie closer together than any two of Firefox's do; about as
much is best for a density that is estimated from a dozen cases (Silverman, Density Estimation, 1986, 4.3).
"""
_LEAST: Final = 0.0001
"""Seconds that stand for a shorter pause where its logarithm is taken."""


@cache
def _recorded() -> Any:
    return json.loads(_HEADS.read_bytes())


@dataclass(frozen=True)
class Part:
    """How something was asked for that a page needs.

    Attributes:
        connection: its number; they are numbered in the order in which something was first asked for on them.
        pause: seconds between what it waits for (``WAITS_FOR``) and its request.
        opened: how many seconds before the request its connection was opened for it; 0 where it was open before.
    """

    connection: int
    pause: float
    opened: float = 0.0


@dataclass(frozen=True)
class Load:
    """How a page was loaded once.

    Attributes:
        redirect: seconds between a redirect and the request that follows it.
        together: how long after keys the worker was asked for, in seconds; None where it was asked for before them.
        parts: what the page asks for.
        opened: seconds between the first connection and the first request.
        unused: how many seconds after the page connections were opened on which nothing was asked for.
    """

    redirect: float
    together: float | None
    parts: Mapping[str, Part]
    opened: float = 0.0
    unused: Sequence[float] = ()


PAGE: Final = "page"
UNUSED: Final = "unused"
WAITS_FOR: Final[Mapping[str, tuple[str, ...]]] = {
    "start.js": (PAGE,),
    "page.js": (PAGE,),
    "style.css": (PAGE,),
    "worker.js": ("start.js",),
    "now": ("page.js", "style.css"),
}
"""Whose answers come before a part is asked for.

The worker is held back besides, and goes at once when the page's script asks for keys.
"""


@cache
def loads() -> Sequence[Load]:
    """Those that were recorded."""
    return [
        Load(
            one["redirect"],
            one["together"],
            {name: Part(*how) for name, *how in one["parts"]},
            one["opened"],
            one["unused"],
        )
        for one in _recorded()["loads"]
    ]


@cache
def heads() -> Mapping[str, Sequence[tuple[str, str]]]:
    """The headers of a request by its kind, in their order; ``{host}`` and ``{page}`` stand for what changes."""
    return {kind: [(name, text) for name, text in pairs] for kind, pairs in _recorded()["heads"].items()}


def another(among: Sequence[Load], chance: random.Random | None = None) -> Load:
    """A load like one of these: each pause is a little longer or shorter, and all are as scattered as the recorded."""
    dice = chance or random.SystemRandom()
    load = dice.choice(among)

    def stretched(pause: Callable[[Load], float | None]) -> float:
        return _stretch(load, among, pause, dice)

    pauses: dict[str, float] = {}
    for before in sorted(set(WAITS_FOR.values())):
        # What waits for the same leaves milliseconds apart: if each was stretched as a whole, it would not.
        ours, theirs = 0.0, 0.0
        for number, (seconds, name) in enumerate(_together(before, load)):
            ours += (seconds - theirs) * stretched(partial(_gap, before, number))
            theirs, pauses[name] = seconds, ours
    return Load(
        load.redirect * stretched(lambda one: one.redirect),
        load.together and load.together * stretched(lambda one: one.together),
        {name: replace(part, pause=pauses[name]) for name, part in load.parts.items()},
        load.opened * stretched(lambda one: one.opened),
        [pauses[f"{UNUSED} {number}"] for number in range(len(load.unused))],
    )


def _together(before: tuple[str, ...], load: Load) -> list[tuple[float, str]]:
    """What waits for the same, in its order: pauses and names; connections that are not used wait for the page."""
    unused = enumerate(load.unused) if before == (PAGE,) else ()
    return sorted(
        [(part.pause, name) for name, part in load.parts.items() if WAITS_FOR[name] == before]
        + [(seconds, f"{UNUSED} {number}") for number, seconds in unused]
    )


def _gap(before: tuple[str, ...], number: int, load: Load) -> float | None:
    """Seconds between one of those that wait for the same and the one before it, or the end of their waiting."""
    moments = [0.0, *(seconds for seconds, _ in _together(before, load))]
    return moments[number + 1] - moments[number] if number + 1 < len(moments) else None


def _stretch(load: Load, among: Sequence[Load], pause: Callable[[Load], float | None], chance: random.Random) -> float:
    """By how much a pause of a load is stretched.

    Towards the middle of all at first, by as much as chance then scatters it: more scattered than those that were
    recorded, such loads would be told from Firefox's.
    """
    every = [math.log(max(_LEAST, seconds)) for one in among if (seconds := pause(one)) is not None]
    own = math.log(max(_LEAST, pause(load) or 0.0))
    back = 1 - math.sqrt(1 - _LIKENESS**2)
    return math.exp((statistics.fmean(every) - own) * back + chance.gauss(0, _LIKENESS * statistics.pstdev(every)))
