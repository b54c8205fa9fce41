"""People: each a passphrase of their own, each act under the person who did it, and what a removal leaves open."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.commands import Run
from support.desk import PASSWORD, TODAY, Desk, Desks, Exporter, acknowledged, listed, opened, seal_tip
from tipbox.desk import people
from tipbox.desk.custody.chain import check_chain, event_hash, note
from tipbox.desk.desk_errors import KeyStickMissing, OtherCopy, Resealed, VaultDamaged
from tipbox.desk.inbox import listing, marks
from tipbox.desk.keys import ceremony, key_stick
from tipbox.desk.second_copy import copy_vault
from tipbox.desk.vault import unlocking
from tipbox.desk.vault.records import CustodyChain, CustodyEvent, Person, Tip
from tipbox.desk.vault.sealed_file import open_sealed
from tipbox.desk.vault.unlocking import MAX_PEOPLE, Keys, Me
from tipbox.desk.vault.vault import INDEX_FILE, REPLIES, STORE_FILE, TIPS, Vault
from tipbox.desk.whole import check
from tipbox.errors import AlreadyThere, LimitExceeded, NotFound, Tampered, Usage, WrongPassphrase
from tipbox.formats.base import canonical, days, labels
from tipbox.formats.base.primitives import sign

ANNA, TIMUR, DANA = PASSWORD, b"six other words by other dice", b"and six more that nobody knows"


def as_(who: bytes, vault: Path, *, write: bool = True) -> Vault:
    return Vault.open(vault, who, write=write)


def add(desk: Desk, name: str, passphrase: bytes, by: bytes = ANNA) -> Person:
    with as_(by, desk.vault) as vault:
        return people.add(vault, name, passphrase, "caseworker", own=by, today=TODAY)


def remove(desk: Desk, name: str, by: bytes = ANNA) -> None:
    with as_(by, desk.vault) as vault:
        people.remove(vault, name, "left us", today=TODAY)


@pytest.fixture
def shared(desk: Desk) -> Desk:
    """A desk of three people: Anna made it, Timur and Dana came later."""
    with as_(ANNA, desk.vault) as vault:
        people.rename(vault, people.everybody(vault)[0].name, "Anna")
    add(desk, "Timur", TIMUR)
    add(desk, "Dana", DANA, by=TIMUR)
    return desk


def state(vault: Vault) -> Any:
    """All that staff see, and that it is whole."""
    found = check(vault)
    assert (found.damaged, found.replies, check_chain(vault).problem) == ((), (), "")
    return listing.list_tips(vault, ceremony.organisation_of(vault)), found.tips


def keys_of(vault: Path, who: bytes) -> Keys:
    with as_(who, vault, write=False) as found:
        return found.keys


def opens_anything(vault: Path, keys: Keys) -> list[str]:
    """What of a vault's folder opens with keys of before, tried on every file and every record."""
    found = []
    for path in (*(path for name in (TIPS, REPLIES) for path in (vault / name).iterdir()), vault / INDEX_FILE):
        if path.exists():
            with path.open("rb") as file:
                try:
                    open_sealed(file, keys.files).read(1)
                except Tampered:
                    continue
            found.append(path.name)
    with closing(sqlite3.connect(vault / STORE_FILE)) as store:
        reader = Vault(vault, keys, store)
        for kind, name, value in store.execute("SELECT kind, name, value FROM record").fetchall():
            try:
                reader._plain(kind, name, value)
            except (VaultDamaged, Resealed):
                continue
            found.append(kind)
    return found


# --- one removed ------------------------------------------------------------------------------------------------------


