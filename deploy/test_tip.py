"""Sends one sealed test tip to the sources' listener, as Tor would bring it: a connection that names its circuit.

The listener is a unix socket that demands a circuit; `tipbox source send` speaks to an address. A socket on the
loopback joins the two, for as long as this takes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path

CIRCUIT = b"PROXY TCP6 fc00:dead:beef:4dad::1 ::1 1 80\r\n"
PIECE = 65536
TIMEOUT_SECONDS = 300
MEMORY = "/dev/shm"  # noqa: S108 (a folder of its own in it, and never on a disk)


def copy(source: socket.socket, target: socket.socket) -> None:
    """Bytes from one connection to the other until its end."""
    try:
        while data := source.recv(PIECE):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()


def serve(listener: socket.socket, target: Path) -> None:
    """Each connection goes to the target, with a circuit."""
    while True:
        client, _ = listener.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(target))
        server.sendall(CIRCUIT)
        for pair in ((client, server), (server, client)):
            threading.Thread(target=copy, args=pair, daemon=True).start()


def main() -> int:
    """Send it; the exit code of `tipbox source send`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tipbox", type=Path, required=True, help="the program")
    parser.add_argument("--keys", type=Path, required=True, help="folder of key manifests")
    parser.add_argument("--socket", type=Path, required=True, help="the sources' listener")
    arguments = parser.parse_args()

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, arguments.socket), daemon=True).start()
    os.umask(0o077)
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        keys = shutil.copytree(arguments.keys, Path(folder) / "keys")
        message = Path(folder) / "message"
        message.write_text(f"Test of the tip line, sent by its operator on {datetime.now(UTC).date()}.\n")
        port = listener.getsockname()[1]
        command = (str(arguments.tipbox), "source", "send", f"http://127.0.0.1:{port}", "--keys", str(keys))
        sent = subprocess.run(
            (*command, "--message-file", str(message)), stdout=subprocess.DEVNULL, timeout=TIMEOUT_SECONDS, check=False
        )
    if sent.returncode == 0:
        print("A test tip is stored. Every organisation's next Bundle brings it to its desk.")
    return sent.returncode


if __name__ == "__main__":
    sys.exit(main())
