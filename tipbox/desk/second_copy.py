"""The second copy of a vault: another folder, on another disk, from which the vault opens as it was.

Files first, the store last and by a rename: a copy that is cut short leaves the last whole one. Only what is new is
written, each file is read back from the other disk, and what both hold whole may be acknowledged.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

from tipbox.desk.custody.chain import note
from tipbox.desk.desk_errors import AlreadyThere, OtherCopy
from tipbox.desk.receive import MINE
from tipbox.desk.vault.records import Canary, EnvelopeRecord, Reply, SecondCopy, Tip, Traffic
from tipbox.desk.vault.vault import INCOMING, KEY_FILE, LOCK_FILE, REPLIES, STORE_FILE, TIPS, Vault
from tipbox.desk.whole import holds_whole, put_back
from tipbox.errors import NotFound, Tampered, Usage
from tipbox.files.durable import TEMPORARY_SUFFIX, fsync_folder, replacing, write_file
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.envelopes import header

_FOLDERS: Final = (TIPS, INCOMING, REPLIES)
_CHUNK: Final = 1 << 20
_ONLY_GROW: Final = (EnvelopeRecord.kind, Canary.kind)
"""Kinds of records of which a vault never loses one: a copy that has more of them is no older state of this vault."""


@dataclass(frozen=True)
class CopyDone:
    """What a copy did.

    Attributes:
        written: how many files were written.
        confirmed: how many Envelopes may be acknowledged now.
        put_back: how many tips were lost from the vault, and came back from the copy.
        damaged: ids of tips that neither side holds whole.
    """

    written: int
    confirmed: int
    put_back: int
    damaged: tuple[bytes, ...]


def lag(vault: Vault) -> tuple[SecondCopy, int] | None:
    """The copy that is remembered, and in how many transactions this vault was changed since; None without one."""
    known = SecondCopy.find(vault)
    # A vault that was restored from its copy names itself.
    if known is None or Path(known.path) == vault.path.absolute():
        return None
    return known, (vault.changes() - known.changes) % 2**32


def copy_again(vault: Vault, *, today: date) -> CopyDone | None:
    """Bring the copy that is remembered up to date; None when there is none.

    Raises:
        NotFound: its place is not there: a disk that is not plugged in.
    """
    known = lag(vault)
    if known is None:
        return None
    to = Path(known[0].path)
    if not (to / KEY_FILE).is_file():
        raise NotFound(f"copying the vault: its second copy is not at {to}; plug that disk in")
    return copy_vault(vault, to, today=today)


def copy_vault(vault: Vault, to: Path, *, today: date, progress: Callable[[int], None] = lambda _: None) -> CopyDone:
    """Make ``to`` a copy of this vault, which is open for writing, and remember it.

    Raises:
        AlreadyThere: the folder holds something else.
        OtherCopy: it holds what this vault lacks.
        VaultDamaged: the copy that is there is damaged.
        Usage: it is this vault, or one lies in the other.
    """
    to = to.absolute()
    _check_place(vault, to)
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in _FOLDERS:
        (to / folder).mkdir(mode=0o700, exist_ok=True)
    twin = vault.beside(to)
    if (to / STORE_FILE).is_file():
        _check_older(vault, twin)
    if not (to / LOCK_FILE).exists():
        write_file(to / LOCK_FILE, b"")
    with closing(twin):
        twin.lock()  # nobody works on the copy meanwhile
        done, safe = _copy_files(vault, twin, progress)
        _copy_store(vault, twin)
        if not (to / KEY_FILE).exists():  # last: a folder without it is no vault
            write_file(to / KEY_FILE, (vault.path / KEY_FILE).read_bytes())
            fsync_folder(to.parent)
        _sweep(vault, twin)
    changes = vault.changes()
    with vault.transaction():
        SecondCopy(str(to), today, (changes + 1) % 2**32).save(vault)  # with this transaction itself
        done = replace(done, confirmed=_confirm(vault, safe))
        note(vault, "copy", after=f"{done.written} files written, {done.confirmed} confirmed")
        return done


def _check_place(vault: Vault, to: Path) -> None:
    here, there = vault.path.resolve(), to.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise Usage("copying the vault: name a folder outside of it, on another disk, with --to")
    if not to.exists():
        return
    if not to.is_dir():
        raise AlreadyThere(f"copying the vault: {to} is no folder; name another with --to")
    key = to / KEY_FILE
    if key.exists():
        if key.read_bytes() != (vault.path / KEY_FILE).read_bytes():
            raise AlreadyThere(f"copying the vault: {to} holds another vault; name another folder with --to")
        return
    ours = {*_FOLDERS, STORE_FILE, LOCK_FILE}  # of a first copy that was cut short
    if any(path.name not in ours and not path.name.endswith(TEMPORARY_SUFFIX) for path in to.iterdir()):
        raise AlreadyThere(f"copying the vault: {to} is not empty; name a new folder in it with --to")


def _check_older(vault: Vault, twin: Vault) -> None:
    """A vault that was restored from an old copy must not be written over a newer one."""
    newer = any(twin.names(kind) - vault.names(kind) for kind in _ONLY_GROW)
    newer = newer or Traffic.of(twin).sent > Traffic.of(vault).sent
    if newer or _last(twin) > _last(vault):
        raise OtherCopy


def _last(vault: Vault) -> int:
    return max((reply.number for reply in Reply.all(vault)), default=0)


def _copy_files(vault: Vault, twin: Vault, progress: Callable[[int], None]) -> tuple[CopyDone, set[bytes]]:
    """Copy what is new; also the ids of tips that were found whole on both sides."""
    unsure = {one.id for one in EnvelopeRecord.all(vault) if one.outcome == MINE and not one.confirmed}
    safe: set[bytes] = set()
    damaged: list[bytes] = []
    written = returned = 0
    for tip in Tip.all(vault):
        here, there = vault.tip_path(tip.id), twin.tip_path(tip.id)
        if not here.is_file() or (tip.id in unsure and not holds_whole(vault, tip)):
            if not _put_back(vault, tip, there):
                damaged.append(tip.id)
                continue
            returned += 1
        if not _same_size(here, there) or (tip.id in unsure and not holds_whole(twin, tip)):
            _write(here, there, progress)
            written += 1
            if not holds_whole(twin, tip):  # read back: the disk, or what was read here, is damaged
                damaged.append(tip.id)
                continue
        safe.add(tip.id)
    for reply in Reply.all(vault):
        here, there = vault.reply_path(reply.id), twin.reply_path(reply.id)
        if reply.pending and here.is_file() and not _same_size(here, there):
            _write(here, there, progress)
            written += 1
    for folder in (TIPS, REPLIES):
        fsync_folder(twin.path / folder)
    return CopyDone(written, 0, returned, tuple(sorted(damaged))), safe


def _put_back(vault: Vault, tip: Tip, there: Path) -> bool:
    try:
        with there.open("rb") as file:  # a copy of a vault of version 1 has Envelopes as they came
            plain = file.read(len(header.MAGIC)) == header.MAGIC
        with there.open("rb") if plain else vault.open_file(there) as stream:
            put_back(vault, tip, stream)
    except (Tampered, FileNotFoundError):
        return False
    return True


def _same_size(here: Path, there: Path) -> bool:
    return there.is_file() and there.stat().st_size == here.stat().st_size


def _write(here: Path, there: Path, progress: Callable[[int], None]) -> None:
    with here.open("rb") as source, replacing(there) as out:
        while chunk := source.read(_CHUNK):
            out.write(chunk)
            progress(len(chunk))
        out.flush()
        os.fsync(out.fileno())
        # What is read back must come from the disk, and not from what this machine remembers of it.
        os.posix_fadvise(out.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _copy_store(vault: Vault, twin: Vault) -> None:
    """Write the store beside the one that is there, read it back, and rename it into its place."""
    temporary = twin.path / f".{random_bytes(8).hex()}{TEMPORARY_SUFFIX}"
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        vault.snapshot(temporary)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        twin.check_snapshot(temporary)
        temporary.replace(twin.path / STORE_FILE)
        fsync_folder(twin.path)
    finally:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)


def _sweep(vault: Vault, twin: Vault) -> None:
    """Remove from the copy what the vault has no longer: replies that arrived, tips that were forgotten."""
    known = {twin.tip_path(tip.id).name for tip in Tip.all(vault)}
    known |= {twin.reply_path(reply.id).name for reply in Reply.all(vault) if reply.pending}
    for folder in (TIPS, REPLIES, INCOMING):
        _unlink(path for path in (twin.path / folder).iterdir() if path.name not in known)
    _unlink(twin.path.glob(f".*{TEMPORARY_SUFFIX}"))


def _unlink(paths: Iterable[Path]) -> None:
    for path in list(paths):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _confirm(vault: Vault, safe: set[bytes]) -> int:
    """What both sides hold may be acknowledged; what is for others is not kept at all."""
    count = 0
    for carried in EnvelopeRecord.all(vault):
        if not carried.by_bundle or carried.confirmed or carried.taken:
            continue
        if carried.outcome == MINE and carried.id not in safe and Tip.find(vault, carried.id) is not None:
            continue
        replace(carried, confirmed=True).save(vault)
        count += 1
    return count
