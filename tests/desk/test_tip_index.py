"""Lists and search: first words at once, the index as new as the vault, and nothing lost or left with it."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from support.commands import Run
from support.desk import PASSWORD, TODAY, Desk, Desks, Exporter, listed, seal_tip
from support.killed import say, traced
from tipbox.desk import replies, tips
from tipbox.desk.forget import forget
from tipbox.desk.inbox import listing, marks
from tipbox.desk.inbox.detect_language import detect
from tipbox.desk.inbox.file_kinds import by_bytes, by_name
from tipbox.desk.inbox.folding import fold
from tipbox.desk.inbox.tip_index import Filter, TipIndex
from tipbox.desk.joined import joined_tips
from tipbox.desk.keys import ceremony
from tipbox.desk.vault.records import Tip
from tipbox.desk.vault.vault import INDEX_FILE, Vault
from tipbox.errors import InputRefused
from tipbox.files.durable import write_file
from tipbox.formats.access_code import AccessCode

pytestmark = pytest.mark.reads_date

JPEG = b"\xff\xd8\xff\xe0" + bytes(600)
PLANTED = (
    *("zelkova", "quokka", "обелиск", "жұлдызша", "фонарный", "вереница", "kaleidoscope", "arbitrage", "cymbals"),
    *("gossamer", "hullabaloo", "кузнечик", "сыбызғы", "бүркіт", "подоконник", "filigrane", "ornitorrinco", "juniper"),
)
"""With a tag and a note they are twenty."""


def found(desk: Desk, query: str) -> list[str]:
    """How the tips begin that have these words."""
    with desk.open() as vault:
        return [row["begins"] for row in listing.search_tips(vault, ceremony.organisation_of(vault), query, limit=50)]


def test_first_words_language_size_and_kinds_are_listed_at_once(
    desk: Desk, desks: Desks, server: Exporter, tmp_path: Path
) -> None:
    said = "Менің ағамды түнде алып кетті.\x1b[31m\u202e Қазір " + "сол жерде " * 60
    files = [("photo.jpg", JPEG), ("photo.jpg.exe", JPEG), ("a.docx", b"PK\x03\x04" + bytes(99)), ("empty", b"")]
    one = seal_tip(desks.manifests, message=said.encode(), files=files)
    twice = [seal_tip(desks.manifests, message=b"The same words", files=[("x", b"y")]) for _ in range(3)]
    desk.take(server.export(tmp_path / "1", desk.manifest, [one, *twice]))
    rows = {row["id"]: row for row in listed(desk)}
    row = rows[one.id.hex()]
    assert row["begins"].startswith("Менің ағамды түнде алып кетті.\ufffd[31m\ufffd Қазір сол жерде")
    assert len(row["begins"]) == 280
    assert (row["language"], row["language_named"], row["length"]) == ("kk", "ru", len(said.encode()))
    kinds = row["kinds"]
    shown = [(kind["bytes"], kind["name"]) for kind in kinds]
    assert shown == [("jpeg", "jpeg"), ("jpeg", "windows-program"), ("zip", "zip"), ("", "")]
    assert kinds[0]["sha256"] == kinds[1]["sha256"]
    assert (row["same"], [rows[tip.id.hex()]["same"] for tip in twice]) == (0, [2, 2, 2])
    with desk.open() as vault:
        by_hash = listing.search_tips(vault, ceremony.organisation_of(vault), kinds[0]["sha256"].upper(), limit=50)
    assert [found["id"] for found in by_hash] == [one.id.hex()]


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ("They came at night and took him from the house", "en"),
        ("Ils sont venus dans la nuit et ils ont emmené mon frère", "fr"),
        ("Vinieron por la noche y se llevaron a mi hermano de la casa", "es"),
        ("Вчера вечером на площади стреляли, я видел это из окна", "ru"),
        ("Кеше түнде алаңда оқ атылды, мен терезеден көрдім", "kk"),
        ("Кеше тунде аланда болды, биз ушин керек емес еди деген", "kk"),
        ("Кечээ түнкүсүн аянтта ок атылды, мен терезеден көрдүм, бул эмес", "ky"),
        ("1234 5678 !!!", ""),
        ("", ""),
        ("你好", ""),
    ],
)
def test_a_language_is_guessed_by_script_letters_and_small_words(said: str, language: str) -> None:
    assert detect(said) == language


@pytest.mark.parametrize(
    ("head", "name", "expected"),
    [
        (b"\x89PNG\r\n\x1a\n", "a.JPG", ("png", "jpeg")),
        (b"RIFF\0\0\0\0WEBPVP8 ", "a.webp", ("webp", "webp")),
        (b"\0\0\0\x18ftypheic", "IMG.HEIC", ("heic", "heic")),
        (b"\0\0\0\x18ftypisom", "v.mp4", ("mp4", "mp4")),
        (b"[Desktop Entry]\nExec=sh", "photo\u202egpj.desktop", ("linux-link", "linux-link")),
        (b" \n<!DOCTYPE html>", "letter.txt", ("html", "text")),
        (b"<svg onload=1>", "a.svg", ("xml", "xml")),
        ("Привет".encode()[:-1], "a", ("text", "")),
        (bytes(512), "a.tar.gz", ("", "gzip")),
        (bytes(257) + b"ustar", "a.b c", ("tar", "")),
        (b"", ".bashrc", ("", "bashrc")),
    ],
)
def test_a_file_is_what_its_bytes_say_whatever_its_name_claims(
    head: bytes, name: str, expected: tuple[str, str]
) -> None:
    assert (by_bytes(head), by_name(name)) == expected


@pytest.mark.parametrize(
    ("typed", "written"), [("казак", "Қазақ"), ("умит", "үміт"), ("елка", "Ёлка"), ("frere", "FRÈRE"), ("хат", "һат")]
)
def test_letters_that_keyboards_lack_make_no_difference(typed: str, written: str) -> None:
    assert fold(typed) == fold(written)


def test_words_are_found_however_they_were_typed_and_in_whatever_was_said(
    desk: Desk, desks: Desks, server: Exporter, tmp_path: Path
) -> None:
    sent = [
        seal_tip(desks.manifests, message="Қазақстан үкіметі туралы".encode()),
        seal_tip(desks.manifests, message=b"A black van, number 777", files=[("фото_фургон.jpg", JPEG)]),
        seal_tip(desks.manifests, message=b"Another black car"),
    ]
    desk.take(server.export(tmp_path / "1", desk.manifest, sent))
    with desk.open(write=True) as vault:
        thread = tips.find_tip(vault, sent[2].id.hex()).thread
        marks.add_note(vault, [thread], "Called the lawyer Марат", today=TODAY)
        marks.tag(vault, [thread], ["срочно"])
    assert found(desk, "казакст") == ["Қазақстан үкіметі туралы"]
    assert set(found(desk, "BLACK")) == {"A black van, number 777", "Another black car"}
    assert found(desk, "black 77") == found(desk, '"black van"') == found(desk, "фургон") == ["A black van, number 777"]
    assert found(desk, '"van black"') == []
    assert found(desk, "марат") == found(desk, "срочн") == ["Another black car"]
    assert found(desk, 'x" OR words MATCH "*) NEAR(') == []
    for bad in ("", " \t", '"', "!!!", "x " * 600, " ".join("abc" for _ in range(33))):
        with pytest.raises(InputRefused):
            found(desk, bad)


def test_the_index_is_that_of_all_records_whatever_was_done(
    desk: Desk, desks: Desks, server: Exporter, tmp_path: Path
) -> None:
    """Random acts; now and then the index is sealed, read again, lost, damaged, or of another past."""
    chance = random.Random(7)
    secrets = [AccessCode.generate().secrets() for _ in range(4)]
    acts = 0

    def some(vault: Vault) -> Tip:
        return chance.choice(sorted(Tip.all(vault), key=lambda tip: tip.id))

    for step in range(8):
        last = b""
        batch = []
        for _ in range(3):
            source = chance.choice(secrets)
            sent = seal_tip(desks.manifests, message=b"word%d" % chance.randrange(5), secrets=source, continues=last)
            last = chance.choice([b"", sent.hash])
            batch.append(sent)
        (tmp_path / "x.tip").write_bytes(batch.pop().data)
        desk.take(server.export(tmp_path / f"{step}", desk.manifest, batch), tmp_path / "x.tip")
        with desk.open(write=True) as vault:
            for _ in range(6):
                tip = some(vault)
                act = chance.randrange(6)
                acts += 1
                if act == 0:
                    marks.tag(vault, [tip.thread], [f"t{chance.randrange(3)}"], [f"t{chance.randrange(3)}"])
                elif act == 1:
                    marks.spam(vault, [tip.thread], is_spam=bool(chance.randrange(2)))
                elif act == 2:
                    marks.unread(vault, [tip.thread])
                elif act == 3:
                    replies.queue_reply(vault, tip, b"words", [], today=TODAY)
                elif act == 4 and acts % 3 == 0:
                    forget(vault, tip, "because")
                else:
                    TipIndex.of(vault).save(always=bool(chance.randrange(2)))
        match step % 4:
            case 1:
                (desk.vault / INDEX_FILE).unlink()
            case 2:
                shutil.copy(desk.vault / INDEX_FILE, tmp_path / "old")
            case 3:
                shutil.copy(tmp_path / "old", desk.vault / INDEX_FILE)
        compare(desk)
    (desk.vault / INDEX_FILE).write_bytes(b"rubbish" * 99)
    compare(desk)


def test_a_tip_that_is_split_is_found_by_the_words_of_its_parts(
    desk: Desk, desks: Desks, server: Exporter, tmp_path: Path
) -> None:
    """Two continue one: which of them belongs to it is decided by their ids, and can change with the next Bundle."""
    source = AccessCode.generate().secrets()
    first = seal_tip(desks.manifests, message=b"word0", secrets=source)
    pair = [
        seal_tip(desks.manifests, message=b"word%d" % place, secrets=source, continues=first.hash) for place in (1, 2)
    ]
    lower, higher = sorted(pair, key=lambda sent: sent.id)
    desk.take(server.export(tmp_path / "1", desk.manifest, [first, higher]))
    compare(desk)
    desk.take(server.export(tmp_path / "2", desk.manifest, [lower]))
    compare(desk)


def compare(desk: Desk) -> None:
    """The index of this vault, and one that is made anew from its records, say the same."""
    with desk.open() as vault, desk.open() as other:
        organisation = ceremony.organisation_of(vault)
        kept, made = TipIndex.of(vault), TipIndex(other)
        (kept_rows, whole) = (listing.list_tips(vault, organisation), {tip.id.hex() for tip in joined_tips(vault)})
        assert {row["id"] for row in kept_rows} == whole
        made._db.close()
        made._db = made._new()
        made.refresh()
        other.index = made
        assert kept_rows == listing.list_tips(other, organisation)
        for which in (Filter(state="new"), Filter(tag="t1"), Filter(spam=True), Filter(spam=False, state="answered")):
            assert kept.page(which) == made.page(which)
            assert kept.count(which) == len(kept.page(which))
        for number in range(5):
            assert set(kept.search(f"word{number}", 99)) == set(made.search(f"word{number}", 99))


def test_nothing_readable_lies_in_the_index_and_nothing_is_lost_with_it(
    desk: Desk, desks: Desks, server: Exporter, tmp_path: Path
) -> None:
    sent = [seal_tip(desks.manifests, message=f"{word} and more".encode(), files=[(word, b"")]) for word in PLANTED]
    desk.take(server.export(tmp_path / "1", desk.manifest, sent))
    with desk.open(write=True) as vault:
        threads = [tip.thread for tip in Tip.all(vault)]
        marks.tag(vault, threads, ["palimpsest"])
        marks.add_note(vault, threads, "noctambule", today=TODAY)
        TipIndex.of(vault).save(always=True)
    kept = b"".join(path.read_bytes() for path in desk.vault.rglob("*") if path.is_file())
    for word in (*PLANTED, "palimpsest", "noctambule"):
        assert found(desk, word)
        for form in (word, word.upper(), fold(word)):
            for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
                assert form.encode(encoding) not in kept
    before = listed(desk)
    (desk.vault / INDEX_FILE).unlink()
    assert listed(desk) == before
    assert all(found(desk, word) for word in PLANTED)


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("search", "quokka"),
        ("thread",),
        ("tag", "--add", "palimpsest"),
        ("reply", "--message-file"),
        ("import",),
    ],
    ids=lambda words: words[0],
)
def test_no_command_makes_a_file_outside_of_the_vault(
    desk: Desk, desks: Desks, server: Exporter, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Not even for a moment: what is in memory alone cannot be found on a disk. By the system calls of the command."""
    secret, text, log = tmp_path / "secret", tmp_path / "text", tmp_path / "log"
    write_file(secret, PASSWORD)
    text.write_bytes(b"When?")
    tip = seal_tip(desks.manifests, message=b"quokka" * 20_000, files=[("a", bytes(200_000))])
    bundle = server.export(tmp_path / "1", desk.manifest, [tip])
    if words[0] != "import":
        desk.take(bundle)
    more = {"list": (), "search": (), "reply": (text, tip.id.hex()), "import": (bundle,)}.get(words[0], (tip.id.hex(),))
    options = ("--vault", desk.vault, "--passphrase-file", secret)
    calls = "trace=open,openat,openat2,creat,mkdir,mkdirat,memfd_create,link,linkat,symlink,symlinkat,rename,renameat"
    ended = traced(lambda: say("desk", words[0], *options, *words[1:], *more), "-o", str(log), "-e", calls, "-s", "999")
    assert ended.code == 0, ended
    made = [line for line in log.read_text().splitlines() if "O_CREAT" in line or "open" not in line.partition("(")[0]]
    made = [line for line in made if "exited" not in line]
    assert made or words[0] in {"list", "search"}
    assert [line for line in made if f'"{desk.vault}/' not in line] == []


