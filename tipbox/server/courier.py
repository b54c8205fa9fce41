"""The couriers' application (docs/protocol.md, section 6): fetch the present export, deliver an inward Bundle.

It stands behind a socket of its own; on Tor that is an onion service with client authorization. What goes out is sealed
to the organisation, what comes in is signed by its desk: a courier needs no other right.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, Final

from flask import Flask, Response, jsonify, request, send_from_directory

from tipbox import days
from tipbox.errors import NotFound
from tipbox.keys import check_organisation_name
from tipbox.limits import GIB, KIB
from tipbox.server.app import answer_errors
from tipbox.server.config import Config
from tipbox.server.cross_site import refuse_strangers
from tipbox.server.errors import Refusal
from tipbox.server.export import export
from tipbox.server.headers import strict_headers
from tipbox.server.home import EXPORT_DAY, Home
from tipbox.server.import_ import Taken, import_opened
from tipbox.server.opened import opened
from tipbox.server.roster import read_folder
from tipbox.server.store import DISK_FULL
from tipbox.server.threads import Threads

MAX_DELIVERY: Final = 64 * GIB
"""Bytes of the largest inward Bundle."""
_PIECE: Final = 64 * KIB
_VOLUME: Final = re.compile(r"[a-z0-9-]{1,32}-[0-9]{1,16}-[0-9]{1,6}\.bundle", re.ASCII)


def create_courier_app(
    home: Home, config: Config, *, threads: Threads, today: Callable[[], date] = days.today
) -> Flask:
    """The couriers' application on the server in ``home``."""
    del config  # nothing here is configured
    app = Flask("tipbox.server.courier", static_folder=None)
    refuse_strangers(app)
    strict_headers(app)
    answer_errors(app, None, None)

    @app.get("/courier/bundles")
    def organisations() -> Response:
        return jsonify({"organisations": sorted(one.manifest.organisation for one in read_folder(home.keys))})

    @app.get("/courier/bundles/<organisation>")
    def volumes(organisation: str) -> Response:
        folder = threads.disk(_present_export, home, check_organisation_name(organisation), today())
        listed = sorted(path for path in folder.iterdir() if _VOLUME.fullmatch(path.name))
        return jsonify({"volumes": [{"name": path.name, "size": path.stat().st_size} for path in listed]})

    @app.get("/courier/bundles/<organisation>/<name>")
    def volume(organisation: str, name: str) -> Response:
        if not _VOLUME.fullmatch(name):
            raise Refusal("not-found")
        folder = home.outgoing.resolve() / check_organisation_name(organisation)
        return send_from_directory(folder, name, mimetype="application/octet-stream", etag=False)

    @app.post("/courier/deliver")
    def deliver() -> Response:
        length = request.content_length
        if request.headers.get("Transfer-Encoding") or length is None:
            raise Refusal("length-required")
        if length > MAX_DELIVERY:
            raise Refusal("too-large")
        with tempfile.TemporaryFile(dir=home.spool) as file:
            _receive(request.environ["wsgi.input"], length, file)
            taken = threads.disk(_import, home, file, today())
        if taken.refused and not (taken.acknowledged or taken.deposited or taken.returned or taken.manifests):
            raise taken.refused[0]
        return jsonify({"sequence": taken.sequence, "whole": taken.whole})

    return app


def _present_export(home: Home, organisation: str, today: date) -> Path:
    """The folder of today's export, made once a day and after each delivery."""
    folder = home.outgoing / organisation
    stamp = folder / EXPORT_DAY
    if stamp.exists() and stamp.read_text(encoding="ascii") == today.isoformat():
        return folder
    made = Path(tempfile.mkdtemp(dir=home.outgoing))
    try:
        export(home.path, organisation, made, today=today)
        (made / EXPORT_DAY).write_text(today.isoformat(), encoding="ascii")
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    except NotFound:
        raise Refusal("not-found") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def _receive(body: Any, length: int, file: BinaryIO) -> None:
    while length:
        piece = body.read(min(_PIECE, length))
        if not piece:
            raise Refusal("incomplete", "The line broke before the Bundle was whole; deliver it again.")
        length -= len(piece)
        try:
            file.write(piece)
        except OSError as error:
            raise (Refusal("full") if error.errno in DISK_FULL else error) from None


def _import(home: Home, file: BinaryIO, today: date) -> Taken:
    os.fsync(file.fileno())
    file.seek(0)
    with opened(home.path) as server:
        taken = import_opened(server, file, "delivery", today)
    if taken.news:
        (home.outgoing / taken.organisation / EXPORT_DAY).unlink(missing_ok=True)
    return taken
