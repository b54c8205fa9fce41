"""Whether requests are counted for all hosts and workers together: a server that cannot goes on, and says nothing."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from tipbox.server.storage.open_server import OpenServer
from tipbox.server.upkeep.finding import Finding

_SECONDS: Final = 5
_KEY: Final = "tipbox-check"
_MEANWHILE: Final = "until then each worker of each host counts by itself, which is looser, and nobody is shut out"


def rates(server: OpenServer, _today: date) -> Finding:
    """A count is really made: a Valkey may answer and take no writes, as a replica or with no memory left."""
    limits = server.config.limits
    if not limits.valkey:
        return Finding("rates", ok=True, message="each worker counts requests in its memory")
    from valkey import AuthenticationError, ReadOnlyError, ResponseError, Valkey, ValkeyError  # only where there is one
    from valkey.exceptions import NoPermissionError

    url = limits.valkey.replace("valkey+unix:", "unix:", 1)
    client: Any = Valkey.from_url(
        url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, **limits.valkey_options
    )
    try:
        client.set(_KEY, 1, ex=1)
    except (AuthenticationError, NoPermissionError):
        return _bad("Valkey does not let this server in", "correct the password in limits.url")
    except ReadOnlyError:
        return _bad("Valkey takes no writes: it is a replica", "name the primary in limits.url")
    except ResponseError:
        return _bad("Valkey answers, and counts nothing", "look at its memory and its log")
    except (ValkeyError, OSError):
        return _bad("Valkey does not answer", "check that it runs, and limits.url")
    finally:
        client.close()
    return Finding("rates", ok=True, message="Valkey counts requests for all hosts together")


def _bad(message: str, remedy: str) -> Finding:
    return Finding("rates", ok=False, message=message, remedy=f"{remedy}; {_MEANWHILE}")
