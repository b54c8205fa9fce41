"""Cases of kind ``bundle`` (docs/format.md, section 5)."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import make_envelope
import oracle
from edwards import Twisted
from oracle import (
    ALPHA,
    BETA,
    PART,
    SERVER,
    SERVER_ID,
    SERVER_KEY,
    Case,
    Signer,
    XWing,
    b64,
    case,
    flip,
    random,
    sha256,
)

INDEX, PADDING, COPY = 0, 0xFFFFFFFE, 0xFFFFFFFF
HEADER = 1280
TAG = 16
Piece = dict[str, Any]


@dataclass(frozen=True)
class Item:
    kind: str
    data: bytes
    hash: bytes
    stamped: bytes = b""
    """The Envelope hash of an Envelope."""

    def line(self) -> Piece:
        """As the index lists it."""
        line = {"hash": self.hash.hex(), "kind": self.kind, "size": len(self.data)}
        if self.kind != "envelope":
            return line
        stamp = SERVER.sign(b"tipbox/v1/stamp", self.stamped + b"2026-11-20")
        return {**line, "day": "2026-11-20", "effort": 0, "stamp": b64(stamp)}


def item(kind: str, data: bytes) -> Item:
    return Item(kind, data, sha256(data))


def literal(data: bytes) -> Piece:
    return {"base64": b64(data)} if any(data) else {"zeros": len(data)}


def expand(pieces: list[Piece]) -> bytes:
    """The bytes that a list of pieces stands for."""

    def one(piece: Piece) -> bytes:
        if "zeros" in piece:
            return bytes(piece["zeros"])
        if "ctr" in piece:
            return oracle.ctr(bytes.fromhex(piece["ctr"]), piece["size"])
        if "gcm" in piece:
            return oracle.gcm(bytes.fromhex(piece["gcm"]), bytes.fromhex(piece["nonce"]), expand(piece["plain"]))
        return base64.b64decode(piece["base64"])

    return b"".join(map(one, pieces))


def sealed(size: int) -> int:
    return size + TAG * -(-size // PART)


@dataclass(frozen=True)
class Bundle:
    """A Bundle as pieces, and what it says."""

    pieces: list[Piece]
    index: bytes
    items: list[Item]
    outward: bool

    @property
    def size(self) -> int:
        return len(expand(self.pieces))

    @property
    def starts(self) -> list[int]:
        """Where each item's stream starts, and where the padding does."""
        at = [HEADER + sealed(PART)]
        for item in self.items:
            at.append(at[-1] + sealed(len(item.data)))
        return at


def same(value: Any) -> Any:
    return value


