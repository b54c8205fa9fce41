"""The couriers' application (docs/protocol.md, section 6): fetch the present export, deliver an inward Bundle.

It stands behind a socket of its own; on Tor that is an onion service with client authorization. What goes out is sealed
to the organisation, what comes in is signed by its desk: a courier needs no other right.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import date
from functools import partial
from itertools import islice
from typing import Any, BinaryIO, Final
from weakref import WeakValueDictionary

from flask import Flask, Response, jsonify, request
from sqlalchemy import Engine

from tipbox.errors import TipboxError
from tipbox.formats.base.limits import KIB
from tipbox.formats.manifest import check_organisation_name
from tipbox.server.bundles import kept_exports
from tipbox.server.bundles.delivery import MAX_DELIVERY, Deliveries, Room
from tipbox.server.bundles.export import PreparedVolume, are_there
from tipbox.server.bundles.importing import ImportResult, import_opened
from tipbox.server.config import Config
from tipbox.server.home import Home
from tipbox.server.refusal import Refusal
from tipbox.server.storage.blobs import open_blobs
from tipbox.server.storage.clock import Calendar
from tipbox.server.storage.database import make_engine
from tipbox.server.storage.disk import Disk
from tipbox.server.storage.executors import Threads
from tipbox.server.storage.open_server import WorkerServer
from tipbox.server.storage.organisations import find_by_name, in_force
from tipbox.server.storage.transactions import Store
from tipbox.server.uploads.carried import Carried
from tipbox.server.uploads.gate import Payment
from tipbox.server.uploads.intake import MAX_OPENING, Intake
from tipbox.server.uploads.open_gate import OpenGate
from tipbox.server.web.answers import answer_errors
from tipbox.server.web.cross_site import refuse_strangers
from tipbox.server.web.headers import strict_headers
from tipbox.server.web.upload_api import announced_length
from tipbox.server.web.worker_keys import FORGET

_BLOCK: Final = 2
"""Parts of a volume that are made at a time, and that each reader holds who reads nothing."""
MOST_READERS: Final = 128
"""Volumes that a worker serves at a time: half a megabyte each, and five times that from S3."""
LONGEST_RANGE: Final = 64
"""Characters of the header ``Range``."""
LEAST_RANGE: Final = 64 * KIB
"""Bytes that a range has, or it goes to the end: to find a volume costs as much as to make so many of it."""
_BUSY: Final = "Other couriers are fetching volumes; go on with this one in a few minutes."
Volumes = WeakValueDictionary[tuple[str, str], PreparedVolume]
_VOLUME: Final = re.compile(r"[a-z0-9-]{1,32}-[0-9]{1,16}-[0-9]{1,6}\.bundle", re.ASCII)


class Readers:
    """Who reads volumes of a worker just now."""

    def __init__(self) -> None:
        self._count = 0

    def enter(self) -> None:
        """One more; Refusal ``slow-down`` when they are too many."""
        if self._count >= MOST_READERS:
            raise Refusal("slow-down", _BUSY)
        self._count += 1

    def leave(self) -> None:
        """One has read all that it will."""
        self._count -= 1


def create_courier_app(
    home: Home,
    config: Config,
    *,
    threads: Threads,
    today: Callable[[], date] | None = None,
    engine: Engine | None = None,
) -> Flask:
    """The couriers' application on the server in ``home``.

    Args:
        home: the server's folder, made and migrated.
        config: the configuration.
        threads: where blocking work runs.
        today: the day in UTC; by default the database's.
        engine: the worker's; by default one of its own.
    """
    app = Flask("tipbox.server.web.courier_api", static_folder=None)
    refuse_strangers(app)
    strict_headers(app)
    answer_errors(app, None, None)
    deliveries = Deliveries(threads, config.server.workers)
    engine = engine or make_engine(home, config)
    server = WorkerServer(home, config, engine)
    store, blobs = Store(engine, threads), open_blobs(home, config.blobs)
    gate = OpenGate(config, threads)
    intake = Intake(home, config, store, blobs, threads=threads, today=today or Calendar(store), gate=gate)
    carried = Carried(intake, max(2 * MAX_OPENING, config.quota.arriving_letter_bytes // config.server.workers))
    # A volume's index may be large: all who read it at a time share it.
    read: Volumes = WeakValueDictionary()
    readers = Readers()
    # The values of a statement lie in its connection until the statement is run again.
    app.extensions[FORGET] = lambda: threads.disk(engine.dispose)

    @app.get("/courier/bundles")
    def organisations() -> Response:
        return jsonify({"organisations": threads.disk(_names, server)})

    @app.get("/courier/bundles/<organisation>")
    def volumes(organisation: str) -> Response:
        check_organisation_name(organisation)
        with threads.alone(organisation.encode()):
            return jsonify({"volumes": threads.disk(_present_export, server, organisation, today)})

    @app.get("/courier/bundles/<organisation>/<name>")
    def volume(organisation: str, name: str) -> Response:
        if not _VOLUME.fullmatch(name):
            raise Refusal("not-found")
        _check_range()
        # One at a time: for each byte that is asked for, all that a volume holds is looked for.
        with threads.alone(b"volume"):
            prepared = threads.disk(_prepared, server, check_organisation_name(organisation), name, read)
        size = prepared.sealed.size
        begin, end = _range(size)
        answer = Response(mimetype="application/octet-stream")
        answer.accept_ranges = "bytes"
        answer.content_length = end - begin
        if request.range is not None:
            answer.status_code = 206
            answer.content_range.set(begin, end, size)
        if request.method != "HEAD":
            readers.enter()
            answer.call_on_close(readers.leave)
            answer.response = _read(threads, server, prepared, begin, end)
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
            taken = threads.disk(_import, server, file, today)
        if taken.refused and not (taken.acknowledged or taken.deposited or taken.returned or taken.manifests):
            raise taken.refused[0]
        return jsonify({"sequence": taken.sequence, "whole": taken.is_complete})

    @app.post("/courier/pouch")
    def pouch() -> Response:
        length = announced_length(request.environ, MAX_DELIVERY)
        with deliveries.one(length):
            taken = carried.take(_Whole(request.environ["wsgi.input"], length), Payment())
        if taken is None:
            raise Refusal("not-tipbox")
        return jsonify(
            {
                "count": taken.count,
                "fate": taken.fate.value,
                "missing": [list(one) for one in taken.missing],
                "stored": taken.stored,
                "tip": taken.tip.hex(),
            }
        )

    return app


class _Whole:
    """A body that is one file."""

    def __init__(self, body: Any, length: int) -> None:
        self._body = body
        self._left = length
        self.ended = not length
        """Whether all of it came."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; fewer where it ends."""
        return self._counted(self._body.read(min(size, self._left)))

    def read1(self, size: int, /) -> bytes:
        """What is there, or comes next."""
        return self._counted(self._body.read1(min(size, self._left)) if self._left else b"")

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        self.ended = not self._left
        return data


