"""Who names whom: every import in the sources, also those inside functions that a run may never reach.

What a fresh interpreter loads, and that the desk opens no socket, is in `tests/project/test_borders.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tipbox

PACKAGE = Path(tipbox.__file__).parent
WEB_AND_DATABASE = {
    "flask", "werkzeug", "jinja2", "sqlalchemy", "alembic", "gunicorn", "gevent", "flask_limiter", "flask_babel",
    "obstore", "valkey", "redis", "psycopg", "pydantic_settings",
}  # fmt: skip
NETWORK = {"httpx", "tenacity", "socket", "ssl", "http", "urllib", "asyncio", "ftplib", "smtplib"}
PARSING = {"urllib.parse"}
"""Of a package of NETWORK, and yet without a network."""
ENTRIES = {"cli", "demo", "__main__"}
"""Modules of the top that put the others together."""
CORE = ("formats", "files")
OTHERS = {
    "server": {"desk", "source", "commands"},
    "desk": {"server", "source", "commands"},
    "source": {"server", "desk", "commands"},
}


def _sources(folder: str) -> list[Path]:
    """The sources of a group, or of the core for an empty name."""
    if folder:
        return sorted((PACKAGE / folder).rglob("*.py"))
    top = [path for path in PACKAGE.glob("*.py") if path.stem not in ENTRIES]
    return sorted([*top, *(path for name in CORE for path in (PACKAGE / name).rglob("*.py"))])


def _imports(source: str, package: str) -> Iterator[str]:
    """Every module that a source names in an import, wherever in it the import stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _named(path: Path) -> set[str]:
    package = ".".join(path.relative_to(PACKAGE.parent).parent.parts)
    return set(_imports(path.read_text(encoding="utf-8"), package))


def _of(names: set[str], packages: set[str]) -> set[str]:
    return {name for name in names if any(name == one or name.startswith(f"{one}.") for one in packages)}


def test_the_core_names_nothing_above_it_no_web_no_database_and_no_network() -> None:
    sources = _sources("")
    assert len(sources) > 20
    above = {f"tipbox.{name}" for name in (*OTHERS, "courier", "net", "commands", *ENTRIES)}
    for path in sources:
        assert _of(_named(path), above | WEB_AND_DATABASE | NETWORK) == set(), path


@pytest.mark.parametrize("group", OTHERS)
def test_server_desk_and_source_do_not_name_each_other(group: str) -> None:
    sources = _sources(group)
    assert len(sources) > 5
    for path in sources:
        assert _of(_named(path), {f"tipbox.{name}" for name in OTHERS[group]}) == set(), path


def test_the_desk_names_no_web_no_database_and_no_network() -> None:
    for path in [*_sources("desk"), *_sources("commands/desk")]:
        found = _of(_named(path), WEB_AND_DATABASE | NETWORK)
        assert found - _of(found, PARSING) - {"urllib"} == set(), path


@pytest.mark.parametrize(
    "source",
    [
        "import tipbox.server.web.app",
        "from tipbox.server import app",
        "from tipbox import server",
        "from ..server import app",
        "from .. import server",
        "def lazy():\n    if True:\n        from tipbox.server.web.app import create_app",
        "try:\n    import tipbox.server as other\nexcept ImportError:\n    pass",
    ],
)
def test_every_spelling_of_an_import_is_seen(source: str) -> None:
    assert _of(set(_imports(source, "tipbox.desk")), {"tipbox.server"})
