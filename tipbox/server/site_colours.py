"""Whether the colours of a site's face can be read on its pages: contrast of WCAG 2.2, level AA."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tipbox.errors import InputRefused
from tipbox.formats.site_face import SiteFace

TEXT: Final = 4.5
"""Contrast that text has at least (WCAG 2.2, 1.4.3)."""
SHAPES: Final = 3.0
"""Contrast that what is not text has at least (1.4.11)."""
_ON: Final = ("#ffffff", "#0b1614")
"""What is written on the colour: white or nearly black, whichever is seen better."""
_LINEAR: Final = 0.04045
"""Up to here a part of a colour grows evenly (WCAG 2.2, relative luminance)."""
_GROUNDS: Final = ("ground", "card", "wash", "care")
_ROOT: Final = re.compile(r":root\s*\{([^}]*)\}")
_PROPERTY: Final = re.compile(r"--([a-z-]+):\s*(#[0-9a-f]{3,6})\b")


def contrast(one: str, other: str) -> float:
    """The contrast of two colours (``#rgb`` or ``#rrggbb``), from 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def schemes(style: str) -> tuple[dict[str, str], dict[str, str]]:
    """The named colours of the style sheet, on light ground and on dark."""
    light, dark = (dict(_PROPERTY.findall(block)) for block in _ROOT.findall(style)[:2])
    return light, {**light, **dark}


def style_of(face: SiteFace, style: str) -> str:
    """What is added to the style sheet so that the pages have the colours of a face.

    Raises:
        InputRefused: one of them could not be read.
    """
    light, dark = schemes(style)
    on_light = _on(face.light, light, "light")
    on_dark = _on(face.dark, dark, "dark")
    return (
        f":root{{--strong:{face.light};--on-strong:{on_light}}}"
        f"@media (prefers-color-scheme:dark){{:root{{--strong:{face.dark};--on-strong:{on_dark}}}}}\n"
    )


def _on(colour: str, scheme: Mapping[str, str], name: str) -> str:
    """The colour of text on ``colour``."""
    for ground in _GROUNDS:
        found = contrast(colour, scheme[ground])
        if found < TEXT:
            raise InputRefused(
                f"rendering the pages: the site's colour {colour} has a contrast of {found:.1f} on {name} ground, and "
                f"text needs {TEXT}; choose a {'darker' if name == 'light' else 'lighter'} one"
            )
    return max(_ON, key=lambda on: contrast(colour, on))


def _luminance(colour: str) -> float:
    size = len(colour) // 3  # digits of one part
    parts = [colour[at : at + size] * (3 - size) for at in range(1, 1 + 3 * size, size)]
    red, green, blue = (_linear(int(part, 16) / 255) for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    return float(value / 12.92 if value <= _LINEAR else ((value + 0.055) / 1.055) ** 2.4)
