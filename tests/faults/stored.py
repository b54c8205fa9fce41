"""What lies in a server's folder, read past the server."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.manifest import key_id
from tipbox.server.home import Home, load_server_keys


@dataclass(frozen=True)
class Row:
    """What the database shows of an Envelope without a key: everything but random bytes."""

    day: str
    seen_day: int
    body_size: int
    has_blob: bool
    blob_size: int
    header_size: int
    letter_size: int
    slots: frozenset[tuple[str, bool]]


def rows(home: Path) -> dict[str, Row]:
    """The stored Envelopes by id in hex."""
    query = "SELECT hex(id), day, seen_day, body_size, blob, length(header), length(letter) FROM envelope"
    with closing(sqlite3.connect(f"file:{home / 'tipbox.db'}?mode=ro", uri=True)) as database:
        slots: dict[str, set[tuple[str, bool]]] = {}
        for envelope, organisation, acknowledged in database.execute(
            "SELECT hex(envelope), hex(organisation), acknowledged FROM slot"
        ):
            slots.setdefault(envelope.lower(), set()).add((organisation.lower(), bool(acknowledged)))
        return {
            envelope.lower(): Row(
                day,
                seen,
                body,
                blob is not None,
                (home / "blobs" / blob).stat().st_size if blob else 0,
                header,
                letter,
                frozenset(slots.get(envelope.lower(), set())),
            )
            for envelope, day, seen, body, blob, header, letter in database.execute(query)
        }


def blobs(home: Path) -> set[str]:
    """The names of the files that hold bodies and runs."""
    return {path.name for path in (home / "blobs").iterdir()}


def inward(home: Path, path: Path) -> dict[str, list[bytes]]:
    """The items of an inward Bundle by kind, opened with the server's own key."""
    keys = load_server_keys(Home(home))
    with path.open("rb") as file:
        bundle = Bundle(file, keys.id, lambda key: {key_id(keys.public): keys.seed}[key])
        items: dict[str, list[bytes]] = {}
        for item in bundle.items:
            items.setdefault(item.entry.kind, []).append(b"".join(bundle.read(item)))
        return items
