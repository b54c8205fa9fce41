"""The reference opener of tips and replies: docs/format.md, sections 1 and 4, in their order, with nothing of tipbox.

It was written from that page alone, to find out whether the page says all that an implementation must know.
In: a case of kind ``envelope`` or ``reply`` on each line (tests/vectors/README.md, without pieces). Out: what it says.
"""

import hashlib
import hmac
import json
import re
import sys
from base64 import b64decode
from datetime import date
from io import BytesIO
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

P = 2**255 - 19
E0EB = 0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0
SMALL_ORDER = {0, 1, P - 1, P, P + 1, E0EB, 0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F}
SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class Refused(Exception):
    """Its argument is a code of section 7."""


def need(holds: bool, code: str = "malformed") -> None:  # noqa: FBT001
    if not holds:
        raise Refused(code)


def sha256(*data: bytes) -> bytes:
    return hashlib.sha256(b"".join(data)).digest()


def hkdf(key: bytes, salt: bytes, label: str, more: bytes = b"") -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, b"tipbox/v1/" + label.encode() + more).derive(key)


def canonical(data: bytes) -> Any:
    def in_bounds(value: Any, level: int) -> bool:
        small = not isinstance(value, int) or abs(value) < 2**53
        names, inner = (value, value.values()) if isinstance(value, dict) else ((), value)
        nested = inner if isinstance(value, dict | list) else ()
        return small and level <= 8 and all(map(str.isascii, names)) and all(in_bounds(v, level + 1) for v in nested)

    try:
        value = json.loads(data.decode(), parse_float=str, parse_constant=str)  # so floats get quotes, and differ below
        again = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        raise Refused("malformed") from None
    need(again == data and in_bounds(value, 1))
    return value


def is_day(value: Any) -> bool:
    try:
        return bool(date.fromisoformat(value).isoformat() == value)
    except (TypeError, ValueError):
        return False


def is_text(value: Any, pattern: str = "(?s).*", most: int = 1 << 40) -> bool:
    return isinstance(value, str) and len(value.encode()) <= most and re.fullmatch(pattern, value) is not None


FILE, CONSENT = {"name", "size", "type"}, {"ask_me", "level", "never", "until"}
SEEN = r"[^\x00-\x1f\x7f-\x9f]+"
RULES: dict[str, Any] = {  # for each member, whether a value may stand there
    "answers": lambda value: is_text(value, "([0-9a-f]{32})?"),
    "ask_me": lambda value: isinstance(value, bool),
    "body_key": lambda value: is_text(value, "[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="),
    "consent": lambda value: isinstance(value, dict) and value.keys() == CONSENT and in_order(value),
    "continues": lambda value: is_text(value, "[0-9a-f]{64}"),
    "day": is_day,
    "files": lambda value: isinstance(value, list),
    "files_follow": lambda value: type(value) is int and 1 <= value <= 1000,
    "id": lambda value: is_text(value, "[0-9a-f]{32}"),
    "language": lambda value: is_text(value, "([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*)?", 35),
    "level": lambda value: type(value) is int and 0 <= value <= 5,
    "never": lambda value: isinstance(value, list) and len(value) <= 8 and all(is_text(v, SEEN, 200) for v in value),
    "sections": lambda value: isinstance(value, list) and all(map(is_text, value)),
    "until": lambda value: value == "" or is_day(value),
}
LETTERS = (8192, 20480, 69632)
SECRETS = ("content_key", "pair_key", "mailbox", "seal_secret")
REQUIRED = {"envelope": {"body_key", "files", "id", "language"}}
REQUIRED["reply"] = REQUIRED["envelope"] | {"answers", "day"}
OPTIONAL = {"envelope": {"consent", "continues", "files_follow", "sections"}, "reply": set[str]()}


def in_order(members: dict[str, Any]) -> bool:
    return all(RULES[name](value) for name, value in members.items())


