"""Site lists (docs/format.md, section 11): whose tips a site's pages take, by identity key.

The pages of a server carry it, so whoever verifies their bytes verifies the keys. Each organisation signs its entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from tipbox.errors import LimitExceeded, Malformed
from tipbox.formats.base import canonical, fields, labels
from tipbox.formats.base.canonical import Json
from tipbox.formats.base.characters import has_unseen
from tipbox.formats.base.limits import (
    KEY_SIZE,
    MAX_ABOUT,
    MAX_LANGUAGE,
    MAX_LANGUAGES,
    MAX_ONIONS,
    MAX_SITE_LIST,
    MAX_SLOTS,
    SIGNATURE_SIZE,
    VERSION,
)
from tipbox.formats.base.primitives import SigningKey, check_ed25519, sign, verify
from tipbox.formats.manifest import Manifest, check_country, check_organisation_name, check_people_name, organisation_id
from tipbox.formats.site_face import SiteFace

_ONION: Final = re.compile(r"[a-z2-7]{56}\.onion", re.ASCII)
_ENTRY: Final = ("country", "identity", "languages", "name", "onions", "organisation", "signature", "version")


@dataclass(frozen=True)
class SiteEntry:
    """An organisation as the pages of a site name it.

    Attributes:
        identity: its Ed25519 identity key, 32 bytes.
        onions: onion services that it vouches for; none: it names no address.
        signature: by the identity key; empty in an entry that a server made from a manifest.
        about: one line on who they are, by language, in their own words.
    """

    organisation: str
    name: str
    country: str
    languages: tuple[str, ...]
    identity: bytes = field(repr=False)
    onions: tuple[str, ...] = ()
    signature: bytes = field(default=b"", repr=False)
    about: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def id(self) -> bytes:
        """The organisation's id, 16 bytes."""
        return organisation_id(self.identity)

    @property
    def is_signed(self) -> bool:
        """Whether the organisation signed it; a signature that is there was verified."""
        return bool(self.signature)

    @classmethod
    def of(cls, manifest: Manifest) -> SiteEntry:
        """What a manifest says of its organisation, signed by nobody as an entry."""
        return cls(manifest.organisation, manifest.name, manifest.country, manifest.languages, manifest.identity)

    def signed_by(self, identity_key: SigningKey) -> SiteEntry:
        """This entry with a signature by its identity key; checked by reading it as everybody else will."""
        unsigned = replace(self, identity=identity_key.verify_key.encode(), signature=b"")
        signature = sign(labels.SITE, canonical.encode(unsigned.unsigned()), identity_key)
        return SiteEntry.parse(replace(unsigned, signature=signature).encode())

    def unsigned(self) -> dict[str, Json]:
        """All members but the signature."""
        value: dict[str, Json] = {
            "country": self.country,
            "identity": fields.to_base64(self.identity),
            "languages": list(self.languages),
            "name": self.name,
            "onions": list(self.onions),
            "organisation": self.organisation,
            "version": VERSION,
        }
        return {**value, "about": dict(self.about)} if self.about else value

    def to_json(self) -> dict[str, Json]:
        """As a list has it."""
        return {**self.unsigned(), "signature": fields.to_base64(self.signature)}

    def encode(self) -> bytes:
        """The bytes of a file with this entry alone."""
        return canonical.encode(self.to_json(), file_form=True)

    @classmethod
    def parse(cls, data: bytes) -> SiteEntry:
        """Read a file with one entry.

        Raises:
            LimitExceeded, Malformed, UnsupportedVersion, BadSignature: it is none, or was changed.
        """
        return cls.from_json(_decoded(data))

    @classmethod
    def from_json(cls, value: Json) -> SiteEntry:
        """From a list."""
        listed = fields.members(value, _ENTRY, ("about",))
        entry = cls(
            organisation=check_organisation_name(fields.text(listed, "organisation")),
            name=check_people_name(fields.text(listed, "name")),
            country=check_country(fields.text(listed, "country")),
            languages=tuple(fields.language(tag, MAX_LANGUAGE) for tag in fields.array(listed, "languages")),
            identity=fields.binary(listed, "identity", KEY_SIZE),
            onions=tuple(_onion(address) for address in fields.array(listed, "onions")),
            signature=fields.binary(listed, "signature", SIGNATURE_SIZE) if listed["signature"] != "" else b"",
            about=_about(listed["about"]) if "about" in listed else {},
        )
        if len(entry.languages) > MAX_LANGUAGES or len(entry.onions) > MAX_ONIONS:
            raise Malformed("an entry has too many languages or onion services")
        check_ed25519(entry.identity)
        fields.check_version(fields.number(listed, "version"))
        if entry.signature:
            verify(labels.SITE, canonical.encode(entry.unsigned()), entry.signature, entry.identity)
        return entry


