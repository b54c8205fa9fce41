"""Fuzzes the header of an Envelope."""

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.envelopes.header import PREFIX, Header, Kind, header_size

from harness import envelopes, run


def target(data: bytes) -> None:
    found = Header.parse(data)
    assert found.encoded == data
    assert header_size(data[:PREFIX]) == len(data)
    assert found.envelope_size > len(data)
    assert (found.kind is Kind.REPLY) == (not found.slots)


run(
    target,
    [
        *(envelope[:size] for envelope in envelopes("envelope") for size in (1416, 4008)),
        *(envelope[:120] for envelope in envelopes("reply")),
    ],
)
