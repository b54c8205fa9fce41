"""Header, slots, letter, body, trailer and whole Envelopes: round trips, and that no change of a byte goes unseen."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import cache, partial
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.organisations import FEW, QUICK, case, changed, languages, read_files, refused, text
from support.pieces import envelope_bytes
from tipbox.errors import InputRefused, LimitExceeded, TipboxError
from tipbox.formats import manifest as keys
from tipbox.formats.base import padding
from tipbox.formats.base.limits import (
    ENVELOPE_PART_SIZE,
    MAX_BODY,
    MAX_FILES,
    MAX_FILES_FOLLOW,
    MAX_LETTER,
    MAX_MESSAGE,
    MAX_NEVER,
    MAX_NEVER_TEXT,
    MAX_SLOTS,
    PART_SIZE,
    SEAL_SIZE,
    SESSION_NONCE_SIZE,
    SLOT_SIZE,
)
from tipbox.formats.base.primitives import sha256, xwing_public
from tipbox.formats.envelopes import body, envelope, header, letter, seals
from tipbox.formats.envelopes.consent import Consent
from tipbox.formats.envelopes.header import Header, KeyState, Kind, OpenedSlot, Slot
from tipbox.formats.envelopes.letter import FileEntry, Letter
from tipbox.formats.envelopes.reply import open_reply, seal_reply

SEEDS = [bytes([n]) * 32 for n in range(3)]
READERS = [(bytes([n]) * 16, xwing_public(seed)) for n, seed in enumerate(SEEDS, 1)]
PAIR, MAILBOX = bytes(range(32)), bytes(range(100, 132))


def recipients(chosen: int = 1, slots: int = 3) -> list[envelope.Recipient]:
    return [
        envelope.Recipient(ident, keys.key_id(public), public, *((PAIR, MAILBOX) if at < chosen else (None,)))
        for at, (ident, public) in enumerate(READERS[:slots])
    ]


def letter_of(message: bytes = b"", sizes: tuple[int, ...] = ()) -> Letter:
    files = tuple(FileEntry(f"file {at}", size, "") for at, size in enumerate(sizes))
    return Letter(message, files, bytes(range(1, 33)), bytes(16))


def content(at: int, size: int) -> bytes:
    return (bytes([at + 1, 7, 0, 255]) * (size // 4 + 1))[:size]


def parts_of(sealed: envelope.Sealed, contents: Sequence[bytes]) -> list[bytes]:
    """The parts of a new session."""
    return list(sealed.parts((io.BytesIO(one), len(one)) for one in contents))


def hash_of(sealed: envelope.Sealed, parts: Sequence[bytes] = ()) -> bytes:
    found = seals.EnvelopeHash(sealed.header.encoded, sealed.letter)
    for part in parts:
        found.add(part)
    return found.digest()


def whole(sealed: envelope.Sealed, parts: Sequence[bytes] = ()) -> bytes:
    """The Envelope with these parts, as its source ends it."""
    return sealed.opening + b"".join(parts) + sealed.trailer(hash_of(sealed, parts))


def seal(message: bytes = b"", sizes: tuple[int, ...] = (), chosen: int = 1, slots: int = 3) -> bytes:
    sealed = envelope.seal(recipients(chosen, slots), letter_of(message, sizes))
    return whole(sealed, parts_of(sealed, [content(at, size) for at, size in enumerate(sizes)]))


def open_as(data: bytes, reader: int = 0) -> tuple[Letter, list[bytes], OpenedSlot]:
    """Read an Envelope to its last byte, as a desk does: the letter, the files' bytes, the slot."""
    reading = envelope.read_envelope(io.BytesIO(data))
    opened = header.open_slot(reading.header, READERS[reader][0], lambda _: SEEDS[reader])
    found = letter.open_letter(reading.header, opened.content_key, reading.letter)
    files, _ = read_files(reading, found)
    seals.check_seal(reading.header, READERS[reader][0], opened, reading.end())
    return found, files, opened


# --- header -----------------------------------------------------------------------------------------------------------

sizes = st.integers(0, MAX_LETTER).map(padding.letter_size).filter(lambda size: size <= MAX_LETTER)
bodies = st.integers(0, MAX_BODY).map(padding.padme).filter(lambda size: size <= MAX_BODY)
slots = st.lists(
    st.builds(
        Slot,
        st.binary(min_size=16, max_size=16),
        st.binary(min_size=16, max_size=16),
        st.integers(0, 255).map(lambda byte: bytes([byte]) * (SLOT_SIZE - 32)),
    ),
    min_size=1,
    max_size=MAX_SLOTS,
    unique_by=lambda slot: slot.organisation,
).map(lambda made: tuple(sorted(made, key=lambda slot: slot.organisation)))
secrets = st.binary(min_size=32, max_size=32)
headers = st.one_of(
    st.builds(Header, st.just(Kind.TIP), sizes, bodies, secrets, secrets, secrets, slots),
    st.builds(Header, st.just(Kind.REPLY), sizes, bodies, secrets, secrets, secrets),
)


