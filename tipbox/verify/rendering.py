"""What should be served: the code of the signed release makes it, from the site list, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from tipbox.errors import InputRefused, NotInstalled
from tipbox.formats.base import canonical
from tipbox.release.served_list import FALLBACK, ServedList

WELL_KNOWN: Final = "/.well-known/tipbox"
SITE: Final = f"{WELL_KNOWN}/site.json"
FILES: Final = f"{WELL_KNOWN}/files.json"
SERVED: Final = f"{WELL_KNOWN}/served.json"
_PATIENCE: Final = 600.0
_RUN: Final = "import sys; sys.path.insert(0, sys.argv.pop(1)); from tipbox.__main__ import main; main()"
_USAGE: Final = 2


@dataclass(frozen=True)
class Expected:
    """A deployment as it should be.

    Attributes:
        bodies: by path, ``/error.html`` among them.
        types: Content-Type by path.
        headers: what each answer carries.
        page_headers: what HTML carries besides.
        language: whose pages the paths without a language lead to.
        release: the version that makes it.
    """

    bodies: Mapping[str, bytes] = field(repr=False)
    types: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    page_headers: Mapping[str, str] = field(repr=False)
    language: str
    release: str

    @property
    def error(self) -> bytes:
        """The page of errors."""
        return self.bodies[FALLBACK]

    @property
    def paths(self) -> list[str]:
        """What is answered with 200."""
        return [path for path in self.bodies if path != FALLBACK]

    @property
    def languages(self) -> list[str]:
        """Those of the pages."""
        return sorted({path.split("/")[1] for path in self.bodies if path.endswith("/") and path != "/"})


def render_with(wheel: Path, site: bytes, out: Path) -> None:
    """Write what the code of a wheel makes of a site list into ``out``, a new folder.

    It runs apart from this program, which may be of another version; what it needs beside itself is taken from here.

    Raises:
        NotInstalled: the server's packages are not here.
        InputRefused: it does not take the list.
    """
    with tempfile.TemporaryDirectory() as made:
        listed = Path(made) / "site.json"
        listed.write_bytes(site)
        run_with(wheel, _RUN, "server", "site", "--site", listed, "--out", out.absolute(), "--json")


def run_with(wheel: Path, program: str, *arguments: str | Path) -> None:
    """Run a program, which puts the folder of its first argument before its own path, with the code of a wheel.

    Raises:
        NotInstalled, InputRefused: as ``render_with``.
    """
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(folder / "code")
        done = subprocess.run(
            [sys.executable, "-I", "-B", "-c", program, folder / "code", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    if done.returncode:
        said = _sentence(done.stderr)
        if done.returncode == _USAGE:
            raise NotInstalled(f"making the pages of the release: {said}")
        raise InputRefused(f"making the pages of the release: {said or 'it ended without a word'}")


def expect(wheel: Path, site: bytes) -> Expected:
    """What a server with this release and this list answers.

    Raises:
        NotInstalled, InputRefused: as ``render_with``.
    """
    with tempfile.TemporaryDirectory() as made:
        out = Path(made) / "site"
        render_with(wheel, site, out)
        files: Any = canonical.decode(_place(out, FILES).read_bytes(), file_form=True)
        served = ServedList.parse(_place(out, SERVED).read_bytes())
        listed = {**files["files"], FALLBACK: files["error"]}
        bodies = {path: _place(out, path).read_bytes() for path in (*listed, FILES)}
    for path, digest in listed.items():
        if sha256(bodies[path]).hexdigest() != digest:
            raise InputRefused(f"making the pages of the release: its own list does not fit {path}")
    types = {**served.types, SERVED: "application/json", FILES: "application/json"}
    return Expected(bodies, types, files["headers"], files["page_headers"], files["language"], files["release"])


def _place(out: Path, path: str) -> Path:
    return out / (f"{path}index.html" if path.endswith("/") else path).lstrip("/")


def _sentence(said: str) -> str:
    """What the other program said, in its one line."""
    try:
        return str(json.loads(said.strip().splitlines()[-1])["message"])
    except (ValueError, IndexError, KeyError, TypeError):
        return ""
