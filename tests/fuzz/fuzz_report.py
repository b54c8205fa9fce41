"""Fuzzes reports."""

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.bundles.report import Report

from harness import run, vectors


def target(data: bytes) -> None:
    found = Report.parse(data)
    assert Report.parse(found.encode()) == Report(found.bundles, tuple(sorted(found.refused)))


run(target, vectors("report", "data"))
