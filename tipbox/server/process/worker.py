"""The worker: gunicorn's gevent worker with a connection loop made for slow and hostile clients.

Where it differs from gunicorn's own: one listener can demand Tor's circuit line while another does not, and the circuit
counts for every request of a connection, before anything of it is parsed; a connection lets all others go first between
two requests; answers carry no ``Server``; heads, bodies and keep-alive have timeouts of their own; a refused body is
not read on; nothing of a request reaches a log, or stays in memory for long.
"""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import gevent
from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.body import LengthReader
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.parser import RequestParser
from gunicorn.workers.ggevent import GeventWorker

from tipbox.formats.base.limits import KIB, MIB
from tipbox.server import log
from tipbox.server.process import forgetting
from tipbox.server.process.arrivals import Arrivals, turned_away
from tipbox.server.process.circuits import BadLine, Circuit, Circuits, Share, read_line
from tipbox.server.process.connections import Connection, Connections
from tipbox.server.process.forgetting import Forgetting
from tipbox.server.process.gevent_patch import patch
from tipbox.server.process.heads import RECEIVE, Unreader
from tipbox.server.process.request_body import Body
from tipbox.server.process.turns import Turns
from tipbox.server.web.headers import HEADERS
from tipbox.server.web.worker_keys import CIRCUIT, CIRCUIT_DEMANDED, FORGET, HOURLY, WIPE

HEAD_SECONDS: Final = 60
"""How long the whole head of a request may take once its connection is open."""
KEEP_SECONDS: Final = 120
"""How long a connection may wait for its next request."""
STALL_SECONDS: Final = 180
"""How long the reader of an answer may take for what is written at once; bodies have a least pace (request_body.py)."""
LINGER_BYTES: Final = 5 * MIB
LINGER_SECONDS: Final = 30
"""After an early refusal: what is still taken from the connection, and for how long, so that the answer is read."""
SMALL_REST: Final = 128 * KIB
"""After an early refusal: a rest of the body that is passed over, so that the connection can be kept."""
WIPE_SECONDS: Final = 2
"""After refusing what should never have come: how long the answer may be read; nothing more is received."""
JOINED: Final = 16 * KIB
"""Bytes of a body that are copied behind the head of an answer; of what is longer, a slow reader holds no copy."""
HOUR: Final = 3600
SWITCH_SECONDS: Final = 0.0001
"""For which the loop may hold the interpreter while another thread waits for it. With Python's own 5 milliseconds, the
database's thread, which gives it up at each step of a statement, waited for seconds beside a loop that is flooded."""

_OWN: Final = frozenset(HEADERS.items())
_OWN_LINES: Final = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
"""The headers of every answer, as they leave."""

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


@dataclass(frozen=True)
class Listener:
    """A listener: the application behind it, whether circuits are demanded, and the address that it is bound to."""

    application: Wsgi
    demands_circuit: bool
    address: Any


class Response(wsgi.Response):  # type: ignore[misc]
    """gunicorn's response without its name; head and body leave in one piece."""

    def __init__(self, req: Any, sock: Any, cfg: Any) -> None:
        super().__init__(req, sock, cfg)
        self.headers_sent: bool = False
        self._head = b""
        self._own = ""

    def process_headers(self, headers: list[tuple[str, str]]) -> None:
        """Take the application's headers; those of every answer are known, and are neither checked nor put together."""
        others = [header for header in headers if header not in _OWN]
        if len(headers) - len(others) == len(_OWN):
            headers, self._own = others, _OWN_LINES
        super().process_headers(headers)

    def default_headers(self) -> list[str]:
        """The first lines of an answer."""
        return [line for line in super().default_headers() if not line.startswith("Server:")]

    def send_headers(self) -> None:
        """Hold the head until the body comes."""
        if not self.headers_sent:
            lines = [*self.default_headers(), *(f"{name}: {value}\r\n" for name, value in self.headers)]
            self._head = f"{''.join(lines)}{self._own}\r\n".encode("latin-1")
            self.headers_sent = True

    def _emit_body(self, data: bytes) -> None:
        head, self._head = self._head, b""
        if self.chunked:
            data = b"%X\r\n%b\r\n" % (len(data), data)
        self.sock.sendall(head + data[:JOINED])  # one write: a small answer is one packet
        if len(data) > JOINED:
            self.sock.sendall(memoryview(data)[JOINED:])

    def close(self) -> None:
        """The answer is whole."""
        self.send_headers()
        head, self._head = self._head, b""
        end = b"0\r\n\r\n" if self.chunked else b""
        if head or end:
            self.sock.sendall(head + end)


