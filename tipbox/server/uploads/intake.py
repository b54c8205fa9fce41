"""Taking in an upload, streamed (docs/protocol.md, section 3).

Bodies are read from the connection in small pieces and go straight to a file in HOME: a source that sends slowly costs
a file and a few kilobytes of memory, and the parts that arrived whole are kept when its connection breaks.
"""

from __future__ import annotations

import hashlib
import io
import random
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from itertools import islice
from typing import IO, Any, Final, Protocol

from tipbox.errors import Full, Malformed, NotTipbox, Truncated
from tipbox.formats.base import padding
from tipbox.formats.base.limits import (
    ENVELOPE_PART_SIZE,
    HASH_SIZE,
    MAX_HEADER,
    MAX_LETTER,
    MAX_RUN_PARTS,
    MAX_SLOTS,
    SEAL_SIZE,
    SESSION_NONCE_SIZE,
    TAG_SIZE,
)
from tipbox.formats.base.primitives import equal, sha256
from tipbox.formats.envelopes.header import Header, Kind, header_size
from tipbox.server.config import Config
from tipbox.server.home import Home
from tipbox.server.refusal import Refusal
from tipbox.server.storage.blobs import BlobStore, IncomingBlob, NoBlob, Span, beside
from tipbox.server.storage.clock import look
from tipbox.server.storage.disk import Disk
from tipbox.server.storage.executors import Threads
from tipbox.server.storage.sweep import release
from tipbox.server.storage.transactions import Store
from tipbox.server.uploads import capsules, drafts, ranges, room
from tipbox.server.uploads.capsules import PLACED
from tipbox.server.uploads.drafts import (
    AdmissionTerms,
    Asked,
    Change,
    DraftView,
    Opening,
    PartsReceived,
    RunReceived,
    State,
)
from tipbox.server.uploads.finish import Ending, Upload, finish
from tipbox.server.uploads.gate import Gate, Looks, Payment
from tipbox.server.uploads.in_flight import InFlight, Share
from tipbox.server.uploads.quota import Holdings, holdings, must_fit
from tipbox.server.uploads.ranges import Range

MAX_TRAILER: Final = MAX_SLOTS * SEAL_SIZE
MAX_OPENING: Final = MAX_HEADER + MAX_LETTER + TAG_SIZE + max(MAX_TRAILER, PLACED)
"""Bytes of the largest header and letter, and trailer or capsule."""
MAX_ENDING: Final = HASH_SIZE + MAX_TRAILER
"""Bytes of the largest end of an upload: Envelope hash and trailer."""
MAX_RUN: Final = MAX_RUN_PARTS * ENVELOPE_PART_SIZE
"""Bytes of the largest run."""
PIECE: Final = 512
"""Bytes of a body that are waited for before they are written: so many are held for a slow source."""
LARGE_PIECE: Final = 64 * 1024
"""Bytes that are taken at once from a source that is faster."""
TICKS: Final = (0.25, 0.5, 1.0)
"""Seconds between two moments at which runs of slow sources are noted: those of all of them in one transaction, for
every other writer waits meanwhile. Nobody waits for longer than a hundredth of what his run took, and for no longer
again to go on at a moment of his own."""
IN_MEMORY: Final = 32 * 1024
"""Bytes of header and letter kept in memory while they come; what is larger goes to a nameless file in HOME."""
MAGIC_READ: Final = 16
"""Bytes read before it is decided that this is an Envelope at all."""
_LISTED: Final = struct.Struct(f"{SESSION_NONCE_SIZE}s{HASH_SIZE}s")
LOOK_SECONDS: Final = 1.0
"""For which a worker goes on from what it saw of the drafts: who does not pay must not have them counted each time."""
NOT_SEALED: Final = (
    "This is not a sealed Envelope, and the server takes nothing else; nothing of it was kept. "
    "Seal it first, with the page of this server or with tipbox seal."
)


