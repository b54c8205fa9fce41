"""``tipbox server``: running a server and carrying its Bundles. Each command imports what it needs when called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tipbox.commands.server.server_canary import canary
from tipbox.commands.server.server_site import offline_page, site
from tipbox.commands.terminal import Terminal, json_option, keep_inputs, pass_terminal, read_passphrase, unlock_with
from tipbox.errors import PartlyDone, TipboxError, Usage
from tipbox.files.printable import printable

if TYPE_CHECKING:
    from tipbox.server.backup.fill import RestoreResult
    from tipbox.server.bundles.importing import ImportResult

_PATH = click.Path(path_type=Path)
home_option = click.option("--home", required=True, type=_PATH, metavar="HOME", help="The server's folder.")


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
    """Run the server in the foreground. Makes and migrates HOME."""
    from tipbox.server.process.run import run_server

    run_server(home, keys, bind, courier_bind)


@server.command()
@home_option
@click.option("--keys", required=True, type=_PATH, metavar="DIR", help="Folder of key manifests.")
@click.option("--bind", required=True, metavar="unix:PATH", help="Where to listen for couriers.")
@json_option
def courier(*, home: Path, keys: Path, bind: str) -> None:
    """Serve couriers only, in the foreground: beside a `server run` without --courier-bind, as another user."""
    from tipbox.server.process.run import run_courier

    run_courier(home, keys, bind)


@server.command()
@home_option
@click.option("--to", "organisation", required=True, metavar="ORG", help="Short name of the organisation.")
@click.option("--out", required=True, type=_PATH, metavar="DIR", help="Where to write the volumes.")
@json_option
@pass_terminal
def export(terminal: Terminal, *, home: Path, organisation: str, out: Path) -> None:
    """Write one or more Bundles with all that an organisation has not acknowledged."""
    from tipbox.server.bundles.export import write_volumes

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
    """Take the Bundles that desks wrote: acknowledgements, replies and key manifests."""
    from tipbox.server.bundles.importing import import_bundles

    taken = import_bundles(home, files)
    for carried in taken:
        terminal.say(
            f"{printable(carried.file)}: {carried.organisation or 'refused'}, {carried.acknowledged} acknowledged, "
            f"{carried.deleted} gone, {carried.deposited} replies deposited, {len(carried.manifests)} new manifests"
        )
    terminal.result([_facts(carried) for carried in taken])
    refused = [(carried.file, error) for carried in taken for error in (*carried.returned, *carried.refused)]
    if not refused:
        return
    for file, error in refused[:-1]:
        terminal.remark(f"importing {printable(file)}: {printable(str(error))}")
    file, error = refused[-1]
    kind = type(error) if all(not carried.organisation for carried in taken) else PartlyDone
    raise kind(f"importing {file}: {error}")


def _facts(taken: ImportResult) -> dict[str, object]:
    return {
        "acknowledged": taken.acknowledged,
        "deleted": taken.deleted,
        "deposited": taken.deposited,
        "file": taken.file,
        "manifests": taken.manifests,
        "organisation": taken.organisation,
        "refused": [{"error": error.code, "message": str(error)} for error in taken.refused],
        "returned": [{"error": error.code, "message": str(error)} for error in taken.returned],
        "sequence": taken.sequence,
    }


@server.command()
@home_option
@click.option("--confirm-clock", is_flag=True, help="The clock is right, although it jumped by more than two days.")
@json_option
@pass_terminal
def prune(terminal: Terminal, *, home: Path, confirm_clock: bool) -> None:
    """Remove what was kept for as long as was announced, and uploads that were never finished."""
    from tipbox.server.upkeep.prune import prune_server

    done = prune_server(home, confirm_clock=confirm_clock)
    terminal.say(
        f"Removed {done.envelopes} Envelopes, {done.replies} replies, {done.drafts} unfinished uploads and "
        f"{done.orphans} loose files."
    )
    facts = {"drafts": done.drafts, "envelopes": done.envelopes, "held": done.held, "orphans": done.orphans}
    terminal.result(facts | {"replies": done.replies})
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
    from tipbox.server.upkeep.settle import settle_server

    done = settle_server(home)
    terminal.say(
        f"Settled {done.blobs} files, removed {done.removed} that were stale; "
        f"the database was {'rewritten' if done.database else 'left to PostgreSQL, which keeps order in its own ways'}."
    )
    terminal.result(
        {
            "blobs": done.blobs,
            "database": done.database,
            "left": done.remaining,
            "removed": done.removed,
            "whole": done.is_complete,
        }
    )
    if not done.is_complete:
        raise PartlyDone(
            f"settling: {done.remaining} files are in use or have no room beside them, or the database was being read; "
            "settle again"
        )


@server.command()
@click.option("--home", type=_PATH, metavar="HOME", help="The server's folder.")
@click.option(
    "--only",
    type=click.Choice(("server", "machine", "onion")),
    help="HOME alone, only what is around it, or only whether it is reached through Tor.",
)
@click.option("--couriers", type=_PATH, metavar="DIR", help="Tor's folder of couriers' keys, or - for lines.")
@click.option("--onion", metavar="URL", help="The sources' onion service, for --only onion.")
@click.option("--socks", metavar="HOST:PORT|unix:PATH", help="Tor's SOCKS port, for --only onion.")
@json_option
@pass_terminal
def check(
    terminal: Terminal,
    *,
    home: Path | None,
    only: str | None,
    couriers: Path | None,
    onion: str | None,
    socks: str | None,
) -> None:
    """Check that everything is as it should be, and say what to do about it."""
    from tipbox.server.upkeep.check import check_server
    from tipbox.server.upkeep.check_headers import headers
    from tipbox.server.upkeep.machine import check_machine

    if (home is None) != (only in {"machine", "onion"}):
        raise Usage("checking: give --home HOME; only --only machine and --only onion go without it")
    if (onion is None or socks is None) == (only == "onion"):
        raise Usage("checking: --only onion takes --onion URL and --socks; nothing else does")
    findings = [*(check_server(home, more=[headers]) if home is not None else ())]
    if onion is not None and socks is not None:
        from tipbox.server.upkeep.onion import check_onion

        findings.append(check_onion(onion, socks))
    elif only != "server":
        findings += check_machine(couriers)
    for finding in findings:
        remedy = f" To fix it: {finding.remedy}" if finding.remedy else ""
        terminal.say(f"{'well' if finding.ok else 'BAD '}  {finding.check}: {finding.message}.{remedy}")
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
    from tipbox.server.upkeep.status import server_status

    now = server_status(home)
    terminal.say(f"Server, for desks to compare, read aloud: {now.server}")
    terminal.say(f"{now.day}{' (clock jumped: nothing ages)' if now.clock_held else ''}")
    terminal.say(f"Envelopes {now.envelopes}, uploads under way {now.drafts}, replies {now.replies}")
    terminal.say(
        f"Disk {now.disk_used_tenths}/10 used, room for texts {now.text_room_used_tenths}/10 used, "
        f"couriers' capacity {now.carry_used_tenths}/10 used, room for replies {now.replies_used_tenths}/10 used"
    )
    for known in now.organisations:
        valid = "valid" if known.valid else "NOT VALID"
        terminal.say(f"{known.organisation}: {known.waiting} to carry, key manifest {valid} until {known.until}")
    terminal.result(now.to_json())


@server.command("remove-organisation")
@home_option
@click.option("--leave-waiting", is_flag=True, help="Also when Envelopes wait for it; they stay until they expire.")
@click.argument("organisation", metavar="ORG")
@json_option
@pass_terminal
def remove_organisation(terminal: Terminal, *, home: Path, leave_waiting: bool, organisation: str) -> None:
    """Offer an organisation to sources no more. Its tips stay until they expire, its replies until they are read."""
    from tipbox.server.upkeep import removal

    done = removal.remove_organisation(home, organisation, leave_waiting=leave_waiting)
    terminal.say(
        f"Removed {done.organisation}: no host offers it to sources any more; {done.waiting} Envelopes wait for it."
    )
    terminal.result({"organisation": done.organisation, "waiting": done.waiting})


@server.command()
@home_option
@json_option
@pass_terminal
def seized(terminal: Terminal, *, home: Path) -> None:
    """Show what whoever takes the disk of this server finds on it."""
    from tipbox.server.upkeep.seized import report_seized

    found = report_seized(home)
    for line in found.lines():
        terminal.say(line)
    terminal.result(found.to_json())


_passphrase_option = click.option(
    "--passphrase-file", type=_PATH, metavar="P", help="File with the passphrase of the operator's key: one line."
)
_identity_option = click.option(
    "--identity", required=True, type=_PATH, metavar="K", help="The private half of the operator's key."
)


@server.command("backup-key")
@click.option("--out", required=True, type=_PATH, metavar="K", help="Where to write it; K.pub comes beside it.")
@_passphrase_option
@json_option
@pass_terminal
def backup_key(terminal: Terminal, *, out: Path, passphrase_file: Path | None) -> None:
    """Make the operator's key. Run it on a machine that is never online: the server needs K.pub only."""
    from tipbox.server.backup.operator_key import make

    passphrase = read_passphrase(terminal, passphrase_file) if passphrase_file is not None else None
    key = make(out, passphrase)
    if passphrase is None:
        terminal.remark(f"{out} has no passphrase: whoever reads it can open every backup")
    terminal.say(f"Made {out} and {out}.pub. Keep {out} off the server, in two places; give {out}.pub to it.")
    terminal.result({"id": key.id.hex(), "locked": passphrase is not None, "private": str(out), "public": f"{out}.pub"})


