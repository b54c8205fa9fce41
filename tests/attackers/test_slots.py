"""Whoever sees an Envelope on its way counts its slots."""

from __future__ import annotations

from pathlib import Path

from attackers.people import TipLine
from attackers.toolkit import Seized, slots_of


def test_a_source_with_one_manifest_looks_like_all_others(line: TipLine, tmp_path: Path) -> None:
    """The organisation gave the source its own manifest and no other; the server names three."""
    only = tmp_path / "fidh.json"
    only.write_bytes((line.keys / "fidh.json").read_bytes())
    with_all = line.source().send("From somebody with all three manifests.", to=("fidh",))
    with_one = line.source().send("From somebody with one manifest.", keys=tmp_path)
    seen = Seized.copy(line.server, line.scratch("seized")).openings()

    assert slots_of(seen[with_one.id]) == slots_of(seen[with_all.id])