def test_who_is_removed_opens_nothing_new_in_the_vault_its_copy_or_an_older_copy(
    desks: Desks, shared: Desk, server: Exporter, tmp_path: Path
) -> None:
    old = seal_tip(desks.manifests, message=b"before", files=[("a.txt", b"zelkova" * 9000)])
    shared.take(server.export(tmp_path / "1", shared.manifest, [old]))
    with as_(ANNA, shared.vault) as vault:
        copy_vault(vault, tmp_path / "copy", today=TODAY)
    shutil.copytree(shared.vault, tmp_path / "taken")
    kept = keys_of(tmp_path / "taken", TIMUR)
    assert set(opens_anything(shared.vault, kept)) > {"tip", "event"}, "the search finds what does open"

    with as_(ANNA, shared.vault) as vault:
        before = state(vault)
        people.remove(vault, "timur", "left us", today=TODAY)
        assert state(vault) == before
        copy_vault(vault, tmp_path / "copy", today=TODAY)
    new = seal_tip(desks.manifests, message=b"after")
    shared.take(server.export(tmp_path / "2", shared.manifest, [new]))
    with as_(ANNA, shared.vault) as vault:
        copy_vault(vault, tmp_path / "copy", today=TODAY)

    for folder in (shared.vault, tmp_path / "copy"):
        with pytest.raises(WrongPassphrase):
            as_(TIMUR, folder)
        assert opens_anything(folder, kept) == []
        for who in (ANNA, DANA):
            with as_(who, folder) as vault:
                assert {tip.id for tip in Tip.all(vault)} == {old.id, new.id}
                assert state(vault)[1] == 2
    # What was taken before opens as it did, and nothing in it is new.
    with as_(TIMUR, tmp_path / "taken") as vault:
        assert {tip.id for tip in Tip.all(vault)} == {old.id}
    # Nor does what was taken open the vault of now, put together with its files.
    for part in (STORE_FILE, TIPS):
        mixed = tmp_path / f"mixed-{part}"
        shutil.copytree(shared.vault, mixed)
        (shutil.rmtree if part == TIPS else Path.unlink)(mixed / part)
        taken = tmp_path / "taken" / part
        (shutil.copytree if part == TIPS else shutil.copy)(taken, mixed / part)
        if part == TIPS:
            with pytest.raises(WrongPassphrase):
                as_(TIMUR, mixed)
        else:
            with as_(TIMUR, mixed) as vault:
                assert {tip.id for tip in Tip.all(vault)} == {old.id}
                assert check(vault).damaged == (old.id,)


def test_names_of_records_and_files_tell_a_former_member_nothing(shared: Desk, tmp_path: Path, desks: Desks) -> None:
    """Who keeps an Envelope's id and the keys of then cannot see whether a vault of now has it."""
    tip = seal_tip(desks.manifests)
    shared.take(Exporter().export(tmp_path / "1", shared.manifest, [tip]))
    former = keys_of(shared.vault, TIMUR)
    remove(shared, "Timur")
    names = {bytes.fromhex(path.stem) for path in (shared.vault / TIPS).iterdir()}
    with closing(sqlite3.connect(shared.vault / STORE_FILE)) as store:
        names |= {name for (name,) in store.execute("SELECT name FROM record")}
    guesses = {former.name(kind, tip.id) for kind in ("tip", "tip-file", "carried", "summary")}
    assert names.isdisjoint(guesses)
    assert {keys_of(shared.vault, ANNA).name(kind, tip.id) for kind in ("tip", "tip-file", "carried")} <= names


def test_a_copy_of_before_several_removals_is_sealed_anew_at_the_next_round(
    desks: Desks, shared: Desk, server: Exporter, tmp_path: Path
) -> None:
    """Also what the vault has lost comes back from it."""
    tip = seal_tip(desks.manifests, files=[("a", b"x" * 100_000)])
    shared.take(server.export(tmp_path / "1", shared.manifest, [tip]))
    with as_(ANNA, shared.vault) as vault:
        copy_vault(vault, tmp_path / "copy", today=TODAY)
    remove(shared, "Timur")
    remove(shared, "Dana")
    next((shared.vault / TIPS).iterdir()).unlink()
    with as_(ANNA, shared.vault) as vault:
        done = copy_vault(vault, tmp_path / "copy", today=TODAY, every=True)
        assert (done.put_back, done.damaged) == (1, ())
        whole = state(vault)
    with as_(ANNA, tmp_path / "copy") as vault:
        assert state(vault) == whole
    for who in (TIMUR, DANA):
        with pytest.raises(WrongPassphrase):
            as_(who, tmp_path / "copy")


def test_a_vault_of_before_a_removal_takes_no_copy_of_after_it(shared: Desk, tmp_path: Path) -> None:
    """One that was put back from somewhere must not be written over what is newer."""
    shutil.copytree(shared.vault, tmp_path / "older")
    remove(shared, "Timur")
    with as_(ANNA, shared.vault) as vault:
        copy_vault(vault, tmp_path / "copy", today=TODAY)
    with as_(ANNA, tmp_path / "older") as vault, pytest.raises(OtherCopy):
        copy_vault(vault, tmp_path / "copy", today=TODAY)


