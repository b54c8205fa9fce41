"""Cases of the toll: section 3.2 of docs/protocol.md."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterator

from oracle import Case, case, random, sha256

PUZZLES = 16


def trial(seed: bytes, token: bytes, puzzle: int, nonce: int) -> int:
    password = b"tipbox toll 1" + seed + sha256(token)
    salt = struct.pack(">II", puzzle, nonce)
    return int.from_bytes(hashlib.pbkdf2_hmac("sha256", password, salt, 500, 4))


def solve(seed: bytes, token: bytes, effort: int) -> list[int]:
    bound = (2**32 - 1) // (80 * effort)
    nonces = []
    for puzzle in range(PUZZLES):
        nonce = 0
        while trial(seed, token, puzzle, nonce) > bound:
            nonce += 1
        nonces.append(nonce)
    return nonces


def letters(nonces: list[int]) -> str:
    return base64.urlsafe_b64encode(struct.pack(">16I", *nonces)).decode().rstrip("=")


def cases() -> Iterator[Case]:
    """Proofs that hold, that do not, and that are none."""
    seed, token, hour = bytes(range(32)), bytes(32), 494_000
    first, second = solve(seed, token, 1), solve(seed, token, 2)

    def one(
        name: str, comment: str, written: str, *, holds: bool | None = None, solved: list[int] | None = None
    ) -> Case:
        given = {"seed": seed.hex(), "token": token.hex(), "written": written}
        if holds is None:
            return case(f"toll/{name}", "malformed", comment, given)
        _, hours, effort, _ = written.split(".")
        output = {"hour": int(hours), "effort": int(effort), "nonces": solved or first, "holds": holds}
        return case(f"toll/{name}", "ok", comment, given, output)

    def written(nonces: list[int], effort: int = 1) -> str:
        return f"1.{hour}.{effort}.{letters(nonces)}"

    whole = written(first)
    yield one("one", "effort 1", whole, holds=True)
    more = "effort 2, for which the search goes on from the numbers of effort 1"
    yield one("two", more, written(second, 2), holds=True, solved=second)
    yield one("first-hour", "the hour 0", f"1.0.1.{letters(first)}", holds=True)
    yield one("last-hour", "the largest hour that can be written", f"1.9999999999.1.{letters(first)}", holds=True)
    yield one("too-little", "numbers for effort 1, said to be for effort 2", written(first, 2), holds=False)
    for place in (0, 15):
        wrong = [*first]
        wrong[place] += 1
        yield one(f"wrong-{place}", f"puzzle {place} is not solved", written(wrong), holds=False, solved=wrong)
    swapped = [first[1], first[0], *first[2:]]
    yield one("swapped", "numbers of two puzzles changed places", written(swapped), holds=False, solved=swapped)
    foreign = solve(seed, random("toll token"), 1)
    yield one("foreign", "solved for another token", written(foreign), holds=False, solved=foreign)
    other = solve(random("toll seed"), token, 1)
    yield one("other-seed", "solved for the seed of another hour", written(other), holds=False, solved=other)
    tail = letters(first)
    yield one("version", "another version", "2" + whole[1:])
    yield one("hour-zero", "an hour that begins with 0", f"1.0{hour}.1.{tail}")
    yield one("hour-long", "an hour of eleven digits", f"1.10000000000.1.{tail}")
    yield one("hour-none", "no hour", f"1..1.{tail}")
    yield one("hour-sign", "an hour with a sign", f"1.+{hour}.1.{tail}")
    yield one("hour-digits", "an hour in digits of another script", f"1.\u0663.1.{tail}")
    yield one("effort-zero", "effort 0", f"1.{hour}.0.{tail}")
    yield one("effort-four", "an effort that is not on the ladder", f"1.{hour}.4.{tail}")
    yield one("effort-high", "an effort above the ladder", f"1.{hour}.900.{tail}")
    yield one("effort-begins", "an effort that begins with 0", f"1.{hour}.01.{tail}")
    yield one("short", "a character of the numbers is missing", whole[:-1])
    yield one("long", "a character too many", whole + "A")
    yield one("padding", "base64 with padding", whole + "==")
    yield one("standard", "standard base64", f"1.{hour}.1." + tail[:-3] + "+" + tail[-2:])
    yield one("spelling", "bits set behind the last number", whole[:-1] + chr(ord(whole[-1]) + 1))
    yield one("line", "a line feed at the end", whole + "\n")
    yield one("empty", "nothing", "")
