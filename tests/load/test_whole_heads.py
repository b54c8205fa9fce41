"""The whole head of a request is bounded, with what comes before it, and costs what it has."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest
from gevent import socket as gevent_socket
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser

from tipbox.server.process.heads import HEAD_BYTES, RECEIVE, Unreader

LINE = b"GET / HTTP/1.1\r\n"
FIELD = b"X-%02d: " + b"a" * 1990 + b"\r\n"


class Served:
    """A connection as a worker reads it."""

    def __init__(self) -> None:
        ours, self.theirs = gevent_socket.socketpair()
        self.ours = ours
        config = Config()
        for name, value in {
            "limit_request_line": 1024,
            "limit_request_fields": 40,
            "limit_request_field_size": 2048,
        }.items():
            config.set(name, value)
        self.parser = RequestParser(config, ours, "")
        self.parser.unreader = self.unreader = Unreader(ours)
        self.received = 0
        recv = ours.recv

        def counted(size: int) -> bytes:
            data: bytes = recv(size)
            self.received += len(data)
            return data

        self.unreader.sock = type("Counting", (), {"recv": staticmethod(counted)})()

    def head(self) -> str:
        """The path of the next request."""
        self.unreader.begin_head()
        request = next(self.parser)
        self.unreader.end_head()
        return str(request.path)


@pytest.fixture(name="served")
def _served() -> Iterator[Served]:
    served = Served()
    with served.ours, served.theirs, gevent.Timeout(20):
        yield served


def of_size(size: int) -> bytes:
    """A head of so many bytes."""
    head = LINE + b"".join(FIELD % number for number in range(4))
    rest = size - len(head) - len(b"X: \r\n\r\n")
    return head + b"X: " + b"a" * rest + b"\r\n\r\n"


def test_the_largest_head_is_read_and_one_byte_more_is_refused(served: Served) -> None:
    served.theirs.sendall(of_size(HEAD_BYTES))
    assert served.head() == "/"
    served.theirs.sendall(of_size(HEAD_BYTES + 1))
    with pytest.raises(ParseException):
        served.head()


def test_of_a_longer_head_no_more_is_taken_than_a_head_may_have(served: Served) -> None:
    """Thousands of connections would hold it all at once."""
    sender = gevent.spawn(served.theirs.sendall, LINE + b"".join(FIELD % number for number in range(39)))
    with pytest.raises(ParseException):
        served.head()
    assert served.received <= HEAD_BYTES
    sender.kill()


def test_what_comes_before_the_request_line_counts(served: Served) -> None:
    served.theirs.sendall(b"\r\n" + of_size(HEAD_BYTES - 1))
    with pytest.raises(ParseException):
        served.head()


def test_the_circuit_line_counts(served: Served) -> None:
    served.unreader.begin_head()
    line = b"PROXY TCP6 fc00::9 ::1 225 80\r\n"
    served.theirs.sendall(line + of_size(HEAD_BYTES - len(line) + 1))
    data = served.unreader.chunk()
    served.unreader.unread(data[len(line) :])
    with pytest.raises(ParseException):
        served.head()


def test_requests_that_came_together_are_each_bounded_by_themselves(served: Served) -> None:
    many = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(1000))
    sender = gevent.spawn(served.theirs.sendall, many + of_size(HEAD_BYTES))
    assert [served.head() for _ in range(1000)] == [f"/{number}" for number in range(1000)]
    assert served.head() == "/"
    sender.join()


def test_a_body_is_not_a_head(served: Served) -> None:
    size = 3 * RECEIVE
    head = b"PUT / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size
    sender = gevent.spawn(served.theirs.sendall, head + bytes(size) + of_size(HEAD_BYTES))
    assert served.head() == "/"
    assert served.parser.mesg.body.read() == bytes(size)
    assert served.head() == "/"
    sender.join()