def test_an_open_vault_notices_that_it_was_sealed_anew(shared: Desk) -> None:
    """Pages that a person who is removed has open: they read nothing more, and write nothing with the key of before."""
    with as_(TIMUR, shared.vault, write=False) as session:
        assert list(Person.all(session))
        remove(shared, "Timur")
        with pytest.raises(Resealed):
            list(Person.all(session))
        with pytest.raises(Resealed):
            session.lock()
        with as_(ANNA, shared.vault):  # its lock is free
            pass


def test_the_key_stick_is_anybodys_who_opens_the_vault_and_no_passphrases(
    desks: Desks, desk: Desk, server: Exporter, tmp_path: Path
) -> None:
    stick = key_stick.stick_path(desk.vault)
    first = key_stick.load(stick, ANNA)
    away = stick.rename(tmp_path / "away")
    with pytest.raises(KeyStickMissing):
        add(desk, "Timur", TIMUR)
    away.rename(stick)
    add(desk, "Timur", TIMUR)
    for passphrase in (ANNA, TIMUR):
        with pytest.raises(WrongPassphrase):
            key_stick.load(stick, passphrase)
    shutil.copytree(stick, tmp_path / "stolen")
    with as_(TIMUR, desk.vault) as vault:
        secret = vault.get("stick-lock", b"")["secret"]  # type: ignore[index]
    assert key_stick.load(tmp_path / "stolen", bytes.fromhex(secret)) == first, "who has both opens it"
    stick.rename(tmp_path / "away")
    remove(desk, "Timur")  # the stick is in a safe meanwhile
    (tmp_path / "away").rename(stick)
    tip = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]))
    assert [one["id"] for one in listed(desk)] == [tip.id.hex()]
    with pytest.raises(WrongPassphrase):
        key_stick.load(stick, bytes.fromhex(secret))


# --- who may be here --------------------------------------------------------------------------------------------------


def test_names_and_passphrases_are_one_persons(shared: Desk) -> None:
    with as_(ANNA, shared.vault) as vault:
        first = next(event.before for event in check_chain(vault).events if event.act == "person" and event.before)
        for name in ("Timur", "TIMUR", "  timur ", "\uff34imur", first):
            with pytest.raises(AlreadyThere):
                people.add(vault, name, b"new words for somebody", "reader", own=ANNA, today=TODAY)
        for name in ("", "  ", "a\x1b[31mb", "a\u202eb"):
            with pytest.raises(Usage):
                people.add(vault, name, b"new words for somebody", "reader", own=ANNA, today=TODAY)
        with pytest.raises(LimitExceeded):
            people.add(vault, "x" * 61, b"new words for somebody", "reader", own=ANNA, today=TODAY)
        with pytest.raises(Usage):
            people.add(vault, "Olga", b"new words for somebody", "admin", own=ANNA, today=TODAY)
        for taken in (ANNA, TIMUR):
            with pytest.raises(AlreadyThere):
                people.add(vault, "Olga", taken, "reader", own=ANNA, today=TODAY)
            with pytest.raises(AlreadyThere):
                people.set_passphrase(vault, taken, own=ANNA)
        with pytest.raises(Usage, match="nobody removes themselves"):
            people.remove(vault, "Anna", "why", today=TODAY)
        with pytest.raises(NotFound):
            people.remove(vault, "Nobody", "why", today=TODAY)
        people.remove(vault, "Dana", "left", today=TODAY)
        with pytest.raises(AlreadyThere):  # her events are under this name
            people.add(vault, "dana", DANA, "reader", own=ANNA, today=TODAY)
        assert [one.name for one in people.everybody(vault)] == ["Anna", "Timur"]
        assert check_chain(vault).problem == ""


