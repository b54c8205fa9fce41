"""Cases of kinds ``qr-code`` and ``qr-set`` (docs/format.md, section 15): an Envelope as QR codes, some of them lost.

The bytes that the codes carry are not looked into: they need not be an Envelope here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import oracle
from oracle import Case, b64, case, flip, sha256

MAGIC = b"\x89tipqrc\n"
BLOCK = 1000
KEY = oracle.random("qr/key")
SIZE = 2345


def times(one: int, other: int) -> int:
    """In GF(256) with 0x11d, bit by bit."""
    product = 0
    while other:
        product ^= one if other & 1 else 0
        one = (one << 1) ^ (0x11D if one & 0x80 else 0)
        other >>= 1
    return product


def divisor(parity: int) -> list[int]:
    """(x - 1)(x - 2)(x - 4)…, the highest coefficient first."""
    found, root = [1], 1
    for _ in range(parity):
        found = [one ^ times(other, root) for one, other in zip([*found, 0], [0, *found], strict=True)]
        root = times(root, 2)
    return found


def remainder(column: Sequence[int], parity: int) -> list[int]:
    rest = [*column, *(parity * [0])]
    by = divisor(parity)
    for at in range(len(column)):
        factor = rest[at]
        for place, coefficient in enumerate(by):
            rest[at + place] ^= times(factor, coefficient)
    return rest[len(column) :]


def codes(data: bytes, parity: int) -> list[bytes]:
    """All codes of a set."""
    count = -(-len(data) // BLOCK)
    padded = data.ljust(count * BLOCK, b"\x00")
    blocks = [padded[at : at + BLOCK] for at in range(0, len(padded), BLOCK)]
    columns = [remainder(column, parity) for column in zip(*blocks, strict=True)]
    blocks += [bytes(column[number] for column in columns) for number in range(parity)]
    ident = sha256(b"tipbox/v1/qr-set", struct.pack(">BBI", count, parity, len(data)), data)[:16]
    return [code((1, number, count, parity, len(data)), ident, block) for number, block in enumerate(blocks)]


def code(numbers: tuple[int, ...], ident: bytes, block: bytes) -> bytes:
    """``numbers``: version, number, blocks of data, blocks of parity, size."""
    said = MAGIC + struct.pack(">BBBBI", *numbers) + ident + block
    return said + sha256(b"tipbox/v1/qr-code", said)[:16]


def in_short(made: bytes) -> list[Case]:
    """With its zeros, and its keystream, as what they are."""
    head, block, rest = made[:32], made[32 : 32 + BLOCK], made[32 + BLOCK :]
    short: Case = {"base64": b64(block)}
    if not any(block):
        short = {"zeros": len(block)}
    return [{"base64": b64(head)}, short, *([{"base64": b64(rest)}] if rest else [])]


def cases() -> Iterator[Case]:
    data = oracle.ctr(KEY, SIZE)
    whole = codes(data, 6)
    yield case(
        "qr-set/three",
        "ok",
        "three blocks and six of parity",
        {"envelope": [{"ctr": KEY.hex(), "size": SIZE}]},
        {"codes": [sha256(one).hex() for one in whole]},
    )

    ident = sha256(b"qr")[:16]

    def made(number: int = 8, **changed: int) -> bytes:
        numbers = {"version": 1, "number": number, "data": 3, "parity": 6, "size": SIZE, **changed}
        return code((*numbers.values(),), ident, bytes(BLOCK))

    yield case(
        "qr-code/last",
        "ok",
        "the last of nine",
        {"code": in_short(made())},
        {"number": 8, "data": 3, "parity": 6, "size": SIZE, "set": ident.hex(), "sha256": sha256(bytes(BLOCK)).hex()},
    )
    for name, expect, comment, bad in (
        ("magic", "not-tipbox", "the magic of a piece", b"\x89tippce\n" + made()[8:]),
        ("cut", "truncated", "a byte is missing", made()[:-1]),
        ("version", "version", "version 2", made(version=2)),
        ("data-zero", "limit", "no blocks", made(data=0)),
        ("data-many", "limit", "101 blocks", made(data=101, size=100_001)),
        ("count-many", "limit", "126 codes", made(parity=123)),
        ("size", "malformed", "a size of four blocks", made(size=3001)),
        ("number", "malformed", "the tenth of nine", made(9)),
        ("trailing", "trailing", "a byte too many", made() + b"\x00"),
        ("check", "malformed", "another check", flip(made(), 1047)),
    ):
        yield case(f"qr-code/{name}", expect, comment, {"code": in_short(bad)})
