"""Refusals over HTTP: the closed set of docs/protocol.md, section 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

STATUS: Final[Mapping[str, tuple[int, str]]] = {
    "no-circuit": (403, "This connection did not come through the onion service."),
    "cross-site": (403, "Another site caused this request; open the page itself."),
    "no-token": (401, "The draft token is missing or misspelt."),
    "no-draft": (404, "There is no such upload: it expired or was never begun; start again."),
    "not-found": (404, "There is no such page."),
    "method": (405, "This address does not take that method."),
    "length-required": (411, "The request does not say how long it is."),
    "too-large": (413, "This is larger than the server takes."),
    "draft-differs": (409, "This upload was begun with another Envelope; start again."),
    "part-differs": (409, "This part came with other bytes before; those stay."),
    "incomplete": (409, "Parts are missing; send them and finish again."),
    "unknown-organisation": (422, "This is sealed to an organisation that is not here."),
    "slow-down": (429, "Too many requests for now; wait a little."),
    "full": (
        507,
        "There is no room just now. What is stored stays safe: come back later, or send the text without files.",
    ),
    "unavailable": (503, "The server cannot take anything just now; come back later."),
}
FORMAT_STATUS: Final = 400


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
        status, default = STATUS.get(code, (FORMAT_STATUS, ""))
        super().__init__(message or default)
        self.code = code
        self.status = status
        self.message = message or default
        self.state = state or {}
        self.wipe = wipe
