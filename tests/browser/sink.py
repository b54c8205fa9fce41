"""Where everything goes that a browser would send outside: a SOCKS port that notes the host and hangs up."""

from __future__ import annotations

import contextlib
import socket
import threading


class Sink:
    """A SOCKS5 proxy that connects nowhere."""

    def __init__(self) -> None:
        self.hosts: list[str] = []
        """Hosts that were asked for, in order."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Close the port."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError, IndexError), line:
            line.settimeout(60)
            line.recv(262)
            line.sendall(b"\x05\x00")
            request = line.recv(512)
            host = request[5 : 5 + request[4]].decode("latin-1") if request[3] == 3 else request[4:-2].hex(":")
            self.hosts.append(host)
            line.sendall(b"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00")  # not allowed by the rules
