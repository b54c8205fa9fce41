"""Fuzzes replies as a source reads them, with the pair key of the vectors."""

import io
import json

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.envelopes.envelope import open_files, read_envelope
    from tipbox.formats.envelopes.header import Kind
    from tipbox.formats.envelopes.reply import open_reply
    from tipbox.formats.envelopes.seals import envelope_id

from harness import VECTORS, envelopes, run

PAIR_KEY = bytes.fromhex(json.loads((VECTORS / "reply" / "plain.json").read_bytes())["input"]["pair_key"])


def target(data: bytes) -> None:
    reading = read_envelope(io.BytesIO(data), Kind.REPLY)
    letter = open_reply(reading, PAIR_KEY)
    assert letter.day is not None
    assert letter.consent is None
    parts: list[bytes] = []
    for _ in open_files(reading, letter, parts.append):
        pass
    end = reading.end()
    assert (end.trailer, end.id) == (b"", envelope_id(end.hash))
    assert reading.header.encoded + reading.letter + b"".join(parts) == data


run(target, envelopes("reply"))
