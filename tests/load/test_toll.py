"""The price of an opening and its proof: asked only when it has to be, and of no use twice."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from load.simulated import BURST, HOUR, ROOM, Clock, Line
from support.client import bearer
from support.sealed import Organisation, envelope, three
from tipbox.formats import toll
from tipbox.formats.base.primitives import sha256
from tipbox.formats.toll import Proof, Solver
from tipbox.server.config import GB, MB, Quota
from tipbox.server.storage.models import Envelope
from tipbox.server.uploads import price
from tipbox.server.uploads.buckets import DAY, Charge
from tipbox.server.uploads.gate import ABSENT, AGAIN
from tipbox.server.uploads.price import Place, Queue, Tolls, price_of
from tipbox.server.web.app import GATE, STORE
from tipbox.server.web.worker_keys import FORGET, HOURLY

pytestmark = pytest.mark.reads_date


def test_the_price_rises_smoothly_and_only_below_a_half() -> None:
    prices = [price_of(fill / 100) for fill in range(100, -1, -1)]

    assert prices[:51] == [0] * 51
    assert prices[51] == 5
    assert prices == sorted(prices)
    assert prices[-1] == toll.ASKED
    assert set(prices) == {0, 5, 12, 30, 60}, "the classes that a desk is told, and no more"
    assert price_of(-3) == toll.ASKED


def test_while_there_is_plenty_nothing_is_asked_and_no_proof_is_looked_at(line: Line) -> None:
    asked = line.asked()

    assert (asked["letter"], asked["long"], asked["files"], asked["hour"]) == (0, 0, 0, HOUR + 48)
    assert line.asked() == asked, "the same bytes for everybody"
    assert line.open(envelope(line.organisations), "no proof at all") == (201, "stored")


def test_below_a_half_an_opening_pays_once_and_a_known_one_never_again(line: Line) -> None:
    sent = envelope(line.organisations)
    line.empty_to(0.49)
    answer = line.client.put("/api/envelope", data=sent.start, headers=bearer(sent.token))
    said = answer.get_json()
    assert (answer.status_code, said["error"], said["price"], said["letter"]) == (429, "toll", 5, 5)
    assert {key: said[key] for key in line.asked()} == line.asked()
    written = line.pay(sent, 5)

    assert line.open(sent, written) == (201, "stored")
    line.empty_to(0.1)
    assert line.open(sent) == (200, "stored"), "the same upload, without a proof"
    assert line.open(sent, written) == (200, "stored")
    assert line.open(sent.again(), written) == (429, "toll"), "another upload with the same proof"


def test_a_desk_gets_the_class_of_what_was_paid_for_a_text(line: Line) -> None:
    free, paid = envelope(line.organisations), envelope(line.organisations)
    assert line.open(free) == (201, "stored")
    line.empty_to(0.49)
    assert line.open(paid, line.pay(paid, 8)) == (201, "stored")

    rows = line.app.extensions[STORE].read(
        lambda connection: connection.execute(select(Envelope.id, Envelope.effort)).all()
    )
    assert dict([*map(tuple, rows)]) == {free.id: 0, paid.id: 2}


def test_a_desk_gets_the_class_of_what_was_paid_for_files(line: Line) -> None:
    free, paid = envelope(line.organisations, 70_000), envelope(line.organisations, 70_000)
    assert line.open(free) == (201, "open")
    assert line.buckets.take(Charge(0, 0, 2600, 0), ROOM)
    assert line.open(paid, line.pay(paid, 8)) == (201, "open")
    for sent in (free, paid):
        line.client.put("/api/envelope/parts/0", data=b"".join(sent.parts), headers=bearer(sent.token))
        answer = line.client.post("/api/envelope/finish", data=sent.end, headers=bearer(sent.token))
        assert answer.get_json() == {"state": "stored"}

    rows = line.app.extensions[STORE].read(
        lambda connection: connection.execute(select(Envelope.id, Envelope.effort)).all()
    )
    assert dict([*map(tuple, rows)]) == {free.id: 0, paid.id: 2}


def test_classes_are_coarse() -> None:
    assert [toll.class_of(effort) for effort in toll.LADDER] == [0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7]


def test_an_upload_with_files_goes_on_without_paying(line: Line) -> None:
    sent = envelope(line.organisations, 70_000)
    assert line.open(sent) == (201, "open")
    assert line.buckets.take(Charge(0, 0, 4900, 0), ROOM)

    assert line.open(sent) == (200, "open")
    assert line.open(envelope(line.organisations, 70_000)) == (429, "toll")
    line.client.put("/api/envelope/parts/0", data=b"".join(sent.parts), headers=bearer(sent.token))
    answer = line.client.post("/api/envelope/finish", data=sent.end, headers=bearer(sent.token))
    assert answer.get_json() == {"state": "stored"}


def test_a_known_upload_with_files_takes_nothing_again(line: Line) -> None:
    sent = envelope(line.organisations, 70_000)
    assert line.open(sent) == (201, "open")
    before = line.buckets.fills(ROOM)
    taken: list[Charge] = []
    gate = line.app.extensions[GATE]
    take = gate.buckets.take

    def noted(charge: Charge, room: int) -> bool:
        taken.append(charge)
        return bool(take(charge, room))

    gate.buckets.take = noted

    assert line.open(sent) == (200, "open")
    assert line.buckets.fills(ROOM) == before
    assert not taken, "nor for a moment: others would not find room meanwhile"


def test_texts_are_free_while_files_are_dear(line: Line) -> None:
    assert line.buckets.take(Charge(0, 0, 4990, 0), ROOM)

    assert line.asked()["files"] == 60
    assert line.asked()["letter"] == 0
    assert line.open(envelope(line.organisations)) == (201, "stored")


def test_announced_bytes_have_a_price_by_the_byte(line: Line) -> None:
    """The bucket holds 16 GB: what lies in its upper half is free, and each 64 MB below cost as much as an opening."""
    gate = line.app.extensions[GATE]
    announced = [10 * MB, 8 * GB - MB, 8 * GB + 10 * MB, 8 * GB + 640 * MB, 9 * GB, 12 * GB, 16 * GB]

    assert [gate.price(Charge(0, 0, 1, size), ROOM) for size in announced] == [0, 0, 5, 30, 60, 600, 600]
    assert gate.price(Charge(0, 0, 1, 16 * GB), ROOM) == toll.LADDER[-1]
    assert line.buckets.take(Charge(0, 0, 0, 12 * GB), ROOM)
    assert [gate.price(Charge(0, 0, 1, size), ROOM) for size in (10 * MB, 64 * MB, GB)] == [12, 12, 600]


def test_answers_tell_how_much_others_announced_in_sixteenths_only(line: Line) -> None:
    """Whoever asks for all sizes would else see each announcement of others, to the byte."""
    gate, quota = line.app.extensions[GATE], 16 * GB

    def seen() -> list[tuple[int, bool]]:
        sizes = [step * quota // 1600 for step in range(1, 1601)]
        return [
            (gate.price(Charge(0, 0, 1, size), ROOM), gate.buckets.fits_soon(Charge(0, 0, 1, size))) for size in sizes
        ]

    assert line.buckets.take(Charge(0, 0, 0, 7 * GB + 100 * MB), ROOM)
    before = seen()
    assert line.buckets.take(Charge(0, 0, 0, 800 * MB), ROOM)
    assert seen() == before
    assert line.buckets.take(Charge(0, 0, 0, 200 * MB), ROOM)
    assert seen() != before


def test_nobody_works_for_what_finds_no_room(
    tmp_path: Path, organisations: list[Organisation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device works for minutes where much is announced: what cannot be taken then is refused before."""
    line = Line(tmp_path, organisations, quota=Quota(drafts=2, letters_burst=BURST, letters_per_second=BURST / 10_000))
    held = [envelope(organisations, 70_000) for _ in range(2)]
    for sent in held:
        assert line.open(sent) == (201, "open")
        line.clock.seconds += DAY
    assert line.buckets.take(Charge(0, 0, 1, 0), ROOM)
    assert line.asked()["files"] == 60

    assert line.open(envelope(organisations, 70_000)) == (507, "full")
    assert line.open(held[0]) == (200, "open")
    line.empty_to(0.4)
    assert line.open(envelope(three())) == (422, "unknown-organisation")
    assert line.open(envelope(organisations)) == (429, "toll")
    full = SimpleNamespace(total=100 * GB, free=MB)
    monkeypatch.setattr("tipbox.server.storage.disk.shutil.disk_usage", lambda _: full)
    assert line.open(envelope(organisations)) == (507, "full")
    line.app.extensions[STORE].engine.dispose()


