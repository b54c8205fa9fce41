"""Three readers of Envelopes against one another: Python, TypeScript and the reference opener.

``inputs`` makes tips and replies that are in order, or break one rule or several: in bytes that lie there for all to
change, and under seals that only a stranger with the keys can make. What one reader says of them all must say.
"""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from support.node import Node
from support.organisations import Case, outcome
from support.tree import ROOT
from tipbox.formats.base import labels, padding
from tipbox.formats.base.limits import PART_SIZE, SEAL_SIZE
from tipbox.formats.base.primitives import hkdf, hmac_sha256, seal_part, sha256, xwing_public
from tipbox.formats.envelopes.header import body_commitment, content_commitment, seal_slot
from tipbox.formats.manifest import key_id

T = TypeVar("T", bytes, list[bytes])
Read = Callable[[Case], tuple[str, Case | None]]
"""Given a case of kind ``envelope`` or ``reply``: the code, and the output where that is ``ok``."""
_SEEDS = [bytes([number]) * 32 for number in range(3)]
_PUBLIC = [xwing_public(seed) for seed in _SEEDS]
_PAIR_KEY = bytes(range(32))
_MOST_FAULTS = 3


class Reference:
    """The reference opener, running."""

    def __init__(self) -> None:
        opener = ROOT / "tests" / "formats" / "reference_open.py"
        command = (sys.executable, "-I", opener)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, case: Case) -> tuple[str, Case | None]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        return said["code"], said.get("output")

    def close(self) -> None:
        self._process.communicate()


def typescript(node: Node) -> Read:
    """The client and its opener, running under Node."""

    def read(case: Case) -> tuple[str, Case | None]:
        said = node.ask("read", kind=case["kind"], input=case["input"])
        return (said["error"], None) if "error" in said else ("ok", said)

    return read


def differences(cases: Iterable[Case], readers: dict[str, Read]) -> Iterator[tuple[Case, dict[str, Any]]]:
    """The cases on which readers differ, and what each says."""
    for case in cases:
        said = {name: read(case) for name, read in readers.items()}
        if any(one != said["Python"] for one in said.values()):
            yield case, said


def all_readers(reference: Reference, node: Node) -> dict[str, Read]:
    return {"Python": outcome, "reference": reference, "TypeScript": typescript(node)}


# --- inputs -----------------------------------------------------------------------------------------------------------


def inputs(count: int, seed: int) -> Iterator[Case]:
    """Cases as those of tests/vectors, without an outcome; for a seed the same ones, but for HPKE's random numbers."""
    chance = random.Random(seed)
    for number in range(count):
        draft = Draft(chance)
        faults = chance.choice((0, 1, 1, 1, 1, 2, 2, _MOST_FAULTS))
        names = []
        for _ in range(faults):
            fault = chance.choice(_FAULTS)
            fault(draft)
            names.append(fault.__name__.strip("_"))
        yield {"name": f"{seed}/{number}: {', '.join(names)}", "kind": draft.kind_name, "input": draft.given()}


