"""The transactions of an upload: open, add a run, look, commit (docs/protocol.md, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from itertools import chain
from typing import Any, Final, cast

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    LargeBinary,
    bindparam,
    delete,
    exists,
    insert,
    literal,
    null,
    select,
    update,
)

from tipbox.formats.base import padding
from tipbox.formats.base.limits import ENVELOPE_PART_SIZE, HASH_SIZE, MAX_RUN_PARTS, SESSION_NONCE_SIZE
from tipbox.formats.base.primitives import sha256
from tipbox.formats.envelopes.header import Header
from tipbox.formats.envelopes.seals import End, EnvelopeHash, envelope_id
from tipbox.server.config import Quota
from tipbox.server.refusal import Refusal
from tipbox.server.storage import envelope_rows
from tipbox.server.storage.clock import Clock, tick
from tipbox.server.storage.disk import Disk
from tipbox.server.storage.envelope_rows import EnvelopeRow
from tipbox.server.storage.executors import Outcome
from tipbox.server.storage.models import HASH, Draft, DraftLetter, FinishedToken, Organisation, Run
from tipbox.server.storage.transactions import PartialWrite, let_go
from tipbox.server.uploads import capsules, ranges
from tipbox.server.uploads.quota import admit, count_in_day, must_be_above_floor
from tipbox.server.uploads.ranges import Range

LISTED_RANGES: Final = 100
"""Of one answer; a source asks again once these have come."""
LISTED_PARTS: Final = 1024
"""Of one answer that names what is stored of an upload: two milliseconds of the one thread that asks the database."""
MOST_GAPS: Final = 1000
"""Ranges that are missing of a draft: each request reads all of them, and one that brings parts writes them. Clients
send the lowest parts first, so they make a few; more are a hole before each part."""
FINISHED_DAYS: Final = 7

# Statements that every upload runs, built once: building one costs more than running it.
_TOKEN: Final = bindparam("token", type_=HASH)
# One statement for both tables, because every request begins with it; -1: the Envelope is stored.
_FIND: Final = (
    select(Draft.body_size, Draft.missing)
    .where(Draft.token == _TOKEN)
    .union_all(select(literal(-1, BigInteger), null()).where(exists().where(FinishedToken.token == _TOKEN)))
)
_TOKENS: Final = bindparam("tokens", type_=HASH, expanding=True)
_BEGUN: Final = (
    select(Draft.token)
    .where(Draft.token.in_(_TOKENS))
    .union_all(select(FinishedToken.token).where(FinishedToken.token.in_(_TOKENS)))
)
_INSERT_FINISHED: Final = insert(FinishedToken)
_INSERT_DRAFT: Final = insert(Draft)
_INSERT_LETTER: Final = insert(DraftLetter)
_INSERT_RUN: Final = insert(Run)
_NOTE_RECEIVED: Final = (
    update(Draft)
    .where(Draft.token == bindparam("draft", type_=HASH))
    .values(missing=bindparam("left"), received=bindparam("size"))
)
_NOTE_RECEIVED_AS_SEEN: Final = _NOTE_RECEIVED.where(
    Draft.missing == bindparam("seen", type_=LargeBinary()), Draft.body_size == bindparam("whole", type_=BigInteger())
)
_AS_THEY_ARE: Final = select(Draft.token, Draft.missing, Draft.body_size).where(Draft.token.in_(_TOKENS))
_OVERLAPPING: Final = select(Run.first, Run.count, Run.hashes).where(
    Run.draft == _TOKEN, Run.first > bindparam("after", type_=Integer()), Run.first < bindparam("end", type_=Integer())
)


@dataclass(frozen=True)
class State:
    """What the server has of an Envelope: all of it, or all except the missing parts."""

    stored: bool
    missing: Sequence[Range] = ()

    def to_json(self) -> dict[str, Any]:
        """As the protocol spells it."""
        if self.stored:
            return {"state": "stored"}
        return {"state": "open", "missing": [list(gap) for gap in self.missing[:LISTED_RANGES]]}


STORED: Final = State(stored=True)


@dataclass(frozen=True)
class Change:
    """What a request did to an upload.

    Attributes:
        state: of the Envelope, now.
        used: whether what the request brought was new and is kept; otherwise it can be dropped.
        still_new: of a run that was not used: the parts in its blob that are missing still. Others of them came while
            the run came; it is used once its blob has these alone.
        old_blobs: of drafts that gave way to this one; nothing names them any more.
    """

    state: State
    used: bool
    still_new: Sequence[Range] = ()
    old_blobs: Sequence[str] = ()


@dataclass(frozen=True)
class Commit:
    """The end of a draft: whether the merged blob is used, and the blobs of its runs, which nothing names any more."""

    used: bool
    old_blobs: Sequence[str] = ()


@dataclass(frozen=True)
class Opening:
    """A header and letter as they came, to be opened under a token (by its SHA-256).

    ``trailer``: of an Envelope without a body, which comes whole; empty otherwise. ``placed``: place address ‖ capsule
    of one with a body; empty when its client sent none.
    """

    token: bytes
    header: Header
    letter: bytes = field(repr=False)
    trailer: bytes = field(default=b"", repr=False)
    placed: bytes = field(default=b"", repr=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 of all that was sent."""
        return sha256(self.header.encoded, self.letter, self.trailer, self.placed)


