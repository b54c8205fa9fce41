"""Three organisations, addressed in all seven ways: who opens what, what acknowledgements tell, when a tip goes."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from pathlib import Path

import pytest

from faults.sending import ROOMY, send
from faults.stored import blobs, inward, rows
from support.commands import commands_in_process
from support.world import NAMES, Desk, Ring, Server, World, running_world
from tipbox.desk.keys.ceremony import manifests, organisation_of
from tipbox.desk.vault.vault import Vault
from tipbox.errors import BadSignature, InputRefused, PartlyDone
from tipbox.formats.base import canonical, days, fields, labels
from tipbox.formats.base.primitives import SigningKey, sign
from tipbox.formats.bundles.acknowledgement import acknowledge, read_acknowledgement
from tipbox.formats.bundles.bundle import INWARD, Index
from tipbox.formats.bundles.bundle_write import item_of, write_bundle
from tipbox.formats.manifest import server_id
from tipbox.server.home import Home, load_server_keys

WAYS = [way for count in (1, 2, 3) for way in combinations(sorted(NAMES), count)]
ORDERS = list(permutations(sorted(NAMES)))
FILE_SIZES = (100_000, 0)


@dataclass(frozen=True)
class Tip:
    """A tip as its source sent it."""

    id: str
    to: tuple[str, ...]
    message: bytes
    files: dict[str, bytes]


@dataclass(frozen=True)
class Addressed:
    """A server that holds a tip with files and one without for each of the seven ways, and three desks."""

    world: World
    tips: tuple[Tip, ...]

    @property
    def home(self) -> Path:
        return self.world.server.home

    @property
    def ids(self) -> set[str]:
        return {tip.id for tip in self.tips}

    def copy(self, folder: Path) -> Addressed:
        """The same state in another folder; its server does not run, its commands do."""
        shutil.copytree(self.home, folder / "home")
        ring = self.world.ring.copy(folder / "ring")
        server = replace(self.world.server, home=folder / "home", keys=ring.keys, process=None)
        return Addressed(World(folder, ring, server), self.tips)

    def with_home(self, folder: Path) -> Server:
        """Only the server's folder, copied."""
        shutil.copytree(self.home, folder)
        return replace(self.world.server, home=folder, process=None)


@pytest.fixture(scope="module", autouse=True)
def _quick_commands(ring: Ring) -> Iterator[None]:
    assert ring.keys.is_dir()
    with commands_in_process():
        yield


@pytest.fixture(scope="module")
def sent(ring: Ring) -> Iterator[Addressed]:
    seed = 20220105
    source = random.Random(seed)
    with running_world(ring, tcp=True, settings=ROOMY) as world:
        tips = []
        for way in WAYS:
            for with_files in (False, True):
                message = f"{source.randbytes(8).hex()} к {len(way)}".encode()
                folder = world.scratch("tip")
                (folder / "message").write_bytes(message)
                files = {f"{number}.bin": source.randbytes(size) for number, size in enumerate(FILE_SIZES)}
                files = files if with_files else {}
                for name, data in files.items():
                    (folder / name).write_bytes(data)
                paths = [folder / name for name in files]
                done = send(f"http://{world.server.bind}", world.keys, folder / "message", paths, way)
                tips.append(Tip(done.tip, way, message, files))
        world.server.stop()
        yield Addressed(world, tuple(tips))


@dataclass(frozen=True)
class Carried:
    """The same after each desk has imported its Bundles and written its outbox."""

    addressed: Addressed
    outboxes: dict[str, Path]


@pytest.fixture(scope="module")
def carried(sent: Addressed, tmp_path_factory: pytest.TempPathFactory) -> Carried:
    addressed = sent.copy(tmp_path_factory.mktemp("carried"))
    for name in NAMES:
        addressed.world.carry(name)
    outboxes = {
        name: desk.outbox(addressed.world.folder / f"{name}.outbox") for name, desk in addressed.world.desks.items()
    }
    return Carried(addressed, outboxes)


def test_each_desk_opens_exactly_its_own(carried: Carried, tmp_path: Path) -> None:
    for name, desk in carried.addressed.world.desks.items():
        own = {tip.id: tip for tip in carried.addressed.tips if name in tip.to}
        assert len(own) == 8
        assert {listed["id"] for listed in desk.tips()} == set(own)
        for ident, tip in own.items():
            opened = desk.open(ident, tmp_path / f"{name}-{ident[:16]}")
            assert opened.message == tip.message
            assert {file: path.read_bytes() for file, path in opened.files.items()} == tip.files