def test_what_is_misspelt_is_malformed(line: Line) -> None:
    line.empty_to(0.4)
    assert line.open(envelope(line.organisations), "1.1.1.AAAA") == (400, "malformed")


def test_false_foreign_and_expired_proofs_are_refused(line: Line) -> None:
    sent, other = envelope(line.organisations), envelope(line.organisations)
    line.empty_to(0.49)
    good = line.pay(sent, 5)
    proof = Proof.parse(good)

    assert line.open(other, good) == (429, "toll"), "of another token"
    assert line.open(sent, Proof(proof.hour - 1, 5, proof.nonces).encode()) == (429, "toll"), "another seed"
    assert line.open(sent, Proof(proof.hour + 1, 5, proof.nonces).encode()) == (429, "toll"), "an hour to come"
    assert line.open(sent, Proof(proof.hour, 8, proof.nonces).encode()) == (429, "toll"), "more than was paid"
    line.clock.seconds += 2 * 3600
    line.empty_to(0.49)
    assert line.open(sent, good) == (429, "toll"), "two hours later"
    again = line.pay(sent, 5)
    line.clock.seconds += 3600
    line.empty_to(0.49)
    assert line.open(sent, again) == (201, "stored"), "the hour before is taken"


def test_who_fails_twice_is_not_looked_at_again_within_the_hour() -> None:
    clock = Clock()
    tolls = Tolls(bytes(32), clock)
    token, seed = sha256(bytes(32)), toll.seed_of(bytes(32), HOUR)
    good = Solver(seed, bytes(32)).solve(HOUR, 1)
    false = Proof(HOUR, 1, tuple(2**32 - 1 for _ in range(16))).encode()
    assert tolls.paid(good.encode(), token, 1) == 1

    assert [tolls.paid(false, token, 1) for _ in range(price.FAILURES)] == [0, 0]
    assert tolls.paid(good.encode(), token, 1) == 0
    clock.seconds += 3600
    assert tolls.paid(good.encode(), token, 1) == 1


