"""deploy/outer: what install.sh makes of the URLs of stores on other machines, and what it refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from support.world import ROOT
from tipbox.server.config import load

OUTER = ROOT / "deploy" / "outer"
SERVICES = sorted(OUTER.glob("*.service"))
LARGEST_EXPOSURE = 1.5
DATABASE = ("--database", "postgresql://tipbox@db.example/tips")
BLOBS = ("--blobs", "https://s3.example:8333/bucket/prefix?region=eu-1")
RATES = ("--rates", "rediss://db.example/0")
SECRETS = 'database_password = "/p w@:?"\nblobs_access_key = "a"\nblobs_secret_key = "b\\"c"\nrates_password = "r"\n'


def run(out: Path, *given: str, secrets: str = SECRETS, expect: int = 0) -> str:
    """What it says; what it makes is in ``out``."""
    file = out / "secrets.toml"
    file.write_text(secrets)
    file.chmod(0o600)
    command: tuple[str | Path, ...] = (
        sys.executable,
        "-I",
        OUTER / "stores.py",
        "--out",
        out,
        "--secrets",
        file,
        *given,
    )
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stderr


def test_the_server_reads_what_is_made(tmp_path: Path) -> None:
    assert run(tmp_path, *DATABASE, *BLOBS, *RATES) == ""
    config = load(tmp_path / "nothing", {"CREDENTIALS_DIRECTORY": str(tmp_path)})

    assert config.database.url.get_secret_value() == (
        "postgresql://tipbox:%2Fp%20w%40%3A%3F@db.example:5432/tips?sslmode=verify-full"
    )
    assert (config.blobs.url, config.blobs.endpoint) == ("s3://bucket/prefix", "https://s3.example:8333")
    assert (config.blobs.region, config.blobs.secret_key.get_secret_value()) == ("eu-1", 'b"c')
    assert config.limits.url == "rediss://:r@db.example:6379/0"


def test_each_host_has_an_address_of_the_private_loopback_and_each_store_a_socket(tmp_path: Path) -> None:
    run(tmp_path, *DATABASE, *BLOBS, *RATES)
    assert (tmp_path / "hosts").read_text().splitlines() == [
        "127.0.0.1 localhost",
        "127.0.0.2 db.example",
        "127.0.0.3 s3.example",
    ]
    listens = {path.stem: re.findall(r"ListenStream=(.*)", path.read_text()) for path in tmp_path.glob("*.socket")}
    assert listens == {
        "tipbox-database": ["127.0.0.2:5432"],
        "tipbox-blobs": ["127.0.0.3:8333"],
        "tipbox-rates": ["127.0.0.2:6379"],
    }
    assert (tmp_path / "relays.env").read_text().splitlines() == [
        "DATABASE=db.example:5432",
        "BLOBS=s3.example:8333",
        "RATES=db.example:6379",
    ]
    assert (tmp_path / "ports").read_text() == "5432, 6379, 8333\n"


def test_one_store_alone(tmp_path: Path) -> None:
    run(tmp_path, *RATES)
    assert [path.name for path in tmp_path.glob("*.socket")] == ["tipbox-rates.socket"]
    assert list(tomllib.loads((tmp_path / "stores.toml").read_text())) == ["limits"]


REFUSED = {
    "a password in the URL": (("--database", "postgresql://tipbox:p@db.example/tips"), "no password in the URL"),
    "an address": (("--database", "postgresql://tipbox@192.0.2.1/tips"), "not by an address"),
    "an address of six": (("--rates", "rediss://[2001:db8::1]/"), "not by an address"),
    "this machine": (("--rates", "rediss://localhost/"), "not by an address"),
    "no TLS for the database": (("--database", "postgresql://t@db.example/tips?sslmode=require"), "verify-full"),
    "no TLS for the bucket": (("--blobs", "http://s3.example/bucket"), "--blobs takes https://"),
    "no TLS for the counts": (("--rates", "redis://db.example/"), "--rates takes rediss://"),
    "another host hidden in the query": (
        ("--database", "postgresql://t@db.example/tips?host=other.example"),
        "host is not known",
    ),
    "no user": (("--database", "postgresql://db.example/tips"), "--database takes"),
    "no bucket": (("--blobs", "https://s3.example/"), "--blobs takes"),
    "a port that is none": (("--rates", "rediss://db.example:x/"), "--rates takes"),
    "a line break": (("--blobs", "https://s3.example/bucket/%0a"), "--blobs takes"),
    "two at one place": (
        ("--blobs", "https://s.example/bucket", "--rates", "rediss://s.example:443"),
        "two stores are at one host and port",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, case: str) -> None:
    given, says = REFUSED[case]
    said = run(tmp_path, *given, expect=1)
    assert says in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "stores.toml").exists()


@pytest.mark.parametrize("text", ["nonsense", "passwort = 'x'", "rates_password = 5", 'rates_password = "\\u0000"'])
def test_a_file_of_secrets_that_is_none_is_refused_without_its_words(tmp_path: Path, text: str) -> None:
    said = run(tmp_path, *RATES, secrets=text, expect=1)
    assert "--secrets" in said
    assert "nonsense" not in said


def test_the_bucket_needs_its_keys(tmp_path: Path) -> None:
    assert "blobs_access_key" in run(tmp_path, *BLOBS, secrets="", expect=1)


@pytest.mark.parametrize(("user", "reaches"), [("nobody", False), ("root", True)])
def test_a_command_by_hand_starts_where_its_user_may_be(tmp_path: Path, user: str, *, reaches: bool) -> None:
    """From root's own folder too: systemd enters the folder as the user."""
    folder, fake = tmp_path / "root", tmp_path / "bin"
    folder.mkdir(mode=0o700)
    fake.mkdir()
    (fake / "systemd-run").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (fake / "systemd-run").chmod(0o755)
    for here, there in ((folder, str(folder) if reaches else "/"), (Path("/usr"), "/usr")):
        said = subprocess.run(
            (OUTER / "within", user, "true"),
            cwd=here,
            env={**os.environ, "PATH": f"{fake}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        assert f"--working-directory={there}" in said
        assert "--same-dir" not in said


@pytest.mark.parametrize(
    ("text", "outer"),
    [
        ('[database]\nurl = "postgresql://tipbox@db.example/tips"\n', True),
        ("[database]\nurl = 'postgresql://tipbox@db.example/tips'\n", True),
        ("database.url='postgres://tipbox@db.example/tips'\n", True),
        ('[database]\n# url = "postgresql://tipbox@db.example/tips"\n', False),
        ('[limits]\nurl = "rediss://db.example"\n', False),
    ],
)
def test_an_upgrade_sees_that_the_database_is_not_its_to_take_back(tmp_path: Path, text: str, *, outer: bool) -> None:
    (tmp_path / "tipbox.toml").write_text(text)
    (function,) = re.findall(r"^on_postgresql\(\) \{.*\}$", (ROOT / "deploy" / "upgrade.sh").read_text(), re.MULTILINE)
    script = f"STATE={tmp_path} STORES={tmp_path}/none; {function}; on_postgresql"
    assert (subprocess.run(("bash", "-uc", script), check=False).returncode == 0) is outer


def test_what_leads_to_the_stores_is_taken_back_with_an_upgrade(tmp_path: Path) -> None:
    """Drop-ins and command are of the version that runs, as units are; none that it does not know stays."""
    scripts = ROOT / "deploy"
    functions = "".join(
        re.findall(
            r"^(?:copy|take_back)_stores\(\) \{.*?^\}$\n",
            (scripts / "upgrade.sh").read_text(),
            re.MULTILINE | re.DOTALL,
        )
    )
    script = f"""
        . {scripts}/common.sh
        UNITS={tmp_path}/units COPY={tmp_path}/copy WITHIN={tmp_path}/lib/within
        {functions}
        mkdir -p $COPY/units $UNITS/tipbox.service.d ${{WITHIN%/*}}
        echo old >$UNITS/tipbox.service.d/stores.conf
        echo old >$WITHIN
        copy_stores
        echo new >$UNITS/tipbox.service.d/stores.conf
        mkdir $UNITS/tipbox-new.service.d
        echo new >$UNITS/tipbox-new.service.d/stores.conf
        echo new >$WITHIN
        take_back_stores
    """
    subprocess.run(("bash", "-euc", script), check=True)
    assert {
        path.relative_to(tmp_path / "units"): path.read_text() for path in (tmp_path / "units").rglob("*.conf")
    } == {Path("tipbox.service.d/stores.conf"): "old\n"}
    assert (tmp_path / "lib" / "within").read_text() == "old\n"


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.stem)
def test_exposure_of_each_unit_is_bounded(unit: Path) -> None:
    told = subprocess.run(
        ("systemd-analyze", "security", "--offline=true", "--no-pager", unit),
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found = re.search(r"Overall exposure level for .*: ([0-9.]+) ", told)
    assert found is not None
    assert float(found[1]) <= LARGEST_EXPOSURE


def test_the_profiles_of_units_with_outer_stores_parse(tmp_path: Path) -> None:
    """As common.sh joins them: all but the canaries' reach the private loopback, and nothing else is opened."""
    script = f'. {ROOT}/deploy/common.sh; outer=yes; put() {{ cp "$1" {tmp_path}/profiles; }}; put_profiles'
    subprocess.run(("bash", "-euc", script), check=True)
    text = (tmp_path / "profiles").read_text()
    assert text.count("  network inet stream,\n") == 4
    assert text.count("  deny network inet,\n") == 1
    assert text.count("  deny network inet6,\n") == 5
    subprocess.run(("apparmor_parser", "-Q", "-K", tmp_path / "profiles"), check=True, capture_output=True)
