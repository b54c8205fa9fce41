"""Mailboxes: whether there is anything in one does not show in time, and 100,000 of them cost what 100 do."""

from __future__ import annotations

import random
import secrets
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from typing import Final

import psutil

from bench.figures import Ledger
from support.client import Client
from support.sealed import Box, Organisation, inward, keys_folder, three
from support.server import Server, start
from tipbox.formats.base import days
from tipbox.formats.base.primitives import sha256
from tipbox.formats.mailbox_list import MOST_LISTED, SMALLEST_OPENING, Entry, MailboxList, encode_delete, encode_tokens
from tipbox.server.bundles.export import write_volumes
from tipbox.server.bundles.importing import import_bundles
from tipbox.server.home import Home
from tipbox.server.storage.reply_rows import MOST_OF_ONE

EACH: Final = 10_000
"""Requests to each kind of mailbox, interleaved."""
DELETED: Final = 3_000
"""Requests to delete, to each kind: each of them waits for the disk."""
WARM: Final = 500
BOUND_MS: Final = 0.2
RESAMPLES: Final = 1_000
CONFIDENCE: Final = 0.95
FEW: Final = 100
MANY: Final = 100_000
REPLIES: Final = 10
OPENED: Final = 2_000
ROUNDS: Final = 5
SLOWER: Final = 1.5
ROOMY: Final = {"limits_mailbox": "100000000", "limits_all_per_second": "100000000"}


def ask(client: Client, box: Box) -> float:
    """Milliseconds of one list, from the first byte of the request to the last of the answer."""
    begun = time.perf_counter()
    answer = client.request("POST", "/api/mailbox", encode_tokens(box.tokens))
    taken = (time.perf_counter() - begun) * 1e3
    assert answer.status == HTTPStatus.OK  # reading the list is the client's time, and longer for a full one
    return taken


