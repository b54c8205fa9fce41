"""A staff day by keyboard, without a network: from a server's stick to the outbox, and the Bundle after that."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import func, select

from bench.inputs import must_have_room
from desk.pages.batch import HOSTILE, tell
from desk.pages.inside import served, wait_for
from desk.pages.serving import WORDS
from desk.pages.town import sparse, town
from desk.render.hostile_files import GROUPS
from support.desk import Desk, Desks
from tipbox.desk.inbox import threads
from tipbox.desk.keys import ceremony
from tipbox.desk.vault.records import Thread
from tipbox.formats.base import days
from tipbox.server.storage.models import Reply

pytestmark = pytest.mark.reads_date

WHOLE: Final = "WHOLE_DAY" in os.environ
"""As ``make day`` sets it."""
COUNT, ANSWERS, LARGE = (300, 40, 2 << 30) if WHOLE else (24, 4, 3 << 20)
MOST: Final = 400
"""Key presses and clicks of a whole day; typed characters are counted apart."""
EACH: Final = 1.2
"""Seconds of one of them."""
TYPED: Final = 80
"""Characters that are typed for an answer, and into all other fields of the day four times as many."""


PATIENCE: Final = 3000.0 if WHOLE else 300.0
"""Seconds of a day, at most: of an import of gigabytes, of forty files in sandboxes, on a machine that is busy."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    """Of a whole day: a film in the blobs, on the stick, in the vault and in its copy, and gone with the day."""
    must_have_room(tmp_path, 5 * LARGE)
    yield tmp_path
    if WHOLE:
        shutil.rmtree(tmp_path)


@pytest.mark.parametrize("browser", ["chromium", "firefox"] if WHOLE else ["chromium"])
def test_a_day_takes_few_presses_and_arrives(
    desks: Desks, desk: Desk, tmp_path: Path, record_property: Callable[[str, object], None], browser: str
) -> None:
    today, stick = days.today(), tmp_path / "stick"
    stick.mkdir()
    stories = tell(COUNT, [(one.name, one.data) for group in GROUPS for one in group()] if WHOLE else HOSTILE)
    plan: dict[str, Any] = {"answers": ANSWERS, "copy": str(tmp_path / "copy"), "hostile": stories.hostile}
    plan |= {"patience": PATIENCE, "stick": str(stick)}
    (tmp_path / "day.json").write_text(json.dumps(plan), encoding="utf-8")
    (tmp_path / "passphrase").write_text(WORDS, encoding="utf-8")
    with town(desks, desk, tmp_path, today) as place:
        *others, last = stories.told
        senders = [place.send(one) for one in others]
        senders.append(place.send(last, sparse(tmp_path / "film.mp4", LARGE)))
        place.export(stick)
        with served(desk, tmp_path, "day", firefox=browser == "firefox") as process:
            wait_for(tmp_path / "outbox", process, PATIENCE)
            place.take(stick / "back.bundle")
            place.export(stick)
            (tmp_path / "next").touch()
            assert process.wait(PATIENCE) == 0
        assert place.server.read(lambda db: db.execute(select(func.count()).select_from(Reply)).scalar_one()) == ANSWERS
        with desk.open() as vault:
            counts = threads.count_threads(vault, "Timur")
            rows = threads.list_threads(vault, ceremony.organisation_of(vault), "all", "", limit=-1)
            answered = [row["thread"] for row in rows if row["state"] == "answered"]
            known = Thread.find(vault, bytes.fromhex(answered[0]))
        (source,) = (one for one in senders if known is not None and one.mailbox == known.mailbox)
        (answer,) = place.answers(source, tmp_path)
        assert "We think of you." in answer
    done = json.loads((tmp_path / "done.json").read_text(encoding="utf-8"))
    record_property("day", done)
    minutes = f"{done['seconds'] / 60:.1f} minutes"
    sys.stdout.write(f"{browser}: {done['acts']} presses and clicks, {done['typed']} characters, {minutes}\n")
    assert f"{ANSWERS} replies are delivered" in done["job"]
    assert "\ufffd" not in done["imported"] + done["job"]
    assert done["complaints"] == []
    assert done["acts"] <= MOST
    assert done["acts"] * EACH <= 600
    assert done["typed"] <= (ANSWERS + 4) * TYPED + len(plan["stick"]) + len(plan["copy"])
    assert len(done["seen"]) == stories.hostile
    assert all(done["seen"]), "each file ends in something to see or in a line"
    assert len(rows) == COUNT
    assert (counts["spam"], counts["closed"]) == (stories.spam, stories.same - 1)
    assert counts["unassigned"] == 0
    assert len(answered) == ANSWERS
