"""Several hosts on one PostgreSQL that is 2 ms away, and a server that holds a million Envelopes.

The way to PostgreSQL is a relay that waits half of that in each direction; the round trip is measured and noted, too.
Rows of the million were put straight into the database, with letters of 64 bytes in place of 8 KiB: PostgreSQL keeps
long values in a table beside, which neither a start nor `status` reads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

from bench.figures import Bench, Ledger, percentile
from bench.loads import OPEN_BUDGET, run_program, seal_tips
from bench.measure import Cost, measure
from faults.sending import ROOMY
from stores.hosts import joining
from stores.relay import to_postgresql
from support.sealed import Organisation, keys_folder
from support.server import Server, running, start
from support.services import new_database, scratch
from support.world import TIPBOX
from tipbox.server.process.run import prepare_server

HOSTS: Final = 4
SOURCES: Final = 16
"""Of each host, on kept connections."""
SECONDS: Final = 5.0
ROUNDS: Final = 3
OPTIONS: Final = ("--sources", str(SOURCES), "--seconds", str(SECONDS))
MOST_PER_SECOND: Final = 600
LEAST_PER_SECOND: Final = 200
ALL: Final = "kibhr"
"""The organisation that has carried nothing yet."""
ONE_WAY: Final = 0.001
MANY: Final = 1_000_000
EXPORTED: Final = 100_000
MOST_SECONDS: Final = 2.0
_SECTION: Final = "TIPBOX_"


@pytest.fixture(name="database")
def _database(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> str:
    url = new_database(postgresql)
    monkeypatch.setenv("TIPBOX_DATABASE_URL", url)
    return url


def _settings() -> dict[str, str]:
    return {name.removeprefix(_SECTION).lower(): value for name, value in (ROOMY | OPEN_BUDGET).items()}


@contextmanager
def _hosts(database: str, folder: Path, keys: Path, count: int = HOSTS) -> Iterator[list[Server]]:
    """Hosts with a process each, all on one database."""
    settings = _settings() | {"database_url": database}
    prepare_server(folder / "0", keys)
    homes = [folder / "0", *(joining(folder / str(number), folder / "0") for number in range(1, count))]
    with ExitStack() as running_hosts:
        hosts = []
        for home in homes:
            hosts.append(start(home, keys, unix=True, settings=settings))
            running_hosts.callback(hosts[-1].kill)
        yield hosts


def test_texts_with_postgresql_two_milliseconds_away(
    ledger: Ledger, postgresql: str, database: str, organisations: list[Organisation], tmp_path: Path
) -> None:
    keys = keys_folder(tmp_path / "keys", organisations)
    each = int(MOST_PER_SECOND * SECONDS / HOSTS)
    envelopes = seal_tips(keys, tmp_path / "tips", each * HOSTS * ROUNDS)
    rates: list[float] = []
    times: list[float] = []
    costs: list[float] = []
    with ledger.bench("four hosts, PostgreSQL 2 ms away") as bench, scratch() as near:
        with (
            to_postgresql(near, postgresql, ONE_WAY),
            _hosts(database.replace(postgresql, str(near)), tmp_path, keys) as hosts,
        ):
            bench.note("round trip to PostgreSQL", "ms", _round_trips(near, database))
            for number in range(ROUNDS):
                skips = [str(each * (number * HOSTS + place)) for place in range(HOSTS)]
                before = _processor(postgresql, hosts)
                with ThreadPoolExecutor(HOSTS) as threads:
                    reports = list(
                        threads.map(
                            lambda host, skip: run_program(host.address, envelopes, (*OPTIONS, "--skip", skip)),
                            hosts,
                            skips,
                        )
                    )
                used = _processor(postgresql, hosts) - before + sum(report["cpu"] for report in reports)
                costs.append(1000 * used / sum(len(report["times"]) for report in reports))
                assert not any(report["refused"] for report in reports), reports
                assert max(len(report["times"]) for report in reports) < each, "seal more Envelopes beforehand"
                rates.append(sum(len(report["times"]) / report["seconds"] for report in reports))
                times += [1000 * one for report in reports for one in report["times"]]
        bench.note("finished texts", "a second", rates, at_least=LEAST_PER_SECOND)
        bench.note("processor for a text: hosts, PostgreSQL, sources and the way between", "ms", costs)
        bench.note("answer to a text, median", "ms", percentile(times, 50))
        bench.note("answer to a text, 99 %", "ms", percentile(times, 99))


def _processor(postgresql: str, hosts: list[Server]) -> float:
    """Seconds that all of it has used, but for the sources."""
    roots = [host.process.pid for host in hosts]
    roots.append(int((Path(postgresql) / "data" / "postmaster.pid").read_text().split()[0]))
    used = time.process_time()  # the way between is in this process
    for root in map(psutil.Process, roots):
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                used += sum(process.cpu_times()[:2])
    return used


def _round_trips(near: Path, database: str) -> list[float]:
    with _connect(near, database) as connection:
        return [1000 * _seconds(lambda: connection.execute("SELECT 1").fetchone()) for _ in range(20)]


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


# --- a million Envelopes ----------------------------------------------------------------------------------------------

_FILL: Final = """
INSERT INTO envelope (id, hash, day, seen_day, body_size, header, letter, trailer, effort)
SELECT sha256(('e' || number)::bytea), sha256(('h' || number)::bytea), current_date, 0, 0,
       sha256(('a' || number)::bytea), sha256(('b' || number)::bytea) || sha256(('c' || number)::bytea), '', 0
