"""Reaching the couriers' onion service: a tor that belongs to the command, or one that runs and has the key already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final
from urllib.parse import urlsplit

from tipbox.courier.courier_key import CourierKey, KeyRefused
from tipbox.courier.tor import PrivateTor, private_tor
from tipbox.errors import NetworkFailed
from tipbox.net.http import Connection, NoProxy

FIRST_CONTACT_SECONDS: Final = 60.0
"""Finding an onion service and its rendezvous takes a while."""


@contextmanager
def courier_connection(
    url: str, key: CourierKey, socks: str | None, torrc: str = "", *, operation: str = "fetching"
) -> Iterator[Connection]:
    """A connection to the couriers' onion service at ``url``.

    Args:
        url: its address.
        key: the courier's.
        socks: the SOCKS port of a tor that has the key; None starts one for an onion address.
        torrc: more lines for the tor that is started.
        operation: what is being done, as errors say it.

    Raises:
        KeyRefused: the service does not let this key in.
        TipboxError: tor does not start.
    """
    host = urlsplit(url).hostname or ""
    onion = host.endswith(".onion")
    with ExitStack() as stack:
        tor: PrivateTor | None = None
        if onion and socks is None:
            tor = stack.enter_context(private_tor(host, key, torrc))
        connection = stack.enter_context(
            Connection(
                url,
                tor.socks if tor else socks,
                operation=operation,
                first_contact=FIRST_CONTACT_SECONDS,
                unreachable=lambda: tor is not None and tor.refused,
            )
        )
        try:
            yield connection
        except NetworkFailed as error:
            # Without the right key the service cannot even be found: it looks down. tor's log tells the two apart.
            if connection.answered or not onion or isinstance(error, NoProxy):
                raise
            if tor is None:
                raise NetworkFailed(
                    "reaching the couriers' onion service: no answer; the Tor of --socks must have the key: put one "
                    "line, the address without .onion, a colon and the key's file, into NAME.auth_private in its "
                    "ClientOnionAuthDir, or leave --socks away"
                ) from error
            if tor.refused:
                raise KeyRefused(
                    "reaching the couriers' onion service: it does not let this key in; give the operator the line of "
                    "keygen's .pub file, and check --key"
                ) from error
            raise