def interval(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """A bootstrap interval of the difference of the medians (of groups of neighbours, which share the machine's mood).

    Two one-sided tests at 5 % each hold when the 90 % interval lies within the bound; this is the 95 % one.
    """
    size = 50
    blocks = [(one[at : at + size], other[at : at + size]) for at in range(0, min(len(one), len(other)), size)]
    source = random.Random(1)
    differences = []
    for _ in range(RESAMPLES):
        chosen = source.choices(blocks, k=len(blocks))
        medians = [statistics.median([value for block in chosen for value in block[side]]) for side in (0, 1)]
        differences.append(medians[0] - medians[1])
    differences.sort()
    tail = int(RESAMPLES * (1 - CONFIDENCE) / 2)
    return differences[tail], differences[-1 - tail]


def filled(server: Server, organisations: Sequence[Organisation], folder: Path) -> dict[str, Box]:
    """Mailboxes of a source whom nobody knows, of one who has read all, and of one with as many replies as can be."""
    full, read = ([Box() for _ in organisations] for _ in range(2))
    for number, one in enumerate(organisations):
        outward = one.read(write_volumes(server.home, one.name, folder / "out")[0])
        replies = [full[number].reply() for _ in range(MOST_OF_ONE)]
        once = read[number].reply()
        items = [full[number].item(reply) for reply in replies] + [read[number].item(once)]
        (taken,) = import_bundles(server.home, [inward(folder / "in", one, outward, items)])
        assert taken.deposited == MOST_OF_ONE + 1
        with server.client() as client:
            client.delete(read[number], once)
    return {"unknown": Box(), "read": read[0].beside(*read[1:]), "full": full[0].beside(*full[1:])}


def test_unknown_read_and_full_mailboxes_take_the_same_time(ledger: Ledger, disk_folder: Path) -> None:
    organisations = three()
    server = start(disk_folder / "home", keys_folder(disk_folder / "keys", organisations), unix=True, settings=ROOMY)
    try:
        boxes = filled(server, organisations, disk_folder)
        kinds = list(boxes)
        taken: dict[str, list[float]] = {kind: [] for kind in kinds}
        order = random.Random(2)
        with ledger.bench("mailboxes: time") as bench, server.client() as client:
            for kind in kinds * WARM:
                ask(client, boxes[kind])
            assert [len(client.mailbox(boxes[kind]).entries) for kind in kinds] == [0, 0, 3 * MOST_OF_ONE]
            for _ in range(EACH):
                order.shuffle(kinds)
                for kind in kinds:
                    taken[kind].append(ask(client, boxes[kind]))
            for kind in boxes:
                bench.note(f"list of one that is {kind}, median of {EACH:,}", "ms", statistics.median(taken[kind]))
            for one, other in pairwise(("unknown", "read", "full", "unknown")):
                low, high = interval(taken[one], taken[other])
                difference = statistics.median(taken[one]) - statistics.median(taken[other])
                print(f"  {one} less {other}: {difference:+.4f} ms, 95 % [{low:+.4f}, {high:+.4f}]", flush=True)
                furthest = max(abs(low), abs(high))
                bench.note(f"|{one} - {other}|, end of the 95 % interval", "ms", furthest, at_most=BOUND_MS)
    finally:
        server.kill()


def delete_absent(client: Client, box: Box) -> float:
    """Milliseconds of a request to delete an id that is nowhere."""
    body = encode_delete(box.tokens, [secrets.token_bytes(32)])
    begun = time.perf_counter()
    answer = client.request("POST", "/api/mailbox/delete", body)
    taken = (time.perf_counter() - begun) * 1e3
    assert answer.status == HTTPStatus.OK
    return taken


def test_deleting_what_is_not_there_takes_the_same_time(ledger: Ledger, disk_folder: Path) -> None:
    organisations = three()
    server = start(disk_folder / "home", keys_folder(disk_folder / "keys", organisations), unix=True, settings=ROOMY)
    try:
        boxes = filled(server, organisations, disk_folder)
        kinds = list(boxes)
        taken: dict[str, list[float]] = {kind: [] for kind in kinds}
        order = random.Random(5)
        with ledger.bench("mailboxes: time of deleting") as bench, server.client() as client:
            for _ in range(DELETED):
                order.shuffle(kinds)
                for kind in kinds:
                    taken[kind].append(delete_absent(client, boxes[kind]))
            for kind in boxes:
                median = statistics.median(taken[kind])
                bench.note(f"deleting nothing in one that is {kind}, median of {DELETED:,}", "ms", median)
            for one, other in pairwise(("unknown", "read", "full", "unknown")):
                furthest = max(abs(end) for end in interval(taken[one], taken[other]))
                bench.note(f"deleting, |{one} - {other}|, end of the 95 % interval", "ms", furthest, at_most=BOUND_MS)
    finally:
        server.kill()


def plant(server: Server, organisation: Organisation, mailboxes: int) -> list[Box]:
    """Mailboxes with ten of the smallest replies each, put straight into the database; some of them are given back.

    Only the letters that a list holds are written, the first by id: the others would be 5 GB that nothing reads.
    """
    day, held = days.today(), secrets.token_bytes(1 << 22)
    spot = random.Random(3)
    kept: list[Box] = []
    with closing(sqlite3.connect(Home(server.home).database)) as connection:
        connection.execute("PRAGMA synchronous=OFF")  # of this connection: it only makes the data
        connection.execute("PRAGMA cache_size=-400000")
        tokens = [secrets.token_bytes(32) for _ in range(mailboxes)]
        made = sorted(map(sha256, tokens))
        kept = [Box(token) for token in spot.sample(tokens, min(mailboxes, FEW))]
        for at in range(0, mailboxes, 1000):
            replies, openings = [], []
            for address in made[at : at + 1000]:
                for number, ident in enumerate(sorted(secrets.token_bytes(32) for _ in range(REPLIES))):
                    cut = spot.randrange(len(held) - SMALLEST_OPENING)
                    entry = Entry(ident, day, SMALLEST_OPENING, SMALLEST_OPENING).encode()
                    facts = (organisation.id, day.isoformat(), 0, SMALLEST_OPENING, entry)
                    replies.append((address, ident, *facts))
                    if number < MOST_LISTED:
                        openings.append((address, ident, held[cut : cut + SMALLEST_OPENING]))
            with connection:
                connection.executemany(
                    "INSERT INTO reply (mailbox, id, organisation, day, seen_day, size, entry) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    replies,
                )
                connection.executemany("INSERT INTO reply_opening (mailbox, id, opening) VALUES (?, ?, ?)", openings)
    return kept


def test_a_hundred_thousand_mailboxes_cost_what_a_hundred_do(ledger: Ledger, disk_folder: Path) -> None:
    organisations = three()
    keys = keys_folder(disk_folder / "keys", organisations)
    servers = {count: start(disk_folder / f"of{count}", keys, unix=True, settings=ROOMY) for count in (FEW, MANY)}
    try:
        boxes = {count: plant(server, organisations[0], count) for count, server in servers.items()}
        clients = {count: server.client() for count, server in servers.items()}
        workers = {count: psutil.Process(server.workers()[0].pid) for count, server in servers.items()}

        def median(count: int) -> Callable[[], float]:
            def opened() -> float:
                spot = random.Random(4)
                return statistics.median(ask(clients[count], spot.choice(boxes[count])) for _ in range(OPENED))

            return opened

        with ledger.bench("mailboxes: 100,000") as bench:
            for count, opened in boxes.items():
                for box in opened:
                    found = clients[count].mailbox(box)
                    assert isinstance(found, MailboxList)
                    assert len(found.entries) == REPLIES
            before = {count: workers[count].memory_info().rss for count in workers}
            times: dict[int, list[float]] = {FEW: [], MANY: []}
            for number in range(ROUNDS):
                for count in (FEW, MANY) if number % 2 else (MANY, FEW):
                    times[count].append(median(count)())
            bench.note(f"opening one of {FEW}, median of {OPENED:,}", "ms", times[FEW])
            bench.note(f"opening one of {MANY:,}, median of {OPENED:,}", "ms", times[MANY])
            bench.note_ratios(f"of {MANY:,} against of {FEW}", times[MANY], times[FEW], at_most=SLOWER)
            grown = {count: (workers[count].memory_info().rss - before[count]) / 1e6 for count in workers}
            bench.note(f"worker's memory with {MANY:,}", "MB", workers[MANY].memory_info().rss / 1e6)
            bench.note(f"growth over {ROUNDS * OPENED:,} openings of {MANY:,}", "MB", grown[MANY], at_most=10.0)
        for client in clients.values():
            client.close()
    finally:
        for server in servers.values():
            server.kill()
