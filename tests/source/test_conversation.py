"""The conversation by commands alone: tip, reply with files, follow-up, deletion, with a real server and real desks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.world import Ring, World, running_world, tipbox
from tipbox.formats.access_code import AccessCode


@pytest.fixture
def world(ring: Ring) -> Iterator[World]:
    with running_world(ring, tcp=True) as made:
        yield made


class Source:
    """Somebody with a terminal."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.folder = world.scratch("source")
        self.secret = self.folder / "passphrase"

    def keep(self, text: str) -> None:
        self.secret.write_text(text + "\n", encoding="utf-8")
        self.secret.chmod(0o600)

    def _run(self, command: str, *more: str | Path, expect: int = 0) -> Any:
        url = f"http://{self.world.server.bind}"
        return tipbox("source", command, url, "--keys", self.world.keys, *more, "--json", expect=expect).json

    def send(self, text: str, *more: str | Path) -> Any:
        message = self.folder / "message"
        message.write_text(text, encoding="utf-8")
        return self._run("send", "--message-file", message, *more)

    def follow_up(self, text: str, *more: str | Path) -> Any:
        return self.send(text, "--passphrase-file", self.secret, *more)

    def inbox(self, *more: str | Path, expect: int = 0) -> list[dict[str, Any]]:
        return list(self._run("inbox", "--passphrase-file", self.secret, *more, expect=expect)["replies"])


def test_a_conversation_from_the_terminal(world: World, tmp_path: Path) -> None:
    """Read with words, then digits; a follow-up joins its thread, and begins one where the first tip did not go."""
    source, kibhr, fidh = Source(world), world.desks["kibhr"], world.desks["fidh"]
    tip = source.send("Стреляли вчера вечером.", "--to", "kibhr")
    access_code = AccessCode.parse(tip["passphrase"])
    source.keep(" ".join(access_code.words("ru")))
    assert source.inbox() == []

    world.carry("kibhr")
    photo = tmp_path / "plan.jpg"
    photo.write_bytes(os.urandom(600_000))
    kibhr.reply(tip["tip"], "Who else saw it?")
    kibhr.reply(tip["tip"], "Is it this place?", photo)
    world.answer("kibhr")
    replies = source.inbox("--out", tmp_path / "replies")
    assert {(one["organisation"], one["text"]) for one in replies} == {
        ("kibhr", "Who else saw it?"),
        ("kibhr", "Is it this place?"),
    }
    (saved,) = (tmp_path / "replies").glob("*/files/*")
    assert (saved.name, saved.read_bytes()) == ("001-plan.jpg", photo.read_bytes())

    source.keep(access_code.digits())
    assert source.inbox() == replies
    more = source.follow_up("Two neighbours.", "--to", "kibhr", "--to", "fidh")
    assert more["passphrase"] == tip["passphrase"]
    world.carry("kibhr")
    world.carry("fidh")
    assert [one["thread"] for one in kibhr.tips()] == [kibhr.tips()[0]["thread"]] * 2
    (first_of_fidh,) = fidh.tips()
    assert first_of_fidh["id"] == more["tip"]
    assert first_of_fidh["thread"] != kibhr.tips()[0]["thread"]

    fidh.reply(more["tip"], "Bonjour.")
    world.answer("fidh")
    assert sorted(one["organisation"] for one in source.inbox()) == ["fidh", "kibhr", "kibhr"]
    assert len(source.inbox("--delete", "--out", tmp_path / "replies")) == 3
    assert source.inbox() == []
    assert len(list((tmp_path / "replies").iterdir())) == 3


def test_the_passphrase_of_another_server_is_an_empty_mailbox(world: World) -> None:
    source = Source(world)
    source.keep(AccessCode.generate().digits())

    assert source.inbox("--delete") == []


def test_whoever_has_no_manifests_must_say_so(world: World, tmp_path: Path) -> None:
    """With --trust-server-keys those that the server serves are taken; with neither, nothing is asked."""
    url, message = f"http://{world.server.bind}", tmp_path / "message"
    message.write_text("Who are you?", encoding="utf-8")
    common = (url, "--message-file", message, "--json")
    refused = tipbox("source", "send", *common, expect=2)
    assert "--trust-server-keys" in refused.err
    assert tipbox("source", "send", *common, "--keys", world.keys, "--trust-server-keys", expect=2).out == ""

    sent = tipbox("source", "send", *common, "--trust-server-keys", "--to", "ili")
    assert "whoever controls it can put in their own" in sent.err
    (tip,) = world.arrived("ili")
    assert tip.facts["id"] == sent.json["tip"]
    world.desks["ili"].reply(sent.json["tip"], "We are.")
    world.answer("ili")
    source = Source(world)
    source.keep(sent.json["passphrase"])
    read = tipbox("source", "inbox", url, "--trust-server-keys", "--passphrase-file", source.secret, "--json")
    assert [(one["organisation"], one["text"]) for one in read.json["replies"]] == [("ili", "We are.")]
    assert tipbox("source", "inbox", url, "--passphrase-file", source.secret, expect=2).out == ""
