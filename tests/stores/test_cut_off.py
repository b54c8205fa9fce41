"""A host that loses the way to its stores for a while: it says so, loses nothing, and finds them again by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stores.relay import Relay, to_postgresql
from support.loopback import free_port, until
from support.sealed import Organisation, envelope
from support.server import Server, start
from support.services import new_database, scratch
from tipbox.server.bundles.export import write_volumes
from tipbox.server.upkeep.check import check_server

pytestmark = [
    pytest.mark.real_clock("S3 refuses what was signed at another time, and PostgreSQL says which day it is"),
    pytest.mark.usefixtures("bucket"),
]
STORED = {"state": "stored"}
SIZE = 150_000
AWAY = {500, 502, 503, 504}


@dataclass
class Cut:
    """A host whose ways to PostgreSQL and S3 can be cut."""

    server: Server
    database: Relay
    blobs: Relay


@pytest.fixture(name="cut")
def _cut(postgresql: str, s3: str, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cut]:
    port = free_port()
    blobs = Relay(port, ("127.0.0.1", urlsplit(s3).port or 0))
    with scratch() as near, to_postgresql(near, postgresql) as database:
        monkeypatch.setenv("TIPBOX_DATABASE_URL", new_database(postgresql).replace(postgresql, str(near)))
        monkeypatch.setenv("TIPBOX_BLOBS_ENDPOINT", f"http://127.0.0.1:{port}")
        server = start(tmp_path / "home", keys, unix=True, courier=True)
        yield Cut(server, database, blobs)
        server.kill()
        blobs.close()
        assert "Traceback" not in server.log.read_text()


def test_while_the_database_is_away_sources_are_told_to_wait_and_go_on_afterwards(
    cut: Cut, organisations: list[Organisation], tmp_path: Path
) -> None:
    before, files, during = envelope(organisations), envelope(organisations, SIZE), envelope(organisations)
    with cut.server.client() as client:
        assert client.open(before).json == STORED
        client.open(files)
        assert client.put(files, 0).status == 200
        cut.database.cut()
        for answer in (client.open(during), client.put(files, 1), client.state(files)):
            assert answer.status in AWAY, answer
            assert b"postgres" not in answer.body.lower()
        page = client.request("GET", "/en/")  # it may be in memory still
        assert b"postgres" not in page.body.lower()
    with cut.server.couriers() as courier:
        assert courier.request("GET", f"/courier/bundles/{organisations[0].name}").status in AWAY
    (finding,) = [finding for finding in check_server(cut.server.home) if not finding.ok]
    assert "PostgreSQL does not answer" in finding.message

    cut.database.mend()
    with cut.server.client() as client:
        until(lambda: client.open(during).status in {200, 201}, 10)
        assert client.state(files).json["missing"] == [[1, len(files.parts) - 1]]
        client.put(files, 1, len(files.parts) - 1)
        assert client.finish(files).json == STORED
    assert carried(cut, organisations[0], tmp_path) == {before.id, during.id, files.id}
    assert [finding.check for finding in check_server(cut.server.home) if not finding.ok] == []


def test_while_the_bucket_is_away_texts_are_stored_and_files_go_on_afterwards(
    cut: Cut, organisations: list[Organisation], tmp_path: Path
) -> None:
    files, during = envelope(organisations, SIZE), envelope(organisations)
    with cut.server.client() as client:
        client.open(files)
        assert client.put(files, 0).status == 200
        cut.blobs.cut()
        assert client.open(during).json == STORED
        assert client.put(files, 1).status in AWAY
    with cut.server.client() as client:
        cut.blobs.mend()
        until(lambda: client.put(files, 1, len(files.parts) - 1).status == 200, 30)
        cut.blobs.cut()
        assert client.finish(files).status in AWAY
    with cut.server.client() as client:
        cut.blobs.mend()
        until(lambda: client.finish(files).json == STORED, 30)
    assert carried(cut, organisations[0], tmp_path) == {during.id, files.id}


def carried(cut: Cut, organisation: Organisation, out: Path) -> set[bytes]:
    """What an export holds, each once."""
    found = [
        item.entry.hash
        for path in write_volumes(cut.server.home, organisation.name, out / "out")
        for item in organisation.read(path).items
        if item.entry.kind == "envelope"
    ]
    assert len(found) == len(set(found))
    return set(found)
