"""What the attackers of this folder can do: the one module here that knows the bytes of the formats.

An attacker has what was taken from its victims (a vault, a server's folder, a recorded Bundle, a found access code) and
the same libraries as everybody. Where a format leaves an attack no way, its function here gives back nothing, or makes
the nearest thing that can be made, and the test goes on to ask the victim.
"""

from __future__ import annotations

import base64
import io
import shutil
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha512
from http import HTTPStatus
from pathlib import Path
from typing import Any

from attackers.people import Desk
from support.world import Server
from tipbox.desk import outbox
from tipbox.desk.keys import identity_file, key_stick
from tipbox.desk.vault.records import Server as Pinned
from tipbox.desk.vault.records import Traffic
from tipbox.desk.vault.vault import Vault
from tipbox.errors import TipboxError
from tipbox.formats.access_code import AccessCode
from tipbox.formats.base import canonical, days, fields, labels
from tipbox.formats.base.limits import BUNDLE_HEADER, HASH_SIZE, ID_SIZE, KEY_SIZE, MAX_RUN_PARTS, PART_SIZE
from tipbox.formats.base.primitives import SigningKey, new_seed, random_bytes, sign, verify, xwing_public
from tipbox.formats.bundles.bundle import INDEX_STREAM, INWARD, Index, split_index
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import item_of, write_bundle
from tipbox.formats.envelopes.body import read_padded, seal_body
from tipbox.formats.envelopes.envelope import Recipient, read_envelope, seal
from tipbox.formats.envelopes.header import Header, KeyState, Kind, OpenedSlot, Slot, header_size, open_slot
from tipbox.formats.envelopes.letter import Letter, open_letter, seal_letter
from tipbox.formats.envelopes.reply import open_reply, seal_reply
from tipbox.formats.envelopes.seals import EnvelopeHash, check_digits, tag
from tipbox.formats.mailbox_list import MailboxList, encode_delete, encode_tokens
from tipbox.formats.manifest import Manifest, ReceivingKey, key_id, server_id
from tipbox.server.home import Home, ServerKeys, load_server_keys

SALT = range(24, 56)
"""Where the salt lies in an Envelope."""
_LEAST_TELLING = 16
"""Bytes; shorter values of a letter (a language, a kind) are the same for many sources."""


def envelope_id(envelope: bytes) -> str:
    """The id of an Envelope, in hex, as desks and sources print it."""
    return read_envelope(io.BytesIO(envelope)).end().id.hex()


def flipped(data: bytes, bit: int) -> bytes:
    """``data`` with one bit changed; bits are counted from the lowest of the first byte."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def garbled(envelope: bytes) -> bytes:
    """A copy whose last byte is another one."""
    return flipped(envelope, 8 * len(envelope) - 1)


def slots_of(envelope: bytes) -> set[bytes]:
    """The ids of the organisations that an Envelope has slots for: everybody on its way sees them."""
    return {slot.organisation for slot in Header.parse(envelope[: header_size(envelope)]).slots}


def shared_bytes(one: bytes, other: bytes, size: int = ID_SIZE) -> set[bytes]:
    """Every run of so many bytes that stands in both, wherever it stands."""
    first, second = ({data[at : at + size] for at in range(len(data) - size + 1)} for data in (one, other))
    return first & second


# --- over HTTP -------------------------------------------------------------------------------------------------------


_OCTETS = {"Content-Type": "application/octet-stream"}


def upload(server: Server, envelope: bytes, token: bytes | None = None) -> tuple[int, bytes]:
    """Hand in an Envelope as any source does; status and body of the first answer that says no, or of the last one.

    Under a draft token (32 bytes) of its own, when none is given.
    """
    headers = {"Authorization": _bearer(token or random_bytes(KEY_SIZE)), **_OCTETS}
    header = Header.parse(envelope[: header_size(envelope)])
    at = header.opening_size
    requests = [("PUT", "", envelope[:at] if header.parts else envelope)]
    for first in range(0, header.parts, MAX_RUN_PARTS):
        size = sum(header.part_size(part) for part in range(first, min(first + MAX_RUN_PARTS, header.parts)))
        requests.append(("PUT", f"/parts/{first}", envelope[at : at + size]))
        at += size
    if header.parts:
        end = read_envelope(io.BytesIO(envelope)).end()
        requests.append(("POST", "/finish", end.hash + end.trailer))
    status, body = 0, b""
    for method, path, data in requests:
        status, _, body = server.request(method, f"/api/envelope{path}", data, headers)
        if status >= 400:
            break
    return status, body


def begin_upload(server: Server, envelope: bytes) -> Header:
    """Announce an Envelope with files and send none of them; its header."""
    header = Header.parse(envelope[: header_size(envelope)])
    headers = {"Authorization": _bearer(random_bytes(KEY_SIZE)), **_OCTETS}
    status, _, body = server.request("PUT", "/api/envelope", envelope[: header.opening_size], headers)
    if status != HTTPStatus.CREATED:
        raise RuntimeError(f"the server took no upload: {status} {body!r}")
    return header


def _bearer(token: bytes) -> str:
    return "Bearer " + base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def pair_key_out_of_replies(server: Server, trap: AccessCode, organisation: bytes) -> bytes | None:
    """What an answer of ``organisation`` (id) in the mailbox of the attacker's own code gives away of its pair key.

    A reply carries no key, and opens with the pair key alone: there is nothing to take.
    """
    secrets = trap.secrets()
    for opening in look_into(server, secrets.mailbox_request([organisation])).openings:
        with suppress(TipboxError):
            open_reply(read_envelope(io.BytesIO(opening), Kind.REPLY), secrets.pair_key(organisation))
            return secrets.pair_key(organisation)
    return None


# --- what goes through a live server ---------------------------------------------------------------------------------


def look_into(server: Server, tokens: Collection[bytes]) -> MailboxList:
    """What lies in the mailboxes of 32 tokens that a source's request brought."""
    _, _, answer = server.request("POST", "/api/mailbox", encode_tokens(tokens), _OCTETS)
    return MailboxList.parse(answer)


