"""Fuzzes the list of a mailbox, the requests to it, and both as files."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.errors import TipboxError
    from tipbox.formats import mailbox_list as mailbox
    from tipbox.formats import request_file
    from tipbox.formats.base.limits import MAILBOX_LIST

from harness import VECTORS, run

TOKENS = [bytes([number]) * 32 for number in range(32)]
FIXED = b"".join(TOKENS)


def target(data: bytes) -> None:
    # The fuzzer need not find sizes, nor 32 tokens in order.
    pairs: tuple[tuple[Callable[[bytes], Any], Callable[[Any], bytes]], ...] = (
        (lambda data: mailbox.parse_tokens(data[: mailbox.LIST_REQUEST]), mailbox.encode_tokens),
        (
            lambda data: mailbox.parse_piece((FIXED + data)[: mailbox.PIECE_REQUEST]),
            lambda found: mailbox.encode_piece(TOKENS, *found)[mailbox.LIST_REQUEST :],
        ),
        (request_file.RequestFile.parse, lambda found: found.encode()),
        (request_file.RequestFile.from_pasted, lambda found: base64.b64encode(found.encode())),
        (
            lambda data: request_file.AnswerPiece.parse(data.ljust(request_file.ANSWER_PIECE, b"\x00")),
            lambda found: found.encode(),
        ),
        (
            lambda data: mailbox.parse_delete((FIXED + data).ljust(mailbox.DELETE_REQUEST, b"\x00")),
            lambda found: mailbox.encode_delete(TOKENS, found)[mailbox.LIST_REQUEST :],
        ),
    )
    for read, encode in pairs:
        try:
            found = read(data)
        except TipboxError:
            continue
        assert read(encode(found)) == found
    padded = data.ljust(MAILBOX_LIST, b"\x00")
    assert mailbox.MailboxList.parse(padded).encode() == padded


def seeds() -> Iterator[bytes]:
    for path in sorted(VECTORS.glob("mailbox/*.json")):
        yield base64.b64decode(json.loads(path.read_bytes())["input"]["pieces"][0]["base64"])


SHORT = [FIXED, bytes(32), bytes(36), TOKENS[1] * 3]
run(target, [*seeds(), *SHORT, base64.b64encode(FIXED), request_file.AnswerPiece.head(TOKENS[0], 1)])
