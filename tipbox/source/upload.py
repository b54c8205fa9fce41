"""One upload (docs/protocol.md, section 3). A sealed part is kept until the server has it, and sent again as it is."""

from __future__ import annotations

import base64
import json
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

from tipbox.errors import NetworkFailed, NotFound, TipboxError
from tipbox.formats.base.limits import HASH_SIZE, MAX_RUN_PARTS, SESSION_NONCE_SIZE
from tipbox.net.http import Connection, NoDraft, TollAsked
from tipbox.source.paying import Payer, Quote

_API: Final = "/api/envelope"
_TOLL: Final = "Tipbox-Toll"
# Parts of a run, to begin with; then as many as the connection carries in these seconds. Tor's circuits differ widely,
# and a run that is cut is sent again whole.
_FIRST_RUN: Final = 4
_QUICK_SECONDS: Final = 2.0
_SLOW_SECONDS: Final = 20.0
_LISTED: Final = struct.Struct(f"{SESSION_NONCE_SIZE}s{HASH_SIZE}s")
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


class Upload:
    """An upload under one draft token, which lives as long as this object."""

    def __init__(self, connection: Connection, payer: Payer | None = None) -> None:
        self._connection = connection
        self._payer = payer or Payer()
        self._progress: Callable[[int], None] = lambda _: None
        self.may_be_stored = False
        """Whether the last request was sent, and nothing the server said since shows that it stored nothing."""
        self._run = _FIRST_RUN
        self.begin_again()

    def begin_again(self) -> None:
        """Forget what was sent: from here on it is another upload."""
        # New for each upload: two tips of one source have nothing in common that the server sees.
        self._payer.begin_again()
        token = base64.urlsafe_b64encode(self._payer.token).rstrip(b"=").decode()
        self._headers = {"Authorization": f"Bearer {token}"}

    def send_text(self, envelope: bytes) -> None:
        """Send an Envelope without a body, whole; stored when this returns."""
        self._expect(self._opened(lambda _: self._last("PUT", "", envelope)), stored=True)

    def send_parts(self, opening: bytes, parts: Iterator[bytes], progress: Callable[[int], None]) -> None:
        """Send header and letter, then the parts. PartDiffers when the server has others under the same token."""
        self._progress = progress
        self._expect(self._opened(lambda _: self._ask("PUT", "", opening)), stored=False)
        self._progress(len(opening))
        self._parts(parts)

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
            raise NetworkFailed("sending: an answer that contradicts itself; nothing is sure to be stored, send again")

    def _parts(self, parts: Iterator[bytes]) -> None:
        first = 0
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
            self._expect(state, stored=False)
            there = len(kept) if state.first_missing is None else state.first_missing - first
            if there > 0:
                return min(there, len(kept))
        run = kept[: self._run]
        started = time.monotonic()
        self._ask("PUT", f"/parts/{first}", b"".join(run))
        elapsed = time.monotonic() - started
        if elapsed < _QUICK_SECONDS:
            self._run = min(MAX_RUN_PARTS, self._run * 2)
        elif elapsed > _SLOW_SECONDS:
            self._run = max(1, self._run // 2)
        return len(run)

    def _ask(self, method: str, path: str, body: bytes = b"") -> State:
        headers = {**self._headers, "Content-Type": "application/octet-stream"} if body else self._headers
        return _state(self._connection.request(method, _API + path, body, headers))
