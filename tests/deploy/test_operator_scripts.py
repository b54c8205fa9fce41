"""install.sh and tipbox-server as an operator calls them: names, usage, a dry run that tells what the real one does."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support.sealed import Organisation, keys_folder
from support.world import ROOT
from tipbox.courier.courier_key import CourierKey
from tipbox.formats.manifest import id_digits
from tipbox.server.process.run import prepare_server

DEPLOY = ROOT / "deploy"
Done = subprocess.CompletedProcess[str]


def run(*command: object, expect: int = 0) -> Done:
    done = subprocess.run(
        [str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == expect, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """What an operator has: manifests, the wheel, the lock beside it, the operator's key, and keys of couriers."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "kibhr.json").write_bytes(Organisation("kibhr").manifest().encode())
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "tipbox-0.1.0-py3-none-any.whl").write_bytes(b"a wheel")
    (tmp_path / "house" / "requirements.lock").write_text("")
    (tmp_path / "operator.pub").write_text('{"kind":"backup-public"}')
    (tmp_path / "couriers").mkdir()
    CourierKey.generate().save(tmp_path / "couriers" / "anna")
    (tmp_path / "couriers" / "anna").unlink()
    return tmp_path


@pytest.fixture
def deploy(tmp_path: Path) -> Path:
    """The scripts, with settings and state in folders of the test."""
    copy = Path(shutil.copytree(DEPLOY, tmp_path / "deploy"))
    text = (copy / "common.sh").read_text()
    for there, here in (("STATE=/var/lib/tipbox", tmp_path / "state"), ("SETTINGS=/etc/tipbox", tmp_path / "settings")):
        assert f"\n{there}\n" in text
        text = text.replace(there, f"{there.partition('=')[0]}={here}", 1)
    (copy / "common.sh").write_text(text)
    return copy


def dry_run(given: Path, *options: object, expect: int = 0) -> Done:
    house = ("--wheelhouse", given / "house")
    return run(DEPLOY / "install.sh", "--dry-run", "--keys", given / "keys", *house, *options, expect=expect)


# --- install.sh -------------------------------------------------------------------------------------------------------


def test_a_courier_s_key_is_taken_as_keygen_names_it(given: Path) -> None:
    said = dry_run(given, "--couriers", given / "couriers").stdout
    assert "/authorized_clients/anna.auth" in said
    assert "couriers    with a key: anna" in said


def test_a_courier_s_key_is_taken_as_tor_names_it(given: Path) -> None:
    (given / "couriers" / "anna.pub").rename(given / "couriers" / "anna.auth")
    assert "/authorized_clients/anna.auth" in dry_run(given, "--couriers", given / "couriers").stdout


def test_a_file_that_is_no_courier_s_key_is_named(given: Path) -> None:
    (given / "couriers" / "bela.key").write_text("x")
    said = dry_run(given, "--couriers", given / "couriers").stdout
    assert f"not a courier's key, ignored: {given / 'couriers' / 'bela.key'}" in said


@pytest.mark.parametrize("case", ["empty", "twice", "damaged", "no folder"])
def test_a_folder_of_couriers_that_cannot_be_meant_is_refused(given: Path, case: str) -> None:
    folder = given / "couriers"
    if case == "empty":
        (folder / "anna.pub").unlink()
    elif case == "twice":
        (folder / "anna.auth").write_bytes((folder / "anna.pub").read_bytes())
    elif case == "damaged":
        (folder / "anna.pub").write_text("descriptor:x25519:AAAA\n")
    else:
        folder = given / "nothing"
    done = dry_run(given, "--couriers", folder, expect=1)
    assert done.stderr.startswith("install.sh: ")
    assert "would" not in done.stdout


def test_a_dry_run_tells_what_the_real_run_will_do(given: Path) -> None:
    said = dry_run(given, "--couriers", given / "couriers", "--operator-key", given / "operator.pub").stdout
    lines = said.splitlines()
    assert [line for line in lines if line.startswith(("installed", "wrote"))] == []
    assert "nobody.auth" not in said
    assert "backups     each night into /var/lib/tipbox-backup" in lines
    assert [line for line in lines if line == "would run: systemctl start"] == []
    assert any(line.startswith("would have installed release 0.1.0-") for line in lines)
    assert lines[-1] == "Nothing was changed."


def test_a_dry_run_without_couriers_shuts_their_service(given: Path) -> None:
    said = dry_run(given).stdout
    assert "nobody.auth" in said
    assert "backups     none" in said


