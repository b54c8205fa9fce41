"""The master process of a running server: ``python -m tipbox.server.process HOME BIND|- [COURIER_BIND]``."""

from __future__ import annotations

if __name__ == "__main__":
    from tipbox.server.process.gevent_patch import patch

    patch()  # before anything else is loaded, and once for all workers: what is loaded below, they share

    from tipbox.server.process.arbiter import main

    main()
