"""Those who are attacked: sources with a terminal, the staff of desks, and the server between them.

They know commands and nothing of the formats. The commands run by their entry point, in this process: an attack takes
many of them, and starting Python for each would take longer than they do.
"""

from __future__ import annotations

import io
import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from support import world
from support.commands import Done
from support.world import Server, World
from tipbox import cli
from tipbox.formats.access_code import AccessCode

_ID = re.compile(r"\b[0-9a-f]{64}\b")
_DIGITS = re.compile(r"\b\d{5}(?: \d{5}){3}\b")


class CommandFailed(RuntimeError):
    """A command that no attacker hinders ended otherwise than it must. No AssertionError: no test expects it."""


def tipbox(*arguments: str | Path, expect: int | None = 0) -> Done:
    """Run one command; CommandFailed unless its exit code is ``expect`` (None takes any)."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = cli.run([str(one) for one in arguments])
    if expect not in (None, status):
        raise CommandFailed(f"tipbox {arguments}: {status}\n{out.getvalue()}\n{err.getvalue()}")
    return Done(status, out.getvalue(), err.getvalue())


class Desk(world.Desk):
    """One organisation's desk, with its staff."""

    def run(self, command: str, *arguments: str | Path, expect: int | None = 0) -> Done:
        return tipbox(
            "desk", command, "--vault", self.vault, "--passphrase-file", self.secret, *arguments, expect=expect
        )

    def take(self, *paths: Path, expect: int | None = None) -> Done:
        """Import Bundles or ``.tip`` files, whatever their outcome."""
        return self.run("import", "--copies", "1", "--json", *paths, expect=expect)

    def lists(self, tip: str) -> bool:
        """Whether the tip with this id is among those listed."""
        return any(one["id"] == tip for one in self.tips())

    def says_the_source(self, tip: str) -> list[str]:
        """What the desk shows as the words of the source of a tip: everything in its thread."""
        return [one["text"] for one in self.thread(tip) if one["kind"] == "tip"]


@dataclass(frozen=True)
class SentTip:
    """What `source send` showed the source: the tip's id, and the check digits to compare with each organisation."""

    id: str
    digits: dict[str, str]


@dataclass(frozen=True)
class Source:
    """Somebody with a terminal and one access code for all tips."""

    line: TipLine
    folder: Path
    code: AccessCode

    @property
    def secret(self) -> Path:
        return self.folder / "code"

    def send(self, text: str, *files: Path, to: tuple[str, ...] = (), keys: Path | None = None) -> SentTip:
        """Send a tip to organisations, to all when none is named, and read what is printed."""
        message = self.folder / "message"
        message.write_text(text, encoding="utf-8")
        chosen = [argument for name in to for argument in ("--to", name)]
        command: list[str | Path] = ["source", "send", self.line.url, "--keys", keys or self.line.keys, *chosen]
        done = tipbox(*command, "--message-file", message, "--passphrase-file", self.secret, *files)
        digits = {
            name: found[0]
            for name in world.NAMES
            for row in done.out.splitlines()
            if name in row.split(":")[0] and (found := _DIGITS.findall(row))
        }
        return SentTip(_ID.findall(done.out)[0], digits)

    def inbox(self, *, delete: bool = False) -> list[dict[str, Any]]:
        """The replies that `source inbox` prints, and deletes when it is told to."""
        options = ("--delete",) if delete else ()
        common = ("--keys", self.line.keys, "--passphrase-file", self.secret, "--json")
        done = tipbox("source", "inbox", self.line.url, *common, *options)
        replies = done.json["replies"]
        assert isinstance(replies, list)
        return replies

    def told_by(self, organisation: str) -> list[str]:
        """What the source reads under the name of an organisation."""
        return [reply["text"] for reply in self.inbox() if reply["organisation"] == organisation]


@dataclass(frozen=True)
class TipLine:
    """One server with its organisations."""

    world: World

    @property
    def server(self) -> Server:
        return self.world.server

    @property
    def url(self) -> str:
        return f"http://{self.server.bind}"

    @property
    def keys(self) -> Path:
        return self.world.keys

    @cached_property
    def desks(self) -> dict[str, Desk]:
        return {name: Desk(name, self.world.ring.folder / name) for name in self.world.ring.names}

    def scratch(self, name: str) -> Path:
        """A new folder."""
        return self.world.scratch(name)

    def source(self) -> Source:
        """Somebody who has not written before."""
        source = Source(self, self.scratch("source"), AccessCode.generate())
        source.secret.write_text(source.code.digits() + "\n", encoding="utf-8")
        source.secret.chmod(0o600)
        return source

    def export(self, to: str) -> list[Path]:
        """The volumes for an organisation."""
        out = self.scratch("out")
        tipbox("server", "export", "--home", self.server.home, "--to", to, "--out", out)
        return sorted(out.glob("*.bundle"))

    def carry(self, to: str) -> Done:
        """Export for an organisation and import at its desk; what the import said, as JSON."""
        return self.desks[to].take(*self.export(to))

    def bring_back(self, bundle: Path) -> list[dict[str, Any]]:
        """Let the server import an inward Bundle; what it says of it, as JSON."""
        taken = tipbox("server", "import", "--home", self.server.home, bundle, "--json", expect=None).json
        assert isinstance(taken, list)
        return taken

    def answer(self, name: str) -> Path:
        """Write the outbox of a desk and let the server import it; the Bundle."""
        bundle = self.desks[name].outbox(self.scratch("in") / f"{name}.bundle")
        self.bring_back(bundle)
        return bundle
