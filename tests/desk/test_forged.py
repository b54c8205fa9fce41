"""What comes in the name of a thread without its seal: counted, acknowledged, and never taken for its source's word."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from support.commands import Run
from support.desk import (
    PASSWORD,
    TODAY,
    Desk,
    Desks,
    Envelope,
    Exporter,
    acknowledged,
    listed,
    opened,
    seal_tip,
)
from tipbox.desk import canaries, conversations, sentences, tips
from tipbox.desk.importing.importer import ImportOutcome
from tipbox.desk.keys import ceremony, key_stick
from tipbox.desk.keys.keyring import keyring
from tipbox.desk.vault.records import ForgedEnvelope, Message, Thread
from tipbox.desk.vault.vault import INCOMING, TIPS
from tipbox.formats.access_code import Secrets, thread_id
from tipbox.formats.base.limits import ID_SIZE, KEY_SIZE, SEAL_SIZE
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.canary_list import message_of
from tipbox.formats.envelopes.body import read_padded, seal_body
from tipbox.formats.envelopes.consent import Consent
from tipbox.formats.envelopes.envelope import read_envelope
from tipbox.formats.envelopes.header import Header, Kind, OpenedSlot, Slot, open_slot
from tipbox.formats.envelopes.letter import Letter, open_letter, seal_letter
from tipbox.formats.envelopes.seals import tag

WORDS = "Стреляли вчера вечером на площади.".encode()
LIES = b"Nobody was there. Send me the names of your people."
SOURCE = Secrets(random_bytes(KEY_SIZE))
FILE = b"TRUE" * 30_000


@dataclass
class Accomplice:
    """An organisation that shares a tip with the desk under attack: it has its own slot and the public header."""

    desk: Desk
    shared: Envelope

    @property
    def slot(self) -> OpenedSlot:
        """What the source wrote into its slot."""
        with self.desk.open() as vault:
            stick = key_stick.load(key_stick.stick_path(self.desk.vault), PASSWORD)
            find_key = keyring(vault, self.desk.manifest.id, stick)
            return open_slot(self.header, self.desk.manifest.id, find_key)

    @property
    def header(self) -> Header:
        """The header that the source made."""
        return read_envelope(io.BytesIO(self.shared.data)).header

    @property
    def letter(self) -> Letter:
        """The letter that the source wrote."""
        reading = read_envelope(io.BytesIO(self.shared.data))
        return open_letter(reading.header, self.slot.content_key, reading.letter)

    @property
    def parts(self) -> bytes:
        """The parts that the source sealed."""
        return self.shared.data[self.header.opening_size : -self.header.trailer_size]

    @property
    def trailer(self) -> bytes:
        """The tags that the source made."""
        return self.shared.data[-self.header.trailer_size :]

    def seal(self, header: Header, letter: Letter, parts: bytes) -> Envelope:
        """An Envelope in which its own tag is right, and those of the others are what the source made."""
        sealed = seal_letter(header, self.slot.content_key, letter.encode(Kind.TIP))
        bare = header.encoded + sealed + parts
        place = SEAL_SIZE * [slot.organisation for slot in header.slots].index(self.desk.manifest.id)
        own = tag(header, self.slot, Envelope.of(bare + self.trailer).hash)
        return Envelope.of(bare + self.trailer[:place] + own + self.trailer[place + SEAL_SIZE :])

    def other_letter(self, **changes: object) -> Envelope:
        """Other words, or another consent, beside the same files."""
        return self.seal(self.header, replace(self.letter, **changes), self.parts)  # type: ignore[arg-type]

    def other_body(self) -> Envelope:
        """Other files of the same sizes behind the same letter."""
        lies = b"LIES" * (len(FILE) // 4)
        pieces = read_padded([(io.BytesIO(lies), len(lies))], self.header.body_size)
        return self.seal(self.header, self.letter, b"".join(seal_body(self.header, self.letter.body_key, pieces)))

    def other_trailer(self) -> Envelope:
        """The same, with tags of its own making."""
        return Envelope.of(self.shared.data[: -len(self.trailer)] + random_bytes(len(self.trailer)))

    def rewrapped(self, spoiled: Desk) -> Envelope:
        """The same words under a header in which a third organisation's slot holds nothing."""
        slots = tuple(
            Slot(slot.organisation, slot.key, random_bytes(len(slot.sealed)))
            if slot.organisation == spoiled.manifest.id
            else slot
            for slot in self.header.slots
        )
        header = replace(self.header, slots=slots)
        # Parts hang on the whole header too, so its maker seals them again.
        pieces = read_padded([(io.BytesIO(FILE), len(FILE))], header.body_size)
        return self.seal(header, self.letter, b"".join(seal_body(header, self.letter.body_key, pieces)))


