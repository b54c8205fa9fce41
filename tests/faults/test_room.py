"""Attacks on the room of the disk: what is kept is what is counted, and a text is stored while each of them goes on."""

from __future__ import annotations

import json
import random
import select
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from faults.cutting_proxy import CuttingProxy
from faults.sending import Upload, sealed
from faults.small_disk import DISK, Tight
from faults.stored import rows
from support.loopback import until
from support.world import Server, World
from tipbox.formats.base.limits import ENVELOPE_PART_SIZE, GIB, MAX_RUN_PARTS
from tipbox.server.bundles.delivery import AT_A_TIME
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.finding import Finding
from tipbox.server.upkeep.status import server_status

RESERVE, FLOOR = DISK // 5, DISK // 20


def draft(world: World, size: int) -> Upload:
    """An upload of ``size`` bytes that was opened."""
    upload = sealed(world.keys, b"files", [("data", random.Random(size).randbytes(size))])
    assert upload.open(world.server) == 201
    return upload


def text(world: World, message: bytes = b"honest") -> Upload:
    """A text that is stored now."""
    upload = sealed(world.keys, message)
    assert upload.open(world.server) == 201
    return upload


def kept(server: Server) -> int:
    """Bytes of all blobs."""
    return sum(path.stat().st_size for path in (server.home / "blobs").iterdir() if path.is_file())


def room(server: Server) -> Finding:
    """What the operator's check says of the room."""
    (found,) = (finding for finding in check_server(server.home) if finding.check == "room")
    return found


# --- overlapping runs -------------------------------------------------------------------------------------------------


def test_overlapping_runs_hold_the_room_of_their_new_parts_only(tight: Tight) -> None:
    """Each run but the first brings one new part and 63 that are there: several times the disk is sent."""
    world = tight.world
    upload = draft(world, 5_500_000)
    assert len(upload.parts) > MAX_RUN_PARTS + 15
    texts = []
    for first in range(len(upload.parts) - MAX_RUN_PARTS + 1):
        assert upload.put(world.server, first, MAX_RUN_PARTS) == 200
        if first % 8 == 0:
            texts.append(text(world))
    assert kept(world.server) == sum(len(part) for part in upload.parts)
    assert upload.finish(world.server) == 200
    assert kept(world.server) == sum(len(part) for part in upload.parts)
    assert set(rows(world.server.home)) == {one.id for one in (upload, *texts)}


class Held:
    """A run of which all but the last byte has been sent."""

    def __init__(self, server: Server, upload: Upload, first: int, count: int) -> None:
        host, port = server.bind.rsplit(":", 1)
        self._line = socket.create_connection((host, int(port)), 60)
        self._run = b"".join(upload.parts[first : first + count])
        head = [f"PUT /api/envelope/parts/{first} HTTP/1.1", f"Host: {server.bind}"]
        head += [f"{name}: {value}" for name, value in upload.headers.items()]
        self._line.sendall("\r\n".join([*head, f"Content-Length: {len(self._run)}", "", ""]).encode())
        self._line.sendall(self._run[:-1])

    def complete(self) -> None:
        """Send the last byte; nobody waits for an answer yet."""
        self._line.sendall(self._run[-1:])

    def status(self) -> int:
        """Of the answer."""
        with self._line:
            answer = b""
            while b"\r\n" not in answer and (piece := self._line.recv(4096)):
                answer += piece
        return int(answer.split(b" ", 2)[1])


def test_runs_that_overlap_while_they_come_hold_no_more(tight: Tight) -> None:
    """All begin before any is there, so none of them knows what the others bring."""
    world = tight.world
    upload = draft(world, 1_000_000)
    count, runs = 8, 8
    for _ in range(3):
        held = [Held(world.server, upload, first, count) for first in range(runs)]
        text(world)
        for one in held:
            one.complete()
        assert {one.status() for one in held} <= {200, 429}
    assert kept(world.server) == (count + runs - 1) * ENVELOPE_PART_SIZE
    assert upload.put(world.server, 0, len(upload.parts)) == 200
    assert upload.finish(world.server) == 200
    assert rows(world.server.home)[upload.id].blob_size == sum(len(part) for part in upload.parts)


