"""Fuzzes the header of a Bundle."""

import base64
import json

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.bundles.bundle import BundleHeader

from harness import VECTORS, run


def target(data: bytes) -> None:
    found = BundleHeader.parse(data)
    assert found.encode() == data
    found.unwrap(bytes(32))


PIECES = [json.loads(path.read_bytes())["input"]["pieces"][0] for path in sorted(VECTORS.glob("bundle/*.json"))]
run(target, {base64.b64decode(piece["base64"]) for piece in PIECES})
