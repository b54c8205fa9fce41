"""Makes a small server's folder of the present schema: python tests/schemas/make.py, once, before the next migration.

It is written to ``tests/schemas/REVISION/`` and stays there as it is: what a server of that release left. With it,
``expected.json`` says what must still be there after every later migration.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support.kept import pack  # noqa: E402
from support.sealed import Box, envelope, inward, keys_folder, three  # noqa: E402
from support.server import Here  # noqa: E402
from tipbox.formats.base import days  # noqa: E402
from tipbox.formats.base.primitives import sha256  # noqa: E402
from tipbox.formats.bundles.acknowledgement import acknowledge  # noqa: E402
from tipbox.formats.bundles.bundle_write import item_of  # noqa: E402
from tipbox.server.bundles.export import write_volumes  # noqa: E402
from tipbox.server.bundles.importing import import_bundles  # noqa: E402
from tipbox.server.home import Home  # noqa: E402

LARGEST = 200_000


def main() -> None:
    """Make it."""
    work = Path(tempfile.mkdtemp())
    organisations = three()
    server = Here(work / "home", keys_folder(work / "keys", organisations))
    text, acknowledged, files = envelope(organisations), envelope(organisations), envelope(organisations[:2], 1000)
    draft = envelope(organisations, 70_000)
    server.upload(text, acknowledged, files)
    server.open(draft)
    server.put(draft, 1)
    outward = organisations[0].read(write_volumes(server.home, organisations[0].name, work / "out")[0])
    ack = item_of("ack", acknowledge([acknowledged.id], organisations[0].desk))
    box = Box()
    reply = box.reply(500)
    import_bundles(
        server.home, [inward(work / "in", organisations[0], outward, [ack, box.item(reply)], head=bytes(range(32)))]
    )
    server.close()
    expected: dict[str, object] = {
        "acknowledged": [acknowledged.id.hex()],
        "acknowledged_by": organisations[0].name,
        "day": days.today().isoformat(),
        "draft": {"missing": [[0, 1]], "token": draft.token},
        "envelopes": {sent.id.hex(): sha256(sent.whole).hex() for sent in (text, acknowledged, files)},
        "replies": [reply.id.hex()],
        "organisations": {one.name: one.seed.hex() for one in organisations},
    }
    keep(work / "home", expected)
    shutil.rmtree(work)


def keep(home: Path, expected: dict[str, object]) -> None:
    """Write it beside this file."""
    with sqlite3.connect(Home(home).database) as connection:
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        connection.execute("PRAGMA journal_mode=DELETE")  # one file
    connection.close()
    for name in ("tipbox.db.turn", "upkeep.lock"):
        (home / name).unlink(missing_ok=True)
    out = HERE / revision
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    pack(home, out / "home")
    (out / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n", encoding="ascii")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    assert size < LARGEST, f"{size:,} bytes"
    sys.stdout.write(f"{out}: {size:,} bytes\n")


if __name__ == "__main__":
    main()
