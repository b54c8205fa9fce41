"""Fuzzes locked files; Argon2id makes it slow where a file has the right shape."""

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.locked_file import Kind, unlock

from harness import run, vectors


def target(data: bytes) -> None:
    for kind in Kind:
        unlock(kind, b"passphrase", data)


run(target, vectors("locked", "file"))
