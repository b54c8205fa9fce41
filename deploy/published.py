#!/usr/bin/env python3
"""Judge the folder of a release before anything of it runs: `published.py DIR signers.json TODAY [KEPT...]`.

With Python's own library and ssh-keygen alone, for the machine may have nothing else yet; the rules are those of
docs/releases.md, sections 1 and 2. KEPT is what this machine remembers of the releases before: the lowest version that
may run, and number and hash of the signers in force. Prints the names of wheel and source, what to keep from now on,
and who signed; or one sentence on why not.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

NAMESPACE = "tipbox-release"
BESIDE = {"release.json", "release.proof", "signatures", "signers", "SHA256SUMS.sig", "rebuilt"}
NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}", re.ASCII)
PATH = re.compile(r"[A-Za-z0-9_.+-]+(/[A-Za-z0-9_.+-]+)*", re.ASCII)
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:(\.dev|a|b|rc)(\d+))?", re.ASCII)
STAGES = (".dev", "a", "b", "rc", None)
MOST = 1 << 20
KEY_SIZE = 32


def die(text: str) -> NoReturn:
    """End with one sentence. What a name holds beside letters was put there to move a terminal's cursor."""
    sys.exit("".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text))


def read(path: Path) -> bytes:
    """A file of at most a megabyte."""
    if not path.is_file():  # a pipe would never end
        die(f"{path} cannot be read; get the release again")
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except OSError:
        die(f"{path} cannot be read; get the release again")
    if len(data) > MOST:
        die(f"{path} is larger than it can be; get the release again")
    return data


def canonical(path: Path, kind: str) -> Any:
    """An object in its one spelling."""
    data = read(path)
    try:
        value = json.loads(data)
        again = json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2).encode() + b"\n"
    except ValueError:
        again, value = b"", None
    if again != data or not isinstance(value, dict) or value.get("kind") != kind or value.get("version") != 1:
        die(f"{path} is not what docs/releases.md calls {kind}; get it again")
    return value


def keys(path: Path) -> tuple[dict[str, bytes], int, int]:
    """Keys by name, threshold and number of a file of signers."""
    value = canonical(path, "signers")
    if "log" in value:
        die(
            f"the signers of {path} want the proof of a log, which this script cannot check: "
            "check with tipbox verify, and give it signers without a log"
        )
    try:
        found = {one["name"]: base64.b64decode(one["key"], validate=True) for one in value["signers"]}
        threshold, number = int(value["threshold"]), int(value["number"])
    except (KeyError, TypeError, ValueError):
        die(f"{path} is no good file of signers; get it again")
    sound = all(NAME.fullmatch(name) and len(key) == KEY_SIZE for name, key in found.items())
    if not sound or len(set(found.values())) != len(value["signers"]) or not 1 <= threshold <= len(found):
        die(f"{path} is no good file of signers; get it again")
    return found, threshold, number


def who_signed(message: Path, folder: Path, known: dict[str, bytes]) -> list[str]:
    """Names of the signers whose signature is good, as ssh-keygen judges it."""
    good = []
    for name, key in sorted(known.items()):
        signature = folder / f"{name}.sig"
        if not signature.is_file() or not message.is_file():
            continue
        blob = b"".join(len(part).to_bytes(4, "big") + part for part in (b"ssh-ed25519", key))
        with tempfile.NamedTemporaryFile("w", encoding="ascii") as allowed:
            allowed.write(f'{name} namespaces="{NAMESPACE}" ssh-ed25519 {base64.b64encode(blob).decode()}\n')
            allowed.flush()
            command = ("ssh-keygen", "-Y", "verify", "-f", allowed.name, "-I", name, "-n", NAMESPACE, "-s", signature)
            with message.open("rb") as data:
                done = subprocess.run(command, stdin=data, capture_output=True, check=False)
        if done.returncode == 0:
            good.append(name)
    return good


def order(version: str) -> tuple[int, ...]:
    """What sorts versions."""
    match = VERSION.fullmatch(version)
    if not match:
        die(f"{version} is no version of a release")
    return (*map(int, match.groups()[:3]), STAGES.index(match[4]), int(match[5] or 0))


def check_files(folder: Path, files: dict[str, str]) -> None:
    """Nothing more, nothing less, and no other bytes."""
    there = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()
    }
    there = {name for name in there if name.split("/")[0] not in BESIDE}
    for name in sorted(there ^ files.keys()):
        die(f"{name} was added to {folder}, or is missing; get the release again")
    for name, digest in files.items():
        path = folder / name
        if not PATH.fullmatch(name) or {".", ".."} & set(name.split("/")) or path.is_symlink() or not path.is_file():
            die(f"{name} is no file of a release; get it again")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                die(f"{name} is not what the maintainers signed; get the release again")


def check_signers(folder: str, hashes: dict[int, str], kept: list[str]) -> None:
    """Nobody whom this machine knows to be replaced: lost and stolen keys sign as well as ever."""
    if not kept:
        return
    number, known = int(kept[0]), kept[1]
    if max(hashes) < number or hashes.get(number, known) != known:
        die(
            f"the signers of {folder} are not those whom this machine knows to be number {number}: "
            "who was replaced may have made it; get the release again, through another channel"
        )


def main() -> None:
    """Judge it."""
    folder, signers, today, *kept = sys.argv[1:]
    release = Path(folder)
    known, threshold, number = keys(Path(signers))
    hashes = {number: hashlib.sha256(read(Path(signers))).hexdigest()}
    while (path := release / "signers" / f"{number + 1}.json").exists():
        if len(who_signed(path, path.with_suffix(""), known)) < threshold:
            die(f"{path} was not signed by {threshold} of the signers before it; get the release again")
        known, threshold, following = keys(path)
        if following != number + 1:
            die(f"{path} has another number than its name; get the release again")
        number = following
        hashes[number] = hashlib.sha256(read(path)).hexdigest()
    check_signers(folder, hashes, kept[1:])
    good = who_signed(release / "release.json", release / "signatures", known)
    if len(good) < threshold:
        die(
            f"{len(good)} of the {threshold} signatures that {folder} needs are good; "
            "get the release again, through another channel"
        )
    value = canonical(release / "release.json", "release")
    version = str(value.get("release"))
    if today > str(value.get("expires")):
        die(f"release {version} expired after {value.get('expires')}; get a newer one")
    floor = max([str(value["floor"]), *kept[:1]], key=order)
    if order(version) < order(floor):
        die(f"release {version} is below {floor}, the lowest that maintainers allow: its weaknesses are known")
    check_files(release, value["files"])
    wheels = [name for name in value["files"] if name.startswith(f"tipbox-{version}-") and name.endswith(".whl")]
    if len(wheels) != 1 or f"tipbox-{version}.tar.gz" not in value["files"]:
        die(f"{folder} must hold one wheel of tipbox and one source")
    print(wheels[0], f"tipbox-{version}.tar.gz", f"{floor} {number} {hashes[number]}", ",".join(good), sep="\n")


if __name__ == "__main__":
    main()
