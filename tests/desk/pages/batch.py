"""What lies on a stick for a staff day: tips of several languages and kinds, spam, copies, hostile files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from desk.pages.inside import ENCLOSED
from support.desk import Envelope, seal_tip
from tipbox.formats.manifest import Manifest

# ruff: noqa: RUF001 (Cyrillic words have letters that look like Latin ones)
WORDS = (
    "Вчера на площади солдаты задержали моего брата и увели его в автобус без номера.",
    "Біз кеше алаңда болдық, содан кейін полиция келді де, бәрін алып кетті.",
    "They took the phones of all who filmed it. I have one video that they did not find.",
    "Hier soir la police est entrée dans la maison sans papier\u00a0: ils ont emmené mon père.",
    "Он рассказал, что его били в отделении три дня, и показал следы на руках.",
)
SPAM = "Casino bonus: win a car today, click here and there, no deposit, best prices {}"
SAME = "The same letter, which somebody sent again and again."
ESCAPES = "Before \x1b[31mred\x1b[0m, \u202eturned\u202c and a <script>alert(1)</script> and {{ 7 * 7 }}"
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4
HOSTILE = (
    ("photo\u202egpj.exe", b"MZ" + bytes(300)),
    ("report.pdf", b"PK\x03\x04" + bytes(300)),
    ('"><img src=x onerror=alert(1)>.jpg', JPEG),
    ("../../etc/passwd", b"#!/bin/sh\n"),
)


@dataclass(frozen=True)
class Told:
    """What one source says, and the files with it."""

    text: str
    files: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Stories:
    """What sources say, and how much of it is what."""

    told: tuple[Told, ...]
    spam: int
    same: int
    hostile: int


@dataclass(frozen=True)
class Batch:
    """Sealed tips, and which of them are what."""

    tips: tuple[Envelope, ...]
    spam: int
    same: int
    hostile: int


def tell(count: int, hostile: Sequence[tuple[str, bytes]] = HOSTILE) -> Stories:
    """So many stories: 15 % are spam, 5 % say the same, every tenth of all brings one of these hostile files."""
    spam, same, evil = round(count * 0.15), max(2, round(count * 0.05)), round(count * 0.1)
    told = [Told(SPAM.format(number)) for number in range(spam)]
    told += [Told(SAME)] * same
    for number in range(evil):
        before = f"{ESCAPES} " if number % 2 else ""
        text = f"{before}{WORDS[number % len(WORDS)]} ({number}, {ENCLOSED})"
        told.append(Told(text, (hostile[number * len(hostile) // evil],)))
    for number in range(count - len(told)):
        files = ((f"IMG_{number}.jpg", JPEG + number.to_bytes(4)),) if number % 3 == 0 else ()
        told.append(Told(f"{WORDS[number % len(WORDS)]} [{number}]", files))
    return Stories(tuple(told), spam, same, evil)


def make_batch(manifests: Sequence[Manifest], to: Manifest, count: int, today: date) -> Batch:
    """So many sealed tips."""
    stories = tell(count)
    tips = tuple(
        seal_tip(manifests, [to], message=one.text.encode(), files=one.files, today=today) for one in stories.told
    )
    return Batch(tips, stories.spam, stories.same, stories.hostile)
