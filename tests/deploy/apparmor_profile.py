"""Reads AppArmor profiles as far as ours go: which paths a profile allows, and for what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SYSTEM = Path("/etc/apparmor.d")
_RULE = re.compile(r"^(?P<deny>deny )?(?P<owner>owner )?(?P<path>[/@][^ ]*) +(?P<for>[rwaklmixpPuUcC]+),$")
_INCLUDE = re.compile(r"^#?include (?P<optional>if exists )?<(?P<name>[^>]+)>$")
_PROFILE = re.compile(r"^profile (?P<name>\S+) .*\{$")
_VARIABLES = {"@{PROC}": "/proc", "@{pid}": "[0-9]*", "@{pids}": "[0-9]*", "@{tid}": "[0-9]*", "@{sys}": "/sys"}
_VARIABLES |= {"@{etc_ro}": "/{usr/,}etc", "@{etc_rw}": "/etc", "@{run}": "/{var/,}run", "@{multiarch}": "*-linux-gnu*"}
_GLOBS = {"**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")", ",": "|"}


@dataclass(frozen=True)
class Rule:
    """A path, for what it may be used, or may not."""

    path: re.Pattern[str]
    uses: frozenset[str]
    denies: bool


class Profile:
    """A profile's rules of files."""

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules

    def allows(self, path: str, use: str) -> bool:
        """Whether a path may be used so: r, w, k (lock), l (link), x or m. What is denied is never allowed."""
        found = [rule for rule in self._rules if use in rule.uses and rule.path.fullmatch(path)]
        return bool(found) and not any(rule.denies for rule in found)


def _pattern(glob: str) -> re.Pattern[str]:
    for name, value in _VARIABLES.items():
        glob = glob.replace(name, value)
    pieces = re.split(r"(\*\*|[*?{},]|\[[^]]*\])", glob)
    return re.compile(
        "".join(_GLOBS.get(piece) or (piece if piece[:1] == "[" else re.escape(piece)) for piece in pieces)
    )


def _rules(lines: list[str]) -> list[Rule]:
    rules = []
    for line in lines:
        if include := _INCLUDE.match(line):
            path = SYSTEM / include["name"]
            files = sorted(path.iterdir()) if path.is_dir() else [path]
            if not path.exists() and include["optional"]:
                continue
            for one in files:
                rules += _rules([text.strip() for text in one.read_text().splitlines()])
        elif rule := _RULE.match(re.sub(r" +#.*$", "", line)):
            uses = rule["for"] + ("a" if "w" in rule["for"] else "")
            rules.append(Rule(_pattern(rule["path"]), frozenset(uses), bool(rule["deny"])))
    return rules


def profiles(file: Path) -> dict[str, Profile]:
    """The profiles of a file, by name."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in (text.strip() for text in file.read_text().splitlines()):
        if begun := _PROFILE.match(line):
            name = begun["name"]
            found[name] = []
        elif line == "}":
            name = ""
        elif name:
            found[name].append(line)
    return {name: Profile(_rules(lines)) for name, lines in found.items()}