def empty(server: Server, tokens: Collection[bytes]) -> None:
    """Delete everything in those mailboxes."""
    ids = [entry.id for entry in look_into(server, tokens).entries]
    server.request("POST", "/api/mailbox/delete", encode_delete(tokens, ids), _OCTETS)


def change_tag(server: Server, tip: str, organisation: bytes) -> str:
    """Change a bit of an organisation's tag in a stored tip (id) without files; the id that it has then."""
    with closing(sqlite3.connect(server.home / "tipbox.db")) as database, database:
        old = bytes.fromhex(tip)
        (parts,) = database.execute("SELECT header, letter, trailer FROM envelope WHERE id = ?", (old,))
        slots = [slot.organisation for slot in Header.parse(parts[0]).slots]
        trailer = flipped(parts[2], 8 * HASH_SIZE * slots.index(organisation))
        new = envelope_id(parts[0] + parts[1] + trailer)
        row = bytes.fromhex(new)
        database.execute("UPDATE envelope SET id = ?, trailer = ? WHERE id = ?", (row, trailer, old))
        database.execute("UPDATE slot SET envelope = ? WHERE envelope = ?", (row, old))
    return new


# --- keys that were found --------------------------------------------------------------------------------------------


def keys_of(code: AccessCode, organisations: Collection[bytes]) -> set[bytes]:
    """Everything of 32 bytes that comes of a source's access code, for these organisations (ids)."""
    secrets = code.secrets()
    found = {secrets.root, secrets.resume, code.value.to_bytes(KEY_SIZE)}
    for one in organisations:
        found |= {secrets.pair_key(one), secrets.mailbox_address(one), *secrets.mailbox_request([one])}
    return found


def words_opened(openings: Iterable[bytes], keys: Collection[bytes]) -> set[str]:
    """The words of those headers and letters, of tips and replies, that one of these keys (32 bytes) opens.

    Each is tried as the key of a letter, as a pair key, and as the private half of a receiving key.
    """
    found = set()
    for opening in openings:
        header = Header.parse(opening[: header_size(opening)])
        sealed = opening[len(header.encoded) : header.opening_size]
        for key in keys:
            with suppress(TipboxError):
                found.add(open_reply(read_envelope(io.BytesIO(opening), Kind.REPLY), key).message.decode())
            for content_key in (key, *_content_keys(header, key)):
                with suppress(TipboxError):
                    found.add(open_letter(header, content_key, sealed).message.decode())
    return found


def _content_keys(header: Header, seed: bytes) -> Iterator[bytes]:
    for slot in header.slots:
        with suppress(TipboxError):
            yield open_slot(header, slot.organisation, lambda _: seed).content_key


