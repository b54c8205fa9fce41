"""Taking in tips that come as files: pieces in any order, or a whole Envelope (docs/format.md, sections 4 and 12).

Each is read as it comes, and becomes what a client's requests make: an opening, runs of parts, an end. A piece says
under which draft token it goes and what its parts hash to; a whole Envelope says neither, so its token is derived from
how it begins, and the same file goes on where it was.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, Protocol

from tipbox.errors import FORMAT_ERRORS, TrailingData, Truncated
from tipbox.formats.base import labels
from tipbox.formats.base.limits import MAX_RUN_PARTS
from tipbox.formats.base.primitives import equal, sha256
from tipbox.formats.envelopes import header as envelopes
from tipbox.formats.envelopes import pieces
from tipbox.formats.envelopes.header import Header, Kind, header_size
from tipbox.formats.envelopes.pieces import PieceHead
from tipbox.formats.envelopes.seals import EnvelopeHash
from tipbox.server.refusal import Refusal
from tipbox.server.uploads.drafts import State
from tipbox.server.uploads.gate import Payment
from tipbox.server.uploads.in_flight import InFlight, Share
from tipbox.server.uploads.intake import (
    IN_MEMORY,
    LARGE_PIECE,
    MAGIC_READ,
    NOT_SEALED,
    Body,
    Cut,
    DamagedPart,
    Intake,
)
from tipbox.server.uploads.ranges import Range

MOST_DAMAGED: Final = 16
"""Damaged parts of a piece after which the rest of it is not looked at: each costs as much as a run."""


class File(Protocol):
    """A file that comes: what Body has, and whether its end has come, so that nothing was cut on the way."""

    ended: bool

    def read(self, size: int, /) -> bytes:
        """See Body."""

    def read1(self, size: int, /) -> bytes:
        """See Body."""


class Fate(Enum):
    """What became of a file."""

    HERE = "here"
    """All of it is here, or was before."""
    DAMAGED = "damaged"
    """It is no whole piece or tip; of a piece, what is whole is here."""
    FOREIGN = "foreign"
    """Its token is that of another tip."""
    DIFFERS = "differs"
    """It and what came before are not of one tip, or one of them was changed: all of it was given up."""
    UNKNOWN = "unknown"
    """It is sealed to an organisation that is not here."""


_FATES: Final = {
    "draft-differs": Fate.FOREIGN,
    "malformed": Fate.DAMAGED,
    "part-differs": Fate.DIFFERS,
    "unknown-organisation": Fate.UNKNOWN,
}


@dataclass(frozen=True)
class Taken:
    """A file that was read to its end.

    Attributes:
        fate: what became of it.
        tip: 32 bytes that the files of one tip have in common; empty where it is not known.
        number: of the piece, from 0; None for a whole tip.
        count: how many pieces the tip has.
        missing: ranges of the numbers of pieces that are not whole here.
        stored: whether the tip is stored.
    """

    fate: Fate
    tip: bytes = b""
    number: int | None = None
    count: int = 0
    missing: Sequence[Range] = ()
    stored: bool = False


class Carried:
    """Takes files in.

    Args:
        intake: of uploads.
        most_bytes: of long letters that are on their way, in this worker.
    """

    def __init__(self, intake: Intake, most_bytes: int) -> None:
        self._intake = intake
        self._openings = InFlight(most_bytes)

    def take(self, file: File, payment: Payment, sealed: Callable[[], None] = lambda: None) -> Taken | None:
        """Read a file and keep what is whole of it; None for one without a byte.

        Args:
            file: as it comes; it is read up to its end, or to where it was found out.
            payment: by which circuit it came.
            sealed: called once its first bytes are those of a piece or of an Envelope.

        Raises:
            Refusal: ``not-tipbox``: it is not sealed; its first bytes are all that was read. ``full``, ``slow-down``:
                what came whole is kept. ``part-differs`` and the others are told by what is returned.
            Cut: the connection broke; the same.
        """
        start = file.read(MAGIC_READ)
        if not start:
            return None
        for magic, read in ((pieces.MAGIC, self._piece), (envelopes.MAGIC, self._tip)):
            if start[: len(magic)] == magic[: len(start)]:
                sealed()
                with self._openings.request() as share:
                    return self._taken(read, _Ahead(start, file, share), payment)
        raise Refusal("not-tipbox", NOT_SEALED, wipe=True)

    @staticmethod
    def _taken(read: Callable[[_Ahead, Payment], Taken], file: _Ahead, payment: Payment) -> Taken:
        """What ``read`` says, and what its errors mean for the file."""
        found = _Found()
        file.found = found
        try:
            return read(file, payment)
        except Cut:
            if not file.ended:
                raise
            fate = Fate.DAMAGED  # the file ends too early, and nothing was lost on the way
        except FORMAT_ERRORS:
            fate = Fate.DAMAGED
        except Refusal as refusal:
            if refusal.code not in _FATES:
                raise
            fate = _FATES[refusal.code]
            if fate is Fate.DIFFERS:
                found.state = None
        return replace(found.taken(), fate=fate)

    # --- pieces -----------------------------------------------------------------------------------------------------

    def _piece(self, file: _Ahead, payment: Payment) -> Taken:
        head = PieceHead.read(file)  # type: ignore[arg-type]
        file.found.head = head
        token = sha256(head.token)
        opening, end = head.opening, head.end
        if end is not None and not head.header.body_size:
            # Nothing is finished here: the first request stores it. So what a client's last one compares is compared.
            whole = EnvelopeHash(head.header.encoded, head.letter).digest()
            if not equal(whole, end.envelope_hash):
                raise Refusal("part-differs")
            opening += end.trailer
        state = self._intake.open(token, _Bytes(opening), len(opening), payment).state
        if state.stored:
            return file.found.stored()
        if end is not None:
            self._intake.note_ending(token, end.encode())
        is_whole = self._parts(token, head.first, head.part_hashes, file)
        if is_whole and file.read1(1):
            raise TrailingData
        state, file.found.ended = self._finished(token)
        file.found.state = state
        return replace(file.found.taken(), fate=Fate.HERE if is_whole else Fate.DAMAGED)

    def _parts(self, token: bytes, first: int, hashes: Sequence[bytes], file: _Ahead) -> bool:
        """Take the parts of a piece, run by run; whether all of them were whole."""
        header, at, damaged = file.found.header, 0, 0
        while at < len(hashes) and damaged <= MOST_DAMAGED:
            said = hashes[at : at + MAX_RUN_PARTS]
            size = sum(header.part_size(first + at + number) for number in range(len(said)))
            try:
                file.found.state = self._intake.parts(token, first + at, file, size, said)
                at += len(said)
            except DamagedPart as error:
                damaged += 1
                at = error.index - first + 1
            except Cut:
                if file.ended:
                    file.found.state, file.found.ended = self._finished(token)
                raise
            except Refusal as refusal:
                if refusal.code == "part-differs":
                    self._intake.begin_anew(token)
                raise
            if file.found.state is not None and file.found.state.stored:
                return True
        if damaged:
            file.found.state = self._intake.state(token)
        return not damaged

    def _finished(self, token: bytes) -> tuple[State, bool]:
        return self._intake.finish_noted(token)

    # --- whole tips -------------------------------------------------------------------------------------------------

    def _tip(self, file: _Ahead, payment: Payment) -> Taken:
        start = file.read(envelopes.PREFIX)
        header = Header.parse(start + _exactly(file, header_size(start) - len(start)))
        header.expect(Kind.TIP)
        letter = _exactly(file, header.sealed_letter_size)
        found, opening = EnvelopeHash(header.encoded, letter), header.encoded + letter
        parts = _Parts(header, file, found)
        # With how the body begins: whoever has the opening alone, as of a piece, must not meet this upload.
        first = parts.first() if header.body_size else _exactly(file, header.trailer_size)
        token = sha256(sha256(labels.TIP_FILE, opening, sha256(first)))
        file.found.tip = token
        if not header.body_size:
            if file.read1(1):
                raise TrailingData
            self._intake.open(token, _Bytes(opening + first), len(opening + first), payment)
            return file.found.stored()
        if self._intake.open(token, _Bytes(opening), len(opening), payment).state.stored:
            return file.found.stored()
        try:
            for at in range(0, header.parts, MAX_RUN_PARTS):
                run = range(at, min(at + MAX_RUN_PARTS, header.parts))
                self._intake.parts(token, at, parts, sum(map(header.part_size, run)))
            trailer = _exactly(file, header.trailer_size)
            if file.read1(1):
                raise TrailingData
            self._intake.note_ending(token, found.digest() + trailer)
            file.found.state, _ = self._finished(token)
        except Refusal as refusal:
            if refusal.code == "part-differs":
                self._intake.begin_anew(token)
            raise
        return replace(file.found.taken(), fate=Fate.HERE)


@dataclass
class _Found:
    """What is known of a file by now."""

    head: PieceHead | None = None
    tip: bytes = b""
    state: State | None = None
    ended: bool = False
    """Whether the end of the tip is known."""

    @property
    def header(self) -> Header:
        """Of the piece's Envelope."""
        if self.head is None:
            raise ValueError("no piece")
        return self.head.header

    def stored(self) -> Taken:
        """The tip is stored."""
        self.state, self.ended = State(stored=True), True
        return replace(self.taken(), fate=Fate.HERE)

    def taken(self) -> Taken:
        """All of that, damaged so far."""
        stored = self.state is not None and self.state.stored
        if self.head is None:
            return Taken(Fate.DAMAGED, self.tip, stored=stored)
        head = self.head
        missing = [] if self.state is None else list(_pieces_of(self.state.missing, head.parts_each))
        if self.state is not None and not stored and not self.ended:
            missing.append((head.count - 1, 1))
        return Taken(Fate.DAMAGED, head.family, head.number, head.count, joined(missing), stored)