def seal(
    label: str,
    items: list[Item],
    *,
    outward: bool = True,
    fixed: dict[str, Any] | None = None,
    told: dict[str, Any] | None = None,
    without: str = "",
    encoded: Callable[[bytes], bytes] = same,
    length: int | None = None,
    padded: Callable[[bytes], bytes] = same,
    parts: int = 1,
    signer: Signer | Twisted | None = None,
    sign_label: bytes | None = None,
    signed_hash: bytes | None = None,
    commit_to: bytes | None = None,
    info: Callable[[bytes], bytes] = same,
) -> Bundle:
    """Seal; the keyword arguments break one rule each and leave everything else in order."""
    key, salt = random(f"{label}/bundle key"), random(f"{label}/bundle salt")
    receiver = ALPHA.receiving if outward else SERVER_KEY
    signer = signer or (SERVER if outward else ALPHA.desk)
    values = {
        "magic": b"\x89tipbdl\n", "version": 1, "direction": 1 if outward else 2, "reserved": 0, "parts": parts,
        "reader": ALPHA.id if outward else SERVER_ID, "key": receiver.id, "salt": salt,
        "commitment": oracle.hkdf(commit_to or key, salt, b"tipbox/v1/bundle-commitment"), **(fixed or {}),
    }  # fmt: skip
    prefix = struct.pack(">8sBBHI16s16s32s32s", *values.values())
    header = prefix + oracle.hpke_seal(receiver, info(b"tipbox/v1/bundle-key" + prefix), key, f"{label}/wrap")
    header_hash = sha256(header)

    def stream_key(number: int) -> bytes:
        return oracle.hkdf(key, header_hash, b"tipbox/v1/bundle-stream" + number.to_bytes(4))

    def stream(number: int, contents: list[list[Piece]]) -> list[Piece]:
        return [
            {
                "gcm": stream_key(number).hex(),
                "nonce": oracle.part_nonce(at, at == len(contents) - 1).hex(),
                "plain": plain,
            }
            for at, plain in enumerate(contents)
        ]

    value = {
        "day": "2026-11-23",
        "direction": "out" if outward else "in",
        "items": [item.line() for item in items],
        **(
            {"heads": [head(ALPHA), head(BETA)] if ALPHA.id < BETA.id else [head(BETA), head(ALPHA)]} if outward else {}
        ),
        **({} if outward else {"head": random(f"{label}/head").hex()}),
        "organisation": ALPHA.id.hex(),
        "sender": b64(signer.public),
        "sequence": 7,
        "server_key": b64(SERVER_KEY.public) if outward else "",
        "volume": 1,
        "volumes": 2,
        **(told or {}),
    }
    value.pop(without, None)
    index = encoded(oracle.compact(value))
    signed = index if outward or "items" not in value else encoded(oracle.compact({**value, "items": []}))
    sign_label = sign_label or (b"tipbox/v1/bundle-out" if outward else b"tipbox/v1/bundle-in")
    signature = signer.sign(sign_label, (signed_hash or header_hash) + signed)
    size = len(index) if length is None else length
    content = padded(signature + size.to_bytes(4) + index)
    plaintext = [[literal(content), {"zeros": PART - len(content)}], *([{"zeros": PART}] for _ in range(1, parts))]
    streams = [
        piece
        for number, item in enumerate(items, 1)
        for piece in stream(number, [[literal(data)] for data in oracle.cut(item.data)])
    ]
    used = HEADER + 2 * sealed(parts * PART) + sum(sealed(len(item.data)) for item in items)
    return Bundle(
        pieces=[
            literal(header),
            *stream(INDEX, plaintext),
            *streams,
            {"ctr": stream_key(PADDING).hex(), "size": oracle.volume(used) - used},
            *stream(COPY, plaintext),
        ],
        index=index,
        items=items,
        outward=outward,
    )


def head(organisation: oracle.Organisation) -> Piece:
    """The head of an organisation, with the server's stamp."""
    value = random(f"head of {organisation.name}")
    stamp = SERVER.sign(b"tipbox/v1/head", organisation.id + value + b"2026-11-21")
    return {"day": "2026-11-21", "head": value.hex(), "organisation": organisation.id.hex(), "stamp": b64(stamp)}


def given(bundle: Bundle, **change: Any) -> Case:
    receiver = ALPHA.receiving if bundle.outward else SERVER_KEY
    return {
        "pieces": bundle.pieces,
        "reader": (ALPHA.id if bundle.outward else SERVER_ID).hex(),
        "keys": [{"id": receiver.id.hex(), "seed": receiver.seed.hex()}],
        "destroyed": [],
        "sender": (SERVER if bundle.outward else ALPHA.desk).public.hex(),
        "server_key": b64(SERVER_KEY.public) if bundle.outward else "",
        **change,
    }


def reads(
    name: str,
    comment: str,
    bundle: Bundle,
    *,
    index_damage: tuple[str, ...] = (),
    damaged: tuple[int, ...] = (),
    padding: bool = True,
    **change: Any,
) -> Case:
    reader = given(bundle, **change)
    file = flip(expand(reader["pieces"]), *reader.get("flip", []))[: reader.get("size")]
    output = {
        "index": bundle.index.decode(),
        "index_damage": list(index_damage),
        "items": [
            {"kind": item.kind, "size": len(item.data), "hash": item.hash.hex(), "sha256": sha256(item.data).hex()}
            for number, item in enumerate(bundle.items, 1)
            if number not in damaged
        ],
        "damaged": list(damaged),
        "padding": padding,
        "sha256": sha256(file).hex(),
    }
    return case(f"bundle/{name}", "damaged-item" if damaged else "ok", comment, reader, output)


