#!/usr/bin/env python3
"""Print the manual page tipbox(1), made from the commands themselves: `python deploy/man.py >tipbox.1`; `make man`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from tipbox import __version__
from tipbox.cli import tipbox
from tipbox.errors import Exit

EXIT_CODES = Path(__file__).parents[1] / "docs" / "exit-codes.md"
ROW = re.compile(r"^\| (\d+) \| [a-z-]+ \| (.+) \|$", re.MULTILINE)
COMPLETION = "This line in ~/.bashrc completes commands and options; for zsh write zsh_source, for fish fish_source:"


def roff(text: str) -> str:
    """Text that roff shows as it is, on one line."""
    escaped = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """All commands that do something, in the order of the help."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command, info_name=path)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None:
            yield from commands(found, f"{path} {name}")


def synopsis(path: str, command: click.Command) -> Iterator[str]:
    """A command: how it is called, what it does, and its options."""
    context = click.Context(command, info_name=path)
    yield rf".SS {roff(path)}"
    yield rf"\fB{roff(path)}\fR {roff(' '.join(command.collect_usage_pieces(context)))}"
    for paragraph in (command.help or "").split("\n\n"):
        yield ".PP"
        yield roff(paragraph)
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield ".TP"
            yield rf"\fB{roff(record[0])}\fR"
            yield roff(record[1])


def exit_codes() -> Iterator[str]:
    """The table of docs/exit-codes.md."""
    for code, when in ROW.findall(EXIT_CODES.read_text(encoding="utf-8")):
        yield ".TP"
        yield rf"\fB{Exit(int(code)).value}\fR"
        yield roff(when.replace("`", ""))


def page() -> Iterator[str]:
    """The lines of the page."""
    yield f'.TH TIPBOX 1 "" "tipbox {__version__}" "User commands"'
    yield ".SH NAME"
    yield rf"tipbox \- {roff(tipbox.help or '')}"
    yield ".SH SYNOPSIS"
    yield r"\fBtipbox\fR \fIROLE\fR \fICOMMAND\fR [\fIOPTIONS\fR]"
    yield ".SH COMMANDS"
    for path, command in commands(tipbox, "tipbox"):
        yield from synopsis(path, command)
    yield ".SH EXIT STATUS"
    yield from exit_codes()
    yield ".SH SHELL COMPLETION"
    yield roff(
        "In bash, this line in ~/.bashrc completes commands and options; zsh and fish have zsh_source, fish_source:"
    )
    yield ".PP"
    yield roff('eval "$(_TIPBOX_COMPLETE=bash_source tipbox)"')


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in page())