# --- outwards ---------------------------------------------------------------------------------------------------------


def _present_export(worker: WorkerServer, organisation: str, today: Callable[[], date] | None) -> list[dict[str, Any]]:
    with worker.opened() as server:
        if find_by_name(server.store, organisation) is None:
            raise Refusal("not-found")
        day = today() if today else server.today()
        return [asdict(volume) for volume in kept_exports.present_export(server, organisation, day)]


def _prepared(worker: WorkerServer, organisation: str, name: str, read: Volumes) -> PreparedVolume:
    with worker.opened() as server:
        # A name never comes again with other bytes.
        found = read.get((organisation, name)) or kept_exports.find_volume(server, organisation, name)
        if found is None:
            raise Refusal("not-found")
        if not are_there(server, found.envelopes):
            kept_exports.withdraw(server, organisation, found.sequence)
            raise Refusal("not-found", "This volume is past: Envelopes in it have gone. List the volumes again.")
    return read.setdefault((organisation, name), found)


def _names(worker: WorkerServer) -> list[str]:
    with worker.opened() as server:
        return sorted(member.manifest.organisation for member in server.store.read(in_force))


def _check_range() -> None:
    """Refusal ``malformed`` when more than one range is asked for, before they are looked at."""
    written = request.headers.get("Range", "")
    if len(written) > LONGEST_RANGE or "," in written:
        raise Refusal("malformed", "A volume is given in one range at a time.")


def _range(size: int) -> tuple[int, int]:
    """The bytes that are asked for."""
    if request.range is None:
        return 0, size
    found = request.range.range_for_length(size)
    if found is None or found[1] is None:
        raise Refusal("malformed", "The volume does not have this range.")
    begin, end = found
    if end < size and end - begin < LEAST_RANGE:
        raise Refusal("malformed", "A range has 65,536 bytes, or goes to the end of the volume.")
    return begin, end


def _read(threads: Threads, worker: WorkerServer, prepared: PreparedVolume, begin: int, end: int) -> Iterator[bytes]:
    """The volume's bytes, made in blocks beside the loop; the connection is cut when an Envelope goes before that."""
    # Entered and left by hand, because each step runs in a thread beside the loop.
    context = worker.opened()
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


def _import(worker: WorkerServer, file: BinaryIO, today: Callable[[], date] | None) -> ImportResult:
    os.fsync(file.fileno())
    file.seek(0)
    with worker.opened() as server:
        taken = import_opened(server, file, "delivery", today() if today else server.today())
        if taken.has_changes:
            # So the next export is a new one, and reports what was taken just now.
            kept_exports.forget(server, taken.organisation)
    return taken