@dataclass(frozen=True)
class SiteList:
    """The organisations of a site, by id, and the language that its start page has.

    Attributes:
        face: how the site calls itself and looks; None: as tipbox does.
    """

    language: str
    entries: tuple[SiteEntry, ...]
    face: SiteFace | None = None

    @classmethod
    def of(cls, language: str, entries: Iterable[SiteEntry], face: SiteFace | None = None) -> SiteList:
        """A list of these entries, checked as one that is read.

        Raises:
            LimitExceeded, Malformed: there are too many, or two are of one organisation.
        """
        return cls.parse(cls(language, tuple(sorted(entries, key=lambda entry: entry.id)), face).encode())

    @property
    def unsigned(self) -> list[str]:
        """Short names of those that signed no entry."""
        return [entry.organisation for entry in self.entries if not entry.is_signed]

    def encode(self) -> bytes:
        """The bytes of ``site.json``."""
        value: dict[str, Json] = {
            "kind": "site",
            "language": self.language,
            "organisations": [entry.to_json() for entry in self.entries],
            "version": VERSION,
        }
        if self.face is not None:
            value["face"] = self.face.to_json()
        return canonical.encode(value, file_form=True)

    @classmethod
    def parse(cls, data: bytes) -> SiteList:
        """Read ``site.json`` and verify every signature in it.

        Raises:
            LimitExceeded, Malformed, UnsupportedVersion, BadSignature: it is none, or was changed.
        """
        value = fields.members(_decoded(data), ("kind", "language", "organisations", "version"), ("face",))
        if fields.text(value, "kind") != "site":
            raise Malformed("this is not a site's list")
        fields.check_version(fields.number(value, "version"))
        language = fields.language(value["language"], MAX_LANGUAGE)
        listed = fields.array(value, "organisations")
        if len(listed) > MAX_SLOTS:
            raise LimitExceeded(f"a site lists at most {MAX_SLOTS} organisations")
        entries = tuple(SiteEntry.from_json(entry) for entry in listed)
        if [entry.id for entry in entries] != sorted({entry.id for entry in entries}):
            raise Malformed("the organisations of a site are not ascending by id")
        if len({entry.organisation for entry in entries}) != len(entries):
            raise Malformed("two organisations of a site have one name")
        return cls(language, entries, SiteFace.from_json(value["face"]) if "face" in value else None)


def _decoded(data: bytes) -> Json:
    if len(data) > MAX_SITE_LIST:
        raise LimitExceeded("a site's list is larger than one can be")
    return canonical.decode(data, file_form=True)


def _about(value: Json) -> dict[str, str]:
    if not isinstance(value, dict) or not 1 <= len(value) <= MAX_LANGUAGES:
        raise Malformed(f"what an entry says of the organisation is not in 1 to {MAX_LANGUAGES} languages")
    lines = {fields.language(tag, MAX_LANGUAGE): fields.text(value, tag) for tag in value}
    if any(not 1 <= len(line.encode()) <= MAX_ABOUT or has_unseen(line) for line in lines.values()):
        raise Malformed(f"what an entry says of the organisation is no line of 1 to {MAX_ABOUT} bytes that are seen")
    return lines


def _onion(address: Json) -> str:
    if not isinstance(address, str) or not _ONION.fullmatch(address):
        raise Malformed("an onion service is not named by 56 characters and .onion")
    return address