def _pieces_of(missing: Sequence[Range], parts_each: int) -> Iterator[Range]:
    """Ranges of pieces of which parts are missing."""
    for first, count in missing:
        start, last = first // parts_each, (first + count - 1) // parts_each
        yield start, last - start + 1


def joined(ranges: Sequence[Range]) -> list[Range]:
    """Ranges in order, none touching the next."""
    found: list[Range] = []
    for start, count in sorted(ranges):
        if found and start <= sum(found[-1]):
            first, before = found[-1]
            found[-1] = first, max(before, start + count - first)
        else:
            found.append((start, count))
    return found


class _Ahead:
    """A file whose first bytes were read already. Of what is longer than a common opening, what comes is counted."""

    def __init__(self, start: bytes, file: File, share: Share) -> None:
        self._start = start
        self._file = file
        self._share = share
        self.found = _Found()

    @property
    def ended(self) -> bool:
        """See File."""
        return self._file.ended

    def read1(self, size: int) -> bytes:
        """See Body."""
        data, self._start = self._start[:size], self._start[size:]
        return data or self._file.read1(size)

    def read(self, size: int) -> bytes:
        """See Body."""
        data = bytearray()
        while len(data) < size and (piece := self.read1(min(size - len(data), LARGE_PIECE))):
            if size > IN_MEMORY:
                self._share.take(len(piece))
            data += piece
        return bytes(data)


