"""Local blobs are plain files under names of their own: no link and no row leads to another file of the server."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from support.sealed import envelope, keys_folder, three
from support.server import Here
from tipbox.formats.base import days
from tipbox.server.storage.blobs import SETTLED, LocalBlobs, open_plain
from tipbox.server.upkeep.settle import settle_server

NAME = "0123456789abcdef" * 2
SECRET = b"what another user keeps for itself"


@pytest.fixture(name="blobs")
def _blobs(tmp_path: Path) -> LocalBlobs:
    (tmp_path / "server.key").write_bytes(SECRET)
    (tmp_path / "blobs" / SETTLED).mkdir(parents=True)
    return LocalBlobs(tmp_path / "blobs")


@pytest.mark.parametrize("folder", ["", SETTLED])
def test_a_link_is_no_blob(blobs: LocalBlobs, tmp_path: Path, folder: str) -> None:
    (tmp_path / "blobs" / folder / NAME).symlink_to(tmp_path / "server.key")
    with pytest.raises(FileNotFoundError):
        b"".join(blobs.read(NAME, 0, 10))
    assert blobs.size(NAME) is None


@pytest.mark.timeout(60)
def test_a_pipe_and_a_folder_are_no_blobs(blobs: LocalBlobs, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "blobs" / NAME)
    assert blobs.size(NAME) is None
    with pytest.raises(FileNotFoundError):
        open_plain(tmp_path / "blobs")


@pytest.mark.parametrize("name", ["../server.key", "", ".", "/etc/hostname", NAME.upper(), f"{NAME}/", f"{NAME}\n"])
def test_a_row_names_nothing_but_blobs(blobs: LocalBlobs, tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        b"".join(blobs.read(name, 0, 10))
    assert blobs.size(name) is None
    blobs.delete([name])
    assert (tmp_path / "server.key").read_bytes() == SECRET


@pytest.mark.reads_date
def test_settling_copies_no_file_that_a_link_leads_to(tmp_path: Path) -> None:
    organisations = three()
    server = Here(tmp_path / "home", keys_folder(tmp_path / "keys", organisations))
    server.upload(envelope(organisations, 1000))
    server.close()
    link = tmp_path / "home" / "blobs" / NAME
    link.symlink_to("../server.key")
    settle_server(tmp_path / "home", today=days.today() + timedelta(days=1))
    key = (tmp_path / "home" / "server.key").read_bytes()
    found = [path for path in (tmp_path / "home" / "blobs").rglob("*") if path.is_file() and not path.is_symlink()]
    assert found
    assert all(path.read_bytes() != key for path in found)