@QUICK
@given(headers)
def test_header_round_trip(made: Header) -> None:
    assert Header.parse(made.encoded) == made
    assert header.header_size(made.encoded[: header.PREFIX]) == len(made.encoded)
    assert refused(lambda: made.expect(Kind.REPLY if made.kind is Kind.TIP else Kind.TIP)) == "malformed"
    made.expect(made.kind)


@QUICK
@given(headers)
def test_sizes_that_a_header_announces(made: Header) -> None:
    """Part by part, what it says of the whole; a reply has no trailer."""
    few = replace(made, body_size=padding.padme(made.body_size % (5 * PART_SIZE)))

    assert sum(map(few.part_size, range(few.parts))) == few.sealed_body_size
    assert few.sealed_body_size == few.body_size + few.parts * (SESSION_NONCE_SIZE + 16)
    assert few.trailer_size == SEAL_SIZE * len(few.slots)
    assert few.envelope_size == len(few.encoded) + few.letter_size + 16 + few.sealed_body_size + few.trailer_size


@QUICK
@given(st.data(), headers)
def test_header_is_read_exactly_or_refused(data: Any, made: Header) -> None:
    written = data.draw(changed(made.encoded) | st.binary(max_size=200))
    try:
        found = Header.parse(written)
    except TipboxError:
        return

    assert found.encoded == written


def test_no_slot_of_another_size_opens() -> None:
    """A slot whose plaintext is not 128 bytes is not read as four secrets."""
    reading = envelope.read_envelope(io.BytesIO(seal(b"x")))

    assert refused(lambda: header.open_slot(reading.header, b"short", lambda _: SEEDS[0])) == "malformed"
    for size in (0, 127, 129):
        assert refused(partial(OpenedSlot.parse, bytes(size))) == "malformed"
    assert OpenedSlot.parse(bytes(range(128))).encode() == bytes(range(128))


def test_slot_is_opened_with_the_key_that_it_names() -> None:
    reading = envelope.read_envelope(io.BytesIO(seal(b"x")))
    asked: list[bytes] = []

    def find(key: bytes) -> KeyState:
        asked.append(key)
        return KeyState.DESTROYED

    assert refused(lambda: header.open_slot(reading.header, READERS[1][0], find)) == "too-late"
    assert asked == [keys.key_id(READERS[1][1])]


# --- letter -----------------------------------------------------------------------------------------------------------

entries = st.builds(
    FileEntry,
    text(255, exclude="\x00"),
    st.integers(0, 2**32),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=127),
)
exceptions = text(MAX_NEVER_TEXT, exclude="".join(map(chr, (*range(0x20), *range(0x7F, 0xA0)))))
consents = st.builds(
    Consent,
    st.integers(0, 5),
    st.booleans(),
    st.lists(exceptions, max_size=MAX_NEVER).map(tuple),
    st.none() | st.dates(),
)


@st.composite
def letters(draw: st.DrawFn, kind: Kind, files: Sequence[FileEntry] | None = None) -> Letter:
    common = Letter(
        message=draw(st.binary(max_size=300)) * draw(st.sampled_from((1, 1, 1, 40, 400))),
        files=tuple(draw(st.lists(entries, max_size=5)) if files is None else files),
        body_key=draw(st.binary(min_size=32, max_size=32)),
        id=draw(st.binary(min_size=16, max_size=16)),
        language=draw(st.just("") | languages),
    )
    if kind is Kind.REPLY:
        return replace(common, answers=draw(st.just(b"") | st.binary(min_size=16, max_size=16)), day=draw(st.dates()))
    return replace(
        common,
        consent=draw(st.none() | consents),
        continues=draw(st.just(b"") | secrets),
        files_follow=draw(st.integers(0, MAX_FILES_FOLLOW)),
        sections=draw(st.none() | st.lists(text(20), max_size=3).map(tuple)),
    )


kinds = st.sampled_from(Kind)


@QUICK
@given(kinds, st.data())
def test_letter_round_trip(kind: Kind, data: Any) -> None:
    made = data.draw(letters(kind))
    plaintext = made.encode(kind)

    assert Letter.parse(plaintext, kind) == made
    assert padding.letter_size(len(plaintext)) == len(plaintext)
    other = Kind.TIP if kind is Kind.REPLY else Kind.REPLY
    assert refused(lambda: Letter.parse(plaintext, other)) == "malformed"


