"""A tip's way through real Tor: Firefox to the sources' onion, a courier at the other one, the desk, and back."""

from __future__ import annotations

import filecmp
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from browser.drivers import Firefox, Level
from browser.pages import Source
from browser.sink import Sink
from onion.conftest import Onion
from support.world import tipbox

pytestmark = pytest.mark.timeout(3600)  # machines and networks are set up on a busy one

SIZE = 30_000_000
TEXT = "Алаңда қарусыз адамдарға оқ атылды. Видео приложено."

REPLY = "Рахмет. Мы всё получили."


class TorFirefox(Firefox):
    """Firefox as Tor Browser sets it up, whose every byte goes through the private network."""

    def __init__(self, folder: Path, sink: Sink, address: str, socks_port: int) -> None:
        self.address_of_service = address
        through_tor = {
            "network.proxy.socks_port": socks_port,
            "network.proxy.no_proxies_on": "",
            "network.dns.localDomains": "",
        }
        super().__init__(Level.STANDARD, folder, sink, through_tor)

    def url(self, port: int, path: str = "/", *, secure: bool = True) -> str:
        del port, secure
        return f"{self.address_of_service}{path}"


@pytest.fixture
def source(onion: Onion) -> Iterator[Source]:
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="tipbox-browser-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        sink = Sink()
        stack.callback(sink.close)
        browser = TorFirefox(folder, sink, onion.sources, onion.network.socks_port)
        stack.callback(browser.close)
        browser.fresh()
        yield Source(browser, SimpleNamespace(port=80))  # type: ignore[arg-type]
        assert not sink.hosts


def test_firefox_sends_a_courier_carries_and_the_desk_opens(onion: Onion, source: Source, tmp_path: Path) -> None:
    video = tmp_path / "видео.mp4"
    video.write_bytes(random.Random(30).randbytes(SIZE))
    passphrase = tmp_path / "passphrase"
    passphrase.write_text(source.tell(TEXT, video, patience=400) + "\n")

    stranger = tmp_path / "stranger"
    tipbox("courier", "keygen", "--out", stranger)
    out = tmp_path / "stick"
    said = onion.courier("fetch", "--out", out, key=stranger, expect=4)
    assert "does not let this key in" in said
    assert not out.exists()
    onion.courier("fetch", "--out", out, "--org", "kibhr")
    assert {path.name.partition("-")[0] for path in out.iterdir()} == {"kibhr"}

    desk = onion.world.desks["kibhr"]
    desk.take(*out.iterdir())
    # Others came by the same server without scripts.
    [tip] = [one for one in desk.tips() if [file["name"] for file in one["files"]] == [video.name]]
    opened = desk.open(tip["id"], tmp_path / "opened")
    assert opened.message == TEXT.encode()
    assert filecmp.cmp(opened.files["видео.mp4"], video, shallow=False)

    (tmp_path / "reply").write_text(REPLY)
    desk.run("reply", tip["id"], "--message-file", tmp_path / "reply")
    back = desk.outbox(tmp_path / "back.bundle")
    onion.courier("deliver", back)
    waiting = {
        one["organisation"]: one["waiting"] for one in onion.world.server.run("status", "--json").json["organisations"]
    }
    assert waiting["kibhr"] == "0"
    assert waiting["ili"] != "0"

    words = ("source", "inbox", onion.sources, "--keys", onion.world.keys, "--socks", onion.network.socks)
    [reply] = tipbox(*words, "--passphrase-file", passphrase, "--json").json["replies"]
    assert (reply["organisation"], reply["text"]) == ("kibhr", REPLY)
