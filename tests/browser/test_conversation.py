"""A conversation from its first word to its end, in each browser: and what the page shows when the server lies."""
# ruff: noqa: RUF001 (people write in Russian and Kazakh)

from __future__ import annotations

import itertools
import json
import secrets
from pathlib import Path
from typing import Final

import pytest

from browser import lying
from browser.drivers import Level, running
from browser.pages import JUDGED, MAILBOX, OTHERS, WRITE, Answer, Source, allowed_host, spellings
from browser.test_requests import TOKEN
from browser.test_traces import STORAGE
from browser.wire import Exchange
from tipbox.keys import Manifest
from tipbox.passphrase import Passphrase, Secrets
from tipbox_world import NAMES, World

TIP: Final = "Я видел, как увезли соседа"
REPLY: Final = "Спасибо. Он жив?\n\nПозвоните нам, если можете.\n"
FOLLOW_UP: Final = "Жив, его видели вчера"
KIBHR: Final = NAMES["kibhr"][0]
SIZES: Final = {
    "/api/mailbox": (0, 65_536),
    "/api/mailbox/piece": (36, 262_144),
    "/api/mailbox/delete": (16_384, 32),
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
            assert TOKEN.fullmatch(one.headers["authorization"])
        assert "cookie" not in one.headers
        passed = (one.head, bytes(one.body), bytes(one.raw_answer))
        for text in texts:
            assert not any(spelling in data for spelling in spellings(text) for data in passed), one.target


def ways_to_write(digits: str, words: list[str]) -> list[str]:
    """A Passphrase as it might stand in traffic or on a disk."""
    number = int(digits.replace(" ", ""))
    pairs = [f"{one} {other}" for one, other in itertools.pairwise(words)]
    joined = [separator.join(words) for separator in (" ", "-", ",", "")]
    return [digits, digits.replace(" ", ""), digits.replace(" ", "-"), str(number), f"{number:x}", *pairs, *joined]


def assert_no_trace(source: Source, *texts: str) -> None:
    """The browser holds nothing in any storage, and its folder no spelling of these texts."""
    kept = json.loads(source.browser.run(STORAGE))
    assert (kept.pop("cookie"), kept.pop("state"), kept.pop("name")) == ("", True, "")
    assert all(kept.pop("resources"))
    assert all(value == 0 or str(value).startswith("refused") for value in kept.values()), kept
    assert source.browser.cookies() == 0
    needles = [needle for text in texts for needle in spellings(text)]
    files = [path for path in source.browser.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 10
    for path in files:
        content = path.read_bytes()
        assert not any(needle in content for needle in needles), path.name


def test_a_conversation(teller: Source, world: World, level: Level, tmp_path: Path) -> None:
    """Tip, reply with a file, read from words alone, follow-up in the same thread, read from digits alone, deleted."""
    file = reply_file(tmp_path)
    digits = teller.tell(TIP)
    words = teller.words()
    [tip] = world.arrived("kibhr")
    desk_replies(world, world.desks["kibhr"].tips()[0]["id"], file)

    with running(level) as elsewhere:  # another profile, which knows the Passphrase and nothing else
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


# --- a server that lies -----------------------------------------------------------------------------------------------


@pytest.fixture(name="passphrase", scope="module")
def _passphrase() -> tuple[Passphrase, Secrets]:
    passphrase = Passphrase.generate()
    return passphrase, passphrase.secrets()


def pair_key(world: World, secrets_: Secrets, name: str) -> bytes:
    return secrets_.pair_key(Manifest.parse((world.keys / f"{name}.json").read_bytes()).id)


def test_only_a_pair_key_says_from(source: Source, pages_world: World, passphrase: tuple[Passphrase, Secrets]) -> None:
    """Replies by another organisation, by the server, cut, repeated, of another version: none is shown as KIBHR's."""
    written, of_source = passphrase
    of_kibhr = pair_key(pages_world, of_source, "kibhr")
    real = lying.reply(of_source, of_kibhr, REPLY)
    spoilt = lying.reply(of_source, of_kibhr, "испорчено")
    longer = lying.reply(of_source, of_kibhr, "испорчено" * 500)  # cut, it is still as long as a reply can be
    boxes = (
        (
            real,
            real.under_another_id(),
            lying.reply(of_source, pair_key(pages_world, of_source, "ili"), f"От: {KIBHR}"),
            lying.reply(of_source, of_source.pair_key(secrets.token_bytes(16)), f"От: {KIBHR}"),
            lying.reply(of_source, secrets.token_bytes(32), f"От: {KIBHR}"),
        ),
        (
            spoilt.with_opening(spoilt.opening[:8] + b"\2" + spoilt.opening[9:]),
            longer.with_opening(longer.opening[:-1]),
            spoilt.with_opening(spoilt.opening[:-1] + bytes([spoilt.opening[-1] ^ 1])),
            lying.reply(of_source, bytes([of_kibhr[0] ^ 1]) + of_kibhr[1:], f"От: {KIBHR}"),
            lying.reply(of_source, bytes(32), f"От: {KIBHR}"),
        ),
    )
    said = []
    for box in boxes:
        source.browser.fresh()
        source.wire.answers["/api/mailbox"] = lying.mailbox(box)
        shown = source.open_mailbox(written.digits())
        said.append((sorted((one.sender, one.text) for one in shown), source.browser.text(OTHERS)))
    (by_name, others), (nothing, all_others) = said
    # ILI may write what it likes: the page says that ILI wrote it.
    assert by_name == sorted([(KIBHR, REPLY), (NAMES["ili"][0], f"От: {KIBHR}")])
    assert nothing == []
    assert others.endswith(": 3. You need do nothing about them.")
    assert all_others.endswith(": 5. You need do nothing about them.")


def test_files_that_the_server_spoiled_are_not_given_out(
    source: Source, pages_world: World, passphrase: tuple[Passphrase, Secrets]
) -> None:
    """A piece of zeros in the place of a file's bytes: the page says so, and offers nothing."""
    written, of_source = passphrase
    reply = lying.reply(of_source, pair_key(pages_world, of_source, "kibhr"), REPLY, {"a.bin": bytes(70_000)})
    source.wire.answers["/api/mailbox"] = lying.mailbox([reply])
    source.open_mailbox(written.digits())
    source.browser.click("#app [data-part=files] button")
    source.browser.until(lambda: "came damaged" in source.browser.text("#app [data-part=files]"), "a word of damage")
    assert source.browser.count("#app [data-part=files] a") == 0
    [piece] = source.wire.seen("POST /api/mailbox/piece")
    assert piece.answer_body == bytes(262_144)


def test_what_is_typed_is_judged_on_the_device(source: Source, passphrase: tuple[Passphrase, Secrets]) -> None:
    written, _ = passphrase
    groups = written.digits().split()
    wrong = [*groups[:3], groups[3][:5], *groups[4:]]
    source.type_passphrase(" ".join(wrong))
    source.browser.until(lambda: "group 4" in source.browser.text(JUDGED), "the wrong group to be named")
    source.browser.click("#app [data-part=open]")
    source.browser.until(lambda: "cannot be opened yet" in source.browser.text(JUDGED), "a refusal")
    assert source.wire.seen("POST") == []
    assert source.browser.count(MAILBOX) == source.browser.count(WRITE) == 0
