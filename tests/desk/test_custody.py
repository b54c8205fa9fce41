"""The chain of custody: an event for each act, in its transaction; changes are found; heads leave the desk."""

from __future__ import annotations

import ast
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

import tipbox.desk
from support.desk import PASSWORD, TODAY, Desk, Desks, Exporter, acknowledged, days_after, listed, seal_tip
from tipbox.desk import canaries, conversations, people, pinned_server, replies, tips, unsent
from tipbox.desk.custody.chain import ACTS, check_chain, event_hash, note
from tipbox.desk.forget import forget
from tipbox.desk.inbox import marks
from tipbox.desk.joined import joined_tip, joined_tips, set_state
from tipbox.desk.keys import ceremony, identity_file, stick_lock
from tipbox.desk.keys.destroy import KEPT_DAYS, destroy
from tipbox.desk.render import take_out
from tipbox.desk.second_copy import copy_vault
from tipbox.desk.vault.records import CustodyChain, CustodyEvent, Draft, Organisation, Traffic
from tipbox.desk.vault.vault import STORE_FILE, Vault
from tipbox.formats.base import canonical, labels
from tipbox.formats.base.primitives import sign
from tipbox.formats.bundles.bundle import Head
from tipbox.formats.bundles.stamps import stamp_head

pytestmark = pytest.mark.reads_date

DESK = Path(tipbox.desk.__file__).parent
INSIDE = {"transaction", "_committing", "_noting", "_forget_changes", "_take_keys"}
"""The vault's own transactions, the importer's, whose items note themselves, the index's, which are no acts, and a
copy's, whose store the vault's then replaces."""


def events(desk: Desk) -> list[CustodyEvent]:
    with desk.open() as vault:
        found = check_chain(vault)
    assert found.problem == ""
    return list(found.events)


def within_transaction(block: ast.AST) -> bool:
    calls = [item.context_expr for item in block.items] if isinstance(block, ast.With) else []
    return any(
        isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "transaction"
        for call in calls
    )


def blocks(tree: ast.AST) -> list[tuple[str, ast.AST]]:
    """Each block within a transaction, with the name of its function."""
    return [
        (function.name, block)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name not in INSIDE
        for block in ast.walk(function)
        if within_transaction(block)
    ]


def acts_noted(block: ast.AST) -> list[str]:
    return [
        str(call.args[1].value)
        for call in ast.walk(block)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "note"
        and isinstance(call.args[1], ast.Constant)
    ]


