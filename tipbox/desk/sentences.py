"""What a desk says of tips, in one place: its commands print these, and so will its pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

from tipbox.desk.marked import N_
from tipbox.desk.vault.records import Thread
from tipbox.formats.envelopes.consent import LEVELS

FORGED: Final = N_(
    "This does not carry the seal of the thread in whose name it came: damaged or changed on the way, made by somebody "
    "who shares the tip, or sealed wrongly. Do not act on it."
)
"""It accuses nobody: whoever reads it cannot know which of these it was."""

BEFORE_MISSING: Final = N_("something before this has not come")

ODD_DAYS: Final = N_(
    "the server gives an Envelope a day after its Bundle's, or more than 400 days before it: its clock was wrong, or "
    "it lies; the day of import stands instead"
)
OTHER_DAY: Final = N_("the server names another day for a tip than it did before; the first stays")
BAD_STAMP: Final = N_("the server's stamp on a tip does not verify: the tip is kept, the stamp is not")
BAD_HEAD: Final = N_("the server's stamp on an organisation's head does not verify: it is not kept")
DAMAGED: Final = N_("its file in this vault is damaged: these are its first words, as they were when it was imported")
OTHER_MAILBOX: Final = N_("a tip names another mailbox than the first of its thread; answers still go to the first")

EMPTY: Final = N_("this file is empty: it was not copied whole, or its stick is full; copy it again")
FOREIGN_FILE: Final = N_("a file that is not tipbox's was passed over")
NO_CODE: Final = N_("a picture in which no QR code of tipbox could be read")
NO_FILE: Final = N_("a link, a pipe or a device was passed over: only files are read")


def forged(count: int) -> str:
    """All of a thread that is known."""
    return f"{count} came in the name of this thread without its seal. {FORGED}"


def disputed(outbox: int) -> str:
    """A report that names an outbox which is not the one that was written here."""
    return (
        f"what the server took as outbox {outbox} is not what was written here: this vault was restored from a copy, "
        "or somebody has the server's keys. Replies and acknowledgements go again; tell the operator"
    )


def lost(ident: bytes) -> str:
    """A tip that a desk had, and has no longer."""
    return (
        f"the tip {ident.hex()[:12]} is damaged in this vault, and not acknowledged: import the next Bundle, which "
        "brings it again"
    )


def covers(*, messages: int, files: int, before_missing: bool) -> str:
    """What check digits vouch for, in the person of those who read them out at the desk."""
    counted = "" if not files else "1 file" if files == 1 else f"{files:,} files"
    words = "" if not messages else "the source's words" if messages == 1 else f"{messages} messages of the source"
    said = " and ".join(part for part in (words, counted) if part)
    return f"{said}, not what came before" if before_missing else said


def tip_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """The lines about a tip that has more to it than its words: what ``JoinedTip.facts`` says."""
    for envelope in facts["envelopes"]:
        yield f"check digits {envelope['check_digits']}: {covers(**envelope['covers'])}"
    if facts["before_missing"]:
        yield BEFORE_MISSING
    if facts["missing"]:
        yield missing(facts["missing"])


def missing(count: int) -> str:
    """Files that were announced and are not there."""
    return "1 file has not come" if count == 1 else f"{count:,} files have not come"


def consent(thread: Thread | None, today: date) -> str:
    """What the source of a thread allows."""
    allowed = None if thread is None else thread.consent
    if allowed is None:
        return "the source has not said what may be done with this"
    parts = [f"level {allowed.level}, {LEVELS[allowed.level]}"]
    if allowed.ask_me:
        parts.append("ask before each use")
    parts += [f"never: {exception}" for exception in allowed.never]
    if allowed.until is not None:
        parts.append(f"until {allowed.until}" + (", which is over" if allowed.until < today else ""))
    return "; ".join(parts)
