"""How a site calls itself and looks (docs/format.md, section 11): a name, a colour for each scheme, a mark."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tipbox.errors import Malformed
from tipbox.formats.base import fields
from tipbox.formats.base.canonical import Json
from tipbox.formats.base.characters import has_unseen
from tipbox.formats.base.limits import MAX_FACE_NAME, MAX_MARK

_COLOUR: Final = re.compile(r"#[0-9a-f]{6}", re.ASCII)
_MARK: Final = re.compile(r"[MmLlHhVvCcSsQqTtAaZz0-9 .,-]*", re.ASCII)
_MEMBERS: Final = ("dark", "light", "mark", "name")


@dataclass(frozen=True)
class SiteFace:
    """What stands at the head of each page, and the colour of the way on.

    Attributes:
        name: neutral: it is seen over a shoulder.
        light: the colour on light ground, ``#rrggbb``.
        dark: the colour on dark ground.
        mark: data of one SVG path on 24 by 24 units, drawn in the colour of text; empty: none.
    """

    name: str
    light: str
    dark: str
    mark: str = ""

    def to_json(self) -> dict[str, Json]:
        """As a list has it."""
        return {"dark": self.dark, "light": self.light, "mark": self.mark, "name": self.name}

    @classmethod
    def from_json(cls, value: Json) -> SiteFace:
        """From a list.

        Raises:
            Malformed: it is none. Whether the colours can be read on the pages, a server says that renders them.
        """
        said = fields.members(value, _MEMBERS)
        name, light, dark, mark = (fields.text(said, member) for member in ("name", "light", "dark", "mark"))
        if not 1 <= len(name.encode()) <= MAX_FACE_NAME or has_unseen(name):
            raise Malformed("the site's name is empty, too long, or has characters that are not seen")
        if not all(_COLOUR.fullmatch(colour) for colour in (light, dark)):
            raise Malformed("a colour of the site is not # and six of 0-9 and a-f")
        if len(mark) > MAX_MARK or not _MARK.fullmatch(mark):
            raise Malformed(f"the site's mark is not the data of one SVG path of at most {MAX_MARK} characters")
        return cls(name, light, dark, mark)
