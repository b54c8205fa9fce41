"""The text that text-only tips carry."""

from __future__ import annotations

from typing import Final

_SENTENCE: Final = b"We were on the square on the fifth of January. "
TIP_SIZE: Final = 2_000
TEXT_OF_A_TIP: Final = (_SENTENCE * (TIP_SIZE // len(_SENTENCE) + 1))[:TIP_SIZE]
"""2 kB."""
