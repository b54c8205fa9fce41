"""Signatures of releases: as ssh-keygen writes them, in one spelling, by as many as must."""

from __future__ import annotations

from dataclasses import replace

import pytest

from release.made import Maker, ssh_keygen
from tipbox.errors import BadSignature
from tipbox.release.release_errors import NotSigned, SignersChanged
from tipbox.release.ssh_signature import check_ssh_signature, ssh_line


@pytest.fixture(name="maker", scope="module")
def _maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker(tmp_path_factory.mktemp("maker") / "keys")


def test_what_ssh_keygen_signs_is_taken_in_its_one_spelling(maker: Maker) -> None:
    signature, key = maker.signature("aigul", b"message"), maker.public("aigul")
    check_ssh_signature(b"message", signature, key)
    spoilt = [
        (b"massage", signature, key),
        (b"message", signature, maker.public("boris")),
        (b"message", maker.signature("aigul", b"message", "tipbox-kit"), key),
        (b"message", signature.replace(b"BEGIN", b"BEGUN"), key),
        (b"message", b"", key),
        (b"message", b"\xff", key),
        (b"message", bytes(2000), key),
        (b"message", b"\n".join([*signature.splitlines()[:2], signature.splitlines()[-1]]), key),
    ]
    for message, other, public in spoilt:
        with pytest.raises(BadSignature):
            check_ssh_signature(message, other, public)
    for position in range(40, len(signature) - 40, 7):
        changed = bytearray(signature)
        changed[position] ^= 1
        with pytest.raises(BadSignature):
            check_ssh_signature(b"message", bytes(changed), key)


def test_people_without_tipbox_verify_the_same_signature(maker: Maker) -> None:
    allowed, signature = maker.folder / "allowed", maker.folder / "one.sig"
    allowed.write_text("".join(ssh_line(name, maker.public(name)) for name in maker.names))
    signature.write_bytes(maker.signature("clara", b"message"))
    options = ("-Y", "verify", "-f", allowed, "-I", "clara", "-n", "tipbox-release", "-s", signature)
    assert b"Good" in ssh_keygen(*options, data=b"message")


def test_a_threshold_counts_people_and_not_files(maker: Maker) -> None:
    signed = {name: maker.signature(name, b"m") for name in maker.names}
    signers = maker.signers
    assert signers.check(b"m", signed, "it") == list(maker.names)
    assert signers.check(b"m", {name: signed[name] for name in ("boris", "clara")}, "it") == ["boris", "clara"]
    for few in ({}, {"aigul": signed["aigul"]}, dict.fromkeys(maker.names, signed["aigul"])):
        with pytest.raises(NotSigned, match="of the 2 signatures that it needs"):
            signers.check(b"m", few, "it")


def test_signers_are_replaced_by_those_before_them_alone(maker: Maker) -> None:
    signers = maker.signers
    following = replace(signers, number=2, threshold=1, keys={"dina": maker.public("dina")})
    data = following.encode()
    signed = {name: maker.signature(name, data) for name in (*maker.names, "dina")}
    assert signers.replaced_by(data, signed) == following
    for few in ({"dina": signed["dina"]}, {"aigul": signed["aigul"]}):
        with pytest.raises(SignersChanged):
            signers.replaced_by(data, few)
    skipped = replace(following, number=3).encode()
    with pytest.raises(SignersChanged, match="number 3"):
        signers.replaced_by(skipped, {name: maker.signature(name, skipped) for name in maker.names})
