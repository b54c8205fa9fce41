"""Fuzzes what a person types for a Passphrase."""

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats import wordlists
    from tipbox.formats.passphrase import Passphrase, doubt

from harness import run, vectors


def target(data: bytes) -> None:
    text = data.decode(errors="replace")
    doubts = doubt(text)
    assert all(at < doubts.count for at in doubts.wrong)
    found = Passphrase.parse(text)
    assert Passphrase.parse(found.digits()) == found
    for language in wordlists.PINS:
        assert Passphrase.parse(" ".join(found.words(language))) == found


run(target, vectors("passphrase", "text"))
