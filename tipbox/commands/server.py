"""``tipbox server``: running a server and carrying its Bundles. Each command imports what it needs when called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tipbox.commands.terminal import Terminal, json_option, pass_terminal
from tipbox.errors import PartlyDone, TipboxError
from tipbox.printable import printable

if TYPE_CHECKING:
    from tipbox.server.import_ import Taken

_PATH = click.Path(path_type=Path)
home_option = click.option("--home", required=True, type=_PATH, metavar="H", help="The server's folder.")


@click.group()
def server() -> None:
    """Take in sealed tips and hand them to couriers."""


@server.command()
@home_option
@click.option("--keys", required=True, type=_PATH, metavar="DIR", help="Folder of key manifests.")
@click.option("--bind", required=True, metavar="HOST:PORT|unix:PATH", help="Where to listen.")
@click.option("--courier-bind", metavar="unix:PATH", help="Where to listen for couriers.")
@json_option
def run(*, home: Path, keys: Path, bind: str, courier_bind: str | None) -> None:
    """Run the server in the foreground. Makes and migrates H."""
    from tipbox.server.run import run as run_server

    run_server(home, keys, bind, courier_bind)


@server.command()
@home_option
@click.option("--keys", required=True, type=_PATH, metavar="DIR", help="Folder of key manifests.")
@click.option("--bind", required=True, metavar="unix:PATH", help="Where to listen for couriers.")
@json_option
def courier(*, home: Path, keys: Path, bind: str) -> None:
    """Serve couriers only, in the foreground: beside a `server run` without --courier-bind, as another user."""
    from tipbox.server.run import run_courier

    run_courier(home, keys, bind)


@server.command()
@home_option
@click.option("--to", "organisation", required=True, metavar="ORG", help="Short name of the organisation.")
@click.option("--out", required=True, type=_PATH, metavar="DIR", help="Where to write the volumes.")
@json_option
@pass_terminal
def export(terminal: Terminal, *, home: Path, organisation: str, out: Path) -> None:
    """Write one or more Bundles with all that an organisation has not acknowledged."""
    from tipbox.server.export import export as write_volumes

    volumes = write_volumes(home, organisation, out)
    for path in volumes:
        terminal.say(f"Wrote {path}: {path.stat().st_size:,} bytes")
    terminal.result({"volumes": [{"file": str(path), "size": path.stat().st_size} for path in volumes]})


@server.command("import")
@home_option
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_PATH)
@json_option
@pass_terminal
def import_(terminal: Terminal, *, home: Path, files: tuple[Path, ...]) -> None:
    """Take the Bundles that desks wrote: acknowledgements and key manifests."""
    from tipbox.server.import_ import import_bundles

    taken = import_bundles(home, files)
    for one in taken:
        terminal.say(
            f"{printable(one.file)}: {one.organisation or 'refused'}, {one.acknowledged} acknowledged, "
            f"{one.deleted} gone, {len(one.manifests)} new manifests"
        )
    terminal.result([_facts(one) for one in taken])
    refused = [(one.file, error) for one in taken for error in one.refused]
    if not refused:
        return
    for file, error in refused[:-1]:
        terminal.remark(f"importing {printable(file)}: {printable(str(error))}")
    file, error = refused[-1]
    kind = type(error) if all(not one.organisation for one in taken) else PartlyDone
    raise kind(f"importing {file}: {error}")


def _facts(taken: Taken) -> dict[str, object]:
    return {
        "acknowledged": taken.acknowledged,
        "deleted": taken.deleted,
        "file": taken.file,
        "manifests": taken.manifests,
        "organisation": taken.organisation,
        "refused": [{"error": error.code, "message": str(error)} for error in taken.refused],
        "sequence": taken.sequence,
    }


@server.command()
@home_option
@click.option("--confirm-clock", is_flag=True, help="The clock is right, although it jumped by more than two days.")
@json_option
@pass_terminal
def prune(terminal: Terminal, *, home: Path, confirm_clock: bool) -> None:
    """Remove what was kept for as long as was announced, and uploads that were never finished."""
    from tipbox.server.prune import prune as prune_server

    done = prune_server(home, confirm_clock=confirm_clock)
    terminal.say(
        f"Removed {done.envelopes} Envelopes, {done.drafts} unfinished uploads and {done.orphans} loose files."
    )
    terminal.result({"drafts": done.drafts, "envelopes": done.envelopes, "held": done.held, "orphans": done.orphans})
    if done.held:
        raise ClockHeld


class ClockHeld(TipboxError):
    """Pruning: the clock jumped, so nothing that ages was removed; set it right, then prune with --confirm-clock."""

    code = "clock"


@server.command()
@home_option
@json_option
@pass_terminal
def settle(terminal: Terminal, *, home: Path) -> None:
    """Rewrite what earlier days left, so that the disk shows neither their order nor their times. Run it nightly."""
    from tipbox.server.settle import settle as settle_server

    done = settle_server(home)
    terminal.say(
        f"Settled {done.blobs} files, removed {done.removed} that were stale; "
        f"the database was {'rewritten' if done.database else 'left to PostgreSQL, which keeps order in its own ways'}."
    )
    terminal.result(
        {
            "blobs": done.blobs,
            "database": done.database,
            "left": done.left,
            "removed": done.removed,
            "whole": done.whole,
        }
    )
    if not done.whole:
        raise PartlyDone(
            f"settling: {done.left} files are in use or have no room beside them, or the database was being read; "
            "settle again"
        )


@server.command()
@home_option
@json_option
@pass_terminal
def check(terminal: Terminal, *, home: Path) -> None:
    """Check that everything is as it should be, and say what mends it."""
    from tipbox.server.check import check as check_server

    findings = check_server(home)
    for finding in findings:
        mend = f" To mend it: {finding.mend}" if finding.mend else ""
        terminal.say(f"{'well' if finding.ok else 'BAD '}  {finding.check}: {finding.message}.{mend}")
    terminal.result([finding.to_json() for finding in findings])
    bad = sum(not finding.ok for finding in findings)
    if bad:
        raise PartlyDone(f"checking: {bad} of {len(findings)} findings need looking after")


@server.command()
@home_option
@json_option
@pass_terminal
def status(terminal: Terminal, *, home: Path) -> None:
    """Show the server's state in coarse steps."""
    from tipbox.server.status import status as server_status

    now = server_status(home)
    terminal.say(f"{now.day}{' (clock jumped: nothing ages)' if now.clock_held else ''}")
    terminal.say(f"Envelopes {now.envelopes}, uploads under way {now.drafts}")
    terminal.say(f"Disk {now.disk_used_tenths}/10 used, couriers' capacity {now.carry_used_tenths}/10 used")
    for one in now.organisations:
        valid = "valid" if one.valid else "NOT VALID"
        terminal.say(f"{one.organisation}: {one.waiting} to carry, key manifest {valid} until {one.until}")
    terminal.result(now.to_json())


@server.command()
@home_option
@json_option
@pass_terminal
def seized(terminal: Terminal, *, home: Path) -> None:
    """Show what whoever takes the disk of this server finds on it."""
    from tipbox.server.seized import seized as look

    found = look(home)
    for line in found.lines():
        terminal.say(line)
    terminal.result(found.to_json())