@server.command()
@home_option
@click.option("--out", required=True, type=_PATH, metavar="F", help="Where to write the backup.")
@click.option("--to", required=True, type=_PATH, metavar="PUB", help="The public half of the operator's key: K.pub.")
@click.option("--onion", type=_PATH, metavar="DIR", help="Folder with the keys of tor's onion services.")
@click.option("--keep", type=click.IntRange(1, 366), metavar="N", help="F is a folder: one a day, the newest N stay.")
@click.option("--replace", is_flag=True, help="Write it in the place of F, once it is whole.")
@click.option("--credentials", type=_PATH, metavar="DIR", help="In a unit: where systemd puts server.key and onion_*.")
@json_option
@pass_terminal
def backup(
    terminal: Terminal,
    *,
    home: Path,
    out: Path,
    to: Path,
    onion: Path | None,
    keep: int | None,
    replace: bool,
    credentials: Path | None,
) -> None:
    """Back up the server, running or not, sealed to the operator's key: no uploads under way, no mailboxes."""
    from tipbox.server.backup.create import make_backup
    from tipbox.server.backup.operator_key import load_public
    from tipbox.server.backup.rotation import backup_into

    keep_inputs(out, to)
    key = load_public(to)
    if keep is not None:
        made = backup_into(home, out, key, keep=keep, onion=onion, credentials=credentials)
        out, done = made.path, made.facts
    else:
        done = make_backup(home, out, key, onion=onion, credentials=credentials, replace=replace)
    terminal.say(
        f"Wrote {out}: {done.size:,} bytes, {done.envelopes} Envelopes, {done.organisations} organisations, "
        f"{done.onion_files} files of onion keys."
    )
    if not done.onion_files:
        terminal.remark("the onion keys are not in it; name their folder with --onion to keep the address")
    terminal.result(
        {
            "envelopes": done.envelopes,
            "file": str(out),
            "hurt": done.damaged,  # scripts read this name
            "onion_files": done.onion_files,
            "organisations": done.organisations,
            "size": done.size,
        }
    )
    if done.damaged:
        raise PartlyDone(f"backing up: {done.damaged} stored Envelopes are damaged; run tipbox server check")


