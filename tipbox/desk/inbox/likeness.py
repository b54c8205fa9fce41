"""Likeness of pictures: what tells a photo from others, also when it came smaller, or packed once more.

A sandbox makes it from pixels (dHash: whether each of 8 x 8 places is lighter than the one to its right); here its 64
bits are kept and compared, and no picture is read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from tipbox.desk.inbox.summary import Summary
from tipbox.desk.vault.records import Tip, VaultRecord
from tipbox.desk.vault.vault import Vault

PICTURES: Final = frozenset({"jpeg", "png", "gif", "webp", "heic", "avif", "tiff"})
"""Kinds of files (``file_kinds.by_bytes``) that are compared."""
SIZE: Final = 8
"""Bytes of a likeness."""
NEAR: Final = 7
"""Bits in which two may differ. Fewer than there are bytes: then at least one byte of both is the same."""
_PLAIN: Final = 6
"""Bits that are set, or not set, at least: an even ground is like every other."""


@dataclass(frozen=True)
class Seen:
    """The likeness of a file of an Envelope, by its place from 0; empty when a look found no picture in it."""

    index: int
    likeness: bytes


@dataclass(frozen=True)
class Likeness(VaultRecord):
    """What is known of the pictures of an Envelope."""

    kind: ClassVar[str] = "likeness"
    envelope: bytes
    seen: tuple[Seen, ...] = ()

    @property
    def key(self) -> bytes:
        """The Envelope's id."""
        return self.envelope


def keep_likeness(vault: Vault, envelope: bytes, index: int, likeness: str) -> None:
    """Within the transaction of a look: keep what it found (16 hex digits, or nothing) of a file."""
    before = Likeness.find(vault, envelope) or Likeness(envelope)
    others = tuple(one for one in before.seen if one.index != index)
    Likeness(envelope, (*others, Seen(index, bytes.fromhex(likeness)))).save(vault)


def not_compared(vault: Vault) -> Iterator[tuple[Tip, int]]:
    """Pictures that nobody has looked at: each by its Envelope, and its place there from 0."""
    for summary in list(Summary.all(vault)):
        pictures = [index for index, file in enumerate(summary.files) if file.kind in PICTURES]
        if not pictures:
            continue
        known = Likeness.find(vault, summary.id)
        seen = set() if known is None else {one.index for one in known.seen}
        tip = Tip.find(vault, summary.id)
        if tip is not None:
            yield from ((tip, index) for index in pictures if index not in seen and index < len(tip.files))


def alike(vault: Vault) -> list[set[bytes]]:
    """The ids of Envelopes in groups: in each, a picture of one is like a picture of another."""
    pictures = [
        (one.likeness, likeness.envelope)
        for likeness in Likeness.all(vault)
        for one in likeness.seen
        if _tells(one.likeness)
    ]
    group = list(range(len(pictures)))

    def first_of(number: int) -> int:
        while group[number] != number:
            group[number] = number = group[group[number]]
        return number

    shelves: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, (likeness, _) in enumerate(pictures):
        for place in enumerate(likeness):
            for other in shelves[place]:
                if _distance(likeness, pictures[other][0]) <= NEAR:
                    group[first_of(number)] = first_of(other)
            shelves[place].append(number)
    found: dict[int, set[bytes]] = defaultdict(set)
    for number, (_, envelope) in enumerate(pictures):
        found[first_of(number)].add(envelope)
    return [envelopes for envelopes in found.values() if len(envelopes) > 1]


def _tells(likeness: bytes) -> bool:
    bits = int.from_bytes(likeness).bit_count()
    return len(likeness) == SIZE and _PLAIN <= bits <= 8 * SIZE - _PLAIN


def _distance(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()