@dataclass
class Draft:
    """An Envelope before it is sealed, with all that a fault can change."""

    chance: random.Random
    reply: bool = field(init=False)
    meta: dict[str, Any] = field(init=False)
    contents: list[bytes] = field(init=False)
    message: bytes = b""
    fixed: dict[int, bytes] = field(default_factory=dict)
    """Bytes of the header to put at an offset before the slots are sealed."""
    late: list[Callable[[bytes], bytes]] = field(default_factory=list)
    """Changes of the whole, when all is sealed."""
    encoded: list[Callable[[bytes], bytes]] = field(default_factory=list)
    """Changes of the letter's JSON."""
    plaintext: list[Callable[[bytes], bytes]] = field(default_factory=list)
    """Changes of the letter's padded plaintext."""
    padded: list[Callable[[bytes], bytes]] = field(default_factory=list)
    """Changes of the padded body."""
    parts: list[Callable[[list[bytes]], list[bytes]]] = field(default_factory=list)
    """Changes of the sealed parts."""
    tags: list[Callable[[list[bytes]], list[bytes]]] = field(default_factory=list)
    """Changes of the trailer."""
    slots: list[Callable[[list[bytes]], list[bytes]]] = field(default_factory=list)
    """Changes of the sealed slots."""
    sessions: int = 1
    flags: bool | None = None
    """One last-part flag for all parts; None for the right ones."""
    body_size: int | None = None
    committed: dict[str, bytes] = field(default_factory=dict)
    filler: bool = False
    pair_key: bytes = _PAIR_KEY
    reader: int = 0
    held: str = "held"
    """What the reader has of its key: held, unknown, destroyed, other."""

    def __post_init__(self) -> None:
        chance = self.chance
        self.reply = chance.random() < 1 / 3
        self.keys = {name: chance.randbytes(32) for name in ("content", "body", "salt", "mailbox", "seal 0", "seal 1")}
        sizes = [chance.choice((0, 1, 5, 300, 1500)) for _ in range(chance.choice((0, 0, 1, 1, 2, 3)))]
        if chance.random() < 0.15:
            sizes.append(chance.choice((PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 2 * PART_SIZE + 7)))
        self.sessions = chance.choice((1, 1, 2, 3))
        self.contents = [chance.randbytes(size) for size in sizes]
        self.message = chance.choice((b"", b"text", "Қазақша\r\n\x00".encode(), b"\xff\xfe", chance.randbytes(9000)))
        self.meta = {
            "body_key": base64.b64encode(self.keys["body"]).decode(),
            "files": [
                {"name": chance.choice(_NAMES), "size": size, "type": chance.choice(("", "image/jpeg", "~" * 127))}
                for size in sizes
            ],
            "id": chance.randbytes(16).hex(),
            "language": chance.choice(("", "ru", "kk-Cyrl", "sr-Latn-RS-ekavsk")),
        }
        if self.reply:
            self.meta["answers"] = chance.choice(("", chance.randbytes(16).hex()))
            self.meta["day"] = chance.choice(("2026-11-23", "0001-01-01", "9999-12-31", "2024-02-29"))
        else:
            for name, make in _OPTIONAL.items():
                if chance.random() < 0.3:
                    self.meta[name] = make(chance)

    @property
    def kind_name(self) -> str:
        return "reply" if self.reply else "envelope"

    def given(self) -> Case:
        """The input of the case: everything sealed as it is now."""
        data = base64.b64encode(self._seal()).decode()
        if self.reply:
            return {"envelope": data, "pair_key": _PAIR_KEY.hex()}
        key = {"id": key_id(_PUBLIC[self.reader]).hex(), "seed": _SEEDS[self.reader].hex()}
        if self.held == "other":
            key["seed"] = bytes(32)[:31].hex() + "ff"
        return {
            "envelope": data,
            "organisation": (bytes([self.reader]) * 16).hex(),
            "keys": [key] if self.held in {"held", "other"} else [],
            "destroyed": [key["id"]] if self.held == "destroyed" else [],
        }

    def _seal(self) -> bytes:
        table = _changed(_json(self.meta), self.encoded)
        content = len(table).to_bytes(4) + table + len(self.message).to_bytes(4) + self.message
        plaintext = _changed(content.ljust(padding.letter_size(len(content)), b"\x00"), self.plaintext)
        body = b"".join(self.contents)
        body = _changed(body.ljust(padding.padme(len(body)), b"\x00"), self.padded)
        salt = self.keys["salt"]
        content_key = hkdf(self.pair_key, salt, labels.REPLY_CONTENT) if self.reply else self.keys["content"]
        count = 0 if self.reply else 2
        fixed = bytearray(
            b"\x89tipbox\n\x01"
            + bytes([count, self.reply, 0])
            + len(plaintext).to_bytes(4)
            + (len(body) if self.body_size is None else self.body_size).to_bytes(8)
            + salt
            + content_commitment(self.committed.get("content", content_key), salt)
            + body_commitment(self.committed.get("body", self.keys["body"]), salt)
        )
        for at, data in self.fixed.items():
            fixed[at : at + len(data)] = data
        slots = [self._slot(bytes(fixed), number, content_key) for number in range(count)]
        header = bytes(fixed) + b"".join(_changed(slots, self.slots))
        digest = sha256(header)
        letter = AESGCM(hkdf(content_key, digest, labels.LETTER)).encrypt(bytes(12), plaintext, None)
        parts = _changed(self._parts(digest, body), self.parts)
        envelope_hash = sha256(labels.ENVELOPE_HASH, digest, sha256(letter), *map(sha256, parts))
        tags = [
            hmac_sha256(hkdf(self.pair_key + self.keys[f"seal {number}"], salt, labels.SEAL), envelope_hash)
            for number in range(count)
        ]
        return _changed(header + letter + b"".join(parts) + b"".join(_changed(tags, self.tags)), self.late)

    def _slot(self, fixed: bytes, number: int, content_key: bytes) -> bytes:
        secrets = content_key + self.pair_key + self.keys["mailbox"] + self.keys[f"seal {number}"]
        if self.filler:
            secrets = self.keys["body"] * 4
        public = _PUBLIC[number]
        return seal_slot(fixed, bytes([number]) * 16, key_id(public), public, secrets).encode()

    def _parts(self, digest: bytes, body: bytes) -> list[bytes]:
        pieces = [body[at : at + PART_SIZE] for at in range(0, len(body), PART_SIZE)]
        nonces = [self.chance.randbytes(16) for _ in range(self.sessions)]
        sealed = []
        for index, piece in enumerate(pieces):
            nonce, last = self.chance.choice(nonces), index == len(pieces) - 1
            cipher = AESGCM(hkdf(self.keys["body"], digest, labels.PARTS + nonce))
            sealed.append(nonce + seal_part(cipher, index, piece, last=last if self.flags is None else self.flags))
        return sealed


