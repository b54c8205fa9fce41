"""kill -9 of one of two hosts before each word that it and PostgreSQL say: nothing is lost, and nothing comes twice.

What a host does besides (a file in the bucket, a count in Valkey) lies between two of these words, so with them all
states are met in which it can leave the others. Everybody who spoke with it goes on at the other host.

A sample of the words; all of them with ``make faults``, which sets ``EVERY_POINT``.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import select

from stores.hosts import joining
from stores.relay import Relay, to_postgresql
from support.client import Client
from support.sealed import Box, Organisation, Sent, envelope, inward
from support.server import Server, start
from support.services import new_database, scratch
from support.world import TIPBOX
from tipbox.formats.bundles.acknowledgement import acknowledge
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import item_of
from tipbox.formats.mailbox_list import MailboxList, encode_delete, encode_tokens
from tipbox.server.bundles.export import write_volumes
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.models import Slot
from tipbox.server.upkeep.check import check_server

pytestmark = pytest.mark.real_clock("PostgreSQL says which day it is, and is not ours to be told another")
T = TypeVar("T")
EVERY_POINT = "EVERY_POINT" in os.environ
SAMPLE = (17,)
SIZE = 150_000
STORED = {"state": "stored"}


@dataclass
class Pair:
    """Two hosts. ``one`` speaks to PostgreSQL through the relay, and is killed; ``two`` goes on."""

    one: Server
    two: Server
    relay: Relay
    folder: Path
    settings: dict[str, str]
    kills: dict[str, int] = field(default_factory=dict)

    def ask(self, act: Callable[[Server], T]) -> T:
        """Of the one, or of the other when the one is gone: a source or a courier tries again."""
        try:
            return act(self.one)
        except OSError:
            return act(self.two)

    def asked(self, act: Callable[[Client], T]) -> T:
        def by_client(server: Server) -> T:
            with server.client() as client:
                return act(client)

        return self.ask(by_client)

    def couriers(self, act: Callable[[Client], T]) -> T:
        def by_client(server: Server) -> T:
            with server.couriers() as client:
                return act(client)

        return self.ask(by_client)

    def step(self, name: str, word: int, act: Callable[[], T]) -> T:
        """``act``, while the one is killed at the ``word``-th of what it says and hears."""
        self.relay.at(word, self.one.kill)
        result = act()
        if self.relay.never_mind():
            self.kills[name] = self.kills.get(name, 0) + 1
            self.one.__dict__.update(begun(self.one.home, self.one.keys, self.settings).__dict__)
        return result

    def prune(self, word: int) -> None:
        """The nightly command on the one; it is killed, and the other host's comes later."""
        environment = os.environ | {f"TIPBOX_{name.upper()}": value for name, value in self.settings.items()}
        process = subprocess.Popen((TIPBOX, "server", "prune", "--home", self.one.home), env=environment)
        self.relay.at(word, process.kill)
        process.wait(120)
        self.kills["prune"] = self.kills.get("prune", 0) + self.relay.never_mind()


def begun(home: Path, keys: Path, settings: dict[str, str]) -> Server:
    return start(home, keys, unix=True, courier=True, settings=settings)


