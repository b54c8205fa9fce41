"""Hosts are upgraded one after the other: the one before the last release serves on beside the one that migrated."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from stores.relay import Relay
from support.kept import KEPT, later_program
from support.loopback import until
from support.sealed import Box, Organisation, Sent, envelope, inward
from support.server import Server, start
from support.tree import ROOT
from tipbox.errors import InputRefused
from tipbox.formats.bundles.acknowledgement import acknowledge
from tipbox.formats.bundles.bundle_write import item_of
from tipbox.formats.mailbox_list import MailboxList, encode_tokens
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import import_bundles
from tipbox.server.home import Home, write_server_keys
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.database import HEAD, make_engine, must_be_current
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.prune import prune_server

pytestmark = [
    pytest.mark.real_clock("PostgreSQL says which day it is, and is not ours to be told another"),
    pytest.mark.usefixtures("database"),
]
PARTS = 300_000


@pytest.fixture(name="homes")
def _homes(tmp_path: Path) -> list[Path]:
    """Folders of two hosts: one server's keys, and one folder of bodies."""
    homes = [tmp_path / name for name in "ab"]
    for home in homes:
        home.mkdir(mode=0o700)
    write_server_keys(Home(homes[0]))
    Home(homes[1]).server_key.write_bytes(Home(homes[0]).server_key.read_bytes())
    Home(homes[1]).server_key.chmod(0o600)
    Home(homes[0]).blobs.mkdir(mode=0o700)
    Home(homes[1]).blobs.symlink_to(Home(homes[0]).blobs)
    return homes


@pytest.fixture(name="old")
def _old(homes: list[Path], keys: Path) -> Iterator[Server]:
    """The host that is still of the release before: both listeners, two workers."""
    server = start(homes[0], keys, unix=True, courier=True, settings={"server_workers": "2"})
    yield server
    server.kill()
    assert "fault" not in server.log.read_text()


class Load:
    """Sources that send to a host, text by text and file by file, until they are stopped."""

    def __init__(self, server: Server, organisations: list[Organisation]) -> None:
        self._server = server
        self._organisations = organisations
        self._stopped = threading.Event()
        self.sent: list[Sent] = []

    def send(self) -> None:
        while not self._stopped.is_set():
            with self._server.client() as client:
                for size in (0, PARTS):
                    sent = envelope(self._organisations, size)
                    assert client.upload(sent).json == {"state": "stored"}
                    self.sent.append(sent)

    def __enter__(self) -> Self:
        self._threads = ThreadPoolExecutor(1)
        self._running = self._threads.submit(self.send)
        until(lambda: bool(self.sent) or self._running.done(), 60)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._threads.shutdown()
        self._running.result()

    def more(self) -> None:
        """Wait until some have come since now."""
        before = len(self.sent)
        until(lambda: len(self.sent) > before + 2 or self._running.done(), 120)


