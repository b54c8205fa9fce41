"""Fuzzes what a person types for an access code."""

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats import wordlists
    from tipbox.formats.access_code import AccessCode, doubt

from harness import run, vectors


def target(data: bytes) -> None:
    text = data.decode(errors="replace")
    doubts = doubt(text)
    assert all(at < doubts.count for at in doubts.wrong)
    found = AccessCode.parse(text)
    assert AccessCode.parse(found.digits()) == found
    for language in wordlists.PINS:
        assert AccessCode.parse(" ".join(found.words(language))) == found


run(target, vectors("passphrase", "text"))