# --- a captured organisation -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OpenedEnvelope:
    """What one addressee reads in an Envelope."""

    header: Header
    slot: OpenedSlot = field(repr=False)
    letter: Letter = field(repr=False)
    rest: bytes = field(repr=False)
    """What lies behind the letter: parts and trailer."""

    @property
    def trailer(self) -> bytes:
        return self.rest[-self.header.trailer_size :]


@dataclass(frozen=True)
class Captured:
    """An organisation in an attacker's hands: its vault, its key stick and the passphrase of both."""

    desk: Desk

    @property
    def _passphrase(self) -> bytes:
        return self.desk.secret.read_bytes().strip()

    @cached_property
    def _stick(self) -> key_stick.Stick:
        return key_stick.load(key_stick.stick_path(self.desk.vault), self._passphrase)

    def _find_key(self, key: bytes) -> bytes | KeyState:
        return self._stick.seed(key) or KeyState.UNKNOWN

    @property
    def id(self) -> bytes:
        return self._stick.organisation

    @cached_property
    def identity(self) -> SigningKey:
        """Its private identity key."""
        return identity_file.load(identity_file.identity_path(self.desk.vault), self._passphrase)

    def collect(self, volumes: Collection[Path]) -> dict[str, bytes]:
        """All Envelopes of Bundles to this organisation, by id."""
        found = {}
        for volume in volumes:
            with volume.open("rb") as file:
                bundle = Bundle(file, self.id, self._find_key)
                for item in bundle.items:
                    if item.entry.kind == "envelope":
                        found[item.entry.hash.hex()] = b"".join(bundle.read(item))
        return found

    def open(self, envelope: bytes) -> OpenedEnvelope:
        """Open the slot and the letter of an Envelope that is for this organisation."""
        reading = read_envelope(io.BytesIO(envelope))
        slot = open_slot(reading.header, self.id, self._find_key)
        letter = open_letter(reading.header, slot.content_key, reading.letter)
        return OpenedEnvelope(reading.header, slot, letter, envelope[reading.header.opening_size :])

    def values(self, envelope: bytes) -> set[bytes]:
        """Every value in a slot and its letter that is long enough to tell one source from another."""
        opened = self.open(envelope)
        slot, letter = opened.slot, opened.letter
        found = {slot.content_key, slot.pair_key, slot.mailbox, slot.seal_secret, letter.body_key, letter.id}
        return {value for value in found if len(value) >= _LEAST_TELLING}

    # --- under a genuine header ---

    def _with_own_tag(self, opened: OpenedEnvelope, header: Header, start: bytes, parts: bytes) -> bytes:
        """An Envelope with the tag that this organisation can make, and those of the others as the source made them."""
        envelope = start + parts + opened.trailer
        digest = read_envelope(io.BytesIO(envelope)).end().hash
        place = HASH_SIZE * [slot.organisation for slot in header.slots].index(self.id)
        own = tag(header, opened.slot, digest)
        trailer = opened.trailer[:place] + own + opened.trailer[place + HASH_SIZE :]
        return start + parts + trailer

    def forge_letter(self, envelope: bytes, text: str, **changes: Any) -> bytes:
        """Other words under the header that the source made."""
        opened = self.open(envelope)
        letter = replace(opened.letter, message=text.encode(), id=random_bytes(ID_SIZE), **changes)
        sealed = seal_letter(opened.header, opened.slot.content_key, letter.encode(Kind.TIP))
        parts = opened.rest[: -opened.header.trailer_size]
        return self._with_own_tag(opened, opened.header, opened.header.encoded + sealed, parts)

    def forge_files(self, envelope: bytes, contents: Sequence[bytes]) -> bytes:
        """Other files, of the same sizes, behind the header and the letter that the source made."""
        opened = self.open(envelope)
        head = envelope[: opened.header.opening_size]
        pieces = read_padded([(io.BytesIO(one), len(one)) for one in contents], opened.header.body_size)
        parts = b"".join(seal_body(opened.header, opened.letter.body_key, pieces))
        return self._with_own_tag(opened, opened.header, head, parts)

    def rewrap(self, envelope: bytes, spoiled: bytes) -> bytes:
        """The same words under a new header, in which another organisation's slot holds nothing."""
        opened = self.open(envelope)
        slots = tuple(
            Slot(slot.organisation, slot.key, random_bytes(len(slot.sealed))) if slot.organisation == spoiled else slot
            for slot in opened.header.slots
        )
        header = replace(opened.header, slots=slots)
        sealed = seal_letter(header, opened.slot.content_key, opened.letter.encode(Kind.TIP))
        return self._with_own_tag(opened, header, header.encoded + sealed, b"")

    # --- with a pair key that is not its own ---

    def write_as_the_source(self, pair_key: bytes | None, shared: bytes, to: Manifest, text: str) -> bytes:
        """A new tip in the name of the source of ``shared``, for another organisation."""
        known = self.open(shared).slot
        letter = Letter(text.encode(), (), random_bytes(KEY_SIZE), random_bytes(ID_SIZE))
        key = to.current_key(days.today())
        recipient = Recipient(to.id, key.id, key.public, pair_key or random_bytes(KEY_SIZE), known.mailbox)
        sealed = seal([recipient], letter)
        return sealed.opening + sealed.trailer(EnvelopeHash(sealed.header.encoded, sealed.letter).digest())

    def write_to_the_source(self, pair_key: bytes | None, shared: bytes, text: str, out: Path) -> Path:
        """An inward Bundle with a reply to the source of ``shared`` in the name of whose pair key it is."""
        letter = Letter(text.encode(), (), random_bytes(KEY_SIZE), random_bytes(ID_SIZE), day=days.today())
        sealed = seal_reply(pair_key or random_bytes(KEY_SIZE), letter)
        return self.deliver(self.open(shared).slot.mailbox, sealed.opening, out)

    def write_into(self, mailbox: bytes, pair_key: bytes, text: str, out: Path) -> Path:
        """An inward Bundle that puts a reply in the name of whose pair key it is into that organisation's mailbox."""
        letter = Letter(text.encode(), (), random_bytes(KEY_SIZE), random_bytes(ID_SIZE), day=days.today())
        return self.deliver(mailbox, seal_reply(pair_key, letter).opening, out)

    def put_a_tip_into_the_mailbox(self, shared: bytes, text: str, out: Path) -> Path:
        """An inward Bundle with a tip in the place of a reply, sealed to a key of the attacker's own."""
        known, seed = self.open(shared).slot, new_seed()
        public = xwing_public(seed)
        letter = Letter(text.encode(), (), random_bytes(KEY_SIZE), random_bytes(ID_SIZE))
        sealed = seal([Recipient(self.id, key_id(public), public, known.pair_key, known.mailbox)], letter)
        tip = sealed.opening + sealed.trailer(EnvelopeHash(sealed.header.encoded, sealed.letter).digest())
        return self.deliver(known.mailbox, tip, out)

    def deliver(self, address: bytes, envelope: bytes, out: Path) -> Path:
        """An inward Bundle that puts bytes of any kind into a mailbox, with the next number of this organisation."""
        with Vault.open(self.desk.vault, self._passphrase, write=True) as vault:
            seed = outbox.due_manifest(vault, days.today()).desk_seed
            traffic = Traffic.of(vault)
            with vault.transaction():
                replace(traffic, sent=traffic.sent + 1).save(vault)
        return self.write_for(self.id, SigningKey(seed), traffic.sent + 1, {"reply": address + envelope}, out)

    def write_for(
        self, organisation: bytes, key: SigningKey, sequence: int, items: Mapping[str, bytes], out: Path
    ) -> Path:
        """An inward Bundle in the name of an organisation (id), signed with a desk key, to the server known here."""
        with Vault.open(self.desk.vault, self._passphrase) as vault:
            server = Pinned.find(vault)
        if server is None:
            raise RuntimeError("no Bundle was imported at this desk yet")
        index = Index(days.today(), INWARD, organisation, key.verify_key.encode(), sequence, ())
        with out.open("wb") as file:
            write_bundle(
                file,
                index,
                [item_of(kind, data) for kind, data in items.items()],
                reader=server_id(server.sender),
                reader_public=server.server_key,
                signer=key,
            )
        return out


