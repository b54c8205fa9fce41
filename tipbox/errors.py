"""The errors of tipbox, and the exit codes of its commands.

::

    TipboxError                 the root: all that a command reports in one line
    ├── (section 7 of docs/format.md, FORMAT_ERRORS)
    │   NotTipbox, UnsupportedVersion, LimitExceeded, Truncated, TrailingData, Malformed, NotAddressed, UnknownKey,
    │   TooLate, NotForYou, Tampered, BadCommitment, Incomplete, Forged, BadSignature, UnknownCritical, Expired,
    │   NotYetValid, OlderSerial, IdentityChanged, NoCurrentKey, BadPassphrase, WrongPassphrase, WrongReader,
    │   WrongSender, DamagedItem
    ├── Bug                     the program is wrong, not its user
    ├── Usage                   the command line or the configuration is wrong
    │   └── NotInstalled        an extra of the package is missing
    ├── InputRefused            what was given, or the place named for the result, cannot be used
    ├── NotFound
    ├── NetworkFailed
    ├── Full
    └── PartlyDone

The format errors are a closed set: their codes are the same in Python, in TypeScript and in the test vectors. The
others are open: the desk (desk/desk_errors.py), the network client and single commands derive errors of their own from
them. ``server.refusal.Refusal`` stands outside: it is an answer over HTTP, and no command reports it.

A class's docstring is the sentence that a person reads when no better one is given. No message ever holds a secret, or
a name or text from a source.
"""

from __future__ import annotations

import errno
from enum import IntEnum
from typing import ClassVar, Final

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system reports when the disk, or its owner's share of it, is full."""


TOO_LARGE_A_FILE: Final = (
    "the file system of {} takes no file that large (FAT takes 4 GiB); use a disk with exFAT, or name another place"
)
"""What EFBIG means to a person."""


class Exit(IntEnum):
    """How a command ends. Scripts rely on the numbers; docs/exit-codes.md explains them to people."""

    DONE = 0
    BUG = 1
    USAGE = 2
    REFUSED = 3
    KEY = 4
    NOT_FOUND = 5
    NETWORK = 6
    FULL = 7
    PARTLY_DONE = 8
    STOPPED = 130


class TipboxError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[Exit] = Exit.REFUSED

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


# --- format.md, section 7 -------------------------------------------------------------------------------------------


class NotTipbox(TipboxError):
    """This is not a file made by tipbox."""

    code = "not-tipbox"


class UnsupportedVersion(TipboxError):
    """This was made by a newer version of tipbox; upgrade to read it."""

    code = "version"


class LimitExceeded(TipboxError):
    """This is larger than tipbox accepts."""

    code = "limit"


class Truncated(TipboxError):
    """This ends too early; copy it again."""

    code = "truncated"


class TrailingData(TipboxError):
    """There are bytes after the end; copy it again."""

    code = "trailing"


class Malformed(TipboxError):
    """This breaks a rule of the format."""

    code = "malformed"


class NotAddressed(TipboxError):
    """This has no slot for this organisation."""

    code = "not-addressed"


class UnknownKey(TipboxError):
    """This is sealed to a key that this vault never had."""

    code = "unknown-key"
    exit_code = Exit.KEY


class TooLate(TipboxError):
    """This is sealed to a key whose private half has been destroyed."""

    code = "too-late"
    exit_code = Exit.KEY


class NotForYou(TipboxError):
    """This is addressed to other organisations."""

    code = "not-for-you"


class Tampered(TipboxError):
    """This was changed after it was sealed, or damaged on the way."""

    code = "tampered"


class BadCommitment(TipboxError):
    """A key in this Envelope is not the one that its header commits to."""

    code = "commitment"


class Incomplete(TipboxError):
    """The last part is missing; the rest is kept closed."""

    code = "incomplete"


class Forged(TipboxError):
    """This does not carry the seal of the thread in whose name it came; do not act on it."""

    code = "forged"


class BadSignature(TipboxError):
    """The signature does not verify."""

    code = "bad-signature"


class UnknownCritical(TipboxError):
    """This manifest demands something that this version of tipbox does not know; upgrade."""

    code = "unknown-critical"


class Expired(TipboxError):
    """This manifest has expired; get the organisation's new one."""

    code = "expired"


class NotYetValid(TipboxError):
    """This manifest is not valid yet; check the date of this device."""

    code = "not-yet-valid"


class OlderSerial(TipboxError):
    """A manifest as new as this one or newer is known already."""

    code = "older-serial"


class IdentityChanged(TipboxError):
    """This manifest has another identity key than the one known for this organisation."""

    code = "identity-changed"
    exit_code = Exit.KEY


class NoCurrentKey(TipboxError):
    """This manifest has no receiving key for today; check the date, or get the organisation's new manifest."""

    code = "no-current-key"


class BadPassphrase(TipboxError):
    """This is not an access code of tipbox; look for a typing error."""

    code = "bad-passphrase"
    exit_code = Exit.KEY


class WrongPassphrase(TipboxError):
    """The passphrase does not open this; check the passphrase file."""

    code = "wrong-passphrase"
    exit_code = Exit.KEY


class WrongReader(TipboxError):
    """This Bundle is for somebody else."""

    code = "wrong-reader"


class WrongSender(TipboxError):
    """This Bundle is not from the sender that this side knows."""

    code = "wrong-sender"


class DamagedItem(TipboxError):
    """An item of this Bundle, or this piece of a tip, is damaged; carry it again."""

    code = "damaged-item"
    exit_code = Exit.PARTLY_DONE


FORMAT_ERRORS: tuple[type[TipboxError], ...] = (
    NotTipbox, UnsupportedVersion, LimitExceeded, Truncated, TrailingData, Malformed, NotAddressed, UnknownKey, TooLate,
    NotForYou, Tampered, BadCommitment, Incomplete, Forged, BadSignature, UnknownCritical, Expired, NotYetValid,
    OlderSerial, IdentityChanged, NoCurrentKey, BadPassphrase, WrongPassphrase, WrongReader, WrongSender, DamagedItem,
)  # fmt: skip
BY_CODE: dict[str, type[TipboxError]] = {error.code: error for error in FORMAT_ERRORS}

# --- the commands ---------------------------------------------------------------------------------------------------


class Usage(TipboxError):
    """The command was called in a way that it does not understand; see --help."""

    code = "usage"
    exit_code = Exit.USAGE


class NotInstalled(Usage):
    """This installation lacks what this command needs."""

    code = "not-installed"


class Bug(TipboxError):
    """This is a bug in tipbox; please report it with the command that you used."""

    code = "bug"
    exit_code = Exit.BUG


class InputRefused(TipboxError):
    """The input was refused."""

    code = "refused"


class AlreadyThere(InputRefused):
    """There is something in this place already; choose another."""

    code = "exists"


class NotFound(TipboxError):
    """What was asked for is not here."""

    code = "not-found"
    exit_code = Exit.NOT_FOUND


class NetworkFailed(TipboxError):
    """The server could not be reached; try again."""

    code = "network"
    exit_code = Exit.NETWORK


class Full(TipboxError):
    """There is no room; what is stored stays safe."""

    code = "full"
    exit_code = Exit.FULL


class PartlyDone(TipboxError):
    """A part of the work is done; the rest is named above."""

    code = "partly-done"
    exit_code = Exit.PARTLY_DONE
