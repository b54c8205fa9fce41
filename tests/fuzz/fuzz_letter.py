"""Fuzzes the plaintext of a letter, as that of a tip and as that of a reply: who sealed it is a stranger."""

from datetime import date

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.errors import TipboxError
    from tipbox.formats.base import padding
    from tipbox.formats.envelopes.consent import Consent
    from tipbox.formats.envelopes.header import Kind
    from tipbox.formats.envelopes.letter import FileEntry, Letter

from harness import run


def target(data: bytes) -> None:
    # The padding is made here, so that the fuzzer's bytes are the rest.
    plaintext = data if len(data) > 1 << 16 else data.ljust(padding.letter_size(len(data)), b"\x00")
    read = []
    for kind in Kind:
        try:
            found = Letter.parse(plaintext, kind)
        except TipboxError:
            continue
        assert found.encode(kind) == plaintext
        read.append(kind)
    assert len(read) < 2, "one plaintext is a letter of both kinds"


FILES = (FileEntry("a", 1, "text/plain"), FileEntry("ы.jpg", 0, ""))
CONSENT = Consent(4, ask_me=True, never=("the army", "ы"), until=date(2027, 1, 18))
TIPS = (
    Letter(b"message", (), bytes(32), bytes(16)),
    Letter(b"", FILES, bytes(32), bytes(16), language="kk-Cyrl", continues=bytes(32), files_follow=7),
    Letter(b"x", FILES, bytes(32), bytes(16), consent=CONSENT, sections=("AAAA",)),
)
REPLIES = (
    Letter(b"message", (), bytes(32), bytes(16), day=date(2026, 11, 23)),
    Letter(b"x", FILES, bytes(32), bytes(16), language="ru", answers=bytes(16), day=date(2026, 11, 23)),
)
run(
    target,
    [
        letter.encode(kind).rstrip(b"\x00")
        for kind, all_of in zip(Kind, (TIPS, REPLIES), strict=True)
        for letter in all_of
    ],
)
