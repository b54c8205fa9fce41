"""Files that attack what opens them, or lie about what they are: each made here, none kept."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from desk.render.good_files import WORDS, docx, films, good_files, mail, odt, packed, pdf, picture, saved, tar, xlsx
from tipbox.desk.render.look_lines import Line, Sign


@dataclass(frozen=True)
class Hostile:
    """A file, and what a look at it must say.

    Attributes:
        lines: one of these ends the look; empty when there is something to see.
        signs: these are said, at least.
        never: words that must not be shown as text.
    """

    name: str
    data: bytes
    lines: frozenset[Line] = frozenset()
    signs: frozenset[Sign] = frozenset()
    never: str = ""


def hostile(name: str, data: bytes | str, *ends: Line | Sign, never: str = "") -> Hostile:
    return Hostile(
        name,
        data.encode() if isinstance(data, str) else data,
        frozenset(end for end in ends if isinstance(end, Line)),
        frozenset(end for end in ends if isinstance(end, Sign)),
        never,
    )


BILLION = "".join(
    ["<!DOCTYPE x [<!ENTITY a0 'lol'>", *(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10)), "]>"]
)
EXTERNAL = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
LINK = struct.pack("<I", 0x4C) + bytes.fromhex("0114020000000000c000000000000046") + bytes(56) + b"cmd.exe /c calc"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


def atom(kind: bytes, data: bytes, size: int | None = None) -> bytes:
    return struct.pack(">I", len(data) + 8 if size is None else size) + kind + data


def zeros(count: int) -> bytes:
    """So many zeros as a DEFLATE stream."""
    packing = zlib.compressobj(9)
    piece = bytes(1 << 20)
    return b"".join(packing.compress(piece) for _ in range(count >> 20)) + packing.flush()


def stored(members: dict[str, bytes], *, flags: int = 0, size: int | None = None) -> bytes:
    """A ZIP whose list lies."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    listed = bytearray(out.getvalue())
    place = listed.find(b"PK\1\2")
    while place >= 0:
        if flags:
            listed[place + 8] |= flags
        if size is not None:
            listed[place + 24 : place + 28] = struct.pack("<I", size)
        place = listed.find(b"PK\1\2", place + 1)
    return bytes(listed)


def nested(depth: int) -> bytes:
    data = packed({"a.txt": WORDS})
    for level in range(depth):
        data = packed({f"{level}.zip": data})
    return data


def link(name: str, target: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, target)
    return out.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.devmajor, info.devminor = kind, target, 8, 0
    return info