STORES = {
    "database": ("--database", "postgresql://tipbox@db.example/tips"),
    "blobs": ("--blobs", "https://s3.example/bucket"),
    "rates": ("--rates", "rediss://rates.example"),
}


def with_stores(given: Path, deploy: Path, *kinds: str, expect: int = 0) -> Done:
    """A dry run that names these stores."""
    secrets = given / "secrets.toml"
    secrets.write_text('blobs_access_key = "a"\nblobs_secret_key = "b"\n')
    secrets.chmod(0o600)
    named = (*(word for kind in kinds for word in STORES[kind]), "--secrets", secrets)
    house = ("--wheelhouse", given / "house")
    return run(deploy / "install.sh", "--dry-run", "--keys", given / "keys", *house, *named, expect=expect)


@pytest.mark.parametrize(
    ("before", "named", "missing"),
    [
        (("database",), ("rates",), "--database"),
        (("database", "blobs", "rates"), ("database", "rates"), "--blobs"),
        (("database", "blobs", "rates"), ("blobs",), "--database"),
    ],
)
def test_stores_that_hold_tips_are_not_left_by_not_naming_them(
    given: Path, deploy: Path, before: tuple[str, ...], named: tuple[str, ...], missing: str
) -> None:
    """The server would begin empty on this machine, and report well."""
    stores = given / "settings" / "stores" / "stores.toml"
    stores.parent.mkdir(parents=True)
    tables = {"database": "database", "blobs": "blobs", "rates": "limits"}
    stores.write_text("".join(f'\n[{tables[kind]}]\nurl = "x"\n' for kind in before))
    done = with_stores(given, deploy, *named, expect=1)
    assert f"this server keeps its {'rows' if missing == '--database' else 'bodies'} on another machine" in done.stderr
    assert missing in done.stderr
    assert "would" not in done.stdout
    with_stores(given, deploy, *before)


def test_the_ways_to_stores_that_change_are_opened_anew(given: Path, deploy: Path) -> None:
    """systemd starts no socket while the service behind it runs."""
    common = deploy / "common.sh"
    text = common.read_text()
    assert "booted() { [[ -d /run/systemd/system ]]; }" in text
    common.write_text(text.replace("booted() { [[ -d /run/systemd/system ]]; }", "booted() { true; }"))
    lines = with_stores(given, deploy, "database", "rates").stdout.splitlines()
    sockets = "tipbox-database.socket tipbox-rates.socket"
    relays = "tipbox-database.service tipbox-blobs.service tipbox-rates.service"
    stopped = lines.index(f"would run: systemctl stop {sockets} {relays}")
    assert lines[stopped + 1] == f"would run: systemctl start {sockets}"
    assert "would run: systemctl restart tipbox.service tipbox-courier.service" in lines[stopped:]


@pytest.mark.parametrize("before", [None, "limits", "blobs"])
def test_rows_in_sqlite_are_not_left_for_an_empty_database(given: Path, deploy: Path, before: str | None) -> None:
    """Whether or not another store was moved before."""
    (given / "state").mkdir()
    (given / "state" / "tipbox.db").write_bytes(b"rows")
    named = ["database"]
    if before:
        stores = given / "settings" / "stores" / "stores.toml"
        stores.parent.mkdir(parents=True)
        stores.write_text(f'[{before}]\nurl = "x"\n')
        named.append("blobs")
    done = with_stores(given, deploy, *named, expect=1)
    assert "this server keeps its rows in SQLite" in done.stderr
    assert "would" not in done.stdout


# --- tipbox-server ----------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """The command on a machine where the release lies elsewhere, and systemctl notes what it is asked for."""
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "systemctl").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path / "asked"}\n')
    (fake / "systemctl").chmod(0o755)
    script = tmp_path / "tipbox-server"
    text = (DEPLOY / "tipbox-server").read_text()
    for there, here in (
        ("/opt/tipbox/current/bin", str(ROOT / ".venv" / "bin")),
        ("/etc/tipbox", str(tmp_path / "etc")),
        ("set -eu\n", f"set -eu\nPATH={fake}:$PATH\n"),
    ):
        assert there in text
        text = text.replace(there, here, 1)
    script.write_text(text)
    script.chmod(0o755)
    return script


