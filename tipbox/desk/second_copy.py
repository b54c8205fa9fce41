"""The second copy of a vault: another folder, on another disk, from which the vault opens as it was.

Files first, the store last and by a rename: a copy that is cut short leaves the last whole one. Only what is new is
written, each file is read back from the other disk, and what both hold whole may be acknowledged.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final, Self

from tipbox.desk.custody.chain import note
from tipbox.desk.desk_errors import OtherCopy
from tipbox.desk.importing.receive import MINE
from tipbox.desk.replies import whole_reply
from tipbox.desk.vault import reseal
from tipbox.desk.vault.records import (
    Canary,
    CustodyChain,
    CustodyEvent,
    EnvelopeRecord,
    Person,
    Reply,
    SecondCopy,
    Tip,
    Traffic,
)
from tipbox.desk.vault.vault import (
    INCOMING,
    INDEX_FILE,
    KEY_FILE,
    LOCK_FILE,
    MARKER,
    REPLIES,
    STORE_FILE,
    TIPS,
    Vault,
)
from tipbox.desk.whole import holds_whole, put_back
from tipbox.errors import NO_ROOM, AlreadyThere, NotFound, Tampered, Usage
from tipbox.files.durable import TEMPORARY_SUFFIX, fsync_folder, replacing, write_file
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.envelopes import header

_FOLDERS: Final = (TIPS, INCOMING, REPLIES)
_NAMES: Final = re.compile(rf"[0-9a-f]{{64}}\.tip|\.?[0-9a-f]+{re.escape(TEMPORARY_SUFFIX)}")
"""Of the files in these folders: sealed ones, and those that are being written."""
_CHUNK: Final = 1 << 20
_ONLY_GROW: Final = (EnvelopeRecord.kind, Canary.kind)
"""Kinds of records of which a vault never loses one: a copy that has more of them is no older state of this vault."""
_HARMLESS: Final = frozenset({"confirm", "copy", "open", "read", "relock", "reseal", "upgrade"})
"""Acts on a copy that nobody misses when it is written over."""


@dataclass(frozen=True)
class CopyDone:
    """What a copy did.

    Attributes:
        written: how many files were written.
        confirmed: how many Envelopes may be acknowledged now.
        put_back: how many tips and replies were lost from the vault, and came back from the copy.
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


def copy_vault(
    vault: Vault, to: Path, *, today: date, every: bool = False, progress: Callable[[int], None] = lambda _: None
) -> CopyDone:
    """Make ``to`` a copy of this vault, which is open for writing, and remember it.

    Args:
        vault: the vault.
        to: the folder of the copy.
        today: the day of the copy.
        every: read all tips on both sides, and not only those that are new or differ in size.
        progress: told of the bytes that are written.

    Raises:
        AlreadyThere: the folder holds something else.
        NotFound: the copy that is remembered is not where it was, or not any more: its disk is not plugged in.
        OtherCopy: it holds what this vault lacks.
        VaultDamaged: the copy that is there is damaged.
        Usage: it is this vault, or one lies in the other.
    """
    to = to.absolute()
    _check_place(vault, to)
    known = SecondCopy.find(vault)
    remembered = known is not None and Path(known.path) == to
    if not remembered:
        to.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _Place(to) as place, closing(vault.beside(to)) as twin:
        new = not place.has(KEY_FILE)
        if new and remembered:
            # Else a copy would come to lie where that disk is put, on the vault's own one, and be called a second one.
            raise place.away()
        for folder in _FOLDERS:
            (to / folder).mkdir(mode=0o700, exist_ok=True)
        if not (to / LOCK_FILE).exists():
            write_file(to / LOCK_FILE, b"")
        if not new and not vault.knows(twin):
            raise AlreadyThere(f"copying the vault: {to} holds another vault; name another folder with --to")
        place.check()
        twin.lock(settled=False)  # nobody works on the copy meanwhile
        if (to / STORE_FILE).is_file():
            _check_older(vault, twin)
            _take_keys(vault, twin)
        done, safe = _copy_files(vault, twin, progress, every=every)
        _copy_store(vault, twin, place)
        if new or (to / KEY_FILE).read_bytes() != MARKER:  # last: a folder without it is no vault
            place.check()
            write_file(to / KEY_FILE, MARKER)
            fsync_folder(to.parent)
        _sweep(vault, twin)
        place.check()
    changes = vault.changes()
    with vault.transaction():
        SecondCopy(str(to), today, (changes + 1) % 2**32).save(vault)  # with this transaction itself
        done = replace(done, confirmed=_confirm(vault, safe))
        note(vault, "copy", after=f"{done.written} files written, {done.confirmed} confirmed")
        return done


