"""Fuzzes canonical JSON: what is read is the one spelling of its value."""

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.base import canonical

from harness import run, vectors


def target(data: bytes) -> None:
    file_form = data.endswith(b"\n")
    assert canonical.encode(canonical.decode(data, file_form=file_form), file_form=file_form) == data


run(target, vectors("canonical", "data"))
