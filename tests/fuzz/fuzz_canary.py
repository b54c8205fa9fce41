"""Fuzzes lists of canaries and messages that may be canaries."""

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.canary_list import CanaryList, message_of, token_of

from harness import run


def target(data: bytes) -> None:
    if (token := token_of(data)) is not None:
        assert message_of(token) == data
    assert CanaryList.parse(data).encode() == data


TOKENS = tuple(bytes([number]) * 16 for number in range(3))
run(target, [message_of(TOKENS[1]), CanaryList(TOKENS[0], TOKENS).encode(), CanaryList(TOKENS[0], ()).encode()])