CONSENT = Consent(2, ask_me=True, never=("the army",), until=date(2027, 1, 18))
FULL = {
    Kind.TIP: replace(letter_of(b"message", (1, 2)), consent=CONSENT, continues=PAIR, files_follow=2, sections=("AA",)),
    Kind.REPLY: replace(letter_of(b"message", (1, 2)), answers=bytes(16), day=date(2026, 11, 23)),
}


@QUICK
@given(kinds, st.data())
def test_letter_is_read_exactly_or_refused(kind: Kind, data: Any) -> None:
    """Also whoever seals is a stranger: their plaintext has one reading or none."""
    made = FULL[kind].encode(kind)
    written = data.draw(changed(made[:600]).map(lambda start: start.ljust(8192, b"\x00")) | changed(made) | st.binary())
    try:
        found = Letter.parse(written, kind)
    except TipboxError:
        return

    assert found.encode(kind) == written


def test_no_reply_is_written_without_a_day() -> None:
    assert refused(lambda: letter_of(b"text").encode(Kind.REPLY)) == "malformed"


def test_letter_does_not_show_in_repr() -> None:
    made = replace(letter_of(b"who did it", (12345,)), consent=CONSENT, sections=("who",))

    assert repr(made) == (
        f"Letter(id={bytes(16)!r}, language='', answers=b'', day=None, continues=b'', files_follow=0)"
    )
    assert repr(CONSENT) == "Consent(level=2, ask_me=True, until=datetime.date(2027, 1, 18))"


@pytest.mark.parametrize(
    ("made", "error"),
    [
        (letter_of(), InputRefused),
        (letter_of(b"x" * (MAX_MESSAGE + 1)), LimitExceeded),
        (letter_of(b"x", (0,) * (MAX_FILES + 1)), LimitExceeded),
        (letter_of(b"x", (MAX_BODY, 1)), LimitExceeded),
        (Letter(b"", (FileEntry("ы" * 128, 1),), bytes(32), bytes(16)), LimitExceeded),
        (Letter(b"", (FileEntry("", 1),), bytes(32), bytes(16)), LimitExceeded),
        (Letter(b"", (FileEntry("a\x00b", 1),), bytes(32), bytes(16)), InputRefused),
        (Letter(b"", (FileEntry("caf\udce9", 1),), bytes(32), bytes(16)), InputRefused),
        (Letter(b"", (FileEntry("a", 1, "x" * 128),), bytes(32), bytes(16)), LimitExceeded),
        (Letter(b"", (FileEntry("a", 1, "tëxt"),), bytes(32), bytes(16)), InputRefused),
    ],
    ids=[
        "nothing",
        "long message",
        "many files",
        "large files",
        "long name",
        "no name",
        "nul",
        "not utf-8",
        "type",
        "ë",
    ],
)
def test_what_no_reader_would_take_is_not_sealed(made: Letter, error: type[TipboxError]) -> None:
    with pytest.raises(error) as caught:
        envelope.seal(recipients(), made)

    assert "ы" not in str(caught.value)
    assert "caf" not in str(caught.value)


# --- body -------------------------------------------------------------------------------------------------------------


@QUICK
@given(st.lists(st.binary(max_size=50), max_size=8), st.integers(0, 30), st.integers(1, 20))
def test_files_are_cut_out_of_the_body_again(files: list[bytes], zeros: int, step: int) -> None:
    plaintext = b"".join(files) + bytes(zeros)
    pieces = (plaintext[at : at + step] for at in range(0, len(plaintext), step))
    found = [b""] * len(files)
    for index, piece in body.split_files(pieces, map(len, files)):
        assert piece
        found[index] += piece

    assert found == files

    rooms = [bytearray(file) for file in map(len, files)]

    def put(index: int, at: int, data: memoryview) -> None:
        assert data
        rooms[index][at : at + len(data)] = data

    anywhere = body.FilesAt(list(map(len, files)), put)
    for at in reversed(range(0, len(plaintext), step)):
        anywhere.write(at, memoryview(plaintext)[at : at + step])
    assert rooms == files


@QUICK
@given(st.lists(st.binary(max_size=20), max_size=4), st.integers(1, 30), st.integers(1, 20), st.data())
def test_body_padding_is_zeros(files: list[bytes], zeros: int, step: int, data: Any) -> None:
    wrong = bytearray(zeros)
    wrong[data.draw(st.integers(0, zeros - 1))] = data.draw(st.integers(1, 255))
    plaintext = b"".join(files) + wrong
    pieces = [plaintext[at : at + step] for at in range(0, len(plaintext), step)]

    assert refused(lambda: list(body.split_files(pieces, map(len, files)))) == "malformed"

    anywhere = body.FilesAt(list(map(len, files)), lambda *_: None)
    assert refused(lambda: anywhere.write(0, memoryview(plaintext))) == "malformed"


