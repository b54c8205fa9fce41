"""QR codes of a tip, read back from photographs: at an angle, in any order, some lost, some of others among them."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from support.desk import Desk, Desks, Envelope, Exporter, opened, seal_tip
from support.qr.photographs import SHEET, Shot, drawn, sheet
from support.qr.qr_codes import to_qr_codes
from tipbox.desk.importing import photos
from tipbox.desk.importing.photos import MAX_CODES, CodesMissing, parse_codes
from tipbox.desk.render import sandbox
from tipbox.errors import Incomplete, InputRefused, LimitExceeded, Malformed, NotInstalled, NotTipbox
from tipbox.formats.envelopes.qr_codes import QrCode

WORDS = """
біз алаңда тұрдық кешке қарай әскер келді олар ескертусіз оқ атты көшеде балалар мен қарттар болды ағамды екі адам
көлікке салып алып кетті қайда екенін ешкім айтпайды ауруханада жаралыларды тізімге алды дәрігерлерге сөйлеуге
рұқсат бермеді түнде пәтерлерді тінтті телефондарды тартып алды байланыс бірнеше күн болған жоқ құжаттарды көрсетпеді
"""
"""Words of a witness, in Kazakh."""
SHOTS = (Shot(), Shot(tilt=-30, turn=-12), Shot(tilt=20, turn=92, blur=1.2), Shot(noise=18), Shot(tilt=15, turn=185))


def thousand_words() -> bytes:
    draw = random.Random(1)
    words = WORDS.split()
    return " ".join(draw.choice(words) for _ in range(1000)).encode()


@pytest.fixture(name="tip")
def _tip(desks: Desks) -> Envelope:
    return seal_tip(desks.manifests, message=thousand_words())


def lay(folder: Path, pictures: Sequence[bytes]) -> Path:
    folder.mkdir()
    for number, picture in enumerate(pictures):
        (folder / f"IMG_{number:04}.JPG").write_bytes(picture)
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(512))
    return folder


def picture(*codes: QrCode) -> bytes:
    """As a screen shows them: no angle, no noise."""
    return png(sheet(codes, 3) if len(codes) > 1 else drawn(codes[0], 3))


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_a_thousand_words_photographed_at_an_angle_with_four_lost(
    desk: Desk, server: Exporter, tip: Envelope, tmp_path: Path
) -> None:
    codes = to_qr_codes(tip.data)
    kept = random.sample(codes, len(codes) - 4)
    shots = [
        SHOTS[at // SHEET % len(SHOTS)].of(sheet(kept[at : at + SHEET])) for at in range(0, len(kept), SHEET)
    ]  # fmt: skip
    stick = lay(tmp_path / "stick", [*shots, shots[0]])
    outcome = desk.take(stick, photos=True)
    assert (codes[0].of.data, len(codes)) == (25, 32)

    assert (outcome.counts, outcome.problems) == ({"mine": 1}, [])
    [text] = opened(desk, tip.id, tmp_path / "out").rglob("message.txt")
    assert text.read_bytes() == thousand_words()
    (tmp_path / "whole.tip").write_bytes(tip.data)
    assert desk.take(tmp_path / "whole.tip").counts == {"known": 1}
    assert desk.take(server.export(tmp_path / "x", desk.manifest, [tip])).counts == {"known": 1}


def test_too_few_codes_are_named_and_nothing_is_taken(desk: Desk, desks: Desks, tmp_path: Path) -> None:
    tip = seal_tip(desks.manifests)
    codes = to_qr_codes(tip.data)
    enough = codes[0].of.data
    stick = lay(tmp_path / "stick", [picture(*codes[:SHEET]), picture(*codes[SHEET : enough - 1])])
    outcome = desk.take(stick, photos=True)
    [(name, error)] = outcome.problems
    assert (name, type(error), dict(outcome.counts)) == ("QR codes", CodesMissing, {})
    assert f"{enough - 1} were read, {enough} are enough; missing {enough}, " in str(error)

    (stick / "one more.png").write_bytes(picture(codes[-1]))
    outcome = desk.take(stick, photos=True)
    assert (outcome.counts, outcome.problems) == ({"mine": 1}, [])


def test_what_is_not_asked_for_is_not_read(desk: Desk, desks: Desks, tmp_path: Path) -> None:
    codes = to_qr_codes(seal_tip(desks.manifests).data)
    stick = lay(tmp_path / "stick", [picture(codes[0])])
    outcome = desk.take(stick)
    assert outcome.notices == ["a file that is not tipbox's was passed over"] * 2
    [(_, error)] = desk.take(stick / "IMG_0000.JPG").problems
    assert isinstance(error, NotTipbox)
    assert "--photos" in str(error)


def test_what_else_is_on_the_pictures_does_no_harm(desk: Desk, desks: Desks, tmp_path: Path) -> None:
    """Codes of others, codes that somebody made anew, codes of two tips, a picture without any, a damaged one."""
    one, two = seal_tip(desks.manifests), seal_tip(desks.manifests)
    codes = to_qr_codes(one.data)
    false = [QrCode(code.of, code.number, bytes(1000)) for code in codes[:3]]
    foreign = zxingcpp.create_barcode("https://example.org", zxingcpp.BarcodeFormat.QRCode)
    newer = bytearray(codes[0].encode())
    newer[8] = 2
    version = zxingcpp.create_barcode(bytes(newer), zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    pictures = [
        *(picture(*made[at : at + SHEET]) for made in (codes, to_qr_codes(two.data)) for at in range(0, 18, SHEET)),
        picture(*false),
        *(png(Image.fromarray(other.to_image(scale=4))) for other in (foreign, version)),
        png(Image.new("L", (400, 300), 200)),
        b"\xff\xd8\xff" + bytes(300),
    ]
    outcome = desk.take(lay(tmp_path / "stick", pictures), photos=True)
    assert dict(outcome.counts) == {"mine": 2}
    assert {name: error.code for name, error in outcome.problems} == {
        "IMG_0008.JPG": "version",
        "IMG_0010.JPG": "refused",
    }
    assert outcome.notices.count("a picture in which no QR code of tipbox could be read") == 2

    # As many false ones as there is parity: too few are left. One in the place of a lost one: the whole is refused.
    few = [QrCode(code.of, code.number, bytes(1000)) for code in codes[: codes[0].of.parity + 1]]
    for pages, kind in (([codes, few], Incomplete), ([false[:1] + codes[1 : codes[0].of.data]], Malformed)):
        tips = photos.Photos()
        for code in (code for page in pages for code in page):
            tips._sets.setdefault(code.of, photos.QrTip(code.of)).add(code)
        with pytest.raises(kind):
            tips.tips()[0].envelope()


def test_limits_are_checked_before_a_picture_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[object] = []
    monkeypatch.setattr(sandbox, "run", lambda *given, **_: ran.append(given))
    with pytest.raises(LimitExceeded, match="64 MiB"):
        photos.Photos().add(io.BytesIO(), photos.MAX_PHOTO + 1)
    monkeypatch.setattr(photos, "MAX_PHOTOS", 0)
    with pytest.raises(LimitExceeded, match="import the others"):
        photos.Photos().add(io.BytesIO(), 1)
    assert ran == []


def test_without_a_sandbox_no_picture_is_read(
    desk: Desk, desks: Desks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> sandbox.Ended:
        raise sandbox.NoSandbox("files are listed only: the program is missing; install bubblewrap")

    monkeypatch.setattr(sandbox, "run", none)
    codes = to_qr_codes(seal_tip(desks.manifests).data)
    [(_, error)] = desk.take(lay(tmp_path / "stick", [picture(codes[0])]), photos=True).problems
    assert (type(error), str(error)) == (
        NotInstalled,
        "no picture is read: the program is missing; install bubblewrap",
    )


@pytest.mark.parametrize(
    "answer",
    [b"", b"TBX1", b"TBQ1\0", b"TBQ1\0\5abcd", b"TBQ1\xff\xff" + bytes(65535), b"TBQ1" + b"\0\0" * (MAX_CODES + 1)],
    ids=["empty", "magic", "size-cut", "cut", "large", "many"],
)
def test_an_answer_that_is_not_as_agreed_is_refused(answer: bytes) -> None:
    with pytest.raises(InputRefused, match="should not"):
        [*parse_codes(answer)]


def test_an_answer_as_agreed_is_its_codes() -> None:
    assert [*parse_codes(b"TBQ1\0\3abc\0\0\0\1d")] == [b"abc", b"", b"d"]
