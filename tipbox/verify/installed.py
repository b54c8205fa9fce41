"""What is installed on a server against the release: program, units, firewall, AppArmor, Tor's settings."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tipbox.errors import NotFound
from tipbox.release.release_folder import TrustedRelease
from tipbox.verify.source_files import source_files

_NOT_COMPARED: Final = (".pyc",)
_CHOICE: Final = re.compile(rb"@[A-Za-z]+@")
_CHOSEN: Final = rb"[^\n]*(?:\n {8}[^\n]*)?"
_UNITS: Final = "etc/systemd/system"


@dataclass(frozen=True)
class Place:
    """Where a file of the source is put on a server; all files of a folder when both end in ``/``.

    Attributes:
        filled: an installation writes its own choices where ``@…@`` stands; only the rest is compared.
        optional: not every installation has it.
        unless: where this is, the installation changes it, and it is not compared.
    """

    source: str
    installed: str
    filled: bool = False
    optional: bool = False
    unless: str = ""

    def has(self, name: str) -> bool:
        """Whether it is where this file goes."""
        return name == self.source or (self.source.endswith("/") and name.startswith(self.source))

    def fits(self, made: bytes, installed: bytes) -> bool:
        """Whether what is installed is what the release makes."""
        if not self.filled:
            return made == installed
        # The installation takes away blanks at the ends of lines, where a choice was none.
        pattern = b"\n".join(
            rb"[ ]*" + _CHOSEN if _CHOICE.fullmatch(line.strip()) else _CHOSEN.join(map(re.escape, _CHOICE.split(line)))
            for line in made.split(b"\n")
        )
        return re.fullmatch(pattern, installed) is not None


PLACES: Final = (
    Place("deploy/systemd/tor-tipbox.conf", f"{_UNITS}/tor@default.service.d/tipbox.conf"),
    Place("deploy/systemd/plain.conf", f"{_UNITS}/tipbox.service.d/plain.conf", optional=True),
    Place("deploy/systemd/", f"{_UNITS}/"),
    Place("deploy/nftables/tipbox.nft", "etc/nftables.d/tipbox.nft", filled=True, optional=True),
    Place("deploy/etc/sysusers.conf", "etc/sysusers.d/tipbox.conf"),
    Place("deploy/etc/tmpfiles.conf", "etc/tmpfiles.d/tipbox.conf"),
    Place("deploy/etc/journald@tipbox.conf", "etc/systemd/journald@tipbox.conf"),
    Place("deploy/etc/sysctl.conf", "etc/sysctl.d/60-tipbox.conf"),
    Place("deploy/apparmor/tipbox", "etc/apparmor.d/tipbox", unless="etc/tipbox/stores/stores.toml"),
    Place("deploy/etc/apparmor-tor", "etc/apparmor.d/local/system_tor"),
    Place("deploy/etc/unattended-upgrades.conf", "etc/apt/apt.conf.d/60tipbox-upgrades"),
    Place("deploy/etc/tor-defaults", "etc/tor/tipbox-defaults"),
    Place("deploy/etc/torrc", "etc/tor/torrc.d/tipbox.conf"),
    Place("deploy/tor/sources.torrc", "etc/tor/torrc.d/tipbox-sources.conf", filled=True),
    Place("deploy/tor/couriers.torrc", "etc/tor/torrc.d/tipbox-couriers.conf", filled=True),
    Place("deploy/tor/plain.torrc", "etc/tor/torrc.d/tipbox-plain.conf", filled=True, optional=True),
    Place("deploy/tipbox-server", "usr/local/sbin/tipbox-server"),
)
"""The first that fits counts."""


def compare_installed(release: TrustedRelease, root: Path = Path("/")) -> list[str]:
    """One sentence for each file that is not what the release brings.

    Raises:
        NotFound: no server is installed here.
    """
    current = root / "opt" / "tipbox" / "current"
    if not current.exists():
        raise NotFound(f"looking at what is installed: there is no {current}; is this the server?")
    return [*_program(release, current), *_machine(release, root)]


def _program(release: TrustedRelease, current: Path) -> Iterator[str]:
    """The package as the wheel has it: nothing else, nothing less, nothing more."""
    packages = next(current.glob("lib/python3*/site-packages"), current)
    with zipfile.ZipFile(release.wheel) as wheel:
        names = {name for name in wheel.namelist() if name.startswith("tipbox/") and not name.endswith("/")}
        for name in sorted(names):
            path = packages / name
            if not path.is_file():
                yield f"{path}: it is missing"
            elif path.read_bytes() != wheel.read(name):
                yield f"{path}: it is not the release's"
    there = {path.relative_to(packages).as_posix(): path for path in (packages / "tipbox").rglob("*") if path.is_file()}
    for name in sorted(there.keys() - names):
        if not name.endswith(_NOT_COMPARED):
            yield f"{there[name]}: the release has no such file"


def _machine(release: TrustedRelease, root: Path) -> Iterator[str]:
    for name, data in source_files(release.source, "deploy/"):
        place = next((one for one in PLACES if one.has(name)), None)
        if place is None or (place.unless and (root / place.unless).exists()):
            continue
        path = root / (place.installed + name.removeprefix(place.source))
        if not path.is_file():
            if not place.optional:
                yield f"{path}: it is missing"
        elif not place.fits(data, path.read_bytes()):
            yield f"{path}: it is not the release's"
