"""A pouch of sealed tips: by a courier, on a stick, and both; one tip is one tip, whichever came first."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from faults.cutting_proxy import CuttingProxy
from support.commands import Done
from support.world import Ring, World, running_world, tipbox
from tipbox.desk.importing.piece_files import PieceFiles


@pytest.fixture
def world(ring: Ring) -> Iterator[World]:
    with running_world(ring, courier=True) as made:
        yield made


@pytest.fixture
def couriers(world: World) -> Iterator[CuttingProxy]:
    with CuttingProxy(str(world.server.courier)) as proxy:
        yield proxy


def pieces_of(world: World, folder: Path, file: Path) -> list[Path]:
    """A tip of one file in pieces of a megabyte."""
    message = folder / "message.txt"
    message.write_text("carried by hand")
    tipbox(
        *("seal", "--keys", world.keys, "--message-file", message, "--out", folder / "sealed.tip"),
        *("--pieces", "1", file),
    )
    return sorted(folder.glob("sealed-*.tip"))


def joined(pieces: Sequence[Path], out: Path) -> Path:
    """The same tip as one file."""
    found = PieceFiles()
    for path in pieces:
        with path.open("rb") as file:
            found.add(path, file)
    [tip] = found.tips()
    with tip.open() as whole:
        out.write_bytes(whole.read())
    return out


def stick(folder: Path, files: Sequence[Path]) -> Path:
    """Files as a stick has them after some journeys: renamed, doubled, with what other systems leave beside."""
    (folder / "System Volume Information").mkdir(parents=True)
    for number, path in enumerate(reversed(files)):
        shutil.copy(path, folder / f"DCIM{number:04}.MOV")
        shutil.copy(path, folder / f"copy of {path.name}")
    litter = ("._sealed-kqmtbr-1-of-3.tip", ".DS_Store", "Thumbs.db", "System Volume Information/WPSettings.dat")
    for name in litter:
        (folder / name).write_bytes(b"\0\5\26\7" + secrets.token_bytes(100))
    (folder / "link.tip").symlink_to("/etc/passwd")
    return folder


def carried(couriers: CuttingProxy, key: Path, *folders: Path, expect: int = 0) -> Done:
    return tipbox("courier", "pouch", couriers.url, "--key", key, *folders, "--json", expect=expect)


def test_one_tip_by_every_way_is_one_tip(world: World, couriers: CuttingProxy, tmp_path: Path) -> None:
    key, desk = tmp_path / "K", world.desks["kibhr"]
    tipbox("courier", "keygen", "--out", key)
    file = tmp_path / "photo.jpg"
    file.write_bytes(secrets.token_bytes(2_300_000))
    first, second, third = pieces = pieces_of(world, tmp_path, file)
    done = carried(couriers, key, stick(tmp_path / "first", [first, third])).json
    assert (done["doubled"], done["others"], done["stored"]) == (2, 4, 0)
    assert done["waiting"] == [{"missing": [2], "pieces": 3}]
    assert {one["fate"] for one in done["files"]} == {"here"}
    # The rest comes another day, with all of it once more.
    done = carried(couriers, key, stick(tmp_path / "second", pieces)).json
    assert (done["stored"], done["waiting"]) == (1, [])
    assert carried(couriers, key, tmp_path / "second").json["stored"] == 1
    whole = joined(pieces, tmp_path / "whole.tip")
    assert carried(couriers, key, whole).json["stored"] == 1

    # At the desk: from the server, then from the stick of a friend, in pieces and whole.
    world.carry("kibhr")
    [tip] = desk.tips()
    desk.take(tmp_path / "second", whole)
    assert [one["id"] for one in desk.tips()] == [tip["id"]]
    opened = desk.open(tip["id"], tmp_path / "opened")
    assert opened.message == b"carried by hand"
    assert opened.files["photo.jpg"].read_bytes() == file.read_bytes()
    # And the other way round, at another desk.
    other = world.desks["fidh"]
    other.take(tmp_path / "second")
    world.carry("fidh")
    other.take(whole)
    assert [one["id"] for one in other.tips()] == [tip["id"]]
    assert second.exists()


def test_what_is_damaged_or_of_nobody_is_named_and_the_rest_goes(
    world: World, couriers: CuttingProxy, tmp_path: Path
) -> None:
    key = tmp_path / "K"
    tipbox("courier", "keygen", "--out", key)
    (tmp_path / "nothing").mkdir()
    carried(couriers, key, tmp_path / "nothing", expect=5)
    file = tmp_path / "photo.jpg"
    file.write_bytes(secrets.token_bytes(1_500_000))
    pieces = pieces_of(world, tmp_path, file)
    data = bytearray(pieces[0].read_bytes())
    data[-5] ^= 1
    pieces[0].write_bytes(data)
    folder = tmp_path / "stick"
    folder.mkdir()
    for path in pieces:
        shutil.copy(path, folder)
    # What a stick that was pulled out too early has in place of a tip.
    whole = tmp_path / "whole.tip"
    tipbox("seal", "--keys", world.keys, "--message-file", tmp_path / "message.txt", "--out", whole, file)
    (folder / "half.tip").write_bytes(whole.read_bytes()[:700_000])
    (folder / "empty.tip").touch()
    (folder / "zeros.TIP").write_bytes(bytes(70_000))
    done = carried(couriers, key, folder, expect=8)
    fates = {Path(one["file"]).name: one["fate"] for one in done.json["files"]}
    assert fates == {
        pieces[0].name: "damaged",
        pieces[1].name: "here",
        "half.tip": "damaged",
        "empty.tip": "not-tipbox",
        "zeros.TIP": "not-tipbox",
    }
    assert done.json["waiting"] == [{"missing": [1], "pieces": 2}]
    assert done.json["others"] == 0
