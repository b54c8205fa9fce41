"""The server's word about days: shown, checked, kept for this desk's own tips alone, and doubted where it cannot be."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from support.desk import (
    TODAY,
    Desk,
    Desks,
    Envelope,
    Exporter,
    days_after,
    listed,
    seal_tip,
)
from tipbox.desk import pinned_server, sentences
from tipbox.desk.vault.records import KeptHeads, Tip, VaultRecord
from tipbox.errors import BadSignature
from tipbox.formats.access_code import AccessCode
from tipbox.formats.base.limits import ID_SIZE
from tipbox.formats.base.primitives import SigningKey, random_bytes
from tipbox.formats.bundles.bundle import Head
from tipbox.formats.bundles.stamps import check_stamp, stamp_head


def kept(desk: Desk, tip: Envelope) -> Tip:
    with desk.open() as vault:
        found = Tip.find(vault, tip.id)
    assert found is not None
    return found


def test_three_desks_date_a_tip_alike_and_keep_their_own_day_beside_it(
    desks: Desks, server: Exporter, tmp_path: Path
) -> None:
    tip, stored = seal_tip(desks.manifests), days_after(-3)
    shown = []
    for number, desk in enumerate(desks.desks):
        own = Exporter(server.signing_key, server.seed)
        bundle = own.export(tmp_path / f"{number}", desk.manifest, [tip], stored=stored)
        assert desk.take(bundle, today=days_after(number)).notices == []
        (row,) = listed(desk)
        shown.append((row["received"], row["imported"]))
    assert shown == [(stored.isoformat(), days_after(number).isoformat()) for number in range(3)]


def test_a_stamp_is_kept_with_its_day_and_its_server(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    tip, stored = seal_tip(desks.manifests), days_after(-3)
    desk.take(server.export(tmp_path / "x", desk.manifest, [tip], stored=stored))
    made = kept(desk, tip).stamp
    assert made is not None
    assert (made.day, made.server) == (stored, server.sender)
    check_stamp(tip.hash, made.day, made.signature, made.server)


@pytest.mark.parametrize("wrong", [{"by": SigningKey.generate()}, {"stamped": days_after(-9)}], ids=["key", "day"])
def test_a_wrong_stamp_is_told_and_the_tip_is_kept_without_it(
    desks: Desks, desk: Desk, server: Exporter, wrong: dict[str, Any], tmp_path: Path
) -> None:
    tip = seal_tip(desks.manifests)
    item = server.item(tip, TODAY, **wrong)
    outcome = desk.take(server.export(tmp_path / "x", desk.manifest, [], extra=[item]))
    assert (outcome.counts, outcome.notices, outcome.problems) == ({"mine": 1}, [sentences.BAD_STAMP], [])
    assert (kept(desk, tip).received, kept(desk, tip).stamp) == (TODAY, None)


def test_a_stamp_for_another_s_hash_is_wrong(desks: Desks, desk: Desk, server: Exporter, tmp_path: Path) -> None:
    """The desk computes the hash; it takes no one's word for it."""
    tip = seal_tip(desks.manifests)
    item = server.item(replace(tip, hash=random_bytes(32)), TODAY)
    outcome = desk.take(server.export(tmp_path / "x", desk.manifest, [], extra=[item]))
    assert (outcome.counts, outcome.notices) == ({"mine": 1}, [sentences.BAD_STAMP])


@pytest.mark.parametrize("off", [1, 365, 0, -400, -401])
def test_a_day_that_cannot_be_is_told_and_the_day_of_import_stands(
    desks: Desks, desk: Desk, server: Exporter, off: int, tmp_path: Path
) -> None:
    tip, day = seal_tip(desks.manifests), days_after(-1)
    stored, good = days_after(off, day), -400 <= off <= 0
    path = server.export(tmp_path / "x", desk.manifest, [tip], day=day, key_day=TODAY, stored=stored)
    outcome = desk.take(path)
    assert (outcome.counts, outcome.problems) == ({"mine": 1}, [])
    assert outcome.notices == ([] if good else [sentences.ODD_DAYS])
    found = kept(desk, tip)
    assert (found.received, found.stamp is not None) == ((stored, True) if good else (TODAY, False))