def _changed(value: T, changes: Iterable[Callable[[T], T]]) -> T:
    for change in changes:
        value = change(value)
    return value


def _json(value: Any) -> bytes:
    """Compact canonical form where it can be, else something near to it."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def _consent(chance: random.Random) -> dict[str, Any]:
    return {
        "ask_me": chance.random() < 0.5,
        "level": chance.randrange(6),
        "never": [chance.choice(("x" * 200, "ы" * 100, "\u2028", "the army")) for _ in range(chance.choice((0, 1, 8)))],
        "until": chance.choice(("", "2027-02-28", "0001-01-01", "9999-12-31")),
    }


_OPTIONAL: dict[str, Callable[[random.Random], Any]] = {
    "consent": _consent,
    "continues": lambda chance: chance.randbytes(32).hex(),
    "files_follow": lambda chance: chance.choice((1, 2, 1000)),
    "sections": lambda chance: chance.choice(([], ["AAAA"], ["", "\x00ы"])),
}
_NAMES = ("a", "../../etc/passwd", "ы" * 127 + "x", "\x1b[2J\n", "x" * 255, "😀.jpg", "\ufeff", "\u202e", "nul \u2028")
_NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 6, 1001, 2**40, 2**40 + 1, 2**53 - 1, 2**53, -(2**53), 10**30, 0.0, 1.5, 1e300,
    "", "a", "\x00", "\x1f", "\x7f", "\x85", "é", "😀" * 63, "😀" * 64, "ы" * 64, "ы" * 101, "ы" * 128, "x" * 127,
    "x" * 128, "x" * 200, "x" * 201, "x" * 255, "x" * 256, "\ud800", "\ufeff", "ru", "r", "RU", "ru_RU", "ru-", "12",
    "abcdefgh", "abcdefghi", "ru-abcdefgh-abcdefgh-abcdefgh-abcde", "ru-abcdefgh-abcdefgh-abcdefgh-abcdef",
    "2026-11-23", "2026-11-31", "2026-02-29", "2024-02-29", "0000-01-01", "10000-01-01", "2026-1-1", "2026-11-23\n",
    "\uff12\uff10\uff12\uff16-11-23", "00" * 15, "00" * 16, "00" * 17, "00" * 31, "00" * 32, "AA" * 16,
    "0" * 31 + "g", "A" * 43 + "=", "A" * 42 + "B=", "A" * 43, "A" * 44, "A" * 40 + "====",
    [], [[]], [None], [""], ["x"] * 9, {}, {"": 1}, {"é": 1}, {"a": {"b": [{}]}}, [[[[[[[[[]]]]]]]]],
)  # fmt: skip
_SOME_BYTES = (b"\x00", b"\x01", b"\x02", b"\x21", b"\xff")

# --- faults -----------------------------------------------------------------------------------------------------------


def _holders(value: Any) -> Iterator[Any]:
    """All objects and lists in a value."""
    if isinstance(value, dict | list) and value:
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _holders(inner)


def _pick(draft: Draft) -> tuple[Any, Any]:
    """A place in the letter's JSON: the object or list, and the name or number in it."""
    holder = draft.chance.choice(list(_holders(draft.meta)) or [draft.meta])
    if isinstance(holder, list):
        return holder, draft.chance.randrange(len(holder))
    return holder, draft.chance.choice(sorted(holder) or [""])


def other_value(draft: Draft) -> None:
    holder, at = _pick(draft)
    holder[at] = draft.chance.choice(_NASTY)


def missing_value(draft: Draft) -> None:
    holder, at = _pick(draft)
    if isinstance(holder, list):
        holder.pop(at)
    else:
        holder.pop(at, None)


