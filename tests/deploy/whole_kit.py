"""From the kit alone to a picture on the screen: booted Debian 12 and 13 without a network, as the kit's README says.

``make kits`` runs it: the kit has hundreds of megabytes. ``make test`` runs test_kit_folder and test_kit.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
from PIL import Image

from deploy.conftest import Kit, make_kit
from deploy.kit_packages import entry_command, names
from deploy.machine import RELEASES, Machine, booted
from support.commands import Done, at_terminal
from support.desk import Exporter, seal_tip
from support.once import once
from support.world import ROOT
from tipbox.formats.base import days
from tipbox.formats.manifest import Manifest

pytestmark = pytest.mark.timeout(7200)  # machines and networks are set up on a busy one

HOME: Final = "/home/anna"
ROOTS: Final = "the root password of this Debian"
PHRASE: Final = "six words that dice have chosen today"
SEALED: Final = "What I saw on the square"
SIZE: Final = (320, 200)
SHIM: Final = "/usr/local/bin/firefox-esr"
PATIENCE: Final = 600.0


@pytest.fixture(scope="module", name="desk_kit")
def _desk_kit(kit: Kit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kit as it is given out, with Debian's packages."""
    return once(tmp_path_factory, "whole-kit", lambda out: make_kit("desk", out, kit.wheel, kit.key))


@pytest.fixture(name="machine", params=RELEASES)
def _machine(
    request: pytest.FixtureRequest, new_tree: Callable[[str], Path], namespace: str, desk_kit: Path, kit: Kit
) -> Iterator[Machine]:
    """A machine with a person's account, into whose folder the stick was copied."""
    root = new_tree(request.param)
    with booted(request.param, root, namespace) as machine:
        machine.run("useradd", "--create-home", "--shell", "/bin/bash", "anna")
        machine.run("bash", "-c", f"echo {shlex.quote(f'root:{ROOTS}')} | chpasswd")
        machine.put(desk_kit, f"{HOME}/Desktop of Anna/kit")
        machine.put(kit.signers, f"{HOME}/signers")
        machine.run("chown", "--recursive", "anna:", HOME)
        yield machine


def inside(machine: Machine, *command: str) -> list[str]:
    """A command as anna, after she has logged in."""
    return [
        *("nsenter", f"--target={machine.leader}", "--all", "runuser", "--login", "anna", "--command"),
        shlex.join(command),
    ]


