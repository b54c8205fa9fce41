"""Watchers over real Tor: a visit is one circuit whatever its connections, and a swap for one in three is found."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from onion.conftest import Onion, _reachable
from release.made import WATCHER, wheel_of_checkout
from tipbox.formats.base import days
from tipbox.formats.site_list import SiteList
from tipbox.verify.looking import fetch_site, judged
from tipbox.verify.rendering import expect
from tipbox.verify.visiting import Visitor
from tipbox.verify.watching import compare, line_of, visits

pytestmark = pytest.mark.timeout(3600)  # machines and networks are set up on a busy one

SWAPPED = b"GET /static/page.js "


@dataclass
class Swapping:
    """Stands between tor and the server, and swaps a script for every third circuit."""

    world_socket: str
    path: Path
    circuits: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        self.path.chmod(0o666)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def lies_to(self, circuit: bytes) -> bool:
        if circuit not in self.circuits:
            self.circuits.append(circuit)
        return self.circuits.index(circuit) % 3 == 1

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), line:
            data = b""
            while b"\r\n\r\n" not in data:
                if not (piece := line.recv(1 << 16)):
                    return
                data += piece
            circuit, _, head = data.partition(b"\r\n")
            lies = self.lies_to(circuit.split()[2])
            # One request a connection: the answer says so, and nothing here counts bytes.
            head = head.replace(b"Connection: keep-alive", b"Connection: close").replace(b"gzip, deflate", b"identity")
            with socket.socket(socket.AF_UNIX) as server:
                server.connect(self.world_socket)
                server.sendall(circuit + b"\r\n" + head)
                answer = b""
                while piece := server.recv(1 << 16):
                    answer += piece
            line.sendall(answer[:-1] + b"!" if lies and head.startswith(SWAPPED) else answer)


@pytest.fixture(name="swapping", scope="module")
def _swapping(onion: Onion, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Onion, Swapping]]:
    path = tmp_path_factory.mktemp("swap") / "s"
    path.parent.chmod(0o755)
    swapping = Swapping(onion.world.server.bind.removeprefix("unix:"), path)
    served = replace(onion, sources=onion.network.serve("swapping", {"sources": path})["sources"])
    _reachable(served)
    yield served, swapping
    swapping.close()


def test_a_swap_for_one_circuit_in_three_is_found_and_two_watchers_see_two_faces(
    swapping: tuple[Onion, Swapping], tmp_path: Path
) -> None:
    onion, between = swapping
    visitor = Visitor(onion.sources, onion.network.socks, read=lambda _: None)
    site = fetch_site(visitor)
    wheel = tmp_path / "wheel"
    wheel_of_checkout(wheel)
    expected, listed = expect(wheel, site), SiteList.parse(site)
    between.circuits.clear()
    looks = []
    for steps in visits(expected, random.Random(1))[:4]:
        before = len(between.circuits)
        looks.append(judged(visitor.load(steps, expected.language), expected, listed, days.today()))
        assert len(between.circuits) == before + 1, "a visit is one circuit"
    visitor.close()
    assert [bool(one.differences) for one in looks] == [False, True, False, False]
    assert {one.path for one in looks[1].differences} == {"/static/page.js"}
    told = [replace(one, seen={"/static/page.js": one.seen["/static/page.js"]}) for one in looks[:2]]
    lines = [line_of(onion.sources, "1", one, None, WATCHER) for one in (told[0], told[1], told[0])]
    by_hours = [replace(line, said={**line.said, "at": f"2027-03-01T{n:02}"}) for n, line in enumerate(lines)]
    [sentence], _ = compare(by_hours[::2], by_hours[1:2])
    assert "different: /static/page.js" in sentence
