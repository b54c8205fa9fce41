"""Cases of the list of a mailbox, of the requests to it (docs/protocol.md, 3.1) and of both as files (format.md, 13).

What stands in the openings is not looked into here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import oracle
from oracle import ALPHA, BETA, Case, b64, case, random

LIST = 65536
OPENING = 120 + 8192 + 16
"""The smallest header ‖ letter of a reply."""
LARGEST = 2**28
IDS = 512 * 32
"""Bytes of the ids in a request to delete."""
Row = tuple[bytes, int, int, int, int, bytes]


def row(
    label: str,
    day: int = 20_780,
    size: int = OPENING,
    opening: int = OPENING,
    *,
    place: int = 0,
    zeros: bytes = bytes(3),
) -> Row:
    return random(f"mailbox {label}", 32), day, size, opening, place, zeros


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
        [*(struct.pack(">32sIQIB3s", *one) for one in rows), *openings]
    )


def lists() -> Iterator[Case]:
    def made(name: str, expect: str, comment: str, content: bytes, size: int) -> Case:
        pieces: list[Case] = [{"base64": b64(content)}]
        if size > len(content):
            pieces.append({"zeros": size - len(content)})
        return case(f"mailbox/{name}", expect, comment, {"pieces": pieces})

    def reads(name: str, comment: str, rows: Sequence[Row], openings: Sequence[bytes] = ()) -> Case:
        output = {
            "entries": [
                {"id": one.hex(), "day": day, "size": size, "opening_size": opening, "place": place}
                for one, day, size, opening, place, _ in rows
            ],
            "openings": [b64(opening) for opening in openings],
        }
        return made(name, "ok", comment, encode(rows, openings), LIST) | {"output": output}

    def fails(name: str, comment: str, content: bytes, expect: str = "malformed") -> Case:
        return made(name, expect, comment, content, LIST)

    new, old = row("new"), row("old", 20_700)
    first, second = sorted((row("one"), row("two")))
    opening = random("mailbox opening", OPENING)
    large = 4 * 2**20 + 120 + 16
    many = sorted((row(f"many {number}") for number in range(513)), key=lambda one: one[0])

    yield reads("empty", "no reply, or no mailbox", [])
    yield reads("one", "a reply with its header and letter", [new], [opening])
    yield reads("piecewise", "a reply whose letter is fetched by pieces", [row("long", 20_780, 80_000, 80_000)])
    yield reads("newest-first", "the newest day first", [new, old], [opening])
    yield reads("one-day", "replies of one day, by id", [first, second])
    yield reads("full", "512 replies", many[:512], [opening])
    yield reads("places", "the first and the last token", [row("place 0", 20_780), row("place 31", 20_779, place=31)])
    yield reads("days", "the first and the last day", [row("last", 2_932_896), row("first", 0)])
    yield reads("largest", "the largest sizes", [row("largest", size=LARGEST, opening=large)])

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
    yield fails("size-large", "an Envelope above the limit", encode([row("large", size=LARGEST + 1)]))
    yield fails("size-huge", "an Envelope of 2^64 - 1 bytes", encode([row("huge", size=2**64 - 1)]))
    yield fails(
        "opening-small", "an opening that no letter has", encode([row("tiny", opening=OPENING - 1)], [opening[:-1]])
    )
    yield fails("opening-large", "an opening above the limit", encode([row("vast", size=2**28, opening=large + 1)]))
    yield fails("place-32", "a token that no request has", encode([row("place", place=32)]))
    for at in range(3):
        zeros = bytes(number == at for number in range(3))
        yield fails(f"zeros-{at}", f"reserved byte {at} of an entry is one", encode([row("zeros", zeros=zeros)]))
    yield fails("opening-past", "an opening that runs past the end", encode([row("past", 1, 70_000, 70_000)], m=1))
    yield fails("padding", "padding that is not zero", encode([new], [opening]) + b"\x01")
    yield fails(
        "padding-end", "a last byte that is not zero", encode([new], [opening]).ljust(LIST - 1, b"\x00") + b"\x01"
    )
    yield fails("opening-unannounced", "an opening that is not counted", encode([new], [opening], m=0))


def requests() -> Iterator[Case]:
    """What a server reads: 32 tokens, and what is asked for."""
    source, asked = oracle.Source("one"), sorted((ALPHA.id, BETA.id))
    tokens = [source.token(one) for one in asked] + [source.decoy(asked[0], number) for number in range(30)]
    single = sorted([source.token(ALPHA.id)] + [source.decoy(ALPHA.id, number) for number in range(31)])
    tokens.sort()
    start = b"".join(tokens)
    reply, ids = random("a reply"), [random(f"reply {number}") for number in range(3)]

    def read(name: str, comment: str, what: str, used: list[bytes], rest: bytes = b"", **output: Any) -> Case:
        body = b"".join(used) + rest
        told = {"tokens": [token.hex() for token in used], **output}
        return case(f"request/{name}", "ok", comment, {"of": what, "pieces": in_pieces(body)}, told)

    def fails(name: str, comment: str, what: str, body: bytes) -> Case:
        return case(f"request/{name}", "malformed", comment, {"of": what, "pieces": in_pieces(body)})

    yield read("list", "the lists of the mailboxes of two organisations", "list", tokens)
    yield read("list-one", "the list of the mailbox of one organisation", "list", single)
    last = (2**32 - 1).to_bytes(4)
    yield read("piece", "a piece of a reply", "piece", tokens, reply + last, reply=reply.hex(), number=2**32 - 1)
    some = b"".join(ids).ljust(IDS, b"\x00")
    yield read("delete", "three replies", "delete", tokens, some, replies=[one.hex() for one in ids])
    yield read("delete-nothing", "no reply", "delete", tokens, bytes(IDS), replies=[])

    yield fails("list-nothing", "no bytes", "list", b"")
    yield fails("list-short", "a byte too few", "list", start[:-1])
    yield fails("list-long", "a byte too many", "list", start + b"\x00")
    yield fails("list-31", "31 tokens", "list", start[32:])
    yield fails("list-33", "33 tokens", "list", start + b"\xff" * 32)
    yield fails("list-order", "two tokens in the other's place", "list", start[32:64] + start[:32] + start[64:])
    yield fails("list-twice", "a token twice", "list", start[:32] + start[:32] + start[64:])
    yield fails("piece-list", "a request for a list", "piece", start)
    yield fails("piece-long", "a byte too many", "piece", start + reply + last + b"\x00")
    yield fails("piece-order", "tokens in descending order", "piece", b"".join(tokens[::-1]) + reply + last)
    yield fails("delete-short", "a byte too few", "delete", start + some[:-1])
    yield fails("delete-long", "513 places for ids", "delete", start + some + bytes(32))
    yield fails("delete-behind", "an id behind a place that is empty", "delete", start + bytes(32) + some[:-32])


def files() -> Iterator[Case]:
    """What the offline page saves and opens: kinds ``request-file`` and ``answer``."""
    tokens = sorted(random(f"request file {number}") for number in range(32))
    start, reply = b"".join(tokens), random("a reply")
    asked = start + reply + (7).to_bytes(4)
    told = {"tokens": [token.hex() for token in tokens]}
    of_piece = {**told, "reply": reply.hex(), "number": 7}
    pasted = b64(start)
    lines = "\r\n".join(pasted[at : at + 76] for at in range(0, len(pasted), 76))

    def file(name: str, comment: str, data: bytes, output: Case | None = None, expect: str = "malformed") -> Case:
        return case(f"request-file/{name}", "ok" if output else expect, comment, {"file": b64(data)}, output)

    def text(name: str, comment: str, data: str, output: Case | None = None, expect: str = "malformed") -> Case:
        return case(f"request-file/{name}", "ok" if output else expect, comment, {"text": data}, output)

    yield file("list", "a request for the list", start, told)
    yield file("piece", "a request for a piece of a reply", asked, of_piece)
    yield file("nothing", "no bytes", b"")
    yield file("short", "a byte too few", start[:-1])
    yield file("between", "a byte more than a list's", start + b"\x00")
    yield file("long", "a byte more than a piece's", asked + b"\x00")
    yield file("order", "tokens in descending order", b"".join(tokens[::-1]))
    yield file("twice", "a token twice", start[:32] + start[:32] + start[64:])
    yield file("delete", "a request to delete, which is none of these", start.ljust(len(start) + IDS, b"\x00"))
    yield text("pasted", "a request for the list, pasted", pasted, told)
    yield text("pasted-piece", "a request for a piece, pasted", b64(asked), of_piece)
    yield text("pasted-lines", "in lines, with blanks around them", f" \t{lines}\n", told)
    yield text("pasted-longest", "2,048 bytes with its white space", pasted.ljust(2048), told)
    yield text("pasted-long", "2,049 bytes with its white space", pasted.ljust(2049), None, "limit")
    yield text("pasted-nothing", "nothing was pasted", "")
    yield text("pasted-url", "the alphabet of URLs", pasted[:10] + "-_" + pasted[12:])
    yield text("pasted-unpadded", "without its padding", pasted.rstrip("="))
    yield text("pasted-spelling", "unused bits are one", pasted[:-2] + chr(ord(pasted[-2]) + 1) + "=")
    yield text("pasted-space", "white space that is none here", f"{pasted[:76]}\f{pasted[76:]}")
    yield text("pasted-hex", "hexadecimal", start.hex()[:2000])

    data = random("a piece of a reply", 1000)

    def answer(name: str, expect: str, comment: str, rest: int = 262_144 - 1000, **changed: Any) -> Case:
        head = {"magic": b"\x89tipans\n", "version": 1, "zeros": bytes(3), "number": 7, "reply": reply, **changed}
        packed = struct.pack(">8sB3sI32s", *head.values())
        pieces: list[Case] = [{"base64": b64(packed + data)}, {"zeros": rest}]
        output = {
            "reply": head["reply"].hex(),
            "number": head["number"],
            "sha256": oracle.sha256(data + bytes(rest)).hex(),
        }
        return case(f"answer/{name}", expect, comment, {"pieces": pieces}, output if expect == "ok" else None)

    yield answer("piece", "ok", "a piece with the end of a reply")
    yield answer("first", "ok", "the first piece", number=0)
    yield answer("last", "ok", "the highest number that there can be", number=2**32 - 1)
    yield case("answer/nothing", "malformed", "no bytes", {"pieces": []})
    yield case("answer/magic-cut", "malformed", "the file ends in the magic", {"pieces": [{"base64": b64(b"\x89tip")}]})
    yield answer("magic", "not-tipbox", "the magic of a list", magic=b"\x89tipmbx\n")
    yield answer("version", "version", "version 2", version=2)
    yield answer("short", "malformed", "a byte too few", 262_144 - 1001)
    yield answer("long", "malformed", "a byte too many", 262_144 - 999)
    yield answer("size-first", "malformed", "a byte too many, of version 2", 262_144 - 999, version=2)
    for at in range(3):
        zeros = bytes(number == at for number in range(3))
        yield answer(f"zeros-{at}", "malformed", f"reserved byte {at} is one", zeros=zeros)


def in_pieces(body: bytes) -> list[Case]:
    text = body.rstrip(b"\x00")
    zeros: list[Case] = [{"zeros": len(body) - len(text)}] if len(text) < len(body) else []
    return [{"base64": b64(text)}, *zeros]


def cases() -> Iterator[Case]:
    yield from lists()
    yield from requests()
    yield from files()
