"""Fuzzes whole Envelopes as a desk reads them, with the private key of the vectors."""

import io
import json

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.envelopes.envelope import open_files, read_envelope
    from tipbox.formats.envelopes.header import open_slot
    from tipbox.formats.envelopes.letter import open_letter
    from tipbox.formats.envelopes.seals import check_seal

from harness import VECTORS, envelopes, run

GIVEN = json.loads((VECTORS / "envelope" / "files.json").read_bytes())["input"]
READER, SEED = bytes.fromhex(GIVEN["organisation"]), bytes.fromhex(GIVEN["keys"][0]["seed"])


def target(data: bytes) -> None:
    reading = read_envelope(io.BytesIO(data))
    opened = open_slot(reading.header, READER, lambda _: SEED)
    letter = open_letter(reading.header, opened.content_key, reading.letter)
    parts: list[bytes] = []
    for _ in open_files(reading, letter, parts.append):
        pass
    end = reading.end()
    check_seal(reading.header, READER, opened, end)
    assert reading.header.encoded + reading.letter + b"".join(parts) + end.trailer == data


run(target, [envelope for envelope in envelopes("envelope") if len(envelope) < 1 << 16])
