"""Numbers that people read aloud or copy from paper."""

from __future__ import annotations


def in_groups(digits: str, size: int) -> str:
    """Digits in groups of ``size``, with a space between them."""
    return " ".join(digits[start : start + size] for start in range(0, len(digits), size))
