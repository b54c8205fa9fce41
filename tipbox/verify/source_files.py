"""Single files of a release's source package."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path


def source_files(source: Path, under: str) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of each file below a folder of the source; paths begin below the source's one folder."""
    with tarfile.open(source, "r:gz") as packed:
        for member in packed:
            name = member.name.partition("/")[2]
            file = packed.extractfile(member) if member.isfile() and name.startswith(under) else None
            if file is not None:
                yield name, file.read()
