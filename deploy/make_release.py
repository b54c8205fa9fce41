#!/usr/bin/env python3
"""Make the folder of a release from this checkout: `make release ARGS='--out DIR --expires DAY'` (RELEASING.md).

The same commit gives the same bytes, whoever makes it, where and when (docs/releases.md, section 1). It signs nothing.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from hashlib import sha256
from pathlib import Path

from tipbox import __version__
from tipbox.formats.base import canonical
from tipbox.formats.site_list import SiteList
from tipbox.release.release_list import ReleaseList
from tipbox.verify.rendering import render_with, run_with

ROOT = Path(__file__).resolve().parents[1]
EPOCH = 1580601600
"""What hatchling takes for every file's time when nobody names another."""
SBOM = "sbom.cdx.json"
SUMS = "SHA256SUMS"
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?==([A-Za-z0-9.+!_-]+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
OFFLINE_PAGE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv.pop(1))
from tipbox.server.offline_page import render_offline_template
Path(sys.argv[1]).write_bytes(render_offline_template())
"""
OF_CLIENT = ("esbuild", "terser")


def main() -> None:
    """Make it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new folder")
    parser.add_argument("--expires", required=True, type=date.fromisoformat, metavar="DAY", help="the last day")
    parser.add_argument("--floor", default=__version__, metavar="VERSION", help="the lowest that may still run")
    parser.add_argument("--previous", type=Path, metavar="FILE", help="release.json of the release before")
    parser.add_argument("--commit", metavar="HEX", help="otherwise what git says of a clean checkout")
    parser.add_argument("--kit", type=Path, metavar="DIR", help="what deploy/airgap-kit.sh made, to go with it")
    asked = parser.parse_args()
    commit = asked.commit or commit_here()
    if asked.out.exists():
        sys.exit(f"making a release: {asked.out} is there already; name a new folder")
    asked.out.mkdir(parents=True)
    build(asked.out)
    (wheel,) = asked.out.glob("*.whl")
    for lock in sorted(ROOT.glob("requirements*.lock")):
        shutil.copyfile(lock, asked.out / lock.name)
    copy_folder(asked.kit or ROOT / "deploy" / "kit", asked.out / "kit")
    render_with(wheel, SiteList.of("en", []).encode(), asked.out / "site")
    run_with(wheel, OFFLINE_PAGE, (asked.out / "offline.html").absolute())
    (asked.out / SBOM).write_bytes(canonical.encode(parts(), file_form=True))
    files = hashes(asked.out)
    lines = "".join(f"{digest.hex()}  {path}\n" for path, digest in sorted(files.items()))
    (asked.out / SUMS).write_text(lines, encoding="utf-8")
    previous = sha256(asked.previous.read_bytes()).digest() if asked.previous else b""
    made = ReleaseList(
        __version__, bytes.fromhex(commit), hashes(asked.out), asked.expires, asked.floor, previous, EPOCH,
        tools(), SBOM,
    )  # fmt: skip
    data = made.encode()
    ReleaseList.parse(data)
    (asked.out / "release.json").write_bytes(data)
    print(f"{asked.out}: {len(made.files)} files; release.json has the hash {sha256(data).hexdigest()}")
    print("Each signer: ssh-keygen -Y sign -f KEY -n tipbox-release < release.json > signatures/NAME.sig")


def commit_here() -> str:
    """The commit of a checkout in which nothing was changed."""

    def git(*arguments: str) -> str:
        command = ("git", "-c", "safe.directory=*", *arguments)
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    if git("status", "--porcelain", "--untracked-files=no"):
        sys.exit("making a release: something was changed since the commit; commit it, or use a fresh clone")
    return git("rev-parse", "HEAD")


def build(out: Path) -> None:
    """Source and wheel, the wheel from the source."""
    done = subprocess.run(
        (sys.executable, "-m", "build", "--no-isolation", "--outdir", out),
        cwd=ROOT,
        env=os.environ | {"SOURCE_DATE_EPOCH": str(EPOCH)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"making a release: the build ended with {done.returncode}\n{done.stdout}{done.stderr}")


def copy_folder(folder: Path, to: Path) -> None:
    """The files of a folder, without times and modes."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            target = to / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def hashes(folder: Path) -> dict[str, bytes]:
    """SHA-256 of each file by its path below the folder."""
    return {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).digest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def pins(lock: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Name, version and hashes of each package of a lock file."""
    for block in re.split(r"\n(?=[A-Za-z0-9])", lock.read_text(encoding="utf-8")):
        if pin := PIN.match(block):
            yield pin[1], pin[2], HASH.findall(block)


def of_client() -> dict[str, dict[str, str]]:
    """The packages of the client's lock file by name."""
    locked = json.loads((ROOT / "client" / "package-lock.json").read_bytes())["packages"]
    return {path.rpartition("node_modules/")[2]: one for path, one in locked.items() if path}


def parts() -> dict[str, canonical.Json]:
    """A list of parts as CycloneDX 1.6 has it, from the lock files: what runs, and what the client is made of."""
    found: dict[str, canonical.Json] = {}
    for lock in ("requirements.lock", "requirements-desk.lock", "requirements-build.lock"):
        for name, version, digests in pins(ROOT / lock):
            purl = f"pkg:pypi/{name.lower()}@{version}"
            found[purl] = {
                "bom-ref": purl,
                "hashes": [{"alg": "SHA-256", "content": digest} for digest in sorted(digests)],
                "name": name,
                "purl": purl,
                "type": "library",
                "version": version,
            }
    for name, one in of_client().items():
        kind, _, digest = one.get("integrity", "").partition("-")
        if kind != "sha512":
            continue
        purl = f"pkg:npm/{name.replace('@', '%40')}@{one['version']}"
        found[purl] = {
            "bom-ref": purl,
            "hashes": [{"alg": "SHA-512", "content": base64.b64decode(digest).hex()}],
            "name": name,
            "purl": purl,
            "type": "library",
            "version": one["version"],
        }
    component: canonical.Json = {"bom-ref": "tipbox", "name": "tipbox", "type": "application", "version": __version__}
    return {
        "bomFormat": "CycloneDX",
        "components": [found[purl] for purl in sorted(found)],
        "metadata": {"component": component},
        "specVersion": "1.6",
        "version": 1,
    }


def tools() -> dict[str, str]:
    """What the lock files pin of what builds: Python and the system are not among it, and must not matter."""
    client = of_client()
    return {
        **{name: version for name, version, _ in pins(ROOT / "requirements-build.lock")},
        **{name: client[name]["version"] for name in OF_CLIENT},
    }


if __name__ == "__main__":
    main()
