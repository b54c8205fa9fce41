"""The process behind the pages, as the keeper starts it, on this machine's loopback; and callers without a browser."""

from __future__ import annotations

import http.client
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from support.desk import PASSWORD, Desk
from tipbox.desk.pages.guard import SESSION_HEADER
from tipbox.desk.pages.keeper import Settings, start_worker

WORDS = PASSWORD.decode()
Fields = Sequence[tuple[str, str]]


@dataclass
class Answer:
    """What a request got."""

    status: int
    headers: dict[str, str] = field(repr=False)
    text: str
    body: bytes = field(repr=False, default=b"")


@dataclass
class Pages:
    """Pages that run."""

    process: subprocess.Popen[bytes]
    port: int
    token: str
    desk: Desk
    scratch: Path

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The address that the browser is started with."""
        return f"http://{self.host}/#{self.token}"

    def ask(self, method: str, path: str, fields: Fields = (), headers: Mapping[str, str] | None = None) -> Answer:
        """One request with just these headers."""
        named = dict(headers or {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            named.setdefault("Content-Type", "application/x-www-form-urlencoded")
            connection.request(method, path, urlencode(fields) if method == "POST" else None, named)
            answer = connection.getresponse()
            body = answer.read()
            return Answer(answer.status, dict(answer.getheaders()), body.decode(errors="replace"), body)
        finally:
            connection.close()

    def post(self, path: str, fields: Fields = (), headers: Mapping[str, str] | None = None) -> Answer:
        """One that comes from the page, as its headers say, unless others are given."""
        return self.ask("POST", path, fields, {"Origin": f"http://{self.host}", **(headers or {})})

    def shown(self, path: str, secret: str, *fields: tuple[str, str]) -> str:
        """A screen, or what came of an act, for whoever has the secret."""
        answer = self.post(path, fields, {SESSION_HEADER: secret})
        assert answer.status == 200, answer
        return answer.text

    def raw(self, path: str, secret: str, *fields: tuple[str, str]) -> bytes:
        """The bytes of what is no text."""
        return self.post(path, fields, {SESSION_HEADER: secret}).body

    def unlock(self, passphrase: str = WORDS, token: str | None = None) -> Answer:
        """Spend the token."""
        given = [("token", self.token if token is None else token), ("passphrase", passphrase)]
        return self.post("/unlock", given)

    def ended(self) -> int:
        """Wait until the process has ended; how it did."""
        return self.process.wait(60)


@contextmanager
def serving(desk: Desk, scratch: Path, *, minutes: float = 10, language: str = "en") -> Iterator[Pages]:
    """Pages of a vault."""
    scratch.mkdir(exist_ok=True)
    token = secrets.token_urlsafe(32)
    process, port = start_worker(Settings(desk.vault, minutes, language), token, scratch=scratch)
    assert port, "the pages did not start"
    try:
        yield Pages(process, port, token, desk, scratch)
    finally:
        process.kill()
        process.wait()
