"""The line to a server: HTTP, over Tor's SOCKS port when there is one, tried again while failures are such as pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import httpx
import tenacity

from tipbox.errors import BY_CODE, Full, InputRefused, NetworkFailed, NotFound, TipboxError, Usage
from tipbox.primitives import random_bytes

FIRST_CONTACT_SECONDS: Final = 20.0
"""How long to try when nothing has been heard of the server yet."""

PATIENCE_SECONDS: Final = 3600.0
"""How long to try again once the server has answered."""

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_TIMEOUT: Final = httpx.Timeout(180.0, connect=90.0)
_MAX_ANSWER: Final = 1 << 20
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSED: Final = {
    "unknown-organisation": "the server does not know one of the organisations of --keys; use the keys of this server",
    "draft-differs": "the server has another upload under the same token; send again",
    "part-differs": "the server has other bytes for a part; send again",
    "too-large": "this is larger than the server takes",
}

_T = TypeVar("_T")


class Passing(NetworkFailed):
    """A failure that may pass by itself; ``pause`` is what the server asked for, in seconds."""

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


def _origin(url: str, socks: str | None) -> str:
    """Scheme, host and port of an address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Usage("reading the address: it is not one; give it as http://HOST") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Usage("reading the address: it must start with http:// or https://")
    if parts.hostname.endswith(".onion") and socks is None:
        raise Usage("reading the address: an onion address is reached through Tor only; add --socks 127.0.0.1:9050")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}" if port else f"{parts.scheme}://{host}"


def _proxy(socks: str | None) -> str | None:
    """The SOCKS proxy with a user of its own for this act: Tor gives each user other circuits (IsolateSOCKSAuth)."""
    if socks is None:
        return None
    host, colon, port = socks.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit():
        raise Usage("reading --socks: it must be HOST:PORT, such as 127.0.0.1:9050")
    return f"socks5://{random_bytes(16).hex()}:{random_bytes(16).hex()}@{host}:{port}"


class Line:
    """A line to one server for one act. It sends no cookie, no name of a program, and follows no redirect."""

    def __init__(
        self, url: str, socks: str | None = None, *, act: str = "sending", patience: float = PATIENCE_SECONDS
    ) -> None:
        origin, proxy = _origin(url, socks), _proxy(socks)
        self._act = act
        self._patience = patience
        self._heard = False
        self._http = httpx.Client(base_url=origin, proxy=proxy, trust_env=False, timeout=_TIMEOUT)
        for name in ("user-agent", "accept-encoding"):
            self._http.headers.pop(name, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def insist(self, attempt: Callable[[int], _T]) -> _T:
        """Call ``attempt`` with 1, 2, … until it succeeds or fails for good, with growing pauses.

        Raises:
            NetworkFailed: the server could not be reached for too long.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Passing),
            wait=self._wait,
            stop=self._stop,
            reraise=True,
        )
        for trial in retrying:
            with trial:
                result = attempt(trial.retry_state.attempt_number)
        return result

    def _wait(self, state: tenacity.RetryCallState) -> float:
        asked = state.outcome.exception() if state.outcome else None
        pause: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(state.attempt_number - 1, 10))
        return max(pause, asked.pause if isinstance(asked, Passing) else 0.0)

    def _stop(self, state: tenacity.RetryCallState) -> bool:
        limit = self._patience if self._heard else FIRST_CONTACT_SECONDS
        return (state.seconds_since_start or 0.0) + state.upcoming_sleep > limit

    def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        """One request; the body of an answer of 200 or 201.

        Raises:
            Passing: no answer, or one that may become better.
            TipboxError: refused for good.
        """
        try:
            with self._http.stream(method, path, content=body or None, headers=headers) as answer:
                content = _bounded(answer)
        except httpx.HTTPError as error:
            raise Passing(
                f"reaching the server: no answer ({type(error).__name__}); check the address, the network and --socks"
            ) from error
        self._heard = True
        if answer.status_code in (httpx.codes.OK, httpx.codes.CREATED) and len(content) <= _MAX_ANSWER:
            return content
        raise _refusal(self._act, answer, content)


def _bounded(answer: httpx.Response) -> bytes:
    """The body as it comes, never unpacked, and little more of it than an answer may have."""
    content = bytearray()
    for piece in answer.iter_raw():
        content += piece
        if len(content) > _MAX_ANSWER:
            break
    return bytes(content)


def _refusal(act: str, answer: httpx.Response, content: bytes) -> TipboxError:
    """The error that an answer stands for, in this program's own words."""
    try:
        value: Any = json.loads(content[:_MAX_ANSWER])
    except (ValueError, RecursionError):
        value = None
    code = value.get("error") if isinstance(value, dict) else None
    if answer.status_code == httpx.codes.INSUFFICIENT_STORAGE:
        return Full(f"{act}: the server is full for now; come back later, or send the text without files")
    if answer.status_code in _PASSING:
        return Passing(f"{act}: the server is busy or being looked after; try again later", _retry_after(answer))
    if isinstance(code, str) and code in BY_CODE:
        return BY_CODE[code](f"{act}: the server refused it: {code}")
    if code == "no-draft":
        return NetworkFailed(f"{act}: the server has no longer what was sent before; send again")
    if isinstance(code, str) and code in _REFUSED:
        return InputRefused(f"{act}: {_REFUSED[code]}")
    if answer.status_code == httpx.codes.NOT_FOUND:
        return NotFound("asking the server: it has no such page; is this the address of a tipbox?")
    return NetworkFailed(
        f"{act}: an answer that makes no sense ({answer.status_code}); is this the address of a tipbox?"
    )


def _retry_after(answer: httpx.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), 600.0) if text.isascii() and text.isdigit() else 0.0
