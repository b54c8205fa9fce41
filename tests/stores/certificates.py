"""Certificates of an authority of the test's own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

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


def expire(folder: Path, name: str) -> None:
    """Make the certificate of a name anew, as one that ended yesterday."""
    made = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
    authority = load_pem_private_key((folder / "ca.key").read_bytes(), None)
    end = datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateBuilder(
        made.issuer, made.subject, made.public_key(), made.serial_number, end - timedelta(days=30), end
    )
    for extension in made.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    expired = builder.sign(authority, SHA256())  # type: ignore[arg-type]
    (folder / f"{name}.pem").write_bytes(expired.public_bytes(Encoding.PEM))


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(("openssl", *arguments), stdin=subprocess.DEVNULL, capture_output=True, check=True)
