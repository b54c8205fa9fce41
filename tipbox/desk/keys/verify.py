"""Verifying key manifests, as an operator or a source does before trusting a folder of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tipbox.errors import Malformed, NotFound, TipboxError
from tipbox.formats.base.limits import MAX_MANIFEST
from tipbox.formats.manifest import Manifest


@dataclass(frozen=True)
class ManifestCheck:
    """One file: its manifest, when it can be read, and what is wrong with it."""

    file: str
    manifest: Manifest | None
    problems: tuple[TipboxError, ...]


def _check(path: Path, today: date) -> ManifestCheck:
    problems: list[TipboxError] = []
    try:
        with path.open("rb") as file:
            manifest = Manifest.parse(file.read(MAX_MANIFEST + 1))  # one byte more shows that it is too long
    except TipboxError as error:
        return ManifestCheck(path.name, None, (error,))
    for check in (manifest.check, manifest.current_key):
        try:
            check(today)
        except TipboxError as error:
            problems.append(error)
            break  # whether a manifest with a bad signature lists a current key is of no interest
    if path.name != f"{manifest.organisation}.json":
        problems.append(Malformed(f"this manifest is of {manifest.organisation}; its file must have that name"))
    return ManifestCheck(path.name, manifest, tuple(problems))


def check_folder(folder: Path, today: date) -> list[ManifestCheck]:
    """Check each manifest (``*.json``) of a folder for itself.

    Raises:
        NotFound: there is none.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise NotFound(f"verifying key manifests: there is none in {folder}; check --keys")
    return [_check(path, today) for path in paths]
