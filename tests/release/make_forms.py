"""Writes tests/release/forms: what docs/releases.md says, as bytes, made without tipbox.

``python tests/release/make_forms.py`` writes them again. The keys are made of counted bytes: test keys, nobody's.
"""

from __future__ import annotations

import json
import struct
from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any, Final

from nacl.signing import SigningKey

FORMS: Final = Path(__file__).with_name("forms")
NAMES: Final = ("aigul", "boris", "clara")
KEYS: Final = {name: SigningKey(bytes([number] * 32)) for number, name in enumerate(NAMES, start=1)}
BODIES: Final = {
    "/en/": (b"<!doctype html>\n<title>x</title>\n", "text/html; charset=utf-8"),
    "/error.html": (b"<!doctype html>\n", "text/html; charset=utf-8"),
    "/static/page.js": (b'"use strict";\n', "text/javascript; charset=utf-8"),
}
FILES: Final = {
    "kit/INSTALL.txt": b"kit\n",
    "requirements.lock": b"a==1\n",
    "sbom.cdx.json": b"{}\n",
    "tipbox-1.2.0-py3-none-any.whl": b"wheel\n",
    "tipbox-1.2.0.tar.gz": b"source\n",
}


def main() -> None:
    """Write them all, and SHA-256 of each."""
    made = {
        "release.json": in_file_form(release()),
        "served.json": in_file_form(served()),
        "signers.json": in_file_form(signers()),
        "watch.lines": watch_lines(),
    }
    made |= {f"{name}.sig": signature(made["release.json"], KEYS[name]) for name in NAMES[:2]}
    made["SHA256SUMS"] = "".join(f"{sha256(made[name]).hexdigest()}  {name}\n" for name in sorted(made)).encode()
    FORMS.mkdir(exist_ok=True)
    for name, data in made.items():
        (FORMS / name).write_bytes(data)


def in_file_form(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def public(key: SigningKey) -> str:
    return b64encode(bytes(key.verify_key)).decode()


def release() -> Any:
    return {
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "expires": "2027-06-01",
        "files": {path: sha256(data).hexdigest() for path, data in FILES.items()},
        "floor": "1.1.0",
        "kind": "release",
        "previous": "",
        "release": "1.2.0",
        "sbom": "sbom.cdx.json",
        "source_date_epoch": 1580601600,
        "tools": {"esbuild": "0.25.0", "hatchling": "1.29.0"},
        "version": 1,
    }


def signers() -> Any:
    return {
        "kind": "signers",
        "log": {"logs": [public(KEYS["aigul"])], "quorum": 1, "witnesses": [public(KEYS["boris"])]},
        "number": 1,
        "signers": [{"key": public(KEYS[name]), "name": name} for name in NAMES],
        "threshold": 2,
        "version": 1,
    }


def served() -> Any:
    digests = {path: sha256(body).digest() for path, (body, _) in BODIES.items()}
    manifest = {
        "default_csp": "default-src 'none'",
        "default_fallback": "/error.html",
        "default_index": "index.html",
        "extra_csp": {},
        "files": {
            f"{path}index.html" if path.endswith("/") else path: urlsafe_b64encode(digest).decode().rstrip("=")
            for path, digest in digests.items()
        },
        "name": "tipbox",
        "version": "1.2.0",
        "wasm": [],
    }
    return {
        "hashes": {path: f"sha256-{b64encode(digest).decode()}" for path, digest in digests.items()},
        "kind": "served",
        "manifest": manifest,
        "signatures": {},
        "types": {path: kind for path, (_, kind) in BODIES.items()},
        "version": 1,
    }


def watch_lines() -> bytes:
    """Two looks, of which the second names the first."""
    lines: list[bytes] = []
    for hour, (result, found) in enumerate((("same", []), ("differs", ["/en/: the bytes differ"]))):
        said = {
            "at": f"2027-03-01T{hour:02}",
            "found": found,
            "key": public(KEYS["clara"]),
            "kind": "watch",
            "previous": sha256(lines[-1]).hexdigest() if lines else "",
            "release": "1.2.0",
            "result": result,
            "seen": {"/en/": sha256(BODIES["/en/"][0]).hexdigest()},
            "url": "http://127.0.0.1:8080",
            "version": 1,
        }
        signed = KEYS["clara"].sign(b"tipbox/v1/watch\0" + compact(said)).signature
        lines.append(compact({**said, "signature": b64encode(signed).decode()}) + b"\n")
    return b"".join(lines)


def signature(message: bytes, key: SigningKey) -> bytes:
    """As OpenSSH's PROTOCOL.sshsig says, with the lines of 70 characters that ssh-keygen writes."""

    def strings(*parts: bytes) -> bytes:
        return b"".join(struct.pack(">I", len(part)) + part for part in parts)

    kind, common = b"ssh-ed25519", strings(b"tipbox-release", b"", b"sha512")
    signed = key.sign(b"SSHSIG" + common + strings(sha512(message).digest())).signature
    blob = b"SSHSIG" + struct.pack(">I", 1) + strings(strings(kind, bytes(key.verify_key)))
    armoured = b64encode(blob + common + strings(strings(kind, signed))).decode()
    rows = [armoured[at : at + 70] for at in range(0, len(armoured), 70)]
    return "\n".join(["-----BEGIN SSH SIGNATURE-----", *rows, "-----END SSH SIGNATURE-----", ""]).encode()


if __name__ == "__main__":
    main()
