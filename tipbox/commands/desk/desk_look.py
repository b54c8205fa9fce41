"""``tipbox desk look``: what a file of a source is and shows, without opening it on this machine."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Final

import click

from tipbox.commands.desk.vault_options import open_vault, vault_option, waiting
from tipbox.commands.terminal import Terminal, json_option, pass_terminal, passphrase_option
from tipbox.desk import tips
from tipbox.desk.joined import JoinedTip, joined_tip
from tipbox.desk.render import ladder, sandbox, take_out
from tipbox.desk.render.ladder import Look
from tipbox.desk.render.look_lines import Line
from tipbox.desk.render.picture_png import png
from tipbox.desk.render.sealed_off import HeldFile, file_of, held
from tipbox.desk.vault.vault import Vault
from tipbox.errors import AlreadyThere, PartlyDone, Usage
from tipbox.files.printable import printable
from tipbox.files.working import working_folder

_PATH = click.Path(path_type=Path)
_LINES: Final = 60
"""Lines of a file's text that a terminal shows."""
_NAMES: Final = 40
"""Names in an archive that it shows."""
_LINE: Final = 500
"""Characters of a line."""
_UNSEEN: Final = frozenset({Line.NO_SANDBOX, Line.TOO_LONG, Line.ENDED, Line.BAD_ANSWER, Line.NO_PROGRAM})
"""For which a look is not all that was asked for."""
_RATE: Final = 8000


@click.command()
@vault_option
@passphrase_option
@click.argument("tip")
@click.argument("file", type=click.IntRange(min=1))
@click.option("--ocr", is_flag=True, help="Look for words in pictures, too: Kazakh, Russian, English, French.")
@click.option("--out", type=_PATH, metavar="DIR", help="Write pictures, text and sound, made anew, into a new folder.")
@click.option("--original", type=_PATH, metavar="DIR", help="Write the file itself, as it came, into a folder.")
@click.option(
    "--reason", default="", metavar="WHY", help="Why the file itself goes out; it stays in the custody chain."
)
@json_option
@pass_terminal
def look(
    terminal: Terminal,
    *,
    vault: Path,
    passphrase_file: Path,
    tip: str,
    file: int,
    ocr: bool,
    out: Path | None,
    original: Path | None,
    reason: str,
) -> None:
    """See what a file of a tip is and shows; FILE is its number, from 1. It is opened in a sandbox only."""
    if original is not None and (ocr or out is not None):
        raise Usage("looking at a file: --original goes without --ocr and --out")
    if original is not None:
        take_out.check_reason(reason)
    elif reason:
        raise Usage("looking at a file: --reason goes with --original")
    if out is not None and out.exists():
        raise AlreadyThere("looking at a file: what --out names is there already; name a new folder")
    with open_vault(terminal, vault, passphrase_file) as opened:
        joined = joined_tip(opened, tips.find_tip(opened, tip))
        if original is not None:
            _take_out(terminal, opened, joined, file, folder=original, reason=reason)
            return
        with held(opened, joined, file) as bytes_of_it:
            seen = ladder.sight(bytes_of_it)
            words, why = ladder.words_in_pictures(bytes_of_it) if ocr else ("", ())
            _say_size(terminal, bytes_of_it)
        if Line.NO_SANDBOX not in seen.lines:
            opened.lock(waiting(terminal))
            rung = "saved" if out else "words" if ocr else "sight"
            take_out.note_look(opened, joined, file, rung, seen.answer.likeness)
        if out is not None:
            _save(out, seen, words)
    _say(terminal, seen, words if ocr else None, why)
    terminal.result(
        seen.to_json()
        | {
            "file": file,
            "id": joined.id.hex(),
            "out": str(out) if out else None,
            "pictures": [{"height": picture.height, "width": picture.width} for picture in seen.pictures],
            "words": words if ocr else None,
            "words_lines": [line.code for line in why],
        }
    )
    if missing := [line for line in (*seen.lines, *why) if line in _UNSEEN]:
        reasons = sandbox.problem() if Line.NO_SANDBOX in missing else missing[0].sentence.rstrip(".").lower()
        raise PartlyDone(f"looking at a file: {reasons}")


def _take_out(terminal: Terminal, vault: Vault, tip: JoinedTip, number: int, *, folder: Path, reason: str) -> None:
    envelope, index = file_of(tip, number)
    with terminal.progress("writing", envelope.files[index].size) as progress:
        path = take_out.take_out(vault, tip, number, folder, reason, waiting=waiting(terminal), progress=progress)
    terminal.say(f"Wrote {path}: the file as it came. Open it on a machine that you can lose.")
    terminal.result({"file": number, "id": tip.id.hex(), "original": str(path)})


def _save(out: Path, seen: Look, words: str) -> None:
    """Write what was made anew, all at once."""
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    with working_folder(out.parent) as work:
        for number, picture in enumerate(seen.pictures, 1):
            _write(work / f"{number}.png", png(picture.width, picture.height, picture.pixels))
        for name, text in (("text.txt", seen.text), ("words.txt", words)):
            if text:
                _write(work / name, text.encode())
        if seen.answer.sound:
            path = work / "sound.wav"
            path.touch(mode=0o600, exist_ok=False)
            with wave.open(str(path), "wb") as sound:
                sound.setnchannels(1)
                sound.setsampwidth(2)
                sound.setframerate(_RATE)
                sound.writeframes(seen.answer.sound)
        work.rename(out)


def _write(path: Path, data: bytes) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(data)


def _say_size(terminal: Terminal, file: HeldFile) -> None:
    terminal.say(f"{printable(file.name)}, {file.size:,} bytes")


def _say(terminal: Terminal, seen: Look, words: str | None, why: tuple[Line, ...]) -> None:
    kinds = ((seen.name_says, "its name"), (seen.bytes_say, "its first bytes"), (seen.type, "libmagic"))
    if said := [f"{printable(kind)} by {by}" for kind, by in kinds if kind]:
        terminal.say(f"Kind: {', '.join(said)}.")
    for line in seen.lines:
        terminal.say(line.sentence)
    for sign in sorted(seen.signs, key=lambda sign: sign.code):
        terminal.say(f"Careful: {sign.sentence}")
    for name, value in (*seen.answer.facts, *seen.metadata):
        terminal.say(f"  {printable(name)}: {printable(value)}")
    if seen.pictures:
        sizes = ", ".join(f"{picture.width} x {picture.height}" for picture in seen.pictures)
        terminal.say(f"Pictures: {sizes}; --out writes them.")
    if seen.answer.sound:
        terminal.say(f"Sound: the first {len(seen.answer.sound) / 2 / _RATE:.0f} seconds; --out writes them.")
    for entry in seen.entries[:_NAMES]:
        terminal.say(f"  {'    ' * entry.depth}{printable(entry.name)}, {entry.size:,} bytes")
    if (more := len(seen.entries) + seen.answer.more_entries - _NAMES) > 0:
        terminal.say(f"  and {more:,} names more")
    _say_text(terminal, "Its words:", seen.text)
    if words is not None:
        _say_text(terminal, "Words in its pictures:", words)
        for line in why:
            terminal.say(f"Words in its pictures: {line.sentence}")


def _say_text(terminal: Terminal, title: str, text: str) -> None:
    lines = text.splitlines()
    if not any(line.strip() for line in lines):
        return
    terminal.say(title)
    for line in lines[:_LINES]:
        terminal.say(f"  | {printable(line.replace(chr(9), ' '), _LINE)}")
    if len(lines) > _LINES:
        terminal.say(f"  and {len(lines) - _LINES:,} lines more; --out writes all that was read")
