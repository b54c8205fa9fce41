"""A tor for one command: it knows the courier's key, listens on a unix socket only, and ends with the command."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import tenacity

from tipbox.courier.courier_key import CourierKey
from tipbox.errors import NetworkFailed, Usage
from tipbox.files.durable import write_file

START_SECONDS: Final = 300.0
"""How long tor may take to reach its network."""
_END_SECONDS: Final = 5.0
_READY: Final = "Bootstrapped 100%"
_REFUSED: Final = re.compile(r"requiring client authorization|[Cc]lient authorization .* is invalid")
"""What tor notes when a service's descriptor cannot be read: without a key of its own, and with a wrong one."""
# A user's PATH often lacks the folders of system programs.
_PLACES: Final = os.pathsep.join((os.defpath, "/usr/sbin", "/sbin", "/usr/local/sbin"))


@dataclass(frozen=True)
class PrivateTor:
    """A running tor."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def socks(self) -> str:
        """Its SOCKS socket, as ``--socks`` takes it."""
        return f"unix:{self.folder}/socks"

    @property
    def refused(self) -> bool:
        """Whether a service did not let the key in."""
        return _REFUSED.search(self._log()) is not None

    # The log tells what is needed; a control port would be one more listener with a password to guard.
    def _log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def ready(self) -> bool:
        """Whether it has reached its network.

        Raises:
            NetworkFailed: it has ended.
        """
        if self.process.poll() is not None:
            raise NetworkFailed("starting tor: it ended at once; check the lines of --torrc, and try tor by itself")
        return _READY in self._log()

    def end(self) -> None:
        """Stop it."""
        self.process.terminate()  # SIGTERM first: tor closes its circuits before it ends
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def private_tor(host: str, key: CourierKey, more: str = "") -> Iterator[PrivateTor]:
    """Start a tor that can reach ``host`` with ``key``, and wait until it is ready.

    Args:
        host: the onion address.
        key: the courier's.
        more: lines for its torrc, such as bridges.

    Raises:
        Usage: there is no tor on this machine.
        NetworkFailed: it does not reach its network.
    """
    program = shutil.which("tor") or shutil.which("tor", path=_PLACES)
    if program is None:
        raise Usage("starting tor: there is none; install Debian's package tor, or name a running one with --socks")
    with tempfile.TemporaryDirectory(prefix="tipbox-tor-") as name:
        folder = Path(name)
        (folder / "keys").mkdir(mode=0o700)
        write_file(folder / "keys" / "courier.auth_private", f"{key.auth_private(host)}\n".encode())
        write_file(folder / "defaults", b"")  # in place of Debian's, which is for the system's own tor
        write_file(folder / "torrc", _torrc(folder, more).encode())
        command = (program, "-f", folder / "torrc", "--defaults-torrc", folder / "defaults", "--hush")
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        tor = PrivateTor(folder, process)
        try:
            _wait(tor)
            yield tor
        finally:
            tor.end()


def _torrc(folder: Path, more: str) -> str:
    lines = (
        f"DataDirectory {folder}/data",
        f"ClientOnionAuthDir {folder}/keys",
        # A unix socket in a folder of mode 0700: on a port, every user of this machine could use the courier's key.
        f"SocksPort unix:{folder}/socks IsolateSOCKSAuth",
        f"Log notice file {folder}/log",
        "ClientOnly 1",
        "AvoidDiskWrites 1",
        # tor ends when this process does, also when it is killed.
        f"__OwningControllerProcess {os.getpid()}",
    )
    return "\n".join((*lines, more, ""))


def _wait(tor: PrivateTor) -> None:
    waiting = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda ready: not ready),
        wait=tenacity.wait_fixed(0.2),
        stop=tenacity.stop_after_delay(START_SECONDS),
    )
    try:
        waiting(tor.ready)
    except tenacity.RetryError:
        raise NetworkFailed(
            "starting tor: it does not reach its network; check this machine's network, or name bridges with --torrc"
        ) from None
