"""Cases of the small kinds: canonical, padding, passphrase, derivations, manifest, acknowledgement, report, locked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import oracle
from nacl import pwhash
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt as xchacha_seal
from oracle import ALPHA, BETA, SERVER, Case, Signer, XWing, b64, case, random

ORDER = 2**252 + 27742317777372353535851937790883648493  # of Ed25519's base point


def canonical() -> Iterator[Case]:
    """Section 1: one spelling of everything."""

    def read(name: str, comment: str, text: str | bytes, expect: str = "malformed", form: str = "compact") -> Case:
        data = text if isinstance(text, bytes) else text.encode()
        given = {"form": form, "data": b64(data)}
        return case(f"canonical/{name}", expect, comment, given, {} if expect == "ok" else None)

    for name, comment, text in (
        ("scalars", "null, true, false, numbers, text", '[null,true,false,0,-1,9007199254740991,-9007199254740991,""]'),
        ("empty", "an empty object", "{}"),
        ("order", "members by name, not as numbers", '{"":0,"1":1,"10":2,"2":3,"A":4,"B":5,"_":6,"__proto__":7,"a":8}'),
        ("escapes", "the only escapes", r'"\"\\\b\f\n\r\t\u0000\u001f"'),
        ("raw", "all else stands for itself", '"/\x7f\x80é\u2028\u2029\ufeff\uffff😀"'),
        ("depth-8", "eight lists in one another", "[" * 8 + "]" * 8),
        ("text", "a text alone", '"x"'),
    ):
        yield read(name, comment, text, "ok")
    for name, comment, text in (
        ("file", "file form", '{\n  "a": [\n    1,\n    {\n      "b": ""\n    }\n  ],\n  "c": {},\n  "d": []\n}\n'),
        ("file-scalar", "file form of a number", "0\n"),
    ):
        yield read(name, comment, text, "ok", "file")
    for name, comment, text in (
        ("nothing", "no byte", b""),
        ("bom", "a byte order mark", b"\xef\xbb\xbf{}"),
        ("not-utf8", "a byte that is no UTF-8", b'"\xff"'),
        ("overlong", "UTF-8 longer than needed", b'"\xc0\xaf"'),
        ("surrogate-utf8", "a surrogate in UTF-8", b'"\xed\xa0\x80"'),
        ("utf16", "UTF-16", '"x"'.encode("utf-16-le")),
        ("space-before", "a space before", " {}"),
        ("space-after", "a space after", "{} "),
        ("newline-after", "a line feed after compact form", "{}\n"),
        ("space-inside", "a space after a colon", '{"a": 1}'),
        ("trailing", "a second value", "{}{}"),
        ("trailing-nul", "a zero byte after", "{}\x00"),
        ("unsorted", "members out of order", '{"b":1,"a":2}'),
        ("unsorted-numeric", "members in the order of numbers", '{"2":1,"10":2}'),
        ("duplicate", "one member twice", '{"a":1,"a":2}'),
        ("duplicate-same", "one member twice with one value", '{"a":1,"a":1}'),
        ("name-not-ascii", "a member's name that is not ASCII", '{"é":1}'),
        ("name-escaped", "a member's name with an escape that is not needed", r'{"\u0061":1}'),
        ("float", "a float", "1.5"),
        ("float-whole", "a float without a fraction", "1.0"),
        ("exponent", "an exponent", "1e2"),
        ("exponent-huge", "a number beyond all floats", "1e400"),
        ("minus-zero", "minus zero", "-0"),
        ("plus", "a plus sign", "+1"),
        ("leading-zero", "a leading zero", "01"),
        ("hex", "a number in hex", "0x10"),
        ("too-large", "2^53", "9007199254740992"),
        ("too-small", "-2^53", "-9007199254740992"),
        ("digits-many", "a number of 5,000 digits", "1" * 5000),
        ("nan", "not a number", "NaN"),
        ("infinity", "infinity", "-Infinity"),
        ("escape-upper", "an escape in upper case", r'"\u001F"'),
        ("escape-slash", "a slash escaped", r'"\/"'),
        ("escape-long", "a long escape where a short one exists", r'"\u000a"'),
        ("escape-letter", "a letter escaped", r'"\u0041"'),
        ("escape-del", "U+007F escaped", r'"\u007f"'),
        ("escape-pair", "a character beyond the first plane as two escapes", r'"\ud83d\ude00"'),
        ("surrogate", "a lone surrogate", r'"\ud800"'),
        ("surrogate-low", "a lone low surrogate", r'"\udc00"'),
        ("control", "a raw control character", '"\x01"'),
        ("single-quotes", "single quotes", "{'a':1}"),
        ("comma-after", "a comma after the last member", '{"a":1,}'),
        ("comment", "a comment", "/**/{}"),
        ("true-upper", "True", "True"),
        ("depth-9", "nine lists in one another", "[" * 9 + "]" * 9),
        ("depth-many", "20,000 lists in one another", "[" * 20_000),
        ("unfinished", "an object that does not end", '{"a":1'),
        ("only-name", "a member without a value", '{"a"}'),
    ):
        yield read(name, comment, text)
    for name, comment, text in (
        ("file-compact", "compact form where file form is asked for", '{"a":1}'),
        ("file-no-newline", "no line feed at the end", "{}"),
        ("file-two-newlines", "two line feeds at the end", "{}\n\n"),
        ("file-crlf", "line ends of another system", '{\r\n  "a": 1\r\n}\r\n'),
        ("file-indent-4", "indented by four", '{\n    "a": 1\n}\n'),
        ("file-tabs", "indented by tabs", '{\n\t"a": 1\n}\n'),
        ("file-one-line", "a list on one line", '{\n  "a": [1]\n}\n'),
        ("file-empty-spread", "an empty list over two lines", '{\n  "a": [\n  ]\n}\n'),
        ("file-space-at-end", "a space at the end of a line", '{\n  "a": 1, \n  "b": 2\n}\n'),
    ):
        yield read(name, comment, text, form="file")


def padding() -> Iterator[Case]:
    """Sections 4.3, 4.4 and 5.2: sizes."""

    def table(name: str, comment: str, sizes: list[int]) -> Case:
        parts = [-(-size // oracle.PART) for size in sizes]
        output = {
            "padme": [oracle.padme(size) for size in sizes],
            "letter": [oracle.letter_size(size) for size in sizes],
            "parts": parts,
            "sealed": [size + 16 * count for size, count in zip(sizes, parts, strict=True)],
            "volume": [oracle.volume(size) for size in sizes],
        }
        return case(f"padding/{name}", "ok", comment, {"sizes": sizes}, output)

    yield table("small", "every size up to 300", list(range(301)))
    yield table("powers", "around each power of two up to 2^40", [2**j + d for j in range(2, 41) for d in (-1, 0, 1)])
    letters = (8192, 20480, 69632, 3_097_160)
    yield table("letters", "around the sizes of letters", [size + d for size in letters for d in (-1, 0, 1)])
    parts = [count * 65536 + d for count in (1, 2, 3, 16, 255, 65536) for d in (-1, 0, 1)]
    yield table("parts", "around the borders of parts", parts)
    gib = 2**30
    volumes = [2**20, 2**21, gib, 2 * gib, 3 * gib, 1000 * gib]
    yield table("volumes", "around the volume classes of Bundles", [size + d for size in volumes for d in (-1, 0, 1)])
    scattered = [int.from_bytes(random(f"size {n}", 8)) >> 24 for n in range(200)]
    yield table("scattered", "200 sizes below 2^40", scattered)


def passphrase() -> Iterator[Case]:
    """Section 3: what a person may type."""

    def reads(name: str, comment: str, text: str, source: oracle.Source) -> Case:
        output = {"passphrase": source.passphrase.hex(), "digits": source.digits()}
        return case(f"passphrase/{name}", "ok", comment, {"text": text}, output)

    def fails(name: str, comment: str, text: str) -> Case:
        return case(f"passphrase/{name}", "bad-passphrase", comment, {"text": text})

    one, low, high = (oracle.Source("one"), oracle.Source("low", secret=0), oracle.Source("high", secret=2**100 - 1))
    digits = one.digits()
    bare = digits.replace(" ", "")
    yield reads("plain", "as it is shown", digits, one)
    yield reads("lowest", "all random bits are zero", low.digits(), low)
    yield reads("highest", "all random bits are one", high.digits(), high)
    yield reads("bare", "without spaces", bare, one)
    yield reads(
        "separators",
        "every separator that is dropped",
        ".-_ \t\r\n\v\f" + "-".join(bare) + "\u00a0\u2003\u3000\u202f\u2028",
        one,
    )
    for name, zero in (
        ("arabic", 0x660),
        ("persian", 0x6F0),
        ("devanagari", 0x966),
        ("burmese", 0x1040),
        ("fullwidth", 0xFF10),
        ("bold", 0x1D7CE),
    ):
        yield reads(
            f"digits-{name}", f"digits from U+{zero:04X}", "".join(chr(zero + int(digit)) for digit in bare), one
        )
    mixed = "".join(chr((0x30, 0x661 - 1, 0x966)[at % 3] + int(digit)) for at, digit in enumerate(bare))
    yield reads("digits-mixed", "digits of three scripts", mixed, one)

    changed = str((int(bare[-1]) + 1) % 10)
    yield fails("empty", "nothing typed", "")
    yield fails("short", "35 digits", bare[:-1])
    yield fails("long", "37 digits", bare + "0")
    yield fails("leading-zero", "a zero more in front", "0" + bare)
    yield fails("last-digit", "another last digit", bare[:-1] + changed)
    yield fails("swapped", "two neighbours swapped", swap_neighbours(bare))
    yield fails("letter", "a letter O for a zero", bare[:-1] + "O")
    yield fails("superscript", "a superscript is no decimal digit", bare[:-1] + "²")
    yield fails("roman", "a Roman numeral is no decimal digit", bare[:-1] + "\u2160")
    yield fails("circled", "a circled digit is no decimal digit", bare[:-1] + "\u2460")
    yield fails("sign", "a plus sign", "+" + bare[1:])
    yield fails("comma", "commas are not dropped", digits.replace(" ", ","))
    yield fails("zero-width", "a zero width space is no white space", bare + "\u200b")
    yield fails("nul", "a U+0000 at the end", bare + "\x00")
    yield fails("version-0", "version 0 with a right check", f"{version(0, 5):036d}")
    yield fails("version-2", "version 2 with a right check", f"{version(2, 5):036d}")
    yield fails("too-large", "2^116 more than a good one", f"{one.number + 2**116:036d}")
    yield fails("largest", "36 times nine", "9" * 36)
    yield fails("zero", "36 times zero", "0" * 36)
    yield fails("huge", "5,000 digits", "1" * 5000)


def version(number: int, secret: int) -> int:
    check = oracle.sha256(b"tipbox/v1/passphrase-check", bytes([number]), secret.to_bytes(13))
    return ((number << 100) + secret) * 4096 + (int.from_bytes(check[:2]) >> 4)


def swap_neighbours(digits: str) -> str:
    at = next(at for at in range(20, 35) if digits[at] != digits[at + 1])
    return digits[:at] + digits[at + 1] + digits[at] + digits[at + 2 :]


def derivations() -> Iterator[Case]:
    """Sections 1 and 3: ids and everything that follows from a Passphrase."""
    for name, comment, source, organisation in (
        ("one", "a Passphrase and an organisation", oracle.Source("one"), ALPHA),
        ("lowest", "the lowest Passphrase", oracle.Source("low", secret=0), BETA),
        ("highest", "the highest Passphrase", oracle.Source("high", secret=2**100 - 1), ALPHA),
    ):
        pair, header_hash = source.pair_key(organisation.id), random(f"{name}/header hash")
        given = {
            "passphrase": source.passphrase.hex(),
            "identity": b64(organisation.identity.public),
            "server": b64(SERVER.public),
            "public": b64(organisation.receiving.public),
            "header_hash": header_hash.hex(),
        }
        output = {
            "root": source.root.hex(),
            "mailbox_token": source.token.hex(),
            "mailbox_address": source.address.hex(),
            "reply_seed": source.reply.seed.hex(),
            "reply_public": b64(source.reply.public),
            "resume": source.resume.hex(),
            "organisation": organisation.id.hex(),
            "server_id": oracle.sha256(b"tipbox/v1/server", SERVER.public)[:16].hex(),
            "key_id": organisation.receiving.id.hex(),
            "pair_key": pair.hex(),
            "thread_id": oracle.thread_id(pair).hex(),
            "check_digits": oracle.check_digits(pair, header_hash),
        }
        yield case(f"derivations/{name}", "ok", comment, given, output)


def key(number: int = 0, start: str = "2026-11-23", end: str = "2026-12-07") -> dict[str, Any]:
    pair = XWing(f"manifest key {number}")
    return {"from": start, "id": pair.id.hex(), "public": b64(pair.public), "until": end}


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


def signed(
    value: dict[str, Any], signer: Signer = ALPHA.identity, label: bytes = b"tipbox/v1/manifest"
) -> dict[str, Any]:
    return {**value, "signature": b64(signer.sign(label, oracle.compact(value)))}


def manifest() -> Iterator[Case]:
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
            "id": oracle.sha256(b"tipbox/v1/organisation", ALPHA.identity.public)[:16].hex(),
            "serial": value["serial"],
            "organisation": value["organisation"],
            "name": value["name"],
            "keys": [key["id"] for key in value["keys"]],
        }
        if day:
            output["current_key"] = value["keys"][current]["id"]
        return case(f"manifest/{name}", "ok", comment, knows(oracle.file_form(signed(value)), day, holds), output)

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
        "keys": [key(number) for number in range(16)], "languages": ["ru-abcdefgh-abcdefgh-abcdefgh-abcde"] * 16,
        "name": "ы" * 100, "serial": [2**31 - 1] * 2, "until": "2027-02-22",
    }  # fmt: skip
    yield reads(
        "most", "every bound reached: 16 keys and languages, 35 characters, 200 bytes, 91 days", unsigned(**most)
    )
    later = {"contact": {"onion": "x", "list": [1, "2", None]}, "zzz": True}
    yield reads("other-members", "members that are not critical are passed over, and signed", unsigned(**later))
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
    yield bad("keys-17", "17 receiving keys", keys=[key(number) for number in range(17)])
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
    yield bad("languages-17", "17 languages", languages=["ru"] * 17)
    yield bad("language-36", "a language of 36 characters", languages=["ru-abcdefgh-abcdefgh-abcdefgh-abcdef"])
    yield bad("language-underscore", "a language with an underscore", languages=["ru_KZ"])
    yield bad("language-empty", "an empty language", languages=[""])
    yield bad("language-newline", "a language with a line feed at the end", languages=["ru\n"])
    yield bad("name-empty", "an empty name", name="")
    yield bad("name-201", "a name of 201 bytes", name="ы" * 100 + "x")
    yield bad("name-control", "a name with a line feed", name="A\nB")
    yield bad("name-c1", "a name with U+009B, which terminals obey", name="A\x9bB")
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
    raw = bytearray(ALPHA.identity.sign(b"tipbox/v1/manifest", oracle.compact(unsigned())))
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


def acknowledgement() -> Iterator[Case]:
    """Section 5.5."""
    ids = sorted(random(f"envelope id {n}").hex() for n in range(3))

    def ack(envelopes: Any, signer: Signer = ALPHA.desk, label: bytes = b"tipbox/v1/ack", **more: Any) -> bytes:
        value = {"envelopes": envelopes, **more}
        return oracle.compact({**value, "signature": b64(signer.sign(label, oracle.compact(value)))})

    def made(name: str, expect: str, comment: str, data: bytes, output: Case | None = None) -> Case:
        given = {"data": b64(data), "desk": ALPHA.desk.public.hex()}
        return case(f"acknowledgement/{name}", expect, comment, given, output)

    good = ack(ids)
    yield made("three", "ok", "three Envelopes", good, {"envelopes": ids})
    yield made("one", "ok", "one Envelope", ack(ids[:1]), {"envelopes": ids[:1]})
    yield made("none", "limit", "no Envelope", ack([]))
    yield made("order", "malformed", "ids in descending order", ack(ids[::-1]))
    yield made("repeated", "malformed", "one id twice", ack([ids[0], ids[0]]))
    yield made("upper", "malformed", "an id in upper case", ack([ids[0].upper()]))
    yield made("short", "malformed", "an id of 31 bytes", ack([ids[0][:62]]))
    yield made("number", "malformed", "an id that is a number", ack([1]))
    yield made("object", "malformed", "envelopes is no list", ack({}))
    yield made("other-member", "malformed", "a member that does not belong there", ack(ids, opened=True))
    yield made("no-signature", "malformed", "no signature", oracle.compact({"envelopes": ids}))
    yield made("file-form", "malformed", "file form", oracle.file_form({"envelopes": ids, "signature": b64(bytes(64))}))
    yield made("empty", "malformed", "no bytes", b"")
    yield made("truncated", "malformed", "the last byte is missing", good[:-1])
    yield made("trailing", "malformed", "a line feed too many", good + b"\n")
    yield made("signature-other", "bad-signature", "signed by another desk", ack(ids, BETA.desk))
    yield made("signature-label", "bad-signature", "signed as a manifest", ack(ids, label=b"tipbox/v1/manifest"))
    yield made(
        "signature-fewer", "bad-signature", "an id taken out after signing", good.replace(f'"{ids[0]}",'.encode(), b"")
    )


def report() -> Iterator[Case]:
    """Section 5.4."""
    items = sorted(random(f"item {n}").hex() for n in range(2))

    def made(name: str, comment: str, value: Any, expect: str = "malformed") -> Case:
        data = value if isinstance(value, bytes) else oracle.compact(value)
        return case(f"report/{name}", expect, comment, {"data": b64(data)}, value if expect == "ok" else None)

    yield made(
        "plain",
        "three Bundles and two refused replies",
        {
            "bundles": [3, 4, 2**53 - 1],
            "refused": [{"code": "full", "item": items[0]}, {"code": "not-found", "item": items[1]}],
        },
        "ok",
    )
    yield made("nothing", "nothing taken, nothing refused", {"bundles": [], "refused": []}, "ok")
    yield made("thousand", "1,000 Bundles", {"bundles": list(range(5, 1005)), "refused": []}, "ok")
    yield made("order", "sequences out of order", {"bundles": [4, 3], "refused": []})
    yield made("repeated", "one sequence twice", {"bundles": [3, 3], "refused": []})
    yield made("zero", "a sequence of zero", {"bundles": [0], "refused": []})
    yield made("true", "a sequence that is true", {"bundles": [True], "refused": []})
    yield made("text", "a sequence that is text", {"bundles": ["3"], "refused": []})
    yield made(
        "other-member", "a member that does not belong there", {"bundles": [], "refused": [], "day": "2026-11-23"}
    )
    yield made("no-refused", "the member refused is missing", {"bundles": []})
    yield made(
        "refused-member",
        "a refused reply with another member",
        {"bundles": [], "refused": [{"code": "full", "item": items[0], "name": ""}]},
    )
    yield made(
        "refused-item-short",
        "a hash of 31 bytes",
        {"bundles": [], "refused": [{"code": "full", "item": items[0][:62]}]},
    )
    yield made(
        "refused-code-number", "a code that is no text", {"bundles": [], "refused": [{"code": 7, "item": items[0]}]}
    )
    yield made("array", "no object", [])
    yield made("space", "not in canonical form", b'{"bundles": [],"refused":[]}')


def locked() -> Iterator[Case]:
    """Section 6."""
    passphrase, payload = "пароль из шести слов".encode(), b'{"key":"value"}'

    def seal(
        label: str, kind: int = 1, *, version: int = 1, magic: bytes = b"\x89tiploc\n", data: bytes = payload
    ) -> bytes:
        salt, nonce = random(f"locked {label}/salt", 16), random(f"locked {label}/nonce", 24)
        aad = magic + bytes([version, kind]) + salt
        secret = pwhash.argon2id.kdf(32, passphrase, salt, opslimit=3, memlimit=64 * 2**20)
        return aad + nonce + xchacha_seal(data, aad, nonce, secret)

    def made(
        name: str,
        expect: str,
        comment: str,
        file: bytes,
        kind: int = 1,
        *,
        typed: bytes = passphrase,
        holds: bytes | None = None,
    ) -> Case:
        given = {"file": b64(file), "holds": kind, "passphrase": b64(typed)}
        output = {"payload": b64(payload if holds is None else holds)} if expect == "ok" else None
        return case(f"locked/{name}", expect, comment, given, output)

    vault = seal("vault")
    for kind, name in ((1, "vault"), (2, "key-stick"), (3, "identity")):
        yield made(name, "ok", f"kind {kind}", seal(name, kind), kind)
    yield made("empty-payload", "ok", "nothing is locked in", seal("empty", data=b""), holds=b"")
    yield made("magic", "not-tipbox", "the magic of an Envelope", seal("magic", magic=b"\x89tipbox\n"))
    yield made("truncated", "truncated", "the file ends within the nonce", vault[:40])
    yield made(
        "truncated-tag", "truncated", "the file ends within the tag of an empty payload", vault[: 8 + 2 + 16 + 24 + 15]
    )
    yield made("version", "version", "version 2", seal("version", version=2))
    yield made("kind", "malformed", "a key stick where a vault is asked for", seal("kind", 2))
    yield made("kind-unknown", "malformed", "kind 4", seal("kind 4", 4))
    yield made("passphrase", "wrong-passphrase", "another passphrase", vault, typed=b"another")
    yield made("passphrase-empty", "wrong-passphrase", "an empty passphrase", vault, typed=b"")
    for name, offset in (("salt", 10), ("nonce", 26), ("payload", 50), ("tag", len(vault) - 1)):
        yield made(f"{name}-flipped", "wrong-passphrase", f"a bit of the {name} changed", oracle.flip(vault, offset))
    yield made("cut", "wrong-passphrase", "the last byte is missing", vault[:-1])
    yield made("trailing", "wrong-passphrase", "a byte too many", vault + b"\x00")


def cases() -> Iterator[Case]:
    for group in (canonical, padding, passphrase, derivations, manifest, acknowledgement, report, locked):
        yield from group()
