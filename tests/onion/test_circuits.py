"""What the server knows of circuits, with Tor itself writing the line."""

from __future__ import annotations

import base64
import secrets
import socket

import httpx
import pytest

from onion.conftest import STATE_BUDGET, Onion

pytestmark = pytest.mark.timeout(3600)  # machines and networks are set up on a busy one

WHOLE_WINDOW = 15
"""Seconds that must be left of a budget's minute for what follows to be sure."""


def _ask(client: httpx.Client) -> httpx.Response:
    """A request for an upload that does not exist: quick, and with a budget of its own."""
    token = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    return client.get("/api/envelope", headers={"Authorization": f"Bearer {token}"})


def _hammer(client: httpx.Client) -> int:
    """Ask until the budget is used up; seconds until it is whole again."""
    for _ in range(4 * STATE_BUDGET):
        answer = _ask(client)
        if answer.status_code == 429:
            assert answer.json()["error"] == "slow-down"
            return int(answer.headers["Retry-After"])
        assert answer.status_code == 404, answer.text
    raise AssertionError("a circuit that hammers is not slowed")


def test_one_circuit_that_hammers_is_slowed_and_another_is_not(onion: Onion) -> None:
    with onion.client("hammering") as hammering, onion.client("quiet") as quiet:
        for client in (quiet, hammering):
            client.get("/leave")  # its circuit stands: a minute is enough for what follows
        while _hammer(hammering) < WHOLE_WINDOW:
            pass  # the minute is nearly over: use up the next one
        assert [_ask(quiet).status_code for _ in range(5)] == [404] * 5
        assert _ask(hammering).status_code == 429, "a kept connection lost its circuit"
        with onion.client("hammering") as anew:
            assert _ask(anew).status_code == 429, "a new connection of the same circuit got a new budget"
        assert quiet.get("/en/").status_code == 200
        assert hammering.get("/en/").status_code == 200, "one endpoint's budget shut the others"


def test_the_second_request_of_a_kept_connection_has_its_circuit(onion: Onion) -> None:
    with onion.client("keeping") as client:
        first, second = client.get("/leave"), _ask(client)
        streams = {id(answer.extensions["network_stream"]) for answer in (first, second)}
    assert (first.status_code, second.status_code) == (200, 404), "403 would be a lost circuit"
    assert len(streams) == 1, "the connection was not kept"


@pytest.mark.parametrize(
    "line", [b"", b"PROXY UNKNOWN\r\n", b"PROXY TCP6 nonsense\r\n", b"\r\n\x00\r\nQUIT\n", b"PROXY TCP4 1.2.3.4\r\n"]
)
def test_without_a_good_line_nothing_is_served(onion: Onion, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as direct:
        direct.settimeout(30)
        direct.connect(onion.world.server.bind.removeprefix("unix:"))
        direct.sendall(line + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := direct.recv(65536):
            answer += piece
    assert answer.split(b" ")[1] in {b"400", b"403"}
    assert b"<html" not in answer or b"This did not work" in answer


def test_more_streams_than_a_circuit_may_have_are_refused_and_the_circuit_goes_on(onion: Onion) -> None:
    streams = [onion.stream("streaming") for _ in range(48)]
    lines = [line for line in streams if line is not None]
    try:
        assert 0 < sum(map(_page, lines)) <= 32
    finally:
        for line in lines:
            line.close()
    with onion.client("streaming") as client:
        assert client.get("/en/").status_code == 200


def _page(line: socket.socket) -> bool:
    """Whether an answer comes; the stream stays open."""
    try:
        line.sendall(b"GET /leave HTTP/1.1\r\nHost: x\r\n\r\n")
        return line.recv(12) == b"HTTP/1.1 200"
    except OSError:
        return False
