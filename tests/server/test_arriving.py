"""What unfinished requests hold of the disk has a bound, and common texts are never held up by it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.client import Client, bearer
from support.sealed import PART, Organisation, Sent, envelope, keys_folder
from support.server import Server, running

LETTERS = 300_000
BODIES = 40 * PART


@pytest.fixture(name="server", scope="module")
def _server(organisations: list[Organisation], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("arriving")
    settings = {"quota_arriving_letter_bytes": str(LETTERS), "quota_arriving_bytes": str(BODIES)}
    with running(folder / "home", keys_folder(folder / "keys", organisations), unix=True, settings=settings) as server:
        yield server
        assert "fault" not in server.log.read_text()


def begin(client: Client, sent: Sent, path: str, body: bytes, much: int) -> None:
    """Send the begin of a request and stop in the middle of its body."""
    client.send("PUT", f"/api/envelope{path}", None, bearer(sent.token), length=len(body))
    client.line.sendall(body[:much])


def test_long_letters_that_are_not_whole_have_a_bound(server: Server, organisations: list[Organisation]) -> None:
    held, late = (envelope(organisations, message=bytes(250_000)) for _ in range(2))
    with server.client() as holding, server.client() as other, server.client() as common:
        begin(holding, held, "", held.start, 250_000)
        answer = other.open(late)
        assert answer.error == (429, "slow-down")
        assert int(answer.header("Retry-After") or 0) > 0
        assert common.open(envelope(organisations)).json == {"state": "stored"}
        holding.line.sendall(held.start[250_000:])
        assert holding.receive().json == {"state": "stored"}
    with server.client() as again:
        assert again.open(late).json == {"state": "stored"}


def test_runs_that_are_not_whole_have_a_bound_and_what_came_whole_is_kept(
    server: Server, organisations: list[Organisation]
) -> None:
    held, late = envelope(organisations, 30 * 65_536), envelope(organisations, 30 * 65_536)
    with server.client() as holding, server.client() as other:
        for client, sent in ((holding, held), (other, late)):
            assert client.open(sent).status == 201
        run = b"".join(held.parts)
        begin(holding, held, "/parts/0", run, len(run) - 1)
        while True:  # until what was begun has been read; each time on a circuit of its own, which has a budget
            with server.client() as waiting:
                if waiting.put(late, 0, 30).status != 200:
                    break
            late = envelope(organisations, 30 * 65_536)
            with server.client() as waiting:
                assert waiting.open(late).status == 201
        with server.client() as looking:
            state = looking.state(late).json
        assert state["state"] == "open"
        assert state["missing"][0][0] > 0, "parts that came whole were thrown away"
        holding.line.sendall(run[-1:])
        assert holding.receive().status == 200
    with server.client() as again:
        assert again.upload(late).json == {"state": "stored"}
        assert again.finish(held).json == {"state": "stored"}