def more_values(draft: Draft) -> None:
    holder, _ = _pick(draft)
    value = draft.chance.choice(_NASTY)
    if isinstance(holder, list):
        holder.extend([value] * draft.chance.choice((1, 1, 8, 1001)))
    else:
        names = ("", "é", "a", "consent", "continues", "files_follow", "sections", "answers", "day", "kind", "mailbox")
        holder[draft.chance.choice(names)] = value


def other_member(draft: Draft) -> None:
    """A member of tips or of replies, with a value that fits."""
    others: dict[str, Any] = {"answers": "", "day": "2026-11-23"}
    others |= {name: make(draft.chance) for name, make in _OPTIONAL.items()}
    name = draft.chance.choice(sorted(others))
    draft.meta[name] = others[name]


def many_files(draft: Draft) -> None:
    draft.meta["files"] = [{"name": "a", "size": 0, "type": ""}] * draft.chance.choice((1000, 1001))


def other_spelling(draft: Draft) -> None:
    """Of the JSON: bytes put in, taken out, replaced."""
    chance = draft.chance
    some = chance.choice(
        (b" ", b"\n", b"\\u0000", b"\\u00e9", b"\\/", b'"', b"{}", b"[]", b"\xff", b"\xc0\x80", b"0", b"-")
    )
    share = chance.random()
    how = chance.choice(("insert", "replace", "remove", "repeat", "append"))

    def change(data: bytes) -> bytes:
        at = int(share * len(data))
        return {
            "insert": data[:at] + some + data[at:],
            "replace": data[:at] + some + data[at + len(some) :],
            "remove": data[:at] + data[at + 1 :],
            "repeat": data[:at] + data[at : at + 20] + data[at:],
            "append": data + some,
        }[how]

    draft.encoded.append(change)


def letter_bytes(draft: Draft) -> None:
    """Of the letter's plaintext: lengths, padding, size."""
    chance = draft.chance
    share, some = chance.random(), chance.choice((*_SOME_BYTES, b"\x00\x20\x00\x01", b"\x00\x0f\x42\x41", bytes(4)))
    how = chance.choice(("meta", "message", "any", "end", "longer", "shorter", "cut"))

    def change(data: bytes) -> bytes:
        message = min(4 + int.from_bytes(data[:4]), len(data))
        at = {"meta": 0, "message": message, "any": int(share * len(data)), "end": len(data) - len(some)}.get(how)
        if at is not None:
            return (data[:at] + some + data[at + len(some) :])[: len(data)]
        if how == "cut":  # three bytes are left for the message's size
            return (len(data) - 7).to_bytes(4) + data[4:-3] + b"\xff\xff\xff"
        size = {"longer": 20_480, "shorter": 4_096}[how]
        return data.ljust(size, b"\x00")[:size]

    draft.plaintext.append(change)


def header_field(draft: Draft) -> None:
    """Any byte before the salt, in order for whoever seals: all slots are sealed under it."""
    at = draft.chance.choice((*range(24), 8, 8, 8, 9, 9, 9, 10, 10, 10, 11, 11))
    draft.fixed[at] = draft.chance.choice((*_SOME_BYTES, draft.chance.randbytes(1)))


def header_size(draft: Draft) -> None:
    """Sizes that there can be, and that there cannot."""
    letter = (0, 1, 8191, 8192, 8193, 20_480, 69_632, 69_633, 1 << 22, (1 << 22) + (1 << 17), (1 << 32) - 1)
    body = (0, 1, 2, 65_536, 65_537, 1 << 40, (1 << 40) + (1 << 35), (1 << 64) - 1)
    if draft.chance.random() < 0.5:
        draft.fixed[12] = draft.chance.choice(letter).to_bytes(4)
    else:
        draft.body_size = draft.chance.choice(body)


def slot_bytes(draft: Draft) -> None:
    how, share, bit = draft.chance.choice(("flip", "swap", "twice", "drop", "nothing")), draft.chance.random(), 1

    def change(slots: list[bytes]) -> list[bytes]:
        if not slots:
            return slots
        one, *others = slots
        at = int(share * len(one))
        flipped = one[:at] + bytes([one[at] ^ bit]) + one[at + 1 :]
        return {
            "flip": [flipped, *others],
            "swap": slots[::-1],
            "twice": [one] * len(slots),
            "drop": others,
            "nothing": [one[:32] + bytes(len(one) - 32), *others],
        }[how]

    draft.slots.append(change)


def other_reader(draft: Draft) -> None:
    draft.reader = draft.chance.choice((1, 2))


def other_held(draft: Draft) -> None:
    draft.held = draft.chance.choice(("unknown", "destroyed", "other"))


