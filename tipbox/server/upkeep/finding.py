"""What a check finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One check: its name, whether it is well, what was found, and what mends it."""

    check: str
    ok: bool
    message: str
    mend: str = ""

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return asdict(self)
