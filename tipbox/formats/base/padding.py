"""Sizes that tell little: Padmé for bodies, buckets for letters (docs/format.md, 4.3 and 4.4)."""

from __future__ import annotations

from tipbox.formats.base.limits import LETTER_BUCKETS, PART_SIZE, SESSION_NONCE_SIZE, TAG_SIZE


def padme(size: int) -> int:
    """``size`` rounded up by Padmé (Nikitin et al., PoPETs 2019): at most 12 % more, and few distinct sizes."""
    if size < 2:  # noqa: PLR2004 (log2 needs two)
        return size
    exponent = size.bit_length() - 1
    zeros = exponent - exponent.bit_length()
    return -(-size >> zeros) << zeros


def letter_size(content: int) -> int:
    """The plaintext size of a letter whose contents take ``content`` bytes."""
    return next((bucket for bucket in LETTER_BUCKETS if content <= bucket), padme(content))


def parts(size: int) -> int:
    """How many parts a plaintext of ``size`` bytes is cut into."""
    return -(-size // PART_SIZE)


def sealed_size(size: int) -> int:
    """The size in bytes of the sealed parts of a plaintext of ``size`` bytes, in Bundles and backups."""
    return size + TAG_SIZE * parts(size)


def sealed_part_size(size: int, index: int) -> int:
    """The size in bytes of sealed part ``index`` of a plaintext of ``size`` bytes, in Bundles and backups."""
    return min(PART_SIZE, size - index * PART_SIZE) + TAG_SIZE


def sealed_body_size(size: int) -> int:
    """The size in bytes of the sealed parts of an Envelope's body of ``size`` bytes; each begins with a nonce."""
    return sealed_size(size) + SESSION_NONCE_SIZE * parts(size)


def sealed_body_part_size(size: int, index: int) -> int:
    """The size in bytes of sealed part ``index`` of an Envelope's body of ``size`` bytes."""
    return sealed_part_size(size, index) + SESSION_NONCE_SIZE
