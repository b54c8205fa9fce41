"""Canonical JSON (docs/format.md, section 1): one spelling of every value, so that signed objects have one reading."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from tipbox.errors import Malformed
from tipbox.formats.base.limits import MAX_JSON_DEPTH, MAX_SAFE_INTEGER

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | bool | None"


def _check(value: Any, depth: int = 1) -> None:
    if depth > MAX_JSON_DEPTH:
        raise Malformed("JSON is nested too deeply")
    if isinstance(value, dict):
        for name, member in value.items():
            if not name.isascii():
                raise Malformed("JSON has a member name that is not ASCII")
            _check(member, depth + 1)
    elif isinstance(value, list):
        for member in value:
            _check(member, depth + 1)
    elif isinstance(value, int):
        if abs(value) > MAX_SAFE_INTEGER:
            raise Malformed("JSON has an integer that is too large")
    elif not (value is None or isinstance(value, str)):
        raise Malformed("JSON has a number that is not an integer")


def encode(value: Json, *, file_form: bool = False) -> bytes:
    """The canonical bytes of ``value``: compact, or in file form (indented by two, one line feed at the end)."""
    _check(value)
    if file_form:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2, allow_nan=False) + "\n"
    else:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Malformed("JSON has a lone surrogate") from error


def decode(data: bytes, *, file_form: bool = False) -> Json:
    """The value of canonical ``data``; Malformed unless encoding it again gives the same bytes."""
    try:
        value: Json = json.loads(data.decode())
        again = encode(value, file_form=file_form)
    except (ValueError, RecursionError) as error:
        raise Malformed("this is not JSON") from error
    if again != data:
        raise Malformed("JSON is not in canonical form")
    return value
