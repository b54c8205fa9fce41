"""The form that needs no script behind an onion service of its own: pieces over three circuits, with cuts.

With ``make journeys`` 60 MB over two days, with twenty cuts, and all that goes wrong on the way; else a small film.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx
import pytest

from browser.drivers import EVERY_JOURNEY
from onion.conftest import Onion
from onion.network import wait
from support.clock import DAY, later
from support.world import tipbox
from tipbox.formats.envelopes.pieces import PieceHead

pytestmark = pytest.mark.timeout(3600)  # machines and networks are set up on a busy one

FILM, PIECE_MB, CUTS = (60_000_000, 8, 20) if EVERY_JOURNEY else (5_000_000, 1, 6)
CARRIERS: Final = 3
"""Users of Tor's SOCKS port, each of which has a circuit of its own."""


class _Broken(Exception):
    """The line breaks."""


def _cut(body: bytes, size: int) -> Iterator[bytes]:
    yield body[:size]
    raise _Broken


class Carriers:
    """People who hand pieces in, in turn, each over a circuit of their own."""

    def __init__(self, onion: Onion, chance: random.Random) -> None:
        self._onion = onion
        self._chance = chance
        self.turn = 0

    def _client(self) -> httpx.Client:
        self.turn += 1
        return self._onion.client(f"carrier-{self.turn % CARRIERS}", self._onion.plain)

    def break_off(self, piece: bytes) -> None:
        """Begin to hand a piece in, and lose the line."""
        request = httpx.Request("POST", f"{self._onion.plain}/plain/en/", files={"tip": piece})
        body = request.read()
        headers = {"Content-Type": request.headers["Content-Type"], "Content-Length": str(len(body))}
        with self._client() as client, pytest.raises(_Broken):
            client.post("/plain/en/", content=_cut(body, self._chance.randrange(len(body))), headers=headers)

    def hand_in(self, piece: bytes, status: int = 200) -> str:
        """What the form says of a piece."""
        with self._client() as client:
            said = client.post("/plain/en/", files={"tip": piece})
        assert said.status_code == status, said.text
        return " ".join(re.sub("<[^>]*>", " ", said.text).split())


def sealed(onion: Onion, folder: Path, text: str, film: Path) -> list[bytes]:
    """A tip in pieces."""
    folder.mkdir()
    (folder / "words").write_text(text)
    sealing = ("seal", "--keys", onion.world.keys, "--message-file", folder / "words", "--pieces", str(PIECE_MB))
    tipbox(*sealing, "--out", folder / "sealed.tip", film)
    return [path.read_bytes() for path in sorted(folder.glob("sealed-*.tip"))]


def of_another(piece: bytes, other: bytes) -> bytes:
    """A piece of another tip that says it is of this one: somebody mixed them up on purpose."""
    stream = io.BytesIO(other)
    head = PieceHead.read(stream)
    return replace(head, token=PieceHead.read(io.BytesIO(piece)).token).encode() + stream.read()


def another_day(onion: Onion, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is stopped for the night, and all that is started from here on lives a day later."""
    onion.world.server.stop()
    for name, value in later(DAY).items():
        monkeypatch.setenv(name, value)
    onion.world.server.start()


def test_a_message_in_pieces_comes_over_three_circuits(
    onion: Onion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film, chance = tmp_path / "film.mp4", random.Random(3)
    film.write_bytes(chance.randbytes(FILM))
    pieces = sealed(onion, tmp_path / "first", "Over three circuits", film)
    order = [*range(len(pieces)), 1]  # one comes twice
    chance.shuffle(order)
    missing = order.pop(order.index(2))
    carriers, cuts = Carriers(onion, chance), 0

    def stands() -> bool:
        try:
            with onion.client("looking", onion.plain) as client:
                return client.get("/plain/ru/").status_code == 200
        except httpx.TransportError:
            return False

    wait(stands, onion.network.client)
    said = ""
    for turn, number in enumerate(order):
        if EVERY_JOURNEY and turn == len(order) // 2:
            another_day(onion, monkeypatch)
        while cuts < CUTS * (turn + 1) // len(order):
            carriers.break_off(pieces[number])
            cuts += 1
        said = carriers.hand_in(pieces[number])
        assert f"piece {number + 1} of {len(pieces)} It is here." in said
    assert cuts == CUTS
    assert f"Missing: {missing + 1} " in f"{said} "
    if EVERY_JOURNEY:
        (tmp_path / "photo.jpg").write_bytes(chance.randbytes(FILM // 4))
        other = sealed(onion, tmp_path / "second", "Another", tmp_path / "photo.jpg")
        assert "It does not belong to this message" in carriers.hand_in(of_another(pieces[0], other[0]))
        damaged = bytearray(pieces[missing])
        damaged[-70_000] ^= 1
        assert "It is damaged" in carriers.hand_in(bytes(damaged))
        assert "This file is not sealed" in carriers.hand_in(film.read_bytes()[: FILM // 10], 400)
    assert "This message is here, whole." in carriers.hand_in(pieces[missing])

    arrived = [tip for tip in onion.world.arrived("ili") if tip.message == b"Over three circuits"]
    assert [tip.files["film.mp4"].read_bytes() for tip in arrived] == [film.read_bytes()]