def test_each_transaction_of_the_desk_notes_an_act() -> None:
    noted: set[str] = set()
    silent, count = [], 0
    for path in sorted(DESK.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        noted |= set(acts_noted(tree))
        for function, block in blocks(tree):
            count += 1
            # The importer's ``run`` notes what it confirms, when there is something, in a function of its own.
            if not acts_noted(block) and (path.name, function) != ("importer.py", "run"):
                silent.append(f"{path.name}: {function}")
    assert silent == [], "an act without its event: call note() in its transaction"
    assert count > 12
    assert noted == ACTS


def test_a_silent_transaction_would_be_found() -> None:
    (found,) = blocks(ast.parse("def close(vault):\n    with vault.transaction():\n        vault.delete(1, 2)\n"))
    assert (found[0], acts_noted(found[1])) == ("close", [])


def test_every_act_writes_its_event(desks: Desks, desk: Desk, server: Exporter, tmp_path: Path) -> None:
    before = [event.act for event in events(desk)]
    assert before == ["init", "publish"]
    one, two = seal_tip(desks.manifests, files=[("a.txt", b"a")]), seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [one, two]))
    with desk.open(write=True) as vault:
        organisation = ceremony.organisation_of(vault)
        found = tips.find_tip(vault, one.id.hex())
        tips.mark_opened(vault, joined_tip(vault, found))
        take_out.note_look(vault, joined_tip(vault, found), 1, "facts")
        take_out.take_out(vault, joined_tip(vault, found), 1, tmp_path / "out", "asked for by a court")
        conversations.mark_read(vault, joined_tips(vault, found.thread))
        conversations.close(vault, found.thread)
        marks.add_note(vault, [found.thread], "a word", today=TODAY)
        marks.tag(vault, [found.thread], ["t"])
        marks.assign(vault, [found.thread], "somebody")
        marks.spam(vault, [found.thread], is_spam=True)
        marks.unread(vault, [found.thread])
        marks.translate(vault, found.id, "in other words", today=TODAY)
        made = replies.queue_reply(vault, found, b"one", [], today=TODAY)
        unsent.take_back(vault, made.id.hex())
        draft = Draft(found.thread, b"half", (), TODAY)
        draft.save(vault)
        unsent.take_back(vault, draft.key.hex())
        canaries.new_list(vault, organisation, 3)
        copy_vault(vault, tmp_path / "copy", today=TODAY)
        forget(vault, tips.find_tip(vault, two.id.hex()), "spam")
    acknowledged(server, desk, tmp_path / "o")
    with desk.open(write=True) as vault:
        key = identity_file.load(identity_file.identity_path(desk.vault), PASSWORD)
        stick = ceremony.find_stick(vault, organisation)
        ceremony.rotate(vault, key, stick, PASSWORD, tmp_path / "k.json", today=TODAY)
        later = days_after(14 + KEPT_DAYS)
        ceremony.publish(vault, key, tmp_path / "k.json", today=later, sure=later)
        Traffic(((1, later), (2, later)), 1, 0, Traffic.of(vault).head).save(vault)
        destroy(vault, stick, PASSWORD, today=later)
        pinned_server.forget(vault)
        people.add(vault, "Timur", b"six other words by other dice", "reader", own=PASSWORD, today=TODAY)
        people.remove(vault, "Timur", "left us", today=TODAY)
    with desk.open(write=True) as vault:  # the key stick is locked anew by whoever uses it next
        stick_lock.stick_passphrase(vault, stick, PASSWORD)
    assert [event.act for event in events(desk)] == [
        *before, "import", "import", "import", "confirm", "open", "look", "take-out", "read", "close", "note", "tag",
        "assign", "spam", "unread", "translate", "draft", "answer", "unsend", "drop",
        "canaries", "copy", "forget", "outbox", "rotate", "publish", "destroy", "unpin",
        "relock", "relock", "person", "person", "reseal", "relock",
    ]  # fmt: skip
    assert {event.act for event in events(desk)} == ACTS - {"upgrade"}  # of kept vaults only: test_vault_versions.py


@pytest.mark.parametrize("after", ["event", "custody", "traffic"])
def test_an_act_while_the_chain_is_read_is_no_change(
    desk: Desk, server: Exporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """Another command begins to write after each kind of record that was read: it waits, or is not seen."""
    desk.take(server.export(tmp_path / "1", desk.manifest, []))
    acknowledged(server, desk, tmp_path / "o1")
    with desk.open() as vault, ExitStack() as others:

        def write() -> None:
            other = others.enter_context(sqlite3.connect(desk.vault / STORE_FILE, timeout=0, isolation_level=None))
            with suppress(sqlite3.OperationalError):  # it would wait until the chain was read
                other.execute("DELETE FROM record WHERE kind IN ('event', 'custody', 'traffic')")

        def read(kind: str, *rest: bytes) -> Any:
            yield from found(kind, *rest)
            if kind == after:
                write()

        def get(kind: str, ident: bytes) -> Any:
            record = one(kind, ident)
            if kind == after:
                write()
            return record

        found, one = vault.all, vault.get
        monkeypatch.setattr(vault, "all", read)
        monkeypatch.setattr(vault, "get", get)
        seen = check_chain(vault)
    assert (seen.problem, [event.act for event in seen.events][-1]) == ("", "outbox")


def test_an_act_that_fails_leaves_no_event(desks: Desks, desk: Desk, server: Exporter, tmp_path: Path) -> None:
    tip = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]))
    before = events(desk)
    with desk.open(write=True) as vault, suppress(KeyboardInterrupt), vault.transaction():
        set_state(vault, joined_tips(vault), "closed", only=("new",))
        note(vault, "close", tip.id)
        raise KeyboardInterrupt
    assert events(desk) == before
    assert [one["state"] for one in listed(desk)] == ["new"]


