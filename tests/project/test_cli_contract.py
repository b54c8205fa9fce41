"""The commands as scripts call them: spellings, outputs, exit codes, one line on stderr."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click
import pytest

from support.commands import Run
from support.desk import PASSWORD, Desks, Exporter, seal_tip
from support.world import ROOT
from tipbox import cli
from tipbox.commands.server import server_group as server_commands
from tipbox.desk.keys.identity_file import identity_path
from tipbox.files.printable import is_printable
from tipbox.formats.base import days
from tipbox.formats.base.limits import SEAL_SIZE
from tipbox.formats.manifest import Manifest
from tipbox.formats.notice import Notice
from tipbox.formats.site_list import SiteEntry
from tipbox.server.process.run import prepare_server


@pytest.fixture(scope="session")
def made(made_today: Desks) -> Desks:
    return made_today


@pytest.fixture
def desks(made: Desks, tmp_path: Path) -> Desks:
    return made.copy(tmp_path / "desks")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(PASSWORD + b"\n")
    path.chmod(0o600)
    return path


OF_EXTRAS = (
    *("alembic", "flask", "flask_limiter", "gevent", "gunicorn", "obstore", "psycopg", "pydantic"),
    *("pydantic_settings", "sqlalchemy", "valkey", "werkzeug", "httpcore", "httpx", "socksio", "tenacity"),
)
"""What only ``tipbox[server]`` and ``tipbox[source]`` bring."""


def one_line(text: str) -> bool:
    return text.startswith("tipbox: ") and text.count("\n") == 1 and text.isprintable() is False


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_published_manifest_is_public_although_the_umask_is_strict(run: Run, tmp_path: Path, secret: Path) -> None:
    vault, out = tmp_path / "v", tmp_path / "kibhr.json"
    before = os.umask(0o077)
    try:
        run("keys", "init", "--vault", vault, "--org", "kibhr", "--passphrase-file", secret)
        run("keys", "publish", "--vault", vault, "--out", out, "--passphrase-file", secret)
    finally:
        os.umask(before)
    assert stat.S_IMODE(out.stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "v.identity").stat().st_mode) == 0o600


def test_init_publish_verify_rotate_destroy(run: Run, tmp_path: Path, secret: Path) -> None:
    vault, out = tmp_path / "v", tmp_path / "keys" / "kibhr.json"
    names = ("--name", "Бюро", "--country", "KZ", "--language", "kk", "--language", "ru")
    made = run("keys", "init", "--vault", vault, "--org", "kibhr", "--passphrase-file", secret, *names, "--json")
    assert (made.code, made.err) == (0, "")
    assert vault.is_dir()
    assert (tmp_path / "v.keys").is_dir()
    assert (tmp_path / "v.identity").is_file()
    published = run("keys", "publish", "--passphrase-file", secret, "--out", out, "--vault", vault)
    assert published.code == 0
    assert "keys rotate before" in published.out
    manifest = Manifest.parse(out.read_bytes())
    assert (manifest.name, manifest.country, manifest.languages) == ("Бюро", "KZ", ("kk", "ru"))
    assert stat.S_IMODE(out.stat().st_mode) == 0o644
    again = run("keys", "publish", "--vault", vault, "--out", out, "--passphrase-file", secret, "--json")
    assert tuple(again.json["serial"]) > manifest.serial
    verified = run("keys", "verify", "--keys", out.parent, "--json")
    assert verified.code == 0
    (facts,) = verified.json
    assert facts["check_digits"] == made.json["check_digits"]
    assert facts["problems"] == []
    assert "good" in run("keys", "verify", "--keys", out.parent).out
    rotated = run("keys", "rotate", "--vault", vault, "--out", out, "--passphrase-file", secret, "--json")
    assert rotated.json["serial"] == [2, 1]
    early = run("keys", "destroy", "--vault", vault, "--passphrase-file", secret)
    assert early.code == 3
    assert one_line(early.err)
    taken = run("keys", "init", "--vault", vault, "--org", "kibhr", "--passphrase-file", secret)
    assert taken.code == 3


def test_a_short_passphrase_is_taken_with_a_word_of_warning(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "pass"
    secret.write_bytes(b"x\n")
    secret.chmod(0o600)
    made = run("keys", "init", "--vault", tmp_path / "v", "--org", "a", "--passphrase-file", secret)
    assert (made.code, made.err.count("\n")) == (0, 1)
    assert "six words" in made.err


def test_another_identity_file_is_taken_from_where_it_lies(run: Run, tmp_path: Path, secret: Path) -> None:
    vault, apart = tmp_path / "v", tmp_path / "safe.identity"
    options = ("--vault", vault, "--passphrase-file", secret)
    assert run("keys", "init", *options, "--org", "a", "--identity", apart).code == 0
    assert not (tmp_path / "v.identity").exists()
    assert run("keys", "publish", *options, "--out", tmp_path / "a.json").code == 5
    assert run("keys", "publish", *options, "--out", tmp_path / "a.json", "--identity", apart).code == 0
    assert run("keys", "publish", *options, "--out", tmp_path / "a.json", "--identity", secret).code == 3


def test_an_entry_of_a_site_is_signed_with_the_identity_file_alone_or_with_a_vault_elsewhere(
    run: Run, desks: Desks, tmp_path: Path, secret: Path
) -> None:
    desk, onion = desks.desks[1], f"{'a2' * 28}.onion"
    identity, out = identity_path(desk.vault), tmp_path / "kibhr-site.json"
    done = run("keys", "site", "--identity", identity, "--passphrase-file", secret, "--out", out, "--json")
    assert (done.code, done.err) == (0, "")
    entry = SiteEntry.parse(out.read_bytes())
    manifest = Manifest.parse((desks.folder / "keys" / f"{entry.organisation}.json").read_bytes())
    assert entry.is_signed
    assert replace(entry, signature=b"") == SiteEntry.of(manifest)
    assert done.json["id"] == manifest.id.hex()
    assert stat.S_IMODE(out.stat().st_mode) == 0o644

    options = ("--vault", desk.vault, "--passphrase-file", secret, "--out", out)
    assert run("keys", "site", *options, "--onion", onion).code == 0
    assert SiteEntry.parse(out.read_bytes()).onions == (onion,)
    assert run("keys", "site", *options, "--onion", "example.org").code == 3
    assert run("keys", "site", *options, "--identity", secret).code == 3
    assert run("keys", "site", "--passphrase-file", secret, "--out", out).code == 2
    apart = tmp_path / "apart.identity"
    apart.write_bytes(identity.read_bytes())
    assert run("keys", "site", "--identity", apart, "--passphrase-file", secret, "--out", out).code == 2
    assert run("keys", "site", *options, "--identity", apart).code == 0
    taken = desks.folder / "keys" / "fidh.json"
    assert run("keys", "site", *options[:-1], taken).code == 2
    acts = run("desk", "custody", "--vault", desk.vault, "--passphrase-file", secret, "--json").json
    assert [one["after"] for one in acts["events"] if one["act"] == "publish"][1:] == ["site"] * 3


def test_a_notice_is_signed_by_the_desk_key_and_says_what_it_was_given(
    run: Run, desks: Desks, tmp_path: Path, secret: Path
) -> None:
    desk, out, words = desks.desks[1], tmp_path / "notice.json", tmp_path / "ru.txt"
    words.write_bytes("Новый мост:\r\nobfs4 192.0.2.1:80\n".encode())
    last = days.today() + timedelta(days=7)
    options = ("--vault", desk.vault, "--passphrase-file", secret)
    done = run("keys", "notice", *options, "--text", "ru", words, "--until", last, "--out", out, "--json")

    assert (done.code, done.err) == (0, "")
    notice = Notice.parse(out.read_bytes())
    manifests = [Manifest.parse(path.read_bytes()) for path in (desks.folder / "keys").glob("*.json")]
    assert (notice.organisation, notice.desk) in {(one.id, one.desk) for one in manifests}
    assert notice.text == {"ru": "Новый мост:\nobfs4 192.0.2.1:80"}
    assert (notice.shows(last), notice.shows(last + timedelta(days=1))) == (True, False)
    assert done.json == {
        "file": str(out), "from": days.today().isoformat(), "languages": ["ru"], "until": last.isoformat(),
    }  # fmt: skip
    words.write_bytes(b"a" * 2001)
    assert run("keys", "notice", *options, "--text", "ru", words, "--until", last, "--out", out).code == 3
    words.write_bytes(b"\xff")
    assert run("keys", "notice", *options, "--text", "ru", words, "--until", last, "--out", out).code == 3
    words.write_bytes(b"a")
    late = days.today() + timedelta(days=92)
    assert run("keys", "notice", *options, "--text", "ru", words, "--until", late, "--out", out).code == 3
    assert run("keys", "notice", *options, "--text", "ru", words, "--until", "soon", "--out", out).code == 3
    assert Notice.parse(out.read_bytes()) == notice


def test_a_site_is_made_of_signed_entries_of_a_list_or_of_manifests(
    run: Run, desks: Desks, tmp_path: Path, secret: Path
) -> None:
    keys, entries = desks.folder / "keys", []
    for desk in desks.desks[:2]:
        out = tmp_path / f"{desk.vault.name}-site.json"
        assert run("keys", "site", "--vault", desk.vault, "--passphrase-file", secret, "--out", out).code == 0
        entries += ["--entry", out]
    signed = tmp_path / "signed"
    done = run("server", "site", *entries, "--keys", keys, "--language", "ru", "--out", signed, "--json")
    assert (done.code, done.err, done.json["unsigned"]) == (0, "", [])
    listed = Path(done.json["site"])
    assert (listed.parent, Path(done.json["files"]).parent) == (signed / ".well-known" / "tipbox",) * 2
    again = tmp_path / "again"
    assert run("server", "site", "--site", listed, "--keys", keys, "--out", again).code == 0
    files = [path.relative_to(signed) for path in signed.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert all((signed / path).read_bytes() == (again / path).read_bytes() for path in files)

    trial = run("server", "site", "--keys", keys, "--out", tmp_path / "trial", "--json")
    assert trial.json["unsigned"] == trial.json["organisations"]
    assert "good for a trial only" in trial.err
    assert run("server", "site", "--keys", keys, "--out", signed).code == 2
    assert run("server", "site", "--out", tmp_path / "none").code == 2
    assert run("server", "site", "--site", listed, "--language", "ru", "--out", tmp_path / "none").code == 2
    one = ("--entry", entries[1], "--keys", keys, "--out", tmp_path / "none")
    assert run("server", "site", *one).code == 4, "a manifest of nobody in the list"
    listed.write_bytes(listed.read_bytes().replace(b'"country": "', b'"country": "X', 1))
    assert run("server", "site", "--site", listed, "--out", tmp_path / "none").code == 3
    assert not (tmp_path / "none").exists()


def test_verify_exits_3_when_one_is_bad(run: Run, desks: Desks) -> None:
    path = desks.folder / "keys" / "fidh.json"
    path.write_bytes(path.read_bytes().replace(b'"FIDH"', b'"FAKE"'))
    done = run("keys", "verify", "--keys", path.parent, "--json")
    assert done.code == 3
    assert [bool(one["problems"]) for one in done.json] == [True, False]
    assert json.loads(done.err)["error"] == "refused"
    assert run("keys", "verify", "--keys", desks.folder / "kibhr").code == 5


# --- desk ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def bundle(desks: Desks, tmp_path: Path) -> Path:
    today = days.today()
    kibhr = desks.desks[1]
    tips = [
        seal_tip(desks.manifests, files=[("a\u202e\x1b[2J.txt", b"one")], today=today),
        seal_tip(desks.manifests, [desks.desks[0].manifest], today=today),
    ]
    return Exporter().export(tmp_path / "kibhr-1-1.bundle", kibhr.manifest, tips, day=today)


def test_import_list_show_outbox(run: Run, desks: Desks, bundle: Path, secret: Path, tmp_path: Path) -> None:
    options = ("--vault", desks.desks[1].vault, "--passphrase-file", secret)
    assert run("desk", "list", *options, "--json").json == []
    first = run("desk", "import", *options, bundle)
    assert first.code == 0
    assert "2 not acknowledged yet" in first.err
    assert first.err.count("\n") == 1
    second = run("desk", "import", bundle, "--copies", "1", *options, "--json")
    assert (second.code, second.err) == (0, "")
    assert second.json["outcomes"] == {"known": 2}
    (tip,) = run("desk", "list", *options, "--json").json
    assert tip["files"] == [{"name": "a\u202e\x1b[2J.txt", "size": 3}]
    assert tip["state"] == "new"
    shown = run("desk", "show", *options, tip["id"][:8], "--out", tmp_path / "out")
    assert shown.code == 0
    facts = json.loads((tmp_path / "out" / "tip.json").read_bytes())
    assert facts["files"][0]["name"] == "a\u202e\x1b[2J.txt"
    assert (tmp_path / "out" / facts["files"][0]["path"]).read_bytes() == b"one"
    assert run("desk", "list", *options, "--json").json[0]["state"] == "opened"
    written = run("desk", "outbox", *options, "--out", tmp_path / "o.bundle", "--json")
    assert written.json["acknowledged"] == 2
    assert stat.S_IMODE((tmp_path / "o.bundle").stat().st_mode) == 0o644  # sealed, and for whoever carries it


def test_no_output_of_the_desk_can_move_a_terminal(
    run: Run, desks: Desks, bundle: Path, secret: Path, tmp_path: Path
) -> None:
    options = ("--vault", desks.desks[1].vault, "--passphrase-file", secret)
    run("desk", "import", *options, bundle)
    (tip,) = run("desk", "list", *options, "--json").json
    # The words of a source stand on the line of a list, in their own letters: they show themselves and do nothing else.
    lines = run("desk", "list", *options).out.splitlines()
    assert all(is_printable(character) for line in lines for character in line)
    said = run("desk", "list", *options, "--json").out
    done = run("desk", "show", *options, tip["id"], "--out", tmp_path / "out")
    said += done.out + done.err + (tmp_path / "out" / "tip.json").read_text()
    assert said.isascii()
    assert said.replace("\n", "").isprintable()
    assert all(path.name.isprintable() for path in tmp_path.rglob("*"))


def test_show_refuses_a_folder_that_is_not_empty_and_tips_that_are_not_there(
    run: Run, desks: Desks, bundle: Path, secret: Path, tmp_path: Path
) -> None:
    options = ("--vault", desks.desks[1].vault, "--passphrase-file", secret)
    run("desk", "import", *options, bundle)
    (tip,) = run("desk", "list", *options, "--json").json
    (tmp_path / "empty").mkdir()
    assert run("desk", "show", *options, tip["id"], "--out", tmp_path / "empty").code == 0
    assert run("desk", "show", *options, tip["id"], "--out", tmp_path / "empty").code == 3
    for wanted in ("0" * 64, "zz", "", "x" * 64):
        missing = run("desk", "show", *options, "--out", tmp_path / "new", "--", wanted)
        assert missing.code == 5, wanted
        assert one_line(missing.err)
    assert not (tmp_path / "new").exists()


def test_a_damaged_tip_file_and_a_damaged_bundle(
    run: Run, desks: Desks, bundle: Path, secret: Path, tmp_path: Path
) -> None:
    options = ("--vault", desks.desks[1].vault, "--passphrase-file", secret)
    cut, whole = tmp_path / "cut.tip", seal_tip(desks.manifests, today=days.today()).data
    for missing, code, why in (
        (1, "incomplete", "The last part is missing; the rest is kept closed."),
        (3 * SEAL_SIZE + 1, "truncated", "the letter ends too early"),
    ):
        cut.write_bytes(whole[:-missing])
        alone = run("desk", "import", *options, cut, "--json")
        assert alone.code == 3
        assert json.loads(alone.err) == {"error": code, "message": f"importing cut.tip: {why}"}
    both = run("desk", "import", *options, cut, bundle)
    assert both.code == 8
    assert one_line(both.err.splitlines(keepends=True)[-1])
    data = bytearray(bundle.read_bytes())
    data[-100] ^= 1
    bundle.write_bytes(data)
    damaged = run("desk", "import", *options, bundle, "--json")
    assert damaged.code == 8
    assert json.loads(damaged.err)["error"] == "damaged-item"


def test_a_desk_without_any_bundle_writes_no_outbox(run: Run, desks: Desks, secret: Path, tmp_path: Path) -> None:
    vault = desks.desks[1].vault
    done = run("desk", "outbox", "--vault", vault, "--passphrase-file", secret, "--out", tmp_path / "o", "--json")
    assert done.code == 5
    assert json.loads(done.err)["error"] == "no-bundle"
    assert not (tmp_path / "o").exists()


# --- errors ----------------------------------------------------------------------------------------------------------


def test_wrong_passphrase_is_4_and_says_nothing_secret(run: Run, desks: Desks, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"a guess that nobody shall read")
    wrong.chmod(0o600)
    done = run("desk", "list", "--vault", desks.desks[1].vault, "--passphrase-file", wrong, "--json")
    assert done.code == 4
    assert (done.out, json.loads(done.err)["error"]) == ("", "wrong-passphrase")
    assert "guess" not in done.err


@pytest.mark.parametrize(("content", "code"), [(b"", 4), (b"\n", 4), (b"one\ntwo\n", 4), (b"x" * 1025, 4)])
def test_a_passphrase_file_holds_one_line(run: Run, desks: Desks, tmp_path: Path, content: bytes, code: int) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(content)
    assert run("desk", "list", "--vault", desks.desks[1].vault, "--passphrase-file", path).code == code


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_end_of_the_line_is_no_part_of_the_passphrase(run: Run, desks: Desks, tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(PASSWORD + end)
    path.chmod(0o600)
    assert run("desk", "list", "--vault", desks.desks[1].vault, "--passphrase-file", path, "--json").json == []


def test_a_passphrase_file_that_others_can_read_is_a_warning(run: Run, desks: Desks, secret: Path) -> None:
    secret.chmod(0o644)
    done = run("desk", "list", "--vault", desks.desks[1].vault, "--passphrase-file", secret, "--json")
    assert (done.code, done.json) == (0, [])
    assert "can be read by others" in done.err
    failed = run(
        "desk", "show", "x", "--vault", desks.desks[1].vault, "--passphrase-file", secret, "--json", "--out", "x"
    )
    assert failed.code == 5
    assert json.loads(failed.err)["error"] == "not-found"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (("nothing",), 2),
        (("desk",), 2),
        (("desk", "frobnicate"), 2),
        (("desk", "list"), 2),
        (("keys", "verify", "--keys", "/nowhere"), 5),
        (("seal", "--keys", "/nowhere", "--message-file", "m", "--out", "x.tip"), 5),
        (("desk", "list", "--vault", "/nowhere", "--passphrase-file", "/nowhere"), 5),
        (("server", "status", "--home", "/nowhere"), 5),
        (("server", "run", "--home", "x", "--keys", "x", "--bind", "nonsense"), 2),
    ],
)
def test_exit_codes_of_what_cannot_be(run: Run, arguments: tuple[str, ...], code: int) -> None:
    done = run(*arguments)
    assert done.code == code
    assert "Traceback" not in done.err
    assert done.out == ""


@pytest.mark.parametrize("before", [True, False])
def test_json_errors_with_the_option_anywhere(run: Run, before: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    rest = ("--vault", "/nowhere", "--passphrase-file", "/nowhere")
    done = run("desk", "list", *(("--json", *rest) if before else (*rest, "--json")))
    assert done.code == 5
    assert set(json.loads(done.err)) == {"error", "message"}


def test_a_bug_is_one_line_without_a_traceback(
    run: Run, desks: Desks, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a source's words")

    monkeypatch.setattr("tipbox.desk.inbox.listing.list_tips", bug)
    done = run("desk", "list", "--vault", desks.desks[1].vault, "--passphrase-file", secret)
    assert done.code == 1
    assert one_line(done.err)
    assert "words" not in done.err
    assert "ZeroDivisionError" in done.err


def without(modules: tuple[str, ...], *commands: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run commands, one after the other, on an installation that lacks some modules; the last one's exit code."""
    code = (
        "import sys\nclass Block:\n    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {modules!r}:\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "from tipbox.cli import run\n"
        f"for command in {commands!r}:\n    code = run(command)\n    print(code, *command)\nsys.exit(code)\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def every_command() -> list[tuple[str, ...]]:
    def walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                found = command.get_command(click.Context(command), name)
                assert found is not None
                yield from walk(found, (*path, name))

    return list(walk(cli.tipbox, ()))


def test_help_is_there_for_every_command_without_any_extra() -> None:
    commands = [(*path, "--help") for path in every_command()]
    assert len(commands) > 30
    done = without(OF_EXTRAS, *commands)
    assert (done.returncode, done.stderr) == (0, "")
    for command in commands:
        assert f"\n0 {' '.join(command)}\n" in done.stdout
    assert done.stdout.count("Usage: tipbox") == len(commands)


@pytest.mark.parametrize(
    ("extra", "command"),
    [
        ("source", ("source", "inbox", "http://127.0.0.1:9", "--keys", ".", "--passphrase-file", "P")),
        ("source", ("courier", "fetch", "http://127.0.0.1:9", "--key", "K", "--out", "D")),
        ("source", ("server", "canary", "http://127.0.0.1:9", "--keys", ".", "--lists", ".")),
        ("server", ("server", "status", "--home", ".")),
        ("server", ("demo", "--once")),
    ],
)
def test_a_command_whose_extra_is_not_installed_names_the_extra(extra: str, command: tuple[str, ...]) -> None:
    """Not the module: a person installs extras, and a module may be a dependency of a dependency."""
    done = without(OF_EXTRAS, command)
    assert done.returncode == 2
    assert done.stderr == f"tipbox: running this command: it is not installed here; pip install 'tipbox[{extra}]'\n"


def test_the_server_s_extra_holds_all_that_its_own_commands_need() -> None:
    """``server canary`` sends as a source does."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras["source"]) <= set(extras["server"])


def test_nothing_prompts_and_nothing_is_drawn_without_a_terminal(desks: Desks, bundle: Path, secret: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tipbox", "desk", "import", "--vault", desks.desks[1].vault, "--copies", "1",
         "--passphrase-file", secret, bundle],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout


def test_a_full_disk_is_7_and_what_is_stored_stays(
    run: Run, desks: Desks, bundle: Path, secret: Path, tmp_path: Path
) -> None:
    """On a file system of 1 MB, as root; the vault is copied there when it has one tip."""
    small = tmp_path / "small"
    small.mkdir()
    vault = desks.desks[1].vault
    options = ("--passphrase-file", secret)
    run("desk", "import", "--vault", vault, *options, bundle)
    size = sum(path.stat().st_size for path in vault.rglob("*") if path.is_file())
    big = tmp_path / "big.tip"
    big.write_bytes(seal_tip(desks.manifests, files=[("a", bytes(2 << 20))], today=days.today()).data)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size + (600 << 10)}", "tmpfs", small], check=True)
    try:
        subprocess.run(["cp", "-r", vault, f"{vault}.keys", small], check=True)
        full = run("desk", "import", "--vault", small / "kibhr", *options, big, "--json")
        assert full.code == 7
        assert json.loads(full.err)["error"] == "full"
        assert len(run("desk", "list", "--vault", small / "kibhr", *options, "--json").json) == 1
        assert list((small / "kibhr" / "incoming").iterdir()) == []
        shown = run("desk", "outbox", "--vault", small / "kibhr", *options, "--out", small / "o", "--json")
        assert shown.code == 7
        assert not (small / "o").exists()
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_server_that_was_never_run_is_not_there(run: Run, tmp_path: Path) -> None:
    assert server_commands.ClockHeld().exit_code == 3
    for command in ("status", "prune"):
        assert run("server", command, "--home", tmp_path / "nothing", "--json").code == 5
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_one_line_and_makes_nothing(run: Run, desks: Desks, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("server", "run", "--home", tmp_path / "h", "--keys", desks.folder / "keys", "--bind", bind)
    assert done.code == 2
    assert one_line(done.err)
    assert "listens on" in done.err
    assert not (tmp_path / "h").exists()


def test_an_out_that_is_a_folder_is_named_as_it_was_typed(run: Run, desks: Desks, secret: Path, tmp_path: Path) -> None:
    out = tmp_path / "folder"
    out.mkdir()
    vault = desks.desks[1].vault
    done = run("keys", "publish", "--vault", vault, "--passphrase-file", secret, "--out", out)
    assert done.code == 3
    assert done.err == f"tipbox: opening {out}: it is a folder; name a file\n"
    assert list(out.parent.glob("*.part")) == []


@pytest.mark.parametrize(
    "bind", ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80", "example.org:80", "127.0.0.1:99999", "x"]
)
def test_plain_http_never_meets_a_network(run: Run, desks: Desks, tmp_path: Path, bind: str) -> None:
    done = run("server", "run", "--home", tmp_path / "h", "--keys", desks.folder / "keys", "--bind", bind)
    assert done.code == 2
    assert one_line(done.err)
    assert not (tmp_path / "h").exists()


STOPPING = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGXCPU]
ENTRIES = {
    "program": "runpy.run_path({program!r}, run_name='__main__')",
    "module": "runpy.run_module('tipbox', run_name='__main__', alter_sys=True)",
}


def stopped_at(moment: str, entry: str, signum: signal.Signals) -> subprocess.CompletedProcess[str]:
    """Run ``tipbox --version`` by one of its entries, with the code that brings the signal."""
    program = str(Path(sysconfig.get_path("scripts")) / "tipbox")
    code = (
        "import atexit, os, runpy, signal, sys\n"
        # As a terminal leaves them: in the background of a shell some are ignored.
        "for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:\n"
        "    signal.signal(number, signal.SIG_DFL)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.argv = ['tipbox', '--version']\n"
        f"def stop(*_, **__): os.kill(os.getpid(), {int(signum)})\n"
        f"{moment}\n{ENTRIES[entry].format(program=program)}\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("signum", STOPPING)
@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("from tipbox import cli\ncli.Terminal = stop", lambda _: 130),
        ("from tipbox import cli\ncli._as_error = cli.tipbox = stop", lambda _: 130),
        ("from tipbox import cli\ncli.Terminal.finish = stop", lambda _: 130),
        ("atexit.register(stop)", lambda signum: -signum),
    ],
    ids=["starting", "running", "reporting", "ending"],
)
def test_being_stopped_while_it_starts_or_ends_prints_no_traceback(
    signum: signal.Signals, entry: str, moment: str, expected: Callable[[int], int]
) -> None:
    done = stopped_at(moment, entry, signum)
    assert done.returncode == expected(signum)
    assert done.stderr in ("", "tipbox: stopped\n")


@pytest.mark.parametrize("signum", STOPPING)
@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("module", ["tipbox.cli", "click", "tipbox.errors"])
def test_being_stopped_while_modules_are_imported_prints_nothing(
    signum: signal.Signals, entry: str, module: str
) -> None:
    finder = (
        "class Finder:\n"
        "    @staticmethod\n"
        f"    def find_spec(name, *_): stop() if name == {module!r} else None\n"
        "sys.meta_path.insert(0, Finder)"
    )
    done = stopped_at(finder, entry, signum)
    assert (done.returncode, done.stdout, done.stderr) == (-signum, "", "")


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("second", STOPPING)
def test_a_second_signal_does_not_cut_the_cleaning_up_short(first: signal.Signals, second: signal.Signals) -> None:
    command = (
        "from tipbox import cli\n"
        "class Command:\n"
        "    @staticmethod\n"
        "    def main(**_):\n"
        "        try:\n"
        "            stop()\n"
        "        finally:\n"
        f"            os.kill(os.getpid(), {int(second)})\n"
        "            print('cleaned up', flush=True)\n"
        "cli.tipbox = Command"
    )
    done = stopped_at(command, "module", first)
    assert (done.returncode, done.stdout, done.stderr) == (130, "cleaned up\n", "tipbox: stopped\n")


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_what_whoever_started_it_ignores_stays_ignored(signum: signal.Signals) -> None:
    moment = f"signal.signal({int(signum)}, signal.SIG_IGN)\natexit.register(stop)\nstop()"
    done = stopped_at(moment, "module", signum)
    assert (done.returncode, done.stderr) == (0, "")


# --- backups ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("locked", [True, False])
def test_backup_drill_and_restore(run: Run, desks: Desks, secret: Path, tmp_path: Path, *, locked: bool) -> None:
    """With a locked key and its passphrase, and as briefly as the contract has it."""
    key, made, home, new = (tmp_path / name for name in ("K", "F", "home", "new"))
    prepare_server(home, desks.folder / "keys")
    passphrase = ("--passphrase-file", secret) if locked else ()

    done = run("server", "backup-key", "--out", key, *passphrase, "--json")
    assert (done.code, done.json["locked"]) == (0, locked)
    assert (stat.S_IMODE(key.stat().st_mode), key.read_bytes()[:8] == b"\x89tiploc\n") == (0o600, locked)
    again = run("server", "backup-key", "--out", key, *passphrase)
    assert again.code == 3
    done = run("server", "backup", "--home", home, "--out", made, "--to", f"{key}.pub", "--json")
    assert (done.code, done.json["envelopes"], done.json["organisations"]) == (0, 0, 2)
    done = run("server", "drill", "--home", tmp_path / "drill", "--identity", key, *passphrase, made)
    assert (done.code, "2 organisations" in done.out) == (0, True)
    assert run("server", "status", "--home", home, "--json").json["server"] in done.out
    done = run("server", "restore", "--home", new, "--identity", key, *passphrase, made, "--json")
    assert (done.code, done.json["problems"], "holds no onion keys" in done.err) == (0, [], True)
    assert run("server", "check", "--home", new).code == 0
    assert run("server", "restore", "--home", new, "--identity", key, *passphrase, made).code == 3


def test_what_backups_refuse(run: Run, desks: Desks, secret: Path, tmp_path: Path) -> None:
    key, made, home = tmp_path / "K", tmp_path / "F", tmp_path / "home"
    prepare_server(home, desks.folder / "keys")
    run("server", "backup-key", "--out", key, "--passphrase-file", secret)
    run("server", "backup", "--home", home, "--out", made, "--to", f"{key}.pub")
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"another passphrase\n")
    options = ("--home", tmp_path / "new", "--identity")

    refused = [
        (4, run("server", "restore", *options, key, made)),
        (4, run("server", "restore", *options, key, "--passphrase-file", wrong, made)),
        (3, run("server", "restore", *options, f"{key}.pub", made)),
        (3, run("server", "restore", *options, key, "--passphrase-file", secret, secret)),
        (5, run("server", "restore", *options, key, "--passphrase-file", secret, tmp_path / "nothing")),
        (5, run("server", "restore", *options, tmp_path / "nothing", made)),
        (3, run("server", "backup", "--home", home, "--out", tmp_path / "x", "--to", key)),
        (3, run("server", "backup", "--home", home, "--out", tmp_path / "x", "--to", f"{key}.pub", "--onion", key)),
        (5, run("server", "backup", "--home", tmp_path / "none", "--out", tmp_path / "x", "--to", f"{key}.pub")),
        (5, run("server", "settle", "--home", tmp_path / "none")),
        (5, run("server", "seized", "--home", tmp_path / "none")),
        (5, run("server", "check", "--home", tmp_path / "none")),
    ]

    for code, done in refused:
        assert done.code == code, done.err
        assert done.err.splitlines()[-1].startswith("tipbox: ")
        assert done.out == ""
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "x").exists()
