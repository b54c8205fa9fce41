"""The form that needs no script: what it makes of pieces and tips, in any order, whole or not."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, delete, func, select

from plain.forms import Door, Said, cut, form
from support.sealed import Organisation, Sent, envelope, keys_folder, three
from tipbox.formats.envelopes.pieces import PieceEnd, PieceHead
from tipbox.server.config import Plain
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.models import Draft, DraftLetter, Envelope, FinishedToken, Run, Slot

PART = 65_568


@pytest.fixture(scope="module", name="organisations")
def _organisations() -> list[Organisation]:
    return three()


@pytest.fixture(scope="module", name="opened")
def _opened(tmp_path_factory: pytest.TempPathFactory, organisations: list[Organisation]) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("plain")
    config = prepare_server(folder / "home", keys_folder(folder / "keys", organisations))
    door = Door(folder / "home", config.model_copy(update={"plain": Plain(openings_burst=10_000)}))
    yield door
    door.close()


@pytest.fixture(name="door")
def _door(opened: Door) -> Door:
    """A server that holds nothing."""

    def empty(connection: Connection) -> None:
        for table in (Run, DraftLetter, Draft, FinishedToken, Slot, Envelope):
            connection.execute(delete(table))

    opened.store.write(empty)
    return opened


def stored(door: Door) -> set[bytes]:
    return set(door.store.read(lambda connection: connection.execute(select(Envelope.id)).scalars().all()))


def count(door: Door, table: type[Draft | Run]) -> int:
    return door.store.read(lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one())


def tip(organisations: list[Organisation], size: int = 5 * 65_536) -> Sent:
    return envelope(organisations, size)


@pytest.mark.parametrize("each", [1, 2, 64])
def test_pieces_in_any_order_and_doubled_make_one_tip(door: Door, organisations: list[Organisation], each: int) -> None:
    sent = tip(organisations)
    pieces = cut(sent, each)
    order = [*range(len(pieces)), 0]
    random.Random(each).shuffle(order)

    said = [door.send(pieces[number]) for number in order]

    assert {one.status for one in said} == {200}
    assert stored(door) == {sent.id}
    assert count(door, Draft) == 0
    assert all("It is here." in one.files[0] for one in said)
    assert "This message is here, whole." in said[-1].tips[0]


def test_what_is_missing_is_named(door: Door, organisations: list[Organisation]) -> None:
    pieces = cut(tip(organisations, 9 * 65_536))
    missing = len(pieces)

    said = door.send(pieces[1], pieces[4], pieces[-1])

    assert said.tips == [f"This message is not whole yet. Pieces in all: {missing}. Missing: 1, 3-4, 6-{missing - 1}"]
    assert said.files == [
        f"File {file}, piece {number} of {missing} It is here." for file, number in enumerate((2, 5, missing), 1)
    ]


def test_the_last_piece_is_missing_until_its_end_has_come(door: Door, organisations: list[Organisation]) -> None:
    """Parts that came before by another way do not make the tip whole."""
    sent = envelope(organisations, 1000)
    first, last = cut(sent, 1)[:1], cut(sent, 1)[-1]
    assert len(first) == len(cut(sent, 1)) == 1
    broken = last[: -len(sent.parts[0])]

    said = door.send(broken)
    assert said.tips == ["This message is not whole yet. Pieces in all: 1. Missing: 1"]
    assert door.send(last).tips[0].startswith("This message is here, whole.")


def test_a_whole_tip_goes_on_where_it_was(door: Door, organisations: list[Organisation]) -> None:
    sent = tip(organisations)
    body = form(sent.whole)

    door.post(body[: len(body) // 2], length=len(body))
    assert count(door, Run) > 0
    said = door.send(sent.whole)

    assert said.tips == ["This message is here, whole. The organisations will collect it. You need not send it again."]
    assert stored(door) == {sent.id}
    assert door.send(sent.whole).tips == said.tips
    assert stored(door) == {sent.id}
    assert count(door, Draft) == 0


@pytest.mark.parametrize("in_pieces", [True, False])
def test_a_text_comes_whole(door: Door, organisations: list[Organisation], in_pieces: bool) -> None:  # noqa: FBT001
    sent = envelope(organisations)
    file = cut(sent)[0] if in_pieces else sent.whole

    for _ in range(2):
        assert door.send(file).tips[0].startswith("This message is here, whole.")
    assert stored(door) == {sent.id}


def test_pieces_and_the_whole_are_one_tip(door: Door, organisations: list[Organisation]) -> None:
    sent = tip(organisations)
    assert door.send(*cut(sent, 2)).status == door.send(sent.whole).status == 200
    assert stored(door) == {sent.id}


def test_tips_are_told_apart(door: Door, organisations: list[Organisation]) -> None:
    one, other = cut(tip(organisations)), cut(tip(organisations))

    said = door.send(one[0], other[0], one[1])

    assert [text.partition(" This message")[0] for text in said.tips] == ["File 1, 3", "File 2"]
    assert said.tips[0].endswith(f"Missing: 3-{len(one)}")
    assert said.tips[1].endswith(f"Missing: 2-{len(other)}")


def test_a_foreign_piece_is_named(door: Door, organisations: list[Organisation]) -> None:
    """It has the token of another tip: somebody mixed them up on purpose."""
    sent = tip(organisations)
    other = envelope(organisations, 5 * 65_536)
    foreign = cut(Sent(other.header, other.letter, other.parts, other.trailer, sent.token))
    pieces = cut(sent)

    said = door.send(pieces[0], foreign[1], pieces[1])

    assert said.files[1].endswith("It does not belong to this message, and was not taken.")
    assert said.tips == [f"This message is not whole yet. Pieces in all: {len(pieces)}. Missing: 3-{len(pieces)}"]


def test_of_a_damaged_piece_the_whole_parts_are_kept(door: Door, organisations: list[Organisation]) -> None:
    sent = tip(organisations, 8 * 65_536)
    pieces = cut(sent, 4)
    bad = bytearray(pieces[0])
    bad[-1 - 2 * PART] ^= 1

    said = door.send(bytes(bad))

    assert "It is damaged" in said.files[0]
    assert said.tips[0].endswith("Missing: 1-2")
    door.send(*pieces[1:])
    assert door.send(pieces[0]).tips[0].startswith("This message is here, whole.")
    assert stored(door) == {sent.id}


@pytest.mark.parametrize("damage", ["start", "cut", "short", "trailing", "head"])
def test_damaged_files_are_named_and_others_go_on(door: Door, organisations: list[Organisation], damage: str) -> None:
    sent = tip(organisations)
    pieces = cut(sent, 2)
    good = pieces[0]
    bad = {
        "start": good[:70] + bytes([good[70] ^ 1]) + good[71:],
        "cut": good[:-1],
        "short": good[:5],
        "trailing": good + b"x",
        "head": good[:40],
    }[damage]

    said = door.send(bad, pieces[1])

    assert "It is damaged" in said.files[0]
    assert said.files[1].endswith("It is here.")
    door.send(*pieces)
    assert stored(door) == {sent.id}


def test_a_piece_that_was_made_anew_is_found_at_the_end(door: Door, organisations: list[Organisation]) -> None:
    """Whoever carries a piece can change it and its hashes; the hash of the whole shows it, and all can come again."""
    sent = tip(organisations)
    pieces = cut(sent)
    changed = Sent(sent.header, sent.letter, [bytes(PART), *sent.parts[1:]], sent.trailer, sent.token)

    door.send(cut(changed)[0], *pieces[2:])
    said = door.send(pieces[1])

    assert "It does not fit what came before." in said.files[0]
    assert (stored(door), count(door, Draft), count(door, Run)) == (set(), 0, 0)
    door.send(*pieces)
    assert stored(door) == {sent.id}


def test_other_bytes_for_a_part_give_all_of_it_up(door: Door, organisations: list[Organisation]) -> None:
    sent = tip(organisations)
    changed = Sent(sent.header, sent.letter, [bytes(PART), *sent.parts[1:]], sent.trailer, sent.token)
    door.send(cut(changed)[0])

    said = door.send(cut(sent)[0])

    assert "It does not fit what came before." in said.files[0]
    assert count(door, Draft) == 0


def test_an_end_that_is_not_of_the_text_is_found(door: Door, organisations: list[Organisation]) -> None:
    sent = envelope(organisations)
    (piece,) = cut(sent)
    other = envelope(organisations)
    forged = cut(Sent(other.header, other.letter, [], sent.trailer, other.token))[0]
    assert door.send(piece).status == 200
    assert door.send(forged).status == 200  # its trailer is of another one: only desks can tell

    token = bytes(32)
    head = PieceHead(token, 0, 1, 1, sent.opening, (), PieceEnd(bytes(32), sent.trailer))
    said = door.send(head.encode())
    assert "It does not fit what came before." in said.files[0]


def test_an_unknown_organisation_is_named(door: Door) -> None:
    said = door.send(*cut(envelope(three()), 1))
    assert "It is sealed to an organisation that is not here" in said.files[0]


@pytest.mark.parametrize("where", ["first", "second"])
def test_what_is_not_sealed_ends_it(door: Door, organisations: list[Organisation], where: str) -> None:
    photo = b"\xff\xd8\xff\xe0" + bytes(200_000)
    pieces = cut(tip(organisations))
    files = [photo, pieces[0]] if where == "first" else [pieces[0], photo, pieces[1]]

    said = door.send(*files)

    assert (said.status, said.heading) == (400, "This file is not sealed")
    assert "kept nothing of the file" in said.text
    assert count(door, Run) == (0 if where == "first" else 1)
    assert said.files == ([] if where == "first" else [f"File 1, piece 1 of {len(pieces)} It is here."])


def test_nothing_chosen_is_the_empty_page(door: Door) -> None:
    said = door.send(b"")
    assert (said.status, said.heading) == (200, "Hand in what is sealed")


def test_pages_are_offered_in_every_language(door: Door) -> None:
    assert door.get("/").headers["Location"] == "/plain/en/"
    for language in ("ar", "en", "es", "fr", "kk", "ru"):
        answer = door.get(f"/plain/{language}/")
        text = answer.get_data(as_text=True)
        assert answer.status_code == 200
        assert f'<html lang="{language}"' in text
        assert "<script" not in text
        assert f'action="/plain/{language}/answers"' in text
        pasted = re.findall(r"<textarea [^>]*>", text)[0]  # what a browser does for writers may ask others, or spoil it
        for attribute in ('autocapitalize="off"', 'autocorrect="off"', 'spellcheck="false"', 'autocomplete="off"'):
            assert attribute in pasted
        assert 'writingsuggestions="false" translate="no"' in pasted
    assert door.get("/plain/style.css").content_type.startswith("text/css")
    assert door.get("/plain/leave").headers["Clear-Site-Data"] == '"*"'
    assert door.get("/api/now").status_code == 404
    for path in ("/en/", "/plain/xx/", "/static/page.js"):
        missing = door.get(path)
        said = missing.get_data(as_text=True)
        assert missing.status_code == 404
        assert Said(404, said).heading == "This did not work"
        assert "Try again." in said
        assert "What came whole" not in said, "nothing was sent"
