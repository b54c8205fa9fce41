#!/usr/bin/env python3
"""Write signers.json from public keys of ssh-keygen: `make_signers.py --threshold 2 --out signers.json NAME=K.pub …`.

Prints the lines of a file of allowed signers for people who have only OpenSSH (docs/releases.md, section 2).
"""

from __future__ import annotations

import argparse
import base64
import sys
from pathlib import Path

from tipbox.errors import TipboxError
from tipbox.release.signers import Signers
from tipbox.release.ssh_signature import ssh_line

KIND = "ssh-ed25519"
KEY_SIZE = 32


def public(path: Path) -> bytes:
    """The 32 bytes of a public key."""
    words = path.read_text(encoding="utf-8").split()
    if words[:1] != [KIND]:
        sys.exit(f"{path}: this is no public key of ssh-keygen -t ed25519")
    return base64.b64decode(words[1])[-KEY_SIZE:]


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threshold", required=True, type=int, metavar="K", help="how many must sign")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE")
    parser.add_argument("--after", type=Path, metavar="FILE", help="the signers.json that this one replaces")
    parser.add_argument("signers", nargs="+", metavar="NAME=K.pub")
    asked = parser.parse_args()
    pairs = [one.partition("=") for one in asked.signers]
    keys = {name: public(Path(path)) for name, _, path in pairs}
    number = Signers.parse(asked.after.read_bytes()).number + 1 if asked.after else 1
    try:
        made = Signers.parse(Signers(keys, asked.threshold, number).encode())
    except TipboxError as error:
        sys.exit(f"making signers: {error}")
    asked.out.write_bytes(made.encode())
    for name in sorted(keys):
        print(ssh_line(name, keys[name]), end="")


if __name__ == "__main__":
    main()
