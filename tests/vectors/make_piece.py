"""Cases of kind ``piece`` (docs/format.md, section 12): tips that are carried in pieces.

Nothing in the Envelope is opened here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from typing import Any

import make_envelope
import oracle
from make_envelope import Envelope, File, in_short
from oracle import ALPHA, BETA, Case, case, flip, random, sha256

MAGIC = b"\x89tippce\n"
LABEL = b"tipbox/v1/piece"
TOKEN = random("piece/token")
PART = 65568


@cache
def three_parts() -> Envelope:
    """A tip with three parts, the last of them short."""
    film = File("film.mp4", bytes(2 * 65536 + 1000), "video/mp4")
    return make_envelope.seal("pieces", [make_envelope.to(ALPHA), make_envelope.to(BETA, filler=True)], b"", (film,))


@cache
def words() -> Envelope:
    return make_envelope.seal("pieces of words", [make_envelope.to(ALPHA)], "Нет связи.".encode())


def pieces_of(envelope: Envelope, each: int) -> int:
    return max(1, -(-len(envelope.parts) // each))


def fixed(envelope: Envelope, place: int, each: int, **changed: Any) -> bytes:
    values = {
        "magic": MAGIC,
        "version": 1,
        "zeros": bytes(3),
        "number": place,
        "count": pieces_of(envelope, each),
        "parts_each": each,
        "opening_size": len(envelope.header + envelope.letter),
        "reserved": 0,
        "token": TOKEN,
        **changed,
    }
    return struct.pack(">8sB3sIIIII32s", *values.values())


def head(
    envelope: Envelope,
    place: int,
    each: int,
    *,
    opening: bytes | None = None,
    hashes: bytes | None = None,
    end: bytes | None = None,
    **changed: Any,
) -> bytes:
    """The bytes before the parts, with a check over what they say."""
    own = envelope.parts[place * each : (place + 1) * each]
    is_last = place == pieces_of(envelope, each) - 1
    said = b"".join((
        fixed(envelope, place, each, **changed),
        envelope.header + envelope.letter if opening is None else opening,
        b"".join(map(sha256, own)) if hashes is None else hashes,
        (envelope.hash + envelope.trailer if is_last else b"") if end is None else end,
    ))  # fmt: skip
    return said + sha256(LABEL, said)


def given(envelope: Envelope, data: bytes) -> Case:
    short = in_short(data, envelope.made_from)
    return short if "pieces" in short else {"pieces": [{"base64": short["envelope"]}]}


def reads(name: str, comment: str, envelope: Envelope, number: int, each: int, *, damage: int | None = None) -> Case:
    own = [*enumerate(envelope.parts)][number * each : (number + 1) * each]
    is_last = number == pieces_of(envelope, each) - 1
    family = sha256(LABEL, fixed(envelope, 0, each), envelope.header, envelope.letter)
    output = {
        "token": TOKEN.hex(),
        "number": number,
        "count": pieces_of(envelope, each),
        "parts_each": each,
        "family": family.hex(),
        "opening_sha256": sha256(envelope.header, envelope.letter).hex(),
        "parts": [{"index": index, "sha256": "" if index == damage else sha256(part).hex()} for index, part in own],
        "hash": envelope.hash.hex() if is_last else "",
        "trailer": envelope.trailer.hex() if is_last else "",
        "damaged": [] if damage is None else [damage],
    }
    data = head(envelope, number, each) + b"".join(flip(part, 7) if index == damage else part for index, part in own)
    expect = "ok" if damage is None else "damaged-item"
    return case(f"piece/{name}", expect, comment, given(envelope, data), output)


def cases() -> Iterator[Case]:
    film, text = three_parts(), words()

    def fails(name: str, expect: str, comment: str, data: bytes) -> Case:
        return case(f"piece/{name}", expect, comment, given(film, data))

    def first(**changed: Any) -> bytes:
        return head(film, 0, 2, **changed) + b"".join(film.parts[:2])

    yield reads("first", "the first of two pieces", film, 0, 2)
    yield reads("last", "the last of them, with the end", film, 1, 2)
    yield reads("middle", "the second of three", film, 1, 1)
    yield reads("whole", "one piece with everything, larger than needed", film, 0, 1024)
    yield reads("text", "a tip without a body: one piece without parts", text, 0, 5)
    yield reads("damaged-part", "a part with another hash; the others are good", film, 0, 2, damage=1)

    opening = film.header + film.letter
    whole = first()
    yield fails("nothing", "truncated", "no bytes", b"")
    yield fails("magic", "not-tipbox", "the magic of an Envelope", first(magic=b"\x89tipbox\n"))
    yield fails("magic-cut", "truncated", "the file ends within the magic", whole[:5])
    yield fails("fixed-cut", "truncated", "the file ends within the fixed bytes", whole[:63])
    yield fails("version", "version", "version 2", first(version=2))
    yield fails("count-zero", "limit", "no pieces", first(count=0))
    yield fails("count-many", "limit", "more pieces than there can be", first(count=2**20 + 1))
    yield fails("each-zero", "limit", "pieces without parts", first(parts_each=0))
    yield fails("each-many", "limit", "pieces of more parts than they can have", first(parts_each=1025))
    yield fails("opening-large", "limit", "an opening larger than any", whole[:24] + b"\xff" * 4 + whole[28:])
    yield fails("opening-cut", "truncated", "the file ends within the opening", whole[: 64 + len(opening) - 1])
    yield fails("header-magic", "not-tipbox", "the opening is of no Envelope", first(opening=flip(opening, 3)))
    newer = opening[:8] + b"\x03" + opening[9:]
    yield fails("header-version", "version", "an Envelope of version 3", first(opening=newer))
    short = fixed(film, 0, 2, opening_size=100) + opening[:100]
    yield fails("header-cut", "truncated", "an opening that is shorter than its header", short)
    reply = make_envelope.seal("piece of a reply", [], b"x", kind=1, reply_key=random("piece/pair key"))
    yield fails("reply", "malformed", "a reply", head(reply, 0, 2))
    for name, changed in (
        ("reserved-byte", {"zeros": b"\x00\x01\x00"}),
        ("reserved", {"reserved": 1}),
        ("number-past", {"number": 2}),
        ("count-high", {"count": 3}),
        ("count-low", {"count": 1}),
    ):
        yield fails(name, "malformed", f"{name.replace('-', ', ')}: it does not fit", first(**changed))
    longer = head(film, 0, 2, opening=opening + b"\x00")
    sized = fixed(film, 0, 2, opening_size=len(opening) + 1)
    yield fails("opening-long", "malformed", "an opening with a byte behind the letter", sized + longer[64:])
    yield fails("hashes-cut", "truncated", "the file ends within the hashes", whole[: 64 + len(opening) + 63])
    at_end = head(film, 1, 2)
    yield fails("end-cut", "truncated", "the last piece ends within the end", at_end[: 64 + len(opening) + 32 + 40])
    yield fails("check-cut", "truncated", "the file ends within the check", whole[: 64 + len(opening) + 64 + 31])
    yield fails("check", "malformed", "another check", flip(whole, 64 + len(opening) + 64))
    yield fails("hash", "malformed", "another hash of a part", flip(whole, 64 + len(opening) + 1))
    yield fails("token", "malformed", "another token", flip(whole, 40))
    yield fails("part-missing", "incomplete", "a part is missing", whole[:-PART])
    yield fails("part-cut", "incomplete", "the last part is cut", whole[:-1])
    yield fails("trailing", "trailing", "a byte after the last part", whole + b"\x00")
    yield fails("trailing-text", "trailing", "a part behind a piece that has none", head(text, 0, 5) + film.parts[0])
    assert oracle.PART == 65536, "three parts are meant"
