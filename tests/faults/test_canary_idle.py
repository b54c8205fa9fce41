"""The canary hunt in the memory of an idle server: ten seconds after the last request nothing tells that it came."""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from faults.memory_search import Found, Search
from support.client import Client, bearer
from support.sealed import Box, Organisation, envelope, keys_folder, three
from support.server import Server, start
from tipbox.formats.base.primitives import sha256
from tipbox.formats.mailbox_list import LIST_REQUEST, encode_delete, encode_piece, encode_tokens
from tipbox.server.process.run import OVERWRITE_FREED

IDLE = 10
"""Seconds without a request after which nothing may be left."""
VISITS = 3
HUNTED = (0, 13, 31)
CIRCUIT = "fc00:dead:beef:4dad::5ec7:e701"
AGENT = "Canary-Agent/41c7 (somewhat-rare)"
PATH = "/canary-path-93b1"
WORD = 8
SIZES = tuple(range(24, 5000, 96))
FREE = f"""\
import ctypes, json
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
left = {{}}
for size in {SIZES}:
    block = libc.malloc(size)
    ctypes.memset(block, 65, size)
    libc.free(block)
    left[size] = ctypes.string_at(block, size).count(b"A")
print(json.dumps(left))
"""


@dataclass(frozen=True)
class Visited:
    """A server, when the last request to it was answered, and what must not be found there any more."""

    server: Server
    answered: float
    words: dict[str, str | bytes] = field(repr=False)

    def search(self, words: dict[str, str | bytes]) -> list[Found]:
        """The memory of all processes."""
        search = Search(words)
        pids = [self.server.process.pid, *(worker.pid for worker in self.server.workers())]
        assert len(pids) >= 3
        return [one for pid in pids for one in search.process(pid)]


@pytest.fixture(name="visited", scope="module")
def _visited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visited]:
    folder = tmp_path_factory.mktemp("idle")
    organisations: list[Organisation] = three()
    keys = keys_folder(folder / "keys", organisations)
    server = start(folder / "home", keys, unix=True, settings={"server_workers": "2"})
    kept = [Client(server, CIRCUIT) for _ in range(4)]
    try:
        # The mailboxes that are asked for are nobody's: what is there of them, the requests have left.
        box, draft = Box(), envelope(organisations, 200_000)
        for client in kept:
            visit(client, box, draft.token, organisations)
        words: dict[str, str | bytes] = {
            "circuit": CIRCUIT,
            "circuit, packed": ipaddress.ip_address(CIRCUIT).packed,
            "agent": AGENT,
            "path": PATH,
            "draft token": draft.token,
        }
        # Some of them: whatever keeps one keeps them all, and the hunt for each takes seconds.
        words |= {f"token {number}": box.tokens[number] for number in HUNTED}
        words |= {f"address {number}": sha256(box.tokens[number]) for number in HUNTED}
        yield Visited(server, time.monotonic(), words)
    finally:
        for client in kept:
            client.close()
        server.kill()


def visit(client: Client, box: Box, token: str, organisations: list[Organisation]) -> None:
    """Everything that a source may ask for, and what is refused; the connection stays open."""
    agent = {"User-Agent": AGENT}
    for _ in range(VISITS):
        client.mailbox(box)
        assert client.request("GET", PATH, None, agent).status == 404
        assert client.request("GET", f"/api{PATH}", None, agent).status == 404
        assert client.request("GET", f"/?{PATH}", None, agent).status == 303
        assert client.request("GET", f"/en/?{PATH}", None, agent).status == 200
        assert client.request("GET", "/en", None, agent).status == 308
        assert client.request("GET", PATH, None, agent | {"Sec-Fetch-Site": "cross-site"}).status == 403
        assert client.request("GET", "/api/envelope", None, agent | bearer(token)).status == 404
    for number in range(2):
        piece = client.request("POST", "/api/mailbox/piece", encode_piece(box.tokens, secrets.token_bytes(32), number))
        assert piece.status == 200
    assert client.request("POST", "/api/mailbox/delete", encode_delete(box.tokens, [secrets.token_bytes(32)])).status
    assert client.open(envelope(organisations)).status == 201


def test_ten_seconds_after_the_last_request_memory_holds_nothing_of_it(visited: Visited) -> None:
    time.sleep(max(0.0, visited.answered + IDLE - time.monotonic()))

    assert visited.search(visited.words) == []


def test_what_is_freed_is_overwritten_in_blocks_of_every_size() -> None:
    """Also in the last blocks of each size, which the allocator keeps at hand."""
    asked = subprocess.run(
        [sys.executable, "-c", FREE], env=os.environ | OVERWRITE_FREED, capture_output=True, check=True, timeout=60
    )
    left: dict[str, int] = json.loads(asked.stdout)

    assert len(left) == len(SIZES)
    # The end of a block is counted to the next one, and is not overwritten.
    assert {size: kept for size, kept in left.items() if kept > WORD} == {}


def test_the_hunt_finds_what_a_request_under_way_has(visited: Visited) -> None:
    head = f"PUT {PATH} HTTP/1.1\r\nUser-Agent: {AGENT}\r\n"
    with Client(visited.server) as client:
        # Also the line of its circuit is not complete.
        client.line.sendall(f"PROXY TCP6 {CIRCUIT}".encode())
        _until_found(visited, {"circuit": CIRCUIT})
    with Client(visited.server, "fc00:dead:beef:4dad::9") as client:
        client.line.sendall(head.encode())
        _until_found(visited, {"agent": AGENT, "path": PATH})


def _until_found(visited: Visited, words: dict[str, str | bytes]) -> None:
    limit = time.monotonic() + 120
    while {one.word for one in visited.search(words)} != set(words):
        assert time.monotonic() < limit


def test_the_hunt_finds_the_tokens_of_a_request_under_way(visited: Visited) -> None:
    box = Box()
    with Client(visited.server, "fc00:dead:beef:4dad::a") as client:
        client.send("POST", "/api/mailbox", None, length=LIST_REQUEST)
        client.line.sendall(encode_tokens(box.tokens)[:-1])
        _until_found(visited, {"token": box.tokens[0]})
