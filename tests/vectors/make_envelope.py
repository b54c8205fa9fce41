"""Cases of kind ``envelope`` (docs/format.md, section 4)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import oracle
from oracle import ALPHA, BETA, GAMMA, Case, Organisation, XWing, b64, case, flip, random, sha256

MAGIC = b"\x89tipbox\n"


@dataclass(frozen=True)
class To:
    """A slot: whom it is for; a filler has no pair key."""

    organisation: bytes
    key: XWing
    pair_key: bytes | None


@dataclass(frozen=True)
class File:
    name: str
    data: bytes
    type: str = ""


@dataclass(frozen=True)
class Envelope:
    """A sealed Envelope and what was sealed."""

    header: bytes
    letter: bytes
    parts: tuple[bytes, ...]
    content_key: bytes
    meta: bytes
    message: bytes
    files: tuple[File, ...]

    @property
    def whole(self) -> bytes:
        return self.header + self.letter + b"".join(self.parts)

    @property
    def id(self) -> bytes:
        return sha256(self.header, self.letter, *map(sha256, self.parts))


@cache
def source() -> oracle.Source:
    return oracle.Source("one")


def to(organisation: Organisation, *, filler: bool = False) -> To:
    pair_key = None if filler else source().pair_key(organisation.id)
    return To(organisation.id, organisation.receiving, pair_key)


class SmallOrder(XWing):
    """A receiving key to which one seals with zero for the ephemeral X25519 key: the shared secret is zeros."""

    def encapsulate(self, randomness: bytes) -> tuple[bytes, bytes]:
        return self.combine(randomness, bytes(32), bytes(32))


def same(value: Any) -> Any:
    return value


def seal(
    label: str,
    recipients: list[To],
    message: bytes = b"",
    files: tuple[File, ...] = (),
    *,
    meta: dict[str, Any] | None = None,
    without: str = "",
    encoded: Callable[[bytes], bytes] = same,
    letter: Callable[[bytes], bytes] = same,
    body: Callable[[bytes], bytes] = same,
    flags: Callable[[int, int], bool] = lambda index, count: index == count - 1,
    fixed: dict[str, Any] | None = None,
    committed_body_key: bytes | None = None,
    sort: bool = True,
) -> Envelope:
    """Seal; the keyword arguments break one rule each and leave everything else in order."""
    content_key, body_key, salt = (random(f"{label}/{name}") for name in ("content key", "body key", "salt"))
    told = {
        "body_key": b64(body_key),
        "files": [{"name": file.name, "size": len(file.data), "type": file.type} for file in files],
        "id": random(f"{label}/message id", 16).hex(),
        "kind": "tip",
        "language": "ru",
        "mailbox": source().address.hex(),
        "reply_key": b64(source().reply.public),
        **(meta or {}),
    }
    told.pop(without, None)
    table = encoded(oracle.compact(told))
    content = len(table).to_bytes(4) + table + len(message).to_bytes(4) + message
    plaintext = letter(content.ljust(oracle.letter_size(len(content)), b"\x00"))
    joined = b"".join(file.data for file in files)
    padded = body(joined.ljust(oracle.padme(len(joined)), b"\x00"))
    content_commitment = oracle.hkdf(content_key, salt, b"tipbox/v1/content-commitment")
    body_commitment = oracle.hkdf(committed_body_key or body_key, salt, b"tipbox/v1/body-commitment")
    values = {
        "magic": MAGIC, "version": 1, "slots": len(recipients), "reserved": 0, "letter": len(plaintext),
        "body": len(padded), **(fixed or {}),
    }  # fmt: skip
    header = struct.pack(">8sBBHIQ", *values.values()) + salt + content_commitment + body_commitment
    ordered = sorted(recipients, key=lambda to: to.organisation) if sort else recipients
    for number, recipient in enumerate(ordered):
        info = b"tipbox/v1/slot" + recipient.organisation + recipient.key.id + content_commitment + body_commitment
        secret = (
            random(f"{label}/filler {number}", 64) if recipient.pair_key is None else content_key + recipient.pair_key
        )
        sealed = oracle.hpke_seal(recipient.key, info, secret, f"{label}/slot {number}")
        header += recipient.organisation + recipient.key.id + sealed
    header_hash = sha256(header)
    part_key = oracle.hkdf(body_key, header_hash, b"tipbox/v1/parts")
    pieces = oracle.cut(padded)
    return Envelope(
        header=header,
        letter=oracle.gcm(oracle.hkdf(content_key, header_hash, b"tipbox/v1/letter"), bytes(12), plaintext),
        parts=tuple(
            oracle.gcm(part_key, oracle.part_nonce(index, flags(index, len(pieces))), piece)
            for index, piece in enumerate(pieces)
        ),
        content_key=content_key,
        meta=table,
        message=message,
        files=files,
    )


def given(data: bytes, organisation: bytes = ALPHA.id, keys: list[XWing] | None = None) -> Case:
    held = [ALPHA.receiving] if keys is None else keys
    return {
        "envelope": b64(data),
        "organisation": organisation.hex(),
        "keys": [{"id": key.id.hex(), "seed": key.seed.hex()} for key in held],
        "destroyed": [],
    }


def ok(name: str, comment: str, envelope: Envelope, reader: Case | None = None, pair_key: bytes | None = None) -> Case:
    pair = pair_key or source().pair_key(ALPHA.id)
    header_hash = sha256(envelope.header)
    output = {
        "id": envelope.id.hex(),
        "header_hash": header_hash.hex(),
        "content_key": envelope.content_key.hex(),
        "pair_key": pair.hex(),
        "thread_id": oracle.thread_id(pair).hex(),
        "check_digits": oracle.check_digits(pair, header_hash),
        "meta": envelope.meta.decode(),
        "message_sha256": sha256(envelope.message).hex(),
        "files": [
            {"name": file.name, "size": len(file.data), "type": file.type, "sha256": sha256(file.data).hex()}
            for file in envelope.files
        ],
        "parts": len(envelope.parts),
    }
    return case(f"envelope/{name}", "ok", comment, reader or given(envelope.whole), output)


def fails(name: str, expect: str, comment: str, data: Envelope | bytes, **reader: Any) -> Case:
    return case(
        f"envelope/{name}",
        expect,
        comment,
        {**given(data if isinstance(data, bytes) else data.whole), **reader},
    )


def good() -> Iterator[Case]:
    """What must open, for readers of every sort."""
    three = [to(ALPHA), to(BETA), to(GAMMA, filler=True)]
    text = seal("text", three, "Директор продаёт места в общежитии.".encode())
    yield ok("text-only", "a tip with a message and no file; three slots, two addressed", text)
    yield ok(
        "text-only-second-reader",
        "the same Envelope, read by the other organisation that it is addressed to",
        text,
        given(text.whole, BETA.id, [BETA.receiving]),
        source().pair_key(BETA.id),
    )
    yield fails(
        "filler",
        "not-for-you",
        "the same Envelope, read by the organisation that was not chosen: its slot opens to a filler",
        text,
        **{name: value for name, value in given(b"", GAMMA.id, [GAMMA.receiving]).items() if name != "envelope"},
    )
    files = (
        File("фото.jpg", random("photo", 1500), "image/jpeg"),
        File("empty.txt", b"", "text/plain"),
        File("../../etc/passwd", b"root", ""),
        File("a\nb\u202egpj.exe\x1b[2J<b>", random("tricky", 37), "text/html; x=<script>"),
    )
    yield ok(
        "files", "message, files, an empty file, and names that must stay words", seal("files", three, b"see", files)
    )
    yield ok(
        "empty-file",
        "no message and one empty file: there is no body",
        seal("empty file", [to(ALPHA)], files=(files[1],)),
    )
    yield ok("one-byte", "the smallest body", seal("one byte", [to(ALPHA)], files=(File("1", b"\x00"),)))
    yield ok(
        "not-utf8",
        "a message is bytes: what is no UTF-8 is kept as it is",
        seal("not utf-8", [to(ALPHA)], b"caf\xe9 \xff\xfe\x00 end"),
    )
    bounds = (File("ы" * 127 + "x", b"x", "~" * 127),)
    yield ok("name-255", "a name of 255 bytes and a type of 127", seal("bounds", [to(ALPHA)], files=bounds))
    yield ok(
        "no-mailbox",
        "a tip without a way to answer, in no language",
        seal("no mailbox", [to(ALPHA)], b"!", meta={"language": "", "mailbox": "", "reply_key": ""}),
    )
    reserved = {"consent": {"later": [1, None, True, {"a": "b"}]}, "sections": ["AAAA", ""]}
    yield ok("reserved", "consent and sections are kept, not read", seal("reserved", [to(ALPHA)], b"!", meta=reserved))
    edge = seal("letter edge", [to(ALPHA)], b"x")
    room = 8192 - (4 + len(edge.meta) + 4)
    yield ok(
        "letter-full",
        "a message that fills the smallest letter to the last byte",
        seal("letter edge", [to(ALPHA)], b"x" * room),
    )
    yield ok("letter-second", "one byte more takes the next size", seal("letter edge", [to(ALPHA)], b"x" * (room + 1)))
    yield ok(
        "letter-padme",
        "a letter above the largest of the three sizes is padded by Padmé",
        seal("letter edge", [to(ALPHA)], b"x" * 69_700),
    )
    yield ok("parts-two", "one byte more than a part; padding makes the second part longer", two_parts())
    reply = seal(
        "reply",
        [To(source().address[:16], source().reply, source().pair_key(ALPHA.id))],
        "Спасибо. Когда это было?".encode(),
        (File("form.pdf", random("form", 300), "application/pdf"),),
        meta={"kind": "reply", "mailbox": "", "reply_key": ""},
    )
    mailbox = given(reply.whole, source().address[:16], [source().reply])
    yield ok("reply", "a reply, read by the source", reply, mailbox)
    old = XWing("organisation alpha/earlier")
    yield ok(
        "two-keys",
        "a reader with two keys takes the one that the slot names",
        text,
        given(text.whole, keys=[old, ALPHA.receiving]),
    )
    crowd = [To(random(f"crowd {n}", 16), BETA.receiving, None) for n in range(31)]
    yield ok("slots-32", "as many slots as there can be", seal("crowd", [to(ALPHA), *crowd], b"many"))


@cache
def two_parts() -> Envelope:
    return seal("two parts", [to(ALPHA)], files=(File("long", random("long", 65537)),))


def headers() -> Iterator[Case]:
    """Section 4.1: what a decoder rejects without any key."""
    whole = seal("text", [to(ALPHA)], b"text")

    def broken(rule: str, **fixed: Any) -> Envelope:
        return seal(f"header {rule}", [to(ALPHA)], b"text", fixed=fixed)

    yield fails("header-empty", "truncated", "no bytes at all", b"")
    yield fails("header-magic-cut", "truncated", "the file ends within the magic", whole.whole[:5])
    yield fails("header-version-missing", "truncated", "the file ends after the magic", whole.whole[:8])
    yield fails("header-fixed-cut", "truncated", "the file ends within the fixed fields", whole.whole[:60])
    yield fails("header-slots-cut", "truncated", "the file ends one byte before the header does", whole.header[:-1])
    yield fails("letter-missing", "truncated", "the file ends after the header", whole.header)
    yield fails("letter-cut", "truncated", "the file ends one byte before the letter does", whole.whole[:-1])
    yield fails("header-magic", "not-tipbox", "another magic: a PNG", broken("magic", magic=b"\x89PNG\r\n\x1a\n"))
    yield fails("header-magic-bundle", "not-tipbox", "the magic of a Bundle", broken("magic", magic=b"\x89tipbdl\n"))
    yield fails(
        "header-magic-crlf",
        "not-tipbox",
        "a copy as text turned the line feed into CR LF",
        MAGIC[:-1] + b"\r\n" + whole.whole[8:],
    )
    yield fails("header-version-0", "version", "version 0", broken("version", version=0))
    yield fails("header-version-2", "version", "version 2", broken("version", version=2))
    yield fails("header-slots-0", "limit", "no slot", seal("no slots", [], b"text"))
    crowd = [To(random(f"crowd {n}", 16), BETA.receiving, None) for n in range(32)]
    yield fails("header-slots-33", "limit", "one slot too many", seal("too many", [to(ALPHA), *crowd], b"text"))
    yield fails(
        "header-body-limit",
        "limit",
        "a body of 2^40 + 2^35 bytes, a size of Padmé above the bound",
        broken("body", body=2**40 + 2**35),
    )
    yield fails(
        "header-body-huge", "limit", "the largest body size that the field can hold", broken("body", body=2**64 - 1)
    )
    yield fails(
        "header-reserved-first", "malformed", "the first reserved byte is not zero", broken("reserved", reserved=0x0100)
    )
    yield fails(
        "header-reserved-last", "malformed", "the second reserved byte is not zero", broken("reserved", reserved=1)
    )
    yield fails("header-letter-0", "malformed", "a letter size of zero", broken("letter", letter=0))
    yield fails("header-letter-size", "malformed", "a letter size between two sizes", broken("letter", letter=8193))
    # Read by nobody in particular: the letter, once open, would show the wrong size as well.
    nobody = {"organisation": random("nobody", 16).hex(), "keys": []}
    odd = broken("padme", body=65537)
    yield fails("header-body-padme", "malformed", "a body size that Padmé cannot produce", odd, **nobody)
    yield fails(
        "header-order",
        "malformed",
        "slots in descending order",
        seal("order", sorted([to(ALPHA), to(BETA)], key=lambda to: to.organisation, reverse=True), b"text", sort=False),
    )
    yield fails(
        "header-two-slots",
        "malformed",
        "two slots for one organisation",
        seal("twice", [to(ALPHA), to(ALPHA)], b"text"),
    )


def slots() -> Iterator[Case]:
    """Section 4.2: the outcomes of opening a slot."""
    recipients = [to(ALPHA), to(BETA)]
    whole = seal("slots", recipients, b"text")
    mine, theirs = (120 + 1232 * at for at in ((0, 1) if ALPHA.id < BETA.id else (1, 0)))
    yield fails(
        "not-addressed", "not-addressed", "no slot has the reader's organisation id", whole, organisation=GAMMA.id.hex()
    )
    yield fails("unknown-key", "unknown-key", "the slot names a key that the reader never had", whole, keys=[])
    yield fails(
        "too-late",
        "too-late",
        "the slot names a key that the reader destroyed",
        whole,
        keys=[],
        destroyed=[ALPHA.receiving.id.hex()],
    )
    other = {"id": ALPHA.receiving.id.hex(), "seed": GAMMA.receiving.seed.hex()}
    yield fails(
        "slot-other-seed", "tampered", "the private key under the slot's key id is another", whole, keys=[other]
    )
    data = whole.whole
    yield fails(
        "slot-mlkem-flipped",
        "tampered",
        "a bit of the ML-KEM half of enc changed in the reader's slot",
        flip(data, mine + 32),
    )
    yield fails(
        "slot-x25519-flipped",
        "tampered",
        "a bit of the X25519 half of enc changed in the reader's slot",
        flip(data, mine + 32 + 1088),
    )
    yield fails(
        "slot-x25519-small",
        "tampered",
        "the X25519 half of enc is of small order; X-Wing alone would open it",
        seal(
            "small enc", [To(ALPHA.id, SmallOrder("organisation alpha/receiving"), source().pair_key(ALPHA.id))], b"x"
        ),
    )
    yield fails(
        "slot-ciphertext-flipped",
        "tampered",
        "a bit of the ciphertext changed in the reader's slot",
        flip(data, mine + 1152),
    )
    yield fails(
        "slot-tag-flipped", "tampered", "a bit of the tag changed in the reader's slot", flip(data, mine + 1231)
    )
    yield fails(
        "slot-other-reader-flipped",
        "tampered",
        "a bit changed in another reader's slot: the letter's key covers the whole header",
        flip(data, theirs + 1200),
    )
    yield fails(
        "slot-other-key-id-flipped", "tampered", "a bit of another reader's key id changed", flip(data, theirs + 16)
    )
    again = seal("slots again", recipients, b"text")
    moved = data[:mine] + again.whole[mine : mine + 1232] + data[mine + 1232 :]
    yield fails("slot-moved", "tampered", "the reader's slot comes from another Envelope to the same readers", moved)
    yield fails(
        "salt-flipped",
        "not-for-you",
        "a bit of the salt changed: the slot opens, and no key is the committed one",
        flip(data, 24),
    )
    yield fails(
        "content-commitment-flipped",
        "tampered",
        "a bit of the content commitment changed: the slots cover it",
        flip(data, 56),
    )
    yield fails(
        "body-commitment-flipped",
        "tampered",
        "a bit of the body commitment changed: the slots cover it",
        flip(data, 88),
    )
    resized = data[:16] + (2).to_bytes(8) + data[24:] + bytes(18)
    yield fails("body-size-changed", "tampered", "the body size changed after sealing", resized)
    removed = data[:9] + b"\x01" + data[10:120] + data[mine : mine + 1232] + data[120 + 2 * 1232 :]
    yield fails("slot-removed", "tampered", "the other reader's slot was taken out", removed)


def letters() -> Iterator[Case]:
    """Section 4.3: what a decoder rejects in a letter that opens."""

    def letter(name: str, comment: str, expect: str = "malformed", files: tuple[File, ...] = (), **breaks: Any) -> Case:
        return fails(f"letter-{name}", expect, comment, seal(f"letter {name}", [to(ALPHA)], b"text", files, **breaks))

    whole = seal("letter", [to(ALPHA)], b"text")
    start = len(whole.header)
    yield fails("letter-flipped", "tampered", "a bit of the letter changed", flip(whole.whole, start))
    yield fails(
        "letter-tag-flipped",
        "tampered",
        "a bit of the letter's tag changed",
        flip(whole.whole, start + len(whole.letter) - 1),
    )
    again = seal("letter again", [to(ALPHA)], b"text")
    yield fails(
        "letter-moved", "tampered", "the letter of another Envelope of the same size", whole.header + again.letter
    )

    yield letter(
        "body-key", "the body key is not the committed one", "commitment", committed_body_key=random("another body key")
    )
    for name in ("body_key", "files", "id", "kind", "language", "mailbox", "reply_key"):
        yield letter(f"without-{name.replace('_', '-')}", f"the member {name} is missing", without=name)
    yield letter("other-member", "a member that does not belong there", meta={"priority": 1})
    yield letter("space", "meta is not in canonical form: a space", encoded=lambda meta: meta.replace(b":", b": ", 1))
    yield letter("duplicate", "meta names a member twice", encoded=lambda meta: meta[:-1] + b',"reply_key":""}')
    yield letter("not-json", "meta is no JSON", encoded=lambda meta: meta[:-1])
    yield letter("array", "meta is no object", encoded=lambda meta: b"[" + meta + b"]")
    yield letter("meta-empty", "meta has no byte", encoded=lambda _: b"")
    yield letter(
        "meta-limit", "meta announces more than 2 MiB", "limit", letter=lambda text: (2**21 + 1).to_bytes(4) + text[4:]
    )
    yield letter("meta-past", "meta runs past the end of the letter", letter=lambda text: (8189).to_bytes(4) + text[4:])

    def message_size(size: int) -> Callable[[bytes], bytes]:
        def change(text: bytes) -> bytes:
            at = 4 + int.from_bytes(text[:4])
            return text[:at] + size.to_bytes(4) + text[at + 4 :]

        return change

    yield letter(
        "message-limit", "the message announces more than 1,000,000 bytes", "limit", letter=message_size(1_000_001)
    )
    yield letter("message-past", "the message runs past the end of the letter", letter=message_size(8192))
    yield letter(
        "no-message-size",
        "the letter ends before the message's size",
        letter=lambda _: (8188).to_bytes(4) + bytes(8188),
    )
    yield letter("padding-first", "the first byte of the padding is not zero", letter=message_size(3))
    yield letter("padding-last", "the last byte of the padding is not zero", letter=lambda text: text[:-1] + b"\x01")
    yield letter(
        "too-large",
        "the letter has the second size and needs the first",
        letter=lambda text: text.ljust(20480, b"\x00"),
    )
    many = tuple(File(str(n), b"") for n in range(1001))
    yield letter("files-1001", "more than 1,000 files", "limit", many)
    yield letter("files-object", "files is no list", meta={"files": {}})

    def entry(**change: Any) -> dict[str, Any]:
        return {"meta": {"files": [{"name": "a", "size": 1, "type": "", **change}]}, "files": (File("a", b"x"),)}

    yield letter("file-member", "a file has a member that does not belong there", **entry(path="/tmp"))  # noqa: S108
    yield letter(
        "file-no-type", "a file lacks a member", meta={"files": [{"name": "a", "size": 1}]}, files=(File("a", b"x"),)
    )
    yield letter("name-empty", "a name of no bytes", "limit", **entry(name=""))
    yield letter("name-256", "a name of 128 characters and 256 bytes", "limit", **entry(name="ы" * 128))
    yield letter("name-nul", "a name with U+0000", **entry(name="a\x00b"))
    yield letter("name-number", "a name that is no text", **entry(name=1))
    yield letter("type-128", "a type of 128 characters", "limit", **entry(type="x" * 128))
    yield letter("type-not-ascii", "a type with a letter that is not ASCII", **entry(type="tëxt"))
    yield letter("type-control", "a type with a control character", **entry(type="a\tb"))
    yield letter("size-negative", "a size below zero", **entry(size=-1))
    yield letter("size-text", "a size that is text", **entry(size="1"))
    yield letter("size-true", "a size that is true", **entry(size=True))
    yield letter("size-sum", "the sizes do not add up to the body's", **entry(size=5))
    yield letter("size-large", "a size of 2^40 + 1", **entry(size=2**40 + 1))
    yield letter("size-huge", "a size that the body cannot have", **entry(size=2**53 - 1))
    yield letter("id-short", "an id of 15 bytes", meta={"id": "00" * 15})
    yield letter("id-upper", "an id in upper case", meta={"id": "AB" * 16})
    yield letter("body-key-short", "a body key of 31 bytes", meta={"body_key": b64(bytes(31))})
    yield letter("body-key-spelling", "base64 whose last character has spare bits", meta={"body_key": "A" * 42 + "B="})
    yield letter(
        "body-key-unpadded",
        "base64 without padding",
        meta={"body_key": b64(random("letter body-key-unpadded/body key")).rstrip("=")},
    )
    yield letter("kind", "an unknown kind", meta={"kind": "ack"})
    yield letter("language", "a language that is no tag", meta={"language": "ru_RU"})
    yield letter(
        "language-long", "a language of 36 characters", meta={"language": "ru-abcdefgh-abcdefgh-abcdefgh-abcdef"}
    )
    yield letter("mailbox-alone", "a mailbox without a reply key", meta={"reply_key": ""})
    yield letter("reply-key-alone", "a reply key without a mailbox", meta={"mailbox": ""})
    yield letter("mailbox-short", "a mailbox of 31 bytes", meta={"mailbox": "00" * 31})
    yield letter("reply-key-short", "a reply key of 1215 bytes", meta={"reply_key": b64(bytes(1215))})
    yield letter("mailbox-null", "a mailbox that is null", meta={"mailbox": None})
    yield letter("consent", "consent is no object", meta={"consent": True})
    yield letter("sections", "sections is no list", meta={"sections": "AAAA"})
    yield letter("sections-member", "a section is no text", meta={"sections": [1]})


def orders() -> Iterator[Case]:
    """Sections 4.3 and 4.4: two rules are broken at once, and the page's order says which is named."""
    one, nul = File("a", b"x"), {"name": "\0", "size": 1, "type": ""}
    long = {"name": "x" * 256, "size": 1, "type": ""}
    many = tuple(File(str(n), b"") for n in range(1001))

    def order(name: str, expect: str, comment: str, files: tuple[File, ...] = (one,), **breaks: Any) -> Case:
        made = seal(f"order {name}", [to(ALPHA)], b"text", files, **breaks)
        return fails(f"order-{name}", expect, comment, made)

    yield order("files-kind", "limit", "1,001 files, and an unknown kind", many, meta={"kind": "ack"})
    yield order("files-member", "malformed", "1,001 files, and a member is missing", many, without="kind")
    for name, wrong in (("kind", "ack"), ("mailbox", ""), ("consent", []), ("id", ""), ("language", "_")):
        yield order(
            f"name-{name}", "limit", f"a name of 256 bytes, and {name} is wrong", meta={"files": [long], name: wrong}
        )
    yield order(
        "type-name", "limit", "a type of 128 characters, and U+0000", meta={"files": [{**nul, "type": "x" * 128}]}
    )
    yield order(
        "name-size", "limit", "a name of 256 bytes, and a size below zero", meta={"files": [{**long, "size": -1}]}
    )
    yield order(
        "name-type",
        "malformed",
        "a name of 256 bytes, and a type that is no text",
        meta={"files": [{**long, "type": 1}]},
    )
    yield order(
        "two-files", "malformed", "U+0000 in the first name, 256 bytes in the second", meta={"files": [nul, long]}
    )
    yield order(
        "commitment-sum",
        "commitment",
        "another body key than the committed one, and sizes that do not add up",
        meta={"files": [{"name": "a", "size": 5, "type": ""}]},
        committed_body_key=random("another body key"),
    )
    yield order(
        "sum-parts", "malformed", "2^40 bytes announced, no file listed, no part there", (), fixed={"body": 2**40}
    )
    whole, two, other = seal("order", [to(ALPHA)], b"text", (one,)), two_parts(), {"organisation": "00" * 16}
    start, data = len(whole.header + whole.letter), whole.whole
    yield fails(
        "order-cut-slot", "truncated", "the letter is cut, and no slot is the reader's", data[: start - 1], **other
    )
    yield fails(
        "order-slot-parts", "not-addressed", "no slot is the reader's, and no part is there", data[:start], **other
    )
    changed = flip(data[:start], start - 1)
    yield fails("order-letter-parts", "tampered", "the letter is changed, and no part is there", changed)
    changed = flip(data, start)
    yield fails("order-part-trailing", "tampered", "the last part is changed, and a byte behind it", changed + b"x")
    changed = flip(two.whole[:-1], len(two.header + two.letter))
    yield fails("order-part-parts", "tampered", "the first part is changed, and the second cut", changed)


