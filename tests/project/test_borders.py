"""Who imports whom, what importing does, and that the desk never touches a network.

The borders themselves are the contracts of import-linter in `pyproject.toml`. They look at every import in the sources,
also inside functions that a run may never reach, and at what is reached by way of other modules.
"""

from __future__ import annotations

import ast
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import pytest

import tipbox
from support.desk import PASSWORD, Desk, Desks, Exporter, seal_tip
from tipbox.formats.base import days

WEB = ("flask", "sqlalchemy", "alembic", "gunicorn", "gevent", "obstore", "werkzeug", "valkey")
NETWORK = ("httpx", "httpcore", "tenacity", "socket", "ssl", "http.client", "urllib.request", "asyncio")
TOP = ("tipbox.cli", "tipbox.demo", "tipbox.__main__")
ROLES = (
    "tipbox.server",
    "tipbox.desk",
    "tipbox.source",
    "tipbox.courier",
    "tipbox.verify",
    "tipbox.net",
    "tipbox.commands",
)


PAGES = "tipbox.desk.pages"
"""The pages of ``tipbox desk serve``."""

ROOT = Path(tipbox.__file__).parents[1]
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]
BORDERS = {
    # the core
    ("tipbox.errors", "tipbox.formats"),
    ("tipbox.formats", "tipbox.files"),
    ("tipbox.formats", "os"),
    ("tipbox.formats", "pathlib"),
    ("tipbox.formats", "flask"),
    ("tipbox.formats", "sqlalchemy"),
    ("tipbox.formats", "httpx"),
    ("tipbox.formats", "socket"),
    ("tipbox.files", "tipbox.net"),
    ("tipbox.files", "tipbox.server"),
    ("tipbox.files", "tipbox.desk"),
    ("tipbox.files", "flask"),
    ("tipbox.files", "sqlalchemy"),
    # the roles
    ("tipbox.desk", "tipbox.server"),
    ("tipbox.server", "tipbox.desk"),
    ("tipbox.desk", "tipbox.net"),
    ("tipbox.desk", "socket"),
    *(
        (keys, opens)
        for keys in ("tipbox.desk", "tipbox.commands.desk")
        for opens in ("PIL", "av", "pypdfium2", "zipfile")
    ),
    ("tipbox.commands.desk", "tipbox.server"),
    ("tipbox.commands.desk", "socket"),
    ("tipbox.commands.desk", "flask"),
    ("tipbox.desk.importing.importer", "tipbox.desk.pages"),
    *((f"tipbox.commands.desk.{name}", "tipbox.desk.pages") for name in ("desk_group", "desk_import", "desk_show")),
    *((role, other) for role in ("tipbox.source", "tipbox.courier") for other in ("tipbox.server", "tipbox.desk")),
    ("tipbox.net", "tipbox.server"),
    ("tipbox.net", "tipbox.desk"),
    *(("tipbox.verify", role) for role in ("tipbox.server", "tipbox.desk", "tipbox.source", "tipbox.courier")),
    *((role, "tipbox.verify") for role in ("tipbox.server", "tipbox.desk", "tipbox.release")),
    *(("tipbox.release", outside) for outside in ("tipbox.net", "tipbox.server", "httpx", "socket", "subprocess")),
    *((role, "tipbox.commands") for role in ("tipbox.server", "tipbox.desk", "tipbox.source", "tipbox.courier")),
    ("tipbox.commands", "tipbox.cli"),
    # the server
    *(("tipbox.server.storage", web) for web in ("flask", "werkzeug", "gunicorn", "http", "tipbox.server.web")),
    ("tipbox.server.storage", "tipbox.server.refusal"),
    ("tipbox.server.storage", "tipbox.server.uploads"),
    ("tipbox.server.uploads", "tipbox.server.mailboxes"),
    ("tipbox.server.mailboxes", "tipbox.server.uploads"),
    *((f"tipbox.server.{room}", "flask") for room in ("uploads", "bundles", "mailboxes", "backup")),
    *((f"tipbox.server.{room}", "tipbox.server.web") for room in ("uploads", "bundles", "mailboxes")),
    ("tipbox.server.web", "gunicorn"),
    ("tipbox.server.web", "tipbox.server.process"),
    ("tipbox.server.web", "tipbox.server.upkeep"),
}
"""Importer and imported: what the contracts must forbid, whatever else they come to say."""


def modules(*roles: str) -> list[str]:
    """All modules, or those of some packages. Alembic's scripts are no modules to import."""
    names = [name for _, name, _ in pkgutil.walk_packages(tipbox.__path__, "tipbox.") if "migrations." not in name]
    return [name for name in names if name.startswith(roles)] if roles else names


def core() -> list[str]:
    return [name for name in modules() if not name.startswith(ROLES) and name not in TOP]


def loaded_by(names: list[str]) -> set[str]:
    """What a fresh interpreter has loaded after importing these."""
    code = f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def of(packages: tuple[str, ...], loaded: set[str]) -> set[str]:
    return {
        name for name in loaded if name.startswith(tuple(f"{package}." for package in packages)) or name in packages
    }


