"""Refusals: the closed set of docs/protocol.md, section 4. What status answers each is known in ``web/answers.py``.

Their sentences are for programs and for people at a terminal; a page that is refused is one file of the site.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any, Final

SENTENCES: Final[Mapping[str, str]] = {
    "no-circuit": "This connection did not come through the onion service.",
    "cross-site": "Another site caused this request; open the page itself.",
    "no-token": "The draft token is missing or misspelt.",
    "no-draft": "There is no such upload: it expired or was never begun; start again.",
    "not-found": "There is no such page.",
    "method": "This address does not take that method.",
    "length-required": "The request does not say how long it is.",
    "too-large": "This is larger than the server takes.",
    "draft-differs": "This upload was begun with another Envelope; start again.",
    "part-differs": "This part came with other bytes before; those stay.",
    "incomplete": "Parts are missing; send them and finish again.",
    "unknown-organisation": "This is sealed to an organisation that is not here.",
    "slow-down": "Too many requests for now; wait a little.",
    "toll": "Many want to send just now: the server asks for some work first.",
    "full": "There is no room just now. What is stored stays safe: come back later, or send the text without files.",
    "unavailable": "The server cannot take anything just now; come back later.",
}


class Refusal(Exception):
    """A request is refused: ``code`` of the closed set, one sentence, and what goes with it.

    Args:
        code: a code of section 4, or a format error's.
        message: the sentence, when there is a better one than the code's own.
        state: members that the answer carries besides, such as what is missing.
        wipe: the request is not read on, and what was read is overwritten.
    """

    def __init__(
        self, code: str, message: str = "", *, state: Mapping[str, Any] | None = None, wipe: bool = False
    ) -> None:
        self.code = code
        self.message = message or SENTENCES.get(code, "")
        self.state = state or {}
        self.wipe = wipe
        super().__init__(self.message)


def let_go(error: BaseException) -> None:
    """Clear the frames that ``error`` passed, and those of what it came from, before its answer leaves.

    They hold what was read of a body, and an error may hold its own frames until somebody collects garbage.
    """
    one: BaseException | None = error
    while one is not None:
        traceback.clear_frames(one.__traceback__)
        one.__traceback__ = None
        one = one.__context__
