"""Runs inside a unit's sandbox, as the unit's process, and prints what it can do there as JSON."""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

PLACES = (
    *("/", "/boot", "/dev", "/etc", "/etc/tipbox", "/home", "/media", "/mnt", "/opt/tipbox", "/opt/tipbox/current/bin"),
    *("/proc/sys/kernel", "/root", "/run", "/run/systemd", "/run/tor", "/srv", "/sys/fs/cgroup", "/tmp", "/usr"),
    *("/usr/local/bin", "/var", "/var/cache", "/var/lib", "/var/lib/tipbox", "/var/lib/tipbox/blobs", "/var/lib/tor"),
    *("/var/lib/tipbox-backup", "/var/lib/tipbox-canary", "/var/lib/tipbox-canary/lists", "/var/log", "/var/tmp"),
)
SECRETS = ("/etc/shadow", "/home/somebody/note", "/root/note", "/var/lib/tor/tipbox/sources/hs_ed25519_secret_key")
VITAL = ("server.key", "tipbox.toml", "keys")
NAME = ".probe"
NEW_USER_NAMESPACE = 0x10000000


def outcome(attempt: Callable[[], object]) -> str:
    """``ok``, or the name of the error."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno))
    return "ok"


def write(folder: str) -> None:
    """Make a file, and remove it."""
    path = Path(folder) / NAME
    path.write_bytes(b"x")
    path.unlink()


def replace(name: str) -> None:
    """Rename something of the server's folder, and rename it back."""
    path = Path("/var/lib/tipbox") / name
    aside = path.with_name(NAME)
    path.rename(aside)
    aside.rename(path)


def overwrite(name: str) -> None:
    """Put another file in its place; only where ``replace`` says that it would be refused."""
    path = Path("/var/lib/tipbox") / NAME
    path.write_bytes(b"x")
    try:
        path.rename(path.with_name(name))
    finally:
        path.unlink(missing_ok=True)


def write_and_execute() -> None:
    """Memory that is writable and executable at once."""
    mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def execute_data() -> None:
    """Run a program that lies among the data."""
    path = Path("/var/lib/tipbox") / NAME
    path.write_text("#!/bin/sh\n")
    path.chmod(0o700)
    try:
        pid = os.posix_spawn(path, [str(path)], {})
        os.waitpid(pid, 0)
    finally:
        path.unlink()


def call(name: str, *arguments: int) -> None:
    """A function of the C library that returns 0 when it did what it was asked."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)


def connect(host: str) -> None:
    """A connection to an address."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as line:
        line.settimeout(5)
        line.connect((host, 80))


def main() -> None:
    """Everything, once."""
    lines = Path("/proc/self/status").read_text().splitlines()
    status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    json.dump(
        {
            "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
            "connect": {host: outcome(partial(connect, host)) for host in ("127.0.0.1", "::1", "192.0.2.1")},
            "core": resource.getrlimit(resource.RLIMIT_CORE),
            "execute_data": outcome(execute_data),
            "namespace": outcome(partial(call, "unshare", NEW_USER_NAMESPACE)),
            "no_new_privileges": status["NoNewPrivs"],
            "others": sorted({path.stat().st_uid for path in Path("/proc").iterdir() if path.name.isdecimal()}),
            "replace": {name: outcome(partial(replace, name)) for name in VITAL},
            "overwrite": {
                name: outcome(partial(overwrite, name)) for name in VITAL if outcome(partial(replace, name)) != "ok"
            },
            "remove": {
                name: outcome(partial(os.unlink, f"/var/lib/tipbox/{name}"))
                for name in VITAL
                if outcome(partial(replace, name)) != "ok"
            },
            "write_keys": outcome(partial(write, "/var/lib/tipbox/keys")),
            "seccomp": status["Seccomp"],
            "secrets": {path: outcome(Path(path).read_bytes) for path in SECRETS},
            "server_key": outcome(Path("/var/lib/tipbox/server.key").read_bytes),
            "trace": outcome(partial(call, "ptrace", 0, 0, 0, 0)),
            "user": os.getuid(),
            "write": [place for place in PLACES if outcome(partial(write, place)) == "ok"],
            "write_and_execute": outcome(write_and_execute),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
