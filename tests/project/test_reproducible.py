"""A release is the same bytes, whoever makes it, where and when; and from its source alone it is made once more."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

from release.made import Maker
from support.clock import DAY, later
from support.tree import ROOT, copy_tree, tracked_files
from tipbox.release.release_folder import open_release
from tipbox.release.signed_line import SignedLine
from tipbox.verify.rebuilding import compare_rebuilt, sign_rebuilt

COMMIT = "12" * 20
BACKWARDS = """
import os

_scandir, _listdir = os.scandir, os.listdir


class _Backwards:
    def __init__(self, path):
        with _scandir(path) as entries:
            self._entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._entries)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def close(self):
        return None


os.scandir = lambda path=".": _Backwards(path)
os.listdir = lambda path=".": sorted(_listdir(path), reverse=True)
"""
"""A module `sitecustomize`, with which Python is told the files of a folder from the last to the first."""


@dataclass(frozen=True)
class Builder:
    """Who builds: the folder, and what differs from one machine to another."""

    folder: str
    umask: int
    environment: dict[str, str]
    site: str = field(default="", repr=False)

    def build(self, at: Path) -> dict[str, bytes]:
        """The folder of a release: bytes by path."""
        tree = copy_tree(at / self.folder)
        # What npm brings is pinned by hash, and its servers' certificates are not valid in every year.
        shutil.copytree(ROOT / "client" / "node_modules", tree / "client" / "node_modules", symlinks=True)
        for path in tracked_files():
            (tree / path).chmod((0o777 if os.access(ROOT / path, os.X_OK) else 0o666) & ~self.umask)
        (at / "site").mkdir()
        (at / "site" / "sitecustomize.py").write_text(self.site, encoding="utf-8")
        kept = {key: value for key, value in os.environ.items() if key not in {"LANG", "SOURCE_DATE_EPOCH", "TZ"}}
        done = subprocess.run(
            (
                *(sys.executable, "deploy/make_release.py", "--out", at / "out"),
                *("--commit", COMMIT, "--expires", "2100-01-01"),
            ),
            cwd=tree,
            env=kept | self.environment | {"PYTHONPATH": f"{at / 'site'}:{tree}"},
            umask=self.umask,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return {
            str(made.relative_to(at / "out")): made.read_bytes() for made in (at / "out").rglob("*") if made.is_file()
        }


BUILDERS = (
    Builder("tipbox", 0o022, {"LC_ALL": "C", "TZ": "UTC"}),
    Builder(
        "somewhere/else entirely",
        0o077,
        {"LC_ALL": "C.UTF-8", "TZ": "Asia/Almaty", "HOME": "/nonexistent", "USER": "nobody"} | later(400 * DAY),
        BACKWARDS,
    ),
)


def test_two_builders_make_the_same_bytes(tmp_path: Path) -> None:
    """Another folder, umask, locale, time zone, time, user and order of files, and nothing of it in the release."""
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(Builder.build, BUILDERS, (tmp_path / "first", tmp_path / "second"))

    assert {"release.json", "SHA256SUMS", "sbom.cdx.json", "site/en/index.html", "kit/README.txt"} <= first.keys()
    assert b"<div id=\"manifests\" hidden data-files='[]'>" in first["offline.html"]
    assert {Path(name).suffix for name in first} >= {".gz", ".whl", ".lock"}
    assert {name: sha256(data).hexdigest() for name, data in first.items()} == {
        name: sha256(data).hexdigest() for name, data in second.items()
    }
    assert_list_of_parts(json.loads(first["sbom.cdx.json"]))
    stranger_builds_it_again(tmp_path)


def assert_list_of_parts(parts: Any) -> None:
    """CycloneDX: what the lock files pin, each with its hashes."""
    assert (parts["bomFormat"], parts["specVersion"]) == ("CycloneDX", "1.6")
    found = {part["purl"].partition("@")[0]: part for part in parts["components"]}
    assert {"pkg:pypi/flask", "pkg:pypi/cryptography", "pkg:pypi/hatchling", "pkg:npm/esbuild"} <= found.keys()
    assert all(part["hashes"] and part["version"] for part in parts["components"])


def stranger_builds_it_again(folder: Path) -> None:
    """From the source package alone; and says so with a signature."""
    maker = Maker(folder / "maintainers")
    release = folder / "first" / "out"
    maker.sign(release / "release.json", "aigul", "clara")
    trusted = open_release(release, maker.signers, date(2027, 1, 1))
    # What npm brings is pinned by hash: from this checkout, as a cache would bring it.
    made, found = compare_rebuilt(trusted, client=ROOT / "client" / "node_modules")
    assert found == []
    line = sign_rebuilt(trusted, made, folder / "key")
    assert SignedLine.parse(line.data).said == {
        "commit": COMMIT,
        "files": {path.name: sha256(path.read_bytes()).hexdigest() for path in (trusted.wheel, trusted.source)},
        "release": trusted.listed.release,
    }
