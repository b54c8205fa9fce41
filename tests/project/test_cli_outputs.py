"""What commands write: never over what they read, readable on the next machine, in every locale. Passphrase files."""

from __future__ import annotations

import codecs
import json
import os
import resource
import stat
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import Run
from support.desk import PASSWORD, Desk, Desks, Exporter, seal_tip
from tipbox import cli
from tipbox.desk.custody.chain import check_chain
from tipbox.files.durable import make_stick_folder, write_file
from tipbox.formats.base import days
from tipbox.server.process.run import prepare_server


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desks:
    folder = tmp_path_factory.mktemp("made") / "desks"
    return Desks(folder, (Desk.make(folder, "kibhr", days.today()),))


@pytest.fixture
def desks(made: Desks, tmp_path: Path) -> Desks:
    return made.copy(tmp_path / "desks")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    write_file(path, PASSWORD + b"\n")
    return path


@pytest.fixture
def message(tmp_path: Path) -> Path:
    path = tmp_path / "message.txt"
    path.write_text("What I saw\n")
    return path


def run(*arguments: object) -> int:
    return cli.run([str(argument) for argument in arguments])


# --- outputs that are inputs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["message.txt", "photo.jpg", "desks/keys/kibhr.json", "link", "./photo.jpg"])
def test_seal_never_writes_over_what_it_reads(
    desks: Desks, message: Path, tmp_path: Path, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"the original")
    (tmp_path / "link").symlink_to("photo.jpg")
    out = f"{tmp_path}/{given}"
    before = Path(out).read_bytes()
    options = ("--keys", desks.folder / "keys", "--message-file", message)
    assert run("seal", *options, "--out", out, tmp_path / "photo.jpg") == 2
    assert "one of the files that are read" in capsys.readouterr().err
    assert Path(out).read_bytes() == before


def test_no_command_of_the_desk_writes_over_what_it_reads(desks: Desks, secret: Path) -> None:
    vault = desks.desks[0].vault
    options = ("--vault", vault, "--passphrase-file", secret)
    identity = vault.with_name("kibhr.identity")
    before = {path: path.read_bytes() for path in (secret, identity)}
    for command in (("keys", "publish"), ("keys", "rotate")):
        assert run(*command, *options, "--out", secret) == 2
        assert run(*command, *options, "--out", identity) == 2
    assert run("desk", "outbox", *options, "--out", secret) == 2
    assert {path: path.read_bytes() for path in before} == before


def test_a_backup_is_never_written_over_the_key_that_it_is_sealed_to(desks: Desks, tmp_path: Path) -> None:
    prepare_server(tmp_path / "home", desks.folder / "keys")
    assert run("server", "backup-key", "--out", tmp_path / "K") == 0
    public = tmp_path / "K.pub"
    before = public.read_bytes()
    assert run("server", "backup", "--home", tmp_path / "home", "--to", public, "--out", public) == 2
    assert public.read_bytes() == before


def test_a_backup_takes_the_place_of_another_only_unless_it_is_told_to(desks: Desks, tmp_path: Path, run: Run) -> None:
    """A script that always writes to one name goes on working; a wrong name costs nobody a file."""
    prepare_server(tmp_path / "home", desks.folder / "keys")
    run("server", "backup-key", "--out", tmp_path / "K")
    words = ("server", "backup", "--home", tmp_path / "home", "--to", tmp_path / "K.pub", "--out")
    older, letter, free, link = (tmp_path / name for name in ("older.bak", "letter.txt", "free", "link"))
    letter.write_text("Dear Timur")
    free.touch()
    link.symlink_to(tmp_path / "no disk here")
    for path in (letter, link):
        again = run(*words, path)
        assert (again.code, again.out, again.err.count("\n")) == (3, "", 1)
        assert "there already and no backup; name another file, or say --replace" in again.err
        assert run(*words, path, "--json").error == "exists"
    assert (letter.read_text(), link.is_symlink()) == ("Dear Timur", True)
    assert run(*words, tmp_path).code == 3
    assert run(*words, free).code == 0  # it kept a name free, and nothing is lost with it
    assert run(*words, older).code == 0
    before = older.read_bytes()
    assert run(*words, older).code == 0
    assert older.read_bytes() != before
    assert run(*words, letter, "--replace").code == 0
    assert letter.read_bytes()[:8] == before[:8]
    os.mkfifo(tmp_path / "pipe")
    assert run(*words, tmp_path / "pipe", "--replace").code == 3
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)
    into = (*words, tmp_path / "backups", "--keep", "2")
    (tmp_path / "backups").mkdir()
    assert [run(*into).code for _ in range(2)] == [0, 0]  # one a day: the later one is of the same day


