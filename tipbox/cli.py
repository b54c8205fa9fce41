"""tipbox: one command, its groups by role.

A group's module is imported when it is asked for, so each machine needs only what its role needs: the desk runs without
Flask, SQLAlchemy or httpx. ``errors.Exit`` lists the exit codes.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import ClassVar, Final, NoReturn

import click

from tipbox import __version__
from tipbox.commands.terminal import OutputLost, Terminal, say_beside
from tipbox.errors import (
    NO_ROOM,
    TOO_LARGE_A_FILE,
    Bug,
    Exit,
    Full,
    InputRefused,
    NotFound,
    NotInstalled,
    PartlyDone,
    TipboxError,
    Usage,
)
from tipbox.files.durable import TEMPORARY_SUFFIX

_OF_THE_SOURCE: Final = frozenset({"httpcore", "httpx", "socksio", "tenacity"})
"""Modules that ``tipbox[source]`` brings; all others that can be missing come with ``tipbox[server]``."""
_WHAT_TO_DO: Final = {
    errno.EACCES: "you may not; run this as the user whom it belongs to, or name another place",
    errno.EPERM: "you may not; run this as the user whom it belongs to, or name another place",
    errno.EROFS: "it can only be read; name another place",
    errno.EISDIR: "it is a folder; name a file",
    errno.EEXIST: "it is there already and no folder; name another place",
    errno.ENOTDIR: "a part of its path is no folder; check its name",
}


class Roles(click.Group):
    """The top group: its members are imported by name."""

    members: ClassVar[dict[str, tuple[str, str]]] = {
        "keys": ("desk.keys", "Make, publish, verify, replace and destroy an organisation's keys."),
        "desk": ("desk.desk_group", "Open what the Bundles bring; runs without any network."),
        "server": ("server.server_group", "Take in sealed tips and hand them to couriers."),
        "courier": ("courier", "Carry sealed Bundles between a server and the stick."),
        "source": ("source.source_group", "Send a sealed tip."),
        "seal": ("source.seal", "Seal a tip into a file, without any network."),
        "verify": ("verify_command", "Compare what a server answers, or what is installed, with a signed release."),
        "watch": ("watch_command", "Look at servers again and again, and write down what they answered."),
        "demo": ("demo_command", "Run the main job end to end on this machine."),
    }

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (the signature is click's)
        """The names of the groups."""
        return list(self.members)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a group."""
        if cmd_name not in self.members:
            return None
        command: click.Command = getattr(import_module(f"tipbox.commands.{self.members[cmd_name][0]}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Help without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in self.members.items()])


@click.group(cls=Roles, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tipbox")
def tipbox() -> None:
    """An anonymous tip line: the server only ever holds ciphertext."""


def _as_error(error: Exception) -> TipboxError:
    """Any exception as the one line that the contract demands."""
    if isinstance(error, TipboxError):
        return error
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx else "tipbox"
        return Usage(f"{error.format_message()} See {where} --help.")
    if isinstance(error, click.ClickException):
        return Usage(error.format_message())
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("tipbox"):
        extra = "source" if error.name.partition(".")[0] in _OF_THE_SOURCE else "server"
        return NotInstalled(f"running this command: it is not installed here; pip install 'tipbox[{extra}]'")
    if isinstance(error, OSError):
        return _as_system_error(error)
    return Bug(
        f"this is a bug ({type(error).__name__} {_place(error)}); please report it with the command that you used"
    )


def _place(error: Exception) -> str:
    """Where it happened: file and line, nothing of what was in memory."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _file_of(error: OSError) -> str:
    """The file or folder that a person named, not the temporary one beside it."""
    if isinstance(error.filename2, str | bytes):
        return os.fsdecode(error.filename2)
    if not isinstance(error.filename, str | bytes):
        return "a file"
    name = os.fsdecode(error.filename)
    return str(Path(name).parent) if name.endswith(TEMPORARY_SUFFIX) else name


def _as_system_error(error: OSError) -> TipboxError:
    name = _file_of(error)
    if isinstance(error, OutputLost):
        return PartlyDone(
            f"showing the result: standard output takes nothing ({error.strerror}), and what was asked for may be done "
            "all the same; look before you run the command again"
        )
    if error.errno in NO_ROOM:
        return Full("writing: the disk is full; make room and run the command again")
    if error.errno == errno.EFBIG:
        return InputRefused(f"writing: {TOO_LARGE_A_FILE.format(name)}")
    if isinstance(error, FileNotFoundError):
        return NotFound(f"opening {name}: it is not there; check its name")
    if error.strerror and error.filename is not None:
        return InputRefused(f"opening {name}: {_WHAT_TO_DO.get(error.errno or 0, error.strerror)}")
    return InputRefused(f"reading or writing: {error.strerror or type(error).__name__}")


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code."""
    options = list(arguments)
    # Found by hand: the error may be that the options cannot be parsed, and it has to be JSON then as well.
    before_names = options[: options.index("--")] if "--" in options else options
    terminal = Terminal(json="--json" in before_names)
    try:
        # standalone_mode: click would print errors in its own form and exit by itself.
        code = tipbox.main(args=options, prog_name="tipbox", standalone_mode=False, obj=terminal)
    except (click.Abort, KeyboardInterrupt):
        say_beside("tipbox: stopped")
        return Exit.STOPPED
    except click.exceptions.NoArgsIsHelpError as error:
        say_beside(error.format_message())
        return Exit.USAGE
    except BrokenPipeError:
        # Nobody reads any more (``| head``). Python flushes stdout as it ends, which would fail once again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except Exception as error:  # noqa: BLE001 (a person never sees a traceback)
        problem = _as_error(error)
        terminal.error(problem)
        return problem.exit_code
    terminal.finish()
    return code if isinstance(code, int) else Exit.DONE


_STOPPING: Final = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM,
    signal.SIGVTALRM, signal.SIGPROF, signal.SIGXCPU, signal.SIGPWR, signal.SIGIO,
)  # fmt: skip
"""Asking to stop, a terminal that closes, and all else that would end a command at once, with what it had half done."""


def _on_stopping(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
    for number in _STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, handler)


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    # Once: a second Ctrl-C must not cut short the removal of what is half done. SIGKILL is left for one that hangs.
    _on_stopping(_pass_over)
    raise KeyboardInterrupt


def _pass_over(_signal: int, _frame: FrameType | None) -> None:
    """Not SIG_IGN, which a process that is started meanwhile would inherit."""


def _hold_streams() -> None:
    """Keep the numbers of streams that were closed: else a file of the vault gets one, and what is printed with it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # which takes the lowest number that is free


def main() -> None:
    """Run the command of sys.argv and exit. Being asked to stop ends it as Ctrl-C does: nothing half-done is left."""
    try:
        _on_stopping(_stop)
        _hold_streams()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # an old locale lacks the characters of many names
        code = run(sys.argv[1:])
        # While the interpreter itself ends, an exception would only be printed; the default is to end at once.
        _on_stopping(signal.SIG_DFL)
    except KeyboardInterrupt:  # before the command began, or while its end was reported; it comes only once
        say_beside("tipbox: stopped")
        code = Exit.STOPPED
        _on_stopping(signal.SIG_DFL)
    sys.exit(code)
