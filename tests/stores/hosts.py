"""A host of a server that has several, in this process."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from support.client import bearer
from support.sealed import Organisation, Sent
from tipbox.server.bundles.export import write_volumes
from tipbox.server.home import Home
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.database import make_engine
from tipbox.server.storage.executors import InPlaceThreads
from tipbox.server.web.app import STORE, create_app
from tipbox.server.web.courier_api import create_courier_app


@dataclass
class Host:
    """A host without a process: both applications, called in place."""

    home: Path
    sources: FlaskClient
    couriers: FlaskClient
    store: Any

    @classmethod
    def begin(cls, home: Path, keys: Path) -> Host:
        config = prepare_server(home, keys)
        engine = make_engine(Home(home), config)
        sources = create_app(Home(home), config, engine=engine)
        couriers = create_courier_app(Home(home), config, threads=InPlaceThreads(), engine=engine)
        return cls(home, sources.test_client(), couriers.test_client(), sources.extensions[STORE])

    def upload(self, sent: Sent) -> None:
        answer = self.sources.put("/api/envelope", data=sent.start, headers=bearer(sent.token))
        assert answer.status_code == 201, answer.data

    def upload_whole(self, sent: Sent) -> None:
        """With its body, which is a single part."""
        answer = self.sources.put("/api/envelope", data=sent.start, headers=bearer(sent.token))
        assert answer.status_code == 201, answer.data
        answer = self.sources.put("/api/envelope/parts/0", data=b"".join(sent.parts), headers=bearer(sent.token))
        assert answer.status_code == 200, answer.data
        answer = self.sources.post("/api/envelope/finish", data=sent.end, headers=bearer(sent.token))
        assert answer.json == {"state": "stored"}, answer.data

    def carries(self, sent: Sent, organisation: Organisation, out: Path) -> bool:
        """Whether an export has it, whole."""
        volumes = [organisation.read(path) for path in write_volumes(self.home, organisation.name, out)]
        return any(b"".join(bundle.read(item)) == sent.whole for bundle in volumes for item in bundle.items)

    def volumes(self, organisation: Organisation) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.couriers.get(f"/courier/bundles/{organisation.name}").json["volumes"]  # type: ignore[index]
        return listed

    def fetch(self, organisation: Organisation, name: str, wanted: str) -> bytes:
        answer = self.couriers.get(f"/courier/bundles/{organisation.name}/{name}", headers={"Range": f"bytes={wanted}"})
        assert answer.status_code == 206, answer.data
        data: bytes = answer.data
        return data


def joining(home: Path, other: Path) -> Path:
    """A folder for one more host of the server in ``other``; where bodies are not in S3, both mount one folder."""
    home.mkdir(mode=0o700)
    shutil.copy(Home(other).server_key, Home(home).server_key)
    share_bodies(home, other)
    return home


def share_bodies(home: Path, other: Path) -> None:
    """Let a host use the folder of another one."""
    Home(other).blobs.mkdir(mode=0o700, exist_ok=True)
    if Home(home).blobs.exists():
        Home(home).blobs.rmdir()
    Home(home).blobs.symlink_to(Home(other).blobs)
