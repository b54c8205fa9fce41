"""What the vault remembers, as typed records. Each class knows its kind, its id and its JSON; the vault seals it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, is_dataclass, replace
from dataclasses import fields as dataclass_fields
from datetime import date
from functools import cache
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints

from tipbox import days
from tipbox.desk.vault import Record, Vault
from tipbox.keys import Manifest, ReceivingKey


def _plain(value: Any) -> Any:
    """A value as JSON: bytes in hex, days as YYYY-MM-DD, dataclasses as objects."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in dataclass_fields(value)}
    return value


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _typed(hint: Any, value: Any) -> Any:
    """The inverse of ``_plain``, by the type that a field is declared with."""
    if hint is bytes:
        return bytes.fromhex(value)
    if hint is date:
        return days.parse(value)
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if kinds[-1] is Ellipsis:
            return tuple(_typed(kinds[0], one) for one in value)
        return tuple(_typed(kind, one) for kind, one in zip(kinds, value, strict=True))
    if isinstance(hint, type) and is_dataclass(hint):
        return hint(**{one.name: _typed(_hints(hint)[one.name], value[one.name]) for one in dataclass_fields(hint)})
    return value


@dataclass(frozen=True)
class Stored:
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
        value: Self = _typed(cls, record)
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
class Organisation(Stored):
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
class PublicKey(Stored):
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
class SignedManifest(Stored):
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
class Server(Stored):
    """The server that this desk works with, pinned at the first import: signing key (32 bytes), bundle key (1216)."""

    kind: ClassVar[str] = "server"
    sender: bytes
    server_key: bytes = field(repr=False)


@dataclass(frozen=True)
class Traffic(Stored):
    """How far the Bundles are: ``seen`` is (sequence, day) of the newest outward ones, ``sent`` the last outbox."""

    kind: ClassVar[str] = "traffic"
    seen: tuple[tuple[int, date], ...] = ()
    sent: int = 0

    @classmethod
    def of(cls, vault: Vault) -> Self:
        """The vault's record, or a new one."""
        return cls.find(vault) or cls()


@dataclass(frozen=True)
class Carried(Stored):
    """An Envelope that this desk has had, whatever became of it.

    Attributes:
        id: the Envelope's id; dropped once the server has taken the acknowledgement. Then only the record's keyed name
            tells that it was here.
        outcome: what became of it; an error code of docs/format.md, or ``mine`` or ``duplicate``.
        by_bundle: it came in a Bundle, so the server holds it until it is acknowledged.
        confirmed: it may be acknowledged: the vault has a second copy, or was told to do with one.
        outbox: the first outbox that acknowledges it; 0 while there is none.
        taken: the outward Bundle that reported the acknowledgement taken; 0 while there is none.
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
class Tip(Stored):
    """A tip that this vault opened. Its Envelope lies in the vault as it came; this record holds the keys to it."""

    kind: ClassVar[str] = "tip"
    id: bytes
    thread: bytes
    message_id: bytes
    received: date
    state: str
    content_key: bytes = field(repr=False)
    pair_key: bytes = field(repr=False)
    files: tuple[TipFile, ...] = field(repr=False)

    @property
    def key(self) -> bytes:
        """The Envelope's id."""
        return self.id


@dataclass(frozen=True)
class Message(Stored):
    """A message id that was seen: ``tips`` holds the first Envelope that came with it, until its Contents are noted."""

    kind: ClassVar[str] = "message"
    id: bytes
    tips: tuple[bytes, ...]

    @property
    def key(self) -> bytes:
        """The message id."""
        return self.id


@dataclass(frozen=True)
class Contents(Stored):
    """Which tip says this: another that says the same is dropped. Noted for message ids that came more than once."""

    kind: ClassVar[str] = "contents"
    id: bytes
    tip: bytes

    @property
    def key(self) -> bytes:
        """A hash of all that the tip says and of who says it, its message id included."""
        return self.id


@dataclass(frozen=True)
class Destruction(Stored):
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
