"""What the vault remembers, as typed records. Each class knows its kind, its id and its JSON; the vault seals it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, is_dataclass, replace
from dataclasses import fields as dataclass_fields
from datetime import date
from functools import cache
from types import NoneType, UnionType
from typing import Any, ClassVar, Final, Self, get_args, get_origin, get_type_hints

from tipbox.desk.vault.machine_account import account
from tipbox.desk.vault.unlocking import Me, fingerprint
from tipbox.desk.vault.vault import Record, Vault
from tipbox.formats.base import days
from tipbox.formats.base.primitives import sha256
from tipbox.formats.bundles.bundle import Head
from tipbox.formats.envelopes.consent import Consent
from tipbox.formats.envelopes.header import OpenedSlot
from tipbox.formats.envelopes.seals import check_digits
from tipbox.formats.manifest import Manifest, ReceivingKey

TRIED_AGAIN: Final = frozenset({"full", "version"})
"""Why a server refuses a reply that it may take another day: no room, or it is too old to keep mailboxes."""


def _plain(value: Any) -> Any:
    """A value as JSON: bytes in hex, days as YYYY-MM-DD, dataclasses as objects."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int):
        return value
    kind: Any = type(value)
    return {name: _plain(getattr(value, name)) for name in _members(kind)}


@cache
def _members(kind: Any) -> tuple[str, ...]:
    """The fields of a dataclass; asked for once, as an import writes many records."""
    return tuple(member.name for member in dataclass_fields(kind))


@cache
def _reader(hint: Any) -> Callable[[Any], Any]:
    """The inverse of ``_plain`` for a type that a field is declared with; made once, as lists read many records."""
    if hint is bytes:
        return bytes.fromhex
    if hint is date:
        return days.parse
    if get_origin(hint) is UnionType:  # something or None
        (kind,) = (kind for kind in get_args(hint) if kind is not NoneType)
        read = _reader(kind)
        return lambda value: None if value is None else read(value)
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if kinds[-1] is Ellipsis:
            read = _reader(kinds[0])
            return lambda value: tuple(map(read, value))
        readers = tuple(map(_reader, kinds))
        return lambda value: tuple(read(item) for read, item in zip(readers, value, strict=True))
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint)
        members = {member.name: _reader(hints[member.name]) for member in dataclass_fields(hint)}
        # A record that an older version wrote may lack members: their defaults hold.
        return lambda value: hint(**{name: read(value[name]) for name, read in members.items() if name in value})
    return lambda value: value


@dataclass(frozen=True)
class VaultRecord:
    """A record of one kind, found by its ``key``."""

    kind: ClassVar[str]

    @property
    def key(self) -> bytes:
        """The id of the record within its kind; empty when there is only one."""
        return b""

    def to_json(self) -> Record:
        """As the vault keeps it."""
        record: Record = _plain(self)
        return record

    @classmethod
    def from_json(cls, record: Record) -> Self:
        """The inverse of ``to_json``."""
        hint: Any = cls
        value: Self = _reader(hint)(record)
        return value

    @classmethod
    def find(cls, vault: Vault, key: bytes = b"") -> Self | None:
        """The record with this id, or None."""
        record = vault.get(cls.kind, key)
        return None if record is None else cls.from_json(record)

    @classmethod
    def all(cls, vault: Vault) -> Iterator[Self]:
        """All records of this kind, in no meaningful order."""
        return map(cls.from_json, vault.all(cls.kind))

    def save(self, vault: Vault) -> None:
        """Write this record in place of the one with the same id."""
        vault.put(self.kind, self.key, self.to_json())


@dataclass(frozen=True)
class Organisation(VaultRecord):
    """Whose vault this is; ``stick`` is where the key stick lay at the ceremony."""

    kind: ClassVar[str] = "organisation"
    name: str
    full_name: str
    country: str
    languages: tuple[str, ...]
    identity: bytes
    id: bytes
    stick: str