def fails(name: str, expect: str, comment: str, bundle: Bundle, **change: Any) -> Case:
    return case(f"bundle/{name}", expect, comment, given(bundle, **change))


@cache
def outward() -> Bundle:
    tip = make_envelope.seal("bundled tip", [make_envelope.to(ALPHA)], b"text")
    files = (make_envelope.File("a", random("bundled file", 700)),)
    more = make_envelope.seal("bundled tip with a file", [make_envelope.to(ALPHA)], files=files)
    return seal(
        "outward",
        [
            Item("envelope", tip.whole, tip.id, tip.hash),
            item("report", oracle.compact({"bundles": [], "refused": []})),
            Item("envelope", more.whole, more.id, more.hash),
        ],
    )


def small(kind: str = "report") -> Item:
    return item(kind, oracle.compact({"bundles": [], "refused": []}))


def plain(label: str, **breaks: Any) -> Bundle:
    """A small Bundle to break."""
    return seal(label, [small("ack")], outward=False, **breaks)


def whole() -> Iterator[Case]:
    """Bundles that are read, hurt or not."""
    out = outward()
    yield reads("outward", "server to desk: two Envelopes and a report", out)
    envelopes = [random(f"carried {n}").hex() for n in range(2)]
    value = {"envelopes": sorted(envelopes)}
    ack = oracle.compact({**value, "signature": b64(ALPHA.desk.sign(b"tipbox/v1/ack", oracle.compact(value)))})
    manifest = oracle.file_form({"stands for": "a manifest"})
    source = make_envelope.source()
    reply = make_envelope.seal(
        "bundled reply", [], b"Thanks.", kind=make_envelope.REPLY, reply_key=source.pair_key(ALPHA.id)
    )
    inward = seal(
        "inward",
        [item("manifest", manifest), item("ack", ack), item("reply", source.address(ALPHA.id) + reply.whole)],
        outward=False,
    )
    yield reads("inward", "desk to server: a manifest, an acknowledgement and a reply", inward)
    yield reads("no-items", "a Bundle without items", seal("no items", []))
    long = seal("long item", [item("report", bytes(PART + 1)), small()])
    yield reads("item-two-parts", "an item of two parts (its bytes are no report; nobody reads them here)", long)
    # Damage is the same whatever the items are; three small ones keep these cases short.
    out = seal("three", [item("report", random(f"item {n}", 40 + n)) for n in range(3)])
    yield reads(
        "index-flipped",
        "a bit of the index changed: the copy is used",
        out,
        flip=[HEADER + 100],
        index_damage=("index",),
    )
    yield reads(
        "index-tag-flipped",
        "a bit of the index's tag changed: the copy is used",
        out,
        flip=[HEADER + PART + 15],
        index_damage=("index",),
    )
    yield reads(
        "copy-flipped", "a bit of the index copy changed", out, flip=[out.size - 1], index_damage=("index copy",)
    )
    yield reads(
        "padding-flipped", "a bit of the padding changed: it hurts nothing", out, flip=[out.starts[-1]], padding=False
    )
    trailing = [*out.pieces, {"zeros": 1}]
    yield reads(
        "trailing",
        "a byte after the end: the copy is not found, and the size is no volume class",
        out,
        pieces=trailing,
        index_damage=("index copy",),
        padding=False,
    )
    yield reads(
        "cut-copy",
        "the last byte is missing: the copy is gone",
        out,
        size=out.size - 1,
        index_damage=("index copy",),
        padding=False,
    )
    first, second, third, after = out.starts
    yield reads(
        "item-flipped", "a bit of the first item changed: the others stay usable", out, flip=[first], damaged=(1,)
    )
    yield reads("item-tag-flipped", "a bit of the second item's tag changed", out, flip=[third - 1], damaged=(2,))
    yield reads(
        "items-flipped", "the first and the last item changed", out, flip=[second - 1, after - 1], damaged=(1, 3)
    )
    yield reads(
        "cut-in-item",
        "the file ends within the second item",
        out,
        size=second + 5,
        damaged=(2, 3),
        index_damage=("index copy",),
        padding=False,
    )
    yield reads(
        "cut-before-item",
        "the file ends where the last item starts",
        out,
        size=third,
        damaged=(3,),
        index_damage=("index copy",),
        padding=False,
    )
    yield reads(
        "item-hash",
        "the index gives another hash for the second item",
        seal("hash", [small(), Item("report", b"[]", random("hash"))]),
        damaged=(2,),
    )
    with_body = outward().items[2]
    yield reads(
        "item-envelope-hash",
        "an Envelope's hash is its id, not the SHA-256 of its bytes",
        seal("envelope hash", [replace(item("envelope", with_body.data), stamped=with_body.stamped)]),
        damaged=(1,),
    )
    swapped = seal("swapped", [item("report", b"[1]"), item("report", b"[2]")])
    header, index, one, other, *end = swapped.pieces
    order = [header, index, other, one, *end]
    yield reads("items-swapped", "two items of one size in the wrong order", swapped, pieces=order, damaged=(1, 2))


