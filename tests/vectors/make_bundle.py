from collections.abc import Iterator

from oracle import Case


def cases() -> Iterator[Case]:
    yield from ()
