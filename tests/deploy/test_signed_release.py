"""install.sh and upgrade.sh take a release that enough maintainers signed, and refuse every other with a sentence."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from release.made import Maker
from support.world import ROOT
from tipbox.errors import TipboxError
from tipbox.formats.base import days
from tipbox.release.release_folder import open_release
from tipbox.release.signers import LogPolicy, Signers

LOCK = b"flask==1\n"
LONG = date(2100, 1, 1)
SCRIPTS = ("install.sh", "upgrade.sh")


def source() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as made:
        entry = tarfile.TarInfo("tipbox-1.3.0/requirements.lock")
        entry.size = len(LOCK)
        made.addfile(entry, io.BytesIO(LOCK))
    return packed.getvalue()


@dataclass
class Published:
    """Version 1.2.0 runs; a release, the scripts beside it, and who may sign."""

    folder: Path
    scripts: Path
    opt: Path
    maker: Maker
    signers: Path

    def publish(self, *names: str, version: str = "1.3.0", **changes: Any) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        files = {f"tipbox-{version}.tar.gz": source(), "requirements.lock": LOCK}
        given = {"release": version, "floor": "1.1.0", "expires": LONG} | changes
        self.maker.release(self.folder, files, *names, **given)

    @property
    def hash(self) -> str:
        """Of those who may sign."""
        return sha256(self.signers.read_bytes()).hexdigest()

    def run(self, script: str, *options: object) -> tuple[int, str, str]:
        keys = ("--keys", self.scripts / "keys") if script == "install.sh" else ()
        command = (
            *(self.scripts / "deploy" / script, "--dry-run", "--release", self.folder, "--signers", self.signers),
            *keys,
            *options,
        )
        done = subprocess.run(
            [str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(name="published")
def _published(tmp_path: Path) -> Published:
    scripts, opt = tmp_path / "scripts", tmp_path / "opt"
    shutil.copytree(ROOT / "deploy", scripts / "deploy")
    (scripts / "requirements.lock").write_bytes(LOCK)
    (scripts / "keys").mkdir()
    (scripts / "keys" / "a.json").write_text("{}")
    (opt / "releases" / "1.2.0-abc").mkdir(parents=True)
    (opt / "current").symlink_to("releases/1.2.0-abc")
    common = scripts / "deploy" / "common.sh"
    text = common.read_text()
    for there, here in (
        ("OPT=/opt/tipbox\n", f"OPT={opt}\n"),
        ("STATE=/var/lib/tipbox\n", f"STATE={tmp_path}\n"),
    ):
        assert there in text
        text = text.replace(there, here, 1)
    common.write_text(text)
    maker = Maker(tmp_path / "maintainers")
    made = Published(tmp_path / "release", scripts, opt, maker, maker.write_signers(tmp_path / "signers.json"))
    made.publish()
    return made


OF_THIS_MACHINE = {
    *("older than what runs", "below the floor", "scripts of another version"),
    *("signers who were replaced", "others in the place of new signers"),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_enough_maintainers_signed_is_taken(published: Published, script: str) -> None:
    code, out, _ = published.run(script)
    assert "release signed by aigul,boris" in out
    assert "/tipbox-1.3.0-py3-none-any.whl" in out
    assert str(published.folder / "tipbox-1.3.0-py3-none-any.whl") not in out, "what was judged is installed"
    assert f"would write: {published.opt}/floor" in out
    assert code == 0 or script == "install.sh", "a dry run of install.sh goes on to what this machine lacks"


SWAPPING = """
set -euo pipefail
. "$1/deploy/common.sh"
$2 "${@:3}"
find "$1/.." -type f \\( -name '*.whl' -o -name '*.gz' -o -name '*.lock' \\) -exec cp /etc/hostname {} ';'
cat "$wheel" "$lock" "$wheelhouse"/flask-1.whl
printf '%s\\n' "${MADE[@]}" >&2
stat -c ' %a %U' "$(dirname "$wheel")" "$(dirname "$lock")" "$wheelhouse"
"""
"""Somebody puts other files there as soon as those that are there were judged."""


@pytest.mark.parametrize("by", ["signers", "a key", "a kit"])
def test_what_is_swapped_after_it_was_judged_is_not_installed(published: Published, by: str) -> None:
    kit, key = published.folder.parent / "kit", published.folder.parent / "key"
    kit.mkdir()
    for name, data in (("flask-1.whl", b"a package"), ("tipbox-1.3.0-py3-none-any.whl", b"a wheel")):
        (kit / name).write_bytes(data)
    (kit / "requirements.lock").write_bytes(LOCK)
    _sign(kit, key, "tipbox-kit")
    if by == "a key":
        _sign(published.folder, key, "tipbox-release")
    given = {
        "signers": ("choose_published", published.folder, published.signers, "", kit),
        "a key": ("choose_published", published.folder, key.with_suffix(".signers"), "", kit),
        "a kit": ("choose_release", "", kit, key.with_suffix(".signers")),
    }[by]
    wheel = b"a wheel" if by == "a kit" else next(published.folder.glob("*.whl")).read_bytes()
    command = ("bash", "-c", SWAPPING, "upgrade.sh", published.scripts, *given)
    done = subprocess.run([str(part) for part in command], capture_output=True, check=True)
    assert done.stdout.endswith(wheel + LOCK + b"a package" + b" 700 root\n" * 3)
    assert next(published.folder.glob("*.whl")).read_bytes() != wheel
    made = [Path(line) for line in done.stderr.decode().splitlines() if line.startswith("/var/tmp/tipbox.")]
    assert made
    assert not any(map(Path.exists, made)), "nothing stays"


@pytest.mark.parametrize(
    ("cp", "says"), [("cp", "is not a folder"), ("false", "make room there, or get the folder again")]
)
def test_a_copy_that_fails_says_what_to_do(tmp_path: Path, cp: str, says: str) -> None:
    script = '. "$1/deploy/common.sh"; by=$3; cp() { command "$by" "$@"; }; take_copy copied "$2" -L'
    folder = tmp_path if cp == "false" else tmp_path / "missing"
    command = ("bash", "-c", script, "upgrade.sh", ROOT, folder, cp)
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert says in done.stderr


def _sign(folder: Path, key: Path, namespace: str) -> None:
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
        key.with_suffix(".signers").write_text(f"tipbox {key.with_suffix('.pub').read_text()}")
    sums = folder / "SHA256SUMS"
    files = [one for one in sorted(folder.rglob("*")) if one.is_file() and one != sums]
    lines = [f"{sha256(one.read_bytes()).hexdigest()}  {one.relative_to(folder)}\n" for one in files]
    sums.write_text("".join(lines))
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", namespace, sums], check=True)


def _add(published: Published) -> None:
    (published.folder / "site").mkdir()
    (published.folder / "site" / "evil.js").write_bytes(b"")


def _wheel(published: Published) -> None:
    (published.folder / "tipbox-1.3.0-py3-none-any.whl").write_bytes(b"another")


def _list(published: Published) -> None:
    path = published.folder / "release.json"
    path.write_bytes(path.read_bytes().replace(b"1.1.0", b"1.0.0"))


def _pipe(published: Published) -> None:
    """Who opens it waits for ever."""
    (published.folder / "sbom.cdx.json").unlink()
    os.mkfifo(published.folder / "sbom.cdx.json")


def _pipe_of_signers(published: Published) -> None:
    (published.folder / "signers").mkdir()
    os.mkfifo(published.folder / "signers" / "2.json")


def _replaced(published: Published) -> None:
    """By the signers who were replaced on this machine, with successors of their own."""
    published.publish("dina")
    following = Signers({"dina": published.maker.public("dina")}, 1, 2)
    (published.folder / "signers").mkdir()
    path = published.maker.write_signers(published.folder / "signers" / "2.json", following)
    published.maker.sign(path, "aigul", "boris", into=published.folder / "signers" / "2")
    (published.opt / "floor").write_text(f"1.1.0 2 {'0' * 64}\n")


def _another(published: Published) -> None:
    """Signatures of somebody else under the names of maintainers."""
    other = Maker(published.folder.parent / "others")
    other.sign(published.folder / "release.json", *other.names)


def _logged(published: Published) -> None:
    key = published.maker.public("aigul")
    published.signers.write_bytes(replace(published.maker.signers, log=LogPolicy((key,), (), 0)).encode())


def _new_signers(published: Published) -> None:
    """They put themselves there."""
    published.publish("dina")
    following = Signers({"dina": published.maker.public("dina")}, 1, 2)
    (published.folder / "signers").mkdir()
    path = published.maker.write_signers(published.folder / "signers" / "2.json", following)
    published.maker.sign(path, "dina", into=published.folder / "signers" / "2")


REFUSED: dict[str, tuple[Callable[[Published], object], str]] = {
    "one signature": (lambda one: one.publish("clara"), "1 of the 2 signatures that"),
    "no signature": (lambda one: shutil.rmtree(one.folder / "signatures"), "0 of the 2 signatures that"),
    "somebody else's signatures": (_another, "0 of the 2 signatures that"),
    "a list that was changed": (_list, "0 of the 2 signatures that"),
    "a wheel that was changed": (_wheel, "-any.whl is not what the maintainers signed"),
    "a file more": (_add, "site/evil.js was added to"),
    "expired": (lambda one: one.publish(expires=date(2020, 1, 1)), "expired after 2020-01-01"),
    "older than what runs": (lambda one: one.publish(version="1.1.9"), "is older than the one that runs, 1.2.0"),
    "below the floor": (lambda one: (one.opt / "floor").write_text("1.4.0\n"), "is below 1.4.0, the lowest that"),
    "signers who put themselves there": (_new_signers, "was not signed by 2 of the signers before it"),
    "signers who want a log": (_logged, "want the proof of a log"),
    "signers who were replaced": (
        lambda one: (one.opt / "floor").write_text(f"1.1.0 2 {'0' * 64}\n"),
        "are not those whom this machine knows to be number 2",
    ),
    "others in the place of new signers": (_replaced, "are not those whom this machine knows to be number 2"),
    "a pipe": (_pipe, "sbom.cdx.json is no file of a release"),
    "signers who are a pipe": (_pipe_of_signers, "was not signed by 2 of the signers before it"),
    "a name that moves the cursor": (
        lambda one: (one.folder / "\x1b[2Jgood").write_bytes(b""),
        "\N{REPLACEMENT CHARACTER}[2Jgood was added to",
    ),
    "signers that are none": (
        lambda one: one.signers.write_bytes(b'{"kind":"signers"}'),
        "is not what docs/releases.md",
    ),
    "scripts of another version": (
        lambda one: (one.scripts / "requirements.lock").write_bytes(b"flask==2\n"),
        "this script is not of the release",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_anything_else_is_refused_with_its_sentence(published: Published, what: str) -> None:
    alter, sentence = REFUSED[what]
    alter(published)
    for script in SCRIPTS:
        code, out, err = published.run(script)
        assert (code, sentence in err, "would" in out) == (1, True, False), (script, out, err)


def test_an_older_one_that_is_meant_is_taken_down_to_the_floor(published: Published) -> None:
    published.publish(version="1.1.9")
    assert "release signed by" in published.run("upgrade.sh", "--older")[1]
    assert judged(published, "1.0.0") == ["1.1.0", "1", published.hash]
    assert judged(published, "1.1.5", "1", published.hash) == ["1.1.5", "1", published.hash], "it is never lowered"
    (published.opt / "floor").write_text("1.2.0\n")
    assert "is below 1.2.0" in published.run("upgrade.sh", "--older")[2]


def judged(published: Published, *kept: str) -> list[str]:
    """What a machine keeps from then on that kept this."""
    command = (sys.executable, published.scripts / "deploy" / "published.py", published.folder, published.signers)
    done = subprocess.run((*command, "2027-01-01", *kept), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[2].split()


@pytest.mark.parametrize("what", [*REFUSED, "good"])
def test_tipbox_verify_judges_a_folder_alike(published: Published, what: str) -> None:
    """But for what concerns this machine: what runs, the floor that was kept, and the scripts."""
    REFUSED.get(what, (lambda _: None, ""))[0](published)
    try:
        open_release(published.folder, Signers.parse(published.signers.read_bytes()), days.today())
    except TipboxError:
        taken = False
    else:
        taken = True
    here = what in OF_THIS_MACHINE
    assert taken == (here or what == "good")
