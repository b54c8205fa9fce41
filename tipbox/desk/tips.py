"""Finding a tip by its id, and opening one into a folder."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tipbox.desk.custody.chain import note
from tipbox.desk.desk_errors import ShortId, VaultDamaged
from tipbox.desk.inbox.tip_index import TipIndex
from tipbox.desk.joined import JoinedTip, joined_tip, set_state
from tipbox.desk.vault.records import Copy, Organisation, Thread, Tip
from tipbox.desk.vault.sealed_file import OpenedFile
from tipbox.desk.vault.vault import Vault
from tipbox.errors import AlreadyThere, NotFound, TipboxError
from tipbox.files.direct import write_at
from tipbox.files.names import on_disk, safe_name
from tipbox.files.printable import ascii_json
from tipbox.files.working import working_folder
from tipbox.formats.base.limits import HASH_SIZE
from tipbox.formats.envelopes.consent import Consent
from tipbox.formats.envelopes.envelope import Reading, open_files_at, read_envelope
from tipbox.formats.envelopes.letter import Letter, open_letter

MESSAGE: Final = "message.txt"
FACTS: Final = "tip.json"
FILES: Final = "files"
SHORTEST_ID: Final = 8
"""Hex digits that name what cannot be undone. Fewer are one typing error away from another source."""
_BETWEEN: Final = b"\n\n"
"""Between the messages of Envelopes that make up one tip: nearly always only the first has one."""


def consent_of(thread: Thread | None) -> dict[str, Any] | None:
    """What the source of a thread allows, as JSON; None when it has not said, which allows nothing by itself."""
    allowed: Consent | None = None if thread is None else thread.consent
    return None if allowed is None else allowed.to_json()


def find_tip(vault: Vault, prefix: str) -> Tip:
    """The one Envelope whose id, in hex, starts with ``prefix``; for a copy, the one that says the same.

    Raises:
        NotFound: there is none, or more than one.
    """
    wanted = prefix.strip().lower()
    if len(wanted) == 2 * HASH_SIZE and not wanted.strip("0123456789abcdef"):
        # A whole id is looked up, for part of one the index is asked.
        copy = Copy.find(vault, bytes.fromhex(wanted))
        found = {copy.tip if copy else bytes.fromhex(wanted)}
    elif wanted and len(wanted) <= 2 * HASH_SIZE and not wanted.strip("0123456789abcdef"):
        found = TipIndex.of(vault).starting_with(wanted)
    else:
        found = set()
    if len(found) > 1:
        raise NotFound("looking for the tip: more than one id starts like this; give more of it")
    tip = Tip.find(vault, found.pop()) if found else None
    if tip is None:
        raise NotFound("looking for the tip: this vault has none with this id; see tipbox desk list")
    return tip


def find_tip_for_good(vault: Vault, prefix: str) -> Tip:
    """The same for what cannot be undone: an answer, which goes to somebody, or forgetting.

    Raises:
        NotFound: there is none, or more than one.
        ShortId: too little of an id was given.
    """
    if 0 < len(prefix.strip()) < SHORTEST_ID:
        raise ShortId(
            f"looking for the tip: this cannot be undone; give at least {SHORTEST_ID} digits of its id, see "
            "tipbox desk list"
        )
    return find_tip(vault, prefix)


def _facts(tip: JoinedTip, organisation: Organisation, thread: Thread | None, letters: list[Letter]) -> bytes:
    """``tip.json``: ASCII, so that no name of a source can speak to a terminal that prints it."""
    files = [file for letter in letters for file in letter.files]
    value = {
        "check_digits": tip.envelopes[-1].check_digits,
        "consent": consent_of(thread),
        "files": [
            {"name": file.name, "path": f"{FILES}/{safe_name(number, file.name)}", "size": file.size, "type": file.type}
            for number, file in enumerate(files, 1)
        ],
        "id": tip.id.hex(),
        "language": letters[0].language,
        "message_id": letters[0].id.hex(),
        "organisation": organisation.name,
        "thread": tip.thread.hex(),
    } | tip.facts()
    return (ascii_json(value) + "\n").encode()


def open_tip(
    vault: Vault, organisation: Organisation, tip: Tip, out: Path, progress: Callable[[int], None] = lambda _: None
) -> JoinedTip:
    """Open the whole tip that an Envelope belongs to into the folder ``out``, which is made or must be empty.

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
    joined = joined_tip(vault, tip)
    with working_folder(out.parent) as work:
        try:
            (work / FILES).mkdir(mode=0o700)
            letters: list[Letter] = []
            files = 0
            for envelope in joined.envelopes:
                with vault.open_file(vault.tip_path(envelope.id)) as file:
                    letters.append(_write_files(envelope, file, work, files, progress))
                files += len(envelope.files)
        except (TipboxError, FileNotFoundError) as error:
            raise VaultDamaged(
                "opening a tip: its file in the vault is damaged; restore the vault's second copy"
            ) from error
        message = _BETWEEN.join(letter.message for letter in letters if letter.message)
        facts = _facts(joined, organisation, Thread.find(vault, tip.thread), letters)
        for name, data in ((MESSAGE, message), (FACTS, facts)):
            (work / name).touch(mode=0o600, exist_ok=False)
            (work / name).write_bytes(data)
        _release(work, out)
    return joined


def _write_files(tip: Tip, file: OpenedFile, work: Path, before: int, progress: Callable[[int], None]) -> Letter:
    """Write the files of one Envelope, numbered behind those ``before`` it; its letter."""
    reading = read_envelope(file, hashes=False)
    letter = open_letter(reading.header, tip.content_key, reading.letter)
    paths = [
        work / FILES / on_disk(safe_name(number, entry.name)) for number, entry in enumerate(letter.files, before + 1)
    ]
    for path in paths:  # before the first piece: a file of no bytes gets none
        path.touch(mode=0o600, exist_ok=False)

    def write(index: int, at: int, data: memoryview) -> None:
        # Not "wb": when a file that was cut is closed, ext4 waits until all of it is on its way to the disk.
        with paths[index].open("r+b", 0) as target:
            write_at(target.fileno(), data, at)

    for size in open_files_at(reading, letter, file.read_at, write):
        progress(size)
    _check_whole(tip, reading)
    return letter


def _check_whole(tip: Tip, reading: Reading) -> None:
    """VaultDamaged unless these are the bytes whose seal was checked when they were imported."""
    if reading.end().id != tip.id:
        raise VaultDamaged


def _release(work: Path, out: Path) -> None:
    """Move the finished folder to ``out``; where ``out`` is a mount point, its contents."""
    try:
        work.rename(out)
    except OSError as error:
        # A folder cannot be renamed onto a mount point, such as a stick. Else the disk is full, or away.
        if error.errno not in {errno.EBUSY, errno.EXDEV}:
            raise
        for entry in list(work.iterdir()):
            shutil.move(entry, out / entry.name)


def mark_opened(vault: Vault, tip: JoinedTip) -> None:
    """Record that staff has opened a tip. It changes nothing that leaves the desk.

    What has come to it since it was opened stays new.
    """
    with vault.transaction():
        set_state(vault, [tip], "opened", only=("new",))
        note(vault, "open", tip.id, before=tip.state)
