"""Sending what is sealed, and saying what became of it: whatever happens, a code that opens a reply is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tipbox.commands.source.tip_options import say_sealed
from tipbox.commands.terminal import Terminal
from tipbox.errors import NetworkFailed, TipboxError
from tipbox.source.sealing import SealedTip

if TYPE_CHECKING:
    from tipbox.source.upload import Upload

_MAYBE: Final = "the message may have arrived"
"""The last request was sent, and its answer never came."""
_THEN: Final = "keep the code, and look for a reply before you send it again"


def deliver(
    terminal: Terminal,
    tip: SealedTip,
    upload: Upload,
    send: Callable[[Callable[[int], None]], None],
    *,
    new: bool,
    quiet: bool = False,
) -> None:
    """Send a tip by ``send``, which gets what takes progress, and say that it is stored.

    Args:
        terminal: where to.
        tip: what is sealed.
        upload: by which it is sent.
        send: sends it; it is stored when this returns.
        new: whether its code is a new one that was not shown yet.
        quiet: more of the same message is to come: no result for programs.

    Raises:
        TipboxError: of its kind, also where it may have arrived all the same.
    """
    try:
        try:
            with terminal.progress("sending", tip.size) as progress:
                send(progress)
        # The code is shown although it failed: if the tip has arrived, nothing else opens the reply.
        except (TipboxError, OSError) as error:
            if not upload.may_be_stored:
                raise
            say_sealed(terminal, tip, "", new=new, done=_MAYBE)
            # By another session's word, or a lying server's: the error may be of any kind.
            kind = type(error) if isinstance(error, TipboxError) else NetworkFailed
            raise kind(f"{error}; {_MAYBE}: {_THEN}") from error
        say_sealed(terminal, tip, "Stored.", new=new, done="the tip is stored", quiet=quiet)
    except KeyboardInterrupt:  # until the last line of it is out: being stopped while it is printed loses the code too
        if upload.may_be_stored:
            terminal.remark(f"{_MAYBE}: {_THEN}")
            terminal.finish()
            say_sealed(terminal, tip, "", new=new, done=_MAYBE)
        raise
