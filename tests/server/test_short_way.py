"""The requests that store a tip go past Flask: answered with the same bytes, counted in the same budgets."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
from flask import Flask, request

from support.client import bearer
from support.sealed import Organisation, Sent, envelope, keys_folder, three
from tipbox.server.config import Config, Limits
from tipbox.server.home import Home
from tipbox.server.process.run import prepare_server
from tipbox.server.web.app import STORE, create_app
from tipbox.server.web.worker_keys import CIRCUIT

pytestmark = pytest.mark.reads_date

Said = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers and body of an answer."""
OPEN: Final = "/api/envelope"
PARTS: Final = "/api/envelope/parts/0"
FINISH: Final = "/api/envelope/finish"
FEW: Final = 6
SIZE: Final = 150_000


class Server:
    """An application in place; ``went_long``: the paths of what passed all of it."""

    def __init__(self, folder: Path, organisations: list[Organisation], **limits: int) -> None:
        home = Home(folder / "home")
        config = prepare_server(home.path, keys_folder(folder / "keys", organisations))
        settings = config.model_dump() | {"limits": Limits.model_validate({"openings": 255, **limits})}
        self.app: Flask = create_app(home, Config(**settings))
        self.went_long: list[str] = []
        # Before all other hooks: one of them refuses.
        self.app.before_request_funcs[None].insert(0, lambda: self.went_long.append(request.path))

    def ask(
        self, request: tuple[str, str, bytes], token: str, headers: Mapping[str, str] = {}, *, circuit: str = ""
    ) -> Said:
        """One request; without a circuit it goes the long way."""
        method, path, body = request
        client = self.app.test_client()
        given = bearer(token) | dict(headers)
        answer = client.open(path, method=method, data=body, headers=given, environ_overrides={CIRCUIT: circuit})
        return answer.status_code, list(answer.headers), answer.data


@pytest.fixture(name="server")
def _server(tmp_path: Path, organisations: list[Organisation]) -> Iterator[Server]:
    server = Server(tmp_path, organisations)
    yield server
    server.app.extensions[STORE].engine.dispose()


def requests(organisations: list[Organisation]) -> Iterator[tuple[str, Sent, list[tuple[str, str, bytes]], int]]:
    """Requests that are asked one after the other under one token, and the status of the last."""
    text, files, stranger = envelope(organisations), envelope(organisations, SIZE), envelope(three())
    whole = b"".join(files.parts)
    opened, brought, ended = ("PUT", OPEN, files.start), ("PUT", PARTS, whole), ("POST", FINISH, files.end)
    yield "a text", text, [("PUT", OPEN, text.start)], 201
    yield "a text again", text, [("PUT", OPEN, text.start)] * 2, 200
    yield "files", files, [opened], 201
    yield "all parts", files, [opened, brought], 200
    yield "one part", files, [opened, ("PUT", "/api/envelope/parts/1", files.parts[1])], 200
    yield "the end", files, [opened, brought, ended], 200
    yield "another Envelope", files, [opened, ("PUT", OPEN, text.start)], 409
    yield "other bytes", files, [opened, brought, ("PUT", PARTS, bytes(len(whole)))], 409
    yield "an unknown organisation", stranger, [("PUT", OPEN, stranger.start)], 422
    yield "a plain file", text, [("PUT", OPEN, b"this is not sealed at all")], 400
    yield "too little", text, [("PUT", OPEN, text.start[:-1])], 400
    yield "too much", text, [("PUT", OPEN, bytes(5_000_000))], 413
    yield "nothing begun", files, [brought], 404
    yield "parts missing", files, [opened, ended], 409
    yield "another end", files, [opened, brought, ("POST", FINISH, bytes(len(files.end)))], 409


def test_both_ways_answer_with_the_same_bytes(server: Server, organisations: list[Organisation]) -> None:
    for what, sent, asked, status in requests(organisations):
        one, other = sent.again().token, sent.again().token
        short = [server.ask(request, one, circuit="one") for request in asked]
        assert not server.went_long, what
        assert [server.ask(request, other) for request in asked] == short, what
        assert len(server.went_long) == len(asked), what
        assert short[-1][0] == status, what
        server.went_long.clear()


