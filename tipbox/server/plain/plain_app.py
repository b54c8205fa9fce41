"""The application of the form that needs no script (docs/protocol.md, section 7), on a bind of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from http import HTTPStatus
from typing import Any, Final

from flask import Flask, Response, redirect, request
from flask_limiter import RouteLimit
from sqlalchemy import Engine
from werkzeug.wrappers import Response as AnyResponse

from tipbox.errors import FORMAT_ERRORS, Malformed
from tipbox.formats.base.limits import GIB, MAILBOX_LIST
from tipbox.formats.base.primitives import sha256
from tipbox.formats.envelopes import header, pieces
from tipbox.formats.mailbox_list import PIECE_REQUEST
from tipbox.formats.request_file import ANSWER_PIECE, MAX_PASTED, AnswerPiece, RequestFile
from tipbox.server.config import Config
from tipbox.server.home import Home
from tipbox.server.mailboxes.mailbox import Mailboxes
from tipbox.server.plain.form_reader import BrokenForm, Form
from tipbox.server.plain.plain_gate import PlainGate
from tipbox.server.plain.plain_pages import FOLDER, STYLE, PlainPages
from tipbox.server.refusal import Refusal, let_go
from tipbox.server.served_files import ServedFiles
from tipbox.server.storage.blobs import open_blobs
from tipbox.server.storage.clock import Calendar
from tipbox.server.storage.database import make_engine
from tipbox.server.storage.executors import InPlaceThreads, Threads
from tipbox.server.storage.organisations import Roster
from tipbox.server.storage.transactions import Store
from tipbox.server.uploads.carried import Carried, Taken
from tipbox.server.uploads.cells import Cells
from tipbox.server.uploads.gate import Clocks, Payment
from tipbox.server.uploads.intake import MAGIC_READ, MAX_OPENING, NOT_SEALED, Intake
from tipbox.server.web.answers import FORMAT_STATUS, STATUS, answer_errors
from tipbox.server.web.app import GATE, STORE
from tipbox.server.web.cross_site import refuse_strangers
from tipbox.server.web.headers import strict_headers
from tipbox.server.web.pages import Pages
from tipbox.server.web.rates import Rates
from tipbox.server.web.upload_api import announced_length
from tipbox.server.web.worker_keys import CIRCUIT, CIRCUIT_DEMANDED, FORGET, WIPE

MOST_BYTES: Final = GIB
"""Of a form with files; a larger tip comes in pieces."""
_MOST_ASKED: Final = 16 * 1024
"""Of a form that asks for answers."""
_NO_REQUEST: Final = "no-request"
"""What the page calls that which is no request file."""
_EMPTY: Final = "empty"
"""What it calls a file without a byte, and a form that was sent before anything was chosen."""
_SEALED: Final = "sealed"
"""What it calls a tip, or a piece of one, that was chosen in place of a request file."""


class _SealedHere(Exception):
    """A sealed file was chosen in place of a request file."""


def create_plain_app(
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
    """The form's application on the server in ``home``; see create_app, whose arguments these are."""
    threads = threads or InPlaceThreads()
    app = Flask("tipbox.server.plain", static_folder=None, template_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    store = Store(engine or make_engine(home, config), threads)
    pages = PlainPages(Pages(Roster(store), served or ServedFiles.load(home), config.server.language))
    refuse_strangers(app)
    strict_headers(app)
    rates = Rates(app, config)
    gate = PlainGate(config, threads, cells, clocks)
    blobs = open_blobs(home, config.blobs)

    def forget() -> None:
        rates.forget()
        gate.forget()
        threads.disk(store.forget)  # what a mailbox was asked for

    app.extensions |= {STORE: store, GATE: gate, FORGET: forget}
    # Of each worker at least what one request may bring.
    arriving = max(config.plain.arriving_bytes, config.server.workers * 2 * MAX_OPENING)
    own = {"arriving_bytes": arriving, "arriving_letter_bytes": arriving}
    bounded = config.model_copy(update={"quota": config.quota.model_copy(update=own)})
    intake = Intake(home, bounded, store, blobs, threads=threads, today=today or Calendar(store), gate=gate)
    carried = Carried(intake, arriving // config.server.workers)
    mailboxes = Mailboxes(store, blobs, threads)
    _add_routes(app, pages, carried, mailboxes, rates.limit(config.plain.requests))

    def refused(refusal: Refusal, status: int) -> AnyResponse:
        handed_in = request.endpoint == "send"
        return pages.page(_language(pages), refused=refusal.code, status=status, handed_in=handed_in)

    answer_errors(app, refused, rates)
    return app


def _add_routes(app: Flask, pages: PlainPages, carried: Carried, mailboxes: Mailboxes, limited: RouteLimit) -> None:
    language = f"{FOLDER}/<any({', '.join(repr(one) for one in pages.languages)}):language>"

    @app.get("/")
    @app.get(f"{FOLDER}/")
    @limited
    def lead() -> Response:
        return redirect(f"{FOLDER}/{pages.language}/", HTTPStatus.SEE_OTHER, Response)  # type: ignore[return-value]

    @app.get(f"{language}/")
    @limited
    def show(language: str) -> Response:
        return pages.page(language)

    @app.get(f"{FOLDER}/{STYLE}")
    @limited
    def style() -> Response:
        return pages.style()

    @app.get(f"{FOLDER}/leave")
    @limited
    def leave() -> Response:
        response = pages.leave()
        response.headers["Clear-Site-Data"] = '"*"'
        return response

    @app.post(f"{language}/")
    @limited
    def send(language: str) -> Response:
        taken, refusal = _take(carried)
        if refusal is None:
            return pages.page(language, taken)
        if refusal.wipe:
            _wipe()
        return pages.page(language, taken, refusal.code, STATUS.get(refusal.code, FORMAT_STATUS), handed_in=True)

    @app.post(f"{language}/answers")
    @limited
    def answers(language: str) -> Response:
        try:
            asked = _asked()
        except FORMAT_ERRORS as error:
            let_go(error)
            _wipe()
            return pages.page(language, refused=_NO_REQUEST, status=FORMAT_STATUS)
        except _SealedHere as sealed:
            let_go(sealed)
            _wipe()
            return pages.page(language, refused=_SEALED, status=FORMAT_STATUS)
        if asked is None:
            return pages.page(language, refused=_EMPTY, status=FORMAT_STATUS)
        # The tokens themselves go no further.
        addresses = [sha256(token) for token in asked.tokens]
        if asked.reply is None:
            return _file([mailboxes.list(addresses)], MAILBOX_LIST)
        head = AnswerPiece.head(asked.reply, asked.number)
        return _file(_behind(head, mailboxes.piece(addresses, asked.reply, asked.number)), ANSWER_PIECE)


def _wipe() -> None:
    """Overwrite what was read ahead: nobody has looked whether it is sealed."""
    if wipe := request.environ.get(WIPE):
        wipe()


def _form(most: int, larger: Refusal) -> Form:
    environ = request.environ
    try:
        length = announced_length(environ, most)
    except Refusal as refusal:
        # Nothing of it is read, to be polite or otherwise: nobody has looked whether it is sealed.
        raise (larger if refusal.code == "too-large" else refusal) from None
    return Form(environ["wsgi.input"], environ.get("CONTENT_TYPE", ""), length)


def _take(carried: Carried) -> tuple[list[Taken], Refusal | None]:
    """Take each file of the form: what became of them, and why it did not go on, if it did not."""
    form, taken, environ = _form(MOST_BYTES, Refusal("too-large", wipe=True)), list[Taken](), request.environ
    payment = Payment(None, str(environ.get(CIRCUIT) or ""), by_tor=bool(environ.get(CIRCUIT_DEMANDED)))
    try:
        for field in form.fields():
            if field.name != "tip":
                return taken, Refusal("malformed", wipe=True)
            found = carried.take(field, payment, form.trust)
            if found is not None:
                taken.append(found)
    except BrokenForm as error:
        let_go(error)
        return taken, Refusal("malformed", wipe=True)
    except Refusal as refusal:
        let_go(refusal)
        return taken, refusal
    finally:
        form.close()
    return taken, None


def _asked() -> RequestFile | None:
    """What the form asks for; ``None`` where nothing was chosen and nothing pasted, or a file without a byte.

    Raises:
        FORMAT_ERRORS: it is no request file, or something else stands beside one: that could be a code.
        Refusal: ``not-tipbox``: it is a file of another size, and may be anything.
        _SealedHere: it is a tip or a piece. Of any larger form no more than the first bytes of its first file are read.
    """
    no_request = Refusal("not-tipbox", NOT_SEALED, wipe=True)
    form = _form(MOST_BYTES, no_request)
    is_larger = announced_length(request.environ, MOST_BYTES) > _MOST_ASKED
    file = pasted = b""
    try:
        for field in form.fields():
            if field.name == "file":
                file = field.read(MAGIC_READ)
                if file.startswith((pieces.MAGIC, header.MAGIC)):
                    raise _SealedHere
                if is_larger:
                    raise no_request
                file += field.read(PIECE_REQUEST + 1 - len(file))
                if len(file) > PIECE_REQUEST:
                    raise no_request
            elif is_larger:
                raise no_request
            elif field.name == "text":
                pasted = field.read(MAX_PASTED + 1)
            else:
                raise Malformed("there is no such field")
    except BrokenForm:
        raise Malformed("the form is broken") from None
    finally:
        form.close()
    has_text = bool(pasted.strip())
    if file and has_text:
        raise Malformed("there is a file and a text")
    if file:
        return RequestFile.parse(file)
    return RequestFile.from_pasted(pasted) if has_text else None


def _behind(head: bytes, pieces: Iterable[bytes]) -> Iterable[bytes]:
    yield head
    yield from pieces


def _file(pieces: Iterable[bytes], size: int) -> Response:
    response = Response(pieces, content_type="application/octet-stream")
    response.content_length = size
    response.headers["Content-Disposition"] = 'attachment; filename="answer.bin"'
    return response


def _language(pages: PlainPages) -> str:
    """That of the path that was asked for."""
    named: Any = request.path.removeprefix(f"{FOLDER}/").partition("/")[0]
    return named if named in pages.languages else pages.language
