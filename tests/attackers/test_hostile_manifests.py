"""An organisation, or whoever wrote a file in its name, publishes keys that are none.

A manifest is one signed file with one reading: `keys verify` and the page say the same of it, and say so before anybody
seals to it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from attackers.people import TipLine, tipbox
from attackers.toolkit import (
    SMALL_ORDER,
    Captured,
    bad_receiving_keys,
    sign_receiving_keys,
    sign_with_a_small_nonce,
    sign_with_small_order,
)
from support.node import Node
from tipbox.formats.base import days
from tipbox.formats.manifest import Manifest


@pytest.fixture(scope="module", name="page")
def _page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The client as the page runs it."""
    node = Node.build(tmp_path_factory.mktemp("page"))
    yield node
    node.close()


def verified(file: bytes, folder: Path) -> list[str]:
    """What `keys verify` says of a manifest: the codes of what is wrong with it."""
    (folder / "ili.json").write_bytes(file)
    done = tipbox("keys", "verify", "--keys", folder, "--json", expect=None)
    return [problem["error"] for problem in done.json[0]["problems"]]


def read(page: Node, file: bytes) -> list[str]:
    """What the page says of it."""
    answer = page.ask("manifest", file=base64.b64encode(file).decode(), day=days.today().isoformat())
    return [answer["error"]] if "error" in answer else []


@pytest.mark.parametrize("how", ["ml-kem", "x25519-zero", "x25519-one"])
def test_a_key_that_nobody_can_seal_to_is_refused_where_it_is_read(
    line: TipLine, page: Node, tmp_path: Path, how: str
) -> None:
    manifest = Manifest.parse((line.keys / "ili.json").read_bytes())
    public = bad_receiving_keys(manifest.keys[0].public)[how]
    (key, *_) = manifest.keys
    file = sign_receiving_keys(manifest, Captured(line.desks["ili"]), [replace(key, public=public)])

    assert verified(file, tmp_path) == ["malformed"]
    assert read(page, file) == ["malformed"]


@pytest.mark.parametrize("how", SMALL_ORDER)
def test_a_manifest_that_anybody_could_have_signed_reads_the_same_in_both(
    line: TipLine, page: Node, tmp_path: Path, how: str
) -> None:
    file = sign_with_small_order(Manifest.parse((line.keys / "ili.json").read_bytes()), SMALL_ORDER[how])
    answers = [verified(file, tmp_path), read(page, file)]

    assert answers == [["malformed"], ["malformed"]]


def test_a_signature_of_small_order_reads_the_same_in_both(line: TipLine, page: Node, tmp_path: Path) -> None:
    file = sign_with_a_small_nonce(Manifest.parse((line.keys / "ili.json").read_bytes()), Captured(line.desks["ili"]))
    answers = [verified(file, tmp_path), read(page, file)]

    assert answers == [["bad-signature"], ["bad-signature"]]


def test_a_receiving_key_that_never_ends_is_refused(line: TipLine, page: Node, tmp_path: Path) -> None:
    """What is sealed to it can be opened for as long as somebody keeps its private half."""
    manifest = Manifest.parse((line.keys / "ili.json").read_bytes())
    (key, *_) = manifest.keys
    endless = replace(key, end=key.start + timedelta(days=92))
    file = sign_receiving_keys(manifest, Captured(line.desks["ili"]), [endless])

    assert verified(file, tmp_path) == ["malformed"]
    assert read(page, file) == ["malformed"]


def test_no_day_has_two_receiving_keys_to_choose_from(line: TipLine, page: Node, tmp_path: Path) -> None:
    """Which one a source seals to would say which software it has, and decide who holds the private half."""
    manifest = Manifest.parse((line.keys / "ili.json").read_bytes())
    key, other, *_ = manifest.keys
    twins = [key, replace(other, start=key.start)]
    file = sign_receiving_keys(manifest, Captured(line.desks["ili"]), twins)

    assert verified(file, tmp_path) == ["malformed"]
    assert read(page, file) == ["malformed"]
