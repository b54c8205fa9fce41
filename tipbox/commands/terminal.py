"""What a person or a script sees of a command.

Results go to stdout; remarks, progress and errors to stderr. An error is one line. With ``--json`` an error is the only
thing on stderr, as one JSON object; remarks are then held back until it is clear that there is none. Nothing is asked
unless there is a person at a terminal, and what a script names is never asked for.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

import click

from tipbox.errors import InputRefused, NotFound, TipboxError, Usage, WrongPassphrase
from tipbox.files.passphrase_forms import MAX_PASSPHRASE, forms_of, is_passphrase, normal
from tipbox.files.printable import ascii_json, printable

_MAX_FILE: Final = 4 * MAX_PASSPHRASE  # room for blank lines, and for characters that are longer when decomposed

ASK: Final = Path("-")
"""In the place of a passphrase file: ask the person at the terminal."""

_T = TypeVar("_T")


class OutputLost(OSError):
    """Standard output does not take the result: what was asked for may be done all the same."""


def say_beside(text: str) -> None:
    """A line on stderr, when it takes one: how a command ends does not depend on who reads what it says beside."""
    try:
        click.echo(text, err=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # Python flushes it once more as it ends


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether a person is at the other end; there is no stream where it was closed when the command began."""
    return stream is not None and stream.isatty()


def _show(text: str) -> None:
    try:
        click.echo(text)
    except BrokenPipeError:  # nobody wants to read more of it
        raise
    except OSError as error:
        raise OutputLost(error.errno, error.strerror) from error


class Terminal:
    """The two streams of one run."""

    def __init__(self, *, json: bool) -> None:
        self.json = json
        self._held: list[str] = []

    def say(self, text: str) -> None:
        """A line of the result, for people."""
        if not self.json:
            _show(text)

    def result(self, value: Any) -> None:
        """The result, for programs."""
        if self.json:
            _show(ascii_json(value))

    def remark(self, text: str) -> None:
        """A line beside the result: a warning, a notice."""
        if self.json:
            self._held.append(text)
        else:
            say_beside(f"tipbox: {text}")

    @property
    def asks(self) -> bool:
        """Whether there is a person to ask: both streams are terminals. A script is never asked."""
        return not self.json and _is_terminal(sys.stdin) and _is_terminal(sys.stdout)

    def finish(self) -> None:
        """The command is done: print what was held back."""
        for text in self._held:
            say_beside(f"tipbox: {text}")
        self._held.clear()

    def error(self, error: TipboxError) -> None:
        """The one line of an error."""
        message = printable(" ".join(str(error).split()), 1000)
        if self.json:
            say_beside(json.dumps({"error": error.code, "message": message}))
        else:
            say_beside(f"tipbox: {message}")

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """A progress bar on a terminal, nothing elsewhere; yields what takes the number of bytes done since."""
        if self.json or not _is_terminal(sys.stderr):
            yield lambda _: None
            return
        # Here, because it is slow to import and most runs show no bar.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda size: bar.advance(task, size)

    @contextmanager
    def steps(self, total: int) -> Iterator[Callable[[int], None]]:
        """Progress of work that the server asks for: on a terminal a bar, elsewhere one remark."""
        if self.json or not _is_terminal(sys.stderr):
            self.remark("many send now: the server asks for some seconds of work first")
            yield lambda _: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("many send now: working for a place", total=total)
            yield lambda count: bar.advance(task, count)

    def agrees_to_work(self, effort: int) -> bool:
        """Ask whether to work for so many seconds of a phone; where nobody can answer, the answer is no."""
        if self.json or not (_is_terminal(sys.stdin) and _is_terminal(sys.stderr)):
            return False
        return click.confirm(
            f"Very many send now. Sending now takes as much work as a phone does in {effort} seconds. Go on?", err=True
        )


pass_terminal = click.make_pass_decorator(Terminal)

json_option = click.option("--json", is_flag=True, expose_value=False, help="Print the result, or the error, as JSON.")


