"""docs/protocol.md against the real process, over TCP and over a unix socket with Tor's circuit line."""

from __future__ import annotations

import base64
import dataclasses
import json
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from support.client import Answer, Client, bearer
from support.loopback import until
from support.sealed import PART, Box, Organisation, Sent, envelope, keys_folder
from support.server import Server, start
from tipbox.formats.base.padding import padme
from tipbox.formats.base.primitives import random_bytes, sha256
from tipbox.formats.envelopes.header import Header
from tipbox.server.storage.models import Draft, Envelope, FinishedToken, Run, Slot
from tipbox.server.uploads.drafts import LISTED_PARTS
from tipbox.server.web.upload_api import MAX_PARTS

STORED = {"state": "stored"}


@pytest.fixture(name="server", scope="module", params=["tcp", "unix"])
def _server(
    request: pytest.FixtureRequest, organisations: list[Organisation], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    keys = keys_folder(folder / "keys", organisations)
    server = start(folder / "home", keys, unix=request.param == "unix")
    yield server
    server.kill()
    assert "fault" not in server.log.read_text()


@pytest.fixture(name="client")
def _client(server: Server) -> Iterator[Client]:
    with server.client() as client:
        yield client


@pytest.fixture(name="text")
def _text(organisations: list[Organisation]) -> Sent:
    return envelope(organisations)


@pytest.fixture(name="files")
def _files(organisations: list[Organisation]) -> Sent:
    """Six parts, the last one shorter."""
    return envelope(organisations, 350_000)


def blobs(server: Server) -> list[Path]:
    return sorted((server.home / "blobs").iterdir())


def stored_bytes(server: Server, sent: Sent) -> bytes:
    """What the server holds of an Envelope."""
    row = server.read(
        lambda connection: connection.execute(
            select(Envelope.header, Envelope.letter, Envelope.blob, Envelope.trailer, Envelope.hash).where(
                Envelope.id == sent.id
            )
        ).one()
    )
    assert row[4] == sent.hash
    body = (server.home / "blobs" / row[2]).read_bytes() if row[2] else b""
    return bytes(row[0] + row[1] + body + row[3])


# --- the way of an upload ---------------------------------------------------------------------------------------------


def test_a_text_is_stored_by_the_first_request(server: Server, client: Client, text: Sent) -> None:
    answer = client.open(text)

    assert (answer.status, answer.json) == (201, STORED)
    assert stored_bytes(server, text) == text.whole


def test_asked_again_it_is_stored_once(server: Server, client: Client, text: Sent) -> None:
    answers = [client.open(text) for _ in range(3)]

    assert [answer.status for answer in answers] == [201, 200, 200]
    assert [answer.json for answer in answers] == [STORED] * 3
    assert client.state(text).json == STORED
    assert client.finish(text).json == STORED
    assert stored_bytes(server, text) == text.whole


def test_parts_come_in_any_order_and_again(server: Server, client: Client, files: Sent) -> None:
    opened = client.open(files)
    assert (opened.status, opened.json) == (201, {"state": "open", "missing": [[0, 6]]})

    assert client.put(files, 4, 2).json["missing"] == [[0, 4]]
    assert client.put(files, 1, 1).json["missing"] == [[0, 1], [2, 2]]
    assert client.put(files, 0, 6).json["missing"] == []
    assert client.put(files, 3, 2).json["missing"] == []
    assert client.state(files).json == {"state": "open", "missing": []}
    assert client.open(files).status == 200

    finished = client.finish(files)
    assert (finished.status, finished.json) == (200, STORED)
    assert stored_bytes(server, files) == files.whole


def test_finished_it_answers_stored_to_everything(server: Server, client: Client, files: Sent) -> None:
    client.upload(files)
    before = blobs(server)

    assert client.finish(files).json == STORED
    assert client.state(files).json == STORED
    assert client.open(files).json == STORED
    assert client.put(files, 0, 1).json == STORED
    answer = client.put(files, 0, 5)
    assert answer.json == STORED
    assert answer.closes  # nobody needs the rest of it
    assert blobs(server) == before


def test_the_slots_are_those_of_the_header(server: Server, client: Client, organisations: list[Organisation]) -> None:
    sent = envelope(organisations[1:])
    client.open(sent)

    slots = server.read(
        lambda connection: connection.execute(
            select(Slot.organisation, Slot.acknowledged).where(Slot.envelope == sent.id)
        ).all()
    )
    assert sorted(slots) == sorted((one.id, False) for one in organisations[1:])


def test_the_same_envelope_under_two_tokens_is_stored_once(server: Server, client: Client, files: Sent) -> None:
    other = files.again()
    for sent in (files, other):
        client.open(sent)
        client.put(sent, 0, 6)
    before = len(blobs(server))

    assert [client.finish(files).json, client.finish(other).json] == [STORED, STORED]
    assert stored_bytes(server, files) == files.whole
    assert len(blobs(server)) == before - 1  # two runs went, one body came


def test_nothing_but_the_token_is_kept_of_a_finished_upload(server: Server, client: Client, files: Sent) -> None:
    client.upload(files)

    counts = server.read(
        lambda connection: [
            connection.execute(select(func.count()).select_from(Draft).where(Draft.token == files.token_hash)).scalar(),
            connection.execute(select(func.count()).select_from(Run).where(Run.draft == files.token_hash)).scalar(),
            connection.execute(select(FinishedToken).where(FinishedToken.token == files.token_hash)).one()._fields,
        ]
    )
    assert counts == [0, 0, ("token", "day", "seen_day")]


def test_a_letter_of_the_largest_size(server: Server, client: Client, organisations: list[Organisation]) -> None:
    sent = envelope(organisations, message="ы".encode() * 500_000)

    assert client.open(sent).status == 201
    assert stored_bytes(server, sent) == sent.whole


def test_two_requests_finish_at_the_same_time(server: Server, files: Sent) -> None:
    with server.client() as one, server.client("fc00:dead:beef:4dad::0:e2") as other:
        one.open(files)
        one.put(files, 0, 6)
        for client in (one, other):
            client.send("POST", "/api/envelope/finish", files.end, bearer(files.token))

        assert [one.receive().json, other.receive().json] == [STORED, STORED]
    assert stored_bytes(server, files) == files.whole


# --- the end: Envelope hash and trailer -------------------------------------------------------------------------------


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def other_session(sent: Sent) -> list[bytes]:
    """Parts of the same sizes under another session nonce: the server cannot tell what they hold."""
    nonce = random_bytes(16)
    return [nonce + random_bytes(len(part) - 16) for part in sent.parts]


def finish_with(client: Client, sent: Sent, end: bytes) -> Answer:
    return client.request("POST", "/api/envelope/finish", end, bearer(sent.token))


@pytest.mark.parametrize("size", [0, 1, 31, 32, 63, 65, 32 + 3 * 32 - 1, 32 + 3 * 32 + 1, 32 + 2 * 32, 32 + 4 * 32])
def test_an_end_of_another_size_is_malformed_and_the_draft_stays(client: Client, files: Sent, size: int) -> None:
    """The Envelope has three slots."""
    client.open(files)
    client.put(files, 0, 6)

    assert finish_with(client, files, files.end.ljust(size, b"x")[:size]).error == (400, "malformed")
    assert client.state(files).json == {"state": "open", "missing": []}
    assert client.finish(files).json == STORED


def test_an_end_that_no_envelope_has_is_not_read(server: Server, files: Sent) -> None:
    with server.client() as client:
        client.send("POST", "/api/envelope/finish", None, bearer(files.token), length=32 + 33 * 32)
        assert client.receive().error == (413, "too-large")
    with server.client() as client:
        client.send("POST", "/api/envelope/finish", None, bearer(files.token))
        assert client.receive().error == (411, "length-required")


def test_another_hash_than_the_servers_stores_nothing(server: Server, client: Client, files: Sent) -> None:
    """Two sessions of one upload: the tags of one would make of the other's parts what every desk calls forged."""
    client.open(files)
    client.put(files, 0, 6)
    before = blobs(server)

    for end in (flipped(files.end, 0), flipped(files.end, 31), files.id + files.trailer):
        assert finish_with(client, files, end).error == (409, "part-differs")
    assert blobs(server) == before
    assert client.state(files).json == {"state": "open", "missing": []}
    assert client.finish(files).json == STORED
    assert stored_bytes(server, files) == files.whole


def test_another_hash_is_refused_without_reading_what_lies_there(
    server: Server, client: Client, organisations: list[Organisation]
) -> None:
    """Else 64 bytes, again and again, would have the server copy gigabytes each time."""
    files = envelope(organisations, 350_000)
    before = set(blobs(server))
    client.open(files)
    client.put(files, 0, 6)
    (run,) = set(blobs(server)) - before
    run.write_bytes(b"")

    assert finish_with(client, files, flipped(files.end, 0)).error == (409, "part-differs")
    assert client.state(files).json == {"state": "open", "missing": []}
    assert finish_with(client, files, files.end).error == (409, "incomplete")


def test_a_late_part_of_another_session_is_told_at_the_end(server: Server, client: Client, files: Sent) -> None:
    """Session 1 sent a part that arrives when session 2 has begun: 409, and right once it is sealed over that part."""
    client.open(files)
    late = other_session(files)
    mixed = dataclasses.replace(files, parts=[*files.parts[:2], late[2], *files.parts[3:]])
    client.put(mixed, 2, 1)
    for first, count in ((0, 2), (3, 3)):
        client.put(files, first, count)

    assert client.put(files, 2, 1).error == (409, "part-differs")
    assert client.finish(files).error == (409, "part-differs")
    assert client.finish(mixed).json == STORED
    assert stored_bytes(server, mixed) == mixed.whole
    assert mixed.id != files.id


def test_asked_again_after_storing_the_end_is_not_compared(server: Server, client: Client, files: Sent) -> None:
    client.upload(files)

    for end in (files.end, flipped(files.end, 0), bytes(32 + 3 * 32), bytes(64)):
        assert finish_with(client, files, end).json == STORED
    assert finish_with(client, files, b"").error == (400, "malformed")
    assert stored_bytes(server, files) == files.whole


@pytest.mark.parametrize("size", [0, 100_000])
def test_a_copy_with_another_trailer_is_another_envelope(
    server: Server, client: Client, organisations: list[Organisation], size: int
) -> None:
    """By id alone: a garbage copy that comes first must not displace the true one, nor be displaced by it."""
    true = envelope(organisations, size)
    garbage = dataclasses.replace(true.again(), trailer=random_bytes(len(true.trailer)))
    again = true.again()

    for sent in (garbage, true, again):
        assert client.upload(sent).json == STORED

    assert garbage.hash == true.hash
    assert stored_bytes(server, garbage) == garbage.whole
    assert stored_bytes(server, true) == true.whole
    stored = select(func.count()).select_from(Envelope).where(Envelope.hash == true.hash)
    assert server.read(lambda connection: connection.execute(stored).scalar_one()) == 2


# --- what is stored of an upload --------------------------------------------------------------------------------------


def named(part: bytes) -> bytes:
    """What the server says of a part: session nonce and hash."""
    return part[:16] + sha256(part)


MISSING = bytes(48)


def test_what_is_stored_is_named_by_session_nonce_and_hash(client: Client, files: Sent) -> None:
    client.open(files)
    assert client.stored_parts(files).body == MISSING * 6
    late = dataclasses.replace(files, parts=other_session(files))
    client.put(files, 1, 2)
    client.put(late, 4, 2)
    expected = [MISSING, named(files.parts[1]), named(files.parts[2]), MISSING, named(late.parts[4])]
    expected.append(named(late.parts[5]))

    answer = client.stored_parts(files)

    assert (answer.status, answer.header("Content-Type")) == (200, "application/octet-stream")
    assert answer.body == b"".join(expected)
    for first in range(8):
        assert client.stored_parts(files, first).body == b"".join(expected[first:])
    assert client.stored_parts(files, 2**70).body == b""
    client.put(files, 0, 6)  # refused for 4 and 5, so nothing of it is kept
    assert client.stored_parts(files).body == b"".join(expected)


def test_what_is_stored_is_named_for_no_one_else(client: Client, files: Sent) -> None:
    assert client.stored_parts(files).error == (404, "no-draft")
    client.open(files)
    client.put(files, 0, 6)
    assert client.stored_parts(files.again()).error == (404, "no-draft")
    client.finish(files)
    assert client.stored_parts(files).error == (404, "no-draft"), "nothing is left to compare"


def test_one_answer_names_a_bounded_number_of_parts(client: Client, organisations: list[Organisation]) -> None:
    """An upload of 2^40 bytes has 16,777,216 parts; the quota for drafts lets one of 1,500 be opened."""
    few = Header.parse(envelope(organisations, 1000).header)
    size = padme(1500 * 65_536)
    header = dataclasses.replace(few, body_size=size)
    sent = Sent(header.encoded, random_bytes(header.sealed_letter_size), [random_bytes(PART)] * 2)
    assert client.open(sent).status == 201
    client.put(sent, 0, 1)

    first = client.stored_parts(sent).body
    rest = client.stored_parts(sent, LISTED_PARTS).body

    assert first == named(sent.parts[0]) + MISSING * (LISTED_PARTS - 1)
    assert rest == MISSING * (header.parts - LISTED_PARTS)
    assert header.parts < MAX_PARTS


# --- cuts -------------------------------------------------------------------------------------------------------------


def reset(client: Client) -> None:
    """Close as a broken line does: with a reset."""
    if client.line.family == socket.AF_INET:
        client.line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def half_close(client: Client) -> None:
    client.line.shutdown(socket.SHUT_WR)
    client.ended()
    client.close()


@pytest.mark.parametrize("end", [reset, half_close])
def test_a_cut_keeps_the_parts_that_came_whole(server: Server, files: Sent, end: Callable[[Client], None]) -> None:
    before = blobs(server)
    with server.client() as client:
        client.open(files)
        run = b"".join(files.parts)
        client.send("PUT", "/api/envelope/parts/0", run[: 3 * PART + 1000], bearer(files.token), length=len(run))
        if end is reset:  # what the server has not read yet is lost with a reset
            until(lambda: any(path.stat().st_size >= 3 * PART for path in blobs(server) if path not in before))
        end(client)
    with server.client() as client:
        until(lambda: client.state(files).json["missing"] == [[3, 3]])
        client.put(files, 3, 3)

        assert client.finish(files).json == STORED
    assert stored_bytes(server, files) == files.whole


def test_a_cut_within_the_first_part_keeps_nothing(server: Server, files: Sent) -> None:
    with server.client() as client:
        client.open(files)
    before = blobs(server)
    with server.client() as client:
        client.send("PUT", "/api/envelope/parts/0", files.parts[0][:-1], bearer(files.token), length=PART)
        until(lambda: len(blobs(server)) == len(before) + 1)
    until(lambda: blobs(server) == before)
    with server.client() as client:
        assert client.state(files).json["missing"] == [[0, 6]]


def test_a_cut_within_the_letter_opens_nothing(server: Server, text: Sent) -> None:
    with server.client() as client:
        client.send("PUT", "/api/envelope", text.start[:-1], bearer(text.token), length=len(text.start))
        half_close(client)
    with server.client() as client:
        assert client.state(text).error == (404, "no-draft")


# --- refusals: every code of section 4 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer " + "A" * 42,
        "Bearer " + "A" * 44,
        "Bearer " + "A" * 42 + "B",  # the last character has bits that are not zero: another spelling
        "Bearer " + "A" * 42 + "=",
        "Bearer " + "+" * 43,
        "bearer " + "A" * 43,
        "Basic " + "A" * 43,
    ],
)
def test_no_token(client: Client, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}

    for method, path in (
        ("PUT", "/api/envelope"),
        ("GET", "/api/envelope"),
        ("PUT", "/api/envelope/parts/0"),
        ("GET", "/api/envelope/parts/0"),
        ("POST", "/api/envelope/finish"),
    ):
        assert client.request(method, path, b"" if method != "GET" else None, headers).error == (401, "no-token")