@dataclass(frozen=True)
class PartsReceived:
    """Parts of one run: SHA-256 and session nonce (16 bytes) of each.

    ``written``: which of them lie in the run's blob, one behind the other; None: all.
    """

    hashes: list[bytes] = field(default_factory=list)
    nonces: list[bytes] = field(default_factory=list)
    written: list[Range] | None = None


@dataclass(frozen=True)
class AdmissionTerms:
    """On what terms an upload is opened.

    ``known``: organisation ids seen so far; they are never taken back. ``effort``: the class of what was paid.
    """

    quota: Quota
    disk: Disk
    known: set[bytes]
    effort: int = 0


@dataclass(frozen=True)
class DraftView:
    """A draft as its row says."""

    token: bytes
    body_size: int
    missing: list[Range]

    @property
    def parts(self) -> int:
        """How many parts the body has."""
        return padding.parts(self.body_size)


def find(connection: Connection, token: bytes) -> DraftView | None:
    """The draft of a token; None when its Envelope is stored already.

    Raises:
        Refusal: ``no-draft``.
    """
    row = connection.execute(_FIND, {"token": token}).one_or_none()
    if row is None:
        raise Refusal("no-draft")
    return None if row[0] < 0 else DraftView(token, row[0], ranges.unpack(row[1]))


def state_of(draft: DraftView | None) -> State:
    """The answer for a draft that was looked for."""
    return STORED if draft is None else State(stored=False, missing=draft.missing)


def open_draft(connection: Connection, opening: Opening, today: date, terms: AdmissionTerms) -> Change:
    """Open a draft, or store an Envelope without a body at once.

    Raises:
        Refusal: ``draft-differs``, ``unknown-organisation``, ``full``.
    """
    try:
        draft = find(connection, opening.token)
    except Refusal:
        return _open_new(connection, opening, today, terms)
    if draft is not None:
        digest = connection.execute(select(Draft.digest).where(Draft.token == opening.token)).scalar_one()
        # A token is for one Envelope: parts of two must never meet.
        if digest != opening.digest:
            raise Refusal("draft-differs")
    return Change(state_of(draft), used=False)


@dataclass(frozen=True)
class Asked:
    """What ``open_draft`` is asked for, of an Envelope without a body."""

    opening: Opening
    today: date
    terms: AdmissionTerms


def open_texts(connection: Connection, asked: Sequence[Asked]) -> list[Outcome]:
    """``open_draft`` for several Envelopes without a body: those that are new share their statements.

    Outcomes: a Change, or the Refusal of ``open_draft``.
    """
    outcomes: dict[int, Outcome] = {}
    # Of two under one token, the second finds the first.
    places = {one.opening.token: place for place, one in reversed(list(enumerate(asked)))}
    for token in _begun(connection, places.keys()):
        del places[token]
    for day in sorted({asked[place].today for place in places.values()}):
        those = [place for place in places.values() if asked[place].today == day]
        done = _store_texts(connection, [asked[place] for place in those], tick(connection, day))
        outcomes |= dict(zip(those, done, strict=True))
    for place, one in enumerate(asked):
        if place not in outcomes:
            outcomes[place] = _outcome(partial(open_draft, connection, one.opening, one.today, one.terms))
    return [outcomes[place] for place in range(len(asked))]


