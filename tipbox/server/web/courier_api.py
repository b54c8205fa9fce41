"""The couriers' application (docs/protocol.md, section 6): fetch the present export, deliver an inward Bundle.

It stands behind a socket of its own; on Tor that is an onion service with client authorization. What goes out is sealed
to the organisation, what comes in is signed by its desk: a courier needs no other right.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

from flask import Flask, Response, jsonify, request

from tipbox.errors import TipboxError
from tipbox.files.durable import replacing
from tipbox.files.lock import exclusive
from tipbox.formats.base import days
from tipbox.formats.manifest import check_organisation_name
from tipbox.server.bundles.delivery import MAX_DELIVERY, Deliveries, Room
from tipbox.server.bundles.export import PreparedVolume, are_there, prepare_volumes
from tipbox.server.bundles.importing import ImportResult, import_opened
from tipbox.server.config import Config
from tipbox.server.home import EXPORT_DAY, Home
from tipbox.server.refusal import Refusal
from tipbox.server.storage.disk import Disk
from tipbox.server.storage.executors import Threads
from tipbox.server.storage.open_server import OpenServer, open_server
from tipbox.server.storage.organisations import find_by_name, read_folder
from tipbox.server.web.answers import answer_errors
from tipbox.server.web.cross_site import refuse_strangers
from tipbox.server.web.headers import strict_headers

_HEAD: Final = ".head"
"""Of the file that keeps all of a volume except its Envelopes."""
_BLOCK: Final = 16
"""Parts of a volume that are made at a time."""
_VOLUME: Final = re.compile(r"[a-z0-9-]{1,32}-[0-9]{1,16}-[0-9]{1,6}\.bundle", re.ASCII)


def create_courier_app(
    home: Home, config: Config, *, threads: Threads, today: Callable[[], date] = days.today
) -> Flask:
    """The couriers' application on the server in ``home``."""
    app = Flask("tipbox.server.web.courier_api", static_folder=None)
    refuse_strangers(app)
    strict_headers(app)
    answer_errors(app, None, None)
    deliveries = Deliveries(threads, config.server.workers)

    @app.get("/courier/bundles")
    def organisations() -> Response:
        return jsonify({"organisations": sorted(one.manifest.organisation for one in read_folder(home.keys))})

    @app.get("/courier/bundles/<organisation>")
    def volumes(organisation: str) -> Response:
        check_organisation_name(organisation)
        with threads.alone(organisation.encode()):
            return jsonify({"volumes": threads.disk(_present_export, home, organisation, today())})

    @app.get("/courier/bundles/<organisation>/<name>")
    def volume(organisation: str, name: str) -> Response:
        if not _VOLUME.fullmatch(name):
            raise Refusal("not-found")
        prepared = threads.disk(_prepared, home, check_organisation_name(organisation), name)
        size = prepared.sealed.size
        begin, end = _range(size)
        answer = Response(mimetype="application/octet-stream")
        answer.accept_ranges = "bytes"
        answer.content_length = end - begin
        if request.range is not None:
            answer.status_code = 206
            answer.content_range.set(begin, end, size)
        if request.method != "HEAD":
            answer.response = _read(threads, home, prepared, begin, end)
        return answer

    @app.post("/courier/deliver")
    def deliver() -> Response:
        length = request.content_length
        if request.headers.get("Transfer-Encoding") or length is None:
            raise Refusal("length-required")
        if length > MAX_DELIVERY:
            raise Refusal("too-large")
        with deliveries.one(length), tempfile.TemporaryFile(dir=home.spool) as file:
            room = Room(partial(Disk.of, home.path, holds_bodies=True), config.quota, length)
            deliveries.receive(request.environ["wsgi.input"], length, file, room)
            taken = threads.disk(_import, home, file, today())
        if taken.refused and not (taken.acknowledged or taken.deposited or taken.returned or taken.manifests):
            raise taken.refused[0]
        return jsonify({"sequence": taken.sequence, "whole": taken.is_complete})

    return app


# --- outwards ---------------------------------------------------------------------------------------------------------