@dataclass(frozen=True)
class PublicKey(VaultRecord):
    """A receiving key that this organisation ever had. It stays when its private half is destroyed."""

    kind: ClassVar[str] = "receiving-key"
    id: bytes
    start: date
    end: date
    generation: int
    public: bytes = field(repr=False)

    @property
    def key(self) -> bytes:
        """The key's id."""
        return self.id

    def receiving_key(self) -> ReceivingKey:
        """As a manifest lists it."""
        return ReceivingKey(self.start, self.end, self.public)


@dataclass(frozen=True)
class SignedManifest(VaultRecord):
    """A manifest that was signed here, with the private half (seed, 32 bytes) of the desk signing key that it names."""

    kind: ClassVar[str] = "manifest"
    file: str = field(repr=False)
    desk_seed: bytes = field(repr=False)

    @property
    def manifest(self) -> Manifest:
        """The manifest."""
        return Manifest.parse(self.file.encode())

    @property
    def key(self) -> bytes:
        """The serial."""
        generation, index = self.manifest.serial
        return generation.to_bytes(4) + index.to_bytes(4)


@dataclass(frozen=True)
class Server(VaultRecord):
    """The server that this desk works with, pinned at the first import: signing key (32 bytes), bundle key (1216)."""

    kind: ClassVar[str] = "server"
    sender: bytes
    server_key: bytes = field(repr=False)


@dataclass(frozen=True)
class Traffic(VaultRecord):
    """How far the Bundles are.

    Attributes:
        seen: (sequence, day) of the newest outward ones of the server that is pinned.
        sent: the number of the last outbox.
        base: what is added to its sequences to compare them with those of the servers before it: another server counts
            from 1 again, and its Bundles are newer than all of the old one's.
        head: what the last outbox named as the head of this desk's chain of custody; empty before the first.
    """

    kind: ClassVar[str] = "traffic"
    seen: tuple[tuple[int, date], ...] = ()
    sent: int = 0
    base: int = 0
    head: bytes = b""

    @classmethod
    def of(cls, vault: Vault) -> Self:
        """The vault's record, or a new one."""
        return cls.find(vault) or cls()


@dataclass(frozen=True)
class SentOutbox(VaultRecord):
    """An outbox that was written here: SHA-256 of its index, which the server's report must name.

    ``disputed``: the server took another one under its number, and staff were told.
    """

    kind: ClassVar[str] = "outbox"
    sequence: int
    index: bytes
    disputed: bool = False

    @property
    def key(self) -> bytes:
        """The number."""
        return outbox_key(self.sequence)


def outbox_key(sequence: int) -> bytes:
    """The key of the record of an outbox."""
    return sequence.to_bytes(8)


@dataclass(frozen=True)
class KeptHeads(VaultRecord):
    """The heads of all organisations' chains of custody as the newest Bundle named them, rightly stamped.

    ``number`` is that of the Bundle: base and sequence.
    """

    kind: ClassVar[str] = "heads"
    number: int
    heads: tuple[Head, ...]


@dataclass(frozen=True)
class EnvelopeRecord(VaultRecord):
    """An Envelope that this desk has had, whatever became of it.

    Attributes:
        id: the Envelope's id; dropped once the server has taken the acknowledgement. Then only the record's keyed name
            tells that it was here.
        outcome: what became of it; an error code of docs/format.md, or ``mine`` or ``duplicate``.
        by_bundle: it came in a Bundle, so the server holds it until it is acknowledged.
        confirmed: it may be acknowledged: the vault has a second copy, or staff said that one is enough.
        outbox: the first outbox that acknowledges it; 0 while there is none.
        taken: the outward Bundle (base and sequence) that reported the acknowledgement taken; 0 while there is none.
    """

    kind: ClassVar[str] = "carried"
    id: bytes
    outcome: str
    by_bundle: bool
    confirmed: bool = False
    outbox: int = 0
    taken: int = 0

    @property
    def key(self) -> bytes:
        """The Envelope's id."""
        return self.id

    @property
    def due(self) -> bool:
        """Whether the next outbox acknowledges it."""
        return self.by_bundle and self.confirmed and not self.taken

    def save_taken(self, vault: Vault, bundle: int) -> None:
        """The server has taken the acknowledgement: forget the id, keep the record under its keyed name."""
        vault.put(self.kind, self.id, replace(self, id=b"", taken=bundle).to_json())


