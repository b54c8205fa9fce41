"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One check: its name, whether it is well, what was found, and how to remedy it.

    Attributes:
        check: its name, which stays the same from release to release: deploy/findings.py compares by it.
        ok: whether it is well.
        message: what was found.
        remedy: the command or the step that sets it right; empty when it is well.
        wrong: of how many things it is true that they are not well; None when nobody could look. An upgrade that finds
            more than was wrong before it is taken back.
    """

    check: str
    ok: bool
    message: str
    remedy: str = ""
    wrong: int | None = 1

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "check": self.check,
            "ok": self.ok,
            "message": self.message,
            "mend": self.remedy,  # scripts read this name
            "wrong": 0 if self.ok else self.wrong,
        }