@pytest.mark.parametrize(
    "sizes",
    [(), (1,), (5,), (PART_SIZE,), (PART_SIZE - 1, 1, 1), (5, PART_SIZE, PART_SIZE, 1), (0, 2 * PART_SIZE, 0, 3)],
)
@pytest.mark.parametrize("zeros", [0, 1, 7, PART_SIZE + 1])
def test_body_is_the_files_and_then_zeros(sizes: tuple[int, ...], zeros: int) -> None:
    files = [(io.BytesIO(content(at, size)), size) for at, size in enumerate(sizes)]
    pieces = list(body.read_padded(files, sum(sizes) + zeros))

    assert b"".join(pieces) == b"".join(content(at, size) for at, size in enumerate(sizes)) + bytes(zeros)
    assert all(len(piece) == PART_SIZE for piece in pieces[:-1])
    assert all(0 < len(piece) <= PART_SIZE for piece in pieces[-1:])


class Watched(io.BytesIO):
    """A file that keeps the sizes that it was asked for."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.asked: list[int | None] = []

    def read(self, size: int | None = -1, /) -> bytes:
        self.asked.append(size)
        return super().read(size)


def test_a_file_is_read_by_megabytes_and_one_byte_past_its_end() -> None:
    """A file that grows while it is sealed is not read into memory."""
    file = Watched(content(0, 16 * PART_SIZE + 2))

    list(body.read_padded([(file, 16 * PART_SIZE + 2)], 16 * PART_SIZE + 2))

    assert file.asked == [16 * PART_SIZE, 2, 1]


@pytest.mark.parametrize("actual", [b"", b"12", b"1234"])
def test_file_that_changed_since_it_was_measured_is_not_sealed(actual: bytes) -> None:
    sealed = envelope.seal(recipients(), letter_of(b"", (3,)))

    with pytest.raises(InputRefused):
        list(sealed.parts([(io.BytesIO(actual), 3)]))


def test_memory_does_not_grow_with_the_body() -> None:
    """Parts come one by one: the second file is not read before the first part is out."""
    read: list[int] = []

    class Measured(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            read.append(self.getbuffer().nbytes)
            return super().read(size)

    sealed = envelope.seal(recipients(), letter_of(b"", (PART_SIZE, 1)))
    parts = sealed.parts([(Measured(content(0, PART_SIZE)), PART_SIZE), (Measured(b"\x02"), 1)])
    next(parts)

    assert set(read) == {PART_SIZE}


# --- whole Envelopes --------------------------------------------------------------------------------------------------

BORDERS = (0, 1, PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 200_000)


@pytest.mark.parametrize("size", BORDERS)
@pytest.mark.parametrize("slots", [1, 3])
def test_envelope_round_trip_at_the_borders_of_parts(size: int, slots: int) -> None:
    data = seal(b"text", (size, 0, 5), slots, slots)

    for reader in range(slots):
        found, files, slot = open_as(data, reader)
        assert found == letter_of(b"text", (size, 0, 5))
        assert files == [content(0, size), b"", content(2, 5)]
        assert (slot.pair_key, slot.mailbox) == (PAIR, MAILBOX)


@FEW
@given(st.binary(min_size=1, max_size=100), st.lists(st.integers(0, 100_000), max_size=4), st.integers(1, 3))
def test_envelope_round_trip(message: bytes, lengths: list[int], chosen: int) -> None:
    data = seal(message, tuple(lengths), chosen)

    for reader in range(chosen):
        found, files, _ = open_as(data, reader)
        assert found.message == message
        assert files == [content(at, size) for at, size in enumerate(lengths)]
    for reader in range(chosen, 3):
        assert refused(partial(open_as, data, reader)) == "not-for-you"


# Contents of files, in few bytes that Hypothesis draws; the longest of them makes a body of two parts.
file_contents = st.lists(
    st.binary(max_size=300).flatmap(lambda some: st.sampled_from((some, some, some * 30, some * 500))), max_size=4
)


@FEW
@given(kinds, file_contents, st.data())
def test_any_letter_with_any_files_in_any_sessions(kind: Kind, contents: list[bytes], data: Any) -> None:
    """Each part may come from a session of its own; the reader gets the same letter and the same bytes."""
    named = [replace(data.draw(entries), size=len(one)) for one in contents]
    made = data.draw(letters(kind, named).filter(lambda made: made.message or made.files))
    sealed = envelope.seal(recipients(), made) if kind is Kind.TIP else seal_reply(PAIR, made)
    sessions = [parts_of(sealed, contents) for _ in range(3)]
    parts = [data.draw(st.sampled_from(same)) for same in zip(*sessions, strict=True)]
    written = whole(sealed, parts)
    if kind is Kind.TIP:
        found, files, slot = open_as(written)
        assert seals.check_digits(slot, hash_of(sealed, parts)) == sealed.check_digits(
            READERS[0][0], hash_of(sealed, parts)
        )
    else:
        reading = envelope.read_envelope(io.BytesIO(written), Kind.REPLY)
        found = open_reply(reading, PAIR)
        files, _ = read_files(reading, found)
        assert reading.end().id == seals.envelope_id(hash_of(sealed, parts))

    assert found == made
    assert files == contents


def test_a_session_seals_under_a_nonce_of_its_own() -> None:
    """16 bytes at the start of each part, one for all parts of a session; no two sessions have a byte in common."""
    sealed = envelope.seal(recipients(), letter_of(b"", (2 * PART_SIZE,)))
    one, other = (parts_of(sealed, [bytes(2 * PART_SIZE)]) for _ in range(2))

    assert [len(part) for part in one] == [ENVELOPE_PART_SIZE] * 2
    assert len({part[:SESSION_NONCE_SIZE] for part in one}) == len({part[:SESSION_NONCE_SIZE] for part in other}) == 1
    assert one[0][:SESSION_NONCE_SIZE] != other[0][:SESSION_NONCE_SIZE]
    assert one[0][SESSION_NONCE_SIZE:] != other[0][SESSION_NONCE_SIZE:]


def test_parts_are_made_again_under_a_nonce_that_is_given() -> None:
    """For comparing with what a server has stored: the same bytes when the file is the same, and only then."""
    sealed = envelope.seal(recipients(), letter_of(b"", (2 * PART_SIZE,)))
    data = content(0, 2 * PART_SIZE)
    stored = parts_of(sealed, [data])
    nonce = stored[0][:SESSION_NONCE_SIZE]

    assert list(sealed.parts([(io.BytesIO(data), len(data))], nonce)) == stored
    changed_file = data[:-1] + b"\x01"
    again = list(sealed.parts([(io.BytesIO(changed_file), len(data))], nonce))
    assert [one == other for one, other in zip(again, stored, strict=True)] == [True, False]


def test_a_nonce_does_not_pass_to_another_part() -> None:
    """Whoever has no key cannot put the nonce of one session before a part of another."""
    sealed = envelope.seal(recipients(), letter_of(b"text", (2 * PART_SIZE,)))
    one, other = (parts_of(sealed, [bytes(2 * PART_SIZE)]) for _ in range(2))
    for at in range(2):
        mixed = [*one[:at], other[at][:SESSION_NONCE_SIZE] + one[at][SESSION_NONCE_SIZE:], *one[at + 1 :]]
        assert refused(partial(open_as, whole(sealed, mixed))) == "tampered"


MANY: Final = 5 * 16 + 3
"""Parts: more than two threads begin before the first is waited for."""


@cache
def large() -> bytes:
    return seal(b"text", ((MANY - 1) * PART_SIZE, 7))


def opening_large(data: bytes) -> tuple[envelope.Reading, list[bytearray], Iterator[int]]:
    """What reads the large sample; its files, still zeros; and the work of two threads, by bytes."""
    reading = envelope.read_envelope(io.BytesIO(data), hashes=False)
    opened = header.open_slot(reading.header, READERS[0][0], lambda _: SEEDS[0])
    found = letter.open_letter(reading.header, opened.content_key, reading.letter)
    files = [bytearray(file.size) for file in found.files]

    def read(at: int, room: memoryview) -> int:
        there = data[at : at + len(room)]
        room[: len(there)] = there
        return len(there)

    def write(index: int, at: int, piece: memoryview) -> None:
        files[index][at : at + len(piece)] = piece

    return reading, files, envelope.open_files_at(reading, found, read, write)


def test_two_threads_open_a_large_body_as_one_does() -> None:
    reading, files, work = opening_large(large())
    assert sum(work) == reading.header.body_size

    assert files == [content(0, (MANY - 1) * PART_SIZE), content(1, 7)]
    assert reading.end() == envelope.read_envelope(io.BytesIO(large())).end()


@pytest.mark.parametrize("bad", [0, 15, 50, MANY - 1])
@pytest.mark.parametrize("cut", [False, True])
def test_the_first_part_that_is_wrong_names_the_error_and_ends_both_threads(bad: int, cut: bool) -> None:  # noqa: FBT001
    """Not the end that is missing behind it. Nothing of that part has come out."""
    running = threading.active_count()
    opening, parts, trailer = cut_up(large())
    parts[bad] = parts[bad][:-1] + bytes([parts[bad][-1] ^ 1])
    if cut:
        parts, trailer = parts[: bad + 20], b""
    _, files, work = opening_large(opening + b"".join(parts) + trailer)
    given = 0

    def take() -> None:
        nonlocal given
        for size in work:
            given += size

    assert refused(take) == "tampered"
    assert given == bad // 16 * 16 * PART_SIZE
    assert not any(files[0][given : (bad + 1) * PART_SIZE])
    assert threading.active_count() == running


def test_two_threads_miss_parts_that_are_not_there() -> None:
    opening, parts, _ = cut_up(large())
    for left in (0, 16, 40):
        *_, work = opening_large(opening + b"".join(parts[:left]) + parts[left][:-1])
        assert refused(lambda work=work: list(work)) == "incomplete"  # type: ignore[misc]


def test_who_wants_no_more_of_a_body_leaves_no_thread() -> None:
    running = threading.active_count()
    *_, work = opening_large(large())
    next(work)
    assert threading.active_count() > running
    del work
    assert threading.active_count() == running


def test_an_envelope_has_another_end_when_a_hash_is_left_out() -> None:
    data = seal(b"text", (3 * PART_SIZE,))
    end = envelope.read_envelope(io.BytesIO(data)).end()
    for left_out in (None, 0, 2):
        reading = envelope.read_envelope(io.BytesIO(data), hashes=False)
        for index, part in enumerate(list(reading.parts)):
            if index != left_out:
                reading.add_hashes(sha256(part))
        assert (reading.end() == end) == (left_out is None)


@pytest.mark.parametrize("count", [2, MANY - 1])
def test_batches_hold_the_parts_and_their_hashes(count: int) -> None:
    data = content(0, count * PART_SIZE)
    sealed = envelope.seal(recipients(), letter_of(b"", (len(data),)))
    nonce = bytes(SESSION_NONCE_SIZE)
    batches = list(sealed.batches([(io.BytesIO(data), len(data))], nonce))

    parts = list(sealed.parts([(io.BytesIO(data), len(data))], nonce))
    assert b"".join(batch for batch, _ in batches) == b"".join(parts)
    assert [one for _, hashes in batches for one in hashes] == [sha256(part) for part in parts]
    assert refused(lambda: list(sealed.batches([(io.BytesIO(data[:-1]), len(data))], nonce))) == "refused"

    whole = bytearray(sealed.header.envelope_size)
    rooms = sealed.batches([(io.BytesIO(data), len(data))], nonce, lambda at, size: memoryview(whole)[at : at + size])
    for _ in rooms:  # each is made at its place
        pass
    assert bytes(whole[sealed.header.opening_size :][: sealed.header.sealed_body_size]) == b"".join(parts)


def test_who_opens_the_files_also_sees_each_sealed_part() -> None:
    lengths = (PART_SIZE + 5, 0, 7)
    data = seal(b"text", lengths)
    _, parts, _ = cut_up(data)
    for see in (None, list[bytes]()):
        reading = envelope.read_envelope(io.BytesIO(data))
        files = [b""] * len(lengths)
        arguments = () if see is None else (see.append,)
        for index, piece in envelope.open_files(reading, letter_of(b"text", lengths), *arguments):
            files[index] += piece
        assert files == [content(at, size) for at, size in enumerate(lengths)]
        assert see in (None, parts)


@cache
def sample() -> bytes:
    return seal(b"text", (100_000, 3))


OTHER_TAGS = 2 * SEAL_SIZE
"""Bytes of the sample, at its end, that are not its first reader's."""


