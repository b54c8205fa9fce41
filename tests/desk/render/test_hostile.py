"""Hostile files: each ends in something to see or in one of the closed list of lines, and nothing of it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from desk.render.held import held_bytes
from desk.render.hostile_files import GROUPS, Hostile
from tipbox.desk.render import ladder, sandbox
from tipbox.desk.render.look_lines import Line
from tipbox.desk.render.worker_answer import MAX_ENTRIES, MAX_FACTS, MAX_PICTURES, MAX_SOUND, MAX_TEXT, SIDE

LEAST = {"pictures": 28, "pages": 12, "documents": 26, "programs": 11, "archives": 18, "recordings": 15}
"""Files of each group: 110 in all."""


def wrong(file: Hostile) -> list[str]:
    """What is wrong with what a look says of a file."""
    with held_bytes(file.data, file.name) as held:
        look = ladder.sight(held)
    answer, said = look.answer, set(look.lines) - {Line.NO_METADATA}
    shown = bool(answer.pictures or answer.text.strip() or answer.entries or answer.sound or answer.facts)
    checks = {
        "nothing to see and no line": shown or bool(said),
        f"said {sorted(line.code for line in said)}": bool(said & file.lines) if file.lines else not said,
        f"signs {sorted(sign.code for sign in look.signs)}": look.signs >= file.signs,
        "words that nobody may read": not file.never or file.never not in look.text,
        "too many pictures": len(answer.pictures) <= MAX_PICTURES,
        "too large": all(max(picture.width, picture.height) <= SIDE for picture in answer.pictures),
        "too much text": len(answer.text) <= MAX_TEXT,
        "too many names": len(answer.entries) <= MAX_ENTRIES,
        "too many facts": len(look.metadata) <= MAX_FACTS,
        "too much sound": len(answer.sound) <= MAX_SOUND,
    }
    return [what for what, good in checks.items() if not good]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_hostile_files_end_in_a_look_or_in_one_of_the_lines(group: Callable[[], Iterator[Hostile]]) -> None:
    assert sandbox.problem() == ""
    files = list(group())
    assert len({file.name for file in files}) == len(files) >= LEAST[group.__name__]
    with ThreadPoolExecutor(sandbox.MAX_AT_ONCE) as pool:
        found = dict(zip((file.name for file in files), pool.map(wrong, files), strict=True))
    assert {name: what for name, what in found.items() if what} == {}
