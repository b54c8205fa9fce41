"""A release in a folder: what is not as it was signed is refused, each kind with a sentence of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from release.made import TODAY, Maker
from release.test_sigsum import OWN_LOG, SEES, public
from tipbox.errors import InputRefused, NotFound, TipboxError
from tipbox.release.release_errors import (
    NotLogged,
    NotSigned,
    ReleaseChanged,
    ReleaseExpired,
    ReleaseOlder,
    SignersChanged,
)
from tipbox.release.release_folder import open_release, read_signers
from tipbox.release.signers import LogPolicy

FILES = {"kit/INSTALL.txt": b"kit", "site/en/index.html": b"page", "requirements.lock": b"a==1\n"}


@pytest.fixture(name="maker", scope="module")
def _maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker(tmp_path_factory.mktemp("maker") / "keys")


@pytest.fixture(name="folder")
def _folder(maker: Maker, tmp_path: Path) -> Path:
    maker.release(tmp_path / "release", FILES)
    return tmp_path / "release"


def test_a_release_that_two_of_three_signed_is_trusted(maker: Maker, folder: Path, tmp_path: Path) -> None:
    signers = read_signers(maker.write_signers(tmp_path / "signers.json"))
    release = open_release(folder, signers, TODAY)
    assert release.signed_by == ("aigul", "boris")
    assert (release.wheel.name, release.source.name) == ("tipbox-1.2.0-py3-none-any.whl", "tipbox-1.2.0.tar.gz")
    assert open_release(folder, signers, release.listed.expires) == release
    (folder / "rebuilt").mkdir()
    (folder / "rebuilt" / "somebody.json").write_bytes(b"{}")
    (folder / "SHA256SUMS.sig").write_bytes(b"")
    assert open_release(folder, signers, TODAY) == release
    release.listed.check_not_older("1.2.0")
    with pytest.raises(ReleaseOlder, match=r"1\.2\.0 is older than 1\.2\.1"):
        release.listed.check_not_older("1.2.1")


def _change(folder: Path, name: str) -> None:
    path = folder / name
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def _link(folder: Path) -> None:
    (folder / "requirements.lock").rename(folder.parent / "elsewhere")
    (folder / "requirements.lock").symlink_to(folder.parent / "elsewhere")


def _pipe(folder: Path) -> None:
    """Who opens it waits for ever."""
    (folder / "requirements.lock").unlink()
    os.mkfifo(folder / "requirements.lock")


def _pipe_of_signers(folder: Path) -> None:
    (folder / "signers").mkdir()
    os.mkfifo(folder / "signers" / "2.json")


WRONG: dict[str, tuple[Callable[[Path], object], type[TipboxError], str]] = {
    **{
        f"a byte of {name}": (lambda folder, name=name: _change(folder, name), ReleaseChanged, name)  # type: ignore[misc]
        for name in (*FILES, "tipbox-1.2.0.tar.gz", "tipbox-1.2.0-py3-none-any.whl", "sbom.cdx.json")
    },
    "a byte of the list": (lambda folder: _change(folder, "release.json"), NotSigned, "0 of the 2"),
    "one signature": (lambda folder: (folder / "signatures" / "boris.sig").unlink(), NotSigned, "1 of the 2"),
    "no signature": (lambda folder: shutil.rmtree(folder / "signatures"), NotSigned, "0 of the 2"),
    "a signature under two names": (
        lambda folder: shutil.copy(folder / "signatures" / "boris.sig", folder / "signatures" / "aigul.sig"),
        NotSigned,
        "1 of the 2",
    ),
    "a file more": (lambda folder: (folder / "site" / "more.js").write_bytes(b""), ReleaseChanged, r"site/more\.js"),
    "a file less": (lambda folder: (folder / "kit" / "INSTALL.txt").unlink(), ReleaseChanged, "kit/INSTALL"),
    "a link": (_link, ReleaseChanged, "requirements"),
    "a pipe": (_pipe, ReleaseChanged, "requirements"),
    "signers who are a pipe": (_pipe_of_signers, InputRefused, "this is no file"),
    "a letter that looks alike": (
        lambda folder: (folder / "kit" / "INST\N{CYRILLIC CAPITAL LETTER A}LL.txt").write_bytes(b""),
        ReleaseChanged,
        "INST",
    ),
    "the same in small letters": (
        lambda folder: (folder / "kit" / "install.txt").write_bytes(b"kit"),
        ReleaseChanged,
        r"kit/install\.txt",
    ),
    "a folder that is a link": (lambda folder: (folder / "site" / "ru").symlink_to("en"), ReleaseChanged, "site/ru"),
    "no list": (lambda folder: (folder / "release.json").unlink(), NotFound, "not there"),
}


@pytest.mark.parametrize("what", WRONG)
def test_whatever_is_not_as_it_was_signed_is_refused(maker: Maker, folder: Path, what: str) -> None:
    alter, error, sentence = WRONG[what]
    alter(folder)
    with pytest.raises(error, match=sentence) as refused:
        open_release(folder, maker.signers, TODAY)
    assert type(refused.value) is error


def test_after_its_last_day_it_is_refused(maker: Maker, folder: Path) -> None:
    with pytest.raises(ReleaseExpired, match="expired after 2027-06-01"):
        open_release(folder, maker.signers, date(2027, 6, 1) + timedelta(1))


@pytest.mark.parametrize("signed", [("aigul", "clara"), ("clara",)])
def test_new_signers_are_followed_when_the_old_ones_put_them_there(
    maker: Maker, tmp_path: Path, signed: tuple[str, ...]
) -> None:
    folder = tmp_path / "release"
    maker.release(folder, FILES, "dina")
    following = replace(maker.signers, number=2, threshold=1, keys={"dina": maker.public("dina")})
    (folder / "signers").mkdir()
    path = maker.write_signers(folder / "signers" / "2.json", following)
    maker.sign(path, *signed, into=folder / "signers" / "2")
    if len(signed) == 2:
        assert open_release(folder, maker.signers, TODAY).signers == following
    else:
        with pytest.raises(SignersChanged, match="those before them"):
            open_release(folder, maker.signers, TODAY)


@pytest.mark.parametrize("proof", [b"", b"version=2\n", None])
def test_signers_who_want_a_log_refuse_a_release_without_its_proof(
    maker: Maker, folder: Path, proof: bytes | None
) -> None:
    policy = LogPolicy((public(OWN_LOG),), (public(SEES),), 1)
    signers: Any = replace(maker.signers, log=policy)
    if proof is not None:
        (folder / "release.proof").write_bytes(proof)
    with pytest.raises(NotLogged):
        open_release(folder, signers, TODAY)
