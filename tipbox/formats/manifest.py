"""Key manifests: what an organisation shows the world (docs/format.md, section 2)."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

from tipbox.errors import (
    Expired,
    IdentityChanged,
    LimitExceeded,
    Malformed,
    NoCurrentKey,
    NotYetValid,
    OlderSerial,
    TipboxError,
    UnknownCritical,
)
from tipbox.formats.base import canonical, days, fields, labels
from tipbox.formats.base.canonical import Json
from tipbox.formats.base.characters import has_unseen
from tipbox.formats.base.digits import in_groups
from tipbox.formats.base.limits import (
    ID_SIZE,
    KEY_SIZE,
    MAX_LANGUAGE,
    MAX_LANGUAGES,
    MAX_MANIFEST,
    MAX_MANIFEST_DAYS,
    MAX_ORGANISATION_NAME,
    MAX_RECEIVING_KEY_DAYS,
    MAX_RECEIVING_KEYS,
    MAX_SERIAL,
    MAX_SLOTS,
    SIGNATURE_SIZE,
    SKEW_DAYS,
    VERSION,
    XWING_PUBLIC_SIZE,
)
from tipbox.formats.base.primitives import SigningKey, check_ed25519, check_xwing, sha256, sign, verify

_ORGANISATION: Final = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)
_COUNTRY: Final = re.compile(r"([A-Z]{2})?", re.ASCII)
_MEMBERS: Final = (
    "country", "critical", "desk", "from", "identity", "keys", "languages", "name", "organisation", "serial",
    "signature", "until", "version",
)  # fmt: skip
_SKEW: Final = timedelta(days=SKEW_DAYS)
_AROUND: Final = timedelta(days=2)
"""How far the clock of who asks a server may be from the server's, for an extract to have what is good by both."""
_EXTRACTS: Final = "extracts"
_ID_DIGITS: Final = 30
_ID_GROUP: Final = 5


def organisation_id(identity: bytes) -> bytes:
    """The id (16 bytes) of the organisation with this Ed25519 identity key."""
    return sha256(labels.ORGANISATION, identity)[:ID_SIZE]


def key_id(public: bytes) -> bytes:
    """The id (16 bytes) of a public X-Wing key."""
    return sha256(labels.KEY, public)[:ID_SIZE]


def server_id(public: bytes) -> bytes:
    """The id (16 bytes) of the server with this Ed25519 key."""
    return sha256(labels.SERVER, public)[:ID_SIZE]


def id_digits(ident: bytes) -> str:
    """What people compare, read aloud: an id (16 bytes) modulo 10^30, in groups of five digits."""
    return in_groups(f"{int.from_bytes(ident) % 10**_ID_DIGITS:0{_ID_DIGITS}d}", _ID_GROUP)


def check_organisation_name(name: str) -> str:
    """``name`` when it is one that an organisation may have ([a-z0-9-], 1 to 32); Malformed when not."""
    if not _ORGANISATION.fullmatch(name):
        raise Malformed("an organisation's short name is 1 to 32 of a-z, 0-9 and -")
    return name


def check_country(country: str) -> str:
    """``country`` when it is two capital letters or empty; Malformed when not."""
    if not _COUNTRY.fullmatch(country):
        raise Malformed("the country is not two capital letters")
    return country


def check_people_name(name: str) -> str:
    """``name`` when people can be shown it as an organisation's; Malformed when not."""
    if not 1 <= len(name.encode()) <= MAX_ORGANISATION_NAME or has_unseen(name):
        raise Malformed("the organisation's name is empty, too long, or has characters that are not seen")
    return name


@dataclass(frozen=True)
class ReceivingKey:
    """A public X-Wing key (1216 bytes), good from ``start`` and until the day before ``end``."""

    start: date
    end: date
    public: bytes = field(repr=False)

    @property
    def id(self) -> bytes:
        """The key's id, 16 bytes."""
        return key_id(self.public)

    def to_json(self) -> dict[str, Json]:
        """As a manifest lists it."""
        return {
            "from": self.start.isoformat(),
            "id": self.id.hex(),
            "public": fields.to_base64(self.public),
            "until": self.end.isoformat(),
        }

    @classmethod
    def from_json(cls, value: Json) -> ReceivingKey:
        """From a manifest's list."""
        listed = fields.members(value, ("from", "id", "public", "until"))
        public = fields.binary(listed, "public", XWING_PUBLIC_SIZE)
        key = cls(days.parse(listed["from"]), days.parse(listed["until"]), public)
        if not timedelta(0) < key.end - key.start <= timedelta(days=MAX_RECEIVING_KEY_DAYS):
            raise Malformed(f"a receiving key does not live for 1 to {MAX_RECEIVING_KEY_DAYS} days")
        if fields.hexadecimal(listed, "id", ID_SIZE) != key.id:
            raise Malformed("a receiving key has the id of another key")
        check_xwing(public)
        return key


