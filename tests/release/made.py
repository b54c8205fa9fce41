"""Releases for tests: a folder with given files, signed by keys of ssh-keygen, which are test keys and nothing else."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field, replace
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from nacl.signing import SigningKey

from support.world import ROOT
from tipbox.release.release_list import ReleaseList
from tipbox.release.signers import Signers

TODAY = date(2027, 3, 1)


@dataclass
class Maker:
    """Three maintainers, two of whom must sign."""

    folder: Path
    names: tuple[str, ...] = ("aigul", "boris", "clara")
    keys: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        for name in self.names:
            self.key(name)

    def key(self, name: str) -> Path:
        """The private key of somebody."""
        if name not in self.keys:
            self.keys[name] = self.folder / name
            ssh_keygen("-q", "-t", "ed25519", "-N", "", "-C", "test only", "-f", self.keys[name])
        return self.keys[name]

    def public(self, name: str) -> bytes:
        """Its public half, 32 bytes."""
        from base64 import b64decode

        return b64decode(self.key(name).with_name(f"{name}.pub").read_text().split()[1])[-32:]

    @property
    def signers(self) -> Signers:
        return Signers({name: self.public(name) for name in self.names}, 2)

    def signature(self, name: str, data: bytes, namespace: str = "tipbox-release") -> bytes:
        return ssh_keygen("-q", "-Y", "sign", "-f", self.key(name), "-n", namespace, data=data)

    def sign(self, path: Path, *names: str, into: Path | None = None) -> None:
        """Sign a file, as RELEASING.md says."""
        into = into or path.with_name("signatures")
        into.mkdir(parents=True, exist_ok=True)
        for name in names:
            (into / f"{name}.sig").write_bytes(self.signature(name, path.read_bytes()))

    def write_signers(self, path: Path, signers: Signers | None = None) -> Path:
        path.write_bytes((signers or self.signers).encode())
        return path

    def release(self, folder: Path, files: dict[str, bytes], *names: str, **changes: Any) -> ReleaseList:
        """Write and sign a release of these files; wheel, source and list of parts are added."""
        made = listed(files, **changes)
        for path, data in files_of(files, made.release).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        (folder / "release.json").write_bytes(made.encode())
        self.sign(folder / "release.json", *(names or self.names[:2]))
        return made


def files_of(files: dict[str, bytes], version: str) -> dict[str, bytes]:
    base = {
        f"tipbox-{version}-py3-none-any.whl": b"wheel",
        f"tipbox-{version}.tar.gz": b"source",
        "sbom.cdx.json": b"{}",
    }
    return base | files


def listed(files: dict[str, bytes], **changes: Any) -> ReleaseList:
    version = changes.get("release", "1.2.0")
    made = ReleaseList(
        "1.2.0", bytes(20), {path: sha256(data).digest() for path, data in files_of(files, version).items()},
        date(2027, 6, 1), "1.1.0", b"", 1580601600, {"hatchling": "1.29.0"}, "sbom.cdx.json",
    )  # fmt: skip
    return replace(made, **changes)


def ssh_keygen(*arguments: object, data: bytes = b"") -> bytes:
    done = subprocess.run(
        ["ssh-keygen", *map(str, arguments)], input=data, capture_output=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


WATCHER = SigningKey(bytes(range(32)))


def wheel_of_checkout(path: Path) -> None:
    """What a wheel of this checkout holds that runs, without building one."""
    folders = {
        "tipbox": ROOT / "tipbox",
        "tipbox/templates": ROOT / "templates",
        "tipbox/static": ROOT / "client" / "dist",
    }
    with ZipFile(path, "w") as wheel:
        for name, folder in folders.items():
            for file in sorted(folder.rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts:
                    wheel.write(file, f"{name}/{file.relative_to(folder)}")
