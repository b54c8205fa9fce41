"""Good files with some bytes changed: each ends in something to see or in one of the closed list of lines.

``make fuzz`` tries all of them, ``make test`` a fixed part.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from desk.render.good_files import WORDS, flipped, good_files
from desk.render.held import held_bytes
from tipbox.desk.render import ladder, sandbox
from tipbox.desk.render.look_lines import WORKERS_LINES, Line

ALL: Final = 10_000
SAMPLE: Final = 96
"""A part of them in ``make test``: four of each kind and some more."""
EVERY_FLIP: Final = "EVERY_FLIP" in os.environ
"""As ``make fuzz`` sets it."""
SEED: Final = 14
ENDS: Final = WORKERS_LINES | {Line.ENDED, Line.TOO_LONG}


def seen(number: int) -> str:
    """Look at one changed file: the code of its line, or that something is there to see."""
    names = sorted(good_files())
    name = names[number % len(names)]
    data = flipped(good_files()[name], number, SEED)
    with held_bytes(data, name) as file:
        look = ladder.sight(file, metadata=False)
    assert set(look.lines) <= ENDS, (number, name, look.lines)
    if look.lines:
        return look.lines[0].code
    answer = look.answer
    assert answer.pictures or answer.text or answer.entries or answer.sound or answer.facts, (number, name, look)
    return "seen"


def test_changed_files_end_in_a_look_or_in_a_closed_list_of_lines(
    record_property: Callable[[str, object], None],
) -> None:
    assert sandbox.problem() == ""
    good_files()
    with ThreadPoolExecutor(sandbox.MAX_AT_ONCE) as pool:
        ends = Counter(pool.map(seen, range(ALL if EVERY_FLIP else SAMPLE)))
    record_property("ends", sorted(ends.items()))
    assert ends["seen"] > ends.total() / 4
    assert ends["broken"] > 0


def test_the_files_are_good_unchanged() -> None:
    for name, data in good_files().items():
        with held_bytes(data, name) as file:
            look = ladder.sight(file, metadata=False)
        assert look.lines == (), name
        answer = look.answer
        if name.endswith((".docx", ".xlsx", ".odt", ".eml", ".html", ".svg", ".txt")):
            assert WORDS in answer.text, name
        elif name.startswith(("a.z", "a.t", "a.txt.")) and not answer.pictures:
            assert answer.entries or answer.facts, name
        elif name.startswith("sound"):
            assert len(answer.sound) > 10_000, name
        else:
            # Pixels are those of the picture: a decoder that fails in silence makes all of them alike.
            assert len(set(answer.pictures[0].pixels)) > 20, name
        assert bool(answer.sound) == name.startswith(("film", "sound")), name
