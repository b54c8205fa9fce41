"""The forms of docs/releases.md against fixed bytes that were made without tipbox (tests/release/forms)."""

from __future__ import annotations

from base64 import b64decode
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from release import make_forms
from release.made import ssh_keygen
from release.make_forms import BODIES, FILES, FORMS, NAMES
from tipbox.release.release_list import ReleaseList
from tipbox.release.served_list import ServedList
from tipbox.release.signed_line import SignedLine, read_chain
from tipbox.release.signers import LogPolicy, Signers
from tipbox.release.ssh_signature import ssh_line

LARGEST = 20_000
SHA256 = {
    "release.json": "08a3ff0705305ae9f6ba4660c38ed1e90d4ab47555c79dc6463d03ea2af53453",
    "served.json": "a8d53572a2cd62df67af2fca594e2a3811bbb00416cf8b195d744e11955c0135",
    "signers.json": "6d382c3d09472423929f2dade4f558eb6dc50145967949be676abb3f9ddef43e",
    "watch.lines": "6023040369d4d2c248b63f1746173a4804537f481167de2bb9ff6c2b3682f8c5",
}
PUBLIC = {
    "aigul": b64decode("iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w="),
    "boris": b64decode("gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q="),
    "clara": b64decode("7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E="),
}
MADE: dict[str, tuple[Any, Any]] = {
    "release.json": (
        ReleaseList,
        ReleaseList(
            "1.2.0",
            bytes.fromhex("0123456789abcdef0123456789abcdef01234567"),
            {path: sha256(data).digest() for path, data in FILES.items()},
            date(2027, 6, 1), "1.1.0", b"", 1580601600, {"esbuild": "0.25.0", "hatchling": "1.29.0"}, "sbom.cdx.json",
        ),
    ),
    "served.json": (ServedList, ServedList.of("1.2.0", {"Content-Security-Policy": "default-src 'none'"}, BODIES)),
    "signers.json": (Signers, Signers(PUBLIC, 2, 1, LogPolicy((PUBLIC["aigul"],), (PUBLIC["boris"],), 1))),
}  # fmt: skip


def test_the_bytes_are_those_that_everybody_was_given() -> None:
    sums = (FORMS / "SHA256SUMS").read_text().splitlines()
    there = {path.name: sha256(path.read_bytes()).hexdigest() for path in FORMS.iterdir() if path.name != "SHA256SUMS"}
    assert {name: digest for digest, name in (line.split("  ") for line in sums)} == there
    assert {name: there[name] for name in SHA256} == SHA256
    assert sum(path.stat().st_size for path in FORMS.iterdir()) < LARGEST


@pytest.mark.parametrize("name", MADE)
def test_each_list_is_written_and_read_as_those_bytes(name: str) -> None:
    kind, value = MADE[name]
    data = (FORMS / name).read_bytes()
    assert value.encode() == data
    assert kind.parse(data) == value


def test_signatures_and_lines_of_another_program_are_good() -> None:
    release, signers = (FORMS / "release.json").read_bytes(), MADE["signers.json"][1]
    signed = {name: (FORMS / f"{name}.sig").read_bytes() for name in NAMES[:2]}
    assert signers.check(release, signed, "it") == ["aigul", "boris"]
    lines = (FORMS / "watch.lines").read_bytes().splitlines(keepends=True)
    first, second = read_chain(lines)
    assert (first.said["result"], second.said["previous"]) == ("same", sha256(lines[0]).hexdigest())
    for line in (first, second):
        assert line.key == PUBLIC["clara"]
        assert SignedLine.make("watch", line.said, make_forms.KEYS["clara"]).data == line.data


def test_openssh_takes_the_same_signatures(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.write_text("".join(ssh_line(name, PUBLIC[name]) for name in NAMES))
    for name in NAMES[:2]:
        options = ("-Y", "verify", "-f", allowed, "-I", name, "-n", "tipbox-release", "-s", FORMS / f"{name}.sig")
        assert b"Good" in ssh_keygen(*options, data=(FORMS / "release.json").read_bytes())
