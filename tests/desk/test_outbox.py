"""The outbox: everything that the server has not reported taken, and the manifest that is due."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path

import pytest

from support.desk import (
    PASSWORD,
    TODAY,
    Desk,
    Desks,
    Envelope,
    Exporter,
    acknowledged,
    carried,
    days_after,
    seal_tip,
)
from tipbox.desk import conversations, outbox, replies, sentences, tips, unsent
from tipbox.desk.desk_errors import AlreadySent, NoBundleYet
from tipbox.desk.forget import forget
from tipbox.desk.inbox import listing, marks
from tipbox.desk.joined import joined_tip
from tipbox.desk.keys import ceremony, identity_file
from tipbox.desk.outbox import OutboxSummary, write_outbox
from tipbox.desk.vault.records import Reply, SentOutbox, Traffic
from tipbox.errors import Expired, Usage
from tipbox.files.attachments import measure
from tipbox.formats.base.limits import HASH_SIZE
from tipbox.formats.base.primitives import random_bytes, sha256
from tipbox.formats.bundles.bundle import INWARD, Index
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import item_of
from tipbox.formats.bundles.report import Report, TakenBundle
from tipbox.formats.manifest import Manifest, server_id


def write(desk: Desk, out: Path, day: int = 0) -> OutboxSummary:
    with desk.open(write=True) as vault:
        return write_outbox(vault, ceremony.organisation_of(vault), out, today=days_after(day))


def queue(desk: Desk, tip: Envelope, text: bytes = b"When was this?") -> Reply:
    with desk.open(write=True) as vault:
        return replies.queue_reply(vault, tips.find_tip(vault, tip.id.hex()), text, [], today=TODAY)


def states(desk: Desk) -> list[str]:
    with desk.open() as vault:
        return [reply.state for reply in sorted(Reply.all(vault), key=lambda reply: reply.number)]


def index(exporter: Exporter, path: Path) -> Index:
    with path.open("rb") as file:
        return Bundle(file, server_id(exporter.sender), lambda _: exporter.seed).index


def test_it_is_sealed_to_the_pinned_server_and_signed_by_the_manifest_in_it(desk: Desk, tmp_path: Path) -> None:
    server = Exporter()
    desk.take(server.export(tmp_path / "x", desk.manifest, []))
    write(desk, tmp_path / "o")
    ((kind, data),) = server.open(tmp_path / "o")
    found = index(server, tmp_path / "o")
    assert kind == "manifest"
    assert Manifest.parse(data) == desk.manifest
    assert (found.direction, found.organisation, found.server_key) == (INWARD, desk.manifest.id, b"")
    assert found.sender == desk.manifest.desk
    assert (found.sequence, found.volume, found.volumes, found.day) == (1, 1, 1, TODAY)


def test_no_bundle_yet_no_outbox(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(NoBundleYet):
        write(desk, tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_acknowledgements_repeat_until_a_report_says_taken(desks: Desks, desk: Desk, tmp_path: Path) -> None:
    server = Exporter()
    tips = [seal_tip(desks.manifests) for _ in range(3)]
    ids = [tip.id for tip in tips]
    desk.take(server.export(tmp_path / "1", desk.manifest, tips[:2]))
    assert acknowledged(server, desk, tmp_path / "o1") == sorted(ids[:2])
    desk.take(server.export(tmp_path / "2", desk.manifest, tips))
    assert acknowledged(server, desk, tmp_path / "o2") == sorted(ids)
    desk.take(server.export(tmp_path / "3", desk.manifest, tips[2:], taken=[1]))
    assert acknowledged(server, desk, tmp_path / "o3") == [ids[2]]
    desk.take(server.export(tmp_path / "4", desk.manifest, [], taken=[1, 3]))
    assert acknowledged(server, desk, tmp_path / "o4") == []
    assert [one.id for one in carried(desk)] == [b"", b"", b""], "ids are forgotten, keyed names stay"
    desk.take(server.export(tmp_path / "5", desk.manifest, [], taken=[1, 3, 4]))
    old = desk.take(tmp_path / "1", tmp_path / "2")
    assert old.counts == {"known": 5}
    assert acknowledged(server, desk, tmp_path / "o5") == [], "an old Bundle is no news"


def test_what_a_restored_server_shows_again_is_acknowledged_again(desks: Desks, desk: Desk, tmp_path: Path) -> None:
    server = Exporter()
    tip = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]))
    assert acknowledged(server, desk, tmp_path / "o1") == [tip.id]
    desk.take(server.export(tmp_path / "2", desk.manifest, [], taken=[1]))
    assert acknowledged(server, desk, tmp_path / "o2") == []
    assert desk.take(server.export(tmp_path / "3", desk.manifest, [tip], taken=[1, 2])).counts == {"known": 1}
    assert acknowledged(server, desk, tmp_path / "o3") == [tip.id]


def test_a_report_of_an_outbox_that_was_lost_takes_nothing(desks: Desks, desk: Desk, tmp_path: Path) -> None:
    server = Exporter()
    tip = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, []))
    write(desk, tmp_path / "o1")
    desk.take(server.export(tmp_path / "2", desk.manifest, [tip]))
    assert acknowledged(server, desk, tmp_path / "o2") == [tip.id]
    desk.take(server.export(tmp_path / "3", desk.manifest, [tip], taken=[1]))
    assert acknowledged(server, desk, tmp_path / "o3") == [tip.id]


def test_no_number_is_used_twice_also_when_writing_the_file_fails(desks: Desks, desk: Desk, tmp_path: Path) -> None:
    server = Exporter()
    tip = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]))
    (tmp_path / "form").write_bytes(bytes(3_000_000))
    with desk.open(write=True) as vault:
        found = tips.find_tip(vault, tip.id.hex())
        replies.queue_reply(vault, found, b"When?", measure([tmp_path / "form"]), today=TODAY)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))  # the store is smaller, the Bundle is larger
    try:
        with pytest.raises(OSError, match="too large"):
            write(desk, tmp_path / "o")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "o").exists()
    assert write(desk, tmp_path / "o").sequence == 2


def test_an_outbox_that_cannot_be_begun_takes_no_reply(desks: Desks, desk: Desk, tmp_path: Path) -> None:
    server = Exporter()
    tip = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]))
    reply = queue(desk, tip)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write(desk, tmp_path / "folder")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(OSError, match=r"exists|directory"):
        write(desk, tmp_path / "file" / "o")
    with pytest.raises(OSError, match=r"No such|denied|not permitted|Read-only"):
        write(desk, Path("/proc/o"))  # a stick that takes no file
    assert states(desk) == ["waiting"]
    with desk.open(write=True) as vault:
        assert unsent.take_back(vault, reply.id.hex()) == replace(reply, state="unsent")


@pytest.mark.parametrize("name", ["kibhr.identity", "kibhr.keys/receiving.keys", "kibhr/vault.key", "kibhr/new"])
def test_nothing_else_is_written_over(desks: Desks, desk: Desk, tmp_path: Path, name: str) -> None:
    """An outbox over a private key is a year of tips that nobody opens; a manifest over one is no better."""
    desk.take(Exporter().export(tmp_path / "1", desk.manifest, []))
    out = desks.folder / name
    before = out.read_bytes() if out.exists() else None
    with pytest.raises(Usage):
        write(desk, out)
    key = identity_file.load(desks.folder / "kibhr.identity", PASSWORD)
    with desk.open(write=True) as vault:
        with pytest.raises(Usage):
            ceremony.publish(vault, key, out, today=TODAY)
        with pytest.raises(Usage):
            ceremony.rotate(vault, key, desks.folder / "kibhr.keys", PASSWORD, out, today=TODAY)
    assert (out.read_bytes() if out.exists() else None) == before
    with desk.open() as vault:
        assert ceremony.manifests(vault)[-1].manifest.serial[0] == 1
        assert Traffic.of(vault).sent == 0


def test_a_vault_that_was_restored_goes_on_behind_what_the_server_has(desk: Desk, tmp_path: Path) -> None:
    server = Exporter()
    desk.take(server.export(tmp_path / "1", desk.manifest, [], taken=[1, 7]))
    assert write(desk, tmp_path / "o").sequence == 8
    with desk.open() as vault:
        assert Traffic.of(vault).seen == ((1, TODAY),)


def test_each_outbox_releases_the_manifest_that_is_due(desk: Desk, tmp_path: Path) -> None:
    server = Exporter()
    desk.take(server.export(tmp_path / "1", desk.manifest, []))
    serials = []
    for day in (0, 27, 28, 56, 300):
        sent = write(desk, tmp_path / "o", day)
        ((_, data),) = server.open(tmp_path / "o")
        manifest = Manifest.parse(data)
        manifest.check(days_after(day))
        manifest.current_key(days_after(day))
        assert index(server, tmp_path / "o").sender == manifest.desk
        assert sent.serial == manifest.serial
        serials.append(manifest.serial)
    assert serials == [(1, 1), (1, 1), (1, 2), (1, 3), (1, 11)]
    with pytest.raises(Expired, match="rotate"):
        write(desk, tmp_path / "o", 400)


# --- what the server says it took ------------------------------------------------------------------------------------


def test_another_outbox_in_the_place_of_one_is_told_and_everything_goes_again(
    desks: Desks, desk: Desk, tmp_path: Path
) -> None:
    """Who has the server's key can write another list of items under the desk's signature, which does not cover it."""
    server = Exporter()
    tip = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]))
    reply = queue(desk, tip)
    acknowledged(server, desk, tmp_path / "o1")
    server.read[desk.manifest.id, 1] = random_bytes(HASH_SIZE)
    refused = server.report(desk.manifest, [1], {reply.item: "malformed"})
    outcome = desk.take(server.export(tmp_path / "2", desk.manifest, [], extra=[refused]))
    assert (outcome.notices, outcome.replies) == ([sentences.disputed(1)], [])
    assert states(desk) == ["sent"]
    again = server.export(tmp_path / "3", desk.manifest, [], taken=[1])
    assert desk.take(again).notices == [], "told once"
    assert acknowledged(server, desk, tmp_path / "o2") == [tip.id]
    assert [sha256(data) for kind, data in server.open(tmp_path / "o2") if kind == "reply"] == [reply.item]
    outcome = desk.take(server.export(tmp_path / "4", desk.manifest, [], taken=[1, 2]))
    assert ([one.id for one in outcome.replies], states(desk)) == ([reply.id], ["delivered"])
    assert acknowledged(server, desk, tmp_path / "o3") == []


def test_an_outbox_that_was_never_written_here_decides_nothing(desks: Desks, desk: Desk, tmp_path: Path) -> None:
    """Who has the server's key can add one, whose hash this vault cannot compare, above one that it disputes."""
    server = Exporter()
    tip = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]))
    reply = queue(desk, tip)
    acknowledged(server, desk, tmp_path / "o1")
    server.read[desk.manifest.id, 1] = random_bytes(HASH_SIZE)
    outcome = desk.take(server.export(tmp_path / "2", desk.manifest, [], taken=[1, 2]))
    assert (outcome.notices, outcome.replies) == ([sentences.disputed(1)], [])
    assert states(desk) == ["sent"]
    assert acknowledged(server, desk, tmp_path / "o3") == [tip.id]
    assert index(server, tmp_path / "o3").sequence == 3
    assert [sha256(data) for kind, data in server.open(tmp_path / "o3") if kind == "reply"] == [reply.item]


