"""Cases of kind ``capsule`` (docs/format.md, section 14): what continues an upload, and the opening it vouches for."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import make_envelope
import oracle
from make_envelope import Envelope, File
from oracle import ALPHA, BETA, GAMMA, Case, b64, case, flip, random, sha256

SLOTS = 32


@cache
def photos() -> Envelope:
    """A tip with two files and no words, for two of three organisations."""
    files = (File("фото.jpg", random("capsule/a.jpg", 3000), "image/jpeg"), File("b.bin", bytes(5000)))
    to = [make_envelope.to(ALPHA), make_envelope.to(BETA, filler=True), make_envelope.to(GAMMA)]
    return make_envelope.seal("capsule", to, b"", files)


def slots_of(envelope: Envelope) -> list[bytes]:
    """The seal secret of each slot, empty where it was not chosen."""
    return [b"" if slot.pair_key is None else envelope.secret_of(place) for place, slot in enumerate(envelope.slots)]


def plain(envelope: Envelope, *, chosen: int | None = None, secrets: Sequence[bytes] | None = None) -> bytes:
    secrets = slots_of(envelope) if secrets is None else secrets
    if chosen is None:
        chosen = sum(1 << place for place, secret in enumerate(secrets) if secret)
    placed = b"".join((secret or bytes(32)) for secret in secrets).ljust(32 * SLOTS, b"\x00")
    return b"".join((
        random("capsule/token"), sha256(envelope.header), sha256(envelope.letter), envelope.content_key,
        struct.pack(">I", chosen), placed,
    ))  # fmt: skip


def sealed(source: oracle.Source, plaintext: bytes) -> bytes:
    salt = random("capsule/salt")
    return salt + oracle.gcm(oracle.hkdf(source.resume, salt, b"tipbox/v1/capsule"), bytes(12), plaintext)


def place(source: oracle.Source, number: int) -> bytes:
    return oracle.hkdf(source.resume, b"", b"tipbox/v1/place" + bytes([number]))


def cases() -> Iterator[Case]:
    source, envelope = make_envelope.source(), photos()
    opening = envelope.header + envelope.letter

    def given(capsule: bytes, front: bytes) -> Case:
        return {"passphrase": source.passphrase.hex(), "capsule": b64(capsule), "opening": b64(front)}

    def reads(name: str, comment: str, of: Envelope) -> Case:
        secrets = slots_of(of)
        output: dict[str, Any] = {
            "places": [place(source, number).hex() for number in range(4)],
            "addresses": [sha256(place(source, number)).hex() for number in range(4)],
            "token": random("capsule/token").hex(),
            "header_hash": sha256(of.header).hex(),
            "letter_hash": sha256(of.letter).hex(),
            "content_key": of.content_key.hex(),
            "secrets": [secret.hex() for secret in secrets] + [""] * (SLOTS - len(secrets)),
            "meta": of.meta.decode(),
        }
        capsule = sealed(source, plain(of))
        assert len(capsule) == 1204, "as the page says"
        return case(f"capsule/{name}", "ok", comment, given(capsule, of.header + of.letter), output)

    def fails(name: str, expect: str, comment: str, capsule: bytes, front: bytes = opening) -> Case:
        return case(f"capsule/{name}", expect, comment, given(capsule, front))

    yield reads("two-of-three", "two files for two of three organisations", envelope)
    single = make_envelope.seal("capsule of one", [make_envelope.to(BETA)], b"", (File("v.mp4", bytes(65537)),))
    yield reads("one", "one organisation, two parts", single)

    good = sealed(source, plain(envelope))
    yield fails("short", "malformed", "a byte too few", good[:-1])
    yield fails("long", "malformed", "a byte too many", good + b"\x00")
    yield fails("random", "tampered", "random bytes, as of who did not ask", random("capsule/random", 1204))
    yield fails("zeros", "tampered", "zeros, as where there is none", bytes(1204))
    yield fails("salt", "tampered", "another salt", flip(good, 0))
    yield fails("ciphertext", "tampered", "a byte of the ciphertext is another", flip(good, 700))
    yield fails("other-code", "tampered", "of another access code", sealed(oracle.Source("two"), plain(envelope)))
    secrets = slots_of(envelope)
    nobody = plain(envelope, secrets=[b"", b"", b""])
    yield fails("nobody", "malformed", "nobody is chosen", sealed(source, nobody))
    mask = sum(1 << slot for slot, secret in enumerate(secrets) if secret)
    stray = plain(envelope, chosen=mask, secrets=[secret or random("capsule/stray") for secret in secrets])
    yield fails("stray-secret", "malformed", "a secret of who was not chosen", sealed(source, stray))
    beyond = plain(envelope, secrets=[*secrets, random("capsule/beyond")])
    yield fails("beyond", "malformed", "a fourth slot is chosen, of three", sealed(source, beyond))

    yield fails("opening-magic", "not-tipbox", "the opening is of no Envelope", good, flip(opening, 0))
    yield fails("opening-version", "version", "the opening is of version 0", good, flip(opening, 8))
    yield fails("opening-cut", "truncated", "the opening ends within the header", good, opening[:4000])
    yield fails("opening-header", "tampered", "another header: a byte of a slot", good, flip(opening, 300))
    yield fails("opening-letter", "tampered", "another letter", good, flip(opening, len(opening) - 1))
    yield fails("opening-short", "tampered", "the letter is cut", good, opening[:-1])
    yield fails("opening-long", "tampered", "a byte behind the letter", good, opening + b"\x00")
    yield fails(
        "opening-other", "tampered", "the opening of another upload of this source", good, single.header + single.letter
    )

    def of(made: Envelope) -> tuple[bytes, bytes]:
        return sealed(source, plain(made)), made.header + made.letter

    words = make_envelope.seal("capsule of words", [make_envelope.to(ALPHA)], b"text")
    yield fails("no-body", "malformed", "an Envelope without files", *of(words))
    both = make_envelope.seal("capsule of both", [make_envelope.to(ALPHA)], b"text", (File("f", bytes(1000)),))
    yield fails("message", "malformed", "a letter with a message beside its file", *of(both))
    wrong = sealed(source, plain(envelope)[:96] + random("capsule/key") + plain(envelope)[128:])
    yield fails("content-key", "tampered", "another content key: the letter does not open", wrong)
