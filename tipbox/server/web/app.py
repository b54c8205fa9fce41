"""The application: one factory, everything passed in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from flask import Flask, jsonify, request
from flask_babel import Babel
from flask_limiter import RateLimitExceeded
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response as AnyResponse

from tipbox.errors import FORMAT_ERRORS, Full, TipboxError
from tipbox.formats.base import days
from tipbox.resources import locale_dir, templates_dir
from tipbox.server import log
from tipbox.server.bundles.collected import Collected
from tipbox.server.config import Config
from tipbox.server.home import Home
from tipbox.server.mailboxes.mailbox import Mailboxes
from tipbox.server.refusal import Refusal
from tipbox.server.storage.blobs import open_blobs
from tipbox.server.storage.clock import tick
from tipbox.server.storage.database import make_engine
from tipbox.server.storage.executors import Here, Threads
from tipbox.server.storage.organisations import Roster
from tipbox.server.storage.transactions import DISK_FULL, Store
from tipbox.server.uploads.intake import Cut, Intake
from tipbox.server.web.cross_site import refuse_strangers
from tipbox.server.web.headers import strict_headers
from tipbox.server.web.mailbox_api import mailbox_blueprint
from tipbox.server.web.pages import Pages, pages_blueprint
from tipbox.server.web.rates import Rates
from tipbox.server.web.upload_api import PREFIX, api_blueprint

WIPE = "tipbox.wipe"
"""In the WSGI environment: called when a body is refused that should never have come."""
STORE = "tipbox.store"
"""Among the application's extensions: its store."""
HOURLY = "tipbox.hourly"
"""Among the application's extensions: what a worker calls every hour, so that the server sees each of its days."""
SOURCE_LANGUAGE = "en"
SLOW_SECONDS = "5"
"""What who must wait is told, when no budget says it."""


def create_app(
    home: Home, config: Config, *, threads: Threads | None = None, today: Callable[[], date] = days.today
) -> Flask:
    """The sources' application on the server in ``home``.

    Args:
        home: the server's folder, made and migrated.
        config: the configuration.
        threads: where blocking work runs.
        today: the day in UTC.
    """
    threads = threads or Here()
    app = Flask("tipbox.server", static_folder=None, template_folder=str(templates_dir()))
    languages = available_languages()
    Babel(
        app, default_locale=SOURCE_LANGUAGE, default_translation_directories=str(locale_dir()), default_domain="tipbox"
    )
    roster = Roster(home)
    store = Store(make_engine(home, config), threads)
    pages = Pages(roster, Collected(store).days, config, languages, today)
    refuse_strangers(app)
    strict_headers(app)
    rates = Rates(app, config)
    app.extensions[STORE] = store
    app.extensions[HOURLY] = lambda: store.write(lambda connection: tick(connection, today()))
    blobs = open_blobs(home, config.blobs)
    intake = Intake(home, config, store, blobs, threads, today)
    app.register_blueprint(api_blueprint(intake, rates, config.limits))
    app.register_blueprint(mailbox_blueprint(Mailboxes(store, blobs, threads), rates, config.limits))
    app.register_blueprint(pages_blueprint(pages, roster, rates, config.limits))
    answer_errors(app, pages.error, rates)
    return app


def available_languages() -> list[str]:
    """English, which the source texts are in, and each language with a compiled catalogue."""
    compiled = {path.parent.parent.name.replace("_", "-") for path in locale_dir().glob("*/LC_MESSAGES/tipbox.mo")}
    return [SOURCE_LANGUAGE, *sorted(compiled - {SOURCE_LANGUAGE})]


def answer_errors(app: Flask, page: Callable[[Refusal], AnyResponse] | None, rates: Rates | None) -> None:
    """Answer every error of ``app`` as section 4 says: as JSON below ``/api/``, or everywhere without ``page``."""

    def answer(refusal: Refusal) -> AnyResponse:
        if refusal.wipe and (wipe := request.environ.get(WIPE)):
            wipe()
        if page is not None and not request.path.startswith(PREFIX):
            return page(refusal)
        response = jsonify({"error": refusal.code, "message": refusal.message, **refusal.state})
        response.status_code = refusal.status
        if refusal.code == "slow-down":
            response.headers["Retry-After"] = SLOW_SECONDS
        return response

    @app.errorhandler(Refusal)
    def refused(refusal: Refusal) -> AnyResponse:
        return answer(refusal)

    @app.errorhandler(TipboxError)
    def format_error(error: TipboxError) -> AnyResponse:
        if isinstance(error, Full):
            return answer(Refusal("full"))
        if isinstance(error, FORMAT_ERRORS):
            return answer(Refusal(error.code, str(error)))
        return unexpected(error)

    @app.errorhandler(RateLimitExceeded)
    def slow_down(_error: RateLimitExceeded) -> AnyResponse:
        response = answer(Refusal("slow-down"))
        response.headers["Retry-After"] = str(rates.retry_after() if rates else 1)
        return response

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> AnyResponse:
        if isinstance(error, RequestRedirect):
            return error.get_response()
        code = {404: "not-found", 405: "method", 413: "too-large"}.get(error.code or 0)
        return answer(Refusal(code)) if code else answer(Refusal("malformed", "The request is malformed."))

    @app.errorhandler(Cut)
    def cut(_error: Cut) -> AnyResponse:
        return answer(Refusal("incomplete"))

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> AnyResponse:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            return answer(Refusal("full"))
        log.fault(error)
        response = answer(Refusal("unavailable"))
        response.headers["Retry-After"] = "10"
        return response
