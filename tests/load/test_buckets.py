"""The token buckets: nothing is shut at a number, and a day is not a border."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from support.client import bearer
from support.sealed import Organisation, Sent, envelope, keys_folder, three
from tipbox.formats.base.limits import KIB, MIB
from tipbox.formats.envelopes.header import Header
from tipbox.server.config import GB, Config, Quota
from tipbox.server.home import Home
from tipbox.server.process.run import prepare_server
from tipbox.server.uploads.buckets import BEGIN, DAY, TEXT_BYTES, Buckets, Charge
from tipbox.server.uploads.cells import Cells
from tipbox.server.uploads.gate import Clocks
from tipbox.server.web.app import STORE, create_app

pytestmark = pytest.mark.reads_date

ROOM = 1000 * GB
TEXT, FILES = Charge(1, 0, 0, 0), Charge(0, 0, 1, MIB)


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


def full(quota: Quota, clock: Clock, cells: Cells | None = None) -> Buckets:
    """Buckets that have filled up."""
    buckets = Buckets(quota, cells, clock)
    buckets.fills(ROOM)
    clock.seconds += 2 * DAY
    return buckets


def taken(buckets: Buckets, charge: Charge, room: int = ROOM) -> int:
    """How often a charge can be taken now."""
    count = 0
    while buckets.take(charge, room):
        count += 1
    return count


def test_a_bucket_holds_its_burst_and_fills_evenly() -> None:
    clock = Clock()
    buckets = full(Quota(letters_burst=100, letters_per_second=5), clock)

    assert taken(buckets, TEXT) == 100
    clock.seconds += 1.001
    assert taken(buckets, TEXT) == 5
    clock.seconds += 10**6
    assert taken(buckets, TEXT) == 100


def test_a_start_is_three_quarters_full() -> None:
    buckets = Buckets(Quota(), now=Clock())

    assert buckets.fills(ROOM) == (BEGIN, BEGIN, BEGIN)


def test_what_came_to_nothing_is_put_back_and_never_more_than_there_is_room_for() -> None:
    buckets = full(Quota(letters_burst=10), Clock())
    assert buckets.take(TEXT, ROOM)
    buckets.give_back(TEXT)
    buckets.give_back(TEXT)

    assert taken(buckets, TEXT) == 10


def test_texts_and_files_have_buckets_of_their_own() -> None:
    buckets = full(Quota(letters_burst=10, drafts=10), Clock())

    assert taken(buckets, FILES) == 5
    assert taken(buckets, TEXT) == 10
    assert buckets.fills(ROOM)[2] == 0


def test_long_letters_come_out_of_a_bucket_of_bytes_and_common_ones_go_on() -> None:
    clock = Clock()
    buckets = full(Quota(long_letter_bytes=9 * MIB, long_letter_bytes_per_second=MIB / 16), clock)
    long = Charge(1, 4 * MIB, 0, 0)

    assert taken(buckets, long) == 3, "the third one on credit"
    assert buckets.fills(ROOM)[1] == 0
    assert buckets.take(TEXT, ROOM)
    clock.seconds += 40  # 3 MiB of credit come back in 48 seconds
    assert not buckets.take(long, ROOM)
    clock.seconds += 9
    assert buckets.take(long, ROOM)


def test_one_large_announcement_keeps_small_files_out_for_seconds_only() -> None:
    clock = Clock()
    buckets = full(Quota(carry_capacity=64 * GB), clock)
    assert not buckets.fits_soon(Charge(0, 0, 1, 17 * GB))
    assert buckets.take(Charge(0, 0, 1, 16 * GB), ROOM)

    waited = 0
    for _ in range(10):
        while not buckets.take(FILES, ROOM):
            clock.seconds += 1
            waited += 1
    assert waited <= 60
    assert not buckets.fits_soon(Charge(0, 0, 1, GB))


def test_texts_come_in_the_slower_the_fuller_the_disk_is_and_never_stop() -> None:
    """Else a flood at the full rate would run against the floor, where everybody is refused."""
    clock = Clock()
    buckets = full(Quota(), clock)
    taken(buckets, TEXT)
    room, hours = 20 * GB, []
    for _ in range(24 * 7):
        clock.seconds += 3600
        count = int(buckets.fills(room)[0] * 20_000)
        assert buckets.take(replace(TEXT, letters=count), room)
        room -= count * TEXT_BYTES
        hours.append(count)

    assert hours[0] == 5 * 3600
    assert hours == sorted(hours, reverse=True)
    assert room > 0
    assert hours[-1] > 0


def test_what_an_opening_takes(organisations: list[Organisation]) -> None:
    text = Header.parse(envelope(organisations).header)
    files = Header.parse(envelope(organisations, 300_000).header)

    assert Charge.of(text) == TEXT
    assert Charge.of(replace(text, letter_size=20 * KIB)) == TEXT, "the second size of letters"
    assert Charge.of(replace(text, letter_size=2**22)) == Charge(1, 2**22, 0, 0)
    assert Charge.of(files).letters == 0
    assert Charge.of(files).drafts == 1
    assert Charge.of(files).announced == sum(len(part) for part in envelope(organisations, 300_000).parts)


def test_all_workers_take_from_the_same_buckets(tmp_path: Path) -> None:
    clock = Clock()
    quota = Quota(letters_burst=4000, letters_per_second=1)
    cells = Cells(tmp_path)
    mine = full(quota, clock, cells)
    assert mine.fills(ROOM)[0] == 1
    assert [*tmp_path.iterdir()] == [], "nothing has a name"
    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            count = sum(Buckets(quota, cells, clock).take(TEXT, ROOM) for _ in range(1500))
            os._exit(count != 1500)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]

    assert taken(mine, TEXT) == 1000


# --- over HTTP --------------------------------------------------------------------------------------------------------


class Line:
    """A server in place, with a clock of its own."""

    def __init__(self, folder: Path, organisations: list[Organisation], quota: Quota) -> None:
        self.home = Home(folder / "home")
        config = prepare_server(self.home.path, keys_folder(folder / "keys", organisations))
        self.clock = Clock()
        cells = Cells()
        self.buckets = full(quota, self.clock, cells)
        settings = Config(**config.model_dump() | {"quota": quota})
        self.app = create_app(self.home, settings, cells=cells, clocks=Clocks(self.clock))
        self.client = self.app.test_client()

    def open(self, sent: Sent) -> tuple[int, str]:
        """Status, and state or error."""
        answer = self.client.put("/api/envelope", data=sent.start, headers=bearer(sent.token))
        value = answer.get_json()
        return answer.status_code, value.get("state") or value["error"]


@pytest.fixture(name="line")
def _line(tmp_path: Path, organisations: list[Organisation]) -> Iterator[Line]:
    line = Line(tmp_path, organisations, Quota(letters_burst=4, letters_per_second=0.01, drafts=4))
    yield line
    line.app.extensions[STORE].engine.dispose()


def test_a_letter_counts_once_however_often_it_is_sent(line: Line, organisations: list[Organisation]) -> None:
    sent = envelope(organisations)

    assert [line.open(sent)[0] for _ in range(3)] == [201, 200, 200]
    assert line.buckets.fills(ROOM)[0] == 3 / 4


def test_repeats_under_fresh_tokens_cost_as_much_as_others(line: Line, organisations: list[Organisation]) -> None:
    sent = envelope(organisations)
    assert [line.open(one)[0] for one in (sent, sent.again())] == [201, 201]
    assert line.buckets.fills(ROOM)[0] == 2 / 4


def test_what_is_refused_takes_nothing(line: Line) -> None:
    stranger = envelope(three())

    assert line.open(stranger) == (422, "unknown-organisation")
    assert line.buckets.fills(ROOM)[0] == 1