def test_no_draft(client: Client, files: Sent) -> None:
    assert client.state(files).error == (404, "no-draft")
    assert client.finish(files).error == (404, "no-draft")
    assert client.put(files, 0, 1).error == (404, "no-draft")
    answer = client.put(files, 0, 5)
    assert answer.error == (404, "no-draft")
    assert answer.closes


def test_not_found(client: Client, text: Sent) -> None:
    for path in ("/api/", "/api/envelope/", "/api/envelope/parts/x", "/api/envelope/parts/-1", "/api/nothing"):
        assert client.request("GET", path, None, bearer(text.token)).error == (404, "not-found")


def test_a_visitor_cannot_name_the_path_of_the_application(client: Client, text: Sent) -> None:
    for name in ("SCRIPT_NAME", "Script-Name", "PATH_INFO"):
        answer = client.request("GET", "/x/api/envelope", None, {**bearer(text.token), name: "/x"})
        assert answer.status == 404, name
        assert b"no-draft" not in answer.body, name


def test_method(client: Client, text: Sent) -> None:
    assert client.request("DELETE", "/api/envelope", None, bearer(text.token)).error == (405, "method")
    assert client.request("GET", "/api/envelope/finish", None, bearer(text.token)).error == (405, "method")


def test_length_required(server: Server, text: Sent) -> None:
    with server.client() as client:
        client.send("PUT", "/api/envelope", None, bearer(text.token))
        assert client.receive().error == (411, "length-required")
    with server.client() as client:
        client.send("PUT", "/api/envelope", None, {**bearer(text.token), "Transfer-Encoding": "chunked"})
        answer = client.receive()
        assert answer.error == (411, "length-required")
        assert answer.closes


