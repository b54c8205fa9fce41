"""An Envelope's bytes as QR codes, as the offline page makes them (docs/format.md, section 15)."""

from __future__ import annotations

from reedsolo import RSCodec

from tipbox.formats.base.limits import QR_BLOCK
from tipbox.formats.envelopes.qr_codes import QrCode, QrSet


def to_qr_codes(envelope: bytes) -> list[QrCode]:
    """All codes of a set, in their order."""
    data = -(-len(envelope) // QR_BLOCK)
    of = QrSet.of(envelope, max(6, -(-data // 4)))
    padded = envelope.ljust(data * QR_BLOCK, b"\0")
    blocks = [padded[at : at + QR_BLOCK] for at in range(0, len(padded), QR_BLOCK)]
    codec = RSCodec(of.parity)
    columns = [codec.encode(bytes(column)) for column in zip(*blocks, strict=True)]
    blocks += [bytes(column[number] for column in columns) for number in range(data, of.count)]
    return [QrCode(of, number, block) for number, block in enumerate(blocks)]