def test_who_fails_twice_is_remembered_however_many_failed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price, "_MOST_FAILED", 3)
    tolls = Tolls(bytes(32), Clock())
    good = Solver(toll.seed_of(bytes(32), HOUR), bytes(32)).solve(HOUR, 1)
    false = Proof(HOUR, 1, tuple(2**32 - 1 for _ in range(16))).encode()
    for number in range(1, 5):
        tolls.paid(false, number.to_bytes(32), 1)
    token = sha256(bytes(32))
    for _ in range(price.FAILURES):
        tolls.paid(false, token, 1)

    assert tolls.paid(good.encode(), token, 1) == 0
    assert [*tolls._failed] == [number.to_bytes(32) for number in (3, 4)] + [token]


def test_garbage_costs_one_try_of_one_puzzle(monkeypatch: pytest.MonkeyPatch) -> None:
    """What that takes, `make bench` measures."""
    tried: list[int] = []
    trial = toll.trial

    def counted(password: bytes, puzzle: int, nonce: int) -> int:
        tried.append(puzzle)
        return trial(password, puzzle, nonce)

    monkeypatch.setattr(toll, "trial", counted)
    tolls = Tolls(bytes(32), Clock())
    false = Proof(HOUR, 60, tuple(2**32 - 1 for _ in range(16))).encode()
    for number in range(400):
        assert tolls.paid(false, number.to_bytes(32), 60) == 0

    assert len(tried) <= 410, "a puzzle is passed by chance once in 4,800"
    assert len(set(tried)) == 16, "nobody can know which puzzle is looked at first"