class _Place:
    """The folder of a copy, held open: where its disk is pulled out, another folder has its name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise self.away() from None

    def has(self, name: str) -> bool:
        """Whether there is a file of this name in the folder that is held."""
        try:
            os.stat(name, dir_fd=self._descriptor)
        except FileNotFoundError:
            return False
        return True

    def check(self) -> None:
        """NotFound unless the folder is still the one that it was: nothing may be written in the place of a disk."""
        with suppress(OSError):
            if os.path.samestat(self._path.stat(), os.fstat(self._descriptor)):
                return
        raise self.away()

    def away(self) -> NotFound:
        """The error when its disk is not plugged in."""
        return NotFound(
            f"copying the vault: its second copy is not at {self._path}; plug that disk in, or name a new folder if it "
            "is lost"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def on_same_disk(vault: Vault, to: Path) -> bool:
    """Whether a copy lies on the file system of its vault: what takes the one then takes the other."""
    return to.stat().st_dev == vault.path.stat().st_dev


def _check_place(vault: Vault, to: Path) -> None:
    here, there = vault.path.resolve(), to.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise Usage("copying the vault: name a folder outside of it, on another disk, with --to")
    if not to.exists():
        return
    if not to.is_dir():
        raise AlreadyThere(f"copying the vault: {to} is no folder; name another with --to")
    if (to / KEY_FILE).exists():
        return
    ours = {*_FOLDERS, STORE_FILE, LOCK_FILE}  # of a first copy that was cut short
    foreign = any(path.name not in ours and not path.name.endswith(TEMPORARY_SUFFIX) for path in to.iterdir())
    # A disk of somebody's may have a folder with such a name, too, and what lies in it is not ours to write beside.
    if foreign or any(_is_foreign(to / folder) for folder in _FOLDERS):
        raise AlreadyThere(f"copying the vault: {to} is not empty; name a new folder in it with --to")


def _is_foreign(folder: Path) -> bool:
    """Whether there is something in the place of a folder of a vault that no vault has there."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        return True
    return folder.exists() and not all(_is_ours(path) for path in folder.iterdir())


def _is_ours(path: Path) -> bool:
    """Whether a file of a vault's folders has such a name; what else lies there is somebody else's."""
    return _NAMES.fullmatch(path.name) is not None and path.is_file() and not path.is_symlink()


def _check_older(vault: Vault, twin: Vault) -> None:
    """A vault that was restored from an old copy must not be written over a newer one."""
    after = len(twin.keys.chain)
    newer = any(
        {vault.keys.renamed(name, after) for name in twin.names(kind)} - vault.names(kind) for kind in _ONLY_GROW
    )
    newer = newer or Traffic.of(twin).sent > Traffic.of(vault).sent
    if newer or _last(twin) > _last(vault) or _acted_apart(vault, twin):
        raise OtherCopy


def _acted_apart(vault: Vault, twin: Vault) -> bool:
    """Whether something was done on the copy that this vault does not know: a reply taken back, a tag, a new key."""
    chain = CustodyChain.find(twin)
    for place in range(chain.count if chain else 0, 0, -1):
        event = CustodyEvent.find(twin, place.to_bytes(8))
        if event == CustodyEvent.find(vault, place.to_bytes(8)):
            return False  # each event is salted and names the one before: all before it are the same too
        if event is None or event.act not in _HARMLESS:
            return True
    return False


