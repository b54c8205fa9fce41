"""Of kits: Debian packages with nothing in them under the names of those that a kit brings, and desktop entries."""

from __future__ import annotations

import configparser
import subprocess
from pathlib import Path

from support.world import ROOT

LIST = ROOT / "deploy" / "kit" / "packages.txt"
VERSION = "99:1.0"
"""Newer than any; with an epoch."""


def names() -> list[str]:
    """Those that a desk needs."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if line and not line.startswith("#")]


def empty_packages(folder: Path) -> Path:
    """A folder `debian` as kits have it; each package has one word in it."""
    made = folder / "made"
    for name in names():
        control = made / name / "DEBIAN" / "control"
        control.parent.mkdir(parents=True)
        control.write_text(
            f"Package: {name}\nVersion: {VERSION}\nArchitecture: all\nMaintainer: nobody\nDescription: {name}\n"
        )
        (made / name / "usr/share/of-the-kit").mkdir(parents=True)
        (made / name / "usr/share/of-the-kit" / name).write_text(f"{name}\n")
    for debian in ("12", "13"):
        index = []
        (folder / "debian" / debian).mkdir(parents=True)
        for name in names():
            deb = folder / "debian" / debian / f"{name}_1.0_all.deb"
            run("dpkg-deb", "--root-owner-group", "-Znone", "--build", made / name, deb)
            digest = run("sha256sum", deb).split()[0]
            about = (made / name / "DEBIAN" / "control").read_text()
            index.append(f"{about}Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n")
        (folder / "debian" / debian / "Packages").write_text("\n".join(index))
    return folder / "debian"


def run(*command: str | Path) -> str:
    """Run a program; what it printed."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout


def entry_command(path: Path, action: str = "") -> list[str]:
    """The command of a desktop entry, or of one of its actions, as a desktop takes it apart."""
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text(encoding="utf-8"))
    entry = parser[f"Desktop Action {action}" if action else "Desktop Entry"]
    assert entry["Name"]
    # First as a string, whose backslashes are doubled, then as a command line with quotes.
    command = entry["Exec"].replace("\\\\", "\\").replace("%%", "%")
    return run("sh", "-c", f"printf '%s\\n' {command}").splitlines()
