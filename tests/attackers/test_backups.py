"""Somebody finds a backup of the server, without the operator's key and with it."""

from __future__ import annotations

from pathlib import Path

from attackers.people import TipLine, tipbox
from attackers.toolkit import Captured, Seized, shared_bytes, words_opened


def backup(line: TipLine, folder: Path) -> tuple[Path, Path]:
    """A backup, and the operator's key that opens it; the onion service has one file."""
    onion = folder / "tor" / "source"
    onion.mkdir(parents=True)
    (onion / "hs_ed25519_secret_key").write_bytes(b"the secret key of an onion service")
    tipbox("server", "backup-key", "--out", folder / "operator.key")
    common = ("--to", folder / "operator.key.pub", "--onion", folder / "tor")
    tipbox("server", "backup", "--home", line.server.home, "--out", folder / "backup", *common)
    return folder / "backup", folder / "operator.key"


def test_without_the_operator_s_key_it_shows_nothing_of_the_server(line: TipLine, tmp_path: Path) -> None:
    """No eight bytes of an Envelope, of an organisation's id, or of any private key."""
    sent = line.source().send("Kept for later.", to=("fidh",))
    made, key = backup(line, tmp_path)
    seized, data = Seized.copy(line.server, line.scratch("seized")), made.read_bytes()
    kept = [seized.tips()[sent.id], Captured(line.desks["fidh"]).id, seized.keys.seed, seized.keys.signing.encode()]
    kept += [b"the secret key of an onion service", *(f"{name}.json".encode() for name in line.desks)]

    assert [one for one in kept if shared_bytes(one, data, 8)] == []
    assert tipbox("server", "backup-key", "--out", tmp_path / "other.key").code == 0
    drill = ("server", "restore", "--home", tmp_path / "new", made, "--json")
    assert tipbox(*drill, "--identity", tmp_path / "other.key", expect=None).code == 4
    assert tipbox(*drill, "--identity", key).code == 0, "the control: with the right one it opens"


def test_with_it_there_are_sealed_tips_and_the_keys_of_the_server(line: TipLine, tmp_path: Path) -> None:
    """Also a tip that all have carried since; no mailbox, and nothing that opens a tip."""
    source = line.source()
    sent = source.send("Not for finders.", to=("fidh",))
    line.carry("fidh")
    line.desks["fidh"].reply(sent.id, "Nor is this.")
    line.answer("fidh")
    made, key = backup(line, tmp_path)
    for name in ("ili", "kibhr"):
        line.carry(name)
        line.answer(name)
    new, onion = tmp_path / "new", tmp_path / "tor again"
    tipbox("server", "restore", "--home", new, made, "--identity", key, "--onion", onion)
    here, there = Seized.copy(line.server, line.scratch("seized")), Seized(new)

    assert sent.id not in here.openings()
    assert sent.id in there.openings()
    assert there.keys.seed == here.keys.seed
    assert (onion / "source" / "hs_ed25519_secret_key").read_bytes() == b"the secret key of an onion service"
    assert len(here.replies()) > 0 == len(there.replies())
    assert words_opened(there.openings().values(), {there.keys.seed, there.keys.signing.encode()}) == set()
