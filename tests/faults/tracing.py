"""strace on the workers of a running server."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def traced(pids: Sequence[int], options: Sequence[str], out: Path) -> Iterator[None]:
    """strace follows the processes and what they start; it writes to ``out`` and lets them go at the end."""
    attach = [argument for pid in pids for argument in ("-p", str(pid))]
    # As a program of its own session: a test that kills the server's group does not kill its tracer.
    process = subprocess.Popen(
        ("strace", *options, "-o", out, *attach),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    said: list[str] = []
    waiting = set(pids)
    for line in process.stderr:
        said.append(line)
        # "strace: Process 123 attached", or "... attached with 7 threads"
        words = line.split()
        if "attached" in words:
            waiting.discard(int(words[words.index("Process") + 1]))
        if not waiting:
            break
    assert not waiting, f"strace did not attach: {''.join(said)}"
    drain = threading.Thread(target=process.stderr.read, daemon=True)
    drain.start()
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        drain.join()
        process.stderr.close()
