"""Makes a small vault of the present version: python tests/schemas/make_vault.py NAME, once, before the next version.

It is written to ``tests/schemas/vaults/NAME/vault`` and stays there as it is: what a desk of that release left. Its
passphrase is ``PASSPHRASE``; the private keys in it are for tests, and have never opened anything else. All receiving
keys and manifests but the first are left out, to keep it small. With it, ``expected.json`` says what must still be
shown after every later version. ``--plain`` leaves out what vaults from before the first release could not hold; so
``vaults/before`` was made at the commit before the formats were mended.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support import desk as support  # noqa: E402
from support.desk import TODAY, Desk, Exporter, seal_tip  # noqa: E402
from tipbox.desk import conversations, replies, tips  # noqa: E402
from tipbox.desk.inbox import listing  # noqa: E402
from tipbox.desk.keys import ceremony  # noqa: E402
from tipbox.desk.outbox import write_outbox  # noqa: E402
from tipbox.desk.vault.records import PublicKey, SignedManifest  # noqa: E402
from tipbox.desk.vault.vault import INDEX_FILE, Vault  # noqa: E402
from tipbox.formats.access_code import AccessCode  # noqa: E402

PASSPHRASE = b"only the tests keep this one"
LARGEST = 200_000


def main(name: str, *, plain: bool) -> None:
    """Make it."""
    work = Path(tempfile.mkdtemp())
    support.PASSWORD = PASSPHRASE
    desk, server, source = Desk.make(work, "kibhr"), Exporter(), AccessCode.generate().secrets()
    with desk.open(write=True) as vault:
        _prune(vault, PublicKey.kind, {key.key for key in PublicKey.all(vault) if key.start == TODAY})
        _prune(
            vault, SignedManifest.kind, {one.key for one in SignedManifest.all(vault) if one.manifest.start == TODAY}
        )
    manifests = [desk.manifest]
    first = seal_tip(manifests, message="Что я видел".encode(), secrets=source, **({} if plain else _words()))
    more: dict[str, Any] = {} if plain else {"continues": first.hash}
    files = seal_tip(manifests, message=b"", files=[("фото.jpg", b"photo" * 100)], secrets=source, **more)
    stranger = seal_tip(manifests, message=b"Somebody else")
    desk.take(server.export(work / "1.bundle", desk.manifest, [first, files, stranger]))
    with desk.open(write=True) as vault:
        replies.queue_reply(vault, tips.find_tip(vault, first.id.hex()), b"When was this?", [], today=TODAY)
        write_outbox(vault, ceremony.organisation_of(vault), work / "o.bundle", today=TODAY)
        organisation = ceremony.organisation_of(vault)
        expected = {
            "list": listing.list_tips(vault, organisation),
            "thread": conversations.thread_of(vault, organisation, tips.find_tip(vault, first.id.hex())),
        }
    keep(desk.vault, name, expected)
    shutil.rmtree(work)


def _words() -> dict[str, Any]:
    from tipbox.formats.envelopes.consent import Consent

    return {"files_follow": 2, "consent": Consent(1, ask_me=True, never=("the press",))}


def _prune(vault: Vault, kind: str, kept: set[bytes]) -> None:
    """Delete all records of a kind but those with these ids."""
    names = {vault.name(kind, ident) for ident in kept}
    for name in vault.names(kind) - names:
        vault._query("DELETE FROM record WHERE kind = ? AND name = ?", kind, name)
    vault._query("VACUUM")


def keep(vault: Path, name: str, expected: dict[str, Any]) -> None:
    """Write it beside this file."""
    out = HERE / "vaults" / name
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(vault, out / "vault", ignore=shutil.ignore_patterns(INDEX_FILE))  # it can be made again
    (out / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n", encoding="ascii")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    if size > LARGEST:
        raise SystemExit(f"{size:,} bytes are too many to keep")
    sys.stdout.write(f"{out}: {size:,} bytes\n")


if __name__ == "__main__":
    main(sys.argv[1], plain="--plain" in sys.argv)
