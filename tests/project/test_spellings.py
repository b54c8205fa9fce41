"""Spellings that operators' scripts, other implementations and stored data rely on, compared with a list kept here.

``spellings.toml`` holds them. A spelling that is missing from the code was renamed or removed: put it back. One that is
new in the code is listed too, and stays from then on: ``python tests/project/test_spellings.py`` prints the whole list.
"""

from __future__ import annotations

import ast
import re
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from importlib import import_module
from inspect import getmembers, isclass
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import click
import pytest

import tipbox
from tipbox.cli import tipbox as program
from tipbox.desk.inbox import marks, summary
from tipbox.desk.keys import key_stick
from tipbox.desk.vault import records, vault
from tipbox.errors import FORMAT_ERRORS, TipboxError
from tipbox.formats.base import labels
from tipbox.server import config, refusal
from tipbox.server.home import Home
from tipbox.server.plain.plain_app import create_plain_app
from tipbox.server.storage.database import make_file
from tipbox.server.storage.executors import InPlaceThreads
from tipbox.server.upkeep import finding, seized, status
from tipbox.server.web.app import create_app
from tipbox.server.web.courier_api import create_courier_app

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("spellings.toml")
JSON_PACKAGES = ("formats", "release", "commands", "desk", "server")

Spellings = dict[str, dict[str, list[str]]]


def commands() -> dict[str, list[str]]:
    """Each command with its options, and the words of those options and arguments that take words of a list."""

    def walk(command: click.Command, path: str) -> Iterator[tuple[str, list[str]]]:
        options = [name for one in command.params for name in (*one.opts, *one.secondary_opts) if name.startswith("-")]
        words = [word for one in command.params if isinstance(one.type, click.Choice) for word in one.type.choices]
        yield path, sorted({*options, *words})
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                yield from walk(found, f"{path} {name}")

    return dict(walk(program, "tipbox"))


def http_paths() -> dict[str, list[str]]:
    """The rules of all applications; what a variable part is called is nobody's business."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "H")
        settings = config.Config()
        home.make()
        make_file(home)
        apps = {
            "sources": create_app(home, settings),
            "couriers": create_courier_app(home, settings, threads=InPlaceThreads()),
            "plain": create_plain_app(home, settings),
        }
        return {
            name: sorted(
                f"{method} {re.sub(r'<[^>]*>', '<>', rule.rule)}"
                for rule in app.url_map.iter_rules()
                for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
            )
            for name, app in apps.items()
        }


def error_codes() -> dict[str, list[str]]:
    """Codes of formats, of refusals over HTTP, and of the commands, which also stand behind ``{"error": …}``."""
    for _, name, _ in walk_packages(tipbox.__path__, "tipbox."):
        if "migrations." not in name and name != "tipbox.__main__":
            import_module(name)
    formats = {error.code for error in FORMAT_ERRORS}

    def below(kind: type[TipboxError]) -> Iterator[str]:
        yield kind.code
        for one in kind.__subclasses__():
            if one.__module__.startswith("tipbox."):
                yield from below(one)

    return {
        "formats": sorted(formats),
        "http": sorted(refusal.SENTENCES),
        "commands": sorted(set(below(TipboxError)) - formats),
    }


def configuration() -> dict[str, list[str]]:
    return {
        section: sorted(field.annotation.model_fields)
        for section, field in config.Config.model_fields.items()
        if isclass(field.annotation) and issubclass(field.annotation, config.Section)
    }


def stored_names() -> dict[str, list[str]]:
    """Names of files and folders: in the server's H, in a vault, on a key stick."""
    home = Home(Path("/H"))
    places = [getattr(home, name) for name, _ in getmembers(Home, lambda one: isinstance(one, property))]
    return {
        "home": sorted(
            {place.name for place in places if isinstance(place, Path) and place.parent == home.path} | {config.FILE}
        ),
        "vault": sorted(
            [
                *(vault.KEY_FILE, vault.STORE_FILE, vault.LOCK_FILE, vault.INDEX_FILE),
                *(vault.TIPS, vault.INCOMING, vault.REPLIES),
            ]
        ),
        "stick": [key_stick.FILE],
    }


def vault_records() -> dict[str, list[str]]:
    """What a vault keeps under which kind, by the names of its members."""
    kinds = [
        one
        for module in (records, marks, summary)
        for _, one in getmembers(module, isclass)
        if issubclass(one, records.VaultRecord) and isinstance(vars(one).get("kind"), str)
    ]
    found = {one.kind: sorted(field.name for field in dataclass_fields(one)) for one in kinds}
    parts = {"(file)": records.TipFile, "(file of a summary)": summary.FileSummary, "(note)": marks.ThreadNote}
    return found | {name: sorted(field.name for field in dataclass_fields(one)) for name, one in parts.items()}


