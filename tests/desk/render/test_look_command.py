"""``tipbox desk look`` on a real vault: what it prints, what it leaves, and which process touches which bytes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest

from desk.render.good_files import docx, good_files, jpeg_with_place, mail, packed
from support.commands import Run
from support.desk import PASSWORD, Desk, Desks, Exporter, seal_tip
from tipbox.desk.custody.chain import check_chain
from tipbox.desk.desk_errors import VaultDamaged
from tipbox.desk.joined import joined_tip
from tipbox.desk.render import sealed_off
from tipbox.desk.tips import find_tip
from tipbox.files.printable import is_printable

pytestmark = pytest.mark.reads_date

TIPBOX = Path(sys.executable).with_name("tipbox")
CANARY = "qxgvanarbird"
"""A word that is nowhere else. Each file says it many times, packed or plain."""
PARSERS = re.compile(
    r"/(PIL|pillow|pillow_heif|av|av\.libs|pypdfium2|pypdfium2_raw|tesseract-ocr|magic\.mgc|Image/ExifTool|look_worker)"
)
WRITTEN = re.compile(r'open(?:at)?\([^"]*"([^"]+)", [^)]*O_(?:WRONLY|RDWR|CREAT)')  # codespell:ignore
NO_BWRAP = (
    "unshare",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    'mount --bind /dev/null /usr/bin/bwrap && exec "$@"',
    "sh",
)
NO_NAMESPACES = (
    *("unshare", "--map-root-user", "sh", "-c"),
    *('echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"', "sh"),
)


@dataclass(frozen=True)
class Stocked:
    """A vault with one tip that has a file of several kinds."""

    options: tuple[str | Path, ...]
    tip: str
    names: tuple[str, ...]
    vault: Path

    def number(self, name: str) -> int:
        return self.names.index(name) + 1


def files() -> list[tuple[str, bytes]]:
    many = f"{CANARY} " * 200
    return [
        ("a.jpg", jpeg_with_place(CANARY)),
        ("a.docx", docx(body=f"<w:p><w:r><w:t>{many}</w:t></w:r></w:p>")),
        ("a.eml", mail(many)),
        ("a.txt", many.encode()),
        ("a.zip", packed({f"{CANARY}.txt": many})),
        ("a.pdf", good_files()["a.pdf"]),
        ("a.mp4", good_files()["film.mp4"]),
        ("../\x1b[2J\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe", good_files()["a.heic"]),
        ("a.7z", b"7z\xbc\xaf\x27\x1c" + bytes(60)),
        ("noise", bytes(range(256)) * 40),
        ("empty", b""),
    ]


@pytest.fixture
def stocked(desks: Desks, desk: Desk, server: Exporter, tmp_path: Path) -> Stocked:
    held = files()
    tip = seal_tip(desks.manifests, files=held)
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]))
    secret = tmp_path / "secret"
    secret.write_bytes(PASSWORD + b"\n")
    secret.chmod(0o600)
    options = ("--vault", desk.vault, "--passphrase-file", secret)
    return Stocked(options, tip.id.hex(), tuple(name for name, _ in held), desk.vault)


def test_it_shows_every_kind_and_harms_no_terminal(run: Run, stocked: Stocked) -> None:
    for name in stocked.names:
        done = run("desk", "look", *stocked.options, stocked.tip, stocked.number(name))
        assert (done.code, done.err) == (0, ""), (name, done)
        assert all(is_printable(character) or character == "\n" for character in done.out), name
    done = run("desk", "look", *stocked.options, stocked.tip, stocked.number("a.jpg"), "--json")
    found = done.json
    assert found["pictures"] == [{"height": 64, "width": 96}]
    metadata = {one["name"]: one["value"] for one in found["metadata"]}
    assert metadata["EXIF:CameraSerialNumber"] == CANARY
    assert metadata["EXIF:GPSLatitudeRef"] == "North"
    assert (found["type"], found["kind"], found["name_says"], found["lines"]) == ("image/jpeg", "jpeg", "jpeg", [])
    assert CANARY in run("desk", "look", *stocked.options, stocked.tip, stocked.number("a.docx")).out
    strange = run("desk", "look", *stocked.options, stocked.tip, 8, "--json")
    assert strange.out.isascii()
    assert set(strange.json["signs"]) == {"differs", "turned-name", "program"}


def test_previews_are_written_anew_and_the_file_itself_goes_out_with_a_reason(
    run: Run, stocked: Stocked, desk: Desk, tmp_path: Path
) -> None:
    number, out = stocked.number("a.jpg"), tmp_path / "seen"
    done = run("desk", "look", *stocked.options, stocked.tip, number, "--out", out, "--json")
    assert (done.code, done.err) == (0, "")
    assert [path.name for path in out.iterdir()] == ["1.png"]
    assert (out / "1.png").read_bytes().startswith(b"\x89PNG")
    assert CANARY.encode() not in (out / "1.png").read_bytes()
    assert run("desk", "look", *stocked.options, stocked.tip, number, "--out", out).code == 3
    film = run("desk", "look", *stocked.options, stocked.tip, stocked.number("a.mp4"), "--out", tmp_path / "film")
    assert film.code == 0
    assert sorted(path.name for path in (tmp_path / "film").iterdir()) == [
        *(f"{n}.png" for n in range(1, 7)),
        "sound.wav",
    ]

    away = tmp_path / "away"
    assert run("desk", "look", *stocked.options, stocked.tip, number, "--original", away).code == 2
    assert run("desk", "look", *stocked.options, stocked.tip, number, "--reason", "x").code == 2
    assert run("desk", "look", *stocked.options, stocked.tip, number, "--original", away, "--out", away).code == 2
    assert not away.exists()
    done = run(
        "desk", "look", *stocked.options, stocked.tip, number, "--original", away, "--reason", "a court", "--json"
    )
    assert (done.code, Path(done.json["original"]).read_bytes()) == (0, files()[0][1])
    assert run("desk", "look", *stocked.options, stocked.tip, number, "--original", away, "--reason", "x").code == 3
    assert run("desk", "look", *stocked.options, stocked.tip, 99).code == 5
    with desk.open() as vault:
        acts = [(event.act, event.after, event.reason) for event in check_chain(vault).events if event.item]
    assert acts[-3:] == [("look", "1: saved", ""), ("look", "7: saved", ""), ("take-out", "1", "a court")]


def test_words_in_pictures_are_read_in_two_alphabets(
    run: Run, desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    from PIL import Image, ImageDraw, ImageFont

    from desk.render.good_files import saved

    font = ImageFont.truetype("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", 40)
    image = Image.new("RGB", (900, 220), "white")
    draw = ImageDraw.Draw(image)
    draw.text((20, 20), "Алматы қаласы, ұйым", fill="black", font=font)
    draw.text((20, 120), "Republic Square", fill="black", font=font)
    tip = seal_tip(desks.manifests, files=[("a.png", saved(image, "PNG"))])
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]))
    secret = tmp_path / "secret"
    secret.write_bytes(PASSWORD + b"\n")
    options = ("--vault", desk.vault, "--passphrase-file", secret)
    done = run("desk", "look", *options, tip.id.hex(), 1, "--ocr", "--json")
    assert done.code == 0
    assert "Алматы қаласы, ұйым" in done.json["words"]
    assert "Republic Square" in done.json["words"]


@pytest.mark.parametrize(
    ("without", "why"), [(NO_BWRAP, "install bubblewrap"), (NO_NAMESPACES, "allow user namespaces")]
)
def test_without_a_sandbox_files_are_listed_only(
    stocked: Stocked, tmp_path: Path, without: tuple[str, ...], why: str
) -> None:
    """Real ones are missing: nothing is opened, and no program is started for it but what tries."""
    log = tmp_path / "log"
    tracer = ("strace", "-f", "-e", "trace=execve", "-e", "signal=none", "-o", log)
    command = (*without, *tracer, TIPBOX, "desk", "look", *stocked.options, stocked.tip, "1", "--json")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 8, done.stderr
    assert why in json.loads(done.stderr)["message"]
    found = json.loads(done.stdout)
    assert (found["lines"], found["metadata"], found["pictures"], found["text"]) == (["no-sandbox"], [], [], "")
    assert (found["name"], found["bytes_say"]) == ("a.jpg", "jpeg")
    ran = re.findall(r'execve\("([^"]+)"', log.read_text())
    assert not any(PARSERS.search(path) or "exiftool" in path or "/usr/bin/file" in path for path in ran)


def traced(stocked: Stocked, number: int, log: Path) -> dict[str, list[str]]:
    """The calls of each process of a look that name a file, or start a program."""
    tracer = ("strace", "-f", "-s", "400", "-e", "trace=%file,%process,%network,prctl", "-e", "signal=none", "-o", log)
    command = (*tracer, TIPBOX, "desk", "look", *stocked.options, stocked.tip, str(number), "--json")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    calls: dict[str, list[str]] = defaultdict(list)
    for line in log.read_text(errors="replace").splitlines():
        process, _, call = line.partition(" ")
        calls[process].append(call.strip())
    return calls


@pytest.mark.parametrize("name", ["a.jpg", "a.docx", "a.pdf", "a.mp4", "../\x1b[2J\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe"])
def test_no_process_with_a_key_loads_what_parses_and_none_that_parses_sees_the_vault(
    stocked: Stocked, tmp_path: Path, name: str
) -> None:
    calls = traced(stocked, stocked.number(name), tmp_path / "log")
    vault = str(stocked.vault)
    keys = {
        process for process, made in calls.items() if any("vault.key" in call and "ENOENT" not in call for call in made)
    }
    parsing = {
        process
        for process, made in calls.items()
        if any(call.startswith("open") and PARSERS.search(call) and "= -1" not in call for call in made)
    }
    assert len(keys) == 1
    assert len(parsing) >= 2  # ours and exiftool
    assert not keys & parsing
    for process in parsing:
        made = calls[process]
        assert not any(vault in call for call in made), process
        # What bwrap has made ready: the filter is there before the first byte is read.
        filtered = next(at for at, call in enumerate(made) if "SECCOMP_MODE_FILTER" in call)
        assert filtered < next(at for at, call in enumerate(made) if call.startswith("open") and PARSERS.search(call))
    # The one that has the key opens no socket.
    (key,) = keys
    assert not any(call.startswith(("socket(", "connect(", "bind(")) for call in calls[key])


def test_the_desk_loads_no_parser_in_its_own_process(stocked: Stocked) -> None:
    code = (
        "import pkgutil, importlib, sys, tipbox.desk, tipbox.commands.desk\n"
        "for package in (tipbox.desk, tipbox.commands.desk):\n"
        "    for _, name, _ in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(name)\n"
        "from tipbox import cli\n"
        f"assert cli.run({['desk', 'look', *map(str, stocked.options), stocked.tip, '1', '--json']!r}) == 0\n"
        "print(*sorted(name for name in sys.modules if name.partition('.')[0] in "
        "{'PIL', 'av', 'pillow_heif', 'pypdfium2', 'pypdfium2_raw'} or 'worker_' in name and 'answer' not in name))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def hits(*folders: Path) -> list[Path]:
    """Files that hold the canary in UTF-8 or UTF-16."""
    words = [CANARY.encode(code) for code in ("utf-8", "utf-16-le")]
    found = []
    for folder in folders:
        for path in folder.rglob("*"):
            try:
                if path.is_file() and any(word in path.read_bytes() for word in words):
                    found.append(path)
            except OSError:
                continue
    return found


def test_a_look_writes_nothing_of_a_file_to_a_disk(run: Run, stocked: Stocked, tmp_path: Path) -> None:
    """Hunted on every disk that a look may write to, and in the list of what was opened for writing."""
    places = {name: tmp_path / name for name in ("home", "tmp", "run")}
    for place in places.values():
        place.mkdir()
    environment = os.environ | {
        "HOME": str(places["home"]),
        "TMPDIR": str(places["tmp"]),
        "XDG_RUNTIME_DIR": str(places["run"]),
    }
    log = tmp_path / "log"
    # Without -f: the process with the key alone. What bwrap makes ready for the others, it makes in memory.
    tracer = ("strace", "-s", "400", "-e", "trace=open,openat,creat,mkdir,rename", "-e", "signal=none", "-o", log)
    for name in ("a.docx", "a.eml", "a.txt", "a.zip"):
        command = (
            *tracer,
            TIPBOX,
            "desk",
            "look",
            *stocked.options,
            stocked.tip,
            str(stocked.number(name)),
            "--ocr",
            "--json",
        )
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        assert CANARY.encode() in done.stdout, name
        written = WRITTEN.findall(log.read_text(errors="replace"))
        outside = [path for path in written if not path.startswith((str(stocked.vault), "/dev/", "/proc/self/"))]
        assert outside == [], name
    log.unlink()
    assert hits(tmp_path, Path("/dev/shm"), Path("/var/tmp")) == []  # noqa: S108 -- looked at, not written
    # The control: what --out writes is found.
    run("desk", "look", *stocked.options, stocked.tip, stocked.number("a.txt"), "--out", tmp_path / "seen")
    assert hits(tmp_path) == [tmp_path / "seen" / "text.txt"]
    shutil.rmtree(tmp_path / "seen")


def test_a_file_is_held_as_it_came_and_cannot_be_changed(
    stocked: Stocked, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk.open() as vault:
        tip = joined_tip(vault, find_tip(vault, stocked.tip))
        for number, (name, data) in enumerate(files(), 1):
            with sealed_off.held(vault, tip, number) as file:
                assert (file.name, file.size, file.head, file.cut) == (name, len(data), data[:512], False)
                with file.reading() as one, file.reading() as other:
                    assert one.read(3) == data[:3]
                    assert other.read() == data
                with pytest.raises(PermissionError):
                    os.write(file.descriptor, b"x")
        monkeypatch.setattr(sealed_off, "MAX_HELD", 100)
        with sealed_off.held(vault, tip, 1) as file, file.reading() as one:
            assert file.cut
            assert one.read() == files()[0][1][:100]


def test_a_damaged_file_is_named_and_nothing_of_it_goes_out(
    run: Run, stocked: Stocked, desk: Desk, tmp_path: Path
) -> None:
    (path,) = (stocked.vault / "tips").iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    number, away = stocked.number("empty"), tmp_path / "away"
    with desk.open() as vault:
        tip = joined_tip(vault, find_tip(vault, stocked.tip))
        with pytest.raises(VaultDamaged), sealed_off.held(vault, tip, number):
            raise AssertionError
    done = run("desk", "look", *stocked.options, stocked.tip, number, "--original", away, "--reason", "x", "--json")
    assert (done.code, done.error) == (3, "vault-damaged")
    assert list(away.iterdir()) == []
