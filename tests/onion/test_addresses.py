"""A server with a second address, as the operator guide adds one."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from faults.sending import sealed
from onion.conftest import Onion
from onion.network import wait

pytestmark = pytest.mark.timeout(3600)  # machines and networks are set up on a busy one

ROOT = Path(__file__).resolve().parents[2]
KEYS = "/var/lib/tor/tipbox"


def second_service(onion: Onion, folder: Path) -> str:
    """What the page's own command writes beside the service that install.sh has written."""
    template = (ROOT / "deploy/tor/sources.torrc").read_text()
    socket = onion.world.server.bind.removeprefix("unix:")
    written = template.replace("@DIRECTORY@", f"{KEYS}/sources").replace("@SOCKET@", socket)
    (folder / "tipbox-sources.conf").write_text(written)
    page = (ROOT / "docs/operator-guide.md").read_text()
    (command,) = re.findall(r"^sed .*tipbox-sources-new\.conf$", page, re.MULTILINE)
    subprocess.run(("sh", "-c", command.replace("/etc/tor/torrc.d", str(folder))), check=True)
    text = (folder / "tipbox-sources-new.conf").read_text()
    changed = [new for old, new in zip(written.splitlines(), text.splitlines(), strict=True) if old != new]
    assert changed == [f"HiddenServiceDir {KEYS}/sources-new"]
    return text


def test_a_second_address_leads_to_the_same_server(onion: Onion, tmp_path: Path) -> None:
    """An upload that was begun at one is known at the other."""
    keys = onion.network.folder / "second"
    text = second_service(onion, tmp_path).replace(KEYS, str(keys))
    tor = onion.network.join("second", "SocksPort 0\n" + text)
    hostname = keys / "sources-new" / "hostname"
    wait(lambda: hostname.exists() and hostname.read_text().endswith("\n"), tor)
    address = f"http://{hostname.read_text().strip()}"
    assert address != onion.sources
    sent = sealed(onion.world.keys, b"text", [("a.bin", bytes(70_000))])
    also = replace(onion, sources=address)

    def answers() -> bool:
        line = also.stream("second")
        if line is not None:
            line.close()
        return line is not None

    wait(answers, tor)
    with onion.client("first") as first, also.client("second") as second:
        assert first.put("/api/envelope", content=sent.head, headers=sent.headers).status_code == 201
        run = b"".join(sent.parts)
        assert second.put("/api/envelope/parts/0", content=run, headers=sent.headers).status_code == 200
        assert first.post("/api/envelope/finish", content=sent.end, headers=sent.headers).json() == {"state": "stored"}
        assert second.get("/api/envelope", headers=sent.headers).json() == {"state": "stored"}
