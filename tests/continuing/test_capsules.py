"""Capsules on the server: where they lie, what is answered of them, and that none is left (protocol.md, 3.3)."""

from __future__ import annotations

import io
import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from continuing.uploads import Source, Upload, capsules_in, files_with_any, range_hash
from support.client import bearer
from support.sealed import Organisation, envelope
from support.server import Here
from support.services import new_database
from tipbox.errors import Malformed, Tampered
from tipbox.formats.base import days
from tipbox.formats.base.limits import CAPSULE, CAPSULE_PLACES, KEY_SIZE
from tipbox.formats.base.primitives import new_seed, random_bytes, sha256, xwing_public
from tipbox.formats.envelopes.capsule import Capsule
from tipbox.formats.envelopes.envelope import open_files, read_envelope
from tipbox.formats.envelopes.header import open_slot
from tipbox.formats.envelopes.seals import check_seal
from tipbox.server.backup.container import Reader
from tipbox.server.backup.create import make_backup
from tipbox.server.backup.operator_key import PublicKey
from tipbox.server.config import Quota
from tipbox.server.storage import models
from tipbox.server.storage.clock import tick
from tipbox.server.storage.disk import Disk
from tipbox.server.upkeep.prune import prune_server
from tipbox.server.upkeep.seized import report_seized
from tipbox.server.uploads import capsules, ranges
from tipbox.server.uploads.capsules import LISTED_RANGES, PLACED
from tipbox.server.uploads.quota import admit

pytestmark = pytest.mark.reads_date
REAL_CLOCK = pytest.mark.real_clock("PostgreSQL says which day it is, and is not ours to be told another")


class Line:
    """What a source asks a server that is called in place."""

    def __init__(self, server: Here) -> None:
        self.server = server

    def __call__(self, method: str, path: str, body: bytes | None = None, upload: Upload | None = None) -> Any:
        headers = bearer(upload.sent([]).token) if upload else {}
        return self.server._client.open(path, method=method, data=body, headers=headers)

    def open(self, upload: Upload, start: bytes | None = None) -> Any:
        return self("PUT", "/api/envelope", upload.start if start is None else start, upload)

    def put(self, upload: Upload, parts: list[bytes], first: int, count: int = 1) -> Any:
        run = b"".join(parts[first : first + count])
        return self("PUT", f"/api/envelope/parts/{first}", run, upload)

    def ranges(self, upload: Upload) -> Any:
        return self("GET", "/api/envelope/parts", upload=upload).json["parts"]

    def finish(self, upload: Upload, parts: list[bytes]) -> Any:
        return self("POST", "/api/envelope/finish", upload.sent(parts).end, upload)

    def capsules(self, source: Source) -> list[bytes]:
        return capsules_in(self("POST", "/api/capsule", b"".join(source.places)).data)

    def give_up(self, upload: Upload, place_token: bytes) -> Any:
        return self("POST", "/api/envelope/give-up", place_token, upload)


@pytest.fixture(name="line")
def _line(server: Here) -> Line:
    return Line(server)


@pytest.fixture(name="either", params=["sqlite", pytest.param("postgresql", marks=REAL_CLOCK)])
def _either(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, keys: Path, tmp_path: Path
) -> Iterator[Line]:
    """A server on each kind of database."""
    if request.param == "postgresql":
        monkeypatch.setenv("TIPBOX_DATABASE_URL", new_database(request.getfixturevalue("postgresql")))
    server = Here(tmp_path / "home", keys)
    yield Line(server)
    server.close()


def rows(server: Here, table: type[models.Base]) -> list[Any]:
    return server.read(lambda connection: list(connection.execute(select(table.__table__))))


