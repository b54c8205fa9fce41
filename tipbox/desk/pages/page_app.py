"""The application: a shell that is the same for all, and screens for whoever has unlocked them.

The shell's script asks for each screen by POST, with the secret in a header, and puts what comes into the page: so no
word, id or secret is ever in an address.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Final

from flask import Flask, Response, render_template, request, send_from_directory
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from tipbox.desk.pages import said_lines
from tipbox.desk.pages.file_screens import add_files
from tipbox.desk.pages.guard import SESSION_HEADER, Screen, guard
from tipbox.desk.pages.inbox_screens import add_inbox
from tipbox.desk.pages.page_texts import install_texts
from tipbox.desk.pages.session import OpenDesk, Refused, Session
from tipbox.desk.pages.stick_screens import add_stick
from tipbox.desk.pages.thread_screens import add_threads
from tipbox.desk.pages.whole_screens import add_health, add_staff
from tipbox.errors import InputRefused, TipboxError, WrongPassphrase
from tipbox.resources import static_dir, templates_dir

BY_ITSELF: Final = frozenset({"/stick/job"})
"""What the script asks for while nobody does anything: it keeps nothing unlocked."""


WITHOUT_VAULT: Final = frozenset({"/stick/job", "/stay", "/lock"})
"""What is answered also while the vault gets another key."""


def create_app(session: Session, language: str) -> Flask:
    """The pages of one session, in one language."""
    app = Flask("tipbox.desk", template_folder=str(templates_dir()), static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=None, TRAP_HTTP_EXCEPTIONS=False)
    install_texts(app, language)
    app.jinja_env.globals["said_of"] = said_lines
    guard(app, session)

    def for_desk(path: str) -> Callable[[Screen], Screen]:
        """A screen or an act of whoever has unlocked the pages."""

        def decorate(screen: Screen) -> Screen:
            @wraps(screen)
            def answer() -> ResponseReturnValue:
                desk = session.desk(request.headers.get(SESSION_HEADER, ""))
                if path not in BY_ITSELF:
                    session.sign_of_life()
                if path not in WITHOUT_VAULT:
                    session.settle()
                return screen(desk)

            app.add_url_rule(path, screen.__name__, answer, methods=["POST"])
            return screen

        return decorate

    @app.get("/")
    def shell() -> ResponseReturnValue:
        return render_template("desk/shell.html")

    @app.get("/<any('desk.js', 'desk.css'):name>")
    def client(name: str) -> ResponseReturnValue:
        return send_from_directory(static_dir() / "desk", name)

    @app.get("/favicon.ico")
    def no_icon() -> ResponseReturnValue:
        return Response(status=HTTPStatus.NO_CONTENT)  # browsers ask for one

    @app.post("/unlock")
    def unlock() -> ResponseReturnValue:
        form = request.form
        secret = session.unlock(form.get("token", ""), form.get("passphrase", "").encode())
        return Response(status=HTTPStatus.NO_CONTENT, headers={SESSION_HEADER: secret})

    @for_desk("/stay")
    def stay(_: OpenDesk) -> ResponseReturnValue:
        return Response(status=HTTPStatus.NO_CONTENT)

    @for_desk("/lock")
    def lock(_: OpenDesk) -> ResponseReturnValue:
        session.end()
        return Response(status=HTTPStatus.NO_CONTENT)

    add_inbox(for_desk, session)
    add_threads(for_desk)
    add_files(for_desk)
    add_stick(for_desk, session)
    add_health(for_desk, session)
    add_staff(for_desk, session)

    @app.errorhandler(Refused)
    def refused(_: Refused) -> ResponseReturnValue:
        return Response("refused\n", HTTPStatus.UNAUTHORIZED, mimetype="text/plain")

    @app.errorhandler(TipboxError)
    def problem(error: TipboxError) -> ResponseReturnValue:
        status = HTTPStatus.FORBIDDEN if isinstance(error, WrongPassphrase) else HTTPStatus.CONFLICT
        return Response(f"{said_lines.refusal(error)}\n", status, mimetype="text/plain")

    @app.errorhandler(OSError)
    def not_given(error: OSError) -> ResponseReturnValue:
        # A path that the system does not take, a stick that was pulled out, a folder of somebody else's.
        return problem(InputRefused(f"reading or writing: {error.strerror or type(error).__name__}"))

    @app.errorhandler(HTTPException)
    def http_problem(error: HTTPException) -> ResponseReturnValue:
        return Response("refused\n", error.code, mimetype="text/plain")

    @app.errorhandler(Exception)
    def bug(error: Exception) -> ResponseReturnValue:
        return Response(f"{said_lines.bug(error)}\n", HTTPStatus.INTERNAL_SERVER_ERROR, mimetype="text/plain")

    return app
