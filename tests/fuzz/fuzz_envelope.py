"""Fuzzes whole Envelopes as a desk reads them, with the private key of the vectors."""

import io
import json

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.envelopes.body import open_body, split_files
    from tipbox.formats.envelopes.envelope import EnvelopeId, read_envelope
    from tipbox.formats.envelopes.header import open_slot
    from tipbox.formats.envelopes.letter import open_letter

from harness import VECTORS, run, vectors

GIVEN = json.loads((VECTORS / "envelope" / "files.json").read_bytes())["input"]
READER, SEED = bytes.fromhex(GIVEN["organisation"]), bytes.fromhex(GIVEN["keys"][0]["seed"])


def target(data: bytes) -> None:
    reading = read_envelope(io.BytesIO(data))
    envelope_id = EnvelopeId(reading.header.encoded, reading.letter)
    opened = open_slot(reading.header, READER, lambda _: SEED)
    letter = open_letter(reading.header, opened.content_key, reading.letter)
    parts = list(reading.parts)
    for part in parts:
        envelope_id.add(part)
    for _ in split_files(open_body(reading.header, letter.body_key, parts), [file.size for file in letter.files]):
        pass
    assert reading.header.encoded + reading.letter + b"".join(parts) == data


run(target, [envelope for envelope in vectors("envelope", "envelope") if len(envelope) < 1 << 16])
