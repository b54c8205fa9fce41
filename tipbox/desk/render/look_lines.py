"""The closed lists of what the desk says about a look: no word of a source is ever in one of these sentences."""

from __future__ import annotations

from enum import Enum

from tipbox.desk.marked import N_


class Line(Enum):
    """Why there is no more to see. The value is the code of ``--json`` and the sentence for people."""

    NO_SANDBOX = "no-sandbox", N_("This machine cannot shut off what opens files, so they are listed only.")
    NO_METADATA = "no-metadata", N_("Its metadata could not be read: there is too much of it, or it is damaged.")
    NO_PROGRAM = "no-program", N_("A program for this is not installed on this machine.")
    UNKNOWN = "unknown", N_("Nothing here can show this kind of file.")
    EMPTY = "empty", N_("The file has no bytes.")
    EMPTY_ARCHIVE = "empty-archive", N_("The archive holds nothing.")
    NOTHING = "nothing", N_("There are no words in it.")
    BROKEN = "broken", N_("The file is damaged, or is not what its first bytes say.")
    LOCKED = "locked", N_("The file is locked with a password.")
    TOO_LARGE = "too-large", N_("The file unfolds to more than is allowed here, and was left alone.")
    TOO_LONG = "too-long", N_("Looking at the file took too long, and was ended.")
    ENDED = (
        "ended",
        N_("What looked at the file crashed or asked for too much, and was ended: take the file for hostile."),
    )
    BAD_ANSWER = "bad-answer", N_("What looked at the file gave no proper answer: take the file for hostile.")
    START_ONLY = "start-only", N_("The file is so large that only its start was looked at.")
    STOPPED = "stopped", N_("The look was ended with the desk.")

    @property
    def code(self) -> str:
        """As ``--json`` prints it."""
        return self.value[0]

    @property
    def sentence(self) -> str:
        """As a person reads it."""
        return self.value[1]


class Sign(Enum):
    """What a file is or does that somebody should know before it is taken out."""

    DIFFERS = "differs", N_("Its name says another kind than its bytes.")
    TURNED = "turned-name", N_("Its name holds marks that hide how it ends.")
    PROGRAM = "program", N_("It is a program, or starts one.")
    SCRIPT = "script", N_("It holds a script, or asks its reader to do something.")
    CARRIES = "carries", N_("It carries other files inside.")
    FORMULA = "formula", N_("It holds formulas, which a table would work out.")
    BOMB = "bomb", N_("It unfolds to a hundred times its size or more.")
    OUTSIDE = "outside", N_("It names places outside its own folder, or links or devices.")
    NESTED = "nested", N_("It holds archives in archives that were not looked into.")
    LOCKED = "locked", N_("Part of it is locked with a password.")

    @property
    def code(self) -> str:
        """As ``--json`` prints it."""
        return self.value[0]

    @property
    def sentence(self) -> str:
        """As a person reads it."""
        return self.value[1]


LINES = {line.code: line for line in Line}
SIGNS = {sign.code: sign for sign in Sign}
WORKERS_LINES = frozenset(
    {
        Line.UNKNOWN,
        Line.EMPTY,
        Line.EMPTY_ARCHIVE,
        Line.NOTHING,
        Line.BROKEN,
        Line.LOCKED,
        Line.TOO_LARGE,
    }
)
"""What a sandbox may say; the other lines are the desk's own."""
WORKERS_SIGNS = frozenset(Sign) - {Sign.DIFFERS, Sign.TURNED}
