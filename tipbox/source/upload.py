"""One upload (docs/protocol.md, section 3). A sealed part is kept until the server has it, and sent again as it is."""

from __future__ import annotations

import base64
import json
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final, Self

from tipbox.errors import InputRefused, Malformed, NetworkFailed, NotFound, TipboxError
from tipbox.formats.base import fields
from tipbox.formats.base.limits import CAPSULE, CAPSULE_PLACES, HASH_SIZE, MAX_RUN_PARTS, SESSION_NONCE_SIZE
from tipbox.formats.base.primitives import random_bytes
from tipbox.net.http import Connection, DraftDiffers, NoDraft, TollAsked
from tipbox.source.paying import Payer, Quote

Placing = Callable[[bytes, int], bytes]
"""Makes place address and capsule (1,236 bytes) for a draft token and the number of a place."""

_API: Final = "/api/envelope"
_TOLL: Final = "Tipbox-Toll"
# Parts of a run, to begin with; then as many as the connection carries in these seconds. Tor's circuits differ widely,
# and a run that is cut is sent again whole.
_FIRST_RUN: Final = 4
_QUICK_SECONDS: Final = 2.0
_SLOW_SECONDS: Final = 20.0
_LISTED: Final = struct.Struct(f"{SESSION_NONCE_SIZE}s{HASH_SIZE}s")
_MOST_RANGES: Final = 100
"""Ranges that a server names of an upload at most; one that names so many may have more."""
PLACED: Final = HASH_SIZE + CAPSULE
"""Bytes of place address and capsule, which lie beside each upload of files."""
_OTHERS: Final = "continuing: what the server has is not of these files"
_CONTRADICTS: Final = "sending: an answer that contradicts itself; nothing is sure to be stored, send again"
_NO_SENSE: Final = "sending: an answer that makes no sense; is this the address of a tipbox?"


@dataclass(frozen=True)
class State:
    """What the server has: all of it, or all before ``first_missing`` (None: no part is missing)."""

    stored: bool
    first_missing: int | None


def _state(answer: bytes) -> State:
    try:
        value = json.loads(answer)
        if value["state"] == "stored":
            return State(stored=True, first_missing=None)
        first = min((int(first) for first, _ in value["missing"]), default=None)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise NetworkFailed(_NO_SENSE) from error
    return State(stored=False, first_missing=first)


def authorization(token: bytes) -> dict[str, str]:
    """The header that names an upload by its draft token."""
    return {"Authorization": f"Bearer {base64.urlsafe_b64encode(token).rstrip(b'=').decode()}"}


class Differs(InputRefused):
    """What the server has of an upload is not what these files are sealed to."""


@dataclass(frozen=True)
class StoredRange:
    """Consecutive parts that a server says it has: the nonce of their session, and SHA-256 of their SHA-256s."""

    parts: range
    nonce: bytes
    hash: bytes

    @classmethod
    def listed(cls, answer: bytes, count: int) -> list[Self]:
        """The ranges in an answer to ``GET /api/envelope/parts``, of an upload of ``count`` parts.

        Raises:
            NetworkFailed: it makes no sense.
            Differs: ranges overlap or lie outside of the body; or there are as many as a server names at most.
        """
        try:
            ranges = [cls._of(*listed) for listed in json.loads(answer)["parts"]]
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError, Malformed) as error:
            raise NetworkFailed(_NO_SENSE) from error
        end = 0
        for one in ranges:
            if one.parts.start < end or not one.parts or one.parts.stop > count:
                raise Differs(_OTHERS)
            end = one.parts.stop
        if len(ranges) >= _MOST_RANGES:
            raise Differs(_OTHERS)
        return ranges

    @classmethod
    def _of(cls, first: Any, count: Any, nonce: Any, digest: Any) -> Self:
        if type(first) is not int or type(count) is not int:
            raise Malformed("a range is no numbers")
        return cls(
            range(first, first + count), fields.from_hex(nonce, SESSION_NONCE_SIZE), fields.from_hex(digest, HASH_SIZE)
        )


