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
    mailbox: bytes = b""


@dataclass(frozen=True)
class File:
    name: str
    data: bytes
    type: str = ""


@dataclass(frozen=True)
class Made:
    """What something sealed was made from."""

    key: bytes
    nonce: bytes
    plaintext: bytes

    @property
    def sealed(self) -> bytes:
        return oracle.gcm(self.key, self.nonce, self.plaintext)


FEW_ZEROS = 1000


def in_short(whole: bytes, made_from: tuple[Made, ...]) -> Case:
    """An Envelope as a case gives it: in pieces where they are shorter, else as it is."""
    pieces: list[Case] = []
    at = 0
    for made in made_from:
        text = made.plaintext.rstrip(b"\x00")
        if len(made.plaintext) - len(text) < FEW_ZEROS or (start := whole.find(made.sealed, at)) < 0:
            continue  # not worth it; or another was put in its place
        plain: list[Case] = [{"base64": b64(text)}] if text else []
        plain.append({"zeros": len(made.plaintext) - len(text)})
        pieces.append({"base64": b64(whole[at:start])})
        pieces.append({"gcm": made.key.hex(), "nonce": made.nonce.hex(), "plain": plain})
        at = start + len(made.sealed)
    if not pieces:
        return {"envelope": b64(whole)}
    return {"pieces": [*pieces, {"base64": b64(whole[at:])}] if at < len(whole) else pieces}


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
    label: str = ""
    slots: tuple[To, ...] = ()
    """In the order of the header."""
    made_trailer: bytes | None = None
    """Another trailer than the right one."""
    made_from: tuple[Made, ...] = ()
    """What letter and parts were sealed from."""

    def as_input(self) -> Case:
        """The bytes as a case gives them: letter and parts as what they are made from where that is mostly zeros."""
        return in_short(self.whole, self.made_from)

    @property
    def whole(self) -> bytes:
        return self.header + self.letter + b"".join(self.parts) + self.trailer

    @property
    def hash(self) -> bytes:
        pieces = (sha256(self.header), sha256(self.letter), *map(sha256, self.parts))
        return sha256(b"tipbox/v1/envelope-hash", *pieces)

    @property
    def trailer(self) -> bytes:
        if self.made_trailer is not None:
            return self.made_trailer
        return b"".join(
            random(f"{self.label}/tag {number}")
            if slot.pair_key is None
            else oracle.tag(slot.pair_key, self.secret_of(number), self.header[24:56], self.hash)
            for number, slot in enumerate(self.slots)
        )

    @property
    def id(self) -> bytes:
        return sha256(b"tipbox/v1/envelope-id", self.hash, self.trailer)

    def secret_of(self, number: int) -> bytes:
        """The seal secret of a slot."""
        return random(f"{self.label}/seal secret {number}")

    def with_tag_flipped(self, organisation: Organisation) -> Envelope:
        """With a bit of that organisation's tag changed."""
        place = 32 * [slot.organisation for slot in self.slots].index(organisation.id)
        return replace(self, made_trailer=flip(self.trailer, place))

    def sealed_again(self, **changes: Any) -> Envelope:
        """With other bytes, and the tags that the source made over those before."""
        return replace(self, **changes, made_trailer=self.trailer)


@cache
def source() -> oracle.Source:
    return oracle.Source("one")


def to(organisation: Organisation, *, filler: bool = False) -> To:
    if filler:
        return To(organisation.id, organisation.receiving, None)
    pair_key, mailbox = source().pair_key(organisation.id), source().address(organisation.id)
    return To(organisation.id, organisation.receiving, pair_key, mailbox)


class SmallOrder(XWing):
    """A receiving key to which one seals with an ephemeral X25519 key of small order: the shared secret is zeros."""

    point = bytes(32)

    def encapsulate(self, randomness: bytes) -> tuple[bytes, bytes]:
        return self.combine(randomness, bytes(32), self.point)


def same(value: Any) -> Any:
    return value


TIP, REPLY = 0, 1


