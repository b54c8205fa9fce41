"""Fuzzes reading a backup whose records say whatever they want, rightly sealed, and the small records by themselves."""

import io
from contextlib import suppress
from datetime import date
from typing import Any

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.errors import TipboxError
    from tipbox.server.backup import backup_records
    from tipbox.server.backup import container as backup_file
    from tipbox.server.backup.operator_key import PublicKey

from harness import run

from tipbox.formats.base.limits import PART_SIZE
from tipbox.formats.base.padding import padme
from tipbox.formats.base.primitives import random_bytes, seal_part, xwing_public

SEED = bytes(32)
OUT = io.BytesIO()
WRITER = backup_file.Writer(OUT, xwing_public(SEED))
SMALL: dict[int, Any] = {
    backup_file.Kind.ABOUT: backup_records.About,
    backup_file.Kind.ORGANISATION: backup_records.KnownOrganisation,
    backup_file.Kind.END: backup_records.End,
}


def sealed(plaintext: bytes) -> bytes:
    """A backup of these bytes under the one header."""
    pieces = [plaintext[at : at + PART_SIZE] for at in range(0, len(plaintext), PART_SIZE)] or [b""]
    last = len(pieces) - 1
    parts = (seal_part(WRITER._cipher, at, piece, last=at == last) for at, piece in enumerate(pieces))
    return b"".join((WRITER.header, *parts))


def target(data: bytes) -> None:
    with suppress(TipboxError):
        PublicKey.parse(data)
    with suppress(TipboxError):
        backup_records.Secrets.parse(data)
    size = 0
    for record in backup_file.Reader(io.BytesIO(sealed(data)), SEED).records():
        found = record.read()
        size += len(found)
        if record.kind in SMALL:
            with suppress(TipboxError):
                assert SMALL[record.kind].parse(found).encode() == found
    assert size <= len(data)


def example() -> bytes:
    """The records of a small backup, and their padding."""
    kind = backup_file.Kind
    organisation = backup_records.KnownOrganisation("kibhr", random_bytes(32), 7)
    records = (
        (kind.ABOUT, backup_records.About(bytes(16), date(2026, 11, 23)).encode()),
        (kind.SETTINGS, b"[limits]\n"),
        (kind.ORGANISATION, organisation.encode()),
        (kind.ENVELOPE, bytes(100)),
        (kind.END, backup_records.End(1).encode()),
    )
    data = b"".join(backup_file._RECORD.pack(number, len(found)) + found for number, found in records)
    return data.ljust(padme(len(data)), b"\x00")


run(target, [example(), b'{"onion":[],"server":""}'])
