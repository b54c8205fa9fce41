"""Full disks: what was acknowledged stays and opens, texts find room longer than files, and nothing breaks."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from faults.cutting_proxy import CuttingProxy
from faults.sending import ROOMY, Upload, sealed
from faults.small_disk import DISK, Ballast, Tight, disk
from faults.stored import rows
from support.commands import commands_in_process
from support.world import Desk, Ring, World, running_world
from tipbox.errors import Full, InputRefused


def _error(world: World, upload: Upload) -> tuple[int, str]:
    status, _, body = world.server.request("PUT", "/api/envelope", upload.head, upload.headers)
    return status, json.loads(body).get("error", "")


def _all_open(tight: Tight, uploads: list[Upload]) -> None:
    """Each Envelope that was acknowledged is there and opens."""
    tight.ballast.drop()
    assert set(rows(tight.world.server.home)) == {upload.id for upload in uploads}
    volumes = tight.world.server.export("fidh", tight.world.scratch("out"))
    desk = tight.world.desks["fidh"]
    desk.take(*volumes)
    assert {tip["id"] for tip in desk.tips()} == {upload.id for upload in uploads}
    for upload in uploads:
        desk.open(upload.id, tight.world.scratch("tip") / "opened")


def _whole(world: World, message: bytes, size: int) -> Upload:
    upload = sealed(world.keys, message, [("data", random.Random(size).randbytes(size))] if size else [])
    assert upload.open(world.server) == 201
    if size:
        assert upload.put(world.server, 0, len(upload.parts)) == 200
        assert upload.finish(world.server) == 200
    return upload


def test_texts_find_room_when_files_do_not(tight: Tight) -> None:
    world = tight.world
    kept = [_whole(world, b"text, early", 0), _whole(world, b"file, early", 300_000)]
    free = DISK // 5
    tight.ballast.leave(free)
    # Parts and the whole body lie side by side for a moment: this one would leave no fifth of the disk for texts.
    late = sealed(world.keys, b"file, late", [("data", bytes(free * 9 // 20))])
    assert _error(world, late) == (507, "full")
    kept += [_whole(world, b"text %d" % number, 0) for number in range(20)]
    tight.ballast.leave(free // 8)  # below the floor: nothing at all
    assert _error(world, sealed(world.keys, b"text, too late")) == (507, "full")
    assert world.server.request("GET", "/en/")[0] == 200
    _all_open(tight, kept)
    kept.append(_whole(world, b"file, again", 300_000))
    assert set(rows(world.server.home)) == {upload.id for upload in kept}


def test_a_disk_that_fills_up_within_an_upload(tight: Tight) -> None:
    world = tight.world
    kept = [_whole(world, b"before", 200_000)]
    upload = sealed(world.keys, b"during", [("data", random.Random(1).randbytes(2_000_000))])
    assert upload.open(world.server) == 201
    assert upload.put(world.server, 0, 4) == 200
    tight.ballast.fill()
    statuses = {upload.put(world.server, first, 4) for first in (4, 8, 12)}
    assert statuses == {507}
    late = sealed(world.keys, b"late")
    assert _error(world, late) == (507, "full")
    assert world.server.request("GET", "/api/envelope", headers=upload.headers)[0] == 200
    tight.ballast.drop()
    assert late.open(world.server) == 201
    for first in range(4, len(upload.parts), 8):
        assert upload.put(world.server, first, 8) == 200
    tight.ballast.fill()
    assert upload.finish(world.server) == 507  # merging needs room
    world.server.kill()
    tight.ballast.drop()
    world.server.start()
    assert upload.finish(world.server) == 200
    assert upload.finish(world.server) == 200
    _all_open(tight, [*kept, late, upload])


@pytest.mark.parametrize("left", [0, 4096, 20_000, 60_000, 200_000, 600_000])
def test_the_database_survives_every_kind_of_nearly_full(tight: Tight, left: int) -> None:
    """Whatever is answered 200 or 201 while the disk is at its end is there after kill -9 and opens."""
    world = tight.world
    drafts = [sealed(world.keys, b"draft", [("data", random.Random(left + n).randbytes(150_000))]) for n in range(4)]
    assert {draft.open(world.server) for draft in drafts} == {201}
    assert {draft.put(world.server, 0, 1) for draft in drafts} == {200}
    tight.ballast.leave(left)
    answers = [draft.put(world.server, 1, len(draft.parts) - 1) for draft in drafts]
    answers += [draft.finish(world.server) for draft in drafts]
    assert set(answers) <= {200, 409, 507}
    stored = [draft for draft, status in zip(drafts, answers[4:], strict=True) if status == 200]
    world.server.kill()
    tight.ballast.drop()
    world.server.start()
    assert {draft.finish(world.server) for draft in stored} <= {200}
    for draft in drafts:
        if draft not in stored:
            assert draft.put(world.server, 1, len(draft.parts) - 1) == 200
            assert draft.finish(world.server) == 200
    _all_open(tight, drafts)


# --- the desk ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exported:
    """Two exports to one desk: the first with one tip, the second with four more."""

    desk: Desk
    first: list[Path]
    second: list[Path]
    tips: list[str]


@pytest.fixture(scope="module")
def exported(ring: Ring, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    folder = tmp_path_factory.mktemp("exported")
    with running_world(ring, tcp=True, settings=ROOMY) as world, commands_in_process():
        kept = [_whole(world, b"first", 0)]
        first = world.server.export("ili", folder / "first")
        kept += [_whole(world, b"second %d" % number, 500_000 * number) for number in range(4)]
        second = world.server.export("ili", folder / "second")
        world.server.stop()
        yield Exported(world.desks["ili"], first, second, [upload.id for upload in kept])


@pytest.mark.parametrize("left", [0, 30_000, 200_000, 1_200_000])
def test_import_onto_a_full_disk_keeps_the_vault_whole(exported: Exported, tmp_path: Path, left: int) -> None:
    with disk(tmp_path / "disk", DISK) as place, commands_in_process():
        shutil.copytree(exported.desk.folder, place / "desk")
        desk = replace(exported.desk, folder=place / "desk")
        desk.take(*exported.first)
        before = desk.tips()
        assert len(before) == 1
        ballast = Ballast(place / "ballast")
        ballast.leave(left)
        done = desk.take(*exported.second, expect=None)
        assert done.code in (InputRefused.exit_code, Full.exit_code), done.err
        assert "full" in done.err
        assert len(done.err.strip().splitlines()) == 1
        assert [tip for tip in desk.tips() if tip["id"] == before[0]["id"]] == before
        ballast.drop()
        desk.take(*exported.second)
        assert {tip["id"] for tip in desk.tips()} == set(exported.tips)
        for number, tip in enumerate(exported.tips):
            desk.open(tip, tmp_path / f"opened-{number}")
        assert not list((desk.vault / "incoming").iterdir())


@pytest.mark.parametrize("left", [0, 100_000, 225_000])
def test_a_reply_onto_a_full_disk_is_queued_whole_or_not_at_all(exported: Exported, tmp_path: Path, left: int) -> None:
    text, file = tmp_path / "text", tmp_path / "file"
    text.write_bytes(b"When was this?")
    file.write_bytes(os.urandom(200_000))
    with disk(tmp_path / "disk", DISK) as place, commands_in_process():
        shutil.copytree(exported.desk.folder, place / "desk")
        desk = replace(exported.desk, folder=place / "desk")
        desk.take(*exported.first)
        (tip,) = [tip["id"] for tip in desk.tips()]
        ballast = Ballast(place / "ballast")
        ballast.leave(left)
        done = desk.run("reply", tip, "--message-file", text, file, expect=None)
        assert done.code == Full.exit_code, done.err
        assert len(done.err.strip().splitlines()) == 1
        assert not [path for name in ("incoming", "replies") for path in (desk.vault / name).iterdir()]
        ballast.drop()
        assert [one["kind"] for one in desk.thread(tip)] == ["tip"]
        made = desk.reply(tip, "When was this?", file)
        assert [(one["id"], one["state"]) for one in desk.thread(tip)[1:]] == [(made["id"], "waiting")]
        assert desk.run("outbox", "--out", tmp_path / "box", "--json").json["replies"] == 1


# --- couriers ---------------------------------------------------------------------------------------------------------


def test_a_disk_filled_with_files_is_still_carried_empty(tight: Tight, couriers: CuttingProxy, tmp_path: Path) -> None:
    """Bodies fill the disk to the reserve: couriers carry all of it, texts come in, acknowledgements make room."""
    world = tight.world
    kept = [_whole(world, b"file %d" % number, 4_000_000 + number) for number in range(3)]
    tight.ballast.leave(DISK // 5)
    assert _error(world, sealed(world.keys, b"no room", [("data", bytes(1_000_000))])) == (507, "full")
    kept.append(_whole(world, b"text", 0))
    tight.ballast.leave(DISK // 20 + 500_000)  # texts have taken the reserve
    kept.append(_whole(world, b"last text", 0))
    out = world.server.home / "export"
    failed = world.server.run("export", "--to", "fidh", "--out", out, expect=Full.exit_code)
    assert len(failed.err.strip().splitlines()) == 1
    assert not list(out.iterdir())

    def read(path: str) -> bytes:
        client.request("GET", path)
        answer = client.getresponse()
        assert answer.status == 200
        return answer.read()

    before = shutil.disk_usage(world.server.home).free
    at = urlsplit(couriers.url)
    client = HTTPConnection(at.hostname or "", at.port)
    for name in world.ring.names:
        desk, stick = world.desks[name], tmp_path / f"stick-{name}"
        stick.mkdir()
        for volume in json.loads(read(f"/courier/bundles/{name}"))["volumes"]:
            (stick / volume["name"]).write_bytes(read(f"/courier/bundles/{name}/{volume['name']}"))
        desk.take(*stick.iterdir())
        assert {tip["id"] for tip in desk.tips()} == {upload.id for upload in kept}
        back = desk.outbox(tmp_path / f"{name}.back")
        client.request("POST", "/courier/deliver", back.read_bytes())
        answer = client.getresponse()
        assert (answer.status, json.loads(answer.read())["whole"]) == (200, True)
    assert shutil.disk_usage(world.server.home).free > before + 12_000_000
    assert not rows(world.server.home)
    # A large delivery does not take what is left to texts.
    client.putrequest("POST", "/courier/deliver")
    client.putheader("Content-Length", str(1 << 30))
    client.endheaders()
    assert client.getresponse().status == 507
