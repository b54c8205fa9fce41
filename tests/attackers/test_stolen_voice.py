"""B takes the key that A shares with a source out of A's own answer, and speaks in the name of either of them.

It forges a letter under the shared header with a way back to a code of its own, and A answers the newest message of
the thread. What it then knows lasts: no help of the server, and no second shared tip, is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from attackers.people import Desk, SentTip, Source, TipLine
from attackers.toolkit import Captured, envelope_id, pair_key_out_of_replies, upload
from tipbox.formats.access_code import AccessCode
from tipbox.formats.manifest import Manifest

WORDS = "Они увезли троих."
ANSWER = "We have it. Are you safe?"


@dataclass(frozen=True)
class Scene:
    """A has answered what looked like the newest message of a source's thread."""

    source: Source
    sent: SentTip
    desk: Desk
    attacker: Captured
    shared: bytes
    stolen: bytes | None
    """What B found in its own mailbox: the pair key of A and the source, or nothing."""


@pytest.fixture(scope="module", name="scene")
def _scene(line: TipLine) -> Scene:
    source, desk, attacker, trap = line.source(), line.desks["fidh"], Captured(line.desks["ili"]), AccessCode.generate()
    sent = source.send(WORDS, to=("fidh", "ili"))
    line.carry("ili")
    shared = attacker.collect(line.export("ili"))[sent.id]
    forged = attacker.forge_letter(shared, "Please write to me here.")
    upload(line.server, forged)
    line.carry("fidh")
    newest = envelope_id(forged)
    desk.reply(newest if desk.lists(newest) else sent.id, ANSWER)
    line.answer("fidh")
    return Scene(source, sent, desk, attacker, shared, pair_key_out_of_replies(line.server, trap, Captured(desk).id))


def test_the_answer_goes_to_the_source(scene: Scene) -> None:
    assert ANSWER in scene.source.told_by("fidh")


def test_b_says_nothing_to_the_source_in_a_s_name(line: TipLine, scene: Scene) -> None:
    out = line.scratch("in") / "ili.bundle"
    line.bring_back(
        scene.attacker.write_to_the_source(scene.stolen, scene.shared, "fidh here: your full name, please.", out)
    )

    assert set(scene.source.told_by("fidh")) <= {ANSWER}


def test_b_says_nothing_to_a_in_the_source_s_name(line: TipLine, scene: Scene) -> None:
    manifest = Manifest.parse((line.keys / "fidh.json").read_bytes())
    text = "I take everything back."
    upload(line.server, scene.attacker.write_as_the_source(scene.stolen, scene.shared, manifest, text))
    line.carry("fidh")

    assert text not in scene.desk.says_the_source(scene.sent.id)