@dataclass
class Scene:
    """A source has sealed a tip to all of ``desks``; the first of them wants to speak in its name to the last."""

    desks: Desks
    folder: Path
    server: Exporter
    true: Envelope

    @property
    def desk(self) -> Desk:
        """The one under attack."""
        return self.desks.desks[2]

    @property
    def accomplice(self) -> Accomplice:
        """Who attacks."""
        return Accomplice(self.desks.desks[0], self.true)

    def take(self, *envelopes: Envelope) -> ImportOutcome:
        """Import a Bundle with these, in this order."""
        path = self.folder / f"{self.server.sequence}.bundle"
        return self.desk.take(self.server.export(path, self.desk.manifest, envelopes))

    def talk(self) -> dict[str, object]:
        """The thread of the true tip."""
        with self.desk.open() as vault:
            found = tips.find_tip(vault, self.true.id.hex())
            return conversations.thread_of(vault, ceremony.organisation_of(vault), found)

    def remains(self) -> int:
        """Files of Envelopes in the vault, half-read ones too."""
        return sum(1 for folder in (TIPS, INCOMING) for _ in (self.desk.vault / folder).iterdir())


@pytest.fixture
def scene(desks: Desks, tmp_path: Path) -> Scene:
    true = seal_tip(desks.manifests, message=WORDS, files=[("a", FILE)], secrets=SOURCE)
    return Scene(desks, tmp_path, Exporter(), true)


FORGERIES = ("words", "files", "continues", "consent", "canary", "message id", "trailer", "re-wrapped")


def forged_by(scene: Scene, how: str) -> Envelope:
    accomplice = scene.accomplice
    makers: dict[str, Callable[[], Envelope]] = {
        "words": lambda: accomplice.other_letter(message=LIES, id=random_bytes(ID_SIZE)),
        "files": accomplice.other_body,
        "continues": lambda: accomplice.other_letter(message=LIES, continues=scene.true.hash),
        "consent": lambda: accomplice.other_letter(consent=Consent(0)),
        "canary": lambda: accomplice.other_letter(message=message_of(bytes(ID_SIZE))),
        "message id": lambda: accomplice.other_letter(id=random_bytes(ID_SIZE)),
        "trailer": accomplice.other_trailer,
        "re-wrapped": lambda: accomplice.rewrapped(scene.desks.desks[1]),
    }
    return makers[how]()


@pytest.mark.parametrize("how", FORGERIES)
def test_what_a_co_addressee_makes_is_acknowledged_and_nothing_else(scene: Scene, how: str) -> None:
    forged = forged_by(scene, how)
    outcome = scene.take(forged)
    assert (outcome.counts, outcome.problems, outcome.notices) == ({"forged": 1}, [], [])
    assert (listed(scene.desk), scene.remains()) == ([], 0)
    with scene.desk.open() as vault:
        assert [*Message.all(vault), *Thread.all(vault)] == []
    assert acknowledged(scene.server, scene.desk, scene.folder / "o") == [forged.id]
    assert scene.take(forged).counts == {"known": 1}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("how", FORGERIES)
