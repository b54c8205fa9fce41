"""`tipbox source send --later` and `source continue`: the code and the same files go on, and no nonce is used twice."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection, delete, select

from continuing.uploads import Source
from support.client import bearer
from support.commands import Done, Run
from support.sealed import Organisation, keys_folder
from support.server import Here
from tipbox.errors import NetworkFailed, TipboxError
from tipbox.files.attachments import measure
from tipbox.formats import access_code
from tipbox.formats.access_code import AccessCode
from tipbox.formats.base import days
from tipbox.formats.base.limits import ENVELOPE_PART_SIZE, SESSION_NONCE_SIZE
from tipbox.formats.base.padding import padme, parts
from tipbox.formats.envelopes.header import Header, header_size, open_slot
from tipbox.formats.envelopes.letter import Letter, open_letter
from tipbox.net import http
from tipbox.server.storage import models
from tipbox.source.continuing import find_uploads, give_up, go_on
from tipbox.source.recipients import Addressees
from tipbox.source.sealing import seal_tip
from tipbox.source.send import send_tip
from tipbox.source.upload import PLACED, Differs, StoredRange, Upload

pytestmark = pytest.mark.reads_date
URL = "http://127.0.0.1:1"
SIZE = 1_200_003
PARTS = parts(padme(SIZE))
_TABLES = (
    *(models.Run, models.DraftLetter, models.Capsule, models.Draft),
    *(models.FinishedToken, models.Slot, models.Envelope),
)
TEXT = "Завтра пришлю остальное"


class Line(httpx.BaseTransport):
    """Everything that a source sends, to a server that is called in place; `cut` says what does not come through."""

    def __init__(self, server: Here) -> None:
        self._server = httpx.WSGITransport(app=server._client.application)
        self.sent: list[tuple[str, str, bytes]] = []
        self.cut: Callable[[int], bool] = lambda _: False
        """Of the number of the first part of a request."""
        self.before: Callable[[], None] | None = None
        """What happens before the next parts arrive."""
        self.answer: Callable[[str, bytes], bytes] = lambda _, body: body
        """What a server that lies makes of its answer at a path."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        path = request.url.path
        if request.method == "PUT" and "/parts/" in path:
            if self.cut(int(path.rpartition("/")[2])):
                raise httpx.ReadError("cut")
            if self.before is not None:
                before, self.before = self.before, None
                before()
        self.sent.append((request.method, path, body))
        answer = self._server.handle_request(request)
        return httpx.Response(answer.status_code, stream=httpx.ByteStream(self.answer(path, answer.read())))

    @property
    def openings(self) -> list[bytes]:
        """What opened uploads."""
        return [body for method, path, body in self.sent if (method, path) == ("PUT", "/api/envelope")]

    def parts(self) -> dict[int, list[bytes]]:
        """All parts that were sent, by their numbers."""
        found = defaultdict(list)
        for method, path, body in self.sent:
            if method == "PUT" and "/parts/" in path:
                first = int(path.rpartition("/")[2])
                for number, at in enumerate(range(0, len(body), ENVELOPE_PART_SIZE), first):
                    found[number].append(body[at : at + ENVELOPE_PART_SIZE])
        return dict(found)

    def check_nonces(self) -> None:
        """No part was sealed twice under one nonce with different contents: all that was ever sent is looked at."""
        seen: dict[tuple[int, bytes], bytes] = {}
        for number, sealed in self.parts().items():
            for part in sealed:
                assert seen.setdefault((number, part[:SESSION_NONCE_SIZE]), part) == part


