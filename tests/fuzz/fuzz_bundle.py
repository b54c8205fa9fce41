"""Fuzzes reading a Bundle whose index says whatever it wants, rightly sealed and signed, in front of a short file."""

import io
import json
from datetime import date

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.errors import DamagedItem
    from tipbox.formats.bundles import bundle
    from tipbox.formats.bundles.bundle_read import Bundle

from harness import VECTORS, run

from tipbox.formats.base import canonical, fields
from tipbox.formats.base.primitives import SigningKey, sign, xwing_public
from tipbox.formats.bundles import bundle_write

READER, SEED = bytes(16), bytes(32)
PUBLIC = xwing_public(SEED)
SIGNER = SigningKey(bytes(32))
SENDER = fields.to_base64(SIGNER.verify_key.encode())


def sealed(direction: int, index: bytes) -> bytes:
    """A Bundle with ``index``, signed by the sender that it must name, and 1,000 bytes behind it."""
    value = canonical.decode(index)
    said = index
    if isinstance(value, dict):
        value = {**value, "sender": SENDER}
        index = canonical.encode(value)
        said = index if direction == bundle.OUTWARD else canonical.encode({**value, "items": []})
    header, keys = bundle_write._wrap(direction, bundle.index_parts(index), READER, PUBLIC)
    signature = sign(bundle._LABELS[direction], keys.header_hash + said, SIGNER)
    plaintext = bundle.index_plaintext(signature, index, bundle.index_parts(index))
    out = io.BytesIO(header)
    out.seek(0, io.SEEK_END)
    cipher = keys.cipher(bundle.INDEX_STREAM)
    out.writelines(bundle_write._stream(cipher, lambda start: [plaintext[start:]], len(plaintext), 0))
    out.write(bytes(1000))
    return out.getvalue()


def target(data: bytes) -> None:
    direction = bundle.INWARD if b'"direction":"in"' in data else bundle.OUTWARD
    found = Bundle(io.BytesIO(sealed(direction, data)), READER, lambda _: SEED)
    assert found.index_damage == ["index copy"]
    assert not found.check_padding()
    for item in found.items:
        try:
            found.open(item).read(1)
        except DamagedItem:
            continue
        raise AssertionError("an item was read out of zeros")


DAY = date(2026, 11, 23)
RECEIPT = bundle.Receipt(DAY, bytes(64), 7)
ENTRIES = (bundle.ItemEntry("report", 5, bytes(32)), bundle.ItemEntry("envelope", 1 << 40, bytes(32), RECEIPT))
HEADS = (bundle.Head(READER, bytes(32), DAY, bytes(64)),)
INDEX = bundle.Index(DAY, bundle.OUTWARD, READER, bytes(32), 1, ENTRIES, PUBLIC, heads=HEADS)
INWARD = bundle.Index(
    DAY, bundle.INWARD, READER, bytes(32), 1, (bundle.ItemEntry("ack", 5, bytes(32)),), head=bytes(32)
)
CASES = (json.loads(path.read_bytes()) for path in sorted(VECTORS.glob("bundle/*.json")))
run(
    target, [INDEX.encode(), INWARD.encode(), *(case["output"]["index"].encode() for case in CASES if "output" in case)]
)
