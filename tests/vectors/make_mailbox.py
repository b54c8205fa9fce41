"""Cases of the list of a mailbox (docs/protocol.md, 3.1). What stands in the openings is not looked into here."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

from oracle import Case, b64, case, random

LIST = 65536
OPENING = 120 + 1232 + 8192 + 16
"""The smallest header ‖ letter of a reply."""
Row = tuple[bytes, int, int, int]


def row(label: str, day: int = 20_780, size: int = OPENING, opening: int = OPENING) -> Row:
    return random(f"mailbox {label}", 32), day, size, opening


def encode(rows: Sequence[Row], openings: Sequence[bytes] = (), **changed: Any) -> bytes:
    """Everything of a list but its padding."""
    fixed = {
        "magic": b"\x89tipmbx\n",
        "version": 1,
        "zero": 0,
        "n": len(rows),
        "m": len(openings),
        "reserved": 0,
        **changed,
    }
    return struct.pack(">8sBBHHH", *fixed.values()) + b"".join(
        [*(struct.pack(">32sIQI", *one) for one in rows), *openings]
    )


def cases() -> Iterator[Case]:
    def made(name: str, expect: str, comment: str, content: bytes, size: int) -> Case:
        pieces: list[Case] = [{"base64": b64(content)}]
        if size > len(content):
            pieces.append({"zeros": size - len(content)})
        return case(f"mailbox/{name}", expect, comment, {"pieces": pieces})

    def reads(name: str, comment: str, rows: Sequence[Row], openings: Sequence[bytes] = ()) -> Case:
        output = {
            "entries": [
                {"id": one.hex(), "day": day, "size": size, "opening_size": opening} for one, day, size, opening in rows
            ],
            "openings": [b64(opening) for opening in openings],
        }
        return made(name, "ok", comment, encode(rows, openings), LIST) | {"output": output}

    def fails(name: str, comment: str, content: bytes, expect: str = "malformed") -> Case:
        return made(name, expect, comment, content, LIST)

    new, old = row("new"), row("old", 20_700)
    first, second = sorted((row("one"), row("two")))
    opening = random("mailbox opening", OPENING)
    large = 4 * 2**20 + 120 + 32 * 1232 + 16
    many = sorted((row(f"many {number}") for number in range(513)), key=lambda one: one[0])

    yield reads("empty", "no reply, or no mailbox", [])
    yield reads("one", "a reply with its header and letter", [new], [opening])
    yield reads("piecewise", "a reply whose letter is fetched by pieces", [row("long", 20_780, 80_000, 80_000)])
    yield reads("newest-first", "the newest day first", [new, old], [opening])
    yield reads("one-day", "replies of one day, by id", [first, second])
    yield reads("full", "512 replies", many[:512], [opening])
    yield reads("days", "the first and the last day", [row("last", 2_932_896), row("first", 0)])
    yield reads("largest", "the largest sizes", [row("largest", size=2**40 + 2**34, opening=large)])

    yield fails("magic", "the magic of an Envelope", encode([], magic=b"\x89tipbox\n"), "not-tipbox")
    yield made("nothing", "malformed", "no bytes", b"", 0)
    yield made("magic-cut", "malformed", "the file ends within the magic", encode([])[:5], 5)
    yield made("short", "malformed", "a byte too few", encode([]), LIST - 1)
    yield made("long", "malformed", "a byte too many", encode([]), LIST + 1)
    yield fails("version", "version 2", encode([], version=2), "version")
    yield fails("too-many", "513 replies", encode(many), "limit")
    yield fails("more-openings", "more openings than replies", encode([new], [opening, opening]), "limit")
    yield fails("reserved-byte", "a reserved byte is one", encode([], zero=1))
    yield fails("reserved", "the reserved bytes are one", encode([], reserved=1))
    yield fails("order-days", "an older day first", encode([old, new]))
    yield fails("order-ids", "replies of one day, not by id", encode([second, first]))
    yield fails("twice", "a reply twice", encode([first, first]))
    yield fails("twice-days", "a reply on two days", encode([new, (new[0], *old[1:])]))
    yield fails("day", "a day after the year 9999", encode([row("day", 2_932_897)]))
    yield fails("size-small", "an Envelope smaller than its opening", encode([row("small", size=OPENING - 1)]))
    yield fails("size-large", "an Envelope above the limit", encode([row("large", size=2**40 + 2**34 + 1)]))
    yield fails("size-huge", "an Envelope of 2^64 - 1 bytes", encode([row("huge", size=2**64 - 1)]))
    yield fails(
        "opening-small", "an opening that no letter has", encode([row("tiny", opening=OPENING - 1)], [opening[:-1]])
    )
    yield fails("opening-large", "an opening above the limit", encode([row("vast", size=2**30, opening=large + 1)]))
    yield fails("opening-past", "an opening that runs past the end", encode([row("past", 1, 70_000, 70_000)], m=1))
    yield fails("padding", "padding that is not zero", encode([new], [opening]) + b"\x01")
    yield fails(
        "padding-end", "a last byte that is not zero", encode([new], [opening]).ljust(LIST - 1, b"\x00") + b"\x01"
    )
    yield fails("opening-unannounced", "an opening that is not counted", encode([new], [opening], m=0))
