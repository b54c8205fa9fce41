"""upgrade.sh takes a release as it is published: what maintainers signed, and nothing older unless it is told to."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.world import ROOT

LOCK = b"flask==1\n"
Done = subprocess.CompletedProcess[str]


def run(*command: object, cwd: Path | None = None, expect: int = 0) -> Done:
    done = subprocess.run(
        [str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=cwd
    )
    assert done.returncode == expect, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@dataclass(frozen=True)
class Release:
    """A published release, its scripts, and the maintainers' keys."""

    folder: Path
    scripts: Path
    key: Path
    signers: Path

    def publish(self, version: str, namespace: str = "tipbox-release") -> None:
        """As RELEASING.md says."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        (self.folder / f"tipbox-{version}-py3-none-any.whl").write_bytes(b"a wheel")
        with tarfile.open(self.folder / f"tipbox-{version}.tar.gz", "w:gz") as source:
            entry = tarfile.TarInfo(f"tipbox-{version}/requirements.lock")
            entry.size = len(LOCK)
            source.addfile(entry, io.BytesIO(LOCK))
        self.sign(namespace)

    def sign(self, namespace: str = "tipbox-release") -> None:
        names = sorted(path.name for path in self.folder.glob("tipbox*"))
        (self.folder / "SHA256SUMS").write_text(run("sha256sum", *names, cwd=self.folder).stdout)
        (self.folder / "SHA256SUMS.sig").unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-Y", "sign", "-f", self.key, "-n", namespace, self.folder / "SHA256SUMS")

    def upgrade(self, *options: object, expect: int = 0) -> Done:
        given = ("--release", self.folder, "--signers", self.signers)
        return run(self.scripts / "deploy" / "upgrade.sh", "--dry-run", *given, *options, expect=expect)


@pytest.fixture(name="release")
def _release(tmp_path: Path) -> Release:
    """Version 1.2.0 runs, and 1.3.0 is published."""
    scripts, installed = tmp_path / "scripts", tmp_path / "opt"
    shutil.copytree(ROOT / "deploy", scripts / "deploy")
    (scripts / "requirements.lock").write_bytes(LOCK)
    (installed / "releases" / "1.2.0-abc").mkdir(parents=True)
    (installed / "current").symlink_to("releases/1.2.0-abc")
    common = scripts / "deploy" / "common.sh"
    text = common.read_text()
    for there, here in (
        ("OPT=/opt/tipbox\n", f"OPT={installed}\n"),
        ("STATE=/var/lib/tipbox\n", f"STATE={tmp_path}\n"),
    ):
        assert there in text
        text = text.replace(there, here, 1)
    common.write_text(text)
    key = tmp_path / "key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key)
    signers = tmp_path / "maintainers.signers"
    other = "other@place ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    signers.write_text(f'{other}\nsomebody@place namespaces="tipbox-release,git" {key.with_suffix(".pub").read_text()}')
    made = Release(tmp_path / "release", scripts, key, signers)
    made.publish("1.3.0")
    return made


def test_what_maintainers_signed_is_taken(release: Release) -> None:
    said = release.upgrade().stdout
    assert "New program: 1.3.0-" in said
    assert "/tipbox-1.3.0-py3-none-any.whl" in said
    assert str(release.folder / "tipbox-1.3.0-py3-none-any.whl") not in said, "what was judged is installed"


def _change(release: Release) -> None:
    (release.folder / "tipbox-1.3.0-py3-none-any.whl").write_bytes(b"another wheel")


def _leave_out(release: Release) -> None:
    wheel = release.folder / "tipbox-1.3.0-py3-none-any.whl"
    wheel.rename(release.folder / "aside")
    release.sign()
    (release.folder / "aside").rename(wheel)


def _sign_by_another(release: Release) -> None:
    release.key.unlink()
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", release.key)
    release.sign()


REFUSED: dict[str, tuple[Callable[[Release], object], str]] = {
    "a wheel that was changed": (_change, "are not what SHA256SUMS says"),
    "a wheel that is not listed": (_leave_out, "is not in SHA256SUMS"),
    "somebody else's signature": (_sign_by_another, "none of the maintainers"),
    "a signature for a kit": (lambda release: release.publish("1.3.0", "tipbox-kit"), "none of the maintainers"),
    "no signature": (lambda release: (release.folder / "SHA256SUMS.sig").unlink(), "is not signed"),
    "scripts of another version": (
        lambda release: (release.scripts / "requirements.lock").write_bytes(b"flask==2\n"),
        "this script is not of the release",
    ),
}


@pytest.mark.parametrize("change", REFUSED)
def test_anything_else_is_refused(release: Release, change: str) -> None:
    alter, sentence = REFUSED[change]
    alter(release)
    done = release.upgrade(expect=1)
    assert sentence in done.stderr
    assert "would" not in done.stdout


def test_without_the_maintainers_keys_it_is_refused(release: Release) -> None:
    script = release.scripts / "deploy" / "upgrade.sh"
    assert "needs --signers" in run(script, "--dry-run", "--release", release.folder, expect=1).stderr


@pytest.mark.parametrize("version", ["1.1.9", "1.2.0rc1", "0.9.0"])
def test_an_older_one_is_refused_unless_it_is_meant(release: Release, version: str) -> None:
    release.publish(version)
    done = release.upgrade(expect=1)
    assert f"release {version} is older than the one that runs, 1.2.0; if you mean it, add --older" in done.stderr
    assert "would" not in done.stdout
    assert f"New program: {version}-" in release.upgrade("--older").stdout


@pytest.mark.parametrize("version", ["1.2.0", "1.2.1rc1", "1.10.0"])
def test_a_newer_one_and_the_same_again_are_not_older(release: Release, version: str) -> None:
    release.publish(version)
    assert f"New program: {version}-" in release.upgrade().stdout