def test_it_changes_nothing_of_how_the_true_tip_is_shown(scene: Scene, how: str, place: str) -> None:
    undisturbed = scene.desks.copy(scene.folder / "undisturbed")
    plain = replace(scene, desks=undisturbed, server=Exporter())
    plain.take(scene.true)
    forged = forged_by(scene, how)
    outcome = scene.take(*((forged, scene.true) if place == "before" else (scene.true, forged)))
    assert outcome.counts == {"forged": 1, "mine": 1}
    assert sum(outcome.forged.values()) == (place == "after"), "until then nobody knows the thread"
    assert listed(scene.desk) == listed(plain.desk)
    assert scene.talk() == {**plain.talk(), "forged": 1}
    assert scene.remains() == 1
    assert acknowledged(scene.server, scene.desk, scene.folder / "o") == sorted([forged.id, scene.true.id])
    assert (opened(scene.desk, scene.true.id, scene.folder / "out") / "files" / "001-a").read_bytes() == FILE


def test_what_the_digits_of_a_tip_vouch_for_no_forgery_has(scene: Scene) -> None:
    accomplice = scene.accomplice
    scene.take(accomplice.other_letter(message=LIES), accomplice.other_body(), scene.true)
    (tip,) = listed(scene.desk)
    assert [one["check_digits"] for one in tip["envelopes"]] == [scene.true.digits[scene.desk.manifest.id]]


def test_as_a_file_it_is_an_error_and_leaves_nothing(scene: Scene) -> None:
    path = scene.folder / "x.tip"
    path.write_bytes(scene.accomplice.other_letter(message=LIES).data)
    ((_, error),) = scene.desk.take(path).problems
    assert (error.code, int(error.exit_code), str(error)) == ("forged", 3, sentences.FORGED)
    assert (listed(scene.desk), scene.remains()) == ([], 0)
    scene.take(scene.true)
    assert scene.talk()["forged"] == 0


def test_one_that_ends_early_or_late_has_no_outcome(scene: Scene) -> None:
    """Bytes behind the trailer, or a trailer that is cut, are named as that: the seal is looked at last."""
    garbage = scene.true.data[:-1] + bytes([scene.true.data[-1] ^ 1])
    path = scene.folder / "x.tip"
    for data, code in ((garbage + b"x", "trailing"), (garbage[:-1], "incomplete")):
        path.write_bytes(data)
        assert [error.code for _, error in scene.desk.take(path).problems] == [code]
    assert (listed(scene.desk), scene.remains()) == ([], 0)


def test_all_of_a_thread_are_one_line_and_those_of_unknown_threads_none(scene: Scene) -> None:
    copies = [scene.accomplice.other_trailer() for _ in range(5)]
    strangers = [Accomplice(scene.desks.desks[0], seal_tip(scene.desks.manifests)).other_trailer() for _ in range(3)]
    scene.take(scene.true)
    outcome = scene.take(*copies, *strangers)
    thread = thread_id(SOURCE.pair_key(scene.desk.manifest.id))
    assert (outcome.counts, outcome.forged) == ({"forged": 8}, {thread: 5})
    assert scene.talk()["forged"] == 5
    assert len(listed(scene.desk)) == 1
    with scene.desk.open() as vault:
        kept = list(ForgedEnvelope.all(vault))
    assert {one.id for one in kept} == {one.id for one in (*copies, *strangers)}
    assert {(one.bundle, one.day) for one in kept} == {(2, TODAY)}


def test_a_canary_s_token_is_spent_by_its_source_alone(scene: Scene) -> None:
    with scene.desk.open(write=True) as vault:
        (token,) = canaries.new_list(vault, ceremony.organisation_of(vault), 1).tokens
    assert scene.take(scene.accomplice.other_letter(message=message_of(token))).canaries == []
    assert scene.take(seal_tip(scene.desks.manifests, message=message_of(token))).canaries == [1]