def headers() -> Iterator[Case]:
    """Section 5.1."""
    good = plain("plain")
    yield fails("header-empty", "truncated", "no bytes", good, size=0)
    yield fails("header-cut", "truncated", "the file ends one byte before the header does", good, size=HEADER - 1)
    yield fails(
        "header-magic", "not-tipbox", "the magic of an Envelope", plain("magic", fixed={"magic": b"\x89tipbox\n"})
    )
    yield fails("header-version", "version", "version 2", plain("version", fixed={"version": 2}))
    yield fails("header-direction-0", "malformed", "direction 0", plain("direction 0", fixed={"direction": 0}))
    yield fails("header-direction-3", "malformed", "direction 3", plain("direction 3", fixed={"direction": 3}))
    yield fails("header-reserved", "malformed", "a reserved byte is not zero", plain("reserved", fixed={"reserved": 1}))
    yield fails("header-parts-0", "limit", "no index part", plain("parts 0", fixed={"parts": 0}))
    yield fails("header-parts-65", "limit", "65 index parts", plain("parts 65", fixed={"parts": 65}))
    yield fails("wrong-reader", "wrong-reader", "a Bundle for somebody else", good, reader=BETA.id.hex())
    yield fails("unknown-key", "unknown-key", "a key that the reader never had", good, keys=[])
    yield fails(
        "too-late", "too-late", "a key that the reader destroyed", good, keys=[], destroyed=[SERVER_KEY.id.hex()]
    )
    other = {"id": SERVER_KEY.id.hex(), "seed": BETA.receiving.seed.hex()}
    yield fails("other-seed", "tampered", "the private key under the key id is another", good, keys=[other])
    yield fails("enc-flipped", "tampered", "a bit of enc changed", good, flip=[112])
    yield fails("wrapped-flipped", "tampered", "a bit of the wrapped key changed", good, flip=[HEADER - 1])
    yield fails("salt-flipped", "tampered", "a bit of the salt changed: the wrapped key covers it", good, flip=[48])
    yield fails(
        "commitment-flipped", "tampered", "a bit of the commitment changed: the wrapped key covers it", good, flip=[80]
    )
    yield fails(
        "wrapped-info",
        "tampered",
        "the key is wrapped without the header's bytes",
        plain("info", info=lambda info: info[:20]),
    )
    yield fails(
        "commitment",
        "commitment",
        "the wrapped key is not the committed one",
        plain("commitment", commit_to=random("another key")),
    )


