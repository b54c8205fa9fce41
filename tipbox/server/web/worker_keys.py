"""Keys by which a worker and the applications that it serves find each other's objects.

Nothing is imported here: a worker loads its module before gevent patches the standard library, and what is imported
then keeps the unpatched parts.
"""

from __future__ import annotations

from typing import Final

CIRCUIT: Final = "tipbox.circuit"
"""In the WSGI environment: the name of the connection's circuit; empty when one is demanded and none was given."""
CIRCUIT_DEMANDED: Final = "tipbox.circuit_demanded"
"""In the WSGI environment: whether this listener is open to circuits only."""
WIPE: Final = "tipbox.wipe"
"""In the WSGI environment: called when a body is refused that should never have come."""
HOURLY: Final = "tipbox.hourly"
"""Among an application's extensions: what a worker calls every hour, so that the server sees each of its days."""
LONGEST_WINDOW: Final = 60
"""Seconds of the longest budget: for so long a circuit is known again by its name."""
FORGET: Final = "tipbox.forget"
"""Among an application's extensions: what a worker calls seconds after requests, so that nothing of them stays."""
