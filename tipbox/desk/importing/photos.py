"""Photographs of QR codes among the files of an import (docs/format.md, section 15): what they give, what is missing.

A photograph comes from a stranger. It is decoded in the sandbox that shows files of tips, which has no key and no
network; what comes back is bytes, of which only those that check are taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from tipbox.desk.inbox.file_kinds import HEAD, by_bytes
from tipbox.desk.marked import N_
from tipbox.desk.render import sandbox
from tipbox.errors import Incomplete, InputRefused, LimitExceeded, NotInstalled, NotTipbox, TipboxError
from tipbox.formats.envelopes.qr_codes import QrCode, QrSet, join_qr_codes

MAX_PHOTO: Final = 64 << 20
"""Bytes of a picture."""
MAX_PHOTOS: Final = 1000
"""Pictures of one import: each is decoded in a sandbox of its own."""
MAX_CODES: Final = 64
"""QR codes in one picture."""
MAX_SETS: Final = 32
"""Sets of one import. Their blocks are held in memory: 4 MB at most."""

_KINDS: Final = frozenset({"heic", "jpeg", "png", "webp"})
_MAGIC: Final = b"TBQ1"
_MISSING: Final = b"TBQ0"
_LARGEST_CODE: Final = 2953
"""Bytes that the largest QR code can hold."""
_MOST: Final = len(_MAGIC) + MAX_CODES * (2 + _LARGEST_CODE)
_SECONDS: Final = 120.0
"""By the clock; a picture has ``sandbox.MAX_CPU`` of processor time, which a busy machine stretches."""
_MOST_NAMED: Final = 20
"""Codes that are named; of more it is said how many they are."""
_ENDS: Final = {
    sandbox.End.FAILED: N_("this picture cannot be read; photograph the codes again, or save it as JPEG or PNG"),
    sandbox.End.KILLED: N_("this picture asks for more than a sandbox has; photograph the codes again"),
    sandbox.End.TIME: N_("reading this picture takes too long; photograph fewer codes at a time"),
    sandbox.End.FULL: N_("this picture holds more QR codes than are taken of one; photograph fewer at a time"),
    sandbox.End.STOPPED: N_("reading this picture was stopped"),
}


def is_picture(head: bytes) -> bool:
    """Whether a file begins as a picture that can be looked into; ``head``: its first bytes, ``HEAD`` of them."""
    return by_bytes(head[:HEAD]) in _KINDS


class CodesMissing(Incomplete):
    """Too few QR codes of a tip were read; the message names those that are missing."""


@dataclass
class QrTip:
    """What was found of one set: its blocks by their numbers, and numbers of which there were two that differ."""

    of: QrSet
    blocks: dict[int, bytes] = field(default_factory=dict, repr=False)
    doubtful: set[int] = field(default_factory=set)

    def add(self, code: QrCode) -> None:
        """One code. Of two that differ neither counts: one of them was made by somebody else."""
        if self.blocks.setdefault(code.number, code.block) != code.block:
            self.doubtful.add(code.number)

    def envelope(self) -> bytes:
        """The Envelope.

        Raises:
            CodesMissing: too few codes were read.
            Malformed: what they give is not what they are said to be of.
        """
        good = {number: block for number, block in self.blocks.items() if number not in self.doubtful}
        try:
            return join_qr_codes(self.of, good)
        except Incomplete as error:
            raise CodesMissing(self._what_is_missing(len(good))) from error

    def _what_is_missing(self, good: int) -> str:
        missing = [number for number in range(self.of.count) if number not in self.blocks or number in self.doubtful]
        named = ", ".join(str(number + 1) for number in missing[:_MOST_NAMED])
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        return (
            f"a tip in {self.of.count} QR codes is not whole: {good} were read, {self.of.data} are enough; "
            f"missing {named}{more}; photograph more of them, and import all pictures together"
        )


class Photos:
    """The pictures among the files of an import. Of them only the codes stay in memory."""

    def __init__(self) -> None:
        self._sets: dict[QrSet, QrTip] = {}
        self._count = 0

    def add(self, file: BinaryIO, size: int) -> int:
        """Read the QR codes in a picture; how many of them are tipbox's.

        Raises:
            LimitExceeded: it is too large, there are too many pictures, or the codes are of too many sets.
            NotInstalled: this machine cannot look into pictures: what does it, or the sandbox, is missing.
            InputRefused: the picture could not be read.
            TipboxError: a code in it is of another version, or breaks a rule; the others are taken.
        """
        if size > MAX_PHOTO:
            raise LimitExceeded(f"a picture has at most {MAX_PHOTO >> 20} MiB")
        if self._count == MAX_PHOTOS:
            raise LimitExceeded(f"at most {MAX_PHOTOS:,} pictures are read at a time; import the others then")
        self._count += 1
        count, failed = 0, None
        for code in _codes(file):
            try:
                found = QrCode.parse(code)
            except NotTipbox:  # any picture may hold codes of others
                continue
            except TipboxError as error:
                failed = error
                continue
            if found.of not in self._sets and len(self._sets) == MAX_SETS:
                raise LimitExceeded(f"the QR codes are of more than {MAX_SETS} tips; import fewer pictures at a time")
            self._sets.setdefault(found.of, QrTip(found.of)).add(found)
            count += 1
        if failed is not None:
            raise failed
        return count

    def tips(self) -> list[QrTip]:
        """What was found, whole or not."""
        return [*self._sets.values()]


def _codes(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of all QR codes in a picture, as the sandbox gives them."""
    try:
        done = sandbox.run(sandbox.python("qr_worker.py"), file, most=_MOST, seconds=_SECONDS)
    except sandbox.NoSandbox as error:
        raise NotInstalled(f"no picture is read: {str(error).partition(': ')[2]}") from error
    if done.end is not sandbox.End.DONE:
        raise InputRefused(_ENDS[done.end])
    if done.answer == _MISSING:
        raise NotInstalled("no picture is read: this installation lacks what does it; pip install 'tipbox[desk]'")
    return parse_codes(done.answer)


def parse_codes(answer: bytes) -> Iterator[bytes]:
    """The codes of an answer of ``worker/qr_worker.py``.

    Raises:
        InputRefused: it is not as agreed; the picture may have taken over what read it.
    """
    refused = InputRefused(
        N_("what looked into this picture answered in a way that it should not; keep the picture apart")
    )
    if not answer.startswith(_MAGIC):
        raise refused
    at, found = len(_MAGIC), list[bytes]()
    while at < len(answer):
        size = int.from_bytes(answer[at : at + 2])
        code = answer[at + 2 : at + 2 + size]
        if len(code) != size or size > _LARGEST_CODE or at + 2 > len(answer) or len(found) == MAX_CODES:
            raise refused
        found.append(code)
        at += 2 + size
    return iter(found)
