"""Fuzzes what comes out of a photograph: the sandbox's answer, the bytes of QR codes, and sets that are joined."""

import json

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.desk.importing.photos import parse_codes
    from tipbox.formats.base.limits import MAX_QR_CODES, QR_BLOCK
    from tipbox.formats.envelopes import qr_codes
    from tipbox.formats.envelopes.qr_codes import QrCode, QrSet, join_qr_codes

from harness import VECTORS, run

from support.pieces import expand
from support.qr.qr_codes import to_qr_codes

CHECK = 16
SMALL = 4
"""Bytes of a block where sets are joined."""
# No fuzzer finds a hash: what stands behind one is read as if it fitted.
qr_codes.equal = lambda *_: True  # type: ignore[attr-defined]


def target(data: bytes) -> None:
    if data[:1] == b"\0":
        for code in parse_codes(data[1:]):
            target(code)
    elif data[:1] == b"\1":
        # Sets and their blocks as whoever makes codes anew could choose them, in small: restoring a thousand places of
        # each takes a while.
        size = 1 + int.from_bytes(data[1:3]) % 400
        of = QrSet(-(-size // SMALL), int.from_bytes(data[3:4]), size, bytes(16))
        if of.count > MAX_QR_CODES:
            return
        qr_codes.QR_BLOCK = SMALL  # type: ignore[attr-defined]
        try:
            blocks = {number % of.count: bytes([number]) * SMALL for number in data[4:]}
            assert len(join_qr_codes(of, blocks)) == size
        finally:
            qr_codes.QR_BLOCK = QR_BLOCK  # type: ignore[attr-defined]
    else:
        assert QrCode.parse(data).encode()[:-CHECK] == data[:-CHECK]


def cases() -> list[bytes]:
    codes = [expand(json.loads(path.read_bytes())["input"]["code"]) for path in sorted(VECTORS.glob("qr-code/*.json"))]
    made = [code.encode() for code in to_qr_codes(bytes(range(256)) * 10)]
    framed = b"".join(len(code).to_bytes(2) + code for code in made[:3])
    sets = [b"\1\0\x09\6" + bytes(numbers) for numbers in ((0, 4, 8), (6, 7, 8), (0, 1, 2), (0, 1))]
    return [*codes, *made, b"\0TBQ1" + framed, *sets]


run(target, cases())
