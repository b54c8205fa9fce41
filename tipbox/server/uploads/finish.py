"""Finishing an upload: the runs become one blob, every part's hash is computed again, one transaction stores it all.

A crash before that transaction leaves the draft as it was and a blob that no row names; a crash after it leaves the
runs' blobs. ``sweep`` removes both. Asked again, the answer is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from tipbox.formats.base.limits import HASH_SIZE, SEALED_PART_SIZE
from tipbox.formats.base.primitives import equal, sha256
from tipbox.formats.envelopes.envelope import EnvelopeId
from tipbox.server.refusal import Refusal
from tipbox.server.storage.blobs import BlobStore, IncomingBlob
from tipbox.server.storage.executors import Threads
from tipbox.server.storage.transactions import Store
from tipbox.server.uploads import drafts
from tipbox.server.uploads.drafts import STORED, CompleteDraft, State


class _DamagedRun(Exception):
    """A run's blob is not what came."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first


def finish(store: Store, blobs: BlobStore, threads: Threads, token: bytes, today: date) -> State:
    """Store the Envelope of a draft that has all of its parts.

    Raises:
        Refusal: ``no-draft``, ``incomplete``.
        Full: the disk has no room for the merged blob; the draft stays.
    """
    draft = store.read(lambda connection: drafts.gather(connection, token))
    if draft is None:
        return STORED
    with threads.disk(blobs.create) as blob:
        try:
            envelope = threads.disk(_merge, blobs, draft, blob)
        except _DamagedRun as damaged:
            first = damaged.first
            state = store.write(lambda connection: drafts.drop_run(connection, token, first))
            if state.stored:  # another request finished it and removed the runs
                return STORED
            raise Refusal("incomplete", state=state.to_json()) from None
        # Durable before a row names it: an Envelope that is answered for is on the disk.
        name = threads.disk(blob.keep, blob.size)
        # Looks for the draft again: of two that finish it at once, the second stores nothing.
        end = store.write(lambda connection: drafts.commit(connection, token, envelope, name, today))
        if not end.used:
            blob.discard()
    # Only now that no row names them.
    threads.disk(blobs.delete, end.old_blobs)
    return STORED


def _merge(blobs: BlobStore, draft: CompleteDraft, merged: IncomingBlob) -> bytes:
    envelope = EnvelopeId(draft.header.encoded, draft.letter)
    for first, count, skip, blob, hashes in draft.runs:
        size = drafts.run_size(draft.header.body_size, first, count)
        expected = (hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE))
        try:
            for part in _parts(blobs.read(blob, skip, size)):
                if not equal(sha256(part), next(expected)):
                    raise _DamagedRun(first)
                envelope.add(part)
                merged.write(part)
        except (FileNotFoundError, EOFError):
            raise _DamagedRun(first) from None
    return envelope.digest()


def _parts(pieces: Iterator[bytes]) -> Iterator[bytes]:
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        end = len(buffer) - len(buffer) % SEALED_PART_SIZE
        for at in range(0, end, SEALED_PART_SIZE):
            yield bytes(buffer[at : at + SEALED_PART_SIZE])
        del buffer[:end]
    if buffer:
        yield bytes(buffer)