def passphrase_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--passphrase-file F``: the passphrase of the vault."""
    return click.option(
        "--passphrase-file",
        default=ASK,
        type=click.Path(path_type=Path),
        help="File with the vault's passphrase: one line. Without it, or with -, a terminal asks.",
    )(command)


def keep_inputs(out: Path, *inputs: Path) -> None:
    """Refuse an output that is one of the inputs: writing it would destroy what was given.

    Raises:
        Usage: it is, under this name or another.
    """
    for given in inputs:
        # Two names of one file count as well: a link, another spelling of the path.
        if out == given or (out.exists() and given.exists() and out.samefile(given)):
            raise Usage(f"writing {out}: this is one of the files that are read; name another with --out")


def read_passphrase(terminal: Terminal, path: Path, *, several_lines: bool = False, twice: bool = False) -> bytes:
    """What a passphrase file holds, or what a person types, in one form: keyboards and editors differ.

    Unicode's normal form NFC, for й and é; one space for each row of blanks, of whatever width, and none at the ends.
    A byte order mark and empty lines before and after it are dropped. What is not UTF-8 is taken as it is, and UTF-16
    for what it is when it is marked as such.

    Args:
        terminal: gets a remark when others can read the file.
        path: the file, or ASK.
        several_lines: lines are joined by spaces; else there is one only.
        twice: a person types it twice: nobody sees a typing error in a new one.

    Raises:
        NotFound: there is no such file.
        Usage: there is nobody to ask, or what was typed differs.
        WrongPassphrase: it is empty, too long, or has more lines than it may.
    """
    passphrase = _normal(_read(terminal, path), several_lines=several_lines)
    if twice and path == ASK and _normal(_ask("The same once more")) != passphrase:
        raise Usage("asking for the passphrase: the two differ; run the command again")
    return passphrase


def unlock_with(terminal: Terminal, path: Path, attempt: Callable[[bytes], _T]) -> _T:
    """Call ``attempt`` with the passphrase of a file; its result.

    Passphrases were not always normalised, nor their blanks. So when the one form opens nothing, the line with its
    blanks, the bytes as they stand in the file, and letters apart from their accents (NFD) are tried, if they are
    others: a vault that was locked with them must not be lost.

    Args:
        terminal: gets a remark when others can read the file.
        path: the file.
        attempt: unlocks something; WrongPassphrase when the passphrase does not open it.

    Raises:
        NotFound: there is no such file.
        WrongPassphrase: neither form opens it, or the file holds no passphrase.
    """
    data = _read(terminal, path)
    _normal(data)  # which says what is wrong when it is no passphrase at all
    first, *others = forms_of(data)
    try:
        return attempt(first)
    except WrongPassphrase:
        for form in others:
            with suppress(WrongPassphrase):
                return attempt(form)
        raise


def unlisted(value: str | None, what: str, *, most: int) -> str:
    """A word of the command line, or, for ``-`` in its place, one that is not kept in a shell's history.

    Args:
        value: what stands on the command line; None when nothing does, which a terminal asks for too.
        what: the question of a terminal; elsewhere a line of standard input answers ``-``.
        most: characters that are read.

    Raises:
        Usage: nothing was given, and there is nobody to ask.
    """
    if value not in (None, "-"):
        return str(value)
    if _is_terminal(sys.stdin):
        line: str = click.prompt(what, err=True)
        return line
    if value is None:
        raise Usage(f"asking for this: {what}: there is no terminal; give it as an option, or - for a line of input")
    return sys.stdin.readline(most).strip() if sys.stdin else ""


def _ask(what: str) -> bytes:
    """A line that a person types unseen."""
    if not _is_terminal(sys.stdin):
        raise Usage("asking for the passphrase: there is no terminal; name a file with --passphrase-file")
    line: str = click.prompt(what, hide_input=True, err=True)
    return line.encode(errors="surrogateescape")


def _read(terminal: Terminal, path: Path) -> bytes:
    if path == ASK:
        return _ask("Passphrase")
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode  # of the file that is read, whatever has its name by now
            data = file.read(_MAX_FILE)
    except FileNotFoundError as error:
        raise NotFound("reading the passphrase file: it is not there; check --passphrase-file") from error
    except IsADirectoryError as error:
        raise InputRefused("reading the passphrase file: it is a folder; check --passphrase-file") from error
    # A pipe or a file descriptor (``<(command)``) has a mode too, and it says nothing about who can read it.
    if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
        terminal.remark("the passphrase file can be read by others; chmod 600 it")
    return data


def _normal(data: bytes, *, several_lines: bool = False) -> bytes:
    line = normal(data, several_lines=several_lines)
    if not is_passphrase(line):
        raise WrongPassphrase(f"reading the passphrase file: it must hold one line of 1 to {MAX_PASSPHRASE:,} bytes")
    return line
