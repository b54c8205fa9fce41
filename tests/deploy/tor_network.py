"""The private Tor network of tests/onion, in the network namespace in which this program is started.

Prints one JSON line when it stands, and ends with its standard input. A second client holds the couriers' key.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from onion.network import private_network  # noqa: E402 (the path is set above)
from support.loopback import free_ports  # noqa: E402


def say(**facts: str) -> None:
    """One line for who started this."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Stand until standard input ends. Arguments: the couriers' private keys, ONION:descriptor:x25519:KEY lines."""
    with private_network() as network:
        say(joining=network.joining, socks=network.socks)
        for line in sys.stdin:
            name, key = line.split()
            folder = network.folder / f"{name}-keys"
            folder.mkdir(mode=0o700)
            (folder / "courier.auth_private").write_text(key + "\n")
            (port,) = free_ports(1)
            network.join(name, f"SocksPort 127.0.0.1:{port}\nClientOnionAuthDir {folder}\n")
            say(socks=f"127.0.0.1:{port}")


if __name__ == "__main__":
    main()
