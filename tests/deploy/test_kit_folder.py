"""The kit's folder without what makes it large: what is refused, what the launcher does, what the lists say."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.kit_packages import entry_command, names, run
from support.commands import at_terminal
from support.world import ROOT

KIT = ROOT / "deploy" / "kit"
STOPPED = 1


def list_files(kit: Path) -> None:
    """Write the list of its files, as airgap-kit.sh does."""
    found = sorted(path.relative_to(kit) for path in kit.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = subprocess.run(("sha256sum", *found), cwd=kit, capture_output=True, text=True, check=True).stdout
    (kit / "SHA256SUMS").write_text(lines)


@pytest.fixture(name="kit")
def _kit(tmp_path: Path) -> Path:
    """One whose programs are words, and which lies where sticks are: in a folder with blanks and other letters."""
    kit = tmp_path / "Рабочий стол" / "a kit"
    shutil.copytree(KIT, kit)
    for name in (
        "requirements.lock",
        "guide/page.md",
        "wheels/tipbox-1-py3-none-any.whl",
        "pip/pip-1-py3-none-any.whl",
    ):
        (kit / name).parent.mkdir(exist_ok=True)
        (kit / name).write_text("words\n")
    list_files(kit)
    return kit


def environment(home: Path) -> dict[str, str]:
    """What a person's shell has."""
    home.mkdir(exist_ok=True)
    return {"HOME": str(home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}


def install(kit: Path, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the kit's script without a terminal."""
    return subprocess.run(
        ("bash", kit / "install-desk.sh", *arguments),
        env=environment(kit.parents[1] / "home") | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=300,  # nothing waits for a pipe
        check=False,
    )


def become_link(path: Path, to: str | Path = "aside") -> None:
    """Put a link in the place of a file."""
    path.unlink()
    path.symlink_to(to)


def become_pipe(path: Path) -> None:
    """Put a pipe that nobody writes to in the place of a file: whoever reads it waits for ever."""
    path.unlink()
    os.mkfifo(path)


def become_folder(path: Path) -> None:
    """Put a folder in the place of a file."""
    path.unlink()
    path.mkdir()


def lie_elsewhere(path: Path) -> None:
    """Put a link to the same bytes in the place of a file: they can be changed after they were compared."""
    aside = path.rename(path.parents[2] / "moved")
    path.symlink_to(aside)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file was changed": (
        lambda kit: (kit / "requirements.lock").write_text("other\n"),
        "(changed: requirements.lock)",
    ),
    "the script's own words": (lambda kit: (kit / "README.txt").write_text("Run this.\n"), "(changed: README.txt)"),
    "two were changed": (
        lambda kit: [path.write_text("") for path in (kit / "requirements.lock", kit / "packages.txt")],
        "(changed: packages.txt requirements.lock)",
    ),
    "a file was added": (lambda kit: (kit / "wheels" / "more.whl").touch(), "(added: wheels/more.whl)"),
    "a hidden file was added": (lambda kit: (kit / "wheels" / ".whl").touch(), "(added: wheels/.whl)"),
    "a link was added": (lambda kit: (kit / "wheels" / "l").symlink_to("/dev/null"), "(added: wheels/l)"),
    "a link to a folder": (lambda kit: (kit / "debian").symlink_to("/tmp"), "(added: debian)"),
    "one like the list": (lambda kit: (kit / "SHA256SUMS.old").touch(), "(added: SHA256SUMS.old)"),
    "a name that a terminal obeys": (
        lambda kit: (kit / "wheels" / "\x1b[2Jred").touch(),
        "(added: $'wheels/\\E[2Jred')",
    ),
    "a name like two that are listed": (
        lambda kit: (kit / "README.txt\ntipbox-desk").touch(),
        "files were added or are missing",
    ),
    "a folder with the name of a program": (
        lambda kit: (kit / "pip" / "pip-0-py3-none-any.whl").mkdir(),
        "(added: pip/pip-0-py3-none-any.whl)",
    ),
    "a name like an option": (lambda kit: (kit / "wheels" / "--pre").touch(), "(added: wheels/--pre)"),
    "a name with blanks": (lambda kit: (kit / "wheels" / " a b ").touch(), r"(added: wheels/\ a\ b\ )"),
    "a file became a folder": (lambda kit: become_folder(kit / "requirements.lock"), "(changed: requirements.lock)"),
    "a file became a pipe": (lambda kit: become_pipe(kit / "requirements.lock"), "(changed: requirements.lock)"),
    "a file became one without an end": (
        lambda kit: become_link(kit / "requirements.lock", "/dev/zero"),
        "(changed: requirements.lock)",
    ),
    "a file became a link to the same": (
        lambda kit: lie_elsewhere(kit / "wheels" / "tipbox-1-py3-none-any.whl"),
        "is not a file of its own",
    ),
    "the list became a link to the same": (lambda kit: lie_elsewhere(kit / "SHA256SUMS"), "is not a file of its own"),
    "the list became a pipe": (lambda kit: become_pipe(kit / "SHA256SUMS"), "SHA256SUMS is missing"),
    "the list is endless": (lambda kit: os.truncate(kit / "SHA256SUMS", 10**12), "SHA256SUMS is too large"),
    "the list names one outside": (
        lambda kit: (kit / "SHA256SUMS").write_text((kit / "SHA256SUMS").read_text() + f"{'0' * 64}  ../signers\n"),
        "(missing: ../signers)",
    ),
    "the list is twice as long": (
        lambda kit: (kit / "SHA256SUMS").write_text((kit / "SHA256SUMS").read_text() * 2),
        "files were added or are missing",
    ),
    "a file is missing": (lambda kit: (kit / "tipbox-desk").unlink(), "(missing: tipbox-desk)"),
    "a file became a link": (lambda kit: become_link(kit / "requirements.lock"), "(changed: requirements.lock)"),
    "the list is missing": (lambda kit: (kit / "SHA256SUMS").unlink(), "SHA256SUMS is missing"),
    "the list is empty": (lambda kit: (kit / "SHA256SUMS").write_text(""), "files were added"),
    "the list says nothing of hashes": (
        lambda kit: (kit / "SHA256SUMS").write_text((kit / "SHA256SUMS").read_text().replace("a", "z")),
        "files were added or are missing",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_kit_that_is_not_whole_is_refused_before_anything_is_done(kit: Path, change: str) -> None:
    home = kit.parents[1] / "home"
    act, said = CHANGES[change]
    act(kit)

    for arguments in ((), ("--check",), ("--packages-only",), (home / "elsewhere",)):
        done = install(kit, *arguments)

        assert done.returncode == STOPPED, done
        assert said in done.stderr
        assert done.stderr.startswith("install-desk: ")
        assert done.stderr.count("\n") == 1
        assert list(home.iterdir()) == []


def test_a_bit_of_any_file_is_seen_in_any_language(kit: Path) -> None:
    # The script itself: Debian's sha256sum, below.
    own = {"SHA256SUMS", "install-desk.sh"}
    for path in [path for path in kit.rglob("*") if path.is_file() and path.name not in own]:
        data = path.read_bytes()
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        done = install(kit, "--check", LC_ALL="ru_RU.UTF-8")
        assert done.returncode == STOPPED
        assert f"(changed: {path.relative_to(kit)})" in done.stderr
        path.write_bytes(data)


def test_the_readme_s_own_commands_see_a_change_before_anything_of_the_kit_runs(kit: Path, tmp_path: Path) -> None:
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", tmp_path / "key")
    run("ssh-keygen", "-q", "-Y", "sign", "-f", tmp_path / "key", "-n", "tipbox-kit", kit / "SHA256SUMS")
    home = environment(tmp_path / "home")
    (tmp_path / "home" / "signers").write_text(f"tipbox {(tmp_path / 'key.pub').read_text()}")
    step = (KIT / "README.txt").read_text(encoding="utf-8").partition("\n3. ")[2].partition("\n4. ")[0]
    commands = re.findall(r"(?m)^       (.+)$", step)
    assert [line.split()[0] for line in commands] == ["sha256sum", "ssh-keygen", "sha256sum"]
    for said in ("airgap-kit.sh", "../docs/desk-install.md"):
        assert set(commands) <= {
            line.strip().removeprefix("[[ ! $key ]] || ").removeprefix('say "').strip().removesuffix('"')
            for line in (KIT.parent / said).read_text(encoding="utf-8").splitlines()
        }

    def codes() -> list[int]:
        return [
            subprocess.run(("bash", "-c", line), cwd=kit, env=home, capture_output=True, check=False).returncode
            for line in commands
        ]

    assert codes() == [0, 0, 0]
    (kit / "install-desk.sh").write_text("#!/bin/bash\necho All is well.\n")
    assert codes() == [0, 0, 1]
    list_files(kit)
    assert codes()[1] != 0


# --- where it does not install ----------------------------------------------------------------------------------------


def program(path: Path, script: str) -> None:
    """A program of Debian's that is another one."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture(name="machine")
def _machine(tmp_path: Path) -> Path:
    """Programs that stand before this machine's: Debian 12's Python, whose venv has a Python without a disk."""
    folder = tmp_path / "machine"
    made = 'for to; do :; done; mkdir "$to/bin"; cp "${0%/*}/python-of-venv" "$to/bin/python"'
    program(folder / "python3", f"case $2 in -c) echo 3.11 ;; -m) {made} ;; esac")
    program(folder / "python-of-venv", "echo No space left on device >&2; exit 1")
    program(folder / "uname", "echo x86_64")
    return folder


def install_on(machine: Path, kit: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Install on a machine with those programs, in a folder that is named."""
    path = f"{machine}:{os.environ['PATH']}"
    digest = run("sha256sum", kit / "SHA256SUMS").split()[0]
    return install(kit, "--sums", digest, "--no-packages", *arguments, PATH=path)


def test_a_full_disk_leaves_nothing_and_what_a_power_cut_left_is_made_again(machine: Path, kit: Path) -> None:
    target = kit.parents[1] / "home" / "tipbox"
    for left in ((), (".tipbox-half-made", "word")):
        for name in left:
            target.mkdir(exist_ok=True)
            (target / name).touch()
        done = install_on(machine, kit, target)
        assert done.returncode == STOPPED
        assert "No space left on device" in done.stderr
        assert "the program could not be installed" in done.stderr
        assert not target.exists()


def test_the_desktop_s_entry_starts_the_program_wherever_it_lies(machine: Path, kit: Path) -> None:
    home = kit.parents[1] / "home"
    target = home / '100% of "our" `$HOME` \\ desk'
    script = "#!/bin/sh\necho tipbox 1\n"
    program(machine / "python-of-venv", f'printf \'{script}\' >"${{0%/*}}/tipbox"; chmod 755 "${{0%/*}}/tipbox"')
    done = install_on(machine, kit, target)
    assert done.returncode == 0, done
    assert {path.name for path in target.iterdir()} == {"bin", "guide"}
    entry = home / ".local/share/applications/tipbox-desk.desktop"
    assert entry_command(entry) == [f"{target}/bin/tipbox-desk"]
    assert entry_command(entry, "commands") == [f"{target}/bin/tipbox-desk", "--commands"]


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_in_the_middle_leaves_nothing(machine: Path, kit: Path) -> None:
    target = kit.parents[1] / "home" / "tipbox"
    program(machine / "python-of-venv", "kill -INT 0; sleep 60")
    done = install_on(machine, kit, target)
    assert done.returncode == -signal.SIGINT
    assert not target.exists()


@pytest.mark.parametrize("there", ["a folder", "a file"])
def test_what_is_there_already_stays(machine: Path, kit: Path, there: str) -> None:
    target = kit.parents[1] / "home" / "tipbox"
    target.parent.mkdir()
    if there == "a folder":
        (target / "bin").mkdir(parents=True)
    else:
        target.touch()
    before = target.lstat()
    done = install_on(machine, kit, target)
    assert done.returncode == STOPPED
    assert "is there already" in done.stderr
    assert (target.lstat().st_mtime_ns, target.lstat().st_ino) == (before.st_mtime_ns, before.st_ino)


@pytest.mark.parametrize(
    ("name", "script", "said"),
    [
        ("uname", "echo aarch64", "x86_64 (amd64)"),
        ("python3", "echo 3.12", "and here is 3.12"),
    ],
)
def test_another_machine_is_told_what_the_kit_is_for(
    machine: Path, kit: Path, name: str, script: str, said: str
) -> None:
    target = kit.parents[1] / "home" / "tipbox"
    program(machine / name, script)
    done = install_on(machine, kit, target)
    assert done.returncode == STOPPED
    assert said in done.stderr
    assert not target.exists()


def test_folders_it_cannot_work_in_are_named(machine: Path, kit: Path) -> None:
    home = kit.parents[1] / "home"
    for target, said in ((kit / "program", "cannot be in the kit"), (home / "a\nb", "a line feed or the like")):
        done = install_on(machine, kit, target)
        assert done.returncode == STOPPED
        assert said in done.stderr
        assert not target.exists()
    odd = kit.rename(kit.with_name("a\nkit\n"))
    assert "give it another one" in install_on(machine, odd, home / "tipbox").stderr


def test_nothing_is_installed_for_root_or_from_a_stick_or_unasked(kit: Path) -> None:
    digest = run("sha256sum", kit / "SHA256SUMS").split()[0]
    home = kit.parents[1] / "home"
    root = ("unshare", "--map-root-user", "--mount", "bash", "-c")
    on_a_stick = 'mount --bind "$1" /media && exec bash /media/*/install-desk.sh "${@:2}"'
    for command, said in (
        ((*root, 'exec bash "$1/install-desk.sh" "${@:2}"', "-", kit, "--sums", digest), "without sudo or su"),
        ((*root, on_a_stick, "-", kit.parent, "--sums", digest, home / "tipbox"), "is still on the stick"),
        (("bash", kit / "install-desk.sh", home / "tipbox"), "add --signers or --sums"),
    ):
        done = subprocess.run(
            command, env=environment(home), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == STOPPED
        assert said in done.stderr
        assert list(home.iterdir()) == []


def test_a_whole_kit_passes_the_check_and_check_installs_nothing(kit: Path) -> None:
    done = install(kit, "--check")

    assert done.returncode == 0
    assert "This folder is as the list says: 8 files." in done.stdout
    assert list((kit.parents[1] / "home").iterdir()) == []


def test_the_hash_that_was_read_aloud_is_compared(kit: Path, tmp_path: Path) -> None:
    digest = run("sha256sum", kit / "SHA256SUMS").split()[0]
    spoken = " ".join(digest[start : start + 4] for start in range(0, 64, 4))

    assert install(kit, "--check", "--sums", spoken.upper()).returncode == 0
    wrong = install(kit, "--sums", digest[::-1])
    assert wrong.returncode == STOPPED
    assert "has another hash than the one given" in wrong.stderr

    env = ("env", *(f"{name}={value}" for name, value in environment(tmp_path / "home").items()))
    code, said = at_terminal((*env, "bash", kit / "install-desk.sh"), b"no\n")
    assert code == STOPPED
    assert digest in said
    assert "stopped; nothing was installed" in said
    assert list((tmp_path / "home").iterdir()) == []


def test_a_signature_is_asked_for_by_its_file_wherever_one_stands(kit: Path, tmp_path: Path) -> None:
    for name in ("right", "wrong"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", tmp_path / name)
        (tmp_path / f"{name}.signers").write_text(f"tipbox {(tmp_path / f'{name}.pub').read_text()}")
    assert "not signed" in install(kit, "--check", "--signers", tmp_path / "right.signers").stderr
    run("ssh-keygen", "-q", "-Y", "sign", "-f", tmp_path / "right", "-n", "tipbox-kit", kit / "SHA256SUMS")

    here = os.path.relpath(tmp_path / "right.signers")
    assert install(kit, "--check", "--signers", here).returncode == 0
    wrong = install(kit, "--signers", tmp_path / "wrong.signers")
    assert wrong.returncode == STOPPED
    assert "the signature is not right" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--debs", "/nonexistent"), "has no packages of Debian 12"),
        (("--for", "server", "--debs", "none"), "--debs is for the desk"),
        (("--for", "courier"), "--for takes desk or server"),
    ],
)
def test_a_kit_is_not_begun_that_cannot_be_made(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    command: list[str | Path] = [ROOT / "deploy" / "airgap-kit.sh", "--out", tmp_path / "kit", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    assert done.returncode == STOPPED
    assert said in done.stderr
    assert not (tmp_path / "kit").exists()


# --- the launcher -----------------------------------------------------------------------------------------------------


@pytest.fixture(name="launcher")
def _launcher(tmp_path: Path) -> Path:
    """One beside a tipbox that says what it is asked for."""
    folder = tmp_path / "all of it" / "tipbox" / "bin"
    folder.mkdir(parents=True)
    (folder / "tipbox").write_text('#!/bin/sh\necho "asked for: $*"\n')
    (folder / "tipbox").chmod(0o755)
    return Path(shutil.copy(KIT / "tipbox-desk", folder))


def launched(launcher: Path, *arguments: str, typed: str = "") -> str:
    """What it says, and whoever it starts."""
    done = subprocess.run(
        (launcher, *arguments), env=environment(launcher.parents[3] / "home"), input=typed, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def make_vault(launcher: Path, name: str) -> None:
    """What the launcher knows a vault by, beside the program's folder."""
    folder = launcher.parents[2] / name
    folder.mkdir()
    (folder / "vault.key").touch()


def test_the_launcher_opens_the_one_vault(launcher: Path) -> None:
    make_vault(launcher, "kibhr of ours")
    assert launched(launcher) == "asked for: desk serve --vault kibhr of ours\n"


def test_the_launcher_asks_which_of_several_vaults(launcher: Path) -> None:
    for name in ("ili", "fidh", "kibhr"):
        make_vault(launcher, name)
    said = launched(launcher, typed="9\n2\n")
    assert "1) fidh" in said
    assert "asked for: desk serve --vault ili\n" in said


@pytest.mark.parametrize("arguments", [(), ("--commands",)])
def test_without_a_vault_or_when_asked_the_launcher_gives_a_shell_with_the_command(
    launcher: Path, arguments: tuple[str, ...]
) -> None:
    if arguments:
        make_vault(launcher, "kibhr")
    said = launched(launcher, *arguments, typed="tipbox keys init\npwd\n")
    assert "asked for: keys init" in said
    assert str(launcher.parents[2]) in said.splitlines()
    assert ("There is no vault" in said) is not bool(arguments)


# --- lists ------------------------------------------------------------------------------------------------------------


def test_the_kit_brings_what_the_desk_looks_for_and_the_tests_have() -> None:
    lines = (ROOT / "tests" / "apt-packages.txt").read_text(encoding="utf-8").splitlines()
    here = {line.split()[0] for line in lines if line and not line.startswith("#")}
    # Python is there before any test; English comes with tesseract-ocr.
    assert set(names()) - here == {"python3", "tesseract-ocr-eng"}
