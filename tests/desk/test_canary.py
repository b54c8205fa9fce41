"""Canaries: the operator's tips through the whole line, ticked off by the one desk that can tell them from others."""

from __future__ import annotations

import re
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.commands import commands_in_process
from support.commands import in_process as tipbox
from support.desk import Desks, Exporter, listed, seal_tip
from support.loopback import free_port
from support.world import Desk, Ring, World, running_world
from tipbox.desk import canaries
from tipbox.desk.keys import ceremony
from tipbox.errors import FORMAT_ERRORS, LimitExceeded, Malformed, NetworkFailed, UnsupportedVersion
from tipbox.files.key_folder import load_folder
from tipbox.formats.base import canonical, days
from tipbox.formats.base.limits import ID_SIZE, MAX_CANARIES, MAX_CANARY_LIST
from tipbox.formats.canary_list import CanaryList, message_of, token_of
from tipbox.net.http import Connection
from tipbox.source.send_canary import send_canary

TOKENS = st.lists(st.binary(min_size=ID_SIZE, max_size=ID_SIZE), unique=True, max_size=20)


# --- the formats ----------------------------------------------------------------------------------------------------


@given(st.binary(min_size=ID_SIZE, max_size=ID_SIZE), TOKENS)
def test_a_list_and_a_message_read_back(organisation: bytes, tokens: list[bytes]) -> None:
    known = CanaryList(organisation, tuple(tokens))
    assert CanaryList.parse(known.encode()) == known
    assert [token_of(message_of(token)) for token in tokens] == tokens


@given(st.binary(max_size=200))
def test_no_other_bytes_are_a_list(data: bytes) -> None:
    with pytest.raises(FORMAT_ERRORS):
        CanaryList.parse(data)


GOOD: dict[str, canonical.Json] = {
    "kind": "canaries",
    "organisation": "00" * 16,
    "tokens": ["11" * 16, "22" * 16],
    "version": 1,
}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"version": 2}, UnsupportedVersion),
        ({"version": 0}, UnsupportedVersion),
        ({"version": True}, Malformed),
        ({"version": "1"}, Malformed),
        ({"kind": "backup-public"}, Malformed),
        ({"organisation": "00" * 15}, Malformed),
        ({"tokens": ["11" * 16, "11" * 16]}, Malformed),
        ({"tokens": ["AA" * 16]}, Malformed),
        ({"tokens": [f"{number:032x}" for number in range(MAX_CANARIES + 1)]}, LimitExceeded),
        ({"more": 1}, Malformed),
    ],
)
def test_what_a_list_refuses(change: dict[str, canonical.Json], error: type[Exception]) -> None:
    good = {**GOOD}
    assert CanaryList.parse(canonical.encode(good, file_form=True)).tokens == (b"\x11" * 16, b"\x22" * 16)
    with pytest.raises(error):
        CanaryList.parse(canonical.encode({**good, **change}, file_form=True))


def test_the_longest_list_is_within_the_bound_of_its_file() -> None:
    longest = CanaryList(bytes(ID_SIZE), tuple(number.to_bytes(ID_SIZE) for number in range(MAX_CANARIES)))
    assert len(longest.encode()) <= MAX_CANARY_LIST
    with pytest.raises(LimitExceeded):
        CanaryList.parse(longest.encode().ljust(MAX_CANARY_LIST + 1))


@pytest.mark.parametrize("more", [b"\n", b" ", b" - and they shot at us", b"."])
def test_a_message_with_one_more_word_is_no_canary(more: bytes) -> None:
    message = message_of(bytes(ID_SIZE))
    assert token_of(message) is not None
    assert token_of(message + more) is None
    assert token_of(more + message) is None


# --- the desk -------------------------------------------------------------------------------------------------------


def tokens_of(desks: Desks, count: int) -> tuple[bytes, ...]:
    """A new list of the first desk."""
    desk = desks.desks[0]
    with desk.open(write=True) as vault:
        return canaries.new_list(vault, ceremony.organisation_of(vault), count).tokens


