"""Fuzzes replies as a source reads them, with the access code of the vectors."""

import io
import json

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.access_code import AccessCode
    from tipbox.formats.envelopes.envelope import read_envelope
    from tipbox.formats.envelopes.reply import open_reply

from harness import VECTORS, run, vectors

GIVEN = json.loads((VECTORS / "reply" / "plain.json").read_bytes())["input"]
SECRETS = AccessCode(int.from_bytes(bytes.fromhex(GIVEN["passphrase"]))).secrets()
KNOWN = [bytes.fromhex(one) for one in GIVEN["organisations"]]


def target(data: bytes) -> None:
    found = open_reply(read_envelope(io.BytesIO(data)), SECRETS, KNOWN)
    assert found.letter.kind == "reply"
    assert found.organisation is None or found.organisation in KNOWN


run(target, vectors("reply", "envelope"))
