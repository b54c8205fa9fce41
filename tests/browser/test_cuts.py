"""Bad lines: uploads survive them; and a source can stop."""

from __future__ import annotations

import filecmp
import random
from collections import defaultdict
from pathlib import Path

import pytest

from browser import lying
from browser.pages import DIGITS, FAILED, LEAVE, MESSAGE, SENDING, STOP, Source
from browser.wire import parts_sent
from support.world import World
from tipbox.formats.access_code import AccessCode, thread_id
from tipbox.formats.base.padding import padme, parts
from tipbox.formats.manifest import Manifest

FILE_SIZE = 12_000_003
CUT_AFTER = 1_700_000
CUTS = 5


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "запись.mp4"
    path.write_bytes(random.Random(7).randbytes(FILE_SIZE))
    return path


def test_an_upload_survives_cuts_and_lost_answers_and_repeats_the_same_bytes(
    teller: Source, world: World, file: Path
) -> None:
    wire = teller.wire
    wire.keep = 1 << 23
    teller.open_form()
    teller.write("Связь рвётся")
    teller.attach(file)
    wire.cuts = [CUT_AFTER] * CUTS
    wire.losses = ["PUT /api/envelope", "PUT /api/envelope/parts/", "POST /api/envelope/finish"]
    teller.send()
    teller.wait_stored(150)

    assert wire.cuts == []
    assert wire.losses == []
    versions: dict[int, list[bytes]] = defaultdict(list)
    for index, part in parts_sent(wire.seen()):
        versions[index].append(part)
    assert len(versions) == parts(padme(FILE_SIZE))
    repeated = [copies for copies in versions.values() if len(copies) > 1]
    assert repeated, "nothing was sent twice: the line was not cut where it hurts"
    for copies in repeated:
        longest = max(copies, key=len)
        assert all(longest.startswith(copy) for copy in copies)
    opened = {bytes(one.body) for one in wire.seen("PUT") if one.target == "/api/envelope"}
    assert len(opened) == 2, "header and letter of words or files were sealed twice"

    [tip] = world.arrived("ili")
    assert tip.message == "Связь рвётся".encode()
    assert filecmp.cmp(file, tip.files[file.name], shallow=False)


def test_the_page_says_that_the_line_is_broken_and_goes_on_by_itself(source: Source, file: Path) -> None:
    browser, wire = source.browser, source.wire
    source.open_form()
    source.attach(file)
    wire.hold()
    source.send()
    wire.wait_until_held()
    wire.down = True
    wire.cut_all()
    browser.until(lambda: browser.text("#app [data-part=trouble]"), "words about the line")
    assert browser.count(SENDING) == 1
    wire.down = False
    wire.release()
    source.wait_stored()


def test_stopping_and_leaving_deliver_nothing(teller: Source, world: World, file: Path) -> None:
    browser, wire = teller.browser, teller.wire
    # Leaving ends the upload. (Words would have gone before: sending/test_words_first.py.)
    teller.open_form()
    teller.attach(file)
    wire.hold()
    teller.send()
    wire.wait_until_held()
    browser.click(LEAVE)
    browser.until(lambda: browser.address() == "about:blank", "another page")
    wire.release()

    # Stopping ends it too, and keeps what was chosen.
    teller.open_form()
    teller.attach(file)
    wire.hold()
    teller.send()
    wire.wait_until_held()
    browser.click(STOP)
    said = teller.wait_failed()
    assert "Stopped" in said
    assert "Keep the code" in said  # the last request may have been under way
    assert "open nothing" not in said
    wire.release()
    assert wire.seen("POST") == []
    wire.forget()
    browser.click(FAILED)
    browser.wait(MESSAGE)
    assert teller.listed() == [file.name]
    assert wire.seen() == []

    teller.send()
    teller.wait_stored()
    [tip] = world.arrived("fidh")
    assert tip.message == b""
    assert filecmp.cmp(file, tip.files[file.name], shallow=False)


def test_words_whose_answer_is_lost_show_their_code_when_they_are_stopped(teller: Source, world: World) -> None:
    browser, wire = teller.browser, teller.wire
    teller.open_form()
    teller.write("Больше не успею")
    wire.last = "PUT /api/envelope"
    teller.send()
    browser.until(lambda: browser.text("#app [data-part=trouble]"), "words about the line", 60)
    assert wire.down
    wire.cut_all()
    browser.click(STOP)
    said = teller.wait_failed(60)
    assert "Stopped" in said
    assert "Keep the code" in said
    pair_key = AccessCode.parse(browser.text(DIGITS)).secrets().pair_key(_id_of(world, "ili"))

    [tip] = world.arrived("ili")
    assert tip.message == "Больше не успею".encode()
    assert tip.facts["thread"] == thread_id(pair_key).hex()


def test_a_refusal_after_an_answer_without_sense_takes_nothing_back(source: Source) -> None:
    """That answer may have been to a message that is stored; a refusal of the only request says that nothing is."""
    browser, answers = source.browser, source.wire.answers
    source.open_form()
    source.write("Ответ не разобрать")
    answers["/api/envelope"] = lying.answer(b"{")
    source.send()
    browser.until(lambda: browser.text("#app [data-part=trouble]"), "words about the line")
    answers["/api/envelope"] = lying.answer(b'{"error":"full","message":""}', 507)
    said = source.wait_failed()
    assert "We do not know whether your message arrived" in said
    assert "not delivered" not in said
    assert "Keep the code" in said
    assert browser.count(DIGITS) == 1

    browser.click(FAILED)
    source.send()
    assert "Keep the code" in source.wait_failed(), "what is sent again goes under it"
    assert browser.count(DIGITS) == 1

    answers.clear()
    source.open_form()
    source.write("Ответ не разобрать")
    for error, status, expected in (
        (b"full", 507, "your message was not delivered"),
        (b"no-circuit", 403, "Nothing was delivered"),
    ):
        if browser.count(FAILED):
            browser.click(FAILED)
        answers["/api/envelope"] = lying.answer(b'{"error":"%s","message":""}' % error, status)
        source.send()
        said = source.wait_failed()
        assert expected in said
        assert "We do not know" not in said
        assert browser.count(DIGITS) == 0


def _id_of(world: World, name: str) -> bytes:
    return Manifest.parse((world.keys / f"{name}.json").read_bytes()).id
