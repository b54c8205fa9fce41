"""The routes of mailboxes (docs/protocol.md, section 3.1). What they do is in mailbox.py."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from flask import Blueprint, Response, request

from tipbox.errors import Malformed
from tipbox.formats.base.limits import MAILBOX_LIST, MAILBOX_PIECE
from tipbox.formats.base.primitives import sha256
from tipbox.formats.mailbox_list import (
    DELETE_ANSWER,
    DELETE_REQUEST,
    LIST_REQUEST,
    PIECE_REQUEST,
    parse_delete,
    parse_piece,
    parse_tokens,
)
from tipbox.server.config import Limits
from tipbox.server.mailboxes.mailbox import Mailboxes
from tipbox.server.uploads.intake import exactly
from tipbox.server.web.rates import Rates
from tipbox.server.web.upload_api import announced_length

_TYPE: Final = "application/octet-stream"


def mailbox_blueprint(mailboxes: Mailboxes, rates: Rates, limits: Limits) -> Blueprint:
    """The three requests."""
    blueprint = Blueprint("mailbox", __name__, url_prefix="/api/mailbox")
    limited = rates.limit(limits.mailbox)

    @blueprint.post("")
    @limited
    def list_replies() -> Response:
        return _answer([mailboxes.list(_addresses(_body(LIST_REQUEST)))], MAILBOX_LIST)

    @blueprint.post("/piece")
    @limited
    def get_piece() -> Response:
        body = _body(PIECE_REQUEST)
        reply, number = parse_piece(body)
        return _answer(mailboxes.piece(_addresses(body), reply, number), MAILBOX_PIECE)

    @blueprint.post("/delete")
    @limited
    def delete_replies() -> Response:
        body = _body(DELETE_REQUEST)
        mailboxes.delete(_addresses(body), parse_delete(body))
        return _answer([DELETE_ANSWER], len(DELETE_ANSWER))

    return blueprint


def _addresses(body: bytes) -> list[bytes]:
    """The addresses of the mailboxes that a request has the tokens of. The tokens themselves go no further."""
    return [sha256(token) for token in parse_tokens(body)]


def _answer(pieces: Iterable[bytes], size: int) -> Response:
    response = Response(pieces, content_type=_TYPE)
    # Announced: chunked, the answer's sizes on the wire would show in which pieces it was read.
    response.content_length = size
    return response


def _body(size: int) -> bytes:
    """The body, which has one size."""
    if announced_length(request.environ, size) != size:
        raise Malformed("the body of this request has another size")
    return exactly(request.environ["wsgi.input"], size)
