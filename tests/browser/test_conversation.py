"""A conversation from its first word to its end, in each browser."""
# ruff: noqa: RUF001 (people write in Russian and Kazakh)

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Final

from browser.drivers import Level, running
from browser.pages import Answer, Source, allowed_host, kept_files, spellings
from browser.test_traces import STORAGE
from browser.wire import Exchange
from support.world import NAMES, World

TIP: Final = "Я видел, как увезли соседа"
REPLY: Final = "Спасибо. Он жив?\n\nПозвоните нам, если можете.\n"
FOLLOW_UP: Final = "Жив, его видели вчера"
KIBHR: Final = NAMES["kibhr"][0]
SIZES: Final = {
    "/api/mailbox": (1_024, 65_536),
    "/api/mailbox/piece": (1_060, 262_144),
    "/api/mailbox/delete": (17_408, 32),
}
"""Bytes of request and answer, whatever is in them."""


def reply_file(folder: Path) -> Path:
    """A file of more than two pieces, with a name in Russian."""
    path = folder / "Вопросы (5 января).pdf"
    path.write_bytes(secrets.token_bytes(600_000))
    return path


def desk_replies(world: World, tip: str, *files: Path) -> None:
    """KIBHR answers a tip, and its bundle is carried to the server."""
    message = world.scratch("reply") / "message.txt"
    message.write_text(REPLY, encoding="utf-8")
    world.desks["kibhr"].run("reply", tip, "--message-file", message, *files)
    world.answer("kibhr")


def assert_traffic(exchanges: list[Exchange], *texts: str) -> None:
    """Mailboxes are asked and answered in constant sizes, and no spelling of these texts passes."""
    for one in exchanges:
        if one.target in SIZES:
            asked, answered = SIZES[one.target]
            assert (one.method, one.status) == ("POST", 200)
            assert one.sent == one.announced == asked
            assert len(one.answer_body) == answered
            assert "content-encoding" not in one.answer_headers
            assert "authorization" not in one.headers
        assert "cookie" not in one.headers
        passed = (one.head, bytes(one.body), bytes(one.raw_answer))
        for text in texts:
            assert not any(spelling in data for spelling in spellings(text) for data in passed), one.target


def ways_to_write(digits: str, words: list[str]) -> list[str]:
    """An access code as it might stand in traffic or on a disk."""
    number = int(digits.replace(" ", ""))
    triples = [" ".join(words[at : at + 3]) for at in range(len(words) - 2)]  # a word alone stands in many places
    joined = [separator.join(words) for separator in (" ", "-", ",", "")]
    return [digits, digits.replace(" ", ""), digits.replace(" ", "-"), str(number), f"{number:x}", *triples, *joined]


def assert_no_trace(source: Source, *texts: str) -> None:
    """The browser holds nothing in any storage, and its folder no spelling of these texts."""
    kept = json.loads(source.browser.run(STORAGE))
    assert (kept.pop("cookie"), kept.pop("state"), kept.pop("name")) == ("", True, "")
    assert all(kept.pop("resources"))
    assert all(value == 0 or str(value).startswith("refused") for value in kept.values()), kept
    assert source.browser.cookies() == 0
    needles = [needle for text in texts for needle in spellings(text)]
    files = kept_files(source.browser.folder)
    assert len(files) > 10
    for path, content in files.items():
        assert not any(needle in content for needle in needles), path.name


def test_a_conversation(teller: Source, world: World, level: Level, tmp_path: Path) -> None:
    """Tip, reply with a file, read from words alone, follow-up in the same thread, read from digits alone, deleted."""
    file = reply_file(tmp_path)
    digits = teller.tell(TIP)
    words = teller.words()
    [tip] = world.arrived("kibhr")
    desk_replies(world, world.desks["kibhr"].tips()[0]["id"], file)

    with running(level, teller.browser) as elsewhere:  # another profile, which knows the access code and nothing else
        source = Source(elsewhere, teller.wire)
        source.check_level()
        source.wire.forget()
        assert source.open_mailbox(" ".join(words)) == [Answer(KIBHR, REPLY, (file.name,))]
        assert TIP not in elsewhere.source()
        source.write_back(FOLLOW_UP)
        texts = (TIP, REPLY, FOLLOW_UP, file.name, *ways_to_write(digits, words))
        assert_traffic(source.wire.seen(), *texts)
        assert_no_trace(source, *texts)
        assert elsewhere.complaints() == []

        elsewhere.fresh()
        source.wire.forget()
        assert source.open_mailbox(digits) == [Answer(KIBHR, REPLY, (file.name,))]
        saved = source.save_file()
        assert (saved.name, saved.read_bytes()) == (file.name, file.read_bytes())
        source.delete_answers()
        elsewhere.fresh()
        assert source.open_mailbox(digits) == []
        assert elsewhere.complaints() == []
        assert_traffic(source.wire.seen(), *texts)
        assert {one.target for one in source.wire.seen("POST")} == set(SIZES)
        hosts = {one.headers["host"] for one in source.wire.seen()}
        assert hosts == {f"{allowed_host(level)}:{source.wire.port}"}

    world.carry("kibhr")
    first, second = world.desks["kibhr"].tips()
    assert first["thread"] == second["thread"] == tip.facts["thread"]
    newer = next(one for one in (first, second) if one["id"] != tip.facts["id"])
    assert world.desks["kibhr"].open(newer["id"], world.scratch("tip") / "opened").message == FOLLOW_UP.encode()
    world.carry("ili")
    assert len(world.desks["ili"].tips()) == 1  # the follow-up went to the one who had answered
