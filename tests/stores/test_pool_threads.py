"""What runs in the threads of a worker's pool: nothing of gevent that needs a loop, for those threads have none.

A call that only schedules something, such as gevent's ``os.close``, would never be done there: descriptors would leak
and locks would be held for good. A call that waits would make a loop for each thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.sealed import Organisation, keys_folder
from support.services import S3_SECRET, new_database, new_prefix, s3_config

HARMLESS = {
    "gevent.thread.LockType.__init__",
    "gevent.thread.LockType.acquire",
    "gevent.thread.LockType.release",
    "gevent.thread.get_ident",
}
"""Functions of gevent that threads of the pool may call: locks that nobody holds just then, and names of threads."""


def calls(folder: Path, settings: dict[str, str], *options: str) -> dict[str, Any]:
    """What pool_calls.py prints for a server with these stores."""
    one = Organisation("kibhr")
    secrets = {"name": one.name, "identity": bytes(one.identity).hex(), "desk": bytes(one.desk).hex()}
    (folder / "secrets").write_text(json.dumps({**secrets, "seed": one.seed.hex()}), encoding="ascii")
    script = Path(__file__).with_name("pool_calls.py")
    done = subprocess.run(
        (sys.executable, script, folder / "home", keys_folder(folder / "keys", [one]), folder / "secrets", *options),
        env={**os.environ, **{f"TIPBOX_{name.upper()}": value for name, value in settings.items()}},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    "stores",
    [
        "sqlite-local",
        pytest.param(
            "postgresql-s3",
            marks=pytest.mark.real_clock(
                "S3 refuses what was signed at another time, and a server in Go cannot be told one"
            ),
        ),
    ],
)
def test_threads_of_the_pool_need_no_loop(request: pytest.FixtureRequest, stores: str, tmp_path: Path) -> None:
    settings = {}
    if stores == "postgresql-s3":
        settings["database_url"] = new_database(request.getfixturevalue("postgresql"))
        config = s3_config(request.getfixturevalue("s3"), new_prefix())
        settings |= {"blobs_url": config.url, "blobs_endpoint": config.endpoint}
        settings |= {"blobs_access_key": "tipbox", "blobs_secret_key": S3_SECRET}

    found = calls(tmp_path, settings)

    assert set(found["called"]) <= HARMLESS
    assert found["loops"] == 0


@pytest.mark.real_clock("PostgreSQL says which day it is, and is not ours to be told another")
def test_what_would_need_one_is_found(postgresql: str, tmp_path: Path) -> None:
    """With all that gevent patches, database work brings a loop into its thread, and closing leaves files open."""
    found = calls(tmp_path, {"database_url": new_database(postgresql)}, "--unmended")

    assert found["loops"] > 0
    assert "gevent.os.close" in found["called"]
