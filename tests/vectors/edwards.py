"""Ed25519 by hand (RFC 8032, section 5.1), for keys and signatures that no library makes.

Slow, and for vectors alone: nothing here keeps a secret.
"""

from __future__ import annotations

import hashlib

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the base point."""
_D = -121665 * pow(121666, -1, P) % P

Point = tuple[int, int]
ZERO: Point = (0, 1)


def add(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    product = _D * x1 * x2 * y1 * y2
    return (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P


def times(number: int, point: Point) -> Point:
    result = ZERO
    while number:
        if number & 1:
            result = add(result, point)
        point, number = add(point, point), number >> 1
    return result


def encode(point: Point) -> bytes:
    return spell(point[1], point[0] & 1)


def spell(y: int, sign: int = 0) -> bytes:
    """32 bytes of a number y and a sign bit, a point or not, canonical or not."""
    return (y | sign << 255).to_bytes(32, "little")


def recover(y: int) -> Point | None:
    """The point with this y and an even x."""
    square = (y * y - 1) * pow(_D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    if (root * root - square) % P:
        root = root * pow(2, (P - 1) // 4, P) % P
    if (root * root - square) % P:
        return None
    return (P - root if root & 1 else root), y


def _base() -> Point:
    found = recover(4 * pow(5, -1, P) % P)
    assert found is not None, "4/5 is the y of the base point"
    return found


def _torsion() -> Point:
    for point in filter(None, map(recover, range(2, 99))):
        small = times(ORDER, point)
        if times(4, small) != ZERO:
            return small
    raise AssertionError("every second point has a component of order 8")


BASE = _base()
TORSION = _torsion()
"""A point of order 8: its multiples are all points of small order."""
SMALL_ORDER = [encode(times(number, TORSION)) for number in range(8)]


def challenge(nonce: bytes, public: bytes, message: bytes) -> int:
    """k of RFC 8032, not yet reduced."""
    return int.from_bytes(hashlib.sha512(nonce + public + message).digest(), "little")


class Twisted:
    """An Ed25519 key pair out of a number, with a point of small order added to the public key and to R.

    Its signatures satisfy RFC 8032's equation with the cofactor; without it, those of some messages.
    """

    def __init__(self, secret: int, *, key: int = 0, nonce: int = 0) -> None:
        self.secret = secret
        self.public = encode(add(times(secret, BASE), times(key, TORSION)))
        self._nonce = nonce

    def sign(self, label: bytes, message: bytes, *, secret_nonce: int = 2**200 + 1) -> bytes:
        first = encode(add(times(secret_nonce, BASE), times(self._nonce, TORSION)))
        answer = secret_nonce + challenge(first, self.public, label + b"\x00" + message) * self.secret
        return first + (answer % ORDER).to_bytes(32, "little")
