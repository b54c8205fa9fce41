"""What a form refuses, with a hint; and what must go through as it is."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from browser.pages import Source
from support.world import World

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


def test_extremes_arrive_as_they_were(teller: Source, world: World, tmp_path: Path) -> None:
    """The longest message; any name; a thousand files. And nothing of a file that changed while it was sent."""
    # A message of exactly as many bytes as one may have.
    longest = "ж" * (MAX_MESSAGE // 2)
    teller.tell(longest)

    # Names from a disk and names that only a hostile sender gives, chosen and dropped.
    decomposed = unicodedata.normalize("NFD", "Йошкар-Ола й.txt")
    chosen = [tmp_path / name for name in ("я" * 127 + "x", decomposed, "\u202etxt.exe", "a\x1b]0;title\x07.txt")]
    assert len(chosen[0].name.encode()) == 255
    for path in chosen:
        path.write_bytes(path.name.encode())
    teller.open_form()
    teller.attach(*chosen)
    teller.drop(HOSTILE, "dropped")
    teller.browser.until(lambda: len(teller.listed()) == len(chosen) + len(HOSTILE), "the dropped files")
    teller.send()
    teller.wait_stored()

    # As many files as there may be.
    many = [tmp_path / f"{number:04d}.txt" for number in range(1000)]
    for number, path in enumerate(many):
        path.write_bytes(b"%d" % number)
    teller.open_form()
    teller.attach(*many)
    teller.send()
    teller.wait_stored()

    # A file that is still being written.
    changing = tmp_path / "ещё пишется.mp4"
    changing.write_bytes(bytes(30_000_000))
    teller.open_form()
    teller.attach(changing)
    teller.wire.hold()
    teller.send()
    teller.wire.wait_until_held()
    changing.write_bytes(bytes(10_000_000))
    teller.wire.release()
    said = teller.wait_failed()
    assert changing.name in said
    assert "changed" in said

    tips = {len(tip.facts["files"]): tip for tip in world.arrived("kibhr")}
    assert set(tips) == {0, len(chosen) + len(HOSTILE), len(many)}
    assert tips[0].message == longest.encode()

    hostile = tips[len(chosen) + len(HOSTILE)]
    assert [file["name"] for file in hostile.facts["files"]] == [path.name for path in chosen] + list(HOSTILE)
    for name, path in hostile.files.items():
        assert path.resolve().is_relative_to(hostile.folder.resolve())
        assert path.read_bytes() == (b"dropped" if name in HOSTILE else name.encode())
    written = {path for path in hostile.folder.rglob("*") if path.is_file()}
    assert written == {hostile.folder / "message.txt", hostile.folder / "tip.json", *hostile.files.values()}

    full = tips[len(many)]
    assert [file["name"] for file in full.facts["files"]] == [path.name for path in many]
    assert all(full.files[path.name].read_bytes() == path.read_bytes() for path in many)


def test_a_name_that_is_too_long_is_refused(source: Source) -> None:
    source.open_form()
    source.drop(["x" * 256, "ok.txt"], "dropped")
    said = source.browser.until(lambda: source.browser.text("#app [data-part=file-problem]"), "a complaint")
    assert "too long" in said
    assert source.listed() == ["ok.txt"]