# --- who comes first --------------------------------------------------------------------------------------------------


class Door:
    """Room for some, in turn."""

    def __init__(self) -> None:
        self.room = 0
        self.entered: list[str] = []

    def place(self, effort: int, circuit: str) -> Place:
        def enter() -> bool:
            if not self.room:
                return False
            self.room -= 1
            self.entered.append(circuit)
            return True

        return Place(effort, circuit, enter)


def test_the_highest_effort_enters_first_and_every_second_by_lot() -> None:
    door, queue = Door(), Queue(draw=lambda count: count - 1)
    for number, effort in enumerate((60, 90, 150, 90, 300, 600, 60)):
        queue.join(door.place(effort, f"c{number}"))
    for step in range(6):
        door.room = 1
        queue.serve(step)

    assert door.entered[::2] == ["c5", "c4", "c2"], "the highest effort, and then the next"
    assert door.entered[1::2] == ["c6", "c0", "c3"], "the last one was drawn each time"


def test_large_ones_that_find_no_room_hold_up_no_small_one_behind_them() -> None:
    room, tried = 10, []
    entered: list[str] = []
    queue = Queue(draw=lambda _: 0)

    def place(effort: int, circuit: str, size: int) -> Place:
        def enter() -> bool:
            nonlocal room
            tried.append(circuit)
            if size > room:
                return False
            room -= size
            entered.append(circuit)
            return True

        return Place(effort, circuit, enter, (1, size))

    for number in range(20):
        queue.join(place(600, f"large {number}", 1000 + number % 2))
    for number in range(6):
        queue.join(place(60, f"small {number}", 1))
    queue.serve(0)

    assert sorted(entered) == [f"small {number}" for number in range(6)]
    assert sum(one.startswith("large") for one in tried) <= 2 * 7, "what takes as much as one without room is not tried"


def test_a_circuit_has_one_lot_however_many_wait_for_it() -> None:
    door = Door()
    counts: list[int] = []

    def draw(count: int) -> int:
        counts.append(count)
        return 0

    queue = Queue(draw)
    for effort in (1, 2, 3, 5, 8, 12):
        queue.join(door.place(effort, "many"))
    queue.join(door.place(1, "one"))
    door.room = price.LOT
    queue.serve(0)

    assert counts == [2], "two circuits were drawn from"


def test_when_too_many_wait_the_circuit_that_has_most_loses_its_worst() -> None:
    door, queue = Door(), Queue(draw=lambda _: 0, most=4)
    places = [
        door.place(effort, circuit) for effort, circuit in ((600, "a"), (300, "a"), (60, "b"), (90, "c"), (60, "d"))
    ]
    for one in places:
        queue.join(one)
    assert [one.dropped for one in places] == [False, True, False, False, False]
    queue.join(door.place(60, "e"))

    assert places[0].dropped, "when each has one, by lot, whatever was paid"


