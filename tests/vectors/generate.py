"""Makes every case of this folder anew: python generate.py [FOLDER]. The same bytes every time (see README.md)."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import make_backup
import make_bundle
import make_canonical
import make_capsule
import make_envelope
import make_mailbox
import make_manifest
import make_notice
import make_piece
import make_qr
import make_small
import make_toll

MODULES = (
    make_canonical,
    make_small,
    make_manifest,
    make_envelope,
    make_notice,
    make_piece,
    make_qr,
    make_capsule,
    make_bundle,
    make_mailbox,
    make_toll,
    make_backup,
)
LARGEST_FILE = 200_000
LARGEST_FOLDER = 6_000_000


def main(folder: Path) -> None:
    """Write every case below ``folder``; what an earlier version made and this one does not is removed."""
    made: dict[str, bytes] = {}
    for module in MODULES:
        for case in module.cases():
            name = f"{case['kind']}/{case['name']}.json"
            assert name not in made, f"two cases are named {name}"
            made[name] = (json.dumps(case, ensure_ascii=True, indent=1) + "\n").encode()
            assert len(made[name]) <= LARGEST_FILE, f"{name} is too large"
    total = sum(map(len, made.values()))
    assert total <= LARGEST_FOLDER, f"the cases are too large together: {total:,} bytes"
    for kind in {name.split("/")[0] for name in made}:
        shutil.rmtree(folder / kind, ignore_errors=True)
        (folder / kind).mkdir(parents=True)
    for name, data in made.items():
        (folder / name).write_bytes(data)
    print(f"{len(made)} cases, {total:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