def typed(machine: Machine, *command: str) -> Done:
    """Run a command as she types it."""
    done = subprocess.run(
        inside(machine, *command), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return Done(done.returncode, done.stdout, done.stderr)


def lacking(machine: Machine) -> set[str]:
    """The desk's packages that are not installed there."""
    asked = ("dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *names())
    installed = {
        line.split()[0] for line in machine.run(*asked, expect=None).out.splitlines() if line.endswith(" installed")
    }
    return set(names()) - installed


def of_the_guide(page: Path) -> Iterator[list[str]]:
    """The commands of the page in the kit, up to the first tip."""
    text = page.read_text(encoding="utf-8").partition("## When something happens")[0]
    for block in re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield from (shlex.split(line) for line in block.splitlines())


def photo() -> bytes:
    """A picture of a known size."""
    out = io.BytesIO()
    Image.linear_gradient("L").resize(SIZE).convert("RGB").save(out, "JPEG")
    return out.getvalue()


def test_a_newcomer_gets_from_the_kit_to_a_picture_on_the_screen(
    machine: Machine, desk_kit: Path, tmp_path: Path
) -> None:
    interfaces = machine.run("cat", "/proc/net/dev").out.splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
    assert {"bubblewrap", "firefox-esr", "libimage-exiftool-perl", "tesseract-ocr"} <= lacking(machine)

    # Step 4 of README.txt, in a terminal.
    script = ("bash", f"{HOME}/Desktop of Anna/kit/install-desk.sh", "--signers", f"{HOME}/signers")
    begun = time.monotonic()
    code, said = at_terminal(inside(machine, *script), f"{ROOTS}\n".encode())
    seconds = time.monotonic() - begun
    assert code == 0, said
    assert "Files of sources: they can be looked at here, in a sandbox" in said
    assert lacking(machine) == set()
    assert machine.run("dpkg", "--audit").out == ""

    # Step 6: the guide that the kit has brought, in the window of step 5.
    for name in ("pass", "timur.pass"):
        machine.path(f"{HOME}/{name}").write_text(f"{PHRASE} {name}\n", encoding="utf-8")
    machine.path(f"{HOME}/stick").mkdir()
    machine.run("bash", "-c", f"chown --recursive anna: {HOME}/stick {HOME}/*pass && chmod 600 {HOME}/*pass")
    ident = "TIP"
    for command in of_the_guide(machine.path(f"{HOME}/tipbox/guide/desk-first-hour.md")):
        if command[1:3] == ["desk", "import"]:
            manifest, today = Manifest.parse(machine.path(f"{HOME}/kibhr.json").read_bytes()), days.today()
            tip = seal_tip([manifest], message=SEALED.encode(), files=[("photo.jpg", photo())], today=today)
            bundle = machine.path(f"{HOME}/stick/kibhr-1.bundle")
            Exporter().export(bundle, manifest, [tip], day=today)
            machine.run("chown", "anna:", f"{HOME}/stick/kibhr-1.bundle")
        line = shlex.join(ident if word == "TIP" else word for word in command)
        window = f"echo {shlex.quote(f'{line}; echo ended with $?')} | tipbox/bin/tipbox-desk --commands"
        done = typed(machine, "bash", "-c", window)
        assert "ended with 0\n" in done.out, (line, done)
        if command[1:3] == ["desk", "list"]:
            (ident,) = re.findall(r"(?m)^([0-9a-f]{8})[0-9a-f]* ", done.out)
    assert machine.path(f"{HOME}/opened/message.txt").read_text(encoding="utf-8") == SEALED

    # The ladder by command: pixels, words in pictures, metadata.
    locked = ("--vault", "kibhr", "--passphrase-file", "pass")
    looked = typed(machine, "tipbox/bin/tipbox", "desk", "look", *locked, ident, "1", "--ocr", "--out", "read").out
    (picture,) = machine.path(f"{HOME}/read").rglob("*.png")
    with Image.open(picture) as opened:
        assert opened.size == SIZE, looked
    assert "install" not in looked
    assert "image/jpeg by libmagic" in looked
    assert "Megapixels" in looked, "exiftool"

    shown = look_at_the_pages(machine, tmp_path)
    assert shown["size"] == list(SIZE)
    assert SEALED in shown["thread"]
    assert shown["complaints"] == []
    size = sum(path.stat().st_size for path in desk_kit.rglob("*") if path.is_file())
    print(f"Debian {machine.version}: kit of {size / 1e6:.0f} MB; installed in {seconds:.0f} s")  # noqa: T201 (figures)


def look_at_the_pages(machine: Machine, folder: Path) -> dict[str, Any]:
    """Start what stands among the programs of the desktop, and sit down at its window; what is seen there."""
    # The kit's own Firefox, which shows its window to nobody and can be driven: all that differs from a desktop.
    driven = "--headless --marionette --remote-allow-system-access"
    machine.path(SHIM).write_text(f'#!/bin/sh\nexec /usr/bin/firefox-esr {driven} "$@"\n', encoding="ascii")
    machine.path(SHIM).chmod(0o755)
    (folder / "pass").write_text(f"{PHRASE} pass\n", encoding="utf-8")
    entry = machine.path(f"{HOME}/.local/share/applications/tipbox-desk.desktop")
    screenshot = Path(os.environ.get("TIPBOX_KIT_PICTURES", folder)) / f"kit-debian-{machine.version}.png"
    with (folder / "log").open("wb") as log:
        desk = subprocess.Popen(
            inside(machine, *entry_command(entry)), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        browser = browser_of(desk, folder / "log")
        done = subprocess.run(
            (
                *("nsenter", f"--target={browser}", "--net", "--", sys.executable),
                *(Path(__file__).with_name("kit_hand.py"), folder / "pass", screenshot),
            ),
            env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{(folder / 'log').read_text()}"
        assert desk.wait(PATIENCE) == 0, "the window was closed, and the command ends with it"
    finally:
        desk.kill()
        desk.wait()
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def browser_of(desk: subprocess.Popen[bytes], log: Path) -> int:
    """The process of the browser that it has started, once it is there."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert desk.poll() is None, log.read_text()
        for process in psutil.Process(desk.pid).children(recursive=True):
            try:
                if "--marionette" in process.cmdline():
                    return process.pid
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def test_a_kit_with_one_bit_changed_installs_nothing(desk_kit: Path, tmp_path: Path) -> None:
    kit = Path(shutil.copytree(desk_kit, tmp_path / "kit"))
    package = max(kit.glob("debian/*/*.deb"), key=lambda path: path.stat().st_size)
    data = bytearray(package.read_bytes())
    data[len(data) // 2] ^= 1
    package.write_bytes(data)
    done = subprocess.run(
        ("bash", kit / "install-desk.sh"), env={**os.environ, "HOME": str(tmp_path)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"(changed: {package.relative_to(kit)})" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["kit"]
