"""The second copy of a vault: whole wherever copying was cut short, verified, and what makes acknowledging safe."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from desk.conftest import EVERY_POINT, CutShort
from support.commands import Run
from support.desk import (
    PASSWORD,
    TODAY,
    Desk,
    Desks,
    Envelope,
    Exporter,
    acknowledged,
    listed,
    opened,
    seal_tip,
    stored,
)
from support.killed import Ending, away, pulled_out
from tipbox.desk import replies, tips
from tipbox.desk.custody.chain import note
from tipbox.desk.desk_errors import OtherCopy, VaultDamaged
from tipbox.desk.inbox.tip_index import TipIndex
from tipbox.desk.second_copy import CopyDone, copy_vault
from tipbox.desk.unsent import take_back
from tipbox.desk.vault.records import Reply, SecondCopy
from tipbox.desk.vault.vault import INCOMING, INDEX_FILE, KEY_FILE, LOCK_FILE, REPLIES, STORE_FILE, TIPS, Vault
from tipbox.desk.whole import check
from tipbox.errors import AlreadyThere, NotFound, Usage
from tipbox.files.durable import write_file
from tipbox.formats.base import days
from tipbox.formats.base.primitives import random_bytes

pytestmark = pytest.mark.reads_date

CONTENT = random_bytes(100_000)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    write_file(path, PASSWORD)
    return path


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "disk" / "copy"


def tips_of(desks: Desks, count: int) -> list[Envelope]:
    return [seal_tip(desks.manifests, files=[("a", CONTENT)]) for _ in range(count)]


def copied(desk: Desk, to: Path, *, every: bool = False) -> CopyDone:
    with desk.open(write=True) as vault:
        return copy_vault(vault, to, today=TODAY, every=every)


def holds(copy: Path, desk: Desk, wanted: set[str]) -> None:
    """A vault opens from the copy, is whole, and has these tips."""
    twin = Desk(copy, desk.manifest)
    with twin.open(write=True) as vault:
        found = check(vault)
    assert (found.damaged, found.replies) == ((), ())
    assert {str(tip["id"]) for tip in listed(twin)} >= wanted


def test_what_both_hold_is_acknowledged_and_the_rest_is_not(
    desks: Desks, desk: Desk, server: Exporter, there: Path, *, tmp_path: Path
) -> None:
    one, two, late = tips_of(desks, 3)
    other = seal_tip(desks.manifests, desks.manifests[:1])
    desk.take(server.export(tmp_path / "1", desk.manifest, [one, two, other]), copies=False)
    assert acknowledged(server, desk, tmp_path / "o1") == []
    assert copied(desk, there) == CopyDone(2, 3, 0, ())
    desk.take(server.export(tmp_path / "2", desk.manifest, [late]), copies=False)
    assert acknowledged(server, desk, tmp_path / "o2") == sorted(tip.id for tip in (one, two, other))
    holds(there, desk, {one.id.hex(), two.id.hex()})
    assert copied(desk, there) == CopyDone(1, 1, 0, ())
    assert copied(desk, there) == CopyDone(0, 0, 0, ())
    twin = Desk(there, desk.manifest)
    assert (opened(twin, late.id, tmp_path / "out") / "files" / "001-a").read_bytes() == CONTENT


def test_imports_renew_the_copy_and_acknowledge_by_themselves(
    made_today: Desks, run: Run, secret: Path, there: Path, *, tmp_path: Path
) -> None:
    desks, server = made_today.copy(tmp_path / "today"), Exporter()
    desk, today = desks.desks[1], days.today()
    options = ("--vault", desk.vault, "--passphrase-file", secret)

    def bundle(name: str) -> Path:
        return server.export(tmp_path / name, desk.manifest, [seal_tip(desks.manifests, today=today)], day=today)

    assert run("desk", "import", *options, bundle("1"), "--json").json["unacknowledged"] == 1
    assert run("desk", "copy", *options, "--to", there, "--json").json["confirmed"] == 1
    assert "second copy" not in run("desk", "list", *options).err
    assert run("desk", "import", *options, bundle("2"), "--json").json["unacknowledged"] == 0
    assert run("desk", "outbox", *options, "--out", tmp_path / "o", "--json").json["acknowledged"] == 2
    assert "lacks 1 changes" in run("desk", "list", *options).err
    assert len(listed(Desk(there, desk.manifest))) == 2
    away = there.rename(there.with_name("away"))
    missing = run("desk", "import", *options, bundle("3"))
    assert (missing.code, "plug that disk in" in missing.err, "1 not acknowledged" in missing.err) == (0, True, True)
    away.rename(there)
    assert run("desk", "import", *options, bundle("4"), "--json").json["unacknowledged"] == 0
    assert "second copy" not in run("desk", "list", "--vault", there, "--passphrase-file", secret).err


@pytest.mark.parametrize("damage", ["removed", "cut", "flipped"])
@pytest.mark.parametrize("side", ["here", "there"])
@pytest.mark.parametrize("confirmed", [False, True])
def test_either_side_mends_the_other(
    desks: Desks, desk: Desk, server: Exporter, there: Path, *, tmp_path: Path, damage: str, side: str, confirmed: bool
) -> None:
    """Before anything is acknowledged by itself; afterwards when a person asks, or where the size tells."""
    first, tip = tips_of(desks, 2)
    desk.take(server.export(tmp_path / "1", desk.manifest, [first, tip]), copies=False)
    copied(desk, tmp_path / "other")
    shutil.copytree(tmp_path / "other", there)
    with desk.open(write=True) as vault:  # as it was before anything was confirmed
        for name in (first, tip):
            record = vault.get("carried", name.id)
            assert record is not None
            vault.put("carried", name.id, record | {"confirmed": confirmed})
        path = vault.tip_path(tip.id) if side == "here" else there / TIPS / vault.tip_path(tip.id).name
    if damage == "removed":
        path.unlink()
    elif damage == "cut":
        os.truncate(path, 9_000)
    else:
        data = bytearray(path.read_bytes())
        data[50_000] ^= 1
        path.write_bytes(data)
    done = copied(desk, there, every=confirmed and damage == "flipped")
    assert (done.written, done.put_back) == ((0, 1) if side == "here" else (1, 0))
    assert done.confirmed == (0 if confirmed else 2)
    assert stored(desk, path) == tip.data


def test_what_neither_holds_whole_is_not_acknowledged(
    desks: Desks, desk: Desk, server: Exporter, there: Path, *, tmp_path: Path
) -> None:
    good, bad = tips_of(desks, 2)
    desk.take(server.export(tmp_path / "1", desk.manifest, [good, bad]), copies=False)
    with desk.open() as vault:
        vault.tip_path(bad.id).write_bytes(b"rubbish")
    assert copied(desk, there) == CopyDone(1, 1, 0, (bad.id,))
    assert acknowledged(server, desk, tmp_path / "o") == [good.id]


def test_a_reply_that_was_cut_here_comes_back_from_the_copy(
    desks: Desks, desk: Desk, server: Exporter, there: Path, *, tmp_path: Path
) -> None:
    tip = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]), copies=False)
    with desk.open(write=True) as vault:
        made = replies.queue_reply(vault, tips.find_tip(vault, tip.id.hex()), b"one", [], today=TODAY)
        copy_vault(vault, there, today=TODAY)
        os.truncate(vault.reply_path(made.id), 100)
        assert copy_vault(vault, there, today=TODAY).put_back == 1
        assert replies.whole_reply(vault, made)
    holds(there, desk, {tip.id.hex()})


def unsent(vault: Vault, reply: Reply) -> None:
    take_back(vault, reply.id.hex())


def tagged(vault: Vault, _: Reply) -> None:
    with vault.transaction():
        note(vault, "tag", b"thread", after="urgent")


@pytest.mark.parametrize("act", [unsent, tagged])
def test_what_was_done_on_the_copy_is_not_written_over(
    desks: Desks, desk: Desk, server: Exporter, there: Path, *, tmp_path: Path, act: Callable[[Vault, Reply], object]
) -> None:
    tip = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]), copies=False)
    with desk.open(write=True) as vault:
        made = replies.queue_reply(vault, tips.find_tip(vault, tip.id.hex()), b"one", [], today=TODAY)
    copied(desk, there)
    with Desk(there, desk.manifest).open(write=True) as vault, vault.transaction():
        note(vault, "read", tip.id)  # nobody misses it
    copied(desk, there)
    with Desk(there, desk.manifest).open(write=True) as vault:
        act(vault, made)
    before = (there / STORE_FILE).read_bytes()
    with pytest.raises(OtherCopy):
        copied(desk, there)
    assert (there / STORE_FILE).read_bytes() == before


def test_a_disk_that_is_away_is_not_made_anew(desk: Desk, there: Path) -> None:
    copied(desk, there)
    there.rename(there.with_name("away"))
    with pytest.raises(NotFound, match="plug that disk in"):
        copied(desk, there)
    assert not there.exists()
    there.mkdir()
    with pytest.raises(NotFound, match="plug that disk in"):
        copied(desk, there)
    assert list(there.iterdir()) == []
    copied(desk, there / "new")
    assert (there / "new" / STORE_FILE).is_file()


def test_an_empty_mount_point_is_no_second_copy(
    desks: Desks, desk: Desk, server: Exporter, there: Path, *, run: Run, secret: Path, tmp_path: Path
) -> None:
    """Its disk is away: what is written there would lie on the vault's own."""
    copied(desk, there)
    there.rename(there.with_name("away"))
    there.mkdir()
    desk.take(server.export(tmp_path / "1", desk.manifest, tips_of(desks, 1)), copies=False)
    done = run("desk", "copy", "--vault", desk.vault, "--passphrase-file", secret, "--to", there, "--json")
    assert (done.code, done.error, list(there.iterdir())) == (5, "not-found", [])
    assert acknowledged(server, desk, tmp_path / "o") == []


