"""Fuzzes what comes out of a photograph: the sandbox's answer, the bytes of QR codes, and sets that are joined."""

import json

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.desk.importing.photos import parse_codes
    from tipbox.formats.base.limits import QR_BLOCK
    from tipbox.formats.envelopes import qr_codes
    from tipbox.formats.envelopes.qr_codes import QrCode, QrSet, join_qr_codes

from harness import VECTORS, run

from support.pieces import expand
from support.qr.qr_codes import to_qr_codes

CHECK = 16
# No fuzzer finds a hash: what stands behind one is read as if it fitted.
qr_codes.equal = lambda *_: True  # type: ignore[attr-defined]


def target(data: bytes) -> None:
    if data[:1] == b"\0":
        for code in parse_codes(data[1:]):
            target(code)
    elif data[:1] == b"\1":
        # Sets and their blocks as whoever makes codes anew could choose them: two bytes of each block say which it is.
        size = int.from_bytes(data[1:4]) % 4001  # joining a large set takes seconds
        of = QrSet(-(-size // QR_BLOCK) % 256, data[4] if len(data) > 4 else 0, size, bytes(16))
        QrCode.parse(QrCode(of, 0, bytes(QR_BLOCK)).encode())
        blocks = {number % of.count: bytes([number]) * QR_BLOCK for number in data[5:]}
        assert len(join_qr_codes(of, blocks)) == size
    else:
        assert QrCode.parse(data).encode()[:-CHECK] == data[:-CHECK]


def cases() -> list[bytes]:
    codes = [expand(json.loads(path.read_bytes())["input"]["code"]) for path in sorted(VECTORS.glob("qr-code/*.json"))]
    made = [code.encode() for code in to_qr_codes(bytes(range(256)) * 10)]
    framed = b"".join(len(code).to_bytes(2) + code for code in made[:3])
    joined = b"\1" + (2560).to_bytes(3) + bytes([6, 0, 4, 8])
    return [*codes, *made, b"\0TBQ1" + framed, joined, b"\1" + (2560).to_bytes(3) + bytes([6, 0, 1, 2])]


run(target, cases())