@pytest.mark.parametrize(("path", "size"), [("", 4 * 2**20 + 48 * 1024 + 1), ("/parts/0", 65 * PART)])
def test_too_large_is_refused_before_it_is_sent(server: Server, files: Sent, path: str, size: int) -> None:
    with server.client() as client:
        client.open(files)
        client.send("PUT", f"/api/envelope{path}", None, bearer(files.token), length=size)
        answer = client.receive()

        assert answer.error == (413, "too-large")
        assert answer.closes


def test_a_refusal_can_be_read_by_a_sender_that_goes_on_sending(server: Server, files: Sent) -> None:
    with server.client() as client:
        client.send("PUT", "/api/envelope/parts/0", None, bearer(files.token), length=64 * PART)
        for _ in range(64):
            client.line.sendall(bytes(PART))

        assert client.receive().error == (404, "no-draft")


def test_draft_differs(client: Client, files: Sent, organisations: list[Organisation]) -> None:
    other = dataclasses.replace(envelope(organisations, 350_000), token=files.token)
    client.open(files)

    assert client.open(other).error == (409, "draft-differs")
    assert client.open(dataclasses.replace(files, letter=flipped(files.letter, len(files.letter) - 1))).error == (
        409,
        "draft-differs",
    )
    assert client.open(files).status == 200


