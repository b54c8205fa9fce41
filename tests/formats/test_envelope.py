"""Header, slots, letter, body and whole Envelopes: round trips, and that no change of a byte goes unseen."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.organisations import FEW, QUICK, b64, case, changed, json_values, languages, refused, text
from tipbox.errors import InputRefused, LimitExceeded, TipboxError
from tipbox.formats import manifest as keys
from tipbox.formats.base import padding
from tipbox.formats.base.limits import MAX_BODY, MAX_FILES, MAX_LETTER, MAX_MESSAGE, MAX_SLOTS, PART_SIZE
from tipbox.formats.base.primitives import seal_part, xwing_public
from tipbox.formats.envelopes import body, envelope, header, letter
from tipbox.formats.envelopes.header import Header, KeyState, Slot
from tipbox.formats.envelopes.letter import FileEntry, Letter

SEEDS = [bytes([n]) * 32 for n in range(3)]
READERS = [(bytes([n]) * 16, xwing_public(seed)) for n, seed in enumerate(SEEDS, 1)]
PAIR = bytes(range(32))


def recipients(chosen: int = 1, slots: int = 3) -> list[envelope.Recipient]:
    return [
        envelope.Recipient(ident, keys.key_id(public), public, PAIR if at < chosen else None)
        for at, (ident, public) in enumerate(READERS[:slots])
    ]


def letter_of(message: bytes = b"", sizes: tuple[int, ...] = ()) -> Letter:
    files = tuple(FileEntry(f"file {at}", size, "") for at, size in enumerate(sizes))
    return Letter(message, files, bytes(range(1, 33)), bytes(16))


def content(at: int, size: int) -> bytes:
    return (bytes([at + 1, 7, 0, 255]) * (size // 4 + 1))[:size]


def seal(message: bytes = b"", sizes: tuple[int, ...] = (), chosen: int = 1, slots: int = 3) -> bytes:
    sealed = envelope.seal(recipients(chosen, slots), letter_of(message, sizes))
    parts = sealed.parts((io.BytesIO(content(at, size)), size) for at, size in enumerate(sizes))
    return sealed.header.encoded + sealed.letter + b"".join(parts)


def open_as(data: bytes, reader: int = 0) -> tuple[Letter, list[bytes], bytes]:
    """Open an Envelope to its last byte: the letter, the files' bytes, the pair key."""
    reading = envelope.read_envelope(io.BytesIO(data))
    opened = header.open_slot(reading.header, READERS[reader][0], lambda _: SEEDS[reader])
    found = letter.open_letter(reading.header, opened.content_key, reading.letter)
    files = [b""] * len(found.files)
    pieces = body.open_body(reading.header, found.body_key, reading.parts)
    for index, piece in body.split_files(pieces, [file.size for file in found.files]):
        files[index] += piece
    return found, files, opened.pair_key


# --- header -----------------------------------------------------------------------------------------------------------

sizes = st.integers(0, MAX_LETTER).map(padding.letter_size).filter(lambda size: size <= MAX_LETTER)
bodies = st.integers(0, MAX_BODY).map(padding.padme).filter(lambda size: size <= MAX_BODY)
slots = st.lists(
    st.builds(
        Slot,
        st.binary(min_size=16, max_size=16),
        st.binary(min_size=16, max_size=16),
        st.integers(0, 255).map(lambda byte: bytes([byte]) * 1200),
    ),
    min_size=1,
    max_size=MAX_SLOTS,
    unique_by=lambda slot: slot.organisation,
).map(lambda made: tuple(sorted(made, key=lambda slot: slot.organisation)))
secrets = st.binary(min_size=32, max_size=32)
headers = st.builds(Header, sizes, bodies, secrets, secrets, secrets, slots)


