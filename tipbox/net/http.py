"""The client of a server: HTTP, over Tor's SOCKS port when there is one, retried while a failure is transient."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from ssl import SSLContext
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import httpcore
import httpx
import tenacity

from tipbox.errors import BY_CODE, Full, InputRefused, NetworkFailed, NotFound, TipboxError, Usage
from tipbox.formats.base.primitives import random_bytes

FIRST_CONTACT_SECONDS: Final = 20.0
"""How long to try while the server has not answered at all yet."""

PROXY_SECONDS: Final = 5.0
"""How long to try when nothing answers at ``--socks`` itself: no network is slow between a program and its own Tor."""

RETRY_SECONDS: Final = 3600.0
"""How long to try again once the server has answered."""

# An onion circuit can take a minute to build, and the last request of an upload waits until gigabytes are put together.
_TIMEOUT: Final = httpx.Timeout(180.0, connect=90.0)
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_MAX_ANSWER: Final = 1 << 20
"""Bytes of an answer that is read into memory: more than any that makes sense, but for pages."""
_UNIX: Final = "unix:"
_GOOD: Final = frozenset({httpx.codes.OK, httpx.codes.CREATED, httpx.codes.PARTIAL_CONTENT})
_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSED: Final = {
    "unknown-organisation": "the server does not know one of the organisations of --keys; use the keys of this server",
    "too-large": "this is larger than the server takes",
}

_T = TypeVar("_T")


class TransientFailure(NetworkFailed):
    """A failure that may go away by itself; ``pause`` is what the server asked for, in seconds."""

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


class PartDiffers(InputRefused):
    """The server has other bytes than were sent under the same token; send again."""


class DraftDiffers(InputRefused):
    """The server has another upload under the same token, or another one lies at the place; send again."""


class NoDraft(NetworkFailed):
    """The server has no upload under this token."""


class TollAsked(NetworkFailed):
    """The server asks for work before it takes more; ``answer`` says how much."""

    def __init__(self, message: str, answer: bytes) -> None:
        super().__init__(message)
        self.answer = answer


class NoProxy(TransientFailure):
    """Nothing answers where Tor should be."""


def origin_of(url: str, socks: str | None) -> str:
    """Scheme, host and port of an address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Usage("reading the address: it is not one; give it as http://HOST") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Usage("reading the address: it must start with http:// or https://")
    if parts.hostname.rstrip(".").endswith(".onion") and socks is None:
        raise Usage("reading the address: an onion address is reached through Tor only; add --socks 127.0.0.1:9050")
    if socks is None and not _is_local(parts.hostname):
        raise Usage(
            "reading the address: it would be reached without Tor, and whoever watches your connection would see it; "
            "add --socks 127.0.0.1:9050"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    # A path, a user or a query of the address is dropped: no request carries them.
    return f"{parts.scheme}://{host}:{port}" if port else f"{parts.scheme}://{host}"


def _is_local(host: str) -> bool:
    """Whether a host is this machine or in a private network by its number: no name of anybody is looked up."""
    try:
        return ip_address(host).is_private
    except ValueError:
        return host == "localhost"


class _UnixSocket(httpcore.SyncBackend):
    """Reaches Tor's SOCKS port on a unix socket: no other user of this machine can."""

    def __init__(self, path: str) -> None:
        self._path = path

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """The proxy, whatever it is called."""
        del host, port, local_address
        return self.connect_unix_socket(self._path, timeout, socket_options)


@cache
def _tls() -> SSLContext:
    """Which certificates are good: read once, for a look makes many connections, and few by TLS."""
    return httpx.create_ssl_context(trust_env=False)


def new_circuit() -> tuple[str, str]:
    """A user of the SOCKS port that nobody had before: Tor gives each user other circuits."""
    return random_bytes(16).hex(), random_bytes(16).hex()


def transport(
    socks: str | None,
    circuit: tuple[str, str] | None = None,
    *,
    idle_seconds: float = 5.0,
    around: Callable[[httpcore.NetworkBackend], httpcore.NetworkBackend] = lambda backend: backend,
) -> httpx.HTTPTransport:
    """How requests leave. Through SOCKS each operation has a circuit of its own, or the one that is given.

    A connection on which nothing is asked for ``idle_seconds`` is used no more; ``around`` puts something before what
    opens connections, reads and writes.
    """
    way = _transport(socks, circuit, idle_seconds)
    pool: Any = way._pool  # noqa: SLF001 (httpx has no option for what reads from the network)
    pool._network_backend = around(pool._network_backend)  # noqa: SLF001
    return way


def _transport(socks: str | None, circuit: tuple[str, str] | None, idle_seconds: float) -> httpx.HTTPTransport:
    limits = httpx.Limits(keepalive_expiry=idle_seconds)
    # trust_env: a proxy that the environment names would learn what is asked, and lead around Tor.
    if socks is None:
        return httpx.HTTPTransport(trust_env=False, verify=_tls(), limits=limits)
    user, secret = circuit or new_circuit()
    if path := socks.removeprefix(_UNIX) if socks.startswith(_UNIX) else "":
        through = httpx.HTTPTransport(trust_env=False)
        through._pool = httpcore.SOCKSProxy(  # noqa: SLF001 (httpx has no option for a proxy on a unix socket)
            "socks5://tor",
            proxy_auth=(user, secret),
            network_backend=_UnixSocket(path),
            keepalive_expiry=idle_seconds,
        )
        return through
    host, colon, port = socks.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit():
        raise Usage("reading --socks: it must be HOST:PORT, such as 127.0.0.1:9050, or unix:PATH")
    proxy = f"socks5://{user}:{secret}@{host}:{port}"
    return httpx.HTTPTransport(proxy=proxy, trust_env=False, verify=_tls(), limits=limits)


class Connection:
    """A connection to one server for one operation. It sends no cookie and no program name, and follows no redirect."""

    def __init__(
        self,
        url: str,
        socks: str | None = None,
        *,
        operation: str = "sending",
        retry_seconds: float = RETRY_SECONDS,
        first_contact: float | None = None,
        unreachable: Callable[[], bool] = lambda: False,  # known otherwise that it will never answer
    ) -> None:
        origin = origin_of(url, socks)
        self._operation = operation
        self._retry_seconds = retry_seconds
        self._socks = socks
        self._unreachable = unreachable
        self._first_contact = FIRST_CONTACT_SECONDS if first_contact is None else first_contact
        self.answered = False
        """Whether the server has answered at all."""
        self._http = httpx.Client(
            base_url=origin,
            transport=transport(socks),
            trust_env=False,
            timeout=_TIMEOUT,
            # Of no server is a cookie kept: it would tie requests together where a broken circuit was replaced.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )
        # No server needs to know which program asks, in which version; and what it packs would have to be unpacked.
        for name in ("user-agent", "accept-encoding"):
            self._http.headers.pop(name, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def retry(self, attempt: Callable[[int], _T]) -> _T:
        """Call ``attempt`` with 1, 2, … until it succeeds or fails for good, with growing pauses.

        Raises:
            NetworkFailed: the server could not be reached for too long.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientFailure),
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
        return max(pause, asked.pause if isinstance(asked, TransientFailure) else 0.0)

    def _stop(self, state: tenacity.RetryCallState) -> bool:
        # Once it has answered, the address is right and a break will pass; before, a typing error is more likely.
        limit = self._retry_seconds if self.answered else self._first_contact
        if not self.answered and state.outcome and isinstance(state.outcome.exception(), NoProxy):
            limit = min(limit, PROXY_SECONDS)
        if not self.answered and self._unreachable():
            return True
        return (state.seconds_since_start or 0.0) + state.upcoming_sleep > limit

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        headers: dict[str, str] | None = None,
        *,
        most: int = _MAX_ANSWER,
    ) -> bytes:
        """One request; the body of an answer of 200 or 201, at most ``most`` bytes.

        Raises:
            TransientFailure: no answer, or one that may become better.
            TipboxError: refused for good.
        """
        with self.answer(method, path, body, headers) as answer:
            content = _bounded(answer, most)
        if len(content) > most:  # it makes no sense, whatever its status
            raise _refusal(self._operation, answer, content)
        return content

    @contextmanager
    def answer(
        self, method: str, path: str, body: bytes | Iterable[bytes] = b"", headers: dict[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        """One request whose answer of 200, 201 or 206 is read by the caller, as it comes.

        Raises:
            TransientFailure: no answer, a cut while it was read, or an answer that may become better.
            TipboxError: refused for good.
        """
        try:
            with self._http.stream(method, path, content=body or None, headers=headers) as answer:
                self.answered = True
                if answer.status_code not in _GOOD:
                    raise _refusal(self._operation, answer, _bounded(answer))
                yield answer
        except httpx.ConnectError as error:
            if self._socks is None:
                raise _no_answer(error) from error
            raise NoProxy(
                f"reaching Tor: nothing answers at {self._socks}; start Tor, or give another --socks"
            ) from error
        except httpx.HTTPError as error:
            raise _no_answer(error) from error


def _no_answer(error: httpx.HTTPError) -> TransientFailure:
    return TransientFailure(
        f"reaching the server: no answer ({type(error).__name__}); check the address, the network and --socks"
    )


def _bounded(answer: httpx.Response, most: int = _MAX_ANSWER) -> bytes:
    """The body as it comes, never unpacked, and little more of it than an answer may have."""
    content = bytearray()
    for piece in answer.iter_raw():
        content += piece
        if len(content) > most:
            break
    return bytes(content)


def _refusal(operation: str, answer: httpx.Response, content: bytes) -> TipboxError:
    """The error that an answer stands for, in this program's own words."""
    try:
        value: Any = json.loads(content[:_MAX_ANSWER])
    except (ValueError, RecursionError):
        value = None
    code = value.get("error") if isinstance(value, dict) else None
    if answer.status_code == httpx.codes.INSUFFICIENT_STORAGE:
        return Full(f"{operation}: the server is full for now; come back later, or send the text without files")
    if code == "toll":
        return TollAsked(f"{operation}: the server asks for work, and this command does not pay", content)
    if answer.status_code in _TRANSIENT:
        return TransientFailure(
            f"{operation}: the server is busy or being looked after; try again later", _retry_after(answer)
        )
    # Words of our own for its codes: text that a server chose never reaches a terminal.
    if isinstance(code, str) and code in BY_CODE:
        return BY_CODE[code](f"{operation}: the server refused it: {code}")
    if code == "no-draft":
        return NoDraft(f"{operation}: the server has no longer what was sent before; send again")
    if code == "part-differs":
        return PartDiffers(f"{operation}: the server has other bytes than were sent under the same token; send again")
    if code == "draft-differs":
        return DraftDiffers(f"{operation}: the server has another upload under the same token; send again")
    if isinstance(code, str) and code in _REFUSED:
        return InputRefused(f"{operation}: {_REFUSED[code]}")
    if answer.status_code == httpx.codes.NOT_FOUND:
        return NotFound("asking the server: it has no such page; is this the address of a tipbox?")
    return NetworkFailed(
        f"{operation}: an answer that makes no sense ({answer.status_code}); is this the address of a tipbox?"
    )


def _retry_after(answer: httpx.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    # Bounded: a server must not keep a source waiting in front of a screen for days.
    return min(float(text), 600.0) if text.isascii() and text.isdigit() else 0.0
