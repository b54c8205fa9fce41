"""The vault: encrypted at rest, whole after a crash, one writer at a time."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from support.desk import PASSWORD, TODAY, Desk, Exporter, days_after, seal_tip
from tipbox.desk import replies, tips
from tipbox.desk.desk_errors import VaultDamaged
from tipbox.desk.vault.records import KeptHeads, Organisation, Stamp, Thread, Tip, TipFile
from tipbox.desk.vault.sealed_file import MAGIC, sealed_file_size
from tipbox.desk.vault.vault import LOCK_FILE, STORE_FILE, Vault
from tipbox.errors import NotFound, Tampered, WrongPassphrase
from tipbox.formats.base.limits import PART_SIZE, SEALED_PART_SIZE
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.bundles.bundle import Head
from tipbox.formats.envelopes.consent import Consent


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    Vault.create(tmp_path / "v", PASSWORD)
    return tmp_path / "v"


def test_a_record_comes_back_and_can_be_deleted(vault: Path) -> None:
    with Vault.open(vault, PASSWORD, write=True) as opened:
        opened.put("kind", b"id", {"text": "слова"})
        opened.put("kind", b"id", {"text": "other"})
    with Vault.open(vault, PASSWORD) as opened:
        assert opened.get("kind", b"id") == {"text": "other"}
        assert opened.get("kind", b"other") is None
        assert opened.get("other", b"id") is None
        assert list(opened.all("kind")) == [{"text": "other"}]
        opened.delete("kind", b"id")
        assert opened.get("kind", b"id") is None


def test_every_typed_record_survives(vault: Path) -> None:
    bare = Tip(
        id=b"i" * 32,
        hash=b"h" * 32,
        thread=b"t" * 16,
        message_id=b"m" * 16,
        received=TODAY,
        imported=days_after(1),
        state="new",
        content_key=b"c" * 32,
        pair_key=b"p" * 32,
        mailbox=b"a" * 32,
        seal_secret=b"s" * 32,
        files=(TipFile("ф\u202e", 2**40, ""),),
    )
    consents = [None, Consent(0), Consent(4, ask_me=True, never=("газеты", "police"), until=TODAY)]
    stamps = [None, None, Stamp(TODAY, b"x" * 64, b"k" * 32)]
    tips = [replace(bare, consent=consent, stamp=stamp) for consent, stamp in zip(consents, stamps, strict=True)]
    thread = Thread(b"t" * 16, b"a" * 32, consents[2])
    heads = KeptHeads(3, (Head(b"o" * 16, b"h" * 32, TODAY, b"x" * 64),))
    organisation = Organisation("kibhr", "Бюро", "KZ", ("kk", "ru"), b"k" * 32, b"o" * 16, "/stick")
    with Vault.open(vault, PASSWORD, write=True) as opened:
        for record in (organisation, thread, heads):
            record.save(opened)
        for tip in tips:
            tip.save(opened)
            assert Tip.find(opened, tip.id) == tip
        assert Thread.find(opened, thread.id) == thread
        assert KeptHeads.find(opened) == heads
        assert Organisation.find(opened) == organisation


def test_a_wrong_passphrase_opens_nothing(vault: Path) -> None:
    with pytest.raises(WrongPassphrase):
        Vault.open(vault, b"wrong")
    with pytest.raises(NotFound):
        Vault.open(vault.parent / "nowhere", PASSWORD)


def test_neither_ids_nor_words_nor_sizes_lie_open(vault: Path) -> None:
    ident = b"an id of an Envelope, 32 bytes .."
    with Vault.open(vault, PASSWORD, write=True) as opened:
        opened.put("tip", ident, {"id": ident.hex(), "word": "canary" * 9})
        opened.put("tip", b"2", {})
        path = opened.tip_path(ident)
    stored = b"".join(file.read_bytes() for file in vault.rglob("*") if file.is_file())
    for canary in (b"canary", ident, ident.hex().encode()):
        assert canary not in stored
    assert ident.hex() not in path.name
    assert all(file.stat().st_mode & 0o077 == 0 for file in [vault, *vault.rglob("*")])


def test_no_byte_that_travelled_lies_in_a_vault(tmp_path: Path) -> None:
    """Beside a seized server, or another vault, a locked one shows none of the Envelopes that were for it."""
    desk, server = Desk.make(tmp_path, "kibhr"), Exporter()
    sent = [seal_tip([desk.manifest], files=[("a", random_bytes(size))]) for size in (0, 1, 70_000, 1_500_000)]
    desk.take(server.export(tmp_path / "1", desk.manifest, sent[:3]))
    (tmp_path / "loose.tip").write_bytes(sent[3].data)
    desk.take(tmp_path / "loose.tip")
    with desk.open(write=True) as vault:
        reply = replies.queue_reply(vault, tips.find_tip(vault, sent[0].id.hex()), b"When?", [], today=TODAY)
        with vault.open_file(vault.reply_path(reply.id)) as file:
            travels = [*(tip.data for tip in sent), file.read()]
    files = [path for path in desk.vault.rglob("*") if path.is_file()]
    kept = b"".join(path.read_bytes() for path in files)
    assert len(list((desk.vault / "tips").iterdir())) == len(sent)
    for data in travels:
        assert not any(data[at : at + 16] in kept for at in range(0, len(data) - 16, max(16, len(data) // 300)))
    sealed = sorted(path.stat().st_size for path in (desk.vault / "tips").iterdir())
    assert sealed == sorted(sealed_file_size(len(tip.data)) for tip in sent)


SIZES = [0, 1, PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 2 * PART_SIZE, 200_000]


@pytest.mark.parametrize("size", SIZES)
def test_a_sealed_file_holds_any_size_and_says_how_large_it_is(vault: Path, size: int) -> None:
    data = random_bytes(size)
    with Vault.open(vault, PASSWORD) as opened:
        path = opened.incoming_path()
        with opened.sealing(path) as out:
            for at in range(0, size, 50_001):
                out.write(data[at : at + 50_001])
        assert path.stat().st_size == sealed_file_size(size)
        assert path.stat().st_mode & 0o077 == 0
        with opened.open_file(path) as file:
            assert file.read() == data


@pytest.mark.parametrize("size", SIZES)
def test_a_sealed_file_is_read_anywhere(vault: Path, size: int) -> None:
    data = random_bytes(size)
    with Vault.open(vault, PASSWORD) as opened:
        path = opened.incoming_path()
        with opened.sealing(path) as out:
            out.write(data)
        near = {
            0,
            1,
            PART_SIZE - 1,
            PART_SIZE,
            PART_SIZE + 1,
            2 * PART_SIZE,
            size - 1,
            size,
            size + 1,
            size + PART_SIZE,
        }
        with opened.open_file(path) as file:
            for at in near:
                if at < 0:
                    continue
                file.seek(at)
                assert file.tell() == at
                assert file.read() == data[at:]
                for count in near:
                    room = memoryview(bytearray(max(count, 0)))
                    filled = file.read_at(at, room)
                    assert room[:filled] == data[at : at + len(room)]
            file.seek(-1, os.SEEK_END) if size else None
            assert file.read() == data[-1:]


def test_a_sealed_file_that_was_changed_or_cut_is_not_read_anywhere(vault: Path) -> None:
    data = random_bytes(2 * PART_SIZE + 100)
    with Vault.open(vault, PASSWORD) as opened:
        path = opened.incoming_path()
        with opened.sealing(path) as out:
            out.write(data)
        with opened.open_file(path) as file:
            room = memoryview(bytearray(len(data)))
            spoiled = bytearray(path.read_bytes())
            spoiled[-20] ^= 1
            path.write_bytes(spoiled)
            assert file.read_at(0, room[: 2 * PART_SIZE]) == 2 * PART_SIZE
            for at in (0, 1, 2 * PART_SIZE):
                with pytest.raises(Tampered):
                    file.read_at(at, room)
            path.write_bytes(spoiled[: -SEALED_PART_SIZE // 2])
            with pytest.raises(Tampered):
                file.read_at(0, room)


def test_a_sealed_file_that_was_changed_anywhere_does_not_open(vault: Path) -> None:
    data = random_bytes(2 * PART_SIZE + 100)
    with Vault.open(vault, PASSWORD) as opened:
        path = opened.incoming_path()
        with opened.sealing(path) as out:
            out.write(data)
        whole = path.read_bytes()
        part = len(MAGIC) + 32 + SEALED_PART_SIZE
        spoiled = [
            *(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), 9_973)),
            *(whole[:size] for size in (0, 7, 39, 40, 55, part, len(whole) - 1)),
            whole + b"x",
            whole[: part - SEALED_PART_SIZE] + whole[part:],
        ]
        for number, bad in enumerate(spoiled):
            path.write_bytes(bad)
            with pytest.raises(Tampered), opened.open_file(path) as file:
                pytest.fail(f"{number} opened: {len(file.read())}")


def test_a_record_moved_to_another_name_does_not_open(vault: Path) -> None:
    with Vault.open(vault, PASSWORD, write=True) as opened:
        opened.put("kind", b"a", {"v": 1})
        opened.put("kind", b"b", {"v": 2})
        a, b = opened.name("kind", b"a"), opened.name("kind", b"b")
        opened._query("UPDATE record SET value = (SELECT value FROM record WHERE name = ?) WHERE name = ?", a, b)
        with pytest.raises(VaultDamaged):
            opened.get("kind", b"b")


def test_a_damaged_store_is_one_error(vault: Path) -> None:
    (vault / STORE_FILE).write_bytes(b"not a database" * 1000)
    with pytest.raises(VaultDamaged), Vault.open(vault, PASSWORD) as opened:
        opened.get("kind", b"a")


def test_a_transaction_happens_whole_or_not_at_all(vault: Path) -> None:
    with Vault.open(vault, PASSWORD, write=True) as opened:
        with contextlib.suppress(KeyError), opened.transaction():
            opened.put("kind", b"a", {})
            raise KeyError
        assert opened.get("kind", b"a") is None


def test_a_writer_that_is_killed_leaves_no_half_transaction(vault: Path) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom tipbox.desk.vault.vault import Vault\n"
        "vault = Vault.open(Path(sys.argv[1]), sys.argv[2].encode(), write=True)\n"
        "vault.put('kind', b'first', {})\n"
        "with vault.transaction():\n    vault.put('kind', b'second', {})\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, vault, PASSWORD.decode()], check=False)
    assert done.returncode == -9
    with Vault.open(vault, PASSWORD, write=True) as opened:
        assert opened.get("kind", b"first") == {}
        assert opened.get("kind", b"second") is None


def test_one_writer_at_a_time(vault: Path) -> None:
    waited, order = threading.Event(), []
    first = Vault.open(vault, PASSWORD, write=True)

    def second() -> None:
        with Vault.open(vault, PASSWORD, write=True, waiting=waited.set):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    assert waited.wait(30)
    order.append("first")
    first.close()
    thread.join(30)
    assert order == ["first", "second"]


def test_the_lock_is_never_a_link(vault: Path) -> None:
    """Whoever may write in the folder could else have a command wait for, or make, a file of their choice."""
    lock = vault / LOCK_FILE
    for target in ("other", "/dev/null", "missing"):
        lock.unlink()
        lock.symlink_to(target if target.startswith("/") else vault.with_name(target))
        if target == "other":
            vault.with_name(target).write_bytes(b"")
        with pytest.raises(OSError, match="symbolic links"):
            Vault.open(vault, PASSWORD, write=True)
    assert not vault.with_name("missing").exists()
    lock.unlink()
    with Vault.open(vault, PASSWORD, write=True):
        assert lock.is_file()


def test_a_copied_and_a_moved_vault_open_everything(tmp_path: Path) -> None:
    desk = Desk.make(tmp_path, "kibhr")
    tip = seal_tip([desk.manifest], files=[("a.txt", b"content")])
    desk.take(Exporter().export(tmp_path / "x.bundle", desk.manifest, [tip]))
    (tmp_path / "elsewhere").mkdir()
    moved = Desk(desk.vault.rename(tmp_path / "elsewhere" / "renamed"), desk.manifest)
    with moved.open() as vault:
        assert [one.id for one in Tip.all(vault)] == [tip.id]
    assert moved.take(tmp_path / "x.bundle").counts == {"known": 1}
