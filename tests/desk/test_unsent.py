"""What has not left the desk: replies are asked about, taken back, and not lost when their command is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.commands import Run, on_terminal
from support.desk import PASSWORD, TODAY, Desk, Desks, Exporter, listed, seal_tip
from tipbox.desk import conversations, replies, tips, unsent
from tipbox.desk.desk_errors import AlreadySent
from tipbox.desk.keys import ceremony
from tipbox.desk.outbox import write_outbox
from tipbox.desk.vault.records import Draft, Reply, ReplyText, TipFile
from tipbox.desk.vault.vault import INCOMING, REPLIES, Vault
from tipbox.files.durable import write_file

pytestmark = pytest.mark.reads_date

SECRET = "the courtyard"


@pytest.fixture(scope="module")
def made(made: Desks, tmp_path_factory: pytest.TempPathFactory) -> Desks:
    """Three organisations; the last has imported a tip."""
    folder = tmp_path_factory.mktemp("made")
    desks = made.copy(folder / "desks")
    kibhr = desks.desks[2]
    kibhr.take(Exporter().export(folder / "1", kibhr.manifest, [seal_tip(desks.manifests)]))
    return desks


@pytest.fixture
def desks(made: Desks, tmp_path: Path) -> Desks:
    return made.copy(tmp_path / "desks")


@pytest.fixture
def tip(desk: Desk) -> str:
    return str(listed(desk)[0]["id"])


@pytest.fixture
def options(desk: Desk, tmp_path: Path) -> tuple[str, ...]:
    secret = tmp_path / "secret"
    write_file(secret, PASSWORD)
    return ("--vault", str(desk.vault), "--passphrase-file", str(secret))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_text(f"When was this, in {SECRET}?")
    return path


def kept(desk: Desk) -> list[Reply]:
    with desk.open() as vault:
        return list(Reply.all(vault))


def cut_short(vault: Vault, tip: str, words: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply whose command ends between its draft and its first sealed byte."""

    def end(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(replies, "_write", end)
        with pytest.raises(KeyboardInterrupt):
            replies.queue_reply(vault, tips.find_tip(vault, tip), words, [], today=TODAY)


@pytest.mark.parametrize(
    ("more", "answer", "code"),
    [((), b"y\n", 0), ((), b"n\n", 130), ((), b"\n", 130), ((), b"\x04", 130), (("--yes",), b"", 0)],
)
def test_a_person_is_asked_with_what_shows_who_is_answered(
    options: tuple[str, ...], tip: str, text: Path, desk: Desk, *, more: tuple[str, ...], answer: bytes, code: int
) -> None:
    arguments: tuple[str | Path, ...] = ("desk", "reply", *options, tip[:12], "--message-file", text, *more)
    found, said = on_terminal(arguments, answer)
    assert (found, len(kept(desk))) == (code, int(code == 0)), said
    if not more:
        assert "Received 2026-01-20, language ru." in said
        assert "It begins: Выстрелы на площади" in said


def test_a_reply_is_taken_back_and_leaves_neither_words_nor_bytes(
    run: Run, options: tuple[str, ...], tip: str, text: Path, *, desk: Desk, tmp_path: Path
) -> None:
    made = run("desk", "reply", *options, tip, "--message-file", text, "--json").json
    assert (made["language"], made["received"]) == ("ru", "2026-01-20")
    assert run("desk", "unsend", *options, made["id"][:7], "--json").error == "short-id"
    assert run("desk", "unsend", *options, "00" * 32, "--json").error == "not-found"
    assert run("desk", "unsend", *options, made["id"][:8], "--json").json == {
        "draft": False, "id": made["id"], "thread": made["thread"],
    }  # fmt: skip
    assert [path for folder in (INCOMING, REPLIES) for path in (desk.vault / folder).iterdir()] == []
    assert [one["state"] for one in listed(desk)] == ["opened"]
    with desk.open(write=True) as vault:
        assert [one.state for one in Reply.all(vault)] == ["unsent"]
        assert list(ReplyText.all(vault)) == []
        sent = write_outbox(vault, ceremony.organisation_of(vault), tmp_path / "o", today=TODAY)
        assert (sent.load.replies, sent.load.waiting, sent.load.damaged) == ((), 0, ())
    assert run("desk", "unsend", *options, made["id"], "--json").error == "already-sent"


def test_what_an_outbox_took_is_not_taken_back(desk: Desk, tip: str, tmp_path: Path) -> None:
    with desk.open(write=True) as vault:
        made = replies.queue_reply(vault, tips.find_tip(vault, tip), b"one", [], today=TODAY)
        write_outbox(vault, ceremony.organisation_of(vault), tmp_path / "o", today=TODAY)
        with pytest.raises(AlreadySent):
            unsent.take_back(vault, made.id.hex())
        assert [one.state for one in Reply.all(vault)] == ["sent"]


@pytest.mark.parametrize("words", ["Когда?", "When?\r\n" * 1000, "x" * 1_000_000])
def test_the_words_of_a_reply_that_was_cut_short_are_kept_offered_and_sent(
    run: Run, options: tuple[str, ...], tip: str, text: Path, *, desk: Desk, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    with desk.open(write=True) as vault:
        cut_short(vault, tip, words.encode(), monkeypatch)
        (draft,) = Draft.all(vault)
        assert list(Reply.all(vault)) == []
    other = run("desk", "reply", *options, tip, "--message-file", text)
    assert (other.code, "was cut short on 2026-01-20" in other.err) == (0, True)
    assert run("desk", "thread", *options, tip, "--json").json["drafts"] == [draft.key.hex()]
    assert run("desk", "reply", *options, tip, "--draft").code == 0
    with desk.open() as vault:
        assert list(Draft.all(vault)) == []
        assert {one.message for one in ReplyText.all(vault)} == {words.encode(), text.read_bytes()}
        assert conversations.addressee(vault, tips.find_tip(vault, tip)).drafts == ()
    assert run("desk", "reply", *options, tip, "--draft", "--json").error == "usage"
    assert run("desk", "reply", *options, tip, "--draft", "--message-file", text, "--json").error == "usage"
    assert run("desk", "reply", *options, tip, "--json").error == "usage"


def test_a_draft_is_dropped(
    run: Run, options: tuple[str, ...], tip: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk.open(write=True) as vault:
        cut_short(vault, tip, b"dropped", monkeypatch)
        (draft,) = Draft.all(vault)
    assert run("desk", "unsend", *options, draft.key.hex()[:8], "--json").json["draft"] is True
    with desk.open() as vault:
        assert list(Draft.all(vault)) == []


def test_of_two_drafts_none_goes_unseen(
    run: Run, options: tuple[str, ...], tip: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk.open(write=True) as vault:
        for words in (b"the first", b"the second"):
            cut_short(vault, tip, words, monkeypatch)
        dropped = next(one for one in Draft.all(vault) if one.message == b"the first")
    refused = run("desk", "reply", *options, tip, "--draft", "--json")
    assert (refused.error, kept(desk)) == ("usage", [])
    shown = run("desk", "thread", *options, tip).out
    assert "    the first\n" in shown
    assert "    the second\n" in shown
    run("desk", "unsend", *options, dropped.key.hex())
    assert run("desk", "reply", *options, tip, "--draft").code == 0
    with desk.open() as vault:
        assert [one.message for one in ReplyText.all(vault)] == [b"the second"]


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ({"plan.txt": b"1234"}, 0),
        ({}, 2),
        ({"plan.txt": b"12345"}, 2),
        ({"names.txt": b"1234"}, 2),
        ({"plan.txt": b"1234", "names.txt": b""}, 2),
    ],
)
def test_only_the_files_that_were_named_go_with_a_draft(
    run: Run, options: tuple[str, ...], tip: str, desk: Desk, *, named: dict[str, bytes], code: int, tmp_path: Path
) -> None:
    with desk.open(write=True) as vault:
        Draft(tips.find_tip(vault, tip).thread, b"words", (TipFile("plan.txt", 4, "text/plain"),), TODAY).save(vault)
    for name, data in named.items():
        (tmp_path / name).write_bytes(data)
    done = run("desk", "reply", *options, tip, "--draft", *[tmp_path / name for name in named])
    assert (done.code, len(kept(desk))) == (code, int(code == 0)), done.err
    if code:
        assert "plan.txt (4 bytes)" in done.err


def test_a_person_sees_the_words_of_a_draft_before_they_go(options: tuple[str, ...], tip: str, desk: Desk) -> None:
    with desk.open(write=True) as vault:
        Draft(tips.find_tip(vault, tip).thread, b"one\nand another line", (), TODAY).save(vault)
    code, said = on_terminal(("desk", "reply", *options, tip[:12], "--draft"), b"n\n")
    assert (code, kept(desk)) == (130, []), said
    assert said.index("    and another line") < said.index("Answer this one?")


@pytest.mark.parametrize("code", ["full", "version"])
def test_a_reply_that_the_server_had_no_room_for_is_taken_back(desk: Desk, tip: str, tmp_path: Path, code: str) -> None:
    with desk.open(write=True) as vault:
        made = replies.queue_reply(vault, tips.find_tip(vault, tip), b"one", [], today=TODAY)
        write_outbox(vault, ceremony.organisation_of(vault), tmp_path / "o", today=TODAY)
        with vault.transaction():
            replies.note_report(vault, 1, {made.item: code})
        taken = unsent.take_back(vault, made.id.hex())
        assert (taken.key, [one.state for one in Reply.all(vault)]) == (made.id, ["unsent"])
        sent = write_outbox(vault, ceremony.organisation_of(vault), tmp_path / "o2", today=TODAY)
        assert (sent.load.replies, list((desk.vault / REPLIES).iterdir())) == ((), [])
        with pytest.raises(AlreadySent):
            unsent.take_back(vault, made.id.hex())


@pytest.mark.parametrize("damage", ["removed", "rubbish", "cut"])
def test_a_damaged_tip_is_still_read_answered_and_forgotten(
    run: Run, options: tuple[str, ...], tip: str, text: Path, *, desk: Desk, damage: str
) -> None:
    with desk.open() as vault:
        path = vault.tip_path(bytes.fromhex(tip))
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(b"rubbish" if damage == "rubbish" else path.read_bytes()[:100])
    (shown,) = run("desk", "thread", *options, tip, "--json").json["messages"]
    assert (shown["damaged"], shown["text"]) == (True, "Выстрелы на площади")
    assert "is damaged" in run("desk", "thread", *options, tip).out
    made = run("desk", "reply", *options, tip, "--message-file", text, "--json").json
    assert (made["begins"], made["language"]) == ("Выстрелы на площади", "ru")
    code, said = on_terminal(("desk", "forget", *options, tip), b"damaged\n", b"y\n")
    assert (code, listed(desk)) == (0, []), said
