"""The people of a desk: each opens the vault with a passphrase of their own, and signs what they do.

Whoever opens the vault has all of it. A role says what was agreed on, and keeps nobody from anything.
"""

from __future__ import annotations

import errno
import os
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from tipbox.desk.custody.chain import REMOVED, check_chain, note
from tipbox.desk.desk_errors import VaultDamaged
from tipbox.desk.inbox.marks import MAX_TAG, Marks, folded_name
from tipbox.desk.keys import ceremony, stick_lock
from tipbox.desk.vault import reseal, unlocking
from tipbox.desk.vault.records import CustodyEvent, Person
from tipbox.desk.vault.unlocking import MAX_PEOPLE, Keys, Me
from tipbox.desk.vault.vault import INDEX_FILE, REPLIES, STORE_FILE, TIPS, Vault
from tipbox.errors import AlreadyThere, LimitExceeded, NotFound, Usage, WrongPassphrase
from tipbox.formats.base.limits import KEY_SIZE
from tipbox.formats.base.primitives import random_bytes

ROLES: Final = ("reader", "caseworker", "keeper")
"""What can be agreed on: to read; to answer and sort as well; to keep keys and people, too."""
MAX_REASON: Final = 1000
"""Bytes of UTF-8 of why somebody is removed."""
RECENT: Final = timedelta(days=30)
_SPARE: Final = 1 << 20


@dataclass(frozen=True)
class Staff:
    """A person with what they do: threads that are theirs, acts in the last 30 days; whether it is who asks."""

    person: Person
    threads: int
    acts: int
    is_me: bool


def everybody(vault: Vault) -> list[Person]:
    """All who can open this vault, by name."""
    return sorted((one for one in Person.all(vault) if one.removed is None), key=lambda one: one.name.casefold())


def staff(vault: Vault, *, today: date) -> list[Staff]:
    """All of them with what they do; those who were removed are at the end."""
    acts = Counter(event.person for event in CustodyEvent.all(vault) if event.day > today - RECENT)
    threads = Counter(marks.person for marks in Marks.all(vault))
    people = sorted(Person.all(vault), key=lambda one: (one.removed is not None, one.name.casefold()))
    me = vault.me.id if vault.me else b""
    return [Staff(one, threads[one.name], acts[one.id], one.id == me) for one in people]


def find(vault: Vault, name: str) -> Person:
    """Who can open this vault under this name.

    Raises:
        NotFound: nobody.
    """
    wanted = folded_name(name)
    for person in everybody(vault):
        if folded_name(person.name) == wanted:
            return person
    raise NotFound(f"looking for {_printable(name)}: nobody here has this name; see tipbox desk person list")


def add(vault: Vault, name: str, passphrase: bytes, role: str, *, own: bytes, today: date) -> Person:
    """Let somebody in. The vault is open for writing.

    Args:
        vault: the vault.
        name: theirs.
        passphrase: theirs.
        role: one of ROLES.
        own: what the caller unlocked the vault with: the key stick may still be locked with it.
        today: the day.

    Raises:
        AlreadyThere: somebody has this name, or had it, or this passphrase.
        KeyStickMissing: there was one person until now, and the key stick is not plugged in.
        LimitExceeded: there are too many, or the name is too long.
        Usage: the name is empty, or there is no such role.
    """
    name = _checked(vault, name)
    if role not in ROLES:
        raise Usage(f"adding a person: a role is one of {', '.join(ROLES)}")
    if len(everybody(vault)) >= MAX_PEOPLE:
        raise LimitExceeded(f"adding a person: {MAX_PEOPLE} can open a vault at a time; remove somebody first")
    _check_other(vault, passphrase)
    stick_lock.share(vault, ceremony.find_stick(vault, ceremony.organisation_of(vault)), own)
    me = Me.new()
    person = Person.of(me, name, role, today)
    with vault.transaction():
        vault.add_lock(me, passphrase)
        person.save(vault)
        note(vault, "person", person.id, after=person.introduced)
    return person


def rename(vault: Vault, name: str, new: str) -> Person:
    """Call somebody otherwise; threads that are theirs stay so.

    Raises:
        AlreadyThere: somebody has the new name.
        NotFound: nobody has the old one.
    """
    person = find(vault, name)
    called = _checked(vault, new, but=person)
    renamed = replace(person, name=called)
    with vault.transaction():
        renamed.save(vault)
        for marks in list(Marks.all(vault)):
            if marks.person == person.name:
                replace(marks, person=called).save(vault)
        vault.who = None
        note(vault, "person", person.id, before=person.name, after=called)
    return renamed


