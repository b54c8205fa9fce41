"""A folder of key manifests, as organisations hand their files out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tipbox.errors import NotFound, TipboxError
from tipbox.formats.base.limits import MAX_MANIFEST
from tipbox.formats.manifest import Manifest, unique_manifests


def load_folder(folder: Path, leave_out: Callable[[str, TipboxError], bool] = lambda *_: False) -> list[Manifest]:
    """The manifests of a folder (``*.json``), by organisation id; an error names the file.

    Args:
        folder: where the files are.
        leave_out: told the short name that a file which is not good has, and its error; whether to go on without it.
    """
    manifests = []
    # One bad manifest fails all: left out in silence, its organisation would be missing from the source's choice.
    for path in sorted(folder.glob("*.json")):
        try:
            with path.open("rb") as file:
                manifest = Manifest.parse(file.read(MAX_MANIFEST + 1))
        except TipboxError as error:
            named = type(error)(f"reading the key manifest {path.name}: {error}")
            if leave_out(path.stem, named):
                continue
            raise named from error
        manifests.append(manifest)
    if not manifests:
        raise NotFound(f"reading key manifests: there is none in {folder}; put the organisations' .json files there")
    return unique_manifests(manifests, str(folder))
