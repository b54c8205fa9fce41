"""Reports: what a server has taken of a desk's Bundles (docs/format.md, 5.4)."""

from __future__ import annotations

from dataclasses import dataclass

from tipbox.errors import LimitExceeded, Malformed
from tipbox.formats.base import canonical, fields
from tipbox.formats.base.canonical import Json
from tipbox.formats.base.limits import HASH_SIZE, MAX_REPORT_BUNDLES, MAX_REPORT_VOLUMES, MAX_SAFE_INTEGER


@dataclass(frozen=True)
class TakenBundle:
    """An inward Bundle that was taken whole: its sequence, and SHA-256 of each volume's index as it was read.

    The desk compares the hashes with its own: whoever has the server's key can write another list of items under the
    desk's signature, which does not cover it.
    """

    sequence: int
    indexes: tuple[bytes, ...]


@dataclass(frozen=True)
class Report:
    """What a server took: inward Bundles, ascending by sequence, and (item hash, code) of refused replies."""

    bundles: tuple[TakenBundle, ...]
    refused: tuple[tuple[bytes, str], ...] = ()

    def encode(self) -> bytes:
        """The item's bytes; only the newest Bundles are listed."""
        newest = sorted(self.bundles, key=lambda taken: taken.sequence)[-MAX_REPORT_BUNDLES:]
        bundles: list[Json] = [
            {"indexes": [index.hex() for index in taken.indexes], "sequence": taken.sequence} for taken in newest
        ]
        refused: list[Json] = [{"code": code, "item": item.hex()} for item, code in sorted(self.refused)]
        return canonical.encode({"bundles": bundles, "refused": refused})

    @classmethod
    def parse(cls, data: bytes) -> Report:
        """Read a report."""
        value = fields.members(canonical.decode(data), ("bundles", "refused"))
        listed = fields.array(value, "bundles")
        if len(listed) > MAX_REPORT_BUNDLES:
            raise LimitExceeded(f"a report lists at most {MAX_REPORT_BUNDLES:,} Bundles")
        bundles = tuple(map(_bundle, listed))
        sequences = [taken.sequence for taken in bundles]
        if sequences != sorted(set(sequences)):
            raise Malformed("a report's list of Bundles is out of order, or names one twice")
        refused = [fields.members(entry, ("code", "item")) for entry in fields.array(value, "refused")]
        return cls(
            bundles,
            tuple((fields.hexadecimal(entry, "item", HASH_SIZE), fields.text(entry, "code")) for entry in refused),
        )


def _bundle(value: Json) -> TakenBundle:
    entry = fields.members(value, ("indexes", "sequence"))
    indexes = fields.array(entry, "indexes")
    if not 1 <= len(indexes) <= MAX_REPORT_VOLUMES:
        raise Malformed(f"a report names 1 to {MAX_REPORT_VOLUMES} volumes of a Bundle")
    return TakenBundle(
        fields.integer(entry, "sequence", 1, MAX_SAFE_INTEGER),
        tuple(fields.from_hex(index, HASH_SIZE) for index in indexes),
    )