def test_a_copy_on_the_disk_of_the_vault_is_told(run: Run, secret: Path, desk: Desk, there: Path) -> None:
    done = run("desk", "copy", "--vault", desk.vault, "--passphrase-file", secret, "--to", there)
    assert (done.code, "the same disk as the vault" in done.err) == (0, True)


def test_the_copy_keeps_no_index_of_its_own(desk: Desk, there: Path) -> None:
    copied(desk, there)
    with Desk(there, desk.manifest).open(write=True) as vault:
        TipIndex.of(vault).save(always=True)
    assert (there / INDEX_FILE).exists()
    copied(desk, there)
    assert not (there / INDEX_FILE).exists()


def test_a_commit_is_on_the_disk_with_the_end_of_its_journal(desk: Desk) -> None:
    """3: the folder is synced after the journal is gone, or a power cut brings it back."""
    with desk.open() as vault:
        assert vault._store.execute("PRAGMA synchronous").fetchone() == (3,)


def foreign_file(copy: Path, _: Desks) -> None:
    copy.mkdir(parents=True)
    (copy / "photo.jpg").write_bytes(b"x")


def foreign_folder(copy: Path, _: Desks) -> None:
    (copy / TIPS / "anna").mkdir(parents=True)
    (copy / TIPS / "anna" / "message.txt").write_bytes(b"the only export")


