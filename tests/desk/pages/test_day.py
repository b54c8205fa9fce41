"""A staff day by keyboard, with no network but loopback: from a stick to its outbox, and the Bundle after it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from desk.pages.batch import make_batch
from desk.pages.inside import served, wait_for
from desk.pages.serving import WORDS
from support.desk import Desk, Desks, Exporter
from tipbox.desk.inbox import threads
from tipbox.desk.keys import ceremony
from tipbox.formats.base import days

pytestmark = pytest.mark.reads_date

WHOLE: Final = "TIPBOX_WHOLE_DAY" in os.environ
"""As ``make day`` sets it."""
COUNT, ANSWERS = (300, 40) if WHOLE else (24, 4)
MOST: Final = 400
"""Key presses and clicks of a whole day; typed characters are counted apart."""
EACH: Final = 1.2
"""Seconds of one of them."""
TYPED: Final = 80
"""Characters that are typed for an answer, and into all other fields of the day four times as many."""


def test_a_day_takes_few_presses_and_arrives(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    batch = make_batch(desks.manifests, desk.manifest, COUNT, days.today())
    stick = tmp_path / "stick"
    stick.mkdir()
    server.export(stick / "kibhr-1.bundle", desk.manifest, batch.tips, day=days.today())
    plan: dict[str, Any] = {"answers": ANSWERS, "copy": str(tmp_path / "copy"), "count": COUNT, "stick": str(stick)}
    (tmp_path / "day.json").write_text(json.dumps(plan), encoding="utf-8")
    (tmp_path / "passphrase").write_text(WORDS, encoding="utf-8")
    with served(desk, tmp_path, "day") as process:
        wait_for(tmp_path / "outbox", process)
        items = server.open(stick / "back.bundle")
        assert [kind for kind, _ in items].count("reply") == ANSWERS
        assert [kind for kind, _ in items].count("ack") == 1
        (stick / "back.bundle").unlink()
        (stick / "kibhr-1.bundle").unlink()
        server.export(stick / "kibhr-2.bundle", desk.manifest, [], taken=[1], day=days.today())
        (tmp_path / "next").touch()
        assert process.wait(600) == 0
    done = json.loads((tmp_path / "done.json").read_text(encoding="utf-8"))
    record_property("day", done)
    assert f"{ANSWERS} replies are delivered" in done["job"]
    assert done["complaints"] == []
    assert done["acts"] <= MOST
    assert done["acts"] * EACH <= 600
    assert done["typed"] <= (ANSWERS + 4) * TYPED + len(plan["stick"]) + len(plan["copy"])
    with desk.open() as vault:
        counts = threads.count_threads(vault, "Timur")
        organisation = ceremony.organisation_of(vault)
        answered = threads.list_threads(vault, organisation, "all", "", limit=-1)
    assert counts["spam"] == batch.spam
    assert counts["closed"] == batch.same - 1
    assert counts["unassigned"] == 0
    assert sum(row["state"] == "answered" for row in answered) == ANSWERS