class Worker(GeventWorker):  # type: ignore[misc]
    """See the module."""

    sockets: list[Any]

    def server_class(self, listener: Any, *, spawn: Any, **_: Any) -> Arrivals:
        """What accepts for a listener, as gunicorn makes it."""
        demands = self.listeners[self._name(listener)].demands_circuit
        away = partial(turned_away, self.circuits) if demands else lambda _: False
        return Arrivals(listener, partial(self.handle, listener), spawn, away)

    def patch(self) -> None:
        """As gunicorn's, which patches more."""
        patch()
        self.sockets = [
            socket.socket(sock.FAMILY, socket.SOCK_STREAM, fileno=sock.sock.detach())  # of gevent's kind from now on
            for sock in self.sockets
        ]

    def init_process(self) -> None:
        """After the fork, before anything is served."""
        log.configure()
        sys.setswitchinterval(SWITCH_SECONDS)
        hub = gevent.get_hub()
        hub.exception_stream = None  # gevent prints tracebacks with values in them
        # It quotes headers, and writes past the class of loggers that the master sets.
        logging.getLogger("gunicorn.http.wsgi").disabled = True
        # Below gunicorn's own bound, at which it accepts nobody: a new one always gets in, and an old one goes.
        self.connections = Connections(self.cfg.worker_connections - self.cfg.worker_connections // 16)
        self.circuits = Circuits(self.app.turns_per_second(), self.app.cells)
        self.turns = Turns()
        self.dropping: dict[str, gevent.Greenlet] = {}
        self.forgetting = Forgetting(self._drop)
        super().init_process()

    def load_wsgi(self) -> None:
        """One listener for each bind, in order."""
        self.listeners = {
            self._name(bound): Listener(application, demands, bound.getsockname())
            for bound, (application, demands) in zip(self.sockets, self.app.listeners(), strict=True)
        }
        # gunicorn's single application: each listener has its own.
        self.wsgi = None
        for listener in self.listeners.values():
            gevent.spawn(self._every_hour, listener.application)
        gevent.spawn(self._forget_often)

    def _forget_often(self) -> None:
        while self.alive:
            gevent.sleep(forgetting.SECONDS)
            try:
                self.circuits.forget()
                self.forgetting.look()
            except Exception as error:  # noqa: BLE001 (the next time comes)
                log.fault(error)

    def _drop(self) -> None:
        for name, listener in self.listeners.items():
            # One at a time: while a disk, or a database, does not answer, each would take another of the threads.
            task = self.dropping.get(name)
            if task is None or task.ready():
                task = self.dropping[name] = gevent.spawn(self._drop_of, listener.application)
            task.join(forgetting.SECONDS)  # and memory is searched all the same

    @staticmethod
    def _drop_of(application: Any) -> None:
        try:
            application.extensions.get(FORGET, lambda: None)()
        except Exception as error:  # noqa: BLE001 (the next time comes)
            log.fault(error)

    def _every_hour(self, application: Any) -> None:
        while self.alive:
            try:
                application.extensions.get(HOURLY, lambda: None)()
            except Exception as error:  # noqa: BLE001 (the next hour comes)
                log.fault(error)
            gevent.sleep(HOUR)

    @staticmethod
    def _name(bound: Any) -> str:
        return str(bound.getsockname())

    def handle_exit(self, sig: Any, frame: Any) -> None:
        """SIGTERM: finish what is being answered, end what is idle."""
        super().handle_exit(sig, frame)
        # In a greenlet: a signal comes at any point of any other, also while connections are counted.
        gevent.spawn(self.connections.drop_idle)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """One connection, from its first byte to its last."""
        connection = Connection(client)
        self.connections.add(connection)
        circuit: Circuit | None = None
        try:
            client.settimeout(STALL_SECONDS)
            if client.family != socket.AF_UNIX:
                # Answers leave in one piece: to wait for more of them only delays them.
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            parser = RequestParser(self.cfg, client, addr)
            parser.unreader = Unreader(client)
            parser.unreader.begin_head()
            served = self.listeners[self._name(listener)]
            # False: the timeout ends the block and raises nothing.
            with gevent.Timeout(HEAD_SECONDS, False):
                circuit = self._circuit(served, parser.unreader)
            if circuit is not None:
                circuit.connections += 1
                if circuit.comes():
                    self.connections.name(connection, circuit.name)
                    self._serve(served, connection, circuit, parser)
        except (OSError, StopIteration, NoMoreData):
            pass  # the connection ended
        except (ParseException, BadLine):
            if circuit is not None:
                self._answered(circuit, HTTPStatus.BAD_REQUEST)
            with suppress(OSError):
                client.sendall(_BAD_REQUEST)
                _linger(client)
        except Exception as error:  # noqa: BLE001 (noted without its message)
            log.fault(error)
        finally:
            self.forgetting.asked()
            if circuit is not None:
                circuit.connections -= 1
            self.connections.remove(connection)
            util.close(client)

    def _circuit(self, listener: Listener, unreader: Any) -> Circuit:
        """The circuit of a connection, by its first line; where none is demanded, one of its own."""
        if not listener.demands_circuit:
            return self.circuits.own()
        data = b""
        while (found := read_line(data))[0] is None:
            data += _more(unreader)
        address, size = found
        unreader.unread(data[size:])
        return self.circuits.of(address or b"")

    def _serve(self, listener: Listener, connection: Connection, circuit: Circuit, parser: Any) -> None:
        """All requests of a connection, one after the other."""
        timeout = HEAD_SECONDS
        while self.alive and not circuit.closed:
            share, request = circuit.in_flight(connection.gone), None
            try:
                with gevent.Timeout(timeout, False):
                    self._turn(connection, share, parser)
                    request = next(parser)
                    parser.unreader.end_head()
                if request is None:
                    return
                connection.idle = False
                if not self._answer(listener, request, connection, share):
                    return
                connection.idle = True
            finally:
                share.leave()
            # Nothing of what was answered stays while the next request is waited for.
            del request
            self.forgetting.asked()
            timeout = KEEP_SECONDS

    def _turn(self, connection: Connection, share: Share, parser: Any) -> None:
        """Wait for a request, and for its circuit's turn, before anything of the request is parsed.

        Here, and nowhere else, requests are counted: there is no way to one that does not pass.
        """
        if not parser.finish_body():  # what is left of the request before
            raise StopIteration
        parser.mesg = None
        parser.unreader.begin_head()
        if not parser.unreader.buf.getbuffer().nbytes:
            parser.unreader.unread(_more(parser.unreader))
        share.enter()
        wait = share.circuit.turn()
        if wait and connection.gone.wait(wait):
            raise StopIteration
        # Also when nobody else is ready: the worker shows that it lives.
        connection.turn = self.turns.place(share.circuit.asked)
        connection.turn.wait()
        if connection.gone.is_set():
            self.turns.leave()
            raise StopIteration

    def _answer(self, listener: Listener, request: Any, connection: Connection, share: Share) -> bool:
        """Answer one request; whether the connection may carry another."""
        client = connection.client
        # Without the client's address: nobody asks for it.
        response, environ = wsgi.create(request, client, "", listener.address, self.cfg, response_class=Response)
        # Read as it comes: what arrived before a connection breaks is kept (uploads/intake.py).
        environ["wsgi.input"] = Body(request.body.reader, share)
        environ[CIRCUIT] = share.circuit.name
        environ[CIRCUIT_DEMANDED] = listener.demands_circuit
        environ[WIPE] = lambda: _wipe(request, connection)
        # Past Flask's own __call__, which only does this: it costs memory while a slow body is waited for.
        answer = listener.application.wsgi_app(environ, response.start_response)  # type: ignore[attr-defined]
        try:
            unread = connection.wiped or _unread(request)
            if unread or not self.alive:
                # What still comes of the body cannot be told from the next request.
                response.force_close()
            for piece in answer:
                response.write(piece)
            response.close()
        finally:
            if close := getattr(answer, "close", None):
                close()
        self._answered(share.circuit, response.status_code)
        if connection.wiped:
            _wait()
        elif unread:
            _linger(client)
        return not response.should_close()

    def _answered(self, circuit: Circuit, status: int) -> None:
        """Note an answer; a circuit that goes on after refusals loses its connections."""
        if circuit.answered(refused=status >= HTTPStatus.BAD_REQUEST):
            self.connections.drop_all_of(circuit.name)


def _more(unreader: Any) -> bytes:
    """The next bytes that come; StopIteration at the end."""
    data: bytes = unreader.chunk()
    if not data:
        raise StopIteration
    return data


def _unread(request: Any) -> bool:
    """Whether more of the body is still to come than is worth waiting for to keep the connection."""
    reader = request.body.reader
    return not isinstance(reader, LengthReader) or reader.length > SMALL_REST


def _wipe(request: Any, connection: Connection) -> None:
    """Overwrite what was read ahead of a body that should never have come."""
    with request.unreader.buf.getbuffer() as view:
        view[:] = bytes(len(view))
    connection.wiped = True


def _wait() -> None:
    """Let the other side read the answer, and take nothing more from it.

    No end is sent behind the answer, whose length is known: tor has no half of a stream, and would end all of it on the
    client's side while that still sends, so that the rest of the answer is lost there.
    """
    gevent.sleep(WIPE_SECONDS)


def _linger(client: Any) -> None:
    """Let a sender that is in the middle of a body read the answer: take and drop what it sends, for a while."""
    with suppress(OSError), gevent.Timeout(LINGER_SECONDS, False):
        client.shutdown(socket.SHUT_WR)
        scratch = bytearray(RECEIVE)
        taken = 0
        while taken < LINGER_BYTES and (got := client.recv_into(scratch)):
            taken += got


_BAD_BODY: Final = b'{"error":"malformed","message":"The request is malformed."}\n'
_BAD_REQUEST: Final = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\n"
    + f"Content-Length: {len(_BAD_BODY)}\r\n".encode()
    + "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items()).encode()
    + b"\r\n"
    + _BAD_BODY
)
