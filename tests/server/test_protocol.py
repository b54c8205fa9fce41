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

from support.client import Client, bearer
from support.loopback import until
from support.sealed import PART, Organisation, Sent, envelope, keys_folder, three
from support.server import Server, start
from tipbox.formats.envelopes.header import Header
from tipbox.server.storage.models import Draft, Envelope, FinishedToken, Run, Slot

STORED = {"state": "stored"}


@pytest.fixture(name="organisations", scope="module")
def _organisations() -> list[Organisation]:
    return three()


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
            select(Envelope.header, Envelope.letter, Envelope.blob).where(Envelope.id == sent.id)
        ).one()
    )
    body = (server.home / "blobs" / row[2]).read_bytes() if row[2] else b""
    return bytes(row[0] + row[1] + body)


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
        one.send("POST", "/api/envelope/finish", b"", bearer(files.token))
        other.send("POST", "/api/envelope/finish", b"", bearer(files.token))

        assert [one.receive().json, other.receive().json] == [STORED, STORED]
    assert stored_bytes(server, files) == files.whole


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
        client.send("PUT", "/api/envelope", text.opening[:-1], bearer(text.token), length=len(text.opening))
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


@pytest.mark.parametrize(("path", "size"), [("", 4 * 2**20 + 40 * 1024), ("/parts/0", 65 * PART)])
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
    opening = bytearray(sent.opening)
    opening[offset : offset + len(data)] = data
    return bytes(opening)


@pytest.mark.parametrize(
    ("offset", "data", "code"),
    [
        (8, b"\x02", "version"),
        (9, b"\x00", "limit"),
        (9, b"\x21", "limit"),
        (9, b"\x04", "malformed"),  # a slot of the letter's bytes: out of order, or the letter is too short
        (10, b"\x01", "malformed"),
        (12, struct.pack(">I", 8193), "malformed"),
        (12, struct.pack(">I", 2**31), "limit"),
        (16, struct.pack(">Q", 2**41), "limit"),
        (16, struct.pack(">Q", 1000003), "malformed"),
        (120 + 1232, bytes(16), "malformed"),
    ],
)
def test_what_the_header_must_not_be(server: Server, text: Sent, offset: int, data: bytes, code: str) -> None:
    with server.client() as client:
        opening = patched(text, offset, data)
        answer = client.request("PUT", "/api/envelope", opening, bearer(text.token))

    assert answer.error == (400, code)
    assert "\n" not in answer.json["message"]


@pytest.mark.parametrize(("cut", "code"), [(0, "truncated"), (9, "truncated"), (119, "truncated"), (5000, "malformed")])
def test_a_short_opening(server: Server, text: Sent, cut: int, code: str) -> None:
    with server.client() as client:
        answer = client.request("PUT", "/api/envelope", text.opening[:cut], bearer(text.token))

        assert answer.error == (400, code)


def test_a_longer_opening(server: Server, text: Sent) -> None:
    with server.client() as client:
        answer = client.request("PUT", "/api/envelope", text.opening + b"x", bearer(text.token))

    assert answer.error == (400, "malformed")


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
        assert client.request("GET", "/send").status == 200


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
    for _ in range(5):
        assert client.open(envelope(organisations)).status == 201


def test_expect_100_continue(client: Client, text: Sent) -> None:
    headers = {**bearer(text.token), "Expect": "100-continue"}

    assert client.request("PUT", "/api/envelope", text.opening, headers).status == 201


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
    assert len(text.header) == 120 + 3 * 1232
    assert len(text.letter) == Header.parse(text.header).sealed_letter_size