def test_a_token_that_is_none_is_refused_alike(server: Server, organisations: list[Organisation]) -> None:
    text = envelope(organisations)
    for written in ("Bearer AAAA", "Bearer", f"Basic {text.token}", f"Bearer {text.token}=", "Bearer \N{DIGIT ZERO}"):
        asked = ("PUT", OPEN, text.start), text.token, {"Authorization": written}
        short = server.ask(*asked, circuit="one")

        assert server.ask(*asked) == short
        assert short[0] == 401
    assert len(server.went_long) == 5


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"Origin": "http://elsewhere.example"}, "", 403),
        ({"Origin": "null"}, "", 403),
        ({"Sec-Fetch-Site": "cross-site"}, "", 403),
        ({}, "?a=b", 201),
    ],
)
def test_what_is_out_of_the_common_goes_the_long_way(
    server: Server, organisations: list[Organisation], headers: dict[str, str], query: str, status: int
) -> None:
    text = envelope(organisations)

    assert server.ask(("PUT", f"{OPEN}{query}", text.start), text.token, headers, circuit="one")[0] == status
    assert server.went_long


def test_its_own_site_goes_the_short_way(server: Server, organisations: list[Organisation]) -> None:
    text = envelope(organisations)
    own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}

    assert server.ask(("PUT", OPEN, text.start), text.token, own, circuit="one")[0] == 201
    assert not server.went_long


@pytest.mark.parametrize("number", ["-1", "+0", "0x0", "1.0", "", "٣", "9" * 400, "0/", "0/0"])
def test_what_is_no_number_of_a_part_goes_the_long_way(server: Server, number: str) -> None:
    token = secrets.token_urlsafe(32)
    asked = ("PUT", f"/api/envelope/parts/{number}", b"")
    answer = server.ask(asked, token, circuit="one")

    assert server.ask(asked, token) == answer
    assert len(server.went_long) == 2


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_go_the_long_way(server: Server, method: str) -> None:
    server.ask((method, OPEN, b""), secrets.token_urlsafe(32), circuit="one")

    assert server.went_long == [OPEN]


@pytest.mark.parametrize("path", [OPEN, PARTS, FINISH])
def test_both_ways_share_the_budget_of_a_circuit(tmp_path: Path, organisations: list[Organisation], path: str) -> None:
    server = Server(tmp_path, organisations, open=2 * FEW, parts=2 * FEW, finish=2 * FEW)
    workers = Config().server.workers
    method, token = ("POST" if path == FINISH else "PUT"), secrets.token_urlsafe(32)
    for number in range(2 * FEW // workers):
        query = "?long" if number % 2 else ""
        assert server.ask((method, f"{path}{query}", b""), token, circuit="one")[0] in {400, 404, 411}
    refused = [server.ask((method, f"{path}{query}", b""), token, circuit="one") for query in ("", "?long")]

    assert [status for status, _, _ in refused] == [429, 429]
    assert all(1 <= int(dict(headers)["Retry-After"]) <= 60 for _, headers, _ in refused)
    assert server.ask((method, path, b""), token, circuit="other")[0] in {400, 404, 411}
    server.app.extensions[STORE].engine.dispose()


def test_both_ways_share_the_budget_of_all(tmp_path: Path, organisations: list[Organisation]) -> None:
    server = Server(tmp_path, organisations, all_per_second=2)
    token = secrets.token_urlsafe(32)
    statuses = [
        server.ask(("PUT", f"{PARTS}{query}", b""), token, circuit=secrets.token_hex(8))[0]
        for _ in range(10)
        for query in ("", "?long")
    ]

    assert 429 in statuses[0::2]
    assert 429 in statuses[1::2]
    server.app.extensions[STORE].engine.dispose()