def _outcome(work: Callable[[], Any]) -> Outcome:
    try:
        return work(), None
    except Refusal as error:
        return None, error


def _begun(connection: Connection, tokens: Collection[bytes]) -> set[bytes]:
    """Which of these tokens have opened an upload."""
    if len(tokens) == 1:
        return {token for token in tokens if connection.execute(_FIND, {"token": token}).first() is not None}
    return set(connection.execute(_BEGUN, {"tokens": list(tokens)}).scalars())


def _store_texts(connection: Connection, asked: Sequence[Asked], clock: Clock) -> list[Outcome]:
    """Store Envelopes without a body, each under a token that is new."""
    outcomes = [_outcome(partial(_must_be_let_in, connection, one)) for one in asked]
    taken = [one for one, (_, error) in zip(asked, outcomes, strict=True) if error is None]
    if taken:
        rows = {row.end.id: row for row in (_text_row(one, clock) for one in taken)}
        # Each new token leaves a row: it is counted, whatever it brings.
        count_in_day(connection, clock, [one.opening.header.letter_size for one in taken])
        # One that came before under another token is not stored twice, and the answer does not show it.
        if new := rows.keys() - envelope_rows.known(connection, rows.keys()):
            envelope_rows.store(connection, *(rows[ident] for ident in new))
        _note_finished(connection, clock, *sorted(one.opening.token for one in taken))  # not as they came
    return outcomes


def _must_be_let_in(connection: Connection, one: Asked) -> Change:
    """Refusal ``unknown-organisation`` or ``full``, before anything is written."""
    check_organisations(connection, one.opening.header, one.terms.known)
    must_be_above_floor(one.terms.disk)
    return Change(STORED, used=True)


def _text_row(one: Asked, clock: Clock) -> EnvelopeRow:
    opening = one.opening
    digest = EnvelopeHash(opening.header.encoded, opening.letter).digest()
    end = End(digest, opening.trailer, envelope_id(digest, opening.trailer))
    effort = one.terms.effort
    return EnvelopeRow(end, clock.today, clock.days_seen, opening.header, opening.letter, None, effort=effort)


def _open_new(connection: Connection, opening: Opening, today: date, terms: AdmissionTerms) -> Change:
    header = opening.header
    if not header.body_size:
        one = Asked(opening, today, terms)
        _must_be_let_in(connection, one)
        ((change, _),) = _store_texts(connection, [one], tick(connection, today))
        return cast("Change", change)
    check_organisations(connection, header, terms.known)
    clock = tick(connection, today)
    gone = admit(connection, terms.quota, terms.disk, clock, header.body_size, letter_size=header.letter_size)
    missing = [(0, header.parts)]
    connection.execute(
        _INSERT_DRAFT,
        {
            "token": opening.token,
            "day": clock.today,
            "seen_day": clock.days_seen,
            "body_size": header.body_size,
            "received": 0,
            "digest": opening.digest,
            "missing": ranges.pack(missing),
            "effort": terms.effort,
        },
    )
    connection.execute(_INSERT_LETTER, {"draft": opening.token, "header": header.encoded, "letter": opening.letter})
    capsules.keep(connection, opening.token, opening.placed)
    return Change(State(stored=False, missing=missing), used=True, old_blobs=gone)


def check_organisations(connection: Connection, header: Header, known: set[bytes]) -> None:
    """Refusal ``unknown-organisation`` when a slot is for one that is not here; ``known``: ids that were seen."""
    addressed = {slot.organisation for slot in header.slots}
    if not addressed <= known:
        # Asked only for an id that was not seen: organisations come, and never go.
        known.update(connection.execute(select(Organisation.id)).scalars())
    if not addressed <= known:
        raise Refusal("unknown-organisation")


def must_be_few(before: Sequence[Range], missing: Sequence[Range]) -> None:
    """Refusal ``malformed`` when a run would leave more gaps than a draft may have."""
    if _are_many(before, missing):
        raise Refusal(
            "malformed", "These parts lie apart from all others; send the lowest ones that are missing first."
        )


def _are_many(before: Sequence[Range], missing: Sequence[Range]) -> bool:
    return len(missing) > max(MOST_GAPS, len(before))


@dataclass(frozen=True)
class RunReceived:
    """What ``add_runs`` is asked for: a run of a draft, as it was before its parts came, and their durable blob."""

    seen: DraftView
    first: int
    parts: PartsReceived
    blob: str


