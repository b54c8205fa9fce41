"""Notices (docs/format.md, section 11.1): what one organisation says on a site's pages for some days, in its words.

Its desk key signs it, so a server can hold one back, but can neither write nor change one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Final

from tipbox.errors import Expired, LimitExceeded, Malformed, NotYetValid, TipboxError
from tipbox.formats.base import canonical, days, fields, labels
from tipbox.formats.base.canonical import Json
from tipbox.formats.base.characters import has_unseen
from tipbox.formats.base.limits import (
    ID_SIZE,
    KEY_SIZE,
    MAX_LANGUAGE,
    MAX_LANGUAGES,
    MAX_NOTICE,
    MAX_NOTICE_DAYS,
    MAX_NOTICE_TEXT,
    SIGNATURE_SIZE,
    SKEW_DAYS,
    VERSION,
)
from tipbox.formats.base.primitives import SigningKey, check_ed25519, sign, verify

_MEMBERS: Final = ("desk", "from", "id", "kind", "signature", "text", "until", "version")


@dataclass(frozen=True)
class Notice:
    """A signed notice.

    Attributes:
        organisation: id of whose it is, 16 bytes.
        start: the first day on which it is shown.
        end: the day after the last one.
        text: its words by language, lines divided by line feeds.
        desk: the desk key that signed it, 32 bytes; it is the organisation's when its manifest names it.
    """

    organisation: bytes
    start: date
    end: date
    text: Mapping[str, str] = field(hash=False)
    desk: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)

    def unsigned(self) -> dict[str, Json]:
        """All members but the signature."""
        return {
            "desk": fields.to_base64(self.desk),
            "from": self.start.isoformat(),
            "id": self.organisation.hex(),
            "kind": "notice",
            "text": dict(self.text),
            "until": self.end.isoformat(),
            "version": VERSION,
        }

    def signed_by(self, desk_key: SigningKey) -> Notice:
        """This notice with a signature by a desk key; checked by reading it as everybody else will."""
        unsigned = replace(self, desk=desk_key.verify_key.encode(), signature=b"")
        signature = sign(labels.NOTICE, canonical.encode(unsigned.unsigned()), desk_key)
        return Notice.parse(replace(unsigned, signature=signature).encode())

    def encode(self) -> bytes:
        """The bytes of its file."""
        return canonical.encode({**self.unsigned(), "signature": fields.to_base64(self.signature)}, file_form=True)

    @classmethod
    def parse(cls, data: bytes) -> Notice:
        """Read a notice's file and verify its signature by the key that it names; days are checked by ``check``.

        Raises:
            LimitExceeded, Malformed, UnsupportedVersion, BadSignature: it is none, or was changed.
        """
        if len(data) > MAX_NOTICE:
            raise LimitExceeded(f"the notice is larger than {MAX_NOTICE:,} bytes")
        value = fields.members(canonical.decode(data, file_form=True), _MEMBERS)
        if fields.text(value, "kind") != "notice":
            raise Malformed("this is no notice")
        notice = cls(
            organisation=fields.hexadecimal(value, "id", ID_SIZE),
            start=days.parse(value["from"]),
            end=days.parse(value["until"]),
            text=_texts(value["text"]),
            desk=fields.binary(value, "desk", KEY_SIZE),
            signature=fields.binary(value, "signature", SIGNATURE_SIZE),
        )
        check_ed25519(notice.desk)
        if not timedelta(0) < notice.end - notice.start <= timedelta(days=MAX_NOTICE_DAYS):
            raise Malformed(f"a notice is not shown for 1 to {MAX_NOTICE_DAYS} days")
        fields.check_version(fields.number(value, "version"))
        verify(labels.NOTICE, canonical.encode(notice.unsigned()), notice.signature, notice.desk)
        return notice

    def check(self, today: date) -> None:
        """Expired or NotYetValid unless it is shown on that day."""
        if today >= self.end:
            raise Expired(f"the last day of this notice was {self.end - timedelta(days=1)}")
        if self.start - today > timedelta(days=SKEW_DAYS):
            raise NotYetValid(f"the first day of this notice is {self.start}")

    def shows(self, today: date) -> bool:
        """Whether it is shown on that day."""
        try:
            self.check(today)
        except TipboxError:
            return False
        return True


def _texts(value: Json) -> dict[str, str]:
    if not isinstance(value, dict) or not 1 <= len(value) <= MAX_LANGUAGES:
        raise Malformed(f"a notice is not in 1 to {MAX_LANGUAGES} languages")
    return {fields.language(tag, MAX_LANGUAGE): _words(fields.text(value, tag)) for tag in value}


def _words(text: str) -> str:
    lines = text.split("\n")
    if not 1 <= len(text.encode()) <= MAX_NOTICE_TEXT or any(has_unseen(line) for line in lines):
        raise Malformed(f"the words of a notice are not 1 to {MAX_NOTICE_TEXT:,} bytes, or have unseen characters")
    return text
