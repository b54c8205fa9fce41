"""Fuzzes acknowledgements: whole ones, and lists that a desk signs for whatever they say."""

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.base import canonical, fields, labels
    from tipbox.formats.bundles.acknowledgement import read_acknowledgement

from harness import run, vectors

from tipbox.formats.base.primitives import SigningKey, sign

KEY = SigningKey(bytes(32))


def target(data: bytes) -> None:
    value = canonical.decode(data)
    if isinstance(value, dict) and "signature" not in value:
        signature = sign(labels.ACK, data, KEY)
        data = canonical.encode({**value, "signature": fields.to_base64(signature)})
    found = read_acknowledgement(data, KEY.verify_key.encode())
    assert found == sorted(set(found))


run(target, [*vectors("acknowledgement", "data"), b'{"envelopes":["' + b"0" * 64 + b'"]}'])