# --- what travels -----------------------------------------------------------------------------------------------------


def test_what_goes_on_a_stick_can_be_read_by_the_next_machine_s_user(
    desks: Desks, message: Path, secret: Path, tmp_path: Path
) -> None:
    """On a file system with owners, and under the strict umask of machines that keep secrets."""
    vault, home, stick = desks.desks[0].vault, tmp_path / "home", tmp_path / "stick"
    options = ("--vault", vault, "--passphrase-file", secret)
    keys = desks.folder / "keys"
    before = os.umask(0o077)
    try:
        prepare_server(home, keys)
        stick.mkdir(mode=0o755)
        stick.chmod(0o755)
        assert run("server", "export", "--home", home, "--to", "kibhr", "--out", stick / "round1") == 0
        assert run("seal", "--keys", keys, "--message-file", message, "--out", stick / "x.tip") == 0
        assert run("desk", "import", *options, stick / "round1") == 0
        assert run("desk", "outbox", *options, "--out", stick / "back" / "o.bundle") == 0
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in stick.rglob("*")}
    assert modes == {
        "round1": 0o755, "kibhr-1-1.bundle": 0o644, "x.tip": 0o644, "back": 0o755, "o.bundle": 0o644,
    }  # fmt: skip


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "stick").mkdir(mode=0o700)
    make_stick_folder(tmp_path / "stick")
    assert stat.S_IMODE((tmp_path / "stick").stat().st_mode) == 0o700


def test_a_file_too_large_for_the_file_system_is_told_as_that(desks: Desks, message: Path, tmp_path: Path) -> None:
    """FAT ends at 4 GiB; a limit of the process gives the same error."""
    (tmp_path / "video").write_bytes(bytes(300_000))
    out = tmp_path / "x.tip"
    words = ("seal", "--keys", desks.folder / "keys", "--message-file", message, "--out", out, tmp_path / "video")
    done = subprocess.run(
        [sys.executable, "-m", "tipbox", *map(str, words)], capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "takes no file that large (FAT takes 4 GiB)" in done.stderr
    assert not out.exists()


@pytest.mark.parametrize("name", ["import", "show", "copy", "outbox"])
def test_at_the_desk_too(desks: Desks, secret: Path, tmp_path: Path, name: str) -> None:
    """A vault on a stick, and what comes out of one; what was there stays whole."""
    desk, today = desks.desks[0], days.today()
    options = ("--vault", desk.vault, "--passphrase-file", secret)
    files = [("video", bytes(4_000_000))]
    tip, bundle = seal_tip(desks.manifests, files=files, today=today), tmp_path / "kibhr-1-1.bundle"
    Exporter().export(bundle, desk.manifest, [tip], day=today)
    text = tmp_path / "text"
    text.write_bytes(b"When?")
    (tmp_path / "form").write_bytes(bytes(3_000_000))
    if name != "import":
        assert run("desk", "import", *options, bundle) == 0
    if name == "outbox":
        assert run("desk", "reply", *options, tip.id.hex(), "--message-file", text, tmp_path / "form") == 0
    more = {
        "import": (bundle,),
        "show": (tip.id.hex(), "--out", tmp_path / "out"),
        "copy": ("--to", tmp_path / "copy"),
        "outbox": ("--out", tmp_path / "o.bundle"),
    }[name]
    words = ("desk", name, *options, *more)
    done = subprocess.run(
        [sys.executable, "-m", "tipbox", *map(str, words)], capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000)),
    )  # fmt: skip
    assert "takes no file that large (FAT takes 4 GiB)" in done.stderr, done.stderr
    assert (done.returncode, "Traceback" in done.stderr) == (3, False)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "o.bundle").exists()
    assert run("desk", *words[1:]) == 0


