"""One spelling for what people type in several: letters without marks, Kazakh ones as a Russian keyboard has them.

Both what is searched for and what is searched are folded, so a word is found however it was typed.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_MARKS: Final = re.compile("[\u0300-\u036f\u0483-\u0487\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
"""Marks that stand over, under or through the letter before them."""

_TWINS: Final = str.maketrans("әғқңөұүһієґў", "агкноуухиегу")
"""Letters of Kazakh, Kyrgyz and Ukrainian, and what those write who have a Russian keyboard."""


def fold(text: str) -> str:
    """``text`` in small letters, without marks, with Kazakh letters as their twins."""
    return _MARKS.sub("", unicodedata.normalize("NFKD", text.casefold())).translate(_TWINS)