def test_acknowledgements_of_the_three_are_equal_but_for_the_signature(carried: Carried) -> None:
    home = carried.addressed.home
    opened = {name: inward(home, path) for name, path in carried.outboxes.items()}
    lists, signatures = set(), set()
    for items in opened.values():
        (acknowledgement,) = items["ack"]
        value = json.loads(acknowledgement)
        signatures.add(value.pop("signature"))
        lists.add(canonical.encode(value))
        assert set(value["envelopes"]) == carried.addressed.ids
    assert len(lists) == 1
    assert len(signatures) == len(NAMES)
    assert len({frozenset((kind, len(listed)) for kind, listed in items.items()) for items in opened.values()}) == 1
    assert len({path.stat().st_size for path in carried.outboxes.values()}) == 1


def test_nothing_on_the_server_depends_on_the_choice(sent: Addressed) -> None:
    stored = rows(sent.home)
    assert set(stored) == sent.ids
    for with_files in (False, True):
        alike = {stored[tip.id] for tip in sent.tips if bool(tip.files) == with_files}
        assert len(alike) == 1
        (row,) = alike
        assert len(row.slots) == len(NAMES)
        assert row.has_blob == with_files


def test_bundles_to_the_three_have_the_same_size(sent: Addressed, tmp_path: Path) -> None:
    server = sent.with_home(tmp_path / "home")
    sizes = {tuple(path.stat().st_size for path in server.export(name, tmp_path / name)) for name in NAMES}
    assert len(sizes) == 1


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_a_tip_leaves_only_after_the_third_acknowledgement(
    carried: Carried, order: tuple[str, ...], tmp_path: Path
) -> None:
    server = carried.addressed.with_home(tmp_path / "home")
    bodies = blobs(server.home)
    for number, name in enumerate(order, 1):
        server.run("import", carried.outboxes[name])
        if number < len(order):
            left = rows(server.home)
            assert set(left) == carried.addressed.ids
            assert all(sum(done for _, done in row.slots) == number for row in left.values())
            assert blobs(server.home) == bodies
    assert rows(server.home) == {}
    assert blobs(server.home) == set()


@pytest.mark.parametrize("name", sorted(NAMES))
def test_one_desk_alone_deletes_nothing(carried: Carried, name: str, tmp_path: Path) -> None:
    server = carried.addressed.with_home(tmp_path / "home")
    desk = replace(carried.addressed.world.desks[name], folder=tmp_path / name)
    shutil.copytree(carried.addressed.world.desks[name].folder, desk.folder)
    outboxes = [carried.outboxes[name], *(desk.outbox(tmp_path / f"{number}.outbox") for number in range(3))]
    bodies = blobs(server.home)
    for outbox in [*outboxes, *reversed(outboxes), outboxes[1], outboxes[1]]:
        server.run("import", outbox, expect=None)  # a repeated Bundle may be refused or be no news
    server.run("prune")
    assert set(rows(server.home)) == carried.addressed.ids
    assert blobs(server.home) == bodies
    for other in set(NAMES) - {name}:
        fresh = tmp_path / f"fresh-{other}"
        shutil.copytree(carried.addressed.world.desks[other].folder, fresh)
        volumes = server.export(other, tmp_path / f"to-{other}")
        done = Desk(other, fresh).take(*volumes)
        assert done.code == 0
        own = {tip.id for tip in carried.addressed.tips if other in tip.to}
        assert {listed["id"] for listed in Desk(other, fresh).tips()} == own


def test_lost_repeated_and_reordered_bundles_do_no_harm(sent: Addressed, tmp_path: Path) -> None:
    here = sent.copy(tmp_path / "here")
    server = here.world.server
    for name, desk in here.world.desks.items():
        exports = [server.export(name, tmp_path / f"{name}-{number}") for number in range(3)]
        # The first is lost, the third overtakes the second, and both come twice.
        for volumes in (exports[2], exports[1], exports[1], exports[2]):
            desk.take(*volumes)
        assert {one["id"] for one in desk.tips()} == {tip.id for tip in here.tips if name in tip.to}
        first, second, third = (desk.outbox(tmp_path / f"{name}-{number}.in") for number in range(3))
        assert first.exists()  # lost on its way
        for outbox in (third, second, third):
            server.run("import", outbox, expect=None)
        again = server.export(name, tmp_path / f"{name}-again")
        before = desk.tips()
        desk.take(*again)
        assert desk.tips() == before
    assert rows(server.home) == {}
    assert blobs(server.home) == set()


