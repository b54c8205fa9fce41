"""The whole way of a tip, from each browser to the desk."""

from __future__ import annotations

import filecmp
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from browser.pages import Source
from support.world import NAMES, World
from tipbox.formats.access_code import AccessCode, thread_id
from tipbox.formats.manifest import Manifest

TEXT = """5 января на площади стреляли в безоружных людей. Я видел это сам.

Алаңда қарусыз адамдарға оқ атылды. Кадры приложены: фото и видео, 🕯️
«Никто не предупреждал» — так говорят все, кто там был."""


@pytest.fixture
def files(photo: Path, video: Path, empty: Path) -> tuple[Path, Path, Path]:
    return photo, video, empty


def test_text_photo_video_and_empty_file_arrive_bit_exact(
    teller: Source, world: World, files: Sequence[Path], record_size: Callable[[str, int], None]
) -> None:
    _, video, _ = files
    teller.wire.keep = 0  # hundreds of megabytes pass
    teller.open_form()
    teller.write(TEXT)
    teller.attach(*files)
    began = time.monotonic()
    teller.send()
    digits = teller.wait_stored(600)
    seconds = time.monotonic() - began

    shown = teller.checks()
    began = time.monotonic()
    [tip] = world.arrived("kibhr")
    carried = time.monotonic() - began

    assert tip.message == TEXT.encode()
    assert [file["name"] for file in tip.facts["files"]] == [path.name for path in files]
    for path in files:
        assert filecmp.cmp(path, tip.files[path.name], shallow=False)
    assert tip.facts["files"][0]["type"] == "image/jpeg"
    assert tip.facts["language"] == "en"
    assert shown[NAMES["kibhr"][0]] == tip.facts["check_digits"]
    manifest = Manifest.parse((world.keys / "kibhr.json").read_bytes())
    pair_key = AccessCode.parse(digits).secrets().pair_key(manifest.id)
    assert tip.facts["thread"] == thread_id(pair_key).hex()

    name = teller.browser.level.value
    record_size(f"video from {name}", video.stat().st_size)
    record_size(f"sent a second from {name}", round(video.stat().st_size / seconds))
    record_size(f"carried and opened a second from {name}", round(video.stat().st_size / carried))
