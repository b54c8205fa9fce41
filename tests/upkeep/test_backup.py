"""Backups: under load, cut and flipped at any byte, killed at each write, restored and tried out."""

from __future__ import annotations

import io
import random
import shutil
import stat
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, Executable, func, select, update

from support.commands import commands_in_process, in_process
from support.killed import killed_at
from support.sealed import PART, Box, Organisation, Sent, envelope, inward, keys_folder
from support.server import Here, start
from support.world import Ring, running_world
from tipbox.errors import InputRefused, Malformed, TipboxError, UnknownKey
from tipbox.formats.base import days
from tipbox.formats.base.limits import SEALED_PART_SIZE
from tipbox.formats.base.padding import padme, sealed_size
from tipbox.formats.base.primitives import new_seed, seal_part, xwing_public
from tipbox.formats.bundles.acknowledgement import acknowledge
from tipbox.formats.bundles.bundle import Receipt
from tipbox.formats.bundles.bundle_write import item_of
from tipbox.formats.envelopes.body import open_body
from tipbox.formats.envelopes.envelope import read_envelope
from tipbox.formats.envelopes.header import open_slot
from tipbox.formats.envelopes.letter import open_letter
from tipbox.formats.envelopes.seals import check_seal
from tipbox.server.backup import container as backup_file
from tipbox.server.backup.container import Kind, Reader, Writer
from tipbox.server.backup.create import BackupFacts, make_backup
from tipbox.server.backup.drill import try_restore
from tipbox.server.backup.examine import examine_backup
from tipbox.server.backup.operator_key import PublicKey
from tipbox.server.backup.restore import restore_backup
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import import_bundles
from tipbox.server.home import Home, load_server_keys
from tipbox.server.process.run import prepare_server
from tipbox.server.storage.models import Base, Decoy, DecoyOpening, Envelope, Reply, Series
from tipbox.server.storage.models import Organisation as Known
from tipbox.server.storage.open_server import open_server
from tipbox.server.upkeep.check import check_server
from tipbox.server.upkeep.prune import prune_server
from tipbox.server.upkeep.status import server_status

pytestmark = pytest.mark.reads_date

SEED = new_seed()
KEY = PublicKey(xwing_public(SEED))