def write_together(captured: Mapping[Captured, Manifest], shared: bytes, text: str) -> bytes:
    """A new tip in the name of the source of ``shared``, by all of its addressees, with the keys that each has."""
    recipients = []
    for one, manifest in captured.items():
        known, key = one.open(shared).slot, manifest.current_key(days.today())
        recipients.append(Recipient(manifest.id, key.id, key.public, known.pair_key, known.mailbox))
    sealed = seal(recipients, Letter(text.encode(), (), random_bytes(KEY_SIZE), random_bytes(ID_SIZE)))
    return sealed.opening + sealed.trailer(EnvelopeHash(sealed.header.encoded, sealed.letter).digest())


def address_of(organisation: bytes) -> bytes:
    """A mailbox address (32 bytes) that fits the slot of an organisation (id, 16 bytes)."""
    return organisation.ljust(HASH_SIZE, b"\x00")


def reply_as_tip(text: str) -> bytes:
    """A reply in the place of a tip."""
    letter = Letter(text.encode(), (), random_bytes(KEY_SIZE), random_bytes(ID_SIZE), day=days.today())
    return seal_reply(random_bytes(KEY_SIZE), letter).opening


# --- a seized server -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seized:
    """A copy of a server's folder."""

    home: Path

    @classmethod
    def copy(cls, server: Server, folder: Path) -> Seized:
        """Seize a running server: its database, with what its journal holds, and its private keys."""
        for path in (*server.home.glob("tipbox.db*"), server.home / "server.key"):
            shutil.copy2(path, folder / path.name)
        return cls(folder)

    def _rows(self, statement: str, *values: bytes) -> list[tuple[bytes, ...]]:
        with closing(sqlite3.connect(self.home / "tipbox.db")) as database:
            return database.execute(statement, values).fetchall()

    @cached_property
    def keys(self) -> ServerKeys:
        """The server's private keys."""
        return load_server_keys(Home(self.home))

    def openings(self) -> dict[str, bytes]:
        """Header and letter of each stored Envelope, by the Envelope's id."""
        rows = self._rows("SELECT id, header, letter FROM envelope")
        return {ident.hex(): header + letter for ident, header, letter in rows}

    def tips(self) -> dict[str, bytes]:
        """Each stored Envelope without files, whole, by its id."""
        rows = self._rows("SELECT id, header, letter, trailer FROM envelope WHERE blob IS NULL")
        return {ident.hex(): header + letter + trailer for ident, header, letter, trailer in rows}

    def replies(self) -> list[bytes]:
        """Header and letter of each reply that lies in a mailbox."""
        return [opening for (opening,) in self._rows("SELECT opening FROM reply_opening")]

    def deposits(self) -> set[str]:
        """The hash (hex) of each item that was put into a mailbox."""
        return {item.hex() for (item,) in self._rows("SELECT item FROM deposit")}

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table."""
        names = [name for (name,) in self._rows("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {str(name): sorted(self._rows(f"SELECT * FROM {name!s}"), key=repr) for name in names}  # noqa: S608

    def mailboxes_of(self, organisation: bytes) -> set[bytes]:
        """The addresses of the mailboxes that hold replies of an organisation."""
        return {mailbox for (mailbox,) in self._rows("SELECT mailbox FROM reply WHERE organisation = ?", organisation)}


def files_with(server: Server, needle: bytes) -> list[str]:
    """The files of a running server's folder that hold some bytes anywhere: in rows, free pages, or a journal."""
    return sorted(path.name for path in server.home.rglob("*") if path.is_file() and needle in path.read_bytes())


