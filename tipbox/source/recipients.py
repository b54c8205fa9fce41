"""Whom a tip is sealed to: the manifests of a folder, and those of them that the source chose."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tipbox.errors import Malformed, NotFound, OlderSerial, TipboxError
from tipbox.files.key_folder import load_folder
from tipbox.formats.access_code import Secrets
from tipbox.formats.envelopes.envelope import Recipient
from tipbox.formats.manifest import Manifest


@dataclass(frozen=True)
class Roster:
    """Manifests of all organisations that are known, and the ids of those chosen."""

    manifests: tuple[Manifest, ...]
    chosen: frozenset[bytes]

    @classmethod
    def load(cls, folder: Path, to: Collection[str], remark: Callable[[str], None]) -> Roster:
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
    def of(cls, manifests: Iterable[Manifest], to: Iterable[str], origin: str) -> Roster:
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

    @property
    def chosen_manifests(self) -> list[Manifest]:
        """The manifests of those chosen."""
        return [manifest for manifest in self.manifests if manifest.id in self.chosen]

    def recipients(self, secrets: Secrets, today: date) -> list[Recipient]:
        """One slot for each organisation with a manifest that is good today: with a filler for those not chosen.

        Raises:
            Expired, NotYetValid, NoCurrentKey: the manifest of one that is chosen is not good today.
        """
        recipients = []
        for manifest in self.manifests:
            chosen = manifest.id in self.chosen
            try:
                manifest.check(today)
                key = manifest.current_key(today)
            except TipboxError as error:
                if chosen:  # others only lose their filler: nobody's tip may depend on a manifest that was not chosen
                    raise type(error)(f"sealing to {manifest.organisation}: {error}") from error
                continue
            pair_key = secrets.pair_key(manifest.id) if chosen else None
            recipients.append(Recipient(manifest.id, key.id, key.public, pair_key))
        return recipients

    def compared(self, served: Callable[[str], bytes]) -> Roster:
        """Compare with what a server serves, and take its manifest where it is newer.

        All organisations are compared, chosen or not: what the server sees does not depend on the choice.

        Args:
            served: fetches the manifest of a short name.

        Raises:
            IdentityChanged: the server serves another identity key.
        """
        return Roster(tuple(_newer(known, served(known.organisation)) for known in self.manifests), self.chosen)


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