@server.command()
@home_option
@_identity_option
@_passphrase_option
@click.option("--acks", multiple=True, type=_PATH, metavar="FILE", help="An inward Bundle taken since; repeat it.")
@click.option("--onion", type=_PATH, metavar="DIR", help="Where to write the keys of tor's onion services.")
@click.argument("file", metavar="F", type=_PATH)
@json_option
@pass_terminal
def restore(
    terminal: Terminal,
    *,
    home: Path,
    identity: Path,
    passphrase_file: Path | None,
    acks: tuple[Path, ...],
    onion: Path | None,
    file: Path,
) -> None:
    """Restore a backup into an empty HOME."""
    from tipbox.server.backup.restore import restore_backup

    done = restore_backup(home, _operator_seed(terminal, identity, passphrase_file), file, acks=acks, onion=onion)
    _say_restored(terminal, f"Restored into {home}", done)
    if done.onion_files and onion is None:
        terminal.remark("the backup holds onion keys that were not written; name a folder with --onion")
    if not done.onion_files:
        terminal.remark("the backup holds no onion keys: sources reach this server at its old address only with those")
    refused = [(carried.file, error) for carried in done.taken for error in carried.refused]
    for name, error in refused:
        terminal.remark(f"replaying {printable(name)}: {printable(str(error))}")
    if refused:
        raise PartlyDone("restoring: the backup is restored, but not all acknowledgements; the desks will repeat them")
    _raise_if_damaged("restoring", done)