def test_a_reply_without_room_that_a_later_outbox_carries_is_still_on_its_way(
    desks: Desks, desk: Desk, tmp_path: Path
) -> None:
    server = Exporter()
    tip = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]))
    reply = queue(desk, tip)
    for number in (1, 2):  # the second stick is on its way when the report of the first comes
        write(desk, tmp_path / f"o{number}")
        server.open(tmp_path / f"o{number}")
    full = server.report(desk.manifest, [1], {reply.item: "full"})
    outcome = desk.take(server.export(tmp_path / "2", desk.manifest, [], extra=[full]))
    assert [(one.id, one.state, one.code) for one in outcome.replies] == [(reply.id, "refused", "full")], "staff know"
    with desk.open(write=True) as vault, pytest.raises(AlreadySent):
        unsent.take_back(vault, reply.id.hex())
    again = server.report(desk.manifest, [1], {reply.item: "full"})
    assert desk.take(server.export(tmp_path / "3", desk.manifest, [], extra=[again])).replies == []
    desk.take(server.export(tmp_path / "4", desk.manifest, [], taken=[1, 2]))
    assert states(desk) == ["delivered"]


def test_a_report_of_more_volumes_than_were_written_is_another_outbox(desk: Desk, tmp_path: Path) -> None:
    server = Exporter()
    desk.take(server.export(tmp_path / "1", desk.manifest, []))
    write(desk, tmp_path / "o1")
    server.open(tmp_path / "o1")
    known = server.read[desk.manifest.id, 1]
    report = Report((TakenBundle(1, (known, random_bytes(HASH_SIZE))),))
    outcome = desk.take(server.export(tmp_path / "2", desk.manifest, [], extra=[item_of("report", report.encode())]))
    assert outcome.notices == [sentences.disputed(1)]


