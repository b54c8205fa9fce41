"""Answers of a sandbox that somebody else may have written: what does not fit makes the whole answer void."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tipbox.desk.render.look_lines import Line, Sign
from tipbox.desk.render.picture_png import png
from tipbox.desk.render.worker_answer import (
    MAX_ENTRIES,
    MAX_FACTS,
    MAX_JSON,
    MAX_PICTURES,
    MAX_SIDE,
    MAX_SOUND,
    MAX_TEXT,
    MAX_WORD,
    BadAnswer,
    Entry,
    parse_answer,
    parse_listing,
    parse_metadata,
    parse_type,
)

GOOD: dict[str, Any] = {
    "cut": False,
    "entries": [["a.txt", 5, 3, 0]],
    "facts": [["pages", "3"]],
    "kind": "pdf",
    "likeness": "0123456789abcdef",
    "line": "",
    "more_entries": 0,
    "pictures": 1,
    "signs": ["script"],
    "sound": 2,
    "text": "words",
}
PIXELS = bytes(range(6))


def framed(value: object, rest: bytes = struct.pack(">HH", 2, 1) + PIXELS + b"\0\0") -> bytes:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return b"TBX1" + struct.pack(">I", len(data)) + data + rest


def test_a_good_answer_is_read() -> None:
    answer = parse_answer(framed(GOOD))
    assert (answer.kind, answer.line, answer.signs) == ("pdf", None, frozenset({Sign.SCRIPT}))
    assert (answer.facts, answer.entries) == ((("pages", "3"),), (Entry("a.txt", 5, 3, 0),))
    (picture,) = answer.pictures
    assert (picture.width, picture.height, picture.pixels, answer.sound) == (2, 1, PIXELS, b"\0\0")
    assert parse_answer(framed(GOOD | {"line": "broken"})).line is Line.BROKEN


@pytest.mark.parametrize(
    "change",
    [
        {"cut": 1},
        {"cut": "no"},
        {"entries": [["a", 1, 1]]},
        {"entries": [["a", -1, 1, 0]]},
        {"entries": [["a", True, 1, 0]]},
        {"entries": [["a", 1.5, 1, 0]]},
        {"entries": [["a", 1, 1, 3]]},
        {"entries": [[1, 1, 1, 0]]},
        {"entries": ["abcd"]},
        {"entries": [["a", 10**30, 1, 0]]},
        {"entries": [["a", 1, 1, 0]] * (MAX_ENTRIES + 1)},
        {"facts": [["a"]]},
        {"facts": ["ab"]},
        {"facts": [["a", 1]]},
        {"facts": [["a", "b" * (MAX_WORD + 1)]]},
        {"facts": [["a", "b"]] * (MAX_FACTS + 1)},
        {"kind": "<b>"},
        {"kind": "a" * 17},
        {"kind": None},
        {"likeness": "0123"},
        {"likeness": "0123456789abcdeF"},
        {"line": "no-sandbox"},  # the desk's own
        {"line": "Click here"},
        {"line": ["broken"]},
        {"more_entries": -1},
        {"pictures": MAX_PICTURES + 1},
        {"pictures": 2},
        {"pictures": 0},
        {"pictures": True},
        {"signs": ["differs"]},  # the desk's own
        {"signs": ["script", "script"]},
        {"signs": [1]},
        {"signs": [["script"]]},
        {"sound": 3},
        {"sound": 0},
        {"sound": MAX_SOUND + 2},
        {"text": "a" * (MAX_TEXT + 1)},
        {"text": None},
        {"other": 1},
    ],
    ids=repr,
)
def test_what_does_not_fit_makes_it_void(change: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer):
        parse_answer(framed(GOOD | change))


@pytest.mark.parametrize("name", sorted(GOOD))
def test_each_member_has_to_be_there(name: str) -> None:
    with pytest.raises(BadAnswer):
        parse_answer(framed({key: value for key, value in GOOD.items() if key != name}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"TBX1",
        b"TBX2" + framed(GOOD)[4:],
        b"TBX1\xff\xff\xff\xff",
        framed(b"{"),
        framed(b"[" * 500_000),
        framed(b'{"a":' * 100_000),
        framed(b"1" * 10_000),
        framed(b"\xff"),
        framed([]),
        framed(b" " * (MAX_JSON + 1)),
        framed(GOOD)[:-1],
        framed(GOOD) + b"\0\0",
        framed(GOOD, struct.pack(">HH", MAX_SIDE + 1, 1) + bytes(3 * (MAX_SIDE + 1)) + b"\0\0"),
        framed(GOOD, struct.pack(">HH", 0, 1) + b"\0\0"),
        framed(GOOD, b"\0\0"),
        framed(GOOD, b""),
    ],
    ids=lambda data: ascii(data[:24]),
)
def test_a_frame_that_lies_is_void(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        parse_answer(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_void(data: bytes) -> None:
    for given_bytes in (data, framed(GOOD)[: len(data)] + data, b"TBX1\0\0\0\x02{}" + data):
        with pytest.raises(BadAnswer):
            parse_answer(given_bytes)


def test_halves_of_characters_become_ones_that_can_be_written() -> None:
    answer = parse_answer(
        framed(
            b'{"text": "a\\ud800b",'
            + json.dumps(GOOD | {"text": 0}).encode()[1:].replace(b'"text": 0', b'"text": "a\\ud800b"')
        )
    )
    assert answer.text == "a?b"


def test_metadata_is_flattened_bounded_and_keeps_what_comes_twice() -> None:
    data = (
        b'[{"SourceFile": "-", "File:FileSize": "1", "ExifTool:Warning": "x", "EXIF:Model": "Phone",'
        b' "XMP:History": [{"Action": "saved"}, {"Action": "again"}], "EXIF:Model": "Other", "EXIF:ISO": 100}]'
    )
    assert parse_metadata(data) == (
        ("EXIF:Model", "Phone"),
        ("XMP:History.Action", "saved"),
        ("XMP:History.Action", "again"),
        ("EXIF:Model", "Other"),
        ("EXIF:ISO", "100"),
    )
    long = json.dumps([{f"EXIF:{n}": "x" * 5000 for n in range(1000)}]).encode()
    found = parse_metadata(long)
    assert len(found) == MAX_FACTS
    assert all(len(value) == MAX_WORD for _, value in found)
    for bad in (b"", b"{}", b"[]", b"[1]", b"[{},{}]", b"[" * 100_000, b"nonsense"):
        with pytest.raises(BadAnswer):
            parse_metadata(bad)


def test_a_type_is_a_type_or_nothing() -> None:
    assert parse_type(b"image/jpeg\n") == "image/jpeg"
    for said in (b"", b"cannot open `a' (No such file)", b"<b>image</b>/x", b"a/b/c", b"\xff/\xff", b"a" * 300):
        assert parse_type(said) == ""


def test_a_listing_is_read_line_by_line() -> None:
    line = b"-rw-r--r--  0 0      0      824463 Nov 29 11:09 a name.png\n"
    entries, more = parse_listing(line + b"garbage\n" + b"drwxr-xr-x  0 0 0 0 Nov 29  2020 b/\n")
    assert (entries, more) == ((Entry("a name.png", 824463, 0, 0), Entry("b/", 0, 0, 0)), 0)
    entries, more = parse_listing(line * (MAX_ENTRIES + 5))
    assert (len(entries), more) == (MAX_ENTRIES, 5)


@given(st.integers(1, 40), st.integers(1, 40), st.randoms(use_true_random=False))
def test_a_png_of_ours_is_the_pixels(width: int, height: int, chance: Any) -> None:
    pixels = chance.randbytes(3 * width * height)
    with Image.open(io.BytesIO(png(width, height, pixels))) as image:
        assert (image.size, image.mode, image.tobytes()) == ((width, height), "RGB", pixels)


@pytest.mark.parametrize(("width", "height", "size"), [(0, 1, 0), (1, 1, 2), (1, 1, 4), (2, 2, 3)])
def test_pixels_that_are_not_there_make_no_png(width: int, height: int, size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        png(width, height, bytes(size))
