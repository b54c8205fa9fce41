"""What takes long with what was sent never runs on a worker's loop, where all others would wait for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from support.client import bearer
from support.sealed import PART, Organisation, Sent, envelope, keys_folder
from tipbox.formats.envelopes.seals import EnvelopeHash
from tipbox.server.home import Home
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.executors import InPlaceThreads
from tipbox.server.uploads import finish
from tipbox.server.web.app import STORE, create_app

pytestmark = pytest.mark.reads_date

T = TypeVar("T")


class Marked(InPlaceThreads):
    """Says whether something runs beside the loop."""

    beside = False

    def disk(self, function: Callable[..., T], *arguments: Any) -> T:
        before, self.beside = self.beside, True
        try:
            return function(*arguments)
        finally:
            self.beside = before


@pytest.fixture(name="threads")
def _threads() -> Marked:
    return Marked()


@pytest.fixture(name="call")
def _call(
    tmp_path: Path, organisations: list[Organisation], threads: Marked
) -> Iterator[Callable[[str, str, bytes, Sent], tuple[int, Any]]]:
    home = Home(tmp_path / "home")
    config = prepare_server(home.path, keys_folder(tmp_path / "keys", organisations))
    app = create_app(home, config, threads=threads)
    client = app.test_client()

    def call(method: str, path: str, data: bytes, sent: Sent) -> tuple[int, Any]:
        answer = client.open(f"/api/envelope{path}", method=method, data=data, headers=bearer(sent.token))
        return answer.status_code, answer.get_json()

    yield call
    app.extensions[STORE].engine.dispose()


def test_an_upload_is_hashed_beside_the_loop_when_it_ends(
    call: Callable[[str, str, bytes, Sent], tuple[int, Any]],
    organisations: list[Organisation],
    threads: Marked,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 10 GB the hashes of 150,000 parts: also when the end that is named is the wrong one, again and again."""
    sent = envelope(organisations, 3 * PART)
    assert call("PUT", "", sent.start, sent)[0] == 201
    assert call("PUT", "/parts/0", b"".join(sent.parts), sent)[0] == 200
    begun: list[bool] = []

    class Noted(EnvelopeHash):
        def __init__(self, header: bytes, letter: bytes) -> None:
            begun.append(threads.beside)
            super().__init__(header, letter)

    monkeypatch.setattr(finish, "EnvelopeHash", Noted)
    wrong = bytes(32) + sent.end[32:]
    assert [call("POST", "/finish", wrong, sent)[1]["error"] for _ in range(2)] == ["part-differs"] * 2
    assert call("POST", "/finish", sent.end, sent) == (200, {"state": "stored"})
    assert begun == [True] * 3
