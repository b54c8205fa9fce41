"""The letter: message, file table and what belongs to them (docs/format.md, 4.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tipbox.errors import BadCommitment, InputRefused, LimitExceeded, Malformed, Tampered
from tipbox.formats.base import canonical, days, fields, labels, padding
from tipbox.formats.base.canonical import Json
from tipbox.formats.base.limits import (
    HASH_SIZE,
    ID_SIZE,
    KEY_SIZE,
    MAX_BODY,
    MAX_FILES,
    MAX_FILES_FOLLOW,
    MAX_LANGUAGE,
    MAX_MESSAGE,
    MAX_META,
    MAX_NAME,
    MAX_TYPE,
)
from tipbox.formats.base.primitives import equal, hkdf
from tipbox.formats.envelopes.consent import Consent
from tipbox.formats.envelopes.header import Header, Kind, body_commitment

_NONCE: Final = bytes(12)
_COMMON: Final = ("body_key", "files", "id", "language")
_REQUIRED: Final = {Kind.TIP: _COMMON, Kind.REPLY: ("answers", *_COMMON, "day")}
_OPTIONAL: Final = {Kind.TIP: ("consent", "continues", "files_follow", "sections"), Kind.REPLY: ()}
_TYPE: Final = re.compile(r"[\x20-\x7e]*", re.ASCII)
_UNSENDABLE: Final = re.compile("[\x00\ud800-\udfff]")
_LENGTH: Final = 4


@dataclass(frozen=True)
class FileEntry:
    """A file as its sender named it: name and type are a stranger's words; size in bytes."""

    name: str
    size: int
    type: str = ""


@dataclass(frozen=True)
class Letter:
    """What a letter says.

    Attributes:
        message: meant as UTF-8.
        files: in the order of their bytes in the body.
        body_key: 32 bytes, opens the body.
        id: the message id, 16 bytes.
        language: a BCP 47 tag, or empty.
        answers: of a reply, the message id that it answers (16 bytes), or empty.
        day: of a reply, the day on which it was sealed.
        consent: of a tip, what its source allows; None when it does not say.
        continues: of a tip, the Envelope hash (32 bytes) of the one stored before it in the same tip, or empty.
        files_follow: of a tip, how many files were to come after this Envelope.
        sections: of a tip, reserved.
    """

    message: bytes = field(repr=False)
    files: tuple[FileEntry, ...] = field(repr=False)
    body_key: bytes = field(repr=False)
    id: bytes
    language: str = ""
    answers: bytes = b""
    day: date | None = None
    consent: Consent | None = field(default=None, repr=False)
    continues: bytes = b""
    files_follow: int = 0
    sections: tuple[str, ...] | None = field(default=None, repr=False)

    @property
    def files_size(self) -> int:
        """Bytes of all files, not padded."""
        return sum(file.size for file in self.files)

    @property
    def body_size(self) -> int:
        """Padded plaintext bytes of the body."""
        return padding.padme(self.files_size)

    def check_sendable(self) -> None:
        """Refuse, with words for the sender, what must not be sealed."""
        if len(self.message) > MAX_MESSAGE:
            raise LimitExceeded(f"the message is longer than {MAX_MESSAGE:,} bytes; save it as a file and attach that")
        if len(self.files) > MAX_FILES:
            raise LimitExceeded(f"there are more than {MAX_FILES:,} files; send the rest as a follow-up")
        if any(not 1 <= len(file.name.encode(errors="surrogatepass")) <= MAX_NAME for file in self.files):
            raise LimitExceeded(f"a file's name is empty or longer than {MAX_NAME} bytes; rename the file")
        if any(len(file.type) > MAX_TYPE for file in self.files):
            raise LimitExceeded(f"a file's type is longer than {MAX_TYPE} bytes; leave it empty")
        if any(_UNSENDABLE.search(file.name) or not _TYPE.fullmatch(file.type) for file in self.files):
            raise InputRefused("a file's name or type has characters that cannot be sent; rename the file")
        if self.files_size > MAX_BODY:
            raise LimitExceeded(f"the files are larger than {MAX_BODY:,} bytes together; send some as a follow-up")
        if not self.message and not self.files:
            raise InputRefused("there is nothing to send: the message is empty and there is no file")

    def encode(self, kind: Kind) -> bytes:
        """The padded plaintext."""
        meta: dict[str, Json] = {
            "body_key": fields.to_base64(self.body_key),
            "files": [{"name": file.name, "size": file.size, "type": file.type} for file in self.files],
            "id": self.id.hex(),
            "language": self.language,
        }
        meta |= self._tip_members() if kind is Kind.TIP else self._reply_members()
        encoded = canonical.encode(meta)
        content = len(encoded).to_bytes(_LENGTH) + encoded + len(self.message).to_bytes(_LENGTH) + self.message
        return content.ljust(padding.letter_size(len(content)), b"\x00")

    def _tip_members(self) -> dict[str, Json]:
        members: dict[str, Json] = {}
        if self.consent is not None:
            members["consent"] = self.consent.to_json()
        if self.continues:
            members["continues"] = self.continues.hex()
        if self.files_follow:
            members["files_follow"] = self.files_follow
        if self.sections is not None:
            members["sections"] = list(self.sections)
        return members

    def _reply_members(self) -> dict[str, Json]:
        if self.day is None:
            raise Malformed("a reply has no day")
        return {"answers": self.answers.hex(), "day": self.day.isoformat()}

    @classmethod
    def parse(cls, plaintext: bytes, kind: Kind) -> Letter:
        """Read the padded plaintext of a letter of that kind."""
        meta, at = _counted(plaintext, 0, MAX_META, "the letter's file table")
        message, at = _counted(plaintext, at, MAX_MESSAGE, "the message")
        if padding.letter_size(at) != len(plaintext) or plaintext.count(0, at) != len(plaintext) - at:
            raise Malformed("the letter's padding breaks the rules")
        value = fields.members(canonical.decode(meta), _REQUIRED[kind], _OPTIONAL[kind])
        files = fields.array(value, "files")
        if len(files) > MAX_FILES:
            raise LimitExceeded(f"the letter names more than {MAX_FILES:,} files")
        entries = tuple(map(_file, files))  # before the other members, of which none can pass a limit
        return cls(
            message=message,
            files=entries,
            body_key=fields.binary(value, "body_key", KEY_SIZE),
            id=fields.hexadecimal(value, "id", ID_SIZE),
            language=fields.language(value["language"], MAX_LANGUAGE) if value["language"] != "" else "",
            answers=fields.hexadecimal(value, "answers", ID_SIZE) if value.get("answers", "") != "" else b"",
            day=days.parse(value["day"]) if "day" in value else None,
            consent=Consent.from_json(value["consent"]) if "consent" in value else None,
            continues=fields.hexadecimal(value, "continues", HASH_SIZE) if "continues" in value else b"",
            files_follow=fields.integer(value, "files_follow", 1, MAX_FILES_FOLLOW) if "files_follow" in value else 0,
            sections=_sections(value),
        )


