"""Destroying the private half of a receiving key: what was sealed to it and not imported stays closed for ever.

One key at a time, never automatically, and only when the clocks of desk and server agree. The signed record is in the
vault before the key stick is rewritten: a destruction that was cut short is finished by the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from tipbox.desk.custody.chain import note
from tipbox.desk.desk_errors import TooEarly
from tipbox.desk.keys import key_stick
from tipbox.desk.keys.key_stick import PrivateKey, Stick
from tipbox.desk.keys.stick_lock import stick_passphrase
from tipbox.desk.outbox import due_manifest
from tipbox.desk.vault.records import Destruction, Traffic
from tipbox.desk.vault.vault import Vault
from tipbox.errors import NotFound
from tipbox.formats.base import canonical, labels
from tipbox.formats.base.primitives import SigningKey, sign, verify

DRAFT_DAYS: Final = 14
RETENTION_DAYS: Final = 90
MARGIN_DAYS: Final = 30
KEPT_DAYS: Final = DRAFT_DAYS + RETENTION_DAYS + MARGIN_DAYS
"""How long a private half is kept after its key has ended: an upload may take that long to reach the desk."""

# A clock that is a year ahead would destroy what is still needed, so the days of Bundles have to confirm it.
CLOCK_DAYS: Final = 2
CLOCK_BUNDLES: Final = 2


@dataclass(frozen=True)
class DestroyedKey:
    """The signed record of a destruction, and how many private halves remain on the key stick."""

    record: Destruction
    remaining: int


def destroy(vault: Vault, stick_folder: Path, passphrase: bytes, *, today: date) -> DestroyedKey:
    """Destroy the oldest receiving key.

    Raises:
        TooEarly: what was sealed to it may still be on its way, or the clocks do not agree.
        NotFound: no key is left.
    """
    passphrase = stick_passphrase(vault, stick_folder, passphrase)
    stick = key_stick.load(stick_folder, passphrase)
    if not stick.keys:
        raise NotFound("destroying a key: none is left on the key stick")
    oldest = min(stick.keys, key=lambda key: (key.end, key.start, key.id))
    _check_day(oldest, today)
    _check_clocks(vault, today)
    # A record without a destroyed key is one that a crash cut short: its day stays, and the key goes now.
    record = Destruction.find(vault, oldest.id) or _record(vault, oldest, today)
    remaining = tuple(key for key in stick.keys if key.id != oldest.id)
    key_stick.replace(stick_folder, passphrase, Stick(stick.organisation, remaining), wipe=True)
    return DestroyedKey(record, len(remaining))


def _check_day(key: PrivateKey, today: date) -> None:
    earliest = key.end + timedelta(days=KEPT_DAYS)
    if today < earliest:
        raise TooEarly(
            f"destroying a key: the oldest ended on {key.end}, and what was sealed to it may arrive for "
            f"{KEPT_DAYS} days more; come back on {earliest}"
        )


def _check_clocks(vault: Vault, today: date) -> None:
    known = [today, *(day for _, day in Traffic.of(vault).seen)]
    if len(known) <= CLOCK_BUNDLES:
        raise TooEarly(
            "destroying a key: two Bundles must have been imported, so that their days can confirm this one's"
        )
    if max(known) - min(known) > timedelta(days=CLOCK_DAYS):
        raise TooEarly(
            "destroying a key: this machine's day and those of the last two Bundles differ by more than "
            f"{CLOCK_DAYS} days; check the date, import today's Bundle and come back"
        )


def _record(vault: Vault, key: PrivateKey, today: date) -> Destruction:
    desk_key = SigningKey(due_manifest(vault, today).desk_seed)
    unsigned = Destruction(key.id, today, key.start, key.end, desk_key.verify_key.encode())
    signature = sign(labels.DESTRUCTION, canonical.encode(unsigned.unsigned()), desk_key)
    record = replace(unsigned, signature=signature)
    with vault.transaction():
        record.save(vault)
        note(vault, "destroy", key.id)
    return record


def check_record(record: Destruction) -> None:
    """BadSignature unless the record is signed with the desk signing key that it names."""
    verify(labels.DESTRUCTION, canonical.encode(record.unsigned()), record.signature, record.desk)
