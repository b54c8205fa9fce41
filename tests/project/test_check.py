"""What `make check` leaves out, and that every run holds what the list says of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.check import APART, load
from support.outcomes import outcomes
from support.tree import ROOT

TESTS = """
import os
import subprocess

import pytest

from tipbox.formats import locked_file


def test_starts_a_process():
    subprocess.run(["true"], check=True)


def test_starts_a_process_and_hides_it():
    try:
        os.system("true")
    except BaseException:
        pass


@pytest.fixture
def forked():
    if os.fork() == 0:
        os._exit(0)


def test_starts_a_process_before_it_begins(forked):
    pass


def test_derives_a_key_of_a_vault():
    locked_file.lock(locked_file.Kind.VAULT, b"passphrase", b"")


def test_does_neither():
    pass
"""


@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_a_test_that_starts_a_process_or_derives_a_key_fails(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ended, _ = outcomes(tmp_path, TESTS, *arguments, "-p", "support.check")

    assert ended == {
        "test_starts_a_process": "FAILED",
        "test_starts_a_process_and_hides_it": "FAILED",
        "test_starts_a_process_before_it_begins": "ERROR",
        "test_derives_a_key_of_a_vault": "FAILED",
        "test_does_neither": "PASSED",
    }


LAST = """
import subprocess

import pytest


@pytest.fixture(scope="session", autouse=True)
def of_all():
    yield
    subprocess.run(["true"], check=True)


@pytest.fixture
def of_one():
    yield
    subprocess.run(["true"], check=True)


def test_ends_with_one(of_one):
    pass


def test_is_the_last():
    pass
"""


def test_what_ends_with_the_session_is_not_the_last_tests(tmp_path: Path) -> None:
    """A fixture of many tests may end behind one that starts nothing."""
    ended, _ = outcomes(tmp_path, LAST, "-p", "support.check")
    assert ended == {"test_ends_with_one": "ERROR", "test_is_the_last": "PASSED"}


@pytest.mark.parametrize("name", load())
def test_what_is_left_out_is_there(name: str) -> None:
    file, _, test = name.partition("::")
    found = [path for path in ROOT.glob(file) if path.name.startswith(("test_", "bench_")) or path.is_dir()]
    assert found
    assert not test or f"def {test.partition('[')[0].rstrip('*')}" in found[0].read_text(encoding="utf-8")


def test_an_entry_has_a_reason(tmp_path: Path) -> None:
    assert load()
    (tmp_path / APART.name).write_text("tests/project/test_check.py\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has no reason"):
        load(tmp_path / APART.name)


def test_no_target_sets_what_servers_take_for_their_configuration() -> None:
    """They refuse a key that they do not know, and so would every test with a server in it."""
    assert "TIPBOX_" not in (ROOT / "Makefile").read_text(encoding="utf-8")