def _counted(data: bytes, at: int, limit: int, what: str) -> tuple[bytes, int]:
    """A u32 length and that many bytes from ``at``; the bytes and where they end."""
    start = at + _LENGTH
    if start > len(data):
        raise Malformed(f"the letter ends before the size of {what}")
    size = int.from_bytes(data[at:start])
    if size > limit:
        raise LimitExceeded(f"{what} is larger than {limit:,} bytes")
    if start + size > len(data):
        raise Malformed(f"{what} runs past the end of the letter")
    return data[start : start + size], start + size


def _file(value: Json) -> FileEntry:
    entry = fields.members(value, ("name", "size", "type"))
    name, kind = fields.text(entry, "name"), fields.text(entry, "type")
    if not 1 <= len(name.encode()) <= MAX_NAME or len(kind.encode()) > MAX_TYPE:
        raise LimitExceeded("a file's name or type is too long")
    if "\x00" in name or not _TYPE.fullmatch(kind):
        raise Malformed("a file's name or type has characters that do not belong there")
    return FileEntry(name, fields.integer(entry, "size", 0, MAX_BODY), kind)


def _sections(value: dict[str, Json]) -> tuple[str, ...] | None:
    if "sections" not in value:
        return None
    sections = fields.array(value, "sections")
    texts = tuple(section for section in sections if isinstance(section, str))
    if len(texts) != len(sections):
        raise Malformed("a section is not text")
    return texts


def _cipher(header: Header, content_key: bytes) -> AESGCM:
    return AESGCM(hkdf(content_key, header.hash, labels.LETTER))


def seal_letter(header: Header, content_key: bytes, plaintext: bytes) -> bytes:
    """Seal a padded letter under a header whose size field says ``len(plaintext)``."""
    return _cipher(header, content_key).encrypt(_NONCE, plaintext, None)


def open_letter(header: Header, content_key: bytes, sealed: bytes) -> Letter:
    """Open a letter and check it against its header: Tampered, Malformed, LimitExceeded or BadCommitment."""
    try:
        plaintext = _cipher(header, content_key).decrypt(_NONCE, sealed, None)
    except (InvalidTag, ValueError) as error:
        raise Tampered from error
    letter = Letter.parse(plaintext, header.kind)
    if not equal(body_commitment(letter.body_key, header.salt), header.body_commitment):
        raise BadCommitment
    if letter.body_size != header.body_size:
        raise Malformed("the files' sizes do not add up to the body's")
    return letter
