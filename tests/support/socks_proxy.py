"""A SOCKS port as Tor's, without Tor behind it: what programs say to it can be seen."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Socks:
    """A SOCKS5 proxy with user and password, as Tor's port; every name leads to one server, or nowhere."""

    address: str
    target: int | None
    users: list[bytes] = field(default_factory=list)
    names: list[bytes] = field(default_factory=list)

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(client,), daemon=True).start()

    def one(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as file:
            file.read(file.read(2)[1])
            client.sendall(b"\x05\x02")
            file.read(1)
            user = file.read(file.read(1)[0])
            self.users.append(user + b":" + file.read(file.read(1)[0]))
            client.sendall(b"\x01\x00")
            kind = file.read(4)[3]
            self.names.append(file.read(file.read(1)[0]) if kind == 3 else b"address!")
            file.read(2)
            if self.target is None:
                client.sendall(b"\x05\x04\x00\x01" + bytes(6))  # RFC 1928 6: host unreachable
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            client.sendall(b"\x05\x00\x00\x01" + bytes(4) + struct.pack(">H", 0))
            threading.Thread(target=pump, args=(server, client), daemon=True).start()
            pump(client, server)


def pump(source: socket.socket, sink: socket.socket) -> None:
    with source, sink:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            return


def _listener(path: Path | None) -> socket.socket:
    if path is None:
        return socket.create_server(("127.0.0.1", 0))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


@contextmanager
def running_socks(target: int | None, path: Path | None = None) -> Iterator[Socks]:
    """A proxy before the server at a port of the loopback; None reaches nobody. ``path``: of its UNIX socket."""
    with _listener(path) as listener:
        proxy = Socks(f"unix:{path}" if path else f"127.0.0.1:{listener.getsockname()[1]}", target)
        threading.Thread(target=proxy.serve, args=(listener,), daemon=True).start()
        yield proxy
