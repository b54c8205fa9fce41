"""What the records of a backup hold: one type a kind, each with its bytes (docs/format.md, 9.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Self

from tipbox.errors import LimitExceeded, Malformed
from tipbox.formats.base import canonical, days, fields
from tipbox.formats.base.limits import HASH_SIZE, ID_SIZE, KEY_SIZE, MAX_ONION_FILE, MAX_ONION_FILES, MAX_SAFE_INTEGER
from tipbox.formats.envelopes.header import Header
from tipbox.formats.manifest import check_organisation_name, organisation_id
from tipbox.server.home import ServerKeys

_DAY_SIZE: Final = 10
ENVELOPE_FIXED: Final = _DAY_SIZE + 4 + 4 + HASH_SIZE
"""Bytes of an Envelope's record before the Envelope: day, age, acknowledgements, id."""
_MAX_AGE: Final = 2**32 - 1
_ONION_NAME: Final = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]{0,99}/){0,4}[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", re.ASCII)


@dataclass(frozen=True)
class About:
    """The server (id) and the day of the backup."""

    server: bytes
    day: date

    def encode(self) -> bytes:
        """The record's bytes."""
        return canonical.encode({"day": self.day.isoformat(), "server": self.server.hex(), "version": 1})

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The inverse of ``encode``."""
        value = fields.members(canonical.decode(data), ("day", "server", "version"))
        fields.check_version(fields.number(value, "version"))
        return cls(fields.hexadecimal(value, "server", ID_SIZE), days.parse(value["day"]))


@dataclass(frozen=True)
class Secrets:
    """The server's private keys, and the files of tor's onion services by their relative names."""

    keys: ServerKeys = field(repr=False)
    onion: dict[str, bytes] = field(repr=False)

    def encode(self) -> bytes:
        """The record's bytes, before they are sealed apart."""
        check_onion(self.onion)
        return canonical.encode(
            {
                "onion": [{"data": data.hex(), "name": name} for name, data in sorted(self.onion.items())],
                "server": self.keys.encode().decode(),
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The inverse of ``encode``."""
        value = fields.members(canonical.decode(data), ("onion", "server"))
        onion = {}
        for entry in fields.array(value, "onion"):
            file = fields.members(entry, ("data", "name"))
            written = fields.text(file, "data")
            onion[fields.text(file, "name")] = fields.hexadecimal(file, "data", len(written) // 2)
        check_onion(onion)
        return cls(ServerKeys.parse(fields.text(value, "server").encode()), onion)


def check_onion(files: dict[str, bytes]) -> None:
    """LimitExceeded or Malformed unless these can be files of tor's."""
    if len(files) > MAX_ONION_FILES or any(len(data) > MAX_ONION_FILE for data in files.values()):
        raise LimitExceeded("there are more or larger files among the onion keys than tor writes; name tor's folder")
    if not all(_ONION_NAME.fullmatch(name) for name in files):
        raise Malformed("a file among the onion keys has a name that tor does not give")


@dataclass(frozen=True)
class KnownOrganisation:
    """An organisation, its identity key, and the last sequence of the Bundles to it.

    ``serial``: the highest that a manifest of it ever had here; None when there was none, or the backup is of before.
    """

    name: str
    identity: bytes = field(repr=False)
    sequence: int = 0
    serial: tuple[int, int] | None = None

    @property
    def id(self) -> bytes:
        """Its id, 16 bytes."""
        return organisation_id(self.identity)

    def encode(self) -> bytes:
        """The record's bytes."""
        value: dict[str, canonical.Json] = {
            "identity": fields.to_base64(self.identity),
            "name": self.name,
            "sequence": self.sequence,
        }
        if self.serial is not None:
            value["serial"] = list(self.serial)
        return canonical.encode(value)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The inverse of ``encode``."""
        read = canonical.decode(data)
        names = ("identity", "name", "sequence")
        has_serial = isinstance(read, dict) and "serial" in read
        value = fields.members(read, (*names, "serial") if has_serial else names)
        return cls(
            check_organisation_name(fields.text(value, "name")),
            fields.binary(value, "identity", KEY_SIZE),
            fields.integer(value, "sequence", 0, MAX_SAFE_INTEGER),
            _serial(fields.array(value, "serial")) if has_serial else None,
        )


def _serial(value: list[canonical.Json]) -> tuple[int, int]:
    """Generation and number, as in a manifest."""
    if len(value) != 2 or not all(type(part) is int and 0 <= part <= MAX_SAFE_INTEGER for part in value):  # noqa: PLR2004
        raise Malformed("a serial is not two whole numbers")
    generation, number = (int(str(part)) for part in value)
    return generation, number


@dataclass(frozen=True)
class EnvelopeFacts:
    """What a server knows of an Envelope beside its bytes. ``age``: days that the server has seen since it came."""

    id: bytes
    day: date
    age: int
    acknowledged: frozenset[bytes]

    def encode(self, header: Header) -> bytes:
        """The bytes before the Envelope."""
        bits = sum(1 << number for number, slot in enumerate(header.slots) if slot.organisation in self.acknowledged)
        return self.day.isoformat().encode() + max(0, min(self.age, _MAX_AGE)).to_bytes(4) + bits.to_bytes(4) + self.id

    @classmethod
    def parse(cls, data: bytes, header: Header) -> Self:
        """The inverse of ``encode``; ``header`` is the Envelope's own."""
        try:
            day = days.parse(data[:_DAY_SIZE].decode("ascii"))
        except UnicodeDecodeError as error:
            raise Malformed("a day is not written as YYYY-MM-DD") from error
        age, bits = (int.from_bytes(data[at : at + 4]) for at in (_DAY_SIZE, _DAY_SIZE + 4))
        if bits >> len(header.slots):
            raise Malformed("an acknowledgement is for a slot that the Envelope does not have")
        acknowledged = frozenset(slot.organisation for number, slot in enumerate(header.slots) if bits >> number & 1)
        return cls(data[-HASH_SIZE:], day, age, acknowledged)


@dataclass(frozen=True)
class End:
    """How many Envelopes the backup holds."""

    envelopes: int

    def encode(self) -> bytes:
        """The record's bytes."""
        return canonical.encode({"envelopes": self.envelopes})

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The inverse of ``encode``."""
        return cls(
            fields.integer(fields.members(canonical.decode(data), ("envelopes",)), "envelopes", 0, MAX_SAFE_INTEGER)
        )
