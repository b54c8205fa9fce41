"""What changes from day to day: one answer, the same for everybody, with manifests as they came."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from support.sealed import Box, Organisation, inward, keys_folder, three
from support.server import Here
from tipbox.formats.base import days
from tipbox.formats.mailbox_list import encode_delete
from tipbox.formats.manifest import Manifest
from tipbox.formats.notice import Notice
from tipbox.server import served_files
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import import_bundles
from tipbox.server.config import load
from tipbox.server.home import Home
from tipbox.server.served_files import NoticeFolder
from tipbox.server.storage.models import Organisation as Known
from tipbox.server.storage.open_server import open_server
from tipbox.server.storage.organisations import ManifestFile, adopt, remove
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.finding import Finding
from tipbox.server.web.app import STORE, create_app

pytestmark = pytest.mark.reads_date


@dataclass
class Site:
    """A server in this process that looks at its database at each request."""

    server: Here
    client: FlaskClient
    organisations: list[Organisation]

    def now(self, **headers: str) -> Any:
        answer = self.client.get("/api/now", headers=headers)
        assert (answer.status_code, answer.content_type) == (200, "application/json")
        return json.loads(answer.data)

    def adopt(self, manifest: Manifest) -> None:
        with open_server(self.server.home) as opened:
            assert adopt(opened.home, opened.store, ManifestFile(manifest, manifest.encode()), days.today())


@pytest.fixture(name="site")
def _site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr("tipbox.server.bundles.collected.LOOK_AGAIN", 0)
    monkeypatch.setattr("tipbox.server.storage.organisations.LOOK_AGAIN", 0)
    monkeypatch.setattr("tipbox.server.served_files.LOOK_AGAIN", 0)
    organisations = three()
    server = Here(tmp_path / "home", keys_folder(tmp_path / "keys", organisations))
    app = create_app(Home(server.home), load(server.home))
    yield Site(server, app.test_client(), organisations)
    app.extensions[STORE].engine.dispose()
    server.close()


def ids(manifests: list[str]) -> list[str]:
    return [Manifest.parse(file.encode()).id.hex() for file in manifests]


def test_it_carries_the_manifests_as_they_came_ids_and_prices(site: Site) -> None:
    now = site.now()

    assert sorted(now) == ["collected", "former", "manifests", "named", "notices", "toll"]
    kept = [path.read_text(encoding="utf-8") for path in site.server.keys.glob("*.json")]
    assert sorted(now["manifests"]) == sorted(kept)
    assert now["named"] == sorted(one.id.hex() for one in site.organisations) == ids(now["manifests"])
    assert (now["former"], now["collected"]) == ([], dict.fromkeys(now["named"]))
    assert now["toll"] == json.loads(site.client.get("/api/toll").data)


def test_of_a_manifest_with_extracts_it_carries_the_one_of_the_day(site: Site) -> None:
    """Each receiving key that nobody seals to today would be half a second of a bad line."""
    first = site.organisations[0]
    whole = first.manifest(serial=(1, 2)).with_extracts(first.identity).signed_by(first.identity)
    site.adopt(whole)
    [found] = [one for one in map(Manifest.parse, map(str.encode, site.now()["manifests"])) if one.id == whole.id]

    assert (found.serial, found.desk) == (whole.serial, whole.desk)
    assert found.encode() == whole.extract(days.today()).encode() != whole.encode()
    assert site.client.get(f"/keys/{first.name}.json").data == whole.encode()


def said(site: Site) -> list[str]:
    """What notices say, in the order in which they come."""
    return [Notice.parse(one.encode()).text["ru"] for one in site.now()["notices"]]


def test_it_carries_notices_of_the_day_by_the_desk_keys_of_the_manifests_as_they_come_and_go(site: Site) -> None:
    first, today = site.organisations[0], days.today()
    manifest = first.manifest()

    def notice(words: str, start: int = 0, end: int = 7, of: Organisation = first, **change: Any) -> Notice:
        span = (today + timedelta(start), today + timedelta(end))
        return replace(Notice(first.id, *span, {"ru": words}), **change).signed_by(of.desk)

    home = Home(site.server.home)
    home.notices.mkdir()
    for name, one in {
        "a": notice("Новый мост"),
        "over": notice("Был мост", -7, 0),
        "early": notice("Будет мост", 3),
        "foreign": notice("Чужой мост", of=site.organisations[1]),
        "other": notice("Другой мост", organisation=bytes(16)),
    }.items():
        (home.notices / f"{name}.json").write_bytes(one.encode())
    assert manifest.desk == first.desk.verify_key.encode()
    assert said(site) == ["Новый мост"]
    # Another in its place, and one more; then one that is none, and none at all: the server runs on.
    (home.notices / "a.json").write_bytes(notice("Ещё мост").encode())
    (home.notices / "b.json").write_bytes(notice("И ещё").encode())
    assert said(site) == ["Ещё мост", "И ещё"]
    for bad in (b"{}", b"", notice("Мост").encode().replace("Мост".encode(), "Ров!".encode())):
        (home.notices / "a.json").write_bytes(bad)
        assert said(site) == ["И ещё"]
    for path in home.notices.iterdir():
        path.unlink()
    assert said(site) == []
    for number in range(9):
        (home.notices / f"{number}.json").write_bytes(notice(str(number)).encode())
    assert said(site) == list("01234567")
    shutil.rmtree(home.notices)
    assert said(site) == []


def test_a_folder_of_notices_is_looked_at_again_after_some_seconds_and_not_at_each_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[float] = []
    clock = [0.0]

    def look(read: Callable[[], None]) -> None:
        looked.append(clock[0])
        read()

    monkeypatch.setattr(served_files, "monotonic", lambda: clock[0])
    notices = NoticeFolder(tmp_path, look)
    first, today = Organisation("a"), days.today()
    notice = Notice(first.id, today, today + timedelta(7), {"ru": "Мост"}).signed_by(first.desk)
    assert notices.good() == ()
    (tmp_path / "a.json").write_bytes(notice.encode())
    clock[0] = served_files.LOOK_AGAIN - 0.1
    assert notices.good() == ()
    clock[0] = served_files.LOOK_AGAIN
    assert notices.good() == notices.good() == (notice,)
    assert looked == [0, served_files.LOOK_AGAIN]


def test_a_check_names_notices_that_nobody_is_shown(site: Site, tmp_path: Path) -> None:
    first, today = site.organisations[0], days.today()
    home = Home(site.server.home)
    home.notices.mkdir()

    def notice(end: int, of: Organisation) -> bytes:
        return (
            Notice(first.id, today - timedelta(9), today + timedelta(end), {"ru": "Мост"}).signed_by(of.desk).encode()
        )

    def found() -> Finding:
        [finding] = [one for one in check_server(home.path) if one.check == "notices"]
        return finding

    (home.notices / "good.json").write_bytes(notice(7, first))
    (home.notices / "over.json").write_bytes(notice(-1, first))
    assert found().ok
    (home.notices / "foreign.json").write_bytes(notice(7, site.organisations[1]))
    (home.notices / "ill.json").write_bytes(b"{}")
    (home.notices / "bad\nname.json").symlink_to(tmp_path / "nothing")
    os.mkfifo(home.notices / "pipe.json")
    finding = found()
    assert (finding.ok, finding.wrong) == (False, 4)
    assert "foreign.json: it is signed by no desk key" in finding.message
    assert "pipe.json: it is no file" in finding.message
    assert "ill.json: " in finding.message
    assert "\n" not in finding.message
    assert "good" not in finding.message


def test_everybody_gets_the_same_bytes(site: Site) -> None:
    heads: list[dict[str, str]] = [{}, {"Accept-Language": "ru"}, {"User-Agent": "x"}, {"Cookie": "a=b"}]
    assert len({site.client.get("/api/now", headers=head).data for head in heads}) == 1


def test_a_manifest_that_comes_or_goes_is_seen_by_the_next_who_asks(site: Site) -> None:
    first, other = site.organisations[0], Organisation("new")
    newer = first.manifest(serial=(1, 2))
    site.adopt(newer)
    site.adopt(other.manifest())
    now = site.now()
    assert newer.encode().decode() in now["manifests"]
    assert other.id.hex() in now["named"]
    with open_server(site.server.home) as opened:
        assert remove(opened.home, opened.store, other.name)
    assert other.id.hex() not in site.now()["named"]


def test_a_former_organisation_is_named_while_it_has_replies_here(site: Site) -> None:
    """Its keys have expired, so nobody can seal to it; who has answers of it can still read them."""
    former, box = site.organisations[0], Box()
    reply, home = box.reply(), site.server.home
    outward = former.read(write_volumes(home, former.name, home.parent / "out")[0])
    import_bundles(home, [inward(home.parent / "in", former, outward, [box.item(reply)])])
    expired = former.manifest(start=days.today() - timedelta(days=40), serial=(1, 2))
    site.adopt(expired)
    others = sorted(one.id.hex() for one in site.organisations[1:])

    now = site.now()
    assert now["named"] == sorted([*others, former.id.hex()])
    assert now["former"] == [expired.encode().decode()]
    assert ids(now["manifests"]) == others

    answer = site.client.post("/api/mailbox/delete", data=encode_delete(box.tokens, [reply.id]))
    assert answer.data == bytes(32)
    now = site.now()
    assert (now["named"], now["former"]) == (others, [])


def test_when_all_keys_have_expired_it_still_says_whose_mailboxes_there_are(site: Site) -> None:
    former, box = site.organisations[0], Box()
    home = site.server.home
    outward = former.read(write_volumes(home, former.name, home.parent / "out")[0])
    import_bundles(home, [inward(home.parent / "in", former, outward, [box.item(box.reply())])])
    for one in site.organisations:
        site.adopt(one.manifest(start=days.today() - timedelta(days=40), serial=(1, 2)))

    now = site.now()

    assert (now["manifests"], now["collected"], now["named"]) == ([], {}, [former.id.hex()])


def test_it_says_up_to_which_day_each_has_collected(site: Site) -> None:
    one, day = site.organisations[1], days.today() - timedelta(days=1)
    site.server._store.write(lambda c: c.execute(update(Known).where(Known.id == one.id).values(collected=day)))

    others = {other.id.hex(): None for other in site.organisations if other is not one}
    assert site.now()["collected"] == {**others, one.id.hex(): day.isoformat()}
