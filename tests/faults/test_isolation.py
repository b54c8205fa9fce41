"""Who imports whom, and that the desk opens no socket."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import tipbox
from faults.sending import sealed
from tipbox_world import TIPBOX, Desk, Ring, environment, running_world

PACKAGE = Path(tipbox.__file__).parent
WEB_AND_DATABASE = {
    "flask", "werkzeug", "jinja2", "sqlalchemy", "alembic", "gunicorn", "gevent", "flask_limiter", "flask_babel",
    "obstore", "valkey", "redis", "psycopg", "pydantic_settings",
}  # fmt: skip
NETWORK = {"httpx", "httpcore", "requests", "urllib3", "aiohttp", "http.client", "urllib.request", "smtplib", "ftplib"}
GROUPS = ("server", "desk", "source", "commands")
ENTRIES = ("cli", "demo", "__main__")
"""Modules of the top that put the others together."""


def _modules(folder: Path) -> list[str]:
    """The names of the modules below a folder of the package."""
    names = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


CORE = [name for name in _modules(PACKAGE) if set(name.split(".")[1:]).isdisjoint({*GROUPS, *ENTRIES})]
DESK, SERVER, SOURCE = (_modules(PACKAGE / group) for group in ("desk", "server", "source"))


def _loaded_by(*names: str) -> set[str]:
    """What a fresh interpreter has loaded after importing modules."""
    code = "import importlib, json, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    done = subprocess.run(
        (sys.executable, "-W", "error", "-c", f"{code}print(json.dumps(sorted(sys.modules)))", *names),
        capture_output=True,
        text=True,
        env=environment(),
        cwd="/",
        check=True,
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
    return set(json.loads(done.stdout))


def _tops(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def _below(names: set[str], package: str) -> set[str]:
    return {name for name in names if name == package or name.startswith(f"{package}.")}


def _named_imports(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, wherever in it the import stands."""
    package = ".".join(path.relative_to(PACKAGE.parent).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("name", CORE)
def test_the_core_loads_neither_web_nor_database(name: str) -> None:
    loaded = _loaded_by(name)
    assert name in loaded
    assert _tops(loaded).isdisjoint(WEB_AND_DATABASE)
    assert loaded.isdisjoint(NETWORK)
    for group in GROUPS:
        assert _below(loaded, f"tipbox.{group}") == set()


def test_the_core_names_nothing_above_it() -> None:
    for path in PACKAGE.glob("*.py"):
        if path.stem not in ENTRIES:
            named = set(_named_imports(path))
            assert _tops(named).isdisjoint(WEB_AND_DATABASE | {"httpx"}), path
            assert not any(_below(named, f"tipbox.{group}") for group in GROUPS), path


@pytest.mark.parametrize(("one", "others"), [("server", ("desk", "source")), ("desk", ("server", "source")),
                                             ("source", ("server", "desk"))])  # fmt: skip
def test_server_desk_and_source_do_not_import_each_other(one: str, others: tuple[str, ...]) -> None:
    modules = {"server": SERVER, "desk": DESK, "source": SOURCE}[one]
    assert len(modules) > 1
    runnable = [name for name in modules if ".migrations." not in name]
    loaded = _loaded_by(*runnable)
    for other in others:
        assert _below(loaded, f"tipbox.{other}") == set()
        for path in (PACKAGE / one).rglob("*.py"):
            assert not _below(set(_named_imports(path)), f"tipbox.{other}"), path


def test_the_desk_and_its_commands_load_no_web_database_or_network() -> None:
    loaded = _loaded_by(*DESK, "tipbox.cli", "tipbox.commands.desk", "tipbox.commands.keys")
    assert _tops(loaded).isdisjoint(WEB_AND_DATABASE)
    assert loaded.isdisjoint(NETWORK)
    assert _below(loaded, "tipbox.server") == set()
    assert _below(loaded, "tipbox.source") == set()


def test_the_search_for_imports_sees_what_it_looks_for() -> None:
    loaded = _loaded_by("tipbox.server.app")
    assert {"flask", "sqlalchemy"} <= _tops(loaded)
    named = set(_named_imports(PACKAGE / "server" / "threads.py"))
    assert "gevent.threadpool" in named  # it stands inside a function


# --- no socket --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Carried:
    """A volume that waits on a stick, and the desk that it is for."""

    desk: Desk
    volumes: list[Path]
    tip: str

    def copy(self, folder: Path) -> Carried:
        """The same for one test."""
        shutil.copytree(self.desk.folder, folder)
        return replace(self, desk=replace(self.desk, folder=folder))


@pytest.fixture(scope="module")
def carried(ring: Ring, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Carried]:
    with running_world(ring, tcp=True) as world:
        upload = sealed(world.keys, "без сети".encode(), [("фото.jpg", bytes(range(256)) * 1000)])
        assert upload.open(world.server) == 201
        assert upload.put(world.server, 0, len(upload.parts)) == 200
        assert upload.finish(world.server) == 200
        volumes = world.server.export("kibhr", tmp_path_factory.mktemp("stick"))
        world.server.stop()
        yield Carried(world.desks["kibhr"], volumes, upload.id)


@pytest.fixture
def waiting(carried: Carried, tmp_path: Path) -> Carried:
    return carried.copy(tmp_path / "desk")


def _commands(waiting: Carried, folder: Path) -> list[tuple[str | Path, ...]]:
    """Everything that a desk does with a tip, in order; the ceremony too."""
    desk = waiting.desk
    locked = ("--vault", desk.vault, "--passphrase-file", desk.secret)
    fresh = folder / "fresh"
    return [
        ("keys", "init", "--vault", fresh, "--org", "fresh", "--passphrase-file", desk.secret),
        ("keys", "publish", "--vault", fresh, "--passphrase-file", desk.secret, "--out", folder / "fresh.json"),
        ("desk", "import", *locked, "--copies", "1", *waiting.volumes),
        ("desk", "list", *locked, "--json"),
        ("desk", "show", *locked, waiting.tip, "--out", folder / "opened"),
        ("desk", "outbox", *locked, "--out", folder / "outbox"),
    ]


def _has_opened(folder: Path) -> None:
    assert (folder / "opened" / "message.txt").read_text() == "без сети"
    assert (folder / "outbox").stat().st_size > 0


def test_the_desk_works_without_any_network_interface(waiting: Carried, tmp_path: Path) -> None:
    links = subprocess.run(("unshare", "--net", "ip", "-brief", "address"), capture_output=True, text=True, check=True)
    assert re.fullmatch(r"lo +DOWN *\n", links.stdout), "the namespace has a network"
    for command in _commands(waiting, tmp_path):
        done = subprocess.run(
            ("unshare", "--net", TIPBOX, *command), capture_output=True, text=True, env=environment(), check=False
        )
        assert done.returncode == 0, done.stderr
    _has_opened(tmp_path)


SOCKETS = "trace=socket,socketpair,connect,bind,listen,accept,accept4,sendto,sendmsg,recvfrom,recvmsg,io_uring_setup"


def _socket_calls(trace: Path, *command: str | Path) -> list[str]:
    done = subprocess.run(
        ("strace", "-f", "-qq", "-e", "signal=none", "-e", SOCKETS, "-o", trace, *command),
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return trace.read_text().splitlines()


def test_the_desk_opens_no_socket(waiting: Carried, tmp_path: Path) -> None:
    for command in _commands(waiting, tmp_path):
        assert _socket_calls(tmp_path / "trace", TIPBOX, *command) == []
    _has_opened(tmp_path)


def test_the_trace_sees_a_socket(tmp_path: Path) -> None:
    code = "import socket; socket.socket(socket.AF_UNIX).close()"
    (call,) = _socket_calls(tmp_path / "trace", sys.executable, "-c", code)
    assert "socket(AF_UNIX" in call
