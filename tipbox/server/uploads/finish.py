"""Finishing an upload: the runs become one blob, every part's hash is computed again, one transaction stores it all.

A crash before that transaction leaves the draft as it was and a blob that no row names (in a bucket, perhaps an upload
that was not ended); a crash after it leaves the runs' blobs. Upkeep removes all of them. Asked again, the answer is the
same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from tipbox.errors import Full, Malformed
from tipbox.formats.base.limits import ENVELOPE_PART_SIZE, HASH_SIZE
from tipbox.formats.base.primitives import equal, sha256
from tipbox.formats.envelopes.seals import End, EnvelopeHash, envelope_id
from tipbox.server.refusal import Refusal
from tipbox.server.storage.blobs import BlobStore, IncomingBlob, beside
from tipbox.server.storage.disk import Disk
from tipbox.server.storage.executors import Threads
from tipbox.server.storage.sweep import release
from tipbox.server.storage.transactions import Store
from tipbox.server.uploads import drafts
from tipbox.server.uploads.drafts import STORED, CompleteDraft, State


@dataclass(frozen=True)
class Upload:
    """An upload, by SHA-256 of its draft token, and where it lies. ``disk``: how it is now."""

    store: Store
    blobs: BlobStore
    threads: Threads
    token: bytes
    disk: Callable[[], Disk]


@dataclass(frozen=True)
class Ending:
    """How a source ends an Envelope: its hash (32 bytes) and trailer, as the source computed them."""

    hash: bytes
    trailer: bytes = field(repr=False)


class _DamagedRun(Exception):
    """A run's blob is not what came."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first


def finish(upload: Upload, ending: Ending, today: date) -> State:
    """Store the Envelope of a draft that has all of its parts.

    Raises:
        Malformed: the trailer has not one tag for each slot.
        Refusal: ``no-draft``, ``incomplete``; ``part-differs`` when the source means another Envelope: the draft stays.
        Full: the disk has no room for the merged blob; the draft stays.
    """
    store, blobs, threads, token = upload.store, upload.blobs, upload.threads, upload.token
    draft = store.read(lambda connection: drafts.gather(connection, token))
    if draft is None:
        return STORED
    if len(ending.trailer) != draft.header.trailer_size:
        raise Malformed("an Envelope ends with one tag for each slot; this has another size")
    digest = threads.disk(_digest, draft)
    # What the source sealed is not what lies here: its tags would make of that what every desk calls forged. Before
    # anything is read: else a wrong hash, again and again, would have the whole body copied each time.
    if not equal(digest, ending.hash):
        raise Refusal("part-differs")
    with beside(threads, threads.disk(partial(blobs.create, at_once=True))) as blob:
        try:
            threads.disk(_merge, upload, draft, blob)
        except _DamagedRun as damaged:
            first = damaged.first
            state = store.write(lambda connection: drafts.drop_run(connection, token, first))
            if state.stored:  # another request finished it and removed the runs
                return STORED
            raise Refusal("incomplete", state=state.to_json()) from None
        envelope = End(digest, ending.trailer, envelope_id(digest, ending.trailer))
        # Durable before a row names it: an Envelope that is answered for is on the disk.
        name = threads.disk(blob.keep, blob.size)
        # Looks for the draft again: of two that finish it at once, the second stores nothing. Erased, because an access
        # code that is found later must find no capsule.
        end = store.write(lambda connection: drafts.commit(connection, token, envelope, name, today), erases=True)
        if not end.used:
            blob.discard()
    # Only now that no row names them.
    threads.disk(release, blobs, end.old_blobs)
    return STORED


def _digest(draft: CompleteDraft) -> bytes:
    """The Envelope hash by the hashes of the parts as they came."""
    envelope = EnvelopeHash(draft.header.encoded, draft.letter)
    for _, _, _, _, hashes in draft.runs:
        envelope.add_hashes(hashes)
    return envelope.digest()


def _merge(upload: Upload, draft: CompleteDraft, merged: IncomingBlob) -> None:
    """Write the body to ``merged``; each part has the hash that it came with.

    Full before it would take the disk below its floor: several merges at a time could, and then no text is taken. A
    bucket takes it as it comes.
    """
    blobs = upload.blobs
    for first, count, skip, blob, hashes in draft.runs:
        size = drafts.run_size(draft.header.body_size, first, count)
        disk = upload.disk()
        if disk.holds_bodies and disk.free - size < disk.floor:
            raise Full
        expected = (hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE))
        try:
            for part in _parts(blobs.read(blob, skip, size)):
                if not equal(sha256(part), next(expected)):
                    raise _DamagedRun(first)
                merged.write(part)
        except (FileNotFoundError, EOFError):
            raise _DamagedRun(first) from None


def _parts(pieces: Iterator[bytes]) -> Iterator[memoryview]:
    """Whole parts; what lies in one piece is not copied."""
    rest = b""
    for piece in pieces:
        data = rest + piece if rest else piece
        end = len(data) - len(data) % ENVELOPE_PART_SIZE
        for at in range(0, end, ENVELOPE_PART_SIZE):
            yield memoryview(data)[at : at + ENVELOPE_PART_SIZE]
        rest = data[end:]
    if rest:
        yield memoryview(rest)