@QUICK
@given(headers)
def test_header_round_trip(made: Header) -> None:
    assert Header.parse(made.encoded) == made
    assert header.header_size(made.encoded[:10]) == len(made.encoded)


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
    """A slot whose plaintext is not 64 bytes is not read as two keys."""
    reading = envelope.read_envelope(io.BytesIO(seal(b"x")))

    assert refused(lambda: header.open_slot(reading.header, b"short", lambda _: SEEDS[0])) == "malformed"


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
replies = st.one_of(
    st.just((b"", b"")),
    st.tuples(st.binary(min_size=32, max_size=32), st.integers(0, 255).map(lambda n: bytes([n]) * 1216)),
)


@st.composite
def letters(draw: st.DrawFn) -> Letter:
    mailbox, reply_key = draw(replies)
    consent = draw(st.none() | st.dictionaries(st.sampled_from("abc"), json_values, max_size=2))
    return Letter(
        message=draw(st.binary(max_size=300)) * draw(st.sampled_from((1, 1, 1, 40, 400))),
        files=tuple(draw(st.lists(entries, max_size=5))),
        body_key=draw(st.binary(min_size=32, max_size=32)),
        id=draw(st.binary(min_size=16, max_size=16)),
        kind=draw(st.sampled_from(letter.KINDS)),
        language=draw(st.just("") | languages),
        mailbox=mailbox,
        reply_key=reply_key,
        consent=consent,
        sections=draw(st.none() | st.lists(text(20), max_size=3).map(tuple)),
    )


@QUICK
@given(letters())
def test_letter_round_trip(made: Letter) -> None:
    try:
        plaintext = made.encode()
    except TipboxError as error:  # a consent nested too deeply
        assert error.code == "malformed"  # noqa: PT017
        return

    assert Letter.parse(plaintext) == made
    assert padding.letter_size(len(plaintext)) == len(plaintext)


@QUICK
@given(st.data())
def test_letter_is_read_exactly_or_refused(data: Any) -> None:
    """Also whoever seals is a stranger: their plaintext has one reading or none."""
    made = letter_of(b"message", (1, 2)).encode()
    written = data.draw(changed(made[:500]).map(lambda start: start.ljust(8192, b"\x00")) | changed(made) | st.binary())
    try:
        found = Letter.parse(written)
    except TipboxError:
        return

    assert found.encode() == written


def test_letter_does_not_show_in_repr() -> None:
    made = replace(letter_of(b"who did it", (12345,)), mailbox=bytes(32), reply_key=bytes(1216))

    assert repr(made) == f"Letter(id={bytes(16)!r}, kind='tip', language='')"


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


@QUICK
@given(st.lists(st.binary(max_size=20), max_size=4), st.integers(1, 30), st.integers(1, 20), st.data())
def test_body_padding_is_zeros(files: list[bytes], zeros: int, step: int, data: Any) -> None:
    wrong = bytearray(zeros)
    wrong[data.draw(st.integers(0, zeros - 1))] = data.draw(st.integers(1, 255))
    plaintext = b"".join(files) + wrong
    pieces = [plaintext[at : at + step] for at in range(0, len(plaintext), step)]

    assert refused(lambda: list(body.split_files(pieces, map(len, files)))) == "malformed"


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


def test_a_file_is_read_by_parts_and_one_byte_past_its_end() -> None:
    """A file that grows while it is sealed is not read into memory."""
    asked: list[int | None] = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            asked.append(size)
            return super().read(size)

    list(body.read_padded([(Watched(content(0, PART_SIZE + 2)), PART_SIZE + 2)], PART_SIZE + 2))

    assert asked == [PART_SIZE, 2, 1]


@pytest.mark.parametrize("actual", [b"", b"12", b"1234"])
def test_file_that_changed_since_it_was_measured_is_not_sealed(actual: bytes) -> None:
    sealed = envelope.seal(recipients(), letter_of(b"", (3,)))

    with pytest.raises(InputRefused):
        list(sealed.parts([(io.BytesIO(actual), 3)]))