def test_part_differs_and_the_first_stays(server: Server, client: Client, files: Sent) -> None:
    client.open(files)
    client.put(files, 2, 1)
    before = blobs(server)
    changed = bytearray(b"".join(files.parts[1:4]))
    changed[PART] ^= 1

    answer = client.request("PUT", "/api/envelope/parts/1", bytes(changed), bearer(files.token))

    assert answer.error == (409, "part-differs")
    assert blobs(server) == before
    assert client.state(files).json["missing"] == [[0, 2], [3, 3]]
    client.put(files, 0, 6)
    client.finish(files)
    assert stored_bytes(server, files) == files.whole


def test_incomplete(client: Client, files: Sent) -> None:
    client.open(files)
    client.put(files, 1, 2)

    answer = client.finish(files)

    assert answer.error == (409, "incomplete")
    assert (answer.json["state"], answer.json["missing"]) == ("open", [[0, 1], [3, 3]])


def test_unknown_organisation(client: Client, organisations: list[Organisation]) -> None:
    stranger = Organisation("stranger")

    assert client.open(envelope([stranger])).error == (422, "unknown-organisation")
    assert client.open(envelope([*organisations, stranger], 1000)).error == (422, "unknown-organisation")


@pytest.mark.parametrize("length", [0, 1, PART - 1, PART + 1, 2 * PART - 1, 6 * PART])
def test_a_run_of_another_length_is_malformed(client: Client, files: Sent, length: int) -> None:
    client.open(files)
    client.send("PUT", "/api/envelope/parts/0", bytes(length), bearer(files.token))

    assert client.receive().error == (400, "malformed")