def carry_check_digits(
    code: AccessCode, organisation: bytes, digits: str, envelopes: Mapping[str, bytes], accomplice: Captured
) -> set[str]:
    """Which Envelopes (ids) a source and an organisation (id) read each other these check digits of.

    The attacker has the source's code, every byte of the server, and the vault of an accomplice.
    """
    secrets = code.secrets()
    found = set()
    for ident, envelope in envelopes.items():
        digest = read_envelope(io.BytesIO(envelope)).end().hash
        slots = [OpenedSlot(bytes(KEY_SIZE), secrets.pair_key(organisation), bytes(KEY_SIZE), bytes(KEY_SIZE))]
        with suppress(TipboxError):  # not for the accomplice
            of_accomplice = accomplice.open(envelope).slot
            slots += [of_accomplice, replace(of_accomplice, pair_key=secrets.pair_key(organisation))]
        if any(check_digits(slot, digest) == digits for slot in slots):
            found.add(ident)
    return found


def proved(bundle: Path, seized: Seized, manifest: Manifest) -> bytes:
    """What the signature in a recorded inward Bundle proves to a third party: the bytes that the desk signed.

    The Bundle opens with the keys of a server that was seized later; the desk's key is in its manifest.
    """
    with bundle.open("rb") as file:
        opened = Bundle(file, seized.keys.id, lambda _: seized.keys.seed)
        signature, index = split_index(
            b"".join(opened._stream(INDEX_STREAM, BUNDLE_HEADER, opened.header.index_parts * PART_SIZE))
        )
        label, message = Index.parse(index, INWARD).signed(opened.header_hash)
    verify(label, message, signature, manifest.desk)
    return message


