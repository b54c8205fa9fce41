"""What may lie on a stick besides whole files: nothing at all, a byte, links, pipes, devices; files that change."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.commands import Run
from support.desk import PASSWORD, Desk, Desks, Exporter, listed, seal_tip
from tipbox.desk.importing import importer, piece_files
from tipbox.desk.importing.receive import receive
from tipbox.errors import InputRefused, NotFound, NotTipbox, TipboxError
from tipbox.files.durable import replacing, write_file
from tipbox.files.plain_file import open_plain


@pytest.fixture
def desk(desks: Desks) -> Desk:
    """One of three organisations."""
    return desks.desks[2]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A short path: names of sockets are short."""
    made = tmp_path / "stick"
    made.mkdir()
    with ExitStack() as stack:
        stack.callback(os.chdir, Path.cwd())
        os.chdir(made)
        yield made


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)  # its name is short, the path may not be


def make_link_to_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


ODD: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "socket": make_socket,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "device that gives nothing": lambda path: path.symlink_to("/dev/null"),
    "link to a pipe": make_link_to_pipe,
}


def test_what_is_no_plain_file_is_refused_at_once(desk: Desk, folder: Path) -> None:
    for number, make in enumerate(ODD.values()):
        make(folder / f"{number}.tip")
    problems = desk.take(*(folder / f"{number}.tip" for number in range(len(ODD)))).problems
    assert [type(error) for _, error in problems] == [InputRefused] * len(ODD)
    assert {str(error).partition(";")[0] for _, error in problems} == {
        "this is no file but a device, a pipe or a socket"
    }


def test_an_empty_file_is_told_as_that(desk: Desk, folder: Path) -> None:
    names = ("x.tip", "x.bundle", "holiday")
    for name in names:
        (folder / name).write_bytes(b"")
    (folder / "byte.tip").write_bytes(b"\x89")
    problems = desk.take(*map(folder.joinpath, names), folder / "byte.tip").problems
    assert [(name, type(error)) for name, error in problems] == [(name, NotTipbox) for name in (*names, "byte.tip")]
    empty = ["this file is empty: it was not copied whole" in str(error) for _, error in problems]
    assert empty == [True, True, True, False]


def test_a_link_that_leads_nowhere_is_not_there(desk: Desk, folder: Path) -> None:
    (folder / "x.tip").symlink_to("nowhere")
    (folder / "y.tip").symlink_to("y.tip")
    (_, nowhere), (_, circle) = desk.take(folder / "x.tip", folder / "y.tip").problems
    assert type(nowhere) is NotFound
    assert type(circle) is InputRefused


def test_what_a_folder_holds_besides_files_is_told_and_passed_over(desks: Desks, desk: Desk, folder: Path) -> None:
    for number, make in enumerate(ODD.values()):
        make(folder / f"{number}.tip")
    (folder / "nowhere.tip").symlink_to("nowhere")
    (folder / "round1").mkdir()
    (folder / "other").symlink_to("round1")
    (folder / "round1" / "empty.jpg").write_bytes(b"")
    (folder / "round1" / "z.tip").write_bytes(seal_tip(desks.manifests).data)
    outcome = desk.take(folder)
    assert (outcome.counts, outcome.problems) == ({"mine": 1}, [])
    passed = "a link, a pipe or a device was passed over: only files are read"
    assert outcome.notices == [passed] * 8 + ["a file that is not tipbox's was passed over"]


def test_the_command_says_so_with_its_codes(run: Run, desks: Desks, desk: Desk, folder: Path, tmp_path: Path) -> None:
    write_file(tmp_path / "secret", PASSWORD)
    options = ("--vault", desk.vault, "--passphrase-file", tmp_path / "secret")
    (folder / "empty.tip").write_bytes(b"")
    os.mkfifo(folder / "pipe.tip")
    (folder / "good.tip").write_bytes(seal_tip(desks.manifests).data)
    alone = run("desk", "import", *options, folder / "empty.tip")
    assert (alone.code, alone.out) == (3, "")
    assert alone.err == (
        "tipbox: importing empty.tip: this file is empty: it was not copied whole, or its stick is full; "
        "copy it again\n"
    )
    assert run("desk", "import", *options, folder / "pipe.tip", "--json").error == "refused"
    both = run("desk", "import", *options, folder / "empty.tip", folder / "good.tip")
    assert (both.code, both.out.startswith("1 opened")) == (8, True)
    whole = run("desk", "import", *options, folder)
    assert whole.code == 8
    assert "passed over: only files are read" in whole.err


# --- files that change ------------------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def lengthen(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize("change", [cut, lengthen])
def test_a_tip_that_changes_while_it_is_read_is_an_error(
    desks: Desks, desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    path, other = folder / "a.tip", folder / "b.tip"
    tip = seal_tip(desks.manifests, files=[("a", bytes(3_000_000))])
    path.write_bytes(tip.data)
    other.write_bytes(seal_tip(desks.manifests).data)

    def changed(*arguments: object) -> object:
        if path.samefile(arguments[3].name) and path.stat().st_size == len(tip.data):  # type: ignore[attr-defined]
            change(path)
        return receive(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(importer, "receive", changed)
    outcome = desk.take(path, other)
    assert [type(error).code for _, error in outcome.problems] == ["incomplete" if change is cut else "trailing"]
    assert outcome.counts == {"mine": 1}
    monkeypatch.undo()
    path.write_bytes(tip.data)
    assert desk.take(path).counts == {"mine": 1}
    assert len(listed(desk)) == 2


def test_a_bundle_that_is_cut_while_it_is_read_keeps_what_came(
    desks: Desks, desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tips = [seal_tip(desks.manifests, files=[("a", bytes(3_000_000))]) for _ in range(2)]
    path = Exporter().export(folder / "x.bundle", desk.manifest, tips)
    whole = path.read_bytes()

    def then_cut(*arguments: object) -> object:
        found = receive(*arguments)  # type: ignore[arg-type]
        os.truncate(path, len(whole) // 2)
        return found

    monkeypatch.setattr(importer, "receive", then_cut)
    outcome = desk.take(path)
    assert {type(error).code for _, error in outcome.problems} == {"damaged-item"}
    assert outcome.counts == {"mine": 1}
    monkeypatch.undo()
    path.write_bytes(whole)
    assert desk.take(path).counts == {"known": 1, "mine": 1}


def test_a_piece_that_becomes_a_pipe_is_refused(folder: Path) -> None:
    """It is opened again, by its name, after it was looked at."""
    os.mkfifo(folder / "x.piece")
    segments = piece_files._Segments(iter([piece_files._Segment(4, folder / "x.piece")]))
    with pytest.raises(InputRefused):
        segments.read(4)


# --- places to write to -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ODD)
def test_nothing_is_written_in_the_place_of_a_device_or_a_pipe(folder: Path, kind: str) -> None:
    """Root's command would put a file where /dev/null was."""
    path = folder / "x"
    ODD[kind](path)
    before = path.lstat()
    with pytest.raises(TipboxError, match="a device, a pipe or a socket"), replacing(path):
        pass
    assert path.lstat().st_ino == before.st_ino
    assert not [one for one in folder.iterdir() if one.name.endswith(".part")]


def test_a_plain_file_is_opened_to_read(folder: Path) -> None:
    (folder / "x").write_bytes(b"words")
    with open_plain(folder / "x") as file:
        assert file.read() == b"words"
        assert Path(file.name) == folder / "x"
