"""Pieces of a tip: cut as it is sealed, joined in any order, and nothing that is damaged passes for whole."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from functools import cache, partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.organisations import FEW, QUICK, cases, changed, refused
from support.pieces import expand
from support.sealed import Organisation, Sent, envelope
from tipbox.errors import InputRefused, TipboxError
from tipbox.formats.base.limits import MAX_HEADER, MAX_LETTER, MAX_PIECE_PARTS, MAX_PIECES, PART_SIZE, TAG_SIZE
from tipbox.formats.envelopes.envelope import read_envelope
from tipbox.formats.envelopes.header import Header
from tipbox.formats.envelopes.pieces import PieceHead, new_mark, pieces_of, write_pieces

TOKEN = bytes(range(32))


@cache
def sent(size: int = 5 * PART_SIZE - 100) -> Sent:
    return envelope([Organisation("kibhr"), Organisation("ili")], size)


def cut(tip: Sent, each: int, token: bytes = TOKEN) -> list[bytes]:
    """The files of its pieces."""
    made = write_pieces(tip.opening, tip.parts, lambda _: tip.trailer, token=token, parts_each=each)
    return [head.encode() + b"".join(parts) for head, parts in made]


def read(piece: bytes) -> tuple[PieceHead, list[tuple[int, bytes | None]]]:
    stream = io.BytesIO(piece)
    head = PieceHead.read(stream)
    return head, [*head.parts(stream)]


@FEW
@given(st.integers(1, 8), st.sampled_from([0, 1, PART_SIZE, 5 * PART_SIZE - 100]), st.randoms())
def test_pieces_in_any_order_are_the_envelope(each: int, size: int, draw: Any) -> None:
    tip = sent(size)
    pieces = cut(tip, each)
    assert len(pieces) == pieces_of(len(tip.parts), each)
    draw.shuffle(pieces)
    found = [read(piece) for piece in pieces + pieces[:1]]

    assert len({head.family for head, _ in found}) == 1
    assert {head.count for head, _ in found} == {len(pieces)}
    parts = {index: part for _, held in found for index, part in held}
    [end] = {head.end for head, _ in found if head.end is not None}
    joined = found[0][0].opening + b"".join(parts[index] or b"" for index in sorted(parts)) + end.trailer
    assert joined == tip.whole
    assert end.encode() == tip.end
    assert read_envelope(io.BytesIO(joined)).end().hash == end.envelope_hash


def test_pieces_are_one_tip_by_token_size_and_opening() -> None:
    def family(piece: bytes) -> bytes:
        return read(piece)[0].family

    tip = sent()
    same = {family(piece) for piece in cut(tip, 2)}
    others = [cut(tip, 2, bytes(32)), cut(tip, 3), cut(sent(0), 2), cut(envelope([Organisation("fidh")], 70_000), 2)]

    assert len(same) == 1
    assert len(same | {family(pieces[0]) for pieces in others}) == 5


def test_one_piece_is_in_memory_at_a_time() -> None:
    tip, taken = sent(), []

    def parts() -> Iterator[bytes]:
        for number, part in enumerate(tip.parts):
            taken.append(number)
            yield part

    asked: list[bytes] = []

    def trailer(envelope_hash: bytes) -> bytes:
        asked.append(envelope_hash)
        return tip.trailer

    pieces = write_pieces(tip.opening, parts(), trailer, token=TOKEN, parts_each=2)
    next(pieces)
    assert (taken, asked) == ([0, 1], [])
    assert [head.number for head, _ in pieces] == [1, 2]
    assert asked == [tip.hash]


def test_too_many_pieces_are_refused_before_any_is_made() -> None:
    header = Header.parse(sent().header)
    huge = header.__class__(header.kind, header.letter_size, 2**37, bytes(32), bytes(32), bytes(32), header.slots)
    assert huge.parts == 2 * MAX_PIECES
    with pytest.raises(InputRefused, match="choose a larger size"):
        next(write_pieces(huge.encoded + bytes(huge.sealed_letter_size), [], bytes, token=TOKEN, parts_each=1))
    for token, each in ((TOKEN, 0), (TOKEN, MAX_PIECE_PARTS + 1), (TOKEN[1:], 1)):
        with pytest.raises(ValueError, match="32 bytes"):
            next(write_pieces(huge.encoded, [], bytes, token=token, parts_each=each))


@QUICK
@given(st.sampled_from([0, 1, 2]), st.data())
def test_a_changed_piece_is_refused_or_has_its_part_named(number: int, data: Any) -> None:
    piece = cut(sent(), 2)[number]
    written = data.draw(changed(piece))
    try:
        head, parts = read(written)
    except TipboxError as error:
        assert error.code in {"not-tipbox", "truncated", "version", "limit", "malformed", "incomplete", "trailing"}  # noqa: PT017
        return
    good = dict(read(piece)[1])
    assert head == read(piece)[0]
    assert all(part is None or part == good[index] for index, part in parts)
    assert any(part is None for _, part in parts) == (written != piece)


def test_bounds_of_a_piece_are_within_it() -> None:
    """As many pieces, and as large an opening, as there may be are no limit; they do not fit, or are cut."""
    piece = cut(sent(), 2)[0]
    most = piece[:16] + MAX_PIECES.to_bytes(4) + piece[20:]
    largest = piece[:24] + (MAX_HEADER + MAX_LETTER + TAG_SIZE).to_bytes(4) + piece[28:]

    assert refused(partial(read, most)) == "malformed"
    assert refused(partial(read, largest)) == "truncated"
    whole = cut(sent(), MAX_PIECE_PARTS)
    assert len(whole) == 1
    header = Header.parse(sent().header)
    large = header.__class__(header.kind, header.letter_size, 2**36, bytes(32), bytes(32), bytes(32), header.slots)
    assert large.parts == MAX_PIECES
    next(write_pieces(large.encoded + bytes(large.sealed_letter_size), [], bytes, token=TOKEN, parts_each=1))


def test_a_piece_takes_no_part_of_the_next_and_the_last_is_the_last() -> None:
    tip = sent()
    made = write_pieces(tip.opening, [*tip.parts, tip.parts[0]], lambda _: tip.trailer, token=TOKEN, parts_each=2)
    assert [len(parts) for _, parts in (next(made), next(made))] == [2, 2]
    with pytest.raises(ValueError, match="more parts"):
        next(made)


def test_a_piece_that_ends_early_gives_the_parts_before() -> None:
    piece = cut(sent(), 5)[0]
    stream = io.BytesIO(piece[:-1])
    parts = PieceHead.read(stream).parts(stream)

    assert [next(parts) for _ in range(4)] == [*enumerate(sent().parts[:4])]
    assert refused(partial(next, parts)) == "incomplete"


def test_reading_asks_for_no_more_than_a_piece_may_have() -> None:
    """An opening is announced, and its size looked at, before it is read."""
    for vector in cases("piece"):
        stream = io.BytesIO(expand(vector["input"]["pieces"]) + bytes(100))
        code = refused(partial(PieceHead.read, stream)) if vector["expect"] == "limit" else None
        if code is not None:
            assert (code, stream.tell()) == ("limit", 64)


def test_marks_of_names_are_six_random_letters() -> None:
    marks = {new_mark() for _ in range(20)}
    assert len(marks) == 20
    assert all(re.fullmatch("[bcdfghjkmnpqrstv]{6}", mark) for mark in marks)
