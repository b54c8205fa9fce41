"""Health: what somebody should look after before it is too late."""

from __future__ import annotations

import shutil

from flask import render_template
from flask.typing import ResponseReturnValue

from tipbox import __version__
from tipbox.desk import canaries, second_copy
from tipbox.desk.keys import ceremony
from tipbox.desk.pages.guard import ForDesk
from tipbox.desk.pages.session import OpenDesk, Session
from tipbox.desk.render import sandbox
from tipbox.desk.vault.records import Draft, EnvelopeRecord, Reply, Traffic
from tipbox.formats.base import days


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