def test_the_code_alone_continues_an_upload(either: Line, organisations: list[Organisation]) -> None:
    """Another program with the code and the file: finds it, goes on in another session, and a desk opens it whole."""
    source = Source()
    upload = source.seal(organisations, organisations[:2])
    upload.place = 2
    assert either.open(upload).status_code == 201
    before = upload.session()
    either.put(upload, before, 0, 2)
    either.put(upload, before, 3)

    found = either.capsules(source)
    assert [bool(capsule) for capsule in found] == [False, False, True, False]
    capsule = Capsule.open(source.secrets.resume, found[2])
    again = Upload(source, upload.sealed, capsule.token, 2)
    opening = capsule.check(either("GET", "/api/envelope/opening", upload=again).data)
    named = either.ranges(again)
    assert named == [
        [0, 2, before[0][:16].hex(), range_hash(before[:2])],
        [3, 1, before[3][:16].hex(), range_hash(before[3:4])],
    ]
    after = again.session()
    either.put(again, after, 2)
    either.put(again, after, 4)
    parts = [before[0], before[1], after[2], before[3], after[4]]
    assert len(either.ranges(again)) == 4
    assert opening.letter.files[0].name == "a.bin"
    assert either.finish(again, parts).json == {"state": "stored"}

    sent = again.sent(parts)
    reading = read_envelope(io.BytesIO(sent.whole))
    slot = open_slot(reading.header, organisations[1].id, organisations[1].find_key)
    assert b"".join(piece for _, piece in open_files(reading, opening.letter)) == source.contents
    check_seal(reading.header, organisations[1].id, slot, reading.end())


def test_after_the_end_the_code_finds_nothing(either: Line, organisations: list[Organisation]) -> None:
    source = Source()
    upload = source.seal(organisations)
    either.open(upload)
    parts = upload.session()
    either.put(upload, parts, 0, len(parts))
    either.finish(upload, parts)

    assert either.capsules(source) == [b""] * CAPSULE_PLACES
    for path in ("opening", "parts"):
        answer = either("GET", f"/api/envelope/{path}", upload=upload)
        assert (answer.status_code, answer.json["error"]) == (404, "no-draft")
    assert rows(either.server, models.Capsule) == []
    assert [row.token for row in rows(either.server, models.FinishedToken)] == [sha256(upload.token)]


@pytest.mark.parametrize("end", ["finished", "given up", "expired"])
def test_no_byte_of_a_capsule_is_left_on_the_disk(line: Line, organisations: list[Organisation], end: str) -> None:
    """Neither it nor its address, its place token, the draft token or a key: in rows, free pages, or the log."""
    source = Source()
    upload = source.seal(organisations)
    line.open(upload)
    parts = upload.session()
    line.put(upload, parts, 0, 3)
    home = line.server.home
    shown = [upload.capsule, upload.address, sha256(upload.token)]
    secret = [upload.token, source.secrets.resume, *source.places, upload.sealed.body_key]
    assert files_with_any(home, shown) != [], "the control: it is there while the upload is under way"
    assert files_with_any(home, secret) == []

    if end == "finished":
        line.put(upload, parts, 3, 2)
        line.finish(upload, parts)
    elif end == "given up":
        assert line.give_up(upload, source.places[0]).json == {"state": "gone"}
    else:
        assert prune_server(home, today=days.today() + timedelta(days=1)).drafts == 0
        for day in range(2, 15):
            gone = prune_server(home, today=days.today() + timedelta(days=day))
        assert gone.drafts == 1

    assert files_with_any(home, [upload.capsule, upload.address, *secret]) == []
    # The record that it was finished is under the token's hash, for seven days.
    assert (files_with_any(home, [sha256(upload.token)]) != []) == (end == "finished")


def test_no_draft_shows_whether_its_source_asked(line: Line, organisations: list[Organisation]) -> None:
    """Three drafts: one of a source that asked, one of another, one of a client of before. Only their bytes differ."""
    asked, unasked, before = (Source().seal(organisations) for _ in range(3))
    answers = [
        line.open(asked),
        line.open(unasked, unasked.start_unasked),
        line.open(before, before.sealed.opening),
    ]
    assert {(answer.status_code, answer.data) for answer in answers} == {(201, answers[0].data)}
    assert len(asked.start) == len(unasked.start_unasked)

    with closing(sqlite3.connect(line.server.home / "tipbox.db")) as database:
        database.row_factory = sqlite3.Row
        seen = {
            table: database.execute(f"SELECT * FROM {table} ORDER BY {by}").fetchall()  # noqa: S608 (named here)
            for table, by in (("draft", "token"), ("capsule", "draft"), ("draft_letter", "draft"))
        }
    for found in seen.values():
        assert len(found) == 3
        plain = [
            {name: len(row[name]) if isinstance(row[name], bytes) else row[name] for name in row.keys()}  # noqa: SIM118
            for row in found
        ]
        assert plain[0] == plain[1] == plain[2], "all but random bytes is equal"
    opens = []
    for upload in (asked, unasked, before):
        (sealed,) = (row["sealed"] for row in seen["capsule"] if row["draft"] == sha256(upload.token))
        assert len(set(sealed)) > 200, "random bytes, by the values that they take"
        try:
            Capsule.open(upload.source.secrets.resume, sealed)
        except Tampered:
            opens.append(False)
        else:
            opens.append(True)
    assert opens == [True, False, False]
    assert any("unfinished" in one and "3" in one for one in report_seized(line.server.home).lines())


