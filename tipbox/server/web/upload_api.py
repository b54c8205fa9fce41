"""The routes of an upload (docs/protocol.md, section 3). What they do is in intake.py."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from flask import Blueprint, Response, jsonify, request

from tipbox.formats.base.limits import HASH_SIZE, MAX_BODY, PART_SIZE
from tipbox.formats.base.primitives import sha256
from tipbox.server.config import Limits
from tipbox.server.refusal import Refusal
from tipbox.server.uploads.drafts import State
from tipbox.server.uploads.gate import Payment
from tipbox.server.uploads.intake import MAX_ENDING, MAX_OPENING, MAX_RUN, Intake
from tipbox.server.web.rates import Rates, circuit
from tipbox.server.web.worker_keys import CIRCUIT_DEMANDED

PREFIX: Final = "/api/"
TOLL: Final = "Tipbox-Toll"
"""The header in which an opening pays."""
_TOKEN_CHARACTERS: Final = 43
MAX_PARTS: Final = MAX_BODY // PART_SIZE
"""No Envelope has more."""


def api_blueprint(intake: Intake, rates: Rates, limits: Limits) -> Blueprint:
    """The six requests."""
    blueprint = Blueprint("api", __name__, url_prefix="/api")

    @blueprint.get("/toll")
    @rates.limit(limits.state)
    def get_toll() -> Response:
        return jsonify(intake.toll())

    @blueprint.put("/envelope")
    @rates.limit(limits.open)
    def open_envelope() -> Response:
        token, length = token_hash(), announced_length(MAX_OPENING)
        payment = Payment(request.headers.get(TOLL), circuit(), by_tor=bool(request.environ.get(CIRCUIT_DEMANDED)))
        change = intake.open(token, _body(), length, payment)
        return _answer(change.state, 201 if change.used else 200)

    @blueprint.get("/envelope")
    @rates.limit(limits.state)
    def get_state() -> Response:
        return _answer(intake.state(token_hash()))

    @blueprint.put("/envelope/parts/<int:first>")
    @rates.limit(limits.parts)
    def put_parts(first: int) -> Response:
        token, length = token_hash(), announced_length(MAX_RUN)
        return _answer(intake.parts(token, first, _body(), length))

    @blueprint.get("/envelope/parts/<int:first>")
    @rates.limit(limits.state)
    def get_parts(first: int) -> Response:
        listed = intake.stored_parts(token_hash(), min(first, MAX_PARTS))
        return Response(listed, content_type="application/octet-stream")

    @blueprint.post("/envelope/finish")
    @rates.limit(limits.finish)
    def finish() -> Response:
        token, length = token_hash(), announced_length(MAX_ENDING)
        return _answer(intake.finish(token, _body(), length))

    return blueprint


def _answer(state: State, status: int = 200) -> Response:
    response = jsonify(state.to_json())
    response.status_code = status
    return response


def token_hash() -> bytes:
    """SHA-256 of the token that the request carries, of a draft or a mailbox."""
    scheme, _, written = request.headers.get("Authorization", "").partition(" ")
    try:
        token = base64.urlsafe_b64decode(written.encode("ascii") + b"=")
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raise Refusal("no-token") from None
    # One spelling for each token: base64 would take several last characters for the same bytes.
    spelt = base64.urlsafe_b64encode(token).rstrip(b"=").decode()
    if scheme != "Bearer" or len(written) != _TOKEN_CHARACTERS or len(token) != HASH_SIZE or spelt != written:
        raise Refusal("no-token")
    return sha256(token)


def announced_length(most: int) -> int:
    """The announced length of the body, at most ``most``; a body of unknown length is not taken."""
    if request.headers.get("Transfer-Encoding") or request.content_length is None:
        raise Refusal("length-required")
    if request.content_length > most:
        raise Refusal("too-large")
    return request.content_length


def _body() -> Any:
    """The body itself: no form parser, no limit but our own."""
    return request.environ["wsgi.input"]
