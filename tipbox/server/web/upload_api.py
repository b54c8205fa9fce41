"""The requests of an upload (docs/protocol.md, section 3). What they do is in intake.py."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Final

from flask import Blueprint, Response, jsonify, request
from werkzeug.wsgi import get_content_length

from tipbox.errors import Malformed
from tipbox.formats.base.limits import CAPSULE_PLACES, HASH_SIZE, KEY_SIZE, MAX_BODY, PART_SIZE
from tipbox.formats.base.primitives import sha256
from tipbox.server.config import Limits
from tipbox.server.refusal import Refusal
from tipbox.server.uploads.drafts import State
from tipbox.server.uploads.gate import Payment
from tipbox.server.uploads.intake import MAX_ENDING, MAX_OPENING, MAX_RUN, Intake, exactly
from tipbox.server.web.rates import Rates
from tipbox.server.web.worker_keys import CIRCUIT, CIRCUIT_DEMANDED

PREFIX: Final = "/api/"
_TOLL: Final = "HTTP_TIPBOX_TOLL"
"""The header in which an opening pays."""
_TOKEN_CHARACTERS: Final = 43
MAX_PARTS: Final = MAX_BODY // PART_SIZE
"""No Envelope has more."""
Environ = dict[str, Any]
"""A request as WSGI has it."""


@dataclass(frozen=True)
class Answer:
    """The state of an upload, and the status to answer it with."""

    state: State
    status: int = 200


class UploadRequests:
    """What the requests of an upload do, for both ways that lead here: through Flask, and past it (short_way.py)."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def open(self, environ: Environ) -> Answer:
        """``PUT /api/envelope``."""
        token, length = token_hash(environ), announced_length(environ, MAX_OPENING)
        circuit, by_tor = str(environ.get(CIRCUIT) or ""), bool(environ.get(CIRCUIT_DEMANDED))
        change = self._intake.open(token, _body(environ), length, Payment(environ.get(_TOLL), circuit, by_tor=by_tor))
        return Answer(change.state, 201 if change.used else 200)

    def parts(self, environ: Environ, first: int) -> Answer:
        """``PUT /api/envelope/parts/<first>``."""
        token, length = token_hash(environ), announced_length(environ, MAX_RUN)
        return Answer(self._intake.parts(token, first, _body(environ), length))

    def finish(self, environ: Environ) -> Answer:
        """``POST /api/envelope/finish``."""
        token, length = token_hash(environ), announced_length(environ, MAX_ENDING)
        return Answer(self._intake.finish(token, _body(environ), length))


def api_blueprint(intake: Intake, requests: UploadRequests, rates: Rates, limits: Limits) -> Blueprint:
    """The requests of an upload, and those that continue it another day."""
    blueprint = Blueprint("api", __name__, url_prefix="/api")

    @blueprint.get("/toll")
    @rates.limit(limits.state)
    def get_toll() -> Response:
        return jsonify(intake.toll())

    @blueprint.put("/envelope")
    @rates.limit(limits.open)
    def open_envelope() -> Response:
        return _response(requests.open(request.environ))

    @blueprint.get("/envelope")
    @rates.limit(limits.state)
    def get_state() -> Response:
        return _response(Answer(intake.state(token_hash(request.environ))))

    @blueprint.put("/envelope/parts/<int:first>")
    @rates.limit(limits.parts)
    def put_parts(first: int) -> Response:
        return _response(requests.parts(request.environ, first))

    @blueprint.get("/envelope/parts/<int:first>")
    @rates.limit(limits.state)
    def get_parts(first: int) -> Response:
        listed = intake.stored_parts(token_hash(request.environ), min(first, MAX_PARTS))
        return Response(listed, content_type="application/octet-stream")

    # As many of each as ends of uploads: they read all that is known of one.
    @blueprint.get("/envelope/parts")
    @rates.limit(limits.finish)
    def get_ranges() -> Response:
        return jsonify({"parts": intake.stored_ranges(token_hash(request.environ))})

    @blueprint.get("/envelope/opening")
    @rates.limit(limits.finish)
    def get_opening() -> Response:
        return Response(intake.opening(token_hash(request.environ)), content_type="application/octet-stream")

    @blueprint.post("/envelope/give-up")
    @rates.limit(limits.finish)
    def give_up() -> Response:
        token = token_hash(request.environ)
        intake.give_up(token, _exactly(KEY_SIZE))
        return jsonify({"state": "gone"})

    @blueprint.post("/capsule")
    @rates.limit(limits.mailbox)
    def get_capsules() -> Response:
        asked = _exactly(CAPSULE_PLACES * KEY_SIZE)
        tokens = [asked[at : at + KEY_SIZE] for at in range(0, len(asked), KEY_SIZE)]
        return Response(intake.capsules(tokens), content_type="application/octet-stream")

    @blueprint.post("/envelope/finish")
    @rates.limit(limits.finish)
    def finish() -> Response:
        return _response(requests.finish(request.environ))

    return blueprint


def _response(answer: Answer) -> Response:
    response = jsonify(answer.state.to_json())
    response.status_code = answer.status
    return response


def token_hash(environ: Environ) -> bytes:
    """SHA-256 of the token that the request carries."""
    scheme, _, written = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    try:
        token = base64.urlsafe_b64decode(written.encode("ascii") + b"=")
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raise Refusal("no-token") from None
    # One spelling for each token: base64 would take several last characters for the same bytes.
    spelt = base64.urlsafe_b64encode(token).rstrip(b"=").decode()
    if scheme != "Bearer" or len(written) != _TOKEN_CHARACTERS or len(token) != HASH_SIZE or spelt != written:
        raise Refusal("no-token")
    return sha256(token)


def announced_length(environ: Environ, most: int) -> int:
    """The announced length of the body, at most ``most``; a body of unknown length is not taken."""
    length = None if environ.get("HTTP_TRANSFER_ENCODING") else get_content_length(environ)
    if length is None:
        raise Refusal("length-required")
    if length > most:
        raise Refusal("too-large")
    return length


def _exactly(size: int) -> bytes:
    """The body of this request, which has one size."""
    if announced_length(request.environ, size) != size:
        raise Malformed("the body of this request has another size")
    return exactly(_body(request.environ), size)


def _body(environ: Environ) -> Any:
    """The body itself: no form parser, no limit but our own."""
    return environ["wsgi.input"]
