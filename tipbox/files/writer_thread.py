"""A stage of a pipeline: work on batches, in order, in a thread of its own.

Hashing and writing let other threads run, so sealing or opening a large file uses two processors.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

_WAITING: Final = 4  # batches: enough to even out the two sides, few enough for a small machine's memory


class WriterThread:
    """``work`` is called with each batch that is put, in order. Its error comes up at the next ``put`` or the end."""

    def __init__(self, work: Callable[[list[bytes]], object]) -> None:
        self._work = work
        self._batches: queue.Queue[list[bytes] | None] = queue.Queue(_WAITING)
        self._error: BaseException | None = None
        # A daemon: a command that is stopped in the middle of a batch does not wait for it.
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._batches.put(None)
        self._thread.join()
        # An error of the block itself came first, and is the one to show.
        if kind is None and self._error is not None:
            raise self._error

    def put(self, batch: list[bytes]) -> None:
        """Hand over a batch; waits while too many are waiting."""
        if self._error is not None:
            raise self._error
        self._batches.put(batch)

    def _run(self) -> None:
        # After an error batches are still taken, and dropped: else ``put`` would wait for ever at a full queue.
        while (batch := self._batches.get()) is not None:
            if self._error is None:
                try:
                    self._work(batch)
                except BaseException as error:  # noqa: BLE001 (raised again where the batches come from)
                    self._error = error