# --- forgeries --------------------------------------------------------------------------------------------------------


def _desk_key(desk: Desk) -> tuple[SigningKey, bytes, bytes]:
    """A desk's present signing key, its organisation's id, and its manifest's file."""
    with Vault.open(desk.vault, desk.secret.read_bytes().rstrip(b"\n")) as vault:
        begun = [one for one in manifests(vault) if one.manifest.start <= days.today() and one.desk_seed]
        return SigningKey(begun[-1].desk_seed), organisation_of(vault).id, begun[-1].file.encode()


def _forged(
    home: Path, out: Path, *, organisation: bytes, signer: SigningKey, items: dict[str, bytes], sequence: int = 1
) -> Path:
    """An inward Bundle as somebody with the core's code writes it."""
    server = load_server_keys(Home(home))
    index = Index(days.today(), INWARD, organisation, signer.verify_key.encode(), sequence, ())
    with out.open("wb") as file:
        write_bundle(
            file,
            index,
            [item_of(kind, data) for kind, data in items.items()],
            reader=server_id(server.signing.verify_key.encode()),
            reader_public=server.public,
            signer=signer,
        )
    return out


FORGERIES = [
    "own acknowledgement, to show that the harness is accepted",
    "another organisation's desk key",
    "a key that nobody knows",
    "an acknowledgement signed by another organisation",
    "an acknowledgement signed under another label",
    "a manifest of another organisation",
]


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_acknowledgements_are_refused(sent: Addressed, forgery: str, tmp_path: Path) -> None:
    server = sent.with_home(tmp_path / "home")
    victim, organisation, manifest = _desk_key(sent.world.desks["kibhr"])
    attacker, _, attackers_manifest = _desk_key(sent.world.desks["ili"])
    stranger = SigningKey.generate()
    ids = [bytes.fromhex(ident) for ident in sent.ids]
    genuine = acknowledge(ids, victim)
    envelopes: list[canonical.Json] = [*sorted(sent.ids)]
    unsigned = canonical.encode({"envelopes": envelopes})
    relabelled = canonical.encode(
        {"envelopes": envelopes, "signature": fields.to_base64(sign(labels.BUNDLE_IN, unsigned, victim))}
    )
    signer, items = {
        FORGERIES[0]: (victim, {"ack": genuine, "manifest": manifest}),
        FORGERIES[1]: (attacker, {"ack": acknowledge(ids, attacker)}),
        FORGERIES[2]: (stranger, {"ack": acknowledge(ids, stranger)}),
        FORGERIES[3]: (victim, {"ack": acknowledge(ids, attacker), "manifest": manifest}),
        FORGERIES[4]: (victim, {"ack": relabelled, "manifest": manifest}),
        FORGERIES[5]: (attacker, {"ack": acknowledge(ids, attacker), "manifest": attackers_manifest}),
    }[forgery]
    bundle = _forged(server.home, tmp_path / "forged", organisation=organisation, signer=signer, items=items)
    genuine_case = forgery == FORGERIES[0]
    done = server.run("import", bundle, expect=None)
    assert (done.code == 0) == genuine_case, done.err
    if not genuine_case:
        assert done.code in (InputRefused.exit_code, PartlyDone.exit_code), done.err
        assert "Traceback" not in done.err
    marked = {done for row in rows(server.home).values() for _, done in row.slots}
    assert marked == ({False, True} if genuine_case else {False})


def test_a_forged_signature_does_not_verify() -> None:
    desk, other = SigningKey.generate(), SigningKey.generate()
    data = acknowledge([bytes(32)], desk)
    assert read_acknowledgement(data, desk.verify_key.encode()) == [bytes(32)]
    with pytest.raises(BadSignature):
        read_acknowledgement(data, other.verify_key.encode())
