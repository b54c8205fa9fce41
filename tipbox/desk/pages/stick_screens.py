"""Stick: what lies on it, the import, the second copy, the outbox, and when it may be pulled out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from flask import render_template, request
from flask.typing import ResponseReturnValue

from tipbox.desk import outbox, second_copy
from tipbox.desk.importing.importer import Importer, ImportOutcome, total_size
from tipbox.desk.inbox.tip_index import TipIndex
from tipbox.desk.keys import ceremony, key_stick
from tipbox.desk.keys.keyring import keyring
from tipbox.desk.keys.stick_lock import stick_passphrase
from tipbox.desk.marked import N_
from tipbox.desk.pages.guard import ForDesk
from tipbox.desk.pages.jobs import Job, Progress
from tipbox.desk.pages.page_texts import apart, gettext, ngettext
from tipbox.desk.pages.said_lines import PageRefused, lost, refusal
from tipbox.desk.pages.session import OpenDesk, Session, busy
from tipbox.desk.render.compare import compare_pictures
from tipbox.desk.vault.records import Reply
from tipbox.desk.vault.vault import REPLIES, TIPS, Vault
from tipbox.errors import TipboxError
from tipbox.files.printable import printable
from tipbox.formats.base import days

OUTBOX: Final = "back.bundle"
"""The outbox on a stick, as the staff guide names it: the next one takes its place."""
_PLACES: Final = ("/media", "/run/media", "/mnt")
_SUFFIXES: Final = (".bundle", ".tip")
_PHOTOS: Final = frozenset({".heic", ".heif", ".jpeg", ".jpg", ".png", ".webp"})
_MOST: Final = 5000
"""Files of a stick that are looked at to say what lies there."""


_OUTCOMES: Final = {
    "mine": N_("opened"),
    "duplicate": N_("the same as one that was here"),
    "known": N_("here already"),
    "not-for-you": N_("for others"),
    "not-addressed": N_("for others, without a slot for you"),
    "too-late": N_("sealed to a key that is destroyed, or not on this copy of the key stick"),
    "unknown-key": N_("sealed to a key that this vault never had"),
    "tampered": N_("changed after sealing"),
    "forged": N_("changed after sealing"),
}
"""What became of an Envelope."""


@dataclass(frozen=True)
class Lies:
    """What lies in a folder: how many Bundles and loose tips, of how many bytes; photographs, and files of others.

    ``more``: there are more files than were looked at.
    """

    path: Path
    bundles: int
    tips: int
    size: int
    photos: int
    others: int
    outbox: bool
    more: bool


def sticks() -> list[Path]:
    """Places where sticks are mounted now."""
    found = []
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
        path = line.split(" ")[1].encode().decode("unicode_escape", errors="replace")
        if path.startswith(tuple(f"{place}/" for place in _PLACES)):
            found.append(Path(path))
    return sorted(found)


def lies_in(path: Path) -> Lies:
    """Look into a folder: by names and sizes alone."""
    bundles = tips = size = photos = others = 0
    files = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    for file in islice(files, _MOST):
        if file.suffix in _SUFFIXES:
            bundles, tips = bundles + (file.suffix == ".bundle"), tips + (file.suffix == ".tip")
            size += file.lstat().st_size
        elif file.suffix.lower() in _PHOTOS:
            photos += 1
        else:
            others += 1
    is_outbox = (path / OUTBOX).is_file()
    return Lies(path, bundles - is_outbox, tips, size, photos, others, is_outbox, more=next(files, None) is not None)


def add_stick(for_desk: ForDesk, session: Session) -> None:
    """Add these screens to the pages."""

    def begin(name: str, total: int, desk: OpenDesk, path: Path, work: Callable[[Vault, Progress], list[str]]) -> None:
        job = Job(name, total, path if path in sticks() else None)
        session.begin(job, lambda progress: _beside(desk, lambda vault: work(vault, progress)))

    named: list[Path] = []

    def screen(desk: OpenDesk, path: Path | None = None) -> str:
        found = sticks()
        if path is not None:
            named[:] = [path]
        path = next(iter([*named, *found]), None)
        known = second_copy.lag(desk.vault)
        return render_template(
            "desk/stick.html",
            copy=None if known is None else known[0],
            copy_lag=0 if known is None else known[1],
            job=session.job,
            lies=lies_in(path) if path is not None and path.is_dir() else None,
            path=path,
            sticks=found,
            waiting=_waiting(desk.vault),
        )

    @for_desk("/stick")
    def stick(desk: OpenDesk) -> ResponseReturnValue:
        return screen(desk, _stick() if _folder() else None)

    @for_desk("/stick/job")
    def job(_: OpenDesk) -> ResponseReturnValue:
        return render_template("desk/job.html", job=session.job, sticks=sticks())

    @for_desk("/stick/import")
    def start_import(desk: OpenDesk) -> ResponseReturnValue:
        path = _stick()
        once, photos = request.form.get("copies") == "1", bool(request.form.get("photos"))

        def work(vault: Vault, progress: Progress) -> list[str]:
            if session.job is not None:  # here, and not before: somebody may have named a whole disk
                session.job.total = total_size([path])
            return import_from(vault, desk, path, progress, enough_copies=once, photos=photos)

        begin(gettext("Import"), 0, desk, path, work)
        return screen(desk, path)

    @for_desk("/stick/copy")
    def start_copy(desk: OpenDesk) -> ResponseReturnValue:
        path = _folder()
        if path is None:
            raise PageRefused(gettext("copying the vault: name a folder on another disk"))
        size = sum(file.stat().st_size for name in (TIPS, REPLIES) for file in (desk.vault.path / name).iterdir())

        def work(vault: Vault, progress: Progress) -> list[str]:
            done = second_copy.copy_vault(vault, path, today=days.today(), every=True, progress=progress)
            lines = [
                gettext("The second copy is whole: %(num)d files were written and read back.") % {"num": done.written}
            ]
            if done.confirmed:
                lines.append(
                    gettext("%(num)d more may be acknowledged: the next outbox does it.") % {"num": done.confirmed}
                )
            if second_copy.on_same_disk(vault, path):
                lines.append(gettext("It is on the same disk as the vault: one loss takes both."))
            return lines

        begin(gettext("Second copy"), size, desk, path, work)
        return screen(desk)

    @for_desk("/same/compare")
    def compare(desk: OpenDesk) -> ResponseReturnValue:
        def work(progress: Progress) -> list[str]:
            with desk.vault.beside(desk.vault.path) as vault:
                return compared_lines(*compare_pictures(vault, progress))

        session.begin(Job(gettext("Pictures"), 0, can_stop=True), work)
        return render_template("desk/job.html", job=session.job, sticks=sticks())

    @for_desk("/stick/outbox")
    def write_outbox(desk: OpenDesk) -> ResponseReturnValue:
        path = _stick()
        begin(gettext("Outbox"), 0, desk, path, lambda vault, _: outbox_to(vault, desk, path))
        return screen(desk, path)


def _folder() -> Path | None:
    """The folder that a request names, if it names one.

    Raises:
        Usage: it is no whole path.
    """
    named = request.form.get("path", "").strip()
    if named and not named.startswith("/"):
        raise PageRefused(gettext("looking for the stick: name its folder, from / on"))
    return Path(named) if named else None


def _stick() -> Path:
    """The same, which must be there.

    Raises:
        Usage: it is not.
    """
    path = _folder()
    if path is None or not path.is_dir():
        raise PageRefused(gettext("looking for the stick: there is no such folder; is it plugged in and mounted?"))
    return path


def _beside(desk: OpenDesk, work: Callable[[Vault], list[str]]) -> list[str]:
    """Work on the vault over a connection of this thread's own, with other commands kept out."""
    with _connected(desk) as vault:
        return work(vault)


