"""Ranges of parts that are still missing: ``[(first, count), …]``, lowest first, none touching the next."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

Range: TypeAlias = tuple[int, int]
_PAIR: Final = struct.Struct(">II")


def pack(ranges: Iterable[Range]) -> bytes:
    """Ranges as bytes."""
    return b"".join(_PAIR.pack(*pair) for pair in ranges)


def unpack(data: bytes) -> list[Range]:
    """What ``pack`` packed."""
    return [(first, count) for first, count in _PAIR.iter_unpack(data)]


def split(missing: Sequence[Range], first: int, count: int) -> tuple[list[Range], list[Range]]:
    """What of ``first … first + count - 1`` is among the missing, and what is missing without it."""
    end = first + count
    found: list[Range] = []
    remaining: list[Range] = []
    for start, size in missing:
        stop = start + size
        if stop <= first or end <= start:
            remaining.append((start, size))
            continue
        found.append((max(start, first), min(stop, end) - max(start, first)))
        if start < first:
            remaining.append((start, first - start))
        if end < stop:
            remaining.append((end, stop - end))
    return found, remaining


def common(missing: Sequence[Range], others: Sequence[Range]) -> tuple[list[Range], list[Range]]:
    """What of ``others`` is among the missing, and what is missing without it."""
    found: list[Range] = []
    remaining = list(missing)
    for first, count in others:
        these, remaining = split(remaining, first, count)
        found += these
    return found, remaining
