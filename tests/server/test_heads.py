"""Long heads: no circuit has a worker's loop parse what no browser sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from flask import Flask
from werkzeug.datastructures import Accept

from support.sealed import keys_folder, three
from tipbox.server.home import Home
from tipbox.server.process.run import prepare_server
from tipbox.server.web.app import STORE, create_app
from tipbox.server.web.bodies import LONGEST_ACCEPT

pytestmark = pytest.mark.reads_date

LONG: Final = ",".join(["a," * 1000] * 38)
"""As many fields of such a length as the parser lets through, joined as it joins them."""
SCRIPT: Final = "/static/style.css"


@pytest.fixture(name="app", scope="module")
def _app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    folder = tmp_path_factory.mktemp("heads")
    home = Home(folder / "home")
    config = prepare_server(home.path, keys_folder(folder / "keys", three()))
    app = create_app(home, config)
    yield app
    app.extensions[STORE].engine.dispose()


@pytest.mark.parametrize("path", ["/", "/nothing", SCRIPT, "/blank", "/api/now"])
def test_a_long_list_of_what_is_accepted_is_not_parsed(app: Flask, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    client = app.test_client()
    expected = client.get(path)
    parsed: list[int] = []
    monkeypatch.setattr(Accept, "__init__", lambda _, values=(): parsed.append(len(list(values or ()))))
    for accepted in (f"gzip,{'a' * LONGEST_ACCEPT}", f"ru,{'a' * LONGEST_ACCEPT}", LONG):
        answer = client.get(path, headers={"Accept-Language": accepted, "Accept-Encoding": accepted})

        assert parsed == []
        assert (answer.status_code, list(answer.headers)) == (expected.status_code, list(expected.headers))
        same = answer.data == expected.data
        assert same


def test_the_longest_list_that_is_looked_at_counts(app: Flask) -> None:
    client = app.test_client()
    accepted = f"gzip,{'a' * (LONGEST_ACCEPT - len('gzip,'))}"

    assert client.get(SCRIPT, headers={"Accept-Encoding": accepted}).headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in client.get(SCRIPT, headers={"Accept-Encoding": f"{accepted}a"}).headers
