"""Fuzzes what a person types for a Passphrase."""

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.passphrase import Passphrase

from harness import run, vectors


def target(data: bytes) -> None:
    found = Passphrase.parse(data.decode(errors="replace"))
    assert Passphrase.parse(found.digits()) == found


run(target, vectors("passphrase", "text"))