@pytest.mark.parametrize("first", [6, 7, 2**24, 2**70])
def test_a_run_behind_the_end_is_malformed(client: Client, files: Sent, first: int) -> None:
    client.open(files)
    client.send("PUT", f"/api/envelope/parts/{first}", bytes(PART), bearer(files.token))

    assert client.receive().error == (400, "malformed")


def patched(sent: Sent, offset: int, data: bytes) -> bytes:
    start = bytearray(sent.start)
    start[offset : offset + len(data)] = data
    return bytes(start)


@pytest.mark.parametrize(
    ("offset", "data", "code"),
    [
        (8, b"\x02", "version"),
        (9, b"\x00", "limit"),
        (9, b"\x21", "limit"),
        (9, b"\x04", "malformed"),  # a slot of the letter's bytes: out of order, or the letter is too short
        (9, b"\x02", "malformed"),  # what is then letter has another size
        (10, b"\x01", "limit"),  # a reply has no slots
        (10, b"\x02", "malformed"),
        (11, b"\x01", "malformed"),
        (12, struct.pack(">I", 8193), "malformed"),
        (12, struct.pack(">I", 2**31), "limit"),
        (16, struct.pack(">Q", 2**41), "limit"),
        (16, struct.pack(">Q", 1000003), "malformed"),
        (120 + 1296, bytes(16), "malformed"),
    ],
)
def test_what_the_header_must_not_be(server: Server, text: Sent, offset: int, data: bytes, code: str) -> None:
    with server.client() as client:
        answer = client.request("PUT", "/api/envelope", patched(text, offset, data), bearer(text.token))

    assert answer.error == (400, code)
    assert "\n" not in answer.json["message"]


