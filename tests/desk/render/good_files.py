"""Small files of every kind that the desk shows, as telephones and offices write them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pillow_heif
from PIL import Image, ImageDraw

WORDS = "Площадь Республики, Алматы қаласы"
"""What each text says."""
FILM = ("-f", "lavfi", "-i", "testsrc=duration=2:size=96x64:rate=10", "-f", "lavfi", "-i", "sine=duration=2")


def picture(width: int = 96, height: int = 64) -> Image.Image:
    """A picture in which each place looks different."""
    made = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    draw = ImageDraw.Draw(made)
    draw.ellipse((width // 8, height // 8, width // 2, height - height // 8), fill=(200, 40, 30))
    draw.line((0, height, width, 0), fill=(20, 80, 220), width=3)
    return made


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format=kind, **options)
    return out.getvalue()


def jpeg_with_place(serial: str = "SN-4711") -> bytes:
    """As a telephone writes it: with its serial number and the place."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0xC62F] = "Maker", "Phone 9", serial
    exif.get_ifd(0x8825).update({1: "N", 2: (43.0, 14.0, 18.0), 3: "E", 4: (76.0, 56.0, 42.0)})
    return saved(picture(), "JPEG", exif=exif)


def packed(members: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def docx(body: str = f"<w:p><w:r><w:t>{WORDS}</w:t></w:r></w:p>", head: str = "", **more: str) -> bytes:
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    core = "http://schemas.openxmlformats.org/package/2006/metadata/core-properties"
    return packed(
        {
            "[Content_Types].xml": "<Types/>",
            "word/document.xml": f'{head}<w:document xmlns:w="{word}"><w:body>{body}</w:body></w:document>',
            "docProps/core.xml": f'<c:coreProperties xmlns:c="{core}" xmlns:d="http://purl.org/dc/elements/1.1/">'
            "<d:creator>Clerk</d:creator></c:coreProperties>",
        }
        | more
    )


def xlsx(cells: str = '<c t="s"><v>0</v></c><c><v>12</v></c>', head: str = "", **more: str) -> bytes:
    sheet = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return packed(
        {
            "xl/workbook.xml": f'<workbook xmlns="{sheet}"/>',
            "xl/sharedStrings.xml": f'{head}<sst xmlns="{sheet}"><si><t>{WORDS}</t></si></sst>',
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{sheet}"><sheetData><row>{cells}</row></sheetData>'
            "</worksheet>",
        }
        | more
    )


def odt(body: str = f"<t:p>{WORDS}</t:p>", head: str = "", **more: str) -> bytes:
    office, text = (f"urn:oasis:names:tc:opendocument:xmlns:{name}:1.0" for name in ("office", "text"))
    return packed(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": f'{head}<o:document-content xmlns:o="{office}" xmlns:t="{text}"><o:body>{body}</o:body>'
            "</o:document-content>",
        }
        | more
    )


def pdf(content: str = "BT /F1 24 Tf 20 60 Td (Republic Square) Tj ET", catalog: str = "", *more: str) -> bytes:
    """A PDF of one page, written by hand."""
    objects = [
        f"<</Type/Catalog/Pages 2 0 R{catalog}>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 120]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        f"<</Length {len(content)}>>stream\n{content}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        *more,
    ]
    out, places = b"%PDF-1.7\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{one}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    return (
        out
        + (
            f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
            f"trailer\n<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{len(out)}\n%%EOF\n"
        ).encode()
    )


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def mail(body: str = WORDS, *parts: str) -> bytes:
    head = "From: one@example.org\r\nTo: two@example.org\r\nSubject: What I saw\r\nMIME-Version: 1.0\r\n"
    if not parts:
        return f"{head}Content-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n".encode()
    text = "".join(f"--b\r\n{part}\r\n" for part in (f"Content-Type: text/plain; charset=utf-8\r\n\r\n{body}", *parts))
    return f"{head}Content-Type: multipart/mixed; boundary=b\r\n\r\n{text}--b--\r\n".encode()


@cache
def films() -> dict[str, bytes]:
    """Two seconds of film and sound, by ffmpeg."""
    kinds = {
        "film.mp4": ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac"),
        "film.mov": ("-c:v", "mpeg4", "-c:a", "aac"),
        "sound.mp3": ("-vn",),
        "sound.ogg": ("-vn", "-c:a", "libopus"),
    }
    made = {}
    with TemporaryDirectory() as folder:
        for name, options in kinds.items():
            path = Path(folder, name)
            command = ["ffmpeg", "-v", "error", *FILM, *options, "-fflags", "+bitexact", "-threads", "1", str(path)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
            made[name] = path.read_bytes()
    return made


@cache
def good_files() -> dict[str, bytes]:
    """One file of each kind, by name."""
    heic = io.BytesIO()
    pillow_heif.from_pillow(picture(128, 96)).save(heic, quality=80)
    page = f"<!doctype html><title>A page</title><p>{WORDS}</p>"
    names = tar((tarfile.TarInfo("a.txt"), WORDS.encode()))
    return {
        "a.jpg": jpeg_with_place(),
        "a.png": saved(picture(), "PNG"),
        "a.gif": saved(picture(), "GIF"),
        "a.tiff": saved(picture(), "TIFF", compression="tiff_lzw"),
        "a.webp": saved(picture(), "WEBP"),
        "a.heic": heic.getvalue(),
        "a.pdf": pdf(),
        "a.docx": docx(),
        "a.xlsx": xlsx(),
        "a.odt": odt(),
        "a.eml": mail(WORDS, "Content-Disposition: attachment; filename=a.bin\r\n\r\nabc"),
        "a.html": page.encode(),
        "a.svg": f'<svg xmlns="http://www.w3.org/2000/svg"><text>{WORDS}</text></svg>'.encode(),
        "a.txt": WORDS.encode(),
        "a.zip": packed({"a.txt": WORDS, "b/c.txt": "x"}),
        "a.tar": names,
        "a.tgz": gzip.compress(names, mtime=0),
        "a.txt.bz2": bz2.compress(WORDS.encode()),
        "a.txt.xz": lzma.compress(WORDS.encode()),
        **films(),
    }


def flipped(data: bytes, number: int, seed: int) -> bytes:
    """``data`` with one to eight bytes changed, another way for each number."""
    chance = random.Random(f"{seed}/{number}")
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        # Heads decide what a decoder does next; half of all changes fall there.
        end = min(len(changed), 512) if chance.random() < 0.5 else len(changed)
        changed[chance.randrange(end)] ^= chance.randrange(1, 256)
    return bytes(changed)