def add_runs(connection: Connection, asked: Sequence[RunReceived]) -> list[Outcome]:
    """``add_run`` for several: those whose drafts are still as they were seen share their statements.

    Outcomes: a Change, or the Refusal of ``add_run``.
    """
    # Of two of one draft, the second finds it changed by the first.
    places = {one.seen.token: place for place, one in reversed(list(enumerate(asked)))}
    left = {place: _left(asked[place].seen, asked[place].first, asked[place].parts) for place in places.values()}
    simple = {place: missing for place, missing in left.items() if missing is not None}
    outcomes: dict[int, Outcome] = {}
    if len(simple) > 1:
        # Nobody else writes meanwhile. One that is not as it was seen must not undo what the others share: whoever
        # likes can make such ones.
        found = connection.execute(_AS_THEY_ARE, {"tokens": [asked[place].seen.token for place in simple]})
        are = {token: (missing, size) for token, missing, size in found}
        simple = {place: missing for place, missing in simple.items() if _is_as_seen(asked[place].seen, are)}
    if len(simple) > 1:
        noted = [_noted(asked[place].seen, missing) for place, missing in simple.items()]
        if connection.execute(_NOTE_RECEIVED_AS_SEEN, noted).rowcount != len(noted):
            raise PartialWrite  # never, as long as one writes at a time
        rows = [_run_rows(one.seen.token, one.first, one.parts, one.blob) for one in (asked[place] for place in simple)]
        connection.execute(_INSERT_RUN, list(chain.from_iterable(rows)))
        outcomes = {place: (_open_with(missing), None) for place, missing in simple.items()}
    for place, one in enumerate(asked):
        if place not in outcomes:
            outcomes[place] = _outcome(
                partial(add_run, connection, one.seen.token, one.first, one.parts, one.blob, seen=one.seen)
            )
    return [outcomes[place] for place in range(len(asked))]


def _is_as_seen(seen: DraftView, are: Mapping[bytes, tuple[bytes, int]]) -> bool:
    return are.get(seen.token) == (ranges.pack(seen.missing), seen.body_size)


def add_run(
    connection: Connection, token: bytes, first: int, parts: PartsReceived, blob: str, *, seen: DraftView | None = None
) -> Change:
    """Note the parts of a durable blob, if all of them are new: what a blob holds is what its rows count.

    Args:
        connection: the transaction.
        token: SHA-256 of the draft token.
        first: index of the run's first part.
        parts: its parts.
        blob: the name of the blob that has those that were missing when they came.
        seen: the draft as it was before they came; where it still is, and all of them were missing, that is noted at
            once, for every other writer waits meanwhile.

    Raises:
        Refusal: ``no-draft``; ``part-differs`` when one of them came with other bytes before; ``malformed``: it would
            leave too many gaps.
    """
    if seen is not None and (left := _note_as_seen(connection, seen, first, parts)) is not None:
        _insert_runs(connection, token, first, parts, blob)
        return _open_with(left)
    draft = find(connection, token)
    if draft is None:
        return Change(STORED, used=False)
    written = [(first, len(parts.hashes))] if parts.written is None else parts.written
    _compare(connection, token, first, parts.hashes)
    added, missing = ranges.common(draft.missing, written)
    if not added or added != written:
        return Change(state_of(draft), used=False, still_new=added)
    must_be_few(draft.missing, missing)
    received = _received(draft.body_size, missing)
    connection.execute(_NOTE_RECEIVED, {"draft": token, "left": ranges.pack(missing), "size": received})
    _insert_runs(connection, token, first, parts, blob)
    return _open_with(missing)


def _open_with(missing: Sequence[Range]) -> Change:
    return Change(State(stored=False, missing=missing), used=True)


def _left(seen: DraftView, first: int, parts: PartsReceived) -> Sequence[Range] | None:
    """What is missing of a draft once it has these parts; None where that is not so simple."""
    run = [(first, len(parts.hashes))]
    added, missing = ranges.common(seen.missing, run)
    is_simple = added == run and parts.written in (None, run) and not _are_many(seen.missing, missing)
    return missing if is_simple else None