# --- changes ----------------------------------------------------------------------------------------------------------


def event(vault: Vault, seq: int) -> CustodyEvent:
    found = CustodyEvent.find(vault, seq.to_bytes(8))
    assert found is not None
    return found


def change(vault: Vault, seq: int, **members: object) -> None:
    vault.put(CustodyEvent.kind, seq.to_bytes(8), event(vault, seq).to_json() | members)


def rewrite(vault: Vault) -> None:
    """The whole chain anew, with another reason in it, by whoever has the vault, and has signed each event of it."""
    count, head = 0, b""
    assert vault.me
    for seq in range(1, (CustodyChain.find(vault) or CustodyChain(0, b"")).count + 1):
        change(vault, seq, prev=head.hex(), reason="another")
        signature = sign(labels.EVENT, canonical.encode(event(vault, seq).unsigned()), vault.me.signing_key)
        change(vault, seq, signature=signature.hex())
        count, head = seq, event_hash(event(vault, seq))
    CustodyChain(count, head).save(vault)


def shorten(vault: Vault) -> None:
    chain = CustodyChain.find(vault)
    assert chain is not None
    CustodyChain(chain.count - 1, event(vault, chain.count).prev).save(vault)
    vault.delete(CustodyEvent.kind, chain.count.to_bytes(8))


CHANGES: dict[str, Callable[[Vault], object]] = {
    "who": lambda vault: change(vault, 2, who="somebody"),
    "reason": lambda vault: change(vault, 1, reason="another"),
    "day": lambda vault: change(vault, 3, day="2020-01-01"),
    "act": lambda vault: change(vault, 4, act="read"),
    "last": lambda vault: change(vault, (CustodyChain.find(vault) or CustodyChain(0, b"")).count, who="somebody"),
    "removed": lambda vault: vault.delete(CustodyEvent.kind, (2).to_bytes(8)),
    "first removed": lambda vault: vault.delete(CustodyEvent.kind, (1).to_bytes(8)),
    "rewritten": rewrite,
    "shortened": shorten,
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
def test_a_change_is_found(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path, changed: Callable[[Vault], object]
) -> None:
    desk.take(server.export(tmp_path / "1", desk.manifest, [seal_tip(desks.manifests)]))
    acknowledged(server, desk, tmp_path / "o")
    with desk.open(write=True) as vault:
        assert check_chain(vault).problem == ""
        changed(vault)
        assert check_chain(vault).problem


def test_what_the_server_brought_back_finds_a_chain_that_was_rewritten_with_all_that_lies_beside_it(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    desk.take(server.export(tmp_path / "1", desk.manifest, [seal_tip(desks.manifests)]))
    acknowledged(server, desk, tmp_path / "o")
    with desk.open() as vault:
        organisation, head = Organisation.find(vault), Traffic.of(vault).head
    assert organisation is not None
    stamp = stamp_head(organisation.id, head, TODAY, server.signing_key)
    desk.take(server.export(tmp_path / "2", desk.manifest, [], heads=[Head(organisation.id, head, TODAY, stamp)]))
    with desk.open(write=True) as vault:
        assert check_chain(vault).problem == ""
        rewrite(vault)
        sent = [one for one in CustodyEvent.all(vault) if one.act == "outbox"]
        traffic = Traffic.of(vault)
        Traffic(traffic.seen, traffic.sent, traffic.base, event_hash(sent[-1])).save(vault)
        assert "brought back a head" in check_chain(vault).problem


def test_heads_of_days_with_and_without_acts_look_alike(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    desk.take(server.export(tmp_path / "1", desk.manifest, [seal_tip(desks.manifests)]))
    heads = set()
    for number in range(4):
        acknowledged(server, desk, tmp_path / f"o{number}")
        with desk.open() as vault:
            heads.add(Traffic.of(vault).head)
    assert {len(head) for head in heads} == {32}
    assert len(heads) == 4
