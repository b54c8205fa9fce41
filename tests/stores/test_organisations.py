"""An organisation comes to a running server, and leaves it: no tip and no reply is lost, whatever state it is in."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from support.loopback import until
from support.sealed import Box, Organisation, Sent, envelope, inward
from support.server import Here
from tipbox.errors import InputRefused, NotFound
from tipbox.formats.base import days
from tipbox.formats.bundles.acknowledgement import acknowledge
from tipbox.formats.bundles.bundle_write import ItemSource, item_of
from tipbox.formats.mailbox_list import MailboxList, encode_tokens
from tipbox.server.bundles import kept_exports
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import import_bundles
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.models import Envelope
from tipbox.server.storage.open_server import open_server
from tipbox.server.storage.organisations import ManifestFile, adopt
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.removal import remove_organisation

pytestmark = pytest.mark.reads_date


def carried(
    server: Here, organisation: Organisation, out: Path, *more: ItemSource, not_yet: Sent | None = None
) -> set[bytes]:
    """What its courier brings to the desk; the desk acknowledges all but one of it, and writes ``more`` items."""
    found, bundle = set(), None
    for path in write_volumes(server.home, organisation.name, out):
        bundle = organisation.read(path)
        found |= {item.entry.hash for item in bundle.items if item.entry.kind == "envelope"}
    assert bundle is not None
    number = len(list(out.glob("in*"))) + 1
    items = [item_of("ack", acknowledge(sorted(found - {not_yet and not_yet.id}), organisation.desk)), *more]
    back = inward(out / f"in{number}", organisation, bundle, items, sequence=number, head=bytes(32))
    (taken,) = import_bundles(server.home, [back])
    assert taken.is_complete, taken.refused
    return found


def stored(server: Here) -> set[bytes]:
    return set(server.read(lambda connection: connection.execute(select(Envelope.id)).scalars().all()))


def is_offered(server: Here, organisation: Organisation) -> bool:
    return bool(server._client.get(f"/keys/{organisation.name}.json").status_code == 200)


def begun(server: Here, sent: Sent) -> Sent:
    server.open(sent)
    server.put(sent, 0)
    return sent


def finish(server: Here, sent: Sent) -> None:
    for first in range(1, len(sent.parts)):
        server.put(sent, first)
    server.call("POST", "/finish", sent.end, sent)


def test_one_that_leaves_takes_no_tip_and_no_reply_with_it(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    leaving, other, third = organisations
    names = ("draft", "stored", "carried by others", "carried by it", "on an old page", "carried by all")
    tips = {name: envelope(organisations, 70_000 if name == "draft" else 0) for name in names}
    box, outs = Box(), [tmp_path / one.name for one in organisations]
    reply = box.reply()
    server.upload(tips["carried by all"])
    for one, out in zip(organisations, outs, strict=True):
        more = [box.item(reply)] if one is leaving else []
        assert tips["carried by all"].id in carried(server, one, out, *more)
    server.upload(tips["carried by others"], tips["carried by it"])
    carried(server, leaving, outs[0], not_yet=tips["carried by others"])
    carried(server, other, outs[1], not_yet=tips["carried by it"])
    carried(server, third, outs[2], not_yet=tips["carried by it"])
    server.upload(tips["stored"])
    begun(server, tips["draft"])

    with pytest.raises(InputRefused, match=r"1\+ Envelopes wait for it; let its couriers fetch and deliver once more"):
        remove_organisation(server.home, leaving.name)
    assert is_offered(server, leaving)
    remove_organisation(server.home, leaving.name, leave_waiting=True)
    until(lambda: not is_offered(server, leaving), 2)
    finish(server, tips["draft"])
    server.upload(tips["on an old page"])

    assert stored(server) == {tips[name].id for name in names} - {tips["carried by all"].id}
    theirs = {tips[name].id for name in ("draft", "stored", "on an old page", "carried by it")}
    assert carried(server, other, outs[1]) == theirs
    assert carried(server, third, outs[2]) == theirs
    waiting = {tips[name].id for name in ("draft", "stored", "on an old page", "carried by others")}
    assert stored(server) == waiting, "its own part stays until it expires"
    listed = MailboxList.parse(server._client.post("/api/mailbox", data=encode_tokens(box.tokens)).data)
    assert [entry.id for entry in listed.entries] == [reply.id]
    with pytest.raises(NotFound):
        write_volumes(server.home, leaving.name, outs[0])
    with pytest.raises(NotFound):
        remove_organisation(server.home, leaving.name)

    newer = leaving.manifest(serial=(1, 2))
    with open_server(server.home) as opened:
        assert adopt(opened.home, opened.store, ManifestFile(newer, newer.encode()), days.today())
    assert carried(server, leaving, outs[0]) == waiting, "it came back, and has lost nothing"
    assert stored(server) == set()
    findings = [finding.check for finding in check_server(server.home) if not finding.ok]
    assert findings == []


def test_what_is_under_way_when_it_leaves_arrives(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    """Drafts of every kind, an export that couriers have begun to read, and an outbox that was not delivered yet."""
    leaving, other, third = organisations
    box = Box()
    reply = box.reply()
    listed = [envelope(organisations), envelope(organisations, 1_000)]
    drafts = {name: envelope(organisations, 70_000) for name in ("nothing came", "all came", "half came")}
    server.upload(*listed)
    for sent in drafts.values():
        server.open(sent)
    server.put(drafts["half came"], 0)
    server.put(drafts["all came"], 0, len(drafts["all came"].parts))
    with open_server(server.home) as opened:
        volumes = {
            one.name: [
                kept_exports.find_volume(opened, one.name, volume.name)
                for volume in kept_exports.present_export(opened, one.name, days.today())
            ]
            for one in organisations
        }
        readers = [
            (one, volume.pieces(opened)) for one in organisations for volume in volumes[one.name] if volume is not None
        ]
        begun = [(one, next(pieces), pieces) for one, pieces in readers]
        remove_organisation(server.home, leaving.name, leave_waiting=True)
        read: dict[str, set[bytes]] = {one.name: set() for one in organisations}
        for one, opening, pieces in begun:
            (tmp_path / "volume").write_bytes(opening + b"".join(pieces))
            bundle = one.read(tmp_path / "volume")
            assert all(b"".join(bundle.read(item)) for item in bundle.items)
            read[one.name] |= {item.entry.hash for item in bundle.items if item.entry.kind == "envelope"}
    assert read == {one.name: {sent.id for sent in listed} for one in organisations}

    items = [item_of("ack", acknowledge(sorted(read[leaving.name]), leaving.desk)), box.item(reply)]
    late = inward(tmp_path / "late", leaving, bundle, items, head=bytes(32))
    (refused,) = import_bundles(server.home, [late])
    assert not refused.is_complete
    server.put(drafts["nothing came"], 0, len(drafts["nothing came"].parts))
    for first in range(1, len(drafts["half came"].parts)):
        server.put(drafts["half came"], first)
    for sent in drafts.values():
        server.call("POST", "/finish", sent.end, sent)

    everything = {sent.id for sent in (*listed, *drafts.values())}
    for one in (other, third):
        assert carried(server, one, tmp_path / one.name) == everything
    assert stored(server) == everything, "its own part stays until it expires"
    newer = leaving.manifest(serial=(1, 2))
    with open_server(server.home) as opened:
        assert adopt(opened.home, opened.store, ManifestFile(newer, newer.encode()), days.today())
    (taken,) = import_bundles(server.home, [late])
    assert taken.is_complete, "its desk had kept it"
    found = MailboxList.parse(server._client.post("/api/mailbox", data=encode_tokens(box.tokens)).data)
    assert [entry.id for entry in found.entries] == [reply.id]
    assert stored(server) == {sent.id for sent in drafts.values()}


def test_one_that_comes_finds_the_tips_that_are_sealed_to_it(
    server: Here, organisations: list[Organisation], keys: Path, tmp_path: Path
) -> None:
    """And what was under way to the others before it came still arrives there."""
    new = Organisation("new")
    before, draft = envelope(organisations), begun(server, envelope(organisations, 70_000))
    server.upload(before)
    (keys / "new.json").write_bytes(new.manifest().encode())
    prepare_server(server.home, keys)
    until(lambda: is_offered(server, new), 2)
    after = envelope([*organisations, new])
    server.upload(after)
    finish(server, draft)

    for one in organisations:
        assert carried(server, one, tmp_path / one.name) == {before.id, draft.id, after.id}
    assert stored(server) == {after.id}
    assert carried(server, new, tmp_path / new.name) == {after.id}
    assert stored(server) == set()


def test_a_removed_one_does_not_come_back_from_a_folder(
    server: Here, organisations: list[Organisation], keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other hosts have the manifest with which it was removed in --keys still, and start all the same."""
    one = organisations[0]
    remove_organisation(server.home, one.name)
    prepare_server(server.home, keys)

    assert (
        f"{one.name} was removed from this server, so its key manifest in {keys} is not taken"
        in capsys.readouterr().err
    )
    until(lambda: not is_offered(server, one), 2)
    (keys / f"{one.name}.json").write_bytes(one.manifest(serial=(1, 2)).encode())
    prepare_server(server.home, keys)
    assert capsys.readouterr().err == ""
    until(lambda: is_offered(server, one), 2)
