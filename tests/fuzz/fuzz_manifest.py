"""Fuzzes Key manifests: whole files, and objects that an identity key signs for whatever they say."""

from datetime import date

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.errors import TipboxError
    from tipbox.formats.base import canonical, fields, labels
    from tipbox.formats.manifest import Manifest

from harness import run, vectors

from tipbox.formats.base.primitives import SigningKey, sign

KEY = SigningKey(bytes(32))
DAYS = (date.min, date(2026, 11, 23), date(2027, 1, 17), date.max)
IDENTITY = fields.to_base64(KEY.verify_key.encode())


def parse(file: bytes) -> None:
    found = Manifest.parse(file)
    assert found.encode() == file
    for day in DAYS:
        for ask in (found.check, found.current_key):
            try:
                ask(day)
            except TipboxError:
                continue
        found.check_replaces(found)


def signed(data: bytes) -> bytes:
    value = canonical.decode(data)
    if not isinstance(value, dict):
        return data
    value = {**value, "identity": IDENTITY}
    signature = sign(labels.MANIFEST, canonical.encode(value), KEY)
    return canonical.encode({**value, "signature": fields.to_base64(signature)}, file_form=True)


def target(data: bytes) -> None:
    parse(data if data.endswith(b"\n") else signed(data))


def seeds() -> list[bytes]:
    """The vectors' files, and what each of them says without its signature."""
    files = list(vectors("manifest", "file"))
    objects = []
    for file in files:
        try:
            value = canonical.decode(file, file_form=True)
        except TipboxError:
            continue
        if isinstance(value, dict):
            value.pop("signature", None)
            objects.append(canonical.encode(value))
    return files + objects


run(target, seeds())
