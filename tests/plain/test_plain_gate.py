"""What keeps the form from taking more than its share: small buckets of its own, and the openings of a circuit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from plain.forms import Door, Said, cut, form
from support.sealed import Organisation, Sent, envelope, keys_folder, three
from tipbox.server.config import Config, Plain, Quota
from tipbox.server.process.run import prepare_server
from tipbox.server.uploads.buckets import Charge
from tipbox.server.uploads.gate import Clocks

BUSY = "Too much is coming in just now"


@dataclass
class Clock:
    seconds: float = 1e6

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Made:
    folder: Path
    organisations: list[Organisation]
    clock: Clock
    config: Config

    def door(self, **plain: float) -> Door:
        config = self.config.model_copy(update={"plain": Plain.model_validate(plain)})
        return Door(self.folder / "home", config, Clocks(self.clock))

    def tip(self, size: int = 3 * 65_536) -> Sent:
        return envelope(self.organisations, size)


@pytest.fixture(scope="module", name="prepared")
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Organisation], Config]:
    folder, organisations = tmp_path_factory.mktemp("gate"), three()
    return folder, organisations, prepare_server(folder / "home", keys_folder(folder / "keys", organisations))


@pytest.fixture(name="made")
def _made(prepared: tuple[Path, list[Organisation], Config]) -> Made:
    folder, organisations, config = prepared
    return Made(folder, organisations, Clock(), config)


def test_an_empty_bucket_begins_nothing_and_goes_on_with_what_was_begun(made: Made) -> None:
    door = made.door(openings_burst=4, openings_per_hour=1)
    begun = [cut(made.tip()) for _ in range(3)]  # a start is at three quarters
    assert [door.send(pieces[0]).status for pieces in begun] == [200] * 3

    refused = door.send(cut(made.tip())[0])
    assert (refused.status, refused.heading) == (429, BUSY)
    assert "Wait ten minutes and try again. What came whole stays here." in refused.text
    assert door.send(*begun[0][1:]).tips[0].startswith("This message is here, whole.")

    made.clock.seconds += 3600
    assert door.send(cut(made.tip())[0]).status == 200
    assert door.send(cut(made.tip())[0]).status == 429
    door.close()


def test_announced_bytes_have_a_bucket_too(made: Made) -> None:
    door = made.door(bytes_burst=1_000_000, bytes_per_hour=1)
    assert door.send(cut(made.tip(300_000))[0]).status == 200
    assert door.send(cut(made.tip(600_000))[0]).status == 429
    assert door.send(cut(made.tip(300_000))[0]).status == 200
    door.close()


def test_a_circuit_begins_few(made: Made) -> None:
    door = made.door(openings_burst=1000)
    pieces = [cut(made.tip()) for _ in range(5)]
    assert [door.send(one[0], circuit="one").status for one in pieces] == [200] * 4 + [429]
    assert door.send(*pieces[0], circuit="one").status == 200
    assert door.send(pieces[4][0], circuit="two").status == 200
    door.close()


def test_who_only_looks_too_often_is_told_of_no_files(made: Made) -> None:
    door = made.door(requests=1)
    looked = [door.get("/plain/en/", circuit="one") for _ in range(3)]  # one may be of the next minute
    refused = next(one for one in looked if one.status_code == 429)
    said = Said(429, refused.get_data(as_text=True))
    assert said.heading == BUSY
    assert "Wait ten minutes and try again." in said.text
    assert "What came whole" not in said.text, "nothing was sent"
    piece = cut(made.tip())[0]
    sent = next(one for one in [door.send(piece, circuit="one") for _ in range(3)] if one.status == 429)
    assert "What came whole stays here." in sent.text
    request = form(b"x", field="file")
    asked = [door.post(request, "/plain/en/answers", circuit="one") for _ in range(3)]
    (*_, refused) = [one for one in asked if one.status_code == 429]
    assert b"What came whole" not in refused.get_data()
    door.close()


def test_what_was_refused_takes_nothing(made: Made) -> None:
    door = made.door(openings_burst=2, openings_per_hour=1)
    for _ in range(5):
        assert "not here" in door.send(cut(envelope(three(), 70_000))[0], circuit="one").files[0]
    assert door.send(cut(made.tip())[0], circuit="one").status == 200
    door.close()


def test_a_flood_through_the_form_leaves_the_price_of_the_pages(made: Made) -> None:
    door = made.door(openings_burst=1000)
    sent = [made.tip() for _ in range(6)]
    before = door.gate.buckets.fills(10**12, Charge(0, 0, 0, 0))
    for one in sent:
        door.send(*cut(one), envelope(made.organisations).whole)
    assert door.gate.buckets.fills(10**12, Charge(0, 0, 0, 0)) == before
    door.close()


def test_no_room_is_said(made: Made) -> None:
    made.config = made.config.model_copy(update={"quota": Quota(draft_bytes=1)})
    door = made.door()
    refused = door.send(cut(made.tip())[0])
    assert (refused.status, refused.heading) == (507, "There is no room just now")
    door.close()


def test_the_least_bound_on_what_is_on_its_way_takes_one_of_any_size(made: Made) -> None:
    door = made.door(arriving_bytes=1)
    long = envelope(made.organisations, 1000, b"x" * 900_000)
    assert door.send(cut(long)[0]).tips[0].startswith("This message is here, whole.")
    door.close()