class _Bytes(io.BytesIO):
    """Bytes as a body."""

    def read(self, size: int | None = -1, /) -> bytes:
        """See Body."""
        return super().read(size)


class _Parts:
    """The parts of a whole Envelope as a body, each hashed as it passes."""

    def __init__(self, header: Header, file: _Ahead, found: EnvelopeHash) -> None:
        self._file = file
        self._found = found
        self._sizes = map(header.part_size, range(header.parts))
        self._left = next(self._sizes, 0)
        self._digest = hashlib.sha256()
        self._start = b""
        self._first = self._left

    def first(self) -> bytes:
        """The first part, which comes again."""
        self._start = _exactly(self._file, self._first)
        return self._start

    def read1(self, size: int) -> bytes:
        """See Body."""
        size = min(size, self._left)
        data, self._start = self._start[:size], self._start[size:]
        data = data or self._file.read1(size)
        self._digest.update(data)
        self._left -= len(data)
        if data and not self._left:
            self._found.add_hash(self._digest.digest())
            self._digest, self._left = hashlib.sha256(), next(self._sizes, 0)
        return data

    def read(self, size: int) -> bytes:
        """See Body."""
        data = bytearray()
        while len(data) < size and (piece := self.read1(size - len(data))):
            data += piece
        return bytes(data)


def _exactly(file: Body, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise Truncated("the file ends too early")
    return data