def foreign_reply(copy: Path, _: Desks) -> None:
    (copy / REPLIES).mkdir(parents=True)
    (copy / REPLIES / "letter.odt").write_bytes(b"x")


def foreign_vault(copy: Path, desks: Desks) -> None:
    shutil.copytree(desks.desks[0].vault, copy)


def a_file(copy: Path, _: Desks) -> None:
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"x")


@pytest.mark.parametrize("there_is", [foreign_file, foreign_folder, foreign_reply, foreign_vault, a_file])
def test_nothing_else_is_written_over(
    desks: Desks, desk: Desk, there: Path, there_is: Callable[[Path, Desks], None]
) -> None:
    there_is(there, desks)
    before = {path: path.read_bytes() for path in [there, *there.rglob("*")] if path.is_file()}
    with pytest.raises(AlreadyThere):
        copied(desk, there)
    assert {path: path.read_bytes() for path in before} == before


def test_what_others_put_into_a_copy_stays(desk: Desk, there: Path) -> None:
    copied(desk, there)
    (there / TIPS / "anna").mkdir()
    kept = [there / TIPS / "anna" / "message.txt", there / REPLIES / "letter.odt", there / INCOMING / "photo.jpg"]
    ours = [there / TIPS / f"{bytes(32).hex()}.tip", there / INCOMING / f"{bytes(16).hex()}.part"]
    for path in (*kept, *ours):
        path.write_bytes(b"x")
    copied(desk, there)
    assert ([path.exists() for path in kept], [path.exists() for path in ours]) == ([True] * 3, [False] * 2)


