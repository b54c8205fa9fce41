"""Fuzzes the header of an Envelope."""

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.envelopes.header import Header

from harness import run, vectors


def target(data: bytes) -> None:
    found = Header.parse(data)
    assert found.encoded == data
    assert found.envelope_size > len(data)


run(target, [envelope[:size] for envelope in vectors("envelope", "envelope") for size in (1352, 3816)])
