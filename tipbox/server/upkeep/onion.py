"""Whether the tip line can be reached at all: asked as a source asks, through Tor, from the machine itself.

One request over a circuit of its own needs a tor that has a network and is done starting, a descriptor that it has
published, and a server that answers behind it.
"""

from __future__ import annotations

from typing import Final

from tipbox.errors import NetworkFailed, TipboxError
from tipbox.net.http import Connection, NoProxy
from tipbox.server.upkeep.finding import Finding

_PATH: Final = "/api/now"
"""It reads the manifests from the database."""
_SECONDS: Final = 600.0
"""For which it is tried: after a start, tor needs minutes until its descriptor can be found."""
_TOR: Final = "look whether tor runs and has a network: systemctl status tor@default; journalctl -u tor@default"


def check_onion(url: str, socks: str, *, seconds: float = _SECONDS) -> Finding:
    """Ask the sources' onion service what a page asks for.

    Args:
        url: the onion service's address.
        socks: tor's SOCKS port, ``HOST:PORT`` or ``unix:PATH``.
        seconds: for which it is tried again while there is no answer.

    Raises:
        Usage: the address, or that of the port, is not one.
    """
    with Connection(
        url, socks, operation="reaching the onion service", retry_seconds=seconds, first_contact=seconds
    ) as connection:
        try:
            connection.retry(lambda _: connection.request("GET", _PATH))
        except NoProxy:
            return _bad("tor does not answer on this machine, so nobody reaches the tip line", _TOR)
        except NetworkFailed:
            if connection.answered:
                return _bad(
                    "the onion service answers with errors", "tipbox-server check; journalctl --namespace=tipbox"
                )
            return _bad("the onion service cannot be reached through Tor: sources cannot either", _TOR)
        except TipboxError:
            return _bad(
                "what answers at the onion service's address is not the tip line",
                "compare the address with that of tor (HiddenServiceDir), and the socket in torrc with the unit's",
            )
    return Finding("onion", ok=True, message="the onion service answers through Tor")


def _bad(message: str, remedy: str) -> Finding:
    return Finding("onion", ok=False, message=message, remedy=remedy)
