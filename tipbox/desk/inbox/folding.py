"""One spelling for what people type in several: letters without marks, Kazakh ones as a Russian keyboard has them.

Both what is searched for and what is searched are folded, so a word is found however it was typed.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_TWINS: Final = str.maketrans("әғқңөұүһієґў", "агкноуухиегу")
"""Letters of Kazakh, Kyrgyz and Ukrainian, and what those write who have a Russian keyboard."""


def fold(text: str) -> str:
    """``text`` in small letters, without marks, with Kazakh letters as their twins."""
    bare = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in bare if not unicodedata.combining(character)).translate(_TWINS)
