"""Changes: which records of a vault were written or deleted since an index of it was sealed.

Each transaction that changes what is listed leaves one, with a random token and that of the one before it. So an index
knows whether it is an earlier state of this very vault: a vault that was restored from a copy has another past.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tipbox.formats.base.primitives import random_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tipbox.desk.vault.vault import Vault

_CHANGES: Final = "changes"
_HEAD: Final = "changes-head"
_TOKEN: Final = 16


class Mark(NamedTuple):
    """A state of a vault: how many changes there were, and the token of the last."""

    seq: int
    token: bytes


NEVER: Final = Mark(-1, b"")
"""A state that no vault had."""


def head(vault: Vault) -> Mark:
    """The state of a vault now."""
    record = vault.get(_HEAD, b"")
    return Mark(0, b"") if record is None else Mark(record["seq"], bytes.fromhex(record["token"]))


def note(vault: Vault, touched: Sequence[tuple[str, bytes]]) -> None:
    """Within a transaction: records of these kinds and ids were written or deleted."""
    before = head(vault)
    token = random_bytes(_TOKEN)
    touched = tuple(dict.fromkeys(touched))
    change = {
        "before": before.token.hex(),
        "records": [[kind, ident.hex()] for kind, ident in touched],
        "token": token.hex(),
    }
    vault.put(_CHANGES, _key(before.seq + 1), change)
    vault.put(_HEAD, b"", {"pruned": _pruned(vault), "seq": before.seq + 1, "token": token.hex()})


def since(vault: Vault, at: Mark) -> list[tuple[str, bytes]] | None:
    """What was changed since ``at``, kind and id; None when this vault never was in that state, or forgot it."""
    now, token = head(vault), at.token
    if not 0 <= at.seq <= now.seq:
        return None
    found: list[tuple[str, bytes]] = []
    for seq in range(at.seq + 1, now.seq + 1):
        change = vault.get(_CHANGES, _key(seq))
        if change is None or change["before"] != token.hex():
            return None
        token = bytes.fromhex(change["token"])
        found += [(kind, bytes.fromhex(ident)) for kind, ident in change["records"]]
    return found if token == now.token else None


def prune(vault: Vault, at: Mark) -> None:
    """Within a transaction: an index of that state was sealed, so nobody asks for what came before it."""
    now = head(vault)
    for seq in range(_pruned(vault) + 1, at.seq + 1):
        vault.delete(_CHANGES, _key(seq))
    vault.put(_HEAD, b"", {"pruned": at.seq, "seq": now.seq, "token": now.token.hex()})


def _pruned(vault: Vault) -> int:
    record = vault.get(_HEAD, b"")
    return 0 if record is None else int(record["pruned"])


def _key(seq: int) -> bytes:
    return seq.to_bytes(8)
