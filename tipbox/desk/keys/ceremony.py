"""The key ceremony: making, publishing, replacing and destroying an organisation's keys.

Three things come of it and are kept apart: the vault, the key stick (private receiving keys) and the identity file
(which signs manifests and the entry of a site list). Publishing signs the manifest of today and, in advance, those that
follow it for as long as there are receiving keys; each outbox releases the one that is due, so the identity file rests
in a safe.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from tipbox.desk.custody.chain import note
from tipbox.desk.desk_errors import ClockDoubted
from tipbox.desk.keys import identity_file, key_stick
from tipbox.desk.keys.key_stick import PrivateKey, Stick
from tipbox.desk.keys.out_file import check_manifest, check_site_entry
from tipbox.desk.keys.stick_lock import stick_passphrase
from tipbox.desk.vault.records import Organisation, Person, PublicKey, SignedManifest, Traffic
from tipbox.desk.vault.vault import Vault
from tipbox.errors import AlreadyThere, IdentityChanged, NoCurrentKey, NotFound
from tipbox.files.durable import fsync_folder, write_file
from tipbox.formats.base.limits import MANIFEST_DAYS, RECEIVING_KEY_DAYS
from tipbox.formats.base.primitives import SigningKey, new_seed, xwing_public
from tipbox.formats.manifest import Manifest, check_organisation_name, key_id, organisation_id
from tipbox.formats.site_list import SiteEntry

YEAR_KEYS: Final = 27
"""Receiving keys of one ceremony: 27 times two weeks, a year and two weeks."""

CHAIN_DAYS: Final = 28
"""A new manifest every four weeks; each lives for eight, so one lost outbox does no harm."""


CLOCK_BACK: Final = 2
CLOCK_AHEAD: Final = 60
"""Days that this machine's date may be before and after the newest Bundle's, until a person says that it is right."""


@dataclass(frozen=True)
class PublishedChain:
    """What publishing did: the manifest of today, how many follow it, and the last day that one of them covers."""

    manifest: Manifest
    following: int
    covered: date


def new_keys(first: date) -> tuple[PrivateKey, ...]:
    """A year of receiving keys, one after the other from ``first``."""
    life = timedelta(days=RECEIVING_KEY_DAYS)
    keys = []
    for number in range(YEAR_KEYS):
        seed = new_seed()
        start = first + number * life
        keys.append(PrivateKey(key_id(xwing_public(seed)), start, start + life, seed))
    return tuple(keys)


def _public(keys: tuple[PrivateKey, ...], generation: int) -> list[PublicKey]:
    return [PublicKey(key.id, key.start, key.end, generation, xwing_public(key.seed)) for key in keys]


def init(
    path: Path,
    passphrase: bytes,
    *,
    name: str,
    full_name: str,
    country: str,
    languages: tuple[str, ...],
    today: date,
    identity: Path | None = None,
    person: str = "",
) -> Organisation:
    """Make the vault at ``path``, its key stick and the identity file.

    ``person`` is who makes them, by name; empty for the account of this machine.

    They are made under other names and moved into place at the end, the vault last: a vault that is there is whole.

    Raises:
        AlreadyThere: one of the three is there.
        Malformed: the name, country or a language is not written as a manifest demands.
    """
    path = path.absolute()
    stick = key_stick.stick_path(path)
    identity = identity or identity_file.identity_path(path)
    for place in (path, stick, identity):
        if place.exists() and not (place == path and place.is_dir() and not any(place.iterdir())):
            raise AlreadyThere(f"making keys: {place} is there already; choose another --vault, or move it away")
    signing_key = SigningKey.generate()
    public = signing_key.verify_key.encode()
    organisation = Organisation(
        check_organisation_name(name),
        full_name or name,
        country,
        languages,
        public,
        organisation_id(public),
        str(stick),
    )
    keys = new_keys(today)
    public_keys = _public(keys, generation=1)
    # Signing one manifest now shows that name, country and languages are such as a manifest takes.
    _chain(organisation, public_keys[:1], (1, 0), today, signing_key)
    work = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        work.mkdir(mode=0o700, parents=True)
        Vault.create(work / "vault", passphrase)
        with Vault.open(work / "vault", passphrase, write=True) as vault, vault.transaction():
            assert vault.me is not None  # noqa: S101 (whose passphrase it was made with)
            first = Person.first(vault.me, today, person)
            first.save(vault)
            organisation.save(vault)
            for key in public_keys:
                key.save(vault)
            note(vault, "init", organisation.id, after=first.introduced)
        key_stick.create(work / "stick", passphrase, Stick(organisation.id, keys))
        identity_file.create(identity, passphrase, signing_key)
        # The vault last: a crash before it leaves a key stick without a vault, never a vault without its keys.
        (work / "stick").rename(stick)
        (work / "vault").rename(path)
        fsync_folder(path.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return organisation


def keys_in_life(keys: list[PublicKey], start: date) -> list[PublicKey]:
    """The keys that a manifest of ``start`` lists: the one in use on that day and those that start within its life."""
    end = start + timedelta(days=MANIFEST_DAYS)
    live = sorted((key for key in keys if key.end > start and key.start < end), key=lambda key: key.start)
    begun = [key for key in live if key.start <= start]
    return begun[-1:] + [key for key in live if key.start > start]


def _manifest(
    organisation: Organisation, keys: list[PublicKey], serial: tuple[int, int], start: date, identity: SigningKey
) -> SignedManifest:
    """Sign the manifest that begins on ``start`` and lists ``keys``; it names a desk signing key of its own."""
    desk = SigningKey.generate()
    manifest = Manifest(
        organisation=organisation.name,
        name=organisation.full_name,
        country=organisation.country,
        languages=organisation.languages,
        identity=organisation.identity,
        desk=desk.verify_key.encode(),
        start=start,
        end=min(start + timedelta(days=MANIFEST_DAYS), keys[-1].end),  # never in force without a key to seal to
        serial=serial,
        keys=tuple(key.receiving_key() for key in keys),
    )
    manifest = manifest.with_extracts(identity).signed_by(identity)
    return SignedManifest(manifest.encode().decode(), bytes(desk))


def _chain(
    organisation: Organisation, keys: list[PublicKey], after: tuple[int, int], today: date, identity: SigningKey
) -> list[SignedManifest]:
    """The manifest of today and those that follow it, with serials from the one behind ``after``."""
    generation, index = after
    chain: list[SignedManifest] = []
    start = today
    # It ends with the keys: a manifest that begins when the last one has ended would have none in use.
    while (listed := keys_in_life(keys, start)) and listed[0].start <= start:
        index += 1
        chain.append(_manifest(organisation, listed, (generation, index), start, identity))
        start += timedelta(days=CHAIN_DAYS)
    return chain


def organisation_of(vault: Vault) -> Organisation:
    """Whose vault this is."""
    organisation = Organisation.find(vault)
    if organisation is None:
        raise NotFound("opening the vault: it holds no organisation; make it with tipbox keys init")
    return organisation


def manifests(vault: Vault) -> list[SignedManifest]:
    """All manifests that were signed here, the highest serial last."""
    return sorted(SignedManifest.all(vault), key=lambda signed: signed.manifest.serial)


def _check_identity(organisation: Organisation, identity: SigningKey) -> None:
    if identity.verify_key.encode() != organisation.identity:
        raise IdentityChanged(
            "signing a manifest: the identity file is of another organisation; name yours with --identity"
        )


def _sign(vault: Vault, organisation: Organisation, identity: SigningKey, today: date) -> list[SignedManifest]:
    """Sign a chain from today on and put it in place of what was signed for later days.

    No serial is ever used twice, also not one that was signed in advance: two manifests of one serial would let whoever
    stole the vault choose between them.
    """
    keys = list(PublicKey.all(vault))
    generation = max(key.generation for key in keys)
    before = manifests(vault)
    last = before[-1].manifest.serial if before else (generation, 0)
    after = last if last[0] == generation else (generation, 0)
    current = [key for key in keys if key.generation == generation]
    chain = _chain(organisation, current, after, today, identity)
    if not chain:
        raise NoCurrentKey(
            "signing a manifest: no receiving key is good today; check the date, or run tipbox keys rotate"
        )
    for signed in before:
        if signed.manifest.start > today:
            vault.delete(SignedManifest.kind, signed.key)
        else:
            # Its serial stays, so that it is never used again; its desk key goes, so that nobody signs with it.
            SignedManifest(signed.file, b"").save(vault)
    for signed in chain:
        signed.save(vault)
    return chain


def far_from(vault: Vault, today: date) -> date | None:
    """The day of the newest Bundle, when the date of this machine is far from it."""
    last = max((day for _, day in Traffic.of(vault).seen), default=None)
    return None if last is None or -CLOCK_BACK <= (today - last).days <= CLOCK_AHEAD else last


def check_clock(vault: Vault, today: date, sure: date | None) -> None:
    """Doubt a date far from the newest Bundle's: what is signed with it is believed, and revokes what was before.

    Args:
        vault: the vault.
        today: the date of this machine.
        sure: the date that a person says it is.

    Raises:
        ClockDoubted: it is far off, or not the one that the person named.
    """
    if sure is not None and sure != today:
        raise ClockDoubted(f"signing a manifest: this machine has {today}, and not {sure}; set its date")
    if sure is None and (last := far_from(vault, today)) is not None:
        raise ClockDoubted(
            f"signing a manifest: this machine has {today}, and the last Bundle is of {last}; check the date, and if "
            f"it is right, say so with --today {today}"
        )


def _write(out: Path, chain: list[SignedManifest]) -> PublishedChain:
    out.parent.mkdir(parents=True, exist_ok=True)
    write_file(out, chain[0].file.encode(), mode=0o644)
    return PublishedChain(chain[0].manifest, len(chain) - 1, chain[-1].manifest.end)


def publish(vault: Vault, identity: SigningKey, out: Path, *, today: date, sure: date | None = None) -> PublishedChain:
    """Sign the manifest of today, with the next serial, and those that follow it; write the first to ``out``.

    Raises:
        ClockDoubted: see ``check_clock``.
        Usage: ``out`` lies in the vault or on the key stick, or is something else than a manifest.
    """
    check_clock(vault, today, sure)
    organisation = organisation_of(vault)
    check_manifest(out, vault.path, find_stick(vault, organisation))
    _check_identity(organisation, identity)
    with vault.transaction():
        chain = _sign(vault, organisation, identity, today)
        note(vault, "publish", after=_serial(chain))
    return _write(out, chain)


def _serial(chain: list[SignedManifest]) -> str:
    return "{}.{}".format(*chain[0].manifest.serial)


def sign_site_entry(
    vault: Vault, identity: SigningKey, out: Path, onions: Sequence[str] = (), about: Mapping[str, str] | None = None
) -> SiteEntry:
    """Sign the organisation's own entry of a site's list, and write it to ``out``.

    Args:
        vault: of the organisation.
        identity: its identity key.
        out: a file.
        onions: onion services that it vouches for.
        about: one line on who they are, by language.

    Raises:
        Usage: ``out`` lies in the vault or on the key stick, or is something else than such an entry.
        Malformed: an address of ``onions`` or a line of ``about`` is none.
    """
    organisation = organisation_of(vault)
    check_site_entry(out, vault.path, find_stick(vault, organisation))
    _check_identity(organisation, identity)
    entry = SiteEntry(
        organisation.name,
        organisation.full_name,
        organisation.country,
        organisation.languages,
        organisation.identity,
        tuple(onions),
        about=about or {},
    ).signed_by(identity)
    with vault.transaction():
        note(vault, "publish", after="site")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_file(out, entry.encode(), mode=0o644)
    return entry


def rotate(
    vault: Vault,
    identity: SigningKey,
    stick: Path,
    passphrase: bytes,
    out: Path,
    *,
    today: date,
    sure: date | None = None,
) -> PublishedChain:
    """Make receiving keys for a year from today and publish them in a new generation: it revokes all manifests before.

    The old private halves stay on the key stick for what is still on its way. The new ones reach the stick first: a
    crash leaves keys there that nobody uses, never a published key without its private half.

    Raises:
        ClockDoubted: see ``check_clock``.
        Usage: ``out`` lies in the vault or on the key stick, or is something else than a manifest.
    """
    check_clock(vault, today, sure)
    organisation = organisation_of(vault)
    check_manifest(out, vault.path, find_stick(vault, organisation))
    _check_identity(organisation, identity)
    passphrase = stick_passphrase(vault, stick, passphrase)
    held = key_stick.load(stick, passphrase)
    keys = new_keys(today)
    key_stick.replace(stick, passphrase, Stick(held.organisation, held.keys + keys))
    with vault.transaction():
        generation = max(key.generation for key in PublicKey.all(vault)) + 1
        for key in _public(keys, generation):
            key.save(vault)
        chain = _sign(vault, organisation, identity, today)
        note(vault, "rotate", after=_serial(chain))
    return _write(out, chain)


def find_stick(vault: Vault, organisation: Organisation) -> Path:
    """The key stick's folder: beside the vault, or else where it lay at the ceremony."""
    beside = key_stick.stick_path(vault.path)
    made_at = Path(organisation.stick)
    return made_at if not (beside / key_stick.FILE).exists() and (made_at / key_stick.FILE).exists() else beside
