"""Parts of a body in batches, each worked on by one of two threads, with the results in the order of the parts.

A part is sealed, opened and hashed without those around it, in C code that lets other threads run: a large file keeps
two processors busy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

_PARTS: Final = 16
"""Of a batch: 1 MiB, so that the kernel and the interpreter are called seldom enough, and memory stays small."""
_THREADS: Final = 2
_AHEAD: Final = 4
"""Batches that are begun before the first of them is waited for."""
_KEPT_BY_THE_ALLOCATOR: Final = 31 << 20

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def batches(parts: Iterable[_In], each: int = _PARTS) -> Generator[list[_In]]:
    """Some parts at a time, ``each`` of them.

    Before an error come those that were there: what is wrong with one of them came first.
    """
    batch: list[_In] = []
    try:
        for part in parts:
            batch.append(part)
            if len(batch) == each:
                yield batch
                batch = []
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def by_batches(
    work: Callable[[list[_In]], _Out], parts: Iterable[_In], count: int, each: int = _PARTS
) -> Iterator[_Out]:
    """What ``work`` makes of each batch, in their order.

    The parts are asked for in the caller's thread, some megabytes ahead. Their error, too, comes up at its place.

    Args:
        work: runs beside itself and the caller.
        parts: the parts.
        count: how many there are. Those of one batch are worked on in the caller's thread, for most tips are small.
        each: how many a batch has.
    """
    return map(work, batches(parts, each)) if count <= each else _in_order(work, batches(parts, each))


def _in_order(work: Callable[[_In], _Out], inputs: Iterable[_In]) -> Generator[_Out]:
    waiting: deque[Future[_Out]] = deque()
    source = iter(inputs)
    failed: Exception | None = None
    # glibc keeps freed memory for the next batch, instead of giving it back and asking again, once it has seen
    # something of this size come and go. As bytes: those of a bytearray would be touched.
    bytes(_KEPT_BY_THE_ALLOCATOR)
    with ThreadPoolExecutor(_THREADS) as pool:
        while True:
            try:
                one = next(source)
            except StopIteration:
                break
            except Exception as error:  # noqa: BLE001 (raised again behind what came before it)
                failed = error
                break
            waiting.append(pool.submit(work, one))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    if failed is not None:
        try:
            raise failed
        finally:
            del failed  # else it would hold what holds it, and the last parts, until somebody collects garbage