def _note_as_seen(connection: Connection, seen: DraftView, first: int, parts: PartsReceived) -> Sequence[Range] | None:
    """Note that these parts are here, and give what is missing then; None where that is not so simple."""
    left = _left(seen, first, parts)
    if left is None:
        return None
    # Where the same parts are missing, none of these has a row to be compared with, whatever came and went since.
    return left if connection.execute(_NOTE_RECEIVED_AS_SEEN, _noted(seen, left)).rowcount == 1 else None


def _noted(seen: DraftView, missing: Sequence[Range]) -> dict[str, Any]:
    return {
        "draft": seen.token,
        "seen": ranges.pack(seen.missing),
        "whole": seen.body_size,
        "left": ranges.pack(missing),
        "size": _received(seen.body_size, missing),
    }


def _insert_runs(connection: Connection, token: bytes, first: int, parts: PartsReceived, blob: str) -> None:
    for row in _run_rows(token, first, parts, blob):
        connection.execute(_INSERT_RUN, row)


def _run_rows(token: bytes, first: int, parts: PartsReceived, blob: str) -> Iterator[dict[str, Any]]:
    """A row for each range of the parts that ``blob`` has."""
    hashes, nonces = parts.hashes, parts.nonces
    written = [(first, len(hashes))] if parts.written is None else parts.written
    skip = 0
    for start, size in written:
        at = start - first
        yield {
            "draft": token,
            "first": start,
            "count": size,
            "skip": skip,
            "blob": blob,
            "hashes": b"".join(hashes[at : at + size]),
            "nonces": b"".join(nonces[at : at + size]),
        }
        skip += size * ENVELOPE_PART_SIZE


def note_ending(connection: Connection, token: bytes, ending: bytes) -> None:
    """Keep how an upload ends until all of its parts are here. What was said last counts."""
    connection.execute(update(Draft).where(Draft.token == token).values(ending=ending))


def find_with_ending(connection: Connection, token: bytes) -> tuple[DraftView | None, bytes | None]:
    """As ``find``, and how the upload ends, where that is known by now."""
    ending = connection.execute(select(Draft.ending).where(Draft.token == token)).scalar_one_or_none()
    return find(connection, token), ending


def _received(body_size: int, missing: Sequence[Range]) -> int:
    to_come = sum(run_size(body_size, first, count) for first, count in missing)
    return padding.sealed_body_size(body_size) - to_come


def run_size(body_size: int, first: int, count: int) -> int:
    """Sealed bytes of ``count`` parts from ``first`` on."""
    last = padding.sealed_body_part_size(body_size, first + count - 1)
    return (count - 1) * ENVELOPE_PART_SIZE + last


def stored_parts(connection: Connection, token: bytes, first: int) -> bytes:
    """Session nonce ‖ SHA-256 of each part from ``first`` on, zeros for one that is missing; at most LISTED_PARTS.

    Raises:
        Refusal: ``no-draft``, also when it is stored: then nothing is left to compare.
    """
    draft = find(connection, token)
    if draft is None:
        raise Refusal("no-draft")
    end = min(draft.parts, first + LISTED_PARTS)
    size = SESSION_NONCE_SIZE + HASH_SIZE
    listed = bytearray(size * max(0, end - first))
    rows = connection.execute(
        select(Run.first, Run.count, Run.nonces, Run.hashes).where(
            Run.draft == token, Run.first > first - MAX_RUN_PARTS, Run.first < end
        )
    )
    for start, count, nonces, hashes in rows:
        for index in range(max(start, first), min(start + count, end)):
            at, place = index - start, (index - first) * size
            listed[place : place + size] = (
                nonces[at * SESSION_NONCE_SIZE : (at + 1) * SESSION_NONCE_SIZE]
                + hashes[at * HASH_SIZE : (at + 1) * HASH_SIZE]
            )
    return bytes(listed)


def opening_of(connection: Connection, token: bytes) -> bytes:
    """Header ‖ letter of a draft, as they came; Refusal ``no-draft``, also when it is stored."""
    row = connection.execute(select(DraftLetter.header, DraftLetter.letter).where(DraftLetter.draft == token))
    found = row.one_or_none()
    if found is None:
        raise Refusal("no-draft")
    return bytes(found.header + found.letter)


def give_up(connection: Connection, token: bytes, place_token: bytes) -> list[str]:
    """Forget a draft; the blobs to delete once committed.

    Raises:
        Refusal: ``no-draft``, also when its capsule lies at another place than that of ``place_token``: a draft token
            alone, which couriers have, takes no draft away.
    """
    capsules.must_lie_at(connection, token, place_token)
    return delete_draft(connection, token)