class Upload:
    """An upload under one draft token, which lives as long as this object."""

    def __init__(
        self,
        connection: Connection,
        payer: Payer | None = None,
        placing: Placing | None = None,
        *,
        token: bytes = b"",
    ) -> None:
        """An upload under a new draft token, or under the one of an upload that is continued.

        ``placing`` makes what its access code continues it by; else as many random bytes lie beside it.
        """
        self._connection = connection
        self._payer = payer or Payer()
        self._placing = placing
        self.is_continuable = bool(token)
        """Whether what ``placing`` made lies beside it."""
        self._progress: Callable[[int], None] = lambda _: None
        self.may_be_stored = False
        """Whether the last request was sent, and nothing the server said since shows that it stored nothing."""
        self._run = _FIRST_RUN
        if token:
            self._name(token)
        else:
            self.begin_again()

    def begin_again(self) -> None:
        """Forget what was sent: from here on it is another upload."""
        # New for each upload: two tips of one source have nothing in common that the server sees.
        self._payer.begin_again()
        self._name(self._payer.token)

    def _name(self, token: bytes) -> None:
        self._headers = authorization(token)

    def send_text(self, envelope: bytes) -> None:
        """Send an Envelope without a body, whole; stored when this returns."""
        self._expect(self._opened(lambda _: self._last("PUT", "", envelope)), stored=True)

    def send_parts(self, opening: bytes, parts: Iterator[bytes], progress: Callable[[int], None]) -> None:
        """Send header and letter, then the parts. PartDiffers when the server has others under the same token."""
        self._progress = progress
        self._place(opening)
        self._progress(len(opening))
        self._parts(parts, 0)

    def send_missing(self, parts: Iterator[bytes], gaps: Iterable[range], progress: Callable[[int], None]) -> None:
        """Send the parts of ``gaps``, which follow each other in ``parts``, of an upload that is open already."""
        self._progress = progress
        for gap in gaps:
            self._parts(islice(parts, len(gap)), gap.start)

    def _place(self, opening: bytes) -> None:
        """Open it at the first of the access code's places that is free; else, or where none asked, at a random one."""
        for number in range(CAPSULE_PLACES):
            if self._placing is None:
                break
            placed = self._placing(self._payer.token, number)
            try:
                self._open(opening + placed)
            except DraftDiffers:  # another upload of this access code lies there
                continue
            self.is_continuable = True
            return
        self._open(opening + random_bytes(PLACED))

    def _open(self, opening: bytes) -> None:
        self._expect(self._opened(lambda _: self._ask("PUT", "", opening)), stored=False)

    def _opened(self, attempt: Callable[[int], State]) -> State:
        """Make the request that may have a price, and pay it as often as it rises meanwhile."""
        try:
            while True:
                try:
                    return self._connection.retry(attempt)
                except TollAsked as asked:
                    self._headers[_TOLL] = self._payer.pay(Quote.parse(asked.answer))
        finally:
            self._headers.pop(_TOLL, None)  # nothing else has a price

    def finish(self, envelope_hash: bytes, trailer: bytes) -> None:
        """Name the Envelope by its hash and end it; stored when this returns.

        Raises:
            PartDiffers: what the server has is another Envelope.
        """
        body = envelope_hash + trailer
        self._expect(self._connection.retry(lambda _: self._last("POST", "/finish", body)), stored=True)

    def stored_parts(self, count: int) -> list[tuple[bytes, bytes]]:
        """Session nonce (16 bytes) and SHA-256 of each of ``count`` parts, as the server says; zeros when missing."""
        listed = b""
        while len(listed) < count * _LISTED.size:
            more = self._connection.retry(partial(self._list_from, len(listed) // _LISTED.size))
            if not more or len(more) % _LISTED.size:
                raise NetworkFailed(_NO_SENSE)
            listed += more
        return [(nonce, part_hash) for nonce, part_hash in _LISTED.iter_unpack(listed[: count * _LISTED.size])]

    def _list_from(self, first: int, _: int) -> bytes:
        return self._connection.request("GET", f"{_API}/parts/{first}", headers=self._headers)

    def _last(self, method: str, path: str, body: bytes = b"") -> State:
        """The request after which the server has stored all."""
        before = self.may_be_stored
        # From now on, also when this is stopped, and when the answer is lost or makes no sense.
        self.may_be_stored = True
        try:
            return self._ask(method, path, body)
        except TipboxError as error:
            # A refusal in words of the protocol takes this request back, and none whose answer was lost before.
            if isinstance(error, NoDraft) or not isinstance(error, NetworkFailed | NotFound):
                self.may_be_stored = before
            raise

    @staticmethod
    def _expect(state: State, *, stored: bool) -> None:
        if state.stored != stored:
            raise NetworkFailed(_CONTRADICTS)

    def _expect_open(self, state: State) -> None:
        """Parts alone store nothing: what is stored now was finished by somebody else, with parts of theirs perhaps.

        Nobody else can go on with an upload that no access code continues.
        """
        if state.stored:
            raise NoDraft(_CONTRADICTS) if self.is_continuable else NetworkFailed(_CONTRADICTS)

    def is_stored(self) -> bool:
        """Whether all of it is stored, whoever finished it."""
        try:
            return self._connection.retry(lambda _: self._ask("GET", "")).stored
        except NoDraft:
            return False

    def named_ranges(self, count: int) -> list[StoredRange]:
        """What the server says it has of ``count`` parts, in order.

        Raises:
            NetworkFailed: it makes no sense.
            Differs: it cannot be so, or there may be more than it names.
        """
        answer = self._connection.retry(
            lambda _: self._connection.request("GET", f"{_API}/parts", headers=self._headers)
        )
        return StoredRange.listed(answer, count)

    def _parts(self, parts: Iterator[bytes], first: int) -> None:
        kept: list[bytes] = []
        while True:
            # Sealed parts are kept, never sealed again: other bytes under the same key and number would betray both.
            kept += islice(parts, self._run - len(kept)) if len(kept) < self._run else ()
            if not kept:
                return
            done = self._connection.retry(partial(self._send_run, first, kept))
            self._progress(sum(map(len, kept[:done])))
            del kept[:done]
            first += done

    def _send_run(self, first: int, kept: list[bytes], number: int) -> int:
        """Send some of what is kept; how many parts the server has now, from the first of them."""
        # What failed may have arrived: ask before it is sent again, and send less, for less is cut.
        if number > 1:
            self._run = max(1, self._run // 2)
            state = self._ask("GET", "")
            self._expect_open(state)
            there = len(kept) if state.first_missing is None else state.first_missing - first
            if there > 0:
                return min(there, len(kept))
        run = kept[: self._run]
        started = time.monotonic()
        self._expect_open(self._ask("PUT", f"/parts/{first}", b"".join(run)))
        elapsed = time.monotonic() - started
        if elapsed < _QUICK_SECONDS:
            self._run = min(MAX_RUN_PARTS, self._run * 2)
        elif elapsed > _SLOW_SECONDS:
            self._run = max(1, self._run // 2)
        return len(run)

    def _ask(self, method: str, path: str, body: bytes = b"") -> State:
        headers = {**self._headers, "Content-Type": "application/octet-stream"} if body else self._headers
        return _state(self._connection.request(method, _API + path, body, headers))