@dataclass(frozen=True)
class TipFile:
    """A file of a tip: name, size and type as the source gave them."""

    name: str
    size: int
    type: str


@dataclass(frozen=True)
class Stamp:
    """A server's signed word (64 bytes) that an Envelope lay there on a day; ``server`` is its Ed25519 key."""

    day: date
    signature: bytes = field(repr=False)
    server: bytes


@dataclass(frozen=True)
class Tip(VaultRecord):
    """An Envelope that this vault opened. It lies in the vault as it came; this record holds the keys to it.

    Several of them may make up one tip as people see it (tipbox/desk/joined.py).

    Attributes:
        id: the Envelope's id.
        hash: the Envelope's hash: what check digits, stamps and ``continues`` name.
        received: the day on which the server stored it, once the server has said so; else that of the import.
        imported: the day on which this desk imported it.
        state: ``new``, ``opened``, ``answered`` or ``closed``.
        words: whether it has a message.
        consent: what it allows; None when it does not say.
        continues: the hash of the one that was stored before it in the same tip, or empty.
        files_follow: how many files were to come after it.
        dated: ``received`` is the server's word.
        stamp: the server's signature over that word; None when there is none, or it does not verify.
        first: the id of the first Envelope of what people opened together with it; empty while it is new.
    """

    kind: ClassVar[str] = "tip"
    id: bytes
    hash: bytes
    thread: bytes
    message_id: bytes
    received: date
    imported: date
    state: str
    content_key: bytes = field(repr=False)
    pair_key: bytes = field(repr=False)
    mailbox: bytes = field(repr=False)
    seal_secret: bytes = field(repr=False)
    files: tuple[TipFile, ...] = field(repr=False)
    words: bool = True
    consent: Consent | None = field(default=None, repr=False)
    continues: bytes = b""
    files_follow: int = 0
    dated: bool = False
    stamp: Stamp | None = None
    first: bytes = b""

    @property
    def key(self) -> bytes:
        """The Envelope's id."""
        return self.id

    @property
    def slot(self) -> OpenedSlot:
        """What its slot held."""
        return OpenedSlot(self.content_key, self.pair_key, self.mailbox, self.seal_secret)

    @property
    def check_digits(self) -> str:
        """What its source and this organisation compare."""
        return check_digits(self.slot, self.hash)


@dataclass(frozen=True)
class Copy(VaultRecord):
    """An Envelope that says the same as a tip in the vault, and was not kept: its hash, its days and its stamp.

    ``tip`` is the id of the one that was kept; the others are as in ``Tip``.
    """

    kind: ClassVar[str] = "copy"
    id: bytes
    hash: bytes
    tip: bytes
    received: date
    imported: date
    dated: bool = False
    stamp: Stamp | None = None

    @property
    def key(self) -> bytes:
        """The Envelope's id."""
        return self.id


@dataclass(frozen=True)
class ForgedEnvelope(VaultRecord):
    """An Envelope without the seal of the thread in whose name it came.

    ``day`` is that of the import, ``bundle`` the number (base and sequence) of the Bundle that brought it.
    """

    kind: ClassVar[str] = "forged"
    id: bytes
    day: date
    bundle: int
    thread: bytes

    @property
    def key(self) -> bytes:
        """The Envelope's id."""
        return self.id


@dataclass(frozen=True)
class Thread(VaultRecord):
    """What holds for all tips of one source to this organisation.

    Attributes:
        id: the thread's id.
        mailbox: the address that the first accepted tip named. What a later one names is in its record, and not used.
        consent: the narrowest that all tips together allow; None while no tip has said anything, which is not level 0.
    """

    kind: ClassVar[str] = "thread"
    id: bytes
    mailbox: bytes = field(repr=False)
    consent: Consent | None = field(default=None, repr=False)

    @property
    def key(self) -> bytes:
        """The thread's id."""
        return self.id

    def joined_by(self, tip: Tip) -> Thread:
        """With one more accepted tip, which can narrow what is allowed and never widen it."""
        if tip.consent is None:
            return self
        return replace(self, consent=narrower(self.consent, tip.consent))


