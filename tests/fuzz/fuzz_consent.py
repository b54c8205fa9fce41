"""Fuzzes the consent in a letter: what is read is the one spelling of what it says."""

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.base import canonical
    from tipbox.formats.envelopes.consent import LEVELS, Consent

from harness import run


def target(data: bytes) -> None:
    found = Consent.from_json(canonical.decode(data))
    assert canonical.encode(found.to_json()) == data
    assert LEVELS[found.level]


SEEDS = (
    b'{"ask_me":false,"level":0,"never":[],"until":""}',
    '{"ask_me":true,"level":5,"never":["the army","ы\u2028"],"until":"2027-01-18"}'.encode(),
    b'{"ask_me":true,"level":2,"never":["a","b","c","d","e","f","g","h"],"until":"9999-12-31"}',
)
run(target, SEEDS)
