"""Mailboxes: deposits by Bundles, what their sources read and delete, what is returned to the desk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from support.client import Client, bearer
from support.sealed import Box, Organisation, Sent, inward, keys_folder, three
from support.server import Server, start
from tipbox.formats.base import days
from tipbox.formats.base.limits import MAILBOX_LIST, MAILBOX_PIECE
from tipbox.formats.bundles.acknowledgement import Report
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import ItemSource, item_of
from tipbox.formats.mailbox_list import MailboxList
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import ImportResult, import_bundles
from tipbox.server.storage.models import Deposit, Ledger, Reply, ReplyOpening
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.prune import prune_server
from tipbox.server.upkeep.status import server_status


@pytest.fixture(name="organisations", scope="module")
def _organisations() -> list[Organisation]:
    return three()


@pytest.fixture(name="server")
def _server(organisations: list[Organisation], tmp_path: Path) -> Iterator[Server]:
    server = start(tmp_path / "home", keys_folder(tmp_path / "keys", organisations), courier=True)
    yield server
    server.kill()
    assert "fault" not in server.log.read_text()


class Desk:
    """An organisation's way to the server."""

    def __init__(self, server: Server, organisation: Organisation) -> None:
        self.server = server
        self.organisation = organisation
        self.sequence = 0
        self.outward = self.fetch()[0]

    def fetch(self) -> tuple[Bundle, Report]:
        (path,) = write_volumes(self.server.home, self.organisation.name, self.server.home.parent / "out")
        bundle = self.organisation.read(path)
        data = next(b"".join(bundle.read(item)) for item in bundle.items if item.entry.kind == "report")
        return bundle, Report.parse(data)

    @property
    def report(self) -> Report:
        return self.fetch()[1]

    def bundle(self, items: Sequence[ItemSource], sequence: int | None = None) -> Path:
        if sequence is None:
            self.sequence = sequence = self.sequence + 1
        path = self.server.home.parent / f"{self.organisation.name}-{sequence}.in"
        return inward(path, self.organisation, self.outward, items, sequence)

    def deliver(self, *items: ItemSource, sequence: int | None = None) -> ImportResult:
        (taken,) = import_bundles(self.server.home, [self.bundle(items, sequence)])
        return taken

    def deposit(self, box: Box, *replies: Sent) -> ImportResult:
        return self.deliver(*(box.item(reply) for reply in replies))


@pytest.fixture(name="desk")
def _desk(server: Server, organisations: list[Organisation]) -> Desk:
    return Desk(server, organisations[0])


def ids(found: MailboxList) -> list[bytes]:
    return [entry.id for entry in found.entries]


def blobs(server: Server) -> list[Path]:
    return [path for path in (server.home / "blobs").iterdir() if path.is_file()]


def rows(server: Server) -> list[int]:
    return server.read(
        lambda connection: [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (Reply, ReplyOpening, Deposit)
        ]
    )