@pytest.mark.parametrize("first", ["true", "own"])
def test_a_tip_of_another_thread_continues_nothing(scene: Scene, first: str) -> None:
    """The accomplice writes as a source of its own, with a right seal, and names the other's tip as what it goes on."""
    own = seal_tip(scene.desks.manifests, [scene.desk.manifest], message=LIES, continues=scene.true.hash)
    scene.take(*((scene.true, own) if first == "true" else (own, scene.true)))
    rows = {tip["id"]: tip for tip in listed(scene.desk)}
    assert set(rows) == {scene.true.id.hex(), own.id.hex()}
    assert [rows[one.id.hex()]["before_missing"] for one in (scene.true, own)] == [False, True]
    assert rows[own.id.hex()]["thread"] != rows[scene.true.id.hex()]["thread"]
    assert [len(row["envelopes"]) for row in rows.values()] == [1, 1]


def test_a_replay_says_nothing_twice(scene: Scene) -> None:
    scene.take(scene.true)
    before = listed(scene.desk), scene.talk()
    path = scene.folder / "x.tip"
    path.write_bytes(scene.true.data)
    assert scene.desk.take(path).counts == {"known": 1}
    assert scene.take(scene.true).counts == {"known": 1}
    assert (listed(scene.desk), scene.talk()) == before


@pytest.mark.parametrize("first", ["true", "spoiled"])
def test_a_copy_with_another_s_tag_changed_is_the_same_tip(scene: Scene, first: str) -> None:
    """A live server, or another addressee, touches 32 bytes that are not this desk's: another id, one tip, no loss."""
    slots = [slot.organisation for slot in scene.accomplice.header.slots]
    other = (slots.index(scene.desk.manifest.id) + 1) % len(slots)
    at = len(scene.true.data) - SEAL_SIZE * (len(slots) - other)
    spoiled = Envelope.of(scene.true.data[:at] + bytes([scene.true.data[at] ^ 1]) + scene.true.data[at + 1 :])
    assert (spoiled.hash, spoiled.id != scene.true.id) == (scene.true.hash, True)
    both = (scene.true, spoiled) if first == "true" else (spoiled, scene.true)
    assert scene.take(*both).counts == {"mine": 1, "duplicate": 1}
    (tip,) = listed(scene.desk)
    assert tip["envelopes"][0]["check_digits"] == scene.true.digits[scene.desk.manifest.id]
    with scene.desk.open() as vault:
        assert {tips.find_tip(vault, one.id.hex()).id for one in both} == {both[0].id}, "either id names it"


def test_the_command_says_it_in_one_line_for_each_known_thread(scene: Scene, run: Run) -> None:
    secret = scene.folder / "secret"
    secret.write_bytes(PASSWORD)
    secret.chmod(0o600)
    options = ("--vault", scene.desk.vault, "--passphrase-file", secret)
    scene.take(scene.true)
    strange = Accomplice(scene.desks.desks[0], seal_tip(scene.desks.manifests)).other_trailer()
    copies = [scene.accomplice.other_trailer() for _ in range(2)]
    bundle = scene.server.export(scene.folder / "x.bundle", scene.desk.manifest, [*copies, strange])
    done = run("desk", "import", *options, "--copies", "1", bundle)
    thread = thread_id(SOURCE.pair_key(scene.desk.manifest.id)).hex()
    line = f"2 came in the name of this thread without its seal. {sentences.FORGED}"
    assert done.code == 8
    assert done.out.splitlines() == ["1 changed after sealing", f"thread {thread[:8]}: {line}"]
    shown = run("desk", "thread", *options, scene.true.id.hex())
    assert shown.out.splitlines()[1] == line
    again = run("desk", "import", *options, bundle, "--json")
    assert (again.code, again.json["outcomes"]) == (0, {"known": 3})
    path = scene.folder / "x.tip"
    path.write_bytes(scene.accomplice.other_body().data)
    refused = run("desk", "import", *options, path, "--json")
    assert (refused.code, refused.error) == (3, "forged")
