"""What hosts of one server count together, to the byte, and what each counts by itself."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import func, select

from stores.hosts import Host, joining
from support.client import bearer
from support.sealed import Organisation, Sent, envelope
from tipbox.formats.base import padding
from tipbox.server.storage.models import DayCount, Draft

pytestmark = [
    pytest.mark.real_clock("PostgreSQL says which day it is, and is not ours to be told another"),
    pytest.mark.usefixtures("database"),
]
HOSTS: Final = 3
SIZE: Final = 900_000
ROOM_FOR: Final = 5
BURST: Final = 20


@contextmanager
def begun(tmp_path: Path, keys: Path) -> Iterator[list[Host]]:
    hosts = [Host.begin(tmp_path / "0", keys)]
    hosts += [Host.begin(joining(tmp_path / str(number), hosts[0].home), keys) for number in range(1, HOSTS)]
    yield hosts
    for host in hosts:
        host.store.engine.dispose()


def asked(host: Host, sent: Sent) -> str:
    """The state, or the error."""
    answer = host.sources.put("/api/envelope", data=sent.start, headers=bearer(sent.token)).json
    assert answer is not None
    return str(answer.get("state") or answer["error"])


def test_a_quota_is_the_same_for_all_hosts_to_the_byte(
    tmp_path: Path, keys: Path, organisations: list[Organisation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All ask at once, each for more than half of what there is."""
    size = padding.sealed_body_size(padding.padme(SIZE))
    monkeypatch.setenv("TIPBOX_QUOTA_DRAFT_BYTES", str(ROOM_FOR * size))

    def ask(host: Host) -> list[str]:
        return [asked(host, envelope(organisations, SIZE)) for _ in range(ROOM_FOR - 1)]

    with begun(tmp_path, keys) as hosts, ThreadPoolExecutor(HOSTS) as threads:
        answers = [one for answers in threads.map(ask, hosts) for one in answers]
        held = hosts[0].store.read(
            lambda connection: connection.execute(select(func.count(), func.sum(Draft.body_size))).one()
        )

    assert (answers.count("open"), answers.count("full")) == (ROOM_FOR, HOSTS * (ROOM_FOR - 1) - ROOM_FOR)
    assert (held[0], int(held[1])) == (ROOM_FOR, ROOM_FOR * padding.padme(SIZE))


def test_a_rate_is_of_each_host_and_all_together_take_as_many_times_as_much(
    tmp_path: Path, keys: Path, organisations: list[Organisation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Buckets are in the memory of each host: the bound of all is that of one, times the number of hosts."""
    monkeypatch.setenv("TIPBOX_QUOTA_LETTERS_BURST", str(BURST))
    monkeypatch.setenv("TIPBOX_QUOTA_LETTERS_PER_SECOND", "0.001")
    free = []
    with begun(tmp_path, keys) as hosts:
        for host in hosts:
            count = 0
            while (said := asked(host, envelope(organisations))) == "stored":
                count += 1
            assert said == "toll"
            free.append(count)
        counted = hosts[0].store.read(lambda connection: connection.execute(select(DayCount.letters)).scalar_one())

    assert free == [BURST // 4 + 1] * HOSTS, "from three quarters of it down to a half"
    assert counted == sum(free)