@contextmanager
def _connected(desk: OpenDesk) -> Iterator[Vault]:
    with desk.vault.beside(desk.vault.path) as vault:
        vault.lock(busy)
        yield vault


def import_from(
    vault: Vault,
    desk: OpenDesk,
    path: Path,
    progress: Progress,
    *,
    enough_copies: bool = False,
    photos: bool = False,
) -> list[str]:
    """Import what lies in a folder, renew the second copy, and say in plain words what came."""
    folder = ceremony.find_stick(vault, desk.organisation)
    stick = key_stick.load(folder, stick_passphrase(vault, folder, desk.passphrase))
    importer = Importer(
        vault,
        desk.organisation,
        keyring(vault, desk.organisation.id, stick),
        today=days.today(),
        enough_copies=enough_copies,
        photos=photos,
        progress=progress,
    )
    outcome = importer.run([path])
    TipIndex.of(vault).save()
    lines = []
    try:
        done = None if enough_copies else second_copy.copy_again(vault, today=days.today())
    except (TipboxError, OSError) as error:
        lines.append(
            gettext("The second copy was not renewed: %(why)s")
            % {"why": refusal(error) if isinstance(error, TipboxError) else error.strerror or type(error).__name__}
        )
        done = None
    if done is not None:
        outcome.unconfirmed -= done.confirmed
        outcome.put_back += done.put_back
    return [*outcome_lines(outcome), *lines]


