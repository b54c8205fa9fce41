"""Fuzzes the plaintext of a letter: who sealed it is a stranger."""

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.base import padding
    from tipbox.formats.envelopes.letter import FileEntry, Letter

from harness import run


def target(data: bytes) -> None:
    # The padding is made here, so that the fuzzer's bytes are the rest.
    plaintext = data if len(data) > 1 << 16 else data.ljust(padding.letter_size(len(data)), b"\x00")
    assert Letter.parse(plaintext).encode() == plaintext


FILES = (FileEntry("a", 1, "text/plain"), FileEntry("ы.jpg", 0, ""))
SEEDS = (
    Letter(b"message", (), bytes(32), bytes(16)),
    Letter(b"", FILES, bytes(32), bytes(16), language="kk-Cyrl"),
    Letter(b"x", FILES, bytes(32), bytes(16), mailbox=bytes(32), reply_key=bytes(1216)),
    Letter(b"x", FILES, bytes(32), bytes(16), "reply", consent={"a": [None]}, sections=("AAAA",)),
)
run(target, [letter.encode().rstrip(b"\x00") for letter in SEEDS])
