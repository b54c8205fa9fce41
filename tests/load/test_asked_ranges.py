"""What is asked for by ranges has a bound: couriers' volumes, and the parts of an upload."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from flask.testing import FlaskClient

from support.sealed import PART, Organisation, envelope, keys_folder
from support.server import Here
from tipbox.formats.base.primitives import sha256
from tipbox.server.config import load
from tipbox.server.home import Home
from tipbox.server.storage.database import make_engine
from tipbox.server.storage.executors import InPlaceThreads
from tipbox.server.uploads import drafts
from tipbox.server.web import courier_api
from tipbox.server.web.courier_api import LEAST_RANGE, LONGEST_RANGE, create_courier_app

pytestmark = pytest.mark.reads_date

T = TypeVar("T")


@dataclass
class Alone(InPlaceThreads):
    """Notes what runs while a key is held."""

    held: list[bytes] = field(default_factory=list)
    run: list[tuple[str, list[bytes]]] = field(default_factory=list)

    def disk(self, function: Callable[..., T], *arguments: Any) -> T:
        self.run.append((getattr(function, "__name__", ""), [*self.held]))
        return function(*arguments)

    def alone(self, key: bytes) -> AbstractContextManager[object]:
        @contextmanager
        def held() -> Iterator[None]:
            self.held.append(key)
            yield
            self.held.remove(key)

        return held()


@pytest.fixture(name="here")
def _here(tmp_path: Path, organisations: list[Organisation]) -> Iterator[Here]:
    here = Here(tmp_path / "home", keys_folder(tmp_path / "keys", organisations))
    yield here
    here.close()


# --- couriers ---------------------------------------------------------------------------------------------------------


@dataclass
class Volume:
    """A volume that couriers may fetch."""

    client: FlaskClient
    threads: Alone
    path: str
    whole: bytes

    def ask(self, written: str) -> tuple[int, bytes]:
        answer = self.client.get(self.path, headers={"Range": written})
        return answer.status_code, answer.data


@pytest.fixture(name="volume")
def _volume(here: Here, organisations: list[Organisation]) -> Iterator[Volume]:
    here.upload(envelope(organisations, 3 * PART))
    home, threads = Home(here.home), Alone()
    engine = make_engine(home, load(here.home))
    client = create_courier_app(home, load(here.home), threads=threads, engine=engine).test_client()
    name = organisations[0].name
    listed = client.get(f"/courier/bundles/{name}").get_json()["volumes"]
    path = f"/courier/bundles/{name}/{listed[0]['name']}"
    yield Volume(client, threads, path, client.get(path).data)
    engine.dispose()


def test_one_range_is_given_and_no_smaller_one_than_it_is_worth(volume: Volume) -> None:
    size = len(volume.whole)
    assert size > LEAST_RANGE + 10

    assert volume.ask("bytes=10-") == (206, volume.whole[10:])
    assert volume.ask(f"bytes=10-{9 + LEAST_RANGE}") == (206, volume.whole[10 : 10 + LEAST_RANGE])
    assert volume.ask(f"bytes={size - 1}-") == (206, volume.whole[-1:])
    assert volume.ask("bytes=-5") == (206, volume.whole[-5:])
    for small in ("bytes=0-0", "bytes=1000-1063", f"bytes=10-{8 + LEAST_RANGE}"):
        assert volume.ask(small)[0] == 400, small


def test_of_many_ranges_none_is_looked_at(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def parse(size: int) -> tuple[int, int]:
        looked.append("parsed")
        return 0, size

    monkeypatch.setattr(courier_api, "_range", parse)
    volume.threads.run.clear()
    many = "bytes=" + ",".join(f"{at}-{at}" for at in range(0, 400, 2))
    for written in (many, "bytes=0-,5-", "bytes=" + "0" * LONGEST_RANGE + "-"):
        assert volume.ask(written)[0] == 400, written

    assert looked == []
    assert volume.threads.run == [], "nor anything for them"


def test_one_volume_is_looked_for_at_a_time(volume: Volume) -> None:
    """To find one means to look whether all in it is still here: tens of thousands of files, for one byte."""
    volume.threads.run.clear()
    assert volume.ask("bytes=10-")[0] == 206

    assert [held for name, held in volume.threads.run if name == "_prepared"] == [[b"volume"]]
    assert [held for name, held in volume.threads.run if name == "_block"], "it was read"
    assert not any(held for name, held in volume.threads.run if name == "_block"), "readers do not wait for each other"


# --- sources ----------------------------------------------------------------------------------------------------------


def test_a_draft_has_few_gaps(here: Here, organisations: list[Organisation], monkeypatch: pytest.MonkeyPatch) -> None:
    """All are read by each request, and written by each that brings parts: a hole before each part costs the square."""
    monkeypatch.setattr(drafts, "MOST_GAPS", 4)
    sent = envelope(organisations, 16 * PART)
    here.open(sent)
    for first in (1, 3, 5):
        here.put(sent, first)
    with pytest.raises(AssertionError, match="malformed"):
        here.put(sent, 7)

    # What lies beside others, or fills a gap, is taken as ever.
    for first in (2, 6, 0):
        here.put(sent, first)
    here.put(sent, 4)
    here.put(sent, 7, 64)
    here.call("POST", "/finish", sent.end, sent)


def test_of_requests_at_once_none_makes_more_gaps(
    here: Here, organisations: list[Organisation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafts, "MOST_GAPS", 4)
    sent = envelope(organisations, 16 * PART)
    here.open(sent)
    look = drafts.must_be_few
    monkeypatch.setattr(drafts, "must_be_few", lambda *_: None)  # as if others had come in between
    for first in (1, 3, 5):
        here.put(sent, first)
    met: list[int] = []

    def second(before: Any, missing: Any) -> None:
        met.append(len(missing))
        if len(met) > 1:
            look(before, missing)

    monkeypatch.setattr(drafts, "must_be_few", second)
    with pytest.raises(AssertionError, match="malformed"):
        here.put(sent, 9)
    assert met == [5, 5]
    assert len([*(here.home / "blobs").iterdir()]) == 3, "what was refused is not kept"


def test_an_answer_names_few_parts(here: Here, organisations: list[Organisation]) -> None:
    """One thread asks the database for all sources: a list of 4,096 parts held it for nine milliseconds."""
    sent = envelope(organisations, 2 * PART)
    here.upload(envelope(organisations))
    here.open(sent)
    here.put(sent, 0)
    listed = here.read(lambda connection: drafts.stored_parts(connection, _hash_of(sent.token), 0))

    assert listed[16:48] == sha256(sent.parts[0])
    assert drafts.LISTED_PARTS <= 1024


def _hash_of(token: str) -> bytes:
    return sha256(base64.urlsafe_b64decode(f"{token}="))
