"""A passphrase file in another normal form: what was locked with its bytes as they are still opens."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from support.commands import Run, on_terminal
from support.desk import Exporter, seal_tip
from tipbox.desk.keys import ceremony
from tipbox.files.durable import write_file
from tipbox.formats.base import days
from tipbox.formats.manifest import Manifest
from tipbox.server.backup import operator_key

DECOMPOSED = unicodedata.normalize("NFD", "майский ёж, слова на двоих, été").encode()
MARKED = "\ufeffune phrase, été comme hiver".encode()
BLANKS = b" two  blanks and one at the end "
NO_BREAK = "une phrase\N{NO-BREAK SPACE}: été".encode()


@pytest.fixture(
    params=[DECOMPOSED, MARKED, BLANKS, NO_BREAK], ids=["decomposed", "byte order mark", "blanks", "no-break space"]
)
def given(request: pytest.FixtureRequest) -> bytes:
    """A passphrase that normalising changes."""
    return bytes(request.param)


@pytest.fixture
def secret(tmp_path: Path, given: bytes) -> Path:
    path = tmp_path / "secret"
    write_file(path, given + b"\n")
    return path


@pytest.fixture
def vault(tmp_path: Path, given: bytes) -> Path:
    """A vault, a key stick and an identity file that were locked before passphrases were normalised."""
    path = tmp_path / "v"
    ceremony.init(path, given, name="v", full_name="V", country="KZ", languages=("kk",), today=days.today())
    return path


def test_a_vault_locked_with_the_bytes_as_given_opens(vault: Path, secret: Path, run: Run) -> None:
    assert run("desk", "list", "--vault", vault, "--passphrase-file", secret, "--json").json == []


def test_its_key_stick_and_identity_file_open_and_stay_with_it(
    vault: Path, secret: Path, tmp_path: Path, run: Run
) -> None:
    options = ("--vault", vault, "--passphrase-file", secret)
    assert run("keys", "publish", *options, "--out", tmp_path / "v.json").code == 0
    assert run("keys", "rotate", *options, "--out", tmp_path / "v.json").code == 0
    manifest = Manifest.parse((tmp_path / "v.json").read_bytes())
    tip = seal_tip([manifest], today=days.today())
    bundle = Exporter().export(tmp_path / "x.bundle", manifest, [tip], day=days.today())
    assert run("desk", "import", *options, bundle, "--json").json["outcomes"] == {"mine": 1}


def test_an_operators_key_locked_with_the_bytes_as_given_opens(
    given: bytes, secret: Path, tmp_path: Path, run: Run
) -> None:
    operator_key.make(tmp_path / "K", given)
    options = ("--home", tmp_path / "H", "--identity", tmp_path / "K", "--passphrase-file", secret, "--json")
    assert run("server", "restore", *options, tmp_path / "no backup").error == "not-found"


@pytest.mark.parametrize("words", ["майский ёж", "été comme hiver", "Қазақ тілі, й"])
def test_a_vault_locked_with_letters_apart_from_their_accents_opens_with_whole_ones(
    words: str, tmp_path: Path, run: Run
) -> None:
    """Of before passphrases were normalised, on a machine whose keyboard gives them apart."""
    vault, secret = tmp_path / "v", tmp_path / "secret"
    ceremony.init(
        vault, unicodedata.normalize("NFD", words).encode(), name="v", full_name="V", country="KZ", languages=("kk",),
        today=days.today(),
    )  # fmt: skip
    write_file(secret, unicodedata.normalize("NFC", words).encode() + b"\r\n")
    assert run("desk", "list", "--vault", vault, "--passphrase-file", secret, "--json").json == []


def test_a_wrong_passphrase_stays_wrong_in_every_form(vault: Path, tmp_path: Path, run: Run) -> None:
    other = tmp_path / "other"
    write_file(other, unicodedata.normalize("NFD", "другие слова, ёж").encode())
    assert run("desk", "list", "--vault", vault, "--passphrase-file", other, "--json").error == "wrong-passphrase"


# --- asked for on a terminal ------------------------------------------------------------------------------------------


def test_a_terminal_asks_and_shows_nothing_of_it(tmp_path: Path) -> None:
    words, typed = "words that nobody sees, ёж", "words  that nobody sees, ёж "
    made = ("keys", "init", "--vault", tmp_path / "v", "--org", "v")
    code, said = on_terminal(made, f"{words}\n".encode(), f"{words} not\n".encode())
    assert (code, "the two differ" in said, (tmp_path / "v").exists()) == (2, True, False), said
    code, said = on_terminal(made, *[f"{words}\n".encode()] * 2)
    assert (code, "nobody" in said) == (0, False), said
    code, said = on_terminal(("desk", "list", "--vault", tmp_path / "v"), f"{typed}\n".encode())
    assert (code, "nobody" in said) == (0, False), said
    code, said = on_terminal(("desk", "list", "--vault", tmp_path / "v", "--passphrase-file", "-"), b"other\n")
    assert (code, "the passphrase is wrong" in said) == (4, True), said
    code, said = on_terminal(("desk", "list", "--vault", tmp_path / "v"), b"\x04")
    assert code == 130, said


def test_without_a_terminal_nothing_is_asked(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/null").open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        assert run("desk", "list", "--vault", tmp_path, "--json").error == "usage"