def test_each_outbox_has_another_head_whatever_happened_between(desk: Desk, tmp_path: Path) -> None:
    server = Exporter()
    desk.take(server.export(tmp_path / "1", desk.manifest, []))
    heads = []
    for number in range(3):
        write(desk, tmp_path / f"{number}")
        heads.append(index(server, tmp_path / f"{number}").head)
    assert len(set(heads)) == 3
    assert {len(head) for head in heads} == {HASH_SIZE}
    with desk.open() as vault:
        assert Traffic.of(vault).head == heads[-1]


def test_the_hashes_of_as_many_outboxes_as_a_report_names_are_kept(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_REPORT_BUNDLES", 2)
    server = Exporter()
    desk.take(server.export(tmp_path / "1", desk.manifest, []))
    for _ in range(4):
        write(desk, tmp_path / "o")
    with desk.open() as vault:
        assert sorted(sent.sequence for sent in SentOutbox.all(vault)) == [3, 4]


def test_a_day_of_acts_and_a_day_without_one_make_the_same_outbox(
    desks: Desks, server: Exporter, tmp_path: Path
) -> None:
    """But for replies, number, head and signature: nothing that staff do says to the server what they did."""
    quiet = desks.desks[2]
    tip_, spam_ = seal_tip(desks.manifests), seal_tip(desks.manifests, message=b"pills")
    others = seal_tip(desks.manifests, desks.manifests[:1])
    quiet.take(server.export(tmp_path / "1", quiet.manifest, [tip_, spam_, others]))
    busy = desks.copy(tmp_path / "busy").desks[2]
    with busy.open(write=True) as vault:
        organisation = ceremony.organisation_of(vault)
        one, two = (tips.find_tip(vault, sent.id.hex()) for sent in (tip_, spam_))
        tips.open_tip(vault, organisation, one, tmp_path / "out")
        tips.mark_opened(vault, joined_tip(vault, one))
        listing.search_tips(vault, organisation, "pills", limit=5)
        marks.spam(vault, [two.thread], is_spam=True)
        marks.tag(vault, [one.thread, two.thread], ["square"])
        marks.add_note(vault, [one.thread], "Call back", today=TODAY)
        marks.assign(vault, [one.thread], "Timur")
        conversations.close(vault, one.thread, two.thread)
        marks.unread(vault, [one.thread])
        made = replies.queue_reply(vault, one, b"One", [], today=TODAY)
        unsent.take_back(vault, made.id.hex())
        forget(vault, two, "spam")
    written = {}
    for name, desk in (("quiet", quiet), ("busy", busy)):
        out = tmp_path / f"{name}.bundle"
        assert write(desk, out).acknowledged == 3
        written[name] = (server.open(out), out.stat().st_size, replace(index(server, out), head=b""))
    assert written["quiet"] == written["busy"]