def narrower(one: Consent | None, other: Consent) -> Consent:
    """What both consents allow: the lowest level, all exceptions, the earliest end."""
    if one is None:
        return other
    ends = [end for end in (one.until, other.until) if end is not None]
    return Consent(
        level=min(one.level, other.level),
        ask_me=one.ask_me or other.ask_me,
        never=tuple(dict.fromkeys((*one.never, *other.never))),
        until=min(ends, default=None),
    )


@dataclass(frozen=True)
class Reply(VaultRecord):
    """A reply that was sealed here, once. Its Envelope lies in the vault while ``pending``.

    Attributes:
        id: the Envelope's id.
        item: the hash of the item that carries it; a server's report names it so.
        thread: the conversation.
        tip: the id of the tip that it answers.
        address: the source's mailbox address.
        day: when it was sealed.
        number: its place among the replies of this vault.
        size: bytes of the Envelope.
        state: ``waiting`` for an outbox, ``sent`` with one, ``delivered`` to the mailbox, ``refused`` by the server, or
            ``unsent``: taken back before an outbox took it.
        outbox: the first outbox that carries it; 0 while there is none, and again when it was refused.
        code: why it was refused.
    """

    kind: ClassVar[str] = "reply"
    id: bytes
    item: bytes
    thread: bytes
    tip: bytes
    address: bytes = field(repr=False)
    day: date
    number: int
    size: int
    files: tuple[TipFile, ...] = field(repr=False)
    state: str = "waiting"
    outbox: int = 0
    code: str = ""

    @property
    def key(self) -> bytes:
        """The Envelope's id."""
        return self.id

    @property
    def pending(self) -> bool:
        """Whether the next outbox carries it: a mailbox that is full is emptied one day."""
        return self.state in ("waiting", "sent") or self.code in TRIED_AGAIN


@dataclass(frozen=True)
class ReplyText(VaultRecord):
    """What a reply says; it stays for the thread's view when the Envelope has gone."""

    kind: ClassVar[str] = "reply-text"
    id: bytes
    message: bytes = field(repr=False)

    @property
    def key(self) -> bytes:
        """The Envelope's id."""
        return self.id


@dataclass(frozen=True)
class Draft(VaultRecord):
    """The words of a reply that is being sealed. It goes when the reply is queued; a command that is killed leaves it.

    ``files`` names those that were to go with it; they lie where staff have them. ``paths`` says where, when a page
    wrote this draft; a command has them named again.
    """

    kind: ClassVar[str] = "draft"
    thread: bytes
    message: bytes = field(repr=False)
    files: tuple[TipFile, ...] = field(repr=False)
    day: date
    paths: tuple[str, ...] = field(default=(), repr=False)

    @property
    def key(self) -> bytes:
        """A hash of words and thread: the same reply, begun again, is the same draft."""
        return sha256(self.thread, self.message)


@dataclass(frozen=True)
class Person(VaultRecord):
    """Somebody who can unlock this vault, or could: who is removed stays, so that their events can be told.

    Attributes:
        id: random.
        name: as colleagues write it; nobody else has it.
        role: what was agreed on; it keeps nobody from anything.
        since: the day on which they were added.
        public: what the vault's keys are sealed to (X-Wing, 1216 bytes).
        signs: what their events are signed with (Ed25519).
        removed: the day on which they were removed.
    """

    kind: ClassVar[str] = "person"
    id: bytes
    name: str
    role: str
    since: date
    public: bytes = field(repr=False)
    signs: bytes
    removed: date | None = None

    @property
    def key(self) -> bytes:
        """The id."""
        return self.id

    @classmethod
    def of(cls, me: Me, name: str, role: str, since: date) -> Self:
        """The record of whoever has this seed."""
        return cls(me.id, name, role, since, me.public, me.signs)

    @classmethod
    def first(cls, me: Me, since: date, name: str = "") -> Self:
        """Whoever made the vault: under the name of their account of this machine, until they say another."""
        return cls.of(me, name or account(), "keeper", since)

    @property
    def fingerprint(self) -> str:
        """Of their keys."""
        return fingerprint(self.public, self.signs)

    @property
    def introduced(self) -> str:
        """How an event says that they came: with their keys, so that nobody can put others in their place."""
        return f"{self.name}, {self.role}, key {self.fingerprint}"