def test_after_a_day_with_a_clock_a_year_ahead_the_next_index_is_taken(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    """What was stored on that day keeps a day in the future; nothing of it is lost, and nothing else suffers."""
    ahead = days_after(365)
    early, late = seal_tip(desks.manifests), seal_tip(desks.manifests)
    first = server.export(tmp_path / "1", desk.manifest, [early], day=ahead, key_day=TODAY, stored=ahead)
    outcome = desk.take(first)
    assert outcome.counts == {"mine": 1}
    assert "check both clocks" in outcome.notices[0]
    items = [server.item(early, ahead), server.item(late, TODAY)]
    outcome = desk.take(server.export(tmp_path / "2", desk.manifest, [], extra=items))
    assert (outcome.counts, outcome.problems, outcome.notices) == (
        {"known": 1, "mine": 1},
        [],
        [sentences.ODD_DAYS],
    )
    assert kept(desk, late).received == TODAY
    assert desk.take(server.export(tmp_path / "3", desk.manifest, [late])).problems == []


def test_an_index_of_the_first_day_there_is_breaks_nothing(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    tip = seal_tip(desks.manifests)
    path = server.export(tmp_path / "x", desk.manifest, [tip], day=date.min, key_day=TODAY, stored=date.max)
    assert desk.take(path).counts == {"mine": 1}
    assert kept(desk, tip).received == TODAY


def test_a_file_gets_the_server_s_day_when_its_bundle_comes(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    tip, stored = seal_tip(desks.manifests), days_after(-2)
    (tmp_path / "x.tip").write_bytes(tip.data)
    desk.take(tmp_path / "x.tip")
    assert [row["received"] for row in listed(desk)] == [TODAY.isoformat()]
    later = days_after(4)
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip], day=later, stored=stored), today=later)
    assert [(row["received"], row["imported"]) for row in listed(desk)] == [(stored.isoformat(), TODAY.isoformat())]
    assert kept(desk, tip).stamp is not None


def test_another_day_for_a_known_tip_is_told_and_changes_nothing(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    tip = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip], stored=days_after(-2)))
    before = kept(desk, tip)
    outcome = desk.take(server.export(tmp_path / "2", desk.manifest, [tip], stored=days_after(-7)))
    assert (outcome.counts, outcome.notices) == ({"known": 1}, [sentences.OTHER_DAY])
    assert kept(desk, tip) == before
    assert desk.take(server.export(tmp_path / "3", desk.manifest, [tip], stored=days_after(-2))).notices == []


def test_a_server_that_tells_two_desks_two_days_has_signed_both(desks: Desks, server: Exporter, tmp_path: Path) -> None:
    """Each desk has a good stamp; side by side they show who lied."""
    tip = seal_tip(desks.manifests)
    stamps = []
    for number, desk in enumerate(desks.desks[:2]):
        own = Exporter(server.signing_key, server.seed)
        stored = days_after(-number)
        assert desk.take(own.export(tmp_path / f"{number}", desk.manifest, [tip], stored=stored)).notices == []
        stamps.append(kept(desk, tip).stamp)
    one, other = stamps
    assert one is not None
    assert other is not None
    for made in (one, other):
        check_stamp(tip.hash, made.day, made.signature, server.sender)
    assert one.day != other.day
    with pytest.raises(BadSignature):
        check_stamp(tip.hash, one.day, other.signature, server.sender)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["true first", "copy first"])