def test_who_has_waited_longer_has_more_chances_in_the_lot_and_is_dropped_later() -> None:
    """Else a source among a thousand circuits that come anew all the time was dropped before its turn."""
    door, queue = Door(), Queue(draw=lambda count: count // 2, most=5)
    for number, since in enumerate((90.0, 95.0, 0.0, 99.0, 98.0)):
        place = door.place(60, f"c{number}")
        place.since = since
        queue.join(place)
    late = door.place(60, "late")
    late.since = 100.0
    queue.join(late)
    assert len(queue) == 5
    assert not any(one.dropped for one in queue._waiting)
    assert {one.circuit for one in queue._waiting} > {"c2"}
    for step in range(5):
        door.room = 1
        queue.serve(100.0 + step)

    assert door.entered[0] == "c0", "by effort, and among equals who came first"
    assert "c2" in door.entered


def test_the_oldest_has_most_of_the_lot() -> None:
    draw = random.Random(3)
    first = 0
    for _ in range(200):
        door, queue = Door(), Queue(draw.randrange)
        queue._served = price.LOT - 1
        for number in range(100):
            place = door.place(60, f"c{number}")
            place.since = 40.0
            queue.join(place)
        old = door.place(60, "old")
        queue.join(old)
        door.room = 1
        queue.serve(60.0)
        first += old.entered
    # 61 cubed of that and a hundred times 21 cubed: about one in five, and not one in a hundred.
    assert 25 <= first <= 60


def test_a_proof_that_waits_on_is_known_by_when_it_came_first(line: Line) -> None:
    gate = line.app.extensions[GATE]
    token = sha256(bytes(32))
    begun = line.clock.seconds
    for _ in range(5):
        assert gate._since(token) == begun
        line.clock.seconds += ABSENT - 1
    gate.forget()
    assert gate._since(token) == begun
    line.clock.seconds += ABSENT
    gate.forget()
    assert not gate._asked
    assert gate._since(token) == line.clock.seconds


def test_one_that_was_dropped_does_not_come_back_at_once(tmp_path: Path, organisations: list[Organisation]) -> None:
    """Else whoever has many proofs has all others dropped."""
    line = Line(tmp_path, organisations, burst=2)
    assert line.buckets.take(Charge(2, 0, 0, 0), ROOM)
    line.clock.seconds += 4700  # less than one letter, and nearly half of the bucket
    sent = envelope(organisations)
    written = line.pay(sent, 5)
    gate = line.app.extensions[GATE]
    crowd = [Place(600, "many", lambda: False) for _ in range(price.WAITING)]
    joined: list[Place] = []
    join = gate._letters.join

    def crowded(place: Place) -> None:
        joined.append(place)
        join(place)
        for one in crowd:
            one.circuit = place.circuit
            join(one)

    gate._letters.join = crowded
    begun = line.clock.seconds
    assert line.open(sent, written) == (429, "slow-down")
    assert line.clock.seconds - begun < 1, "it was dropped"
    line.clock.seconds += AGAIN - 1
    assert line.open(sent, written) == (429, "slow-down")
    assert len(joined) == 1, "and did not join again"
    line.clock.seconds += 1
    line.open(sent, written)
    assert len(joined) == 2
    line.app.extensions[HOURLY]()
    assert gate._dropped
    line.clock.seconds += AGAIN
    line.app.extensions[FORGET]()
    assert not gate._dropped
    line.app.extensions[STORE].engine.dispose()


def test_whose_proofs_were_false_is_forgotten_when_the_hour_has_passed() -> None:
    clock = Clock()
    tolls = Tolls(bytes(32), clock)
    false = Proof(HOUR, 1, tuple(2**32 - 1 for _ in range(16))).encode()
    tolls.paid(false, bytes(32), 1)
    tolls.forget()
    assert tolls._failed
    clock.seconds += 3600
    tolls.forget()
    assert not tolls._failed


def test_who_waits_in_vain_may_ask_again_with_the_same_proof(tmp_path: Path, organisations: list[Organisation]) -> None:
    line = Line(tmp_path, organisations, burst=2)
    assert line.buckets.take(Charge(2, 0, 0, 0), ROOM)
    line.clock.seconds += 4700  # less than one letter, and nearly half of the bucket
    sent = envelope(organisations)
    written = line.pay(sent, 5)
    begun = line.clock.seconds

    assert line.open(sent, written) == (429, "slow-down")
    assert 60 <= line.clock.seconds - begun < 61
    line.clock.seconds += 200
    assert line.open(sent, written) == (201, "stored")
    line.app.extensions[STORE].engine.dispose()