def replies_in(bundle: Path, seized: Seized) -> dict[str, bytes]:
    """The replies in an inward Bundle, by the hash (hex) of each item: of a mailbox's address and what goes there."""
    with bundle.open("rb") as file:
        opened = Bundle(file, seized.keys.id, lambda _: seized.keys.seed)
        items = [item for item in opened.items if item.entry.kind == "reply"]
        return {item.entry.hash.hex(): b"".join(opened.read(item))[HASH_SIZE:] for item in items}


# --- key manifests ---------------------------------------------------------------------------------------------------

_ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the group that Ed25519 signs in."""
_ONE = (1).to_bytes(32, "little")
SMALL_ORDER = {
    "one": _ONE,
    "minus-one": (2**255 - 20).to_bytes(32, "little"),
    "one-not-canonical": (2**255 - 18).to_bytes(32, "little"),
}
"""Identity keys (Ed25519) of small order: one signature by them is good for many messages, and anybody can make it."""
_FIELD = 3329
"""ML-KEM's q: a coefficient of a public key is below it."""


def bad_receiving_keys(public: bytes) -> dict[str, bytes]:
    """Public X-Wing keys (1,216 bytes) that nobody can seal to, made out of a good one."""
    too_large = _FIELD.to_bytes(2, "little")  # the first of the 12-bit numbers; its upper half shares a byte
    second = bytes([public[1] & 0xF0 | too_large[1]])
    return {
        "ml-kem": too_large[:1] + second + public[2:],
        "x25519-zero": public[:-32] + bytes(32),
        "x25519-one": public[:-32] + _ONE,
    }


def _file(manifest: Manifest, signature: bytes) -> bytes:
    return canonical.encode({**manifest.unsigned(), "signature": fields.to_base64(signature)}, file_form=True)


def sign_receiving_keys(manifest: Manifest, captured: Captured, keys: Sequence[ReceivingKey]) -> bytes:
    """The file of a manifest that names other receiving keys, rightly signed by its organisation."""
    changed = replace(manifest, keys=tuple(keys))
    return _file(changed, sign(labels.MANIFEST, canonical.encode(changed.unsigned()), captured.identity))


@dataclass(frozen=True)
class Usurped:
    """A manifest in an organisation's name with keys of the thief's own, and their private halves."""

    file: bytes
    seed: bytes = field(repr=False)
    desk: SigningKey = field(repr=False)


def sign_own_keys(manifest: Manifest, identity: SigningKey, serial: tuple[int, int]) -> Usurped:
    """What a thief of an identity key publishes, under any serial."""
    seed, desk = new_seed(), SigningKey.generate()
    keys = (replace(manifest.keys[0], public=xwing_public(seed)),)
    changed = replace(manifest, serial=serial, desk=desk.verify_key.encode(), keys=keys)
    return Usurped(_file(changed, sign(labels.MANIFEST, canonical.encode(changed.unsigned()), identity)), seed, desk)


def sign_with_small_order(manifest: Manifest, identity: bytes) -> bytes:
    """The file of a manifest under an identity key of small order, with the signature that anybody can make."""
    for serial in range(1, 1000):
        changed = replace(manifest, identity=identity, serial=(1, serial))
        message = labels.MANIFEST + b"\x00" + canonical.encode(changed.unsigned())
        if _challenge(_ONE, identity, message) % 2 == 0:  # so often times a key of order two is one
            return _file(changed, _ONE + bytes(32))
    raise RuntimeError("no serial fits")


def sign_with_a_small_nonce(manifest: Manifest, captured: Captured) -> bytes:
    """The file of a manifest with a signature whose R is of small order; the key is the organisation's own."""
    secret = bytearray(sha512(captured.identity.encode()).digest()[:32])
    secret[0] &= 0xF8
    secret[31] = secret[31] & 0x7F | 0x40
    message = labels.MANIFEST + b"\x00" + canonical.encode(manifest.unsigned())
    answer = _challenge(_ONE, manifest.identity, message) * int.from_bytes(secret, "little") % _ORDER
    return _file(manifest, _ONE + answer.to_bytes(32, "little"))


def _challenge(nonce: bytes, identity: bytes, message: bytes) -> int:
    return int.from_bytes(sha512(nonce + identity + message).digest(), "little") % _ORDER
