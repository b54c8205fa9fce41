"""Moving to a new machine, by the commands of the first-hour page, between two servers that really run."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.sealed import Box, Organisation, envelope, inward
from support.server import Server, start
from support.tree import ROOT
from support.world import tipbox
from tipbox.formats.bundles.acknowledgement import acknowledge
from tipbox.formats.bundles.bundle_read import Bundle
from tipbox.formats.bundles.bundle_write import item_of
from tipbox.formats.mailbox_list import MailboxList, encode_tokens

pytestmark = pytest.mark.reads_date
PASSPHRASE = "correct horse battery staple"
STORED = {"state": "stored"}
UNITS = "tor@default tipbox tipbox-courier"
HOME, ONION = "/var/lib/tipbox", "/var/lib/tor/tipbox"


def steps() -> list[str]:
    """The numbered steps of the page."""
    page = (ROOT / "docs" / "first-hour.md").read_text(encoding="utf-8")
    section = page.split("\n## Moving to a new machine\n")[1].split("\n## ")[0]
    return re.split(r"^\d\. ", section, flags=re.MULTILINE)[1:]


def commands(step: str) -> list[str]:
    """What is to be typed, in its order."""
    spans = re.findall(r"`([^`]+)`", step)
    return [span for span in spans if span.split()[0] in {"install.sh", "systemctl", "tipbox-server", "uninstall.sh"}]


@dataclass
class Machine:
    """What the page calls a machine: a folder with the server's, and tor's."""

    folder: Path
    keys: Path
    server: Server | None = None

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def onion(self) -> Path:
        return self.folder / "onion"

    def install(self, name: str) -> None:
        """Keys of its own, as a new machine has."""
        self.start()
        for service in ("sources", "couriers"):
            (self.onion / service).mkdir(mode=0o700, parents=True)
            (self.onion / service / "hs_ed25519_secret_key").write_bytes(f"{name} {service}".encode())

    def start(self) -> None:
        self.server = start(self.home, self.keys, unix=True, courier=True)

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
        self.server = None

    def type(self, command: str, files: Path) -> None:
        """A command of the page, on this machine."""
        program, *words = shlex.split(command)
        if program == "systemctl" and words[0] in {"stop", "disable", "start"}:
            if words == ["start", "tipbox-onion"]:
                return  # it asks tor, which has no part here (tests/deploy/test_booted_stores.py)
            named = " ".join(word for word in words[1:] if word != "--now")
            assert named == UNITS
            self.start() if words[0] == "start" else self.stop()
            return
        assert program == "tipbox-server", command
        places = {
            HOME: self.home,
            ONION: self.onion,
            "/root/move.bak": files / "move.bak",
            "operator.key.pub": files / "operator.key.pub",
            "operator.key": files / "operator.key",
            "P": files / "passphrase",
        }
        tipbox("server", words[0], "--home", self.home, *(places.get(word, word) for word in words[1:]))

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.onion)): path.read_bytes() for path in self.onion.rglob("*") if path.is_file()
        }

    def digits(self) -> str:
        found: str = tipbox("server", "status", "--home", self.home, "--json").json["server"]
        return found

    def running(self) -> Server:
        assert self.server is not None
        return self.server


def fetched(server: Server, one: Organisation, folder: Path) -> list[Bundle]:
    path = f"/courier/bundles/{one.name}"
    found = []
    with server.couriers() as courier:
        for number, volume in enumerate(courier.request("GET", path).json["volumes"]):
            file = folder / f"{server.home.parent.name}-{one.name}-{number}"
            file.write_bytes(courier.request("GET", f"{path}/{volume['name']}").body)
            found.append(one.read(file))
    return found


def envelopes(bundles: list[Bundle]) -> dict[bytes, bytes]:
    return {
        item.entry.hash: b"".join(bundle.read(item))
        for bundle in bundles
        for item in bundle.items
        if item.entry.kind == "envelope"
    }


def test_all_that_the_page_promises_comes_along(organisations: list[Organisation], keys: Path, tmp_path: Path) -> None:
    """Identity, onion keys, manifests, tips in whatever state, and Bundles that are under way in both directions."""
    one, other, _ = organisations
    old, new = Machine(tmp_path / "old", keys), Machine(tmp_path / "new", keys)
    for machine in (old, new):
        machine.folder.mkdir()
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    tipbox("server", "backup-key", "--out", tmp_path / "operator.key", "--passphrase-file", tmp_path / "passphrase")
    old.install("old")
    carried, waiting, files = envelope(organisations), envelope(organisations), envelope(organisations, 300_000)
    draft, box = envelope(organisations, 300_000), Box()
    reply = box.reply()
    with old.running().client() as client:
        for sent in (carried, waiting, files):
            assert client.upload(sent).json == STORED
        client.open(draft)
        client.put(draft, 0)
    before = fetched(old.running(), one, tmp_path)
    items = [item_of("ack", acknowledge([carried.id], one.desk)), box.item(reply)]
    first = inward(tmp_path / "first", one, before[0], items, head=bytes(32))
    second = inward(
        tmp_path / "second", one, before[0], [item_of("ack", acknowledge([waiting.id], one.desk)), box.item(reply)], 2,
        head=bytes(32),
    )  # fmt: skip
    with old.running().couriers() as courier:
        assert courier.request("POST", "/courier/deliver", first.read_bytes()).json["whole"]
    outstanding = fetched(old.running(), other, tmp_path)
    digits, onion = old.digits(), old.files()
    with old.running().client() as client:
        manifests = [client.request("GET", f"/keys/{member.name}.json").body for member in organisations]

    where = [new, old, old, new, new, old]
    assert len(steps()) == len(where)
    for number, (machine, step) in enumerate(zip(where, steps(), strict=True), 1):
        typed = commands(step)
        assert typed, step
        if number == 1:
            assert typed.pop(0) == "install.sh"
            new.install("new")
            assert new.digits() != digits
        if number == 4:
            assert f"empty `{HOME}` (keep `tipbox.toml`) and `{ONION}`" in step
            for folder in (new.home, new.onion):
                shutil.rmtree(folder)
        if number == 6:
            assert typed == ["uninstall.sh --destroy-data"]
            shutil.rmtree(old.folder)
            break
        for command in typed:
            machine.type(command, tmp_path)

    assert (new.digits(), new.files()) == (digits, onion)
    moved = new.running()
    with moved.client() as client:
        assert [client.request("GET", f"/keys/{member.name}.json").body for member in organisations] == manifests
        assert client.state(draft).error == (404, "no-draft"), "its source begins again"
        assert client.upload(draft).json == STORED
        listed = MailboxList.parse(client.request("POST", "/api/mailbox", encode_tokens(box.tokens)).body)
        assert listed.entries == (), "as the page says"
    everything = {sent.id: sent.whole for sent in (carried, waiting, files, draft)}
    assert envelopes(fetched(moved, other, tmp_path)) == everything
    again = fetched(moved, one, tmp_path)
    assert envelopes(again) == {ident: whole for ident, whole in everything.items() if ident != carried.id}
    assert again[0].index.sequence > before[0].index.sequence, "no number comes twice"
    with moved.couriers() as courier:
        assert courier.request("POST", "/courier/deliver", second.read_bytes()).json["whole"], "written before the move"
        taken = item_of("ack", acknowledge(sorted(envelopes(outstanding)), other.desk))
        back = inward(tmp_path / "third", other, outstanding[0], [taken], head=bytes(32))
        assert courier.request("POST", "/courier/deliver", back.read_bytes()).json["whole"], "fetched before the move"
    assert envelopes(fetched(moved, other, tmp_path)) == {draft.id: draft.whole}
    with moved.client() as client:
        listed = MailboxList.parse(client.request("POST", "/api/mailbox", encode_tokens(box.tokens)).body)
    assert [entry.id for entry in listed.entries] == [reply.id], "its desk sent it once more"
    tipbox("server", "check", "--home", new.home)
    new.stop()