@pytest.fixture(name="keys", scope="module")
def _keys(organisations: list[Organisation], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keys_folder(tmp_path_factory.mktemp("keys") / "keys", organisations)


Keys = tuple[list[Organisation], Path]


@pytest.fixture(name="server_keys")
def _server_keys(organisations: list[Organisation], keys: Path) -> Keys:
    return organisations, keys


@pytest.fixture(name="onion")
def _onion(tmp_path: Path) -> Path:
    """A folder as tor keeps it."""
    folder = tmp_path / "tor" / "source"
    (folder / "authorized_clients").mkdir(parents=True)
    (folder / "hs_ed25519_secret_key").write_bytes(b"== ed25519v1-secret: type0 ==" + bytes(67))
    (folder / "hs_ed25519_public_key").write_bytes(b"== ed25519v1-public: type0 ==" + bytes(35))
    (folder / "hostname").write_text("a" * 56 + ".onion\n", encoding="ascii")
    (folder / "authorized_clients" / "kibhr.auth").write_text("descriptor:x25519:AAAA\n", encoding="ascii")
    return folder.parent


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def back_up(home: Path, out: Path, onion: Path | None = None) -> Path:
    made = make_backup(home, out, KEY, onion=onion)
    assert isinstance(made, BackupFacts)
    assert (made.size, made.damaged) == (out.stat().st_size, 0)
    return out


def fetched(home: Path, organisation: Organisation, out: Path) -> list[bytes]:
    shutil.rmtree(out, ignore_errors=True)
    bundles = [organisation.read(path) for path in write_volumes(home, organisation.name, out)]
    return sorted(
        b"".join(bundle.read(item)) for bundle in bundles for item in bundle.items if item.entry.kind == "envelope"
    )


def opens(data: bytes, organisation: Organisation) -> bool:
    """Whether the organisation opens an Envelope to its last part, and finds its seal right."""
    reading = read_envelope(io.BytesIO(data))
    slot = open_slot(reading.header, organisation.id, organisation.find_key)
    letter = open_letter(reading.header, slot.content_key, reading.letter)
    size = sum(len(part) for part in open_body(reading.header, letter.body_key, reading.parts))
    check_seal(reading.header, organisation.id, slot, reading.end())
    return size == letter.body_size


def read(home: Path, work: Callable[[Connection], object]) -> object:
    with open_server(home) as server:
        return server.store.read(work)


def count(home: Path, table: type[Base]) -> object:
    return read(home, lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one())


def receipts(home: Path, organisation: Organisation, out: Path) -> dict[bytes, Receipt | None]:
    """What an export says of each Envelope."""
    shutil.rmtree(out, ignore_errors=True)
    bundles = [organisation.read(path) for path in write_volumes(home, organisation.name, out)]
    entries = [item.entry for bundle in bundles for item in bundle.items]
    return {entry.hash: entry.receipt for entry in entries if entry.kind == "envelope"}


def is_well(home: Path) -> bool:
    return all(finding.ok for finding in check_server(home))


# --- the way there and back -------------------------------------------------------------------------------------------


def test_everything_committed_comes_back_and_nothing_else(
    server: Here, organisations: list[Organisation], onion: Path, tmp_path: Path
) -> None:
    one, other, third = organisations
    sent = [envelope(organisations, size) for size in (0, 1000, PART, 2_500_000)]
    server.upload(*sent)
    draft = envelope(organisations, 150_000)
    server.open(draft)
    server.put(draft, 0, 1)
    (server.home / "tipbox.toml").write_text("[retention]\ndays = 60\n", encoding="utf-8")
    outward = one.read(write_volumes(server.home, one.name, tmp_path / "out")[0])
    ack = item_of("ack", acknowledge([sent[0].id, sent[1].id], one.desk))
    import_bundles(server.home, [inward(tmp_path / "in", one, outward, [ack])])
    box = Box()
    outward = other.read(write_volumes(server.home, other.name, tmp_path / "out")[0])
    import_bundles(server.home, [inward(tmp_path / "in", other, outward, [box.item(box.reply(1000))])])
    assert count(server.home, Reply) == 1

    made = back_up(server.home, tmp_path / "backup", onion=onion)
    restored = restore_backup(tmp_path / "new", SEED, made, onion=tmp_path / "tor again")

    home = tmp_path / "new"
    assert (restored.envelopes, restored.expired, restored.damaged, restored.onion_files) == (4, 0, 0, 4)
    assert [finding.check for finding in restored.findings if not finding.ok] == []
    assert fetched(home, one, tmp_path / "one") == sorted(each.whole for each in sent[2:])
    for organisation in (other, third):
        found = fetched(home, organisation, tmp_path / "others")
        assert found == sorted(each.whole for each in sent)
        assert all(opens(data, organisation) for data in found)
    rows = {table.__tablename__: count(home, table) for table in Base.__subclasses__()}
    assert rows["envelope"] == 4
    assert (rows["decoy"], rows["decoy_opening"]) == (count(server.home, Decoy), count(server.home, DecoyOpening))
    assert {
        name
        for name in ("draft", "draft_letter", "run", "finished", "inward", "reply", "reply_opening", "deposit")
        if rows[name]
    } == set()
    assert load_server_keys(Home(home)).id == load_server_keys(Home(server.home)).id
    assert (home / "tipbox.toml").read_bytes() == (server.home / "tipbox.toml").read_bytes()
    assert tree(tmp_path / "tor again") == tree(onion)
    assert tree(home / "keys") == tree(server.home / "keys")
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in home.rglob("*") if path.parent.name != "keys"} == {0}
    assert is_well(home)
    prepare_server(home, server.keys)  # a server starts on it, and takes more
    again = Here(home, server.keys)
    again.upload(envelope(organisations, 1000))
    again.close()
    assert count(home, Envelope) == 5


