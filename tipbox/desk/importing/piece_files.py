"""Tips in pieces among the files of an import: which belong together, what is missing, and each as one stream."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from tipbox.errors import DamagedItem, Incomplete, TipboxError, TrailingData
from tipbox.files.plain_file import open_plain
from tipbox.formats.envelopes.pieces import PieceHead

if TYPE_CHECKING:
    from tipbox.formats.envelopes.header import Header

_OPENING_OFFSET: Final = 64
"""Where the opening begins in a piece."""
_MOST_NAMED: Final = 20
"""Pieces that are named; of more it is said how many they are."""


@dataclass(frozen=True)
class _Segment:
    """``size`` bytes of a file from ``offset`` on, or these bytes themselves."""

    size: int
    path: Path | None = None
    offset: int = 0
    data: bytes = b""


@dataclass(frozen=True)
class _PieceCopy:
    """One file of a piece: where its parts begin, and which of them are damaged or cut off."""

    path: Path
    offset: int
    damaged: frozenset[int]


@dataclass
class TipInPieces:
    """What was found of one tip: where its opening is, and the copies of each piece, by its number from 0."""

    header: Header = field(repr=False)
    count: int
    parts_each: int
    opening: _Segment
    copies: dict[int, list[_PieceCopy]] = field(default_factory=dict)
    trailer: bytes = field(default=b"", repr=False)

    @property
    def missing(self) -> list[int]:
        """Numbers of the pieces that are not here, or of which a part is whole in no copy."""
        return [number for number in range(self.count) if not self._is_whole(number)]

    def _is_whole(self, number: int) -> bool:
        copies = self.copies.get(number)
        return copies is not None and not frozenset.intersection(*(copy.damaged for copy in copies))

    def what_is_missing(self) -> str:
        """For staff, in one line."""
        missing = self.missing
        named = ", ".join(str(number + 1) for number in missing[:_MOST_NAMED])
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        return (
            f"a tip in {self.count} pieces is not whole: {named}{more} of them missing or damaged; "
            "when they have come, import all pieces together"
        )

    def open(self) -> BinaryIO:
        """The Envelope, of which nothing is missing."""
        return io.BufferedReader(_Segments(_joined(self._segments())))

    def _segments(self) -> Iterator[_Segment]:
        yield self.opening
        for number, copies in sorted(self.copies.items()):
            first, offset = number * self.parts_each, 0
            for index in range(first, min(first + self.parts_each, self.header.parts)):
                good = next(copy for copy in copies if index not in copy.damaged)
                size = self.header.part_size(index)
                yield _Segment(size, good.path, good.offset + offset)
                offset += size
        yield _Segment(len(self.trailer), data=self.trailer)


class PieceFiles:
    """The pieces among the files of an import. Their bytes stay where they are."""

    def __init__(self) -> None:
        self._tips: dict[bytes, TipInPieces] = {}

    def add(self, path: Path, file: BinaryIO) -> None:
        """Read a piece, and note which of its parts are whole.

        Raises:
            TipboxError: it is none, or its start is damaged.
            DamagedItem: some of its parts are; the others are noted.
        """
        head = PieceHead.read(file)
        offset = file.tell()
        expected = range(head.first, head.first + len(head.part_hashes))
        whole: set[int] = set()
        failed: TipboxError | None = None
        try:
            whole.update(index for index, part in head.parts(file) if part is not None)
        except (Incomplete, TrailingData) as error:
            failed = error
        copy = _PieceCopy(path, offset, frozenset(expected) - whole)
        tip = self._tips.setdefault(
            head.family,
            TipInPieces(
                head.header,
                head.count,
                head.parts_each,
                _Segment(len(head.opening), path, _OPENING_OFFSET),
            ),
        )
        tip.copies.setdefault(head.number, []).append(copy)
        if head.end is not None:
            tip.trailer = head.end.trailer
        if failed is not None:
            raise failed
        if copy.damaged:
            raise DamagedItem(f"piece {head.number + 1} of {head.count} of a tip is damaged; copy it again")

    def tips(self) -> list[TipInPieces]:
        """What was found, whole or not."""
        return [*self._tips.values()]


class _Segments(io.RawIOBase):
    """Segments one behind the other, as a file to read."""

    def __init__(self, segments: Iterable[_Segment]) -> None:
        self._segments = [segment for segment in segments if segment.size]
        self._starts = [0, *accumulate(segment.size for segment in self._segments)]
        self._at = 0
        self._open: tuple[Path, BinaryIO] | None = None
        self._stack = ExitStack()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        number = bisect_right(self._starts, self._at) - 1
        if number >= len(self._segments):
            return 0
        segment = self._segments[number]
        inside = self._at - self._starts[number]
        size = min(len(buffer), segment.size - inside)
        if segment.path is None:
            data = segment.data[inside : inside + size]
        else:
            file = self._file(segment.path)
            file.seek(segment.offset + inside)
            data = file.read(size)
        memoryview(buffer)[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _file(self, path: Path) -> BinaryIO:
        """One file is open at a time: there may be more than a process may have open."""
        if self._open is None or self._open[0] != path:
            self._stack.close()
            self._open = path, self._stack.enter_context(open_plain(path))
        return self._open[1]

    def close(self) -> None:
        self._stack.close()
        super().close()


def _joined(segments: Iterable[_Segment]) -> Iterator[_Segment]:
    """Those that lie one behind the other in one file, as one: a large tip has millions of parts."""
    before: _Segment | None = None
    for segment in segments:
        if before is None:
            before = segment
        elif segment.path is not None and segment.path == before.path and segment.offset == before.offset + before.size:
            before = _Segment(before.size + segment.size, before.path, before.offset)
        else:
            yield before
            before = segment
    if before is not None:
        yield before
