"""The way of a reply on the server, killed at each write in turn: nothing is lost, nothing comes twice or back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from support.killed import killed_at
from support.sealed import Box, Organisation, Sent, inward, keys_folder, three
from support.server import Here
from tipbox.formats.base import days
from tipbox.formats.base.primitives import sha256
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import import_bundles
from tipbox.server.config import load
from tipbox.server.home import Home
from tipbox.server.mailboxes.mailbox import Mailboxes
from tipbox.server.storage.blobs import open_blobs
from tipbox.server.storage.database import make_engine
from tipbox.server.storage.executors import InPlaceThreads as InPlace
from tipbox.server.storage.models import InwardBundle, Reply, ReplyOpening
from tipbox.server.storage.open_server import open_server
from tipbox.server.storage.sweep import sweep
from tipbox.server.storage.transactions import Store
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.prune import prune_server

SOME = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)


@dataclass(frozen=True)
class World:
    """A server's folder that has taken in nothing, a Bundle with two replies, and the same folder after it."""

    empty: Path
    bundle: Path
    answered: Path
    box: Box
    replies: tuple[Sent, Sent]

    def copy(self, folder: Path, home: Path) -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        return Path(shutil.copytree(home, folder))


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    organisations: list[Organisation] = three()
    one = organisations[0]
    server = Here(folder / "empty", keys_folder(folder / "keys", organisations))
    (path,) = write_volumes(server.home, one.name, folder / "out")
    server.close()
    (folder / "empty" / "tipbox.toml").write_text("[retention]\nreply_days = 1\n")
    box = Box()
    replies = box.reply(), box.reply(150_000)
    bundle = inward(folder / "bundle", one, one.read(path), [box.item(reply) for reply in replies])
    world = World(folder / "empty", bundle, folder / "answered", box, replies)
    assert import_bundles(world.copy(world.answered, world.empty), [bundle])[0].deposited == 2
    return world


@contextmanager
def mailboxes(home: Path) -> Iterator[Mailboxes]:
    config = load(home)
    engine = make_engine(Home(home), config)
    try:
        yield Mailboxes(Store(engine), open_blobs(Home(home), config.blobs), InPlace())
    finally:
        engine.dispose()


def held(home: Path, box: Box) -> dict[bytes, bytes]:
    """Every reply of a mailbox, as its source reads it."""
    addresses = [sha256(token) for token in box.tokens]
    with mailboxes(home) as boxes:
        sizes = boxes.store.read(lambda c: [(row[0], row[1]) for row in c.execute(select(Reply.id, Reply.size))])
        found = {}
        for ident, size in sizes:
            pieces = (b"".join(boxes.piece(addresses, ident, number)) for number in range(size // 262_144 + 1))
            found[ident] = b"".join(pieces)[:size]
    return found


def in_order(home: Path) -> bool:
    """Whether the folder holds what the rows name and nothing else, once it was swept."""
    with open_server(home) as server:
        sweep(server.store, server.blobs)
        named = server.store.read(lambda c: {blob for (blob,) in c.execute(select(Reply.blob)) if blob is not None})
        openings, replies = server.store.read(
            lambda c: (c.execute(select(ReplyOpening.id)).all(), c.execute(select(Reply.id)).all())
        )
    there = {path.name for path in (home / "blobs").rglob("*") if path.is_file()}
    wrong = [
        finding for finding in check_server(home) if finding.check in {"database", "blobs", "ledger"} and not finding.ok
    ]
    return there == named and not wrong and openings == replies


def each_write(call: str, prepare: Callable[[], Path], work: Callable[[Path], object]) -> Iterator[Path]:
    """The folder after ``work`` was killed at its first, second … call, until it comes through."""
    for number in SOME:
        home = prepare()
        if not killed_at(call, number, lambda home=home: work(home)):  # type: ignore[misc]
            assert number > 1, f"no call to {call} at all"
            return
        yield home
    pytest.fail("it never came through")


@pytest.mark.parametrize("call", ["write", "pwrite64", "fsync", "fdatasync"])
def test_a_deposit(world: World, tmp_path: Path, call: str) -> None:
    whole = {reply.id: reply.whole for reply in world.replies}
    for home in each_write(
        call,
        lambda: world.copy(tmp_path / "home", world.empty),
        lambda home: import_bundles(home, [world.bundle]),
    ):
        before = held(home, world.box)
        assert before.items() <= whole.items(), "what is there is whole"
        taken = import_bundles(home, [world.bundle])[0]
        assert (taken.is_complete, taken.returned) == (True, [])
        assert taken.deposited == len(whole) - len(before)
        assert held(home, world.box) == whole
        assert in_order(home)
        with open_server(home) as server:
            assert server.store.read(lambda c: c.execute(select(InwardBundle.sequence)).scalars().all()) == [1]


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "unlink", "fsync"])
def test_deleting(world: World, tmp_path: Path, call: str) -> None:
    kept, gone = world.replies

    def delete(home: Path) -> None:
        with mailboxes(home) as boxes:
            boxes.delete([sha256(token) for token in world.box.tokens], [gone.id])

    for home in each_write(call, lambda: world.copy(tmp_path / "home", world.answered), delete):
        assert held(home, world.box)[kept.id] == kept.whole
        delete(home)
        assert held(home, world.box) == {kept.id: kept.whole}
        assert import_bundles(home, [world.bundle])[0].deposited == 0
        assert held(home, world.box) == {kept.id: kept.whole}, "it does not come back with its Bundle"
        assert in_order(home)


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "unlink"])
def test_pruning(world: World, tmp_path: Path, call: str) -> None:
    whole = {reply.id: reply.whole for reply in world.replies}
    tomorrow = days.today() + timedelta(days=1)
    for home in each_write(
        call, lambda: world.copy(tmp_path / "home", world.answered), lambda home: prune_server(home, today=tomorrow)
    ):
        assert held(home, world.box) in (whole, {})
        prune_server(home, today=tomorrow)
        assert held(home, world.box) == {}
        assert in_order(home)
