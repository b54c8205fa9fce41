"""The application: one factory, everything passed in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from flask import Flask
from sqlalchemy import Engine

from tipbox.server.bundles.collected import CollectedDays
from tipbox.server.config import Config
from tipbox.server.home import Home
from tipbox.server.mailboxes.mailbox import Mailboxes
from tipbox.server.served_files import NoticeFolder, ServedFiles
from tipbox.server.storage.blobs import open_blobs
from tipbox.server.storage.clock import Calendar, tick
from tipbox.server.storage.database import make_engine
from tipbox.server.storage.executors import InPlaceThreads, Threads
from tipbox.server.storage.organisations import Roster
from tipbox.server.storage.transactions import Store
from tipbox.server.uploads.cells import Cells
from tipbox.server.uploads.gate import Clocks, Gate
from tipbox.server.uploads.intake import Intake
from tipbox.server.web.answers import answer_errors
from tipbox.server.web.cross_site import refuse_strangers
from tipbox.server.web.headers import strict_headers
from tipbox.server.web.mailbox_api import mailbox_blueprint
from tipbox.server.web.now_api import Now, now_blueprint
from tipbox.server.web.pages import Pages, pages_blueprint
from tipbox.server.web.rates import Rates
from tipbox.server.web.short_way import ShortWay
from tipbox.server.web.upload_api import UploadRequests, api_blueprint
from tipbox.server.web.worker_keys import FORGET, HOURLY

STORE = "tipbox.store"
"""Among the application's extensions: its store."""
GATE = "tipbox.gate"
"""The same: what lets openings in."""


def create_app(
    home: Home,
    config: Config,
    *,
    threads: Threads | None = None,
    today: Callable[[], date] | None = None,
    cells: Cells | None = None,
    clocks: Clocks | None = None,
    engine: Engine | None = None,
    served: ServedFiles | None = None,
) -> Flask:
    """The sources' application on the server in ``home``.

    Args:
        home: the server's folder, made and migrated.
        config: the configuration.
        threads: where blocking work runs.
        today: the day in UTC; by default the database's, see storage/clock.py.
        cells: memory that all workers share; some of its own by default.
        clocks: of the budgets, and of the toll.
        engine: the worker's; by default one of its own.
        served: what the operator put into HOME to be served from the start on; read now by default.
    """
    threads = threads or InPlaceThreads()
    # No static folder: Flask's own route answers with times and tags of files.
    app = Flask("tipbox.server", static_folder=None, template_folder=None)
    # Its own answer to OPTIONS would be HTML without words, and no file of the site.
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    store = Store(engine or make_engine(home, config), threads)
    roster = Roster(store)
    today = today or Calendar(store)
    collected = CollectedDays(store)
    served = served or ServedFiles.load(home)
    pages = Pages(roster, served, config.server.language)
    # Before the rates: a request that did not come through Tor uses up nobody's budget.
    refuse_strangers(app)
    strict_headers(app)
    rates = Rates(app, config)
    app.extensions[STORE] = store

    def forget() -> None:
        rates.forget()
        gate.forget()
        threads.disk(store.forget)  # what a mailbox was asked for

    app.extensions[FORGET] = forget
    blobs = open_blobs(home, config.blobs)
    gate = Gate(config, threads, cells, clocks)
    app.extensions[GATE] = gate

    def hourly() -> None:
        gate.forget()
        day = today()  # it may ask the database, which nothing may in a transaction
        store.write(lambda connection: tick(connection, day))

    app.extensions[HOURLY] = hourly
    intake = Intake(home, config, store, blobs, threads=threads, today=today, gate=gate)
    requests = UploadRequests(intake)
    app.register_blueprint(api_blueprint(intake, requests, rates, config.limits))
    notices = NoticeFolder(home.notices, threads.disk)
    now = Now(pages, roster, collected, intake.toll, today, notices=notices.good)
    app.register_blueprint(now_blueprint(now, rates, config.limits.static))
    app.register_blueprint(mailbox_blueprint(Mailboxes(store, blobs, threads), rates, config.limits))
    app.register_blueprint(pages_blueprint(pages, roster, rates, config.limits))
    answer_errors(app, pages.error, rates)
    app.wsgi_app = ShortWay(app, requests, rates, config.limits).answer  # type: ignore[method-assign]
    return app