def test_two_uploads_take_two_places(line: Line, organisations: list[Organisation]) -> None:
    """A place that is taken is refused, to another draft alone; the same opening again is the same draft."""
    source = Source()
    one, two = source.seal(organisations), source.seal(organisations)
    assert [line.open(one).status_code, line.open(one).status_code] == [201, 200]
    refused = line.open(two)
    assert (refused.status_code, refused.json["error"]) == (409, "draft-differs")
    assert len(rows(line.server, models.Draft)) == len(rows(line.server, models.Capsule)) == 1
    two.place = 1
    assert line.open(two).status_code == 201

    found = [Capsule.open(source.secrets.resume, capsule).token for capsule in line.capsules(source) if capsule]
    assert found == [one.token, two.token]


def test_another_capsule_under_one_token_is_another_upload(line: Line, organisations: list[Organisation]) -> None:
    """It is never written again."""
    upload = Source().seal(organisations)
    line.open(upload)
    again = line.open(upload, upload.start_unasked)
    assert (again.status_code, again.json["error"]) == (409, "draft-differs")
    assert [row.sealed for row in rows(line.server, models.Capsule)] == [upload.capsule]


def test_a_capsule_of_one_draft_vouches_for_no_other(line: Line, organisations: list[Organisation]) -> None:
    """A server that answers with the capsule of another upload, or another opening, is found out before it is used."""
    source = Source()
    one, two = source.seal(organisations), source.seal(organisations[:1])
    two.place = 3
    line.open(one)
    line.open(two)
    swapped = Capsule.open(source.secrets.resume, line.capsules(source)[3])
    with pytest.raises(Tampered):
        swapped.check(line("GET", "/api/envelope/opening", upload=one).data)
    with pytest.raises(Tampered):
        Capsule.open(Source().secrets.resume, one.capsule)
    assert swapped.check(line("GET", "/api/envelope/opening", upload=two).data).header == two.sealed.header


def test_a_draft_token_alone_gives_no_upload_up(line: Line, organisations: list[Organisation]) -> None:
    """Couriers of pieces have it. Nor does a place token for another draft, or any for one that nobody can continue."""
    source, other = Source(), Source()
    upload, unasked = source.seal(organisations), other.seal(organisations)
    line.open(upload)
    line.open(unasked, unasked.start_unasked)
    line.put(upload, upload.session(), 0)
    for one, place_token in (
        (upload, random_bytes(KEY_SIZE)),
        (upload, source.places[1]),
        (upload, other.places[0]),
        (unasked, other.places[0]),
        (other.seal(organisations), source.places[0]),
    ):
        refused = line.give_up(one, place_token)
        assert (refused.status_code, refused.json["error"]) == (404, "no-draft")
    assert len(rows(line.server, models.Draft)) == 2

    assert line.give_up(upload, source.places[0]).json == {"state": "gone"}
    assert [row.token for row in rows(line.server, models.Draft)] == [sha256(unasked.token)]
    assert rows(line.server, models.Run) == []
    assert list((line.server.home / "blobs").iterdir()) == []
    assert line.open(upload).status_code == 201, "its token and place can be used again"


def test_drafts_that_give_way_take_their_capsules_with_them(line: Line, organisations: list[Organisation]) -> None:
    """The rows that another upload pushes out, by the rule of the database itself."""
    line.open(Source().seal(organisations))
    tomorrow = days.today() + timedelta(days=1)
    disk = Disk.of(line.server.home, holds_bodies=True)
    line.server._store.write(
        lambda connection: admit(connection, Quota(drafts=1), disk, tick(connection, tomorrow), 70_000)
    )
    assert rows(line.server, models.Draft) == rows(line.server, models.Capsule) == []


