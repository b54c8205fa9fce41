"""gunicorn's logger, which says nothing of requests.

gunicorn's own messages about requests quote addresses, request lines and header values, and tracebacks quote data; none
of them pass. Messages of the master (start, stop, a bind that failed) do.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from gunicorn.glogging import Logger as GunicornLogger

from tipbox.server.log import FORMAT, where


class Logger(GunicornLogger):  # type: ignore[misc]
    """gunicorn's logger without what it says of requests."""

    def setup(self, cfg: Any) -> None:
        """One handler on standard error; no access log."""
        super().setup(cfg)
        self._master = os.getpid()
        for handler in self.error_log.handlers:
            handler.setFormatter(logging.Formatter(FORMAT))
        self.access_log.handlers = []

    def _in_master(self) -> bool:
        return os.getpid() == self._master

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Nothing."""

    def debug(self, msg: Any, *args: Any, **_kwargs: Any) -> None:
        """Nothing."""

    def info(self, msg: Any, *args: Any, **_kwargs: Any) -> None:
        """The master's messages."""
        if self._in_master():
            self.error_log.info(msg, *args)

    def warning(self, msg: Any, *args: Any, **_kwargs: Any) -> None:
        """The master's messages; of a worker only that there were some."""
        self._say(logging.WARNING, msg, *args)

    def error(self, msg: Any, *args: Any, **_kwargs: Any) -> None:
        """The master's messages; of a worker only that there were some."""
        self._say(logging.ERROR, msg, *args)

    def critical(self, msg: Any, *args: Any, **_kwargs: Any) -> None:
        """The master's messages; of a worker only that there were some."""
        self._say(logging.CRITICAL, msg, *args)

    def exception(self, msg: Any, *args: Any, **_kwargs: Any) -> None:
        """The class and place of the exception."""
        del msg, args
        error = sys.exception()
        self.error_log.error("a fault: %s", where(error) if error is not None else "unknown")

    def log(self, lvl: Any, msg: Any, *args: Any, **_kwargs: Any) -> None:
        """The master's messages."""
        if self._in_master():
            super().log(lvl, msg, *args)

    def _say(self, level: int, msg: Any, *args: Any) -> None:
        if self._in_master():
            self.error_log.log(level, msg, *args)
            return
        error = sys.exception()
        self.error_log.log(level, "a worker had a fault: %s", where(error) if error is not None else "no exception")