def test_a_run_that_is_here_in_part_is_compared_and_completed(tight: Tight) -> None:
    """A client that lost the answer repeats its run as it was; other bytes for what is here are refused."""
    world = tight.world
    upload = draft(world, 1_000_000)
    assert [upload.put(world.server, first, count) for first, count in ((2, 3), (8, 2), (0, 12))] == [200] * 3
    wrong = b"".join((*upload.parts[12:13], bytes(ENVELOPE_PART_SIZE)))
    assert upload.put(world.server, 13, 1) == 200
    path = "/api/envelope/parts/12"
    assert world.server.request("PUT", path, wrong, upload.headers)[0] == 409
    assert kept(world.server) == 13 * ENVELOPE_PART_SIZE
    assert upload.put(world.server, 0, len(upload.parts)) == 200
    assert upload.finish(world.server) == 200
    volumes = world.server.export("fidh", world.scratch("out"))
    world.desks["fidh"].take(*volumes)
    world.desks["fidh"].open(upload.id, world.scratch("tip") / "opened")


# --- the reserve ------------------------------------------------------------------------------------------------------


def test_parts_stop_at_the_reserve_of_texts(tight: Tight) -> None:
    world = tight.world
    upload = draft(world, 2_000_000)
    assert upload.put(world.server, 0, 4) == 200
    tight.ballast.leave(RESERVE + 6 * ENVELOPE_PART_SIZE)
    assert upload.put(world.server, 4, 4) == 200
    assert upload.put(world.server, 8, 4) == 507
    text(world)
    tight.ballast.drop()
    assert upload.put(world.server, 8, len(upload.parts)) == 200
    assert upload.finish(world.server) == 200


def age(server: Server) -> None:
    """What was begun was begun yesterday."""
    with closing(sqlite3.connect(server.home / "tipbox.db")) as database:
        database.execute("UPDATE draft SET seen_day = seen_day - 1")
        database.commit()


