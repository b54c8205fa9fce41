"""Sending a canary: an operator's own tip, sent as every source sends one (docs/format.md, section 10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from tipbox.errors import InputRefused, NotFound, TipboxError
from tipbox.files.durable import write_file
from tipbox.files.lock import exclusive
from tipbox.formats.base.limits import MAX_CANARY_LIST
from tipbox.formats.canary_list import SUFFIX, CanaryList, message_of
from tipbox.formats.manifest import Manifest
from tipbox.net.http import Connection
from tipbox.source.recipients import Addressees
from tipbox.source.sealing import seal_tip
from tipbox.source.send import compare_keys, send_tip
from tipbox.source.served import fetch_fillers
from tipbox.source.upload import Upload


@dataclass(frozen=True)
class SentCanary:
    """A canary that the server has stored: for whom, and how many are left on the list."""

    organisation: str
    remaining: int


def lists_in(folder: Path) -> list[Path]:
    """The lists of a folder, by name.

    Raises:
        NotFound: there is none.
    """
    found = sorted(path for path in folder.glob(f"*{SUFFIX}") if path.is_file())
    if not found:
        raise NotFound(f"looking for lists of canaries: --lists has no *{SUFFIX}; a desk makes one: desk canary new")
    return found


def send_canary(
    connection: Connection, manifests: Iterable[Manifest], path: Path, today: date, remark: Callable[[str], None]
) -> SentCanary:
    """Spend the next token of the list in ``path``: once the server answers, and before anything of it is sent.

    So no token goes out twice, whatever happens, and a server that cannot be reached uses up none.

    Raises:
        NotFound: the list is used up, or its organisation has no manifest among ``manifests``.
        TipboxError: the file is not a list, the server's keys are others, or sending failed.
    """
    manifests = list(manifests)
    named = {manifest.id: manifest.organisation for manifest in manifests}
    organisation = _read(path).organisation
    if organisation not in named:
        raise NotFound(f"reading {path.name}: it is of an organisation that --keys has no manifest of")
    name = named[organisation]
    known = Addressees.of(manifests, [name], "--keys")
    addressees = compare_keys(connection, known, remark).with_fillers(fetch_fillers(connection))
    token, remaining = _spend(path, organisation)
    send_tip(Upload(connection), seal_tip(addressees, message_of(token), (), None, today))
    return SentCanary(name, remaining)


def _spend(path: Path, organisation: bytes) -> tuple[bytes, int]:
    """Take the first token off the list, durably; that token, and how many are left."""
    # The folder is locked, not the file: the file is replaced, and a lock on the one before would keep nobody out.
    with exclusive(path.parent.resolve()):
        known = _read(path)
        if known.organisation != organisation:
            raise InputRefused(f"reading {path.name}: it has been replaced since it was read; send again")
        # On the disk before it is sent: a token that went out twice would look like somebody else's at the desk.
        write_file(path, replace(known, tokens=known.tokens[1:]).encode())
        return known.tokens[0], len(known.tokens) - 1


def _read(path: Path) -> CanaryList:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CANARY_LIST + 1)
    except OSError as error:
        raise InputRefused(f"reading {path.name}: {error.strerror}") from error
    try:
        known = CanaryList.parse(data)
    except TipboxError as error:
        raise type(error)(f"reading {path.name}: {error}; bring it from the desk again") from error
    if not known.tokens:
        raise NotFound(f"reading {path.name}: it is used up; have the desk make another: desk canary new")
    return known