def seal(
    label: str,
    recipients: list[To],
    message: bytes = b"",
    files: tuple[File, ...] = (),
    *,
    kind: int = TIP,
    reply_key: bytes = b"",
    meta: dict[str, Any] | None = None,
    without: str = "",
    encoded: Callable[[bytes], bytes] = same,
    letter: Callable[[bytes], bytes] = same,
    body: Callable[[bytes], bytes] = same,
    flags: Callable[[int, int], bool] = lambda index, count: index == count - 1,
    sessions: Callable[[int], str] = lambda _: "session nonce",
    fixed: dict[str, Any] | None = None,
    committed_body_key: bytes | None = None,
    sort: bool = True,
) -> Envelope:
    """Seal; the keyword arguments break one rule each and leave everything else in order.

    A reply has no recipients: its content key comes from ``reply_key``, the pair key. ``sessions`` names the session
    nonce of each part.
    """
    body_key, salt = random(f"{label}/body key"), random(f"{label}/salt")
    content_key = (
        oracle.hkdf(reply_key, salt, b"tipbox/v1/reply-content") if reply_key else random(f"{label}/content key")
    )
    told = {
        "body_key": b64(body_key),
        "files": [{"name": file.name, "size": len(file.data), "type": file.type} for file in files],
        "id": random(f"{label}/message id", 16).hex(),
        "language": "ru",
        **({"answers": random(f"{label}/answers", 16).hex(), "day": "2026-11-23"} if kind == REPLY else {}),
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
        "magic": MAGIC, "version": 1, "slots": len(recipients), "kind": kind, "reserved": 0, "letter": len(plaintext),
        "body": len(padded), **(fixed or {}),
    }  # fmt: skip
    start = struct.pack(">8sBBBBIQ", *values.values()) + salt + content_commitment + body_commitment
    header = start
    ordered = sorted(recipients, key=lambda to: to.organisation) if sort else recipients
    for number, recipient in enumerate(ordered):
        info = b"tipbox/v1/slot" + start + recipient.organisation + recipient.key.id
        secret = (
            random(f"{label}/filler {number}", 128)
            if recipient.pair_key is None
            else content_key + recipient.pair_key + recipient.mailbox + random(f"{label}/seal secret {number}")
        )
        sealed = oracle.hpke_seal(recipient.key, info, secret, f"{label}/slot {number}")
        header += recipient.organisation + recipient.key.id + sealed
    header_hash = sha256(header)
    letter_key = oracle.hkdf(content_key, header_hash, b"tipbox/v1/letter")
    pieces = oracle.cut(padded)
    nonces = [random(f"{label}/{sessions(index)}", 16) for index in range(len(pieces))]
    made_from = (
        Made(letter_key, bytes(12), plaintext),
        *(
            Made(
                oracle.hkdf(body_key, header_hash, b"tipbox/v1/parts" + nonces[index]),
                oracle.part_nonce(index, flags(index, len(pieces))),
                piece,
            )
            for index, piece in enumerate(pieces)
        ),
    )
    return Envelope(
        header=header,
        letter=made_from[0].sealed,
        parts=tuple(nonce + made.sealed for nonce, made in zip(nonces, made_from[1:], strict=True)),
        content_key=content_key,
        meta=table,
        message=message,
        files=files,
        label=label,
        slots=tuple(ordered),
        made_from=made_from,
    )


def given(data: Envelope | bytes, organisation: bytes = ALPHA.id, keys: list[XWing] | None = None) -> Case:
    held = [ALPHA.receiving] if keys is None else keys
    return {
        **({"envelope": b64(data)} if isinstance(data, bytes) else data.as_input()),
        "organisation": organisation.hex(),
        "keys": [{"id": key.id.hex(), "seed": key.seed.hex()} for key in held],
        "destroyed": [],
    }


def ok(
    name: str, comment: str, envelope: Envelope, reader: Case | None = None, organisation: Organisation = ALPHA
) -> Case:
    pair = source().pair_key(organisation.id)
    secret = envelope.secret_of([slot.organisation for slot in envelope.slots].index(organisation.id))
    output = {
        "id": envelope.id.hex(),
        "hash": envelope.hash.hex(),
        "header_hash": sha256(envelope.header).hex(),
        "content_key": envelope.content_key.hex(),
        "pair_key": pair.hex(),
        "mailbox": source().address(organisation.id).hex(),
        "seal_secret": secret.hex(),
        "thread_id": oracle.thread_id(pair).hex(),
        "check_digits": oracle.check_digits(pair, secret, envelope.hash),
        "meta": envelope.meta.decode(),
        "message_sha256": sha256(envelope.message).hex(),
        "files": [
            {"name": file.name, "size": len(file.data), "type": file.type, "sha256": sha256(file.data).hex()}
            for file in envelope.files
        ],
        "parts": len(envelope.parts),
    }
    return case(f"envelope/{name}", "ok", comment, reader or given(envelope), output)


