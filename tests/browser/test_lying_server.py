"""The pages when the server lies: nobody is named who does not prove it, no spoiled byte is given out or believed."""
# ruff: noqa: RUF001 (people write in Russian and Kazakh)

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

import pytest

from browser import lying
from browser.pages import JUDGED, MAILBOX, OTHERS, UNREAD, WRITE, Source
from support.world import NAMES, World
from tipbox.formats.access_code import AccessCode, Secrets
from tipbox.formats.manifest import Manifest

REPLY: Final = "Спасибо. Он жив?\n\nПозвоните нам, если можете.\n"
KIBHR: Final = NAMES["kibhr"][0]


@pytest.fixture(name="access_code", scope="module")
def _access_code() -> tuple[AccessCode, Secrets]:
    access_code = AccessCode.generate()
    return access_code, access_code.secrets()


def identifiers(world: World) -> dict[str, bytes]:
    """The ids of the organisations, by short name."""
    return {path.stem: Manifest.parse(path.read_bytes()).id for path in world.keys.glob("*.json")}


def test_only_a_pair_key_says_from(source: Source, pages_world: World, access_code: tuple[AccessCode, Secrets]) -> None:
    """Replies by another organisation, by the server, cut, repeated, of another version: none is shown as KIBHR's."""
    written, of_source = access_code
    ids = identifiers(pages_world)
    boxes_of = lying.Mailboxes(of_source, list(ids.values()))
    kibhr, ili, claim = ids["kibhr"], ids["ili"], f"От: {KIBHR}"
    of_kibhr = of_source.pair_key(kibhr)
    real = boxes_of.reply(kibhr, REPLY)
    spoilt = boxes_of.reply(kibhr, "испорчено")
    longer = boxes_of.reply(kibhr, "испорчено" * 500)  # cut, it is still as long as a reply can be
    boxes = (
        (
            real,
            real.under_another_id(),
            boxes_of.reply(ili, claim),
            boxes_of.reply(kibhr, claim, pair_key=of_source.pair_key(ili)),
            boxes_of.reply(kibhr, claim, pair_key=of_source.pair_key(secrets.token_bytes(16))),
            boxes_of.reply(kibhr, claim, pair_key=secrets.token_bytes(32)),
        ),
        (
            spoilt.with_opening(spoilt.opening[:8] + b"\2" + spoilt.opening[9:]),
            longer.with_opening(longer.opening[:-1]),
            spoilt.with_opening(spoilt.opening[:-1] + bytes([spoilt.opening[-1] ^ 1])),
            boxes_of.reply(kibhr, claim, pair_key=bytes([of_kibhr[0] ^ 1]) + of_kibhr[1:]),
            boxes_of.reply(kibhr, claim, pair_key=bytes(32)),
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
    assert by_name == sorted([(KIBHR, REPLY), (NAMES["ili"][0], claim)])
    assert nothing == []
    assert others.endswith(": 4. You need do nothing about them.")
    assert all_others.endswith(": 5. You need do nothing about them.")


def test_files_that_the_server_spoiled_are_not_given_out(
    source: Source, pages_world: World, access_code: tuple[AccessCode, Secrets]
) -> None:
    """A piece of zeros in the place of a file's bytes: the page says so, and offers nothing."""
    written, of_source = access_code
    ids = identifiers(pages_world)
    reply = lying.Mailboxes(of_source, list(ids.values())).reply(ids["kibhr"], REPLY, {"a.bin": bytes(70_000)})
    source.wire.answers["/api/mailbox"] = lying.mailbox([reply])
    source.wire.answers["/api/mailbox/piece"] = lying.answer(bytes(262_144))
    source.open_mailbox(written.digits())
    source.browser.click("#app [data-part=files] button")
    source.browser.until(lambda: "came damaged" in source.browser.text("#app [data-part=files]"), "a word of damage")
    assert source.browser.count("#app [data-part=files] a") == 0
    source.browser.fresh()
    source.wire.answers["/api/mailbox/piece"] = lying.piece(reply, 0)  # the same, unspoiled
    source.open_mailbox(written.digits())
    assert source.save_file().read_bytes() == bytes(70_000)


def test_a_refused_piece_takes_no_answer_away(
    source: Source, pages_world: World, access_code: tuple[AccessCode, Secrets]
) -> None:
    """A letter and a file that the server refuses to give out: each is missing alone."""
    written, of_source = access_code
    ids = identifiers(pages_world)
    boxes = lying.Mailboxes(of_source, list(ids.values()))
    long = boxes.reply(ids["fidh"], "Долго. " * 9_000).older()
    source.wire.answers["/api/mailbox"] = lying.mailbox([boxes.reply(ids["kibhr"], REPLY, {"a.bin": bytes(9)}), long])
    source.wire.answers["/api/mailbox/piece"] = lying.answer(b'{"error":"malformed","message":""}', 400)
    source.open_mailbox(written.digits())
    shown = source.browser.text
    source.browser.click("#app [data-part=files] button")
    source.browser.until(lambda: "came damaged" in shown("#app") or source.browser.count(UNREAD), "a word of damage")
    assert [one.text for one in source.answers()] == [REPLY]
    source.browser.click("#app [data-part=waiting] button")
    source.browser.until(
        lambda: "is not shown" in shown("#app") or source.browser.count(UNREAD), "a word of the letter"
    )
    assert [one.text for one in source.answers()] == [REPLY]


def test_what_is_typed_is_judged_on_the_device(source: Source, access_code: tuple[AccessCode, Secrets]) -> None:
    written, _ = access_code
    groups = written.digits().split()
    wrong = [*groups[:3], groups[3][:5], *groups[4:]]
    source.type_code(" ".join(wrong))
    source.browser.until(lambda: "group 4" in source.browser.text(JUDGED), "the wrong group to be named")
    source.browser.click("#app [data-part=open]")
    source.browser.until(lambda: "cannot be opened yet" in source.browser.text(JUDGED), "a refusal")
    assert source.wire.seen("POST") == []
    assert source.browser.count(MAILBOX) == source.browser.count(WRITE) == 0


def test_a_server_that_says_to_have_other_bytes_is_believed_once(source: Source, tmp_path: Path) -> None:
    """After a second upload the page gives up, and does not claim to know whether the message arrived."""
    (tmp_path / "a.bin").write_bytes(bytes(1000))
    source.wire.answers["/api/envelope/finish"] = lying.answer(b'{"error":"part-differs","message":""}', 409)
    source.open_form()
    source.write("Кто-то стоит у двери")
    source.attach(tmp_path / "a.bin")
    source.send()
    said = source.wait_failed()

    assert "The server does not have what was sent" in said
    assert "We do not know whether your message arrived" in said
    assert "Keep the code" in said
    uploads = source.wire.seen("PUT /api/envelope")
    assert len({one.headers["authorization"] for one in uploads}) == 2