def test_a_copy_that_was_stored_later_does_not_move_the_day(
    desks: Desks, server: Exporter, order: tuple[int, int], tmp_path: Path
) -> None:
    """Another addressee hands the tip in again with one tag changed: the desks that it spares date it as all others."""
    true = seal_tip(desks.manifests)
    changed = bytearray(true.data)
    changed[-1] ^= 1  # the last slot's: that desk finds the copy forged
    copies, stored = (true, Envelope.of(bytes(changed))), (days_after(-5), days_after(-2))
    shown = []
    for number, desk in enumerate(sorted(desks.desks, key=lambda one: one.manifest.id)):
        own = Exporter(server.signing_key, server.seed)
        items = [own.item(copies[place], stored[place]) for place in order]
        outcome = desk.take(own.export(tmp_path / f"{number}", desk.manifest, [], extra=items))
        assert outcome.counts == ({"mine": 1, "forged": 1} if number == 2 else {"mine": 1, "duplicate": 1})
        (row,) = listed(desk)
        shown.append((row["received"], [one["received"] for one in row["envelopes"]]))
    assert shown == [(stored[0].isoformat(), [stored[0].isoformat()])] * 3


def test_a_file_gets_the_day_of_a_copy_that_the_server_stored(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    """Sealed twice, once for a stick: what came on the stick has no day of the server, but the other has."""
    secrets, ident = AccessCode.generate().secrets(), random_bytes(ID_SIZE)
    by_hand, sent = (seal_tip(desks.manifests, secrets=secrets, message_id=ident) for _ in range(2))
    (tmp_path / "x.tip").write_bytes(by_hand.data)
    desk.take(tmp_path / "x.tip")
    stored, later = days_after(-3), days_after(4)
    outcome = desk.take(server.export(tmp_path / "1", desk.manifest, [sent], day=later, stored=stored), today=later)
    assert outcome.counts == {"duplicate": 1}
    assert [(row["received"], row["imported"]) for row in listed(desk)] == [(stored.isoformat(), TODAY.isoformat())]


def test_nothing_of_others_stays(desks: Desks, desk: Desk, server: Exporter, tmp_path: Path) -> None:
    """A vault is no archive of the server's traffic: of what is for others it keeps an id, and soon not even that."""
    mine, other = seal_tip(desks.manifests), seal_tip(desks.manifests, [desks.desks[0].manifest])
    desk.take(server.export(tmp_path / "x", desk.manifest, [mine, other], stored=days_after(-3)))
    with desk.open() as vault:
        kinds = {cls.kind: [record.to_json() for record in cls.all(vault)] for cls in VaultRecord.__subclasses__()}
    holding = {kind for kind, records in kinds.items() if other.id.hex() in str(records)}
    assert holding == {"carried"}
    assert days_after(-3).isoformat() not in str(kinds["carried"])
    assert other.hash.hex() not in str(kinds)


# --- heads -----------------------------------------------------------------------------------------------------------


def head(server: Exporter, number: int, day: date = TODAY) -> Head:
    organisation, value = bytes([number]) * 16, random_bytes(32)
    return Head(organisation, value, day, stamp_head(organisation, value, day, server.signing_key))


def heads(desk: Desk) -> tuple[Head, ...] | None:
    with desk.open() as vault:
        found = KeptHeads.find(vault)
    return None if found is None else found.heads


def test_the_heads_of_the_newest_bundle_are_kept(desk: Desk, server: Exporter, tmp_path: Path) -> None:
    desk.take(server.export(tmp_path / "1", desk.manifest, []))
    assert not heads(desk)
    old, new = [head(server, 1)], [head(server, 1), head(server, 2)]
    bundles = [server.export(tmp_path / f"{n}", desk.manifest, [], heads=some) for n, some in ((2, old), (3, new))]
    desk.take(bundles[1], bundles[0])
    assert heads(desk) == tuple(new)
    with desk.open(write=True) as vault:
        pinned_server.forget(vault)
    other = Exporter()
    fresh = [head(other, 7)]
    desk.take(other.export(tmp_path / "o", desk.manifest, [], heads=fresh))
    assert heads(desk) == tuple(fresh), "another server counts from 1 again"


def test_a_head_with_a_wrong_stamp_is_told_and_not_kept(desk: Desk, server: Exporter, tmp_path: Path) -> None:
    good, bad = head(server, 1), replace(head(server, 2), day=days_after(1))
    outcome = desk.take(server.export(tmp_path / "1", desk.manifest, [], heads=[good, bad]))
    assert (outcome.notices, outcome.problems) == ([sentences.BAD_HEAD], [])
    assert heads(desk) == (good,)
