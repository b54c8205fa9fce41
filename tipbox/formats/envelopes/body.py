"""The body: the files' bytes in sealed parts of one size (docs/format.md, 4.4). A session seals each part once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import BinaryIO, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tipbox.errors import Incomplete, InputRefused, Malformed
from tipbox.formats.base import labels
from tipbox.formats.base.batches import by_batches
from tipbox.formats.base.limits import ENVELOPE_PART_SIZE, PART_SIZE, SESSION_NONCE_SIZE, TAG_SIZE
from tipbox.formats.base.primitives import (
    hkdf,
    open_part,
    open_part_into,
    random_bytes,
    seal_part,
    seal_part_into,
    sha256,
)
from tipbox.formats.envelopes.header import Header

_READ: Final = 16 * PART_SIZE
"""Bytes of a file that are read at a time."""
_SEALED_TOGETHER: Final = 32
"""Parts of a batch that is sealed: 2 MiB, for the disk takes few large pieces sooner than many."""
_SEALED: Final = SESSION_NONCE_SIZE + TAG_SIZE
"""Bytes by which a sealed part is longer than what is in it."""


def _cipher(header: Header, body_key: bytes, session_nonce: bytes) -> AESGCM:
    return AESGCM(hkdf(body_key, header.hash, labels.PARTS + session_nonce))


def seal_body(
    header: Header, body_key: bytes, plaintext: Iterable[bytes | memoryview], session_nonce: bytes | None = None
) -> Iterator[bytes]:
    """Seal the padded body, given in pieces of PART_SIZE (the last may be shorter), part by part.

    Each part begins with the session nonce (16 bytes), which is new when none is given: whoever begins again after the
    parts of a session were lost seals under another key, whatever has changed since. To give one is for comparing what
    is stored with what would have been sealed; parts that are made so are never sent.
    """
    sealer = _Sealer(header, body_key, session_nonce)
    return (sealer.seal(index, piece) for index, piece in enumerate(plaintext))


Room = Callable[[int, int], memoryview]
"""Makes room for the bytes of an Envelope from this one on, so many. Two threads call it."""


def new_room(_at: int, size: int) -> memoryview:
    """Room that is used once."""
    return memoryview(bytearray(size))


def seal_batches(
    header: Header,
    body_key: bytes,
    plaintext: Iterable[bytes | memoryview],
    session_nonce: bytes,
    room: Room = new_room,
) -> Iterator[tuple[memoryview, list[bytes]]]:
    """The same on two processors: some parts at a time, one behind the other, and SHA-256 of each.

    Plaintext is read ahead by megabytes. Each ``room`` is asked for once.
    """
    sealer = _Sealer(header, body_key, session_nonce)

    def work(batch: list[tuple[int, bytes | memoryview]]) -> tuple[memoryview, list[bytes]]:
        begin = header.opening_size + batch[0][0] * ENVELOPE_PART_SIZE
        sealed = room(begin, sum(len(piece) + _SEALED for _, piece in batch))
        hashes, at = [], 0
        for index, piece in batch:
            part = sealed[at : at + len(piece) + _SEALED]
            sealer.seal_into(index, piece, part)
            hashes.append(sha256(part))
            at += len(part)
        return sealed, hashes

    return by_batches(work, enumerate(plaintext), header.parts, _SEALED_TOGETHER)


class _Sealer:
    """Seals the parts of one session, each by its number alone."""

    def __init__(self, header: Header, body_key: bytes, session_nonce: bytes | None) -> None:
        self._nonce = random_bytes(SESSION_NONCE_SIZE) if session_nonce is None else session_nonce
        self._cipher = _cipher(header, body_key, self._nonce)
        self._last = header.parts - 1

    def seal(self, index: int, piece: bytes | memoryview) -> bytes:
        return self._nonce + seal_part(self._cipher, index, piece, last=index == self._last)

    def seal_into(self, index: int, piece: bytes | memoryview, room: memoryview) -> None:
        room[:SESSION_NONCE_SIZE] = self._nonce
        seal_part_into(self._cipher, index, piece, room[SESSION_NONCE_SIZE:], last=index == self._last)


class _Opener:
    """Opens parts, each by its number alone."""

    def __init__(self, header: Header, body_key: bytes) -> None:
        self._header = header
        self._body_key = body_key
        self._last = header.parts - 1
        # The key of the last session nonce only: who has the body key could change nonces at each part. In one object,
        # for two threads read and replace it.
        self._session: tuple[bytes, AESGCM] | None = None

    def open(self, index: int, part: bytes) -> bytes:
        cipher = self._cipher(part[:SESSION_NONCE_SIZE])
        return open_part(cipher, index, memoryview(part)[SESSION_NONCE_SIZE:], last=index == self._last)

    def open_into(self, index: int, part: memoryview, room: memoryview) -> None:
        cipher = self._cipher(bytes(part[:SESSION_NONCE_SIZE]))
        open_part_into(cipher, index, part[SESSION_NONCE_SIZE:], room, last=index == self._last)

    def _cipher(self, nonce: bytes) -> AESGCM:
        session = self._session
        if session is None or session[0] != nonce:
            session = self._session = nonce, _cipher(self._header, self._body_key, nonce)
        return session[1]


def open_body(header: Header, body_key: bytes, sealed: Iterable[bytes]) -> Iterator[bytes]:
    """Open the parts in order; Tampered at the first that does not open. The caller counts them to the last."""
    opener = _Opener(header, body_key)
    return (opener.open(index, part) for index, part in enumerate(sealed))


ReadAt = Callable[[int, memoryview], int]
"""Fills the room with an Envelope's bytes from this one on; how many there were. Two threads call it."""
WriteAt = Callable[[int, memoryview], object]
"""Takes a body's bytes from this one on, and is done with them when it returns. Two threads call it."""