@QUICK
@given(st.data())
def test_envelope_refuses_every_change(data: Any) -> None:
    """But one of the other readers' tags alone, which says nothing to this one."""
    written = data.draw(changed(sample()))
    if len(written) == len(sample()) and written[:-OTHER_TAGS] == sample()[:-OTHER_TAGS]:
        assert open_as(written) == open_as(sample())
        return

    refused(lambda: open_as(written))


def flipped(at: int) -> bytes:
    data = bytearray(sample())
    data[at] ^= 0x10
    return bytes(data)


@pytest.mark.parametrize("at", [*range(0, 12_216, 97), *range(12_216, len(sample()) - 3 * SEAL_SIZE, 4999)])
def test_envelope_refuses_every_flipped_bit(at: int) -> None:
    """All over header, slots of all readers, letter and parts: opened by the one reader, nothing opens."""
    refused(lambda: open_as(flipped(at)))


@pytest.mark.parametrize("at", range(-3 * SEAL_SIZE, 0))
def test_each_reader_looks_at_its_own_tag_alone(at: int) -> None:
    hurt = (at + 3 * SEAL_SIZE) // SEAL_SIZE
    data = bytearray(seal(b"text", chosen=3))
    data[at] ^= 0x01

    for reader in range(3):
        if reader == hurt:
            assert refused(partial(open_as, bytes(data), reader)) == "forged"
        else:
            assert open_as(bytes(data), reader)[0].message == b"text"


