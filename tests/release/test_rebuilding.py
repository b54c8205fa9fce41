"""What ``tipbox verify --rebuild`` hands to the build, and what it makes of the result; the build itself is another's.

``tests/deploy/test_release.py`` builds for real.
"""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import pytest

from release.made import TODAY, Maker
from tipbox.errors import InputRefused, NotInstalled
from tipbox.release.release_folder import TrustedRelease, open_release
from tipbox.verify.rebuilding import compare_rebuilt

WHEEL, SOURCE = "tipbox-1.2.0-py3-none-any.whl", "tipbox-1.2.0.tar.gz"
FILES = (
    *("PKG-INFO", "pyproject.toml", "client/package-lock.json", "client/src/page.ts", "client/dist/page.js"),
    *("client/node_modules/esbuild/bin/esbuild", "client/node_modules/.package-lock.json"),
    *("tipbox/formats/wordlists/en.txt", "tipbox/formats/wordlists/__init__.py"),
)
LEFT = {"pyproject.toml", "client/package-lock.json", "client/src/page.ts", "tipbox/formats/wordlists/__init__.py"}
BUILD = """#!{python}
import os, pathlib, sys
assert sys.argv[1:4] == ["-m", "build", "--no-isolation"], sys.argv
assert os.environ["SOURCE_DATE_EPOCH"] == "1580601600"
there = {{path.as_posix() for path in pathlib.Path().rglob("*") if path.is_file()}}
assert there == {left!r}, there
out = pathlib.Path(sys.argv[sys.argv.index("--outdir") + 1])
out.mkdir()
{then}
"""


def packed() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name in FILES:
            entry = tarfile.TarInfo(f"tipbox-1.2.0/{name}")
            entry.size = len(name)
            archive.addfile(entry, io.BytesIO(name.encode()))
    return made.getvalue()


@pytest.fixture(name="release", scope="module")
def _release(tmp_path_factory: pytest.TempPathFactory) -> TrustedRelease:
    folder = tmp_path_factory.mktemp("rebuilding")
    maker = Maker(folder / "maintainers")
    maker.release(folder / "release", {WHEEL: b"wheel", SOURCE: packed()})
    return open_release(folder / "release", maker.signers, TODAY)


def builds(folder: Path, patch: pytest.MonkeyPatch, then: str) -> None:
    """From now on this is what builds."""
    script = folder / "python"
    script.write_text(BUILD.format(python=sys.executable, left=LEFT, then=then), encoding="utf-8")
    script.chmod(0o755)
    patch.setattr(sys, "executable", str(script))


def test_nothing_that_the_source_brings_along_built_is_used(
    release: TrustedRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scripts, lists, and the tools that build: who wrote the source could have put others there."""
    source = f"(out / {SOURCE!r}).write_bytes(pathlib.Path({str(release.source)!r}).read_bytes())"
    same = f"(out / {WHEEL!r}).write_bytes(b'wheel')\n{source}"
    builds(tmp_path, monkeypatch, same)
    made, found = compare_rebuilt(release)
    assert (sorted(made), found) == ([WHEEL, SOURCE], [])


def test_other_bytes_and_none_are_named(
    release: TrustedRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds(tmp_path, monkeypatch, f"(out / {WHEEL!r}).write_bytes(b'another')")
    _, found = compare_rebuilt(release)
    assert [one.split(": it is ")[0] for one in found] == [WHEEL, SOURCE]
    assert found[1] == f"{SOURCE}: it is not made here"


FAILS = {
    "No module named build": (NotInstalled, "what builds is not here"),
    "npm: no network": (InputRefused, "it ended with 1: npm: no network"),
}


@pytest.mark.parametrize("said", FAILS)
def test_a_build_that_fails_says_why(
    release: TrustedRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    error, sentence = FAILS[said]
    builds(tmp_path, monkeypatch, f"sys.exit({said!r})")
    with pytest.raises(error, match=sentence):
        compare_rebuilt(release)