def set_passphrase(vault: Vault, passphrase: bytes, *, own: bytes) -> None:
    """Give whoever unlocked the vault another passphrase than their ``own``, which opens it no longer.

    Raises:
        AlreadyThere: it opens the vault already.
        KeyStickMissing: the key stick is locked with the one before, and is not plugged in.
    """
    _check_other(vault, passphrase)
    stick_lock.share(vault, ceremony.find_stick(vault, ceremony.organisation_of(vault)), own)
    assert vault.me is not None  # noqa: S101 (an open vault is somebody's)
    with vault.transaction():
        vault.change_lock(vault.me, passphrase)
        note(vault, "person", vault.me.id, after="passphrase")


def remove(
    vault: Vault,
    name: str,
    reason: str,
    *,
    today: date,
    anyway: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Person:
    """Shut somebody out: the vault gets another key, and is sealed anew with it for all others.

    From the first transaction on their passphrase opens nothing here. The rest may be cut short, and goes on whenever
    one of the others opens the vault.

    Args:
        vault: the vault, open for writing.
        name: who.
        reason: why; it stays in the chain of custody.
        today: the day.
        anyway: although the chain of custody or a record of a person was changed.
        progress: told of the bytes that are sealed.

    Raises:
        LimitExceeded: the reason is too long.
        NotFound: nobody has this name.
        OSError: there is no room for the largest file and the records once more.
        Usage: it is the caller.
        VaultDamaged: a record does not open; or the chain of custody was changed: the new key might be sealed to
            somebody whom the one to be removed has put in another's place.
    """
    person = shut_out(vault, name, reason, today=today, anyway=anyway)
    reseal.finish(vault, progress=progress)
    return person


def shut_out(vault: Vault, name: str, reason: str, *, today: date, anyway: bool = False) -> Person:
    """The first transaction of ``remove``, whose arguments and errors it has; what is left, ``reseal.finish`` does."""
    person = find(vault, name)
    if vault.me is None or person.id == vault.me.id:
        raise Usage("removing a person: nobody removes themselves; another one does it")
    if len(reason.encode(errors="replace")) > MAX_REASON:
        raise LimitExceeded(f"removing a person: a reason has at most {MAX_REASON:,} bytes")
    if not anyway and (problem := check_chain(vault).problem):
        raise VaultDamaged(
            f"removing a person: {problem}, so the others may not be who they seem; compare their keys (tipbox desk "
            "person list) with them, read aloud, and then say --anyway"
        )
    vault.check_store()
    _check_room(vault)
    keys = Keys((*vault.keys.chain, random_bytes(KEY_SIZE)))
    others = {one.id: one for one in everybody(vault) if one.id != person.id}
    # Never what a record says of the caller: whoever is removed may have written it.
    others[vault.me.id] = replace(others[vault.me.id], public=vault.me.public, signs=vault.me.signs)
    locks = [(ident, locked) for ident, locked in vault.locks() if ident in others]
    with vault.transaction():
        replace(person, removed=today).save(vault)
        others[vault.me.id].save(vault)
        stick_lock.renew(vault)
        vault.seal_anew_for({ident: one.public for ident, one in others.items()}, keys, take=locks)
        note(
            vault,
            "person",
            person.id,
            before=person.name,
            after=REMOVED,
            reason=reason.encode(errors="replace").decode(),
        )
    return person


def to_reseal(vault: Vault) -> list[int]:
    """Bytes of each file that is sealed anew when somebody is removed."""
    files = [path for folder in (TIPS, REPLIES) for path in (vault.path / folder).iterdir()]
    return [path.stat().st_size for path in (*files, vault.path / INDEX_FILE) if path.exists()]


def _check_room(vault: Vault) -> None:
    needed = max(to_reseal(vault), default=0) + 2 * (vault.path / STORE_FILE).stat().st_size + _SPARE
    usage = shutil.disk_usage(vault.path)
    if usage.total and usage.free < needed:  # 0 of 0: this file system does not say
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _check_other(vault: Vault, passphrase: bytes) -> None:
    try:
        unlocking.unlock(vault.locks(), passphrase)
    except WrongPassphrase:
        return
    raise AlreadyThere("setting a passphrase: it opens this vault already; take another, of six words by dice")


def _checked(vault: Vault, name: str, but: Person | None = None) -> str:
    """A name as it is kept: nobody has it, or had it, as it looks."""
    name = " ".join(unicodedata.normalize("NFC", name.encode(errors="replace").decode()).split())
    if not name or _printable(name) != name:
        raise Usage("naming a person: a name has letters, and nothing that cannot be seen")
    if len(name.encode()) > MAX_TAG:
        raise LimitExceeded(f"naming a person: a name has at most {MAX_TAG} bytes")
    taken = {folded_name(one.name) for one in Person.all(vault) if but is None or one.id != but.id}
    if but is None or name != but.name:
        events = (event for event in CustodyEvent.all(vault) if event.act == "person" and event.before)
        taken |= {folded_name(event.before) for event in events if but is None or event.item != but.id}
    if folded_name(name) in taken:
        raise AlreadyThere("naming a person: somebody here has this name, or had it; choose another")
    return name


def _printable(name: str) -> str:
    return "".join(letter for letter in name if letter.isprintable())