# --- streams that take nothing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["list", "reply", "tag", "outbox"])
@pytest.mark.parametrize("json_", [True, False])
def test_a_result_that_cannot_be_shown_is_told_as_that_and_not_as_a_full_disk(
    desks: Desks, secret: Path, message: Path, tmp_path: Path, *, name: str, json_: bool
) -> None:
    """Who reads that there is no room runs the command again: a source would get two answers."""
    desk, today = desks.desks[0], days.today()
    options = ("--vault", desk.vault, "--passphrase-file", secret)
    tip = seal_tip(desks.manifests, today=today)
    bundle = Exporter().export(tmp_path / "kibhr-1-1.bundle", desk.manifest, [tip], day=today)
    assert run("desk", "import", *options, bundle) == 0
    more = {
        "list": (),
        "reply": (tip.id.hex(), "--message-file", message),
        "tag": ("--add", "square", tip.id.hex()),
        "outbox": ("--out", tmp_path / "o.bundle"),
    }[name]
    words = ("desk", name, *options, *more, *(("--json",) if json_ else ()))
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tipbox", *map(str, words)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr.count("\n")) == (8, 1)
    assert "may be done all the same; look before you run the command again" in done.stderr
    with desk.open() as vault:
        acts = [event.act for event in check_chain(vault).events]
    assert acts.count({"reply": "answer", "list": "init"}.get(name, name)) == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("desk", "import", "--copies", "2"), 0),
        (("desk", "nosuch"), 2),
        (("desk", "list", "--json", "--state", "x"), 2),
    ],
)
@pytest.mark.parametrize("stream", ["2>/dev/full", "2>&-"])
def test_what_cannot_be_said_on_stderr_changes_no_exit_code(
    desks: Desks, secret: Path, tmp_path: Path, *, stream: str, words: tuple[str, ...], code: int
) -> None:
    desk, today = desks.desks[0], days.today()
    if "import" in words:  # with the remark that nothing is acknowledged yet
        tip = seal_tip(desks.manifests, today=today)
        bundle = Exporter().export(tmp_path / "kibhr-1-1.bundle", desk.manifest, [tip], day=today)
        words = (*words, "--vault", str(desk.vault), "--passphrase-file", str(secret), str(bundle))
    shell = ["/bin/sh", "-c", f'exec "$@" {stream}', "sh", sys.executable, "-m", "tipbox", *words]
    done = subprocess.run(shell, stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout.startswith("1 opened")) == (code, code == 0)


# --- locales ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Қазақ°.jpg", "été où août.txt", "证据.pdf", "🎥.mp4", "ً.png"])
def test_names_come_out_in_a_locale_that_lacks_their_characters(
    desks: Desks, secret: Path, tmp_path: Path, name: str
) -> None:
    vault = desks.desks[0].vault
    tip = seal_tip(desks.manifests, files=[(name, b"x")], today=days.today())
    bundle = Exporter().export(tmp_path / "kibhr-1-1.bundle", desks.desks[0].manifest, [tip], day=days.today())
    options = ("--vault", vault, "--passphrase-file", secret)
    assert run("desk", "import", *options, bundle) == 0

    out = tmp_path / "out"
    words = ("desk", "show", *options, tip.id.hex(), "--out", out)
    done = subprocess.run(
        [sys.executable, "-m", "tipbox", *map(str, words)], capture_output=True, text=True, check=False,
        env={**os.environ, "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (out / "files" / f"001-{name}").read_bytes() == b"x"
    facts = json.loads((out / "tip.json").read_bytes())
    assert facts["files"][0]["path"] == f"files/001-{name}"


# --- passphrases ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        lambda text: unicodedata.normalize("NFD", text).encode(),
        lambda text: unicodedata.normalize("NFC", text).encode() + b"\r\n\r\n",
        lambda text: "\ufeff".encode() + text.encode() + b"\n\n",
        lambda text: "\ufeff".encode() + b"\r\n\n" + text.encode(),
        lambda text: text.replace(" ", "\N{NO-BREAK SPACE}").encode(),
        lambda text: text.replace(" ", " \t ").encode(),
        lambda text: f" \t{text} \N{NARROW NO-BREAK SPACE}\r\n".encode(),
        lambda text: text.replace(" ", "\N{IDEOGRAPHIC SPACE}").encode(),
        lambda text: f"{text}\r\n".encode("utf-16"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    ],
    ids=[
        "decomposed",
        "blank lines",
        "byte order mark",
        "blank lines before",
        "no-break",
        "tabs",
        "at the ends",
        "ideographic",
        "utf-16",
        "utf-16 big",
    ],
)
def test_one_passphrase_opens_a_vault_however_it_was_typed(tmp_path: Path, written: Callable[[str], bytes]) -> None:
    text = "майский ёж, слова на двоих, été"
    first, second = tmp_path / "first", tmp_path / "second"
    write_file(first, unicodedata.normalize("NFC", text).encode())
    write_file(second, written(text))
    assert run("keys", "init", "--vault", tmp_path / "v", "--org", "v", "--passphrase-file", first) == 0
    assert run("desk", "list", "--vault", tmp_path / "v", "--passphrase-file", second) == 0


def test_a_passphrase_that_is_not_utf_8_is_taken_as_it_is(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    write_file(secret, "майский ёж, слова на двоих".encode("koi8-r"))
    assert run("keys", "init", "--vault", tmp_path / "v", "--org", "v", "--passphrase-file", secret) == 0
    assert run("desk", "list", "--vault", tmp_path / "v", "--passphrase-file", secret) == 0
