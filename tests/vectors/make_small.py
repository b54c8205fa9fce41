"""Cases of the small kinds: padding, passphrase, derivations, acknowledgement, report, locked."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import oracle
from edwards import Twisted
from nacl import pwhash
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt as xchacha_seal
from oracle import ALPHA, BETA, SERVER, Case, Signer, b64, case, random


def padding() -> Iterator[Case]:
    """Sections 4.3, 4.4 and 5.2: sizes."""

    def table(name: str, comment: str, sizes: list[int]) -> Case:
        parts = [-(-size // oracle.PART) for size in sizes]
        output = {
            "padme": [oracle.padme(size) for size in sizes],
            "letter": [oracle.letter_size(size) for size in sizes],
            "parts": parts,
            "sealed": [size + 16 * count for size, count in zip(sizes, parts, strict=True)],
            "sealed_body": [size + 32 * count for size, count in zip(sizes, parts, strict=True)],
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


DIVIDERS = (
    ("comma", "commas", ","),
    ("lines", "line feeds", "\r\n"),
    ("em", "em dashes", " \u2014 "),
    ("minus", "minus signs", "\u2212"),
    ("non-breaking", "hyphens that do not break", "\u2011"),
    ("soft", "soft hyphens", "\u00ad"),
    ("quotes", "quotation marks", "\u00bb \u00ab"),
    ("apostrophes", "apostrophes", "' '"),
    ("directions", "direction marks", "\u200f\u202b\u2066"),
    ("zero-width", "zero width spaces", "\u200b"),
    ("bom", "byte order marks", "\ufeff"),
)


def passphrase() -> Iterator[Case]:
    """Section 3: what a person may type."""

    def reads(name: str, comment: str, text: str, source: oracle.Source) -> Case:
        words = {language: source.words(language) for language in oracle.LISTS}
        output = {"passphrase": source.passphrase.hex(), "digits": source.digits(), "words": words}
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
        ("kawi", 0x11F50),
        ("nag-mundari", 0x1E4F0),
        ("garay", 0x10D40),
        ("gurung-khema", 0x16130),
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
    for name, comment, divider in DIVIDERS:
        yield reads(f"dividers-{name}", f"{comment} between the groups", digits.replace(" ", divider), one)
    yield reads(
        "dividers-around", "a byte order mark in front, quotation marks around", f"\ufeff\u201c{digits}\u201d", one
    )
    yield fails("semicolon", "a semicolon is not dropped", digits.replace(" ", ";"))
    yield fails("nul", "a U+0000 at the end", bare + "\x00")
    yield fails("version-0", "version 0 with a right check", f"{oracle.numbered(5, 0):036d}")
    yield fails("version-2", "version 2 with a right check", f"{oracle.numbered(5, 2):036d}")
    yield fails("too-large", "2^116 more than a good one", f"{one.number + 2**116:036d}")
    yield fails("largest", "36 times nine", "9" * 36)
    yield fails("zero", "36 times zero", "0" * 36)
    yield fails("huge", "5,000 digits", "1" * 5000)
    yield from words(reads, fails)


def words(reads: Callable[..., Case], fails: Callable[..., Case]) -> Iterator[Case]:
    """Section 3: an access code as words."""
    one, low, high = (oracle.Source("one"), oracle.Source("low", secret=0), oracle.Source("high", secret=2**100 - 1))
    for language in oracle.LISTS:
        text = one.words(language)
        listed = text.split()
        yield reads(f"words-{language}", "as they are shown", text, one)
        yield reads(f"words-{language}-lowest", "all random bits are zero", low.words(language), low)
        yield reads(f"words-{language}-highest", "all random bits are one", high.words(language), high)
        yield reads(f"words-{language}-upper", "in capital letters", text.upper(), one)
        yield reads(
            f"words-{language}-nfd", "accents as characters of their own", unicodedata.normalize("NFD", text), one
        )
        yield reads(f"words-{language}-bare", "without accents", stripped(text), one)
        short = [shortest(word, language) for word in listed]
        yield reads(f"words-{language}-prefixes", "the shortest prefix of each word", " ".join(short), one)
        yield reads(
            f"words-{language}-dividers",
            "every divider",
            "., " + "-".join(listed[:4]) + "\u00a0,_\t" + ".".join(listed[4:]),
            one,
        )
        yield fails(f"words-{language}-fewer", "a word is missing", " ".join(listed[:-1]))
        yield fails(f"words-{language}-more", "a word too many", f"{text} {listed[-1]}")
        yield fails(
            f"words-{language}-check", "another last word", " ".join([*listed[:-1], other(listed[-1], language)])
        )
        yield fails(
            f"words-{language}-wrong",
            "another word in the middle",
            " ".join([*listed[:4], other(listed[4], language), *listed[5:]]),
        )
        yield fails(f"words-{language}-unknown", "a word of no list", " ".join([*listed[:4], "qqqq", *listed[5:]]))
        yield fails(
            f"words-{language}-order", "two words swapped", " ".join([listed[0], listed[2], listed[1], *listed[3:]])
        )
        for number in (0, 2):
            spelt = " ".join(oracle.spell(language, oracle.numbered(5, number)))
            yield fails(f"words-{language}-version-{number}", f"version {number} with a right check", spelt)
        large = " ".join(oracle.spell(language, one.number + 2**116))
        yield fails(f"words-{language}-too-large", "2^116 more than a good one", large)
        longest = text + " " * (1024 - len(text))
        yield reads(f"words-{language}-long", "1,024 characters", longest, one)
        yield fails(f"words-{language}-too-long", "1,025 characters", longest + " ")

    russian, french, spanish = (one.words(language).split() for language in ("ru", "fr", "es"))
    yield fails("words-mixed-ru-fr", "words of two lists", " ".join(russian[:5] + french[5:]))
    yield fails("words-mixed-fr-es", "words of two lists that share an alphabet", " ".join(french[:5] + spanish[5:]))
    yield fails("words-and-digits", "words, then digits", f"{one.words('en')} {one.digits()}")
    english = one.words("en").split()
    yield fails("words-prefix-short", "one letter for a word", " ".join([english[0][0], *english[1:]]))
    yield fails("words-prefix-two", "a prefix of two words", " ".join([english[0][:2], *english[1:]]))
    yield fails("words-behind", "letters behind a word", " ".join([english[0] + "x", *english[1:]]))
    for name, comment, divider in DIVIDERS:
        yield reads(
            f"words-dividers-{name}", f"{comment} between the words", one.words("en").replace(" ", divider), one
        )
    numbered = "\n".join(f"{at}. {word}" for at, word in enumerate(english, 1))
    yield reads("words-numbered", "a list with numbers, a word on a line", numbered, one)
    arabic = numbered.translate({0x30 + digit: 0x660 + digit for digit in range(10)})
    yield reads("words-numbered-arabic", "the same with Arabic numbers", arabic, one)
    brackets = " ".join(f"{at}) {word}" for at, word in enumerate(russian, 1))
    yield reads("words-numbered-brackets", "numbers with brackets", brackets, one)
    yield fails("words-numbered-hundred", "a number of three digits is no number of a list", "100. " + one.words("en"))
    yield fails("words-mark", "a mark that is not dropped: U+20DD", one.words("en") + "\u20dd")
    yield fails("words-semicolon", "a semicolon divides nothing", one.words("en").replace(" ", ";"))
    yield fails("words-latin-a", "a Latin letter in a Russian word", " ".join(["a" + russian[0][1:], *russian[1:]]))

    for name, comment, language, words, typed in (
        ("exact", "words that others begin with", "es", ("a\u00f1o", "ave"), "an\u0303o AVE"),
        ("yo", "the letter U+0451 for U+0435", "ru", ("\u0434\u0435\u043d\u044c",), "\u0434\u0451\u043d\u044c"),
        (
            "short-i",
            "the letter U+0438 for U+0439",
            "ru",
            ("\u0431\u0435\u0434\u043d\u044b\u0439",),
            "\u0431\u0435\u0434\u043d\u044b\u0438",
        ),
        ("hyphen", "words with hyphens", "en", ("t-shirt", "felt-tip", "drop-down"), "t-shirt felt-tip drop-down"),
        ("hyphen-space", "words with hyphens, typed without", "en", ("t-shirt", "felt-tip"), "t shirt, felt tip"),
        ("hyphen-twin", "two words that differ in a hyphen", "en", ("yo-yo", "yoyo", "yo-yo"), "yo yo yoyo yo-yo"),
    ):
        source = oracle.holding(f"words {name}", language, *words)
        rest = source.words(language).split()
        yield reads(f"words-{name}", comment, " ".join([rest[0], typed, *rest[1 + len(words) :]]), source)
    kazakh = one.words("ru").translate(
        str.maketrans(
            "\u0430\u0433\u043a\u043d\u043e\u0443\u0445\u0438", "\u04d9\u0493\u049b\u04a3\u04e9\u04af\u04bb\u0456"
        )
    )
    yield reads("words-kazakh", "Russian words with Kazakh letters", kazakh, one)
    yield reads("words-kazakh-upper", "the same, in capitals", kazakh.replace("\u04af", "\u04b1").upper(), one)


def stripped(text: str) -> str:
    """A text without its accents."""
    return "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))


def shortest(word: str, language: str) -> str:
    """The shortest beginning, of two letters or more, that only this word of a list has; without accents."""
    bare, listed = stripped(word), [stripped(one) for one in oracle.words_of(language)]
    starts = (bare[:size] for size in range(2, len(bare)))
    return next((start for start in starts if sum(one.startswith(start) for one in listed) == 1), bare)


def other(word: str, language: str) -> str:
    """The next word of a list."""
    listed = oracle.words_of(language)
    return listed[(listed.index(word) + 1) % len(listed)]


def swap_neighbours(digits: str) -> str:
    at = next(at for at in range(20, 35) if digits[at] != digits[at + 1])
    return digits[:at] + digits[at + 1] + digits[at] + digits[at + 2 :]


def derivations() -> Iterator[Case]:
    """Sections 1 and 3: ids and everything that follows from an access code."""
    for name, comment, source, organisation in (
        ("one", "an access code and an organisation", oracle.Source("one"), ALPHA),
        ("lowest", "the lowest access code", oracle.Source("low", secret=0), BETA),
        ("highest", "the highest access code", oracle.Source("high", secret=2**100 - 1), ALPHA),
    ):
        pair = source.pair_key(organisation.id)
        given = {
            "passphrase": source.passphrase.hex(),
            "identity": b64(organisation.identity.public),
            "server": b64(SERVER.public),
            "public": b64(organisation.receiving.public),
        }
        output = {
            "root": source.root.hex(),
            "mailbox_token": source.token(organisation.id).hex(),
            "mailbox_address": source.address(organisation.id).hex(),
            "mailbox_decoys": [source.decoy(organisation.id, number).hex() for number in (0, 31)],
            "resume": source.resume.hex(),
            "organisation": organisation.id.hex(),
            "server_id": oracle.sha256(b"tipbox/v1/server", SERVER.public)[:16].hex(),
            "key_id": organisation.receiving.id.hex(),
            "pair_key": pair.hex(),
            "thread_id": oracle.thread_id(pair).hex(),
        }
        yield case(f"derivations/{name}", "ok", comment, given, output)


def acknowledgement() -> Iterator[Case]:
    """Section 5.5."""
    ids = sorted(random(f"envelope id {n}").hex() for n in range(3))

    def ack(
        envelopes: Any, signer: Signer | Twisted = ALPHA.desk, label: bytes = b"tipbox/v1/ack", **more: Any
    ) -> bytes:
        value = {"envelopes": envelopes, **more}
        return oracle.compact({**value, "signature": b64(signer.sign(label, oracle.compact(value)))})

    def made(
        name: str,
        expect: str,
        comment: str,
        data: bytes,
        output: Case | None = None,
        *,
        desk: bytes = ALPHA.desk.public,
    ) -> Case:
        given = {"data": b64(data), "desk": desk.hex()}
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
    small, plain = Twisted(0), Twisted(2**251 + 5)
    yield made(
        "desk-small",
        "bad-signature",
        "a desk key of small order; the signature satisfies the equation",
        ack(ids, small),
        desk=small.public,
    )
    value = {"envelopes": ids}
    signature = plain.sign(b"tipbox/v1/ack", oracle.compact(value), secret_nonce=0)
    yield made(
        "signature-r-small",
        "bad-signature",
        "R is of small order; the equation holds",
        oracle.compact({**value, "signature": b64(signature)}),
        desk=plain.public,
    )
    yield made(
        "signature-fewer", "bad-signature", "an id taken out after signing", good.replace(f'"{ids[0]}",'.encode(), b"")
    )


def report() -> Iterator[Case]:
    """Section 5.4."""
    items = sorted(random(f"item {n}").hex() for n in range(2))

    def made(name: str, comment: str, value: Any, expect: str = "malformed") -> Case:
        data = value if isinstance(value, bytes) else oracle.compact(value)
        return case(f"report/{name}", expect, comment, {"data": b64(data)}, value if expect == "ok" else None)

    def taken(*sequences: Any, indexes: Any = None) -> list[Case]:
        hashes = [random("index").hex()] if indexes is None else indexes
        return [{"indexes": hashes, "sequence": sequence} for sequence in sequences]

    yield made(
        "plain",
        "three Bundles and two refused replies",
        {
            "bundles": taken(3, 4, 2**53 - 1),
            "refused": [{"code": "full", "item": items[0]}, {"code": "not-found", "item": items[1]}],
        },
        "ok",
    )
    yield made("nothing", "nothing taken, nothing refused", {"bundles": [], "refused": []}, "ok")
    most = [random(f"index {n}").hex() for n in range(64)]
    yield made("volumes", "a Bundle of 64 volumes", {"bundles": taken(1, indexes=most), "refused": []}, "ok")
    yield made("thousand", "1,000 entries that are no Bundles", {"bundles": [0] * 1000, "refused": []})
    yield made("thousand-one", "1,001 entries that are no Bundles", {"bundles": [0] * 1001, "refused": []}, "limit")
    yield made("order", "sequences out of order", {"bundles": taken(4, 3), "refused": []})
    yield made("repeated", "one sequence twice", {"bundles": taken(3, 3), "refused": []})
    yield made("zero", "a sequence of zero", {"bundles": taken(0), "refused": []})
    yield made("true", "a sequence that is true", {"bundles": taken(True), "refused": []})
    yield made("text", "a sequence that is text", {"bundles": taken("3"), "refused": []})
    yield made("number", "a Bundle that is a number", {"bundles": [3], "refused": []})
    yield made("indexes-none", "a Bundle without a volume", {"bundles": taken(3, indexes=[]), "refused": []})
    more = [*most, most[0]]
    yield made("indexes-65", "a Bundle of 65 volumes", {"bundles": taken(3, indexes=more), "refused": []})
    yield made("index-short", "a hash of 31 bytes", {"bundles": taken(3, indexes=["00" * 31]), "refused": []})
    yield made("index-upper", "a hash in upper case", {"bundles": taken(3, indexes=["AB" * 32]), "refused": []})
    yield made(
        "bundle-member",
        "a Bundle with another member",
        {"bundles": [{**taken(3)[0], "volume": 1}], "refused": []},
    )
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
    for kind, name in ((1, "vault"), (2, "key-stick"), (3, "identity"), (4, "operator-key")):
        yield made(name, "ok", f"kind {kind}", seal(name, kind), kind)
    yield made("empty-payload", "ok", "nothing is locked in", seal("empty", data=b""), holds=b"")
    yield made("magic", "not-tipbox", "the magic of an Envelope", seal("magic", magic=b"\x89tipbox\n"))
    yield made("nothing", "truncated", "no bytes", b"")
    yield made("magic-cut", "truncated", "the file ends within the magic", vault[:5])
    yield made("truncated", "truncated", "the file ends within the nonce", vault[:40])
    yield made(
        "truncated-tag", "truncated", "the file ends within the tag of an empty payload", vault[: 8 + 2 + 16 + 24 + 15]
    )
    yield made("version", "version", "version 2", seal("version", version=2))
    yield made("kind", "malformed", "a key stick where a vault is asked for", seal("kind", 2))
    yield made("kind-unknown", "malformed", "kind 5", seal("kind 5", 5))
    yield made("passphrase", "wrong-passphrase", "another passphrase", vault, typed=b"another")
    yield made("passphrase-empty", "wrong-passphrase", "an empty passphrase", vault, typed=b"")
    for name, offset in (("salt", 10), ("nonce", 26), ("payload", 50), ("tag", len(vault) - 1)):
        yield made(f"{name}-flipped", "wrong-passphrase", f"a bit of the {name} changed", oracle.flip(vault, offset))
    yield made("cut", "wrong-passphrase", "the last byte is missing", vault[:-1])
    yield made("trailing", "wrong-passphrase", "a byte too many", vault + b"\x00")


def cases() -> Iterator[Case]:
    for group in (padding, passphrase, derivations, acknowledgement, report, locked):
        yield from group()