def indexes() -> Iterator[Case]:
    """Section 5.3."""
    good = plain("plain")

    def bad(
        name: str,
        comment: str,
        expect: str = "malformed",
        *,
        items: list[Item] | None = None,
        outward: bool = False,
        **breaks: Any,
    ) -> Case:
        bundle = seal(
            f"index {name}",
            [small("report" if outward else "ack")] if items is None else items,
            outward=outward,
            **breaks,
        )
        return fails(f"index-{name}", expect, comment, bundle)

    copy = good.size - sealed(PART)
    yield fails("index-and-copy-flipped", "tampered", "index and copy are both damaged", good, flip=[HEADER, copy])
    yield fails("index-cut", "truncated", "the file ends within the index", good, size=HEADER + PART)
    yield fails("index-missing", "truncated", "the file ends after the header", good, size=HEADER)
    index, copied = good.pieces[1], good.pieces[-1]
    yield fails(
        "index-is-copy",
        "tampered",
        "index and copy stand in each other's place",
        good,
        pieces=[good.pieces[0], copied, *good.pieces[2:-1], index],
    )
    yield bad(
        "signature-other",
        "signed by another key than the sender that it names",
        "bad-signature",
        told={"sender": b64(BETA.desk.public)},
    )
    yield bad("signature-label", "signed as an acknowledgement", "bad-signature", sign_label=b"tipbox/v1/ack")
    yield bad("signature-inward", "signed as an outward Bundle", "bad-signature", sign_label=b"tipbox/v1/bundle-out")
    yield bad(
        "signature-outward",
        "signed as an inward Bundle",
        "bad-signature",
        outward=True,
        sign_label=b"tipbox/v1/bundle-in",
    )
    yield reads(
        "items-unsigned",
        "an inward Bundle whose list of items its desk did not sign: nobody else can tell",
        seal("items unsigned", [small("ack"), small("ack")], outward=False),
    )
    yield bad(
        "signature-header",
        "the signature is over another header: an index taken from another Bundle",
        "bad-signature",
        signed_hash=random("another header"),
    )
    small_order = Twisted(0)
    yield fails(
        "sender-small",
        "bad-signature",
        "a sender of small order; the signature satisfies the equation",
        seal("sender of small order", [small()], signer=small_order),
        sender=small_order.public.hex(),
    )
    yield fails(
        "wrong-sender",
        "wrong-sender",
        "signed by another server than the pinned one",
        seal("sender", [small()], signer=BETA.desk),
    )
    yield fails(
        "wrong-server-key",
        "wrong-sender",
        "the pinned server names another key for inward Bundles",
        seal("server key", [small()], told={"server_key": b64(XWing("server/other").public)}),
    )
    yield fails(
        "wrong-sender-inward",
        "wrong-sender",
        "signed by another desk",
        seal("desk", [small("ack")], outward=False, signer=BETA.desk),
    )
    yield bad("space", "not in canonical form", encoded=lambda index: index.replace(b":", b": ", 1))
    yield bad("array", "no object", encoded=lambda index: b"[" + index + b"]")
    yield bad("other-member", "a member that does not belong there", told={"note": ""})
    for name in ("day", "direction", "items", "organisation", "sequence", "server_key", "volume", "volumes"):
        yield bad(f"without-{name.replace('_', '-')}", f"the member {name} is missing", without=name)
    yield bad("day", "a day that does not exist", told={"day": "2026-02-30"})
    yield bad("direction", "outward inside, inward outside", told={"direction": "out"})
    yield bad("direction-number", "a direction that is a number", told={"direction": 1})
    yield bad("items-object", "items is no list", told={"items": {}})
    yield bad("item-kind-inward", "an acknowledgement in an outward Bundle", outward=True, items=[small("ack")])
    yield bad("item-kind-outward", "an Envelope in an inward Bundle", items=[item("envelope", b"x")])
    yield bad("item-kind", "an unknown kind", items=[small("letter")])
    for name in ("head", "heads"):
        outside = name == "heads"
        yield bad(f"without-{name}", f"the member {name} is missing", outward=outside, without=name)
        yield bad(
            f"other-{name}",
            f"the member {name} of the other direction",
            outward=not outside,
            told={name: "" if name == "head" else []},
        )
    yield bad("head-short", "a head of 31 bytes", told={"head": "00" * 31})
    yield bad("head-number", "a head that is a number", told={"head": 0})
    two = sorted((head(ALPHA), head(BETA)), key=lambda one: one["organisation"])
    yield bad("heads-order", "heads in descending order", outward=True, told={"heads": two[::-1]})
    yield bad("heads-twice", "two heads of one organisation", outward=True, told={"heads": [two[0], two[0]]})
    yield bad("heads-33", "33 heads", "limit", outward=True, told={"heads": [two[0]] * 33})
    yield bad("heads-object", "heads is no list", outward=True, told={"heads": {}})
    for name, value in (("day", "2026-02-30"), ("head", ""), ("organisation", "00" * 15), ("stamp", b64(bytes(63)))):
        yield bad(
            f"heads-{name}", f"a head with a wrong {name}", outward=True, told={"heads": [{**two[0], name: value}]}
        )
    yield bad("heads-member", "a head with another member", outward=True, told={"heads": [{**two[0], "sequence": 1}]})
    line = Item("envelope", b"x", sha256(b"x"), bytes(32)).line()
    for name in ("day", "effort", "stamp"):
        lacking = {key: value for key, value in line.items() if key != name}
        yield bad(
            f"receipt-without-{name}", f"an Envelope without {name}", outward=True, items=[], told={"items": [lacking]}
        )
    wrongs: tuple[tuple[str, str, str | int], ...] = (
        ("day", "a day that does not exist", "2026-02-30"),
        ("effort-8", "effort 8", 8),
        ("effort-negative", "an effort below zero", -1),
        ("effort-true", "an effort that is true", True),
        ("stamp", "a stamp of 63 bytes", b64(bytes(63))),
    )
    for name, wrong, found in wrongs:
        told = {"items": [{**line, name.split("-")[0]: found}]}
        yield bad(f"receipt-{name}", wrong, outward=True, items=[], told=told)
    bare = {"hash": sha256(b"x").hex(), "kind": "report", "size": 1}
    yield bad(
        "receipt-report", "a report with a day", outward=True, items=[], told={"items": [{**bare, "day": "2026-11-20"}]}
    )
    entry = {"hash": sha256(b"x").hex(), "kind": "ack", "size": 1}
    yield bad("item-size-0", "an item of no bytes", items=[], told={"items": [{**entry, "size": 0}]})
    yield bad(
        "item-size-large",
        "an item of 2^40 + 2^34 + 1 bytes",
        items=[],
        told={"items": [{**entry, "size": 2**40 + 2**34 + 1}]},
    )
    yield bad("item-hash-short", "a hash of 31 bytes", items=[], told={"items": [{**entry, "hash": "00" * 31}]})
    yield bad("item-member", "an item with another member", items=[], told={"items": [{**entry, "name": ""}]})
    yield bad("organisation-short", "an organisation id of 15 bytes", told={"organisation": "00" * 15})
    yield bad("sender-short", "a sender of 31 bytes", told={"sender": b64(bytes(31))})
    yield bad("sequence-0", "sequence 0", told={"sequence": 0})
    yield bad("sequence-true", "a sequence that is true", told={"sequence": True})
    yield bad("server-key-inward", "a server key in an inward Bundle", told={"server_key": b64(SERVER_KEY.public)})
    yield bad("server-key-missing", "no server key in an outward Bundle", outward=True, told={"server_key": ""})
    yield bad("volume-0", "volume 0", told={"volume": 0})
    yield bad("volume-3", "volume 3 of 2", told={"volume": 3})
    yield bad("volumes-0", "no volume", told={"volumes": 0})
    yield bad("length-past", "the length runs past the index parts", length=PART)
    yield bad(
        "length-short",
        "the length leaves a byte of the index out, which is padding that is not zero",
        length=len(good.index) - 1,
    )
    yield bad(
        "padding",
        "the padding of the index is not zero",
        padded=lambda content: content.ljust(PART - 1, b"\x00") + b"\x01",
    )
    yield bad("parts-too-many", "two parts for an index that needs one", items=[], parts=2, told={"items": []})


def cases() -> Iterator[Case]:
    for group in (whole, headers, indexes):
        yield from group()
