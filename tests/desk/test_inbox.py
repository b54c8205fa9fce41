"""Importing: every outcome, every damage, again and again."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from pathlib import Path
from random import Random

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
    envelope_id,
    listed,
    opened,
    seal_tip,
)
from support.killed import say, traced
from tipbox.desk import pinned_server
from tipbox.desk.desk_errors import VaultDamaged
from tipbox.desk.importing import receive
from tipbox.desk.importing.importer import ImportOutcome
from tipbox.desk.keys import ceremony, identity_file, key_stick
from tipbox.desk.keys.key_stick import Stick
from tipbox.desk.keys.keyring import keyring
from tipbox.desk.outbox import write_outbox
from tipbox.desk.second_copy import copy_vault
from tipbox.desk.vault.records import Tip, Traffic
from tipbox.desk.vault.vault import INCOMING, TIPS, Vault
from tipbox.errors import TipboxError
from tipbox.files.durable import write_file
from tipbox.files.working import working_folder
from tipbox.formats.access_code import Secrets
from tipbox.formats.base.limits import ENVELOPE_PART_SIZE, HEADER_FIXED, ID_SIZE, KEY_SIZE, SEAL_SIZE, SLOT_SIZE
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.bundles.bundle import ItemEntry
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import ItemSource
from tipbox.formats.envelopes.header import (
    Header,
    Kind,
    OpenedSlot,
    body_commitment,
    content_commitment,
    header_size,
    seal_slot,
)
from tipbox.formats.envelopes.letter import Letter, seal_letter
from tipbox.formats.envelopes.reply import seal_reply
from tipbox.formats.manifest import Manifest

SECRETS = Secrets(random_bytes(KEY_SIZE))


def own_seal(tip: Envelope, desk: Desk) -> int:
    """Where the tag of a desk begins, in the trailer."""
    header = Header.parse(tip.data[: header_size(tip.data)])
    place = [slot.organisation for slot in header.slots].index(desk.manifest.id)
    return len(tip.data) - header.trailer_size + SEAL_SIZE * place


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def problems(outcome: ImportOutcome) -> list[str]:
    return [error.code for _, error in outcome.problems]


def remains(desk: Desk) -> int:
    """Files of Envelopes in the vault, half-read ones too."""
    return sum(1 for folder in (TIPS, INCOMING) for _ in (desk.vault / folder).iterdir())


def with_slot_to_nobody(tip: Envelope, desk: Desk) -> Envelope:
    """The same Envelope without a slot for this desk: only the header's structure is right."""
    header = Header.parse(tip.data[: header_size(tip.data)])
    fewer = replace(header, slots=tuple(slot for slot in header.slots if slot.organisation != desk.manifest.id))
    return Envelope.of(fewer.encoded + tip.data[len(header.encoded) : len(tip.data) - SEAL_SIZE])


# --- what arrives ----------------------------------------------------------------------------------------------------


def test_text_and_files_arrive_bit_exact(desks: Desks, desk: Desk, server: Exporter, tmp_path: Path) -> None:
    files = [("фото.jpg", random_bytes(200_000)), ("empty", b""), ("one", b"1"), ("parts", random_bytes(3 * 65536))]
    message = b"not UTF-8: \xff\xfe\r\n and \x1b[31m all the same"
    tip = seal_tip(desks.manifests, [desk.manifest], message=message, files=files)
    assert desk.take(server.export(tmp_path / "x", desk.manifest, [tip])).counts == {"mine": 1}
    out = opened(desk, tip.id, tmp_path / "out")
    assert sorted(path.name for path in out.iterdir()) == ["files", "message.txt", "tip.json"]
    assert (out / "message.txt").read_bytes() == message
    names = ["001-фото.jpg", "002-empty", "003-one", "004-parts"]
    assert sorted(path.name for path in (out / "files").iterdir()) == names
    for name, (_, content) in zip(names, files, strict=True):
        assert (out / "files" / name).read_bytes() == content


def test_the_list_is_the_contract(desks: Desks, desk: Desk, server: Exporter, tmp_path: Path) -> None:
    assert listed(desk) == []
    first = seal_tip(desks.manifests, files=[("a\u202eb", b"123")], secrets=SECRETS)
    follow_up = seal_tip(desks.manifests, secrets=SECRETS)
    stranger = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "x", desk.manifest, [first, follow_up, stranger]))
    by_id = {tip["id"]: tip for tip in listed(desk)}
    assert set(by_id) == {first.id.hex(), follow_up.id.hex(), stranger.id.hex()}
    shown = by_id[first.id.hex()]
    assert {"id", "thread", "organisation", "received", "state", "files", "missing"} <= set(shown)
    assert shown["files"] == [{"name": "a\u202eb", "size": 3}]
    assert (shown["organisation"], shown["received"], shown["state"]) == ("kibhr", TODAY.isoformat(), "new")
    assert shown["thread"] == by_id[follow_up.id.hex()]["thread"] != by_id[stranger.id.hex()]["thread"]


