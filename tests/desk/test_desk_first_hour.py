"""The commands of `docs/desk-first-hour.md`, in its order: whoever is alone with that page gets to an opened tip."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commands import Run
from support.desk import Exporter, seal_tip
from support.world import ROOT
from tipbox.formats.base import days
from tipbox.formats.manifest import Manifest

pytestmark = pytest.mark.reads_date

PAGE = ROOT / "docs" / "desk-first-hour.md"
SEALED = "What I saw on the square"
PHOTO = (ROOT / "docs" / "pictures" / "start.png").read_bytes()


def commands() -> Iterator[list[str]]:
    """Each command of the page, as a shell takes it apart."""
    for block in re.findall(r"^```\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        yield from (shlex.split(line) for line in block.splitlines())


def test_the_page_s_commands_lead_a_newcomer_to_an_opened_tip(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, words in (("pass", "correct horse battery staple word"), ("timur.pass", "six other words by other dice")):
        Path(name).write_text(f"{words}\n", encoding="utf-8")
        Path(name).chmod(0o600)
    Path("stick").mkdir()
    ident, done_so_far = "TIP", []
    for program, *arguments in commands():
        assert program == "tipbox"
        if arguments[:2] == ["desk", "import"]:  # what the operator's stick brings
            manifest, today = Manifest.parse(Path("kibhr.json").read_bytes()), days.today()
            tip = seal_tip([manifest], message=SEALED.encode(), files=[("photo.png", PHOTO)], today=today)
            Exporter().export(Path("stick/kibhr-1.bundle"), manifest, [tip], day=today)
        done = run(*(ident if argument == "TIP" else argument for argument in arguments))
        assert done.code == 0, (arguments, done)
        if arguments[:2] == ["desk", "list"]:
            ident = done.out.split()[0][:8]
        done_so_far.append(" ".join(arguments[:3] if arguments[1] == "person" else arguments[:2]))
    assert done_so_far == [
        *("keys init", "keys publish", "desk person add", "desk person list", "desk copy"),
        *("desk import", "desk list", "desk show", "desk look", "desk outbox", "desk custody"),
        *("keys rotate", "desk person remove"),
    ]
    assert Path("opened/message.txt").read_text(encoding="utf-8") == SEALED
    assert len(list(Path("seen").rglob("*.png"))) == 1
    assert Path("stick/back.bundle").is_file()
    assert run("desk", "list", "--vault", "kibhr", "--passphrase-file", "timur.pass").code == 4
    assert run("desk", "list", "--vault", "second/kibhr", "--passphrase-file", "timur.pass").code == 4


def test_each_refusal_that_the_page_explains_is_one_that_tipbox_gives() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## What a refusal means")[2]
    said = [row.split("|")[1].strip().replace(" …", "") for row in table.splitlines() if row.startswith("| ")][1:]
    sources = "".join(
        re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8")) for path in (ROOT / "tipbox").rglob("*.py")
    )
    assert len(said) == 8
    assert [line for line in said if line not in sources and line.capitalize() not in sources] == []
