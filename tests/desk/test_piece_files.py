"""Tips that were carried in pieces: in any order and number, renamed, doubled, damaged, and beside what others left."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest

from support.desk import Desk, Desks, Envelope, Exporter, opened, seal_tip
from tipbox.desk.importing.importer import ImportOutcome
from tipbox.errors import Incomplete, Tampered
from tipbox.formats.base.limits import PART_SIZE
from tipbox.formats.envelopes.envelope import read_envelope
from tipbox.formats.envelopes.pieces import write_pieces

FILM = random.Random(7).randbytes(7 * PART_SIZE + 1000)


def cut(tip: Envelope, each: int = 2) -> list[bytes]:
    reading = read_envelope(io.BytesIO(tip.data))
    opening = reading.header.encoded + reading.letter
    parts = [*reading.parts]
    trailer = reading.end().trailer
    made = write_pieces(opening, parts, lambda _: trailer, token=bytes(32), parts_each=each)
    return [head.encode() + b"".join(held) for head, held in made]


@pytest.fixture(name="tip")
def _tip(desks: Desks) -> Envelope:
    return seal_tip(desks.manifests, files=[("film.mp4", FILM)])


def take(desk: Desk, folder: Path) -> ImportOutcome:
    return desk.take(folder)


def film(desk: Desk, tip: Envelope, tmp_path: Path) -> bytes:
    return next(opened(desk, tip.id, tmp_path / tip.id.hex()).rglob("*film.mp4")).read_bytes()


def lay(folder: Path, pieces: list[bytes]) -> Path:
    """On a stick, in no order, under names that say nothing, among what other systems leave."""
    folder.mkdir()
    for number, piece in enumerate(random.Random(3).sample(pieces, len(pieces))):
        inside = folder / f"{number % 3}"
        inside.mkdir(exist_ok=True)
        (inside / f"IMG_{number}.JPG").write_bytes(piece)
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(512))
    (folder / "._IMG_1.JPG").write_bytes(bytes(4096))
    return folder


def test_pieces_are_the_tip_that_they_were_cut_from(desk: Desk, tip: Envelope, tmp_path: Path) -> None:
    pieces = cut(tip)
    outcome = take(desk, lay(tmp_path / "stick", [*pieces, *pieces[:2]]))

    assert (outcome.counts, outcome.problems) == ({"mine": 1}, [])
    assert film(desk, tip, tmp_path) == FILM
    again = take(desk, tmp_path / "stick")
    assert again.counts == {"known": 1}


def test_a_tip_in_pieces_and_whole_and_by_the_server_is_one(
    desk: Desk, server: Exporter, tip: Envelope, tmp_path: Path
) -> None:
    folder = lay(tmp_path / "stick", cut(tip))
    (folder / "whole.tip").write_bytes(tip.data)
    outcome = take(desk, folder)
    assert sorted(outcome.counts.items()) == [("known", 1), ("mine", 1)]
    assert desk.take(server.export(tmp_path / "x", desk.manifest, [tip])).counts == {"known": 1}


def test_what_is_missing_or_damaged_is_named_and_nothing_is_taken(desk: Desk, tip: Envelope, tmp_path: Path) -> None:
    pieces = cut(tip)
    damaged = bytearray(pieces[2])
    damaged[-10] ^= 1
    cut_off = pieces[3][:-1]
    outcome = take(desk, lay(tmp_path / "stick", [pieces[0], bytes(damaged), cut_off]))

    assert not outcome.counts
    missing = "2, 3, 4 of them missing or damaged; when they have come, import all pieces together"
    assert {str(error) for _, error in outcome.problems} == {
        "piece 3 of 4 of a tip is damaged; copy it again",
        str(Incomplete()),
        f"a tip in 4 pieces is not whole: {missing}",
    }


def test_two_damaged_copies_of_a_piece_are_a_whole_one_together(desk: Desk, tip: Envelope, tmp_path: Path) -> None:
    pieces = cut(tip, 4)
    first, second = bytearray(pieces[0]), bytearray(pieces[0])
    first[-10] ^= 1  # its last part
    second[-3 * PART_SIZE] ^= 1  # its second
    outcome = take(desk, lay(tmp_path / "stick", [bytes(first), bytes(second), pieces[1]]))

    assert outcome.counts == {"mine": 1}
    assert len(outcome.problems) == 2
    assert film(desk, tip, tmp_path) == FILM


def test_pieces_of_two_tips_are_not_mixed(desk: Desk, desks: Desks, tip: Envelope, tmp_path: Path) -> None:
    other = seal_tip(desks.manifests, files=[("film.mp4", FILM[::-1])])
    outcome = take(desk, lay(tmp_path / "stick", cut(tip) + cut(other, 3)))

    assert outcome.counts == {"mine": 2}
    assert film(desk, tip, tmp_path) == FILM
    assert film(desk, other, tmp_path) == FILM[::-1]


def test_a_piece_that_a_courier_made_anew_spoils_no_other_tip(desk: Desk, tip: Envelope, tmp_path: Path) -> None:
    """Whoever holds a piece can change it and its hashes; the parts do not open, and nothing of it is kept."""
    spoiled = bytearray(tip.data)
    spoiled[len(tip.data) // 2] ^= 1
    pieces, false = cut(tip), cut(Envelope.of(bytes(spoiled)))
    outcome = take(
        desk, lay(tmp_path / "stick", [false[number] if number == 1 else pieces[number] for number in range(4)])
    )

    assert not outcome.counts
    assert [str(error) for _, error in outcome.problems] == [str(Tampered())]
    assert take(desk, lay(tmp_path / "other", pieces)).counts == {"mine": 1}