FROM generate_series(1, %s) AS number;
"""
_FILL_SLOTS: Final = """
INSERT INTO slot (envelope, organisation, acknowledged)
SELECT sha256(('e' || number)::bytea), organisation.id, organisation.name <> %s AND number > %s
FROM generate_series(1, %s) AS number, organisation;
"""


def _connect(host: Path | str, database: str) -> psycopg.Connection[tuple[object, ...]]:
    name = urlsplit(database).path.strip("/")
    return psycopg.connect(host=str(host), user="tipbox", dbname=name, autocommit=True)


def _fill(postgresql: str, database: str) -> None:
    """A million Envelopes, of which two organisations wait for a tenth, and the third for all."""
    with _connect(postgresql, database) as connection:
        connection.execute("SET session_replication_role = replica")  # no look at foreign keys, which takes minutes
        connection.execute(_FILL, [MANY])
        connection.execute(_FILL_SLOTS, [ALL, EXPORTED, MANY])
        connection.execute("VACUUM ANALYZE")


def _started(home: Path, keys: Path) -> tuple[float, float]:
    """Seconds from the command to the first answer, and of processor."""
    begun = time.perf_counter()
    with running(home, keys, unix=True) as server:
        taken = time.perf_counter() - begun
        processes = (psutil.Process(server.process.pid), *server.workers())
        return taken, sum(sum(process.cpu_times()[:2]) for process in processes)


def _status(home: Path) -> Cost:
    return measure(TIPBOX, "server", "status", "--home", home, "--json")


def test_a_server_with_a_million_envelopes(
    ledger: Ledger, postgresql: str, database: str, organisations: list[Organisation], tmp_path: Path
) -> None:
    keys, home = keys_folder(tmp_path / "keys", organisations), tmp_path / "home"
    prepare_server(home, keys)
    with ledger.bench("a million Envelopes") as bench:
        few = [_started(home, keys) for _ in range(ROUNDS)]
        bench.note("start with none", "s", [seconds for seconds, _ in few])
        none = [_status(home) for _ in range(ROUNDS)]
        bench.note("status with none", "s", [cost.seconds for cost in none])
        _fill(postgresql, database)
        all_of_them = [_started(home, keys) for _ in range(ROUNDS)]
        bench.note("start", "s", [seconds for seconds, _ in all_of_them], at_most=MOST_SECONDS)
        more = [all_of_them[number][1] - few[number][1] for number in range(ROUNDS)]
        bench.note("processor of a start, beside that with none", "s", more)
        many = [_status(home) for _ in range(ROUNDS)]
        bench.note("status", "s", [cost.seconds for cost in many], at_most=MOST_SECONDS)
        bench.note(
            "processor of status, beside that with none", "s", [many[n].cpu - none[n].cpu for n in range(ROUNDS)]
        )
        _note_exports(bench, home, keys, next(one for one in organisations if one.name != ALL), tmp_path / "out")


def _note_exports(bench: Bench, home: Path, keys: Path, one: Organisation, out: Path) -> None:
    """Of 100,000 that wait: by a courier's listing, which makes and signs it, and into files."""
    with running(home, keys, unix=True, courier=True) as server, server.couriers() as courier:
        (worker,) = server.workers()
        before, begun = sum(worker.cpu_times()[:2]), time.perf_counter()
        volumes = courier.request("GET", f"/courier/bundles/{one.name}").json["volumes"]
        bench.note(f"a courier's first listing of {EXPORTED:,}", "s", time.perf_counter() - begun)
        bench.note("the worker's processor for it", "s", sum(worker.cpu_times()[:2]) - before)
        begun = time.perf_counter()
        assert courier.request("GET", f"/courier/bundles/{one.name}").json["volumes"] == volumes
        bench.note("and the next", "s", time.perf_counter() - begun)
        bench.note("memory of the worker then", "MB", worker.memory_info().rss / 1e6)
    cost = measure(TIPBOX, "server", "export", "--home", home, "--to", one.name, "--out", out)
    bench.note(f"tipbox server export of {EXPORTED:,}", "s", cost.seconds)
    bench.note("its processor", "s", cost.cpu)
    bench.note("its memory", "MB", cost.peak_mb)
    carried = {
        item.entry.hash for path in out.iterdir() for item in one.read(path).items if item.entry.kind == "envelope"
    }
    bench.note("Envelopes in one export", "", len(carried), at_least=EXPORTED)
