"""What the commands that seal something share: the message and the files."""

from __future__ import annotations

from pathlib import Path

import click

from tipbox.commands.terminal import Terminal
from tipbox.files.attachments import read_message

_PATH = click.Path(path_type=Path)

message_option = click.option("--message-file", required=True, type=_PATH, metavar="M", help="The message: UTF-8 text.")
files_argument = click.argument("files", metavar="[FILE]...", nargs=-1, type=_PATH)


def read_text(terminal: Terminal, path: Path) -> bytes:
    """The bytes of the message, as they will be sealed; a remark when they are not UTF-8.

    Raises:
        NotFound, LimitExceeded: there is none, or it is too long.
    """
    message = read_message(path)
    try:
        message.decode()
    except UnicodeDecodeError:
        terminal.remark(
            "the message is not UTF-8 text: whoever reads it sees other characters than you wrote; "
            "save it as UTF-8 (or convert it with iconv) and send that"
        )
    return message
