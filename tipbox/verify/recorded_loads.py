"""What Firefox at the level Safer of Tor Browser sent: heads of requests, and loads of a page with all its parts.

``firefox_heads.json`` holds both: what waited for what, how long, and on which connection
(tests/browser/states/test_watch_looks_alike.py records and compares).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

_HEADS: Final = Path(__file__).with_name("firefox_heads.json")


@cache
def _recorded() -> Any:
    return json.loads(_HEADS.read_bytes())


@dataclass(frozen=True)
class Load:
    """How a page was loaded once.

    Attributes:
        redirect: seconds between a redirect and the request that follows it.
        together: how long after keys the worker was asked for, in seconds; None where it was asked for before them.
        parts: what the page asks for, each with the number of its connection and the seconds between what it waits for
            (``WAITS_FOR``) and its request.
    """

    redirect: float
    together: float | None
    parts: Mapping[str, tuple[int, float]]


PAGE: Final = "page"
WAITS_FOR: Final[Mapping[str, tuple[str, ...]]] = {
    "start.js": (PAGE,),
    "page.js": (PAGE,),
    "style.css": (PAGE,),
    "worker.js": ("start.js",),
    "now": ("page.js", "style.css"),
}
"""Whose answers come before a part is asked for.

The worker is held back besides, and goes at once when the page's script asks for keys.
"""


@cache
def loads() -> Sequence[Load]:
    """Those that were recorded."""
    return [
        Load(one["redirect"], one["together"], {name: (connection, pause) for name, connection, pause in one["parts"]})
        for one in _recorded()["loads"]
    ]


@cache
def heads() -> Mapping[str, Sequence[tuple[str, str]]]:
    """The headers of a request by its kind, in their order; ``{host}`` and ``{page}`` stand for what changes."""
    return {kind: [(name, text) for name, text in pairs] for kind, pairs in _recorded()["heads"].items()}
