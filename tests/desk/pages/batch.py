"""What lies on a stick for a staff day: tips of several languages and kinds, spam, copies, hostile files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from support.desk import Envelope, seal_tip
from tipbox.formats.manifest import Manifest

# ruff: noqa: RUF001 (Cyrillic words have letters that look like Latin ones)
WORDS = (
    "Вчера на площади солдаты задержали моего брата и увели его в автобус без номера.",
    "Біз кеше алаңда болдық, содан кейін полиция келді де, бәрін алып кетті.",
    "They took the phones of all who filmed it. I have one video that they did not find.",
    "Hier soir la police est entrée dans la maison sans papier et a emmené mon père.",
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
class Batch:
    """Sealed tips, and which of them are what."""

    tips: tuple[Envelope, ...]
    spam: int
    same: int
    hostile: int


def make_batch(manifests: Sequence[Manifest], to: Manifest, count: int, today: date) -> Batch:
    """So many tips: 15 % are spam, 5 % say the same, every tenth brings a hostile file."""
    spam, same = round(count * 0.15), max(2, round(count * 0.05))
    tips, hostile = [], 0
    for number in range(count):
        files: list[tuple[str, bytes]] = []
        if number < spam:
            text = SPAM.format(number)
        elif number < spam + same:
            text = SAME
        else:
            text = f"{WORDS[number % len(WORDS)]} ({number})"
            if number % 10 == 0:
                hostile += 1
                files = [HOSTILE[hostile % len(HOSTILE)]]
                text = f"{ESCAPES} {text}" if hostile % 2 else text
            elif number % 3 == 0:
                files = [(f"IMG_{number}.jpg", JPEG + number.to_bytes(4))]
        tips.append(seal_tip(manifests, [to], message=text.encode(), files=files, today=today))
    return Batch(tuple(tips), spam, same, hostile)