@server.command()
@home_option
@_identity_option
@_passphrase_option
@click.argument("file", metavar="F", type=_PATH)
@json_option
@pass_terminal
def drill(terminal: Terminal, *, home: Path, identity: Path, passphrase_file: Path | None, file: Path) -> None:
    """Try a backup out: restore it into a scratch folder in HOME, check it, remove it again."""
    from tipbox.server.backup.drill import try_restore

    done = try_restore(home, _operator_seed(terminal, identity, passphrase_file), file)
    _say_restored(terminal, "The backup can be restored", done)
    _raise_if_damaged("trying the backup out", done)


def _operator_seed(terminal: Terminal, identity: Path, passphrase_file: Path | None) -> bytes:
    from tipbox.server.backup.operator_key import load_private

    if passphrase_file is None:
        return load_private(identity, None)
    return unlock_with(terminal, passphrase_file, lambda passphrase: load_private(identity, passphrase))


def _say_restored(terminal: Terminal, what: str, done: RestoreResult) -> None:
    from tipbox.formats.manifest import id_digits

    terminal.say(
        f"{what}: backup of {done.day}, server {id_digits(bytes.fromhex(done.server))}, {done.envelopes} Envelopes, "
        f"{done.organisations} organisations, {done.onion_files} files of onion keys."
    )
    if done.expired:
        terminal.say(f"{done.expired} Envelopes were left out: their announced days have passed.")
    terminal.result(
        {
            "acknowledged": sum(carried.acknowledged for carried in done.taken),
            "day": done.day.isoformat(),
            "deleted": sum(carried.deleted for carried in done.taken),
            "envelopes": done.envelopes,
            "expired": done.expired,
            "hurt": done.damaged,  # scripts read this name
            "onion_files": done.onion_files,
            "organisations": done.organisations,
            "problems": [finding.to_json() for finding in done.findings if not finding.ok],
            "server": done.server,
        }
    )


def _raise_if_damaged(doing: str, done: RestoreResult) -> None:
    if done.damaged:
        raise PartlyDone(f"{doing}: {done.damaged} Envelopes were damaged before they were backed up, and are left out")


server.add_command(canary)
server.add_command(site)
server.add_command(offline_page)
