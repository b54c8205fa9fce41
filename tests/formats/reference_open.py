"""Reference opener: opens tips and replies without any code of tipbox, from docs/format.md alone; it names sections.

It is for checking: it holds all in memory and takes no care of time. Each line of standard input is a case with its
bytes in `input.envelope`, and is answered by one, `{"name": …, "code": "ok" or one of section 7, "output": …}`.
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
from cryptography.hazmat.primitives.asymmetric import mlkem
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
PART, TAG, NONCE, SLOT, SEAL, TIP, REPLY = 65_536, 16, 16, 1_296, 32, 0, 1
COMMON = {"body_key", "files", "id", "language"}  # 4.3, members of meta
REQUIRED = {TIP: COMMON, REPLY: COMMON | {"answers", "day"}}
ALLOWED = {TIP: COMMON | {"consent", "continues", "files_follow", "sections"}, REPLY: REQUIRED[REPLY]}
DAY, ANY = "[0-9]{4}-[0-9]{2}-[0-9]{2}", ".*"
FILE = {"name": "[^\0]*", "size": range(2**40 + 1), "type": "[ -~]*"}
RULES: dict[str, Any] = {  # texts by a pattern, lists by a rule for each element, numbers and flags by what they may be
    "answers": "([0-9a-f]{32})?",
    "body_key": "[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=",  # 32 bytes; the unused bits of the last letter are zero
    "consent": {"ask_me": (False, True), "level": range(6), "never": ["[^\0-\x1f\x7f-\x9f]+"], "until": f"({DAY})?"},
    "continues": "[0-9a-f]{64}",
    "day": DAY,
    "files_follow": range(1, 1_001),
    "id": "[0-9a-f]{32}",
    "language": "(?!.{36})([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*)?",
    "sections": [ANY],
}


class Failure(Exception):
    """Its text is one of the codes of section 7."""


def need(holds: object, code: str = "malformed") -> None:
    if not holds:
        raise Failure(code)


def sha256(*pieces: bytes) -> bytes:
    return hashlib.sha256(b"".join(pieces)).digest()


def hkdf(key: bytes, salt: bytes, label: bytes) -> bytes:  # 1: RFC 5869, of which 32 bytes are the first block
    return hmac.digest(hmac.digest(salt, key, "sha256"), b"tipbox/v1/" + label + b"\x01", "sha256")


def padme(n: int) -> int:  # 4.4
    e = max(1, n.bit_length() - 1)
    step = 1 << max(0, e - e.bit_length())
    return -(-n // step) * step


def letter_size(n: int) -> int:  # 4.3
    return next((size for size in (8_192, 20_480, 69_632) if n <= size), padme(n))


def check_json(value: Any, level: int = 1) -> None:  # 1: what canonical JSON may hold
    need(level <= 8 and not isinstance(value, float) and (not isinstance(value, int) or abs(value) < 2**53))
    need(not isinstance(value, dict) or all(map(str.isascii, value)))
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        check_json(inner, level + 1)


def check(value: Any, rule: Any) -> None:  # raises ValueError at a day that does not exist
    if isinstance(rule, dict):
        need(isinstance(value, dict) and value.keys() == rule.keys())
        for name, inner in rule.items():
            check(value[name], inner)
    elif isinstance(rule, list):
        need(isinstance(value, list))
        for one in value:
            check(one, rule[0])
    elif isinstance(rule, str):
        need(isinstance(value, str) and re.fullmatch(rule, value, re.DOTALL))
        need(DAY not in rule or value == "" or date.fromisoformat(value))
    else:
        need(type(value) is type(rule[0]) and value in rule)


def check_meta(meta: Any, kind: int) -> None:  # 4.3, in its order
    need(isinstance(meta, dict) and REQUIRED[kind] <= meta.keys() <= ALLOWED[kind] and isinstance(meta["files"], list))
    need(len(meta["files"]) <= 1_000, "limit")
    for file in meta["files"]:
        need(isinstance(file, dict) and file.keys() == FILE.keys())
        check([name := file["name"], file_type := file["type"]], [ANY])
        need(1 <= len(name.encode()) <= 255 and len(file_type.encode()) <= 127, "limit")
        check(file, FILE)
    for member in meta.keys() - {"files"}:
        check(meta[member], RULES[member])
    never = meta["consent"]["never"] if "consent" in meta else []
    need(len(never) <= 8 and all(len(one.encode()) <= 200 for one in never))


class Envelope:
    """A whole Envelope, whose header is checked (4.1)."""

    def __init__(self, data: bytes, kind: int) -> None:
        need(data[:8] == b"\x89tipbox\n"[: len(data)], "not-tipbox")
        need(len(data) >= 12, "truncated")
        need(data[8] == 1, "version")
        need(data[10] in (TIP, REPLY))
        need(1 <= data[9] <= 32 if data[10] == TIP else data[9] == 0, "limit")
        end = 120 + SLOT * data[9]
        need(len(data) >= end, "truncated")
        size, self.body_size = int.from_bytes(data[12:16]), int.from_bytes(data[16:24])
        need(size <= 4_194_304 and self.body_size <= 2**40, "limit")
        need(data[11] == 0 and letter_size(size) == size and padme(self.body_size) == self.body_size)
        self.slots = [data[at : at + SLOT] for at in range(120, end, SLOT)]
        self.readers = [slot[:16] for slot in self.slots]
        need(self.readers == sorted(set(self.readers)) and data[10] == kind)
        self.kind, self.fixed, self.salt, self.hh = kind, data[:120], data[24:56], sha256(data[:end])
        self.letter, self.rest = data[end : end + size + TAG], data[end + size + TAG :]
        need(len(self.letter) == size + TAG, "truncated")  # 4.5: before slot or commitment

    def open_tip(self, reader: bytes, seeds: dict[bytes, bytes], destroyed: list[bytes]) -> dict[str, Any]:
        need(reader in self.readers, "not-addressed")  # 4.2
        slot = self.slots[number := self.readers.index(reader)]
        need((key_id := slot[16:32]) not in destroyed, "too-late")
        need(key_id in seeds, "unknown-key")
        both = hashlib.shake_256(seeds[key_id]).digest(96)  # 1: a seed is an ML-KEM seed and an X25519 scalar
        pair = mlkem.MLKEM768PrivateKey.from_seed_bytes(both[:64]), X25519PrivateKey.from_private_bytes(both[64:])
        info = b"tipbox/v1/slot" + self.fixed + slot[:32]
        kept = SUITE.decrypt(slot[32:], MLKEM768X25519PrivateKey(*pair), info=info)
        content_key, pair_key, mailbox, secret = (kept[at : at + 32] for at in range(0, 128, 32))
        found = self.open(content_key)
        own = hmac.digest(hkdf(pair_key + secret, self.salt, b"seal"), self.eh, "sha256")  # 4.5
        need(own == self.trailer[SEAL * number : SEAL * (number + 1)], "forged")
        digits = f"{int.from_bytes(hkdf(pair_key + secret, self.eh, b'check-digits')) % 10**20:020}"
        found |= {"hash": self.eh, "header_hash": self.hh, "content_key": content_key, "pair_key": pair_key}
        found |= {"mailbox": mailbox, "seal_secret": secret, "thread_id": sha256(b"tipbox/v1/thread", pair_key)[:16]}
        return found | {"check_digits": " ".join(re.findall(".{5}", digits)), "parts": -(-self.body_size // PART)}

    def read_letter(self, plaintext: bytes) -> tuple[dict[str, Any], bytes, bytes]:  # 4.3: meta, its bytes, message
        found, at = [], 0
        for bound in (2_097_152, 1_000_000):
            need(at + 4 <= len(plaintext))
            start, at = at + 4, at + 4 + int.from_bytes(plaintext[at : at + 4])
            need(at - start <= bound, "limit")
            found.append(plaintext[start:at])
        need(letter_size(at) == len(plaintext) and not any(plaintext[at:]))
        try:
            check_json(meta := json.loads(found[0].decode()))  # 1: and in compact form
            need(json.dumps(meta, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() == found[0])
            check_meta(meta, self.kind)
        except (ValueError, RecursionError):
            raise Failure("malformed") from None
        return meta, found[0], found[1]

    def open(self, content_key: bytes) -> dict[str, Any]:  # 4.2 to 4.5
        need(hkdf(content_key, self.salt, b"content-commitment") == self.fixed[56:88], "not-for-you")
        letter = AESGCM(hkdf(content_key, self.hh, b"letter")).decrypt(bytes(12), self.letter, None)
        meta, text, message = self.read_letter(letter)
        body_key, total = b64decode(meta["body_key"]), sum(file["size"] for file in meta["files"])
        need(hkdf(body_key, self.salt, b"body-commitment") == self.fixed[88:], "commitment")
        need(padme(total) == self.body_size)
        hashes, body, at, count = [], b"", 0, -(-self.body_size // PART)
        for index in range(count):
            size = NONCE + min(PART, self.body_size - index * PART) + TAG
            need(len(part := self.rest[at : at + size]) == size, "incomplete")
            cipher, at = AESGCM(hkdf(body_key, self.hh, b"parts" + part[:NONCE])), at + size
            body += cipher.decrypt(index.to_bytes(11) + bytes([index == count - 1]), part[NONCE:], None)
            need(not any(body[total:]))  # the padding in this part, before the next one
            hashes.append(sha256(part))
        self.trailer = self.rest[at:]
        need(len(self.trailer) >= SEAL * len(self.slots), "incomplete")
        need(len(self.trailer) == SEAL * len(self.slots), "trailing")
        self.eh = sha256(b"tipbox/v1/envelope-hash", self.hh, sha256(self.letter), *hashes)
        rest = BytesIO(body)
        files = [file | {"sha256": sha256(rest.read(file["size"]))} for file in meta["files"]]
        ident = sha256(b"tipbox/v1/envelope-id", self.eh, self.trailer)
        return {"id": ident, "meta": text.decode(), "message_sha256": sha256(message), "files": files}


if __name__ == "__main__":
    for case in map(json.loads, sys.stdin):
        given, found = case["input"], {"name": case["name"], "code": "ok"}
        try:
            envelope = Envelope(b64decode(given["envelope"]), REPLY if case["kind"] == "reply" else TIP)
            if case["kind"] == "reply":  # 4.6
                found["output"] = envelope.open(hkdf(bytes.fromhex(given["pair_key"]), envelope.salt, b"reply-content"))
            else:
                seeds = {bytes.fromhex(key["id"]): bytes.fromhex(key["seed"]) for key in given["keys"]}
                reader, *destroyed = map(bytes.fromhex, [given["organisation"], *given["destroyed"]])
                found["output"] = envelope.open_tip(reader, seeds, destroyed)
        except (Failure, InvalidTag) as failure:
            found["code"] = str(failure) or "tampered"
        print(json.dumps(found, default=bytes.hex), flush=True)  # noqa: T201
