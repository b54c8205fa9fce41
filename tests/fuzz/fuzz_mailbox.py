"""Fuzzes the list of a mailbox and the requests to it."""

from collections.abc import Callable
from typing import Any

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.errors import TipboxError
    from tipbox.formats import mailbox_list as mailbox
    from tipbox.formats.base.limits import MAILBOX_LIST

import base64
import json
from collections.abc import Iterator

from harness import VECTORS, run


def target(data: bytes) -> None:
    pairs: tuple[tuple[Callable[[bytes], Any], Callable[[Any], bytes]], ...] = (
        (mailbox.parse_piece, lambda found: mailbox.encode_piece(*found)),
        (lambda data: mailbox.parse_delete(data.ljust(mailbox.DELETE_REQUEST, b"\x00")), mailbox.encode_delete),
    )
    for read, encode in pairs:
        try:
            found = read(data)
        except TipboxError:
            continue
        assert read(encode(found)) == found
    padded = data.ljust(MAILBOX_LIST, b"\x00")  # the fuzzer need not find the size
    assert mailbox.MailboxList.parse(padded).encode() == padded


def seeds() -> Iterator[bytes]:
    for path in sorted(VECTORS.glob("mailbox/*.json")):
        yield base64.b64decode(json.loads(path.read_bytes())["input"]["pieces"][0]["base64"])


run(target, seeds())