def test_who_opens_one_slot_makes_no_other_reader_take_other_words() -> None:
    """It has content key and body key: letter and parts that it seals open, and have nobody's seal but its own."""
    sealed = envelope.seal(recipients(chosen=2), letter_of(b"text", (5,)))
    mine, theirs = sealed.slots[1], sealed.slots[0]
    assert mine is not None
    assert theirs is not None
    assert (mine.content_key, mine.seal_secret == theirs.seal_secret) == (theirs.content_key, False)
    lies = letter.seal_letter(sealed.header, mine.content_key, letter_of(b"lies", (5,)).encode(Kind.TIP))
    for other in (replace(sealed, letter=lies), sealed):
        parts = parts_of(other, [b"false"])
        tags = [seals.tag(sealed.header, mine, hash_of(other, parts))] * 3
        forged = other.opening + b"".join([*parts, *tags])
        assert refused(partial(open_as, forged, 0)) == "forged"
        assert open_as(forged, 1)[1] == [b"false"], "what it says to itself"


def test_check_digits_are_of_one_organisation_and_all_bytes_but_the_trailer() -> None:
    sealed = envelope.seal(recipients(chosen=2), letter_of(b"text", (5,)))
    one, other = ([part] for part in (parts_of(sealed, [b"words"])[0], parts_of(sealed, [b"words"])[0]))
    ids = [ident for ident, _ in READERS]
    digits = {sealed.check_digits(ident, hash_of(sealed, parts)) for ident in ids[:2] for parts in (one, other)}

    assert len(digits) == 4
    assert sealed.check_digits(ids[0], hash_of(sealed, one)) == sealed.check_digits(ids[0], hash_of(sealed, one))
    with pytest.raises(InputRefused):
        sealed.check_digits(ids[2], hash_of(sealed, one))


