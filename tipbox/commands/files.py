"""What the commands that seal something share: the message and the files."""

from __future__ import annotations

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)

message_option = click.option("--message-file", required=True, type=_PATH, metavar="M", help="The message: UTF-8 text.")
files_argument = click.argument("files", metavar="[FILE]...", nargs=-1, type=_PATH)
