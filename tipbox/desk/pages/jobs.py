"""What takes long and goes on beside the pages: an import, a copy. Each has its own connection to the vault."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tipbox.desk.pages.said_lines import bug, refusal
from tipbox.errors import TipboxError

Progress = Callable[[int], None]
Work = Callable[[Progress], list[str]]
"""What is done: it reports bytes, and its result is what to say, a line each."""


@dataclass
class Job:
    """A piece of work: of ``total`` bytes ``done`` are done.

    ``stick`` is where the stick is mounted that it is for. While one that is ``alone`` runs, nothing else is shown: it
    gives the vault another key. One that ``can_stop`` is ended by a lock, which waits for all others.
    """

    name: str
    total: int
    stick: Path | None = None
    alone: bool = False
    can_stop: bool = False
    done: int = 0
    lines: list[str] = field(default_factory=list)
    problem: str = ""
    begun: float = field(default_factory=time.monotonic)
    ended: float | None = None
    _thread: threading.Thread | None = None

    def start(self, work: Work) -> None:
        """Begin it."""
        self._thread = threading.Thread(target=self._run, args=(work,))
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def rate(self) -> float:
        """Bytes a second so far."""
        return self.done / max(0.001, (self.ended or time.monotonic()) - self.begun)

    def join(self) -> None:
        """Wait until it has ended."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, work: Work) -> None:
        try:
            self.lines = work(self._progress)
        except TipboxError as error:
            self.problem = refusal(error)
        except OSError as error:
            self.problem = f"{self.name}: {error.strerror or type(error).__name__}"
        except Exception as error:  # noqa: BLE001 (a person never sees a traceback)
            self.problem = bug(error)
        finally:
            self.ended = time.monotonic()

    def _progress(self, size: int) -> None:
        self.done += size
