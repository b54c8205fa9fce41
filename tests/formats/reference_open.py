"""Reference opener: opens Envelopes without any code of tipbox, from docs/format.md alone; comments name sections.

It shows that the page is enough to read every message without our software; it is for checking and holds all in memory.
`reference_open.py CASE.json …` prints for each case `{"name": …, "code": "ok" or one of section 7, "output": …}`.
"""

import hashlib
import hmac
import json
import re
import sys
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
PART, TAG, SLOT = 65_536, 16, 1_232
ONE, TWO = "[A-Za-z0-9+/][AQgw]==", "[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]="  # last bytes in base64: unused bits are zero
SECTION = f"([A-Za-z0-9+/]{{4}})*({ONE}|{TWO})?"
STRINGS = {  # 4.3, members of meta
    "body_key": f"[A-Za-z0-9+/]{{40}}{TWO}",
    "id": "[0-9a-f]{32}",
    "kind": "tip|reply",
    "language": "(?!.{36})([A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8})*)?",  # BCP 47: subtags of at most eight
    "mailbox": "([0-9a-f]{64})?",
    "reply_key": f"([A-Za-z0-9+/]{{1620}}{ONE})?",
}


class Failure(Exception):
    """Its text is one of the codes of section 7."""


def need(holds: object, code: str = "malformed") -> None:
    if not holds:
        raise Failure(code)


def hkdf(key: bytes, salt: bytes, label: bytes) -> bytes:  # RFC 5869; 32 bytes are its first block
    return hmac.digest(hmac.digest(salt, key, "sha256"), b"tipbox/v1/" + label + b"\x01", "sha256")