def fails(name: str, expect: str, comment: str, data: Envelope | bytes, **reader: Any) -> Case:
    return case(
        f"envelope/{name}",
        expect,
        comment,
        {**given(data), **reader},
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
        given(text, BETA.id, [BETA.receiving]),
        BETA,
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
    yield ok("no-language", "a tip in no language", seal("no language", [to(ALPHA)], b"!", meta={"language": ""}))
    members = {
        "consent": {"ask_me": True, "level": 2, "never": ["police", "ы" * 100], "until": "2027-02-28"},
        "continues": random("an Envelope before it").hex(),
        "files_follow": 1000,
        "sections": ["AAAA", ""],
    }
    yield ok(
        "members", "consent, continues, files that follow, sections", seal("members", [to(ALPHA)], b"!", meta=members)
    )
    least = {"consent": {"ask_me": False, "level": 0, "never": [], "until": ""}, "files_follow": 1}
    yield ok("consent-least", "a consent that allows nothing", seal("least", [to(ALPHA)], b"!", meta=least))
    most = {"consent": {"ask_me": False, "level": 5, "never": ["x" * 200] * 8, "until": "9999-12-31"}}
    yield ok("consent-most", "a consent at its bounds", seal("most", [to(ALPHA)], b"!", meta=most))
    signs = {"consent": {"ask_me": True, "level": 1, "never": [" ", "\u00a0", "~\u2028"], "until": "0001-01-01"}}
    yield ok(
        "consent-signs", "exceptions just outside of what is refused", seal("signs", [to(ALPHA)], b"!", meta=signs)
    )
    tag = {"language": "abcdefgh-1-abcdefgh-12345678-abcdef"}
    yield ok("language-35", "a language of 35 characters", seal("language", [to(ALPHA)], b"!", meta=tag))
    yield ok(
        "message-most", "a message of 1,000,000 bytes, all zero", seal("most bytes", [to(ALPHA)], bytes(1_000_000))
    )
    edge = seal("letter edge", [to(ALPHA)], b"x")
    room = 8192 - (4 + len(edge.meta) + 4)
    yield ok(
        "letter-full",
        "a message that fills the smallest letter to the last byte",
        seal("letter edge", [to(ALPHA)], b"x" * room),
    )
    bare = seal("letter edge", [to(ALPHA)], files=(files[1],), meta={"sections": [""]})
    filling = {"sections": ["x" * (8192 - (4 + len(bare.meta) + 4))]}
    yield ok(
        "letter-full-meta",
        "no message, and a meta that fills the smallest letter to the last byte",
        seal("letter edge", [to(ALPHA)], files=(files[1],), meta=filling),
    )
    yield ok("letter-second", "one byte more takes the next size", seal("letter edge", [to(ALPHA)], b"x" * (room + 1)))
    yield ok(
        "letter-padme",
        "a letter above the largest of the three sizes is padded by Padmé",
        seal("letter edge", [to(ALPHA)], b"x" * 69_700),
    )
    yield ok("parts-two", "one byte more than a part; padding makes the second part longer", two_parts())
    yield ok(
        "two-sessions",
        "a body that two sessions sealed: the first part, and the second after the upload was begun again",
        zeros("two sessions", 2, sessions=lambda index: f"session {index}"),
    )
    yield ok(
        "sessions-in-turn",
        "a body whose parts come from two sessions in turn",
        zeros("sessions in turn", 4, sessions=lambda index: f"session {index % 2}"),
    )
    yield ok(
        "other-tag-changed",
        "a bit of another organisation's tag changed: it is not the reader's, and the id is another",
        text.with_tag_flipped(BETA),
    )
    old = XWing("organisation alpha/earlier")
    yield ok(
        "two-keys",
        "a reader with two keys takes the one that the slot names",
        text,
        given(text, keys=[old, ALPHA.receiving]),
    )
    crowd = [To(random(f"crowd {n}", 16), BETA.receiving, None) for n in range(31)]
    yield ok("slots-32", "as many slots as there can be", seal("crowd", [to(ALPHA), *crowd], b"many"))


def two_parts(label: str = "two parts", **breaks: Any) -> Envelope:
    return seal(label, [to(ALPHA)], files=(File("long", random("long", 65537)),), **breaks)


def zeros(label: str, parts: int, **breaks: Any) -> Envelope:
    """With a body of whole parts, which are zeros but for their numbers."""
    data = b"".join(bytes([index + 1]).ljust(oracle.PART, b"\x00") for index in range(parts))
    return seal(label, [to(ALPHA)], files=(File("long", data),), **breaks)


def long_padding(label: str, at: int, **breaks: Any) -> Envelope:
    """With 131,071 bytes of padding, the last of 66 parts is nothing else; byte ``at`` of it is not zero."""
    data = bytes(2**22 + 1)

    def body(padded: bytes) -> bytes:
        place = len(data) - 1 + at
        return padded[:place] + b"\x01" + padded[place + 1 :]

    return seal(label, [to(ALPHA)], files=(File("long", data),), body=body, **breaks)


def headers() -> Iterator[Case]:
    """Section 4.1: what a decoder rejects without any key."""
    whole = seal("text", [to(ALPHA)], b"text")

    def broken(rule: str, **fixed: Any) -> Envelope:
        return seal(f"header {rule}", [to(ALPHA)], b"text", fixed=fixed)

    yield fails("header-empty", "truncated", "no bytes at all", b"")
    yield fails("header-magic-cut", "truncated", "the file ends within the magic", whole.whole[:5])
    yield fails("header-version-missing", "truncated", "the file ends after the magic", whole.whole[:8])
    yield fails(
        "header-prefix-cut", "truncated", "eleven bytes, of version 2: too few to look at it", MAGIC + b"\x02\x01\x00"
    )
    yield fails("header-fixed-cut", "truncated", "the file ends within the fixed fields", whole.whole[:60])
    yield fails("header-slots-cut", "truncated", "the file ends one byte before the header does", whole.header[:-1])
    yield fails("letter-missing", "truncated", "the file ends after the header", whole.header)
    yield fails(
        "letter-cut", "truncated", "the file ends one byte before the letter does", (whole.header + whole.letter)[:-1]
    )
    yield fails("header-kind-2", "malformed", "an unknown kind", broken("kind", kind=2))
    yield fails("header-kind-255", "malformed", "an unknown kind, and no slots", broken("kind 255", kind=255, slots=0))
    yield fails("header-reply-slots", "limit", "a reply with a slot", broken("reply with a slot", kind=REPLY))
    reply = seal("a reply", [], b"text", kind=REPLY, reply_key=source().pair_key(ALPHA.id))
    yield fails("reply", "malformed", "a reply in the place of a tip", reply.whole)
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
    yield fails("header-reserved", "malformed", "the reserved byte is not zero", broken("reserved", reserved=1))
    yield fails(
        "header-letter-limit",
        "limit",
        "a letter of 4 MiB + 128 KiB, a size of Padmé above the bound",
        broken("letter", letter=2**22 + 2**17),
    )
    yield fails("header-letter-0", "malformed", "a letter size of zero", broken("letter", letter=0))
    yield fails("header-letter-size", "malformed", "a letter size between two sizes", broken("letter", letter=8193))
    most = broken("most", letter=2**22).header
    yield fails("header-letter-most", "truncated", "a letter of 4 MiB, which is the bound, and is not there", most)
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
    mine, theirs = (120 + 1296 * at for at in ((0, 1) if ALPHA.id < BETA.id else (1, 0)))
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
            "small enc",
            [replace(to(ALPHA), key=SmallOrder("organisation alpha/receiving"))],
            b"x",
        ),
    )
    p = 2**255 - 19
    for name, point in (
        ("1", (1).to_bytes(32, "little")),
        ("p-less-1", (p - 1).to_bytes(32, "little")),
        ("p", p.to_bytes(32, "little")),
        ("p-and-1", (p + 1).to_bytes(32, "little")),
        ("e0eb", bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")),
        ("5f9c", bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157")),
        ("1-high", (2**255 + 1).to_bytes(32, "little")),
    ):
        small = SmallOrder("organisation alpha/receiving")
        small.point = point
        made = seal(f"small enc {name}", [replace(to(ALPHA), key=small)], b"x")
        yield fails(f"slot-x25519-small-{name}", "tampered", f"the X25519 half of enc is of small order: {name}", made)
    yield fails(
        "slot-ciphertext-flipped",
        "tampered",
        "a bit of the ciphertext changed in the reader's slot",
        flip(data, mine + 1152),
    )
    yield fails(
        "slot-tag-flipped", "tampered", "a bit of the tag changed in the reader's slot", flip(data, mine + 1295)
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
    moved = data[:mine] + again.whole[mine : mine + 1296] + data[mine + 1296 :]
    yield fails("slot-moved", "tampered", "the reader's slot comes from another Envelope to the same readers", moved)
    yield fails("salt-flipped", "tampered", "a bit of the salt changed: the slots cover it", flip(data, 24))
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
    end = len(whole.header + whole.letter)
    resized = data[:16] + (2).to_bytes(8) + data[24:end] + bytes(34) + data[end:]
    yield fails("body-size-changed", "tampered", "the body size changed after sealing", resized)
    removed = data[:9] + b"\x01" + data[10:120] + data[mine : mine + 1296] + data[120 + 2 * 1296 : -32]
    yield fails("slot-removed", "tampered", "the other reader's slot was taken out", removed)


def letters() -> Iterator[Case]:
    """Section 4.3: what a decoder rejects in a letter that opens."""

    def letter(name: str, comment: str, expect: str = "malformed", files: tuple[File, ...] = (), **breaks: Any) -> Case:
        return fails(f"letter-{name}", expect, comment, seal(f"letter {name}", [to(ALPHA)], b"text", files, **breaks))

    def unsorted(meta: bytes) -> bytes:
        return b'{"language":"ru",' + meta[1:].removesuffix(b',"language":"ru"}') + b"}"

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
        "letter-moved",
        "tampered",
        "the letter of another Envelope of the same size",
        whole.sealed_again(letter=again.letter),
    )

    yield letter(
        "body-key", "the body key is not the committed one", "commitment", committed_body_key=random("another body key")
    )
    for name in ("body_key", "files", "id", "language"):
        yield letter(f"without-{name.replace('_', '-')}", f"the member {name} is missing", without=name)
    yield letter("other-member", "a member that does not belong there", meta={"priority": 1})
    yield letter("space", "meta is not in canonical form: a space", encoded=lambda meta: meta.replace(b":", b": ", 1))
    yield letter("duplicate", "meta names a member twice", encoded=lambda meta: meta[:-1] + b',"language":"ru"}')
    yield letter("unsorted", "meta's members are not sorted", encoded=unsorted)
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
    yield letter(
        "message-size-cut",
        "the letter ends within the message's size, of which three large bytes are there",
        letter=lambda _: (8185).to_bytes(4) + bytes(8185) + b"\xff" * 3,
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
    thousand = seal("letter files-1000", [to(ALPHA)], b"text", many[:1000])
    thousand = thousand.with_tag_flipped(ALPHA)
    yield fails("letter-files-1000", "forged", "1,000 files, which may be; the tag alone is wrong", thousand)
    yield letter("files-object", "files is no list", meta={"files": {}})

    def entry(**change: Any) -> dict[str, Any]:
        return {"meta": {"files": [{"name": "a", "size": 1, "type": "", **change}]}, "files": (File("a", b"x"),)}

    yield letter("file-member", "a file has a member that does not belong there", **entry(path="/tmp"))  # noqa: S108
    yield letter(
        "file-no-type", "a file lacks a member", meta={"files": [{"name": "a", "size": 1}]}, files=(File("a", b"x"),)
    )
    yield letter("file-number", "a file that is no object", meta={"files": [1]})
    yield letter("name-empty", "a name of no bytes", "limit", **entry(name=""))
    yield letter("name-256", "a name of 128 characters and 256 bytes", "limit", **entry(name="ы" * 128))
    yield letter("name-nul", "a name with U+0000", **entry(name="a\x00b"))
    yield letter("name-number", "a name that is no text", **entry(name=1))
    yield letter("type-128", "a type of 128 characters", "limit", **entry(type="x" * 128))
    yield letter("type-not-ascii", "a type with a letter that is not ASCII", **entry(type="tëxt"))
    yield letter("type-control", "a type with a control character", **entry(type="a\tb"))
    yield letter("type-delete", "a type with U+007F", **entry(type="a\x7fb"))
    yield letter("type-1f", "a type with U+001F", **entry(type="a\x1fb"))
    sizes = [{"name": "a", "size": size, "type": ""} for size in (-1, 2)]
    yield letter(
        "size-negative-sum", "a size below zero, and the sum is right", files=(File("a", b"x"),), meta={"files": sizes}
    )
    yield letter("size-negative", "a size below zero", **entry(size=-1))
    yield letter("size-text", "a size that is text", **entry(size="1"))
    yield letter("size-true", "a size that is true", **entry(size=True))
    yield letter("size-sum", "the sizes do not add up to the body's", **entry(size=5))
    yield letter("size-large", "a size of 2^40 + 1", **entry(size=2**40 + 1))
    whole_body: dict[str, Any] = {
        "meta": {"files": [{"name": "a", "size": 2**40, "type": ""}]},
        "fixed": {"body": 2**40},
    }
    yield letter("size-most", "a size of 2^40, which may be, and no part there", "incomplete", **whole_body)
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
    for name, value in (("kind", "tip"), ("mailbox", ""), ("reply_key", "")):
        yield letter(
            f"former-{name.replace('_', '-')}", f"the member {name}, which letters once had", meta={name: value}
        )
    yield letter("answers", "a member of replies", meta={"answers": ""})
    yield letter("day", "a member of replies", meta={"day": "2026-11-23"})
    yield letter("language", "a language that is no tag", meta={"language": "ru_RU"})
    yield letter("language-letter", "a language of one letter", meta={"language": "r"})
    yield letter("language-digits", "a language of digits", meta={"language": "12"})
    yield letter("language-nine", "a language whose first subtag has nine letters", meta={"language": "abcdefghi"})
    yield letter("language-nine-later", "a later subtag has nine letters", meta={"language": "ru-abcdefghi"})
    yield letter("language-hyphen", "a subtag of nothing", meta={"language": "ru-"})
    yield letter(
        "language-long", "a language of 36 characters", meta={"language": "ru-abcdefgh-abcdefgh-abcdefgh-abcdef"}
    )
    yield letter("continues-short", "an Envelope hash of 31 bytes", meta={"continues": "00" * 31})
    yield letter("continues-upper", "an Envelope hash in upper case", meta={"continues": "AB" * 32})
    yield letter("continues-empty", "an Envelope hash of no bytes", meta={"continues": ""})
    yield letter("files-follow-0", "no files follow", meta={"files_follow": 0})
    yield letter("files-follow-1001", "1,001 files follow", meta={"files_follow": 1001})
    yield letter("files-follow-true", "a number of files that is true", meta={"files_follow": True})

    def consent(name: str, comment: str, without: str = "", **change: Any) -> Case:
        said = {"ask_me": True, "level": 2, "never": ["x"], "until": "2027-01-18", **change}
        said.pop(without, None)
        return letter(f"consent-{name}", comment, meta={"consent": said})

    yield letter("consent", "consent is no object", meta={"consent": True})
    for name in ("ask_me", "level", "never", "until"):
        yield consent(f"without-{name.replace('_', '-')}", f"a consent without {name}", without=name)
    yield consent("other-member", "a consent with another member", note="")
    yield consent("ask-me", "ask_me is a number", ask_me=1)
    yield consent("level-6", "level 6", level=6)
    yield consent("level-negative", "a level below zero", level=-1)
    yield consent("level-true", "a level that is true", level=True)
    yield consent("never-9", "nine exceptions", never=["x"] * 9)
    yield consent("never-object", "never is no list", never={})
    yield consent("ask-me-null", "ask_me is null", ask_me=None)
    yield consent("level-text", "a level that is text", level="2")
    yield consent("never-bytes", "an exception of 101 letters, which are 202 bytes", never=["ы" * 101])
    yield consent("never-delete", "an exception with U+007F", never=["a\x7fb"])
    yield consent("never-empty", "an exception of no bytes", never=[""])
    yield consent("never-201", "an exception of 201 bytes", never=["x" * 201])
    yield consent("never-control", "an exception with a control character", never=["a\x1fb"])
    yield consent("never-c1", "an exception with U+0085", never=["a\x85b"])
    yield consent("never-zero", "an exception with U+0000", never=["a\0b"])
    yield consent("never-9f", "an exception with U+009F", never=["a\x9fb"])
    yield consent("never-number", "an exception that is no text", never=[1])
    yield consent("until", "a day that does not exist", until="2027-02-29")
    yield consent("until-year-0", "a day of the year 0", until="0000-01-01")
    yield consent("until-time", "a day with a time", until="2027-02-28T00:00:00Z")
    yield consent("until-basic", "a day without hyphens", until="20270228")
    yield consent("until-week", "a day of a week", until="2027-W08-7")
    yield consent("until-null", "an end that is null", until=None)
    yield letter("sections", "sections is no list", meta={"sections": "AAAA"})
    yield letter("sections-member", "a section is no text", meta={"sections": [1]})


def orders() -> Iterator[Case]:
    """Sections 4.3 and 4.4: two rules are broken at once, and the page's order says which is named."""
    head = seal("header order", [to(ALPHA)], b"text").header

    def header(name: str, expect: str, comment: str, size: int = len(head), **changes: bytes) -> Case:
        changed = bytearray(head)
        for at, data in changes.items():
            changed[int(at[2:]) : int(at[2:]) + len(data)] = data
        return fails(f"order-{name}", expect, comment, bytes(changed[:size]))

    much = (2**64 - 1).to_bytes(8)
    yield header("magic-prefix", "not-tipbox", "another magic, and eight bytes in all", 8, at0=b"PK")
    yield header("prefix-version", "truncated", "eleven bytes, and version 2", 11, at8=b"\x02")
    yield header("version-kind", "version", "version 2, and an unknown kind", at8=b"\x02", at10=b"\x02")
    yield header("kind-slots", "malformed", "an unknown kind, and 33 slots", at9=b"\x21\x02")
    yield header("slots-cut", "limit", "33 slots, and the header is cut", 200, at9=b"\x21")
    yield header("reply-slots-cut", "limit", "a reply with a slot, and the header is cut", 12, at10=b"\x01")
    yield header("cut-body", "truncated", "the header is cut, and the body too large", 1000, at16=much)
    yield header(
        "body-reserved", "limit", "the body is too large, and the reserved byte not zero", at11=b"\x01", at16=much
    )
    yield header("reserved-letter", "malformed", "the reserved byte is not zero, and the letter missing", at11=b"\x01")
    one, nul = File("a", b"x"), {"name": "\0", "size": 1, "type": ""}
    long = {"name": "x" * 256, "size": 1, "type": ""}
    many = tuple(File(str(n), b"") for n in range(1001))

    def order(name: str, expect: str, comment: str, files: tuple[File, ...] = (one,), **breaks: Any) -> Case:
        made = seal(f"order {name}", [to(ALPHA)], b"text", files, **breaks)
        return fails(f"order-{name}", expect, comment, made)

    yield order("files-language", "limit", "1,001 files, and no language", many, meta={"language": "_"})
    yield order("files-member", "malformed", "1,001 files, and a member is missing", many, without="language")
    for name, wrong in (("continues", ""), ("consent", []), ("files_follow", 0), ("id", ""), ("language", "_")):
        yield order(
            f"name-{name.replace('_', '-')}",
            "limit",
            f"a name of 256 bytes, and {name} is wrong",
            meta={"files": [long], name: wrong},
        )
    for name, comment, entry in (
        ("float", "a size with a fraction", {"size": 1.5}),
        ("integer", "a size of 2^53", {"size": 2**53}),
        ("deep", "six lists in a size, the last at level 9", {"size": [[[[[1]]]]]}),
        ("member", "a name of a member that is not ASCII", {"ы": 1}),
    ):
        yield order(
            f"name-{name}",
            "malformed",
            f"a name of 256 bytes, and {comment}, which no JSON has here",
            meta={"files": [long, {"name": "a", "size": 1, "type": "", **entry}]},
        )
    yield order(
        "type-ascii",
        "limit",
        "a type of 64 letters, which are 128 bytes, and are not ASCII",
        meta={"files": [{"name": "a", "size": 1, "type": "ы" * 64}]},
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
        "padding-name",
        "malformed",
        "the last byte of the padding is not zero, and a name of 256 bytes",
        meta={"files": [long]},
        letter=lambda text: text[:-1] + b"\x01",
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
    changed = flip(data, start + 16)
    yield fails("order-part-trailing", "tampered", "the last part is changed, and a byte behind it", changed + b"x")
    yield fails(
        "order-part-tag", "tampered", "the last part is changed, and so is the tag", flip(changed, len(data) - 1)
    )
    yield fails(
        "order-trailing-tag", "trailing", "the tag is changed, and a byte behind it", flip(data, len(data) - 1) + b"x"
    )
    yield fails(
        "order-padding-part",
        "malformed",
        "padding that is not zero in the last part but one, and the last part lacks its flag",
        long_padding("order padding", 1, flags=lambda *_: False),
    )
    changed = flip(two.whole[: -32 - 1], len(two.header + two.letter))
    yield fails("order-part-parts", "tampered", "the first part is changed, and the second cut", changed)


def bodies() -> Iterator[Case]:
    """Section 4.4: parts that are changed, out of place, missing or too many."""
    small = seal("small body", [to(ALPHA)], b"text", (File("a", random("a", 1000)),))
    start = len(small.header + small.letter)
    yield fails("part-flipped", "tampered", "a bit of the only part changed", flip(small.whole, start + 500))
    end = len(small.whole) - 32
    yield fails("part-tag-flipped", "tampered", "a bit of a part's tag changed", flip(small.whole, end - 1))
    yield fails("part-nonce-flipped", "tampered", "a bit of a part's session nonce changed", flip(small.whole, start))
    yield fails("part-cut", "incomplete", "the file ends one byte before the last part does", small.whole[: end - 1])
    yield fails("part-missing", "incomplete", "the file ends before the only part", small.whole[:start])
    yield fails("trailer-missing", "incomplete", "the file ends before the trailer", small.whole[:end])
    yield fails("trailer-cut", "incomplete", "the file ends one byte before the trailer does", small.whole[:-1])
    yield fails("trailer-trailing", "trailing", "one byte after the trailer", small.whole + b"\x00")
    yield fails("part-twice", "trailing", "the trailer comes again", small.whole + small.trailer)
    no_body = seal("no body", [to(ALPHA)], b"text")
    yield fails(
        "letter-trailing", "trailing", "one byte after the trailer of an Envelope without a body", no_body.whole + b"\n"
    )
    again = seal("small body again", [to(ALPHA)], b"text", small.files)
    yield fails(
        "part-moved",
        "tampered",
        "the part of another Envelope of the same sizes",
        small.sealed_again(parts=again.parts),
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
    later = long_padding("padding later", 65536)
    yield fails("body-padding-part", "malformed", "padding that is not zero in a part that is all padding", later)
    first = long_padding("padding first", 1)
    yield fails("body-padding-first", "malformed", "the first byte of the padding is not zero", first)
    empty = seal("padding only", [to(ALPHA)], files=(File("a", b""),), body=lambda _: b"\x00")
    yield fails("body-without-bytes", "malformed", "a body of one byte where all files are empty", empty)

    two = two_parts()
    yield fails(
        "parts-last-missing",
        "incomplete",
        "the file ends after the first of two parts",
        two.header + two.letter + two.parts[0],
    )
    equal = zeros("equal parts", 2)
    one, other = equal.parts
    yield fails(
        "parts-swapped", "tampered", "two parts of one size in the wrong order", equal.sealed_again(parts=(other, one))
    )
    yield fails(
        "parts-repeated",
        "tampered",
        "the first part stands in the place of the second",
        equal.sealed_again(parts=(one, one)),
    )
    mixed = zeros("mixed sessions", 2, sessions=lambda index: f"session {index}")
    one, other = mixed.parts
    yield fails(
        "parts-nonces-swapped",
        "tampered",
        "two parts of two sessions, each with the session nonce of the other",
        mixed.sealed_again(parts=(other[:16] + one[16:], one[:16] + other[16:])),
    )


def tags() -> Iterator[Case]:
    """Section 4.5: what the reader's own tag covers. Each of these opens, and none is the source's."""
    recipients = [to(ALPHA), to(BETA)]
    files = (File("a", random("sealed", 1000)),)
    text, whole = seal("tags", recipients, b"text"), seal("tags of files", recipients, b"text", files)
    yield fails("tag-flipped", "forged", "a bit of the reader's own tag changed", text.with_tag_flipped(ALPHA))
    yield fails(
        "tags-swapped",
        "forged",
        "the two tags in the other's place",
        replace(text, made_trailer=text.trailer[32:] + text.trailer[:32]),
    )
    yield fails("tag-zero", "forged", "a trailer of zeros", replace(text, made_trailer=bytes(64)))
    # As an organisation does that shares the tip: it has the content key and the body key, and makes its own tag.
    other = seal("tags", recipients, b"other words")
    yield fails(
        "tag-other-letter", "forged", "another letter under the same header", text.sealed_again(letter=other.letter)
    )
    changed = seal(
        "tags of files", recipients, b"text", (File("a", random("forged", 1000)),), sessions=lambda _: "again"
    )
    yield fails(
        "tag-other-parts", "forged", "other files under the same header", whole.sealed_again(parts=changed.parts)
    )
    again = seal("tags of files", recipients, b"text", files, sessions=lambda _: "again")
    yield fails(
        "tag-other-session",
        "forged",
        "the same files, sealed by a session whose parts the source never named",
        whole.sealed_again(parts=again.parts),
    )
    spoiled = text.secret_of([slot.organisation for slot in text.slots].index(BETA.id))
    pair = source().pair_key(ALPHA.id)
    place = 32 * [slot.organisation for slot in text.slots].index(ALPHA.id)
    for name, comment, key, secret in (
        ("pair-key", "a tag with the reader's pair key and the other's seal secret", pair, spoiled),
        ("no-secret", "a tag with the pair key alone, as a found access code gives it", pair, bytes(32)),
    ):
        made = oracle.tag(key, secret, text.header[24:56], text.hash)
        trailer = text.trailer[:place] + made + text.trailer[place + 32 :]
        yield fails(f"tag-{name}", "forged", comment, replace(text, made_trailer=trailer))


def replies() -> Iterator[Case]:
    """Section 4.6: what a source is told of a reply in the mailbox of ALPHA."""
    pair_key = source().pair_key(ALPHA.id)

    def made(name: str, comment: str, envelope: Envelope | bytes, expect: str = "ok") -> Case:
        data = {"envelope": b64(envelope)} if isinstance(envelope, bytes) else envelope.as_input()
        read = {**data, "pair_key": pair_key.hex()}
        if isinstance(envelope, bytes) or expect != "ok":
            return case(f"reply/{name}", expect, comment, read)
        output = {
            "id": envelope.id.hex(),
            "meta": envelope.meta.decode(),
            "message_sha256": sha256(envelope.message).hex(),
            "files": [
                {"name": file.name, "size": len(file.data), "type": file.type, "sha256": sha256(file.data).hex()}
                for file in envelope.files
            ],
        }
        return case(f"reply/{name}", expect, comment, read, output)

    def sealed(label: str, message: bytes = b"Thank you.", files: tuple[File, ...] = (), **breaks: Any) -> Envelope:
        breaks = {"kind": REPLY, "reply_key": pair_key, **breaks}
        return seal(f"reply {label}", breaks.pop("recipients", []), message, files, **breaks)

    form = (File("form.pdf", random("form", 300), "application/pdf"),)
    plain = sealed("plain", "Спасибо. Когда это было?".encode())
    yield made("plain", "a reply with a message alone", plain)
    yield made("files", "a reply with a file", sealed("files", files=form))
    yield made("answers-nothing", "a reply that names no message", sealed("no answers", meta={"answers": ""}))
    yield made("no-language", "a reply in no language", sealed("no language", meta={"language": ""}))
    two = (File("long", random("long reply", 65537)),)
    yield made(
        "two-sessions",
        "a file that two sessions sealed",
        sealed("two sessions", files=two, sessions=lambda at: f"{at}"),
    )
    for name, comment, key in (
        ("pair-key-other", "sealed with the pair key of another organisation", source().pair_key(BETA.id)),
        ("pair-key-random", "sealed with a made-up pair key", random("no pair key")),
        ("pair-key-zero", "sealed with a pair key of zeros", bytes(32)),
        ("pair-key-flipped", "one bit of the pair key is another", flip(pair_key, 31)),
    ):
        yield made(name, f"{comment}: from nobody", sealed(name, reply_key=key), "not-for-you")
    yield made("salt-flipped", "a bit of the salt changed: from nobody", flip(plain.whole, 24), "not-for-you")
    yield made(
        "commitment-flipped",
        "a bit of the content commitment changed: from nobody",
        flip(plain.whole, 56),
        "not-for-you",
    )
    yield made("body-commitment-flipped", "a bit of the body commitment changed", flip(plain.whole, 88), "tampered")
    yield made("version", "version 2", sealed("version", fixed={"version": 2}), "version")
    yield made("kind-2", "an unknown kind", sealed("kind", fixed={"kind": 2}), "malformed")
    yield made("tip", "a tip in the place of a reply", seal("tip in a mailbox", [to(ALPHA)], b"text"), "malformed")
    yield made("slots", "a reply with a slot", sealed("slots", fixed={"slots": 1}), "limit")
    for name in ("answers", "body_key", "day", "files", "id", "language"):
        yield made(
            f"without-{name.replace('_', '-')}",
            f"the member {name} is missing",
            sealed(f"no {name}", without=name),
            "malformed",
        )
    for name, value in (
        ("consent", {"ask_me": False, "level": 0, "never": [], "until": ""}),
        ("continues", "00" * 32),
        ("files_follow", 1),
        ("sections", []),
    ):
        yield made(
            f"member-{name.replace('_', '-')}", "a member of tips", sealed(name, meta={name: value}), "malformed"
        )
    yield made("answers-short", "a message id of 15 bytes", sealed("answers", meta={"answers": "00" * 15}), "malformed")
    yield made("answers-upper", "a message id in upper case", sealed("upper", meta={"answers": "AB" * 16}), "malformed")
    yield made("day-basic", "a day without hyphens", sealed("day basic", meta={"day": "20261123"}), "malformed")
    yield made("day", "a day that does not exist", sealed("day", meta={"day": "2026-02-30"}), "malformed")
    yield made("day-year-0", "a day of the year 0", sealed("year 0", meta={"day": "0000-12-31"}), "malformed")
    yield made("day-empty", "a day that is empty", sealed("day empty", meta={"day": ""}), "malformed")
    data = plain.whole
    yield made("letter-flipped", "a bit of the letter changed", flip(data, len(plain.header) + 9), "tampered")
    yield made("letter-cut", "the file ends within the letter", data[:-1], "truncated")
    other = sealed("order", reply_key=random("no pair key"))
    cut = other.whole[:-1]
    yield made("order-cut-commitment", "the letter is cut, and the pair key is another's", cut, "truncated")
    changed = flip(other.whole, len(other.header))
    yield made(
        "order-commitment-letter", "the pair key is another's, and the letter is changed", changed, "not-for-you"
    )
    yield made(
        "order-kind-letter",
        "a tip in the place of a reply, and its letter is cut",
        seal("x", [to(ALPHA)]).header,
        "malformed",
    )
    files = sealed("files", files=form)
    yield made("part-cut", "the file ends within the only part", files.whole[:-1], "incomplete")
    yield made("part-flipped", "a bit of the only part changed", flip(files.whole, len(files.whole) - 20), "tampered")
    yield made("trailing", "a byte after the end", data + b"\x00", "trailing")


def cases() -> Iterator[Case]:
    for group in (good, headers, slots, letters, orders, bodies, tags, replies):
        yield from group()