@pytest.mark.parametrize("name", [".", "within", ".."])
def test_a_copy_lies_outside_of_its_vault(desk: Desk, name: str) -> None:
    with pytest.raises(Usage):
        copied(desk, desk.vault / name)


def test_a_restored_vault_never_goes_over_a_newer_copy(
    desks: Desks, desk: Desk, server: Exporter, there: Path, *, tmp_path: Path
) -> None:
    desk.take(server.export(tmp_path / "1", desk.manifest, [seal_tip(desks.manifests)]), copies=False)
    shutil.copytree(desk.vault, tmp_path / "old")
    old = Desk(tmp_path / "old", desk.manifest)
    tip = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "2", desk.manifest, [tip]), copies=False)
    copied(desk, there)
    with pytest.raises(OtherCopy):
        copied(old, there)
    holds(there, desk, {tip.id.hex()})
    with Desk(there, desk.manifest).open(write=True) as vault:  # work goes on with the copy, and then comes back
        replies.queue_reply(vault, tips.find_tip(vault, tip.id.hex()), b"one", [], today=TODAY)
    with pytest.raises(OtherCopy):
        copied(desk, there)
    with Desk(there, desk.manifest).open(write=True) as vault:
        assert copy_vault(vault, desk.vault, today=TODAY).written == 1
    holds(desk.vault, desk, {tip.id.hex()})


def test_a_damaged_copy_is_told_and_left(desk: Desk, there: Path) -> None:
    copied(desk, there)
    (there / STORE_FILE).write_bytes(b"rubbish" * 1000)
    with pytest.raises(VaultDamaged):
        copied(desk, there)


# --- cut short --------------------------------------------------------------------------------------------------------

ENDINGS = pytest.mark.parametrize("ending", Ending, ids=lambda ending: ending.value)


@dataclass
class Scene:
    """A desk with a tip that its second copy has, and one that it lacks; a Bundle with a third."""

    made: Desks
    folder: Path
    first: Envelope
    later: Envelope
    third: Envelope
    server: Exporter
    bundle: Path

    @property
    def copy(self) -> Path:
        return self.folder / "cut" / "copy"

    def fresh(self) -> Desk:
        """The desk as it was at the start, with its copy in the place that it remembers."""
        shutil.rmtree(self.folder / "cut", ignore_errors=True)
        shutil.copytree(self.folder / "start", self.folder / "cut")
        return Desk(self.folder / "cut" / "desks" / "kibhr", self.made.desks[1].manifest)


@pytest.fixture
def scene(made_today: Desks, tmp_path: Path) -> Scene:
    today, server = days.today(), Exporter()
    desks = made_today.copy(tmp_path / "cut" / "desks")
    desk = desks.desks[1]
    first, later, third = (seal_tip(desks.manifests, files=[("a", CONTENT)], today=today) for _ in range(3))
    desk.take(server.export(tmp_path / "1", desk.manifest, [first], day=today), copies=False, today=today)
    copied(desk, tmp_path / "cut" / "copy")
    desk.take(server.export(tmp_path / "2", desk.manifest, [later], day=today), copies=False, today=today)
    (tmp_path / "cut").rename(tmp_path / "start")
    bundle = server.export(tmp_path / "3", desk.manifest, [third], day=today)
    return Scene(made_today, tmp_path, first, later, third, server, bundle)


def options(scene: Scene, secret: Path) -> tuple[str | Path, ...]:
    return ("--vault", scene.fresh().vault, "--passphrase-file", secret)


def left_whole(scene: Scene, copy: Path, wanted: set[str]) -> None:
    """A copy holds these tips and nothing that was being written."""
    holds(copy, Desk(copy, scene.made.desks[1].manifest), wanted)
    left = {path.name for path in copy.iterdir()} - {KEY_FILE, LOCK_FILE, STORE_FILE}
    assert left == {"tips", "replies", INCOMING}
    assert len(list((copy / TIPS).iterdir())) == len(wanted)


def acknowledged_is_in(scene: Scene, copy: Path, desk: Desk) -> None:
    """A vault that is opened from the copy has all that the next outbox acknowledges."""
    sure = acknowledged(scene.server, desk, scene.folder / "box", today=days.today())
    holds(copy, desk, {ident.hex() for ident in sure})


