"""A refused request leaves nothing in memory: what was read of it is let go of before the answer, not by a collection.

An error holds the frames that it passed, they hold what was read of a body, and one that is named where it is raised
holds itself: all of that would lie there until somebody collects garbage.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from faults.memory_search import holders, marked_words
from plain.forms import BOUNDARY, Door, form
from support.sealed import Box, Organisation, Sent, envelope, keys_folder, three
from support.server import Here
from tipbox.formats.request_file import RequestFile

SEND, ASK = "/plain/en/", "/plain/en/answers"
END = f"--{BOUNDARY}--\r\n".encode()


@pytest.fixture(scope="module")
def organisations() -> list[Organisation]:
    return three()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, organisations: list[Organisation]) -> Iterator[Here]:
    folder = tmp_path_factory.mktemp("let-go")
    server = Here(folder / "home", keys_folder(folder / "keys", organisations))
    yield server
    server.close()


@pytest.fixture(scope="module")
def door(here: Here) -> Iterator[Door]:
    opened = Door(here.home)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def begun(here: Here, organisations: list[Organisation]) -> Sent:
    """An upload that was begun."""
    sent = envelope(organisations, 300_000)
    here.open(sent)
    return sent


@contextmanager
def uncollected() -> Iterator[None]:
    """Nobody collects garbage."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_forms_leave_nothing(door: Door, begun: Sent) -> None:
    """Plain text, or plain text behind the first bytes of what is sealed."""
    cases = {
        "not sealed": (SEND, "tip", BOUNDARY, 5000, None),
        "another field": (SEND, "photo", BOUNDARY, 5000, None),
        "another boundary": (SEND, "tip", "another", 5000, None),
        "too large": (SEND, "tip", BOUNDARY, 5000, 1 << 50),
        "cut off": (SEND, "tip", BOUNDARY, 5000, 200_000),
        "no request": (ASK, "file", BOUNDARY, 5000, None),
        "as large as a request": (ASK, "file", BOUNDARY, 1024, None),
        "no request, large": (ASK, "file", BOUNDARY, 200_000, None),
        "pasted": (ASK, "text", BOUNDARY, 1500, None),
        "pasted, too long": (ASK, "text", BOUNDARY, 5000, None),
        "no field of requests": (ASK, "photo", BOUNDARY, 5000, None),
        "no such page": ("/plain/xx/", "tip", BOUNDARY, 5000, None),
    }
    with uncollected():
        sent = marked_words([*cases, *(f"sealed, it seems: {name}" for name in cases)])
        for name, word in sent.items():
            path, field, boundary, size, length = cases[name.removeprefix("sealed, it seems: ")]
            start = b"" if name in cases else begun.start[:16]
            body = form((start + word * size)[:size], field=field, boundary=boundary)
            status = door.post(body, path, length=length).status_code
            assert status >= 400 or name not in cases, name
            del body
        del word
        assert holders(sent) == {}


def test_a_code_beside_a_request_leaves_nothing(door: Door) -> None:
    request = form(RequestFile(tuple(sorted(Box().tokens))).encode(), field="file").removesuffix(END)
    with uncollected():
        sent = marked_words(["beside"])
        status = door.post(request + form(sent["beside"] * 5, field="text"), ASK).status_code
        assert status == 400
        assert holders(sent) == {}


def test_requests_leave_nothing(here: Here, begun: Sent) -> None:
    """Plain text, or plain text behind the first bytes of what is sealed."""
    cases = [
        (method, path, start)
        for method, path in (
            ("PUT", "/api/envelope"),
            ("PUT", "/api/envelope/parts/0"),
            ("POST", "/api/envelope/finish"),
            ("POST", "/api/capsule"),
            ("POST", "/api/mailbox"),
            ("POST", "/api/mailbox/piece"),
            ("POST", "/api/mailbox/delete"),
            ("POST", "/send"),
            ("DELETE", "/en/"),
        )
        for start in (b"", begun.start[:16])
    ]
    with uncollected():
        sent = marked_words(map(str, cases))
        for method, path, start in cases:
            word = sent[str((method, path, start))]
            assert here.refused(method, path, start + word * 300, begun) >= 400, path
        del word
        assert holders(sent) == {}


def test_the_control() -> None:
    """An error that is named where it is raised holds itself with all that is beside it."""

    def refuse(held: bytes) -> None:
        error = ValueError(len(held))
        raise error

    with uncollected():
        sent = marked_words(["held"])
        with pytest.raises(ValueError, match="40"):
            refuse(sent["held"] * 2)
        assert "frame" in holders(sent)["held"]
