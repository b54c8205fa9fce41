"""Files in memory for a sandbox, without a vault."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tipbox.desk.inbox import file_kinds
from tipbox.desk.render.sealed_off import HeldFile


@contextmanager
def held_bytes(data: bytes, name: str = "a") -> Iterator[HeldFile]:
    descriptor = os.memfd_create("test")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        yield HeldFile(name, len(data), data[: file_kinds.HEAD], cut=False, descriptor=descriptor)
    finally:
        os.close(descriptor)