@pytest.mark.parametrize(
    ("cut", "code"),
    [
        (0, "truncated"),
        (11, "truncated"),
        (12, "truncated"),
        (119, "truncated"),
        (120 + 3 * 1296 - 1, "truncated"),
        (120 + 3 * 1296, "malformed"),
        (5000, "malformed"),
        (-96, "malformed"),  # header and letter, and no trailer
        (-32, "malformed"),
        (-1, "malformed"),
    ],
)
def test_a_short_opening(server: Server, text: Sent, cut: int, code: str) -> None:
    with server.client() as client:
        answer = client.request("PUT", "/api/envelope", text.start[:cut], bearer(text.token))
        assert answer.error == (400, code)
        assert client.state(text).error == (404, "no-draft")


def test_a_longer_opening(server: Server, text: Sent, files: Sent) -> None:
    """That of files has no trailer: it comes at the end."""
    for sent, more in ((text, b"x"), (text, bytes(32)), (files, b"x"), (files, files.trailer)):
        with server.client() as client:
            answer = client.request("PUT", "/api/envelope", sent.start + more, bearer(sent.token))
            assert answer.error == (400, "malformed")


@pytest.mark.parametrize("size", [0, 100_000])
def test_a_reply_is_no_tip(client: Client, size: int) -> None:
    reply = Box().reply(size)

    assert client.open(reply).error == (400, "malformed")
    assert client.state(reply).error == (404, "no-draft")


def test_what_is_not_sealed_is_refused_with_help_and_not_read_on(server: Server, text: Sent) -> None:
    with server.client() as client:
        client.send("PUT", "/api/envelope", b"Dear organisation, my name is", bearer(text.token), length=1_000_000)
        answer = client.receive()

        assert answer.error == (400, "not-tipbox")
        assert "Seal it first" in answer.json["message"]
        assert answer.closes
        assert client.ended()


