"""Mailboxes: deposits by Bundles, what their sources read and delete, what is returned to the desk."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from support.client import Client, bearer
from support.sealed import Box, Organisation, Sent, envelope, inward, keys_folder, three
from support.server import Server, start
from tipbox.formats.base import days
from tipbox.formats.base.limits import MAILBOX_LIST, MAILBOX_PIECE, MAX_REPLY
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import ItemSource, item_of
from tipbox.formats.bundles.report import Report
from tipbox.formats.envelopes.header import Header
from tipbox.formats.mailbox_list import MailboxList, encode_tokens
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import ImportResult, import_bundles
from tipbox.server.storage.models import Deposit, Ledger, Reply, ReplyOpening
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.prune import prune_server
from tipbox.server.upkeep.settle import settle_server
from tipbox.server.upkeep.status import server_status


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
        self.written: dict[int, Path] = {}
        self.outward = self.fetch()[0]

    def fetch(self) -> tuple[Bundle, Report]:
        (path,) = write_volumes(self.server.home, self.organisation.name, self.server.home.parent / "out")
        bundle = self.organisation.read(path)
        data = next(b"".join(bundle.read(item)) for item in bundle.items if item.entry.kind == "report")
        return bundle, Report.parse(data)

    @property
    def taken(self) -> tuple[int, ...]:
        """Numbers of the Bundles that the server has taken whole, as it reports them."""
        return tuple(one.sequence for one in self.fetch()[1].bundles)

    @property
    def refused(self) -> dict[bytes, str]:
        """Replies that the server refused, by the hash of their items, with the codes why."""
        return dict(self.fetch()[1].refused)

    def bundle(self, items: Sequence[ItemSource], sequence: int | None = None) -> Path:
        if sequence is None:
            self.sequence = sequence = self.sequence + 1
        path = self.server.home.parent / f"{self.organisation.name}-{sequence}.in"
        self.written[sequence] = inward(path, self.organisation, self.outward, items, sequence)
        return path

    def deliver(self, *items: ItemSource, sequence: int | None = None) -> ImportResult:
        (taken,) = import_bundles(self.server.home, [self.bundle(items, sequence)])
        return taken

    def deliver_again(self, sequence: int) -> ImportResult:
        """A Bundle of before, with the same bytes."""
        (taken,) = import_bundles(self.server.home, [self.written[sequence]])
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


def test_reading_leaves_no_time_on_the_disk(server: Server, desk: Desk) -> None:
    """Whether and when a mailbox was opened does not show on the file of a reply: neither today nor once settled."""
    box = Box()
    reply = box.reply(300_000)
    desk.deposit(box, reply)

    for settled in (False, True):
        if settled:
            assert settle_server(server.home, today=days.today() + timedelta(days=1)).blobs == 1
        (file,) = (path for path in (server.home / "blobs").rglob("*") if path.is_file())
        before = file.stat().st_atime_ns
        with server.client() as client:
            assert client.whole(box, reply).startswith(reply.whole)
        assert file.stat().st_atime_ns == before, f"settled: {settled}"


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


def replies_in(client: Client, box: Box) -> list[bytes]:
    return ids(client.mailbox(box))


def test_one_request_asks_for_the_mailboxes_of_several_organisations(
    server: Server, desk: Desk, organisations: list[Organisation]
) -> None:
    """Each entry says by its place among the tokens whose it is."""
    one, other, empty = Box(), Box(), Box()
    mine, theirs = [one.reply(), one.reply(70_000)], [other.reply(300_000)]
    desk.deposit(one, *mine)
    Desk(server, organisations[1]).deposit(other, *theirs)
    box = one.beside(other, empty)
    places = {
        box.tokens.index(of.token): {reply.id for reply in replies} for of, replies in ((one, mine), (other, theirs))
    }

    with server.client() as client:
        found = client.mailbox(box)
        assert {(entry.place, entry.id) for entry in found.entries} == {
            (place, reply) for place, replies in places.items() for reply in replies
        }
        by_id = {reply.id: reply for reply in (*mine, *theirs)}
        assert list(found.openings) == [by_id[entry.id].opening for entry in found.entries[: len(found.openings)]]
        for reply in by_id.values():
            assert client.whole(box, reply).startswith(reply.whole)
        client.delete(box, mine[0], theirs[0])
        assert replies_in(client, box) == replies_in(client, one) == [mine[1].id]
        assert replies_in(client, other) == []
    assert len(blobs(server)) == 1


def test_one_reply_in_two_mailboxes_of_a_request_is_listed_once(
    server: Server, desk: Desk, organisations: list[Organisation]
) -> None:
    """Else two organisations that work together could make the list of a source one that no reader takes."""
    mine, theirs = Box(), Box()
    twice, large, other = mine.reply(), mine.reply(100, b"word " * 20_000), theirs.reply()
    desk.deposit(mine, twice, large)
    assert Desk(server, organisations[1]).deposit(theirs, twice, large, other).deposited == 3
    box = mine.beside(theirs)

    with server.client() as client:
        found = client.mailbox(box)
        assert sorted(ids(found)) == sorted((twice.id, large.id, other.id))
        for one in (twice, large, other):
            assert client.whole(box, one).startswith(one.whole)
        client.delete(box, twice, large, other)
        assert client.mailbox(box) == client.mailbox(theirs) == MailboxList((), ())
    assert blobs(server) == []


def _bodies(tokens: bytes) -> dict[str, bytes]:
    return {"": tokens, "/piece": tokens + bytes(36), "/delete": tokens + bytes(16_384)}


@pytest.mark.parametrize("path", ["", "/piece", "/delete"])
def test_a_request_that_is_not_one_is_refused(server: Server, path: str) -> None:
    tokens = encode_tokens(Box().tokens)
    body = _bodies(tokens)[path]
    with server.client() as client:
        good = client.request("POST", f"/api/mailbox{path}", body)
        assert good.status == 200
        assert good.header("Content-Type") == "application/octet-stream"
        assert good.header("Content-Encoding") is None
        assert client.request("POST", f"/api/mailbox{path}", body + b"\x00").error == (413, "too-large")
        for size in (0, 1, 32, 1023, len(body) - 1):
            assert client.request("POST", f"/api/mailbox{path}", body[:size]).error == (400, "malformed")
        assert client.request("GET", f"/api/mailbox{path}").error == (405, "method")


@pytest.mark.parametrize("path", ["", "/piece", "/delete"])
def test_tokens_that_are_not_strictly_ascending_are_refused(server: Server, path: str) -> None:
    tokens = sorted(random_bytes(32) for _ in range(32))
    swapped, repeated = tokens.copy(), [tokens[0], *tokens[:31]]
    swapped[30:] = swapped[:29:-1]
    with server.client() as client:
        for wrong in (swapped, repeated, tokens[::-1], [bytes(32)] * 32):
            body = _bodies(b"".join(wrong))[path]
            assert client.request("POST", f"/api/mailbox{path}", body).error == (400, "malformed")
        assert client.request("POST", f"/api/mailbox{path}", _bodies(b"".join(tokens))[path]).status == 200


def test_an_id_behind_the_padding_deletes_nothing(server: Server, desk: Desk) -> None:
    box = Box()
    reply = box.reply()
    desk.deposit(box, reply)
    body = encode_tokens(box.tokens) + bytes(32) + reply.id + bytes(16_384 - 64)
    with server.client() as client:
        assert client.request("POST", "/api/mailbox/delete", body).error == (400, "malformed")
        assert replies_in(client, box) == [reply.id]


def test_a_token_in_the_place_of_the_drafts_token_opens_nothing(server: Server, desk: Desk) -> None:
    """Tokens are in the body and nowhere else; what stands in Authorization is not looked at."""
    box = Box()
    desk.deposit(box, box.reply())
    headers = bearer(base64.urlsafe_b64encode(box.token).decode().rstrip("="))
    with server.client() as client:
        answer = client.request("POST", "/api/mailbox", encode_tokens(Box().tokens), headers)
        assert MailboxList.parse(answer.body) == MailboxList((), ())
        assert client.request("POST", "/api/mailbox", b"", headers).error == (400, "malformed")


def test_what_is_sent_again_is_no_news_and_does_not_come_back_once_deleted(server: Server, desk: Desk) -> None:
    box = Box()
    reply, second = box.reply(), box.reply(90_000)
    assert desk.deliver(box.item(reply), box.item(second), sequence=3).deposited == 2

    assert desk.deliver_again(3).deposited == 0
    assert [desk.deliver(box.item(reply), sequence=number).deposited for number in (2, 9)] == [0, 0]
    with server.client() as client:
        assert len(ids(client.mailbox(box))) == 2
        client.delete(box, reply, second)
        later = desk.deliver(box.item(second), box.item(reply), sequence=10)
        for taken in (desk.deliver_again(3), desk.deliver_again(2), later):
            assert (taken.is_complete, taken.deposited, taken.returned) == (True, 0, [])
        assert client.mailbox(box) == MailboxList((), ())
    assert blobs(server) == []
    assert desk.taken == (2, 3, 9, 10)


def test_a_full_mailbox_is_reported_until_the_reply_is_taken(
    server: Server, desk: Desk, organisations: list[Organisation]
) -> None:
    box = Box()
    held = [box.reply() for _ in range(16)]
    assert desk.deposit(box, *held).deposited == 16
    late = box.reply(70_000)

    taken = desk.deposit(box, late)

    assert (taken.is_complete, taken.deposited, [error.code for error in taken.returned]) == (True, 0, ["full"])
    assert (desk.taken, desk.refused) == ((1, 2), {box.item(late).entry.hash: "full"})
    assert blobs(server) == []
    other = Box()
    assert Desk(server, organisations[1]).deposit(other, other.reply()).deposited == 1, "each has room of its own"
    with server.client() as client:
        assert len(ids(client.mailbox(box))) == 16
        client.delete(box, held[0])
    assert desk.deliver_again(2).deposited == 1, "the same Bundle again is enough"
    assert (desk.taken, desk.refused) == ((1, 2), {})


def test_a_mailbox_with_replies_takes_those_of_its_organisation_only(
    server: Server, desk: Desk, organisations: list[Organisation]
) -> None:
    """Whoever learned an address must not fill the mailbox up; an organisation of another server may not either."""
    box, stranger = Box(), Desk(server, organisations[1])
    first, second, strange = box.reply(), box.reply(), box.reply(70_000)
    desk.deposit(box, first)

    taken = stranger.deposit(box, strange)

    assert (taken.is_complete, taken.deposited, [error.code for error in taken.returned]) == (True, 0, ["full"])
    assert (stranger.taken, stranger.refused) == ((1,), {box.item(strange).entry.hash: "full"})
    assert blobs(server) == []
    assert desk.deposit(box, second).deposited == 1
    with server.client() as client:
        assert set(replies_in(client, box)) == {first.id, second.id}
        client.delete(box, first, second)
    assert stranger.deliver_again(1).deposited == 1, "an empty mailbox is nobody's"
    assert [error.code for error in desk.deposit(box, box.reply()).returned] == ["full"]


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


def test_a_second_bundle_under_a_taken_number_is_not_read(server: Server, desk: Desk) -> None:
    """Either a vault was put back from a copy, or somebody has the server's key: both are for people to look at.

    The desk sees by the hash in the report that another Bundle was taken, and repeats its replies.
    """
    one, other = Box(), Box()
    first, second = one.reply(), other.reply(70_000)
    assert desk.deposit(one, first).deposited == 1
    report = desk.fetch()[1]
    taken = desk.deliver(other.item(second), sequence=1)

    assert (taken.deposited, taken.is_complete, taken.returned) == (0, False, [])
    (error,) = taken.refused
    assert error.code == "wrong-sender"
    assert "another Bundle was taken as number 1 of this organisation; this one was not read" in str(error)
    assert desk.fetch()[1] == report
    assert (rows(server), blobs(server)) == ([1, 1, 1], [])
    with server.client() as client:
        assert replies_in(client, other) == []
    assert desk.deliver(other.item(second), sequence=2).deposited == 1


def _bad_items(box: Box, organisation: Organisation) -> dict[str, tuple[bytes, str]]:
    reply = box.reply(100_000)
    whole = box.address + reply.whole
    huge = replace(Header.parse(reply.header), body_size=MAX_REPLY)
    return {
        "nothing behind the address": (box.address, "truncated"),
        "less than an address": (box.address[:20], "truncated"),
        "another magic": (box.address + b"\x88" + reply.whole[1:], "not-tipbox"),
        "another version": (box.address + reply.whole[:8] + b"\x02" + reply.whole[9:], "version"),
        "a tip": (box.address + envelope([organisation]).whole, "malformed"),
        "a tip with files": (box.address + envelope(three(), 1000).whole, "malformed"),
        "a reply with a slot": (box.address + reply.whole[:9] + b"\x01" + reply.whole[10:], "limit"),
        "a tip without slots": (box.address + reply.whole[:10] + b"\x00" + reply.whole[11:], "limit"),
        "an unknown kind": (box.address + reply.whole[:10] + b"\x02" + reply.whole[11:], "malformed"),
        "a trailer": (whole + bytes(32), "malformed"),
        "cut": (whole[:-1], "malformed"),
        "longer": (whole + b"x", "malformed"),
        "cut in the letter": (whole[:3000], "malformed"),
        "cut in the header": (whole[:100], "truncated"),
        "more than a mailbox takes": (box.address + huge.encoded + reply.letter, "limit"),
        "reserved byte": (whole[:43] + b"\x01" + whole[44:], "malformed"),
    }


def test_what_is_not_a_reply_is_returned_and_the_rest_is_taken(
    server: Server, desk: Desk, organisations: list[Organisation]
) -> None:
    box = Box()
    good = box.reply(1000)
    bad = _bad_items(box, organisations[0])
    items = [item_of("reply", data) for data, _ in bad.values()]

    taken = desk.deliver(*items, box.item(good))

    codes = {name: error.code for name, error in zip(bad, taken.returned, strict=True)}
    assert codes == {name: code for name, (_, code) in bad.items()}
    assert taken.is_complete
    assert desk.taken == (1,)
    assert desk.refused == {item.entry.hash: code for item, (_, code) in zip(items, bad.values(), strict=True)}
    with server.client() as client:
        assert ids(client.mailbox(box)) == [good.id]
    assert len(blobs(server)) == 1


def test_a_reply_that_was_damaged_in_transit_has_to_come_again(server: Server, desk: Desk) -> None:
    box = Box()
    reply, other = box.reply(200_000), box.reply()
    path = desk.bundle([box.item(reply), box.item(other)])
    data = bytearray(path.read_bytes())
    data[1280 + 65_552 + 150_000] ^= 1
    path.write_bytes(data)

    (taken,) = import_bundles(server.home, [path])

    assert (taken.deposited, taken.is_complete, taken.returned) == (1, False, [])
    assert [error.code for error in taken.refused] == ["damaged-item"]
    assert desk.fetch()[1].bundles == ()
    assert blobs(server) == []
    assert desk.deliver(box.item(reply), box.item(other), sequence=1).deposited == 1
    assert desk.taken == (1,)


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
                assert len(one.request("POST", "/api/mailbox", encode_tokens(Box().tokens)).body) == MAILBOX_LIST
            answer = one.request("POST", "/api/mailbox", encode_tokens(Box().tokens))
            assert answer.error == (429, "slow-down")
            assert answer.header("Retry-After")
            assert other.request("POST", "/api/mailbox", encode_tokens(Box().tokens)).status == 200
    finally:
        server.kill()