def open_at(header: Header, body_key: bytes, read: ReadAt, write: WriteAt) -> Iterator[tuple[int, bytes]]:
    """The same on two processors, of an Envelope that can be read anywhere, into what can be written anywhere.

    Each thread reads, hashes, opens and writes some parts in rooms that are used again: no thread waits for another's
    step, and nothing is allocated or copied on the way. What is in a part that does not open is not written, but parts
    behind it may be.

    Yields:
        In order, bytes that were written, and SHA-256 of each sealed part, joined.
    """
    opener = _Opener(header, body_key)
    rooms: list[tuple[memoryview, memoryview]] = []

    def work(batch: list[int]) -> tuple[int, bytes]:
        size = sum(map(header.part_size, batch))
        try:
            sealed, plain = rooms.pop()
        except IndexError:
            sealed, plain = (memoryview(bytearray(len(batch) * each)) for each in (ENVELOPE_PART_SIZE, PART_SIZE))
        if read(header.opening_size + batch[0] * ENVELOPE_PART_SIZE, sealed[:size]) < size:
            raise Incomplete
        hashes, at = [], 0
        for index in batch:
            place = (index - batch[0]) * ENVELOPE_PART_SIZE
            part = sealed[place : place + header.part_size(index)]
            hashes.append(sha256(part))
            opener.open_into(index, part, plain[at : at + len(part) - _SEALED])
            at += len(part) - _SEALED
        write(batch[0] * PART_SIZE, plain[:at])
        rooms.append((sealed, plain))
        return at, b"".join(hashes)

    return by_batches(work, range(header.parts), header.parts)


def read_padded(files: Iterable[tuple[BinaryIO, int]], padded: int) -> Iterator[bytes | memoryview]:
    """The plaintext of a body in pieces of PART_SIZE: each file's announced bytes, then zeros up to ``padded``.

    InputRefused when a file is shorter or longer than announced: it changed since it was measured.
    """
    piece = bytearray()
    total = 0
    for file, size in files:
        left = size
        while left:
            data = file.read(min(left, PART_SIZE - len(piece) if piece else _READ))
            if not data:
                break
            left -= len(data)
            if not piece:  # the usual case: nothing to join, nothing to copy
                whole = memoryview(data)
                while len(whole) >= PART_SIZE:
                    yield whole[:PART_SIZE]
                    total += PART_SIZE
                    whole = whole[PART_SIZE:]
                piece += whole
                continue
            piece += data
            if len(piece) == PART_SIZE:
                yield bytes(piece)
                total += PART_SIZE
                piece.clear()
        if left or file.read(1):
            raise InputRefused("a file changed while it was being sealed; copy it somewhere safe and seal the copy")
    while (left := padded - total) > 0:
        size = min(left, PART_SIZE)
        yield bytes(piece).ljust(size, b"\x00")
        piece.clear()
        total += size


def split_files(plaintext: Iterable[bytes], sizes: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """Cut an opened body back into files: (index of the file, piece of it) pairs.

    The padding behind the last file must be zeros (Malformed). A file of no bytes gets no piece.
    """
    remaining = enumerate(sizes)
    index, left = next(remaining, (-1, 0))
    for piece in plaintext:
        at = 0
        while at < len(piece):
            while not left and index >= 0:
                index, left = next(remaining, (-1, 0))
            if index < 0:
                if piece.count(0, at) != len(piece) - at:
                    raise Malformed("the body's padding is not zero")
                break
            taken = piece[at : at + left]
            yield index, taken
            at += len(taken)
            left -= len(taken)


class FilesAt:
    """Where each byte of an opened body belongs: the same as ``split_files``, for who writes anywhere."""

    def __init__(self, sizes: Sequence[int], write: Callable[[int, int, memoryview], object]) -> None:
        """``write``: takes the index of a file, where in it, and what belongs there."""
        self._ends = list(accumulate(sizes))
        self._sizes = sizes
        self._write = write

    def write(self, at: int, plain: memoryview) -> None:
        """Write the body's bytes from ``at`` on. Malformed when there are other bytes than zeros behind the files."""
        index = bisect_right(self._ends, at)
        while plain:
            if index == len(self._ends):
                if plain.tobytes() != bytes(len(plain)):
                    raise Malformed("the body's padding is not zero")
                return
            taken = plain[: self._ends[index] - at]
            if taken:
                self._write(index, at - self._ends[index] + self._sizes[index], taken)
            plain = plain[len(taken) :]
            at += len(taken)
            index += 1