def test_a_form_is_not_taken(server: Server) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="names.txt"\r\n\r\nsecret\r\n--x--\r\n'
    with server.client() as client:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = client.request("POST", "/send", form, headers)

        assert answer.status == 405
        assert client.request("GET", "/en/send").status == 200


def test_errors_name_nothing_of_the_request(client: Client) -> None:
    answer = client.request("GET", "/api/canary-in-the-path?canary=1", None, {"X-Canary": "canary"})

    assert answer.status == 404
    assert b"canary" not in answer.body


@pytest.mark.parametrize(
    "head",
    [
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"a" * 5000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100 + b"\r\n",
        b"PUT /api/envelope HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"PUT /api/envelope HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
    ],
)
def test_a_broken_head_is_refused_and_echoes_nothing(server: Server, head: bytes) -> None:
    with server.client() as client:
        client.line.sendall(head)
        answer = client.receive()

        assert answer.error == (400, "malformed")
        assert answer.closes
        assert b"aaa" not in answer.body
        assert client.ended()


def test_answers_are_json_in_one_shape(client: Client, text: Sent) -> None:
    answer = client.state(text)

    assert answer.header("Content-Type") == "application/json"
    assert set(json.loads(answer.body)) == {"error", "message"}


def test_a_kept_connection_carries_many_requests(client: Client, organisations: list[Organisation]) -> None:
    for _ in range(4):  # as many as a circuit may open
        sent = envelope(organisations)
        assert client.open(sent).status == 201
        assert client.state(sent).json == STORED


def test_requests_that_come_in_one_piece_are_answered_in_turn(client: Client, files: Sent) -> None:
    """What lies behind a body is the next request, and none of it is taken for the body."""
    parts, token = files.parts[:2], f"Authorization: Bearer {files.token}"
    asked = [
        (b"PUT", b"", files.start),
        (b"PUT", b"/parts/0", parts[0]),
        (b"PUT", b"/parts/1", parts[1]),
        (b"GET", b"", b""),
    ]
    client.line.sendall(
        b"".join(
            b"%b /api/envelope%b HTTP/1.1\r\nHost: a\r\n%b\r\nContent-Length: %d\r\n\r\n%b"
            % (method, path, token.encode(), len(body), body)
            for method, path, body in asked
        )
    )
    answers = [client.receive() for _ in asked]

    assert [answer.status for answer in answers] == [201, 200, 200, 200]
    assert answers[-1].json == answers[-2].json


def test_a_body_that_comes_byte_by_byte_is_whole(client: Client, text: Sent) -> None:
    client.send("PUT", "/api/envelope", None, bearer(text.token), length=len(text.start))
    for at in range(500):
        client.line.sendall(text.start[at : at + 1])
    client.line.sendall(text.start[500:])

    assert client.receive().json == {"state": "stored"}


def test_expect_100_continue(client: Client, text: Sent) -> None:
    headers = {**bearer(text.token), "Expect": "100-continue"}

    assert client.request("PUT", "/api/envelope", text.start, headers).status == 201


def test_at_most_a_hundred_ranges_are_listed(client: Client, organisations: list[Organisation]) -> None:
    sent = envelope(organisations, 14_000_000)
    client.open(sent)
    for first in range(0, len(sent.parts), 2):
        client.put(sent, first)

    missing = client.state(sent).json["missing"]

    assert missing == [[first, 1] for first in range(1, 200, 2)]


def test_a_token_is_a_hash_to_the_server(server: Server, client: Client, files: Sent) -> None:
    client.open(files)
    token = base64.urlsafe_b64decode(files.token + "=")

    for path in [server.home / "tipbox.db", server.home / "tipbox.db-wal"]:
        data = path.read_bytes()
        assert token not in data
        assert files.token.encode() not in data
    assert any(files.token_hash in path.read_bytes() for path in server.home.glob("tipbox.db*"))


def test_header_sizes_are_those_of_the_format(text: Sent) -> None:
    assert len(text.header) == 120 + 3 * 1296
    assert len(text.letter) == Header.parse(text.header).sealed_letter_size
    assert len(text.trailer) == 3 * 32