def _present_export(home: Home, organisation: str, today: date) -> list[dict[str, Any]]:
    """The volumes of today's export.

    It is made once a day, after each delivery that changed something, and when Envelopes have gone. What is kept of a
    volume is small (``PreparedVolume``); its bytes are made when a courier reads them.
    """
    folder = home.outgoing / organisation
    with open_server(home.path) as server:
        if find_by_name(home, organisation) is None:
            raise Refusal("not-found")
        folder.mkdir(exist_ok=True)
        with exclusive(folder):  # one process at a time makes or drops an organisation's export
            before = _listed(folder)
            if before and before["day"] == today.isoformat() and _is_whole(server, folder, before["volumes"]):
                return list(before["volumes"])
            prepared = prepare_volumes(server, organisation, today)
            volumes = [{"name": one.name, "size": one.sealed.size} for one in prepared]
            _drop_all_but_newest(folder)
            for one in prepared:
                # Not synced: a head that a power cut takes is missed by _is_whole, and the export is made again.
                with replacing(folder / f"{one.name}{_HEAD}", sync=False) as file:
                    file.write(one.save())
            # Last: it says that all heads are there.
            with replacing(folder / EXPORT_DAY) as file:
                file.write(json.dumps({"day": today.isoformat(), "volumes": volumes}).encode())
            return volumes


def _drop_all_but_newest(folder: Path) -> None:
    """Keep the volumes that couriers may be reading now."""
    heads = {path: int(path.name.rsplit("-", 2)[1]) for path in folder.glob(f"*-*-*.bundle{_HEAD}")}
    for path, sequence in heads.items():
        if sequence != max(heads.values()):
            path.unlink(missing_ok=True)


def _listed(folder: Path) -> dict[str, Any] | None:
    """What was listed last; None when there is nothing, or a power cut took it."""
    try:
        value = json.loads((folder / EXPORT_DAY).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) and value.keys() == {"day", "volumes"} else None


def _load(folder: Path, name: str) -> PreparedVolume | None:
    try:
        return PreparedVolume.load(name, (folder / f"{name}{_HEAD}").read_bytes())
    except (FileNotFoundError, TipboxError):
        return None


def _is_whole(server: OpenServer, folder: Path, volumes: list[dict[str, Any]]) -> bool:
    prepared = [_load(folder, one["name"]) for one in volumes]
    return all(one is not None and are_there(server, one.envelopes) for one in prepared)


def _prepared(home: Home, organisation: str, name: str) -> PreparedVolume:
    """A volume of the present export or of the one before, so that a download goes on beside a new one."""
    found = _load(home.outgoing / organisation, name)
    if found is None:
        raise Refusal("not-found")
    with open_server(home.path) as server:
        if not are_there(server, found.envelopes):
            raise Refusal("not-found", "This volume is past: Envelopes in it have gone. List the volumes again.")
    return found


def _range(size: int) -> tuple[int, int]:
    """The bytes that are asked for."""
    if request.range is None:
        return 0, size
    found = request.range.range_for_length(size)
    if found is None or found[1] is None:
        raise Refusal("malformed", "The volume does not have this range.")
    return found[0], found[1]


def _read(threads: Threads, home: Home, prepared: PreparedVolume, begin: int, end: int) -> Iterator[bytes]:
    """The volume's bytes, made in blocks beside the loop; the connection is cut when an Envelope goes before that."""
    # Entered and left by hand, because each step runs in a thread beside the loop.
    context = open_server(home.path)
    server = threads.disk(context.__enter__)
    try:
        pieces = prepared.pieces(server, begin)
        while begin < end and (block := threads.disk(_block, pieces)):
            yield block[: end - begin]
            begin += len(block)
    except TipboxError as error:
        # The head, with the full length, has gone out: only a cut says that not all follows.
        raise ConnectionAbortedError from error
    finally:
        threads.disk(context.__exit__, None, None, None)


def _block(pieces: Iterator[bytes]) -> bytes:
    return b"".join(islice(pieces, _BLOCK))


# --- inwards ----------------------------------------------------------------------------------------------------------


def _import(home: Home, file: BinaryIO, today: date) -> ImportResult:
    os.fsync(file.fileno())
    file.seek(0)
    with open_server(home.path) as server:
        taken = import_opened(server, file, "delivery", today)
    folder = home.outgoing / taken.organisation
    if taken.has_changes and folder.is_dir():
        with exclusive(folder):
            # So the next export is a new one, and reports what was taken just now.
            (folder / EXPORT_DAY).unlink(missing_ok=True)
    return taken