def crossings(contract: dict[str, Any]) -> set[tuple[str, str]]:
    """Every importer and imported that a contract forbids."""
    if contract["type"] == "forbidden":
        return {(one, other) for one in contract["source_modules"] for other in contract["forbidden_modules"]}
    if contract["type"] == "protected":
        # Whoever is not allowed may not: the desk's other modules and commands, and all other roles.
        others = [
            *("tipbox.desk.importing.importer", "tipbox.desk.inbox.listing", "tipbox.desk.vault.vault"),
            *(f"tipbox.commands.desk.{name}" for name in ("desk_group", "desk_import", "desk_inbox", "desk_show")),
            "tipbox.commands.terminal",
        ]
        return {(one, module) for one in others for module in contract["protected_modules"]}
    (container,) = contract["containers"]
    layers = [[f"{container}.{name}" for name in layer.split(" | ")] for layer in contract["layers"]]
    upwards = {(low, high) for upper, lower in combinations(layers, 2) for low in lower for high in upper}
    return upwards | {pair for layer in layers for pair in permutations(layer, 2)}


def lint(folder: Path, *arguments: str) -> tuple[int, set[tuple[str, str]], str]:
    """Exit code of import-linter in a copy of the project, the imports that it complains of, and all that it says."""
    program = Path(sysconfig.get_path("scripts"), "lint-imports")
    done = subprocess.run(
        [program, "--no-cache", "--no-logo", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, set(re.findall(r"(\S+) -> (\S+) \(l\.", done.stdout)), done.stdout + done.stderr


def path_of(folder: Path, module: str) -> Path:
    path = folder.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def append(folder: Path, module: str, source: str) -> None:
    with path_of(folder, module).open("a", encoding="utf-8") as file:
        file.write(f"\n\n{source}\n")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with the package's sources and its contracts, to be spoilt."""
    shutil.copytree(ROOT / "tipbox", tmp_path / "tipbox", ignore=shutil.ignore_patterns("locale", "*.txt", "*.pyc"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_no_import_crosses_a_border() -> None:
    code, found, said = lint(ROOT)
    assert (code, found) == (0, set()), said


def test_the_contracts_forbid_what_the_architecture_forbids() -> None:
    assert {pair for contract in CONTRACTS for pair in crossings(contract)} >= BORDERS


@pytest.mark.parametrize("contract", CONTRACTS, ids=[contract["id"] for contract in CONTRACTS])
def test_an_import_across_any_border_is_found(contract: dict[str, Any], copy: Path) -> None:
    """All that the contract forbids is written into a copy, each inside a function of its importer."""
    forbidden = sorted(crossings(contract))
    for importer, imported in forbidden:
        append(copy, importer, f"def lazy():\n    import {imported}")
    code, found, said = lint(copy, "--contract", contract["id"])
    assert code == 1, said
    assert set(forbidden) - found == set()


def test_a_new_room_needs_a_place_in_the_layers(copy: Path) -> None:
    (copy / "tipbox" / "server" / "cellar.py").touch()
    code, _, said = lint(copy, "--contract", "server-layers")
    assert code == 1
    assert "tipbox.server.cellar" in said


def test_every_spelling_of_an_import_is_seen(copy: Path) -> None:
    spellings = {
        "canaries": "import tipbox.server.web.app",
        "conversations": "from tipbox.server.web import app",
        "importer": "from tipbox import server",
        "outbox": "from ..server.web import app",
        "pinned_server": "from .. import server",
        "receive": "def lazy():\n    if True:\n        from tipbox.server.web.app import create_app",
        "tips": "try:\n    import tipbox.server as other\nexcept ImportError:\n    pass",
        "replies": "import tipbox.files.names, tipbox.server.web.app",
    }
    for module, source in spellings.items():
        append(copy, f"tipbox.desk.{module}", source)
    code, found, said = lint(copy, "--contract", "layers")
    assert code == 1, said
    assert {importer for importer, _ in found} >= {f"tipbox.desk.{module}" for module in spellings}


def opens(source: str) -> bool:
    """Whether a source calls the built-in open, which needs no import."""
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return any(isinstance(called, ast.Name) and called.id == "open" for called in calls)


def test_the_formats_open_no_file() -> None:
    sources = list((ROOT / "tipbox" / "formats").rglob("*.py"))
    assert len(sources) > 20
    assert [path for path in sources if opens(path.read_text(encoding="utf-8"))] == []
    assert opens("def read(path):\n    with open(path) as file:\n        return file.read()"), "the control"


# --- what a run loads ------------------------------------------------------------------------------------------------


def test_the_core_imports_no_web_no_database_and_no_role() -> None:
    assert len(core()) > 20
    loaded = loaded_by(core())
    assert of((*WEB, "httpx", "click", "rich"), loaded) == set()
    assert of((*ROLES, *TOP), loaded) == set()


def test_the_desk_imports_neither_the_server_nor_anything_that_opens_a_connection() -> None:
    loaded = loaded_by([name for name in modules("tipbox.desk") if not name.startswith(PAGES)])
    assert len(of(("tipbox.desk",), loaded)) > 10
    assert of((*WEB, *NETWORK, PAGES, "tipbox.server", "tipbox.source", "tipbox.courier"), loaded) == set()


def test_the_pages_alone_load_a_web_framework_and_neither_server_nor_client() -> None:
    loaded = loaded_by(modules(PAGES))
    assert of(("flask", "werkzeug"), loaded), "the control: they are a web application"
    outside = ("sqlalchemy", "alembic", "gunicorn", "gevent", "obstore", "valkey", "httpx", "httpcore", "tenacity")
    assert of((*outside, "tipbox.server", "tipbox.source", "tipbox.courier", "tipbox.net"), loaded) == set()


def test_the_desk_s_commands_need_its_base_dependencies_only() -> None:
    loaded = loaded_by(["tipbox.cli", *modules("tipbox.commands.desk"), "tipbox.commands.source.seal"])
    assert of((*WEB, "httpx", "httpcore", "tenacity", "tipbox.server"), loaded) == set()


def test_the_server_does_not_import_the_desk() -> None:
    loaded = loaded_by(modules("tipbox.server"))
    assert of(("flask", "sqlalchemy"), loaded), "the control: the server is a web application"
    assert of(("tipbox.desk", "tipbox.source", "tipbox.commands"), loaded) == set()


def test_importing_any_module_has_no_effect(tmp_path: Path) -> None:
    code = (
        "import importlib, os, sys\n"
        "def hook(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.bind', 'subprocess.Popen', 'os.exec', 'os.remove', 'os.mkdir'):\n"
        "        raise SystemExit(f'{event} {arguments}')\n"
        "    if event == 'open' and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):\n"
        "        if arguments[0] != os.devnull:\n"
        "            raise SystemExit(f'{event} {arguments}')\n"
        "sys.addaudithook(hook)\n"
        f"for name in {modules()!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


# --- no socket -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def desk(made_today: Desks, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return made_today.copy(tmp_path_factory.mktemp("made") / "desks").desks[1]


def everything_on_the_desk(desk: Desk, folder: Path) -> list[list[str | Path]]:
    """Each command of the air-gapped machine, in an order in which all succeed."""
    secret = folder / "secret"
    secret.write_bytes(PASSWORD)
    secret.chmod(0o600)
    tip = seal_tip([desk.manifest], files=[("a.txt", b"text")], today=days.today())
    bundle = Exporter().export(folder / "x.bundle", desk.manifest, [tip], day=days.today())
    message = folder / "message"
    message.write_text("text")
    unlock: list[str | Path] = ["--passphrase-file", secret]
    vault = ["--vault", desk.vault, *unlock]
    keys = desk.vault.parent / "keys"
    return [
        ["keys", "init", "--vault", folder / "new", "--org", "new", *unlock],
        ["keys", "publish", "--out", folder / "new.json", "--vault", folder / "new", *unlock],
        ["keys", "rotate", "--out", folder / "new.json", "--vault", folder / "new", *unlock],
        ["keys", "verify", "--keys", keys],
        ["seal", "--keys", keys, "--message-file", message, "--out", folder / "y.tip", message],
        ["desk", "import", *vault, "--copies", "1", bundle],
        ["desk", "list", *vault],
        ["desk", "search", *vault, "text"],
        ["desk", "tag", *vault, "--add", "square", tip.id.hex()],
        ["desk", "note", *vault, "--message-file", message, tip.id.hex()],
        ["desk", "assign", *vault, "--to", "Timur", tip.id.hex()],
        ["desk", "spam", *vault, tip.id.hex()],
        ["desk", "close", *vault, tip.id.hex()],
        ["desk", "unread", *vault, tip.id.hex()],
        ["desk", "show", *vault, tip.id.hex(), "--out", folder / "out"],
        ["desk", "outbox", *vault, "--out", folder / "o.bundle"],
    ]


def test_the_desk_opens_no_socket_and_works_where_there_is_no_network(desk: Desk, tmp_path: Path) -> None:
    log = tmp_path / "log"
    strace: list[str | Path] = ["strace", "-f", "-qq", "-A", "-o", log, "-e", "trace=%network"]
    control = [sys.executable, "-c", "import socket; socket.socket().close()"]
    subprocess.run([*strace, *control], check=True)
    assert "socket(" in log.read_text(), "the control: strace sees a socket"
    log.write_text("")
    for arguments in everything_on_the_desk(desk, tmp_path):
        command: list[str | Path] = ["unshare", "--net", "--", *strace, sys.executable, "-m", "tipbox", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert log.read_text() == ""
    assert (tmp_path / "out" / "files" / "001-a.txt").read_bytes() == b"text"
