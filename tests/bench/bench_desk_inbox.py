"""The desk with a hundred thousand tips: from the passphrase to the first rows, search, tags, threads, and its memory.

``TIPBOX_BENCH_TIPS`` sets another number of tips. They are written into the vault as an import leaves them, without its
syncs; words are drawn from a list of 5,000, as often as words are in a language (Zipf), 60 to a message.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from bench.figures import Bench, Ledger
from bench.measure import measure
from support.desk import PASSWORD, TODAY, Desk, seal_tip
from support.world import TIPBOX, environment
from tipbox.desk import conversations, tips
from tipbox.desk.inbox import listing, marks
from tipbox.desk.inbox.summary import FileWatcher
from tipbox.desk.inbox.tip_index import Filter, TipIndex
from tipbox.desk.keys import ceremony
from tipbox.desk.vault.records import Organisation, Thread, Tip
from tipbox.desk.vault.vault import INDEX_FILE, Vault
from tipbox.formats.access_code import AccessCode
from tipbox.formats.base.limits import ID_SIZE, KEY_SIZE
from tipbox.formats.base.primitives import random_bytes
from tipbox.formats.envelopes.envelope import Recipient, seal
from tipbox.formats.envelopes.letter import Letter

COUNT: Final = int(os.environ.get("TIPBOX_BENCH_TIPS", "100000"))
LOOSE: Final = 1000
WORDS: Final = 5000
SYLLABLES: Final = ("ка", "ра", "ше", "ла", "мо", "ти", "бе", "ну", "во", "жы", "ко", "сы", "та", "ли", "де", "па")  # noqa: RUF001


def words() -> list[str]:
    chance = random.Random(1)
    return ["".join(chance.choices(SYLLABLES, k=chance.randint(2, 5))) for _ in range(WORDS)]


def write_tips(vault: Vault, desk: Desk, count: int) -> None:
    """Files and records of tips, as an import leaves them."""
    chance, vocabulary = random.Random(2), words()
    often = [1 / rank for rank in range(1, WORDS + 1)]
    key = desk.manifest.current_key(TODAY)
    for start in range(0, count, 1000):
        with vault.transaction():
            for _ in range(start, min(count, start + 1000)):
                text = " ".join(chance.choices(vocabulary, often, k=60))
                letter = Letter(text.encode(), (), random_bytes(KEY_SIZE), random_bytes(ID_SIZE))
                secrets = random_bytes(KEY_SIZE), random_bytes(KEY_SIZE)
                sealed = seal([Recipient(desk.manifest.id, key.id, key.public, *secrets)], letter)
                (slot,) = sealed.slots
                assert slot is not None
                ident, thread = random_bytes(32), random_bytes(16)
                day = TODAY - timedelta(days=chance.randrange(300))
                tip = Tip(
                    *(ident, random_bytes(32), thread, letter.id, day, day, "new"),
                    *(slot.content_key, slot.pair_key, slot.mailbox, slot.seal_secret, ()),
                )
                with vault.sealing(vault.tip_path(ident), sync=False) as out:
                    out.write(sealed.opening)
                tip.save(vault)
                FileWatcher(letter).summary(ident).save(vault)
                Thread(thread, slot.mailbox).save(vault)


def seconds(work: Callable[..., object], *arguments: object) -> float:
    begun = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - begun


@pytest.fixture
def desk(disk_folder: Path) -> Desk:
    return Desk.make(disk_folder, "kibhr")


def test_many_tips(ledger: Ledger, desk: Desk, disk_folder: Path) -> None:
    secret = disk_folder / "secret"
    secret.write_bytes(PASSWORD)
    secret.chmod(0o600)
    with ledger.bench(f"desk with {COUNT:,} tips") as bench:
        with desk.open(write=True) as vault:
            write_tips(vault, desk, COUNT)
            bench.note("index made anew and sealed", "s", seconds(lambda: TipIndex.of(vault).save(always=True)))
            bench.note("index file", "MB", (desk.vault / INDEX_FILE).stat().st_size / 1e6)
        _measure(bench, desk)
        options = ("--vault", desk.vault, "--passphrase-file", secret)
        cost = measure(TIPBOX, "desk", "list", *options, "--limit", "50", env=environment())
        bench.note("tipbox desk list --limit 50, all of it", "s", cost.seconds)
        bench.note("tipbox desk list --limit 50, peak memory", "MB", cost.peak_mb, at_most=400)
        cost = measure(TIPBOX, "desk", "search", *options, words()[20], env=environment())
        bench.note("tipbox desk search, peak memory", "MB", cost.peak_mb, at_most=400)


def _measure(bench: Bench, desk: Desk) -> None:
    chance, vocabulary = random.Random(3), words()
    with desk.open(write=True) as vault:
        organisation = ceremony.organisation_of(vault)
        bench.note(
            "unlocked to first 50 rows",
            "s",
            seconds(lambda: listing.list_tips(vault, organisation, Filter(state="new"), limit=50)),
            at_most=1.0,
        )
        queries = [*vocabulary[:20], *chance.choices(vocabulary, k=80)]
        queries += [" ".join(chance.choices(vocabulary[:300], k=2)) for _ in range(100)]
        index = TipIndex.of(vault)
        found = sorted(seconds(index.search, query, 50) * 1000 for query in queries)
        bench.note("search, 50th percentile of 200", "ms", found[100])
        bench.note("search, 95th percentile of 200", "ms", found[190], at_most=50)
        bench.note("search with 50 rows", "ms", seconds(lambda: _search(vault, organisation, vocabulary[5])) * 1000)
        some = chance.choices(index.page(Filter(), 1000), k=21)
        acts: dict[str, Callable[[Tip], object]] = {
            "thread": lambda tip: conversations.thread_of(vault, organisation, tip),
            "tag": lambda tip: marks.tag(vault, [tip.thread], ["square"]),
            "close": lambda tip: conversations.close(vault, tip.thread),
        }
        for name, act in acts.items():
            chosen = [tips.find_tip(vault, ident.hex()[:12]) for ident in some]
            times = [seconds(act, tip) * 1000 for tip in chosen]
            bench.note(f"{name}, a tip found by 12 digits", "ms", times, at_most=100)


def _search(vault: Vault, organisation: Organisation, query: str) -> None:
    assert listing.search_tips(vault, organisation, query, limit=50)


def test_loose_tips(ledger: Ledger, desk: Desk, disk_folder: Path) -> None:
    loose = disk_folder / "loose"
    loose.mkdir()
    source = AccessCode.generate().secrets()
    for number in range(LOOSE):
        tip = seal_tip([desk.manifest], message=b"tip %d" % number, secrets=source)
        (loose / f"{number}.tip").write_bytes(tip.data)
    with ledger.bench(f"import of {LOOSE:,} .tip files") as bench:
        bench.note("import", "s", seconds(lambda: desk.take(loose)), at_most=10)
