"""Sending a tip to a server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Final

from tipbox.errors import NotFound
from tipbox.formats.base.primitives import equal
from tipbox.net.http import Connection, PartDiffers
from tipbox.source.recipients import Addressees
from tipbox.source.sealing import SealedTip
from tipbox.source.upload import Upload

_MOST_SESSIONS: Final = 4
"""Sessions of others whose parts are sealed again for comparing; each reads all files once."""


def compare_keys(connection: Connection, addressees: Addressees, remark: Callable[[str], None]) -> Addressees:
    """Compare all manifests with those that the server serves; where the server's is newer, it is taken.

    An organisation that the server does not know gets no slot: ``remark`` is told.

    Raises:
        IdentityChanged: the server serves another identity key.
        NotFound: the server does not know an organisation that was chosen.
    """

    def served(name: str) -> bytes | None:
        try:
            return connection.retry(lambda _: connection.request("GET", f"/keys/{name}.json"))
        except NotFound:
            return None

    return addressees.compared(served, remark)


def send_tip(upload: Upload, tip: SealedTip, progress: Callable[[int], None] = lambda _: None) -> None:
    """Send a sealed tip; it is stored when this returns."""
    if not tip.sealed.header.parts:
        upload.send_text(tip.sealed.opening + tip.end.trailer)
        progress(tip.size)
        return
    try:
        _send_files(upload, tip, progress)
    except PartDiffers:
        # The parts of another session under the same token; or a server that lies, which a new upload does not help.
        if not _ends_stored(upload, tip):
            upload.begin_again()
            _send_files(upload, tip, progress)


def _send_files(upload: Upload, tip: SealedTip, progress: Callable[[int], None]) -> None:
    # Closed: else what seals and hashes for an upload that was given up goes on beside the next.
    with closing(tip.parts()) as parts:
        upload.send_parts(tip.sealed.opening, parts, progress)
    upload.finish(tip.end.hash, tip.end.trailer)


def _ends_stored(upload: Upload, tip: SealedTip) -> bool:
    """Go on with the parts that the server has, if all are this tip's; whether it is stored now."""
    if not _takes_stored(upload, tip):
        return False
    try:
        upload.finish(tip.end.hash, tip.end.trailer)
    except PartDiffers:  # what it had a moment ago
        return False
    return True


def _takes_stored(upload: Upload, tip: SealedTip) -> bool:
    """Whether all parts that the server has are this tip's, by whatever session they were sealed; then it goes on so.

    What the server names is only compared: the source's seal is over hashes that were computed here. Else a server
    could have it seal somebody else's bytes.
    """
    count = tip.sealed.header.parts
    own = {tip.session_nonce: tip.part_hashes}
    if len(tip.part_hashes) != count:
        return False
    stored = upload.stored_parts(count)
    nonces = {nonce for nonce, _ in stored} - set(own)
    if len(nonces) > _MOST_SESSIONS:
        return False
    own |= {nonce: list(tip.again(nonce)) for nonce in nonces}
    if not all(equal(part_hash, own[nonce][number]) for number, (nonce, part_hash) in enumerate(stored)):
        return False
    tip.settle([own[nonce][number] for number, (nonce, _) in enumerate(stored)])
    return True