def test_the_tag_of_a_filler_looks_like_a_tag() -> None:
    """32 bytes for each slot, and those of fillers are new at each call."""
    sealed = envelope.seal(recipients(chosen=1), letter_of(b"text"))
    one, other = (sealed.trailer(hash_of(sealed)) for _ in range(2))

    assert len(one) == len(other) == 3 * SEAL_SIZE
    assert one[:SEAL_SIZE] == other[:SEAL_SIZE]
    assert len({trailer[at : at + SEAL_SIZE] for trailer in (one, other) for at in (32, 64)}) == 4


def test_hash_leaves_the_trailer_out_and_the_id_does_not() -> None:
    ends = []
    for data in (sample(), flipped(-1), flipped(-SEAL_SIZE * 3), flipped(-SEAL_SIZE * 3 - 1)):
        reading = envelope.read_envelope(io.BytesIO(data))
        ends.append(reading.end())
    hashes, ids = [end.hash for end in ends], [end.id for end in ends]

    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]
    assert len(set(ids)) == 4


@QUICK
@given(st.integers(0, len(sample()) - 1))
def test_envelope_cut_short_is_never_whole(size: int) -> None:
    assert refused(lambda: open_as(sample()[:size])) in {"truncated", "incomplete"}


def cut_up(data: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Header and letter, the parts, the trailer."""
    reading = envelope.read_envelope(io.BytesIO(data))
    return data[: reading.header.opening_size], list(reading.parts), reading.end().trailer


def test_parts_of_two_envelopes_do_not_mix() -> None:
    """The same letter, files and readers, sealed twice: no part of one opens in the other."""
    start, parts, trailer = cut_up(seal(b"text", (200_000,)))
    _, others, _ = cut_up(seal(b"text", (200_000,)))

    for at, other in enumerate(others):
        mixed = [*parts[:at], other, *parts[at + 1 :]]
        assert refused(partial(open_as, start + b"".join(mixed) + trailer)) == "tampered"


def test_parts_open_in_their_order_only() -> None:
    start, parts, trailer = cut_up(seal(b"text", (4 * PART_SIZE,)))
    one, two, three, four = parts

    for order in ([two, one, three, four], [one, one, three, four], [one, two, three, three], [four, two, three, one]):
        assert refused(partial(open_as, start + b"".join(order) + trailer)) == "tampered"
    assert refused(lambda: open_as(start + b"".join([one, two, three]) + trailer)) == "incomplete"
    assert refused(lambda: open_as(start + b"".join(parts) + trailer[:-1])) == "incomplete"
    assert refused(lambda: open_as(start + b"".join([*parts, four]) + trailer)) == "trailing"
    assert refused(lambda: open_as(start + b"".join(parts) + trailer + b"\x00")) == "trailing"


def test_first_part_with_the_last_flag_does_not_open() -> None:
    """Who seals may not end the body early: the count of parts is the header's."""
    sealed = envelope.seal(recipients(), letter_of(b"", (2 * PART_SIZE,)))
    short = replace(sealed.header, body_size=PART_SIZE)  # whose first part is its last
    short.__dict__["hash"] = sealed.header.hash
    [last] = body.seal_body(short, sealed.body_key, [bytes(PART_SIZE)])

    assert refused(lambda: open_as(whole(sealed, [last, last]))) == "tampered"


def test_sealing_twice_shares_no_byte_that_matters() -> None:
    """Salts, keys, slots, fillers and parts are new each time."""
    one, other = (envelope.read_envelope(io.BytesIO(seal(b"text", (10,), 1))) for _ in range(2))

    assert one.header.salt != other.header.salt
    assert one.header.content_commitment != other.header.content_commitment
    assert one.letter != other.letter
    assert one.end().hash != other.end().hash
    assert all(a.sealed != b.sealed for a, b in zip(one.header.slots, other.header.slots, strict=True))


def test_fillers_look_like_slots() -> None:
    """All of the same size, in the order of ids, whoever was chosen."""
    for chosen in (1, 2, 3):
        head = envelope.read_envelope(io.BytesIO(seal(b"text", chosen=chosen))).header
        assert [slot.organisation for slot in head.slots] == [ident for ident, _ in READERS]
        assert {len(slot.encode()) for slot in head.slots} == {SLOT_SIZE}


@pytest.mark.parametrize(("chosen", "slots", "error"), [(0, 3, InputRefused), (0, 0, LimitExceeded)])
def test_envelope_needs_a_reader(chosen: int, slots: int, error: type[TipboxError]) -> None:
    with pytest.raises(error):
        envelope.seal(recipients(chosen, slots), letter_of(b"x"))


def test_envelope_id_needs_no_key() -> None:
    given_case = case("envelope", "parts-two")
    reading = envelope.read_envelope(io.BytesIO(envelope_bytes(given_case["input"])))
    found, by_hashes, at_once = (seals.EnvelopeHash(reading.header.encoded, reading.letter) for _ in range(3))
    hashes: list[bytes] = []
    for part in reading.parts:
        found.add(part)
        by_hashes.add_hash(sha256(part))
        hashes.append(sha256(part))
    at_once.add_hashes(b"".join(hashes))
    end = reading.end()

    assert found.digest() == by_hashes.digest() == at_once.digest() == end.hash
    assert end.hash.hex() == given_case["output"]["hash"]
    assert seals.envelope_id(end.hash, end.trailer).hex() == end.id.hex() == given_case["output"]["id"]


def test_reading_takes_no_more_than_the_header_says() -> None:
    """A header that announces 2^40 bytes costs nothing: parts are read one by one."""
    made = Header(Kind.TIP, 8192, MAX_BODY, PAIR, PAIR, PAIR, (Slot(bytes(16), bytes(16), bytes(SLOT_SIZE - 32)),))
    file = Watched(made.encoded + bytes(8208) + bytes(100))

    reading = envelope.read_envelope(file)

    assert refused(lambda: list(reading.parts)) == "incomplete"
    assert max(size or 0 for size in file.asked) == ENVELOPE_PART_SIZE


def test_one_byte_past_the_end_is_read_and_no_more() -> None:
    file = Watched(sample() + bytes(100))

    reading = envelope.read_envelope(file)

    assert refused(reading.end) == "trailing"
    assert file.asked[-1] == 1


def test_two_slots_for_one_organisation_are_not_sealed() -> None:
    """No reader would take the Envelope."""
    with pytest.raises(InputRefused):
        envelope.seal(recipients(1, 1) * 2, letter_of(b"x"))


def test_largest_letter_that_the_rules_allow() -> None:
    """1,000 files, with the names and types that JSON makes longest, the longest message and the longest consent."""
    worst = FileEntry("\x01" * 255, MAX_BODY // MAX_FILES, '"' * 127)
    consent = replace(CONSENT, never=('"' * MAX_NEVER_TEXT,) * MAX_NEVER)
    full = letter_of(b"x" * MAX_MESSAGE)
    made = replace(full, files=(worst,) * MAX_FILES, consent=consent, continues=PAIR, files_follow=MAX_FILES_FOLLOW)
    sealed = envelope.seal(recipients(), made)
    head = Header.parse(sealed.header.encoded)
    opened = header.open_slot(head, READERS[0][0], lambda _: SEEDS[0])

    assert letter.open_letter(head, opened.content_key, sealed.letter) == made
    assert head.letter_size <= MAX_LETTER