def test_addressed_in_all_seven_ways_each_desk_opens_its_own_and_acks_are_equal(
    desks: Desks, server: Exporter, tmp_path: Path
) -> None:
    ways = [way for size in (1, 2, 3) for way in itertools.combinations(desks.desks, size)]
    tips = [seal_tip(desks.manifests, [desk.manifest for desk in way]) for way in ways]
    acks = []
    for number, desk in enumerate(desks.desks):
        exporter = Exporter(server.signing_key, server.seed)
        outcome = desk.take(exporter.export(tmp_path / f"{number}", desk.manifest, tips))
        assert outcome.problems == []
        assert outcome.counts == {"mine": 4, "not-for-you": 3}
        mine = {tip.id.hex() for tip, way in zip(tips, ways, strict=True) if desk in way}
        assert {tip["id"] for tip in listed(desk)} == mine
        acks.append(acknowledged(server, desk, tmp_path / f"out{number}"))
    assert acks[0] == sorted(tip.id for tip in tips)
    assert acks[0] == acks[1] == acks[2]


def test_every_complete_envelope_is_acknowledged_whatever_became_of_it(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    good = seal_tip(desks.manifests, files=[("a", b"a" * 70_000)])
    letter_at = HEADER_FIXED + 3 * SLOT_SIZE
    spots = {"body": len(good.data) - 3 * SEAL_SIZE - 9, "slot": letter_at - 5, "letter": letter_at + 5}
    envelopes = [Envelope.of(flipped(good.data, at)) for at in spots.values()]
    envelopes += [Envelope.of(flipped(good.data, own_seal(good, desk)))]
    other_year = seal_tip([rotated(desks.desks[0])] + [one.manifest for one in desks.desks[1:]])
    envelopes += [
        good,
        with_slot_to_nobody(good, desk),
        seal_tip(desks.manifests, [desks.desks[1].manifest]),
        other_year,
    ]
    outcome = desk.take(server.export(tmp_path / "x", desk.manifest, envelopes))
    assert outcome.counts == {"tampered": 3, "forged": 1, "mine": 2, "not-addressed": 1, "not-for-you": 1}
    assert outcome.problems == []
    assert remains(desk) == 2
    assert acknowledged(server, desk, tmp_path / "out") == sorted(one.id for one in envelopes)


def rotated(desk: Desk) -> Manifest:
    with desk.open(write=True) as vault:
        key = identity_file.load(identity_file.identity_path(desk.vault), PASSWORD)
        stick = key_stick.stick_path(desk.vault)
        return ceremony.rotate(vault, key, stick, PASSWORD, desk.vault.parent / "r.json", today=TODAY).manifest


def test_unknown_and_destroyed_keys_are_told_apart(desk: Desk, server: Exporter, tmp_path: Path) -> None:
    unknown = seal_tip([rotated(desk)])
    old = seal_tip([desk.manifest])
    late = seal_tip([desk.manifest], today=days_after(14))
    with desk.open() as vault:
        stick = key_stick.load(key_stick.stick_path(desk.vault), PASSWORD)
        second, new = desk.manifest.keys[1].id, {key.id for key in stick.keys[27:]}
    left = tuple(key for key in stick.keys if key.id != second and key.id not in new)
    key_stick.replace(key_stick.stick_path(desk.vault), PASSWORD, Stick(stick.organisation, left))
    with desk.open(write=True) as vault:
        for key in stick.keys[27:]:
            vault.delete("receiving-key", key.id)
    outcome = desk.take(server.export(tmp_path / "x", desk.manifest, [unknown, old, late]))
    assert outcome.counts == {"unknown-key": 1, "mine": 1, "too-late": 1}


# --- again, out of order, in pieces ----------------------------------------------------------------------------------


def test_importing_again_changes_nothing(desks: Desks, desk: Desk, server: Exporter, tmp_path: Path) -> None:
    tips = [seal_tip(desks.manifests), seal_tip(desks.manifests, [desks.desks[0].manifest])]
    bundle = server.export(tmp_path / "x", desk.manifest, tips)
    desk.take(bundle)
    before = listed(desk), acknowledged(server, desk, tmp_path / "o1"), remains(desk)
    assert desk.take(bundle).counts == {"known": 2}
    assert (listed(desk), acknowledged(server, desk, tmp_path / "o2"), remains(desk)) == before


def test_a_copy_with_the_same_id_and_contents_is_shown_once(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    ident = random_bytes(ID_SIZE)
    same = {"files": [("a", b"same" * 50_000)], "secrets": SECRETS, "message_id": ident}
    one, copy = (seal_tip(desks.manifests, **same) for _ in range(2))  # type: ignore[arg-type]
    other_body = seal_tip(desks.manifests, files=[("a", b"diff" * 50_000)], secrets=SECRETS, message_id=ident)
    other_text = seal_tip(desks.manifests, message=b"other", secrets=SECRETS, message_id=ident)
    other_source = seal_tip(desks.manifests, files=[("a", b"same" * 50_000)], message_id=ident)
    everything = [one, copy, other_body, other_text, other_source]
    outcome = desk.take(server.export(tmp_path / "x", desk.manifest, everything))
    assert outcome.counts == {"mine": 4, "duplicate": 1}
    assert len(listed(desk)) == remains(desk) == 4
    assert acknowledged(server, desk, tmp_path / "o") == sorted(tip.id for tip in everything)


def test_bundles_lost_repeated_and_out_of_order_do_no_harm(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    tips = [seal_tip(desks.manifests) for _ in range(3)]
    bundles = [server.export(tmp_path / f"{n}", desk.manifest, tips[: n + 1]) for n in range(3)]
    outcome = desk.take(bundles[2], bundles[0], bundles[2])
    assert outcome.notices == []
    assert outcome.counts == {"mine": 3, "known": 4}
    later = [server.export(tmp_path / f"later{n}", desk.manifest, []) for n in range(4)]
    assert desk.take(later[1]).notices == [
        "Bundle 4 never came here; what you have not acknowledged of it comes again in later ones"
    ]
    assert desk.take(later[3], later[2], later[0]).notices == [
        "Bundle 6 never came here; what you have not acknowledged of it comes again in later ones"
    ]
    assert len(listed(desk)) == 3


def test_a_missing_volume_is_noticed(desks: Desks, desk: Desk, server: Exporter, tmp_path: Path) -> None:
    tips = [seal_tip(desks.manifests) for _ in range(3)]
    paths = []
    for number, tip in enumerate(tips, 1):
        server.sequence = 0
        paths.append(server.export(tmp_path / f"{number}", desk.manifest, [tip], volume=(number, 3)))
    assert desk.take(paths[1]).notices == ["of Bundle 1, volume 1, 3 is not among these files"]
    outcome = desk.take(*paths)
    assert (outcome.notices, outcome.counts) == ([], {"mine": 2, "known": 1})


def test_clocks_that_differ_are_noticed(desk: Desk, server: Exporter, tmp_path: Path) -> None:
    bundle = server.export(tmp_path / "x", desk.manifest, [])
    assert desk.take(bundle, today=days_after(2)).notices == []
    bundle = server.export(tmp_path / "y", desk.manifest, [])
    assert "check both clocks" in desk.take(bundle, today=days_after(400)).notices[0]


def test_a_folder_is_searched_and_strangers_are_passed_over(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    stick = tmp_path / "stick" / "sub"
    stick.mkdir(parents=True)
    server.export(stick / "no-suffix", desk.manifest, [seal_tip(desks.manifests)])
    (stick.parent / "one.TIP").write_bytes(seal_tip(desks.manifests).data)
    (stick / "holiday.jpg").write_bytes(b"\xff\xd8\xff")
    (stick / "link").symlink_to(stick / "no-suffix")
    outcome = desk.take(tmp_path / "stick")
    assert outcome.counts == {"mine": 2}
    passed = "a link, a pipe or a device was passed over: only files are read"
    assert outcome.notices == [passed, "a file that is not tipbox's was passed over"]
    (stick / "broken.bundle").write_bytes(b"")
    assert problems(desk.take(tmp_path / "stick")) == ["not-tipbox"]


def test_one_stick_for_all_desks_and_both_directions(desks: Desks, server: Exporter, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    for desk in desks.desks:
        own = Exporter(server.signing_key, server.seed)
        own.export(stick / f"{desk.vault.name}-1-1.bundle", desk.manifest, [seal_tip(desks.manifests)])
    for number, desk in enumerate(desks.desks):
        outcome = desk.take(stick)
        assert (outcome.counts, outcome.problems) == ({"mine": 1}, [])
        others = [path.name for path in sorted(stick.iterdir()) if path.name != f"{desk.vault.name}-1-1.bundle"]
        assert len(others) == 2 + number
        assert outcome.notices == [f"{name}: a Bundle for another reader, passed over" for name in others]
        with desk.open(write=True) as vault:
            write_outbox(vault, ceremony.organisation_of(vault), stick / f"{number}.bundle", today=TODAY)


# --- copies and acknowledgements -------------------------------------------------------------------------------------


def test_without_a_second_copy_everything_is_kept_and_nothing_acknowledged(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    tips = [seal_tip(desks.manifests), seal_tip(desks.manifests, [desks.desks[0].manifest])]
    bundle = server.export(tmp_path / "x", desk.manifest, tips)
    assert desk.take(bundle, copies=False).unconfirmed == 2
    assert len(listed(desk)) == 1
    assert acknowledged(server, desk, tmp_path / "o1") == []
    assert desk.take(bundle, copies=True).unconfirmed == 0
    assert acknowledged(server, desk, tmp_path / "o2") == sorted(tip.id for tip in tips)


def test_a_tip_file_is_not_acknowledged_until_the_server_shows_it(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    tip = seal_tip(desks.manifests)
    (tmp_path / "x.tip").write_bytes(tip.data)
    empty = server.export(tmp_path / "empty", desk.manifest, [])
    assert desk.take(tmp_path / "x.tip", tmp_path / "x.tip", empty).counts == {"mine": 1, "known": 1}
    assert acknowledged(server, desk, tmp_path / "o1") == []
    assert desk.take(server.export(tmp_path / "x", desk.manifest, [tip])).counts == {"known": 1}
    assert acknowledged(server, desk, tmp_path / "o2") == [tip.id]


def test_tip_files_for_others_are_verified_and_dropped(desks: Desks, desk: Desk, tmp_path: Path) -> None:
    filler = seal_tip(desks.manifests, [desks.desks[0].manifest])
    (tmp_path / "filler.tip").write_bytes(filler.data)
    (tmp_path / "nobody.tip").write_bytes(with_slot_to_nobody(filler, desk).data)
    outcome = desk.take(tmp_path / "filler.tip", tmp_path / "nobody.tip")
    assert outcome.counts == {"not-for-you": 1, "not-addressed": 1}
    assert outcome.problems == []
    assert (listed(desk), remains(desk)) == ([], 0)


# --- damage ----------------------------------------------------------------------------------------------------------


def test_a_tip_file_cut_at_each_layer_is_an_error_and_leaves_nothing(desks: Desks, desk: Desk, tmp_path: Path) -> None:
    tip = seal_tip(desks.manifests, files=[("a", random_bytes(200_000))])
    letter_end = HEADER_FIXED + 3 * SLOT_SIZE + 8192 + 16
    body_end = len(tip.data) - 3 * SEAL_SIZE
    expected = {
        0: "not-tipbox",
        7: "not-tipbox",
        8: "truncated",
        9: "truncated",
        11: "truncated",
        119: "truncated",
        121: "truncated",
        letter_end - 1: "truncated",
        letter_end: "incomplete",
        letter_end + ENVELOPE_PART_SIZE: "incomplete",
        body_end: "incomplete",
        body_end + 1: "incomplete",
        len(tip.data) - 1: "incomplete",
    }
    paths = []
    for size in expected:
        paths.append(tmp_path / f"{size:07}.tip")
        paths[-1].write_bytes(tip.data[:size])
    outcome = desk.take(*paths)
    assert problems(outcome) == list(expected.values())
    assert (outcome.done, listed(desk), remains(desk), carried(desk)) == (0, [], 0, [])


def test_what_failed_first_is_named_also_when_the_end_is_missing(desk: Desk, tmp_path: Path) -> None:
    """The letter lists no file and the header announces 2^40 bytes, none of which is there."""
    (key, *_) = desk.manifest.keys
    salt, content_key = random_bytes(32), random_bytes(32)
    letter = Letter(b"text", (), random_bytes(32), random_bytes(16))
    plaintext = letter.encode(Kind.TIP)
    commitments = content_commitment(content_key, salt), body_commitment(letter.body_key, salt)
    bare = Header(Kind.TIP, len(plaintext), 2**40, salt, *commitments)
    opened_slot = OpenedSlot.new(content_key, random_bytes(32), random_bytes(32))
    slot = seal_slot(bare.fixed(1), desk.manifest.id, key.id, key.public, opened_slot.encode())
    header = replace(bare, slots=(slot,))
    path = tmp_path / "sum.tip"
    path.write_bytes(header.encoded + seal_letter(header, content_key, plaintext))
    outcome = desk.take(path)
    assert problems(outcome) == ["malformed"]
    assert (outcome.done, listed(desk), remains(desk), carried(desk)) == (0, [], 0, [])


def test_a_tip_file_with_a_flipped_byte_keeps_nothing(desk: Desk, tmp_path: Path) -> None:
    """A byte of every region against the table of outcomes: none of them is silent, and none is somebody else's tip."""
    tip = seal_tip([desk.manifest], files=[("a", random_bytes(100_000))])
    letter = HEADER_FIXED + SLOT_SIZE
    parts, seal = letter + 8192 + 16, len(tip.data) - SEAL_SIZE
    expected = {0: "not-tipbox", 8: "version", 9: "limit", 11: "malformed", 15: "malformed", 16: "limit"}
    expected |= {10: "limit", 23: "malformed"}  # a reply has no slots
    # Slots are sealed under salt and commitments too.
    expected |= dict.fromkeys((24, 55, 56, 87, 88, 119), "tampered")
    expected |= {120: "not-addressed", 135: "not-addressed", 136: "unknown-key", 151: "unknown-key"}
    expected |= dict.fromkeys((152, 1271, 1272, letter - 1, letter, parts - 1), "tampered")  # slot and letter
    expected |= dict.fromkeys((parts, parts + 15, parts + 16, parts + ENVELOPE_PART_SIZE, seal - 1), "tampered")
    expected |= dict.fromkeys((seal, len(tip.data) - 1), "forged")
    for at, code in expected.items():
        path = tmp_path / f"{at}.tip"
        path.write_bytes(flipped(tip.data, at))
        outcome = desk.take(path)
        assert (problems(outcome) or list(outcome.counts)) == [code], at
    longer = tmp_path / "longer.tip"
    longer.write_bytes(tip.data + b"\x00")
    assert problems(desk.take(longer)) == ["trailing"]
    assert (listed(desk), remains(desk)) == ([], 0)


def test_no_changed_bit_passes_for_the_true_tip_or_for_somebody_else_s(desks: Desks, desk: Desk) -> None:
    """Bits from everywhere: only another organisation's tag, and the slot's own name, are not this desk's to judge."""
    tip = seal_tip(desks.manifests, files=[("a", random_bytes(70_000))])
    header = Header.parse(tip.data[: header_size(tip.data)])
    trailer, own = len(tip.data) - header.trailer_size, own_seal(tip, desk)
    chosen = Random(7).sample(range(8 * len(header.encoded)), 90)
    chosen += [
        8 * at + 3 for at in (header.opening_size - 1, header.opening_size, trailer - 1, own, own + SEAL_SIZE - 1)
    ]
    own_name = HEADER_FIXED + SLOT_SIZE * ((own - trailer) // SEAL_SIZE)
    with desk.open(write=True) as vault:
        stick = key_stick.load(key_stick.stick_path(desk.vault), PASSWORD)
        find_key = keyring(vault, desk.manifest.id, stick)
        for bit in chosen:
            changed = bytearray(tip.data)
            changed[bit // 8] ^= 1 << bit % 8
            try:
                outcome = receive.receive(vault, desk.manifest.id, find_key, io.BytesIO(changed), TODAY).outcome
            except TipboxError as error:
                outcome = error.code
            expected = {
                "tampered",
                "malformed",
                "limit",
                "version",
                "not-tipbox",
                "unknown-key",
                "truncated",
                "trailing",
            }
            expected |= {"incomplete"} | ({"forged"} if bit // 8 >= trailer else set())
            expected |= {"not-addressed"} if own_name <= bit // 8 < own_name + ID_SIZE else set()
            assert outcome in expected, bit
    assert (listed(desk), remains(desk)) == ([], 0)


def test_parts_swapped_repeated_or_of_another_envelope_are_found(desks: Desks, desk: Desk, tmp_path: Path) -> None:
    size = ENVELOPE_PART_SIZE
    one, other = (seal_tip(desks.manifests, files=[("a", random_bytes(4 * 65_536))]) for _ in range(2))
    end = len(one.data) - 3 * SEAL_SIZE
    start = end - 4 * size
    parts = [one.data[at : at + size] for at in range(start, end, size)]
    foreign = other.data[start : start + size]
    for number, forged in enumerate(
        [[1, 0, 2, 3], [0, 0, 2, 3], [0, 1, 3, 3], [3, 1, 2, 0], [-1, 1, 2, 3]],
    ):
        path = tmp_path / f"{number}.tip"
        moved = b"".join(foreign if at < 0 else parts[at] for at in forged)
        path.write_bytes(one.data[:start] + moved + one.data[end:])
        assert problems(desk.take(path)) == ["tampered"]
    assert (listed(desk), remains(desk)) == ([], 0)


def test_a_damaged_item_is_named_and_the_rest_is_kept(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    tips = [seal_tip(desks.manifests, files=[("a", random_bytes(70_000))]) for _ in range(3)]
    path = server.export(tmp_path / "x.bundle", desk.manifest, tips)
    spans = item_spans(desk, path)
    data = path.read_bytes()
    damaged = tmp_path / "damaged.bundle"
    damaged.write_bytes(flipped(data, spans[1][0] + 80_000))
    outcome = desk.take(damaged)
    assert [(name, error.code) for name, error in outcome.problems] == [("damaged.bundle", "damaged-item")]
    assert "item 2 (envelope)" in str(outcome.problems[0][1])
    assert {tip["id"] for tip in listed(desk)} == {tips[0].id.hex(), tips[2].id.hex()}
    assert acknowledged(server, desk, tmp_path / "o1") == sorted([tips[0].id, tips[2].id])
    assert desk.take(path).counts == {"known": 2, "mine": 1}
    assert acknowledged(server, desk, tmp_path / "o2") == sorted(tip.id for tip in tips)


def item_spans(desk: Desk, path: Path) -> list[tuple[int, int]]:
    with desk.open() as vault, path.open("rb") as file:
        stick = key_stick.load(key_stick.stick_path(desk.vault), PASSWORD)
        bundle = Bundle(file, desk.manifest.id, keyring(vault, desk.manifest.id, stick))
        starts = [item.offset for item in bundle.items]
    return list(itertools.pairwise([*starts, path.stat().st_size]))


def test_a_cut_bundle_keeps_what_lies_before_the_cut(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    tips = [seal_tip(desks.manifests, files=[("a", random_bytes(70_000))]) for _ in range(3)]
    path = server.export(tmp_path / "x.bundle", desk.manifest, tips)
    path.write_bytes(path.read_bytes()[: item_spans(desk, path)[1][0] + 100])
    outcome = desk.take(path)
    assert problems(outcome) == ["damaged-item"] * 3
    assert [str(error).split(";")[0] for _, error in outcome.problems] == [
        "item 2 (envelope) is cut off",
        "item 3 (envelope) is cut off",
        "item 4 (report) is cut off",
    ]
    assert [tip["id"] for tip in listed(desk)] == [tips[0].id.hex()]


@pytest.mark.parametrize(
    ("cut", "code"),
    [(7, "not-tipbox"), (8, "truncated"), (1279, "truncated"), (1280, "truncated"), (5000, "truncated")],
)
def test_a_bundle_cut_before_its_items(desk: Desk, server: Exporter, tmp_path: Path, cut: int, code: str) -> None:
    path = server.export(tmp_path / "x.bundle", desk.manifest, [])
    path.write_bytes(path.read_bytes()[:cut])
    assert problems(desk.take(path)) == [code]


@pytest.mark.parametrize("where", ["index", "index copy", "padding", "end"])
def test_damage_around_the_items_is_reported_and_hurts_nothing(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path, where: str
) -> None:
    path = server.export(tmp_path / "x.bundle", desk.manifest, [seal_tip(desks.manifests)])
    data = path.read_bytes()
    at = {"index": 1300, "index copy": len(data) - 100, "padding": len(data) // 2, "end": 0}[where]
    path.write_bytes(flipped(data, at) if at else data + b"x")
    outcome = desk.take(path)
    assert problems(outcome) == ["damaged-item"]
    assert "nothing in it is lost" in str(outcome.problems[0][1])
    assert len(listed(desk)) == 1


def test_a_bundle_of_another_reader_server_or_direction_is_refused(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    tip = seal_tip(desks.manifests)
    assert problems(desk.take(server.export(tmp_path / "a", desks.desks[0].manifest, [tip]))) == ["wrong-reader"]
    desk.take(server.export(tmp_path / "b", desk.manifest, []))
    assert problems(desk.take(Exporter().export(tmp_path / "c", desk.manifest, [tip]))) == ["wrong-sender"]
    same_signature = Exporter(server.signing_key)
    assert problems(desk.take(same_signature.export(tmp_path / "d", desk.manifest, [tip]))) == ["wrong-sender"]
    with desk.open(write=True) as vault:
        write_outbox(vault, ceremony.organisation_of(vault), tmp_path / "e", today=TODAY)
    assert problems(desk.take(tmp_path / "e")) == ["wrong-reader"]
    assert listed(desk) == []


def test_a_server_that_lies_in_its_index_gets_no_acknowledgement(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    tip = seal_tip(desks.manifests)
    lie = random_bytes(32)
    wrong_hash = server.item(replace(tip, id=lie), TODAY)
    not_whole = server.item(replace(tip, data=tip.data[:-1], id=lie[::-1]), TODAY)
    too_long = server.item(replace(tip, data=tip.data + b"x", id=random_bytes(32)), TODAY)
    answer = seal_reply(SECRETS.pair_key(desk.manifest.id), Letter(b"x", (), lie, lie[:16], day=TODAY)).opening
    reply = server.item(replace(tip, data=answer, id=envelope_id(answer, Kind.REPLY)), TODAY)
    junk = ItemSource(ItemEntry("report", 4, random_bytes(32)), lambda: [b"junk"])
    path = server.export(tmp_path / "x", desk.manifest, [], extra=[wrong_hash, not_whole, too_long, reply, junk])
    assert problems(desk.take(path)) == ["damaged-item"] * 5
    assert (listed(desk), remains(desk), carried(desk)) == ([], 0, [])
    assert acknowledged(server, desk, tmp_path / "o") == []


def test_a_file_that_cannot_be_read_does_not_stop_the_others(desks: Desks, desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "x.tip").write_bytes(seal_tip(desks.manifests).data)
    outcome = desk.take(tmp_path / "missing.tip", tmp_path / "x.tip")
    assert problems(outcome) == ["not-found"]
    assert outcome.counts == {"mine": 1}


@pytest.mark.parametrize("place", ["round1", "round1/deeper", "round1/1.tip"])
@pytest.mark.parametrize(
    ("error", "advice"), [("EACCES", "chmod -R a+rX"), ("EPERM", "as root"), ("EIO", "another stick")]
)
def test_what_cannot_be_read_on_a_stick_is_named_and_the_rest_is_taken(
    desks: Desks, desk: Desk, tmp_path: Path, *, place: str, error: str, advice: str
) -> None:
    """Folders of another user of another machine, for one: to say that there is nothing new would lose them."""
    stick, secret = tmp_path / "stick", tmp_path / "secret"
    write_file(secret, PASSWORD)
    (stick / "round1" / "deeper").mkdir(parents=True)
    for number, folder in enumerate(("", "round1", "round1/deeper")):
        (stick / folder / f"{number}.tip").write_bytes(seal_tip(desks.manifests).data)
    words = ("desk", "import", "--vault", desk.vault, "--passphrase-file", secret, stick)
    ended = traced(
        lambda: say(*words), "-o", "/dev/null", "-P", str(stick / place), "-e", f"inject=openat:error={error}"
    )
    assert (ended.code, place.rpartition("/")[2] in ended.said, advice in ended.said) == (8, True, True), ended
    assert len(listed(desk)) == {"round1": 1, "round1/deeper": 2, "round1/1.tip": 2}[place]
    assert traced(lambda: say(*words), "-o", "/dev/null", "-e", "trace=none").code == 0
    assert len(listed(desk)) == 3


@pytest.mark.parametrize("place", [".", "copy", "old/of march"])
def test_a_vault_on_a_stick_is_passed_over_and_what_lies_beside_it_is_taken(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path, place: str
) -> None:
    """A second copy lies on a stick, too: its files are no damaged ones that somebody has to copy again."""
    known, new = seal_tip(desks.manifests), seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [known]))
    stick = tmp_path / "stick"
    with desk.open(write=True) as vault:
        copy_vault(vault, stick / place, today=TODAY)
    server.export(stick / place / "kibhr-2-1.bundle", desk.manifest, [new])
    outcome = desk.take(stick)
    assert (outcome.problems, outcome.counts["mine"]) == ([], 1)
    assert [note for note in outcome.notices if "holds a vault" in note] == outcome.notices
    assert len(outcome.notices) == 1


def test_a_damaged_file_in_the_vault_is_an_error_that_shows_nothing(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    tip = seal_tip(desks.manifests, files=[("a", random_bytes(200_000))])
    desk.take(server.export(tmp_path / "x", desk.manifest, [tip]))
    stored = next((desk.vault / TIPS).iterdir())
    whole = stored.read_bytes()
    for damaged in (flipped(whole, len(whole) - 3 * SEAL_SIZE - 1), whole[:-1], whole[: -3 * SEAL_SIZE], whole + b"x"):
        stored.write_bytes(damaged)
        with pytest.raises(VaultDamaged):
            opened(desk, tip.id, tmp_path / "out" / "tip")
        assert list((tmp_path / "out").iterdir()) == []


def test_nothing_readable_lies_in_the_vault(desks: Desks, desk: Desk, server: Exporter, tmp_path: Path) -> None:
    canary = "канарейка-на-площади"
    tip = seal_tip(desks.manifests, message=(canary * 40).encode(), files=[(canary, canary.encode() * 40)])
    desk.take(server.export(tmp_path / "x", desk.manifest, [tip]))
    stored = b"".join(path.read_bytes() for path in desk.vault.rglob("*") if path.is_file())
    for encoding in ("utf-8", "utf-16-le"):
        assert canary.encode(encoding) not in stored
    assert tip.id.hex() not in " ".join(map(str, desk.vault.rglob("*")))
    assert canary.encode() in (opened(desk, tip.id, tmp_path / "out") / "message.txt").read_bytes()


# --- hostile sources and servers -------------------------------------------------------------------------------------


def test_many_tips_under_one_message_id_are_each_read_a_few_times_only(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ident = random_bytes(ID_SIZE)
    flood = [seal_tip(desks.manifests, message=b"%d" % number, message_id=ident) for number in range(20)]
    read: list[Path] = []
    contents = receive._contents

    def counted(vault: Vault, path: Path, tip: Tip) -> bytes:
        read.append(path)
        return contents(vault, path, tip)

    monkeypatch.setattr(receive, "_contents", counted)
    assert desk.take(server.export(tmp_path / "x", desk.manifest, flood)).counts == {"mine": 20}
    assert len(read) == 20, "not each with each"
    again = seal_tip(desks.manifests, message=b"7", message_id=ident)
    assert desk.take(server.export(tmp_path / "y", desk.manifest, [again])).counts == {"mine": 1}, "another source"


def test_a_copy_is_kept_when_the_first_is_damaged(desks: Desks, desk: Desk, server: Exporter, tmp_path: Path) -> None:
    ident = random_bytes(ID_SIZE)
    copies = [seal_tip(desks.manifests, secrets=SECRETS, message_id=ident) for _ in range(3)]
    other = seal_tip(desks.manifests, message=b"other", secrets=SECRETS, message_id=ident)
    desk.take(server.export(tmp_path / "x", desk.manifest, [copies[0], other]))
    assert desk.take(server.export(tmp_path / "y", desk.manifest, copies[1:2])).counts == {"duplicate": 1}
    with desk.open() as vault:
        vault.tip_path(copies[0].id).write_bytes(b"")
    assert desk.take(server.export(tmp_path / "z", desk.manifest, copies[2:])).counts == {"mine": 1}


def test_what_an_old_copy_of_the_key_stick_did_not_open_is_opened_with_the_right_one(
    desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    tip = seal_tip([desk.manifest], today=days_after(14))
    folder = key_stick.stick_path(desk.vault)
    stick = key_stick.load(folder, PASSWORD)
    key_stick.replace(folder, PASSWORD, Stick(stick.organisation, stick.keys[:1]))
    bundle = server.export(tmp_path / "x", desk.manifest, [tip])
    assert desk.take(bundle).counts == {"too-late": 1}
    assert acknowledged(server, desk, tmp_path / "o1") == [tip.id]
    desk.take(server.export(tmp_path / "y", desk.manifest, [], taken=[1]))
    assert desk.take(bundle).counts == {"known": 1}
    key_stick.replace(folder, PASSWORD, stick)
    assert desk.take(bundle).counts == {"mine": 1}
    assert [one["id"] for one in listed(desk)] == [tip.id.hex()]
    assert desk.take(bundle).counts == {"known": 1}
    assert acknowledged(server, desk, tmp_path / "o2") == [], "acknowledged once, whatever became of it"


@pytest.mark.parametrize("again", ["bundle", "file"])
def test_what_is_opened_late_and_was_acknowledged_by_no_outbox_waits_for_a_second_copy(
    desk: Desk, server: Exporter, tmp_path: Path, again: str
) -> None:
    """What could not be opened may be acknowledged at once; the copy that is opened now is the only one."""
    tip = seal_tip([desk.manifest], today=days_after(14))
    folder = key_stick.stick_path(desk.vault)
    stick = key_stick.load(folder, PASSWORD)
    key_stick.replace(folder, PASSWORD, Stick(stick.organisation, stick.keys[:1]))
    bundle = server.export(tmp_path / "x", desk.manifest, [tip])
    with desk.open(write=True) as vault:
        copy_vault(vault, tmp_path / "copy", today=TODAY)
    assert desk.take(bundle, copies=False).counts == {"too-late": 1}
    with desk.open(write=True) as vault:
        assert copy_vault(vault, tmp_path / "copy", today=TODAY).confirmed == 1
    key_stick.replace(folder, PASSWORD, stick)
    (tmp_path / "x.tip").write_bytes(tip.data)
    late = desk.take(bundle if again == "bundle" else tmp_path / "x.tip", copies=False)
    assert (late.counts, late.unconfirmed) == ({"mine": 1}, 1)
    assert acknowledged(server, desk, tmp_path / "o1") == []
    with desk.open(write=True) as vault:
        copy_vault(vault, tmp_path / "copy", today=TODAY)
    assert acknowledged(server, desk, tmp_path / "o2") == [tip.id]


def test_a_report_of_outboxes_that_never_were_does_not_end_the_numbers(
    desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    path = server.export(tmp_path / "x", desk.manifest, [], taken=[2**53 - 1])
    assert problems(desk.take(path)) == ["damaged-item"]
    assert acknowledged(server, desk, tmp_path / "o") == []


def test_a_bundle_with_a_number_far_ahead_is_refused(desk: Desk, server: Exporter, tmp_path: Path) -> None:
    assert problems(desk.take(server.export(tmp_path / "x", desk.manifest, []))) == []
    server.sequence = 10_001
    path = server.export(tmp_path / "y", desk.manifest, [], day=days_after(-900), key_day=TODAY)
    outcome = desk.take(path)
    assert problems(outcome) == ["malformed"]
    assert "--far-ahead" in str(outcome.problems[0][1])
    with desk.open() as vault:
        assert Traffic.of(vault).seen == ((1, TODAY),)


def test_staff_can_take_a_number_far_ahead(desk: Desk, server: Exporter, tmp_path: Path) -> None:
    """Whoever makes a server count on must not lock its desks out."""
    desk.take(server.export(tmp_path / "x", desk.manifest, []))
    server.sequence = 20_000
    path = server.export(tmp_path / "y", desk.manifest, [])
    assert problems(desk.take(path)) == ["malformed"]
    assert problems(desk.take(path, far_ahead=True)) == []
    assert problems(desk.take(server.export(tmp_path / "z", desk.manifest, []))) == []


def test_the_first_bundle_of_a_server_may_have_any_number(desk: Desk, server: Exporter, tmp_path: Path) -> None:
    server.sequence = 2**53 - 2
    path = server.export(tmp_path / "x", desk.manifest, [])
    assert problems(desk.take(path, far_ahead=True)) == ["malformed"], "sums of numbers stay exact"
    server.sequence = 30_000
    assert problems(desk.take(server.export(tmp_path / "y", desk.manifest, []))) == []
    with desk.open(write=True) as vault:
        pinned_server.forget(vault)
    server.sequence = 60_000
    assert problems(desk.take(server.export(tmp_path / "z", desk.manifest, []))) == []


def test_what_a_killed_opening_left_goes_with_the_next_and_others_cannot_read_it(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    tip = seal_tip(desks.manifests, files=[("a", b"a")])
    desk.take(server.export(tmp_path / "x", desk.manifest, [tip]))
    parent = tmp_path / "parent"
    parent.mkdir()
    (parent / ".another.part").mkdir()
    with working_folder(parent) as running:
        (parent / ".0123456789abcdef.part" / "files").mkdir(parents=True)
        (parent / ".0123456789abcdef.part" / "message.txt").write_bytes(b"plaintext")
        out = opened(desk, tip.id, parent / "out")
        assert sorted(path.name for path in parent.iterdir()) == sorted([".another.part", running.name, "out"])
    modes = {path.name: path.stat().st_mode & 0o777 for path in (out, *out.rglob("*"))}
    assert modes == {"out": 0o700, "files": 0o700, "message.txt": 0o600, "tip.json": 0o600, "001-a": 0o600}
