"""About how many rows there are, at a cost that does not grow with them."""

from __future__ import annotations

import secrets
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, select
from sqlalchemy.orm import InstrumentedAttribute

from tipbox.formats.base.limits import HASH_SIZE

COUNTED: Final = 10_000
"""Rows up to which the number is exact."""
_ENOUGH: Final = 1_000
"""Rows of a sample, at which an estimate is hardly ever wrong by a tenth."""
_BITS: Final = 32
_FIRST_SHARE: Final = 16
_WIDER: Final = 4
"""The first sample is one id in 2^16; each one after it is of 2^4 times as many."""


def about(connection: Connection, ident: InstrumentedAttribute[bytes], *which: ColumnElement[bool]) -> int:
    """How many rows meet ``which``, exactly up to COUNTED and about so above that.

    Args:
        connection: where to ask.
        ident: the first column of the primary key, a hash: so any range of it holds its share of all rows.
        which: conditions.
    """
    first: Any = select(ident).where(*which).limit(COUNTED + 1).subquery()
    count: int = connection.execute(select(func.count()).select_from(first)).scalar_one()
    if count <= COUNTED:
        return count
    for share in range(_FIRST_SHARE, 0, -_WIDER):
        width = 1 << (_BITS - share)
        # At random: else whoever tries many Envelopes could choose those that are counted.
        begin = secrets.randbelow((1 << _BITS) - width)
        low, high = (edge.to_bytes(_BITS // 8).ljust(HASH_SIZE, b"\x00") for edge in (begin, begin + width))
        sample = select(func.count()).select_from(ident.class_).where(ident >= low, ident < high, *which)
        found: int = connection.execute(sample).scalar_one()
        if found >= _ENOUGH:
            return found << share
    return connection.execute(select(func.count()).select_from(ident.class_).where(*which)).scalar_one()
