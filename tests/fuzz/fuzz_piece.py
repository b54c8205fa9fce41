"""Fuzzes the pieces in which a tip is carried."""

import io
import json

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.envelopes import pieces
    from tipbox.formats.envelopes.pieces import PieceHead

from harness import VECTORS, run

from support.pieces import expand

CHECK = 32
# No fuzzer finds a hash: what stands behind one is read as if it fitted.
pieces.equal = lambda *_: True  # type: ignore[attr-defined]


def target(data: bytes) -> None:
    stream = io.BytesIO(data)
    head = PieceHead.read(stream)
    assert head.encode()[:-CHECK] == data[: stream.tell() - CHECK]
    numbers = [index for index, _ in head.parts(stream)]
    assert numbers == [*range(head.first, head.first + len(head.part_hashes))]


def cases() -> list[bytes]:
    return [expand(json.loads(path.read_bytes())["input"]["pieces"]) for path in sorted(VECTORS.glob("piece/*.json"))]


run(target, cases())
