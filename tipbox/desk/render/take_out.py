"""What was looked at is noted, and the file itself goes out only with a reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tipbox.desk.custody.chain import note
from tipbox.desk.forget import MAX_REASON
from tipbox.desk.inbox.likeness import keep_likeness
from tipbox.desk.joined import JoinedTip
from tipbox.desk.keys import ceremony
from tipbox.desk.keys.out_file import is_kept_apart
from tipbox.desk.marked import N_
from tipbox.desk.render.sealed_off import file_of, pieces
from tipbox.desk.vault.vault import Vault
from tipbox.errors import AlreadyThere, LimitExceeded, Usage
from tipbox.files.names import on_disk, safe_name
from tipbox.files.working import working_folder


def note_look(vault: Vault, tip: JoinedTip, number: int, rung: str, likeness: str = "") -> None:
    """Write down that somebody looked at a file of a tip. The vault is open for writing.

    Args:
        vault: the vault.
        tip: the tip.
        number: of the file, from 1.
        rung: how far up: ``facts``, ``sight`` or ``words``; ``saved`` when previews were written into a folder.
        likeness: what tells the picture from others, when the look found one.
    """
    envelope, index = file_of(tip, number)
    with vault.transaction():
        if likeness:
            keep_likeness(vault, envelope.id, index, likeness)
        note(vault, "look", envelope.id, after=f"{number}: {rung}")


def check_reason(reason: str) -> str:
    """The reason for taking a file out, when it is one.

    Raises:
        Usage: there is none.
        LimitExceeded: it is too long.
    """
    if not reason.strip():
        raise Usage("taking a file out: say why with --reason; it stays in the chain of custody")
    if len(reason.encode()) > MAX_REASON:
        raise LimitExceeded(f"taking a file out: a reason has at most {MAX_REASON:,} bytes")
    return reason


def take_out(
    vault: Vault,
    tip: JoinedTip,
    number: int,
    folder: Path,
    reason: str,
    *,
    waiting: Callable[[], None] = lambda: None,
    progress: Callable[[int], None] = lambda _: None,
) -> Path:
    """Write a file of a tip as it came into a folder, and write down that it went out, and why.

    It is the last rung: whatever opens the file there is in no sandbox of ours. It gets its name only when it is whole
    and the act is in the chain of custody.

    Args:
        vault: the vault; it is locked for writing here.
        tip: the tip.
        number: of the file, from 1.
        folder: where to; it is made.
        reason: why.
        waiting: called when another command has to end first.
        progress: gets the bytes of each piece.

    Raises:
        Usage: no reason is given, or the folder is in the vault or on the key stick: a hostile file has no place there.
        LimitExceeded: the reason is too long.
        NotFound: there is no such file.
        AlreadyThere: the folder has a file with this name.
        VaultDamaged: what the vault holds is not what was imported.
    """
    check_reason(reason)
    envelope, index = file_of(tip, number)
    folder = folder.resolve()
    organisation = ceremony.organisation_of(vault)
    if is_kept_apart(folder, vault.path, ceremony.find_stick(vault, organisation), Path(organisation.stick)):
        raise Usage(N_("taking a file out: this folder is in the vault or on the key stick; name another"))
    folder.mkdir(parents=True, exist_ok=True)
    name = on_disk(safe_name(number, envelope.files[index].name))
    target = folder / name
    if target.exists() or target.is_symlink():
        raise AlreadyThere("taking a file out: the folder has a file with this name; name another with --original")
    with working_folder(folder) as work:
        part = work / name
        part.touch(mode=0o600, exist_ok=False)
        with part.open("wb") as file:
            for piece in pieces(vault, envelope, index):
                file.write(piece)
                progress(len(piece))
        vault.lock(waiting)  # only now: writing gigabytes keeps no import out
        with vault.transaction():
            note(vault, "take-out", envelope.id, after=str(number), reason=reason)
        part.rename(target)
    return target