class Body(Protocol):
    """A request's body: ``wsgi.input``."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; fewer only where the body, or the connection, ends."""

    def read1(self, size: int, /) -> bytes:
        """What is there, or comes next: 1 to ``size`` bytes; none where the body, or the connection, ends."""


class Cut(Exception):
    """The connection broke before the body was complete; nobody waits for an answer."""


class DamagedPart(Exception):
    """A part has another hash than was said of it; those before it are kept. ``index``: its number."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index


class Intake:
    """The requests of an upload. ``token``: SHA-256 of the draft token."""

    def __init__(
        self,
        home: Home,
        config: Config,
        store: Store,
        blobs: BlobStore,
        *,
        threads: Threads,
        today: Callable[[], date],
        gate: Gate,
    ) -> None:
        self._gate = gate
        self._home = home
        self._config = config
        self._store = store
        self._blobs = blobs
        self._threads = threads
        self._today = today
        self._known: set[bytes] = set()
        """Ids of organisations that were seen in the database; they are never taken back."""
        self._looked: tuple[float, Holdings] | None = None
        self._phase = random.uniform(0, max(TICKS))  # noqa: S311 (each worker has moments of its own)
        quota, workers = config.quota, config.server.workers
        # Each worker counts by itself, so each gets its share.
        self._letters = InFlight(quota.arriving_letter_bytes // workers)
        # On a small disk, what is on its way must not use up the room that is kept for texts.
        most = min(quota.arriving_bytes, max(self._disk().reserve(quota) // 2, workers * MAX_RUN))
        self._bodies = InFlight(most // workers)

    def open(self, token: bytes, body: Body, length: int, payment: Payment) -> Change:
        """``PUT /api/envelope``: header ‖ letter, and the trailer or, with a body, the capsule: ``length`` bytes.

        Raises:
            TipboxError: a format error.
            Refusal: ``not-tipbox``, ``too-large``, ``draft-differs``, ``unknown-organisation``, ``full``,
                ``slow-down``, ``toll``.
            Cut: the connection broke.
        """
        if length > MAX_OPENING:
            raise Refusal("too-large")
        with (
            self._letters.request() as share,
            # In HOME: what a source sends lies on the one disk that quotas watch, not in /tmp.
            self._spool(length) as spool,
        ):
            prefix = exactly(body, min(length, MAGIC_READ))
            size = _sealed_header_size(prefix)
            # Before the rest is read: nothing of what cannot be an Envelope is taken in.
            if size > length:
                raise Truncated("the header ends too early")
            spool.write(prefix)
            for piece in _pieces(body, size - len(prefix)):
                spool.write(piece)
                del piece
            spool.seek(0)
            header = Header.parse(spool.read(size))
            header.expect(Kind.TIP)
            behind = length - header.opening_size
            # A client of before sends no capsule.
            if behind not in ((0, PLACED) if header.body_size else (header.trailer_size,)):
                raise Malformed("what was sent does not have the size that the header says")
            looks = Looks(lambda: self._is_known(token), lambda: self._must_fit(header, length))
            disk = self._disk()
            with self._gate.admitted(token, header, payment, disk.free - disk.floor, looks) as admission:
                rest = partial(_take_rest, _pieces(body, header.sealed_letter_size + behind), spool, share)
                # While others wait for what this one holds, a line that is dead must not hold it for minutes.
                gives_way = admission.gives_way
                if not (self._threads.unless(gives_way, rest) if gives_way else rest()):
                    raise Refusal("slow-down")
                spool.seek(size)
                letter, after = spool.read(header.sealed_letter_size), spool.read()
                trailer, placed = (b"", after) if header.body_size else (after, b"")
                opening = Opening(token, header, letter, trailer, placed)
                disk, today = self._disk(), self._today()  # again: it may have waited, and the letter took its time
                if not header.body_size and room.is_short(disk, self._config.quota):
                    self._make_room(disk, today, length)
                    disk = self._disk()
                terms = AdmissionTerms(self._config.quota, disk, self._known, admission.effort)
                change = self._opened(Asked(opening, today, terms))
                admission.used = change.used
                if change.old_blobs:
                    self._threads.disk(release, self._blobs, change.old_blobs)
        return change

    def _opened(self, asked: Asked) -> Change:
        if not asked.opening.header.body_size:
            change: Change = self._store.write_together(drafts.open_texts, asked)
            return change
        return self._store.write(
            partial(drafts.open_draft, opening=asked.opening, today=asked.today, terms=asked.terms)
        )

    def _spool(self, length: int) -> IO[bytes]:
        """Where ``length`` bytes lie while they come."""
        if length <= IN_MEMORY:
            return io.BytesIO()
        return tempfile.TemporaryFile(dir=self._home.spool)

    def toll(self) -> dict[str, Any]:
        """``GET /api/toll``: what openings cost now."""
        disk = self._disk()
        return self._gate.to_json(disk.free - disk.floor)

    def _is_known(self, token: bytes) -> bool:
        """Whether this token has opened an upload."""
        try:
            self._store.read(lambda connection: drafts.find(connection, token))
        except Refusal:
            return False
        return True

    def _must_fit(self, header: Header, length: int) -> None:
        """Refusal ``full`` or ``unknown-organisation`` when there is no use in working for this opening."""
        disk, today, now = self._disk(), self._today(), self._gate.buckets.now()
        if self._looked is None or now - self._looked[0] >= LOOK_SECONDS:
            if room.is_short(disk, self._config.quota):
                self._make_room(disk, today, length)
                disk = self._disk()
            held = self._store.read(lambda connection: holdings(connection, look(connection, today)))
            self._looked = now, held
        must_fit(self._config.quota, disk, self._looked[1], header.body_size)
        if not {slot.organisation for slot in header.slots} <= self._known:
            self._store.read(lambda connection: drafts.check_organisations(connection, header, self._known))

    def state(self, token: bytes) -> State:
        """``GET /api/envelope``.

        Raises:
            Refusal: ``no-draft``.
        """
        return drafts.state_of(self._store.read(lambda connection: drafts.find(connection, token)))

    def parts(self, token: bytes, first: int, body: Body, length: int, said: Sequence[bytes] = ()) -> State:
        """``PUT /api/envelope/parts/<first>``: a run of whole parts, ``length`` bytes in all.

        ``said``: SHA-256 of each of them, where whoever sends them has said it before.

        Raises:
            Malformed: parts cannot have this length.
            Refusal: ``no-draft``, ``part-differs``, ``full``; ``malformed``: too many gaps.
            Refusal: ``slow-down``: the parts that came whole are kept.
            Cut: the connection broke; the same.
            DamagedPart: one is not what was said; the same, and the body is read up to its end.
        """
        draft = self._store.read(lambda connection: drafts.find(connection, token))
        if draft is None:
            return drafts.STORED
        sizes = run_sizes(draft, first, length)
        new, missing = ranges.split(draft.missing, first, len(sizes))
        drafts.must_be_few(draft.missing, missing)
        # Drafts were admitted when they were opened; the disk may have filled up since. A repeat needs no room.
        self._leave_room(sum(drafts.run_size(draft.body_size, *span) for span in new))
        incoming: IncomingBlob = self._threads.disk(self._blobs.create) if new else NoBlob()
        # A bucket is a way to another machine and back.
        ended = incoming if self._blobs.local else beside(self._threads, incoming)
        with self._bodies.request() as share, ended as blob:
            begun = self._gate.buckets.now()
            run = _receive(body, _Expected(first, sizes, new, said), blob, share)
            tick = _tick(self._gate.buckets.now() - begun) if run.cut is None else 0.0
            state = None
            if run.parts.hashes:
                state = self._keep(draft, first, run.parts, blob, tick)
            if tick:  # noted together, they do not all go on at once
                self._threads.sleep(random.uniform(0, tick))  # noqa: S311
            if run.cut is not None:  # only now: what came whole before the cut is kept
                raise run.cut
            return state or drafts.state_of(draft)

    def stored_parts(self, token: bytes, first: int) -> bytes:
        """``GET /api/envelope/parts/<first>``: which parts are here, by session nonce and hash.

        Raises:
            Refusal: ``no-draft``.
        """
        return self._store.read(lambda connection: drafts.stored_parts(connection, token, first))

    def capsules(self, place_tokens: Sequence[bytes]) -> bytes:
        """``POST /api/capsule``: what lies under these places, 1,204 bytes each; zeros where there is nothing."""
        places = [sha256(token) for token in place_tokens]
        return self._store.read(lambda connection: capsules.look(connection, places))

    def opening(self, token: bytes) -> bytes:
        """``GET /api/envelope/opening``: header ‖ letter.

        Raises:
            Refusal: ``no-draft``.
        """
        return self._store.read(lambda connection: drafts.opening_of(connection, token))

    def stored_ranges(self, token: bytes) -> list[list[int | str]]:
        """``GET /api/envelope/parts``: what is here, as ranges of one session each.

        Raises:
            Refusal: ``no-draft``.
        """
        draft = self._store.read(lambda connection: drafts.find(connection, token))
        if draft is None:
            raise Refusal("no-draft")
        return [one.to_json() for one in capsules.in_ranges(self._here(draft))]

    def _here(self, draft: DraftView) -> Iterator[tuple[int, bytes, bytes]]:
        """Number, session nonce and SHA-256 of each part that is here; some at a time, so that others wait for none."""
        for first, count in capsules.present(draft.missing, draft.parts):
            for start in range(first, first + count, drafts.LISTED_PARTS):
                size = min(drafts.LISTED_PARTS, first + count - start)
                listed = self.stored_parts(draft.token, start)
                for number, (nonce, part_hash) in enumerate(islice(_LISTED.iter_unpack(listed), size), start):
                    yield number, nonce, part_hash

    def give_up(self, token: bytes, place_token: bytes) -> None:
        """``POST /api/envelope/give-up``: forget an upload.

        Raises:
            Refusal: ``no-draft``, also when this is not the place of its capsule.
        """
        # Erased, as at the end of an upload.
        blobs = self._store.write(partial(drafts.give_up, token=token, place_token=place_token), erases=True)
        self._threads.disk(release, self._blobs, blobs)

    def _keep(self, draft: DraftView, first: int, parts: PartsReceived, blob: IncomingBlob, tick: float) -> State:
        """Note what came, at the next of the moments that are ``tick`` seconds apart, and keep of it what is new."""
        while True:
            written = parts.written or []
            size = sum(drafts.run_size(draft.body_size, *span) for span in written)
            disk = self._disk()
            if size and disk.free < disk.kept_from_bodies(self._config.quota):
                raise Refusal("full")  # looked again: of those who were let in at once, not all may stay
            name = self._threads.disk(blob.keep, size) if size else ""
            if tick:
                self._threads.sleep(tick - (self._gate.buckets.now() + self._phase) % tick)
                tick = 0.0
            try:
                received = RunReceived(draft, first, parts, name)
                change: Change = self._store.write_together(drafts.add_runs, received)
            except (Refusal, Full):
                blob.discard()
                raise
            if change.used:
                return change.state
            if not change.still_new:
                blob.discard()
                return change.state
            # Other requests brought some of these parts in the meantime. What is here twice would hold room that
            # nobody counts, so only the rest is kept; each round has fewer parts than the one before.
            spans = _spans(draft, written, change.still_new)
            self._threads.disk(blob.reduce, spans)
            parts = replace(parts, written=list(change.still_new))

    def _leave_room(self, length: int) -> None:
        """Refusal ``full`` when ``length`` bytes of parts would not leave the room that is kept from bodies."""
        disk = self._disk()
        if length and disk.free - length < disk.kept_from_bodies(self._config.quota):
            raise Refusal("full")

    def _make_room(self, disk: Disk, today: date, length: int) -> None:
        """For a text of ``length`` bytes, when less is free than texts are to find: stalled drafts give way.

        They are off the disk on return.
        """
        # A transaction of its own: below the floor the text itself is refused, until there is room again.
        quota = self._config.quota
        blobs = self._store.write(lambda connection: room.give_way(connection, disk, quota, today, length))
        self._threads.disk(release, self._blobs, blobs)

    def finish(self, token: bytes, body: Body, length: int) -> State:
        """``POST /api/envelope/finish``: Envelope hash ‖ trailer, ``length`` bytes.

        Raises:
            Malformed: no Envelope ends so.
            Refusal: ``no-draft``, ``incomplete`` with the state, ``part-differs``.
            Full: the disk has no room for it; the draft stays.
        """
        if length < HASH_SIZE + SEAL_SIZE or (length - HASH_SIZE) % SEAL_SIZE:
            raise Malformed("the end of an upload is its Envelope hash and one tag for each slot")
        return self._finish(token, exactly(body, length))

    def note_ending(self, token: bytes, ending: bytes) -> None:
        """Keep how an upload ends (Envelope hash ‖ trailer), which its last piece says and others may come after."""
        self._store.write(partial(drafts.note_ending, token=token, ending=ending))

    def finish_noted(self, token: bytes) -> tuple[State, bool]:
        """Finish an upload if all of its parts are here and its end is known: its state, and whether its end is known.

        Raises:
            Refusal: ``no-draft``; ``part-differs``: the parts are not those that the end is of. The upload is given up,
                so that its pieces can be sent again.
            Full: the disk has no room for it; the draft stays.
        """
        draft, ending = self._store.read(partial(drafts.find_with_ending, token=token))
        if draft is None or draft.missing or ending is None:
            return drafts.state_of(draft), ending is not None
        try:
            return self._finish(token, ending), True
        except Refusal as refusal:
            if refusal.code == "incomplete":  # a run was damaged on the disk
                return self.state(token), True
            if refusal.code == "part-differs":
                self.begin_anew(token)
            raise

    def begin_anew(self, token: bytes) -> None:
        """Forget an upload of which what came does not fit together."""
        gone = self._store.write(partial(drafts.delete_draft, token=token), erases=True)
        self._threads.disk(release, self._blobs, gone)

    def _finish(self, token: bytes, data: bytes) -> State:
        ending = Ending(data[:HASH_SIZE], data[HASH_SIZE:])
        with self._threads.alone(token):
            upload = Upload(self._store, self._blobs, self._threads, token, self._disk)
            return finish(upload, ending, self._today())

    def _disk(self) -> Disk:
        return Disk.of(self._home.path, holds_bodies=self._blobs.local)


def _sealed_header_size(prefix: bytes) -> int:
    try:
        return header_size(prefix)
    except NotTipbox as error:
        # Somebody may have sent a plain file: what was read of it is overwritten, and no more is read.
        raise Refusal(error.code, NOT_SEALED, wipe=True) from None


def _tick(seconds: float) -> float:
    """How far apart the moments are at which a run is noted that took so long; 0: at once."""
    return max((tick for tick in TICKS if tick <= seconds / 100), default=0.0)


def run_sizes(draft: DraftView, first: int, length: int) -> list[int]:
    """The sizes of the parts in a run of ``length`` bytes; Malformed when no run has that length."""
    count = min(-(-length // ENVELOPE_PART_SIZE), max(0, draft.parts - first))
    sizes = [padding.sealed_body_part_size(draft.body_size, index) for index in range(first, first + count)]
    if not 1 <= count <= MAX_RUN_PARTS or sum(sizes) != length:
        raise Malformed("a run has 1 to 64 whole sealed parts of this Envelope; this one has another length")
    return sizes


@dataclass(frozen=True)
class _Expected:
    """A run that begins to come: its first part, the sizes of its parts, which are new, and their hashes, if said."""

    first: int
    sizes: Sequence[int]
    new: Sequence[Range]
    said: Sequence[bytes] = ()


@dataclass(frozen=True)
class ReceivedRun:
    """The parts that came whole, and why the run ended before its last part, if it did."""

    parts: PartsReceived
    cut: Cut | DamagedPart | Refusal | None = None


def _receive(body: Body, expected: _Expected, blob: IncomingBlob, share: Share) -> ReceivedRun:
    """Write the parts that are missing to ``blob`` as they come. Those that are here are hashed only, to compare."""
    first, new = expected.first, expected.new
    parts = PartsReceived()
    cut: Cut | DamagedPart | Refusal | None = None
    try:
        for index, size in enumerate(expected.sizes, first):
            is_new = any(start <= index < start + count for start, count in new)
            digest = hashlib.sha256()
            nonce = b""
            left = size
            while left:
                piece = _piece(body, left)
                left -= len(piece)
                nonce = nonce or piece[:SESSION_NONCE_SIZE]  # a piece is at least as long: parts are
                digest.update(piece)
                if is_new:
                    share.take(len(piece))
                    blob.write(piece)
                del piece  # it is not held while the next one is waited for: thousands of slow sources do
            if expected.said and not equal(digest.digest(), expected.said[index - first]):
                cut = DamagedPart(index)
                break
            parts.hashes.append(digest.digest())
            parts.nonces.append(nonce)
    except (Cut, Refusal) as error:
        cut = error
    whole, _ = ranges.split(new, first, len(parts.hashes))
    return ReceivedRun(replace(parts, written=whole), cut)


def _take_rest(pieces: Iterator[bytes], spool: IO[bytes], share: Share) -> bool:
    """Write the rest of an opening as it comes; True once it is whole."""
    for piece in pieces:
        # Small ones stay in memory; the number of connections is their bound.
        if not isinstance(spool, io.BytesIO):
            share.take(len(piece))
        spool.write(piece)
        del piece
    return True


def _spans(draft: DraftView, written: Sequence[Range], wanted: Sequence[Range]) -> list[Span]:
    """Where the parts ``wanted`` lie in a blob that has those ``written``, one behind the other."""
    spans: list[Span] = []
    at = 0
    for first, count in written:
        for start, size in ranges.split(wanted, first, count)[0]:
            spans.append((at + (start - first) * ENVELOPE_PART_SIZE, drafts.run_size(draft.body_size, start, size)))
        at += count * ENVELOPE_PART_SIZE
    return spans


def _pieces(body: Body, size: int) -> Iterator[bytes]:
    """Exactly ``size`` bytes of the body, as they come; Cut when the connection breaks."""
    while size:
        piece = _piece(body, size)
        size -= len(piece)
        yield piece
        del piece  # nor should whoever takes it hold it while the next one is waited for


def _piece(body: Body, size: int) -> bytes:
    """What is there or comes next of ``size`` bytes, PIECE at least; Cut when the connection breaks."""
    try:
        piece = body.read1(min(size, LARGE_PIECE))
    except OSError as error:
        raise Cut from error
    if not piece:
        raise Cut
    least = min(size, PIECE)
    return piece if len(piece) >= least else piece + exactly(body, least - len(piece))


def exactly(body: Body, size: int) -> bytes:
    """Exactly ``size`` bytes of the body; Cut when the connection breaks."""
    try:
        piece = body.read(size)
    except OSError as error:
        raise Cut from error
    if len(piece) < size:
        raise Cut
    return piece