def padme(n: int) -> int:  # 4.4
    e = max(1, n.bit_length() - 1)
    step = 1 << max(0, e - e.bit_length())
    return -(-n // step) * step


def letter_size(n: int) -> int:  # 4.3
    return next((size for size in (8_192, 20_480, 69_632) if n <= size), padme(n))


def allowed(value: object, depth: int = 8) -> bool:  # 1, what JSON may hold
    if isinstance(value, dict):
        return all(map(str.isascii, value)) and allowed([*value.values()], depth)
    if isinstance(value, list):
        return depth > 0 and all(allowed(inner, depth - 1) for inner in value)
    return value is None or isinstance(value, str) or (isinstance(value, int) and abs(value) < 2**53)


def parse_meta(data: bytes) -> dict[str, Any]:  # 1 (compact canonical form) and 4.3
    try:
        meta: dict[str, Any] = json.loads(data.decode())
        again = json.dumps(meta, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    except (ValueError, RecursionError):
        raise Failure("malformed") from None
    need(again == data and allowed(meta) and isinstance(meta, dict))
    need({*STRINGS, "files"} <= meta.keys() <= {*STRINGS, "files", "consent", "sections"})
    need(isinstance(meta["files"], list))
    need(len(meta["files"]) <= 1_000, "limit")
    for f in meta["files"]:
        need(type(f) is dict and [*f] == ["name", "size", "type"] and type(f["name"]) is type(f["type"]) is str)
        need(1 <= len(f["name"].encode()) <= 255 and len(f["type"]) <= 127, "limit")
        need("\0" not in f["name"] and re.fullmatch("[ -~]*", f["type"]))
        need(type(f["size"]) is int and 0 <= f["size"] <= 2**40)
    sections = meta.get("sections", [])
    need(all(isinstance(meta[name], str) and re.fullmatch(rule, meta[name]) for name, rule in STRINGS.items()))
    need((meta["mailbox"] == "") == (meta["reply_key"] == "") and isinstance(meta.get("consent", {}), dict))
    need(isinstance(sections, list) and all(isinstance(one, str) and re.fullmatch(SECTION, one) for one in sections))
    return meta


def open_envelope(data: bytes, reader: bytes, seeds: dict[bytes, bytes], destroyed: set[bytes]) -> dict[str, Any]:
    """Open it for `reader` (organisation id) with seeds by key id; raise Failure, and InvalidTag for `tampered`."""
    need(data[:8] == b"\x89tipbox\n"[: len(data)], "not-tipbox")  # 4.1
    need(len(data) >= 10, "truncated")
    need(data[8] == 1, "version")
    size, body_size, start = int.from_bytes(data[12:16]), int.from_bytes(data[16:24]), 120 + SLOT * data[9]
    salt, commitments, digest = data[24:56], data[56:120], hashlib.sha256(data[:start]).digest()
    need(1 <= data[9] <= 32, "limit")
    need(len(data) >= start, "truncated")
    need(size <= 4 << 20 and body_size <= 2**40, "limit")
    need(data[10:12] == b"\0\0" and letter_size(size) == size and padme(body_size) == body_size)
    slots = {data[at : at + 16]: data[at : at + SLOT] for at in range(120, start, SLOT)}
    need(len(slots) == data[9] and sorted(slots) == list(slots))
    letter, body = data[start : start + size + TAG], BytesIO(data[start + size + TAG :])
    need(len(letter) == size + TAG, "truncated")  # 4.4, the order of all that follows
    need(reader in slots, "not-addressed")  # 4.2
    slot, key_id = slots[reader], slots[reader][16:32]
    need(key_id not in destroyed, "too-late")
    need(key_id in seeds, "unknown-key")
    x = hashlib.shake_256(seeds[key_id]).digest(96)  # X-Wing: a seed gives an ML-KEM seed and an X25519 key
    pair = mlkem.MLKEM768PrivateKey.from_seed_bytes(x[:64]), x25519.X25519PrivateKey.from_private_bytes(x[64:])
    secret = SUITE.decrypt(slot[32:], MLKEM768X25519PrivateKey(*pair), info=b"tipbox/v1/slot" + slot[:32] + commitments)
    content_key, pair_key = secret[:32], secret[32:]
    need(hmac.compare_digest(hkdf(content_key, salt, b"content-commitment"), commitments[:32]), "not-for-you")
    text = AESGCM(hkdf(content_key, digest, b"letter")).decrypt(bytes(12), letter, None)  # 4.3
    split = 4 + int.from_bytes(text[:4])
    end = split + 4 + int.from_bytes(text[split : split + 4])
    need(split <= 4 + 2_097_152 and end <= split + 4 + 1_000_000, "limit")
    need(letter_size(end) == size and not any(text[end:]))
    meta = parse_meta(text[4:split])
    body_key = b64decode(meta["body_key"])
    need(hmac.compare_digest(hkdf(body_key, salt, b"body-commitment"), commitments[32:]), "commitment")
    need(padme(sum(file["size"] for file in meta["files"])) == body_size)
    parts, plain, part_count = AESGCM(hkdf(body_key, digest, b"parts")), bytearray(), -(-body_size // PART)  # 4.4, 4.5
    envelope_id = hashlib.sha256(data[:start] + letter)
    for index in range(part_count):
        size = min(PART, body_size - index * PART) + TAG
        need(len(part := body.read(size)) == size, "incomplete")
        plain += parts.decrypt(index.to_bytes(11) + bytes([index == part_count - 1]), part, None)
        envelope_id.update(hashlib.sha256(part).digest())
    need(not body.read(), "trailing")
    rest = BytesIO(plain)
    files = [file | {"sha256": hashlib.sha256(rest.read(file["size"])).hexdigest()} for file in meta["files"]]
    need(not any(rest.read()))
    digits = f"{int.from_bytes(hkdf(pair_key, digest, b'check-words')) % 10**20:020}"  # 3
    thread = {"pair_key": pair_key, "thread_id": hashlib.sha256(b"tipbox/v1/thread" + pair_key).digest()[:16]}
    found = {"id": envelope_id.digest(), "header_hash": digest, "content_key": content_key, "parts": part_count}
    words = {"message_sha256": hashlib.sha256(text[split + 4 : end]).digest(), "meta": text[4:split].decode()}
    return found | thread | words | {"files": files, "check_digits": " ".join(re.findall(".{5}", digits))}


if __name__ == "__main__":
    for case in (json.loads(Path(name).read_bytes()) for name in sys.argv[1:]):
        given, found = case["input"], {"name": case["name"], "code": "ok"}
        reader, *gone = map(bytes.fromhex, [given["organisation"], *given["destroyed"]])
        seeds = {bytes.fromhex(key["id"]): bytes.fromhex(key["seed"]) for key in given["keys"]}
        try:
            found["output"] = open_envelope(b64decode(given["envelope"]), reader, seeds, set(gone))
        except (Failure, InvalidTag) as failure:
            found["code"] = str(failure) or "tampered"
        sys.stdout.write(json.dumps(found, default=bytes.hex) + "\n")