def test_memory_does_not_grow_with_the_body() -> None:
    """Parts come one by one: the second file is not read before the first part is out."""
    read: list[int] = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            read.append(self.getbuffer().nbytes)
            return super().read(size)

    sealed = envelope.seal(recipients(), letter_of(b"", (PART_SIZE, 1)))
    parts = sealed.parts([(Watched(content(0, PART_SIZE)), PART_SIZE), (Watched(b"\x02"), 1)])
    next(parts)

    assert set(read) == {PART_SIZE}


# --- whole Envelopes --------------------------------------------------------------------------------------------------

BORDERS = (0, 1, PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 200_000)


@pytest.mark.parametrize("size", BORDERS)
@pytest.mark.parametrize("slots", [1, 3])
def test_envelope_round_trip_at_the_borders_of_parts(size: int, slots: int) -> None:
    data = seal(b"text", (size, 0, 5), slots, slots)

    for reader in range(slots):
        found, files, pair_key = open_as(data, reader)
        assert found == letter_of(b"text", (size, 0, 5))
        assert files == [content(0, size), b"", content(2, 5)]
        assert pair_key == PAIR


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


def test_who_opens_the_files_also_sees_each_sealed_part() -> None:
    lengths = (PART_SIZE + 5, 0, 7)
    data = seal(b"text", lengths)
    _, parts = cut_up(data)
    seen: list[bytes] = []
    for see in ((), (seen.append,)):
        reading = envelope.read_envelope(io.BytesIO(data))
        files = [b""] * len(lengths)
        for index, piece in envelope.open_files(reading, letter_of(b"text", lengths), *see):
            files[index] += piece
        assert files == [content(at, size) for at, size in enumerate(lengths)]
    assert seen == parts


@cache
def sample() -> bytes:
    return seal(b"text", (100_000, 3))


@QUICK
@given(st.data())
def test_envelope_refuses_every_change(data: Any) -> None:
    written = data.draw(changed(sample()))

    refused(lambda: open_as(written))


@pytest.mark.parametrize("at", range(0, 8192 + 3816 + 32, 97))
def test_envelope_refuses_every_flipped_bit(at: int) -> None:
    """All over header, slots of all readers, letter and first part: opened by the one reader, nothing opens."""
    data = bytearray(sample())
    data[at] ^= 0x10

    refused(lambda: open_as(bytes(data)))


@QUICK
@given(st.integers(0, len(sample()) - 1))
def test_envelope_cut_short_is_never_whole(size: int) -> None:
    assert refused(lambda: open_as(sample()[:size])) in {"truncated", "incomplete"}


def cut_up(data: bytes) -> tuple[bytes, list[bytes]]:
    reading = envelope.read_envelope(io.BytesIO(data))
    return data[: len(reading.header.encoded) + len(reading.letter)], list(reading.parts)


def test_parts_of_two_envelopes_do_not_mix() -> None:
    """The same letter, files and readers, sealed twice: no part of one opens in the other."""
    start, parts = cut_up(seal(b"text", (200_000,)))
    _, others = cut_up(seal(b"text", (200_000,)))

    for at, other in enumerate(others):
        mixed = [*parts[:at], other, *parts[at + 1 :]]
        assert refused(partial(open_as, start + b"".join(mixed))) == "tampered"


def test_parts_open_in_their_order_only() -> None:
    start, parts = cut_up(seal(b"text", (4 * PART_SIZE,)))
    one, two, three, four = parts

    for order in ([two, one, three, four], [one, one, three, four], [one, two, three, three], [four, two, three, one]):
        assert refused(partial(open_as, start + b"".join(order))) == "tampered"
    assert refused(lambda: open_as(start + b"".join([one, two, three]))) == "incomplete"
    assert refused(lambda: open_as(start + b"".join([*parts, four]))) == "trailing"


