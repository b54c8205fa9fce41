"""``tipbox desk import``: what came on the stick goes into the vault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from tipbox.commands.desk.desk_copies import say_copy
from tipbox.commands.desk.desk_replies import say_replies
from tipbox.commands.desk.vault_options import unlock_vault, vault_option
from tipbox.commands.terminal import Terminal, json_option, pass_terminal, passphrase_option
from tipbox.desk import sentences
from tipbox.desk.importing.importer import Importer, ImportOutcome, total_size
from tipbox.desk.keys import ceremony, key_stick
from tipbox.desk.keys.keyring import keyring
from tipbox.desk.keys.stick_lock import stick_passphrase
from tipbox.desk.second_copy import copy_again
from tipbox.desk.vault.vault import Vault
from tipbox.errors import PartlyDone, TipboxError
from tipbox.files.printable import printable
from tipbox.formats.base import days

_PATH = click.Path(path_type=Path)
_GOOD: Final = frozenset({"mine", "duplicate", "known", "not-for-you", "not-addressed"})


_OUTCOMES: Final[Mapping[str, str]] = {
    "mine": "opened",
    "duplicate": "the same as one that was here",
    "known": "here already",
    "not-for-you": "for others",
    "not-addressed": "for others, without a slot for you",
    "too-late": "sealed to a key that is destroyed, or not on this copy of the key stick",
    "unknown-key": "sealed to a key that this vault never had",
    "tampered": "changed after sealing",
    # In a thread that nobody knows: anybody can make as many of them, in the names of as many threads, as they like.
    "forged": "changed after sealing",
}


@click.command("import")
@vault_option
@passphrase_option
@click.option(
    "--copies",
    type=click.IntRange(1, 2),
    default=2,
    show_default=True,
    help="1: acknowledge although the vault has no second copy.",
)
@click.option("--far-ahead", is_flag=True, help="Take Bundles numbered far ahead: the operator says that it is right.")
@click.option("--photos", is_flag=True, help="Also read the QR codes in pictures, each in a sandbox.")
@click.argument("files", metavar="FILE|DIR...", nargs=-1, required=True, type=_PATH)
@json_option
@pass_terminal
def import_(
    terminal: Terminal,
    *,
    vault: Path,
    passphrase_file: Path,
    copies: int,
    far_ahead: bool,
    photos: bool,
    files: tuple[Path, ...],
) -> None:
    """Import Bundles and .tip files, and the files of folders; told apart by what is in them."""
    opened, passphrase = unlock_vault(terminal, vault, passphrase_file, write=True, quiet=copies > 1)
    with opened:
        organisation = ceremony.organisation_of(opened)
        folder = ceremony.find_stick(opened, organisation)
        stick = key_stick.load(folder, stick_passphrase(opened, folder, passphrase))
        find_key = keyring(opened, organisation.id, stick)
        with terminal.progress("importing", total_size(files)) as progress:
            importer = Importer(
                opened,
                organisation,
                find_key,
                today=days.today(),
                enough_copies=copies == 1,
                far_ahead=far_ahead,
                photos=photos,
                progress=progress,
            )
            outcome = importer.run(files)
        if copies > 1:
            _renew_copy(terminal, opened, outcome)
    _report(terminal, outcome)


def _renew_copy(terminal: Terminal, vault: Vault, outcome: ImportOutcome) -> None:
    """Bring the second copy up to date, if there is one: what both hold is acknowledged."""
    try:
        done = copy_again(vault, today=days.today())
    except (TipboxError, OSError) as error:
        # What was imported is safe, and the server keeps all of it until there is a copy.
        why = str(error) if isinstance(error, TipboxError) else f"copying the vault: {error.strerror}"
        terminal.remark(f"the second copy was not renewed: {why}")
        return
    if done is not None:
        say_copy(terminal, done)
        outcome.unconfirmed -= done.confirmed
        outcome.put_back += done.put_back


def _report(terminal: Terminal, outcome: ImportOutcome) -> None:
    counted: Counter[str] = Counter()
    for name, count in outcome.counts.items():
        counted[_OUTCOMES.get(name, name)] += count
    counted[_OUTCOMES["forged"]] -= outcome.forged.total()
    for words, count in sorted(counted.items()):
        if count:
            terminal.say(f"{count} {words}")
    for thread_id, count in sorted(outcome.forged.items()):
        terminal.say(f"thread {thread_id.hex()[:8]}: {sentences.forged(count)}")
    if not outcome.counts and not outcome.problems:
        terminal.say("nothing new")
    if outcome.canaries:
        terminal.say(f"Canaries that came: {', '.join(map(str, sorted(outcome.canaries)))}")
    for notice, count in Counter(outcome.notices).items():
        terminal.remark(notice if count == 1 else f"{notice} ({count} times)")
    if outcome.put_back:
        terminal.remark(f"{outcome.put_back} were damaged in the vault and are put back: check its disk")
    say_replies(terminal, outcome.replies)
    if outcome.pinned:
        terminal.say(
            f"this vault takes Bundles of one server only from now on; compare with its operator: {outcome.pinned}"
        )
    if outcome.unconfirmed:
        terminal.remark(
            f"{outcome.unconfirmed} not acknowledged yet: make a second copy with tipbox desk copy --to DIR"
        )
    terminal.result(
        {
            "canaries": sorted(outcome.canaries),
            "damaged": [ident.hex() for ident in outcome.damaged],
            "notices": outcome.notices,
            "outcomes": dict(outcome.counts),
            "problems": [
                {"error": error.code, "file": name, "message": str(error)} for name, error in outcome.problems
            ],
            "put_back": outcome.put_back,
            "replies": [
                {"code": decided.code, "id": decided.id.hex(), "state": decided.state, "tip": decided.tip.hex()}
                for decided in outcome.replies
            ],
            "unacknowledged": outcome.unconfirmed,
        }
    )
    _raise_problems(terminal, outcome)


def _raise_problems(terminal: Terminal, outcome: ImportOutcome) -> None:
    """One line for each thing that failed; the last of them is the error that ends the command."""
    for ident in outcome.damaged:
        terminal.remark(sentences.lost(ident))
    closed = sum(count for name, count in outcome.counts.items() if name not in _GOOD)
    if not outcome.problems:
        if outcome.damaged:
            raise PartlyDone(f"importing: {len(outcome.damaged)} are damaged in the vault; see tipbox desk check")
        if closed:
            raise PartlyDone(f"importing: {closed} could not be opened, and will be acknowledged like all others")
        return
    lines = [(type(error), f"importing {printable(name)}: {error}") for name, error in outcome.problems]
    # When nothing was done and all failed alike, the exit code says how; else it says that a part was done.
    codes = {kind.exit_code for kind, _ in lines}
    if not outcome.done and len(codes) == 1:
        for _, line in lines[:-1]:
            terminal.remark(line)
        kind, line = lines[-1]
        raise kind(line)
    if len(lines) == 1:
        raise _partly(lines[0])
    for _, line in lines:
        terminal.remark(line)
    raise PartlyDone(f"importing: {len(lines)} problems, the rest is done")


def _partly(line: tuple[type[TipboxError], str]) -> TipboxError:
    kind, text = line
    return kind(text) if kind.exit_code == PartlyDone.exit_code else PartlyDone(text)
