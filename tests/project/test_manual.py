"""The manual page and the page of exit codes say what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

from support.world import ROOT
from tipbox.errors import Exit

CODES = ROOT / "docs" / "exit-codes.md"


def manual() -> str:
    made = subprocess.run([sys.executable, ROOT / "deploy" / "man.py"], capture_output=True, text=True, check=True)
    return made.stdout


def test_each_exit_code_is_explained() -> None:
    rows = re.findall(r"^\| (\d+) \| ([a-z-]+) \| .+ \|$", CODES.read_text(encoding="utf-8"), re.MULTILINE)
    explained = [(int(code), name) for code, name in rows]
    assert explained == [(one.value, one.name.lower().replace("_", "-")) for one in Exit]


def test_the_manual_page_has_every_command_option_and_exit_code() -> None:
    plain = manual().replace(r"\-", "-")
    kept = tomllib.loads((ROOT / "tests" / "project" / "spellings.toml").read_text(encoding="utf-8"))
    for command, words in kept["commands"].items():
        options = [word for word in words if word.startswith("--") and word != "--version"]
        if not options:
            continue
        section = plain.partition(f"\n.SS {command}\n")[2].partition("\n.S")[0]
        assert [option for option in options if option not in section] == [], command
    for code in Exit:
        assert rf"\fB{code.value}\fR" in plain


def test_roff_finds_nothing_wrong_with_the_manual_page() -> None:
    made = manual()
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z"], input=made, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_the_shell_completes_commands_and_options() -> None:
    """What the manual page says of completion: bash asks so, at each press of Tab."""

    def completed(words: str) -> list[str]:
        environment = {"_TIPBOX_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        code = "from tipbox.cli import tipbox; tipbox(prog_name='tipbox')"
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert completed("tipbox des") == ["desk"]
    assert "--copies" in completed("tipbox desk import --")
