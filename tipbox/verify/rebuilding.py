"""Building a release again from its source alone, and saying so with a signature (docs/releases.md, section 6)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Final

from tipbox.errors import InputRefused, NotInstalled
from tipbox.formats.base.canonical import Json
from tipbox.release.release_folder import TrustedRelease
from tipbox.release.signed_line import SignedLine
from tipbox.verify.watch_key import read_key

_PATIENCE: Final = 3600.0
_BUILT: Final = ("client/dist", "client/node_modules")
_LISTS: Final = "tipbox/formats/wordlists"
"""Of what the source brings along built, what is built again; tools that it brought along could build anything."""


def compare_rebuilt(release: TrustedRelease, client: Path | None = None) -> tuple[dict[str, str], list[str]]:
    """SHA-256 (hex) by name of wheel and source as they are built here, and what differs from the release.

    The source is unpacked, and what it brings along built is thrown away: scripts, styles and lists of words are made
    again from their sources, with the tools that the lock files pin. ``client``: what npm installed elsewhere from the
    same lock file; otherwise npm asks for it.

    Raises:
        NotInstalled: what builds is not here.
        InputRefused: the build failed, or the source is none.
    """
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        tree = _unpack(release.source, folder / "source")
        if client is not None:
            shutil.copytree(client, tree / "client" / "node_modules", symlinks=True)
        out = folder / "out"
        command = (sys.executable, "-m", "build", "--no-isolation", "--outdir", out)
        done = subprocess.run(
            command,
            cwd=tree,
            env=os.environ | {"SOURCE_DATE_EPOCH": str(release.listed.epoch)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        if "No module named build" in done.stderr:
            raise NotInstalled(
                "building again: what builds is not here; install it from requirements-build.lock of the release"
            )
        if done.returncode:
            last = (done.stdout + done.stderr).strip().splitlines()[-1:]
            raise InputRefused(f"building again: it ended with {done.returncode}: {' '.join(last)}")
        files = {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(out.iterdir())}
    wanted = {path.name: release.listed.files[path.name].hex() for path in (release.wheel, release.source)}
    found = [f"{name}: it is {files.get(name, 'not made')} here" for name in wanted if files.get(name) != wanted[name]]
    return files, found


def sign_rebuilt(release: TrustedRelease, files: dict[str, str], key: Path) -> SignedLine:
    """The line "I built this commit to these hashes"."""
    said: dict[str, Json] = {
        "commit": release.listed.commit.hex(),
        "files": dict(files),
        "release": release.listed.release,
    }
    return SignedLine.make("rebuilt", said, read_key(key))


def _unpack(source: Path, to: Path) -> Path:
    try:
        with tarfile.open(source, "r:gz") as packed:
            packed.extractall(to, filter="data")
        (tree,) = to.iterdir()
    except (tarfile.TarError, ValueError, OSError) as error:
        raise InputRefused(f"building again: {source.name} cannot be unpacked") from error
    # With it, the build would take the built client as it is.
    (tree / "PKG-INFO").unlink(missing_ok=True)
    for built in _BUILT:
        shutil.rmtree(tree / built, ignore_errors=True)
    for path in (tree / _LISTS).glob("*.txt"):
        path.unlink()
    return tree
