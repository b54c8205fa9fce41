"""Cases of kind ``manifest`` (docs/format.md, section 2)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from typing import Any

import edwards
import oracle
from edwards import ORDER, Twisted
from oracle import ALPHA, BETA, Case, Signer, XWing, b64, case

LABEL = b"tipbox/v1/manifest"
Q = 3329  # ML-KEM's modulus


def key(number: int = 0, start: str = "2026-11-23", end: str = "2026-12-07") -> dict[str, Any]:
    return receiving(XWing(f"manifest key {number}").public, start, end)


def receiving(public: bytes, start: str = "2026-11-23", end: str = "2026-12-07") -> dict[str, Any]:
    ident = oracle.sha256(b"tipbox/v1/key", public)[:16].hex()
    return {"from": start, "id": ident, "public": b64(public), "until": end}


def after(days: int) -> str:
    return (date(2026, 11, 23) + timedelta(days)).isoformat()


KEYS = [
    key(0, "2026-11-23", "2026-12-07"), key(1, "2026-12-07", "2026-12-21"), key(2, "2026-12-21", "2027-01-04"),
    key(3, "2027-01-04", "2027-01-18"),
]  # fmt: skip


def unsigned(**change: Any) -> dict[str, Any]:
    value = {
        "country": "KZ", "critical": [], "desk": b64(ALPHA.desk.public), "from": "2026-11-23",
        "identity": b64(ALPHA.identity.public), "keys": KEYS[:1], "languages": ["kk", "ru"],
        "name": "Альфа: бюро по правам человека", "organisation": ALPHA.name, "serial": [1, 4],
        "until": "2027-01-18", "version": 1,
    }  # fmt: skip
    return {**value, **change}


def signed(value: dict[str, Any], signer: Signer = ALPHA.identity, label: bytes = LABEL) -> dict[str, Any]:
    return {**value, "signature": b64(signer.sign(label, oracle.compact(value)))}


def extract(whole: dict[str, Any], first: int, count: int) -> dict[str, Any]:
    """The extract of some keys that follow one another without a gap."""
    keys = whole["keys"][first : first + count]
    start, end = max(whole["from"], keys[0]["from"]), min(whole["until"], keys[-1]["until"])
    return {**whole, "keys": keys, "from": start, "until": end}


def with_signature(
    public: bytes, sign: Callable[[bytes], bytes], fits: Callable[[int], bool] = lambda _: True, **change: Any
) -> dict[str, Any]:
    """A manifest under the identity key ``public``, with a serial such that the challenge k of its signature fits."""
    for index in range(1, 10_000):
        value = unsigned(**{"identity": b64(public), "serial": [1, index], **change})
        message = LABEL + b"\x00" + oracle.compact(value)
        signature = sign(oracle.compact(value))
        if fits(edwards.challenge(signature[:32], public, message)):
            return {**value, "signature": b64(signature)}
    raise AssertionError("no serial fits")


def cases() -> Iterator[Case]:
    """Section 2."""

    def reads(
        name: str,
        comment: str,
        value: dict[str, Any],
        *,
        day: str = "",
        holds: dict[str, Any] | None = None,
        current: int = 0,
    ) -> Case:
        output = {
            "id": oracle.sha256(b"tipbox/v1/organisation", base64.b64decode(value["identity"]))[:16].hex(),
            "serial": value["serial"],
            "organisation": value["organisation"],
            "name": value["name"],
            "keys": [key["id"] for key in value["keys"]],
        }
        if day:
            output["current_key"] = value["keys"][current]["id"]
        file = oracle.file_form(value if "signature" in value else signed(value))
        return case(f"manifest/{name}", "ok", comment, knows(file, day, holds), output)

    def knows(file: bytes, day: str, holds: dict[str, Any] | None) -> Case:
        given = {"file": b64(file)}
        if day:
            given["day"] = day
        if holds:
            given["holds"] = b64(oracle.file_form(holds))
        return given

    def fails(
        name: str,
        expect: str,
        comment: str,
        value: dict[str, Any] | bytes,
        *,
        day: str = "",
        holds: dict[str, Any] | None = None,
    ) -> Case:
        file = value if isinstance(value, bytes) else oracle.file_form(value)
        return case(f"manifest/{name}", expect, comment, knows(file, day, holds))

    def bad(name: str, comment: str, expect: str = "malformed", /, **change: Any) -> Case:
        return fails(name, expect, comment, signed(unsigned(**change)))

    yield reads("plain", "as an organisation publishes it", unsigned(keys=KEYS))
    yield reads(
        "least",
        "the least that a manifest can say",
        unsigned(country="", languages=[], name="A", keys=KEYS[:1], serial=[1, 1]),
    )
    most = {
        "keys": [key(number, after(number), after(number + 91)) for number in range(16)],
        "languages": ["ru-abcdefgh-abcdefgh-abcdefgh-abcde"] * 16,
        "name": "ы" * 100, "serial": [2**31 - 1] * 2, "until": "2027-02-22",
    }  # fmt: skip
    yield reads(
        "most",
        "every bound reached: 16 keys and languages, 35 characters, 200 bytes, lives of 91 days",
        unsigned(**most),
    )
    later = {"contact": {"onion": "x", "list": [1, "2", None]}, "zzz": True}
    yield reads("other-members", "members that are not critical are passed over, and signed", unsigned(**later))
    whole = unsigned(keys=KEYS[:2])
    extracts = [extract(whole, at // 2, 1 + at % 2) for at in range(3)]
    sums = [signed(one)["signature"] for one in extracts]
    yield reads("extracts", "with the signatures of its extracts", {**whole, "extracts": sums}, day="2026-12-01")
    for name, comment, at, day in (
        ("extract-first", "its extract with the first key alone", 0, "2026-12-01"),
        ("extract-next", "its extract with the second key alone", 2, "2026-12-10"),
    ):
        yield reads(name, comment, {**extracts[at], "signature": sums[at]}, day=day)
    yield reads("day-first", "its first day", unsigned(), day="2026-11-23")
    yield reads("day-before", "the one day before its first, for clocks that are wrong", unsigned(), day="2026-11-22")
    yield reads("day-last", "its last day", unsigned(keys=KEYS), day="2027-01-17", current=3)
    yield reads(
        "day-key-last",
        "the last day of the first key; the second starts tomorrow",
        unsigned(keys=KEYS[:2]),
        day="2026-12-06",
    )
    yield reads("day-key-next", "the first day of the second key", unsigned(keys=KEYS[:2]), day="2026-12-07", current=1)
    overlapping = [key(0, "2026-11-23", "2026-12-21"), key(1, "2026-12-07", "2026-12-21")]
    yield reads(
        "keys-overlap",
        "of two keys that are good, the one that began later",
        unsigned(keys=overlapping),
        day="2026-12-10",
        current=1,
    )
    gap = [key(0, "2026-11-23", "2026-12-07"), key(1, "2026-12-10", "2026-12-21")]
    yield reads(
        "key-tomorrow", "no key has begun, and one does tomorrow", unsigned(keys=gap), day="2026-12-09", current=1
    )
    yield reads(
        "replaces-index", "a higher index replaces", unsigned(), day="2026-11-23", holds=signed(unsigned(serial=[1, 3]))
    )
    yield reads(
        "replaces-generation",
        "a higher generation replaces, with a lower index",
        unsigned(serial=[2, 1]),
        day="2026-11-23",
        holds=signed(unsigned(serial=[1, 9])),
    )
    first = unsigned(**{"from": "0001-01-01", "until": "0001-02-01", "keys": [key(0, "0001-01-01", "0001-02-01")]})
    yield reads("day-one", "the first day that a date can name", first, day="0001-01-01")

    good = signed(unsigned())
    file = oracle.file_form(good)
    limit = signed(unsigned(note="x" * (65537 - len(oracle.file_form(signed(unsigned(note="")))))))
    assert len(oracle.file_form(limit)) == 65537
    yield fails("limit", "limit", "one byte more than 64 KiB", limit)
    yield fails("empty", "malformed", "no bytes", b"")
    yield fails("compact", "malformed", "compact form", oracle.compact(good))
    yield fails("trailing", "malformed", "a line feed too many", file + b"\n")
    yield fails("truncated", "malformed", "the last byte is missing", file[:-1])
    yield fails("array", "malformed", "no object", b"[]\n")
    yield fails(
        "unsorted",
        "malformed",
        "members out of order",
        b'{\n  "version": 1,\n' + file[2:].replace(b',\n  "version": 1', b""),
    )
    yield fails(
        "duplicate",
        "malformed",
        "a member twice: the reader would choose",
        file.replace(b'  "country": "KZ",\n', b'  "country": "KZ",\n  "country": "KG",\n'),
    )
    for name in unsigned():
        value = unsigned()
        del value[name]
        yield fails(f"without-{name}", "malformed", f"the member {name} is missing", signed(value))
    yield fails("without-signature", "malformed", "the member signature is missing", unsigned())
    yield bad("country-long", "a country of three letters", country="KAZ")
    yield bad("country-lower", "a country in lower case", country="kz")
    yield bad("country-null", "a country that is null", country=None)
    yield bad("critical-number", "a critical name that is no text", critical=[1])
    yield bad("critical-text", "critical is no list", critical="")
    yield bad("desk-short", "a desk key of 31 bytes", desk=b64(bytes(31)))
    yield bad("desk-url", "base64 of the URL alphabet", desk="-_" + b64(ALPHA.desk.public)[2:])
    yield bad("identity-short", "an identity key of 31 bytes", identity=b64(bytes(31)))
    yield bad("identity-hex", "an identity key in hex", identity=ALPHA.identity.public.hex())
    yield bad("keys-none", "no receiving key", keys=[])
    yield bad("keys-17", "17 receiving keys", keys=[key(number, after(number)) for number in range(17)])
    yield bad("keys-order", "receiving keys out of order", keys=KEYS[1::-1])
    yield bad("keys-repeated", "one receiving key twice", keys=[key(0), key(0, "2026-12-07", "2026-12-21")])
    yield bad("keys-object", "keys is no list", keys={"0": key()})
    yield bad("key-member", "a receiving key with another member", keys=[{**key(), "note": ""}])
    yield bad("key-id", "a key id of another key", keys=[{**key(0), "id": key(1)["id"]}])
    yield bad("key-id-upper", "a key id in upper case", keys=[{**key(0), "id": key(0)["id"].upper()}])
    yield bad("key-public-short", "a public key of 1215 bytes", keys=[{**key(0), "public": b64(bytes(1215))}])
    yield bad(
        "key-one-day", "a receiving key that ends on the day it starts", keys=[key(0, "2026-11-23", "2026-11-23")]
    )
    yield bad("key-backwards", "a receiving key that ends before it starts", keys=[key(0, "2026-12-07", "2026-11-23")])
    yield bad("key-92-days", "a receiving key that lives for 92 days", keys=[key(0, after(0), after(92))])
    yield bad("keys-one-day", "two receiving keys that begin on one day", keys=[key(0), key(1)])
    yield from receiving_keys(reads, bad)
    yield bad("languages-17", "17 languages", languages=["ru"] * 17)
    yield bad("language-36", "a language of 36 characters", languages=["ru-abcdefgh-abcdefgh-abcdefgh-abcdef"])
    yield bad("language-underscore", "a language with an underscore", languages=["ru_KZ"])
    yield bad("language-empty", "an empty language", languages=[""])
    yield bad("language-newline", "a language with a line feed at the end", languages=["ru\n"])
    yield bad("name-empty", "an empty name", name="")
    yield bad("name-201", "a name of 201 bytes", name="ы" * 100 + "x")
    yield bad("name-control", "a name with a line feed", name="A\nB")
    yield bad("name-c1", "a name with U+009B, which terminals obey", name="A\x9bB")
    yield bad("name-format", "a name with U+202E, which turns the rest around", name="A\u202eB")
    for name, letter in (
        ("egyptian", 0x13439), ("joiner", 0x34F), ("selector", 0xE0100), ("filler", 0x3164), ("unassigned", 0xE0FFF),
    ):  # fmt: skip
        yield bad(f"name-unseen-{name}", f"a name with U+{letter:04X}, which is not seen", name=f"A{chr(letter)}B")
    for name, letter in (("mark", 0x13440), ("private", 0xE000), ("new", 0x1FAE9)):
        yield reads(f"name-{name}", f"a name with U+{letter:04X}", unsigned(name=f"A{chr(letter)}B"))
    yield bad("organisation-empty", "an empty short name", organisation="")
    yield bad("organisation-33", "a short name of 33 characters", organisation="a" * 33)
    yield bad("organisation-upper", "a short name with a capital letter", organisation="Alpha")
    yield bad("organisation-path", "a short name that is a path", organisation="../alpha")
    yield bad("organisation-newline", "a short name with a line feed at the end", organisation="alpha\n")
    yield bad("serial-zero", "a serial with index zero", serial=[1, 0])
    yield bad("serial-generation-zero", "a serial with generation zero", serial=[0, 1])
    yield bad("serial-large", "a serial of 2^31", serial=[1, 2**31])
    yield bad("serial-one", "a serial of one number", serial=[1])
    yield bad("serial-three", "a serial of three numbers", serial=[1, 2, 3])
    yield bad("serial-true", "a serial with true for a number", serial=[1, True])
    yield bad("serial-text", "a serial that is text", serial="1.4")
    yield bad("day-not-a-day", "a day that does not exist", **{"from": "2026-11-31"})
    yield bad("day-february", "29 February of a common year", **{"from": "2027-02-29", "until": "2027-03-01"})
    yield bad("day-zero", "year 0, month 0, day 0", **{"from": "0000-00-00"})
    yield bad("day-time", "a day with a time", **{"from": "2026-11-23T00:00:00Z"})
    yield bad("day-short", "a month without its zero", **{"from": "2026-9-23"})
    yield bad("day-week", "a day as week and weekday", **{"from": "2026-W48-1"})
    yield bad("day-arabic", "a day in other digits", **{"from": "\u0662\u0660\u0662\u0666-\u0661\u0661-\u0662\u0663"})
    yield bad("day-number", "a day that is a number", **{"from": 20261123})
    yield bad("until-equal", "a manifest that lives for no day", until="2026-11-23")
    yield bad("until-before", "a manifest that ends before it starts", until="2026-11-22")
    yield bad("until-92", "a manifest that lives for 92 days", until="2027-02-23")
    yield bad("version-text", "a version that is text", version="1")
    yield bad("version-true", "a version that is true", version=True)
    yield bad("version-2", "version 2", "version", version=2)
    yield bad("version-0", "version 0", "version", version=0)
    yield bad("version-negative", "version -1", "version", version=-1)
    yield bad("version-least", "the least version that canonical JSON can say", "version", version=1 - 2**53)
    yield bad("critical", "a critical member that nobody knows", "unknown-critical", critical=["quorum"], quorum=2)
    yield bad(
        "critical-known",
        "version 1 knows no critical member, not its own ones either",
        "unknown-critical",
        critical=["name"],
    )
    yield fails("signature-short", "malformed", "a signature of 63 bytes", {**unsigned(), "signature": b64(bytes(63))})
    yield fails("signature-zero", "bad-signature", "a signature of zeros", {**unsigned(), "signature": b64(bytes(64))})
    yield fails("signature-other", "bad-signature", "signed by another identity key", signed(unsigned(), BETA.identity))
    yield fails(
        "signature-desk", "bad-signature", "signed by the desk key of this manifest", signed(unsigned(), ALPHA.desk)
    )
    yield fails(
        "signature-label", "bad-signature", "signed as an acknowledgement", signed(unsigned(), label=b"tipbox/v1/ack")
    )
    yield fails("signature-no-label", "bad-signature", "signed without a label", signed(unsigned(), label=b""))
    yield fails("signature-name", "bad-signature", "the name changed after signing", {**good, "name": "Бета"})
    yield fails("signature-other-member", "bad-signature", "a member added after signing", {**good, "note": ""})
    yield from signatures(reads, fails)
    raw = bytearray(ALPHA.identity.sign(LABEL, oracle.compact(unsigned())))
    raw[32:] = (int.from_bytes(raw[32:], "little") + ORDER).to_bytes(32, "little")
    yield fails(
        "signature-malleable",
        "bad-signature",
        "the same signature with s + L for s (RFC 8032, 5.1.7)",
        {**unsigned(), "signature": b64(bytes(raw))},
    )

    yield fails("expired", "expired", "the day that it ends", good, day="2027-01-18")
    yield fails("expired-long", "expired", "a year later", good, day="2028-01-18")
    yield fails("not-yet-valid", "not-yet-valid", "two days before its first", good, day="2026-11-21")
    yield fails(
        "identity-changed",
        "identity-changed",
        "another identity key than the pinned one, with a higher serial",
        signed(unsigned(identity=b64(BETA.identity.public), serial=[2, 1]), BETA.identity),
        day="2026-11-23",
        holds=good,
    )
    yield fails(
        "older-serial", "older-serial", "a lower index", signed(unsigned(serial=[1, 3])), day="2026-11-23", holds=good
    )
    yield fails("older-serial-same", "older-serial", "the same serial", good, day="2026-11-23", holds=good)
    yield fails(
        "older-generation",
        "older-serial",
        "a lower generation, with a higher index",
        signed(unsigned(serial=[1, 9])),
        day="2026-11-23",
        holds=signed(unsigned(serial=[2, 1])),
    )
    yield fails(
        "no-current-key-gap",
        "no-current-key",
        "a day between two receiving keys",
        signed(unsigned(keys=gap)),
        day="2026-12-08",
    )
    yield fails(
        "no-current-key-after",
        "no-current-key",
        "a day after the last receiving key",
        signed(unsigned(keys=KEYS[:1])),
        day="2027-01-01",
    )
    yield fails(
        "no-current-key-before",
        "no-current-key",
        "two days before the first receiving key",
        signed(unsigned(keys=KEYS[1:])),
        day="2026-12-05",
    )


def receiving_keys(reads: Callable[..., Case], bad: Callable[..., Case]) -> Iterator[Case]:
    """X-Wing keys that can be sealed to and such that cannot."""
    good = XWing("manifest key 0").public

    def coefficient(number: int, value: int) -> bytes:
        """The key with another coefficient: two of them in three bytes, the lower bits first."""
        at = number // 2 * 3
        pair: int = int.from_bytes(good[at : at + 3], "little")
        shift = number % 2 * 12
        pair = pair & ~(0xFFF << shift) | value << shift
        changed: bytes = good[:at] + pair.to_bytes(3, "little") + good[at + 3 :]
        return changed

    yield reads("key-ml-kem-3328", "the greatest coefficient", unsigned(keys=[receiving(coefficient(0, Q - 1))]))
    for number in (0, 1, 767):
        yield bad(f"key-ml-kem-{number}", f"coefficient {number} is 3329", keys=[receiving(coefficient(number, Q))])
    yield bad("key-ml-kem-4095", "a coefficient of 4095", keys=[receiving(coefficient(400, 4095))])
    p = edwards.P
    small = [
        0, 1, p - 1, p, p + 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    ]  # fmt: skip
    for number, u in enumerate(small):
        for sign in (0, 1):
            yield bad(
                f"key-x25519-small-{number}" + "-high" * sign,
                "an X25519 key of small order" + ", with the bit set that X25519 ignores" * sign,
                keys=[receiving(good[:1184] + edwards.spell(u, sign))],
            )
    yield reads(
        "key-x25519-p-2",
        "an X25519 key that is not canonical, and not of small order",
        unsigned(keys=[receiving(good[:1184] + edwards.spell(p + 2))]),
    )


def signatures(reads: Callable[..., Case], fails: Callable[..., Case]) -> Iterator[Case]:
    """Ed25519 keys and R of small order, of mixed order, and in a second spelling (section 1)."""

    def small_identity(number: int) -> Case:
        signer = Twisted(0, key=number)
        return fails(
            f"identity-small-{number}",
            "malformed",
            f"an identity key of small order: {number} times a point of order 8; the signature satisfies the equation",
            with_signature(signer.public, partial(signer.sign, LABEL), lambda k: k % ORDER % 8 == 0),
        )

    def small_r(number: int) -> Case:
        # The key has the order of L times 8, so that the equation without the cofactor holds also with this R.
        signer = Twisted(2**251 + 5, key=1, nonce=number)
        return fails(
            f"signature-r-small-{number}",
            "bad-signature",
            f"R is of small order: {number} times a point of order 8; the equation holds",
            with_signature(
                signer.public,
                partial(signer.sign, LABEL, secret_nonce=0),
                lambda k: (k % ORDER + number) % 8 == 0,
            ),
        )

    yield from map(small_identity, range(8))
    yield fails(
        "desk-small", "malformed", "a desk key of small order", signed(unsigned(desk=b64(edwards.SMALL_ORDER[0])))
    )
    spellings = {
        "zero": (edwards.spell(edwards.P), "y = p, which is 0"),
        "one": (edwards.spell(edwards.P + 1), "y = p + 1, which is 1"),
        "one-sign": (edwards.spell(1, 1), "y = 1 with the sign of an x that is 0"),
        "minus-one-sign": (edwards.spell(edwards.P - 1, 1), "y = -1 with the sign of an x that is 0"),
        "three": (edwards.spell(edwards.P + 3), "y = p + 3, a point of large order"),
        "most": (edwards.spell(2**255 - 1, 1), "all bits are set"),
    }
    for name, (spelling, what) in spellings.items():
        yield fails(
            f"identity-spelling-{name}",
            "malformed",
            f"an identity key in a second spelling: {what}",
            with_signature(spelling, partial(ALPHA.identity.sign, LABEL)),
        )
        yield fails(
            f"desk-spelling-{name}",
            "malformed",
            f"a desk key in a second spelling: {what}",
            signed(unsigned(desk=b64(spelling))),
        )
    yield from map(small_r, range(8))
    plain = Twisted(2**251 + 5)
    for name in ("one", "one-sign", "minus-one-sign", "three"):
        spelling, what = spellings[name]

        def respelled(value: bytes, spelling: bytes = spelling) -> bytes:
            k = edwards.challenge(spelling, plain.public, LABEL + b"\x00" + value)
            return spelling + (k * plain.secret % ORDER).to_bytes(32, "little")

        yield fails(
            f"signature-r-spelling-{name}",
            "bad-signature",
            f"R in a second spelling: {what}",
            with_signature(plain.public, respelled),
        )
    mixed = Twisted(2**251 + 5, key=1)
    value = with_signature(mixed.public, partial(mixed.sign, LABEL), lambda k: k % ORDER % 8 == 0 and k % 8 != 0)
    yield reads(
        "identity-mixed",
        "an identity key of mixed order; the equation without the cofactor holds when k is reduced modulo L",
        value,
    )
    yield fails(
        "signature-mixed-key",
        "bad-signature",
        "the same key: the equation holds with the cofactor, or when k is not reduced, and so it does not hold",
        with_signature(mixed.public, partial(mixed.sign, LABEL), lambda k: k % ORDER % 8 != 0 and k % 8 == 0),
    )
    other = Twisted(2**251 + 5, nonce=1)
    yield fails(
        "signature-mixed-r",
        "bad-signature",
        "an R of mixed order: the equation holds with the cofactor alone",
        with_signature(other.public, partial(other.sign, LABEL)),
    )
    both = Twisted(2**251 + 5, key=1, nonce=1)
    yield reads(
        "signature-mixed-both",
        "key and R of mixed order; what is of small order cancels, and the equation without the cofactor holds",
        with_signature(both.public, partial(both.sign, LABEL), lambda k: (k % ORDER + 1) % 8 == 0),
    )
