"""``tipbox desk``: everything on the air-gapped machine.

A command's module is imported when the command is asked for: to load all of them takes as long as to derive the key.
"""

from __future__ import annotations

from importlib import import_module
from typing import ClassVar

import click


class Commands(click.Group):
    """The desk's commands, imported by name."""

    members: ClassVar[dict[str, str]] = {
        "assign": "desk_inbox.assign",
        "canary": "desk_canary.canary",
        "check": "desk_copies.check",
        "close": "desk_replies.close",
        "copy": "desk_copies.copy",
        "custody": "desk_custody.custody",
        "forget": "desk_custody.forget",
        "import": "desk_import.import_",
        "list": "desk_inbox.list_",
        "look": "desk_look.look",
        "note": "desk_inbox.note",
        "outbox": "desk_outbox.outbox_",
        "person": "desk_person.person",
        "reply": "desk_replies.reply",
        "search": "desk_inbox.search",
        "serve": "desk_serve.serve",
        "server": "desk_replies.server",
        "show": "desk_show.show",
        "spam": "desk_inbox.spam",
        "tag": "desk_inbox.tag",
        "thread": "desk_replies.thread",
        "unread": "desk_inbox.unread",
        "unsend": "desk_replies.unsend",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (the signature is click's)
        """Their names."""
        return list(self.members)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one."""
        if cmd_name not in self.members:
            return None
        module, _, name = self.members[cmd_name].partition(".")
        command: click.Command = getattr(import_module(f"tipbox.commands.desk.{module}"), name)
        return command


@click.group(cls=Commands)
def desk() -> None:
    """Open what the Bundles bring; runs without any network."""
