"""The reader of forms: the same fields however they come, and an end to what is none."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plain.forms import BOUNDARY, TYPE, form
from support.organisations import QUICK, changed
from tipbox.errors import LimitExceeded, Malformed
from tipbox.server.plain.form_reader import LONGEST_LINE, MOST_FIELDS, MOST_LINES, UNSEEN, BrokenForm, Form
from tipbox.server.uploads.intake import Cut

Read = list[tuple[str, bytes]]


class Line:
    """A body that comes so many bytes at a time."""

    def __init__(self, data: bytes, step: int = 70_000) -> None:
        self._data = io.BytesIO(data)
        self._step = step
        self.given = 0

    def read1(self, size: int) -> bytes:
        data = self._data.read(min(size, self._step))
        self.given += len(data)
        return data

    read = read1


def fields(data: bytes, *, step: int = 70_000, kind: str = TYPE, length: int | None = None) -> Read:
    read = Form(Line(data, step), kind, len(data) if length is None else length)
    return [(field.name, field.read(10**9)) for field in read.fields()]


@QUICK
@given(
    st.lists(st.binary(max_size=3000) | st.just(b"\r\n--" + BOUNDARY[:-1].encode()), max_size=5), st.integers(1, 500)
)
def test_fields_are_the_same_however_they_come(files: list[bytes], step: int) -> None:
    assert fields(form(*files), step=step) == [("tip", file) for file in files]


@QUICK
@given(changed(form(b"one" * 300, b"two")), st.integers(1, 300))
def test_a_changed_form_is_read_or_refused(data: bytes, step: int) -> None:
    """And the same way, whatever came at a time."""

    def outcome(step: int) -> Read | str:
        try:
            return fields(data, step=step)
        except (Cut, Malformed, LimitExceeded) as error:
            return type(error).__name__

    assert outcome(step) == outcome(70_000)


def test_what_a_file_is_called_is_kept_nowhere() -> None:
    data = form(b"x" * 10, name="канарейка-4711.jpg")
    segment = next(Form(Line(data), TYPE, len(data))._events)

    assert (segment.name, segment.filename, segment.content_type) == ("tip", None, None)
    assert segment.headerlist == [("Content-Disposition", 'form-data; name="tip"')]


def test_little_of_a_field_is_taken_before_it_was_looked_at() -> None:
    data = form(b"x" * 100_000)
    line = Line(data)
    read = Form(line, TYPE, len(data))
    field = next(read.fields())
    field.read(16)
    assert line.given <= len(BOUNDARY) + 2 + UNSEEN
    read.trust()
    field.read(30_000)
    assert line.given > 60_000


NAMED = b'\r\nContent-Disposition: form-data; name="b"'
HOSTILE: dict[str, Callable[[], tuple[bytes, str]]] = {
    "a thousand fields": lambda: (form(*[b""] * 1000), TYPE),
    "one field too many": lambda: (form(*[b""] * (MOST_FIELDS + 1)), TYPE),
    "a boundary without end": lambda: (b"--" + b"A" * 100_000, TYPE),
    "something before the boundary": lambda: (b"preamble\r\n" + form(b"x"), TYPE),
    "a line without end": lambda: (form(b"x", name="n" * (LONGEST_LINE + 1)), TYPE),
    "lines without end": lambda: (form(b"x").replace(b"\r\nContent-Type", b"\r\nX: y" * MOST_LINES + b"\r\nC"), TYPE),
    "nested": lambda: (form(form(b"x"), boundary="outer").replace(b"outer", BOUNDARY.encode()), TYPE),
    "no name": lambda: (form(b"x").replace(b'name="tip"', b'nom="tip"'), TYPE),
    "two names": lambda: (form(b"x").replace(b"\r\nContent-Type: ", NAMED + b"\r\nX: "), TYPE),
    "a name in capitals": lambda: (form(b"x", field="TIP"), TYPE),
    "no last boundary": lambda: (form(b"x" * 100)[:-10], TYPE),
    "nothing": lambda: (b"", TYPE),
    "only the boundary": lambda: (f"--{BOUNDARY}".encode(), TYPE),
    "no type": lambda: (form(b"x"), ""),
    "another type": lambda: (form(b"x"), TYPE.replace("form-data", "mixed")),
    "no boundary": lambda: (form(b"x"), "multipart/form-data"),
    "an empty boundary": lambda: (form(b"x"), 'multipart/form-data; boundary=""'),
    "a long boundary": lambda: (form(b"x", boundary="b" * 71), f"multipart/form-data; boundary={'b' * 71}"),
    "a long type": lambda: (form(b"x"), TYPE + "; x=" + "y" * 300),
}  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_is_no_form_is_refused(hostile: str) -> None:
    data, kind = HOSTILE[hostile]()
    if hostile == "nested":  # the inner form's end is the outer one's: what follows is not read
        assert len(fields(data, kind=kind)) <= 2
        return
    with pytest.raises((BrokenForm, Malformed, LimitExceeded)):
        fields(data, kind=kind)


def test_a_form_that_ends_before_its_length_is_a_broken_line() -> None:
    data = form(b"x" * 5000)
    with pytest.raises(Cut) as raised:
        fields(data[:3000], length=len(data))
    assert not isinstance(raised.value, BrokenForm)


def test_a_form_that_is_longer_than_its_length_is_cut_there() -> None:
    data = form(b"x" * 5000)
    with pytest.raises(BrokenForm):
        fields(data, length=3000)
