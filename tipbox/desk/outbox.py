"""The outbox: one inward Bundle with all that the server has not yet reported taken.

It may be lost, repeated or overtaken: the next one says everything again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from tipbox.desk.custody.chain import note
from tipbox.desk.desk_errors import NoBundleYet
from tipbox.desk.keys.ceremony import find_stick, manifests
from tipbox.desk.keys.out_file import check_bundle
from tipbox.desk.replies import OutboxLoad, items_of, note_sent, outbox_load
from tipbox.desk.vault.records import (
    EnvelopeRecord,
    Organisation,
    SentOutbox,
    Server,
    SignedManifest,
    Tip,
    Traffic,
    outbox_key,
)
from tipbox.desk.vault.vault import Vault
from tipbox.desk.whole import holds_whole
from tipbox.errors import Expired, NoCurrentKey
from tipbox.files.durable import SEALED_MODE, make_stick_folder, replacing
from tipbox.formats.base.limits import MAX_ACKS, MAX_REPORT_BUNDLES
from tipbox.formats.base.primitives import SigningKey, sha256
from tipbox.formats.bundles.acknowledgement import acknowledge
from tipbox.formats.bundles.bundle import INWARD, Index
from tipbox.formats.bundles.bundle_write import ItemSource, item_of, write_bundle
from tipbox.formats.manifest import server_id


@dataclass(frozen=True)
class OutboxSummary:
    """What an outbox holds: its number, how many acknowledgements, and the serial of the manifest that it releases.

    Attributes:
        load: the replies in it, how many wait for the next, and those that are damaged.
        lost: ids of tips that are not acknowledged, because the vault's file is damaged.
    """

    sequence: int
    acknowledged: int
    unconfirmed: int
    serial: tuple[int, int]
    covered: date
    load: OutboxLoad
    lost: tuple[bytes, ...]


def due_manifest(vault: Vault, today: date) -> SignedManifest:
    """The newest manifest whose life has begun; it goes out with each outbox and names the key that signs it.

    Raises:
        NoCurrentKey: none was ever published.
        Expired: the last one that was signed has expired.
    """
    # Manifests that were replaced have lost the seed of their desk key, and sign nothing any more.
    begun = [signed for signed in manifests(vault) if signed.manifest.start <= today and signed.desk_seed]
    if not begun:
        raise NoCurrentKey(
            "writing the outbox: no key manifest is in force; run tipbox keys publish, or check the date"
        )
    if begun[-1].manifest.end <= today:
        raise Expired(
            "writing the outbox: the last key manifest has expired; check this machine's date, and if it is right, "
            "run tipbox keys rotate and carry the new one over"
        )
    return begun[-1]


def write_outbox(vault: Vault, organisation: Organisation, out: Path, *, today: date) -> OutboxSummary:
    """Write the outbox to ``out``.

    Its number is in the vault before the file is there: no two outboxes ever carry the same one.

    Raises:
        NoBundleYet: the server's key is not known yet.
        Usage: ``out`` lies in the vault or on the key stick, or is something else than a Bundle.
    """
    check_bundle(out, vault.path, find_stick(vault, organisation))
    server = Server.find(vault)
    if server is None:
        raise NoBundleYet(
            "writing the outbox: no Bundle was imported here yet, so the server's key is unknown; import one"
        )
    signed = due_manifest(vault, today)
    desk_key = SigningKey(signed.desk_seed)
    load = outbox_load(vault)
    lost = _lost(vault)
    make_stick_folder(out.parent)
    # Opened first: what a stick that takes no file would have carried can still be taken back.
    with replacing(out, SEALED_MODE) as file:
        with vault.transaction():
            traffic = Traffic.of(vault)
            sequence = traffic.sent + 1
            # Before anything of it: the event holds fresh random bytes, so it differs whether anything happened or not.
            head = note(vault, "outbox", sequence.to_bytes(8))
            replace(traffic, sent=sequence, head=head).save(vault)
            due = [carried for carried in EnvelopeRecord.all(vault) if carried.due]
            for carried in due:
                if carried.id in lost:  # the server keeps it, and brings it again
                    replace(carried, confirmed=False).save(vault)
            due = [carried for carried in due if carried.id not in lost]
            for carried in due:
                # The first one stays: a report of any later outbox speaks for what this one held as well.
                if not carried.outbox:
                    replace(carried, outbox=sequence).save(vault)
            note_sent(vault, load, sequence)
            items = [
                *_acknowledgements(due, desk_key),
                item_of("manifest", signed.file.encode()),
                *items_of(vault, load.replies),
            ]
            index = Index(
                day=today,
                direction=INWARD,
                organisation=organisation.id,
                sender=desk_key.verify_key.encode(),
                sequence=sequence,
                items=tuple(item.entry for item in items),
                head=head,
            )
            # With the number: what the server reports is compared with it; no report names more outboxes than these.
            SentOutbox(sequence, sha256(index.encode())).save(vault)
            vault.delete(SentOutbox.kind, outbox_key(max(0, sequence - MAX_REPORT_BUNDLES)))
        write_bundle(
            file, index, items, reader=server_id(server.sender), reader_public=server.server_key, signer=desk_key
        )
    waiting = sum(
        carried.by_bundle and not carried.confirmed and not carried.taken for carried in EnvelopeRecord.all(vault)
    )
    covered = max(signed.manifest.end for signed in manifests(vault))
    return OutboxSummary(sequence, len(due), waiting, signed.manifest.serial, covered, load, tuple(sorted(lost)))


def _lost(vault: Vault) -> set[bytes]:
    """What would be acknowledged, and is no longer whole on this disk.

    Also what an outbox before this one acknowledged: that one may never have arrived, and the server has it still.
    """
    due = [carried.id for carried in EnvelopeRecord.all(vault) if carried.due]
    tips = [tip for tip in (Tip.find(vault, ident) for ident in due) if tip is not None]
    return {tip.id for tip in tips if not holds_whole(vault, tip)}


def _acknowledgements(due: list[EnvelopeRecord], desk_key: SigningKey) -> list[ItemSource]:
    ids = sorted(carried.id for carried in due)  # the same ids make the same list at every desk
    return [item_of("ack", acknowledge(some, desk_key)) for some in _batches(ids)]


def _batches(ids: list[bytes]) -> list[list[bytes]]:
    return [ids[start : start + MAX_ACKS] for start in range(0, len(ids), MAX_ACKS)]