def test_no_backup_has_a_capsule(line: Line, organisations: list[Organisation], tmp_path: Path) -> None:
    source = Source()
    upload = source.seal(organisations)
    line.open(upload)
    line.server.upload(envelope(organisations, 1000))
    seed = new_seed()
    make_backup(line.server.home, tmp_path / "backup", PublicKey(xwing_public(seed)))

    with (tmp_path / "backup").open("rb") as file:
        plain = b"".join(Reader(file, seed)._parts)
    assert b"tipbox" in plain
    for secret in (upload.capsule, upload.address, upload.token, sha256(upload.token), upload.sealed.letter):
        assert secret[:16] not in plain


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (bytes(127), 400, "malformed"),
        (b"", 411, "length-required"),
        (bytes(129), 413, "too-large"),
        (bytes(128), 200, None),
    ],
)
def test_a_request_for_capsules_has_one_size(line: Line, body: bytes, status: int, error: str | None) -> None:
    answer = line("POST", "/api/capsule", body)
    assert answer.status_code == status
    assert answer.data == bytes(CAPSULE_PLACES * CAPSULE) if error is None else answer.json["error"] == error


@pytest.mark.parametrize("size", [-1, 1, 32, PLACED - 1, PLACED + 1])
def test_an_opening_has_a_capsule_or_none(line: Line, organisations: list[Organisation], size: int) -> None:
    upload = Source().seal(organisations)
    opening = upload.sealed.opening
    answer = line.open(upload, opening[:size] if size < 0 else opening + bytes(size))
    assert (answer.status_code, answer.json["error"]) == (400, "malformed")
    text = envelope(organisations)
    answer = line("PUT", "/api/envelope", text.start + random_bytes(PLACED), upload)
    assert (answer.status_code, answer.json["error"]) == (400, "malformed"), "one without files has none"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/envelope/opening"), ("GET", "/api/envelope/parts"), ("POST", "/api/envelope/give-up")],
)
def test_who_continues_shows_a_token(line: Line, organisations: list[Organisation], method: str, path: str) -> None:
    body = bytes(KEY_SIZE) if method == "POST" else None
    assert line(method, path, body).json["error"] == "no-token"
    unknown = line(method, path, body, Source().seal(organisations))
    assert (unknown.status_code, unknown.json["error"]) == (404, "no-draft")


def test_a_client_never_seals_a_capsule_for_words(organisations: list[Organisation]) -> None:
    """Whoever reads one refuses an opening with a message: those go first, in an Envelope of their own."""
    upload = Source().seal(organisations)
    text = envelope(organisations, 10)
    capsule = Capsule.of(upload.sealed, upload.token)
    with pytest.raises(Tampered):
        capsule.check(text.opening)
    with pytest.raises(Malformed):
        Capsule.open(upload.source.secrets.resume, upload.capsule[:-1])


# --- ranges -----------------------------------------------------------------------------------------------------------

runs = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=12)


@given(runs)
def test_what_is_here_is_all_that_is_not_missing(sent: list[ranges.Range]) -> None:
    missing = [(0, 64)]
    for first, count in sent:
        _, missing = ranges.split(missing, first, count)
    here = [index for first, count in capsules.present(missing, 64) for index in range(first, first + count)]
    gone = [index for first, count in missing for index in range(first, first + count)]
    assert sorted([*here, *gone]) == [*range(64)]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=400))
def test_ranges_are_as_long_as_they_can_be_and_at_most_a_hundred(each: list[tuple[bool, int]]) -> None:
    """Each part is here or not, and of one of three sessions."""
    parts = [
        (number, bytes([session]) * 16, sha256(bytes([number % 256])))
        for number, (is_here, session) in enumerate(each)
        if is_here
    ]
    found = capsules.in_ranges(iter(parts))
    told = [one.to_json() for one in found]
    covered = [number for first, count, *_ in told for number in range(int(first), int(first) + int(count))]
    assert covered == [number for number, _, _ in parts][: len(covered)]
    assert len(told) == LISTED_RANGES or len(covered) == len(parts)
    by_number = {number: (nonce, digest) for number, nonce, digest in parts}
    for first, count, nonce, digest in told:
        span = [by_number[number] for number in range(int(first), int(first) + int(count))]
        assert {one.hex() for one, _ in span} == {nonce}
        assert sha256(b"".join(one for _, one in span)).hex() == digest
    for one, other in itertools.pairwise(found):
        assert one.end < other.first or one.nonce != other.nonce
