"""A release as it lies in a folder (docs/releases.md, section 1), and whether it may be trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Final, TypeVar

from tipbox.errors import InputRefused, NotFound, TipboxError
from tipbox.release.release_errors import NotLogged, ReleaseChanged
from tipbox.release.release_list import MAX_RELEASE, ReleaseList
from tipbox.release.signers import MAX_SIGNERS_FILE, LogPolicy, Signers
from tipbox.release.sigsum_proof import MAX_PROOF, check_proof
from tipbox.release.ssh_signature import MAX_SIGNATURE_FILE

LIST: Final = "release.json"
PROOF: Final = "release.proof"
SIGNATURES: Final = "signatures"
SIGNERS: Final = "signers"
BESIDE: Final = frozenset({LIST, PROOF, SIGNATURES, SIGNERS, "SHA256SUMS.sig", "rebuilt"})
"""What a release's list does not name: itself, what signs it, and what others add."""
_MAX_REPLACEMENTS: Final = 64
_T = TypeVar("_T")


@dataclass(frozen=True)
class TrustedRelease:
    """A release whose list enough of the signers signed, and whose files are those of the list.

    Attributes:
        listed: the list.
        signed_by: names of those whose signatures are good.
        signers: the ones in force: those that were given, or what they were replaced by.
    """

    folder: Path
    listed: ReleaseList
    signed_by: tuple[str, ...]
    signers: Signers

    @property
    def wheel(self) -> Path:
        """Its one wheel."""
        return self._one(".whl")

    @property
    def source(self) -> Path:
        """Its one source package."""
        return self._one(".tar.gz")

    def _one(self, ending: str) -> Path:
        begins = f"tipbox-{self.listed.release}"
        names = [name for name in self.listed.files if "/" not in name]
        found = [name for name in names if name.startswith((f"{begins}-", f"{begins}.tar")) and name.endswith(ending)]
        if len(found) != 1:
            raise InputRefused(f"reading the release: it has not one file {begins} with the ending {ending}")
        return self.folder / found[0]


def read_signers(path: Path) -> Signers:
    """``signers.json``.

    Raises:
        TipboxError: it is none; the file is named.
    """
    return _named(path, lambda: Signers.parse(_read(path, MAX_SIGNERS_FILE)))


def open_release(folder: Path, given: Signers, today: date) -> TrustedRelease:
    """A release of ``folder``, when it may be trusted.

    Raises:
        NotSigned: too few signatures, a changed file, new signers that the old ones did not sign, or past its day.
        TipboxError: it is no release.
    """
    data = _read(folder / LIST, MAX_RELEASE)
    signers = _replaced(folder / SIGNERS, given)
    signed_by = signers.check(data, _signatures(folder / SIGNATURES, signers), f"the release in {folder}")
    listed = _named(folder / LIST, lambda: ReleaseList.parse(data))
    listed.check_day(today)
    if signers.log is not None:
        _check_logged(folder, data, signers, signers.log)
    _check_files(folder, listed)
    return TrustedRelease(folder, listed, tuple(signed_by), signers)


def _named(path: Path, read: Callable[[], _T]) -> _T:
    try:
        return read()
    except TipboxError as error:
        raise type(error)(f"reading {path}: {error}") from error


def _replaced(folder: Path, signers: Signers) -> Signers:
    """What the given signers were replaced by, one step after another."""
    for _ in range(_MAX_REPLACEMENTS):
        path = folder / f"{signers.number + 1}.json"
        if not path.exists():
            break
        signers = signers.replaced_by(_read(path, MAX_SIGNERS_FILE), _signatures(path.with_suffix(""), signers))
    return signers


def _signatures(folder: Path, signers: Signers) -> dict[str, bytes]:
    """The signatures that are there, by the names of signers: no other file is opened."""
    paths = {name: folder / f"{name}.sig" for name in signers.keys}
    return {name: _read(path, MAX_SIGNATURE_FILE) for name, path in paths.items() if path.is_file()}


def _check_logged(folder: Path, data: bytes, signers: Signers, policy: LogPolicy) -> None:
    try:
        proof = _read(folder / PROOF, MAX_PROOF)
    except NotFound as error:
        raise NotLogged(f"checking the release: {PROOF} is missing, which shows that it was published") from error
    check_proof(proof, sha256(data).digest(), tuple(signers.keys.values()), policy)


def _check_files(folder: Path, listed: ReleaseList) -> None:
    there = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }
    there = {name: path for name, path in there.items() if name.split("/")[0] not in BESIDE}
    if more := sorted(there.keys() - listed.files.keys()):
        raise ReleaseChanged(f"checking the release: {more[0]} is in the folder and not in the list; get it again")
    for name, digest in listed.files.items():
        path = there.get(name)
        if path is None or path.is_symlink() or not path.is_file():
            raise ReleaseChanged(f"checking the release: {name} is missing; get it again")
        with path.open("rb") as file:
            if file_digest(file, "sha256").digest() != digest:
                raise ReleaseChanged(f"checking the release: {name} is not what was signed; get it again")


def _read(path: Path, most: int) -> bytes:
    if path.exists() and not path.is_file():  # a pipe would never end
        raise InputRefused(f"reading {path}: this is no file; get it again")
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"opening {path}: it is not there; check the name of the folder") from error
    if len(data) > most:
        raise InputRefused(f"reading {path}: it is larger than {most:,} bytes")
    return data