def test_texts_push_out_uploads_that_stand_still(tight: Tight) -> None:
    """Uploads of yesterday that nobody goes on with hold the disk up to its floor: texts take their room."""
    world = tight.world
    still, moving = draft(world, 2_500_000), draft(world, 2_400_000)
    assert still.put(world.server, 0, 2) == 200
    assert moving.put(world.server, 0, 30) == 200
    never_finished = draft(world, 1_000_000)
    assert never_finished.put(world.server, 0, len(never_finished.parts)) == 200
    age(world.server)
    tight.ballast.leave(FLOOR - ENVELOPE_PART_SIZE // 2)

    assert not room(world.server).ok
    text(world)
    held = [one.put(world.server, 0, 1) for one in (still, never_finished, moving)]
    assert held == [404, 200, 200], "the upload that stands still has gone, and no other"
    assert kept(world.server) == 30 * ENVELOPE_PART_SIZE + sum(len(part) for part in never_finished.parts)

    tight.ballast.leave(FLOOR - ENVELOPE_PART_SIZE // 2)
    text(world)
    tight.ballast.drop()
    assert [one.put(world.server, 0, 1) for one in (never_finished, moving)] == [404, 200]


def test_the_check_and_the_status_see_the_reserve_shrink(tight: Tight) -> None:
    world = tight.world
    assert (room(world.server).ok, server_status(world.server.home).text_room_used_tenths) == (True, 0)
    draft(world, 100_000).put(world.server, 0, 2)
    tight.ballast.leave(RESERVE // 2)
    said = room(world.server)
    assert (said.ok, server_status(world.server.home).text_room_used_tenths) == (False, 6)
    assert "files are refused" in said.message
    assert "export" in said.remedy
    tight.ballast.leave(FLOOR + RESERVE // 20)
    said = room(world.server)
    assert (said.ok, server_status(world.server.home).text_room_used_tenths) == (False, 9)
    assert "few more texts" in said.message


# --- couriers ---------------------------------------------------------------------------------------------------------


def deliveries(proxy: CuttingProxy, stack: ExitStack, sizes: list[int], sent: int) -> Iterator[HTTPConnection]:
    """Deliveries that announce ``sizes`` and have sent ``sent`` bytes each."""
    at = urlsplit(proxy.url)
    for size in sizes:
        client = HTTPConnection(at.hostname or "", at.port, timeout=60)
        stack.callback(client.close)
        client.putrequest("POST", "/courier/deliver")
        client.putheader("Content-Length", str(size))
        client.endheaders()
        with suppress(OSError):  # refused already
            client.send(bytes(sent))
        yield client


def answered(waiting: list[HTTPConnection]) -> list[HTTPConnection]:
    """Those to which something has come back."""
    return [one for one in waiting if select.select([one.sock], [], [], 0)[0]]


def test_announced_deliveries_take_no_room(tight: Tight, couriers: CuttingProxy) -> None:
    world = tight.world
    text(world)
    before = tight.free
    with ExitStack() as stack:
        # As in an attack: first what takes the disk to the reserve's quarter, then what takes it below the floor.
        sizes = [before - RESERVE // 4, *([RESERVE // 8] * 6), *([4 * GIB] * 12)]
        waiting = [*deliveries(couriers, stack, sizes, 3)]
        # Which of them were let in depends on which worker took them.
        until(lambda: len(answered(waiting)) >= len(waiting) - AT_A_TIME)
        assert {one.getresponse().status for one in answered(waiting)} <= {429, 507}, "few at a time"
        assert before - tight.free < 1 << 20
        text(world)
        upload = draft(world, 300_000)
        assert upload.put(world.server, 0, len(upload.parts)) == 200
        assert upload.finish(world.server) == 200


def test_deliveries_that_are_sent_leave_the_floor(tight: Tight, couriers: CuttingProxy) -> None:
    """All that is sent is stopped in time, and given back."""
    world = tight.world
    before = tight.free
    with ExitStack() as stack:
        (first,) = deliveries(couriers, stack, [DISK // 4], DISK // 4 - 1)
        others = [*deliveries(couriers, stack, [DISK // 4] * 3, 1)]
        text(world)
        for one in others:
            one.sock.settimeout(20)
            try:
                one.send(bytes(DISK // 4 - 1))
                answer = one.getresponse()
                assert answer.status in {400, 429, 507}
            except OSError:
                pass  # it was refused before all had been sent
            assert tight.free > FLOOR
            text(world)
        first.send(b"\0")
        assert json.loads(first.getresponse().read())["error"] == "not-tipbox"
    assert tight.free > before - (1 << 20)


# --- repeats ----------------------------------------------------------------------------------------------------------


BUCKET = {"TIPBOX_QUOTA_LETTERS_BURST": "40", "TIPBOX_QUOTA_LETTERS_PER_SECOND": "0.0001"}
"""Three quarters of it are there at the start, and below a half each opening has a price."""


@pytest.mark.parametrize("tight", [BUCKET], indirect=True)
def test_repeats_of_one_envelope_are_counted_as_letters(tight: Tight) -> None:
    world = tight.world
    one = text(world)
    answers = []
    for _ in range(30):
        again = one.again()
        answers.append(again.open(world.server))
        assert again.open(world.server) == (200 if answers[-1] == 201 else 429), "under its own token it costs nothing"
    assert answers == [201] * 10 + [429] * 20
    assert set(rows(world.server.home)) == {one.id}
    with closing(sqlite3.connect(f"file:{world.server.home / 'tipbox.db'}?mode=ro", uri=True)) as database:
        assert database.execute("SELECT count(*) FROM finished").fetchone() == (11,)
        assert database.execute("SELECT letters FROM day_count").fetchone() == (11,)