def bodies() -> Iterator[Case]:
    """Section 4.4: parts that are changed, out of place, missing or too many."""
    small = seal("small body", [to(ALPHA)], b"text", (File("a", random("a", 1000)),))
    start = len(small.header + small.letter)
    yield fails("part-flipped", "tampered", "a bit of the only part changed", flip(small.whole, start + 500))
    yield fails(
        "part-tag-flipped", "tampered", "a bit of a part's tag changed", flip(small.whole, len(small.whole) - 1)
    )
    yield fails("part-cut", "incomplete", "the file ends one byte before the last part does", small.whole[:-1])
    yield fails("part-missing", "incomplete", "the file ends before the only part", small.whole[:start])
    yield fails("part-trailing", "trailing", "one byte after the last part", small.whole + b"\x00")
    yield fails("part-twice", "trailing", "the last part comes again", small.whole + small.parts[0])
    no_body = seal("no body", [to(ALPHA)], b"text")
    yield fails(
        "letter-trailing", "trailing", "one byte after the letter of an Envelope without a body", no_body.whole + b"\n"
    )
    again = seal("small body again", [to(ALPHA)], b"text", small.files)
    yield fails(
        "part-moved", "tampered", "the part of another Envelope of the same sizes", replace(small, parts=again.parts)
    )
    yield fails(
        "part-not-last",
        "tampered",
        "the last part is sealed without the last-part flag",
        seal("flag 0", [to(ALPHA)], files=small.files, flags=lambda *_: False),
    )
    nonzero = seal(
        "padding", [to(ALPHA)], files=(File("a", random("a", 1025)),), body=lambda padded: padded[:-1] + b"\x01"
    )
    yield fails("body-padding", "malformed", "the last byte of the body's padding is not zero", nonzero)
    empty = seal("padding only", [to(ALPHA)], files=(File("a", b""),), body=lambda _: b"\x00")
    yield fails("body-without-bytes", "malformed", "a body of one byte where all files are empty", empty)

    two = two_parts()
    yield fails(
        "parts-last-missing",
        "incomplete",
        "the file ends after the first of two parts",
        replace(two, parts=two.parts[:1]),
    )
    equal = seal("equal parts", [to(ALPHA)], files=(File("b", random("b", 131072)),))
    one, other = equal.parts
    yield fails(
        "parts-swapped", "tampered", "two parts of one size in the wrong order", replace(equal, parts=(other, one))
    )
    yield fails(
        "parts-repeated",
        "tampered",
        "the first part stands in the place of the second",
        replace(equal, parts=(one, one)),
    )