def _compare(connection: Connection, token: bytes, first: int, hashes: Sequence[bytes]) -> None:
    end = first + len(hashes)
    # A run that begins further before this one has ended before it.
    overlapping = connection.execute(_OVERLAPPING, {"token": token, "after": first - MAX_RUN_PARTS, "end": end})
    for start, count, known in overlapping:
        for index in range(max(start, first), min(start + count, end)):
            at = (index - start) * HASH_SIZE
            if known[at : at + HASH_SIZE] != hashes[index - first]:
                raise Refusal("part-differs")


@dataclass(frozen=True)
class CompleteDraft:
    """Everything that merging a draft needs."""

    header: Header
    letter: bytes = field(repr=False)
    runs: Sequence[tuple[int, int, int, str, bytes]] = field(repr=False)
    """(first, count, skip, blob, hashes), in order."""


def gather(connection: Connection, token: bytes) -> CompleteDraft | None:
    """A draft that has all of its parts; None when its Envelope is stored already.

    Raises:
        Refusal: ``no-draft``; ``incomplete`` with the state.
    """
    draft = find(connection, token)
    if draft is None:
        return None
    if draft.missing:
        raise Refusal("incomplete", state=state_of(draft).to_json())
    header, letter = connection.execute(
        select(DraftLetter.header, DraftLetter.letter).where(DraftLetter.draft == token)
    ).one()
    rows = connection.execute(
        select(Run.first, Run.count, Run.skip, Run.blob, Run.hashes).where(Run.draft == token).order_by(Run.first)
    ).all()
    return CompleteDraft(Header.parse(header), letter, [(row[0], row[1], row[2], row[3], row[4]) for row in rows])


def drop_run(connection: Connection, token: bytes, first: int) -> State:
    """Forget a run whose blob is damaged, so that its parts are asked for again."""
    draft = find(connection, token)
    if draft is None:
        return STORED
    run = connection.execute(select(Run.count, Run.blob).where(Run.draft == token, Run.first == first)).one_or_none()
    if run is None:
        return state_of(draft)
    count, blob = run
    missing = sorted([*draft.missing, (first, count)])
    connection.execute(delete(Run).where(Run.draft == token, Run.first == first))
    if connection.execute(select(Run.first).where(Run.blob == blob).limit(1)).first() is None:
        let_go(connection, [blob])
    connection.execute(
        update(Draft)
        .where(Draft.token == token)
        .values(missing=ranges.pack(missing), received=_received(draft.body_size, missing))
    )
    return State(stored=False, missing=missing)


def commit(connection: Connection, token: bytes, envelope: End, blob: str, today: date) -> Commit:
    """Store a merged draft's Envelope once and end the draft."""
    if find(connection, token) is None:
        return Commit(used=False)
    clock = tick(connection, today)
    header, letter, effort = connection.execute(
        select(DraftLetter.header, DraftLetter.letter, Draft.effort)
        .join(Draft, Draft.token == DraftLetter.draft)
        .where(DraftLetter.draft == token)
    ).one()
    # Another upload of the same Envelope may have come first; this one's token counts as finished anyway.
    used = envelope_rows.is_new(connection, envelope.id)
    if used:
        row = EnvelopeRow(envelope, clock.today, clock.days_seen, Header.parse(header), letter, blob, effort=effort)
        envelope_rows.store(connection, row)
    _note_finished(connection, clock, token)
    return Commit(used, delete_draft(connection, token))


def delete_draft(connection: Connection, token: bytes) -> list[str]:
    """Remove a draft's rows; the blobs to delete once committed."""
    blobs = list(connection.execute(select(Run.blob).where(Run.draft == token).distinct()).scalars())
    let_go(connection, blobs)
    connection.execute(delete(Run).where(Run.draft == token))
    connection.execute(delete(DraftLetter).where(DraftLetter.draft == token))
    capsules.remove(connection, token)
    connection.execute(delete(Draft).where(Draft.token == token))
    return blobs


def _note_finished(connection: Connection, clock: Clock, *tokens: bytes) -> None:
    rows = [{"token": token, "day": clock.today, "seen_day": clock.days_seen} for token in tokens]
    connection.execute(_INSERT_FINISHED, rows[0] if len(rows) == 1 else rows)
