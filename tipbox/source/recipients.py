"""Whom a tip is sealed to: the manifests of a folder, and those of them that the source chose."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

from tipbox.errors import Malformed, NotFound, OlderSerial, TipboxError
from tipbox.files.key_folder import load_folder
from tipbox.formats.access_code import Secrets
from tipbox.formats.base.limits import MAX_SLOTS
from tipbox.formats.envelopes.envelope import Recipient
from tipbox.formats.manifest import Manifest

MAX_UNVERIFIED: Final = 8
"""Slots for organisations that only the server names; more only when a person chose them."""


@dataclass(frozen=True)
class Addressees:
    """Manifests of all organisations that are known, and the ids of those chosen.

    Attributes:
        unverified: ids of those whose manifests came from the server alone, which could put in its own.
    """

    manifests: tuple[Manifest, ...]
    chosen: frozenset[bytes]
    unverified: frozenset[bytes] = frozenset()

    @classmethod
    def load(cls, folder: Path, to: Collection[str], remark: Callable[[str], None]) -> Addressees:
        """Read a folder of manifests and choose ``to`` by short name; all when it is empty.

        A manifest that is not good, of an organisation that was not chosen, does not keep tips from the others: it is
        left out, and ``remark`` is told.

        Raises:
            NotFound: there is no manifest, or none of a chosen organisation.
            TipboxError: the manifest of a chosen organisation is not good; the message names its file.
        """

        def leave_out(name: str, error: TipboxError) -> bool:
            if not to or name in to:
                return False
            remark(f"{error} Going on without {name}, which was not chosen.")
            return True

        return cls.of(load_folder(folder, leave_out), to, "--keys")

    @classmethod
    def of(cls, manifests: Iterable[Manifest], to: Iterable[str], origin: str) -> Addressees:
        """Choose ``to`` by short name among manifests that come from ``origin``; all when it is empty.

        Raises:
            NotFound: there is no manifest of a chosen organisation.
        """
        manifests = tuple(manifests)
        by_name = {manifest.organisation: manifest.id for manifest in manifests}
        names = list(to) or list(by_name)
        unknown = [name for name in names if name not in by_name]
        if unknown:
            raise NotFound(
                f"choosing organisations: {origin} has none with the name {unknown[0]}; it has {', '.join(by_name)}"
            )
        return cls(manifests, frozenset(by_name[name] for name in names))

    @classmethod
    def served(cls, manifests: Iterable[Manifest], to: Iterable[str]) -> Addressees:
        """Choose among manifests that the server alone names."""
        found = cls.of(manifests, to, "the server")
        return replace(found, unverified=frozenset(manifest.id for manifest in found.manifests))

    def with_fillers(self, served: Iterable[Manifest]) -> Addressees:
        """Fillers also for those that the server alone names: who has few manifests looks like everybody else."""
        ids, names = (
            {manifest.id for manifest in self.manifests},
            {manifest.organisation for manifest in self.manifests},
        )
        others = [manifest for manifest in served if manifest.id not in ids and manifest.organisation not in names]
        return replace(
            self,
            manifests=(*self.manifests, *others),
            unverified=self.unverified | {manifest.id for manifest in others},
        )

    @property
    def chosen_manifests(self) -> list[Manifest]:
        """The manifests of those chosen."""
        return [manifest for manifest in self.manifests if manifest.id in self.chosen]

    def recipients(self, secrets: Secrets, today: date) -> list[Recipient]:
        """One slot for each organisation with a manifest that is good today: with a filler for those not chosen.

        At most MAX_SLOTS, and of those that only the server names MAX_UNVERIFIED; who was chosen has a slot anyway.

        Raises:
            Expired, NotYetValid, NoCurrentKey: the manifest of one that is chosen is not good today.
        """
        recipients: list[Recipient] = []
        unverified = 0
        for manifest in sorted(self.manifests, key=self._rank):
            chosen = manifest.id in self.chosen
            try:
                manifest.check(today)
                key = manifest.current_key(today)
            except TipboxError as error:
                if chosen:  # others only lose their filler: nobody's tip may depend on a manifest that was not chosen
                    raise type(error)(f"sealing to {manifest.organisation}: {error}") from error
                continue
            unverified += manifest.id in self.unverified
            full = len(recipients) >= MAX_SLOTS or (manifest.id in self.unverified and unverified > MAX_UNVERIFIED)
            if full and not chosen:
                break
            pair = (secrets.pair_key(manifest.id), secrets.mailbox_address(manifest.id)) if chosen else (None, b"")
            recipients.append(Recipient(manifest.id, key.id, key.public, *pair))
        return recipients

    def _rank(self, manifest: Manifest) -> tuple[bool, bool, bytes]:
        return manifest.id not in self.chosen, manifest.id in self.unverified, manifest.id

    def compared(self, served: Callable[[str], bytes | None], remark: Callable[[str], None]) -> Addressees:
        """Compare with what a server serves, and take its manifest where it is newer.

        All organisations are compared, chosen or not: what the server sees does not depend on the choice. One that the
        server does not know would make it refuse the tip: it gets no slot, and ``remark`` is told.

        Args:
            served: fetches the manifest of a short name; None when the server knows none.
            remark: told what a person should know.

        Raises:
            IdentityChanged: the server serves another identity key.
            NotFound: the server does not know an organisation that was chosen.
        """
        known = []
        for manifest in self.manifests:
            name = manifest.organisation
            data = served(name)
            if data is not None:
                known.append(_newer(manifest, data))
            elif manifest.id in self.chosen:
                raise NotFound(
                    f"comparing keys: the server does not know {name}, so nothing was sent; use the keys of this server"
                )
            else:
                remark(f"the server does not know {name}: it gets no slot")
        return replace(self, manifests=tuple(known))


def _newer(known: Manifest, data: bytes) -> Manifest:
    try:
        manifest = Manifest.parse(data)
        if manifest.organisation != known.organisation:
            raise Malformed("it names another organisation")
        manifest.check_replaces(known)
    except OlderSerial:
        return known
    except TipboxError as error:
        raise type(error)(
            f"comparing the server's key of {known.organisation}: {error} Ask the organisation before you send."
        ) from error
    return manifest
