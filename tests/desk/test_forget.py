"""Forgetting: records, files, the second copy; a custody line stays, and what was forgotten does not come back."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from support.commands import Run, on_terminal
from support.desk import PASSWORD, TODAY, Desk, Desks, Envelope, Exporter, acknowledged, listed, seal_tip
from tipbox.desk import replies, tips
from tipbox.desk.custody.chain import check_chain
from tipbox.desk.replies import outbox_load
from tipbox.desk.second_copy import copy_vault
from tipbox.desk.vault.records import Draft, Reply, ReplyText, Thread
from tipbox.desk.vault.vault import REPLIES, TIPS
from tipbox.files.durable import write_file
from tipbox.formats.access_code import AccessCode

pytestmark = pytest.mark.reads_date


@pytest.fixture
def options(desk: Desk, tmp_path: Path) -> tuple[str | Path, ...]:
    secret = tmp_path / "secret"
    write_file(secret, PASSWORD)
    return ("--vault", desk.vault, "--passphrase-file", secret)


def files(folder: Path) -> int:
    return len(list((folder / TIPS).iterdir()))


def test_a_forgotten_tip_is_gone_and_acknowledged_and_does_not_come_back(
    run: Run, options: tuple[object, ...], desks: Desks, desk: Desk, *, server: Exporter, tmp_path: Path
) -> None:
    spam, kept = seal_tip(desks.manifests, files=[("a", b"a" * 9000)]), seal_tip(desks.manifests)
    bundle = server.export(tmp_path / "1", desk.manifest, [spam, kept])
    desk.take(bundle, copies=False)
    with desk.open(write=True) as vault:
        copy_vault(vault, tmp_path / "copy", today=TODAY)
        made = replies.queue_reply(vault, tips.find_tip(vault, spam.id.hex()), b"Who are you?", [], today=TODAY)
        assert outbox_load(vault).replies
    done = run("desk", "forget", *options, spam.id.hex()[:8], "--reason", "Спам", "--json")
    assert (done.code, done.json["envelopes"]) == (0, 1)
    assert [tip["id"] for tip in listed(desk)] == [kept.id.hex()]
    assert files(desk.vault) == 1
    with desk.open(write=True) as vault:
        assert ReplyText.find(vault, made.id) is None
        # It goes to nobody any more, and no event is a hash of its words, which could be tried.
        assert (outbox_load(vault).replies, list((desk.vault / REPLIES).iterdir())) == ((), [])
        guess = Draft(made.thread, b"Who are you?", (), TODAY)
        assert guess.key not in {one.item for one in check_chain(vault).events}
        (event,) = [one for one in check_chain(vault).events if one.act == "forget"]
        assert (event.item, event.reason, event.before) == (spam.id, "Спам", "answered")
        assert check_chain(vault).problem == ""
        copy_vault(vault, tmp_path / "copy", today=TODAY)
    assert files(tmp_path / "copy") == 1
    assert acknowledged(server, desk, tmp_path / "o") == sorted((spam.id, kept.id))
    assert desk.take(bundle).counts == {"known": 2}
    assert [tip["id"] for tip in listed(desk)] == [kept.id.hex()]


@pytest.mark.parametrize(("tip", "reason", "error"), [("", "", "usage"), ("", " ", "usage"), ("", "x" * 1001, "limit")])
def test_without_a_reason_nothing_is_forgotten(
    run: Run, options: tuple[object, ...], desks: Desks, desk: Desk, *, tmp_path: Path, server: Exporter,
    tip: str, reason: str, error: str,
) -> None:  # fmt: skip
    sealed = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [sealed]))
    assert run("desk", "forget", *options, tip or sealed.id.hex(), "--reason", reason, "--json").error == error
    assert run("desk", "forget", *options, sealed.id.hex()[:7], "--reason", "spam", "--json").error == "short-id"
    assert len(listed(desk)) == 1


@pytest.mark.parametrize("more", [(), ("--reason", "-")])
def test_a_reason_need_not_stand_on_a_command_line(
    run: Run, options: tuple[str | Path, ...], desks: Desks, desk: Desk, *, tmp_path: Path, server: Exporter,
    more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A shell keeps what stands there."""
    one, two = seal_tip(desks.manifests), seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [one, two]))
    code, said = on_terminal(("desk", "forget", *options, one.id.hex(), "--yes", *more), "Спам\n".encode())
    assert code == 0, said
    monkeypatch.setattr("sys.stdin", io.StringIO("asked to\n"))
    done = run("desk", "forget", *options, two.id.hex(), *more, "--json")
    assert (done.code, done.err and done.error) == ((0, "") if more else (2, "usage"))
    with desk.open() as vault:
        reasons = [event.reason for event in check_chain(vault).events if event.act == "forget"]
    assert reasons == ["Спам", "asked to"][: 1 + len(more[:1])]


