"""Primitives: what strangers may hand to them gives a TipboxError and nothing else."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from support.organisations import QUICK, changed, refused
from tipbox.errors import TipboxError
from tipbox.formats.base import labels
from tipbox.formats.base.primitives import (
    SigningKey,
    hkdf,
    hpke_open,
    hpke_seal,
    keystream,
    open_part,
    part_nonce,
    seal_part,
    sign,
    verify,
    xwing_public,
)

SEED = bytes(range(32))
PUBLIC = xwing_public(SEED)
SEALED = hpke_seal(PUBLIC, b"info", b"secret")


def test_hkdf_is_rfc_5869() -> None:
    """Test case 1 of RFC 5869, whose 42 bytes start with ours."""
    info = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9")
    found = hkdf(b"\x0b" * 22, bytes(range(13)), info)

    assert found == bytes.fromhex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf")


def test_hpke_seals_anew_each_time() -> None:
    assert hpke_open(SEED, b"info", SEALED) == b"secret"
    assert hpke_seal(PUBLIC, b"info", b"secret") != SEALED


@QUICK
@given(changed(SEALED))
def test_hpke_refuses_every_change(sealed: bytes) -> None:
    assert refused(lambda: hpke_open(SEED, b"info", sealed)) == "tampered"


def test_hpke_refuses_other_info_and_key() -> None:
    assert refused(lambda: hpke_open(SEED, b"other", SEALED)) == "tampered"
    assert refused(lambda: hpke_open(bytes(32), b"info", SEALED)) == "tampered"


@pytest.mark.parametrize(
    "public",
    [b"", PUBLIC[:-1], PUBLIC + b"\x00", b"\xff" * 1216, bytes(1216), PUBLIC[:1184] + bytes(32)],
    ids=["empty", "short", "long", "numbers out of range", "zeros", "X25519 of small order"],
)
def test_hpke_refuses_keys_that_are_none(public: bytes) -> None:
    """A receiving key is a stranger's word."""
    assert refused(lambda: hpke_seal(public, b"info", b"secret")) == "malformed"


@QUICK
@given(st.binary(min_size=1216, max_size=1216))
def test_hpke_takes_or_refuses_any_key(public: bytes) -> None:
    try:
        sealed = hpke_seal(public, b"info", b"secret")
    except TipboxError as error:
        assert error.code == "malformed"  # noqa: PT017
    else:
        assert len(sealed) == len(SEALED)


KEY = SigningKey(SEED)
SIGNATURE = sign(labels.ACK, b"message", KEY)


@QUICK
@given(changed(SIGNATURE))
def test_signatures_refuse_every_change(signature: bytes) -> None:
    assert refused(lambda: verify(labels.ACK, b"message", signature, KEY.verify_key.encode())) == "bad-signature"


@QUICK
@given(st.binary(max_size=70), st.binary(max_size=40))
def test_signatures_refuse_anything_else(signature: bytes, public: bytes) -> None:
    assert refused(lambda: verify(labels.ACK, b"message", signature, public)) == "bad-signature"


@pytest.mark.parametrize("public", [bytes(32), b"\x01" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"])
def test_signatures_refuse_keys_of_small_order(public: bytes) -> None:
    """Under such a key one signature would hold for many messages."""
    assert refused(lambda: verify(labels.ACK, b"message", public + bytes(32), public)) == "bad-signature"


PART = seal_part(AESGCM(SEED), 7, b"part", last=False)


@QUICK
@given(changed(PART))
def test_parts_refuse_every_change(sealed: bytes) -> None:
    assert refused(lambda: open_part(AESGCM(SEED), 7, sealed, last=False)) == "tampered"


@pytest.mark.parametrize(("counter", "last"), [(6, False), (8, False), (7, True)])
def test_parts_open_in_their_place_only(counter: int, last: bool) -> None:  # noqa: FBT001
    assert open_part(AESGCM(SEED), 7, PART, last=False) == b"part"
    assert refused(lambda: open_part(AESGCM(SEED), counter, PART, last=last)) == "tampered"


@given(st.integers(0, 2**88 - 1), st.booleans())
def test_nonces_are_counter_and_flag(counter: int, last: bool) -> None:  # noqa: FBT001
    nonce = part_nonce(counter, last=last)

    assert (int.from_bytes(nonce[:11]), nonce[11]) == (counter, last)


@given(st.integers(0, 500), st.integers(1, 200))
def test_keystream_does_not_depend_on_its_chunks(size: int, chunk: int) -> None:
    joined = b"".join(keystream(SEED, size, chunk))

    assert len(joined) == size
    assert joined == b"".join(keystream(SEED, 500, 500))[:size]
