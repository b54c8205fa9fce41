"""One unlocking: who may call, what is open, and when it ends.

The token of the address is spent at the unlocking. From then on a secret that lives in the memory of one tab has to
come with each request: a second tab, another program and whoever copied the address have none.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hmac import compare_digest
from pathlib import Path
from typing import Final

from tipbox.desk.custody.chain import who
from tipbox.desk.desk_errors import Busy
from tipbox.desk.inbox.tip_index import TipIndex
from tipbox.desk.keys import ceremony
from tipbox.desk.marked import N_
from tipbox.desk.pages.jobs import Job, Work
from tipbox.desk.pages.page_texts import gettext
from tipbox.desk.pages.said_lines import PageRefused
from tipbox.desk.render import sandbox
from tipbox.desk.vault.records import Organisation
from tipbox.desk.vault.vault import Vault
from tipbox.errors import WrongPassphrase
from tipbox.files.passphrase_forms import forms_of

MAX_TRIES: Final = 20
"""Wrong passphrases after which the pages start anew."""
_SECRET: Final = 32


class Refused(Exception):
    """A request that is nobody's who unlocked these pages."""


@dataclass
class OpenDesk:
    """What is open while the pages are unlocked."""

    vault: Vault
    organisation: Organisation
    passphrase: bytes = field(repr=False)

    @property
    def person(self) -> str:
        """The name of whoever unlocked them: the passphrase says who it is."""
        return who(self.vault)

    @contextmanager
    def writing(self) -> Iterator[Vault]:
        """The vault, with other commands kept out until the block ends.

        Raises:
            Busy: one of them works on it now.
        """
        self.vault.lock(busy)
        try:
            yield self.vault
            TipIndex.of(self.vault).save()
        finally:
            self.vault.unlock()


def busy() -> None:
    """What is called when another command has to end first: nobody waits for it here.

    Raises:
        Busy: always.
    """
    raise Busy(N_("writing: an import or another command works on this vault; try again when it has ended"))


class Session:
    """From the start of the pages to their lock."""

    def __init__(self, vault: Path, token: str, *, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Locked, and waiting for the token.

        Args:
            vault: the folder.
            token: what unlocks once, with the passphrase.
            seconds: without a sign of a person, after which it locks.
            clock: in seconds.
        """
        self.address = ""
        """Host and port that pages are asked for at."""
        self.ending = threading.Event()
        self.job: Job | None = None
        self._unsettled = False
        self._vault = vault
        self._token: str | None = token
        self._secret: str | None = None
        self._desk: OpenDesk | None = None
        self._seconds = seconds
        self._clock = clock
        self._seen = clock()
        self._tries = 0

    # --- who may call -----------------------------------------------------------------------------------------------

    def unlock(self, token: str, passphrase: bytes) -> str:
        """Open the vault and spend the token; the secret that every request has to bring from now on.

        Raises:
            Refused: the token is spent, or another one.
            WrongPassphrase: it does not open the vault; the token is not spent by it.
        """
        if self._token is None or not compare_digest(token.encode(), self._token.encode()):
            raise Refused
        self._tries += 1
        if self._tries > MAX_TRIES:
            self.ending.set()
            raise Refused
        vault, opening = self._open(passphrase)
        self._desk = OpenDesk(vault, ceremony.organisation_of(vault), opening)
        self._token, self._secret = None, secrets.token_urlsafe(_SECRET)
        self._seen = self._clock()
        return self._secret

    def _open(self, passphrase: bytes) -> tuple[Vault, bytes]:
        wrong = WrongPassphrase(N_("unlocking: the passphrase is wrong"))
        for form in forms_of(passphrase):
            try:
                return Vault.open(self._vault, form, waiting=busy), form
            except WrongPassphrase:
                continue
        raise wrong

    def desk(self, secret: str) -> OpenDesk:
        """What is open, for a request that brought the secret.

        Raises:
            Refused: it is not the secret, or nothing is open.
        """
        if self._desk is None or self._secret is None or not compare_digest(secret.encode(), self._secret.encode()):
            raise Refused
        return self._desk

    # --- until when -------------------------------------------------------------------------------------------------

    def sign_of_life(self) -> None:
        """A person did something."""
        self._seen = self._clock()

    def idle(self) -> bool:
        """Whether it is time to lock: nobody was there for so long, and no import runs."""
        if self.working:
            self._seen = self._clock()
        return self._desk is not None and self._clock() - self._seen > self._seconds

    @property
    def working(self) -> bool:
        """Whether an import or a copy runs."""
        return self.job is not None and self.job.running

    def check_idle(self) -> None:
        """Nothing else may run.

        Raises:
            PageRefused: something does.
        """
        if self.working:
            raise PageRefused(gettext("Something else is at work; wait until it has ended."))

    def begin(self, job: Job, work: Work) -> None:
        """Begin a piece of work, which is shown from now on.

        Raises:
            PageRefused: another one runs.
        """
        self.check_idle()
        self._unsettled = self._unsettled or job.alone
        self.job = job
        job.start(work)

    def settle(self) -> None:
        """Before the vault is used: have it take up the keys that a piece of work has given it.

        Raises:
            PageRefused: that still runs, or was cut short; who unlocks the pages next ends it.
        """
        if not self._unsettled or self.job is None or self._desk is None:
            return
        if self.job.running:
            raise PageRefused(gettext("The vault is being sealed anew: wait until it has ended."))
        if self.job.problem:
            raise PageRefused(
                gettext("The vault was not sealed anew to the end: make room on its disk, lock, and unlock again.")
            )
        self._desk.vault.end_resealing(busy)
        self._unsettled = False

    def end(self) -> None:
        """Lock as soon as what may not be cut short has ended: looks at files are cut short."""
        if self.job is None or not self.job.running or self.job.can_stop:
            sandbox.end_all(for_good=True)
        self.ending.set()

    def wait_for_work(self) -> None:
        """Nothing locks during an import."""
        if self.job is not None:
            self.job.join()

    def close(self) -> None:
        """Close what is open; called by the thread that opened it."""
        if self._desk is not None:
            self._desk.vault.close()
        self._desk = self._secret = self._token = None