@ENDINGS
def test_cut_short_at_durable_writes_it_leaves_the_last_whole_copy(
    scene: Scene, cut_short: CutShort, secret: Path, ending: Ending
) -> None:
    both = {scene.first.id.hex(), scene.later.id.hex()}
    for desk, ended in cut_short(scene.fresh, ending, "desk", "copy", *options(scene, secret), "--to", scene.copy):
        holds(scene.copy, desk, both if ended.code == 0 else {scene.first.id.hex()})
        acknowledged_is_in(scene, scene.copy, desk)
        copied(desk, scene.copy)
        left_whole(scene, scene.copy, both)


@ENDINGS
def test_a_first_copy_cut_short_at_durable_writes_is_begun_again(
    scene: Scene, cut_short: CutShort, secret: Path, ending: Ending
) -> None:
    both, to = {scene.first.id.hex(), scene.later.id.hex()}, scene.folder / "cut" / "disk" / "new"
    for desk, ended in cut_short(scene.fresh, ending, "desk", "copy", *options(scene, secret), "--to", to):
        with desk.open() as vault:
            known = SecondCopy.find(vault)
        assert known is not None
        if ended.code == 0 or known.path == str(to):  # what is remembered is whole
            holds(to, desk, both)
        acknowledged_is_in(scene, Path(known.path), desk)
        copied(desk, to)
        left_whole(scene, to, both)


@ENDINGS
def test_an_import_that_renews_the_copy_cut_short_acknowledges_nothing_that_the_copy_lacks(
    scene: Scene, cut_short: CutShort, secret: Path, ending: Ending
) -> None:
    for desk, _ in cut_short(scene.fresh, ending, "desk", "import", *options(scene, secret), scene.bundle):
        acknowledged_is_in(scene, scene.copy, desk)
        assert desk.take(scene.bundle, copies=False, today=days.today()).problems == []
        copied(desk, scene.copy)
        left_whole(scene, scene.copy, {tip.id.hex() for tip in (scene.first, scene.later, scene.third)})


@pytest.mark.parametrize("command", ["copy", "import"])
def test_a_copy_s_disk_that_is_pulled_out_leaves_the_last_whole_copy_on_it(
    scene: Scene, secret: Path, record_property: Callable[[str, object], None], command: str
) -> None:
    """Whatever is touched next is not there, and nothing that is written in its place is taken for a copy."""
    words = (
        "desk",
        command,
        *options(scene, secret),
        *(("--to", scene.copy) if command == "copy" else (scene.bundle,)),
    )
    _, count = pulled_out(scene.copy, 0, *words)
    places = range(1, count + 1) if EVERY_POINT else range(1, count + 1, count // 6)
    for number in places:
        desk = scene.fresh()
        ended, _ = pulled_out(scene.copy, number, *words)
        assert ended.code in (0, 3, 5), ended
        assert "this is a bug" not in ended.said
        acknowledged_is_in(scene, away(scene.copy), desk)
        with pytest.raises(NotFound, match="plug that disk in"):
            copied(desk, scene.copy)
        shutil.rmtree(scene.copy)
        away(scene.copy).rename(scene.copy)
        copied(desk, scene.copy)
        holds(scene.copy, desk, {scene.first.id.hex(), scene.later.id.hex()})
    record_property("cut short", [Ending.PULLED.value, len(places)])


@pytest.mark.parametrize("names", [(), (STORE_FILE,), (KEY_FILE, STORE_FILE), (KEY_FILE, STORE_FILE, LOCK_FILE)])
def test_a_first_copy_that_was_cut_short_is_begun_again(
    desks: Desks, desk: Desk, server: Exporter, there: Path, *, tmp_path: Path, names: tuple[str, ...]
) -> None:
    (tip,) = tips_of(desks, 1)
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]), copies=False)
    copied(desk, there)
    with desk.open(write=True) as vault:
        vault.delete(SecondCopy.kind, b"")  # which a whole one leaves
    for name in (KEY_FILE, *names):
        (there / name).unlink(missing_ok=True)
    (there / ".0123456789abcdef.part").write_bytes(b"half")
    copied(desk, there)
    holds(there, desk, {tip.id.hex()})
    assert not (there / ".0123456789abcdef.part").exists()
