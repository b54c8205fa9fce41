"""Who imports whom, what importing does, and that the desk never touches a network."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import tipbox
from support.desk import PASSWORD, Desk, Exporter, seal_tip
from tipbox.formats.base import days

WEB = ("flask", "sqlalchemy", "alembic", "gunicorn", "gevent", "obstore", "werkzeug", "valkey")
NETWORK = ("httpx", "httpcore", "tenacity", "socket", "ssl", "http.client", "urllib.request", "asyncio")
TOP = ("tipbox.cli", "tipbox.demo", "tipbox.__main__")
ROLES = ("tipbox.server", "tipbox.desk", "tipbox.source", "tipbox.courier", "tipbox.net", "tipbox.commands")


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


def test_the_core_imports_no_web_no_database_and_no_role() -> None:
    assert len(core()) > 20
    loaded = loaded_by(core())
    assert of((*WEB, "httpx", "click", "rich"), loaded) == set()
    assert of((*ROLES, *TOP), loaded) == set()


def test_the_desk_imports_neither_the_server_nor_anything_that_opens_a_connection() -> None:
    loaded = loaded_by(modules("tipbox.desk"))
    assert len(of(("tipbox.desk",), loaded)) > 10
    assert of((*WEB, *NETWORK, "tipbox.server", "tipbox.source", "tipbox.courier"), loaded) == set()


def test_the_desk_s_commands_need_its_base_dependencies_only() -> None:
    loaded = loaded_by(
        ["tipbox.cli", "tipbox.commands.desk.desk_group", "tipbox.commands.desk.keys", "tipbox.commands.source.seal"]
    )
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
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk.make(tmp_path_factory.mktemp("made") / "desks", "kibhr", days.today())


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
        ["desk", "show", *vault, tip.id.hex(), "--out", folder / "out"],
        ["desk", "outbox", *vault, "--out", folder / "o.bundle"],
    ]


def test_the_desk_opens_no_socket_and_works_where_there_is_no_network(desk: Desk, tmp_path: Path) -> None:
    log = tmp_path / "log"
    strace = ["strace", "-f", "-qq", "-A", "-o", log, "-e", "trace=%network"]
    control = [sys.executable, "-c", "import socket; socket.socket().close()"]
    subprocess.run([*strace, *control], check=True)
    assert "socket(" in log.read_text(), "the control: strace sees a socket"
    log.write_text("")
    for arguments in everything_on_the_desk(desk, tmp_path):
        command = ["unshare", "--net", "--", *strace, sys.executable, "-m", "tipbox", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert log.read_text() == ""
    assert (tmp_path / "out" / "files" / "001-a.txt").read_bytes() == b"text"
