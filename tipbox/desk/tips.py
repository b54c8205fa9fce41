"""Listing tips and opening one into a folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, Final

from tipbox.desk.desk_errors import AlreadyThere, VaultDamaged
from tipbox.desk.vault.records import Canary, Organisation, Tip
from tipbox.desk.vault.vault import Vault
from tipbox.errors import NotFound, TipboxError
from tipbox.files.names import on_disk, safe_name
from tipbox.files.printable import ascii_json
from tipbox.files.working import working_folder
from tipbox.files.writer_thread import Stage
from tipbox.formats.access_code import check_digits
from tipbox.formats.base.limits import HASH_SIZE
from tipbox.formats.envelopes.envelope import Reading, open_files, read_envelope
from tipbox.formats.envelopes.letter import Letter, open_letter

MESSAGE: Final = "message.txt"
FACTS: Final = "tip.json"
FILES: Final = "files"
_BATCH_PIECES: Final = 8


def list_tips(vault: Vault, organisation: Organisation) -> list[dict[str, Any]]:
    """All tips as ``desk list --json`` prints them, by day and id. Canaries are among them, marked as what they are."""
    canaries = {canary.tip: canary.number for canary in Canary.all(vault)}
    tips = sorted(Tip.all(vault), key=lambda tip: (tip.received, tip.id))
    return [
        {
            "files": [{"name": file.name, "size": file.size} for file in tip.files],
            "id": tip.id.hex(),
            "organisation": organisation.name,
            "received": tip.received.isoformat(),
            "state": tip.state,
            "thread": tip.thread.hex(),
        }
        | ({"canary": canaries[tip.id]} if tip.id in canaries else {})
        for tip in tips
    ]


def find_tip(vault: Vault, prefix: str) -> Tip:
    """The one tip whose id, in hex, starts with ``prefix``.

    Raises:
        NotFound: there is none, or more than one.
    """
    wanted = prefix.strip().lower()
    if len(wanted) == 2 * HASH_SIZE and not wanted.strip("0123456789abcdef"):
        # A whole id is looked up; for part of one, every record has to be decrypted.
        found = [tip for tip in [Tip.find(vault, bytes.fromhex(wanted))] if tip]
    elif wanted:
        found = [tip for tip in Tip.all(vault) if tip.id.hex().startswith(wanted)]
    else:
        found = []
    if len(found) > 1:
        raise NotFound("looking for the tip: more than one id starts like this; give more of it")
    if not found:
        raise NotFound("looking for the tip: this vault has none with this id; see tipbox desk list")
    return found[0]


def _facts(tip: Tip, organisation: Organisation, reading: Reading, letter: Letter) -> bytes:
    """``tip.json``: ASCII, so that no name of a source can speak to a terminal that prints it."""
    value = {
        "check_digits": check_digits(tip.pair_key, reading.header.hash),
        "files": [
            {"name": file.name, "path": f"{FILES}/{safe_name(number, file.name)}", "size": file.size, "type": file.type}
            for number, file in enumerate(letter.files, 1)
        ],
        "id": tip.id.hex(),
        "language": letter.language,
        "message_id": letter.id.hex(),
        "organisation": organisation.name,
        "received": tip.received.isoformat(),
        "thread": tip.thread.hex(),
    }
    return (ascii_json(value) + "\n").encode()


def open_tip(
    vault: Vault, organisation: Organisation, tip: Tip, out: Path, progress: Callable[[int], None] = lambda _: None
) -> None:
    """Open a tip into the folder ``out``, which is made or must be empty.

    Everything is written to a folder beside it and moved there when the last part has been verified. It is not synced:
    the vault has it.

    Raises:
        AlreadyThere: the folder is not empty.
        VaultDamaged: what the vault holds is not what was imported.
    """
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise AlreadyThere("opening a tip: the folder is not empty; name a new one with --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    with working_folder(out.parent) as work:
        try:
            with vault.tip_path(tip.id).open("rb") as file:
                _write(tip, organisation, file, work, progress)
        except (TipboxError, FileNotFoundError) as error:
            raise VaultDamaged(
                "opening a tip: its file in the vault is damaged; restore the vault's second copy"
            ) from error
        _release(work, out)


def _write(tip: Tip, organisation: Organisation, file: BinaryIO, work: Path, progress: Callable[[int], None]) -> None:
    reading = read_envelope(file)
    letter = open_letter(reading.header, tip.content_key, reading.letter)
    for name, data in ((MESSAGE, letter.message), (FACTS, _facts(tip, organisation, reading, letter))):
        (work / name).touch(mode=0o600, exist_ok=False)
        (work / name).write_bytes(data)
    (work / FILES).mkdir(mode=0o700)
    paths = [work / FILES / on_disk(safe_name(number, entry.name)) for number, entry in enumerate(letter.files, 1)]
    for path in paths:  # before the first piece: a file of no bytes gets none
        path.touch(mode=0o600, exist_ok=False)
    for index, group in groupby(open_files(reading, letter), key=itemgetter(0)):
        # The thread beside writes one batch while the next is opened here.
        with paths[index].open("wb") as target, Stage(target.writelines) as writing:
            for batch in _batches(piece for _, piece in group):
                writing.put(batch)
                progress(sum(map(len, batch)))


def _batches(pieces: Iterator[bytes]) -> Iterator[list[bytes]]:
    while batch := list(islice(pieces, _BATCH_PIECES)):
        yield batch


def _release(work: Path, out: Path) -> None:
    """Move the finished folder to ``out``; where ``out`` is a mount point, its contents."""
    try:
        work.rename(out)
    except OSError:  # a folder cannot be renamed onto a mount point, such as a stick
        for entry in list(work.iterdir()):
            shutil.move(entry, out / entry.name)


def mark_opened(vault: Vault, ident: bytes) -> None:
    """Record that staff has opened the tip with this id. It changes nothing that leaves the desk."""
    with vault.transaction():
        tip = Tip.find(vault, ident)  # read again: another command may have changed it while this one opened files
        if tip is not None and tip.state == "new":
            replace(tip, state="opened").save(vault)