@pytest.fixture(name="pair")
def _pair(bucket: str, keys: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """``bucket``: bodies are in S3."""
    assert bucket
    postgresql = request.getfixturevalue("postgresql")
    monkeypatch = request.getfixturevalue("monkeypatch")
    database = new_database(postgresql)
    monkeypatch.setenv("TIPBOX_DATABASE_URL", database)
    monkeypatch.setenv("TIPBOX_LIMITS_URL", request.getfixturevalue("valkey"))
    prepare_server(tmp_path / "a", keys)
    with scratch() as near, to_postgresql(near, postgresql) as relay:
        settings = {"database_url": database.replace(postgresql, str(near))}
        hosts = [
            begun(tmp_path / "a", keys, settings),
            begun(joining(tmp_path / "b", tmp_path / "a"), keys, {"database_url": database}),
        ]
        yield Pair(hosts[0], hosts[1], relay, tmp_path, settings)
        for host in hosts:
            host.kill()
            assert "fault" not in host.log.read_text()


@dataclass
class Life:
    """What happens to a text and to files with a reply, from the opening to the deletion, with a kill in each step."""

    pair: Pair
    organisations: list[Organisation]
    number: int
    text: Sent = field(init=False)
    files: Sent = field(init=False)

    def __post_init__(self) -> None:
        self.text, self.files = envelope(self.organisations), envelope(self.organisations, SIZE)

    def run(self, word: int) -> None:
        pair, one, box = self.pair, self.organisations[0], Box()
        reply = box.reply()
        assert pair.step("text", word, lambda: pair.asked(lambda client: client.open(self.text))).json == STORED
        pair.step("opening", word, lambda: pair.asked(lambda client: client.open(self.files)))
        for first in range(len(self.files.parts)):
            pair.step("parts", word, lambda first=first: pair.asked(lambda client: client.put(self.files, first)))  # type: ignore[misc]
        assert pair.step("finish", word, lambda: pair.asked(lambda client: client.finish(self.files))).json == STORED

        path = f"/courier/bundles/{one.name}"
        listed = pair.step("listing", word, lambda: pair.couriers(lambda client: client.request("GET", path).json))
        bundles = pair.step(
            "fetch", word, lambda: [self.fetched(one, f"{path}/{volume['name']}") for volume in listed["volumes"]]
        )
        carried = {item.entry.hash for bundle in bundles for item in bundle.items if item.entry.kind == "envelope"}
        assert carried == {self.text.id, self.files.id}
        items = [item_of("ack", acknowledge(sorted(carried), one.desk)), box.item(reply)]
        back = inward(pair.folder / "in", one, bundles[0], items, self.number, head=bytes(32)).read_bytes()
        deliver = "/courier/deliver"
        taken = pair.step(
            "delivery", word, lambda: pair.couriers(lambda client: client.request("POST", deliver, back).json)
        )
        assert taken == {"sequence": self.number, "whole": True}
        assert pair.step("list", word, lambda: self.replies(box)) == [reply.id]
        gone = encode_delete(box.tokens, [reply.id])
        pair.step(
            "deletion", word, lambda: pair.asked(lambda client: client.request("POST", "/api/mailbox/delete", gone))
        )
        assert self.replies(box) == []
        pair.prune(word)
        assert self.waits_for() == {organisation.id for organisation in self.organisations} - {one.id}

    def fetched(self, one: Organisation, path: str) -> Bundle:
        """The begin of it at the one, the rest at whoever answers."""
        whole = b"".join(
            self.pair.couriers(partial(Client.request, method="GET", path=path, headers={"Range": wanted})).body
            for wanted in ("bytes=0-99999", "bytes=100000-")
        )
        file = self.pair.folder / "volume"
        file.write_bytes(whole)
        return one.read(file)

    def replies(self, box: Box) -> list[bytes]:
        answer = self.pair.asked(lambda client: client.request("POST", "/api/mailbox", encode_tokens(box.tokens)))
        return [entry.id for entry in MailboxList.parse(answer.body).entries]

    def waits_for(self) -> set[bytes]:
        """The organisations for which both wait."""
        ids = [self.text.id, self.files.id]
        rows = self.pair.two.read(
            lambda connection: connection.execute(
                select(Slot.organisation, Slot.envelope).where(Slot.envelope.in_(ids), Slot.acknowledged.is_(False))
            ).all()
        )
        both = [row[0] for row in rows]
        return {organisation for organisation in both if both.count(organisation) == len(ids)}


def test_a_host_is_killed_at_each_word(
    pair: Pair, organisations: list[Organisation], record_property: Callable[[str, object], None]
) -> None:
    lives = []
    for number, word in enumerate(count(1) if EVERY_POINT else SAMPLE, 1):
        before = sum(pair.kills.values())
        life = Life(pair, organisations, number)
        life.run(word)
        lives.append(life)
        if sum(pair.kills.values()) == before:  # no step has that many words
            break
    else:
        assert not EVERY_POINT

    other = organisations[1]
    volumes = [other.read(path) for path in write_volumes(pair.two.home, other.name, pair.folder / "out")]
    found = [
        b"".join(bundle.read(item)) for bundle in volumes for item in bundle.items if item.entry.kind == "envelope"
    ]
    assert sorted(found) == sorted(sent.whole for life in lives for sent in (life.text, life.files))
    assert [finding.check for finding in check_server(pair.two.home) if not finding.ok] == []
    assert len(pair.kills) > 7, pair.kills
    print(f"killed {sum(pair.kills.values())} times: {pair.kills}")  # noqa: T201 (the figure of make faults)
    record_property("kills", sum(pair.kills.values()))
