"""The form that needs no script behind an onion service of its own: pieces over three circuits, with cuts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from onion.conftest import Onion
from onion.network import wait
from support.world import tipbox

pytestmark = pytest.mark.timeout(3600)  # machines and networks are set up on a busy one

CUTS = 6


class _Broken(Exception):
    """The line breaks."""


def _cut(body: bytes, size: int) -> Iterator[bytes]:
    yield body[:size]
    raise _Broken


def test_a_message_in_pieces_comes_over_three_circuits(onion: Onion, tmp_path: Path) -> None:
    film, chance = tmp_path / "film.mp4", random.Random(3)
    film.write_bytes(chance.randbytes(5_000_000))
    (tmp_path / "words").write_text("Over three circuits")
    sealing = ("seal", "--keys", onion.world.keys, "--message-file", tmp_path / "words", "--pieces", "1")
    tipbox(*sealing, "--out", tmp_path / "sealed.tip", film)
    pieces = sorted(tmp_path.glob("sealed-*.tip"))
    chance.shuffle(pieces)

    def stands() -> bool:
        try:
            with onion.client("looking", onion.plain) as client:
                return client.get("/plain/ru/").status_code == 200
        except httpx.TransportError:
            return False

    wait(stands, onion.network.client)
    answer = ""
    for number, piece in enumerate(pieces):
        user = f"carrier-{number % 3}"
        if number < CUTS:
            request = httpx.Request("POST", f"{onion.plain}/plain/en/", files={"tip": piece.read_bytes()})
            body = request.read()
            headers = {"Content-Type": request.headers["Content-Type"], "Content-Length": str(len(body))}
            with onion.client(user, onion.plain) as client, pytest.raises(_Broken):
                client.post("/plain/en/", content=_cut(body, chance.randrange(len(body))), headers=headers)
        with onion.client(f"carrier-{(number + 1) % 3}", onion.plain) as client:
            said = client.post("/plain/en/", files={"tip": piece.read_bytes()})
        assert said.status_code == 200, said.text
        assert "It is here." in said.text
        answer = said.text
    assert "This message is here, whole." in answer

    arrived = [tip for tip in onion.world.arrived("ili") if tip.message == b"Over three circuits"]
    assert [tip.files["film.mp4"].read_bytes() for tip in arrived] == [film.read_bytes()]
