"""Work in a child process that dies at a system call, as at a power cut."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable


def killed_at(call: str, number: int, work: Callable[[], object]) -> bool:
    """Do ``work`` in a child that is killed at its ``number``-th call to the system call ``call``; whether it was.

    The child is of this process, so that nothing is imported or started under the tracer.
    """
    begin, started = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.close(started)
            os.read(begin, 1)
            work()
            status = 0
        finally:
            os._exit(status)
    os.close(begin)
    inject = f"inject={call}:signal=KILL:when={number}"
    options = ("-f", "-e", f"trace={call}", "-e", inject, "-o", "/dev/null", "-p", str(child))
    with subprocess.Popen(("strace", *options), stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        assert "attached" in tracer.stderr.readline()
        os.close(started)
        _, ended = os.waitpid(child, 0)
        tracer.kill()
    assert os.WIFSIGNALED(ended) or os.WEXITSTATUS(ended) == 0
    return os.WIFSIGNALED(ended)