def test_canaries_are_ticked_once_and_stay_listed(desks: Desks, tmp_path: Path) -> None:
    desk, server = desks.desks[0], Exporter()
    tokens = tokens_of(desks, 4)
    source = seal_tip(desks.manifests)
    first, third = (seal_tip(desks.manifests, message=message_of(tokens[number])) for number in (0, 2))
    found = desk.take(server.export(tmp_path / "1.bundle", desk.manifest, [source, third, first]))
    assert sorted(found.canaries) == [1, 3]
    assert found.problems == []
    by_id = {tip["id"]: tip for tip in listed(desk)}
    assert {tip["id"]: tip.get("canary") for tip in by_id.values()} == {
        source.id.hex(): None,
        first.id.hex(): 1,
        third.id.hex(): 3,
    }
    assert [by_id[one.id.hex()]["state"] for one in (source, first, third)] == ["new", "closed", "closed"]

    again = seal_tip(desks.manifests, message=message_of(tokens[0]))
    found = desk.take(server.export(tmp_path / "2.bundle", desk.manifest, [first, again]))
    assert found.canaries == []
    assert any("canary 1 came a second time" in notice for notice in found.notices)
    newest = next(tip for tip in listed(desk) if tip["id"] == again.id.hex())
    assert (newest["state"], "canary" in newest) == ("new", False)

    with desk.open() as vault:
        state = canaries.state(vault)
    assert [one["number"] for one in state["came"]] == [1, 3]
    assert (state["missing"], state["to_come"]) == ([2], 1)
    assert state["last"] == by_id[third.id.hex()]["received"]


def test_what_is_not_all_canary_is_a_tip_for_people(desks: Desks, tmp_path: Path) -> None:
    desk, server = desks.desks[0], Exporter()
    token = tokens_of(desks, 1)[0]
    others = [
        seal_tip(desks.manifests, message=message_of(token) + b"\nthey come for us"),
        seal_tip(desks.manifests, message=message_of(token), files=[("a.jpg", b"photo")]),
        seal_tip(desks.manifests, message=message_of(bytes(ID_SIZE))),
    ]
    found = desk.take(server.export(tmp_path / "1.bundle", desk.manifest, others))
    assert found.canaries == []
    assert [(tip["state"], "canary" in tip) for tip in listed(desk)] == [("new", False)] * 3
    with desk.open() as vault:
        assert canaries.state(vault)["to_come"] == 1


def test_what_is_left_of_a_list_is_not_missing_when_another_takes_its_place(desks: Desks, tmp_path: Path) -> None:
    desk, server = desks.desks[0], Exporter()
    old, new = tokens_of(desks, 9), tokens_of(desks, 4)
    with desk.open() as vault:
        assert canaries.state(vault)["to_come"] == 13
    for number, token in enumerate((old[2], new[0], new[2])):
        letter = seal_tip(desks.manifests, message=message_of(token))
        found = desk.take(server.export(tmp_path / f"{number}.bundle", desk.manifest, [letter]))
        assert found.problems == []
    with desk.open() as vault:
        state = canaries.state(vault)
    assert [one["number"] for one in state["came"]] == [3, 10, 12]
    assert (state["missing"], state["to_come"]) == ([1, 2, 11], 1)


# --- the whole way --------------------------------------------------------------------------------------------------


@pytest.fixture
def tcp_world(ring: Ring) -> Iterator[World]:
    """A server on a port: `tipbox server canary` goes there as it goes to an onion."""
    with commands_in_process(), running_world(ring, tcp=True) as made:
        yield made


def rows(world: World) -> list[tuple[object, ...]]:
    """What the database holds of each Envelope: sizes instead of bytes."""
    with closing(sqlite3.connect(world.server.home / "tipbox.db")) as database:
        database.row_factory = sqlite3.Row
        found = database.execute("SELECT * FROM envelope").fetchall()
    return [tuple(len(value) if isinstance(value, bytes) else value for value in row) for row in found]


