"""Whom a source writes to, and under which names: nothing is decided for anybody in a hurry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from browser import lying
from browser.drivers import PHONE, Level
from browser.pages import CHOICE, MESSAGE, READY, Source
from support.world import NAMES, World
from tipbox.formats.manifest import Manifest

LOOKED_AT = pytest.mark.parametrize("level", [Level.CHROMIUM, Level.STANDARD], ids=lambda level: level.value)
PLAIN = "#app [data-part=plain] input"


def ticked(source: Source) -> int:
    return int(source.browser.run(f"return document.querySelectorAll({json.dumps(CHOICE)} + ':checked').length;"))


@LOOKED_AT
def test_nobody_is_chosen_beforehand_and_one_button_chooses_all(source: Source) -> None:
    """Hurry would decide for the widest circle, and each captured organisation is a reader."""
    browser = source.browser
    source.go("/en/send")
    browser.wait(READY)
    assert ticked(source) == 0
    source.write("Кому?")
    source.send()
    browser.until(source.problem, "a complaint")
    assert "Choose at least one" in source.problem()
    form = browser.text("#app")
    assert form.index("who could be forced") < form.index("Choose all 3") < form.index("Seal and send")
    source.choose_all()
    assert ticked(source) == len(NAMES)
    assert source.problem() == ""


@LOOKED_AT
def test_a_card_says_who_they_are(source: Source, pages_world: World) -> None:
    browser = source.browser
    source.open_form()
    names = source.organisations()
    assert set(names) == pages_world.accepted()
    browser.until(lambda: browser.count("#app .choice [data-id], #app .choice .quiet"), "the cards")
    for number in range(1, len(names) + 1):
        card = browser.text(f"#app [data-part=organisations] > :nth-child({number})")
        name, where, *_ = card.split("\n")
        assert name == names[number - 1]
        assert " · " in where, "country and languages"


@LOOKED_AT
def test_files_go_under_plain_names_when_that_is_chosen(teller: Source, world: World, tmp_path: Path) -> None:
    """The bytes stay, to the last one; by default the names do, too."""
    browser = teller.browser
    files = {"VID_20220105_2213.mp4": b"video" * 20_000, "Площадь Асель.jpg": b"photo" * 100}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    teller.open_form()
    assert browser.run(f"return document.querySelector('{PLAIN}').closest('label').hidden;") is True
    teller.write("Без имён")
    teller.attach(*(tmp_path / name for name in files))
    assert teller.listed() == list(files)
    browser.click(PLAIN)
    assert teller.listed() == ["video-1.mp4", "photo-1.jpg"]
    teller.send()
    teller.wait_stored()
    assert browser.text("#app .state.arrived") == "Stored"
    items, whom = (browser.text(f"#app [data-part={part}]") for part in ("items", "whom"))
    assert [one for one in ("Your words", "video-1.mp4", "photo-1.jpg") if one not in items] == [], "an account of it"
    assert [name for name, *_ in NAMES.values() if name not in whom] == []
    found = {name: path.read_bytes() for tip in world.arrived("kibhr") for name, path in tip.files.items()}
    assert found == {"video-1.mp4": files["VID_20220105_2213.mp4"], "photo-1.jpg": files["Площадь Асель.jpg"]}


@LOOKED_AT
def test_a_name_cannot_pretend_to_be_of_another_kind(source: Source) -> None:
    source.open_form()
    source.drop(["photo\u202egpj.exe"], "a")
    source.browser.until(source.listed, "the file to be listed")
    assert source.listed() == ["photo⟨U+202E⟩gpj.exe"]


@LOOKED_AT
def test_the_field_goes_the_way_of_what_is_written_and_tells_nobody(source: Source) -> None:
    """Arabic from the right; and no browser sends what is written to a service that suggests words or translates."""
    browser = source.browser
    source.open_form()
    direction = f"return getComputedStyle(document.querySelector('{MESSAGE}')).direction;"
    source.write("سلام")
    assert browser.run(direction) == "rtl"
    names = ("translate", "writingsuggestions", "spellcheck", "autocomplete", "autocorrect", "autocapitalize")
    said = [browser.run(f"return document.querySelector('{MESSAGE}').getAttribute('{name}');") for name in names]
    assert said == ["no", "false", "false", "off", "off", "off"]


@LOOKED_AT
@pytest.mark.parametrize("language", ["kk", "ru", "en", "fr", "es", "ar"])
def test_both_ways_in_are_on_the_first_screen_of_a_phone(source: Source, tmp_path: Path, language: str) -> None:
    source.go(f"/{language}/")
    source.browser.screenshot(tmp_path / "start.png", PHONE)
    lowest = source.browser.run("""
        const doors = [...document.querySelectorAll("#app [data-door]")];
        return Math.max(...doors.map(door => door.getBoundingClientRect().bottom + scrollY));
    """)
    assert lowest <= PHONE[1]
    assert source.browser.count("#app .doors [data-door]") == 2
    assert source.browser.count("#app [data-door]") == 3, "and the quiet one to an upload of another day"


def speaking_photo(folder: Path) -> Path:
    """A JPEG without a picture, whose Exif names the phone."""
    said = b"Samsung\0"
    tiff = b"MM\0*" + (8).to_bytes(4) + (1).to_bytes(2) + b"\x01\x0f\0\x02" + len(said).to_bytes(4) + (26).to_bytes(4)
    exif = b"Exif\0\0" + tiff + bytes(4) + said
    path = folder / "IMG_0001.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + b"\xff\xd9")
    return path


@LOOKED_AT
def test_a_photo_says_on_request_what_it_says_of_its_maker(source: Source, tmp_path: Path) -> None:
    """Before anything is sealed, without a word of it leaving; and the photo stays as it is."""
    browser = source.browser
    source.open_form()
    source.attach(speaking_photo(tmp_path))
    source.wire.forget()
    browser.click("#app [data-part=photos] summary")
    browser.click("#app [data-part=look]")
    browser.until(lambda: "Samsung" in browser.text("#app [data-part=said]"), "what the photo says")
    assert [(one.method, one.target) for one in source.wire.seen()] == [("GET", "/static/photo.js")]
    assert "strong evidence" in browser.text("#app [data-part=photos]")


@LOOKED_AT
def test_who_was_ticked_and_takes_nothing_is_named_before_anything_is_sent(source: Source) -> None:
    """Ticked before what seals had come: the source takes the tick away, nobody else."""
    browser, wire = source.browser, source.wire
    real = source.now()
    gone, *others = (name for name, *_ in NAMES.values())
    manifests = [one for one in real["manifests"] if Manifest.parse(one.encode()).name != gone]
    wire.blocked = lambda path: path == "/api/now"
    source.go("/en/send")
    browser.wait(MESSAGE)
    source.write("Кому?")
    browser.until(lambda: browser.count("#app [data-part=all]"), "the cards")
    source.choose_all()
    wire.answers["/api/now"] = lying.now(real, manifests=manifests)
    wire.blocked = lambda _path: False
    wire.forget()
    source.send()
    browser.until(source.problem, "a complaint")
    assert source.problem() == f"\u2068{gone}\u2069 · Takes nothing just now."
    assert ticked(source) == len(NAMES)
    assert wire.seen("PUT") == []
    source.choose_only(*others)
    assert set(source.organisations()) == set(others)
    source.send()
    source.wait_stored()
    assert set(source.checks()) == set(others)