@dataclass(frozen=True)
class StickLock(VaultRecord):
    """What locks the key stick once there are several people: none of their passphrases.

    ``former`` are what locked it before: a stick that was not plugged in when somebody was removed is locked anew at
    its next use.
    """

    kind: ClassVar[str] = "stick-lock"
    secret: bytes = field(repr=False)
    former: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class CustodyChain(VaultRecord):
    """How many events the chain of custody has, and the hash of the last."""

    kind: ClassVar[str] = "custody"
    count: int
    head: bytes


@dataclass(frozen=True)
class CustodyEvent(VaultRecord):
    """One act at this desk (tipbox/desk/custody/).

    Attributes:
        seq: its place, from 1.
        prev: the hash of the one before it.
        time: hour and minute in UTC, by this machine's clock; they never leave the vault.
        who: the name of the person who did it, as it was then; of vaults that knew none, the account of this machine.
        salt: random bytes, new for each event.
        person: that person's id.
        signature: that person's (Ed25519), over all other members.
    """

    kind: ClassVar[str] = "event"
    seq: int
    prev: bytes
    day: date
    time: str
    who: str
    act: str
    item: bytes
    before: str
    after: str
    reason: str = field(repr=False)
    salt: bytes = field(repr=False)
    person: bytes = b""
    signature: bytes = field(default=b"", repr=False)

    @property
    def key(self) -> bytes:
        """The place."""
        return self.seq.to_bytes(8)

    def to_json(self) -> Record:
        """As the vault keeps it, and as its hash covers it: events from before there were people lack two members."""
        record = super().to_json()
        return record if self.person else {name: record[name] for name in record if name not in ("person", "signature")}

    def unsigned(self) -> Record:
        """What the signature covers."""
        return {name: value for name, value in self.to_json().items() if name != "signature"}


@dataclass(frozen=True)
class SecondCopy(VaultRecord):
    """Where the second copy of this vault lies, from which day it is, and the store's count of changes then."""

    kind: ClassVar[str] = "second-copy"
    path: str
    day: date
    changes: int


@dataclass(frozen=True)
class Message(VaultRecord):
    """A message id that was seen: ``tips`` holds the first Envelope that came with it, until its Contents are noted."""

    kind: ClassVar[str] = "message"
    id: bytes
    tips: tuple[bytes, ...]

    @property
    def key(self) -> bytes:
        """The message id."""
        return self.id


@dataclass(frozen=True)
class Contents(VaultRecord):
    """Which tip says this: another that says the same is dropped. Noted for message ids that came more than once."""

    kind: ClassVar[str] = "contents"
    id: bytes
    tip: bytes

    @property
    def key(self) -> bytes:
        """A hash of all that the tip says and of who says it, its message id included."""
        return self.id


@dataclass(frozen=True)
class Canary(VaultRecord):
    """A token of a list of canaries that was made here: ``tip`` is the Envelope that it came in, empty until then.

    Attributes:
        number: its place among all that this vault ever made; each list is spent in this order.
        first: the number of the first of its list.
    """

    kind: ClassVar[str] = "canary"
    token: bytes = field(repr=False)
    number: int
    first: int
    tip: bytes = b""

    @property
    def key(self) -> bytes:
        """The token."""
        return self.token


@dataclass(frozen=True)
class Destruction(VaultRecord):
    """The destruction of a receiving key's private half, signed with the desk signing key of ``desk``."""

    kind: ClassVar[str] = "destruction"
    id: bytes
    day: date
    start: date
    end: date
    desk: bytes
    signature: bytes = b""

    @property
    def key(self) -> bytes:
        """The key's id."""
        return self.id

    def unsigned(self) -> Record:
        """What the signature covers."""
        return {name: value for name, value in self.to_json().items() if name != "signature"}