def test_from_the_desk_s_list_to_the_desk_s_tick(tcp_world: World, tmp_path: Path) -> None:
    world, url = tcp_world, f"http://{tcp_world.server.bind}"
    desk = world.desks["kibhr"]
    lists = tmp_path / "lists"
    lists.mkdir()
    path = lists / "kibhr.canaries"
    made = desk.run("canary", "new", "--out", path, "--count", "2", "--json").json
    assert made == {"count": 2, "out": str(path)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secrets = re.findall(r'"([0-9a-f]{32})"', path.read_text())

    message = tmp_path / "message"
    message.write_text("a source's own words, about as many as that")
    send = ("server", "canary", url, "--keys", world.keys, "--lists", lists, "--json")
    tipbox("source", "send", url, "--keys", world.keys, "--message-file", message)
    assert tipbox(*send).json == [{"left": 1, "organisation": "kibhr"}]
    of_tip, of_canary = rows(world)
    assert of_tip == of_canary, "on the disk a canary is a tip like any other"
    assert [one for one in secrets[1:3] if one in path.read_text()] == secrets[2:3]

    taken = desk.run("import", "--copies", "1", *world.server.export("kibhr", tmp_path / "stick"), "--json").json
    assert taken["canaries"] == [1]
    assert sorted(tip.get("canary", 0) for tip in desk.tips()) == [0, 1]
    assert desk.run("canary", "list", "--json").json["to_come"] == 1
    shown = desk.run("canary", "list").out
    assert "canary 1  came" in shown
    assert "1 to come" in shown
    for other in ("fidh", "ili"):
        taken = world.desks[other].run(
            "import", "--copies", "1", *world.server.export(other, tmp_path / "stick"), "--json"
        )
        assert len(world.desks[other].tips()) == 1, "the source's tip, and nothing of a canary"

    assert tipbox(*send).json == [{"left": 0, "organisation": "kibhr"}]
    used_up = tipbox(*send, expect=5)
    assert "desk canary new" in used_up.err
    logs = world.server.log.read_text()
    assert not any(secret in text for secret in secrets[1:] for text in (logs, taken.out, used_up.err))


def test_a_line_that_is_down_uses_up_no_canary(ring: Ring, tmp_path: Path) -> None:
    path = tmp_path / "ili.canaries"
    ring.copy(tmp_path / "ring").desks["ili"].run("canary", "new", "--out", path, "--count", "1")
    before = path.read_bytes()
    down = Connection(f"http://127.0.0.1:{free_port()}", first_contact=0.1)
    with down, pytest.raises(NetworkFailed):
        send_canary(down, load_folder(ring.keys), path, days.today(), remark=print)
    assert path.read_bytes() == before


def test_a_canary_finds_a_server_that_serves_other_keys(tcp_world: World, tmp_path: Path) -> None:
    """The operator's own copy of the manifests is what the served ones are held against; nothing is spent."""
    lists, keys = tmp_path / "lists", tmp_path / "keys"
    lists.mkdir()
    path = lists / "kibhr.canaries"
    tcp_world.desks["kibhr"].run("canary", "new", "--out", path, "--count", "1")
    before = path.read_bytes()
    shutil.copytree(tcp_world.keys, keys)
    (keys / "ili.json").unlink()
    stranger = Desk("ili", tmp_path / "stranger")
    stranger.make()
    stranger.publish(keys)
    arguments = ("--keys", keys, "--lists", lists, "--json")
    refused = tipbox("server", "canary", f"http://{tcp_world.server.bind}", *arguments, expect=4)
    assert '"error": "identity-changed"' in refused.err
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["list.txt", "list"])
def test_a_list_has_its_ending_and_replaces_nothing(ring: Ring, tmp_path: Path, name: str) -> None:
    desk = ring.copy(tmp_path / "ring").desks["ili"]
    desk.run("canary", "new", "--out", tmp_path / name, expect=2)
    good = tmp_path / "ili.canaries"
    desk.run("canary", "new", "--out", good, "--count", "1")
    before = good.read_bytes()
    desk.run("canary", "new", "--out", good, expect=2)
    assert good.read_bytes() == before
    assert desk.run("canary", "list", "--json").json["to_come"] == 1


def test_no_list_and_a_list_that_is_none(ring: Ring, tmp_path: Path) -> None:
    arguments = ("server", "canary", "http://127.0.0.1:9", "--keys", ring.keys, "--lists", tmp_path, "--json")
    assert "desk canary new" in tipbox(*arguments, expect=5).err
    (tmp_path / "a.canaries").write_bytes(b"{}")
    assert '"error": "malformed"' in tipbox(*arguments, expect=3).err
