"""Days: the only grain of time that tipbox keeps (docs/format.md, section 1)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from tipbox.errors import Malformed

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def today() -> date:
    """Today in UTC."""
    return datetime.now(UTC).date()


def parse(text: object) -> date:
    """The day that ``text`` (YYYY-MM-DD) names; Malformed for everything else."""
    if not isinstance(text, str) or not _DAY.fullmatch(text):
        raise Malformed("a day is not written as YYYY-MM-DD")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Malformed("a day does not exist") from error
