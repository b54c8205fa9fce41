"""What several hosts share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stores.hosts import Host, joining
from support.services import S3_SECRET, new_database, new_prefix, s3_config


@pytest.fixture(name="database")
def _database(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared by all hosts of a test, and used by no other."""
    monkeypatch.setenv("TIPBOX_DATABASE_URL", new_database(postgresql))


@pytest.fixture(name="bucket")
def _bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a prefix that is every host's of the test."""
    config = s3_config(s3, new_prefix())
    settings = {"url": config.url, "endpoint": s3, "access_key": "tipbox", "secret_key": S3_SECRET}
    for name, value in settings.items():
        monkeypatch.setenv(f"TIPBOX_BLOBS_{name.upper()}", value)
    return config.url


@pytest.fixture(name="hosts")
def _hosts(keys: Path, tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    one = Host.begin(tmp_path / "a", keys)
    two = Host.begin(joining(tmp_path / "b", one.home), keys)
    yield one, two
    for host in (one, two):
        host.store.engine.dispose()