def test_one_host_migrates_while_the_other_serves(
    old: Server, homes: list[Path], keys: Path, organisations: list[Organisation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request of a source or a courier fails; only commands of the release before say what to do."""
    one, scratch = organisations[0], keys.parent
    with Load(old, organisations) as load:
        with monkeypatch.context() as later:
            later_program(scratch / "migrations", later)
            prepare_server(homes[1], keys)
            load.more()
            (path, *_) = write_volumes(homes[1], one.name, scratch / "out")
        load.more()
        with old.couriers() as couriers:
            listed = couriers.request("GET", f"/courier/bundles/{one.name}")
            assert listed.status == 200, listed
            for volume in listed.json["volumes"]:
                answer = couriers.request("GET", f"/courier/bundles/{one.name}/{volume['name']}")
                assert answer.status == 200, answer
            bundle = one.read(path)
            carried = [item.entry.hash for item in bundle.items if item.entry.kind == "envelope"]
            ack = item_of("ack", acknowledge(carried, one.desk))
            back = inward(scratch / "in", one, bundle, [ack], head=bytes(32)).read_bytes()
            assert couriers.request("POST", "/courier/deliver", back).json == {"sequence": 1, "whole": True}
        load.more()
        for refused in (lambda: prune_server(homes[0]), lambda: prepare_server(homes[0], keys)):
            with pytest.raises(InputRefused, match=r"a newer version of tipbox .*; upgrade tipbox"):
                refused()

    assert old.stop() == 0, "it ends what is being answered"
    later_program(scratch / "again", monkeypatch)
    prepare_server(homes[0], keys)
    assert [finding.check for finding in check_server(homes[0]) if not finding.ok] == []
    found = {
        item.entry.hash
        for path in write_volumes(homes[0], organisations[1].name, scratch / "others")
        for item in organisations[1].read(path).items
    }
    assert {sent.id for sent in load.sent} <= found


def next_release(folder: Path) -> Path:
    """A program like this one whose schema is the one after it: a copy of the package, to be run from ``folder``."""
    shutil.copytree(ROOT / "tipbox", folder / "tipbox", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("templates", "client"):  # beside it, as in a checkout
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(KEPT / "later.py", folder / "tipbox" / "server" / "migrations" / "versions")
    database = folder / "tipbox" / "server" / "storage" / "database.py"
    text = database.read_text()
    head = f'HEAD: Final = "{HEAD}"\n'
    assert head in text
    database.write_text(text.replace(head, 'HEAD: Final = "later"\n'))
    return folder


class Readers(Load):
    """A source who looks into its mailbox, again and again, and finds the reply each time."""

    def __init__(self, server: Server, organisations: list[Organisation], box: Box, reply: bytes) -> None:
        super().__init__(server, organisations)
        self._box = box
        self._reply = reply

    def send(self) -> None:
        while not self._stopped.is_set():
            with self._server.client() as client:
                answer = client.request("POST", "/api/mailbox", encode_tokens(self._box.tokens))
                assert answer.status == 200, answer
                assert [entry.id for entry in MailboxList.parse(answer.body).entries] == [self._reply]
                self.sent.append(envelope(self._organisations))


def test_both_hosts_are_replaced_under_load(
    homes: list[Path], keys: Path, organisations: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other by the next release: tips are sent and a mailbox is read, and no request fails."""
    one, box = organisations[0], Box()
    reply = box.reply()
    hosts = [start(home, keys, unix=True) for home in homes]
    bundle = one.read(write_volumes(homes[0], one.name, tmp_path / "out")[0])
    import_bundles(homes[0], [inward(tmp_path / "in", one, bundle, [box.item(reply)], head=bytes(32))])
    front = tmp_path / "front.sock"
    relay = Relay(front, Path(hosts[1].address))
    behind = replace(hosts[1], address=str(front))
    release = next_release(tmp_path / "next")
    try:
        with Load(behind, organisations) as tips, Readers(behind, organisations, box, reply.id) as readers:
            for place, home in enumerate(homes):
                old, other = hosts[place], hosts[1 - place]
                relay.lead(Path(other.address))
                until(lambda old=old: not relay.leads(Path(old.address)))  # type: ignore[misc]
                assert old.stop() == 0
                hosts[place] = start(home, keys, unix=True, release=release)
                tips.more()
                readers.more()
            relay.lead(Path(hosts[0].address))
            tips.more()
    finally:
        relay.close()
        for host in hosts:
            host.kill()
    later_program(tmp_path / "migrations", monkeypatch)
    found = [
        item.entry.hash
        for path in write_volumes(homes[0], organisations[1].name, tmp_path / "others")
        for item in organisations[1].read(path).items
        if item.entry.kind == "envelope"
    ]
    assert sorted(found) == sorted(sent.id for sent in tips.sent)


def test_hosts_that_start_at_once_migrate_once(
    homes: list[Path], keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the schema of the release before, with rows in it, as after an upgrade of both."""
    prepare_server(homes[0], keys)
    prepare_server(homes[1], keys)
    later_program(tmp_path / "migrations", monkeypatch)

    with ThreadPoolExecutor(len(homes)) as threads:
        configs = list(threads.map(lambda home: prepare_server(home, keys), homes))
    for home, config in zip(homes, configs, strict=True):
        engine = make_engine(Home(home), config)
        must_be_current(engine)
        engine.dispose()