def test_only_so_many_people_open_a_vault(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_PEOPLE == 16
    monkeypatch.setattr(people, "MAX_PEOPLE", 2)
    add(desk, "Timur", TIMUR)
    with pytest.raises(LimitExceeded):
        add(desk, "Dana", DANA)


def test_a_passphrase_is_changed_by_whose_it_is(shared: Desk, desks: Desks) -> None:
    with as_(TIMUR, shared.vault) as vault:
        people.set_passphrase(vault, b"words that are new", own=TIMUR)
    with pytest.raises(WrongPassphrase):
        as_(TIMUR, shared.vault)
    with as_(b"words that are new", shared.vault) as vault:
        marks.assign(vault, [], "Timur")
        note(vault, "copy")
        assert check_chain(vault).events[-1].who == "Timur"
    # Of the only person, too: the key stick was locked with it.
    alone = desks.desks[0]
    with as_(ANNA, alone.vault) as vault:
        people.set_passphrase(vault, b"words that are new", own=ANNA)
        folder = ceremony.find_stick(vault, ceremony.organisation_of(vault))
    with pytest.raises(WrongPassphrase):
        key_stick.load(folder, ANNA)


def test_threads_are_given_to_people(desks: Desks, desk: Desk, server: Exporter, tmp_path: Path) -> None:
    """While there is one person, to anybody, as before there were people; then to one of them, however it is typed."""
    tip = seal_tip(desks.manifests)
    desk.take(server.export(tmp_path / "1", desk.manifest, [tip]))
    with as_(ANNA, desk.vault) as vault:
        (thread,) = {one.thread for one in Tip.all(vault)}
        assert marks.assign(vault, [thread], "Somebody") == 1
    add(desk, "Timur", TIMUR)
    with as_(TIMUR, desk.vault) as vault:
        with pytest.raises(NotFound):
            marks.assign(vault, [thread], "Somebody else")
        assert marks.assign(vault, [thread], " tIMUR") == 1
        marks.add_note(vault, [thread], "a word", today=TODAY)
        people.rename(vault, "Timur", "Тимур")
        found = marks.Marks.of(vault, thread)
        assert (found.person, [one.who for one in found.notes]) == ("Тимур", ["Timur"])
        assert [one.who for one in check_chain(vault).events[-3:]] == ["Timur", "Timur", "Тимур"]
        assert check_chain(vault).problem == ""


# --- forged events ----------------------------------------------------------------------------------------------------


def _relinked(vault: Vault, start: int) -> None:
    """The chain from here on anew, as whoever has the vault's key can write it."""
    head = b""
    for event in sorted(CustodyEvent.all(vault), key=lambda one: one.seq):
        linked = replace(event, prev=head) if event.seq > start else event
        linked.save(vault)
        head = event_hash(linked)
    CustodyChain(len(list(CustodyEvent.all(vault))), head).save(vault)


def _appended(vault: Vault, **members: Any) -> None:
    """One more event, with what the forger likes in it."""
    note(vault, "copy")
    last = max(CustodyEvent.all(vault), key=lambda one: one.seq)
    forged = replace(last, **members)
    forged.save(vault)
    CustodyChain(forged.seq, event_hash(forged)).save(vault)


def _anna(vault: Vault) -> Person:
    return people.find(vault, "Anna")


def _signed_by_me(vault: Vault) -> None:
    """Timur's hand under Anna's name."""
    _appended(vault, who="Anna", person=_anna(vault).id)
    last = max(CustodyEvent.all(vault), key=lambda one: one.seq)
    assert vault.me
    forged = replace(last, signature=sign(labels.EVENT, canonical.encode(last.unsigned()), vault.me.signing_key))
    forged.save(vault)
    CustodyChain(forged.seq, event_hash(forged)).save(vault)


def _with_another_key(vault: Vault) -> None:
    """Anna's record gets keys that Timur has, and all her events are signed anew."""
    mine = Me(_anna(vault).id, Me.new().seed)
    replace(_anna(vault), public=mine.public, signs=mine.signs).save(vault)
    for event in list(CustodyEvent.all(vault)):
        if event.person == mine.id:
            signature = sign(labels.EVENT, canonical.encode(event.unsigned()), mine.signing_key)
            replace(event, signature=signature).save(vault)
    _relinked(vault, 0)


def _act(vault: Vault, **members: Any) -> None:
    """An act of Anna's that she did not do, in the place of one that she did."""
    event = next(one for one in CustodyEvent.all(vault) if one.person == _anna(vault).id)
    replace(event, **members).save(vault)
    _relinked(vault, event.seq)


FORGERIES: dict[str, Callable[[Vault], object]] = {
    "in her name": lambda vault: _appended(vault, who="Anna"),
    "in her name and id": lambda vault: _appended(vault, who="Anna", person=_anna(vault).id),
    "signed by another": _signed_by_me,
    "unsigned": lambda vault: _appended(vault, who="Anna", person=b"", signature=b""),
    "with other keys": _with_another_key,
    "her reason": lambda vault: _act(vault, reason="because I could"),
    "her day": lambda vault: _act(vault, day=TODAY),
    "a stranger": lambda vault: _appended(vault, who="Olga", person=bytes(16)),
    "two of one name": lambda vault: Person.of(Me.new(), "Anna", "keeper", TODAY).save(vault),
    "a person whom nobody added": lambda vault: Person.of(Me.new(), "Olga", "keeper", TODAY).save(vault),
    "a removal undone": lambda vault: replace(people.find(vault, "Dana"), removed=TODAY).save(vault),
}


def test_a_colleague_forges_no_event_in_anothers_name(shared: Desk, tmp_path: Path) -> None:
    """Timur opens the vault and has all its keys; what is not his own hand is found."""
    with as_(TIMUR, shared.vault) as timurs, as_(ANNA, shared.vault, write=False) as annas:
        assert check_chain(annas).problem == ""
        for name, forge in FORGERIES.items():
            folder = tmp_path / name.replace(" ", "-")
            shutil.copytree(shared.vault, folder)
            with timurs.beside(folder) as vault, vault.transaction():
                forge(vault)
            with annas.beside(folder) as vault:
                assert check_chain(vault).problem, name
                # And nothing is sealed to people who may be others.
                with pytest.raises(VaultDamaged, match="compare their keys"):
                    people.remove(vault, "Timur", "forged", today=TODAY)


def test_who_removes_a_forger_stays_in(shared: Desk) -> None:
    """Her own keys are those that her passphrase opens, whatever he wrote into the record of her."""
    with as_(TIMUR, shared.vault) as vault, vault.transaction():
        _with_another_key(vault)
    with as_(ANNA, shared.vault) as vault:
        people.remove(vault, "Timur", "forged", today=TODAY, anyway=True)
    with pytest.raises(WrongPassphrase):
        as_(TIMUR, shared.vault)
    for who in (ANNA, DANA):
        with as_(who, shared.vault) as vault:
            note(vault, "copy")


def test_an_event_after_a_removal_is_not_taken_for_the_removed_ones(shared: Desk) -> None:
    """Timur kept his seed: what he signs later is his hand, and counts for nothing."""
    with as_(TIMUR, shared.vault) as vault:
        timur = vault.me
    remove(shared, "Timur")
    with as_(ANNA, shared.vault) as vault:
        anna, vault.me, vault.who = vault.me, timur, None
        note(vault, "copy")
        vault.me = anna
        assert "had been removed" in check_chain(vault).problem


# --- by the commands --------------------------------------------------------------------------------------------------


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, Path]:
    made = {}
    for name, passphrase in (("anna", ANNA), ("timur", TIMUR), ("new", b"words that are new")):
        made[name] = tmp_path / f"{name}.pass"
        made[name].write_bytes(passphrase + b"\n")
        made[name].chmod(0o600)
    return made