def test_a_server_that_came_back_stamps_as_it_did(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    """Stamps are not in a backup: the same key says the same of the same hash and day."""
    exported, unseen = envelope(organisations, 1000), envelope(organisations)
    server.upload(exported)
    before = receipts(server.home, organisations[0], tmp_path / "out")
    server.upload(unseen)
    made = back_up(server.home, tmp_path / "backup")

    restore_backup(tmp_path / "new", SEED, made)

    after = receipts(tmp_path / "new", organisations[0], tmp_path / "out")
    assert after.keys() == {exported.id, unseen.id}
    assert after[exported.id] == before[exported.id] is not None
    assert after[unseen.id] == receipts(server.home, organisations[0], tmp_path / "out")[unseen.id]


@pytest.mark.real_clock("PostgreSQL says which day it is, and is not ours to be told another")
@pytest.mark.parametrize("into", ["sqlite", "postgresql"])
def test_postgresql(
    postgresql: str, server_keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, into: str
) -> None:
    """A backup is of no database in particular: it is restored into either."""
    organisations, keys = server_keys
    socket = postgresql
    names = [f"{into}_from", f"{into}_to"]
    with psycopg.connect(host=socket, user="tipbox", dbname="postgres", autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name}".encode())
    urls = [f"postgresql://tipbox@/{name}?host={socket}" for name in names]
    monkeypatch.setenv("TIPBOX_DATABASE_URL", urls[0])
    server = Here(tmp_path / "home", keys)
    sent = [envelope(organisations, size) for size in (0, 100_000)]
    server.upload(*sent)
    server.close()
    made = back_up(server.home, tmp_path / "backup")
    for _ in range(2):
        with pytest.raises(InputRefused, match="not empty"):
            restore_backup(tmp_path / "same", SEED, made)
    assert count(server.home, Envelope) == len(sent)
    shutil.rmtree(tmp_path / "same")
    if into == "sqlite":
        monkeypatch.delenv("TIPBOX_DATABASE_URL")
    else:
        monkeypatch.setenv("TIPBOX_DATABASE_URL", urls[1])

    assert try_restore(tmp_path / "drill", SEED, made).envelopes == len(sent)
    assert restore_backup(tmp_path / "new", SEED, made).envelopes == len(sent)
    assert fetched(tmp_path / "new", organisations[0], tmp_path / "out") == sorted(one.whole for one in sent)
    assert is_well(tmp_path / "new")


def test_under_load(organisations: list[Organisation], keys: Path, tmp_path: Path) -> None:
    """Uploads go on while it backs up; all that was answered before it began is there after the fire, and opens."""
    server = start(tmp_path / "home", keys)
    answered: list[Sent] = []
    enough = threading.Event()

    def upload() -> None:
        while not enough.is_set():
            sent = envelope(organisations, (0, PART, 300_000)[len(answered) % 3])
            with server.client() as client:  # each on a circuit of its own, which has a budget
                assert client.upload(sent).json == {"state": "stored"}
            answered.append(sent)

    uploading = threading.Thread(target=upload)
    uploading.start()
    try:
        backups = []
        for number in range(4):
            while len(answered) < 8 * (number + 1):
                assert uploading.is_alive()
            before = len(answered)
            backups.append((before, back_up(server.home, tmp_path / f"backup-{number}")))
    finally:
        enough.set()
        uploading.join()
        server.kill()
    shutil.rmtree(server.home)

    for number, (before, made) in enumerate(backups):
        home = tmp_path / f"new-{number}"
        restore_backup(home, SEED, made)
        found = fetched(home, organisations[1], tmp_path / "out")
        assert {sent.whole for sent in answered[:before]} <= set(found) <= {sent.whole for sent in answered}
        assert all(opens(data, organisations[1]) for data in found)
        assert is_well(home)


def test_the_newest_manifest_of_disk_and_backup_stays(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    made = back_up(server.home, tmp_path / "backup")
    one, other, third = organisations
    kept = tmp_path / "new" / "keys"
    kept.mkdir(parents=True)
    newer = one.manifest(serial=(2, 1)).encode()
    (kept / f"{one.name}.json").write_bytes(newer)
    older = other.manifest(serial=(1, 1), length=20).encode()
    (kept / f"{other.name}.json").write_bytes(older)
    fourth = Organisation("fourth")
    (kept / "fourth.json").write_bytes(fourth.manifest().encode())

    restore_backup(tmp_path / "new", SEED, made)

    assert (kept / f"{one.name}.json").read_bytes() == newer
    assert (kept / f"{other.name}.json").read_bytes() == older  # of the same serial: what is there stays
    assert (kept / f"{third.name}.json").read_bytes() == (server.home / "keys" / f"{third.name}.json").read_bytes()
    pinned = read(tmp_path / "new", lambda connection: set(connection.execute(select(Known.name)).scalars()))
    assert pinned == {one.name, other.name, third.name, "fourth"}


# --- days -------------------------------------------------------------------------------------------------------------


def test_what_is_past_its_days_does_not_come_back(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    server.upload(envelope(organisations, 1000))
    for day in range(1, 31):
        prune_server(server.home, today=days.today() + timedelta(days=day))
    late = days.today() + timedelta(days=30)
    made = tmp_path / "backup"
    make_backup(server.home, made, KEY, today=late)

    for passed, there in ((0, 1), (59, 1), (60, 0)):
        home = tmp_path / f"after-{passed}"
        restored = restore_backup(home, SEED, made, today=late + timedelta(days=passed))
        assert (restored.envelopes, restored.expired) == (there, 1 - there)
        assert len(list((home / "blobs").iterdir())) == there
        if there and passed == 59:
            assert prune_server(home, today=late + timedelta(days=60)).envelopes == 1
    with pytest.raises(InputRefused, match="set the clock right"):
        restore_backup(tmp_path / "behind", SEED, made, today=late - timedelta(days=2))
    assert not (tmp_path / "behind").exists()


# --- what is carried twice --------------------------------------------------------------------------------------------


def test_acknowledgements_since_are_replayed(server: Here, organisations: list[Organisation], tmp_path: Path) -> None:
    sent = [envelope(organisations, size) for size in (0, 1000)]
    server.upload(*sent)
    made = back_up(server.home, tmp_path / "backup")
    files = []
    for one in organisations:
        outward = one.read(write_volumes(server.home, one.name, tmp_path / "out")[0])
        ack = item_of("ack", acknowledge([sent[1].id], one.desk))
        files.append(inward(tmp_path / f"{one.name}.in", one, outward, [ack]))
    damaged = tmp_path / "damaged.in"
    damaged.write_bytes(files[0].read_bytes()[:5000])

    restored = restore_backup(tmp_path / "new", SEED, made, acks=[*files, damaged, tmp_path / "not there"])

    assert [(one.acknowledged, one.deleted, one.is_complete) for one in restored.taken] == [
        (1, 0, True), (1, 0, True), (1, 1, True), (0, 0, False), (0, 0, False),
    ]  # fmt: skip
    assert fetched(tmp_path / "new", organisations[0], tmp_path / "again") == [sent[0].whole]
    assert is_well(tmp_path / "new")


def test_a_tip_that_all_had_acknowledged_comes_back_once_and_goes_again(tmp_path: Path) -> None:
    """Real desks: what they had carried comes again, is no news, is acknowledged at once, and goes."""
    ring = Ring(tmp_path / "ring", ("kibhr",))
    with commands_in_process(), running_world(ring.make()) as world:
        message = world.folder / "message"
        message.write_text("What I saw", encoding="utf-8")
        in_process("seal", "--keys", world.keys, "--message-file", message, "--out", world.folder / "x.tip")
        upload_tip(world.server.request, (world.folder / "x.tip").read_bytes())
        made = world.folder / "backup"
        make_backup(world.server.home, made, KEY)
        assert len(world.arrived("kibhr")) == 1
        world.answer("kibhr")
        for _ in range(2):  # the desk sees that it was taken, in Bundles with numbers beyond the backup's
            world.carry("kibhr")
        assert count(world.server.home, Envelope) == 0
        world.server.kill()
        shutil.rmtree(world.server.home)

        restore_backup(world.server.home, SEED, made)
        world.server.start()

        assert count(world.server.home, Envelope) == 1
        assert len(world.arrived("kibhr")) == 1
        world.answer("kibhr")
        assert count(world.server.home, Envelope) == 0
        world.carry("kibhr")
        assert len(world.desks["kibhr"].tips()) == 1


def upload_tip(request: Callable[..., tuple[int, dict[str, str], bytes]], tip: bytes) -> None:
    headers = {"Authorization": "Bearer " + "A" * 43}
    status_code, _, answer = request("PUT", "/api/envelope", tip, headers)
    assert status_code == 201, answer


def test_sequences_go_on_far_ahead(server: Here, organisations: list[Organisation], tmp_path: Path) -> None:
    """A second restore of the same backup, days later, is ahead of the first one too; desks take 10,000."""
    name = organisations[0].name
    write_volumes(server.home, name, tmp_path / "out")
    made = back_up(server.home, tmp_path / "backup")
    sequences = []
    for passed in (0, 3, 89):
        home = tmp_path / f"new-{passed}"
        restore_backup(home, SEED, made, today=days.today() + timedelta(days=passed))
        sequences.append(read(home, lambda connection: connection.execute(select(func.max(Series.sequence))).scalar()))
    assert sequences == [1001, 1151, 5451]


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.fixture(name="small", scope="module")
def _small(keys: Path, organisations: list[Organisation], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A backup of four parts."""
    folder = tmp_path_factory.mktemp("small")
    server = Here(folder / "home", keys)
    server.upload(envelope(organisations), envelope(organisations, 150_000))
    server.close()
    return back_up(server.home, folder / "backup").read_bytes()


def refused(data: bytes) -> str:
    try:
        examine_backup(Reader(io.BytesIO(data), SEED), days.today())
    except TipboxError as error:
        return error.code
    raise AssertionError("it was taken")


def places(data: bytes) -> list[int]:
    """Every byte of the header and of the borders of parts, and some of the rest."""
    borders = range(1264, len(data), SEALED_PART_SIZE)
    near = {at + by for at in (*borders, len(data)) for by in range(-40, 40)}
    some = random.Random(7).sample(range(len(data)), 400)
    return sorted(at for at in {*range(1264), *near, *some} if 0 <= at < len(data))


def test_cut_at_any_byte(small: bytes) -> None:
    codes = {refused(small[:at]) for at in places(small)}
    assert codes == {"truncated", "tampered"}


def test_flipped_at_any_byte(small: bytes) -> None:
    codes = {refused(small[:at] + bytes([small[at] ^ 1]) + small[at + 1 :]) for at in places(small)}
    assert codes == {"not-tipbox", "version", "malformed", "unknown-key", "tampered"}


def test_more_at_the_end_or_parts_swapped(small: bytes) -> None:
    first, second = small[1264 : 1264 + SEALED_PART_SIZE], small[1264 + SEALED_PART_SIZE : 1264 + 2 * SEALED_PART_SIZE]
    for data in (
        small + b"\x00",
        small + small[1264:],
        small[:1264] + second + first + small[1264 + 2 * SEALED_PART_SIZE :],
        small[:1264] + second + small[1264 + 2 * SEALED_PART_SIZE :],
        small[:1264] + first + small[1264:],
    ):
        assert refused(data) == "tampered"


def test_nothing_is_written_when_it_is_refused(small: bytes, tmp_path: Path) -> None:
    for number, at in enumerate((0, 700, 1263, 1264, 1264 + SEALED_PART_SIZE, len(small) - 1)):
        path = tmp_path / f"cut-{number}"
        path.write_bytes(small[:at])
        with pytest.raises(TipboxError):
            restore_backup(tmp_path / "new", SEED, path, onion=tmp_path / "onion")
        assert not (tmp_path / "new").exists()
        assert not (tmp_path / "onion").exists()
    path.write_bytes(small)
    with pytest.raises(UnknownKey, match="another operator's key"):
        restore_backup(tmp_path / "new", new_seed(), path)
    assert not (tmp_path / "new").exists()


def sealed(*records: tuple[int, bytes], padding: bytes = b"", secrets: bytes | None = b"") -> bytes:
    """A backup whose writer breaks rules."""
    out = io.BytesIO()
    writer = Writer(out, KEY.public)
    for kind, data in records:
        if kind == Kind.SECRETS and secrets is not None:
            writer.secrets(data)
        else:
            writer._write(backup_file._RECORD.pack(kind, len(data)) + data)
    writer._write(padding or bytes(padme(writer._size) - writer._size))
    out.write(seal_part(writer._cipher, writer._parts, bytes(writer._buffer), last=True))
    return out.getvalue()


ABOUT = b'{"day":"2026-01-01","server":"' + b"00" * 16 + b'","version":1}'
END = b'{"envelopes":0}'


@pytest.mark.parametrize(
    ("code", "records"),
    [
        ("malformed", []),
        ("malformed", [(7, END)]),
        ("malformed", [(1, ABOUT), (7, END)]),
        ("malformed", [(1, ABOUT), (1, ABOUT), (7, END)]),
        ("malformed", [(1, ABOUT), (3, b""), (2, b"{}"), (7, END)]),
        ("malformed", [(1, ABOUT), (8, b"")]),
        ("malformed", [(1, ABOUT), (0, b"")]),
        ("malformed", [(1, ABOUT), (2, b"{}"), (7, b'{"envelopes":1}')]),
        ("malformed", [(1, ABOUT), (2, b"{}"), (7, END)]),
        ("limit", [(1, b" " * 4097)]),
        ("limit", [(1, ABOUT), (2, b"{}"), (3, b" " * 65537)]),
        ("malformed", [(1, ABOUT), (2, b"{}"), (3, b""), (3, b""), (7, END)]),
        ("malformed", [(1, ABOUT[:-1]), (2, b"{}"), (7, END)]),
    ],
)
def test_records_that_break_a_rule(code: str, records: list[tuple[int, bytes]]) -> None:
    assert refused(sealed(*records)) == code


def test_padding_that_breaks_a_rule() -> None:
    good = [(1, ABOUT), (2, b"{}"), (7, END)]
    with pytest.raises(Malformed, match="not zero"):
        list_of(sealed(*good, padding=b"\x01"))
    with pytest.raises(TipboxError, match="another size"):
        list_of(sealed(*good, padding=bytes(5000)))


def list_of(data: bytes) -> list[bytes]:
    return [record.read() for record in Reader(io.BytesIO(data), SEED).records()]


def test_the_size_is_padded(server: Here, organisations: list[Organisation], tmp_path: Path) -> None:
    sizes = set()
    for number in range(3):
        server.upload(envelope(organisations))
        sizes.add(back_up(server.home, tmp_path / f"backup-{number}").stat().st_size)
    for size in sizes:
        plaintext = size - 1264 - 16 * -(-(size - 1264) // SEALED_PART_SIZE)
        assert padme(plaintext) == plaintext
        assert sealed_size(plaintext) + 1264 == size


def test_it_goes_into_an_empty_folder_only(server: Here, tmp_path: Path) -> None:
    made = back_up(server.home, tmp_path / "backup")
    before = tree(server.home)
    with pytest.raises(InputRefused, match="not empty"):
        restore_backup(server.home, SEED, made)
    assert tree(server.home) == before
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter to my mother").write_bytes(b"Dear")
    with pytest.raises(InputRefused, match="not empty"):
        restore_backup(other, SEED, made)
    assert tree(other).keys() <= {"letter to my mother", "upkeep.lock"}
    (tmp_path / "tor").mkdir()
    (tmp_path / "tor" / "hostname").write_bytes(b"another.onion")
    with pytest.raises(InputRefused, match="holds others"):
        restore_backup(tmp_path / "new", SEED, made, onion=tmp_path / "tor")
    assert tree(tmp_path / "tor") == {"hostname": b"another.onion"}


def test_what_the_disk_lost_is_counted_and_the_rest_comes_back(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    whole, changed, gone = (envelope(organisations, 100_000) for _ in range(3))
    server.upload(whole, changed, gone)
    blobs = server.home / "blobs"
    for path in blobs.iterdir():
        if path.read_bytes() == b"".join(changed.parts):
            path.write_bytes(path.read_bytes()[:-1] + b"?")
        elif path.read_bytes() == b"".join(gone.parts):
            path.unlink()

    made = make_backup(server.home, tmp_path / "backup", KEY)
    restored = restore_backup(tmp_path / "new", SEED, tmp_path / "backup")

    assert (made.envelopes, made.damaged) == (2, 2)
    assert (restored.envelopes, restored.damaged) == (1, 1)
    assert fetched(tmp_path / "new", organisations[0], tmp_path / "out") == [whole.whole]
    assert is_well(tmp_path / "new")


def test_a_trailer_that_the_disk_changed_is_counted_and_the_rest_comes_back(
    server: Here, organisations: list[Organisation], tmp_path: Path
) -> None:
    """The id is computed from all bytes: one that says something else is no Envelope that came."""
    whole, changed, cut = envelope(organisations, 1000), envelope(organisations, 1000), envelope(organisations)
    server.upload(whole, changed, cut)
    with open_server(server.home) as there:
        for sent, trailer in ((changed, bytes(96)), (cut, cut.trailer[:-1])):
            row = update(Envelope).where(Envelope.id == sent.id).values(trailer=trailer)
            there.store.write(partial(_execute, statement=row))

    made = make_backup(server.home, tmp_path / "backup", KEY)
    restored = restore_backup(tmp_path / "new", SEED, tmp_path / "backup")

    assert (made.envelopes, made.damaged) == (2, 2)
    assert (restored.envelopes, restored.damaged) == (1, 1)
    assert fetched(tmp_path / "new", organisations[0], tmp_path / "out") == [whole.whole]


def _execute(connection: Connection, statement: Executable) -> None:
    connection.execute(statement)


@pytest.mark.parametrize("link", [True, False])
def test_a_database_that_is_gone_or_a_link_is_refused_and_nothing_is_made(
    server: Here, keys: Path, tmp_path: Path, *, link: bool
) -> None:
    """SQLite would follow the link, and make a file wherever it leads."""
    place, victim = server.home / "tipbox.db", tmp_path / "victim"
    place.rename(tmp_path / "aside")
    if link:
        place.symlink_to(victim)

    with pytest.raises(InputRefused, match="gone, or a link"):
        make_backup(server.home, tmp_path / "backup", KEY)
    if link:  # a server that starts makes no file there either
        with pytest.raises(InputRefused, match="the database is gone"):
            prepare_server(server.home, keys)
    assert not victim.exists()
    assert not (tmp_path / "backup").exists()
    assert place.is_symlink() == link


# --- drill ------------------------------------------------------------------------------------------------------------


def test_a_drill_leaves_nothing_and_touches_nothing(
    server: Here, organisations: list[Organisation], onion: Path, tmp_path: Path
) -> None:
    server.upload(envelope(organisations, 100_000), envelope(organisations))
    made = back_up(server.home, tmp_path / "backup", onion=onion)
    before = tree(server.home)

    done = try_restore(server.home, SEED, made)

    assert (done.envelopes, done.organisations, done.onion_files) == (2, 3, 4)
    assert all(finding.ok for finding in done.findings)
    assert tree(server.home) == before
    cut = tmp_path / "cut"
    cut.write_bytes(made.read_bytes()[:-1])
    with pytest.raises(TipboxError):
        try_restore(server.home, SEED, cut)
    assert tree(server.home) == before


# --- kill -9 ----------------------------------------------------------------------------------------------------------

FEW = (1, 2, 3, 5, 8, 13, 21, 34, 55)
CALLS = ("fsync", "fdatasync", "rename", "openat", "unlink", "write")


@pytest.mark.parametrize("call", ["fsync", "rename", "write"])
def test_a_backup_that_is_killed_leaves_no_file_of_its_name(
    small: bytes, server: Here, tmp_path: Path, call: str, organisations: list[Organisation]
) -> None:
    del small
    server.upload(envelope(organisations, 200_000))
    out = tmp_path / "out" / "backup"
    kills = 0
    for number in FEW:
        if not killed_at(call, number, lambda: make_backup(server.home, out, KEY)):
            break
        kills += 1
        if out.exists():  # killed after the rename
            assert try_restore(tmp_path / "drill", SEED, out).envelopes == 1
            out.unlink()
    else:
        pytest.fail("the backup never came through")
    assert kills
    assert try_restore(tmp_path / "drill", SEED, out).envelopes == 1


@pytest.mark.parametrize("call", CALLS)
def test_a_restore_that_is_killed_begins_again(
    small: bytes, organisations: list[Organisation], keys: Path, tmp_path: Path, call: str
) -> None:
    """Until it is done, nothing else opens the folder; done again, all is there."""
    made = tmp_path / "backup"
    made.write_bytes(small)
    home, onion = tmp_path / "new", tmp_path / "onion"
    kills = 0
    for number in (*FEW, 89, 144, 233, 377):
        if not killed_at(call, number, lambda: restore_backup(home, SEED, made, onion=onion)):
            break
        kills += 1
        if (home / "restoring").exists():
            with pytest.raises(InputRefused, match="a restore into it is not done"):
                server_status(home)
            with pytest.raises(InputRefused, match="a restore into it is not done"):
                prepare_server(home, keys)
        elif (home / "server.key").exists():  # killed after the last step
            assert is_well(home)
            shutil.rmtree(home)
    else:
        pytest.fail("the restore never came through")
    assert kills
    assert is_well(home)
    assert len(fetched(home, organisations[2], tmp_path / "out")) == 2
    assert not list(home.rglob("*.part"))
