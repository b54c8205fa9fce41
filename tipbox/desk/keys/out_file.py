"""Where the desk writes what leaves it: never into the vault or the key stick, nor over a file of another kind."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from tipbox.errors import TipboxError, Usage
from tipbox.formats.base.limits import MAX_MANIFEST
from tipbox.formats.bundles import bundle
from tipbox.formats.manifest import Manifest
from tipbox.formats.notice import Notice
from tipbox.formats.site_list import SiteEntry


def check_bundle(out: Path, vault: Path, stick: Path) -> None:
    """Check the place of an outbox; ``vault`` and ``stick`` are folders.

    Raises:
        Usage: it lies in one of them, or there is something in it that is no Bundle.
        IsADirectoryError: it is a folder.
    """
    _check(out, (vault, stick), lambda data: data.startswith(bundle.MAGIC))


def check_manifest(out: Path, vault: Path, stick: Path) -> None:
    """Check the place of a manifest; ``vault`` and ``stick`` are folders.

    Raises:
        Usage: it lies in one of them, or there is something in it that is no manifest.
        IsADirectoryError: it is a folder.
    """
    _check(out, (vault, stick), _is_manifest)


def check_site_entry(out: Path, vault: Path, stick: Path) -> None:
    """Check the place of an entry of a site's list; ``vault`` and ``stick`` are folders.

    Raises:
        Usage: it lies in one of them, or there is something in it that is no such entry.
        IsADirectoryError: it is a folder.
    """
    _check(out, (vault, stick), _is_site_entry)


def check_notice(out: Path, vault: Path, stick: Path) -> None:
    """Check the place of a notice; ``vault`` and ``stick`` are folders.

    Raises:
        Usage: it lies in one of them, or there is something in it that is no notice.
        IsADirectoryError: it is a folder.
    """
    _check(out, (vault, stick), _is_notice)


def is_kept_apart(place: Path, *folders: Path) -> bool:
    """Whether a place, which is whole, lies in one of these folders."""
    return any(place.is_relative_to(folder.resolve()) for folder in folders)


def _check(out: Path, folders: tuple[Path, ...], is_kind: Callable[[bytes], bool]) -> None:
    place = out.parent.resolve() / out.name
    if is_kept_apart(place, *folders):
        raise Usage(f"writing {out}: this is in the vault or on the key stick; name another place with --out")
    if not out.exists():
        return
    if out.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(out))
    data = b"-"
    if out.is_file():
        with out.open("rb") as file:
            data = file.read(MAX_MANIFEST + 1)
    if data and not is_kind(data):  # an empty file keeps a name free, and nothing is lost with it
        raise Usage(f"writing {out}: there is something else in this place; name another with --out, or move it away")


def _is_manifest(data: bytes) -> bool:
    return _reads(Manifest.parse, data)


def _is_site_entry(data: bytes) -> bool:
    return _reads(SiteEntry.parse, data)


def _is_notice(data: bytes) -> bool:
    return _reads(Notice.parse, data)


def _reads(parse: Callable[[bytes], object], data: bytes) -> bool:
    try:
        parse(data)
    except TipboxError:
        return False
    return True
