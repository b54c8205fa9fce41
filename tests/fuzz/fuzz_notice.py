"""Fuzzes notices."""

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.base.primitives import SigningKey
    from tipbox.formats.notice import Notice

from datetime import date

from harness import run


def target(data: bytes) -> None:
    assert Notice.parse(data).encode() == data


NOTICE = Notice(bytes(16), date(2026, 11, 23), date(2026, 12, 7), {"kk": "Көпір", "ru": "Мост\nobfs4"})
run(target, [NOTICE.signed_by(SigningKey(bytes(range(32)))).encode()])