def padme(size: int, least: tuple[int, ...] = ()) -> int:
    exponent = max(size, 1).bit_length() - 1
    unit = 1 << max(exponent - exponent.bit_length(), 0)
    return next((one for one in least if size <= one), -(-size // unit) * unit)


def read_letter(plain: bytes, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    m = int.from_bytes(plain[:4])
    need(m <= 2 << 20, "limit")
    need(8 + m <= len(plain))
    t = int.from_bytes(plain[4 + m : 8 + m])
    need(t <= 1_000_000, "limit")
    need(8 + m + t <= len(plain) == padme(8 + m + t, LETTERS) and not any(plain[8 + m + t :]))
    meta = canonical(plain[4 : 4 + m])
    need(isinstance(meta, dict) and REQUIRED[kind] <= meta.keys() <= REQUIRED[kind] | OPTIONAL[kind])
    need(RULES["files"](meta["files"]))
    need(len(meta["files"]) <= 1000, "limit")
    for file in meta["files"]:
        need(isinstance(file, dict) and file.keys() == FILE and is_text(file["name"]) and is_text(file["type"]))
        need(1 <= len(file["name"].encode()) <= 255 and len(file["type"].encode()) <= 127, "limit")
        need("\0" not in file["name"] and is_text(file["type"], "[ -~]*"))
        need(type(file["size"]) is int and 0 <= file["size"] <= 1 << 40)
    need(in_order(meta))
    return meta, {"meta": plain[4 : 4 + m].decode(), "message_sha256": sha256(plain[8 + m : 8 + m + t]).hex()}


def open_slot(slot: bytes, header: bytes, given: dict[str, Any]) -> dict[str, bytes]:
    seeds = {key["id"]: bytes.fromhex(key["seed"]) for key in given["keys"]}
    need(bool(slot), "not-addressed")
    need((key_id := slot[16:32].hex()) in seeds, "too-late" if key_id in given["destroyed"] else "unknown-key")
    need(int.from_bytes(slot[1120:1152], "little") % 2**255 not in SMALL_ORDER, "tampered")
    seed = hashlib.shake_256(seeds[key_id]).digest(96)
    halves = mlkem.MLKEM768PrivateKey.from_seed_bytes(seed[:64]), x25519.X25519PrivateKey.from_private_bytes(seed[64:])
    info = b"tipbox/v1/slot" + header[:120] + slot[:32]
    secrets = SUITE.decrypt(slot[32:], hpke.MLKEM768X25519PrivateKey(*halves), info)
    return {name: secrets[32 * at :][:32] for at, name in enumerate(SECRETS)}


def read(source: BytesIO, kind: str, given: dict[str, Any]) -> dict[str, Any]:
    header = source.read(12)
    need(b"\x89tipbox\n".startswith(header[:8]), "not-tipbox")
    need(len(header) == 12, "truncated")
    need(header[8] == 1, "version")
    need(header[10] < 2)
    count = header[9]
    need(count == 0 if header[10] else 1 <= count <= 32, "limit")
    header += source.read(108 + 1296 * count)
    need(len(header) == 120 + 1296 * count, "truncated")
    size, body_size = int.from_bytes(header[12:16]), int.from_bytes(header[16:24])
    need(size <= 4 << 20 and body_size <= 1 << 40, "limit")
    slots = {header[start : start + 16]: header[start : start + 1296] for start in range(120, len(header), 1296)}
    need(header[11] == 0 and padme(size, LETTERS) == size and padme(body_size) == body_size)
    need(list(slots) == sorted(slots) and len(slots) == count and kind == ["envelope", "reply"][header[10]])
    letter, salt, hh = source.read(size + 16), header[24:56], sha256(header)
    need(len(letter) == size + 16, "truncated")
    if kind == "reply":
        keys = {"content_key": hkdf(bytes.fromhex(given["pair_key"]), salt, "reply-content")}
    else:
        own = bytes.fromhex(given["organisation"])
        keys = open_slot(slots.get(own, b""), header, given)
    need(hmac.compare_digest(hkdf(keys["content_key"], salt, "content-commitment"), header[56:88]), "not-for-you")
    meta, output = read_letter(AESGCM(hkdf(keys["content_key"], hh, "letter")).decrypt(bytes(12), letter, None), kind)
    body_key, total = b64decode(meta["body_key"]), sum(file["size"] for file in meta["files"])
    need(hmac.compare_digest(hkdf(body_key, salt, "body-commitment"), header[88:120]), "commitment")
    need(padme(total) == body_size)
    body, digests = BytesIO(), [sha256(letter)]
    for start in range(0, body_size, 65536):
        part = source.read(min(65536, body_size - start) + 32)
        need(len(part) == min(65536, body_size - start) + 32, "incomplete")
        nonce = (start // 65536).to_bytes(11) + bytes([start + 65536 >= body_size])
        plain = AESGCM(hkdf(body_key, hh, "parts", part[:16])).decrypt(nonce, part[16:], None)
        need(not any(plain[max(total - start, 0) :]))
        body.write(plain)
        digests.append(sha256(part))
    trailer = source.read()
    need(len(trailer) >= 32 * count, "incomplete")
    need(len(trailer) == 32 * count, "trailing")
    eh = sha256(b"tipbox/v1/envelope-hash", hh, *digests)
    body.seek(0)
    output["files"] = [{**file, "sha256": sha256(body.read(file["size"])).hex()} for file in meta["files"]]
    output["id"] = sha256(b"tipbox/v1/envelope-id", eh, trailer).hex()
    if kind == "reply":
        return output
    shared = keys["pair_key"] + keys["seal_secret"]
    tag = hmac.digest(hkdf(shared, salt, "seal"), eh, "sha256")
    need(hmac.compare_digest(tag, trailer[32 * list(slots).index(own) :][:32]), "forged")
    digits = f"{int.from_bytes(hkdf(shared, eh, 'check-digits')) % 10**20:020}"
    keys |= {"hash": eh, "header_hash": hh, "thread_id": sha256(b"tipbox/v1/thread", keys["pair_key"])[:16]}
    output |= {"check_digits": " ".join(re.findall("[0-9]{5}", digits)), "parts": len(digests) - 1}
    return output | {name: value.hex() for name, value in keys.items()}


for case in map(json.loads, sys.stdin):
    said = {"name": case["name"], "code": "ok"}
    try:
        said["output"] = read(BytesIO(b64decode(case["input"]["envelope"])), case["kind"], case["input"])
    except (Refused, InvalidTag) as failure:
        said["code"] = str(failure) or "tampered"  # InvalidTag says nothing
    print(json.dumps(said), flush=True)  # noqa: T201
