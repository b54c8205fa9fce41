"""An Envelope as QR codes: any that are enough give it back, and nothing that is changed passes for whole."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.organisations import FEW, QUICK, case, changed, refused
from support.pieces import expand
from support.qr.qr_codes import to_qr_codes
from support.sealed import Organisation, envelope
from tipbox.errors import Incomplete, Malformed, TipboxError
from tipbox.formats.base.limits import MAX_QR_CODES, MAX_QR_ENVELOPE, QR_BLOCK
from tipbox.formats.envelopes.qr_codes import QrCode, join_qr_codes


@cache
def codes(size: int = 0) -> tuple[bytes, list[QrCode]]:
    """An Envelope without files, or so many random bytes, and its codes."""
    data = secrets.token_bytes(size) if size else envelope([Organisation("kibhr"), Organisation("ili")], 0).whole
    return data, to_qr_codes(data)


def joined(some: Sequence[QrCode]) -> bytes:
    return join_qr_codes(some[0].of, {code.number: code.block for code in some})


@FEW
@given(st.sampled_from([0, 1, QR_BLOCK, QR_BLOCK + 1, 25 * QR_BLOCK]), st.randoms())
def test_any_that_are_enough_are_the_envelope(size: int, draw: Any) -> None:
    data, made = codes(size)
    enough = draw.sample(made, made[0].of.data)
    read = [QrCode.parse(code.encode()) for code in enough]
    assert read == enough
    assert joined(read) == data
    with pytest.raises(Incomplete):
        join_qr_codes(read[0].of, {code.number: code.block for code in read[1:]})


def test_a_sheet_of_six_may_be_lost() -> None:
    """Whatever the Envelope's size: all codes of one printed sheet, and a fifth of all."""
    for size in (1, 12_312, 24_600, MAX_QR_ENVELOPE):
        of = to_qr_codes(secrets.token_bytes(size))[0].of if size < MAX_QR_ENVELOPE else codes(size)[1][0].of
        assert of.parity >= max(6, of.count // 5)
    assert of.count == MAX_QR_CODES


@pytest.mark.parametrize("size", [1, MAX_QR_ENVELOPE])
def test_the_least_and_the_most_are_read(size: int) -> None:
    _, made = codes(size)
    assert [QrCode.parse(code.encode()) for code in made] == made


def test_the_most_that_fits_is_read_with_a_fifth_lost() -> None:
    data, made = codes(MAX_QR_ENVELOPE)
    lost = made[0].of.parity
    assert joined(made[lost:]) == data
    with pytest.raises(TipboxError) as refusal:
        QrCode.parse(QrCode(made[0].of.of(data + b"x", 20), 0, made[0].block).encode())
    assert refusal.value.code == "limit"


@QUICK
@given(st.data())
def test_a_changed_code_is_refused(data: Any) -> None:
    code = codes()[1][3].encode()
    codes_of_errors = {"not-tipbox", "truncated", "version", "limit", "malformed", "trailing"}
    assert refused(partial(QrCode.parse, data.draw(changed(code)))) in codes_of_errors


def test_codes_that_were_made_anew_do_not_pass_for_the_envelope() -> None:
    """Whoever sees a set can make a code with a good check: it is refused when the set is joined."""
    _, made = codes()
    last = made[0].of.count - 1
    for number in (0, last):
        own = made[number]
        false = QrCode.parse(QrCode(own.of, own.number, bytes([own.block[0] ^ 1]) + own.block[1:]).encode())
        rest = [code for code in made if code.number != number][: own.of.data - 1]
        with pytest.raises(Malformed):
            joined([false, *rest])


def test_filling_is_zeros() -> None:
    data, made = codes(QR_BLOCK + 1)
    filled = QrCode(made[1].of, 1, made[1].block[:-1] + b"\1")
    with pytest.raises(Malformed):
        joined([made[0], filled])
    assert joined(made[:2]) == data


def test_the_set_of_the_vectors_joins() -> None:
    data = expand(case("qr-set", "three")["input"]["envelope"])
    assert joined(to_qr_codes(data)[-3:]) == data
