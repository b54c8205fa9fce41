"""Text from strangers made harmless for a terminal: no controls, no escapes, no marks that turn the writing around."""

from __future__ import annotations

import json
import unicodedata
from typing import Any, Final

KEPT: Final = frozenset("LMNPS")
"""Unicode's letters, marks, numbers, punctuation and symbols."""
_BLANK: Final = "Zs"
"""Unicode's blanks within a line: French and Russian texts are full of those that do not break."""


def is_printable(character: str) -> bool:
    """Whether a character shows itself and does nothing else."""
    category = unicodedata.category(character)
    return category[0] in KEPT or category == _BLANK


def printable(text: str, limit: int = 200) -> str:
    """``text`` on one line, at most ``limit`` characters; what does more than show itself becomes U+FFFD."""
    shown = "".join(character if is_printable(character) else "\N{REPLACEMENT CHARACTER}" for character in text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def ascii_json(value: Any) -> str:
    """JSON in printable ASCII, for people and programs alike."""
    return json.dumps(value, indent=2, sort_keys=True).replace("\x7f", "\\u007f")
