"""What a form refuses, with a hint; and what must go through as it is."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from browser.pages import Source
from tipbox_world import World

MAX_MESSAGE = 1_000_000
HOSTILE = (
    "../../../etc/passwd",
    "..",
    "C:\\windows\\system32\\cmd.exe",
    "-rf .txt",
    "<img src=x onerror=alert(1)>.jpg",
    "\u202egpj.exe",
    "\u200frtl\u200e name.txt",
    "\x1b[31mred.txt",
    "two\nlines.txt",
    unicodedata.normalize("NFD", "Найзағай йод.txt"),
    " leading and trailing ",
)


def test_a_thousand_and_one_files_are_refused(source: Source, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number:04d}.txt" for number in range(1001)]
    for path in paths:
        path.touch()
    source.open_form()
    source.browser.attach("#app input[type=file]", paths)
    said = source.browser.until(lambda: source.browser.text("#app [data-part=file-problem]"), "a complaint")
    assert "1,000" in said
    assert source.listed() == [path.name for path in paths[:1000]]


def test_a_message_over_the_limit_is_refused_with_a_hint(source: Source) -> None:
    source.open_form()
    source.wire.forget()
    source.browser.fill("#app textarea", "ж" * (MAX_MESSAGE // 2) + "x")
    source.send()
    source.browser.until(source.problem, "a complaint")
    assert "as a file" in source.problem()
    assert source.wire.seen() == []


def test_nothing_at_all_is_refused(source: Source) -> None:
    source.open_form()
    source.wire.forget()
    source.send()
    source.browser.until(source.problem, "a complaint")
    assert source.wire.seen() == []


def test_the_longest_message_arrives(teller: Source, world: World) -> None:
    text = "ж" * (MAX_MESSAGE // 2)
    teller.tell(text)
    [tip] = world.arrived("fidh")
    assert tip.message == text.encode()


def test_any_name_arrives_as_it_was(teller: Source, world: World, tmp_path: Path) -> None:
    longest = "я" * 127 + "x"
    assert len(longest.encode()) == 255
    decomposed = unicodedata.normalize("NFD", "Йошкар-Ола й.txt")
    chosen = [tmp_path / name for name in (longest, decomposed, "\u202etxt.exe", "a\x1b]0;title\x07.txt")]
    for path in chosen:
        path.write_bytes(path.name.encode())
    teller.open_form()
    teller.attach(*chosen)
    before = teller.listed()
    teller.drop(HOSTILE, "dropped")
    teller.browser.until(lambda: len(teller.listed()) > len(before), "the dropped files")
    teller.send()
    teller.wait_stored()

    [tip] = world.arrived("kibhr")
    names = [file["name"] for file in tip.facts["files"]]
    assert names == [path.name for path in chosen] + list(HOSTILE)
    for name, path in tip.files.items():
        assert path.resolve().is_relative_to(tip.folder.resolve())
        assert path.read_bytes() == (b"dropped" if name in HOSTILE else name.encode())
    written = {path for path in tip.folder.rglob("*") if path.is_file()}
    assert written == {tip.folder / "message.txt", tip.folder / "tip.json", *tip.files.values()}


def test_a_name_that_is_too_long_is_refused(source: Source) -> None:
    source.open_form()
    source.drop(["x" * 256, "ok.txt"], "dropped")
    said = source.browser.until(lambda: source.browser.text("#app [data-part=file-problem]"), "a complaint")
    assert "too long" in said
    assert source.listed() == ["ok.txt"]


def test_a_thousand_files_arrive(teller: Source, world: World, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number:04d}.txt" for number in range(1000)]
    for number, path in enumerate(paths):
        path.write_bytes(b"%d" % number)
    teller.open_form()
    teller.attach(*paths)
    teller.send()
    teller.wait_stored()
    [tip] = world.arrived("ili")
    assert [file["name"] for file in tip.facts["files"]] == [path.name for path in paths]
    assert all(tip.files[path.name].read_bytes() == path.read_bytes() for path in paths)


def test_a_file_that_changes_while_it_is_sent_delivers_nothing(teller: Source, world: World, tmp_path: Path) -> None:
    path = tmp_path / "ещё пишется.mp4"
    path.write_bytes(bytes(30_000_000))
    teller.open_form()
    teller.attach(path)
    teller.wire.hold()
    teller.send()
    teller.wire.wait_until_held()
    path.write_bytes(bytes(10_000_000))
    teller.wire.release()
    said = teller.wait_failed()
    assert path.name in said
    assert "changed" in said
    assert world.arrived("ili") == []
