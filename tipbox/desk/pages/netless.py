"""A place that has no network but its own loopback: namespaces of the kernel, entered by this process for good.

Pages and browser live in it together: what a hostile file or a hole in the browser may do, it reaches nobody.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
from pathlib import Path
from typing import Final

from tipbox.desk.desk_errors import NoNamespace

_NEW_USER: Final = 0x10000000
_NEW_NETWORK: Final = 0x40000000
_NEW_MOUNTS: Final = 0x00020000
_FOLLOW: Final = 0x00080000 | 0x00004000  # MS_SLAVE | MS_REC: a stick that is plugged in later is seen here, too
_NO_PROGRAMS: Final = 0x2 | 0x4  # MS_NOSUID | MS_NODEV
_GET_FLAGS: Final = 0x8913
_SET_FLAGS: Final = 0x8914
_IS_UP: Final = 0x1
_SET_PARENT_DEATH: Final = 1
_SET_DUMPABLE: Final = 4
_SET_SUBREAPER: Final = 36

_libc: Final = ctypes.CDLL(None, use_errno=True)

NO_NAMESPACE: Final = (
    "starting the pages: this machine lets nobody make a network of their own (user namespaces), and without one the "
    "browser could reach others; tipbox desk list lists tips, tipbox desk thread and tipbox desk show open them"
)


def enter() -> None:
    """Leave every network for good: this process and all that it starts have a loopback of their own, and no more.

    Raises:
        NoNamespace: the kernel, or who set this machine up, does not allow it.
    """
    user, group = os.getuid(), os.getgid()
    if _libc.unshare(_NEW_USER | _NEW_NETWORK | _NEW_MOUNTS):
        raise NoNamespace(NO_NAMESPACE)
    try:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
        with socket.socket() as any_socket:
            name = struct.pack("16sh14x", b"lo", 0)
            (flags,) = struct.unpack_from("h", fcntl.ioctl(any_socket, _GET_FLAGS, name), 16)
            fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _IS_UP))
        _checked(_libc.mount(b"none", b"/", None, ctypes.c_ulong(_FOLLOW), None))
    except OSError as error:
        raise NoNamespace(NO_NAMESPACE) from error


def mount_memory(folder: Path) -> None:
    """Put a file system that lies in memory onto a folder; nobody outside this namespace sees it.

    Raises:
        OSError: it cannot be mounted.
    """
    _checked(_libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", ctypes.c_ulong(_NO_PROGRAMS), b"mode=700,size=75%"))


def unmount(folder: Path) -> None:
    """Take it away, with all that lies in it."""
    _checked(_libc.umount2(os.fsencode(folder), 2))  # MNT_DETACH: a process that is just ending may hold it


def end_with_parent() -> None:
    """Have this process killed when the one that started it ends, however that ends."""
    _libc.prctl(_SET_PARENT_DEATH, signal.SIGKILL, 0, 0, 0)


def keep_memory_apart() -> None:
    """No core dump, and no other process of this account reads what this one holds."""
    _libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)


def adopt_orphans() -> None:
    """Be the parent of whatever this process's children leave behind."""
    _libc.prctl(_SET_SUBREAPER, 1, 0, 0, 0)


def _checked(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