def pictures() -> Iterator[Hostile]:
    good = good_files()
    jpeg = good["a.jpg"]
    yield hostile("huge.png", png(30_000, 30_000, chunk(b"IDAT", zeros(1 << 20))), Line.TOO_LARGE)
    yield hostile("wide.png", png(2_000_000_000, 1, chunk(b"IDAT", zeros(1 << 20))), Line.TOO_LARGE, Line.BROKEN)
    yield hostile(
        "text.png",
        png(1, 1, chunk(b"zTXt", b"a\0\0" + zeros(64 << 20)), chunk(b"IDAT", zlib.compress(bytes(4)))),
    )
    yield hostile("many.png", png(1, 1, *[chunk(b"tEXt", b"a\0b")] * 5_000, chunk(b"IDAT", zlib.compress(bytes(4)))))
    yield hostile("no-data.png", png(100, 100), Line.BROKEN)
    yield hostile(
        "animated.png",
        png(10, 10, chunk(b"acTL", struct.pack(">II", 1 << 31, 0)), chunk(b"IDAT", zlib.compress(bytes(310)))),
        Line.BROKEN,
    )
    yield hostile("cut.jpg", jpeg[: len(jpeg) // 2])
    yield hostile("head.jpg", jpeg[:20], Line.BROKEN)
    yield hostile("start.jpg", jpeg[:3], Line.BROKEN)
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + b"\xff\xff" + bytes(65_000)
    yield hostile("exif.jpg", jpeg[:2] + (b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif) * 20 + jpeg[2:])
    loop = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHII", 1, 0x8769, 4, 1, 8) + struct.pack(">I", 8)
    yield hostile("loop.jpg", jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(loop) + 2) + loop + jpeg[2:])
    yield hostile(
        "xmp.jpg",
        jpeg[:2]
        + b"\xff\xe1"
        + struct.pack(">H", len(BILLION) + 31)
        + b"http://ns.adobe.com/xap/1.0/\0"
        + BILLION.encode()
        + jpeg[2:],
    )
    yield hostile(
        "size.jpg",
        jpeg.replace(b"\xff\xc0\0\x11\x08\0\x40\0\x60", b"\xff\xc0\0\x11\x08\xff\xff\xff\xff"),
        Line.TOO_LARGE,
    )
    yield hostile("polyglot.jpg", jpeg + packed({"run.sh": "rm -rf ~"}))
    yield hostile("page.jpg", jpeg + b"<script>alert(1)</script>")
    yield hostile("holiday.jpg.exe", jpeg, Sign.DIFFERS, Sign.PROGRAM)
    yield hostile("photo\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe", jpeg, Sign.DIFFERS, Sign.TURNED, Sign.PROGRAM)
    yield hostile("a\n\x1b[2J\0.jpg", jpeg, Sign.TURNED)
    frames = [Image.new("P", (4, 4), number % 255) for number in range(300)]
    yield hostile("long.gif", saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=1))
    yield hostile(
        "screen.gif", b"GIF89a" + struct.pack("<HH", 65535, 65535) + good["a.gif"][10:], Line.TOO_LARGE, Line.BROKEN
    )
    yield hostile("lzw.gif", good["a.gif"][:-200] + b"\xff" * 199 + b";")
    yield hostile("circle.tiff", b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + struct.pack("<I", 8), Line.BROKEN)
    yield hostile(
        "strips.tiff",
        good["a.tiff"].replace(struct.pack("<HHII", 0x100, 4, 1, 96), struct.pack("<HHII", 0x100, 4, 1, 0x7FFFFFFF)),
    )
    yield hostile("pages.tiff", saved(picture(8, 8), "TIFF", save_all=True, append_images=[picture(8, 8)] * 200))
    yield hostile(
        "size.webp",
        b"RIFF\xff\xff\xff\xffWEBPVP8X\x0a\0\0\0\x10\0\0\0\xff\xff\xff\xff\xff\xff",
        Line.BROKEN,
        Line.TOO_LARGE,
    )
    heic = good["a.heic"]
    yield hostile("cut.heic", heic[: len(heic) // 2], Line.BROKEN)
    yield hostile(
        "size.heic",
        heic.replace(struct.pack(">II", 128, 96), struct.pack(">II", 0x7FFFFFFF, 0x7FFFFFFF)),
        Line.BROKEN,
        Line.TOO_LARGE,
    )
    yield hostile("head.avif", b"\0\0\0\x1cftypavif" + bytes(200), Line.BROKEN)


def pages() -> Iterator[Hostile]:
    script = "/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>"
    yield hostile("script.pdf", pdf(catalog=script), Sign.SCRIPT)
    yield hostile("launch.pdf", pdf(catalog="/OpenAction<</S/Launch/F(cmd.exe)>>"), Sign.SCRIPT)
    carries = "/Names<</EmbeddedFiles<</Names[(a.exe)6 0 R]>>>>"
    yield hostile(
        "carries.pdf",
        pdf(
            "BT ET",
            carries,
            "<</Type/Filespec/F(a.exe)/EF<</F 7 0 R>>>>",
            "<</Type/EmbeddedFile/Length 2>>stream\nMZ\nendstream",
        ),
        Sign.CARRIES,
    )
    yield hostile("huge.pdf", pdf().replace(b"/MediaBox[0 0 300 120]", b"/MediaBox[0 0 9e9 9e9]"))
    yield hostile("thin.pdf", pdf().replace(b"/MediaBox[0 0 300 120]", b"/MediaBox[0 0 30 9e8]"))
    yield hostile("circle.pdf", pdf().replace(b"/Kids[3 0 R]", b"/Kids[2 0 R]"), Line.BROKEN, Line.NOTHING)
    yield hostile("count.pdf", pdf().replace(b"/Count 1", b"/Count 2000000000"))
    yield hostile("deep.pdf", pdf("[" * 100_000 + "]" * 100_000))
    yield hostile("states.pdf", pdf("q " * 500_000))
    yield hostile("cut.pdf", pdf()[:200], Line.BROKEN)
    yield hostile("magic.pdf", b"<html><script>x</script>" + pdf(), Sign.DIFFERS)
    stream = zeros(256 << 20)
    bomb = f"<</Length {len(stream)}/Filter/FlateDecode>>stream\n".encode() + stream + b"\nendstream"
    yield hostile("bomb.pdf", pdf("BT ET").replace(b"<</Length 5>>stream\nBT ET\nendstream", bomb))
    yield hostile("locked.pdf", _locked_pdf(), Line.LOCKED)


def _locked_pdf() -> bytes:
    """Encrypted with a password that nobody is told: standard security handler, revision 3."""
    value = "30" * 32
    lock = f"<</Filter/Standard/V 2/R 3/Length 128/P -44/O<{value}>/U<{value}>>>"
    return pdf("BT ET", "", lock).replace(b"/Root 1 0 R", b"/Root 1 0 R/Encrypt 6 0 R/ID[<00><00>]")


def documents() -> Iterator[Hostile]:
    ended = (Line.TOO_LARGE, Line.BROKEN)
    yield hostile("lol.docx", docx(body="&a9;", head=BILLION), *ended, never="lol")
    yield hostile("lol.xlsx", xlsx(head=BILLION), *ended)
    yield hostile("lol.odt", odt(body="&a9;", head=BILLION), *ended, never="lol")
    yield hostile("outside.docx", docx(body="&e;", head=EXTERNAL), *ended, never="root:")
    yield hostile("outside.odt", odt(body="&e;", head=EXTERNAL), *ended, never="root:")
    big = "<w:p><w:r><w:t>" + "a" * (40 << 20) + "</w:t></w:r></w:p>"
    yield hostile("bomb.docx", docx(body=big), Sign.BOMB)
    yield hostile("deep.docx", docx(body="<w:p>" * 100_000 + "</w:p>" * 100_000), Line.NOTHING)
    yield hostile("macro.docx", docx(**{"word/vbaProject.bin": "x"}), Sign.SCRIPT)
    yield hostile("object.docx", docx(**{"word/embeddings/oleObject1.bin": "x"}), Sign.CARRIES)
    yield hostile("not-xml.docx", docx(body="<w:p"), Line.BROKEN)
    yield hostile("formula.xlsx", xlsx("<c><f>WEBSERVICE(&quot;http://x&quot;)</f><v>1</v></c>"), Sign.FORMULA)
    yield hostile("index.xlsx", xlsx('<c t="s"><v>99999999999</v></c><c t="s"><v>-1</v></c><c t="s"><v>\u0663</v></c>'))
    yield hostile("script.odt", odt(**{"Basic/Standard/Module1.xml": "<x/>"}), Sign.SCRIPT)
    yield hostile("formula.csv", 'name,place\n"=HYPERLINK(""http://x"")",1\n', Sign.FORMULA)
    yield hostile("order.csv", "a;b\n=cmd|' /C calc'!A0;1\n", Sign.FORMULA)
    yield hostile(
        "script.svg",
        "<svg xmlns='http://www.w3.org/2000/svg' onload='x()'><script>evil()</script><text>t</text></svg>",
        Sign.SCRIPT,
        never="evil",
    )
    yield hostile(
        "outside.svg",
        f"<?xml version='1.0'?>{EXTERNAL}<svg><text>&e; t</text><image href='http://x/y.png'/></svg>",
        Sign.SCRIPT,
        never="root:",
    )
    yield hostile("lol.svg", f"<?xml version='1.0'?>{BILLION}<svg><text>&a9;</text></svg>", Sign.SCRIPT, never="lollol")
    yield hostile(
        "page.html",
        "<html><script>evil()</script><body onload=x><iframe src=http://x></iframe>words</html>",
        Sign.SCRIPT,
        never="evil",
    )
    yield hostile("deep.html", "<html><p>words" + "<div>" * 30_000)
    yield hostile("page.txt", "<html><script>evil()</script>words", Sign.SCRIPT, never="evil")
    yield hostile("escape.txt", "\x1b[2J\x1b]0;owned\x07 \N{RIGHT-TO-LEFT OVERRIDE} words, and more of them")
    yield hostile("long.txt", "a" * (32 << 20))
    yield hostile("utf16.txt", b"\xff\xfe" + "words".encode("utf-16-le") + b"\xd8")
    part = "Content-Type: multipart/mixed; boundary=b{0}\r\n\r\n--b{0}\r\n"
    yield hostile(
        "deep.eml",
        "From: a\r\nTo: b\r\nSubject: c\r\n" + "".join(part.format(n) for n in range(2000)) + "x",
        Line.BROKEN,
        Line.NOTHING,
    )
    yield hostile("parts.eml", mail("words", *["Content-Type: application/x\r\n\r\nx"] * 5000))
    html = base64.b64encode(b"<script>evil()</script><p>words").decode()
    yield hostile(
        "page.eml",
        mail("words", f"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n{html}"),
        Sign.SCRIPT,
        never="evil",
    )
    yield hostile("charset.eml", mail().replace(b"utf-8", b"zlib_codec"))
    yield hostile("names.eml", mail("words", 'Content-Disposition: attachment; filename="../../.bashrc"\r\n\r\nx'))
    yield hostile("headers.eml", b"From: a\nTo: b\nSubject: =?utf-8?b?////?=\nDate: never\nFrom: c\n\nwords")


def programs() -> Iterator[Hostile]:
    yield hostile("tip.desktop", "[Desktop Entry]\nType=Application\nExec=sh -c evil\nIcon=image-jpeg\n", Sign.PROGRAM)
    yield hostile("photo.jpg", "[Desktop Entry]\nExec=evil\n", Sign.DIFFERS, Sign.PROGRAM)
    yield hostile("photo.lnk", LINK, Line.UNKNOWN, Sign.PROGRAM)
    yield hostile("photo.url", "[InternetShortcut]\nURL=file://evil\n", Sign.PROGRAM)
    yield hostile("photo.png", b"MZ" + bytes(300), Line.UNKNOWN, Sign.DIFFERS, Sign.PROGRAM)
    yield hostile("photo.heic", b"\x7fELF" + bytes(300), Line.UNKNOWN, Sign.DIFFERS, Sign.PROGRAM)
    yield hostile("run.txt", "#!/bin/sh\nrm -rf ~\n", Sign.PROGRAM)
    yield hostile("letter.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(3000), Line.UNKNOWN)
    yield hostile("empty.jpg", b"", Line.EMPTY)
    yield hostile("noise.bin", bytes(range(256)) * 40, Line.UNKNOWN)
    yield hostile("zeros.mp4", bytes(1 << 20), Line.UNKNOWN)


def archives() -> Iterator[Hostile]:
    zipped = packed({"zeros": bytes(64 << 20)})
    yield hostile("bomb.zip", zipped, Sign.BOMB)
    yield hostile("bomb.tgz", gzip.compress(bytes(80 << 20)), Sign.BOMB)
    yield hostile("bomb.bz2", bz2.compress(bytes(80 << 20)), Sign.BOMB)
    yield hostile("nested.zip", nested(8), Sign.NESTED)
    yield hostile("bombs.zip", packed({f"{n}.zip": packed({"zeros": bytes(20 << 20)}) for n in range(20)}), Sign.BOMB)
    yield hostile(
        "path.zip", packed({"../../.ssh/authorized_keys": "x", "/etc/cron.d/x": "x", "C:\\x": "x"}), Sign.OUTSIDE
    )
    yield hostile("link.zip", link("photo.jpg", "/etc/passwd"), Sign.OUTSIDE)
    yield hostile("locked.zip", stored({"a.txt": b"x"}, flags=1), Sign.LOCKED)
    yield hostile("lies.zip", stored({"a.zip": packed({"b": "x"})}, size=0xFFFFFF00), Sign.NESTED)
    yield hostile("many.zip", packed({f"{n}": "" for n in range(10_000)}))
    yield hostile(
        "names.zip",
        packed(
            {"a\x1b[2J\N{RIGHT-TO-LEFT OVERRIDE}" + "x" * 3000: "x", "\ud800".encode(errors="replace").decode(): "x"}
        ),
    )
    yield hostile("cut.zip", packed({"a.txt": WORDS})[:-30], Line.BROKEN)
    yield hostile("empty.zip", packed({}), Line.EMPTY_ARCHIVE)
    yield hostile(
        "device.tar", tar((member("sda", tarfile.BLKTYPE), b""), (member("pipe", tarfile.FIFOTYPE), b"")), Sign.OUTSIDE
    )
    yield hostile(
        "link.tar", tar((member("a", tarfile.SYMTYPE, "/etc/passwd"), b""), (member("../b"), b"x")), Sign.OUTSIDE
    )
    large = tar((member("a"), b"x")).replace(b"00000000001\0", b"77777777777\0")
    yield hostile("large.tar", large, Line.BROKEN)
    yield hostile("cut.tgz", gzip.compress(tar((member("a"), WORDS.encode())))[:-20], Line.BROKEN)
    yield hostile("cut.7z", b"7z\xbc\xaf\x27\x1c" + bytes(60), Line.BROKEN)
    yield hostile("cut.rar", b"Rar!\x1a\x07\x01\0" + bytes(60), Line.BROKEN)


def recordings() -> Iterator[Hostile]:
    film, sound = films()["film.mp4"], films()["sound.mp3"]
    ftyp = atom(b"ftyp", b"isom\0\0\0\0isom")
    broken = (Line.BROKEN,)
    yield hostile("huge-atom.mp4", ftyp + atom(b"moov", b"", 0xFFFFFFFF), *broken)
    yield hostile("small-atoms.mp4", ftyp + atom(b"free", b"") * 20_000, *broken)
    deep = b""
    for _ in range(20_000):
        deep = atom(b"moov", deep) if len(deep) < 1 << 18 else deep
    yield hostile("deep.mp4", ftyp + deep, *broken)
    yield hostile("cut.mp4", film[: len(film) // 2], *broken)
    yield hostile("no-film.mp4", ftyp, *broken)
    at = film.index(b"stsz") + 8
    yield hostile("samples.mp4", film[:at] + struct.pack(">II", 0, 0xFFFFFFF) + film[at + 8 :], *broken)
    playlist = "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\nhttp://127.0.0.1/x\n"
    yield hostile("list.mp4", playlist, Sign.DIFFERS)
    yield hostile("list.mov", ftyp + playlist.encode(), *broken)
    yield hostile("text.mp3", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(5000), *broken)
    yield hostile("tags.mp3", b"ID3\x04\0\0\0\0\x0f\x7f" + bytes(2000) + sound)
    yield hostile("page.ogg", b"OggS\0\x02" + bytes(20) + b"\xff" * 300, *broken)
    yield hostile("cut.ogg", films()["sound.ogg"][:200], *broken)
    yield hostile("size.wav", b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff" + bytes(100), *broken)
    yield hostile("head.mkv", b"\x1aE\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff" + bytes(100), *broken)
    yield hostile("photo.amr", b"#!AMR\n" + b"\xff" * 1000, *broken)


GROUPS = (pictures, pages, documents, programs, archives, recordings)
"""Each makes its files when it is called: some are large."""