def other_pair_key(draft: Draft) -> None:
    draft.pair_key = draft.chance.randbytes(32)


def all_fillers(draft: Draft) -> None:
    draft.filler = True


def other_commitment(draft: Draft) -> None:
    draft.committed[draft.chance.choice(("content", "body"))] = draft.chance.randbytes(32)


def body_bytes(draft: Draft) -> None:
    """Under the seal: padding that is not zero, and bodies of other sizes than announced."""
    how, share = draft.chance.choice(("padding", "byte", "longer", "shorter")), draft.chance.random()

    def change(data: bytes) -> bytes:
        at = len(data) - 1 if how == "padding" else int(share * len(data))
        if how in {"padding", "byte"}:
            return data[:at] + b"\x01" + data[at + 1 :] if data else data
        return data + bytes(64) if how == "longer" else data[: len(data) // 2]

    draft.padded.append(change)


def other_flags(draft: Draft) -> None:
    draft.flags = draft.chance.random() < 0.5


def part_bytes(draft: Draft) -> None:
    how, share = (
        draft.chance.choice(("flip", "nonce", "swap", "repeat", "drop", "more", "nonces")),
        draft.chance.random(),
    )

    def change(parts: list[bytes]) -> list[bytes]:
        if not parts:
            return parts
        one, *others = parts
        at = int(share * (16 if how == "nonce" else len(one)))
        return {
            "flip": [one[:at] + bytes([one[at] ^ 0x80]) + one[at + 1 :], *others],
            "nonce": [one[:at] + bytes([one[at] ^ 1]) + one[at + 1 :], *others],
            "swap": parts[::-1],
            "repeat": [one] * len(parts),
            "drop": others,
            "more": [*parts, one],
            "nonces": [part[:16] + other[16:] for part, other in zip(parts[::-1], parts, strict=True)],
        }[how]

    draft.parts.append(change)


def tag_bytes(draft: Draft) -> None:
    how, some = (
        draft.chance.choice(("own", "own", "other", "swap", "zeros", "drop", "more")),
        draft.chance.randbytes(SEAL_SIZE),
    )

    def change(tags: list[bytes]) -> list[bytes]:
        if not tags:
            return [some] if how == "more" else []
        return {
            "own": [some, *tags[1:]],
            "other": [tags[0], some],
            "swap": tags[::-1],
            "zeros": [bytes(SEAL_SIZE) for _ in tags],
            "drop": tags[1:],
            "more": [*tags, some],
        }[how]

    draft.tags.append(change)


def cut(draft: Draft) -> None:
    """Anywhere, and at the borders."""
    share, less = draft.chance.random(), draft.chance.choice((None, 1, 16, 31, 32, 33, 64))
    draft.late.append(lambda data: data[: int(share * len(data))] if less is None else data[:-less])


def cut_short(draft: Draft) -> None:
    size = draft.chance.choice((0, 1, 7, 8, 9, 11, 12, 13, 119, 120, 121, 1416, 2712))
    draft.late.append(lambda data: data[:size])


def appended(draft: Draft) -> None:
    some = draft.chance.choice((b"\x00", b"\n", bytes(32), draft.chance.randbytes(100)))
    draft.late.append(lambda data: data + some)


def flipped_bit(draft: Draft) -> None:
    """As a courier or a bad stick can, anywhere."""
    share, bit = draft.chance.random(), 1 << draft.chance.randrange(8)

    def change(data: bytes) -> bytes:
        at = int(share * len(data))
        return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :] if data else data

    draft.late.append(change)


def flipped_start(draft: Draft) -> None:
    """In the 120 bytes that all slots cover."""
    at, bit = draft.chance.randrange(120), 1 << draft.chance.randrange(8)
    draft.late.append(lambda data: data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :] if len(data) > at else data)


def other_kind(draft: Draft) -> None:
    """A tip where a reply belongs, and a reply where a tip does: by whoever reads it."""
    draft.fixed[10] = bytes([not draft.reply])


_FAULTS: tuple[Callable[[Draft], None], ...] = (
    other_value, other_value, other_value, other_value, missing_value, more_values, more_values, other_member,
    many_files, other_spelling, other_spelling, letter_bytes, letter_bytes, header_field, header_size, slot_bytes,
    other_reader, other_held, other_pair_key, all_fillers, other_commitment, body_bytes, other_flags, part_bytes,
    part_bytes, tag_bytes, tag_bytes, cut, cut_short, appended, flipped_bit, flipped_start, other_kind,
)  # fmt: skip
