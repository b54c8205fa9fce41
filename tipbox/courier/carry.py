"""Fetching volumes and delivering Bundles (docs/protocol.md, section 6); a connection may be cut at any byte."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from tipbox.errors import InputRefused, NetworkFailed, NotFound
from tipbox.files.durable import SEALED_MODE, TEMPORARY_SUFFIX, fsync_folder, make_stick_folder
from tipbox.formats.base.limits import GIB, KIB
from tipbox.formats.manifest import check_organisation_name
from tipbox.net.http import Connection, TransientFailure

LARGEST_VOLUME: Final = 256 * GIB
"""Bytes above which a size that the server names is not believed: it would fill the stick."""
MOST_VOLUMES: Final = 10_000
LARGEST_POUCHED: Final = 4 * GIB
"""Bytes of the largest file that a server takes of a courier; larger tips come in pieces."""
_API: Final = "/courier/bundles"
_PIECE: Final = 64 * KIB
# Names come from the server and become names of files: this form has no slash, no dot in front, and nothing to expand.
_NAME: Final = re.compile(r"[a-z0-9-]{1,32}-[0-9]{1,16}-[0-9]{1,6}\.bundle", re.ASCII)
_RANGE: Final = re.compile(r"bytes ([0-9]{1,15})-[0-9]{1,15}/([0-9]{1,15})", re.ASCII)


@dataclass(frozen=True)
class Volume:
    """A volume of the server's present export."""

    organisation: str
    name: str
    size: int


@dataclass(frozen=True)
class FetchedVolume:
    """A volume that lies whole in the folder, and whether it did before."""

    volume: Volume
    path: Path
    known: bool


def list_volumes(connection: Connection, organisations: Iterable[str]) -> list[Volume]:
    """The volumes of the present export; of every organisation when none is named.

    Raises:
        NotFound: the server does not know one of them.
    """
    names = list(organisations) or _names(_ask(connection, ""))
    volumes: list[Volume] = []
    for name in names:
        check_organisation_name(name)
        try:
            volumes += _volumes(name, _ask(connection, f"/{name}"))
        except NotFound as error:
            raise NotFound(f"fetching: the server does not know the organisation {name}; check its name") from error
    return volumes


def fetch(
    connection: Connection, volumes: Iterable[Volume], folder: Path, progress: Callable[[int], None]
) -> Iterator[FetchedVolume]:
    """Bring each volume into ``folder``. The next run continues what a cut left there."""
    make_stick_folder(folder)
    volumes = list(volumes)
    _drop_stale(folder, {volume.name for volume in volumes})
    for volume in volumes:
        path = folder / volume.name
        if path.exists() and path.stat().st_size == volume.size:
            progress(volume.size)
            yield FetchedVolume(volume, path, known=True)
            continue
        _fetch(connection, volume, path, progress)
        yield FetchedVolume(volume, path, known=False)


def deliver(connection: Connection, path: Path, progress: Callable[[int], None]) -> bool:
    """Hand a Bundle to the server; whether all of its items were taken. A Bundle delivered again does no harm."""
    complete = sent(connection, path, "/courier/deliver", progress).get("whole")
    if not isinstance(complete, bool):
        raise _nonsense()
    return complete


def sent(connection: Connection, path: Path, to: str, progress: Callable[[int], None]) -> dict[str, Any]:
    """Send a file as it is, from the start each time; what the server answers."""
    size = path.stat().st_size
    headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}

    def attempt(_: int) -> bytes:
        with path.open("rb") as file:  # from the start each time: a Bundle is one request
            return connection.request("POST", to, _pieces(file, size, progress), headers)

    return _parse(connection.retry(attempt))


def _fetch(connection: Connection, volume: Volume, path: Path, progress: Callable[[int], None]) -> None:
    part = _part(path)
    with part.open("ab") as file:  # to append: what came before a cut is kept
        part.chmod(SEALED_MODE)
        if file.tell() > volume.size:  # of an earlier export under the same name
            file.truncate(0)
            file.seek(0)
        progress(file.tell())
        while file.tell() < volume.size:
            connection.retry(lambda _: _resume(connection, volume, file, progress))
        # Before it gets its name: a stick is pulled out soon after the last line is printed.
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    fsync_folder(path.parent)


def _resume(connection: Connection, volume: Volume, file: BinaryIO, progress: Callable[[int], None]) -> None:
    """Take what comes of a volume from where the file ends. A cut after some of it is no failure."""
    begin = file.tell()
    headers = {"Range": f"bytes={begin}-"} if begin else None
    try:
        with connection.answer("GET", f"{_API}/{volume.organisation}/{volume.name}", headers=headers) as answer:
            if begin and not _continues(answer.headers.get("Content-Range", ""), begin, volume.size):
                raise NetworkFailed("fetching: the server does not go on where it was cut; fetch again")
            for piece in answer.iter_raw(_PIECE):
                if file.tell() + len(piece) > volume.size:
                    raise NetworkFailed(f"fetching: {volume.name} is longer than the server said; fetch again")
                file.write(piece)
                progress(len(piece))
    except NotFound as error:
        raise NetworkFailed(
            f"fetching: the server has written {volume.name} again since it was listed; fetch again"
        ) from error
    except TransientFailure:
        if file.tell() == begin:  # nothing came: only then does the time in which it is tried again run on
            raise
    if file.tell() == begin:
        raise NetworkFailed(f"fetching: {volume.name} is shorter than the server said; fetch again")


def _continues(content_range: str, begin: int, size: int) -> bool:
    found = _RANGE.fullmatch(content_range)
    return found is not None and (int(found[1]), int(found[2])) == (begin, size)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")


def _drop_stale(folder: Path, names: set[str]) -> None:
    """Remove the begun volumes of exports that are past: they can never be whole."""
    for path in folder.glob(f".*.bundle{TEMPORARY_SUFFIX}"):
        name = path.name[1:].removesuffix(TEMPORARY_SUFFIX)
        if _NAME.fullmatch(name) and name not in names:
            path.unlink(missing_ok=True)


def _pieces(file: BinaryIO, size: int, progress: Callable[[int], None]) -> Iterator[bytes]:
    while size and (piece := file.read(min(_PIECE, size))):
        size -= len(piece)
        yield piece
        progress(len(piece))
    if size:
        raise InputRefused("delivering: the file became shorter while it was read; write it again")


def _ask(connection: Connection, path: str) -> dict[str, Any]:
    return _parse(connection.retry(lambda _: connection.request("GET", _API + path)))


def _parse(answer: bytes) -> dict[str, Any]:
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise _nonsense() from error
    if not isinstance(value, dict):
        raise _nonsense()
    return value


def _names(value: dict[str, Any]) -> list[str]:
    names = value.get("organisations")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _nonsense()
    return [str(name) for name in names]


def _volumes(organisation: str, value: dict[str, Any]) -> list[Volume]:
    listed = value.get("volumes")
    if not isinstance(listed, list) or len(listed) > MOST_VOLUMES:
        raise _nonsense()
    return [_volume(organisation, entry) for entry in listed]


def _volume(organisation: str, entry: Any) -> Volume:
    name, size = (entry.get("name"), entry.get("size")) if isinstance(entry, dict) else (None, None)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not name.startswith(f"{organisation}-"):
        raise _nonsense()
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= LARGEST_VOLUME:
        raise _nonsense()
    return Volume(organisation, name, size)


def _nonsense() -> NetworkFailed:
    return NetworkFailed("asking the server: an answer that makes no sense; is this the address for couriers?")