@pytest.fixture(name="here", scope="module")
def _here(organisations: list[Organisation], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    folder = tmp_path_factory.mktemp("going-on")
    here = Here(folder / "home", keys_folder(folder / "keys", organisations))
    yield here
    here.close()


@pytest.fixture(name="server")
def _server(here: Here) -> Here:
    """A server that holds nothing."""

    def empty(connection: Connection) -> None:
        for table in _TABLES:
            connection.execute(delete(table))

    here._store.write(empty)
    return here


@pytest.fixture(name="line")
def _line(server: Here, monkeypatch: pytest.MonkeyPatch) -> Line:
    line = Line(server)
    monkeypatch.setattr(http, "transport", lambda *_, **__: line)
    assert http.Connection.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(http.Connection.__init__.__kwdefaults__, "retry_seconds", 0.0)
    monkeypatch.setattr(http, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(access_code, "_ROUNDS", 1)  # what it costs to guess a code is tested elsewhere
    return line


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    path = tmp_path / "запись.mp4"
    path.write_bytes(random.Random(12).randbytes(SIZE))
    return path


class Teller:
    """Somebody with a terminal, who wrote the code down."""

    def __init__(self, run: Run, server: Here, folder: Path) -> None:
        self._run = run
        self._keys = ("--keys", server.keys)
        self.code = folder / "code"
        self.message = folder / "message"

    def send(self, text: str, *files: Path, more: tuple[object, ...] = ()) -> Done:
        self.message.write_text(text, encoding="utf-8")
        done = self._run(
            "source", "send", URL, *self._keys, "--message-file", self.message, "--later", *more, *files, "--json"
        )
        if found := re.search(r"Code \(write it down now\): ([\d ]+)", done.err):
            self.code.write_text(found[1])
            self.code.chmod(0o600)
        return done

    @property
    def access_code(self) -> AccessCode:
        return AccessCode.parse(self.code.read_text())

    def go_on(self, *files: Path | str) -> Done:
        return self._run("source", "continue", URL, *self._keys, "--passphrase-file", self.code, *files, "--json")


@pytest.fixture(name="teller")
def _teller(run: Run, server: Here, tmp_path: Path) -> Teller:
    return Teller(run, server, tmp_path)


def cut_off(teller: Teller, line: Line, *files: Path, text: str = TEXT) -> None:
    """Send files, and lose the connection for good once the first four parts are there."""
    line.cut = lambda first: first >= 4
    done = teller.send(text, *files)
    assert done.code == NetworkFailed("").exit_code
    assert "`source continue` goes on" in done.err
    line.cut = lambda _: False


def rows(server: Here, table: type[models.Base]) -> int:
    return len(server.read(lambda connection: connection.execute(select(table.__table__)).all()))


def letters(line: Line, to: Organisation) -> list[Letter]:
    """What an organisation reads in each opening that was sent."""
    found = []
    for opening in line.openings:
        header = Header.parse(opening[: header_size(opening)])
        slot = open_slot(header, to.id, to.find_key)
        sealed = opening[len(header.encoded) : header.opening_size]
        found.append(open_letter(header, slot.content_key, sealed))
    return found


def test_what_was_cut_off_goes_on_with_the_code_and_the_files(
    teller: Teller, line: Line, server: Here, organisations: list[Organisation], file: Path
) -> None:
    """Words have arrived by then; what is there is not sent again; nothing of it was on the source's machine."""
    cut_off(teller, line, file)
    assert [rows(server, table) for table in (models.Envelope, models.Draft, models.Capsule)] == [1, 1, 1]
    assert {path.name for path in file.parent.iterdir() if path.is_file()} == {"code", "message", file.name}
    first = line.parts()
    assert set(first) == set(range(4))

    done = teller.go_on(file)
    assert (done.code, done.err) == (0, "")
    assert [rows(server, table) for table in (models.Envelope, models.Draft, models.Capsule)] == [2, 0, 0]
    found = line.parts()
    assert {number: len(sealed) for number, sealed in found.items()} == dict.fromkeys(range(PARTS), 1)
    assert len({part[:SESSION_NONCE_SIZE] for (part,) in found.values()}) == 2
    line.check_nonces()
    ids = server.read(lambda connection: connection.execute(select(models.Envelope.id)).scalars().all())
    assert bytes.fromhex(done.json["tip"]) in ids
    words, files = letters(line, organisations[0])
    assert (words.message.decode(), words.files_follow) == (TEXT, 1)
    assert (files.message, len(files.continues)) == (b"", 32)
    assert teller.go_on(file).code == 5, "it has arrived"


def test_it_goes_on_as_often_as_it_is_cut_off(teller: Teller, line: Line, server: Here, file: Path) -> None:
    cut_off(teller, line, file)
    for last in (6, 9, 14):
        line.cut = lambda first, last=last: first >= last  # type: ignore[misc]
        assert teller.go_on(file).code == NetworkFailed("").exit_code
    line.cut = lambda _: False
    renamed = file.rename(file.with_name("other name.mp4"))
    assert teller.go_on(renamed).code == 0
    assert rows(server, models.Draft) == 0
    line.check_nonces()


@pytest.mark.parametrize("at", [1000, 3 * 65_536 + 5])
def test_of_a_file_that_changed_nothing_is_sent(teller: Teller, line: Line, server: Here, file: Path, at: int) -> None:
    """Nor when a server names parts that are not of it; given up, it goes anew."""
    cut_off(teller, line, file)
    with file.open("r+b") as changing:
        changing.seek(at)
        changing.write(b"\0\1\2")
    before = len(line.sent)
    done = teller.go_on(file)
    assert (done.code, done.error) == (3, "refused")
    assert "--give-up" in done.err
    assert {method for method, _, _ in line.sent[before:]} <= {"GET", "POST"}
    assert rows(server, models.Draft) == 1

    assert teller.go_on("--give-up").json == {"given_up": 1}
    assert [rows(server, table) for table in (models.Draft, models.Capsule)] == [0, 0]
    assert teller.send("", file, more=("--passphrase-file", teller.code)).code == 0
    line.check_nonces()


def test_behind_what_is_there_another_end_of_the_file_is_as_good(
    teller: Teller, line: Line, server: Here, file: Path
) -> None:
    """What was stored is compared, the rest is sealed for the first time: under a nonce of its own."""
    cut_off(teller, line, file)
    with file.open("r+b") as changing:
        changing.seek(SIZE - 10)
        changing.write(b"\0\1\2")
    assert teller.go_on(file).code == 0
    assert rows(server, models.Draft) == 0
    line.check_nonces()


def test_files_of_another_size_are_named(teller: Teller, line: Line, file: Path, tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_bytes(file.read_bytes()[:-1])
    cut_off(teller, line, file)
    done = teller.go_on(short)
    assert (done.code, done.error) == (3, "refused")
    assert f"запись.mp4 ({SIZE:,} bytes)" in json.loads(done.err)["message"]
    assert teller.go_on(short, file).code == 0


def test_a_server_that_swaps_parts_gets_nothing(teller: Teller, line: Line, file: Path) -> None:
    cut_off(teller, line, file)

    def swapped(path: str, body: bytes) -> bytes:
        if path != "/api/envelope/parts":
            return body
        named = json.loads(body)
        named["parts"][0][3] = "00" * 32
        return json.dumps(named).encode()

    line.answer = swapped
    before = len(line.sent)
    assert teller.go_on(file).error == "refused"
    assert all(method != "PUT" for method, _, _ in line.sent[before:])


@pytest.mark.parametrize("path", ["/api/envelope/opening", "/api/capsule"])
def test_a_server_that_gives_back_something_else_is_found_out(
    teller: Teller, line: Line, file: Path, path: str
) -> None:
    cut_off(teller, line, file)
    line.answer = lambda at, body: body[:-1] + bytes([body[-1] ^ 1]) if at == path else body
    done = teller.go_on(file)
    if path == "/api/capsule":  # the last of the four places, at which nothing lies
        assert done.code == 0
    else:
        assert (done.code, done.error) == (3, "refused")


def elsewhere(teller: Teller, *files: Path) -> None:
    """Another program goes on with the same upload."""
    with http.Connection(URL) as connection:
        [found], _ = find_uploads(connection, teller.access_code.secrets())
        go_on(Upload(connection, token=found.capsule.token), found.tip(teller.access_code, measure(files), {}))


def test_when_another_goes_on_with_it_at_once_it_is_looked_at_anew(
    teller: Teller, line: Line, server: Here, file: Path
) -> None:
    """The other's part is there first, by another nonce: it is compared, and the hash is over what is there."""
    cut_off(teller, line, file)

    def other() -> None:
        line.cut = lambda first: first >= 8
        with pytest.raises(NetworkFailed):
            elsewhere(teller, file)
        line.cut = lambda _: False

    line.before = other
    assert teller.go_on(file).code == 0
    assert [rows(server, table) for table in (models.Envelope, models.Draft)] == [2, 0]
    assert len({sealed[0][:SESSION_NONCE_SIZE] for sealed in line.parts().values()}) == 3
    line.check_nonces()


def at_once(line: Line, path: str, what: Callable[[], object]) -> None:
    """What happens once, right after the next answer at a path."""

    def answer(at: str, body: bytes) -> bytes:
        if at == path:
            line.answer = lambda _, same: same
            what()
        return body

    line.answer = answer


@pytest.mark.parametrize("when", ["before it looks", "while it sends"])
def test_what_another_has_finished_meanwhile_has_arrived(
    teller: Teller, line: Line, server: Here, file: Path, when: str
) -> None:
    """It is not to be sent again; and no digits are shown that are not those of what is stored."""
    cut_off(teller, line, file)
    if when == "before it looks":
        at_once(line, "/api/envelope/opening", lambda: elsewhere(teller, file))
    else:
        line.before = lambda: elsewhere(teller, file)
    done = teller.go_on(file)
    assert (done.code, done.json) == (0, {"passphrase": teller.access_code.digits(), "tip": None})
    assert "again" not in done.err
    assert [rows(server, table) for table in (models.Envelope, models.Draft, models.Capsule)] == [2, 0, 0]
    line.check_nonces()
    said = teller.go_on(file)
    assert (said.code, said.error) == (5, "not-found")


def test_what_another_has_given_up_meanwhile_is_gone(teller: Teller, line: Line, server: Here, file: Path) -> None:
    cut_off(teller, line, file)

    def other() -> None:
        with http.Connection(URL) as connection:
            [found], _ = find_uploads(connection, teller.access_code.secrets())
            give_up(connection, found)

    at_once(line, "/api/envelope/opening", other)
    done = teller.go_on(file)
    assert (done.code, done.error) == (6, "network")
    assert "given up" in done.err
    assert [rows(server, table) for table in (models.Envelope, models.Draft)] == [1, 0]


def test_who_sends_hears_that_it_was_finished_elsewhere(
    teller: Teller, line: Line, server: Here, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own connection was cut, and its source went on by another one before it was back."""
    assert http.Connection.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(http.Connection.__init__.__kwdefaults__, "retry_seconds", 60.0)
    teller.code.write_text(AccessCode.generate().digits())
    teller.code.chmod(0o600)

    def cut(first: int) -> bool:
        if first < 4:
            return False
        line.cut = lambda _: False
        elsewhere(teller, file)
        return True

    line.cut = cut
    done = teller.send("", file, more=("--passphrase-file", teller.code))
    assert (done.code, done.err) == (0, "")
    assert done.json == {"passphrase": teller.access_code.digits(), "tip": None}
    assert [rows(server, table) for table in (models.Envelope, models.Draft, models.Capsule)] == [1, 0, 0]
    line.check_nonces()


def test_an_upload_that_nobody_continues_was_not_finished_by_somebody_else(
    server: Here, line: Line, file: Path
) -> None:
    """A server that calls it stored before its end contradicts itself; it does not say that it knows no such upload."""
    line.answer = lambda path, body: b'{"state": "stored"}' if "/parts/" in path else body
    addressees = Addressees.load(server.keys, (), print)
    with http.Connection(URL) as connection:
        upload = Upload(connection)
        tip = seal_tip(addressees, b"", measure([file]), AccessCode.generate(), days.today())
        with pytest.raises(NetworkFailed, match="contradicts itself") as failed:
            send_tip(upload, tip)
    assert type(failed.value) is NetworkFailed
    assert not upload.may_be_stored


def test_no_upload_shows_whether_its_source_asked(run: Run, teller: Teller, line: Line, file: Path) -> None:
    """With --later and without as many bytes open an upload, and of the latter nobody's code opens anything."""
    assert teller.send("", file).code == 0
    teller.message.write_text("", encoding="utf-8")
    arguments = ("source", "send", URL, *teller._keys, "--message-file", teller.message, file)
    assert run(*arguments).code == 0
    asked, unasked = line.openings
    size = Header.parse(asked[: header_size(asked)]).opening_size
    assert len(asked) == len(unasked) == size + PLACED
    assert len(set(unasked[size:])) > 200


def test_a_fifth_upload_is_sent_although_it_cannot_be_continued(
    teller: Teller, line: Line, server: Here, organisations: list[Organisation], file: Path
) -> None:
    code = AccessCode.generate()
    teller.code.write_text(code.digits())
    teller.code.chmod(0o600)
    for place in range(4):
        upload = Source(code).seal(organisations)
        upload.place = place
        server._client.open("/api/envelope", method="PUT", data=upload.start, headers=bearer(upload.sent([]).token))
    assert rows(server, models.Draft) == 4
    line.cut = lambda first: first >= 4
    done = teller.send("", file, more=("--passphrase-file", teller.code))
    assert "cannot be continued" in done.err
    line.cut = lambda _: False
    assert teller.send("", file, more=("--passphrase-file", teller.code)).code == 0


def test_later_is_for_files(teller: Teller) -> None:
    assert teller.send(TEXT).code == 2
    assert teller._run("source", "continue", URL, *teller._keys, "--passphrase-file", teller.code).code == 2


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ([[0, 2, "0" * 32, "0" * 64], [1, 1, "0" * 32, "0" * 64]], Differs),
        ([[0, 0, "0" * 32, "0" * 64]], Differs),
        ([[-1, 2, "0" * 32, "0" * 64]], Differs),
        ([[5, 6, "0" * 32, "0" * 64]], Differs),
        ([[0, 10**30, "0" * 32, "0" * 64]], Differs),
        ([[number, 1, "0" * 32, "0" * 64] for number in range(100)], Differs),
        ([[0, 1, "0" * 31, "0" * 64]], NetworkFailed),
        ([[0, True, "0" * 32, "0" * 64]], NetworkFailed),
        ([[0, 1, "0" * 32]], NetworkFailed),
        (7, NetworkFailed),
    ],
)
def test_ranges_that_cannot_be_are_refused(parts: object, error: type[TipboxError]) -> None:
    with pytest.raises(error):
        StoredRange.listed(json.dumps({"parts": parts}).encode(), 10 if len(str(parts)) < 2000 else 200)