def test_a_reply_is_deposited_read_and_deleted(server: Server, desk: Desk) -> None:
    box = Box()
    short, long, letter = box.reply(), box.reply(700_000), box.reply(300, b"word " * 20_000)

    taken = desk.deposit(box, short, long, letter)

    assert (taken.deposited, taken.is_complete, taken.returned) == (3, True, [])
    with server.client() as client:
        found = client.mailbox(box)
        assert sorted(ids(found)) == ids(found) == sorted(one.id for one in (short, long, letter))
        assert {entry.id: (entry.size, entry.opening_size, entry.day) for entry in found.entries} == {
            one.id: (len(one.whole), len(one.opening), days.today()) for one in (short, long, letter)
        }
        by_id = {one.id: one for one in (short, long, letter)}
        assert list(found.openings) == [by_id[one].opening for one in ids(found)[: len(found.openings)]]
        for one in (short, long, letter):
            whole = client.whole(box, one)
            assert whole == one.whole.ljust(len(whole), b"\x00")
            assert client.piece(box, one.id, len(whole) // MAILBOX_PIECE) == bytes(MAILBOX_PIECE)

        client.delete(box, long, letter)
        assert ids(client.mailbox(box)) == [short.id]
        assert blobs(server) == []
        client.delete(box, short)
        assert client.mailbox(box) == MailboxList((), ())
        assert client.piece(box, long.id, 0) == bytes(MAILBOX_PIECE)
    assert rows(server)[:2] == [0, 0]
    assert server.read(lambda connection: connection.execute(select(Ledger.reply_bytes)).scalar_one()) == 0
    assert all(finding.ok for finding in check_server(server.home))


def test_another_token_reads_and_deletes_nothing(server: Server, desk: Desk) -> None:
    box, other = Box(), Box()
    reply = box.reply(100)
    desk.deposit(box, reply)

    with server.client() as client:
        assert client.mailbox(other) == MailboxList((), ())
        assert client.piece(other, reply.id, 0) == bytes(MAILBOX_PIECE)
        client.delete(other, reply)
        assert ids(client.mailbox(box)) == [reply.id]
        assert client.whole(box, reply).startswith(reply.whole)


@pytest.mark.parametrize("path", ["", "/piece", "/delete"])
def test_a_request_that_is_not_one_is_refused(server: Server, path: str) -> None:
    size = {"": 0, "/piece": 36, "/delete": 16_384}[path]
    token = bearer(Box().token)
    with server.client() as client:
        good = client.request("POST", f"/api/mailbox{path}", bytes(size), token)
        assert good.status == 200
        assert good.header("Content-Type") == "application/octet-stream"
        assert good.header("Content-Encoding") is None
        wrong = {"Authorization": token["Authorization"][:-1]}
        for headers in ({}, wrong, {"Authorization": "Basic abc"}):
            assert client.request("POST", f"/api/mailbox{path}", bytes(size), headers).error == (401, "no-token")
        assert client.request("POST", f"/api/mailbox{path}", bytes(size + 1), token).error == (413, "too-large")
        if size:
            assert client.request("POST", f"/api/mailbox{path}", bytes(size - 1), token).error == (400, "malformed")
        assert client.request("GET", f"/api/mailbox{path}", None, token).error == (405, "method")


def test_what_is_sent_again_is_no_news_and_does_not_come_back_once_deleted(server: Server, desk: Desk) -> None:
    box = Box()
    reply, second = box.reply(), box.reply(90_000)
    assert desk.deliver(box.item(reply), box.item(second), sequence=3).deposited == 2

    assert [desk.deliver(box.item(reply), sequence=number).deposited for number in (3, 2, 9)] == [0, 0, 0]
    with server.client() as client:
        assert len(ids(client.mailbox(box))) == 2
        client.delete(box, reply, second)
        for number in (3, 2, 10):
            taken = desk.deliver(box.item(second), box.item(reply), sequence=number)
            assert (taken.is_complete, taken.deposited, taken.returned) == (True, 0, [])
        assert client.mailbox(box) == MailboxList((), ())
    assert blobs(server) == []
    assert desk.report == Report((2, 3, 9, 10))


def test_a_full_mailbox_is_reported_until_the_reply_is_taken(
    server: Server, desk: Desk, organisations: list[Organisation]
) -> None:
    box = Box()
    held = [box.reply() for _ in range(16)]
    assert desk.deposit(box, *held).deposited == 16
    late = box.reply(70_000)

    taken = desk.deposit(box, late)

    assert (taken.is_complete, taken.deposited, [error.code for error in taken.returned]) == (True, 0, ["full"])
    assert desk.report == Report((1, 2), ((box.item(late).entry.hash, "full"),))
    assert blobs(server) == []
    assert Desk(server, organisations[1]).deposit(box, box.reply()).deposited == 1, "each has room of its own"
    with server.client() as client:
        assert len(ids(client.mailbox(box))) == 17
        client.delete(box, held[0])
    assert desk.deliver(box.item(late), sequence=2).deposited == 1, "the same Bundle again is enough"
    assert desk.report == Report((1, 2))


def test_the_quota_of_all_replies(organisations: list[Organisation], tmp_path: Path) -> None:
    keys = keys_folder(tmp_path / "keys", organisations[:1])
    server = start(tmp_path / "home", keys, settings={"quota_reply_bytes": "200000"})
    try:
        (server.home / "tipbox.toml").write_text("[quota]\nreply_bytes = 200000\n")
        desk, box, other = Desk(server, organisations[0]), Box(), Box()
        assert desk.deposit(box, box.reply(100_000)).deposited == 1
        assert [error.code for error in desk.deposit(other, other.reply(90_000)).returned] == ["full"]
        assert desk.deposit(other, other.reply()).deposited == 1
        (room,) = (finding for finding in check_server(server.home) if finding.check == "room")
        assert room.ok
        assert desk.deposit(other, other.reply(60_000)).deposited == 1
        (room,) = (finding for finding in check_server(server.home) if finding.check == "room")
        assert not room.ok
        assert "quota.reply_bytes" in room.remedy
        assert (server_status(server.home).replies, server_status(server.home).replies_used_tenths) == ("1+", 9)
    finally:
        server.kill()


def test_one_organisation_uses_up_its_own_share_of_replies_only(
    organisations: list[Organisation], tmp_path: Path
) -> None:
    keys = keys_folder(tmp_path / "keys", organisations)
    server = start(tmp_path / "home", keys, settings={"quota_reply_bytes": "600000"})
    try:
        (server.home / "tipbox.toml").write_text("[quota]\nreply_bytes = 600000\n")
        greedy, other = (Desk(server, one) for one in organisations[:2])
        boxes = [Box(), Box(), Box()]
        first = boxes[0].reply(130_000)
        assert greedy.deposit(boxes[0], first).deposited == 1
        assert [error.code for error in greedy.deposit(boxes[1], boxes[1].reply(60_000)).returned] == ["full"]
        assert other.deposit(boxes[2], boxes[2].reply(130_000)).deposited == 1
        with server.client() as client:
            client.delete(boxes[0], first)
        assert greedy.deposit(boxes[1], boxes[1].reply(60_000)).deposited == 1, "what was deleted is given back"
        (ledger,) = (finding for finding in check_server(server.home) if finding.check == "ledger")
        assert ledger.ok
    finally:
        server.kill()


def test_a_number_that_a_desk_used_twice_loses_no_reply(server: Server, desk: Desk) -> None:
    """A vault that was put back from a copy writes other replies under a number that the server has taken before."""
    one, other = Box(), Box()
    assert desk.deposit(one, one.reply()).deposited == 1
    assert desk.sequence in desk.report.bundles
    desk.sequence -= 1
    assert desk.deposit(other, other.reply()).deposited == 1
    with server.client() as client:
        assert len(client.mailbox(other).entries) == 1


def _bad_items(box: Box, organisation: Organisation) -> dict[str, tuple[bytes, str]]:
    reply = box.reply(100_000)
    whole = box.address + reply.whole
    from support.sealed import envelope

    return {
        "nothing behind the address": (box.address, "truncated"),
        "less than an address": (box.address[:20], "truncated"),
        "another magic": (box.address + b"\x88" + reply.whole[1:], "not-tipbox"),
        "another version": (box.address + reply.whole[:8] + b"\x02" + reply.whole[9:], "version"),
        "another mailbox": (bytes(32) + reply.whole, "malformed"),
        "a tip": (organisation.id + bytes(16) + envelope([organisation]).whole, "ok"),
        "two slots": (organisation.id + bytes(16) + envelope(three()).whole, "malformed"),
        "cut": (whole[:-1], "malformed"),
        "longer": (whole + b"x", "malformed"),
        "cut in the letter": (whole[:3000], "malformed"),
        "reserved bytes": (whole[:42] + b"\x01" + whole[43:], "malformed"),
    }


def test_what_is_not_a_reply_is_returned_and_the_rest_is_taken(
    server: Server, desk: Desk, organisations: list[Organisation]
) -> None:
    box = Box()
    good = box.reply(1000)
    bad = _bad_items(box, organisations[0])
    items = [item_of("reply", data) for data, _ in bad.values()]

    taken = desk.deliver(*items, box.item(good))

    codes = [code for _, code in bad.values() if code != "ok"]
    assert [error.code for error in taken.returned] == codes
    assert taken.is_complete
    report = desk.report
    assert report.bundles == (1,)
    assert dict(report.refused) == {
        item.entry.hash: code for item, (_, code) in zip(items, bad.values(), strict=True) if code != "ok"
    }
    with server.client() as client:
        assert ids(client.mailbox(box)) == [good.id]
    assert len(blobs(server)) == 1


def test_a_reply_that_was_damaged_in_transit_has_to_come_again(server: Server, desk: Desk) -> None:
    box = Box()
    reply, other = box.reply(200_000), box.reply()
    path = desk.bundle([box.item(reply), box.item(other)])
    data = bytearray(path.read_bytes())
    data[1280 + 65552 + 150_000] ^= 1
    path.write_bytes(data)

    (taken,) = import_bundles(server.home, [path])

    assert (taken.deposited, taken.is_complete, taken.returned) == (1, False, [])
    assert [error.code for error in taken.refused] == ["damaged-item"]
    assert desk.report == Report(())
    assert blobs(server) == []
    assert desk.deliver(box.item(reply), box.item(other), sequence=1).deposited == 1
    assert desk.report == Report((1,))


def test_a_courier_delivers_replies(server: Server, desk: Desk) -> None:
    box = Box()
    reply = box.reply(300_000)
    with Client(server, None, str(server.courier)) as courier:
        answer = courier.request("POST", "/courier/deliver", desk.bundle([box.item(reply)]).read_bytes())
        assert (answer.status, answer.json) == (200, {"sequence": 1, "whole": True})
    with server.client() as client:
        assert client.whole(box, reply).startswith(reply.whole)


def test_replies_go_after_ninety_days_that_were_seen(server: Server, desk: Desk) -> None:
    box = Box()
    desk.deposit(box, box.reply(), box.reply(100_000))

    for day in range(1, 90):
        assert prune_server(server.home, today=days.today() + timedelta(days=day)).replies == 0
    assert rows(server) == [2, 2, 2]
    assert prune_server(server.home, today=days.today() + timedelta(days=90)).replies == 2
    assert (rows(server), blobs(server)) == ([0, 0, 0], [])
    assert all(finding.ok for finding in check_server(server.home) if finding.check in {"ledger", "blobs"})


def test_check_names_a_reply_whose_file_is_gone(server: Server, desk: Desk) -> None:
    box = Box()
    reply = box.reply(100_000)
    desk.deposit(box, reply)
    (blob,) = blobs(server)
    blob.unlink()

    (finding,) = (one for one in check_server(server.home) if one.check == "blobs")

    assert not finding.ok
    with server.client() as client:
        assert client.piece(box, reply.id, 0) == reply.opening.ljust(MAILBOX_PIECE, b"\x00")


def test_rates_hold_back_a_flood_of_tokens(organisations: list[Organisation], tmp_path: Path) -> None:
    keys = keys_folder(tmp_path / "keys", organisations)
    server = start(tmp_path / "home", keys, unix=True, settings={"limits_mailbox": "5"})
    try:
        with server.client("fc00:dead:beef:4dad::1") as one, server.client("fc00:dead:beef:4dad::2") as other:
            for _ in range(5):
                assert len(one.request("POST", "/api/mailbox", b"", bearer(Box().token)).body) == MAILBOX_LIST
            answer = one.request("POST", "/api/mailbox", b"", bearer(Box().token))
            assert answer.error == (429, "slow-down")
            assert answer.header("Retry-After")
            assert other.request("POST", "/api/mailbox", b"", bearer(Box().token)).status == 200
    finally:
        server.kill()
