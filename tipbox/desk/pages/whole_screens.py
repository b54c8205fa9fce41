"""Health: what somebody should look after before it is too late. Staff: who opens this vault."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from typing import Final

from flask import render_template, request
from flask.typing import ResponseReturnValue

from tipbox import __version__
from tipbox.desk import canaries, people, second_copy
from tipbox.desk.inbox import threads
from tipbox.desk.keys import ceremony
from tipbox.desk.pages.guard import ForDesk
from tipbox.desk.pages.jobs import Job, Progress
from tipbox.desk.pages.page_texts import gettext
from tipbox.desk.pages.said_lines import PageRefused
from tipbox.desk.pages.session import OpenDesk, Session
from tipbox.desk.render import sandbox
from tipbox.desk.vault.records import Draft, EnvelopeRecord, Reply, Traffic
from tipbox.files.passphrase_forms import normal
from tipbox.formats.base import days

SHORTEST: Final = 16
"""Bytes of a passphrase; a shorter one falls to whoever seizes the vault and tries."""


def add_health(for_desk: ForDesk, session: Session) -> None:
    """Add this screen to the pages."""

    @for_desk("/health")
    def health(desk: OpenDesk) -> ResponseReturnValue:
        vault, today = desk.vault, days.today()
        known = second_copy.lag(vault)
        seen = Traffic.of(vault).seen
        disk = shutil.disk_usage(vault.path)
        return render_template(
            "desk/health.html",
            canaries=canaries.state(vault),
            clock=ceremony.far_from(vault, today),
            copy=None if known is None else known[0],
            copy_lag=0 if known is None else known[1],
            disk=disk,
            drafts=sum(1 for _ in Draft.all(vault)),
            job=session.job,
            keys_until=max((signed.manifest.end for signed in ceremony.manifests(vault)), default=None),
            last_bundle=max((day for _, day in seen), default=None),
            sandbox=sandbox.problem(),
            unconfirmed=sum(
                carried.by_bundle and not carried.confirmed and not carried.taken
                for carried in EnvelopeRecord.all(vault)
            ),
            version=__version__,
            waiting=sum(reply.pending and not reply.outbox for reply in Reply.all(vault)),
        )


def add_staff(for_desk: ForDesk, session: Session) -> None:
    """Add the screen of the people of this desk."""

    @for_desk("/staff")
    def staff(desk: OpenDesk) -> ResponseReturnValue:
        return _staff_of(desk, session.job)

    @for_desk("/staff/add")
    def staff_add(desk: OpenDesk) -> ResponseReturnValue:
        name, passphrase = request.form.get("name", ""), _typed_twice()
        role = request.form.get("role", "") or "caseworker"
        with desk.writing() as vault:
            added = people.add(vault, name, passphrase, role, own=desk.passphrase, today=days.today())
        return _staff_of(desk, session.job, [gettext("Added: %(name)s") % {"name": added.name}])

    @for_desk("/staff/passphrase")
    def staff_passphrase(desk: OpenDesk) -> ResponseReturnValue:
        passphrase = _typed_twice()
        with desk.writing() as vault:
            people.set_passphrase(vault, passphrase, own=desk.passphrase)
        desk.passphrase = passphrase
        return _staff_of(desk, session.job, [gettext("Your passphrase is changed."), *_copy_lines(desk)])

    @for_desk("/staff/rename")
    def staff_rename(desk: OpenDesk) -> ResponseReturnValue:
        with desk.writing() as vault:
            people.rename(vault, desk.person, request.form.get("name", ""))
        return _staff_of(desk, session.job, [gettext("Your name is changed.")])

    @for_desk("/staff/remove")
    def staff_remove(desk: OpenDesk) -> ResponseReturnValue:
        name, reason = (request.form.get(member, "").strip() for member in ("name", "reason"))
        if not reason:
            raise PageRefused(gettext("Say why: it stays in the chain of custody."))
        session.check_idle()
        with desk.writing() as vault:
            gone = people.shut_out(vault, name, reason, today=days.today())
        said = [
            gettext("Removed: %(name)s. The vault is sealed anew for all others.") % {"name": gone.name},
            gettext("What was copied before opens for ever: a copy of the vault, with all that was in it."),
            gettext("If a copy of the key stick may be with them, replace the keys: tipbox keys rotate."),
            *_copy_lines(desk),
        ]
        shown = threading.Event()  # until then records are read with the keys of before

        def seal_anew(progress: Progress) -> list[str]:
            shown.wait()
            with desk.vault.beside(desk.vault.path) as vault:
                vault.end_resealing(lambda: None, progress=progress)
            return said

        job = Job(gettext("Sealing the vault anew"), sum(people.to_reseal(desk.vault)), alone=True)
        session.begin(job, seal_anew)
        try:
            return _staff_of(desk, job)
        finally:
            shown.set()


def _copy_lines(desk: OpenDesk) -> list[str]:
    if second_copy.lag(desk.vault) is None:
        return []
    return [gettext("The second copy opens as before until it is renewed: do it now, under Stick.")]


def _typed_twice() -> bytes:
    typed, again = (normal(request.form.get(name, "").encode()) for name in ("passphrase", "again"))
    if typed != again:
        raise PageRefused(gettext("The two passphrases differ; type them again."))
    if len(typed) < SHORTEST:
        raise PageRefused(gettext("This passphrase is too short: take six words by dice."))
    return typed


def _staff_of(desk: OpenDesk, job: Job | None, said: Sequence[str] = ()) -> str:
    found = people.staff(desk.vault, today=days.today())
    rows = {
        one.person.id: threads.list_threads(desk.vault, desk.organisation, "mine", one.person.name, limit=10)
        for one in found
    }
    known = {one.person.name for one in found}
    others = [name for name in threads.persons(desk.vault) if name not in known]
    return render_template(
        "desk/staff.html",
        found=found,
        job=job,
        others=others,
        roles=people.ROLES,
        rows=rows,
        said=said,
        sealed=sum(people.to_reseal(desk.vault)),
        sticks=(),
    )
