"""The desk's own lines in the language of the pages: refusals, and what is said of tips, consent and an import.

A refusal is told by its kind, one of a closed list; the line of the command stands below it, in English, because it
names what was being done. What pages refuse themselves is translated whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

from tipbox import errors
from tipbox.desk import desk_errors, sentences
from tipbox.desk.importing.photos import CodesMissing
from tipbox.desk.marked import N_
from tipbox.desk.pages.page_texts import apart, gettext, in_english, ngettext, shown
from tipbox.desk.vault.records import Thread
from tipbox.errors import TipboxError


class PageRefused(TipboxError):
    """A page refuses; what it says is in the language of the pages."""

    code = "refused"


KINDS: Final[Mapping[type[TipboxError], str]] = {
    TipboxError: N_("This did not work."),
    errors.NotTipbox: N_("This is no file of tipbox."),
    errors.UnsupportedVersion: N_("This was made by a newer version of tipbox: upgrade to read it."),
    errors.LimitExceeded: N_("This is larger than tipbox accepts."),
    errors.Truncated: N_("This ends too early: copy it again."),
    errors.TrailingData: N_("There are bytes after the end: copy it again."),
    errors.Malformed: N_("This breaks a rule of the format."),
    errors.NotAddressed: N_("This has no slot for this organisation."),
    errors.UnknownKey: N_("This is sealed to a key that this vault never had."),
    errors.TooLate: N_("This is sealed to a key whose private half has been destroyed."),
    errors.NotForYou: N_("This is addressed to other organisations."),
    errors.Tampered: N_("This was changed after it was sealed, or damaged on the way."),
    errors.BadCommitment: N_("A key in this is not the one that its header commits to."),
    errors.Incomplete: N_("The last part is missing; the rest is kept closed."),
    CodesMissing: N_("Too few QR codes of a tip were read: photograph the others, and import all pictures together."),
    errors.Forged: N_("This does not carry the seal of the thread in whose name it came: do not act on it."),
    errors.BadSignature: N_("The signature does not verify."),
    errors.WrongPassphrase: N_("The passphrase does not open this."),
    errors.WrongReader: N_("This Bundle is for somebody else."),
    errors.WrongSender: N_("This Bundle is not from the server that this desk knows."),
    errors.DamagedItem: N_("A part of this is damaged: carry it again."),
    errors.InputRefused: N_("This cannot be used."),
    errors.Usage: N_("Something is missing, or cannot be read as what it should be."),
    errors.NotInstalled: N_("Something that this needs is not installed on this machine."),
    errors.NotFound: N_("What was asked for is not here."),
    errors.Full: N_("There is no room; what is stored stays safe."),
    errors.Bug: N_("This is a bug in tipbox: please report it."),
    desk_errors.KeyStickMissing: N_("The key stick is not there: plug it in."),
    desk_errors.VaultDamaged: N_(
        "The vault is damaged, or its disk fails or is full: try again, and else restore it from its second copy."
    ),
    errors.AlreadyThere: N_("There is something in this place already: choose another."),
    desk_errors.ClockDoubted: N_("The date of this machine is far from that of the last Bundle: set it first."),
    desk_errors.NoBundleYet: N_("No Bundle was ever imported here: import one first."),
    desk_errors.OtherVaultVersion: N_("The vault was made by another version of tipbox."),
    desk_errors.AlreadySent: N_("An outbox has taken this reply: it cannot be taken back."),
    desk_errors.OtherCopy: N_("The copy holds what this vault lacks: it is the newer one."),
    desk_errors.Resealed: N_("Somebody was removed from this vault, and it has other keys since: unlock it again."),
    desk_errors.ShortId: N_("This cannot be undone, and too little of its id was given."),
    desk_errors.Busy: N_("Another command works on the vault, or an import: try again when it has ended."),
}
"""What each kind of refusal says, by the nearest class."""

_LEVELS: Final = (
    N_("internal"),
    N_("named partners"),
    N_("inquiry, confidential"),
    N_("courts"),
    N_("public, anonymised"),
    N_("public"),
)
"""As ``consent.LEVELS``."""


def refusal(error: TipboxError) -> str:
    """What the pages say of an error: one line, and below it, in other languages, the English one that says more."""
    text = str(error)
    if in_english() or isinstance(error, PageRefused) or gettext(text) != text:
        return gettext(text)
    kind = next(KINDS[one] for one in type(error).__mro__ if one in KINDS)
    return f"{gettext(kind)}\n{text}"


def bug(error: BaseException) -> str:
    """What they say of anything else: its kind, and nothing of what was in memory."""
    return gettext("this is a bug (%(kind)s); please report it") % {"kind": type(error).__name__}


def line(name: str) -> str:
    """A line about a tip: ``damaged`` or ``other-mailbox``."""
    found = sentences.DAMAGED if name == "damaged" else sentences.OTHER_MAILBOX
    return gettext(found)


def forged(count: int) -> str:
    """As in ``sentences``."""
    counted = ngettext(
        "%(num)d came in the name of this thread without its seal.",
        "%(num)d came in the name of this thread without its seal.",
        count,
    )
    return f"{counted % {'num': count}} {gettext(sentences.FORGED)}"


def lost(ident: bytes) -> str:
    """As in ``sentences``."""
    said = gettext(
        "the tip %(id)s is damaged in this vault, and not acknowledged: import the next Bundle, which brings it again"
    )
    return said % {"id": apart(ident.hex()[:12])}


def _covers(*, messages: int, files: int, before_missing: bool) -> str:
    words = ngettext("%(num)d message of the source", "%(num)d messages of the source", messages)
    counted = ngettext("%(num)d file", "%(num)d files", files)
    parts = [words % {"num": messages}] if messages else []
    parts += [counted % {"num": files}] if files else []
    parts += [gettext("not what came before")] if before_missing else []
    return " · ".join(parts)


def tip_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """As in ``sentences``."""
    for envelope in facts["envelopes"]:
        said = {"covers": _covers(**envelope["covers"]), "digits": apart(envelope["check_digits"])}
        yield gettext("check digits %(digits)s: %(covers)s") % said
    if facts["before_missing"]:
        yield gettext(sentences.BEFORE_MISSING)
    if facts["missing"]:
        said_missing = ngettext("%(num)d file has not come", "%(num)d files have not come", facts["missing"])
        yield said_missing % {"num": facts["missing"]}


def consent(thread: Thread | None, today: date) -> str:
    """As in ``sentences``."""
    allowed = None if thread is None else thread.consent
    if allowed is None:
        return gettext("the source has not said what may be done with this")
    name = gettext(_LEVELS[allowed.level])
    parts = [gettext("level %(level)d, %(name)s") % {"level": allowed.level, "name": name}]
    parts += [gettext("ask before each use")] if allowed.ask_me else []
    parts += [gettext("never: %(what)s") % {"what": shown(what)} for what in allowed.never]
    if allowed.until is not None:
        over = gettext("until %(day)s, which is over")
        said = over if allowed.until < today else gettext("until %(day)s")
        parts.append(said % {"day": apart(allowed.until)})
    return "; ".join(parts)
