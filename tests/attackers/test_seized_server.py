"""Whoever takes the server's disk, with its keys: which tips are one source's, what the keys open, and what counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attackers.people import TipLine, tipbox
from attackers.toolkit import Captured, Seized, begin_upload, shared_bytes, words_opened
from tipbox.formats.base.limits import ID_SIZE


def test_two_tips_of_one_source_have_nothing_in_common(line: TipLine) -> None:
    """No more than two of different sources have: the outer form, and whom and to which keys the slots are for."""
    source = line.source()
    sent = [one.send("About the same thing.", to=("fidh",)).id for one in (source, source, line.source())]
    tips = Seized.copy(line.server, line.scratch("seized")).tips()
    first, second, stranger = (tips[one] for one in sent)

    # Beside what stands in both, a byte or two may be the same by chance.
    common = shared_bytes(first, stranger, ID_SIZE - 2)
    assert all(run[2:] in common or run[:-2] in common for run in shared_bytes(first, second))
    assert Captured(line.desks["ili"]).id in shared_bytes(first, second), "the control: what is common is found"


def test_the_server_s_keys_open_no_tip_and_no_reply(line: TipLine) -> None:
    source = line.source()
    sent = source.send("Not for servers.", to=("fidh",))
    line.carry("fidh")
    line.desks["fidh"].reply(sent.id, "Nor is this.")
    line.answer("fidh")
    seized = Seized.copy(line.server, line.scratch("seized"))
    keys = {seized.keys.seed, seized.keys.signing.encode()}

    assert sent.id in seized.openings()
    assert len(seized.replies()) > 0
    assert words_opened([*seized.openings().values(), *seized.replies()], keys) == set()


def test_uploads_mailboxes_and_counts_are_printed_as_they_are(line: TipLine, tmp_path: Path) -> None:
    """One unfinished upload, two tips and two replies more than before, and of which organisations the replies are."""

    def printed() -> dict[str, Any]:
        facts = tipbox("server", "seized", "--home", line.server.home, "--json").json
        days = {name: sum(facts[name].values()) for name in ("uploads", "finished", "replies", "counted")}
        return {**days, **{name: facts[name] for name in ("mailboxes", "uploads_announced")}}

    before, source = printed(), line.source()
    sent = [source.send("To both.", to=("fidh", "ili")).id for _ in range(2)]
    for name in ("fidh", "ili"):
        line.carry(name)
        line.desks[name].reply(sent[0], f"From {name}.")
        line.answer(name)
    (tmp_path / "message").write_text("With a photo.", encoding="utf-8")
    (tmp_path / "photo.jpg").write_bytes(bytes(200_000))
    with_files = ("--message-file", tmp_path / "message", tmp_path / "photo.jpg", "--out", tmp_path / "x.tip")
    tipbox("seal", "--keys", line.keys, *with_files)
    header = begin_upload(line.server, (tmp_path / "x.tip").read_bytes())
    after = printed()
    seized = Seized.copy(line.server, line.scratch("seized"))
    own = {name: source.code.secrets().mailbox_address(Captured(line.desks[name]).id) for name in ("fidh", "ili")}

    assert {name: after[name] - before[name] for name in before} == {
        **dict.fromkeys(("finished", "mailboxes", "replies"), 2),
        "counted": 3,
        "uploads": 1,
        "uploads_announced": header.body_size,
    }
    for name, address in own.items():
        assert address in seized.mailboxes_of(Captured(line.desks[name]).id)
