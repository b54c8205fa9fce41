"""The pages when the server lies: nobody is named who does not prove it, no spoiled byte is given out or believed."""
# ruff: noqa: RUF001 (people write in Russian and Kazakh)

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any, Final

import pytest

from browser import lying
from browser.pages import CODE, DELETE, DOOR, FIELDS, JUDGED, MAILBOX, OTHERS, REALLY, UNREAD, WRITE, Source
from support.sealed import Organisation
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


def has_focus(source: Source, css: str) -> bool:
    """Whether what was pressed has left the focus in here."""
    return bool(source.browser.run(f"return document.activeElement.closest('{css}') !== null;"))


def test_a_refused_piece_takes_no_answer_away(
    source: Source, pages_world: World, access_code: tuple[AccessCode, Secrets]
) -> None:
    """A letter and a file that the server refuses to give out: each is missing alone.

    Who goes by the keyboard stays where the button was that is gone.
    """
    written, of_source = access_code
    ids = identifiers(pages_world)
    boxes = lying.Mailboxes(of_source, list(ids.values()))
    long = boxes.reply(ids["fidh"], "Долго. " * 9_000).older()
    other = boxes.reply(ids["ili"], "Ещё. " * 13_000).older().older()
    listed = [boxes.reply(ids["kibhr"], REPLY, {"a.bin": bytes(9)}), long, other]
    source.wire.answers["/api/mailbox"] = lying.mailbox(listed)
    source.wire.answers["/api/mailbox/piece"] = lying.answer(b'{"error":"malformed","message":""}', 400)
    source.open_mailbox(written.digits())
    shown = source.browser.text
    source.browser.click("#app [data-part=files] button")
    source.browser.until(lambda: "came damaged" in shown("#app") or source.browser.count(UNREAD), "a word of damage")
    assert [one.text for one in source.answers()] == [REPLY]
    assert has_focus(source, "[data-part=files] li")
    source.browser.click("#app [data-part=waiting] button")
    source.browser.until(
        lambda: "is not shown" in shown("#app") or source.browser.count(UNREAD), "a word of the letter"
    )
    assert [one.text for one in source.answers()] == [REPLY]
    assert has_focus(source, "[data-part=waiting] li")
    source.wire.answers["/api/mailbox/piece"] = lying.piece(other, 0)
    source.browser.click("#app [data-part=waiting] button")
    source.browser.until(lambda: len(source.answers()) == 2, "the other letter")
    assert has_focus(source, "section h2")
    source.wire.stalled = lambda path: path == "/api/mailbox/delete"
    source.browser.click(DELETE)
    source.browser.click(REALLY)
    assert has_focus(source, "[data-part=confirm]")
    source.wire.stalled = lambda _path: False


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


def test_a_search_for_uploads_that_fails_is_called_one(source: Source, access_code: tuple[AccessCode, Secrets]) -> None:
    """Nothing was sent that could have arrived or not: the site gave something else than was asked for."""
    written, _ = access_code
    source.wire.answers["/api/capsule"] = lying.answer(b'{"error":"malformed","message":""}', 400)
    source.go("/en/")
    source.browser.click(DOOR.format("continue"))
    source.browser.wait(CODE)
    source.browser.type(CODE, written.digits())
    source.browser.until(lambda: "right" in source.browser.text(JUDGED), "the access code to be right")
    source.browser.click("#app [data-part=open]")
    source.browser.until(lambda: "is not what was asked for" in source.browser.text("#app"), "a word of the search")
    assert source.browser.text("#app h1") == "Continue an upload"
    assert source.browser.text(UNREAD) == "malformed"
    assert "arrive" not in source.browser.text("#app")
    assert "Nothing was deleted" in source.browser.text("#app")


def test_a_server_that_says_to_have_other_bytes_is_believed_once(source: Source, tmp_path: Path) -> None:
    """After a second upload the page gives up, and does not claim to know whether the message arrived."""
    (tmp_path / "a.bin").write_bytes(bytes(1000))
    source.wire.answers["/api/envelope/finish"] = lying.answer(b'{"error":"part-differs","message":""}', 409)
    source.open_form()
    source.attach(tmp_path / "a.bin")
    source.send()
    said = source.wait_failed()

    assert "This site does not have what was sent" in said
    assert "We do not know whether your message arrived" in said
    assert "Keep the code" in said
    uploads = source.wire.seen("PUT /api/envelope")
    assert len({one.headers["authorization"] for one in uploads}) == 2

    # Words that went before stay where they are.
    source.open_form()
    source.write("Кто-то стоит у двери")
    source.attach(tmp_path / "a.bin")
    source.send()
    source.wait_stored()
    said = source.browser.text("#app")
    assert "This site has something else than this page sent" in said
    assert "We do not know whether these files arrived" in said
    assert source.browser.run("return document.querySelector('#app [data-part=resend]').hidden;") is True