def units() -> dict[str, list[str]]:
    return {"names": sorted(path.name for path in (ROOT / "deploy" / "systemd").iterdir())}


def all_labels() -> dict[str, list[str]]:
    return {"names": sorted(value.decode() for _, value in getmembers(labels) if isinstance(value, bytes))}


def json_members() -> dict[str, list[str]]:
    """Keys of objects that are written, and members that are read, by package."""
    return {package: sorted(_members_of(package)) for package in JSON_PACKAGES}


def reports() -> dict[str, list[str]]:
    """Members of what ``check``, ``status`` and ``seized`` print."""
    kinds: dict[str, list[type]] = {
        "status": [status.Status, status.OrganisationStatus],
        "seized": [
            one for _, one in getmembers(seized, isclass) if is_dataclass(one) and one.__module__ == seized.__name__
        ],
    }
    members = {
        command: sorted({field.name for one in found for field in dataclass_fields(one)})
        for command, found in kinds.items()
    }
    return {"check": sorted(finding.Finding("database", ok=True, message="").to_json())} | members


def _members_of(package: str) -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "tipbox" / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Dict):
                found |= set(_names(node.keys))
            elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                found |= set(_names([node.slice]))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "members":
                found |= set(_names(ast.walk(node)))
    return found


def _names(nodes: Iterable[ast.AST | None]) -> Iterator[str]:
    """The constants among nodes that could be a member's name."""
    for node in nodes:
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9_]*", value):
            yield value


KINDS = {
    "commands": commands,
    "http-paths": http_paths,
    "error-codes": error_codes,
    "configuration": configuration,
    "stored-names": stored_names,
    "vault-records": vault_records,
    "units": units,
    "labels": all_labels,
    "reports": reports,
    "json-members": json_members,
}


@pytest.fixture(scope="module")
def kept() -> Spellings:
    kinds: Spellings = tomllib.loads(LIST.read_text(encoding="utf-8"))
    return kinds


@pytest.mark.parametrize("kind", KINDS)
def test_no_spelling_is_renamed_or_removed(kind: str, kept: Spellings) -> None:
    found = KINDS[kind]()
    missing = {
        group: sorted(set(names) - set(found.get(group, ())))
        for group, names in kept[kind].items()
        if group not in found or set(names) - set(found[group])
    }
    assert missing == {}, "put them back: scripts and stored data rely on them"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "json-members"])
def test_every_spelling_is_listed(kind: str, kept: Spellings) -> None:
    """Of JSON members only those are listed that leave the program: other mappings have keys as well."""
    found = KINDS[kind]()
    unlisted = {
        group: sorted(set(names) - set(kept[kind].get(group, ())))
        for group, names in found.items()
        if group not in kept[kind] or set(names) - set(kept[kind][group])
    }
    assert unlisted == {}, "add them to tests/project/spellings.toml"


def test_each_command_is_in_a_guide(kept: Spellings) -> None:
    text = "\n".join(
        path.read_text(encoding="utf-8")
        for path in [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("docs/staff/*.md")]
    )
    names = kept["commands"].keys()
    leaves = [name for name in names if not any(other.startswith(f"{name} ") for other in names)]
    undescribed = [name for name in leaves if not re.search(rf"{name.replace(' server ', '[- ]server ')}\b", text)]
    assert undescribed == [], "describe it in the guide of its reader"


def test_each_path_is_in_the_protocol(kept: Spellings) -> None:
    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    described = re.findall(r"`((?:GET|PUT|POST) /[^`\s?]*)", text)
    paths = {path for group in kept["http-paths"].values() for path in group}
    assert {re.sub(r"<\w+>", "<>", path) for path in described} == paths, "docs/protocol.md says what each path does"


def _toml(value: Any) -> str:
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def main() -> None:
    """Print the list as the code has it now."""
    print("# Spellings that must never change. test_spellings.py compares them with the code.")  # noqa: T201
    for kind, read in KINDS.items():
        print(f"\n[{kind}]")  # noqa: T201
        for group, names in read().items():
            print(f"{_toml(group)} = [")  # noqa: T201
            for name in names:
                print(f"  {_toml(name)},")  # noqa: T201
            print("]")  # noqa: T201


if __name__ == "__main__":
    main()