def test_what_is_forgotten_goes_from_the_index_with_its_words(
    desk: Desk, desks: Desks, server: Exporter, tmp_path: Path
) -> None:
    gone, stays = seal_tip(desks.manifests, message=b"zelkova"), seal_tip(desks.manifests, message=b"quokka")
    desk.take(server.export(tmp_path / "1", desk.manifest, [gone, stays]))
    with desk.open(write=True) as vault:
        tip = tips.find_tip(vault, gone.id.hex())
        marks.add_note(vault, [tip.thread], "palimpsest", today=TODAY)
        TipIndex.of(vault).save(always=True)
        forget(vault, tip, "spam")
    assert found(desk, "quokka") == ["quokka"]
    assert found(desk, "zelkova") == found(desk, "palimpsest") == []
    with desk.open() as vault, vault.open_file(vault.path / INDEX_FILE) as file:
        plain = file.read()
    assert b"quokka" in plain
    for word in (b"zelkova", b"palimpsest", gone.id):
        assert word not in plain


def test_ninety_seven_tips_are_triaged_by_thirty_commands(made_today: Desks, run: Run, tmp_path: Path) -> None:
    """Fifteen are spam, six the same as another, the rest go to two people: no id is typed one command at a time."""
    from tipbox.formats.base import days

    desks, server, today = made_today.copy(tmp_path / "desks"), Exporter(), days.today()
    desk, secret = desks.desks[1], tmp_path / "secret"
    write_file(secret, PASSWORD)
    texts = [b"Cheap pills, buy now: number %d" % number for number in range(15)]
    texts += [b"The same report, sent again"] * 7
    texts += [f"Кеше түнде {number} адам алып кетті".encode() for number in range(35)]
    texts += [f"Вчера на площади, свидетель {number}".encode() for number in range(40)]
    sent = [seal_tip(desks.manifests, message=text, today=today) for text in texts]
    desk.take(server.export(tmp_path / "1", desk.manifest, sent, day=today), today=today)
    commands = 0

    def desk_command(name: str, *arguments: str) -> object:
        nonlocal commands
        commands += 1
        done = run("desk", name, "--vault", desk.vault, "--passphrase-file", secret, *arguments, "--json")
        assert done.code == 0, done.err
        return done.json

    def ids(rows: object) -> list[str]:
        assert isinstance(rows, list)
        return [row["id"][:12] for row in rows]

    assert len(ids(desk_command("list", "--state", "new"))) == 97
    pills = ids(desk_command("search", "cheap", "pills"))
    desk_command("spam", *pills)
    desk_command("close", *pills)
    same = ids(desk_command("search", '"same report"'))
    desk_command("tag", "--add", "resent", *same)
    desk_command("close", *same[1:])
    for language, person in (("kk", "Aigerim"), ("ru", "Timur")):
        these = ids(desk_command("list", "--state", "new", "--language", language))
        desk_command("assign", "--to", person, *these)
        desk_command("tag", "--add", "square", *these)
    rest = desk_command("list", "--state", "new", "--no-spam", "--person", "")
    assert ids(rest) == [same[0]]
    mine = desk_command("list", "--state", "new", "--person", "Aigerim")
    assert isinstance(mine, list)
    assert (len(mine), {tuple(row["tags"]) for row in mine}) == (35, {("square",)})
    assert commands <= 30


@pytest.mark.parametrize("number", [0, -1, 2**31, 2**63 - 1, 2**63, 10**30])
@pytest.mark.parametrize("option", [("list", "--limit"), ("list", "--skip"), ("search", "--limit")])
def test_no_number_is_too_large_to_be_understood(
    desk: Desk, run: Run, tmp_path: Path, *, option: tuple[str, str], number: int
) -> None:
    secret = tmp_path / "secret"
    write_file(secret, PASSWORD)
    command, name = option
    words = ("zelkova",) if command == "search" else ()
    done = run("desk", command, "--vault", desk.vault, "--passphrase-file", secret, name, number, *words, "--json")
    assert done.code == (0 if (name, number) == ("--skip", 0) else 2)
