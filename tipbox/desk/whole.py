"""Whether what the vault holds is whole: each record opens, and each Envelope is, to its last byte, what was imported.

Disks and sticks lose bytes. What is acknowledged goes from the server, so a desk looks first; and while the server
still has it, a Bundle puts back what was lost here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from tipbox.desk.replies import whole_reply
from tipbox.desk.vault.letters import copy_envelope
from tipbox.desk.vault.records import Reply, Tip
from tipbox.desk.vault.vault import TIPS, Vault
from tipbox.errors import DamagedItem, Tampered, TipboxError
from tipbox.files.durable import fsync_folder
from tipbox.formats.envelopes.envelope import read_envelope


def holds_whole(vault: Vault, tip: Tip) -> bool:
    """Whether the Envelope of a tip lies in the vault as it came. It is read to its end."""
    try:
        with vault.open_file(vault.tip_path(tip.id)) as file:
            return read_envelope(file).end().id == tip.id
    except (TipboxError, OSError):  # also EIO: a disk that cannot read it has not got it
        return False


def put_back(vault: Vault, tip: Tip, stream: BinaryIO) -> None:
    """Write the Envelope of a tip again, from another place that has it.

    Raises:
        Tampered: the other place has something else, or not all of it; what the vault has stays.
        OSError: it cannot be read or written.
    """
    path = vault.incoming_path()
    try:
        try:
            with vault.sealing(path) as out:
                whole = copy_envelope(stream, out) == tip.id
        except DamagedItem:  # says which item of which Bundle
            raise
        except TipboxError:
            whole = False
        if not whole:
            raise Tampered
        path.rename(vault.tip_path(tip.id))
        fsync_folder(vault.path / TIPS)
    finally:
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class VaultCheck:
    """What a check of a vault found.

    Attributes:
        records: how many records opened.
        tips: how many tips are whole.
        damaged: ids of tips that are not.
        replies: ids of replies that wait for the server and are not whole.
    """

    records: int
    tips: int
    damaged: tuple[bytes, ...]
    replies: tuple[bytes, ...]


def check(vault: Vault, progress: Callable[[int], None] = lambda _: None) -> VaultCheck:
    """Read everything.

    Raises:
        VaultDamaged: the store is damaged, or a record does not open.
    """
    records = vault.check_store()
    damaged, tips = [], 0
    for tip in sorted(Tip.all(vault), key=lambda tip: tip.id):
        if holds_whole(vault, tip):
            tips += 1
        else:
            damaged.append(tip.id)
        progress(1)
    replies = [reply.id for reply in Reply.all(vault) if reply.pending and not whole_reply(vault, reply)]
    return VaultCheck(records, tips, tuple(damaged), tuple(sorted(replies)))
