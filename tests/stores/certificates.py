"""Certificates of an authority of the test's own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30")


def certify(folder: Path, names: Iterable[str]) -> Path:
    """``NAME.pem`` and ``NAME.key`` for each name, in ``folder``; the authority's certificate."""
    authority, key = folder / "ca.pem", folder / "ca.key"
    own = ("-addext", "keyUsage=critical,keyCertSign", "-keyout", key, "-out", authority)
    _openssl("req", "-x509", *_NEW_KEY, "-subj", "/CN=authority of the test", *own)
    for name in names:
        is_for = ("-addext", f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=critical,CA:FALSE")
        made = ("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")
        _openssl("req", "-x509", *_NEW_KEY, "-subj", f"/CN={name}", *is_for, "-CA", authority, "-CAkey", key, *made)
    return authority


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(("openssl", *arguments), stdin=subprocess.DEVNULL, capture_output=True, check=True)
