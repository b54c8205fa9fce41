"""Reading members of canonical JSON objects: each reader returns a value of its type or raises Malformed."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Mapping
from typing import Final

from tipbox.errors import Malformed, UnsupportedVersion
from tipbox.formats.base.canonical import Json
from tipbox.formats.base.limits import VERSION

_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", re.ASCII)


def members(value: Json, required: Collection[str], optional: Collection[str] | None = ()) -> dict[str, Json]:
    """``value`` as an object with all of ``required`` and none but these and ``optional`` (None: any)."""
    if not isinstance(value, dict):
        raise Malformed("an object is missing")
    if not all(name in value for name in required):
        raise Malformed("an object lacks a member")
    if optional is not None and any(name not in required and name not in optional for name in value):
        raise Malformed("an object has a member that does not belong there")
    return value


def text(value: Mapping[str, Json], name: str) -> str:
    """A string member."""
    found = value[name]
    if not isinstance(found, str):
        raise Malformed(f"{name} is not text")
    return found


def number(value: Mapping[str, Json], name: str) -> int:
    """An integer member, of any size that canonical JSON takes."""
    found = value[name]
    if not isinstance(found, int) or isinstance(found, bool):
        raise Malformed(f"{name} is not a number")
    return found


def integer(value: Mapping[str, Json], name: str, low: int, high: int) -> int:
    """An integer member between ``low`` and ``high``, both included."""
    found = number(value, name)
    if not low <= found <= high:
        raise Malformed(f"{name} is not a number in its bounds")
    return found


def check_version(version: int) -> None:
    """UnsupportedVersion for every number but the one that this software reads."""
    if version != VERSION:
        raise UnsupportedVersion


def array(value: Mapping[str, Json], name: str) -> list[Json]:
    """An array member."""
    found = value[name]
    if not isinstance(found, list):
        raise Malformed(f"{name} is not a list")
    return found


def binary(value: Mapping[str, Json], name: str, size: int) -> bytes:
    """A base64 member of exactly ``size`` bytes."""
    return from_base64(text(value, name), size)


def hexadecimal(value: Mapping[str, Json], name: str, size: int) -> bytes:
    """A lower-case hex member of exactly ``size`` bytes."""
    return from_hex(text(value, name), size)


def from_base64(written: Json, size: int) -> bytes:
    """``size`` bytes from standard base64, padded, in its one spelling."""
    try:
        data = base64.b64decode(written if isinstance(written, str) else "\x00", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("a member is not base64") from error
    if len(data) != size or to_base64(data) != written:
        raise Malformed("a base64 member has the wrong size or spelling")
    return data


def from_hex(written: Json, size: int) -> bytes:
    """``size`` bytes from lower-case hex."""
    if not isinstance(written, str) or len(written) != 2 * size or not re.fullmatch(r"[0-9a-f]*", written, re.ASCII):
        raise Malformed("a member is not lower-case hex of its size")
    return bytes.fromhex(written)


def to_base64(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode()


def language(tag: Json, limit: int) -> str:
    """A BCP 47 tag of at most ``limit`` characters (shape only)."""
    if not isinstance(tag, str) or len(tag) > limit or not _LANGUAGE.fullmatch(tag):
        raise Malformed("a language is not a BCP 47 tag")
    return tag
