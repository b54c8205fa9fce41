"""Going on with an upload of another day (docs/protocol.md, section 3.3).

The access code alone finds it, and the same files go on: nothing of it is kept on the source's machine. What a server
gives back is checked against the capsule before it is used. Parts that it names are sealed again and compared, never
sent; what is sent is sealed under a session nonce of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from tipbox.errors import FORMAT_ERRORS, NetworkFailed
from tipbox.files.attachments import Attachment
from tipbox.formats.access_code import AccessCode, Secrets
from tipbox.formats.base.limits import CAPSULE, CAPSULE_PLACES, MAX_LETTER
from tipbox.formats.base.primitives import equal, sha256
from tipbox.formats.envelopes.capsule import Capsule, Opening
from tipbox.formats.envelopes.envelope import Sealed
from tipbox.formats.envelopes.header import OpenedSlot
from tipbox.formats.envelopes.letter import FileEntry
from tipbox.net.http import Connection, NoDraft, PartDiffers
from tipbox.source.sealing import SealedTip
from tipbox.source.upload import Differs, Placing, StoredRange, Upload, authorization

_ATTEMPTS: Final = 3
"""How often it is looked at anew when somebody else goes on with the same upload."""
_OTHERS: Final = (
    "continuing: what the server has is not of these files, which have changed, or the server lies; "
    "give it up with --give-up, and send the files anew"
)


_GONE: Final = (
    "continuing: somebody has given up these files meanwhile, or they have waited for more than 14 days; "
    "send them anew with your code, --passphrase-file"
)


class FinishedElsewhere(Exception):
    """Another program or browser has gone on with the same upload and finished it: all of it is stored.

    Its parts may be of other sessions than this one's, so neither id nor check digits are known here.
    """


@contextmanager
def noticing_others(upload: Upload) -> Iterator[None]:
    """Find out what became of an upload that is no longer open: whoever has the access code can go on with it.

    Raises:
        FinishedElsewhere: it has arrived.
        NoDraft: it was given up, or has expired.
    """
    try:
        yield
    except NoDraft as error:
        if not upload.is_continuable:
            raise
        if upload.is_stored():
            raise FinishedElsewhere from error
        raise NoDraft(_GONE) from error


@dataclass(frozen=True)
class Found:
    """An upload that an access code continues."""

    place_token: bytes = field(repr=False)
    capsule: Capsule = field(repr=False)
    opening: Opening = field(repr=False)

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """The files that it is of."""
        return self.opening.letter.files

    def matched(self, chosen: Sequence[Attachment]) -> list[Attachment | None]:
        """For each of ``files`` the one that it is: by name and size, else by size alone; None for none."""
        left = list(chosen)

        def take(size: int, name: str = "") -> Attachment | None:
            for place, attachment in enumerate(left):
                if attachment.entry.size == size and name in ("", attachment.entry.name):
                    return left.pop(place)
            return None

        named = [take(file.size, file.name) for file in self.files]
        return [found or take(file.size) for found, file in zip(named, self.files, strict=True)]

    def tip(self, code: AccessCode, files: Sequence[Attachment], names: Mapping[bytes, str]) -> SealedTip:
        """What its first session had sealed, with ``files`` in the order of its own; ``names`` by ids."""
        secrets, header = code.secrets(), self.opening.header
        slots = tuple(
            None
            if seal_secret is None
            else OpenedSlot(
                self.capsule.content_key,
                secrets.pair_key(slot.organisation),
                secrets.mailbox_address(slot.organisation),
                seal_secret,
            )
            for slot, seal_secret in zip(header.slots, self.capsule.seal_secrets, strict=False)
        )
        slots += (None,) * (len(header.slots) - len(slots))
        chosen = [
            (names.get(slot.organisation, slot.organisation.hex()), slot.organisation)
            for slot, opened in zip(header.slots, slots, strict=True)
            if opened is not None
        ]
        sealed = Sealed(header, self.opening.sealed_letter, self.opening.letter.body_key, slots)
        return SealedTip(sealed, code, files, chosen)


def placing_of(tip: SealedTip) -> Placing:
    """Makes what lies beside uploads of a tip, so that its access code continues them."""
    secrets = tip.access_code.secrets()
    made: dict[bytes, bytes] = {}

    def placed(token: bytes, number: int) -> bytes:
        if token not in made:  # sealed once, wherever it lies
            made[token] = Capsule.of(tip.sealed, token).seal(secrets.resume)
        return sha256(secrets.place_token(number)) + made[token]

    return placed


def find_uploads(connection: Connection, secrets: Secrets) -> tuple[list[Found], int]:
    """The uploads that an access code continues, and how many were refused: the server gave back something else.

    Raises:
        NetworkFailed: an answer makes no sense.
    """
    tokens = [secrets.place_token(number) for number in range(CAPSULE_PLACES)]
    asked = b"".join(tokens)
    answer = connection.retry(lambda _: connection.request("POST", "/api/capsule", asked))
    if len(answer) != CAPSULE_PLACES * CAPSULE:
        raise NetworkFailed("continuing: an answer that makes no sense; is this the address of a tipbox?")
    found, refused = [], 0
    for number, token in enumerate(tokens):
        sealed = answer[number * CAPSULE : (number + 1) * CAPSULE]
        try:
            capsule = Capsule.open(secrets.resume, sealed)
        except FORMAT_ERRORS:  # there is none, or it is random or another's
            continue
        try:
            found.append(Found(token, capsule, capsule.check(_opening(connection, capsule))))
        except NoDraft:  # it has just ended
            continue
        except FORMAT_ERRORS:
            refused += 1
    return found, refused


def _opening(connection: Connection, capsule: Capsule) -> bytes:
    headers = authorization(capsule.token)
    return connection.retry(
        lambda _: connection.request("GET", "/api/envelope/opening", headers=headers, most=2 * MAX_LETTER)
    )


def give_up(connection: Connection, found: Found) -> None:
    """Have the server forget an upload; one that it knows no longer is as good."""
    headers = authorization(found.capsule.token) | {"Content-Type": "application/octet-stream"}
    with suppress(NoDraft):
        connection.retry(
            lambda _: connection.request("POST", "/api/envelope/give-up", found.place_token, headers=headers)
        )


def go_on(upload: Upload, tip: SealedTip, progress: Callable[[int], None] = lambda _: None) -> None:
    """Send what is missing of an upload; it is stored when this returns.

    Raises:
        Differs: what is there is not of these files. Nothing was sent.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        ranges = upload.named_ranges(tip.sealed.header.parts)
        known = _compared(tip, ranges)
        gaps = gaps_of(ranges, tip.sealed.header.parts)
        if attempt == 1:
            progress(sum(tip.sealed.header.part_size(number) for number in known))
        try:
            with closing(tip.missing_parts(gaps, known)) as parts:
                upload.send_missing(parts, gaps, progress)
                next(parts, None)  # to its end: the hashes behind the last gap, and whether a file has changed
            upload.finish(tip.end.hash, tip.end.trailer)
        except PartDiffers:  # somebody else goes on with it as well; or a server that lies
            if attempt == _ATTEMPTS:
                raise
        else:
            return


def gaps_of(ranges: Sequence[StoredRange], count: int) -> list[range]:
    """What of ``count`` parts lies in none of ``ranges``."""
    ends = [0, *(one.parts.stop for one in ranges)]
    starts = [*(one.parts.start for one in ranges), count]
    return [range(end, start) for end, start in zip(ends, starts, strict=True) if end < start]


def _compared(tip: SealedTip, ranges: Sequence[StoredRange]) -> dict[int, bytes]:
    """The hashes of the parts in these ranges, sealed again under the nonces that they name."""
    known: dict[int, bytes] = {}
    for nonce in dict.fromkeys(one.nonce for one in ranges):
        own = [one for one in ranges if one.nonce == nonce]
        wanted = {number for one in own for number in one.parts}
        known |= {number: digest for number, digest in enumerate(tip.again(nonce)) if number in wanted}
        for one in own:
            if not equal(sha256(b"".join(known[number] for number in one.parts)), one.hash):
                raise Differs(_OTHERS)
    return known
