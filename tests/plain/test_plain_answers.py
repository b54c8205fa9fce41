"""Answers by files: the same lists and pieces as by requests, and nothing for what is no request file."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

import pytest

from plain.forms import BOUNDARY, Door, Said, cut, form
from support.sealed import Box, Sent, envelope, inward, keys_folder, three
from support.server import Here
from tipbox.formats.base.limits import MAILBOX_LIST, MAILBOX_PIECE
from tipbox.formats.mailbox_list import MailboxList
from tipbox.formats.request_file import ANSWER_PIECE, AnswerPiece, RequestFile
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import import_bundles
from tipbox.server.home import Home

PATH = "/plain/en/answers"


class Waiting:
    """A server with a reply of two pieces in a mailbox."""

    def __init__(self, door: Door, box: Box, reply: Sent) -> None:
        self.door, self.box, self.reply = door, box, reply

    def ask(self, file: bytes = b"", text: bytes = b"") -> tuple[int, bytes, str]:
        body = form(file, field="file")[: -len(f"--{BOUNDARY}--\r\n")]
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="text"\r\n\r\n'.encode()
        answer = self.door.post(body + text + f"\r\n--{BOUNDARY}--\r\n".encode(), PATH)
        return answer.status_code, answer.get_data(), answer.content_type or ""

    @property
    def tokens(self) -> tuple[bytes, ...]:
        return tuple(sorted(self.box.tokens))


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waiting]:
    folder = tmp_path_factory.mktemp("answers")
    organisations = three()
    server = Here(folder / "home", keys_folder(folder / "keys", organisations))
    box = Box()
    reply = box.reply(400_000)
    outward = organisations[0].read(write_volumes(server.home, organisations[0].name, folder / "out")[0])
    import_bundles(server.home, [inward(folder / "in", organisations[0], outward, [box.item(reply)])])
    server.close()
    door = Door(server.home)
    yield Waiting(door, box, reply)
    door.close()
    assert Home(server.home).database.exists()


def test_a_reply_is_read_with_files_alone(waiting: Waiting) -> None:
    status, data, kind = waiting.ask(RequestFile(waiting.tokens).encode())
    assert (status, len(data), kind) == (200, MAILBOX_LIST, "application/octet-stream")
    (entry,) = MailboxList.parse(data).entries
    assert entry.id == waiting.reply.id

    pieces = []
    for number in reversed(range(-(-entry.size // MAILBOX_PIECE))):
        status, data, _ = waiting.ask(RequestFile(waiting.tokens, entry.id, number).encode())
        assert (status, len(data)) == (200, ANSWER_PIECE)
        pieces.append(AnswerPiece.parse(data))
    whole = b"".join(piece.data for piece in sorted(pieces, key=lambda piece: piece.number))
    assert {piece.reply for piece in pieces} == {entry.id}
    assert whole[: entry.size] == waiting.reply.whole
    assert not whole[entry.size :].strip(b"\0")


def test_pasted_is_the_same(waiting: Waiting) -> None:
    request = RequestFile(waiting.tokens).encode()
    text = base64.b64encode(request)
    lines = b"\r\n".join(re.findall(rb".{1,76}", text))
    assert waiting.ask(text=lines) == waiting.ask(text=text) == waiting.ask(request)


def test_what_is_unknown_has_the_same_size(waiting: Waiting) -> None:
    empty = Box()
    tokens = tuple(sorted(empty.tokens))
    status, data, _ = waiting.ask(RequestFile(tokens).encode())
    assert (status, len(data), MailboxList.parse(data).entries) == (200, MAILBOX_LIST, ())
    status, data, _ = waiting.ask(RequestFile(tokens, waiting.reply.id, 0).encode())
    assert (status, AnswerPiece.parse(data).data) == (200, bytes(MAILBOX_PIECE))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (bytes(1024), b""),
        (b"short", b""),
        (b"", b"no base64!"),
        (b"", b"A" * 3000),
        (b"x" * 1060, b""),
    ],
)
def test_what_is_no_request_file_is_told(waiting: Waiting, file: bytes, text: bytes) -> None:
    status, data, _ = waiting.ask(file, text)
    assert (status, Said(status, data.decode()).heading) == (400, "This is no request file")
    # Nobody looks whether it was a code; whoever typed one must hear that it is no secret any more.
    assert "If it was your code: this site could have read it." in data.decode()


@pytest.mark.parametrize("text", [b"", b" \r\n"])
def test_a_form_with_nothing_in_it_is_told_so_and_no_code_is_given_up(waiting: Waiting, text: bytes) -> None:
    """The button was pressed too early, or the file is empty: a stick was pulled out while it was saved."""
    status, data, _ = waiting.ask(b"", text)
    assert (status, Said(status, data.decode()).heading) == (400, "This is no request file")
    assert "could have read" not in data.decode()


def test_who_pastes_a_code_beside_a_request_file_hears_that_it_is_no_secret_any_more(waiting: Waiting) -> None:
    whole = RequestFile(waiting.tokens).encode()
    status, data, _ = waiting.ask(whole, b"005192 123456 123456 123456 123456 123456")
    assert (status, Said(status, data.decode()).heading) == (400, "This is no request file")
    assert "If it was your code: this site could have read it." in data.decode()
    status, _, _ = waiting.ask(whole, b"\n")
    assert status == 200


def test_a_sealed_file_is_told_where_it_belongs(waiting: Waiting) -> None:
    """The two fields are easily taken for each other, and nothing was given away: a tip, whole or in pieces."""
    tip = envelope(three(), 400_000)
    for file in (tip.whole, *cut(tip, 4), envelope(three()).whole, tip.whole[:16]):
        status, data, _ = waiting.ask(file)
        said = Said(status, data.decode())
        assert (status, said.heading) == (400, "This file is sealed already")
        assert "Choose it in the upper field" in said.text
        assert "could have read" not in said.text
        assert 'name="tip"' in said.text


@pytest.mark.parametrize("size", [1061, 15_000, 60_000])
def test_a_larger_file_is_refused_as_one_that_is_not_sealed(waiting: Waiting, size: int) -> None:
    status, data, _ = waiting.ask(b"\xff" * size)
    assert (status, Said(status, data.decode()).heading) == (400, "This file is not sealed")


def test_a_field_that_is_not_there_is_no_request(waiting: Waiting) -> None:
    answer = waiting.door.post(form(b"x", field="other"), PATH)
    assert Said(answer.status_code, answer.get_data(as_text=True)).heading == "This is no request file"
