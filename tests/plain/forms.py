"""What the tests of the form that needs no script share: tips in pieces, forms with files, and what a page says."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from werkzeug.test import TestResponse

from support.sealed import Sent
from tipbox.formats.envelopes.pieces import write_pieces
from tipbox.server.config import Config, load
from tipbox.server.home import Home
from tipbox.server.plain.plain_app import create_plain_app
from tipbox.server.plain.plain_gate import PlainGate
from tipbox.server.storage.transactions import Store
from tipbox.server.uploads.cells import Cells
from tipbox.server.uploads.gate import Clocks
from tipbox.server.web.app import GATE, STORE
from tipbox.server.web.worker_keys import CIRCUIT, CIRCUIT_DEMANDED

BOUNDARY = "---------------------------735323031399963166993862150"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
PATH = "/plain/en/"


def cut(sent: Sent, each: int = 1) -> list[bytes]:
    """The pieces of a tip, as `tipbox seal --pieces` writes them."""
    token = base64.urlsafe_b64decode(sent.token + "=")
    made = write_pieces(sent.opening, sent.parts, lambda _: sent.trailer, token=token, parts_each=each)
    return [head.encode() + b"".join(parts) for head, parts in made]


def form(*files: bytes, field: str = "tip", name: str = "sealed.tip", boundary: str = BOUNDARY) -> bytes:
    """The body that a browser sends for files that were chosen."""
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
    head += "Content-Type: application/octet-stream\r\n\r\n"
    return b"".join(head.encode() + one + b"\r\n" for one in files) + f"--{boundary}--\r\n".encode()


@dataclass(frozen=True)
class Said:
    """What a page says: of each tip, and of each file."""

    status: int
    text: str = field(repr=False)

    @property
    def heading(self) -> str:
        return _text(re.findall(r"<h1>(.*?)</h1>", self.text, re.DOTALL)[0])

    @property
    def tips(self) -> list[str]:
        found = re.findall(r'<div class="state (?:arrived|waiting)">(.*?)</div>', self.text, re.DOTALL)
        return [_text(one) for one in found]

    @property
    def files(self) -> list[str]:
        return [_text(one) for one in re.findall(r"<li>(.*?)</li>", self.text, re.DOTALL)]


def _text(markup: str) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]*>", "", markup).split()))


class Door:
    """The form's application, called in place."""

    def __init__(
        self,
        home: Path,
        config: Config | None = None,
        clocks: Clocks | None = None,
        today: Callable[[], date] | None = None,
    ) -> None:
        self.home = home
        self.app = create_plain_app(Home(home), config or load(home), cells=Cells(), clocks=clocks, today=today)
        self.store: Store = self.app.extensions[STORE]
        self.gate: PlainGate = self.app.extensions[GATE]
        self._client = self.app.test_client()

    def post(
        self, body: bytes, path: str = PATH, *, circuit: str = "", kind: str = TYPE, length: int | None = None
    ) -> TestResponse:
        environ: dict[str, object] = {CIRCUIT: circuit, CIRCUIT_DEMANDED: bool(circuit)}
        environ["CONTENT_LENGTH"] = str(len(body) if length is None else length)
        return self._client.open(
            path,
            method="POST",
            input_stream=io.BytesIO(body),
            content_type=kind,
            environ_overrides=environ,
        )

    def send(self, *files: bytes, circuit: str = "") -> Said:
        answer = self.post(form(*files), circuit=circuit)
        return Said(answer.status_code, answer.get_data(as_text=True))

    def get(self, path: str, *, circuit: str = "") -> TestResponse:
        return self._client.get(path, environ_overrides={CIRCUIT: circuit, CIRCUIT_DEMANDED: bool(circuit)})

    def close(self) -> None:
        self.store.engine.dispose()
