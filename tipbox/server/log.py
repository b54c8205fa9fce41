"""What the server writes to its log: that something failed and where in the code. Never anything of a request."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Final

FORMAT: Final = "tipbox server [%(process)d] %(levelname)s: %(message)s"
_PACKAGE: Final = Path(__file__).resolve().parent.parent
logger = logging.getLogger("tipbox.server")


def configure() -> None:
    """Send the log to standard error; nothing of it names a time finer than what the reader of it adds."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT))
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.INFO)
    # Otherwise logging prints a message that it cannot format, with the values in it.
    logging.raiseExceptions = False


def fault(error: BaseException) -> None:
    """Note an error that nobody expected: its class, and the line of tipbox where it came through."""
    logger.error("a request failed: %s", where(error))


def where(error: BaseException) -> str:
    """An error's class and place, without its message: messages quote data."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(_PACKAGE):
            place = f" at {path.relative_to(_PACKAGE)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__}{place}"