# --- keys ------------------------------------------------------------------------------------------------------------


def swaps(real: dict[str, Any]) -> dict[str, list[str]]:
    """Manifests as a server would give them out that wants to read along: its own keys under others' names."""
    own = {name: Organisation(name).manifest().encode().decode() for name in (*NAMES, "new")}
    theirs = list(real["manifests"])
    by_name = {Manifest.parse(file.encode()).organisation: file for file in theirs}
    return {
        "all": [own[name] for name in NAMES],
        "one": [own["kibhr"], *(file for name, file in by_name.items() if name != "kibhr")],
        "one beside its own": [*theirs, own["kibhr"]],
        "one more": [*theirs, own["new"]],
    }


def test_a_server_that_swaps_manifests_is_refused(source: Source) -> None:
    """The right page with the right script, and other keys: nothing can be written, and nothing is sent."""
    real = source.now()
    for swap, manifests in swaps(real).items():
        source.browser.fresh()
        source.wire.forget()
        source.wire.answers["/api/now"] = lying.now(real, manifests=manifests)
        source.go("/en/send")
        source.browser.until(lambda: "Do not write here now" in source.browser.text("#app"), f"a refusal ({swap})")
        assert "a reader who is not on the list of this page" in source.browser.text("#app")
        assert source.browser.count(FIELDS) == 0
        assert source.wire.seen("PUT") == source.wire.seen("POST") == []
    source.browser.fresh()
    source.wire.answers["/api/now"] = lying.now(real)
    source.open_form()  # the same, unspoiled


def test_from_swapped_manifests_answers_are_read_and_nothing_is_written_back(
    source: Source, pages_world: World, access_code: tuple[AccessCode, Secrets]
) -> None:
    written, of_source = access_code
    ids = identifiers(pages_world)
    real = source.now()
    source.wire.answers["/api/now"] = lying.now(real, manifests=swaps(real)["one"])
    reply = lying.Mailboxes(of_source, list(ids.values())).reply(ids["kibhr"], REPLY)
    source.wire.answers["/api/mailbox"] = lying.mailbox([reply])

    assert [(one.sender, one.text) for one in source.open_mailbox(written.digits())] == [(KIBHR, REPLY)]
    assert "a reader who is not on the list of this page" in source.browser.text("#app [data-part=closed]")
    assert source.browser.run(f"return document.querySelector({json.dumps(WRITE)}).hidden;") is True


def test_answers_are_read_when_all_receiving_keys_have_expired(
    source: Source, pages_world: World, access_code: tuple[AccessCode, Secrets]
) -> None:
    """Reading needs none of them; the form says that nothing can be sealed."""
    written, of_source = access_code
    ids = identifiers(pages_world)
    expired = lying.now(source.now(), manifests=[], collected={})
    source.wire.answers["/api/now"] = expired
    reply = lying.Mailboxes(of_source, list(ids.values())).reply(ids["kibhr"], REPLY)
    source.wire.answers["/api/mailbox"] = lying.mailbox([reply])

    assert [(one.sender, one.text) for one in source.open_mailbox(written.digits())] == [(KIBHR, REPLY)]
    assert "You cannot write back just now" in source.browser.text("#app [data-part=closed]")
    source.go("/en/send")
    source.browser.until(lambda: "Nothing can be sealed" in source.browser.text("#app"), "a word about keys")
    assert source.browser.count(FIELDS) == 0


def test_the_start_page_tells_what_was_collected_and_believes_no_other_name(source: Source, pages_world: World) -> None:
    ids = {name: one.hex() for name, one in identifiers(pages_world).items()}
    real = source.now()
    told = {ids["kibhr"]: "2026-01-05", ids["fidh"]: None, "00" * 16: "2026-01-06"}
    source.wire.answers["/api/now"] = lying.now(real, collected=told)
    source.go("/en/")
    source.browser.until(lambda: "January 5, 2026" in source.browser.text("#organisations"), "the day")
    shown = source.browser.text("#organisations")
    assert shown.count("Has collected everything") == 1
    assert shown.count("Takes nothing just now") == 1, "of ILI, whose keys are not among them"
    assert "January 6" not in shown
    assert source.browser.count("#organisations li") == len(NAMES)
    spoilt: list[object] = [{ids["kibhr"]: "<b>x</b>"}, [], None, 1]
    for nonsense in spoilt:
        source.wire.answers["/api/now"] = lying.now(real, collected=nonsense)
        source.go("/en/")
        assert source.browser.count("#organisations li") == len(NAMES)
        assert source.browser.count("#organisations b") == len(NAMES), "a card's name is the only one in bold"
