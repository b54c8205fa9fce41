"""Replies at the desk: sealed once, carried until they are taken, shown in their thread."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from support.commands import Run
from support.desk import (
    PASSWORD,
    TODAY,
    Desk,
    Desks,
    Envelope,
    Exporter,
    days_after,
    envelope_id,
    listed,
    seal_letter_to,
    seal_tip,
)
from support.organisations import refused as code_of
from tipbox import cli
from tipbox.desk import conversations as threads
from tipbox.desk import pinned_server, replies, sentences, tips
from tipbox.desk.desk_errors import NoBundleYet
from tipbox.desk.importing.importer import ImportOutcome
from tipbox.desk.joined import joined_tip
from tipbox.desk.keys import ceremony
from tipbox.desk.outbox import OutboxSummary, write_outbox
from tipbox.desk.vault.letters import letter_of
from tipbox.desk.vault.records import Reply, Tip
from tipbox.desk.vault.vault import INCOMING, REPLIES
from tipbox.errors import WrongSender
from tipbox.files.attachments import measure
from tipbox.files.durable import write_file
from tipbox.formats.access_code import AccessCode, Secrets
from tipbox.formats.base import days
from tipbox.formats.base.limits import KEY_SIZE
from tipbox.formats.base.primitives import random_bytes, sha256
from tipbox.formats.envelopes.envelope import open_files, read_envelope
from tipbox.formats.envelopes.header import Kind, open_slot
from tipbox.formats.envelopes.letter import Letter, open_letter
from tipbox.formats.envelopes.reply import open_reply

SOURCE = Secrets(random_bytes(KEY_SIZE))
QUESTION = "Когда это было?\r\n\x1b[31m".encode()


@pytest.fixture(scope="module")
def made(made: Desks, tmp_path_factory: pytest.TempPathFactory) -> Desks:
    """Three organisations; the last has imported a tip from SOURCE and its follow-up, and one from a stranger."""
    folder = tmp_path_factory.mktemp("made")
    desks = made.copy(folder / "desks")
    kibhr = desks.desks[2]
    server = Exporter(SERVER.signing_key, SERVER.seed)
    kibhr.take(server.export(folder / "1", kibhr.manifest, [_tip(desks), _tip(desks), seal_tip(desks.manifests)]))
    return desks


SERVER = Exporter()


def _tip(desks: Desks) -> Envelope:
    return seal_tip(desks.manifests, secrets=SOURCE, files=[("a", b"a")])


@pytest.fixture
def desks(made: Desks, tmp_path: Path) -> Desks:
    return made.copy(tmp_path / "desks")


@pytest.fixture
def server() -> Exporter:
    return Exporter(SERVER.signing_key, SERVER.seed, sequence=1)


@pytest.fixture
def ours(desk: Desk) -> list[str]:
    """The ids of the two tips of SOURCE."""
    all_tips = listed(desk)
    return [tip["id"] for tip in all_tips if tip["files"]]


def answer(desk: Desk, tip: str, text: bytes = QUESTION, *files: Path, day: int = 0) -> Reply:
    with desk.open(write=True) as vault:
        found = tips.find_tip(vault, tip)
        return replies.queue_reply(vault, found, text, measure(files), today=days_after(day))


def outbox(server: Exporter, desk: Desk, out: Path) -> OutboxSummary:
    """Write one; the server reads it, so that it can report it."""
    with desk.open(write=True) as vault:
        sent = write_outbox(vault, ceremony.organisation_of(vault), out, today=TODAY)
    server.open(out)
    return sent


def carried(server: Exporter, path: Path) -> list[bytes]:
    return [data for kind, data in server.open(path) if kind == "reply"]


def kept(desk: Desk) -> list[Reply]:
    with desk.open() as vault:
        return sorted(Reply.all(vault), key=lambda reply: reply.number)


def said(desk: Desk, tip: str) -> list[dict[str, object]]:
    with desk.open() as vault:
        return list(threads.thread_of(vault, ceremony.organisation_of(vault), tips.find_tip(vault, tip))["messages"])


def files_of_replies(desk: Desk) -> int:
    return sum(1 for folder in (REPLIES, INCOMING) for _ in (desk.vault / folder).iterdir())


def read(item: bytes, secrets: Secrets, organisation: bytes) -> tuple[Letter, list[bytes]]:
    """An item as a source reads it in the mailbox of an organisation: the letter and its files."""
    assert item[:32] == secrets.mailbox_address(organisation)
    reading = read_envelope(io.BytesIO(item[32:]), Kind.REPLY)
    letter = open_reply(reading, secrets.pair_key(organisation))
    files = [b""] * len(letter.files)
    for index, piece in open_files(reading, letter):
        files[index] += piece
    assert reading.end().trailer == b""
    return letter, files


def report(
    server: Exporter, desk: Desk, path: Path, taken: list[int], refused: dict[bytes, str] | None = None
) -> ImportOutcome:
    """Import a Bundle whose report says this."""
    extra = [server.report(desk.manifest, taken, refused)]
    return desk.take(server.export(path, desk.manifest, [], extra=extra))


# --- there and back --------------------------------------------------------------------------------------------------


def test_a_reply_with_files_reaches_its_source_and_is_from_the_organisation(
    desk: Desk, server: Exporter, ours: list[str], tmp_path: Path
) -> None:
    contents = [random_bytes(200_000), b"", "форма".encode()]
    paths = [tmp_path / name for name in ("план.pdf", "empty", "form.txt")]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    made = answer(desk, ours[0], QUESTION, *paths)
    sent = outbox(server, desk, tmp_path / "o")
    (item,) = carried(server, tmp_path / "o")
    letter, files = read(item, SOURCE, desk.manifest.id)
    assert (letter.message, files) == (QUESTION, contents)
    assert [file.name for file in letter.files] == ["план.pdf", "empty", "form.txt"]
    with desk.open() as vault:
        assert (letter.day, letter.answers) == (TODAY, tips.find_tip(vault, ours[0]).message_id)
    assert (envelope_id(item[32:], Kind.REPLY), sha256(item)) == (made.id, made.item)
    assert [one.id for one in sent.load.replies] == [made.id]


def test_the_thread_shows_both_sides_in_the_order_of_days_and_the_list_only_tips(
    desks: Desks, desk: Desk, server: Exporter, ours: list[str], tmp_path: Path
) -> None:
    answer(desk, ours[0], b"one")
    answer(desk, ours[0], b"two", day=3)
    follow_up = seal_tip(desks.manifests, secrets=SOURCE, message=b"\xff later")
    day = days_after(2)
    desk.take(server.export(tmp_path / "2", desk.manifest, [follow_up], day=day), today=day)
    talk = said(desk, ours[1])
    assert [(one["kind"], one["text"], one["state"]) for one in talk] == [
        ("tip", "Выстрелы на площади", talk[0]["state"]),
        ("tip", "Выстрелы на площади", talk[1]["state"]),
        ("reply", "one", "waiting"),
        ("tip", "\N{REPLACEMENT CHARACTER} later", "new"),
        ("reply", "two", "waiting"),
    ]
    states = {tip["id"]: tip["state"] for tip in listed(desk)}
    assert set(states) == {tip["id"] for tip in listed(desk)}
    assert len(states) == 4
    assert states[ours[0]] == "answered"
    assert states[ours[1]] == "new", "nobody has read it yet"
    stranger = next(ident for ident in states if ident not in ours and ident != follow_up.id.hex())
    assert [one["kind"] for one in said(desk, stranger)] == ["tip"]


def test_an_answer_covers_what_was_opened_of_the_thread_and_closing_all_of_it(desk: Desk, ours: list[str]) -> None:
    with desk.open(write=True) as vault:
        tips.mark_opened(vault, joined_tip(vault, tips.find_tip(vault, ours[1])))
    answer(desk, ours[0])
    assert {tip["state"] for tip in listed(desk) if tip["id"] in ours} == {"answered"}
    with desk.open(write=True) as vault:
        assert threads.close(vault, tips.find_tip(vault, ours[0]).thread) == 2
    assert sorted(tip["state"] for tip in listed(desk)) == ["closed", "closed", "new"]


# --- until it is taken -----------------------------------------------------------------------------------------------


def test_a_reply_is_carried_as_it_was_sealed_until_a_report_says_taken(
    desk: Desk, server: Exporter, ours: list[str], tmp_path: Path
) -> None:
    made = answer(desk, ours[0])
    items = []
    for number in (1, 2):
        outbox(server, desk, tmp_path / f"o{number}")
        items += carried(server, tmp_path / f"o{number}")
    assert items[0] == items[1]
    assert [reply.state for reply in kept(desk)] == ["sent"]
    assert report(server, desk, tmp_path / "2", []).replies == []
    later = answer(desk, ours[0], b"later")
    outcome = report(server, desk, tmp_path / "3", [2])
    assert [(reply.id, reply.state) for reply in outcome.replies] == [(made.id, "delivered")]
    assert files_of_replies(desk) == 1, "its sealed bytes are gone, those of the later one are not"
    assert [one["text"] for one in said(desk, ours[0]) if one["kind"] == "reply"] == [QUESTION.decode(), "later"]
    outbox(server, desk, tmp_path / "o3")
    assert [sha256(item) for item in carried(server, tmp_path / "o3")] == [later.item]
    # Bundles that come again, or late, change nothing.
    states = [(reply.state, reply.outbox) for reply in kept(desk)]
    assert desk.take(tmp_path / "2", tmp_path / "3").replies == []
    assert [(reply.state, reply.outbox) for reply in kept(desk)] == states == [("delivered", 0), ("sent", 3)]


def test_of_a_thousand_outboxes_the_newest_speaks_for_all(
    desk: Desk, server: Exporter, ours: list[str], tmp_path: Path
) -> None:
    answer(desk, ours[0])
    outbox(server, desk, tmp_path / "o1")
    assert [one.state for one in report(server, desk, tmp_path / "2", list(range(500, 1500))).replies] == ["delivered"]


def test_a_full_mailbox_is_told_and_tried_again(desk: Desk, server: Exporter, ours: list[str], tmp_path: Path) -> None:
    made, other = answer(desk, ours[0]), answer(desk, ours[1], b"other")
    outbox(server, desk, tmp_path / "o1")
    outcome = report(server, desk, tmp_path / "2", [1], {made.item: "full"})
    assert [(one.id, one.state, one.code) for one in outcome.replies] == [
        (made.id, "refused", "full"),
        (other.id, "delivered", ""),
    ]
    assert [(one["state"], one["code"]) for one in said(desk, ours[0]) if one["kind"] == "reply"] == [
        ("refused", "full"),
        ("delivered", ""),
    ]
    assert desk.take(tmp_path / "2").replies == [], "reported once"
    outbox(server, desk, tmp_path / "o2")
    assert [sha256(item) for item in carried(server, tmp_path / "o2")] == [made.item]
    assert desk.take(tmp_path / "2").replies == [], "an old report does not speak of a later outbox"
    assert [reply.state for reply in kept(desk)] == ["sent", "delivered"]
    assert [one.state for one in report(server, desk, tmp_path / "3", [1, 2]).replies] == ["delivered"]


def test_what_the_server_calls_malformed_does_not_go_again(
    desk: Desk, server: Exporter, ours: list[str], tmp_path: Path
) -> None:
    made = answer(desk, ours[0])
    outbox(server, desk, tmp_path / "o1")
    assert [one.code for one in report(server, desk, tmp_path / "2", [1], {made.item: "malformed"}).replies] == [
        "malformed"
    ]
    outbox(server, desk, tmp_path / "o2")
    assert carried(server, tmp_path / "o2") == []
    assert files_of_replies(desk) == 0
    assert [one["state"] for one in said(desk, ours[0]) if one["kind"] == "reply"] == ["refused"]


def test_more_than_fits_waits_for_the_next_outbox(
    desk: Desk, server: Exporter, ours: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "MAX_CARRIED", 2)
    made = [answer(desk, ours[0], str(number).encode()) for number in range(5)]
    loads = []
    for taken in ([], [], [2], [2, 3]):
        if taken:
            report(server, desk, tmp_path / f"{taken[-1]}", taken)
        sent = outbox(server, desk, tmp_path / "o")
        loads.append(([sha256(item) for item in carried(server, tmp_path / "o")], sent.load.waiting))
    items = [reply.item for reply in made]
    assert loads == [(items[:2], 3), (items[:2], 3), (items[2:4], 1), (items[4:], 0)]
    monkeypatch.setattr(replies, "MAX_CARRIED_BYTES", 1)
    assert len(outbox(server, desk, tmp_path / "o").load.replies) == 1, "one goes always"


def test_a_damaged_reply_is_left_out_and_hurts_no_other(
    desk: Desk, server: Exporter, ours: list[str], tmp_path: Path
) -> None:
    damaged, good, gone = (answer(desk, ours[0], text) for text in (b"damaged", b"good", b"gone"))
    with desk.open() as vault:
        paths = [vault.reply_path(reply.id) for reply in (damaged, gone)]
    data = bytearray(paths[0].read_bytes())
    data[-1] ^= 1
    paths[0].write_bytes(data)
    paths[1].unlink()
    sent = outbox(server, desk, tmp_path / "o")
    assert [sha256(item) for item in carried(server, tmp_path / "o")] == [good.item]
    assert {reply.id for reply in sent.load.damaged} == {damaged.id, gone.id}
    assert [reply.code for reply in kept(desk)] == ["vault-damaged", "", "vault-damaged"]
    assert outbox(server, desk, tmp_path / "o").load.damaged == (), "reported once"


def test_a_reply_can_wait_for_the_first_bundle(desks: Desks, tmp_path: Path) -> None:
    desk = desks.desks[0]
    tip = seal_tip(desks.manifests, secrets=SOURCE)
    (tmp_path / "x.tip").write_bytes(tip.data)
    desk.take(tmp_path / "x.tip")
    made = answer(desk, tip.id.hex())
    server = Exporter()
    with pytest.raises(NoBundleYet):
        outbox(server, desk, tmp_path / "o")
    assert kept(desk) == [made]
    desk.take(server.export(tmp_path / "1", desk.manifest, []))
    outbox(server, desk, tmp_path / "o")
    assert [sha256(item) for item in carried(server, tmp_path / "o")] == [made.item]


# --- bad input -------------------------------------------------------------------------------------------------------


def test_an_answer_goes_to_the_mailbox_that_the_first_tip_of_a_thread_named(
    desks: Desks, desk: Desk, server: Exporter, ours: list[str], tmp_path: Path
) -> None:
    """Only the source, or who found its code, can name another one; neither leads an answer astray."""
    astray = seal_tip(desks.manifests, secrets=SOURCE, message=b"Write to me there", mailbox=random_bytes(32))
    outcome = desk.take(server.export(tmp_path / "2", desk.manifest, [astray]))
    assert (outcome.counts, outcome.notices) == ({"mine": 1}, [sentences.OTHER_MAILBOX])
    assert [one["id"] for one in said(desk, ours[0]) if one["other_mailbox"]] == [astray.id.hex()]
    answer(desk, astray.id.hex())
    outbox(server, desk, tmp_path / "o")
    (item,) = carried(server, tmp_path / "o")
    assert read(item, SOURCE, desk.manifest.id)[0].message == QUESTION


def test_an_answer_opens_with_no_other_pair_key(desk: Desk, server: Exporter, ours: list[str], tmp_path: Path) -> None:
    answer(desk, ours[0])
    outbox(server, desk, tmp_path / "o")
    (item,) = carried(server, tmp_path / "o")
    for pair_key in (SOURCE.pair_key(bytes(16)), AccessCode.generate().secrets().pair_key(desk.manifest.id)):
        reading = read_envelope(io.BytesIO(item[32:]), Kind.REPLY)
        assert code_of(lambda: open_reply(reading, pair_key)) == "not-for-you"  # noqa: B023 (called at once)
    assert code_of(lambda: read_envelope(io.BytesIO(item[32:]))) == "malformed", "no desk takes it for a tip"


def test_nothing_is_queued_when_it_cannot_be_sealed(
    desk: Desk, ours: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"a" * 100_000)
    measured = measure([file])
    file.write_bytes(b"b" * 100_000)
    os.utime(file, ns=(1, 1))
    with desk.open(write=True) as vault:
        tip = tips.find_tip(vault, ours[0])
        assert code_of(lambda: replies.queue_reply(vault, tip, b"x", measured, today=TODAY)) == "refused"
        assert code_of(lambda: replies.queue_reply(vault, tip, b"", [], today=TODAY)) == "refused"
        assert code_of(lambda: replies.queue_reply(vault, tip, b"x" * 1_000_001, [], today=TODAY)) == "limit"
        monkeypatch.setattr(replies, "MAX_REPLY", 50_000)
        assert code_of(lambda: replies.queue_reply(vault, tip, b"x", measure([file]), today=TODAY)) == "limit"
    assert (kept(desk), files_of_replies(desk)) == ([], 0)
    assert "answered" not in {tip["state"] for tip in listed(desk)}


@pytest.fixture
def command(desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setattr(days, "today", lambda: TODAY)  # its keys are of that year
    return Command(desk, tmp_path, capsys)


class Command:
    """``tipbox desk …`` in this process."""

    def __init__(self, desk: Desk, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._desk = desk
        self._capsys = capsys
        self._secret = folder / "secret"
        self._secret.write_bytes(PASSWORD)
        self._secret.chmod(0o600)

    def __call__(self, name: str, *arguments: str | Path) -> tuple[int, str, str]:
        vault = ("--vault", self._desk.vault, "--passphrase-file", self._secret)
        code = cli.run(["desk", name, *map(str, (*vault, *arguments))])
        return (code, *self._capsys.readouterr())


@pytest.mark.parametrize("encoding", ["cp1251", "utf-16"])
def test_an_answer_that_its_source_could_not_read_is_not_sealed(
    command: Command, desk: Desk, ours: list[str], encoding: str, tmp_path: Path
) -> None:
    """A remark would come too late: an answer cannot be taken back."""
    text = tmp_path / "text"
    text.write_bytes("Мы получили это.".encode(encoding))
    code, out, err = command("reply", "--json", ours[0], "--message-file", text)
    assert (code, out, json.loads(err)["error"]) == (3, "", "refused")
    assert "save it as UTF-8" in err
    assert kept(desk) == []


def test_commands_and_exit_codes(
    command: Command, desk: Desk, server: Exporter, ours: list[str], tmp_path: Path
) -> None:
    text, long = tmp_path / "text", tmp_path / "long"
    text.write_bytes(QUESTION)
    long.write_bytes(b"x" * 1_000_001)
    for tip, message, files, code, error in (
        ("00" * 32, text, [], 5, "not-found"),
        ("", text, [], 5, "not-found"),
        (ours[0][:7], text, [], 3, "short-id"),
        (ours[0], tmp_path / "no", [], 5, "not-found"),
        (ours[0], long, [], 3, "limit"),
        (ours[0], text, [tmp_path / "no"], 5, "not-found"),
        (ours[0], text, [tmp_path], 3, "refused"),
    ):
        found, out, err = command("reply", "--json", tip, "--message-file", message, *files)
        assert (found, out, json.loads(err)["error"]) == (code, "", error)
        assert ours[0] not in err
    code, out, _ = command("reply", ours[0][:8], "--message-file", text)
    assert (code, "which begins: Выстрелы на площади\n" in out) == (0, True), "staff see whom they answered"
    code, out, _ = command("reply", ours[0][:20], "--message-file", text, long, "--json")
    made = json.loads(out)
    assert (code, made["tip"], made["state"]) == (0, ours[0], "waiting")
    assert made["begins"] == "Выстрелы на площади"
    code, out, _ = command("thread", ours[0])
    assert code == 0
    assert "\x1b" not in out
    assert "kibhr" in out
    assert "[long, 1,000,001 bytes]" in out
    code, out, _ = command("thread", "--json", ours[0])
    assert [one["id"] for one in json.loads(out)["messages"] if one["kind"] == "reply"][1:] == [made["id"]]
    assert {tip["state"] for tip in listed(desk) if tip["id"] in ours} == {"answered", "opened"}
    command("outbox", "--out", tmp_path / "o")
    server.open(tmp_path / "o")
    report = server.report(desk.manifest, [1], {bytes.fromhex(made["id"]): "full", kept(desk)[0].item: "full"})
    code, out, err = command("import", server.export(tmp_path / "2", desk.manifest, [], extra=[report]))
    assert code == 0
    assert out.startswith("nothing new\n")
    assert "has no room; it goes again with the next outbox" in err
    code, out, _ = command("close", ours[0], "--json")
    assert (code, json.loads(out)["closed"]) == (0, 2)


# --- the server ------------------------------------------------------------------------------------------------------


def test_another_server_is_taken_only_after_the_old_one_is_forgotten(
    desks: Desks, server: Exporter, ours: list[str], command: Command, tmp_path: Path
) -> None:
    desk = desks.desks[2]
    answer(desk, ours[0])
    outbox(server, desk, tmp_path / "o1")
    code, out, _ = command("server", "--json")
    digits = json.loads(out)["digits"]
    assert code == 0
    assert [len(group) for group in digits.split()] == [5] * 6
    rebuilt = Exporter()
    tip = seal_tip(desks.manifests)
    bundle = rebuilt.export(tmp_path / "r1", desk.manifest, [tip])
    ((_, error),) = desk.take(bundle).problems
    assert isinstance(error, WrongSender)
    assert command("server", "--forget")[0] == 0
    assert command("server")[0] == 5
    outcome = desk.take(bundle)
    assert (outcome.counts, outcome.problems) == ({"mine": 1}, [])
    with desk.open() as vault:
        assert outcome.pinned == pinned_server.server_digits(pinned_server.pinned(vault)) != digits
    outbox(rebuilt, desk, tmp_path / "o2")
    assert len(carried(rebuilt, tmp_path / "o2")) == 1, "what the old one never reported goes to the new one"
    ((_, error),) = desk.take(server.export(tmp_path / "2", desk.manifest, [])).problems
    assert isinstance(error, WrongSender)


def test_what_a_new_server_shows_again_is_acknowledged_to_it(
    desks: Desks, desk: Desk, server: Exporter, command: Command, tmp_path: Path
) -> None:
    tip = seal_tip(desks.manifests)
    for number in range(3):
        server.export(tmp_path / "lost", desk.manifest, [])
        desk.take(server.export(tmp_path / f"{number}", desk.manifest, [tip] if not number else []))
    sent = outbox(server, desk, tmp_path / "o1")
    desk.take(server.export(tmp_path / "taken", desk.manifest, [], taken=[sent.sequence]))
    assert outbox(server, desk, tmp_path / "o2").acknowledged == 0
    command("server", "--forget")
    rebuilt = Exporter()
    assert desk.take(rebuilt.export(tmp_path / "r", desk.manifest, [tip])).counts == {"known": 1}
    assert outbox(rebuilt, desk, tmp_path / "o3").acknowledged == 1


# --- deniable --------------------------------------------------------------------------------------------------------


def test_a_desk_can_forge_a_follow_up_that_it_opens_in_the_same_thread(
    desks: Desks, desk: Desk, server: Exporter, ours: list[str], tmp_path: Path
) -> None:
    """With nothing but what lies in its vault and the public manifests. So no thread proves what a source said."""
    with desk.open() as vault:
        known = tips.find_tip(vault, ours[0])
        letter = letter_of(vault, known)

    class Forged(Secrets):
        def pair_key(self, organisation: bytes) -> bytes:  # noqa: ARG002 (it has one only)
            return known.pair_key

        def mailbox_address(self, organisation: bytes) -> bytes:  # noqa: ARG002
            return known.mailbox

    words = replace(letter, message=b"I saw it on the fifth.", id=random_bytes(16), body_key=random_bytes(32), files=())
    forged = seal_letter_to(words, [], desks.manifests, [desk.manifest], secrets=Forged(b""))
    honest = seal_tip(desks.manifests, [desk.manifest], message=b"I saw it on the fifth.", secrets=SOURCE)
    desk.take(server.export(tmp_path / "2", desk.manifest, [forged, honest]))
    rows = {tip["id"]: tip for tip in listed(desk)}
    first, second = rows[forged.id.hex()], rows[honest.id.hex()]
    assert {**first, "id": "", "envelopes": []} == {**second, "id": "", "envelopes": []}
    assert first["thread"] == rows[ours[0]]["thread"]
    letters = []
    with desk.open() as vault:
        for envelope in (forged, honest):
            reading = read_envelope(io.BytesIO(envelope.data))
            tip = tips.find_tip(vault, envelope.id.hex())
            found = open_letter(reading.header, tip.content_key, reading.letter)
            letters.append((replace(found, id=b"", body_key=b""), tip.pair_key, tip.mailbox, len(envelope.data)))
            assert len(reading.header.slots) == 3
    assert letters[0] == letters[1]
    other = desks.desks[0]
    assert code_of(lambda: open_slot(reading.header, other.manifest.id, lambda _: bytes(32))) == "tampered"


@pytest.mark.parametrize("digits", [0, 1, 2, 4, 7])
@pytest.mark.parametrize("command", ["reply", "forget", "unsend"])
def test_a_few_digits_are_enough_for_nothing_that_cannot_be_undone(
    desk: Desk, ours: list[str], run: Run, tmp_path: Path, *, command: str, digits: int
) -> None:
    """Not when they name one alone: they are a typing error away from another source."""
    secret, text = tmp_path / "secret", tmp_path / "text"
    write_file(secret, PASSWORD)
    text.write_bytes(b"When?")
    options = ("--vault", desk.vault, "--passphrase-file", secret)
    assert run("desk", "reply", *options, ours[0], "--message-file", text).code == 0
    with desk.open() as vault:
        (made,) = Reply.all(vault)
    named = (made.id.hex() if command == "unsend" else ours[0])[:digits]
    more = {"reply": ("--message-file", text), "forget": ("--reason", "spam"), "unsend": ()}[command]
    for given in (named, f" {named} ", named.upper()):
        assert run("desk", command, *options, given, *more, "--json").code in (3, 5)
    with desk.open() as vault:
        assert list(Reply.all(vault)) == [made]
        assert Tip.find(vault, bytes.fromhex(ours[0])) is not None
