"""Fuzzes capsules, and the openings that are checked against them."""

import base64
import json

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.envelopes import capsule
    from tipbox.formats.envelopes.capsule import Capsule

from cryptography.exceptions import InvalidTag
from harness import VECTORS, run

from tipbox.formats.access_code import AccessCode
from tipbox.formats.base.limits import CAPSULE_PLAIN, SALT_SIZE

RESUME, SALT = bytes(32), bytes(SALT_SIZE)
CIPHER = capsule._cipher(RESUME, SALT)
# No fuzzer finds a hash: what stands behind one is read as if it fitted.
capsule.equal = lambda *_: True  # type: ignore[attr-defined]


def target(data: bytes) -> None:
    plain = data[:CAPSULE_PLAIN].ljust(CAPSULE_PLAIN, b"\x00")
    sealed = SALT + CIPHER.encrypt(bytes(12), plain, None)
    found = Capsule.open(RESUME, sealed)
    assert found.seal(RESUME, SALT) == sealed
    found.check(data[CAPSULE_PLAIN:])


def cases() -> list[bytes]:
    seeds = []
    for path in sorted(VECTORS.glob("capsule/*.json")):
        given = json.loads(path.read_bytes())["input"]
        resume = AccessCode(int.from_bytes(bytes.fromhex(given["passphrase"]))).secrets().resume
        sealed = base64.b64decode(given["capsule"])
        try:
            plain = capsule._cipher(resume, sealed[:SALT_SIZE]).decrypt(bytes(12), sealed[SALT_SIZE:], None)
        except InvalidTag:
            plain = b""
        seeds.append(plain.ljust(CAPSULE_PLAIN, b"\x00") + base64.b64decode(given["opening"]))
    return seeds


run(target, cases())
