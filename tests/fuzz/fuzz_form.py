"""Fuzzes the reader of forms with files: it reads the same fields however they come, and holds to its bounds."""

import io

import atheris

with atheris.instrument_imports(include=["multipart", "tipbox"]):
    from tipbox.errors import LimitExceeded, Malformed
    from tipbox.server.plain.form_reader import LONGEST_BOUNDARY, MOST_FIELDS, Form
    from tipbox.server.uploads.intake import Cut

from harness import run

BOUNDARY = b"XyZ"
FIELD = b'--XyZ\r\nContent-Disposition: form-data; name="tip"; filename="a"\r\nContent-Type: a/b\r\n\r\n'


class Line:
    """A body that comes so many bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data = io.BytesIO(data)
        self._step = step

    def read1(self, size: int) -> bytes:
        return self._data.read(min(size, self._step))

    read = read1


def outcome(data: bytes, step: int, kind: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    try:
        fields = Form(Line(data, step), kind, len(data)).fields()
        found.extend((field.name, field.read(len(data))) for field in fields)
    except (Cut, Malformed, LimitExceeded) as error:
        found.append((type(error).__name__, b""))
    return found


def target(data: bytes) -> None:
    if len(data) < 3:
        return
    step, own, body = data[0] + 1, data[1], data[2:2000]  # longer ones only take longer
    kind = "multipart/form-data; boundary=XyZ"
    if own & 1:  # a type of the fuzzer's own
        written, _, body = body.partition(b"\n")
        kind = f"multipart/form-data; boundary={written.decode('latin-1')}"
    if own & 2:  # the fuzzer need not find the boundary
        body = body.replace(b"\x00", b"\r\n" + FIELD).replace(b"\x01", b"\r\n--XyZ--\r\n").lstrip(b"\r\n")
    found = outcome(body, step, kind)
    assert found == outcome(body, 100_000, kind)
    assert len(found) <= MOST_FIELDS + 1
    assert sum(len(one) for _, one in found) <= len(body)


SEEDS = [
    b"\x05\x02\x00abc\x00\x01",
    b"\x00\x02\x00" + b"x" * 300 + b"\x00\r\n--Xy\x01",
    b"\x40\x00" + FIELD + b"abc\r\n--XyZ--\r\n",
    b"\x40\x01" + b"b" * LONGEST_BOUNDARY + b"\n--" + b"b" * LONGEST_BOUNDARY + b"--",
    b"\x01\x02" + b"\x00" * 130,
]
run(target, SEEDS)