def test_people_by_commands_and_each_act_under_who_did_it(  # noqa: PLR0917 (fixtures)
    run: Run,
    desks: Desks,
    desk: Desk,
    server: Exporter,
    secrets: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(days, "today", lambda: TODAY)  # its keys are of that year
    tip, other = seal_tip(desks.manifests), seal_tip(desks.manifests)
    bundle = server.export(tmp_path / "1", desk.manifest, [tip, other])
    words = tmp_path / "words"
    words.write_text("Where was it?", encoding="utf-8")

    def do(who: str, *arguments: str | Path, expect: int = 0) -> Any:
        done = run("desk", *arguments, "--vault", desk.vault, "--passphrase-file", secrets[who], "--json")
        assert done.code == expect, done
        return done

    (me,) = do("anna", "person", "list").json
    do("anna", "person", "rename", me["name"], "Anna")
    added = do("anna", "person", "add", "Timur", "--role", "reader", "--new-passphrase-file", secrets["timur"]).json
    do("timur", "import", "--copies", "1", bundle)
    one, two = tip.id.hex(), other.id.hex()
    for arguments in (
        ("assign", "--to", "timur", one),
        ("note", "--message-file", words, one),
        ("tag", "--add", "square", one),
        ("spam", two),
        ("spam", "--not", two),
        ("thread", one),
        ("unread", one),
        ("show", one, "--out", tmp_path / "out"),
        ("reply", one, "--message-file", words),
        ("close", one),
        ("forget", two, "--reason", "spam"),
        ("canary", "new", "--out", tmp_path / "x.canaries"),
        ("copy", "--to", tmp_path / "copy"),
        ("outbox", "--out", tmp_path / "o.bundle"),
    ):
        before = do("anna", "custody").json["events"]
        do("timur", *arguments)
        after = do("anna", "custody").json["events"]
        assert len(after) > len(before), arguments
        assert {event["who"] for event in after[len(before) :]} == {"Timur"}, arguments
        assert {event["person"] for event in after[len(before) :]} == {added["id"]}
    assert do("anna", "assign", "--to", "Olga", one, expect=5).error == "not-found"
    do("timur", "person", "passphrase", "--new-passphrase-file", secrets["new"])
    assert do("timur", "list", expect=4).error == "wrong-passphrase"
    listed_people = {one["name"]: one for one in do("new", "person", "list").json}
    assert (listed_people["Timur"]["role"], listed_people["Timur"]["threads"]) == ("reader", 1)
    assert listed_people["Timur"]["you"]
    assert not listed_people["Anna"]["you"]
    gone = do("anna", "person", "remove", "Timur", "--reason", "left us").json
    assert (gone["people"], gone["threads"], gone["copied"]) == (["Anna"], 1, True)
    for folder in (desk.vault, tmp_path / "copy"):
        with pytest.raises(WrongPassphrase):
            as_(b"words that are new", folder)
    events = do("anna", "custody").json["events"]
    assert [(one["act"], one["reason"]) for one in events if one["after"] == "removed"] == [("person", "left us")]
    said = run("desk", "person", "list", "--vault", desk.vault, "--passphrase-file", secrets["anna"])
    assert "removed" in said.out
    do("anna", "person", "remove", "Anna", "--reason", "x", expect=2)
    do("anna", "person", "remove", "Nobody", "--reason", "x", expect=5)


def test_the_identity_file_has_the_passphrase_of_whoever_made_it(
    run: Run, desk: Desk, secrets: dict[str, Path], tmp_path: Path
) -> None:
    add(desk, "Timur", TIMUR)
    out = ("keys", "publish", "--vault", desk.vault, "--out", tmp_path / "k.json", "--today", TODAY.isoformat())
    assert run(*out, "--passphrase-file", secrets["timur"], "--json").error == "wrong-passphrase"
    other = ("--identity-passphrase-file", secrets["anna"])
    done = run(*out, "--passphrase-file", secrets["timur"], *other)
    assert done.code in (0, 3)  # 3: it is another day than this desk's
    assert "passphrase" not in done.err
    changed = ("--passphrase-file", secrets["anna"], "--new-passphrase-file", secrets["new"])
    assert run("desk", "person", "passphrase", "--vault", desk.vault, *changed, "--json").json["identity"]
    assert "passphrase" not in run(*out, "--passphrase-file", secrets["new"]).err


def test_a_thief_of_the_vault_sees_how_many_people_and_no_name(shared: Desk) -> None:
    stored = b"".join(path.read_bytes() for path in shared.vault.rglob("*") if path.is_file())
    for name in ("Anna", "Timur", "Dana"):
        assert name.encode() not in stored
        assert name.encode("utf-16-le") not in stored
    with closing(sqlite3.connect(shared.vault / STORE_FILE)) as store:
        rows = store.execute("SELECT id, locked, keys FROM person").fetchall()
    assert len(rows) == 3
    assert {(len(locked), len(keys)) for _, locked, keys in rows} == {(98, 1120 + 32 + 16)}
    # A lock that is moved to another's place opens nothing.
    mine = next(Me(ident, seed) for ident, seed in [_seed(rows, TIMUR)])
    for ident, _, keys in rows:
        if ident != mine.id:
            with pytest.raises(Tampered):
                mine.open_keys(keys)
            with pytest.raises(Tampered):
                Me(ident, mine.seed).open_keys(keys)


def _seed(rows: list[Any], passphrase: bytes) -> tuple[bytes, bytes]:
    me = unlocking.unlock([row[:2] for row in rows], passphrase)
    return me.id, me.seed


def test_an_import_by_somebody_else_acknowledges_alike(
    desks: Desks, shared: Desk, server: Exporter, tmp_path: Path
) -> None:
    """Nothing that a server gets tells how many people work at a desk, or who did."""
    tip = seal_tip(desks.manifests)
    shared.take(server.export(tmp_path / "1", shared.manifest, [tip]))
    remove(shared, "Dana", by=TIMUR)
    assert acknowledged(server, shared, tmp_path / "o") == [tip.id]
    opened(shared, tip.id, tmp_path / "out")
