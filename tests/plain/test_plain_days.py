"""60 MB in pieces over two days, three circuits and twenty cuts, with all that goes wrong on the way."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, select

from plain.forms import Door, Said, cut, form
from support.sealed import Sent, envelope, keys_folder, three
from tipbox.formats.base import days
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.models import Draft, Envelope, Run

SIZE = 60_000_000
EACH = 122
"""Parts of a piece of 8 MB."""
CUTS = 20


@dataclass
class Day:
    day: date

    def __call__(self) -> date:
        return self.day


def _first(connection: Connection, statement: Select[Any]) -> object:
    return connection.execute(statement).first()


def test_a_film_comes_whole(tmp_path: Path) -> None:
    organisations, chance, day = three(), random.Random(60), Day(days.today())
    prepare_server(tmp_path / "home", keys_folder(tmp_path / "keys", organisations))
    door = Door(tmp_path / "home", today=day)
    film, other = envelope(organisations, SIZE), envelope(organisations, 3_000_000)
    pieces = cut(film, EACH)
    foreign = cut(Sent(other.header, other.letter, other.parts, other.trailer, film.token), EACH)[0]
    damaged = bytearray(pieces[2])
    damaged[-70_000] ^= 1
    order = [*range(len(pieces)), 5]  # one comes twice
    chance.shuffle(order)
    missing = order.pop(order.index(4))
    cuts, said = 0, list[Said]()

    for turn, number in enumerate(order):
        if turn == len(order) // 2:
            day.day += timedelta(days=1)
        body = form(pieces[number])
        while cuts < CUTS * (turn + 1) / len(order):
            # What a broken line leaves: the first bytes of a form, over whichever circuit it was.
            door.post(body[: chance.randrange(len(body))], circuit=f"circuit {cuts % 3}", length=len(body))
            cuts += 1
        if turn == 1:
            assert "It does not belong to this message" in door.send(foreign, circuit="circuit 1").files[0]
        if number == 2:
            assert "It is damaged" in door.send(bytes(damaged), circuit="circuit 2").files[0]
        said.append(door.send(pieces[number], circuit=f"circuit {turn % 3}"))

    assert cuts == CUTS
    assert {one.files[0].rpartition(" of ")[2] for one in said} == {f"{len(pieces)} It is here."}
    assert said[-1].tips == [f"This message is not whole yet. Pieces in all: {len(pieces)}. Missing: {missing + 1}"]
    whole = door.send(pieces[missing], circuit="circuit 0")
    assert whole.tips[0].startswith("This message is here, whole.")
    stored = door.store.read(lambda connection: connection.execute(select(Envelope.id, Envelope.day)).all())
    assert [tuple(row) for row in stored] == [(film.id, day.day)]
    for statement in (select(Draft.token), select(Run.first)):
        assert door.store.read(partial(_first, statement=statement)) is None
    door.close()
