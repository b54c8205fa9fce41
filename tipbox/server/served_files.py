"""What an operator puts into HOME to be served: what organisations signed (site list, notices), files for WEBCAT.

The list and WEBCAT's files are read once, at the start, so that all workers serve the same pages; notices come and go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from time import monotonic
from typing import Final

from tipbox.errors import InputRefused, TipboxError
from tipbox.formats.base.limits import MAX_NOTICE, MAX_NOTICES, MAX_SITE_LIST, MIB
from tipbox.formats.notice import Notice
from tipbox.formats.site_list import SiteList
from tipbox.release.served_list import WEBCAT
from tipbox.server.home import Home

_MAX_WEBCAT: Final = MIB
LOOK_AGAIN: Final = 5.0
"""Seconds until the folder of notices is looked at again."""


@dataclass(frozen=True)
class ServedFiles:
    """Read once, before the workers start: all of them serve the same.

    Attributes:
        site: the list; None where there is none, and the pages name whoever has a manifest in force.
        webcat: files by name; the folder need not be there.
    """

    site: SiteList | None = None
    webcat: Mapping[str, bytes] = field(default_factory=dict, repr=False)

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
        return cls(site, {name: data for name, data in found.items() if data is not None})


@dataclass(frozen=True)
class ReadNotices:
    """What a folder of notices has.

    Attributes:
        good: by the name of the file, in this order; of which organisation and of which days they are is asked later.
        refused: why the others are not shown, by the name of the file.
    """

    good: Mapping[str, Notice]
    refused: Mapping[str, str]

    @classmethod
    def of(cls, folder: Path) -> ReadNotices:
        """Read the folder, which need not be there. A file that is no notice keeps none of the others away."""
        good: dict[str, Notice] = {}
        refused: dict[str, str] = {}
        for path in sorted(folder.glob("*.json")):
            if len(good) == MAX_NOTICES:
                refused[path.name] = f"there are {MAX_NOTICES} before it"
                continue
            try:
                if not S_ISREG(path.stat().st_mode):  # a pipe would never end
                    raise InputRefused("it is no file")
                good[path.name] = Notice.parse(_read(path, MAX_NOTICE) or b"")
            except TipboxError as error:
                refused[path.name] = str(error)
            except OSError as error:
                refused[path.name] = error.strerror or "it cannot be read"
        return cls(good, refused)


class NoticeFolder:
    """The notices that lie in a folder now: what is laid in, changed or taken away is seen within some seconds.

    Args:
        folder: it need not be there.
        run: runs what waits for a disk.
    """

    def __init__(self, folder: Path, run: Callable[[Callable[[], None]], None] = lambda wait: wait()) -> None:
        self._folder = folder
        self._run = run
        self._looked = -LOOK_AGAIN
        self._marks: object = None
        self._good: tuple[Notice, ...] = ()

    def good(self) -> tuple[Notice, ...]:
        """Those that can be read, in the order of their files' names."""
        if monotonic() - self._looked >= LOOK_AGAIN:
            self._looked = monotonic()  # at once, so that nobody else looks meanwhile
            self._run(self._look)
        return self._good

    def _look(self) -> None:
        marks = _marks(self._folder)
        if marks != self._marks:
            self._good = tuple(ReadNotices.of(self._folder).good.values())
            self._marks = marks  # of before they were read: a file that was written meanwhile is read once more


def _marks(folder: Path) -> list[object]:
    """What changes with the files of a folder."""
    marks: list[object] = []
    for path in sorted(folder.glob("*.json")):
        try:
            found = path.stat()
        except OSError:
            marks.append(path.name)
        else:
            marks.append((path.name, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
    return marks


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
