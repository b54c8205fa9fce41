"""The canary hunt after a visit to a mailbox: what comes of an access code is not left on the server."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from faults.memory_search import Found, Search
from support.client import Client
from support.sealed import Box, Organisation, Sent, inward, keys_folder, three
from support.server import Server, start
from tipbox.formats.access_code import AccessCode
from tipbox.formats.mailbox_list import LIST_REQUEST, encode_tokens
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import import_bundles

VISITS = 20


@dataclass(frozen=True)
class Visited:
    """A server that a source has visited, and what must not be found there."""

    server: Server
    secrets: dict[str, str | bytes] = field(repr=False)
    box: Box
    kept: Sent

    def search(self, words: dict[str, str | bytes]) -> list[Found]:
        """Folder, log, and all processes."""
        search = Search(words)
        pids = [self.server.process.pid, *(worker.pid for worker in self.server.workers())]
        assert len(pids) >= 2
        found = [*search.tree(self.server.home), *search.file(self.server.log)]
        return found + [one for pid in pids for one in search.process(pid)]


@pytest.fixture(name="visited", scope="module")
def _visited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visited]:
    folder = tmp_path_factory.mktemp("hunt")
    organisations: list[Organisation] = three()
    one = organisations[0]
    passphrase = AccessCode.generate()
    derived = passphrase.secrets()
    asked = derived.mailbox_request([other.id for other in organisations])
    token = derived.mailbox_token(one.id)
    box = Box(token, derived.pair_key(one.id), tuple(other for other in asked if other != token))
    assert [len(asked), sorted(asked)] == [32, box.tokens]
    server = start(folder / "home", keys_folder(folder / "keys", organisations), unix=True)
    try:
        gone, kept = box.reply(100_000), box.reply()
        outward = one.read(write_volumes(server.home, one.name, folder / "out")[0])
        bundle = inward(folder / "in", one, outward, [box.item(gone), box.item(kept)])
        assert import_bundles(server.home, [bundle])[0].deposited == 2
        for _ in range(VISITS):
            with server.client() as client:
                assert len(client.mailbox(box).entries) >= 1
                client.piece(box, gone.id, 0)
        with server.client() as client:
            client.delete(box, gone)
        words: dict[str, str | bytes] = {
            "passphrase, integer": passphrase.value.to_bytes(16),
            "passphrase, digits": passphrase.digits(),
            "passphrase, words": " ".join(passphrase.words("en")),
            "root": derived.root,
        }
        words |= {f"token {number}": other for number, other in enumerate(box.tokens)}
        words |= {f"pair key of {other.name}": derived.pair_key(other.id) for other in organisations}
        yield Visited(server, words, box, kept)
    finally:
        server.kill()


def test_after_a_visit_nothing_of_the_passphrase_is_on_the_disk(visited: Visited) -> None:
    search = Search(visited.secrets)

    assert search.tree(visited.server.home) + search.file(visited.server.log) == []


def test_after_a_visit_nothing_of_the_passphrase_is_in_memory(visited: Visited) -> None:
    assert visited.search(visited.secrets) == []


def test_the_hunt_finds_what_is_there(visited: Visited) -> None:
    """The mailbox's address is stored, and the token of a request that has not ended is in memory."""
    assert visited.search({"address": visited.box.address})
    with Client(visited.server, "fc00:dead:beef:4dad::9") as client:
        client.send("POST", "/api/mailbox", None, length=LIST_REQUEST)
        client.line.sendall(encode_tokens(visited.box.tokens)[:-1])
        limit = time.monotonic() + 120
        while not (found := visited.search({"token": visited.box.token})):
            assert time.monotonic() < limit
    assert all("memory of" in one.where for one in found)


def test_another_hunt_for_a_token_of_a_stranger_finds_nothing(visited: Visited) -> None:
    assert visited.search({"token": secrets.token_bytes(32)}) == []
