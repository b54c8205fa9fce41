"""Keys: made, published, rotated, destroyed; verified by everybody."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from support.commands import Run
from support.desk import PASSWORD, TODAY, Desk, Desks, Exporter, days_after, opened, seal_tip
from tipbox.desk.desk_errors import ClockDoubted, KeyStickMissing, TooEarly
from tipbox.desk.keys import ceremony, destroy, identity_file, key_stick
from tipbox.desk.keys.verify import check_folder
from tipbox.desk.outbox import due_manifest
from tipbox.desk.vault.records import Destruction, PublicKey
from tipbox.desk.vault.vault import Vault
from tipbox.errors import (
    AlreadyThere,
    BadSignature,
    Expired,
    IdentityChanged,
    Malformed,
    NoCurrentKey,
    NotFound,
    TooLate,
    WrongPassphrase,
)
from tipbox.files.durable import write_file
from tipbox.formats.base import days
from tipbox.formats.base.primitives import SigningKey
from tipbox.formats.manifest import Manifest, id_digits

DEAD = destroy.KEPT_DAYS + 14


@pytest.fixture
def desk(made: Desks, tmp_path: Path) -> Desk:
    return made.copy(tmp_path / "desks").desks[2]


def identity(desk: Desk) -> SigningKey:
    return identity_file.load(identity_file.identity_path(desk.vault), PASSWORD)


def publish(desk: Desk, day: int) -> Manifest:
    with desk.open(write=True) as vault:
        return ceremony.publish(vault, identity(desk), desk.vault.parent / "k.json", today=days_after(day)).manifest


def rotate(desk: Desk, day: int) -> Manifest:
    with desk.open(write=True) as vault:
        stick = key_stick.stick_path(desk.vault)
        out = desk.vault.parent / "k.json"
        return ceremony.rotate(vault, identity(desk), stick, PASSWORD, out, today=days_after(day)).manifest


def test_the_first_manifest_is_good_now_and_lists_what_the_format_says(desk: Desk) -> None:
    manifest = desk.manifest
    manifest.check(TODAY)
    assert manifest.current_key(TODAY).start == TODAY
    assert manifest.serial == (1, 1)
    assert manifest.end - manifest.start == timedelta(days=56)
    assert [key.start for key in manifest.keys] == [days_after(14 * number) for number in range(4)]
    assert (desk.vault.parent / "keys" / "kibhr.json").read_bytes() == manifest.encode()


def test_the_three_are_locked_and_apart(desk: Desk) -> None:
    for path in (desk.vault, key_stick.stick_path(desk.vault), identity_file.identity_path(desk.vault)):
        assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(WrongPassphrase):
        key_stick.load(key_stick.stick_path(desk.vault), b"wrong")
    with pytest.raises(WrongPassphrase):
        identity_file.load(identity_file.identity_path(desk.vault), b"wrong")
    seed = bytes(identity(desk))
    assert not any(seed in file.read_bytes() for file in desk.vault.rglob("*") if file.is_file())


def test_nothing_that_is_there_is_overwritten(desk: Desk, tmp_path: Path) -> None:
    options = {"name": "kibhr", "full_name": "", "country": "", "languages": (), "today": TODAY}
    with pytest.raises(AlreadyThere):
        ceremony.init(desk.vault, PASSWORD, **options)  # type: ignore[arg-type]
    (tmp_path / "new.identity").write_bytes(b"somebody's")
    with pytest.raises(AlreadyThere):
        ceremony.init(tmp_path / "new", PASSWORD, **options)  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["desks", "new.identity"]


@pytest.mark.parametrize(
    ("name", "country", "languages"),
    [("Upper", "KZ", ()), ("a" * 33, "KZ", ()), ("", "KZ", ()), ("ok", "kaz", ()), ("ok", "KZ", ("not a language",))],
)
def test_what_no_manifest_takes_makes_no_vault(
    tmp_path: Path, name: str, country: str, languages: tuple[str, ...]
) -> None:
    with pytest.raises(Malformed):
        ceremony.init(
            tmp_path / "v", PASSWORD, name=name, full_name="x", country=country, languages=languages, today=TODAY
        )
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_may_become_the_vault(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    ceremony.init(tmp_path / "v", PASSWORD, name="a", full_name="", country="", languages=(), today=TODAY)
    with Vault.open(tmp_path / "v", PASSWORD) as vault:
        assert ceremony.organisation_of(vault).name == "a"


def test_each_publishing_has_a_serial_that_was_never_used_also_not_in_advance(desk: Desk) -> None:
    with desk.open() as vault:
        signed = {one.manifest.serial for one in ceremony.manifests(vault)}
    again = publish(desk, 3)
    assert again.serial not in signed
    assert again.serial > max(signed)
    again.check_replaces(desk.manifest)
    again.check(days_after(3))


def test_the_chain_covers_the_year_and_one_lost_outbox(desk: Desk) -> None:
    with desk.open() as vault:
        for day in range(27 * 14):
            today = days_after(day)
            signed = due_manifest(vault, today)
            manifest = signed.manifest
            manifest.check(today)
            manifest.current_key(today)
            assert SigningKey(signed.desk_seed).verify_key.encode() == manifest.desk
            if day >= 28:
                before = due_manifest(vault, days_after(day - 28)).manifest
                manifest.check_replaces(before)
                before.check(today)
        with pytest.raises(Expired):
            due_manifest(vault, days_after(27 * 14))
        with pytest.raises(NoCurrentKey):
            due_manifest(vault, days_after(-1))


def test_publishing_after_the_year_asks_for_new_keys(desk: Desk) -> None:
    with pytest.raises(NoCurrentKey, match="rotate"):
        publish(desk, 27 * 14)
    assert rotate(desk, 27 * 14).serial == (2, 1)
    publish(desk, 27 * 14 + 1).check(days_after(27 * 14 + 1))


def test_the_identity_file_of_another_organisation_signs_nothing(made: Desks, desk: Desk) -> None:
    other = identity(made.desks[0])
    with desk.open(write=True) as vault, pytest.raises(IdentityChanged):
        ceremony.publish(vault, other, desk.vault.parent / "k.json", today=TODAY)
    assert not (desk.vault.parent / "k.json").exists()


def test_rotation_revokes_and_old_tips_still_open(desk: Desk, tmp_path: Path) -> None:
    old = seal_tip([desk.manifest])
    new_manifest = rotate(desk, 0)
    assert new_manifest.serial == (2, 1)
    new_manifest.check_replaces(desk.manifest)
    assert not {key.id for key in new_manifest.keys} & {key.id for key in desk.manifest.keys}
    new = seal_tip([new_manifest])
    outcome = desk.take(Exporter().export(tmp_path / "x", new_manifest, [old, new]))
    assert outcome.counts == {"mine": 2}
    with desk.open() as vault:
        assert {one.manifest.serial[0] for one in ceremony.manifests(vault) if one.desk_seed} == {2}


def test_a_rotation_cut_short_before_the_vault_wrote_it_can_be_done_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PublicKey, "save", cut)
        with pytest.raises(KeyboardInterrupt):
            rotate(desk, 0)
    manifest = rotate(desk, 0)
    stick = key_stick.load(key_stick.stick_path(desk.vault), PASSWORD)
    assert all(stick.seed(key.id) for key in manifest.keys)


def days_confirmed(desk: Desk, exporter: Exporter, tmp_path: Path, day: int) -> None:
    """Import two Bundles of that day (under the key of the first manifest, whatever the day)."""
    for number in range(2):
        path = tmp_path / f"day{day}-{number}.bundle"
        exporter.export(path, desk.manifest, [], day=days_after(day), key_day=TODAY)
        desk.take(path, today=days_after(day))


def destroyed(desk: Desk, day: int) -> destroy.DestroyedKey:
    with desk.open(write=True) as vault:
        return destroy.destroy(vault, key_stick.stick_path(desk.vault), PASSWORD, today=days_after(day))


def test_a_key_is_destroyed_when_its_time_has_come_and_its_tips_are_too_late(desk: Desk, tmp_path: Path) -> None:
    exporter = Exporter()
    kept = seal_tip([desk.manifest], message=b"imported in time")
    late = seal_tip([desk.manifest], message=b"never imported")
    desk.take(exporter.export(tmp_path / "kept", desk.manifest, [kept]))
    days_confirmed(desk, exporter, tmp_path, DEAD)
    stick_file = key_stick.stick_path(desk.vault) / key_stick.FILE
    old = os.open(stick_file, os.O_RDONLY)
    done = destroyed(desk, DEAD)
    try:
        assert not any(os.read(old, 1 << 20)), "the old bytes are still on the disk"
    finally:
        os.close(old)
    assert done.remaining == ceremony.YEAR_KEYS - 1
    assert done.record.id == desk.manifest.keys[0].id
    destroy.check_record(done.record)
    with desk.open() as vault:
        record = Destruction.find(vault, done.record.id)
        assert record == done.record
        assert record.desk == due_manifest(vault, days_after(DEAD)).manifest.desk
    with pytest.raises(BadSignature):
        destroy.check_record(Destruction(record.id, TODAY, record.start, record.end, record.desk, record.signature))
    (tmp_path / "late.tip").write_bytes(late.data)
    outcome = desk.take(tmp_path / "late.tip", today=days_after(DEAD))
    assert [type(error) for _, error in outcome.problems] == [TooLate]
    assert (opened(desk, kept.id, tmp_path / "out") / "message.txt").read_bytes() == b"imported in time"


def test_one_epoch_per_act(desk: Desk, tmp_path: Path) -> None:
    days_confirmed(desk, Exporter(), tmp_path, DEAD)
    destroyed(desk, DEAD)
    with pytest.raises(TooEarly, match="come back on"):
        destroyed(desk, DEAD)


def test_no_key_is_destroyed_early(desk: Desk, tmp_path: Path) -> None:
    days_confirmed(desk, Exporter(), tmp_path, DEAD - 1)
    with pytest.raises(TooEarly, match=str(days_after(DEAD))):
        destroyed(desk, DEAD - 1)


def test_no_key_is_destroyed_unless_three_days_agree(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(TooEarly, match="two Bundles"):
        destroyed(desk, DEAD)
    days_confirmed(desk, Exporter(), tmp_path, DEAD)
    with pytest.raises(TooEarly, match="differ"):
        destroyed(desk, DEAD + 3)
    assert destroyed(desk, DEAD + 2).remaining == ceremony.YEAR_KEYS - 1


def test_a_destruction_that_was_cut_short_is_finished_by_the_next(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days_confirmed(desk, Exporter(), tmp_path, DEAD)

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(key_stick, "replace", cut)
        with pytest.raises(KeyboardInterrupt):
            destroyed(desk, DEAD)
    done = destroyed(desk, DEAD)
    assert done.record.id == desk.manifest.keys[0].id
    assert done.remaining == ceremony.YEAR_KEYS - 1
    with desk.open() as vault:
        assert len(list(Destruction.all(vault))) == 1


def test_a_stick_that_is_missing_or_of_another_vault_imports_nothing(made: Desks, tmp_path: Path) -> None:
    desks = made.copy(tmp_path / "desks")
    desk, other = desks.desks[2], desks.desks[0]
    bundle = Exporter().export(tmp_path / "x", desk.manifest, [seal_tip([desk.manifest])])
    stick = key_stick.stick_path(desk.vault)
    stick.rename(tmp_path / "away")
    with pytest.raises(KeyStickMissing):
        key_stick.load(stick, PASSWORD)
    key_stick.stick_path(other.vault).rename(stick)
    with pytest.raises(IdentityChanged):
        desk.take(bundle)


def test_verify_names_what_is_wrong_with_each_file(made: Desks, tmp_path: Path) -> None:
    folder = made.copy(tmp_path / "desks").folder / "keys"
    (folder / "ili.json").write_bytes((folder / "ili.json").read_bytes().replace(b'"KZ"', b'"KG"'))
    (folder / "kibhr.json").rename(folder / "other.json")
    checked = {one.file: one for one in check_folder(folder, TODAY)}
    assert [problem.code for problem in checked["fidh.json"].problems] == []
    assert [problem.code for problem in checked["ili.json"].problems] == ["bad-signature"]
    assert [problem.code for problem in checked["other.json"].problems] == ["malformed"]
    later = {one.file: one for one in check_folder(folder, days_after(56))}
    assert [problem.code for problem in later["fidh.json"].problems] == ["expired"]
    earlier = {one.file: one for one in check_folder(folder, days_after(-2))}
    assert [problem.code for problem in earlier["fidh.json"].problems] == ["not-yet-valid"]
    with pytest.raises(NotFound):
        check_folder(tmp_path / "nothing", TODAY)


def test_check_digits_of_an_identity() -> None:
    assert id_digits(bytes(16)) == " ".join(["00000"] * 6)
    assert id_digits(bytes.fromhex("00000000000000000000000000003039")) == "00000 00000 00000 00000 00000 12345"
    assert id_digits(b"\xff" * 16) == "92093 84634 63374 60743 17682 11455"


def test_a_copy_that_a_killed_act_left_on_the_key_stick_goes_with_the_next_destruction(desk: Desk) -> None:
    folder = key_stick.stick_path(desk.vault)
    stick = key_stick.load(folder, PASSWORD)
    left = folder / ".0123456789abcdef.part"
    left.write_bytes((folder / key_stick.FILE).read_bytes())
    inode = left.open("rb")
    key_stick.replace(folder, PASSWORD, key_stick.Stick(stick.organisation, stick.keys[1:]), wipe=True)
    assert [path.name for path in folder.iterdir()] == [key_stick.FILE]
    with inode:
        assert set(inode.read()) == {0}


# --- a clock far off --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", [-2000, -3, 61, 1100, 4400])
def test_a_date_far_from_the_last_bundle_s_signs_nothing(desk: Desk, tmp_path: Path, day: int) -> None:
    desk.take(Exporter().export(tmp_path / "1", desk.manifest, []))
    stick = key_stick.stick_path(desk.vault)
    before = key_stick.load(stick, PASSWORD)
    for sign in (publish, rotate):
        with pytest.raises(ClockDoubted, match="2026-01-20"):
            sign(desk, day)
    with desk.open() as vault:
        assert [signed.manifest.serial for signed in ceremony.manifests(vault)][-1][0] == 1
    assert key_stick.load(stick, PASSWORD) == before


@pytest.mark.parametrize("day", [-2, 0, 60])
def test_a_date_that_can_be_right_is_not_doubted(desk: Desk, tmp_path: Path, day: int) -> None:
    desk.take(Exporter().export(tmp_path / "1", desk.manifest, []))
    assert rotate(desk, day).serial == (2, 1)


@pytest.mark.parametrize("day", [90, 300])
def test_a_person_says_that_the_date_is_right(desk: Desk, tmp_path: Path, day: int) -> None:
    desk.take(Exporter().export(tmp_path / "1", desk.manifest, []))
    stick, out = key_stick.stick_path(desk.vault), tmp_path / "k.json"
    with desk.open(write=True) as vault:
        for sure, good in ((TODAY, False), (days_after(day), True)):
            arguments = (vault, identity(desk), stick, PASSWORD, out)
            if good:
                ceremony.rotate(*arguments, today=days_after(day), sure=sure)
            else:
                with pytest.raises(ClockDoubted):
                    ceremony.rotate(*arguments, today=days_after(day), sure=sure)
    assert Manifest.parse(out.read_bytes()).start == days_after(day)


@pytest.mark.reads_date
@pytest.mark.parametrize("ago", [0, 59, 61, 400, -3, -400])
def test_a_date_far_from_the_last_bundle_s_is_doubted_before_an_answer_or_an_outbox_names_it(
    run: Run, tmp_path: Path, ago: int
) -> None:
    today = days.today()
    desk, secret, text = Desk.make(tmp_path, "kibhr", today), tmp_path / "secret", tmp_path / "text"
    write_file(secret, PASSWORD)
    text.write_bytes(b"When?")
    tip = seal_tip([desk.manifest], today=today)
    bundle = Exporter().export(tmp_path / "1", desk.manifest, [tip], day=days_after(-ago, today), key_day=today)
    options = ("--vault", desk.vault, "--passphrase-file", secret)
    assert run("desk", "import", *options, bundle).code == 0
    for words in (("reply", tip.id.hex(), "--message-file", text), ("outbox", "--out", tmp_path / "o")):
        done = run("desk", words[0], *options, *words[1:])
        assert (done.code, "if the date is wrong, set it first" in done.err) == (0, ago not in {0, 59})
