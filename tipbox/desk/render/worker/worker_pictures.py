"""Pictures and the pages of PDF, as pixels. Inside a sandbox only."""

from __future__ import annotations

from typing import BinaryIO

import pillow_heif
import pypdfium2
from PIL import Image, ImageFile, ImageOps
from worker_seen import Seen, Stop

_READERS = {"jpeg": "JPEG", "png": "PNG", "gif": "GIF", "tiff": "TIFF", "webp": "WEBP", "heic": "HEIF"}
MOST_PIXELS = 100_000_000
"""Of a picture that is unfolded: 12 to 50 million come from telephones."""
MOST_FRAMES = 60
"""Frames that are counted: what comes later is not looked for."""
_ACTIVE = (b"/JavaScript", b"/JS", b"/Launch", b"/OpenAction", b"/AA", b"/SubmitForm", b"/URI")
_CARRIED = (b"/EmbeddedFile", b"/RichMedia", b"/XFA")
_SCANNED = 1 << 20


def look(file: BinaryIO, seen: Seen) -> None:
    """A picture, the first frames of one that moves, or the first pages of a PDF."""
    if seen.kind == "pdf":
        _pdf(file, seen)
    else:
        _picture(file, seen)


def _picture(file: BinaryIO, seen: Seen) -> None:
    # Half a picture may be all that a source could save; half a HEIC comes out black.
    ImageFile.LOAD_TRUNCATED_IMAGES = seen.kind != "heic"
    Image.MAX_IMAGE_PIXELS = None  # compared here, before anything is unfolded
    if seen.kind == "heic":
        pillow_heif.options.DECODE_THREADS = 1
        pillow_heif.options.THUMBNAILS = False
        pillow_heif.register_heif_opener()
    with Image.open(file, formats=[_READERS[seen.kind]]) as image:
        seen.fact("width", image.width)
        seen.fact("height", image.height)
        if image.width * image.height > MOST_PIXELS:
            raise Stop("too-large", seen)
        frames = min(getattr(image, "n_frames", 1), MOST_FRAMES)
        if frames > 1:
            seen.fact("frames", f"{frames} or more" if frames == MOST_FRAMES else frames)
        if not seen.sight:
            return
        shown = min(frames, 6, seen.count)
        for number in range(shown):
            if number:
                try:
                    image.seek(number * frames // shown)
                except EOFError:
                    break
            else:
                image.draft("RGB", (seen.side, seen.side))
            still = ImageOps.exif_transpose(image)
            still = _shrunk(still, seen.side)
            seen.pictures.append((still.width, still.height, still.tobytes()))
            if number == 0:
                seen.likeness = _likeness(still)


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    """RGB over white, no side longer than ``side``."""
    image.thumbnail((side, side), reducing_gap=2.0)
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        over = image.convert("RGBA")
        flat = Image.new("RGBA", over.size, "white")
        flat.alpha_composite(over)
        image = flat
    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value / 256).convert("L")
    return image.convert("RGB")


def _likeness(image: Image.Image) -> str:
    """Whether each of 8 x 8 places is lighter than the one to its right (dHash), as 16 hex digits."""
    small = image.convert("L").resize((9, 8), Image.Resampling.LANCZOS).tobytes()
    bits = 0
    for row in range(8):
        for column in range(8):
            bits = bits << 1 | (small[row * 9 + column] > small[row * 9 + column + 1])
    return f"{bits:016x}"


def _pdf(file: BinaryIO, seen: Seen) -> None:
    """The first pages of a PDF and their text; nothing in it is run, and no form is filled."""
    _signs(file, seen)
    try:
        document = pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError as error:
        raise Stop("locked" if "assword" in str(error) else "broken", seen) from error
    count = len(document)
    seen.fact("pages", count)
    for name, value in document.get_metadata_dict(skip_empty=True).items():
        seen.fact(name.lower(), value)
    if not seen.sight:
        return
    for number in range(min(count, seen.count)):
        page = document[number]
        width, height = page.get_size()
        scale = seen.side / max(width, height, 1.0)
        if min(width, height) * scale >= 1:
            picture = page.render(scale=scale, may_draw_forms=False).to_pil().convert("RGB")
            picture.thumbnail((seen.side, seen.side))
            seen.pictures.append((picture.width, picture.height, picture.tobytes()))
        if not seen.full:
            words = page.get_textpage().get_text_bounded()
            seen.say(words.replace("\r\n", "\n") + "\n")
        page.close()
    seen.cut = seen.cut or count > seen.count


def _signs(file: BinaryIO, seen: Seen) -> None:
    """What a PDF asks a reader to do, as far as it stands there unpacked."""
    before = b""
    while piece := file.read(_SCANNED):
        looked = before + piece
        if any(word in looked for word in _ACTIVE[:4]):
            seen.signs.add("script")
        if any(word in looked for word in _CARRIED):
            seen.signs.add("carries")
        before = looked[-32:]
    file.seek(0)