def _take_keys(vault: Vault, twin: Vault) -> None:
    """Seal a copy anew that is from before somebody was removed: then it opens for those who open the vault."""
    if len(twin.keys.chain) == len(vault.keys.chain):
        return
    people = {person.id: person.public for person in Person.all(vault)}
    with twin.transaction():
        twin.make_people_table()
        twin.seal_anew_for(people, vault.keys, take=vault.locks())
        twin.set_version()
    reseal.finish(twin, silent=True)


def _last(vault: Vault) -> int:
    return max((reply.number for reply in Reply.all(vault)), default=0)


def _copy_files(
    vault: Vault, twin: Vault, progress: Callable[[int], None], *, every: bool
) -> tuple[CopyDone, set[bytes]]:
    """Copy what is new; also the ids of tips that were found whole on both sides."""
    unsure = {record.id for record in EnvelopeRecord.all(vault) if record.outcome == MINE and not record.confirmed}
    safe: set[bytes] = set()
    damaged: list[bytes] = []
    written = returned = 0
    for tip in Tip.all(vault):
        here, there = vault.tip_path(tip.id), twin.tip_path(tip.id)
        # Of two that differ one is damaged: nothing is written over before it is known which.
        doubted = every or tip.id in unsure or not _same_size(here, there)
        if doubted and not holds_whole(vault, tip):
            # From here too: a file that the disk did not give when the others were sealed lies as it came.
            if not any(_put_back(vault, tip, place) for place in (here, there)):
                damaged.append(tip.id)
                continue
            returned += 1
        if not _same_size(here, there) or (doubted and not holds_whole(twin, tip)):
            _write(here, there, progress)
            written += 1
            if not holds_whole(twin, tip):  # read back: the disk, or what was read here, is damaged
                damaged.append(tip.id)
                continue
        safe.add(tip.id)
    for reply in Reply.all(vault):
        here, there = vault.reply_path(reply.id), twin.reply_path(reply.id)
        if not reply.pending or (not every and _same_size(here, there)):
            continue
        if whole_reply(vault, reply):
            if not _same_size(here, there) or not whole_reply(twin, reply):
                _write(here, there, progress)
                written += 1
        elif whole_reply(twin, reply):
            _write(there, here, progress)
            returned += 1
    for folder in (TIPS, REPLIES):
        fsync_folder(twin.path / folder)
    return CopyDone(written, 0, returned, tuple(sorted(damaged))), safe


def _put_back(vault: Vault, tip: Tip, there: Path) -> bool:
    try:
        with there.open("rb") as file:  # a copy of a vault of version 1 has Envelopes as they came
            plain = file.read(len(header.MAGIC)) == header.MAGIC
        with there.open("rb") if plain else vault.open_file(there) as stream:
            put_back(vault, tip, stream)
    except Tampered:
        return False
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        return False  # not there, or the disk does not give it: the other tips are copied all the same
    return True


def _same_size(here: Path, there: Path) -> bool:
    return here.is_file() and there.is_file() and there.stat().st_size == here.stat().st_size


def _write(here: Path, there: Path, progress: Callable[[int], None]) -> None:
    with here.open("rb") as source, replacing(there) as out:
        while chunk := source.read(_CHUNK):
            out.write(chunk)
            progress(len(chunk))
        out.flush()
        os.fsync(out.fileno())
        # What is read back must come from the disk, and not from what this machine remembers of it.
        os.posix_fadvise(out.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _copy_store(vault: Vault, twin: Vault, place: _Place) -> None:
    """Write the store beside the one that is there, read it back, and rename it into its place."""
    temporary = twin.path / f".{random_bytes(8).hex()}{TEMPORARY_SUFFIX}"
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        vault.snapshot(temporary)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        twin.check_snapshot(temporary)
        place.check()
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
        _unlink(path for path in (twin.path / folder).iterdir() if path.name not in known and _is_ours(path))
    _unlink(twin.path.glob(f".*{TEMPORARY_SUFFIX}"))
    # Of when somebody worked with the copy: it may have words that were forgotten since, and is made anew.
    (twin.path / INDEX_FILE).unlink(missing_ok=True)
    fsync_folder(twin.path)


def _unlink(paths: Iterable[Path]) -> None:
    for path in list(paths):
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
