"""Cases of kind ``backup`` (docs/format.md, section 9)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import oracle
from oracle import ALPHA, SERVER, SERVER_ID, Case, XWing, b64, case, flip, random, sha256

MAGIC = b"\x89tipbak\n"
HEADER = 1264
OPERATOR = XWing("operator")
Records = Sequence[tuple[int, bytes]]
ABOUT = oracle.compact({"day": "2026-11-23", "server": SERVER_ID.hex(), "version": 1})
END = oracle.compact({"envelopes": 0})


def header(
    label: str, *, magic: bytes = MAGIC, version: int = 1, reserved: bytes = bytes(7), bad: bool = False
) -> bytes:
    """The first 1,264 bytes; ``bad``: a commitment to another key."""
    key, salt = random(f"{label}/key"), random(f"{label}/salt")
    committed = random(f"{label}/other key") if bad else key
    commitment = oracle.hkdf(committed, salt, b"tipbox/v1/backup-commitment")
    fixed = magic + bytes([version]) + reserved + OPERATOR.id + salt + commitment
    return fixed + oracle.hpke_seal(OPERATOR, b"tipbox/v1/backup-key" + fixed, key, f"{label}/wrap")


def secrets(label: str, head: bytes) -> bytes:
    key_file = oracle.file_form(
        {"signing": b64(random("server signing")), "version": 1, "xwing": b64(random("server"))}
    )
    onion = [{"data": b"secret".hex(), "name": "source/hs_ed25519_secret_key"}]
    plaintext = oracle.compact({"onion": onion, "server": key_file.decode()})
    return oracle.hpke_seal(OPERATOR, b"tipbox/v1/backup-secrets" + sha256(head), plaintext, f"{label}/secrets")


def plaintext(records: Records, *, padding: bytes | None = None) -> bytes:
    data = b"".join(struct.pack(">BQ", kind, len(content)) + content for kind, content in records)
    return data + (bytes(oracle.padme(len(data)) - len(data)) if padding is None else padding)


def sealed(label: str, head: bytes, data: bytes) -> bytes:
    key = oracle.hkdf(random(f"{label}/key"), sha256(head), b"tipbox/v1/backup-stream")
    return head + b"".join(oracle.seal_parts(key, data))


def small(label: str) -> Records:
    """An organisation, settings, no Envelope."""
    known = oracle.compact({"identity": b64(ALPHA.identity.public), "name": "alpha", "sequence": 7})
    settings = b"[retention]\ndays = 60\n"
    return [(1, ABOUT), (2, secrets(label, header(label))), (3, settings), (4, known), (7, END)]


def cases() -> Iterator[Case]:
    def made(
        name: str, expect: str, comment: str, file: bytes, *, records: Records = (), key: XWing = OPERATOR
    ) -> Case:
        listed = [{"kind": kind, "sha256": sha256(content).hex(), "size": len(content)} for kind, content in records]
        given = {"file": b64(file), "seed": key.seed.hex()}
        return case(f"backup/{name}", expect, comment, given, {"records": listed} if expect == "ok" else None)

    def of(label: str, records: Records, padding: bytes | None = None) -> bytes:
        return sealed(label, header(label), plaintext(records, padding=padding))

    good = of("small", small("small"))
    yield made("small", "ok", "an organisation, settings, no Envelope", good, records=small("small"))
    large = [(1, ABOUT), (2, secrets("large", header("large"))), (3, b"# " * 32768), (7, END)]
    yield made("two-parts", "ok", "records that run over the border of a part", of("large", large), records=large)

    yield made("magic", "not-tipbox", "the magic of a Bundle", b"\x89tipbdl\n" + good[8:])
    yield made("nothing", "truncated", "no bytes", b"")
    yield made("magic-cut", "truncated", "the file ends within the magic", good[:5])
    yield made("truncated-header", "truncated", "the file ends within the header", good[: HEADER - 1])
    yield made("truncated-empty", "truncated", "nothing after the header", good[:HEADER])
    yield made("version", "version", "version 2", sealed("v", header("v", version=2), plaintext(small("v"))))
    head = header("reserved", reserved=b"\x00" * 6 + b"\x01")
    yield made("reserved", "malformed", "a reserved byte is not zero", sealed("reserved", head, plaintext(small("r"))))
    yield made("key", "unknown-key", "sealed to another key", good, key=XWing("another operator"))
    head = header("commitment", bad=True)
    yield made(
        "commitment", "commitment", "a commitment to another key", sealed("commitment", head, plaintext(small("r")))
    )
    for name, offset in (("salt", 40), ("enc", 100), ("wrapped", HEADER - 1), ("part", HEADER), ("tag", len(good) - 1)):
        yield made(f"{name}-flipped", "tampered", f"a bit of the {name} changed", flip(good, offset))
    yield made("cut", "tampered", "the last byte is missing", good[:-1])
    yield made("appended", "tampered", "a byte too many", good + b"\x00")
    yield made("order", "malformed", "settings before the secrets", of("o", [(1, ABOUT), (3, b""), (2, b""), (7, END)]))
    yield made("first", "malformed", "it does not begin with what it is about", of("f", [(2, b""), (7, END)]))
    nonzero = bytes(len(plaintext(small("p"))) - len(plaintext(small("p"), padding=b"")) - 1) + b"\x01"
    yield made("kind", "malformed", "a record of kind 8", of("k", [(1, ABOUT), (8, b"")]))
    yield made("no-end", "malformed", "no record says that this is the end", of("n", [(1, ABOUT)]))
    yield made("large", "limit", "4,097 bytes of what it is about", of("l", [(1, bytes(4097))]))
    yield made("padding", "malformed", "padding that is not zero", of("p", small("p"), padding=nonzero))
    yield made("unpadded", "trailing", "more padding than Padmé's", of("u", small("u"), padding=bytes(8192)))


assert sha256(b"tipbox/v1/server", SERVER.public)[:16] == SERVER_ID
