"""Runs inside a sandbox only: reads one file from standard input and writes what can be seen of it.

It imports nothing of the project. What it reads is hostile, so what it writes is hostile too: the desk checks all of it
(tipbox/desk/render/worker_answer.py), and nothing here is trusted to hold its own bounds.

Arguments: the rung (``facts`` or ``sight``), the longer side of a picture in pixels, and how many pictures.
Answer: b"TBX1", u32 size of JSON, JSON, then for each picture u16 width, u16 height and RGB, then sound as s16le mono.
"""

from __future__ import annotations

import sys

# -I -S: no folder but these two, and no .pth file, is looked into.
sys.path[:0] = ["/worker", "/site"]

import json  # noqa: E402
import os  # noqa: E402
import struct  # noqa: E402
from typing import BinaryIO  # noqa: E402

from worker_seen import ARCHIVES, DOCUMENTS, MEDIA, PICTURES, Seen, Stop, kind_of  # noqa: E402


def look(file: BinaryIO, rung: str, side: int, count: int) -> Seen:
    """All that a rung shows of a file."""
    kind = kind_of(file)
    seen = Seen(kind=kind, sight=rung == "sight", side=side, count=count)
    # Only what this kind of file needs is loaded.
    if kind in PICTURES:
        import worker_pictures

        worker_pictures.look(file, seen)
    elif kind in MEDIA:
        import worker_media

        worker_media.look(file, seen)
    elif kind in DOCUMENTS:
        import worker_documents

        worker_documents.look(file, seen)
    elif kind in ARCHIVES:
        import worker_archives

        worker_archives.look(file, seen)
    else:
        seen.line = "unknown"
    return seen


def main() -> None:
    """Look, and answer in one frame, whatever happens."""
    rung, side, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    seen = Seen()
    with os.fdopen(0, "rb", closefd=False) as file:
        try:
            seen = look(file, rung, side, count)
        except Stop as stop:
            seen = stop.seen or Seen()
            seen.line = stop.line
        except MemoryError:
            seen.line = "too-large"
        except Exception:  # libraries raise anything for a damaged file, and their words are the source's
            seen.line = "broken"
    data = json.dumps(seen.to_json()).encode()
    out = sys.stdout.buffer
    out.write(b"TBX1" + struct.pack(">I", len(data)) + data)
    for width, height, pixels in seen.pictures:
        out.write(struct.pack(">HH", width, height))
        out.write(pixels)
    out.write(seen.sound)
    out.flush()


main()
