"""Trying a backup out: restored into a scratch folder, checked, and removed again."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import date
from pathlib import Path

from tipbox.formats.base import days
from tipbox.server.backup.container import Reader
from tipbox.server.backup.examine import examine_backup
from tipbox.server.backup.fill import RestoreResult, fill_server
from tipbox.server.config import Blobs, Database, load
from tipbox.server.home import MODE, Home


def try_restore(home: Path, seed: bytes, file: Path, *, today: date | None = None) -> RestoreResult:
    """Restore the backup ``file`` into a scratch folder in ``home``, check it, and remove it again.

    Whatever ``home`` is configured for, the drill uses SQLite and a local folder.
    """
    os.umask(0o077)
    today = today or days.today()
    home.mkdir(mode=MODE, parents=True, exist_ok=True)
    local = load(home).model_copy(update={"database": Database(), "blobs": Blobs()})
    # Named like what a crash leaves, so that the next restore or settle removes it.
    scratch = Path(tempfile.mkdtemp(prefix=".drill-", suffix=".part", dir=home))
    try:
        with file.open("rb") as source:
            examined = examine_backup(Reader(source, seed), today)
            source.seek(0)
            return fill_server(Home(scratch), local, Reader(source, seed), examined, today=today)
    finally:
        shutil.rmtree(scratch)
