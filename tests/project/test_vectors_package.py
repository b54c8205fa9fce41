"""tests/vectors as outsiders get it: one archive that needs nothing else, in which each file is as its README says."""

from __future__ import annotations

import ast
import base64
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from project.docs_check import check_links, check_paths
from support.tree import ROOT, tracked_files

# A line of the README: member, type, and whether it may be absent.
_MEMBER = re.compile(r"^- `(input|output)\.([a-z0-9_]+)` \((.+?)(, optional)?\)(?=:|$)", re.MULTILINE)
_CASES = Path(__file__).with_name("vectors_version.txt")
"""The version of the cases, and one SHA-256 over all of them."""
_PIECES = (
    {"base64": "base64"},
    {"zeros": "number"},
    {"gcm": "hex", "nonce": "hex", "plain": "pieces"},
    {"ctr": "hex", "size": "number"},
)

Shape = dict[str, tuple[str, bool]]
"""The type of each member, and whether it is optional."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, out of an archive of the tracked files."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for path in tracked_files("tests/vectors"):
            tar.add(ROOT / path, Path(path).relative_to("tests/vectors"))
    folder = tmp_path_factory.mktemp("package")
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        tar.extractall(folder, filter="data")
    return folder


def shapes(readme: str) -> dict[str, dict[str, Shape]]:
    """Of each kind, the members of its input and of its output."""
    found: dict[str, dict[str, Shape]] = {}
    for section in readme.split("\n### ")[1:]:
        kind = section.split("\n", 1)[0].strip("`")
        found[kind] = {"input": {}, "output": {}}
        for part, member, of_type, optional in _MEMBER.findall(section.split("\n## ")[0]):
            found[kind][part][member] = (of_type, bool(optional))
    return found


def faults(value: Any, of_type: str) -> Iterator[str]:
    """What keeps a value from being of a type."""
    if of_type == "pieces":
        for piece in value:
            members = next((members for members in _PIECES if members.keys() == piece.keys()), None)
            if members is None:
                yield f"no piece: {sorted(piece)}"
            else:
                for member, type_of_member in members.items():
                    yield from faults(piece[member], type_of_member)
    elif of_type.startswith("list of "):
        if not isinstance(value, list):
            yield f"{value!r} is not a list"
            return
        for element in value:
            yield from faults(element, of_type.removeprefix("list of "))
    elif of_type.startswith("object of "):
        members = dict(pair.split(" ", 1) for pair in of_type.removeprefix("object of ").split(", "))
        if value.keys() != members.keys():
            yield f"members {sorted(value)}, not {sorted(members)}"
            return
        for member, type_of_member in members.items():
            yield from faults(value[member], type_of_member)
    elif not _SIMPLE[of_type](value):
        yield f"{value!r:.60} is not {of_type}"


def _is_base64(value: object) -> bool:
    return isinstance(value, str) and base64.b64encode(base64.b64decode(value, validate=True)).decode() == value


_SIMPLE: dict[str, Callable[[Any], bool]] = {
    "hex": lambda value: isinstance(value, str) and bytes.fromhex(value).hex() == value,
    "base64": _is_base64,
    "text": lambda value: isinstance(value, str),
    "number": lambda value: type(value) is int,
    "flag": lambda value: type(value) is bool,
    "day": lambda value: date.fromisoformat(value).isoformat() == value,
}


def check_case(case: dict[str, Any], path: Path, described: dict[str, dict[str, Shape]]) -> list[str]:
    """What is wrong with one case."""
    found = []
    parts = ["input", "output"] if case["expect"] in {"ok", "damaged-item"} else ["input"]
    if list(case) != ["name", "kind", "expect", "comment", *parts]:
        found.append(f"members {list(case)}")
    if (case["kind"], case["name"]) != (path.parent.name, path.stem):
        found.append(f"another place: {case['kind']}/{case['name']}")
    for part in set(parts) & case.keys():
        shape = described[case["kind"]][part]
        needed = {member for member, (_, optional) in shape.items() if not optional}
        if not needed <= case[part].keys() <= shape.keys():
            found.append(f"{part} has {sorted(case[part])}")
            continue
        found.extend(
            f"{part}.{member}: {fault}"
            for member, value in case[part].items()
            for fault in faults(value, shape[member][0])
        )
    return found


def test_readme_names_every_kind(package: Path) -> None:
    described = shapes((package / "README.md").read_text(encoding="utf-8"))
    folders = {path.name for path in package.iterdir() if path.is_dir()}
    assert described.keys() == folders


def test_each_case_has_the_described_shape(package: Path) -> None:
    described = shapes((package / "README.md").read_text(encoding="utf-8"))
    seen: dict[tuple[str, str], set[str]] = {}
    for path in sorted(package.glob("*/*")):
        case = json.loads(path.read_bytes())
        assert check_case(case, path, described) == [], path.name
        for part in ("input", "output"):
            seen.setdefault((case["kind"], part), set()).update(case.get(part, {}))
    # Nothing is described that no case has.
    assert seen == {(kind, part): set(parts[part]) for kind, parts in described.items() for part in parts}


def test_a_case_of_another_shape_is_found(package: Path) -> None:
    """The checks above see a member too many, one too few, and a value of another type."""
    described = shapes((package / "README.md").read_text(encoding="utf-8"))
    path = package / "bundle" / "outward.json"
    good = json.loads(path.read_bytes())
    assert check_case(good, path, described) == []
    bad: list[dict[str, Any]] = [
        {**good, "input": {**good["input"], "more": 1}},
        {**good, "input": {member: value for member, value in good["input"].items() if member != "reader"}},
        {**good, "input": {**good["input"], "size": True}},
        {**good, "input": {**good["input"], "reader": good["input"]["reader"].upper()}},
        {**good, "input": {**good["input"], "pieces": [{"zeros": "1"}]}},
        {**good, "input": {**good["input"], "pieces": [{"ones": 1}]}},
        {**good, "output": {**good["output"], "items": [{"kind": "report"}]}},
        {**good, "name": "another"},
        {**good, "expect": "tampered"},
    ]
    assert [case for case in bad if not check_case(case, path, described)] == []


def test_the_version_is_raised_when_a_case_changes(package: Path) -> None:
    """The version and what it stood for lie beside this test, so that neither changes alone."""
    version = (package / "VERSION").read_text(encoding="utf-8").strip()
    cases = hashlib.sha256()
    for path in sorted(package.glob("*/*.json")):
        cases.update(f"{path.parent.name}/{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    then, of_then = _CASES.read_text(encoding="utf-8").split()
    found = cases.hexdigest()
    assert found == of_then or version != then, "cases changed: raise tests/vectors/VERSION (its README says how)"
    assert (version, found) == (then, of_then), f"write into {_CASES.name}: {version} {found}"


def test_package_is_self_contained(package: Path) -> None:
    """It has a licence and a version, links only to itself, and its generator imports nothing of tipbox."""
    assert (package / "LICENSE").read_text(encoding="utf-8").startswith("MIT License\n")
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", (package / "VERSION").read_text(encoding="utf-8"))
    readme = (package / "README.md").read_text(encoding="utf-8")
    assert list(check_links("README.md", readme, package)) == []
    assert "](../" not in readme
    assert list(check_paths("README.md", readme)) == []
    for program in package.glob("*.py"):
        tree = ast.parse(program.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] in {"tipbox", "support"}], program.name
