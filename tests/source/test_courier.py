"""Couriers' commands against a real server, over lines that are cut; over Tor in tests/onion."""

from __future__ import annotations

import base64
import gc
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from faults.cutting_proxy import CuttingProxy
from faults.sending import sealed
from support.commands import Done
from support.socks_proxy import running_socks
from support.world import Ring, World, running_world, tipbox
from tipbox.courier import reach
from tipbox.courier.carry import list_volumes
from tipbox.courier.courier_key import CourierKey
from tipbox.errors import InputRefused, NetworkFailed

BODY = 3_000_000


@pytest.fixture
def world(ring: Ring) -> Iterator[World]:
    with running_world(ring, courier=True) as made:
        yield made


@pytest.fixture
def key(tmp_path: Path) -> Path:
    tipbox("courier", "keygen", "--out", tmp_path / "K")
    return tmp_path / "K"


@pytest.fixture
def couriers(world: World) -> Iterator[CuttingProxy]:
    """The couriers' socket, as a connection that can be cut."""
    with CuttingProxy(str(world.server.courier)) as proxy:
        yield proxy


def store_tip(world: World, size: int = BODY) -> str:
    upload = sealed(world.keys, b"carry me", [("photo.jpg", bytes(range(256)) * (size // 256))])
    assert upload.open(world.server) == 201
    assert upload.put(world.server, 0, len(upload.parts)) == 200
    assert upload.finish(world.server) == 200
    return upload.id


def fetched(world: World, couriers: CuttingProxy, key: Path, out: Path, *more: str, expect: int = 0) -> Done:
    del world
    return tipbox("courier", "fetch", couriers.url, "--key", key, "--out", out, *more, "--json", expect=expect)


def test_a_key_is_a_pair_as_tor_reads_it(tmp_path: Path) -> None:
    done = tipbox("courier", "keygen", "--out", tmp_path / "K", "--json")
    private, public = (tmp_path / "K").read_text(), (tmp_path / "K.pub").read_text()
    assert stat.S_IMODE((tmp_path / "K").stat().st_mode) == 0o600
    halves = [base64.b32decode(text.removeprefix("descriptor:x25519:").strip() + "====") for text in (private, public)]
    assert X25519PrivateKey.from_private_bytes(halves[0]).public_key().public_bytes_raw() == halves[1]
    assert done.json["authorized_client"] == public.strip()
    assert private.split(":")[2].strip() not in done.out
    host = "a" * 56 + ".onion"
    assert CourierKey.load(tmp_path / "K").auth_private(host) == f"{'a' * 56}:{private.strip()}"
    (tmp_path / "stored.auth_private").write_text(CourierKey.load(tmp_path / "K").auth_private(host))
    assert CourierKey.load(tmp_path / "stored.auth_private") == CourierKey.load(tmp_path / "K")
    tipbox("courier", "keygen", "--out", tmp_path / "K", expect=3)
    assert (tmp_path / "K").read_text() == private


@pytest.mark.parametrize("text", ["", "descriptor:x25519:AAAA", "descriptor:x25519:?", "other", "\udcff" * 9])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "K").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputRefused, match="no courier's key"):
        CourierKey.load(tmp_path / "K")


def test_fetched_opened_delivered_and_gone(world: World, couriers: CuttingProxy, key: Path, tmp_path: Path) -> None:
    tip = store_tip(world)
    out = tmp_path / "stick"
    volumes = fetched(world, couriers, key, out).json["volumes"]
    assert sorted({volume["organisation"] for volume in volumes}) == sorted(world.ring.names)
    assert sorted(path.name for path in out.iterdir()) == sorted(Path(volume["file"]).name for volume in volumes)
    assert all(Path(volume["file"]).stat().st_size == volume["size"] for volume in volumes)

    desks = world.desks.values()
    for desk in desks:
        desk.take(*out.glob(f"{desk.name}-*.bundle"))
        assert [one["id"] for one in desk.tips()] == [tip]
    bundles = [desk.outbox(tmp_path / f"{desk.name}.back") for desk in desks]
    delivered = tipbox("courier", "deliver", couriers.url, "--key", key, *bundles, "--json").json["delivered"]
    assert [one["whole"] for one in delivered] == [True] * len(bundles)
    assert world.server.run("status", "--json").json["envelopes"] == "0"
    tipbox("courier", "deliver", couriers.url, "--key", key, *bundles)  # again: no harm


def test_a_download_that_was_cut_goes_on(world: World, couriers: CuttingProxy, key: Path, tmp_path: Path) -> None:
    store_tip(world)
    whole = tmp_path / "whole"
    fetched(world, couriers, key, whole, "--org", "kibhr")
    [volume] = whole.iterdir()
    data = volume.read_bytes()

    out = tmp_path / "stick"
    out.mkdir()
    (out / f".{volume.name}.part").write_bytes(data[:1_000_001])
    (out / ".kibhr-77-1.bundle.part").write_bytes(b"of an export that is past")
    seen = _answered(couriers)
    fetched(world, couriers, key, out, "--org", "kibhr")
    assert [path.name for path in out.iterdir()] == [volume.name]
    assert (out / volume.name).read_bytes() == data
    assert seen.total < len(data) - 900_000, "what was there already was fetched again"
    fetched(world, couriers, key, out, "--org", "kibhr")
    assert (out / volume.name).read_bytes() == data


class _Answered:
    total = 0


def _answered(couriers: CuttingProxy) -> _Answered:
    """Counts what the server says from now on."""
    counted, connect = _Answered(), couriers._connect

    def counting() -> object:
        line = connect()
        original = line.recv

        class Counting:
            def __getattr__(self, name: str) -> object:
                return getattr(line, name)

            def recv(self, size: int) -> bytes:
                piece = original(size)
                counted.total += len(piece)
                return piece

        return Counting()

    couriers._connect = counting  # type: ignore[method-assign,assignment]
    return counted


def test_the_server_decides_what_organisations_there_are(
    world: World, couriers: CuttingProxy, key: Path, tmp_path: Path
) -> None:
    failed = fetched(world, couriers, key, tmp_path / "out", "--org", "nobody", expect=5)
    assert "nobody" in json.loads(failed.err)["message"]
    tipbox("courier", "deliver", couriers.url, "--key", key, key, expect=3)  # a key is no Bundle


@pytest.fixture
def collected() -> Iterator[None]:
    """httpcore leaves a socket on which a proxy refused to the collector: that comes in the test's own time."""
    yield
    gc.collect()


@pytest.mark.usefixtures("collected")
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize(("running", "said"), [(True, "ClientOnionAuthDir"), (False, "start Tor")])
def test_a_tor_that_does_not_let_through_or_does_not_run_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, *, running: bool, said: str
) -> None:
    monkeypatch.setattr(reach, "FIRST_CONTACT_SECONDS", 1.0)
    with running_socks(None) as proxy:
        socks = proxy.address if running else "127.0.0.1:1"
        with (
            pytest.raises(NetworkFailed, match=said) as raised,
            reach.courier_connection(f"http://{'a' * 56}.onion", CourierKey.generate(), socks) as line,
        ):
            list_volumes(line, ())
    assert "\n" not in str(raised.value)
