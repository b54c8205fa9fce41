"""Fuzzes the end of an Envelope: behind parts that open, only the source's own tag makes a reader take it."""

import io

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.envelopes.envelope import Recipient, read_envelope, seal
    from tipbox.formats.envelopes.header import open_slot
    from tipbox.formats.envelopes.letter import FileEntry, Letter
    from tipbox.formats.envelopes.seals import EnvelopeHash, check_seal, envelope_id, tag

from harness import run

from tipbox.formats.base.primitives import xwing_public
from tipbox.formats.manifest import key_id

SEED, READER = bytes(32), bytes(15) + b"\x02"
PUBLIC = xwing_public(SEED)
SEALED = seal(
    [
        Recipient(bytes(15) + bytes([n]), key_id(PUBLIC), PUBLIC, *((bytes(32), bytes(32)) if n < 3 else (None,)))
        for n in range(1, 4)
    ],
    Letter(b"text", (FileEntry("a", 5),), bytes(32), bytes(16)),
)
PARTS = list(SEALED.parts([(io.BytesIO(b"words"), 5)]))
START = SEALED.opening + b"".join(PARTS)
OPENED = open_slot(SEALED.header, READER, lambda _: SEED)
HASH = EnvelopeHash(SEALED.header.encoded, SEALED.letter)
for part in PARTS:
    HASH.add(part)
OWN = tag(SEALED.header, OPENED, HASH.digest())


def target(data: bytes) -> None:
    own = data[:1] == b"\x01"  # a fuzzer does not find a tag
    trailer = data[1:33] + OWN + data[33:] if own else data[1:]
    end = read_envelope(io.BytesIO(START + trailer)).end()
    assert len(trailer) == SEALED.header.trailer_size
    assert end.hash == HASH.digest()
    assert (end.trailer, end.id) == (trailer, envelope_id(end.hash, trailer))
    assert own == (trailer[32:64] == OWN)
    check_seal(SEALED.header, READER, OPENED, end)
    assert own, "a tag that the source did not make is taken"


run(target, [b"\x00" + SEALED.trailer(HASH.digest())[:64], b"\x01" + bytes(64), b"\x00" + bytes(96), b"\x01"])
