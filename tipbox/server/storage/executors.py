"""Where blocking work runs: beside the event loop in a worker, in place elsewhere.

A worker serves thousands of slow connections on one loop. What blocks (fsync, merging, S3, every transaction) runs in
native threads, so a slow disk never holds up the others. The database has one thread of its own; calls that wait for
it together are handed to it together (group commit).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, Protocol, TypeVar

T = TypeVar("T")
Call = Callable[[], Any]
Outcome = tuple[Any, Exception | None]
"""What a grouped call returned, or what it raised."""
RunGroup = Callable[[Sequence[Any]], Sequence[Outcome]]

DISK_THREADS: Final = 6
LARGEST_GROUP: Final = 128
"""The first of a group waits for all of it: more would make answers slow, and hardly save an fsync."""

_ASKED: Final = 0.1
"""Seconds after which it is asked again whether to stop."""


class Threads(Protocol):
    """How blocking work is run."""

    def disk(self, function: Callable[..., T], *arguments: Any) -> T:
        """``function(*arguments)`` where it may block on a disk or a storage service."""

    def grouped(self, run: RunGroup) -> Callable[[Any], Outcome]:
        """``run`` for single items: those that wait at the same time are run as one group, one group at a time."""

    def alone(self, key: bytes) -> AbstractContextManager[object]:
        """Only one holder of ``key`` at a time in this process."""

    def within(self, seconds: float, function: Callable[..., T], *arguments: Any) -> T | None:
        """``function(*arguments)``, which waits for a connection; None when that takes longer than ``seconds``."""

    def unless(self, stop: Callable[[], bool], function: Callable[..., T], *arguments: Any) -> T | None:
        """``function(*arguments)``, which waits for a connection; None when ``stop()`` says so meanwhile."""

    def sleep(self, seconds: float) -> None:
        """Wait, while others go on."""


class InPlaceThreads:
    """Runs everything in place: the commands."""

    def disk(self, function: Callable[..., T], *arguments: Any) -> T:
        """See Threads."""
        return function(*arguments)

    def grouped(self, run: RunGroup) -> Callable[[Any], Outcome]:
        """See Threads."""
        return lambda item: run([item])[0]

    def alone(self, key: bytes) -> AbstractContextManager[object]:
        """See Threads."""
        del key
        return nullcontext()

    def within(self, seconds: float, function: Callable[..., T], *arguments: Any) -> T | None:
        """See Threads. Nobody is there to interrupt it: only whether the time had passed before is known."""
        return function(*arguments) if seconds > 0 else None

    def unless(self, stop: Callable[[], bool], function: Callable[..., T], *arguments: Any) -> T | None:
        """See Threads. Nobody is there to interrupt it: only what was so before is known."""
        return None if stop() else function(*arguments)

    def sleep(self, seconds: float) -> None:
        """See Threads."""
        time.sleep(seconds)


class WorkerThreads:
    """Runs blocking work in native threads beside gevent's loop: a worker, after its fork."""

    def __init__(self) -> None:
        from gevent.threadpool import ThreadPool

        self._disk = ThreadPool(DISK_THREADS)
        # One: who waits for it is run as a group, and both databases take one writer at a time.
        self._database = ThreadPool(1)
        self._held: dict[bytes, tuple[Any, int]] = {}

    def disk(self, function: Callable[..., T], *arguments: Any) -> T:
        """See Threads."""
        result: T = self._disk.apply(function, arguments)
        return result

    def grouped(self, run: RunGroup) -> Callable[[Any], Outcome]:
        """See Threads."""
        import gevent
        from gevent.event import AsyncResult, Event

        waiting: list[tuple[Any, AsyncResult[Outcome]]] = []
        somebody = Event()
        started = False

        # The list has no lock: greenlets switch only where they wait.
        def drain() -> None:
            while True:
                somebody.wait()
                while waiting:
                    group = waiting[:LARGEST_GROUP]
                    del waiting[:LARGEST_GROUP]
                    outcomes = self._run(run, [item for item, _ in group])
                    for (_, result), outcome in zip(group, outcomes, strict=True):
                        result.set(outcome)
                    del group, outcomes  # nothing of it stays while nobody asks
                somebody.clear()

        def call(item: Any) -> Outcome:
            nonlocal started
            if not started:  # one for all groups: to begin a greenlet costs more than to wake it
                started = True
                gevent.spawn(drain)
            result: AsyncResult[Outcome] = AsyncResult()
            waiting.append((item, result))
            somebody.set()
            outcome: Outcome = result.get()
            return outcome

        return call

    @contextmanager
    def alone(self, key: bytes) -> Iterator[None]:
        """See Threads."""
        from gevent.lock import BoundedSemaphore

        # Holders are counted, so that a key is forgotten with the last of them.
        lock, holders = self._held.get(key) or (BoundedSemaphore(), 0)
        self._held[key] = lock, holders + 1
        try:
            with lock:
                yield
        finally:
            lock, holders = self._held.pop(key)
            if holders > 1:
                self._held[key] = lock, holders - 1

    def within(self, seconds: float, function: Callable[..., T], *arguments: Any) -> T | None:
        """See Threads."""
        import gevent

        if seconds > 0:
            with gevent.Timeout(seconds, False):  # False: it ends the block and raises nothing
                return function(*arguments)
        return None

    def unless(self, stop: Callable[[], bool], function: Callable[..., T], *arguments: Any) -> T | None:
        """See Threads."""
        import gevent

        task = gevent.spawn(function, *arguments)
        try:
            while not task.ready():
                if stop():
                    return None
                task.join(_ASKED)
            result: T = task.get()
            return result
        finally:
            task.kill()

    def sleep(self, seconds: float) -> None:
        """See Threads."""
        import gevent

        gevent.sleep(seconds)

    def _run(self, run: RunGroup, items: list[Any]) -> Sequence[Outcome]:
        try:
            outcomes: Sequence[Outcome] = self._database.apply(run, (items,))
        except Exception as error:  # noqa: BLE001 (handed to each of those who wait)
            return [(None, error) for _ in items]
        return outcomes