def test_first_part_with_the_last_flag_does_not_open() -> None:
    """Who seals may not end the body early: the count of parts is the header's."""
    sealed = envelope.seal(recipients(), letter_of(b"", (2 * PART_SIZE,)))
    cipher = body._cipher(sealed.header, sealed.body_key)
    parts = [seal_part(cipher, at, bytes(PART_SIZE), last=True) for at in range(2)]

    assert refused(lambda: open_as(sealed.header.encoded + sealed.letter + b"".join(parts))) == "tampered"


def test_sealing_twice_shares_no_byte_that_matters() -> None:
    """Salts, keys, slots, fillers and parts are new each time."""
    one, other = (envelope.read_envelope(io.BytesIO(seal(b"text", (10,), 1))) for _ in range(2))

    assert one.header.salt != other.header.salt
    assert one.header.content_commitment != other.header.content_commitment
    assert one.letter != other.letter
    assert all(a.sealed != b.sealed for a, b in zip(one.header.slots, other.header.slots, strict=True))


def test_fillers_look_like_slots() -> None:
    """All of the same size, in the order of ids, whoever was chosen."""
    for chosen in (1, 2, 3):
        head = envelope.read_envelope(io.BytesIO(seal(b"text", chosen=chosen))).header
        assert [slot.organisation for slot in head.slots] == [ident for ident, _ in READERS]
        assert {len(slot.encode()) for slot in head.slots} == {1232}


@pytest.mark.parametrize(("chosen", "slots", "error"), [(0, 3, InputRefused), (0, 0, LimitExceeded)])
def test_envelope_needs_a_reader(chosen: int, slots: int, error: type[TipboxError]) -> None:
    with pytest.raises(error):
        envelope.seal(recipients(chosen, slots), letter_of(b"x"))


def test_envelope_id_needs_no_key() -> None:
    given_case = case("envelope", "parts-two")
    reading = envelope.read_envelope(io.BytesIO(b64(given_case["input"]["envelope"])))
    found = envelope.EnvelopeId(reading.header.encoded, reading.letter)
    for part in reading.parts:
        found.add(part)

    assert found.digest().hex() == given_case["output"]["id"]


def test_reading_takes_no_more_than_the_header_says() -> None:
    """A header that announces 2^40 bytes costs nothing: parts are read one by one."""
    made = Header(8192, MAX_BODY, PAIR, PAIR, PAIR, (Slot(bytes(16), bytes(16), bytes(1200)),))
    asked: list[int] = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            asked.append(size or 0)
            return super().read(size)

    reading = envelope.read_envelope(Watched(made.encoded + bytes(8208) + bytes(100)))

    assert refused(lambda: list(reading.parts)) == "incomplete"
    assert max(asked) == PART_SIZE + 16


def test_one_byte_past_the_end_is_read_and_no_more() -> None:
    asked: list[int | None] = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            asked.append(size)
            return super().read(size)

    reading = envelope.read_envelope(Watched(sample() + bytes(100)))

    assert refused(lambda: list(reading.parts)) == "trailing"
    assert asked[-1] == 1


def test_two_slots_for_one_organisation_are_not_sealed() -> None:
    """No reader would take the Envelope."""
    with pytest.raises(InputRefused):
        envelope.seal(recipients(1, 1) * 2, letter_of(b"x"))


def test_largest_letter_that_the_rules_allow() -> None:
    """1,000 files, with the names and types that JSON makes longest, and the longest message."""
    worst = FileEntry("\x01" * 255, MAX_BODY // MAX_FILES, '"' * 127)
    made = replace(letter_of(b"x" * MAX_MESSAGE), files=(worst,) * MAX_FILES, mailbox=PAIR, reply_key=READERS[0][1])
    sealed = envelope.seal(recipients(), made)
    head = Header.parse(sealed.header.encoded)
    opened = header.open_slot(head, READERS[0][0], lambda _: SEEDS[0])

    assert letter.open_letter(head, opened.content_key, sealed.letter) == made
    assert head.letter_size <= MAX_LETTER
