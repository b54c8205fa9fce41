"""Looking after the machine around a server: tor, the sandbox of the units, the couriers' keys. It needs no folder.

An unanswered check counts as failed: one that was kept from looking has found nothing out.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tipbox.server.upkeep.finding import Finding

STANDARD_INPUT: Final = Path("-")
_UNITS: Final = Path("/etc/systemd/system")
_TOR_UNIT: Final = Path("/usr/lib/systemd/system/tor@default.service")
"""Debian's, with a drop-in of ours: it is the first to receive what anybody sends."""
_LARGEST_EXPOSURE: Final = 15
"""Tenths of systemd's measure of exposure that a unit may have."""
_TIMEOUT: Final = 30
_COURIER: Final = re.compile(r"descriptor:x25519:[A-Z2-7]{52}", re.ASCII)
_LARGEST_KEYS: Final = 1 << 20


def check_machine(couriers: Path | None = None) -> list[Finding]:
    """All checks of the machine. Nothing is changed.

    Args:
        couriers: the folder of the couriers' public keys that tor reads, or ``-`` for their lines on standard input;
            without it, nothing is said of them.
    """
    units = sorted(_UNITS.glob("tipbox*.service"))
    findings = [_tor(installed=bool(units)), _units(units)]
    return findings if couriers is None else [*findings, _couriers(couriers)]


def _tor(*, installed: bool) -> Finding:
    """Proof of work keeps the onion open under load; a tor without that module takes the setting and does nothing."""
    program = shutil.which("tor") or shutil.which("tor", path="/usr/sbin:/sbin")
    if program is None:
        return Finding(
            "tor",
            ok=not installed,
            message="there is no tor on this machine",
            remedy="apt-get install tor" if installed else "",
        )
    said = _ask(program, "--list-modules").stdout.splitlines()
    able = "pow: yes" in said
    return Finding(
        "tor",
        able,
        "tor has proof of work"
        if able
        else "this tor has no proof of work: the onion has no defence under load"
        if said
        else "tor does not say whether it has proof of work",
        "" if able else "apt-get install tor, 0.4.8 or newer with the module pow (tor --list-modules)",
    )


def _units(units: Sequence[Path]) -> Finding:
    if not units:
        return Finding("units", ok=True, message="no systemd units of tipbox are installed here")
    asked = [*units, _TOR_UNIT] if _TOR_UNIT.exists() else units
    program = shutil.which("systemd-analyze")
    exposed = {unit.name: _is_exposed(program, unit) if program else None for unit in asked}
    loose = [name for name, found in exposed.items() if found]
    unknown = [name for name, found in exposed.items() if found is None]
    return Finding(
        "units",
        not (loose or unknown),
        f"more exposed than they may be: {', '.join(loose)}"
        if loose
        else f"systemd does not say how exposed they are: {', '.join(unknown)}"
        if unknown
        else f"{len(asked)} units are hardened",
        "run deploy/install.sh again; systemd-analyze security UNIT says what is open" if loose or unknown else "",
        wrong=None if unknown else len(loose),
    )


def _is_exposed(program: str, unit: Path) -> bool | None:
    """Whether a unit is more exposed than it may be; None when systemd does not say.

    It ends with an error for an exposed unit, and also where it cannot look.
    """
    threshold = f"--threshold={_LARGEST_EXPOSURE}"
    done = _ask(program, "security", "--offline=true", "--no-pager", threshold, str(unit))
    return done.returncode != 0 if "exposure level" in done.stdout else None


def _couriers(source: Path) -> Finding:
    """An onion service that knows no courier's key lets everybody in; tor passes over keys that it cannot read."""
    texts = (
        [sys.stdin.read(_LARGEST_KEYS)]
        if source == STANDARD_INPUT
        else [path.read_text(encoding="ascii", errors="replace") for path in source.glob("*.auth")]
    )
    known = sum(bool(_COURIER.fullmatch(line)) for text in texts for line in text.splitlines())
    return Finding(
        "couriers",
        known > 0,
        "the couriers' onion service lets in only who has a key"
        if known
        else "the couriers' onion service knows no key: it lets everybody in",
        "" if known else "run deploy/install.sh again: it puts a key there before tor starts",
    )


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
    """What another program says; nothing when it does not run."""
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return subprocess.CompletedProcess(command, 1, "", "")
