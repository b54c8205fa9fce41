"""What an operator puts into HOME to be served: what organisations signed (site list, notices), files for WEBCAT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tipbox.errors import InputRefused, TipboxError
from tipbox.formats.base.limits import MAX_NOTICE, MAX_NOTICES, MAX_SITE_LIST, MIB
from tipbox.formats.notice import Notice
from tipbox.formats.site_list import SiteList
from tipbox.server.home import Home

WEBCAT: Final = ("bundle", "bundle-prev", "enrollment", "enrollment-prev", "manifest")
"""Files that WEBCAT asks for, without ``.json``."""
_MAX_WEBCAT: Final = MIB


@dataclass(frozen=True)
class ServedFiles:
    """Read once, before the workers start: all of them serve the same.

    Attributes:
        site: the list; None where there is none, and the pages name whoever has a manifest in force.
        webcat: files by name; the folder need not be there.
        notices: in the order of their files' names; of which organisation they are, and on which days, is asked later.
    """

    site: SiteList | None = None
    webcat: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    notices: tuple[Notice, ...] = ()

    @classmethod
    def load(cls, home: Home) -> ServedFiles:
        """Read them.

        Raises:
            InputRefused: one of them cannot be served; the file is named.
        """
        data = _read(home.site, MAX_SITE_LIST)
        try:
            site = None if data is None else SiteList.parse(data)
        except TipboxError as error:
            raise InputRefused(f"reading {home.site}: {error}; make it again with tipbox server site") from error
        found = {name: _read(home.webcat / f"{name}.json", _MAX_WEBCAT) for name in WEBCAT}
        return cls(site, {name: data for name, data in found.items() if data is not None}, _notices(home.notices))


def _notices(folder: Path) -> tuple[Notice, ...]:
    paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if len(paths) > MAX_NOTICES:
        raise InputRefused(f"reading {folder}: there are more than {MAX_NOTICES} notices; take some away")
    return tuple(_notice(path) for path in paths)


def _notice(path: Path) -> Notice:
    data = _read(path, MAX_NOTICE)
    try:
        return Notice.parse(data or b"")
    except TipboxError as error:
        raise InputRefused(f"reading {path}: {error}; ask the organisation for it again") from error


def _read(path: Path, most: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise InputRefused(f"reading {path}: the server may not read it; give it to the server's group") from error
    if len(data) > most:
        raise InputRefused(f"reading {path}: it is larger than {most:,} bytes")
    return data