@dataclass(frozen=True)
class Manifest:
    """A signed Key manifest. ``identity`` and ``desk``: Ed25519 keys, 32 bytes; ``serial``: (generation, index)."""

    organisation: str
    name: str
    country: str
    languages: tuple[str, ...]
    identity: bytes = field(repr=False)
    desk: bytes = field(repr=False)
    start: date
    end: date
    serial: tuple[int, int]
    keys: tuple[ReceivingKey, ...] = field(repr=False)
    critical: tuple[str, ...] = ()
    extra: tuple[tuple[str, Json], ...] = field(default=(), repr=False)
    signature: bytes = field(default=b"", repr=False)

    @property
    def id(self) -> bytes:
        """The organisation's id, 16 bytes."""
        return organisation_id(self.identity)

    def unsigned(self) -> dict[str, Json]:
        """All members but the signature."""
        return {
            **dict(self.extra),
            "country": self.country,
            "critical": list(self.critical),
            "desk": fields.to_base64(self.desk),
            "from": self.start.isoformat(),
            "identity": fields.to_base64(self.identity),
            "keys": [key.to_json() for key in self.keys],
            "languages": list(self.languages),
            "name": self.name,
            "organisation": self.organisation,
            "serial": list(self.serial),
            "until": self.end.isoformat(),
            "version": VERSION,
        }

    def signed_by(self, identity_key: SigningKey) -> Manifest:
        """This manifest with a signature by its identity key; checked by reading it as everybody else will."""
        unsigned = replace(self, identity=identity_key.verify_key.encode(), signature=b"")
        signature = sign(labels.MANIFEST, canonical.encode(unsigned.unsigned()), identity_key)
        return Manifest.parse(replace(unsigned, signature=signature).encode())

    def with_extracts(self, identity_key: SigningKey) -> Manifest:
        """This manifest with the signatures of its extracts, to be signed itself."""
        public = identity_key.verify_key.encode()
        signatures = [
            fields.to_base64(
                sign(labels.MANIFEST, canonical.encode(replace(extract, identity=public).unsigned()), identity_key)
            )
            for extract in self._all_extracts()
        ]
        return replace(self, extra=(*self._others(), (_EXTRACTS, list[Json](signatures))))

    def extract(self, today: date) -> Manifest:
        """The smallest manifest with every receiving key that somebody with another clock may seal to on that day.

        It is this one when it has no such extract, or one that its identity key did not sign.
        """
        near = [at for at, key in enumerate(self.keys) if key.start - today <= _AROUND and today - key.end < _AROUND]
        signatures = dict(self.extra).get(_EXTRACTS)
        if not near or near[-1] - near[0] > 1 or not isinstance(signatures, list):
            return self
        first, last = near[0], near[-1]
        try:
            signature = fields.binary({"at": signatures[first + last]}, "at", SIGNATURE_SIZE)
            found = Manifest.parse(replace(self._extract(first, last - first + 1), signature=signature).encode())
        except (IndexError, TipboxError):
            return self
        clocks = [today + timedelta(off) for off in range(-_AROUND.days, _AROUND.days + 1)]
        # Of keys that overlap in an odd way an extract may lack one.
        return found if all(found._key_on(day) == self._key_on(day) for day in clocks) else self  # noqa: SLF001

    def _key_on(self, day: date) -> ReceivingKey | None:
        """What is sealed to on that day; None: nothing is."""
        try:
            self.check(day)
            return self.current_key(day)
        except TipboxError:
            return None

    def _others(self) -> tuple[tuple[str, Json], ...]:
        return tuple((name, member) for name, member in self.extra if name != _EXTRACTS)

    def _all_extracts(self) -> list[Manifest]:
        """Of the first key, the first two, the second, the second and third, and so on."""
        found = [(at // 2, 1 + at % 2) for at in range(2 * len(self.keys) - 1)]
        return [self._extract(first, count) for first, count in found]

    def _extract(self, first: int, count: int) -> Manifest:
        keys, rest = self.keys[first : first + count], self.keys[first + count :]
        return replace(
            self,
            start=max(self.start, keys[0].start),
            end=min(self.end, max(key.end for key in keys), *(key.start for key in rest[:1])),
            keys=keys,
            extra=self._others(),
            signature=b"",
        )

    def encode(self) -> bytes:
        """The bytes of the manifest's file."""
        return canonical.encode({**self.unsigned(), "signature": fields.to_base64(self.signature)}, file_form=True)

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Read a manifest's file and verify its signature; days are checked by ``check``."""
        if len(data) > MAX_MANIFEST:
            raise LimitExceeded(f"the manifest is larger than {MAX_MANIFEST:,} bytes")
        value = fields.members(canonical.decode(data, file_form=True), _MEMBERS, None)
        manifest = cls(
            organisation=check_organisation_name(fields.text(value, "organisation")),
            name=check_people_name(fields.text(value, "name")),
            country=fields.text(value, "country"),
            languages=tuple(fields.language(tag, MAX_LANGUAGE) for tag in fields.array(value, "languages")),
            identity=fields.binary(value, "identity", KEY_SIZE),
            desk=fields.binary(value, "desk", KEY_SIZE),
            start=days.parse(value["from"]),
            end=days.parse(value["until"]),
            serial=_serial(fields.array(value, "serial")),
            keys=tuple(ReceivingKey.from_json(key) for key in fields.array(value, "keys")),
            critical=_critical(fields.array(value, "critical")),
            extra=tuple((name, member) for name, member in value.items() if name not in _MEMBERS),
            signature=fields.binary(value, "signature", SIGNATURE_SIZE),
        )
        version = fields.number(value, "version")
        manifest._check_bounds()
        fields.check_version(version)
        if manifest.critical:
            raise UnknownCritical
        unsigned = {name: member for name, member in value.items() if name != "signature"}
        verify(labels.MANIFEST, canonical.encode(unsigned), manifest.signature, manifest.identity)
        return manifest

    def _check_bounds(self) -> None:
        check_ed25519(self.identity)
        check_ed25519(self.desk)
        check_country(self.country)
        if len(self.languages) > MAX_LANGUAGES or not 1 <= len(self.keys) <= MAX_RECEIVING_KEYS:
            raise Malformed("the manifest has too many languages, or too many or no receiving keys")
        if any(one.start >= other.start for one, other in pairwise(self.keys)):
            raise Malformed("the receiving keys are out of order, or two begin on one day")
        if len({key.id for key in self.keys}) != len(self.keys):
            raise Malformed("a receiving key is repeated")
        if not timedelta(0) < self.end - self.start <= timedelta(days=MAX_MANIFEST_DAYS):
            raise Malformed(f"the manifest does not live for 1 to {MAX_MANIFEST_DAYS} days")

    def check(self, today: date) -> None:
        """Expired or NotYetValid unless the manifest is valid on that day."""
        if today >= self.end:
            raise Expired(f"the manifest of {self.organisation} expired on {self.end}; get the new one")
        if _begins_later(self.start, today):
            raise NotYetValid(
                f"the manifest of {self.organisation} starts on {self.start}; check the date of this device"
            )

    def check_replaces(self, older: Manifest) -> None:
        """IdentityChanged or OlderSerial unless this manifest may take the place of ``older``."""
        if self.identity != older.identity:
            raise IdentityChanged
        if self.serial <= older.serial:
            raise OlderSerial

    def current_key(self, today: date) -> ReceivingKey:
        """The receiving key to seal to on that day: the latest that has begun; NoCurrentKey when there is none."""
        begun = [key for key in self.keys if key.start <= today < key.end]
        soon = [key for key in self.keys if today < key.start and not _begins_later(key.start, today)]
        if not begun and not soon:
            raise NoCurrentKey
        return begun[-1] if begun else soon[0]


def _begins_later(start: date, today: date) -> bool:
    """Whether a span that begins on ``start`` does not hold yet, on a clock that may be a day behind."""
    return start - today > _SKEW


def _serial(value: Sequence[Json]) -> tuple[int, int]:
    numbers = [number for number in value if isinstance(number, int) and not isinstance(number, bool)]
    if len(value) != 2 or len(numbers) != 2 or not all(1 <= number <= MAX_SERIAL for number in numbers):  # noqa: PLR2004
        raise Malformed("the serial is not a pair of numbers")
    return numbers[0], numbers[1]


def _critical(value: Sequence[Json]) -> tuple[str, ...]:
    names = tuple(name for name in value if isinstance(name, str))
    if len(names) != len(value):
        raise Malformed("a critical member's name is not text")
    return names


def unique_manifests(manifests: Collection[Manifest], whence: str) -> list[Manifest]:
    """Manifests that come from one place, by organisation id; refused when an organisation is among them twice."""
    if len(manifests) > MAX_SLOTS:
        raise LimitExceeded(f"there are more than {MAX_SLOTS} key manifests in {whence}")
    if len({manifest.id for manifest in manifests}) != len(manifests) or len(
        {manifest.organisation for manifest in manifests}
    ) != len(manifests):
        raise Malformed(f"two key manifests in {whence} are of the same organisation; keep the newer one")
    return sorted(manifests, key=lambda manifest: manifest.id)
