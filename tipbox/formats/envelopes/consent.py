"""What a source allows to be done with a tip (docs/format.md, 4.3): written by its client, kept by the desk."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from tipbox.errors import Malformed
from tipbox.formats.base import days, fields
from tipbox.formats.base.canonical import Json
from tipbox.formats.base.limits import MAX_CONSENT_LEVEL, MAX_NEVER, MAX_NEVER_TEXT

LEVELS: Final = (
    "internal",
    "named partners",
    "inquiry, confidential",
    "courts",
    "public, anonymised",
    "public",
)
"""What each level allows, from 0; a higher one allows what the lower ones do."""
_MEMBERS: Final = ("ask_me", "level", "never", "until")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Consent:
    """A source's consent.

    Attributes:
        level: 0 to 5, see ``LEVELS``.
        ask_me: whether to ask before each use.
        never: to whom it must never go, or for what it must never be used, in the source's words.
        until: the day on which it ends; None when it does not.
    """

    level: int
    ask_me: bool = False
    never: tuple[str, ...] = field(default=(), repr=False)
    until: date | None = None

    def to_json(self) -> dict[str, Json]:
        """As a letter holds it."""
        return {
            "ask_me": self.ask_me,
            "level": self.level,
            "never": list(self.never),
            "until": "" if self.until is None else self.until.isoformat(),
        }

    @classmethod
    def from_json(cls, value: Json) -> Consent:
        """Read the member of a letter."""
        value = fields.members(value, _MEMBERS)
        ask_me = value["ask_me"]
        if not isinstance(ask_me, bool):
            raise Malformed("ask_me is neither true nor false")
        never = fields.array(value, "never")
        if len(never) > MAX_NEVER:
            raise Malformed(f"a consent names more than {MAX_NEVER} exceptions")
        until = fields.text(value, "until")
        return cls(
            level=fields.integer(value, "level", 0, MAX_CONSENT_LEVEL),
            ask_me=ask_me,
            never=tuple(map(_exception, never)),
            until=days.parse(until) if until else None,
        )


def _exception(value: Json) -> str:
    if not isinstance(value, str) or _CONTROL.search(value):
        raise Malformed("an exception of a consent is not text, or has control characters")
    if not 1 <= len(value.encode()) <= MAX_NEVER_TEXT:
        raise Malformed(f"an exception of a consent is empty or longer than {MAX_NEVER_TEXT} bytes")
    return value
