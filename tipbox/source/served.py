"""What a server alone names: manifests, for those who have none from the organisations, and whom to ask for replies."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tipbox.errors import Malformed, NetworkFailed, TipboxError
from tipbox.formats.base import fields
from tipbox.formats.base.limits import ID_SIZE, MAILBOX_TOKENS, MAX_MANIFEST
from tipbox.formats.manifest import Manifest, unique_manifests
from tipbox.net.http import Connection

_NOW: Final = "/api/now"
_MOST_ASKED: Final = 4 * MAILBOX_TOKENS
"""Organisations whose mailboxes one command asks for: a server that names more only wants to see requests."""
_MOST_OF_AN_ANSWER: Final = _MOST_ASKED * MAX_MANIFEST * 2
"""Bytes: a manifest of each of them, of characters that JSON writes as two."""
_MOST_TOLD: Final = 32
"""Bad manifests that a person is told of."""
_WHENCE: Final = "what the server sent"
_NO_SENSE: Final = "asking for keys: an answer that makes no sense; is this the address of a tipbox?"


@dataclass(frozen=True)
class Named:
    """What the server names for reading replies.

    Attributes:
        manifests: in force and good; also expired ones, of those who have replies there.
        organisations: ids (16 bytes) of all whose replies the server may hold, former ones too. They need no trust.
    """

    manifests: list[Manifest]
    organisations: frozenset[bytes]


def _fetch(connection: Connection) -> dict[str, Any]:
    answer = connection.retry(lambda _: connection.request("GET", _NOW, most=_MOST_OF_AN_ANSWER))
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise NetworkFailed(_NO_SENSE) from error
    if not isinstance(value, dict):
        raise NetworkFailed(_NO_SENSE)
    return value


def _listed(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    if not isinstance(found, list):
        raise NetworkFailed(_NO_SENSE)
    return found


def fetch_manifests(connection: Connection, remark: Callable[[str], None]) -> list[Manifest]:
    """The manifests in force on a server. One that is not good is left out, and ``remark`` is told.

    Raises:
        TipboxError: none of them is good.
    """
    files = _listed(_fetch(connection), "manifests")
    if not files:
        raise NetworkFailed("asking for keys: the server has none just now; come back another day")
    manifests, first = _good(files, remark)
    if not manifests and first is not None:
        raise first
    return unique_manifests(manifests, _WHENCE)


def fetch_fillers(connection: Connection) -> list[Manifest]:
    """The manifests in force on a server that are good, for slots that nobody reads: others are passed over."""
    manifests, _ = _good(_listed(_fetch(connection), "manifests"), lambda _: None)
    return unique_manifests(manifests, _WHENCE)


def fetch_named(connection: Connection, remark: Callable[[str], None]) -> Named:
    """What the server names for reading replies. A manifest or an id that is not good is left out.

    There may be more than a tip has slots: former organisations are among them while replies of theirs lie there.
    """
    now = _fetch(connection)
    found, _ = _good([*_listed(now, "manifests"), *_listed(now, "former")], remark)
    manifests: dict[bytes, Manifest] = {}
    for manifest in found:  # of one organisation the newest
        if manifest.id not in manifests or manifest.serial > manifests[manifest.id].serial:
            manifests[manifest.id] = manifest
    ids, bad = set(manifests), 0
    for written in _listed(now, "named"):
        try:
            ids.add(fields.from_hex(written, ID_SIZE))
        except TipboxError:
            bad += 1
    if bad:
        remark(f"the server names {bad} organisations by ids that are none. Going on without them.")
    return Named(list(manifests.values()), frozenset(ids))


def to_ask(held: Collection[bytes], named: Collection[bytes]) -> tuple[list[bytes], int]:
    """Whose mailboxes to ask for, in random order: those held, then those that the server names; how many are left out.

    At random, so that the order in which the requests come tells nothing of whose manifests the source holds.
    """
    ordered = [*sorted(held), *sorted(set(named) - set(held))]
    asked = ordered[:_MOST_ASKED]
    random.SystemRandom().shuffle(asked)
    return asked, len(ordered) - len(asked)


def _good(files: Collection[Any], remark: Callable[[str], None]) -> tuple[list[Manifest], TipboxError | None]:
    """The manifests that are good, and the first error when there was one."""
    manifests: list[Manifest] = []
    errors: list[TipboxError] = []
    for number, file in enumerate(files, 1):
        try:
            if not isinstance(file, str):
                raise NetworkFailed(_NO_SENSE)
            manifests.append(Manifest.parse(_encoded(file)))
        except TipboxError as error:
            errors.append(type(error)(f"reading the server's key manifest {number} of {len(files)}: {error}"))
    if manifests:
        for found in errors[:_MOST_TOLD]:
            remark(f"{found} Going on without it.")
    return manifests, errors[0] if errors else None


def _encoded(file: str) -> bytes:
    try:
        return file.encode()
    except UnicodeEncodeError:  # half of a character: JSON can say it, and no file can hold it
        raise Malformed("it is not text") from None
