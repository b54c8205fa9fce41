"""Refusals: the closed set of docs/protocol.md, section 4. What status answers each is known in ``web/answers.py``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final


def N_(sentence: str) -> str:  # noqa: N802 (the name that extractors look for)
    """Mark a sentence for translators where no language is known yet; whoever shows it calls ``gettext``."""
    return sentence


SENTENCES: Final[Mapping[str, str]] = {
    "no-circuit": N_("This connection did not come through the onion service."),
    "cross-site": N_("Another site caused this request; open the page itself."),
    "no-token": N_("The draft token is missing or misspelt."),
    "no-draft": N_("There is no such upload: it expired or was never begun; start again."),
    "not-found": N_("There is no such page."),
    "method": N_("This address does not take that method."),
    "length-required": N_("The request does not say how long it is."),
    "too-large": N_("This is larger than the server takes."),
    "draft-differs": N_("This upload was begun with another Envelope; start again."),
    "part-differs": N_("This part came with other bytes before; those stay."),
    "incomplete": N_("Parts are missing; send them and finish again."),
    "unknown-organisation": N_("This is sealed to an organisation that is not here."),
    "slow-down": N_("Too many requests for now; wait a little."),
    "toll": N_("Many want to send just now: the server asks for some work first."),
    "full": N_(
        "There is no room just now. What is stored stays safe: come back later, or send the text without files."
    ),
    "unavailable": N_("The server cannot take anything just now; come back later."),
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