def replies() -> Iterator[Case]:
    """Section 4.6: what a source is told of a reply, and from whom."""
    known, told = [ALPHA.id, BETA.id], {"kind": "reply", "mailbox": "", "reply_key": ""}

    def slot(pair_key: bytes, place: bytes = b"", key: XWing | None = None) -> To:
        return To(place or source().address[:16], key or source().reply, pair_key)

    def mine(organisation: Organisation = ALPHA) -> To:
        return slot(source().pair_key(organisation.id))

    def made(
        name: str,
        comment: str,
        envelope: Envelope | bytes,
        expect: str = "ok",
        organisation: bytes = b"",
    ) -> Case:
        read = {
            "envelope": b64(envelope if isinstance(envelope, bytes) else envelope.whole),
            "passphrase": source().passphrase.hex(),
            "organisations": [one.hex() for one in known],
        }
        if isinstance(envelope, bytes) or expect != "ok":
            return case(f"reply/{name}", expect, comment, read)
        output = {
            "id": envelope.id.hex(),
            "organisation": organisation.hex(),
            "message_sha256": sha256(envelope.message).hex(),
            "files": [
                {"name": file.name, "size": len(file.data), "type": file.type, "sha256": sha256(file.data).hex()}
                for file in envelope.files
            ],
        }
        return case(f"reply/{name}", expect, comment, read, output)

    def sealed(label: str, *recipients: To, **breaks: Any) -> Envelope:
        meta = {**told, **breaks.pop("meta", {})}
        return seal(f"reply {label}", list(recipients), "Когда это было?".encode(), meta=meta, **breaks)

    form = (File("form.pdf", random("form", 300), "application/pdf"), File("empty", b""))
    plain = sealed("plain", mine())
    yield made("plain", "from the first organisation", plain, organisation=ALPHA.id)
    yield made("second", "from the second organisation", sealed("second", mine(BETA)), organisation=BETA.id)
    yield made("files", "with files", sealed("files", mine(), files=form), organisation=ALPHA.id)
    yield made(
        "unknown-organisation",
        "the pair key of an organisation whose manifest the source does not hold: from nobody",
        sealed("unknown organisation", mine(GAMMA)),
    )
    yield made(
        "pair-key-other-source",
        "the first organisation's pair key with another source: from nobody",
        sealed("other source", slot(oracle.Source("low", secret=0).pair_key(ALPHA.id))),
    )
    yield made("pair-key-random", "a made-up pair key: from nobody", sealed("random", slot(random("no pair key"))))
    yield made("pair-key-zero", "a pair key of zeros: from nobody", sealed("zero", slot(bytes(32))))
    yield made(
        "pair-key-flipped",
        "one bit of the pair key is another: from nobody",
        sealed("flipped", slot(flip(source().pair_key(ALPHA.id), 31))),
    )
    yield made(
        "named-in-text",
        "the text names the first organisation and the pair key is the second's: from the second",
        seal("reply named", [mine(BETA)], b"This is alpha.", meta=told),
        organisation=BETA.id,
    )
    yield made("version", "version 2", sealed("version", mine(), fixed={"version": 2}), "version")
    yield made("kind-tip", "a tip in the place of a reply", sealed("tip", mine(), meta={"kind": "tip"}), "malformed")
    yield made(
        "mailbox",
        "a reply that names a mailbox and a reply key",
        sealed("mailbox", mine(), meta={"mailbox": source().address.hex(), "reply_key": b64(source().reply.public)}),
        "malformed",
    )
    yield made(
        "slot-other-mailbox",
        "the slot is for another mailbox",
        sealed("other mailbox", slot(source().pair_key(ALPHA.id), random("mailbox", 16))),
        "not-addressed",
    )
    yield made(
        "slot-organisation",
        "the slot has the organisation's id in the place of the mailbox's",
        sealed("organisation", slot(source().pair_key(ALPHA.id), ALPHA.id)),
        "not-addressed",
    )
    yield made(
        "slot-other-key",
        "the slot names another key",
        sealed("other key", slot(source().pair_key(ALPHA.id), key=ALPHA.receiving)),
        "unknown-key",
    )
    yield made(
        "slots-two",
        "a slot more than one",
        sealed("two", mine(), To(random("second", 16), BETA.receiving, None)),
        "malformed",
    )
    filler = To(source().address[:16], source().reply, None)
    yield made("filler", "the slot holds a filler", sealed("filler", filler), "not-for-you")
    data = plain.whole
    yield made("slot-flipped", "a bit of the slot changed", flip(data, 120 + 1152), "tampered")
    yield made("letter-flipped", "a bit of the letter changed", flip(data, len(plain.header) + 9), "tampered")
    yield made("letter-cut", "the file ends within the letter", data[:-1], "truncated")
    files = sealed("files", mine(), files=form)
    yield made("part-cut", "the file ends within the only part", files.whole[:-1], "incomplete")
    yield made("part-flipped", "a bit of the only part changed", flip(files.whole, len(files.whole) - 20), "tampered")
    yield made("trailing", "a byte after the end", data + b"\x00", "trailing")


def cases() -> Iterator[Case]:
    for group in (good, headers, slots, letters, orders, bodies, replies):
        yield from group()