def parts(desks: Desks, message: bytes = b"one") -> list[Envelope]:
    source = AccessCode.generate().secrets()
    first = seal_tip(desks.manifests, message=message, secrets=source, files_follow=1)
    later = seal_tip(desks.manifests, message=b"", secrets=source, files=[("b", b"b")], continues=first.hash)
    return [first, later, seal_tip(desks.manifests, secrets=source)]


def test_the_whole_tip_goes_and_its_thread_with_the_last(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    from tipbox.desk.forget import forget

    first, later, other = parts(desks)
    desk.take(server.export(tmp_path / "1", desk.manifest, [first, later, other]))
    with desk.open(write=True) as vault:
        thread = tips.find_tip(vault, first.id.hex()).thread
        Draft(thread, b"half", (), TODAY).save(vault)
        forget(vault, tips.find_tip(vault, later.id.hex()), "asked to")
        assert (files(desk.vault), len(list(Draft.all(vault)))) == (1, 1)
        forget(vault, tips.find_tip(vault, other.id.hex()), "asked to")
        assert (files(desk.vault), list(Draft.all(vault)), Thread.find(vault, thread)) == (0, [], None)


def waits(desk: Desk, *, tip: bytes) -> Reply:
    with desk.open(write=True) as vault:
        return replies.queue_reply(vault, tips.find_tip(vault, tip.hex()), b"When?", [], today=TODAY)


def test_a_reply_without_room_goes_no_more(desks: Desks, desk: Desk, server: Exporter, tmp_path: Path) -> None:
    from tipbox.desk.forget import forget

    tip = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]))
    reply = waits(desk, tip=tip.id)
    acknowledged(server, desk, tmp_path / "o")
    full = server.report(desk.manifest, [1], {reply.item: "full"})
    desk.take(server.export(tmp_path / "2", desk.manifest, [], extra=[full]))
    with desk.open(write=True) as vault:
        forget(vault, tips.find_tip(vault, tip.id.hex()), "asked to")
        assert (outbox_load(vault).replies, list((desk.vault / REPLIES).iterdir())) == ((), [])
        assert [(one.state, one.address, one.thread) for one in Reply.all(vault)] == [("unsent", b"", b"")]


@pytest.mark.parametrize(("code", "state"), [("", "delivered"), ("full", "unsent")])
def test_what_an_outbox_took_keeps_its_address_until_it_is_decided(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path, *, code: str, state: str
) -> None:
    from tipbox.desk.forget import forget

    tip = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]))
    reply = waits(desk, tip=tip.id)
    acknowledged(server, desk, tmp_path / "o")
    with desk.open(write=True) as vault:
        forget(vault, tips.find_tip(vault, tip.id.hex()), "asked to")
        assert [one.address for one in outbox_load(vault).replies] == [reply.address]
    report = server.report(desk.manifest, [1], {reply.item: code} if code else {})
    desk.take(server.export(tmp_path / "2", desk.manifest, [], extra=[report]))
    with desk.open() as vault:
        assert [(one.state, one.address, one.thread) for one in Reply.all(vault)] == [(state, b"", b"")]
        assert (outbox_load(vault).replies, list((desk.vault / REPLIES).iterdir())) == ((), [])


def test_a_tip_that_is_sent_again_in_another_envelope_comes_as_a_new_one(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    from tipbox.desk.forget import forget

    source, message = AccessCode.generate().secrets(), b"m" * 16
    one, two = (seal_tip(desks.manifests, secrets=source, message_id=message) for _ in range(2))
    desk.take(server.export(tmp_path / "1", desk.manifest, [one]))
    with desk.open(write=True) as vault:
        forget(vault, tips.find_tip(vault, one.id.hex()), "by mistake")
    shutil.copytree(desk.vault, tmp_path / "forgotten")
    assert desk.take(server.export(tmp_path / "2", desk.manifest, [two])).counts == {"mine": 1}
    assert [tip["id"] for tip in listed(desk)] == [two.id.hex()]