def outcome_lines(outcome: ImportOutcome) -> list[str]:
    """What an import did, a line each."""
    counted: Counter[str] = Counter()
    for name, count in outcome.counts.items():
        counted[_OUTCOMES.get(name, name)] += count
    lines = [f"{count:,} {gettext(words)}" for words, count in sorted(counted.items()) if count]
    if not outcome.counts and not outcome.problems:
        lines.append(gettext("nothing new"))
    if outcome.canaries:
        lines.append(
            gettext("Canaries that came: %(numbers)s") % {"numbers": apart(", ".join(map(str, outcome.canaries)))}
        )
    for notice, count in Counter(outcome.notices).items():
        lines.append(gettext(notice) if count == 1 else f"{gettext(notice)} ({count})")
    if outcome.put_back:
        damaged = ngettext(
            "%(num)d tip was damaged in the vault and is put back: check its disk.",
            "%(num)d tips were damaged in the vault and are put back: check its disk.",
            outcome.put_back,
        )
        lines.append(damaged % {"num": outcome.put_back})
    delivered = sum(reply.state == "delivered" for reply in outcome.replies)
    if delivered:
        lines.append(
            ngettext("%(num)d reply is delivered.", "%(num)d replies are delivered.", delivered) % {"num": delivered}
        )
    lines += [
        gettext("The server refused a reply: %(code)s") % {"code": printable(reply.code)}
        for reply in outcome.replies
        if reply.state != "delivered"
    ]
    if outcome.pinned:
        lines.append(
            gettext("This vault takes Bundles of this server only; compare: %(digits)s")
            % {"digits": apart(outcome.pinned)}
        )
    if outcome.unconfirmed:
        lines.append(
            gettext("%(num)d not acknowledged yet: make a second copy of the vault.") % {"num": outcome.unconfirmed}
        )
    lines += [lost(ident) for ident in outcome.damaged]
    lines += [f"{apart(printable(name))}: {refusal(error)}" for name, error in outcome.problems]
    return lines


def outbox_to(vault: Vault, desk: OpenDesk, path: Path) -> list[str]:
    """Write the outbox into a folder, and say what is in it."""
    sent = outbox.write_outbox(vault, desk.organisation, path / OUTBOX, today=days.today())
    lines = [
        gettext("Outbox %(number)d is written and synced: %(acks)d acknowledged, %(replies)d replies.")
        % {"acks": sent.acknowledged, "number": sent.sequence, "replies": len(sent.load.replies)}
    ]
    if sent.load.waiting:
        lines.append(gettext("%(num)d replies did not fit, and wait for the next one.") % {"num": sent.load.waiting})
    if sent.unconfirmed:
        lines.append(
            gettext("%(num)d not acknowledged yet: make a second copy of the vault.") % {"num": sent.unconfirmed}
        )
    lines += [lost(ident) for ident in sent.lost]
    return lines


def compared_lines(count: int, failed: int) -> list[str]:
    """What comparing pictures did, a line each."""
    lines = [ngettext("%(num)d picture was looked at.", "%(num)d pictures were looked at.", count) % {"num": count}]
    if failed:
        none = ngettext("%(num)d file shows no picture.", "%(num)d files show no picture.", failed)
        lines.append(none % {"num": failed})
    return lines


def _waiting(vault: Vault) -> int:
    """How many replies wait for an outbox."""
    return sum(reply.pending for reply in Reply.all(vault))