def test_without_a_command_it_says_how_it_is_used(server: Path) -> None:
    done = run(server, expect=2)
    assert (done.stdout, done.stderr.splitlines()[0]) == ("", "tipbox-server COMMAND [options]")
    assert run(server, "--help").stdout == done.stderr
    assert run(server, "-h").stdout == done.stderr


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        ("canary", "systemctl start tipbox-canary"),
        ("backup-key", "never online"),
        ("run", "systemctl start tipbox"),
        ("courier", "systemctl start tipbox"),
        ("--home", "name a command first"),
    ],
)
def test_what_is_not_done_here_is_refused_with_what_to_do_instead(server: Path, command: str, instead: str) -> None:
    done = run(server, command, "x", expect=2)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert done.stderr.startswith("tipbox-server: ")
    assert instead in done.stderr


def test_an_organisation_is_added_only_with_the_digits_of_its_identity(server: Path, tmp_path: Path) -> None:
    organisation = Organisation("ili")
    given, kept, asked = tmp_path / "ili.json", tmp_path / "etc" / "keys" / "ili.json", tmp_path / "asked"
    given.write_bytes(organisation.manifest().encode())
    digits = id_digits(organisation.id)

    shown = run(server, "add-organisation", given).stdout
    assert digits in shown
    assert not kept.exists()
    wrong = run(server, "add-organisation", given, "--digits", "0" * 30, expect=2)
    assert "not the digits" in wrong.stderr
    assert not kept.exists()
    assert not asked.exists()
    run(server, "add-organisation", given, "--digits", digits.replace(" ", ""))
    assert kept.read_bytes() == given.read_bytes()
    assert asked.read_text() == "restart tipbox.service tipbox-courier.service\n"
    assert "here already" in run(server, "add-organisation", given, "--digits", digits, expect=2).stderr


def test_an_organisation_with_which_the_server_does_not_start_is_not_kept(server: Path, tmp_path: Path) -> None:
    """Another one may show the same name: left there, it would keep the server down."""
    organisation = Organisation("ili")
    given, kept, asked = tmp_path / "ili.json", tmp_path / "etc" / "keys" / "ili.json", tmp_path / "asked"
    given.write_bytes(organisation.manifest().encode())
    (tmp_path / "bin" / "systemctl").write_text(f'#!/bin/sh\necho "$@" >>{asked}\n[ ! -e {kept} ]\n')
    (tmp_path / "bin" / "journalctl").write_text("#!/bin/sh\necho another organisation shows the same name\n")
    (tmp_path / "bin" / "journalctl").chmod(0o755)

    done = run(server, "add-organisation", given, "--digits", id_digits(organisation.id), expect=1)
    assert "the server does not start with ili, so it was not taken" in done.stderr
    assert "another organisation shows the same name" in done.stderr
    assert not kept.exists()
    assert asked.read_text() == 2 * "restart tipbox.service tipbox-courier.service\n"


def test_a_manifest_that_must_not_be_used_adds_nobody(server: Path, tmp_path: Path) -> None:
    value = json.loads(Organisation("ili").manifest().encode())
    value["name"] = "Somebody else"
    (tmp_path / "ili.json").write_text(json.dumps(value))
    assert "must not be used" in run(server, "add-organisation", tmp_path / "ili.json", expect=2).stderr
    assert run(server, "add-organisation", tmp_path / "nothing", expect=2).stderr.count("\n") == 1
    assert not (tmp_path / "etc").exists()


def test_an_organisation_is_removed_here_and_in_the_settings(server: Path, tmp_path: Path) -> None:
    """As the user of the state folder; the next start finds no manifest of it."""
    names, home, keys = ("ili", "kibhr"), tmp_path / "home", tmp_path / "etc" / "keys"
    keys.parent.mkdir()
    prepare_server(home, keys_folder(keys, [Organisation(name) for name in names]))
    (tmp_path / "bin" / "runuser").write_text('#!/bin/sh\n[ "$2" = tipbox-courier ] && shift 3 && exec "$@"\n')
    (tmp_path / "bin" / "runuser").chmod(0o755)
    server.write_text(server.read_text().replace("home=/var/lib/tipbox", f"home={home}", 1))

    assert "Removed ili" in run(server, "remove-organisation", "ili").stdout
    assert [path.name for path in keys.iterdir()] == ["kibhr.json"]
    assert "there is no such organisation" in run(server, "remove-organisation", "ili", expect=5).stderr
    shown = json.loads(run(server, "status", "--json").stdout)
    assert [one["organisation"] for one in shown["organisations"]] == ["kibhr"]
